//! A linear map with int8 weights: `linear` (format page §3.4).

use crate::{
    leaf::{self, require, LeafError, Operand, WEIGHTS_PER_LEAF},
    model::{Matrix, Row},
    number::{round, round_sat, sat, Scale},
};

use super::sum;

/// Most |acc|: 32512 · 127 · 2^16 (§8).
const MAX_SUM: u64 = (32512 * 127) << 16;

/// Sum of q · w over one leaf of a row's weights.
pub fn partial(q: &[i16], weights: &[i8]) -> Result<i64, LeafError> {
    for weight in weights {
        leaf::weight(*weight)?;
    }
    partial_unchecked(q, weights)
}

/// As [`partial`], whatever the weights are: what an engine computes, which does not look at their
/// range.
pub fn partial_unchecked(q: &[i16], weights: &[i8]) -> Result<i64, LeafError> {
    require(
        q.len() == weights.len() && q.len() <= WEIGHTS_PER_LEAF,
        Operand::Length,
    )?;
    Ok(dot(q, weights))
}

/// Output o in Q`fraction_bits`, from the partial sums over its row.
pub fn element(
    partials: &[i64],
    row: Row,
    scale: Scale,
    fraction_bits: u8,
) -> Result<i32, LeafError> {
    output(sum(partials)?, row, scale, fraction_bits)
}

/// An output that is added to the residual: `element` of the residual x.
#[inline]
pub fn add(x: i32, y: i32) -> i32 {
    x.saturating_add(y)
}

/// Outputs of several tokens: `q` holds their rows of `matrix.inputs` activations, `out` gets their
/// rows of outputs. Each weight row is read once for all tokens.
pub fn rows(
    q: &[i16],
    scales: &[Scale],
    matrix: &Matrix,
    fraction_bits: u8,
    out: &mut [i32],
) -> Result<(), LeafError> {
    each(q, scales, matrix, fraction_bits, out, |_, y| y)
}

/// As [`rows`], with the outputs added to what `out` holds.
pub fn rows_added(
    q: &[i16],
    scales: &[Scale],
    matrix: &Matrix,
    fraction_bits: u8,
    out: &mut [i32],
) -> Result<(), LeafError> {
    each(q, scales, matrix, fraction_bits, out, add)
}

#[inline]
fn each(
    q: &[i16],
    scales: &[Scale],
    matrix: &Matrix,
    fraction_bits: u8,
    out: &mut [i32],
    merge: impl Fn(i32, i32) -> i32,
) -> Result<(), LeafError> {
    let (inputs, outputs) = (matrix.inputs, matrix.rows.len());
    require(inputs > 0 && outputs > 0, Operand::Length)?;
    require(
        Some(q.len()) == scales.len().checked_mul(inputs)
            && Some(out.len()) == scales.len().checked_mul(outputs)
            && Some(matrix.weights.len()) == outputs.checked_mul(inputs),
        Operand::Length,
    )?;
    for (o, (weights, row)) in matrix
        .weights
        .chunks_exact(inputs)
        .zip(matrix.rows)
        .enumerate()
    {
        let tokens = q.chunks_exact(inputs).zip(scales);
        for ((q, scale), out) in tokens.zip(out.chunks_exact_mut(outputs)) {
            if let Some(slot) = out.get_mut(o) {
                *slot = merge(*slot, output(dot(q, weights), *row, *scale, fraction_bits)?);
            }
        }
    }
    Ok(())
}

#[inline]
pub(crate) fn output(
    acc: i64,
    row: Row,
    scale: Scale,
    fraction_bits: u8,
) -> Result<i32, LeafError> {
    let row = leaf::row(row)?;
    require(acc.unsigned_abs() <= MAX_SUM, Operand::Sum)?;
    let mantissa = round(
        i64::from(row.mantissa).wrapping_mul(scale.mantissa.into()),
        8,
    );
    let exponent = i32::from(row.exponent)
        .saturating_add(scale.exponent)
        .saturating_add(8)
        .saturating_add(fraction_bits.into());
    let y = round_sat(acc.wrapping_mul(mantissa), exponent.saturating_neg());
    Ok(sat(i64::from(y).wrapping_add(row.bias.into())))
}

/// Sum of q · w. Blocks of 256 terms of at most 2^22 fit i32, and there are far fewer than 2^32.
#[inline]
#[allow(clippy::arithmetic_side_effects)]
pub(super) fn dot(q: &[i16], weights: &[i8]) -> i64 {
    q.chunks(256)
        .zip(weights.chunks(256))
        .map(|(q, weights)| {
            let terms = q.iter().zip(weights);
            i64::from(
                terms
                    .map(|(q, w)| i32::from(*q) * i32::from(*w))
                    .sum::<i32>(),
            )
        })
        .sum()
}
