//! The operators (format page §3). Each file has the function of one element, which a judge re-runs
//! on authenticated numbers, and the function of a whole row, which engines run and which calls the
//! element's.
//!
//! Judges call `partial` functions on blocks of a long reduction, [`sum`] or [`maximum`] on their
//! results, and `element` on what those gave.

pub mod attention;
pub mod embed;
pub(crate) mod exp2;
pub mod head_norm;
pub mod linear;
pub mod norm;
pub mod quant;
pub mod rotary;
pub mod silu;

use crate::leaf::{require, LeafError, Operand, BLOCK};

/// Sum of a block's parts; each part and the sum within the page's bounds (§8), 2^62.
pub fn sum(parts: &[i64]) -> Result<i64, LeafError> {
    require(parts.len() <= BLOCK, Operand::Length)?;
    parts.iter().try_fold(0i64, |total, part| {
        let total = total.checked_add(*part).ok_or(Operand::Sum)?;
        require(total.unsigned_abs() <= 1 << 62, Operand::Sum)?;
        Ok(total)
    })
}

/// Largest of a block's parts.
pub fn maximum(parts: &[i64]) -> Result<i64, LeafError> {
    require(parts.len() <= BLOCK, Operand::Length)?;
    Ok(parts.iter().copied().max().ok_or(Operand::Length)?)
}

/// Largest |x| of a block; 0 for none.
#[inline]
pub(crate) fn largest(row: impl Iterator<Item = i64>) -> i64 {
    row.fold(0, |most, x| most.max(x.saturating_abs()))
}

/// Puts an element's function over a row.
#[inline]
pub(crate) fn fill<T>(
    out: &mut [T],
    elements: impl Iterator<Item = Result<T, LeafError>>,
) -> Result<(), LeafError> {
    for (slot, element) in out.iter_mut().zip(elements) {
        *slot = element?;
    }
    Ok(())
}
