//! Computes positions of a trace, again and again the same.

// Leaves and positions are counted by the layout.
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]

use std::ops::Range;

use assay_primitives::blake2_256;

use super::{
    keep::Keep,
    tree::{fold_each, Kept},
    writer::Writer,
    Answered, Sizes, TraceError,
};
use crate::{
    cache::Cache,
    engine::{Engine, EngineError, Logits, Sequence, CHUNK},
    sampling,
    trace::{Case, Digest, Layout, LayoutError},
};

/// What a trace follows from.
pub(super) struct Run<'e, 'm> {
    pub engine: &'e Engine<'m>,
    pub case: Case,
    /// The token at each position.
    pub tokens: Vec<u32>,
    /// Of the draw.
    random: u64,
}

impl<'e, 'm> Run<'e, 'm> {
    pub fn new(engine: &'e Engine<'m>, answered: &Answered) -> Result<Self, TraceError> {
        let index = answered.index as usize;
        let before = answered.output.get(..index).ok_or(TraceError::Output)?;
        let length = |tokens: usize| {
            u32::try_from(tokens).map_err(|_| TraceError::Layout(LayoutError::Context))
        };
        let prompt = length(answered.prompt.len())?;
        let (shape, settings) = (engine.model().shape, &answered.settings);
        let layout = match answered.scored {
            false => Layout::new(shape, settings, prompt, answered.index),
            true => {
                let request = length(answered.prompt.len().saturating_add(answered.output.len()))?;
                Layout::scored(shape, settings, request, prompt, answered.index)
            }
        };
        let layout = layout.map_err(TraceError::Layout)?;
        let message = sampling::draw_message(&answered.seed, layout.positions());
        Ok(Self {
            engine,
            case: Case {
                layout,
                seed: answered.seed,
            },
            tokens: [answered.prompt, before].concat(),
            random: sampling::random(&blake2_256(&message)),
        })
    }

    /// All positions: their keys and values, and the tree.
    pub fn all(&self, sizes: Sizes) -> Result<(Cache, Kept), EngineError> {
        let cpu = self.engine.cpu();
        let width = 1usize << sizes.lowest;
        let mut cache = self.engine.cache();
        let mut nodes = Vec::new();
        // Hashes of the leaves behind the last node.
        let mut hashes: Vec<Digest> = Vec::new();
        let mut position = 0;
        while position < self.case.layout.positions() {
            let end = self.chunk_end(position, sizes.chunk);
            let [first, behind] = [position, end].map(|position| self.start(position));
            let pending = hashes.len();
            hashes.resize(pending + (behind - first) as usize, [0; 32]);
            let keep = Keep::hashes(first, &mut hashes[pending..]);
            self.compute(&mut cache, position..end, &keep)?;
            let whole = match end == self.case.layout.positions() {
                true => hashes.len(),
                false => hashes.len() - hashes.len() % width,
            };
            let known = nodes.len();
            nodes.resize(known + whole.div_ceil(width), [0; 32]);
            fold_each(cpu, &hashes[..whole], width, &mut nodes[known..]);
            hashes.drain(..whole);
            position = end;
        }
        Ok((cache, Kept::new(sizes.lowest, nodes)))
    }

    /// The first leaf of a position, or the end of the trace.
    fn start(&self, position: u32) -> u64 {
        match position < self.case.layout.positions() {
            true => self.case.layout.start(position),
            false => self.case.layout.leaves(),
        }
    }

    /// The position behind those that have `leaves` leaves, and at least one.
    fn chunk_end(&self, first: u32, leaves: u64) -> u32 {
        let most = self.case.layout.positions().min(first + CHUNK as u32);
        let behind = self.start(first) + leaves;
        let fits = |end: &u32| self.start(*end) <= behind;
        (first + 2..=most)
            .take_while(fits)
            .last()
            .unwrap_or(first + 1)
    }

    /// Computes positions behind those that the cache holds.
    pub fn compute(
        &self,
        cache: &mut Cache,
        positions: Range<u32>,
        keep: &Keep,
    ) -> Result<(), EngineError> {
        for first in positions.clone().step_by(CHUNK) {
            let end = positions.end.min(first + CHUNK as u32);
            let (engine, layout, tokens) = (self.engine, &self.case.layout, &self.tokens);
            let writer = Writer::new(engine, layout, tokens, self.random, first..end, keep);
            let sequence = Sequence {
                cache,
                tokens: &self.tokens[first as usize..end as usize],
                logits: match end == self.case.layout.positions() {
                    true => Logits::Last,
                    false => Logits::None,
                },
            };
            self.engine.run_observed(sequence, &writer)?;
        }
        Ok(())
    }
}
