//! The honest witness: the true trace.

use std::ops::Range;

use assay_exact::{
    trace::{Answered, Layout, Opening, Proof, Target, Trace},
    Engine,
};
use assay_primitives::Side;
use subxt::utils::H256;

use super::{exhibit::Exhibit, tokens, witness::Witness};

/// A trace that was computed here.
pub struct Computed<'e, 'm> {
    trace: Trace<'e, 'm>,
    exhibit: Exhibit,
}

impl<'e, 'm> Computed<'e, 'm> {
    /// Runs the model over prompt and output once.
    pub fn new(engine: &'e Engine<'m>, exhibit: Exhibit) -> Result<Self, String> {
        let answered = Answered {
            prompt: &exhibit.prompt,
            output: &exhibit.output,
            settings: exhibit.sampling.into(),
            seed: exhibit.seed,
            secret: exhibit.secret,
            scored: exhibit.scored,
            index: exhibit.position,
        };
        let trace = Trace::new(engine, &answered).map_err(|error| error.to_string())?;
        Ok(Self { trace, exhibit })
    }
}

impl Witness for Computed<'_, '_> {
    fn layout(&self) -> &Layout {
        self.trace.layout()
    }

    fn nodes(&mut self, level: u32, range: Range<u64>) -> Result<Vec<H256>, String> {
        let nodes = range.map(|index| self.trace.node(level, index).map(H256));
        nodes
            .collect::<Result<_, _>>()
            .map_err(|error| error.to_string())
    }

    fn leaves(&mut self, range: Range<u64>) -> Result<Vec<Vec<u8>>, String> {
        let count = range.end.saturating_sub(range.start);
        let leaves = self.trace.leaves(range.start, count);
        leaves.map_err(|error| error.to_string())
    }

    fn open_last(&mut self) -> Result<Opening, String> {
        let leaves = self.layout().leaves();
        let last = leaves.saturating_sub(1);
        let bytes = self.leaves(last..leaves)?.pop().unwrap_or_default();
        let opening = Opening::new(vec![(last, bytes)], leaves, |level, index| {
            self.trace.node(level, index)
        });
        opening.map_err(|error| error.to_string())
    }

    fn open_token(&mut self) -> Result<Opening, String> {
        let Exhibit {
            prompt,
            output,
            secret,
            position,
            scored,
            ..
        } = &self.exhibit;
        if *scored {
            let request = [&prompt[..], output].concat();
            let place = position.saturating_add(prompt.len() as u32);
            return Ok(tokens::open(&request, (*secret, Side::Prompt), place));
        }
        Ok(tokens::open(output, (*secret, Side::Output), *position))
    }

    fn parts(&mut self, target: &Target) -> Result<Vec<i64>, String> {
        self.trace.parts(target).map_err(|error| error.to_string())
    }

    fn prove(&mut self, target: &Target) -> Result<Proof, String> {
        self.trace.prove(target).map_err(|error| error.to_string())
    }
}
