//! Rows of [`crate::op::norm`] and [`crate::op::head_norm`].

use super::{product, quant, round_after, saturate};
use crate::{
    leaf::LeafError,
    model::Gamma,
    number::Scale,
    op::{
        head_norm::Factor,
        norm::{reduction, scale, Statistics, Width},
    },
};

#[inline(always)]
pub(super) fn quantised(
    x: &[i32],
    gamma: Gamma,
    width: &Width,
    z: &mut [i64],
    q: &mut [i16],
) -> Result<Scale, LeafError> {
    let statistics = statistics(x, gamma.entries, z)?;
    quant::quantised16(z, statistics.product, q)?;
    scale(&statistics, gamma.exponent, width)
}

#[inline(always)]
pub(super) fn head(
    x: &mut [i32],
    gamma: Gamma,
    width: &Width,
    z: &mut [i64],
) -> Result<(), LeafError> {
    let statistics = statistics(x, gamma.entries, z)?;
    let Some(factor) = Factor::new(gamma.exponent, &statistics, width)? else {
        x.fill(0);
        return Ok(());
    };
    let last = factor.exponent.saturating_neg().saturating_sub(1);
    if last < 0 {
        // Numbers of 2^15 and more.
        for (x, z) in x.iter_mut().zip(z) {
            *x = factor.times(*z);
        }
        return Ok(());
    }
    let last = last.min(62).unsigned_abs();
    let up = 1i32.saturating_sub(factor.shift).max(0);
    let down = factor.shift.saturating_add(up).saturating_sub(1);
    let (up, down) = (up.unsigned_abs(), down.unsigned_abs());
    for (x, z) in x.iter_mut().zip(z) {
        let reduced = round_after(z.wrapping_shl(up), down);
        *x = saturate(round_after(product(reduced, factor.mantissa), last));
    }
    Ok(())
}

/// What the row shares, and z = x' γ.
#[inline(always)]
pub(super) fn statistics(x: &[i32], gamma: &[i32], z: &mut [i64]) -> Result<Statistics, LeafError> {
    let maximum = x
        .iter()
        .fold(0u32, |most, x| most.max(x.unsigned_abs()))
        .into();
    let shift = reduction(maximum)?.unsigned_abs();
    let half = 1i64.wrapping_shl(shift) >> 1;
    let (mut squares, mut largest) = (0i64, 0i64);
    for ((x, gamma), z) in x.iter().zip(gamma).zip(z) {
        let reduced = i64::from(*x).wrapping_add(half).wrapping_shr(shift);
        squares = squares.wrapping_add(product(reduced, reduced));
        *z = product(reduced, (*gamma).into());
        largest = largest.max(z.wrapping_abs());
    }
    Ok(Statistics {
        maximum,
        squares,
        product: largest,
    })
}
