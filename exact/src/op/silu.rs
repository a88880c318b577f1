//! Gated feed-forward: `silu_mul` (format page §3.8).

use crate::{
    leaf::{self, pair, require, Entries, LeafError, Operand, BLOCK},
    number::{round, Scale},
};

use super::quant;

/// Fraction bits of a product silu(gate) · up.
pub const UNIT: i32 = 32;

/// The interval of B that a gate needs; none from 16 on.
#[inline]
pub fn interval(gate: i32) -> Option<usize> {
    let size = gate.unsigned_abs();
    (size < 1 << 20).then_some((size >> 9) as usize)
}

/// z = silu(gate) · up in Q32; gate and up are Q16, `table` is B.
#[inline]
pub fn product<E: Entries + ?Sized>(gate: i32, up: i32, table: &E) -> Result<i64, LeafError> {
    // silu(x) = max(x, 0) - h(|x|) with h(x) = x / (1 + e^x), which is B; beyond 16 it rounds to 0.
    let h = if let Some(interval) = interval(gate) {
        let (below, above) = pair(table, interval, leaf::silu)?;
        let slope = above.wrapping_sub(below);
        let part = slope.wrapping_mul(i64::from(gate.unsigned_abs() & 511));
        round(below.wrapping_mul(512).wrapping_add(part), 21)
    } else {
        0
    };
    // At most 2^31 times 2^31: below 2^62, because a gate of 2^31 is negative and gives 0.
    Ok(i64::from(gate.max(0))
        .wrapping_sub(h)
        .wrapping_mul(up.into()))
}

/// max |z| of at most [`BLOCK`] elements.
pub fn partial_maximum<E: Entries + ?Sized>(
    gate: &[i32],
    up: &[i32],
    table: &E,
) -> Result<i64, LeafError> {
    require(
        gate.len() == up.len() && gate.len() <= BLOCK,
        Operand::Length,
    )?;
    gate.iter().zip(up).try_fold(0i64, |most, (gate, up)| {
        Ok(most.max(product(*gate, *up, table)?.saturating_abs()))
    })
}

/// Activation i of the feed-forward row, from the row's max |z|.
pub fn element<E: Entries + ?Sized>(
    gate: i32,
    up: i32,
    table: &E,
    maximum: i64,
) -> Result<i16, LeafError> {
    quant::element16(product(gate, up, table)?, maximum)
}

/// The row's scale, from its max |z|.
pub fn scale(maximum: i64) -> Result<Scale, LeafError> {
    quant::scale16(maximum, UNIT)
}

/// The whole row: activations into `out`, and their scale.
pub fn row(gate: &[i32], up: &[i32], table: &[i32], out: &mut [i16]) -> Result<Scale, LeafError> {
    require(
        gate.len() == up.len() && gate.len() == out.len(),
        Operand::Length,
    )?;
    let z = gate
        .iter()
        .zip(up)
        .map(|(gate, up)| product(*gate, *up, table));
    quant::row16_of(z, UNIT, out)
}
