//! The gated product of the feed-forward layer and its quantisation (format page §3.8, §3.3).

use alloc::vec::Vec;

use crate::{
    leaf::{Operand, BLOCK},
    op::{quant, silu},
    trace::{
        layout::{Layout, PRODUCT_BLOCK},
        place::{Cell, Place},
        reader::{of_scale, Read, Reader, Table},
        reduction::{piece, Reduction},
        row::Row,
        source::Source,
    },
};

pub(super) fn reduction(layout: &Layout, place: Place) -> Option<Reduction> {
    match place.row {
        Row::ProductMaximum => Reduction::maximum(product_blocks(layout).div_ceil(BLOCK as u64)),
        _ => None,
    }
}

/// Elements of [`Row::ProductBlock`].
fn product_blocks(layout: &Layout) -> u64 {
    u64::from(layout.shape().intermediate).div_ceil(PRODUCT_BLOCK)
}

/// Of [`Row::ProductMaximum`].
pub(super) fn block<S: Source>(reader: &mut Reader<S>, cell: Cell, block: u64) -> Read<i64, S> {
    let (first, count) = piece(block, BLOCK, product_blocks(&reader.case.layout))?;
    let maxima = reader.cells::<i64>(cell.place.row(Row::ProductBlock), first, count)?;
    Ok(quant::partial_maximum(&maxima)?)
}

pub(super) fn element<S: Source>(reader: &mut Reader<S>, cell: Cell, reduced: i64) -> Read<i64, S> {
    let Cell { place, element } = cell;
    match place.row {
        Row::ProductBlock => {
            let all = reader.case.layout.shape().intermediate.into();
            let (first, count) = piece(element, PRODUCT_BLOCK as usize, all)?;
            let (gate, up, table) = gated(reader, place, first, count)?;
            Ok(silu::partial_maximum(&gate, &up, &table)?)
        }
        Row::ProductActivation => {
            let (gate, up, table) = gated(reader, place, element, 1)?;
            let maximum = reader.single(place, Row::ProductMaximum)?;
            let mut pairs = gate.into_iter().zip(up);
            let (gate, up) = pairs.next().ok_or(Operand::Length)?;
            Ok(silu::element(gate, up, &table, maximum)?.into())
        }
        Row::ProductScale => {
            let maximum = reader.single(place, Row::ProductMaximum)?;
            Ok(of_scale(silu::scale(maximum)?))
        }
        _ => Ok(reduced),
    }
}

type Gated = (Vec<i32>, Vec<i32>, Table);

/// Gates and ups, and the intervals of the table B that the gates need.
fn gated<S: Source>(
    reader: &mut Reader<S>,
    place: Place,
    first: u64,
    count: u64,
) -> Read<Gated, S> {
    let gate = reader.cells::<i32>(place.row(Row::Gate), first, count)?;
    let up = reader.cells::<i32>(place.row(Row::Up), first, count)?;
    let intervals = gate.iter().filter_map(|gate| silu::interval(*gate));
    let table = reader.silu(intervals)?;
    Ok((gate, up, table))
}
