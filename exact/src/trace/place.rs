//! Places of a trace, and the leaves that hold them.

use super::row::{Extent, Row};

/// A row at a position. `layer` is 0 for rows that belong to none.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Place {
    pub position: u32,
    pub layer: u16,
    pub row: Row,
}

impl Place {
    /// Another row at the same position and layer.
    pub(super) fn row(self, row: Row) -> Self {
        Self { row, ..self }
    }

    /// A row ahead of the layers or behind them, at the same position.
    pub(super) fn outside(self, row: Row) -> Self {
        Self {
            row,
            layer: 0,
            ..self
        }
    }

    /// The same row at another position.
    pub(super) fn at(self, position: u32) -> Self {
        Self { position, ..self }
    }

    /// An element of it.
    pub(super) fn cell(self, element: u64) -> Cell {
        Cell {
            place: self,
            element,
        }
    }
}

/// An element of a row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cell {
    pub place: Place,
    pub element: u64,
}

/// What a leaf holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Leaf {
    pub place: Place,
    /// Its first element.
    pub first: u64,
    /// How many; at least 1.
    pub elements: u32,
}

/// Consecutive elements of one leaf.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Run {
    pub leaf: u64,
    /// The first of them in the leaf.
    pub inside: u32,
    pub elements: u32,
}

/// A row's leaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    pub place: Place,
    pub extent: Extent,
    /// Its first leaf.
    pub leaf: u64,
}
