//! How the elements of each row follow from what they read: a file for each subject.

// Indices and counts are far below 2^63, as in the layout.
#![allow(clippy::arithmetic_side_effects)]

mod attention;
mod choice;
mod embed;
mod feed_forward;
mod heads;
mod linear;
mod norm;

use alloc::vec::Vec;

use super::{
    layout::{Cell, Layout, Place},
    reader::{Read, Reader},
    row::Row,
    source::Source,
};
use crate::{
    leaf::{require, LeafError, Operand, BLOCK},
    op,
};

/// How the results of a long reduction's blocks are combined.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reduce {
    Sum,
    Maximum,
}

impl Reduce {
    /// The result of some parts, of which there may be a few more than fit one block.
    pub fn combine(self, parts: &[i64]) -> Result<i64, LeafError> {
        let reduce = match self {
            Self::Sum => op::sum,
            Self::Maximum => op::maximum,
        };
        let blocks = parts.chunks(BLOCK).map(reduce);
        reduce(&blocks.collect::<Result<Vec<_>, _>>()?)
    }
}

/// A reduction, and in how many blocks it is taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Reduction {
    pub reduce: Reduce,
    /// At least 1.
    pub blocks: u64,
}

impl Reduction {
    const fn sum(blocks: u64) -> Option<Self> {
        let reduce = Reduce::Sum;
        Some(Self { reduce, blocks })
    }

    const fn maximum(blocks: u64) -> Option<Self> {
        let reduce = Reduce::Maximum;
        Some(Self { reduce, blocks })
    }
}

/// What an element is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Finding {
    /// This number.
    Is(i64),
    /// The claimed number, or another.
    Recognised(bool),
}

impl Finding {
    pub fn holds(self, claimed: i64) -> bool {
        match self {
            Self::Is(value) => value == claimed,
            Self::Recognised(holds) => holds,
        }
    }
}

/// Which file knows a row.
enum Subject {
    Embed,
    Norm,
    Linear,
    Heads,
    Attention,
    FeedForward,
    Choice,
}

fn subject(row: Row) -> Subject {
    use Row::*;
    match row {
        Seen | Angles | Embed => Subject::Embed,
        InputMaximum | InputSquares | InputProduct | InputActivation | InputScale
        | QueryNormMaximum | QueryNormSquares | QueryNormProduct | QueryNorm | KeyNormMaximum
        | KeyNormSquares | KeyNormProduct | KeyNorm | PostMaximum | PostSquares | PostProduct
        | PostActivation | PostScale | FinalMaximum | FinalSquares | FinalProduct
        | FinalActivation | FinalScale => Subject::Norm,
        Query | Key | Value | Output | Gate | Up | Down | Logits => Subject::Linear,
        QueryMaximum | QueryActivation | QueryScale | KeyMaximum | KeyCached | KeyScale
        | ValueMaximum | ValueCached | ValueScale | ValuePage | ValuePageScale | MixedMaximum
        | MixedActivation | MixedScale => Subject::Heads,
        Score | ScoreMaximum | ShiftedMaximum | Denominator | Mixed => Subject::Attention,
        ProductBlock | ProductMaximum | ProductActivation | ProductScale => Subject::FeedForward,
        Penalised | Largest | Cut | Cumulative | LastBin | Kept | Token => Subject::Choice,
    }
}

/// The reduction that each element of a row is or ends with, if any.
pub(super) fn reduction(layout: &Layout, place: Place) -> Option<Reduction> {
    match subject(place.row) {
        Subject::Embed => None,
        Subject::Norm => norm::reduction(layout, place),
        Subject::Linear => linear::reduction(layout, place),
        Subject::Heads => heads::reduction(layout, place),
        Subject::Attention => attention::reduction(place),
        Subject::FeedForward => feed_forward::reduction(layout, place),
        Subject::Choice => choice::reduction(layout, place),
    }
}

/// The result of one block of a cell's reduction. `value` is what the cell is claimed to be.
pub(super) fn block<S: Source>(
    reader: &mut Reader<S>,
    cell: Cell,
    value: i64,
    block: u64,
) -> Read<i64, S> {
    match subject(cell.place.row) {
        Subject::Embed => Err(Operand::Length.into()),
        Subject::Norm => norm::block(reader, cell, block),
        Subject::Linear => linear::block(reader, cell, block),
        Subject::Heads => heads::block(reader, cell, block),
        Subject::Attention => attention::block(reader, cell, block),
        Subject::FeedForward => feed_forward::block(reader, cell, block),
        Subject::Choice => choice::block(reader, cell, value, block),
    }
}

/// What a cell is, given the result of its reduction (0 where there is none).
pub(super) fn element<S: Source>(
    reader: &mut Reader<S>,
    cell: Cell,
    value: i64,
    reduced: i64,
) -> Read<Finding, S> {
    let found = match subject(cell.place.row) {
        Subject::Embed => embed::element(reader, cell),
        Subject::Norm => norm::element(reader, cell, reduced),
        Subject::Linear => linear::element(reader, cell, reduced),
        Subject::Heads => heads::element(reader, cell, reduced),
        Subject::Attention => attention::element(reader, cell, reduced),
        Subject::FeedForward => feed_forward::element(reader, cell, reduced),
        Subject::Choice => return choice::element(reader, cell, value, reduced),
    };
    found.map(Finding::Is)
}

/// The residual that a row's position and layer begin with, or end with for rows behind the layers.
fn residual(layout: &Layout, place: Place) -> Place {
    let layers = if Row::AFTER.contains(&place.row) {
        layout.shape().layers
    } else {
        place.layer
    };
    match layers.checked_sub(1) {
        Some(layer) => Place {
            layer,
            ..place.row(Row::Down)
        },
        None => place.outside(Row::Embed),
    }
}

/// First element and number of elements of one block of `size` out of `all`.
fn piece(block: u64, size: usize, all: u64) -> Result<(u64, u64), LeafError> {
    let first = block * size as u64;
    require(first < all, Operand::Length)?;
    Ok((first, (all - first).min(size as u64)))
}
