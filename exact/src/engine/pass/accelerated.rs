//! A pass whose rows an accelerator runs.

// Lengths are products of a shape's sizes and a pass's rows.
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]

use super::{Pass, Piece};
use crate::{
    accelerator::{Accelerator, AcceleratorPass, AcceleratorPiece},
    engine::{EngineError, Part, Sequence},
};

impl Pass<'_, '_> {
    /// Layers and logits of the rows that were embedded.
    pub(super) fn accelerate(
        &mut self,
        accelerator: &dyn Accelerator,
        batch: &mut [Sequence],
        logits: &mut [Vec<i32>],
    ) -> Result<(), EngineError> {
        let shape = self.engine.model.shape;
        let vocabulary = shape.vocabulary as usize;
        let piece = |piece: &Piece| AcceleratorPiece {
            tokens: piece.tokens,
            position: piece.position,
            logits: piece.logits,
            slabs: batch[piece.sequence].cache.names(),
        };
        let pieces: Vec<_> = self.pieces.iter().map(piece).collect();
        let mut asked = Vec::with_capacity(pieces.len());
        let mut next = self.pieces.iter().peekable();
        for (sequence, out) in logits.iter_mut().enumerate() {
            if let Some(piece) = next.next_if(|piece| piece.sequence == sequence) {
                let held = out.len();
                out.resize(held + piece.logits * vocabulary, 0);
                asked.push(&mut out[held..]);
            }
        }
        let rows = AcceleratorPass {
            residual: &self.residual[..self.rows * shape.hidden as usize],
            angles: &self.angles[..self.rows * usize::from(shape.head_dim)],
            pieces: &pieces,
        };
        accelerator.run(&rows, &mut asked)?;
        for piece in &self.pieces {
            batch[piece.sequence].cache.advance(piece.tokens);
        }
        self.times.lap(Part::Accelerated);
        Ok(())
    }
}
