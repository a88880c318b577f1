//! How the elements of each row follow from what they read: a file for each subject.

// Of the files of this folder: indices and counts are far below 2^63, as in the layout.
#![allow(clippy::arithmetic_side_effects)]

mod attention;
mod choice;
mod embed;
mod feed_forward;
mod heads;
mod linear;
mod norm;

use super::{
    finding::Finding,
    layout::Layout,
    place::{Cell, Place},
    reader::{Read, Reader},
    reduction::Reduction,
    row::Row,
    source::Source,
};
use crate::leaf::Operand;

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
