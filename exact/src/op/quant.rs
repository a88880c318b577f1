//! Quantisation by a row's own maximum: `quant` (format page §3.3), and the parts of it that the
//! norms share.

use crate::{
    leaf::{require, LeafError, Operand, BLOCK, MAX_ACTIVATION},
    number::{bits, floor_div, round, Scale},
};

use super::{fill, largest};

/// g, a' and r of a row's maximum a > 0.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reciprocal {
    /// g.
    pub shift: i32,
    /// a', in [2^29, 2^30].
    pub reduced: i64,
    /// r, below 2^31.
    pub reciprocal: i64,
}

impl Reciprocal {
    /// None for a row of zeros.
    #[inline]
    pub fn new(maximum: i64) -> Result<Option<Self>, LeafError> {
        require((0..1 << 62).contains(&maximum), Operand::Maximum)?;
        if maximum == 0 {
            return Ok(None);
        }
        let shift = bits(maximum).saturating_sub(30);
        let reduced = round(maximum, shift);
        Ok(Some(Self {
            shift,
            reduced,
            reciprocal: floor_div(MAX_ACTIVATION << 45, reduced),
        }))
    }

    /// z times what makes the row's maximum 32512 · 2^45: R(z, g) · r, below 2^60.
    #[inline]
    fn times(&self, z: i64) -> i64 {
        round(z, self.shift).saturating_mul(self.reciprocal)
    }
}

/// max |z| of at most [`BLOCK`] elements.
pub fn partial_maximum(z: &[i64]) -> Result<i64, LeafError> {
    require(z.len() <= BLOCK, Operand::Length)?;
    Ok(largest(z.iter().copied()))
}

/// An int16 activation: |q| ≤ 32512. `maximum` is the row's max |z|.
#[inline]
pub fn element16(z: i64, maximum: i64) -> Result<i16, LeafError> {
    Ok(quantised(z, maximum, 45)? as i16)
}

/// An int8 key or value: |q| ≤ 127. `maximum` is the row's max |z|.
#[inline]
pub fn element8(z: i64, maximum: i64) -> Result<i8, LeafError> {
    Ok(quantised(z, maximum, 53)? as i8)
}

#[inline]
fn quantised(z: i64, maximum: i64, shift: i32) -> Result<i64, LeafError> {
    require(z.unsigned_abs() <= maximum.unsigned_abs(), Operand::Maximum)?;
    Ok(match Reciprocal::new(maximum)? {
        Some(reciprocal) => round(reciprocal.times(z), shift),
        None => 0,
    })
}

/// Scale of an int16 row whose z has the unit 2^-`unit`.
pub fn scale16(maximum: i64, unit: i32) -> Result<Scale, LeafError> {
    scale(maximum, unit.saturating_add(32))
}

/// Scale of an int8 row whose z has the unit 2^-`unit`.
pub fn scale8(maximum: i64, unit: i32) -> Result<Scale, LeafError> {
    scale(maximum, unit.saturating_add(24))
}

fn scale(maximum: i64, unit: i32) -> Result<Scale, LeafError> {
    Ok(match Reciprocal::new(maximum)? {
        Some(reciprocal) => Scale::norm(
            floor_div(reciprocal.reduced.saturating_mul(1 << 32), MAX_ACTIVATION),
            reciprocal.shift.saturating_sub(unit),
        ),
        None => Scale::ZERO,
    })
}

/// A whole row of Q16 numbers to int16, and its scale.
pub fn row16(x: &[i32], out: &mut [i16]) -> Result<Scale, LeafError> {
    row16_of(x.iter().map(|x| Ok(i64::from(*x))), 16, out)
}

/// A whole row of Q16 numbers to int8, and its scale.
pub fn row8(x: &[i32], out: &mut [i8]) -> Result<Scale, LeafError> {
    let maximum = largest(x.iter().map(|x| i64::from(*x)));
    fill(out, x.iter().map(|x| element8((*x).into(), maximum)))?;
    scale8(maximum, 16)
}

/// A row z of the unit 2^-`unit` to int16, and its scale. z is computed twice rather than kept.
pub(super) fn row16_of(
    z: impl Iterator<Item = Result<i64, LeafError>> + Clone,
    unit: i32,
    out: &mut [i16],
) -> Result<Scale, LeafError> {
    let maximum = z.clone().try_fold(0i64, |most, z| {
        Ok::<_, LeafError>(most.max(z?.saturating_abs()))
    })?;
    fill(out, z.map(|z| element16(z?, maximum)))?;
    scale16(maximum, unit)
}
