//! Which leaf of a trace holds what: a function of the model's shape, the sampling settings, the
//! prompt's length and the output position alone.

// Numbers of leaves are far below 2^63: 2^20 positions, 512 layers, and at most 2^29 leaves of a
// layer (32,768 heads of 2^20 scores).
#![allow(clippy::arithmetic_side_effects)]

#[cfg(feature = "chain")]
use assay_primitives::{RequestHeader, Task};

use super::{
    levels,
    place::{Cell, Leaf, Place, Run, Span},
    row::{Element, Extent, Row},
};
use crate::{
    leaf::PAGE,
    sampling::{Settings, BINS, ONE, VOCABULARY_BLOCK},
    shape::{Shape, ShapeError},
};

/// Elements of a feed-forward row in one [`Row::ProductBlock`].
pub(super) const PRODUCT_BLOCK: u64 = 16;

/// Why there is no trace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LayoutError {
    /// The shape breaks a bound of the format.
    Shape(ShapeError),
    /// A sampling value is outside its range.
    Settings,
    /// The prompt has no tokens.
    EmptyPrompt,
    /// Prompt and answer are longer than the model's context.
    Context,
    /// The answer that is scored ends before.
    Answer,
}

/// The shape of one trace.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Layout {
    shape: Shape,
    settings: Settings,
    prompt_len: u32,
    positions: u32,
    /// Leaves of a position ahead of its layers.
    before: u64,
    /// Leaves of one layer of a position, without scores and pages.
    layer: u64,
    /// Leaves of one layer's pages.
    page: u64,
    leaves: u64,
}

impl Layout {
    /// The trace up to place `index` of the answer, from 0.
    pub fn new(
        shape: &Shape,
        settings: &Settings,
        prompt_len: u32,
        index: u32,
    ) -> Result<Self, LayoutError> {
        let positions = prompt_len.checked_add(index);
        Self::up_to(shape, settings, prompt_len, positions)
    }

    /// The same trace of an answer that is scored: all its tokens are the request's, of which the first
    /// `answer_at` are the prompt.
    pub fn scored(
        shape: &Shape,
        settings: &Settings,
        request_len: u32,
        answer_at: u32,
        index: u32,
    ) -> Result<Self, LayoutError> {
        if answer_at == 0 {
            return Err(LayoutError::EmptyPrompt);
        }
        let positions = answer_at.checked_add(index);
        if positions.is_none_or(|positions| positions >= request_len) {
            return Err(LayoutError::Answer);
        }
        Self::up_to(shape, settings, request_len, positions)
    }

    /// Of token `index` of the answer to a request, or of the answer that it asks to score.
    #[cfg(feature = "chain")]
    pub fn of<AccountId>(
        shape: &Shape,
        header: &RequestHeader<AccountId>,
        index: u32,
    ) -> Result<Self, LayoutError> {
        let (settings, length) = (header.sampling.into(), header.prompt_len);
        match header.task {
            Task::Generate => Self::new(shape, &settings, length, index),
            Task::Score { answer_at, .. } => {
                Self::scored(shape, &settings, length, answer_at, index)
            }
        }
    }

    fn up_to(
        shape: &Shape,
        settings: &Settings,
        prompt_len: u32,
        positions: Option<u32>,
    ) -> Result<Self, LayoutError> {
        shape.validate().map_err(LayoutError::Shape)?;
        settings.validate().map_err(|_| LayoutError::Settings)?;
        if prompt_len == 0 {
            return Err(LayoutError::EmptyPrompt);
        }
        let positions = positions.filter(|positions| *positions <= shape.context);
        let mut layout = Self {
            shape: shape.clone(),
            settings: *settings,
            prompt_len,
            positions: positions.ok_or(LayoutError::Context)?,
            before: 0,
            layer: 0,
            page: 0,
            leaves: 0,
        };
        let leaves = |rows: &[Row], position: u32, only: &dyn Fn(Row) -> bool| -> u64 {
            let extents = rows.iter().filter(|row| only(**row));
            let extents = extents.filter_map(|row| layout.extent(*row, position));
            extents.map(|extent| extent.leaves()).sum()
        };
        let paged = |row| matches!(row, Row::ValuePage | Row::ValuePageScale);
        let before = leaves(Row::BEFORE, 0, &|_| true);
        let layer = leaves(Row::LAYER, 0, &|row| row != Row::Score && !paged(row));
        let page = leaves(Row::LAYER, PAGE as u32 - 1, &paged);
        let after = leaves(Row::AFTER, layout.positions - 1, &|_| true);
        (layout.before, layout.layer, layout.page) = (before, layer, page);
        layout.leaves = layout.start(layout.positions) + after;
        Ok(layout)
    }

    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Tokens of the request. Those of positions behind them are the output's.
    pub fn prompt_len(&self) -> u32 {
        self.prompt_len
    }

