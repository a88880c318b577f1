//! Tokens: which were seen, their position's angles, their rows.

use crate::{
    leaf::{Operand, WEIGHTS_PER_LEAF},
    op::{
        embed,
        rotary::{self, Angle},
    },
    tensor::Tensor,
    trace::{
        place::Cell,
        reader::{Read, Reader},
        row::{pair, Row},
        source::Source,
    },
};

pub(super) fn element<S: Source>(reader: &mut Reader<S>, cell: Cell) -> Read<i64, S> {
    match cell.place.row {
        Row::Seen => seen(reader, cell),
        Row::Angles => angle(reader, cell),
        _ => residual(reader, cell),
    }
}

fn seen<S: Source>(reader: &mut Reader<S>, cell: Cell) -> Read<i64, S> {
    let Cell { place, element } = cell;
    let token = u64::from(reader.token(place.position)?);
    let before = match place.position.checked_sub(1) {
        Some(position) => reader.cell(place.at(position), element)?,
        None => 0,
    };
    let now = if token / 8 == element {
        1 << (token % 8)
    } else {
        0
    };
    Ok(before | now)
}

fn angle<S: Source>(reader: &mut Reader<S>, cell: Cell) -> Read<i64, S> {
    let (low, high) = rotary::table_rows(cell.place.position);
    let low = reader.table_angle(Tensor::RotaryLow, low as u64, cell.element)?;
    let high = reader.table_angle(Tensor::RotaryHigh, high as u64, cell.element)?;
    let Angle { cos, sin } = rotary::angle(low, high)?;
    Ok(pair(cos, sin as u32))
}

fn residual<S: Source>(reader: &mut Reader<S>, cell: Cell) -> Read<i64, S> {
    let token = reader.token(cell.place.position)?.into();
    let (block, inside) = (
        cell.element / WEIGHTS_PER_LEAF as u64,
        (cell.element % WEIGHTS_PER_LEAF as u64) as usize,
    );
    let high = reader.weights(Tensor::EmbeddingHigh, token, block)?;
    let low = reader.weights(Tensor::EmbeddingLow, token, block)?;
    let row = reader.parameters(Tensor::EmbeddingRows, token)?;
    let columns = reader.columns(block)?;
    let at = |numbers: &[i8]| numbers.get(inside).copied().ok_or(Operand::Entry);
    let fraction_bits = reader.case.layout.shape().fraction_bits;
    let x = embed::element(at(&high)?, at(&low)?, row, at(&columns)?, fraction_bits)?;
    Ok(x.into())
}
