//! The trace of an answer, computed from tokens and weights.
//!
//! One pass over all positions gives the keys and values, and every leaf's hash, of which only the nodes six
//! levels up or more are kept. What lies deeper is computed again when it is asked for, from the keys and values of the
//! positions before it.

// Leaves and positions are counted by the layout, and places are below its numbers.
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]

mod cached;
mod choice;
mod keep;
mod prove;
mod run;
mod tensors;
#[cfg(test)]
mod tests;
mod tokens;
mod tree;
mod window;
mod writer;

use core::fmt;

use assay_primitives::{blake2_256, tree::Side};

use self::{
    run::Run,
    tensors::Tensors,
    tokens::Tokens,
    tree::{folded, Kept},
    window::Windows,
};
use super::{
    levels,
    opening::{leaf_hash, Digest},
    Cell, Layout, LayoutError, Place,
};
use crate::{
    cache::Cache,
    engine::{Engine, EngineError},
    leaf::LeafError,
    sampling::Settings,
};

/// How much is held at a time.
#[derive(Clone, Copy)]
struct Sizes {
    /// Leaves whose hashes are held while a trace is made, if a position has not more.
    chunk: u64,
    /// Leaves of a window.
    window: u64,
    /// The lowest level of the tree whose nodes are kept.
    lowest: u32,
}

impl Sizes {
    /// For a trace of so many leaves: 32 MiB of hashes, 4 MiB of a window's leaves, and at most 2^20 nodes of
    /// the lowest level, or one for each 64 leaves.
    fn of(leaves: u64) -> Self {
        Self {
            chunk: 1 << 20,
            window: 1 << 14,
            lowest: levels::height(leaves)
                .saturating_sub(20)
                .max(levels::STRIDE),
        }
    }
}

/// An answer, and the place in it whose token is in question.
#[derive(Clone, Copy, Debug)]
pub struct Answered<'a> {
    pub prompt: &'a [u32],
    pub output: &'a [u32],
    pub settings: Settings,
    /// Of the draws; unused when the settings are greedy.
    pub seed: [u8; 32],
    /// The secret of the token trees' salts; none where they have none.
    pub secret: Option<[u8; 32]>,
    /// Whether the output is an answer that is scored, so that its tokens are in the prompt's tree.
    pub scored: bool,
    /// Place in the output, from 0.
    pub index: u32,
}

/// Why there is no trace, or no such part of one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TraceError {
    Layout(LayoutError),
    /// The output ends before the place in question.
    Output,
    /// The trace has no such node, leaf, element or part.
    Place,
    Engine(EngineError),
    /// A number of the model is outside the format, which no engine reads.
    Leaf(LeafError),
}

impl fmt::Display for TraceError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Layout(error) => write!(f, "there is no trace of this answer: {error:?}"),
            Self::Output => write!(f, "the output ends before the place in question"),
            Self::Place => write!(f, "the trace has no such node, leaf, element or part"),
            Self::Leaf(error) => write!(f, "a number is outside the format: {error:?}"),
            Self::Engine(error) => write!(f, "{error}"),
        }
    }
}

impl core::error::Error for TraceError {}

impl From<EngineError> for TraceError {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

/// The true trace up to one output token.
///
/// It holds the keys and values of all positions, 1 MiB of hashes for each 2 million leaves but at most
/// 64 MiB, and the bytes of the leaves that were asked for last, at most 32 MiB.
pub struct Trace<'e, 'm> {
    run: Run<'e, 'm>,
    cache: Cache,
    tree: Kept,
    windows: Windows,
    tensors: Tensors,
    prompt: Tokens,
    output: Tokens,
    /// Tokens of the whole answer.
    output_len: u32,
}

impl<'e, 'm> Trace<'e, 'm> {
    /// Computes all positions once.
    pub fn new(engine: &'e Engine<'m>, answered: &Answered) -> Result<Self, TraceError> {
        let run = Run::new(engine, answered)?;
        let sizes = Sizes::of(run.case.layout.leaves());
        Self::computed(run, answered, sizes)
    }

    fn computed(run: Run<'e, 'm>, answered: &Answered, sizes: Sizes) -> Result<Self, TraceError> {
        let (cache, tree) = run.all(sizes)?;
        Ok(Self {
            run,
            cache,
            tree,
            windows: Windows::new(sizes.window),
            tensors: Tensors::default(),
            prompt: Tokens::new(answered, Side::Prompt),
            output: Tokens::new(answered, Side::Output),
            output_len: answered.output.len() as u32,
        })
    }

    /// Which leaf holds what.
    pub fn layout(&self) -> &Layout {
        &self.run.case.layout
    }

    /// What commits to every leaf.
    pub fn root(&self) -> Digest {
        self.tree.root()
    }

    /// Node number `index` of a level, counted from the leaves, which are level 0.
    pub fn node(&mut self, level: u32, index: u64) -> Result<Digest, TraceError> {
        if level >= self.tree.lowest() {
            return self.tree.node(level, index).ok_or(TraceError::Place);
        }
        let first = index.checked_mul(1 << level).ok_or(TraceError::Place)?;
        let end = self.layout().leaves().min(first.saturating_add(1 << level));
        if first >= end {
            return Err(TraceError::Place);
        }
        let leaves = (first..end).map(|leaf| Ok(leaf_hash(self.leaf(leaf)?, blake2_256)));
        let leaves: Vec<_> = leaves.collect::<Result<_, TraceError>>()?;
        Ok(folded(&leaves))
    }

    /// The bytes of some leaves, as far as there are leaves; of at least one.
    pub fn leaves(&mut self, first: u64, count: u64) -> Result<Vec<Vec<u8>>, TraceError> {
        let end = self.layout().leaves().min(first.saturating_add(count));
        if first >= end {
            return Err(TraceError::Place);
        }
        (first..end)
            .map(|index| Ok(self.leaf(index)?.to_vec()))
            .collect()
    }

    /// One element's value, as [`Element`](super::Element) reads it.
    pub fn cell(&mut self, cell: Cell) -> Result<i64, TraceError> {
        let mut value = [0];
        self.cells(cell.place, cell.element, &mut value)?;
        let [value] = value;
        Ok(value)
    }

    /// Consecutive elements of a row.
    pub fn cells(&mut self, place: Place, first: u64, out: &mut [i64]) -> Result<(), TraceError> {
        let span = self.layout().span(place).ok_or(TraceError::Place)?;
        let end = first.checked_add(out.len() as u64);
        if end.is_none_or(|end| end > span.extent.elements()) {
            return Err(TraceError::Place);
        }
        if cached::has(place.row) {
            let shape = self.run.case.layout.shape();
            for (element, slot) in (first..).zip(out) {
                *slot = cached::element(&self.cache, shape, place, element);
            }
            return Ok(());
        }
        let kind = span.extent.element;
        let mut done = 0;
        while done < out.len() {
            let element = first + done as u64;
            let cell = Cell { place, element };
            let (leaf, inside) = self.layout().leaf_of(cell).ok_or(TraceError::Place)?;
            let bytes = self.leaf(leaf)?;
            let numbers = (inside as usize..).map_while(|place| kind.at(bytes, place));
            for (slot, number) in out[done..].iter_mut().zip(numbers) {
                *slot = number;
                done += 1;
            }
        }
        Ok(())
    }
}