    /// Positions that are computed: the prompt's, and those of the answer's tokens ahead of the one that
    /// is chosen.
    pub fn positions(&self) -> u32 {
        self.positions
    }

    /// Leaves of the whole trace.
    pub fn leaves(&self) -> u64 {
        self.leaves
    }

    /// Levels of the tree above its leaves.
    pub fn height(&self) -> u32 {
        levels::height(self.leaves)
    }

    /// Whether logits are penalised, so that tokens are remembered.
    pub fn has_penalty(&self) -> bool {
        i64::from(self.settings.penalty) != ONE
    }

    /// Whether a token is drawn, and not the likeliest one taken.
    pub fn has_draw(&self) -> bool {
        self.settings.temperature != 0
    }

    pub fn has_cut(&self) -> bool {
        (1..self.shape.vocabulary).contains(&self.settings.top_k) && self.has_draw()
    }

    pub fn has_bins(&self) -> bool {
        i64::from(self.settings.top_p) != ONE && self.has_draw()
    }

    /// The row's size at a position; none if the position has no such row.
    pub fn extent(&self, row: Row, position: u32) -> Option<Extent> {
        use Row::*;
        let shape = &self.shape;
        let last = position + 1 == self.positions;
        let present = match row {
            Seen => self.has_penalty(),
            QueryNormMaximum | QueryNormSquares | QueryNormProduct | QueryNorm | KeyNormMaximum
            | KeyNormSquares | KeyNormProduct | KeyNorm => shape.head_norms,
            ValuePage | ValuePageScale => completes_page(position),
            Penalised => last && self.has_penalty(),
            Cut => last && self.has_cut(),
            Cumulative | LastBin => last && self.has_bins(),
            Kept => last && self.has_draw(),
            FinalMaximum | FinalSquares | FinalProduct | FinalActivation | FinalScale | Logits
            | Largest | Token => last,
            _ => true,
        };
        if !present {
            return None;
        }
        let (hidden, ff) = (u64::from(shape.hidden), u64::from(shape.intermediate));
        let (query, kv) = (u64::from(shape.query_width()), u64::from(shape.kv_width()));
        let (heads, kv_heads) = (u64::from(shape.heads), u64::from(shape.kv_heads));
        let (d, page) = (u64::from(shape.head_dim), PAGE as u64);
        let vocabulary = u64::from(shape.vocabulary);
        let (groups, width) = match row {
            Seen => (1, vocabulary.div_ceil(8)),
            Angles => (1, d >> 1),
            Embed | InputActivation | Output | PostActivation | Down | FinalActivation => {
                (1, hidden)
            }
            InputMaximum | InputSquares | InputProduct | InputScale | MixedMaximum | MixedScale
            | PostMaximum | PostSquares | PostProduct | PostScale | ProductMaximum
            | ProductScale | FinalMaximum | FinalSquares | FinalProduct | FinalScale | Largest
            | Cut | LastBin | Token => (1, 1),
            Query | QueryNorm | QueryActivation | Mixed | MixedActivation => (1, query),
            Key | Value | KeyNorm | KeyCached | ValueCached => (1, kv),
            QueryNormMaximum | QueryNormSquares | QueryNormProduct | QueryMaximum | QueryScale
            | ScoreMaximum | ShiftedMaximum | Denominator => (1, heads),
            KeyNormMaximum | KeyNormSquares | KeyNormProduct | KeyMaximum | KeyScale
            | ValueMaximum | ValueScale => (1, kv_heads),
            ValuePage => (kv_heads, page * d),
            ValuePageScale => (1, kv_heads * page),
            Score => (heads, u64::from(position) + 1),
            Gate | Up | ProductActivation => (1, ff),
            ProductBlock => (1, ff.div_ceil(PRODUCT_BLOCK)),
            Logits | Penalised => (1, vocabulary),
            Cumulative => (1, BINS as u64),
            Kept => (vocabulary.div_ceil(VOCABULARY_BLOCK as u64), 1),
        };
        Some(Extent {
            element: row.element(),
            groups,
            width,
        })
    }

