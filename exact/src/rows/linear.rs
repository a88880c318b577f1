//! Rows of [`crate::op::linear`], from sums.

use super::{round_after, saturate};
use crate::{
    leaf::LeafError,
    model::Row,
    number::Scale,
    op::linear::{add, output},
};

/// Scales and biases of some rows of a matrix, each kind together.
#[derive(Clone, Copy)]
pub(crate) struct Parameters<'a> {
    pub rows: &'a [Row],
    /// Of each row.
    pub mantissas: &'a [u32],
    pub exponents: &'a [i32],
    pub biases: &'a [i32],
    /// Of those whose mantissa is not 0.
    pub largest_exponent: i32,
}

#[inline(always)]
pub(super) fn outputs(
    sums: &[i64],
    parameters: Parameters,
    scale: Scale,
    fraction_bits: u8,
    out: &mut [i32],
) -> Result<(), LeafError> {
    merged(sums, parameters, scale, fraction_bits, out, |_, y| y)
}

#[inline(always)]
pub(super) fn outputs_added(
    sums: &[i64],
    parameters: Parameters,
    scale: Scale,
    fraction_bits: u8,
    out: &mut [i32],
) -> Result<(), LeafError> {
    merged(sums, parameters, scale, fraction_bits, out, add)
}

#[inline(always)]
fn merged(
    sums: &[i64],
    parameters: Parameters,
    scale: Scale,
    fraction_bits: u8,
    out: &mut [i32],
    merge: impl Fn(i32, i32) -> i32,
) -> Result<(), LeafError> {
    // A row's last shift is base - e_o + 1.
    let base = scale
        .exponent
        .saturating_add(9)
        .saturating_add(fraction_bits.into())
        .saturating_neg();
    if parameters.largest_exponent > base {
        // Numbers of 2^15 and more.
        for ((sum, row), out) in sums.iter().zip(parameters.rows).zip(out) {
            *out = merge(*out, output(*sum, *row, scale, fraction_bits)?);
        }
        return Ok(());
    }
    let rows = parameters
        .mantissas
        .iter()
        .zip(parameters.exponents)
        .zip(parameters.biases);
    for ((sum, ((mantissa, exponent), bias)), out) in sums.iter().zip(rows).zip(out) {
        // At most 65535² + 128: below 2^32.
        let both = mantissa.wrapping_mul(scale.mantissa.into());
        let mantissa = both.wrapping_add(128) >> 8;
        // Where the mantissa is 0 the shift does not matter.
        let shift = base.wrapping_sub(*exponent).clamp(0, 62).unsigned_abs();
        let y = round_after(sum.wrapping_mul(mantissa.into()), shift);
        *out = merge(*out, saturate(y).saturating_add(*bias));
    }
    Ok(())
}
