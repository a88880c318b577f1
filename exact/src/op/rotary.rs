//! Rotary embedding: `angles` and `rope` (format page §3.6), in the halves convention.

use crate::{
    leaf::{self, require, LeafError, Operand},
    model::Tables,
    number::{round, round_sat},
};

/// Positions between two rows of the high table.
const HIGH_STEP: usize = 256;

const ONE: i64 = 1 << 30;

/// Cosine and sine of one angle, Q30.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Angle {
    pub cos: i32,
    pub sin: i32,
}

/// Rows of the low and high rotary tables that a position reads: p mod 256 and p // 256.
#[inline]
pub fn table_rows(position: u32) -> (usize, usize) {
    let position = position as usize;
    (position & HIGH_STEP.wrapping_sub(1), position >> 8)
}

/// The angle of a position, from its entries in both tables.
pub fn angle(low: Angle, high: Angle) -> Result<Angle, LeafError> {
    let (cl, sl) = (leaf::rotary(low.cos)?, leaf::rotary(low.sin)?);
    let (ch, sh) = (leaf::rotary(high.cos)?, leaf::rotary(high.sin)?);
    let unit = |x: i64| round(x, 30).clamp(-ONE, ONE) as i32;
    Ok(Angle {
        cos: unit(cl.wrapping_mul(ch).wrapping_sub(sl.wrapping_mul(sh))),
        sin: unit(sl.wrapping_mul(ch).wrapping_add(cl.wrapping_mul(sh))),
    })
}

/// Element i of the first half, from x[i] and x[i + d/2].
#[inline]
pub fn element_first(x: i32, other: i32, angle: Angle) -> Result<i32, LeafError> {
    let (cos, sin) = entries(angle)?;
    // Two products of at most 2^31 · 2^30: at most 2^62 together.
    let y = i64::from(x)
        .wrapping_mul(cos)
        .wrapping_sub(i64::from(other).wrapping_mul(sin));
    Ok(round_sat(y, 30))
}

/// Element i + d/2, from x[i] and x[i + d/2].
#[inline]
pub fn element_second(x: i32, other: i32, angle: Angle) -> Result<i32, LeafError> {
    let (cos, sin) = entries(angle)?;
    let y = i64::from(other)
        .wrapping_mul(cos)
        .wrapping_add(i64::from(x).wrapping_mul(sin));
    Ok(round_sat(y, 30))
}

/// An angle of a trace was clamped when it was made.
#[inline]
fn entries(angle: Angle) -> Result<(i64, i64), LeafError> {
    let entry = |x: i32| {
        require(x.unsigned_abs() <= 1 << 30, Operand::Maximum)?;
        Ok::<_, LeafError>(i64::from(x))
    };
    Ok((entry(angle.cos)?, entry(angle.sin)?))
}

/// All angles of a position into `out` (d/2 of them).
pub fn angles(tables: &Tables, position: u32, out: &mut [Angle]) -> Result<(), LeafError> {
    let (low, high) = table_rows(position);
    let width = out.len().saturating_mul(2);
    let row = |table: &'_ [i32], row: usize| {
        let start = row.checked_mul(width)?;
        let end = start.checked_add(width)?;
        (end <= table.len()).then_some(start..end)
    };
    let low = row(tables.low, low)
        .and_then(|range| tables.low.get(range))
        .ok_or(Operand::Entry)?;
    let high = row(tables.high, high)
        .and_then(|range| tables.high.get(range))
        .ok_or(Operand::Entry)?;
    let pairs = low.chunks_exact(2).zip(high.chunks_exact(2));
    for (slot, (low, high)) in out.iter_mut().zip(pairs) {
        *slot = angle(pair(low)?, pair(high)?)?;
    }
    Ok(())
}

fn pair(entries: &[i32]) -> Result<Angle, LeafError> {
    match entries {
        [cos, sin] => Ok(Angle {
            cos: *cos,
            sin: *sin,
        }),
        _ => Err(Operand::Entry.into()),
    }
}

/// Rotates one head's row (d elements) in place.
pub fn row(x: &mut [i32], angles: &[Angle]) -> Result<(), LeafError> {
    require(x.len() == angles.len().saturating_mul(2), Operand::Length)?;
    let (first, second) = x
        .split_at_mut_checked(angles.len())
        .ok_or(Operand::Length)?;
    for ((x, other), angle) in first.iter_mut().zip(second).zip(angles) {
        let rotated = (
            element_first(*x, *other, *angle)?,
            element_second(*x, *other, *angle)?,
        );
        (*x, *other) = rotated;
    }
    Ok(())
}
