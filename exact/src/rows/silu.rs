//! Rows of [`crate::op::silu`].

use super::{product, quant, round_after, Intervals};
use crate::{leaf::LeafError, number::Scale, op::silu};

#[inline(always)]
pub(super) fn row(
    gate: &[i32],
    up: &[i32],
    intervals: &Intervals,
    z: &mut [i64],
    q: &mut [i16],
) -> Result<Scale, LeafError> {
    let table: &[[i32; 2]; 2048] = &intervals.silu;
    let mut maximum = 0i64;
    for ((gate, up), z) in gate.iter().zip(up).zip(z.iter_mut()) {
        let size = gate.unsigned_abs();
        let [below, slope] = interval(table, size >> 9);
        let part = product(slope.into(), (size & 511).into());
        let h = round_after(i64::from(below).wrapping_shl(9).wrapping_add(part), 20);
        let h = if size < 1 << 20 { h } else { 0 };
        // h is below 2^16, and 0 where gate is 2^31.
        *z = product(i64::from((*gate).max(0)).wrapping_sub(h), (*up).into());
        maximum = maximum.max(z.wrapping_abs());
    }
    quant::quantised16(z, maximum, q)?;
    silu::scale(maximum)
}

/// The interval's number below 2,048, so that there is one.
#[inline(always)]
#[allow(clippy::indexing_slicing)]
fn interval(table: &[[i32; 2]; 2048], number: u32) -> [i32; 2] {
    table[(number & 2047) as usize]
}
