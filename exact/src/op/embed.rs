//! Token to row: `embed` (format page §3.1).

use crate::{
    leaf::{self, require, LeafError, Operand},
    model::{Embedding, Row},
    number::round_sat,
};

use super::fill;

/// Element j of a token's row, QF: both limbs of its embedding, the row's scale and the column's
/// exponent.
pub fn element(
    high: i8,
    low: i8,
    row: Row,
    column: i8,
    fraction_bits: u8,
) -> Result<i32, LeafError> {
    let row = leaf::row(row)?;
    let limbs = leaf::weight(high)?
        .wrapping_mul(256)
        .wrapping_add(low.into());
    let exponent = i32::from(row.exponent)
        .wrapping_sub(8)
        .wrapping_add(leaf::column(column)?)
        .wrapping_add(fraction_bits.into());
    Ok(round_sat(
        limbs.wrapping_mul(row.mantissa.into()),
        exponent.wrapping_neg(),
    ))
}

/// The whole row of `token` into `out` (n elements, QF).
pub fn row(
    embedding: &Embedding,
    token: u32,
    fraction_bits: u8,
    out: &mut [i32],
) -> Result<(), LeafError> {
    let width = embedding.high.inputs;
    let token = token as usize;
    let limbs = |weights: &'_ [i8]| -> Option<(usize, usize)> {
        let start = token.checked_mul(width)?;
        let end = start.checked_add(width)?;
        (end <= weights.len()).then_some((start, end))
    };
    let (start, end) = limbs(embedding.high.weights).ok_or(Operand::Length)?;
    let high = embedding
        .high
        .weights
        .get(start..end)
        .ok_or(Operand::Length)?;
    let low = embedding.low.get(start..end).ok_or(Operand::Length)?;
    let row = *embedding.high.rows.get(token).ok_or(Operand::Length)?;
    require(
        out.len() == width && embedding.columns.len() == width,
        Operand::Length,
    )?;
    let limbs = high.iter().zip(low).zip(embedding.columns);
    fill(
        out,
        limbs.map(|((high, low), column)| element(*high, *low, row, *column, fraction_bits)),
    )
}
