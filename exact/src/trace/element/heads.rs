//! Rotation and quantisation of heads' rows (format page §3.6, §3.3), the pages of values, and the
//! quantised row of all heads' outputs.

use crate::{
    leaf::{Operand, BLOCK, PAGE},
    op::{self, quant, rotary},
    trace::{
        layout::Layout,
        place::{Cell, Place},
        reader::{of_scale, Read, Reader},
        reduction::{piece, Reduction},
        row::Row,
        source::Source,
    },
};

/// Fraction bits of everything that is quantised here.
const UNIT: i32 = 16;

pub(super) fn reduction(layout: &Layout, place: Place) -> Option<Reduction> {
    let width = u64::from(layout.shape().query_width());
    match place.row {
        Row::MixedMaximum => Reduction::maximum(width.div_ceil(BLOCK as u64)),
        _ => None,
    }
}

/// Of [`Row::MixedMaximum`].
pub(super) fn block<S: Source>(reader: &mut Reader<S>, cell: Cell, block: u64) -> Read<i64, S> {
    let width = reader.case.layout.shape().query_width().into();
    let (first, count) = piece(block, BLOCK, width)?;
    let z = reader.cells::<i64>(cell.place.row(Row::Mixed), first, count)?;
    Ok(quant::partial_maximum(&z)?)
}

pub(super) fn element<S: Source>(reader: &mut Reader<S>, cell: Cell, reduced: i64) -> Read<i64, S> {
    use Row::*;
    let Cell { place, element } = cell;
    let head = element / u64::from(reader.case.layout.shape().head_dim);
    match place.row {
        QueryMaximum | KeyMaximum | ValueMaximum => maximum(reader, place, element),
        QueryActivation => {
            let maximum = reader.cell(place.row(QueryMaximum), head)?;
            let z = rotated(reader, place, element)?;
            Ok(quant::element16(z, maximum)?.into())
        }
        KeyCached => {
            let maximum = reader.cell(place.row(KeyMaximum), head)?;
            let z = rotated(reader, place, element)?;
            Ok(quant::element8(z, maximum)?.into())
        }
        ValueCached => {
            let maximum = reader.cell(place.row(ValueMaximum), head)?;
            let z = reader.cell(place.row(Value), element)?;
            Ok(quant::element8(z, maximum)?.into())
        }
        MixedActivation => {
            let maximum = reader.single(place, MixedMaximum)?;
            let z = reader.cell(place.row(Mixed), element)?;
            Ok(quant::element16(z, maximum)?.into())
        }
        QueryScale => {
            let maximum = reader.cell(place.row(QueryMaximum), element)?;
            Ok(of_scale(quant::scale16(maximum, UNIT)?))
        }
        KeyScale => {
            let maximum = reader.cell(place.row(KeyMaximum), element)?;
            Ok(of_scale(quant::scale8(maximum, UNIT)?))
        }
        ValueScale => {
            let maximum = reader.cell(place.row(ValueMaximum), element)?;
            Ok(of_scale(quant::scale8(maximum, UNIT)?))
        }
        MixedScale => {
            let maximum = reader.single(place, MixedMaximum)?;
            Ok(of_scale(quant::scale16(maximum, UNIT)?))
        }
        ValuePage | ValuePageScale => page(reader, place, element),
        _ => Ok(reduced),
    }
}

/// The row of queries, keys or values as it is before its rotation.
fn plain(layout: &Layout, place: Place) -> Place {
    use Row::*;
    let normed = layout.shape().head_norms;
    place.row(match place.row {
        QueryMaximum | QueryActivation if normed => QueryNorm,
        QueryMaximum | QueryActivation => Query,
        KeyMaximum | KeyCached if normed => KeyNorm,
        KeyMaximum | KeyCached => Key,
        _ => Value,
    })
}

/// A head's largest size.
fn maximum<S: Source>(reader: &mut Reader<S>, place: Place, head: u64) -> Read<i64, S> {
    let layout = &reader.case.layout;
    let d = u64::from(layout.shape().head_dim);
    let mut x = reader.cells::<i32>(plain(layout, place), head * d, d)?;
    if place.row != Row::ValueMaximum {
        let angles = reader.angles(place, 0, d / 2)?;
        rotary::row(&mut x, &angles)?;
    }
    Ok(op::largest(x.into_iter().map(i64::from)))
}

/// One element after the rotation.
fn rotated<S: Source>(reader: &mut Reader<S>, place: Place, element: u64) -> Read<i64, S> {
    let layout = &reader.case.layout;
    let plain = plain(layout, place);
    let d = u64::from(layout.shape().head_dim);
    let (inside, half) = (element % d, d / 2);
    let is_first = inside < half;
    let first = if is_first { element } else { element - half };
    let x = reader.i32(plain, first)?;
    let other = reader.i32(plain, first + half)?;
    let angles = reader.angles(place, inside % half, 1)?;
    let angle = *angles.first().ok_or(Operand::Entry)?;
    let rotate = if is_first {
        rotary::element_first
    } else {
        rotary::element_second
    };
    Ok(rotate(x, other, angle)?.into())
}

/// A value or a scale of one of the page's positions, this one being its last.
fn page<S: Source>(reader: &mut Reader<S>, place: Place, element: u64) -> Read<i64, S> {
    let page = PAGE as u64;
    let (which, place_in_page) = (element / page, element % page);
    let row = match place.row {
        // Groups of 16 · d: element / 16 counts dimensions across heads.
        Row::ValuePage => Row::ValueCached,
        _ => Row::ValueScale,
    };
    let back = (page - 1 - place_in_page) as u32;
    let position = place.position.checked_sub(back).ok_or(Operand::Length)?;
    reader.cell(place.row(row).at(position), which)
}