    /// The rows of a position in order, with their leaves.
    pub fn rows(&self, position: u32) -> impl Iterator<Item = Span> + '_ {
        let before = Row::BEFORE.iter().map(|row| (0, *row));
        let layers = (0..self.shape.layers)
            .flat_map(|layer| Row::LAYER.iter().map(move |row| (layer, *row)));
        let after = Row::AFTER.iter().map(|row| (0, *row));
        let mut leaf = self.start(position);
        before
            .chain(layers)
            .chain(after)
            .filter_map(move |(layer, row)| {
                let extent = self.extent(row, position)?;
                let span = Span {
                    place: Place {
                        position,
                        layer,
                        row,
                    },
                    extent,
                    leaf,
                };
                leaf += extent.leaves();
                Some(span)
            })
    }

    /// Where a row's leaves are; none if the trace has no such row.
    pub fn span(&self, place: Place) -> Option<Span> {
        let Place {
            position,
            layer,
            row,
        } = place;
        if position >= self.positions {
            return None;
        }
        let extent = self.extent(row, position)?;
        let layers = self.start(position) + self.before;
        let (list, start) = if Row::BEFORE.contains(&row) {
            (Row::BEFORE, self.start(position))
        } else if Row::AFTER.contains(&row) {
            let layers = u64::from(self.shape.layers) * self.layer_leaves(position);
            (Row::AFTER, self.start(position) + self.before + layers)
        } else {
            let ahead = u64::from(layer) * self.layer_leaves(position);
            (Row::LAYER, layers + ahead)
        };
        let in_layer = core::ptr::eq(list, Row::LAYER);
        if (in_layer && layer >= self.shape.layers) || (!in_layer && layer != 0) {
            return None;
        }
        let ahead = list.iter().take_while(|other| **other != row);
        let ahead = ahead.filter_map(|row| self.extent(*row, position));
        Some(Span {
            place,
            extent,
            leaf: start + ahead.map(|extent| extent.leaves()).sum::<u64>(),
        })
    }

    /// The leaf that holds a cell, and the cell's element in it.
    pub fn leaf_of(&self, cell: Cell) -> Option<(u64, u32)> {
        let span = self.span(cell.place)?;
        if cell.element >= span.extent.elements() {
            return None;
        }
        let per_leaf = u64::from(span.extent.element.per_leaf());
        let group = cell.element / span.extent.width;
        let inside = cell.element % span.extent.width;
        let leaf = span.leaf + group * span.extent.group_leaves() + inside / per_leaf;
        Some((leaf, (inside % per_leaf) as u32))
    }

    /// The cell that is number `element` of a leaf.
    pub fn cell(&self, leaf: u64, element: u32) -> Option<Cell> {
        let leaf = self.leaf(leaf).filter(|leaf| element < leaf.elements)?;
        Some(leaf.place.cell(leaf.first + u64::from(element)))
    }

    /// The leaves of consecutive elements of a row, in order; none if the row does not have them all.
    pub fn runs(
        &self,
        place: Place,
        first: u64,
        count: u64,
    ) -> Option<impl Iterator<Item = Run> + use<>> {
        let span = self.span(place)?;
        let extent = span.extent;
        let end = first.checked_add(count)?;
        if end > extent.elements() {
            return None;
        }
        let per_leaf = u64::from(extent.element.per_leaf());
        let mut next = first;
        Some(core::iter::from_fn(move || {
            let (group, inside) = (next / extent.width, next % extent.width);
            let leaf = span.leaf + group * extent.group_leaves() + inside / per_leaf;
            let inside_leaf = inside % per_leaf;
            let left_in_leaf = (per_leaf - inside_leaf).min(extent.width - inside);
            let elements = left_in_leaf.min(end - next);
            next += elements;
            (elements > 0).then_some(Run {
                leaf,
                inside: inside_leaf as u32,
                elements: elements as u32,
            })
        }))
    }

    /// What leaf number `index` holds.
    pub fn leaf(&self, index: u64) -> Option<Leaf> {
        if index >= self.leaves {
            return None;
        }
        let position = self.position_of(index);
        let inside = index - self.start(position);
        // Straight to the layer, then row by row.
        let (list, layer, mut left) = match inside.checked_sub(self.before) {
            None => (Row::BEFORE, 0, inside),
            Some(inside) => {
                let layer = inside / self.layer_leaves(position);
                if layer < self.shape.layers.into() {
                    let left = inside % self.layer_leaves(position);
                    (Row::LAYER, layer as u16, left)
                } else {
                    let layers = u64::from(self.shape.layers) * self.layer_leaves(position);
                    (Row::AFTER, 0, inside - layers)
                }
            }
        };
        for row in list {
            let Some(extent) = self.extent(*row, position) else {
                continue;
            };
            if let Some(behind) = left.checked_sub(extent.leaves()) {
                left = behind;
                continue;
            }
            let per_leaf = u64::from(extent.element.per_leaf());
            let (group, piece) = (left / extent.group_leaves(), left % extent.group_leaves());
            return Some(Leaf {
                place: Place {
                    position,
                    layer,
                    row: *row,
                },
                first: group * extent.width + piece * per_leaf,
                elements: (extent.width - piece * per_leaf).min(per_leaf) as u32,
            });
        }
        None
    }

    /// The first leaf of a position.
    pub fn start(&self, position: u32) -> u64 {
        let (layers, heads) = (u64::from(self.shape.layers), u64::from(self.shape.heads));
        let position = u64::from(position);
        let fixed = self.before + layers * self.layer;
        // The sum of ceil(i / w) for i = 1 … position.
        let width = u64::from(Element::I32.per_leaf());
        let (whole, rest) = (position / width, position % width);
        let scores = width * (whole * (whole + 1) / 2) + rest * (whole + 1);
        let pages = position / PAGE as u64;
        position * fixed + layers * (pages * self.page + heads * scores)
    }

    /// The residual that a place's layer begins with; behind the layers, that they end with.
    pub(super) fn residual(&self, place: Place) -> Place {
        let layers = if Row::AFTER.contains(&place.row) {
            self.shape.layers
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

    /// Leaves of one layer of a position.
    pub(super) fn layer_leaves(&self, position: u32) -> u64 {
        let per_leaf = u64::from(Element::I32.per_leaf());
        let scores = u64::from(self.shape.heads) * (u64::from(position) + 1).div_ceil(per_leaf);
        let page = if completes_page(position) {
            self.page
        } else {
            0
        };
        self.layer + scores + page
    }

    /// The position whose leaves a leaf is among.
    fn position_of(&self, leaf: u64) -> u32 {
        let (mut low, mut high) = (0, self.positions);
        // `low` starts at or before the leaf, `high` behind it or is the end.
        while low + 1 < high {
            let middle = low + (high - low) / 2;
            if self.start(middle) <= leaf {
                low = middle;
            } else {
                high = middle;
            }
        }
        low
    }
}

/// Whether a position is the last of a page.
pub(super) fn completes_page(position: u32) -> bool {
    position % PAGE as u32 == PAGE as u32 - 1
}

#[cfg(test)]
mod tests;
