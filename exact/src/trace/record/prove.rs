//! Proofs of steps from a trace.

use assay_primitives::blake2_256;

use super::{Trace, TraceError};
use crate::{
    tensor::Tensor,
    trace::{self, opening::Digest, Fault, Place, Proof, Source, StepError, Target, Tree, Trees},
};

impl Trace<'_, '_> {
    /// The true parts of a target; none if it has no parts.
    pub fn parts(&mut self, target: &Target) -> Result<Vec<i64>, TraceError> {
        let case = self.run.case.clone();
        Ok(trace::parts(&case, target, self, blake2_256)?)
    }

    /// What shows a target to be true: its parts, if it has any, and all that is read. A target with another
    /// value is proven false.
    pub fn prove(&mut self, target: &Target) -> Result<Proof, TraceError> {
        let case = self.run.case.clone();
        let output = self.output_len;
        Ok(trace::prove(&case, target, output, self, blake2_256)?)
    }
}

impl Source for Trace<'_, '_> {
    type Error = TraceError;

    fn cells(&mut self, place: Place, first: u64, out: &mut [i64]) -> Result<(), TraceError> {
        Trace::cells(self, place, first, out)
    }

    fn tensor(&mut self, tensor: Tensor, leaf: u64) -> Result<Vec<u8>, TraceError> {
        let bytes = self.tensors.leaf(self.run.engine, tensor, leaf);
        bytes.ok_or(TraceError::Place)
    }

    fn token(&mut self, position: u32) -> Result<u32, TraceError> {
        let token = self.run.tokens.get(position as usize);
        token.copied().ok_or(TraceError::Place)
    }
}

impl Trees for Trace<'_, '_> {
    fn leaf(&mut self, tree: Tree, index: u64) -> Result<Vec<u8>, TraceError> {
        let bytes = match tree {
            Tree::Trace => return Ok(Trace::leaf(self, index)?.to_vec()),
            Tree::Prompt => self.prompt.leaf(index),
            Tree::Output => self.output.leaf(index),
            Tree::Tensor(tensor) => self.tensors.leaf(self.run.engine, tensor, index),
            Tree::Tables | Tree::Weights => None,
        };
        bytes.ok_or(TraceError::Place)
    }

    fn node(&mut self, tree: Tree, level: u32, index: u64) -> Result<Digest, TraceError> {
        let engine = self.run.engine;
        let node = match tree {
            Tree::Trace => return Trace::node(self, level, index),
            Tree::Prompt => self.prompt.node(level, index),
            Tree::Output => self.output.node(level, index),
            Tree::Tensor(tensor) => self.tensors.node(engine, tensor, level, index),
            Tree::Tables => self.tensors.above(engine, true, level, index),
            Tree::Weights => self.tensors.above(engine, false, level, index),
        };
        node.ok_or(TraceError::Place)
    }
}

impl From<StepError<Fault<TraceError>>> for TraceError {
    fn from(error: StepError<Fault<TraceError>>) -> Self {
        match error {
            StepError::Source(Fault::Source(error)) => error,
            StepError::Source(Fault::Leaf(error)) => Self::Leaf(error),
            StepError::Target | StepError::Parts => Self::Place,
        }
    }
}
