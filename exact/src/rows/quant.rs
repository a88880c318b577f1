//! Rows of [`crate::op::quant`].

use super::{product, round_after};
use crate::{
    leaf::LeafError,
    number::Scale,
    op::quant::{self, Reciprocal},
};

/// Fraction bits of what is quantised here.
const UNIT: i32 = 16;

#[inline(always)]
pub(super) fn row16(x: &[i32], z: &mut [i64], q: &mut [i16]) -> Result<Scale, LeafError> {
    let maximum = widened(x, z);
    quantised16(z, maximum, q)?;
    quant::scale16(maximum, UNIT)
}

#[inline(always)]
pub(super) fn row8(x: &[i32], z: &mut [i64], q: &mut [i8]) -> Result<Scale, LeafError> {
    let maximum = widened(x, z);
    quantised(z, maximum, 52, q, |x| x as i8)?;
    quant::scale8(maximum, UNIT)
}

#[inline(always)]
fn widened(x: &[i32], z: &mut [i64]) -> i64 {
    let mut maximum = 0u32;
    for (x, z) in x.iter().zip(z) {
        maximum = maximum.max(x.unsigned_abs());
        *z = i64::from(*x);
    }
    i64::from(maximum)
}

/// int16 activations of z, whose largest size is `maximum`.
#[inline(always)]
pub(super) fn quantised16(z: &[i64], maximum: i64, q: &mut [i16]) -> Result<(), LeafError> {
    quantised(z, maximum, 44, q, |x| x as i16)
}

/// `R(R(z, g) · r, last + 1)`.
#[inline(always)]
fn quantised<T: Copy + Default>(
    z: &[i64],
    maximum: i64,
    last: u32,
    q: &mut [T],
    narrow: impl Fn(i64) -> T,
) -> Result<(), LeafError> {
    let Some(Reciprocal {
        shift, reciprocal, ..
    }) = Reciprocal::new(maximum)?
    else {
        q.fill(T::default());
        return Ok(());
    };
    // R(z, g) = R(z · 2^up, g + up) with g + up ≥ 1. Only a z below 2^30 is shifted up.
    let up = 1i32.saturating_sub(shift).max(0);
    let down = shift.saturating_add(up).saturating_sub(1).unsigned_abs();
    let up = up.unsigned_abs();
    for (z, q) in z.iter().zip(q) {
        let reduced = round_after(z.wrapping_shl(up), down);
        *q = narrow(round_after(product(reduced, reciprocal), last));
    }
    Ok(())
}
