//! Attention of one head (format page §3.7): scores, what weights share, outputs.

use alloc::vec::Vec;

use crate::{
    leaf::{Operand, BLOCK, PAGE},
    number::Scale,
    op::attention::{self, Maxima},
    trace::{
        place::{Cell, Place},
        reader::{Read, Reader},
        reduction::{piece, Reduction},
        row::Row,
        source::Source,
    },
};

pub(super) fn reduction(place: Place) -> Option<Reduction> {
    let positions = u64::from(place.position) + 1;
    match place.row {
        Row::ScoreMaximum => Reduction::maximum(positions.div_ceil(BLOCK as u64)),
        Row::Denominator => Reduction::sum(positions.div_ceil(BLOCK as u64)),
        Row::ShiftedMaximum => Reduction::maximum(Values::blocks(place.position)),
        Row::Mixed => Reduction::sum(Values::blocks(place.position)),
        _ => None,
    }
}

pub(super) fn block<S: Source>(reader: &mut Reader<S>, cell: Cell, block: u64) -> Read<i64, S> {
    let Cell { place, element } = cell;
    let head_dim = u64::from(reader.case.layout.shape().head_dim);
    match place.row {
        Row::ScoreMaximum => {
            let scores = scores(reader, place, element, block)?;
            Ok(scores.into_iter().max().ok_or(Operand::Length)?.into())
        }
        Row::Denominator => {
            let scores = scores(reader, place, element, block)?;
            let maxima = Maxima {
                score: reader.i32(place.row(Row::ScoreMaximum), element)?,
                // D does not depend on it.
                shifted: 0,
            };
            let exp2 = reader.exp2()?;
            Ok(attention::partial_denominator(&scores, &maxima, &exp2)?)
        }
        Row::ShiftedMaximum => {
            let values = Values::new(reader, place, element, block)?;
            let (scores, scales) = values.weighed(reader)?;
            Ok(attention::partial_maxima(&scores, &scales)?.shifted)
        }
        _ => {
            let values = Values::new(reader, place, element / head_dim, block)?;
            mixed(reader, &values, element % head_dim)
        }
    }
}

/// The part of a head's output that a value block adds.
fn mixed<S: Source>(reader: &mut Reader<S>, values: &Values, dimension: u64) -> Read<i64, S> {
    let (scores, scales) = values.weighed(reader)?;
    let maxima = maxima(reader, values.place, values.head)?;
    let exp2 = reader.exp2()?;
    let weights = scores.into_iter().zip(scales);
    let weights = weights.map(|(score, scale)| attention::weight(score, scale, &maxima, &exp2));
    let weights = weights.collect::<Result<Vec<_>, _>>()?;
    let column = values.column(reader, dimension)?;
    Ok(attention::partial(&weights, &column)?)
}

pub(super) fn element<S: Source>(reader: &mut Reader<S>, cell: Cell, reduced: i64) -> Read<i64, S> {
    let Cell { place, element } = cell;
    match place.row {
        Row::Score => score(reader, place, element),
        Row::Mixed => {
            let head = element / u64::from(reader.case.layout.shape().head_dim);
            let denominator = reader.cell(place.row(Row::Denominator), head)?;
            let maxima = maxima(reader, place, head)?;
            Ok(attention::element(&[reduced], denominator, &maxima)?.into())
        }
        _ => Ok(reduced),
    }
}

fn score<S: Source>(reader: &mut Reader<S>, place: Place, element: u64) -> Read<i64, S> {
    let shape = reader.case.layout.shape();
    let (head_dim, group) = (shape.head_dim, u64::from(shape.group()).max(1));
    let positions = u64::from(place.position) + 1;
    let (head, key) = (element / positions, place.at((element % positions) as u32));
    let (d, kv) = (u64::from(head_dim), head / group);
    let q = reader.cells::<i16>(place.row(Row::QueryActivation), head * d, d)?;
    let query = reader.scale(place.row(Row::QueryScale), head)?;
    let k = reader.cells::<i8>(key.row(Row::KeyCached), kv * d, d)?;
    let scale = reader.scale(key.row(Row::KeyScale), kv)?;
    let query = attention::query_scale(query, head_dim);
    Ok(attention::score(&q, &k, query, scale)?.into())
}

/// One block of a head's scores.
fn scores<S: Source>(
    reader: &mut Reader<S>,
    place: Place,
    head: u64,
    block: u64,
) -> Read<Vec<i32>, S> {
    let positions = u64::from(place.position) + 1;
    let (first, count) = piece(block, BLOCK, positions)?;
    reader.cells(place.row(Row::Score), head * positions + first, count)
}

fn maxima<S: Source>(reader: &mut Reader<S>, place: Place, head: u64) -> Read<Maxima, S> {
    Ok(Maxima {
        score: reader.i32(place.row(Row::ScoreMaximum), head)?,
        shifted: reader.cell(place.row(Row::ShiftedMaximum), head)?,
    })
}

/// A value block of a head: a complete page ahead of this position's, or one of the positions since.
struct Values {
    /// Of the row that reads it.
    place: Place,
    head: u64,
    /// Its key-value head.
    kv: u64,
    /// Its first position.
    first: u32,
    in_page: bool,
}

impl Values {
    /// Value blocks that a position reads.
    fn blocks(position: u32) -> u64 {
        let page = PAGE as u32;
        u64::from(position / page + position % page) + 1
    }

    fn new<S: Source>(
        reader: &Reader<S>,
        place: Place,
        head: u64,
        block: u64,
    ) -> Result<Self, Operand> {
        let page = PAGE as u64;
        let position = u64::from(place.position);
        let (pages, in_page) = (position / page, block < position / page);
        let first = if in_page {
            block * page
        } else {
            pages * page + (block - pages)
        };
        if first > position {
            return Err(Operand::Length);
        }
        Ok(Self {
            place,
            head,
            kv: head / u64::from(reader.case.layout.shape().group()).max(1),
            first: first as u32,
            in_page,
        })
    }

    fn positions(&self) -> u64 {
        if self.in_page {
            PAGE as u64
        } else {
            1
        }
    }

    /// Where a page was completed.
    fn page(&self, row: Row) -> Place {
        self.place.row(row).at(self.first + PAGE as u32 - 1)
    }

    /// Scores of its positions, and scales of their values.
    fn weighed<S: Source>(&self, reader: &mut Reader<S>) -> Read<(Vec<i32>, Vec<Scale>), S> {
        let width = u64::from(self.place.position) + 1;
        let (count, first) = (self.positions(), self.head * width + u64::from(self.first));
        let scores = reader.cells(self.place.row(Row::Score), first, count)?;
        let scales = if self.in_page {
            reader.scales(self.page(Row::ValuePageScale), self.kv * count, count)?
        } else {
            let position = self.place.at(self.first);
            reader.scales(position.row(Row::ValueScale), self.kv, count)?
        };
        Ok((scores, scales))
    }

    /// One dimension of its values.
    fn column<S: Source>(&self, reader: &mut Reader<S>, dimension: u64) -> Read<Vec<i8>, S> {
        let element = self.kv * u64::from(reader.case.layout.shape().head_dim) + dimension;
        let count = self.positions();
        if self.in_page {
            // Groups of 16 · d, one for each head, and 16 for each dimension.
            reader.cells(self.page(Row::ValuePage), element * count, count)
        } else {
            let position = self.place.at(self.first);
            reader.cells(position.row(Row::ValueCached), element, count)
        }
    }
}
