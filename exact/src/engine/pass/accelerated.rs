//! A pass whose rows an accelerator runs.

// Lengths are products of a shape's sizes and a pass's rows.
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]

use super::{Pass, Piece};
use crate::{
    accelerator::{
        Accelerator, AcceleratorChoice, AcceleratorPass, AcceleratorPiece, AcceleratorRows,
    },
    answer,
    engine::{Choice, EngineError, Made, Part, Sequence},
};

impl Pass<'_, '_> {
    /// Layers of the rows that were embedded, and logits or tokens of those that were asked for.
    pub(super) fn accelerate(
        &mut self,
        accelerator: &dyn Accelerator,
        batch: &mut [Sequence],
        choices: &[Option<Choice>],
        made: &mut [Made],
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
        for (sequence, out) in made.iter_mut().enumerate() {
            let Some(piece) = next.next_if(|piece| piece.sequence == sequence) else {
                continue;
            };
            asked.push(match out {
                Made::Logits(logits) => {
                    let held = logits.len();
                    logits.resize(held + piece.logits * vocabulary, 0);
                    AcceleratorRows::Logits(&mut logits[held..])
                }
                Made::Tokens(tokens) => {
                    let held = tokens.len();
                    tokens.resize(held + piece.logits, 0);
                    AcceleratorRows::Tokens {
                        choices: choices[sequence]
                            .map_or_else(Vec::new, |choice| of_rows(piece, choice)),
                        tokens: &mut tokens[held..],
                    }
                }
            });
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

/// How each row of a piece chooses.
fn of_rows<'a>(piece: &Piece, choice: Choice<'a>) -> Vec<AcceleratorChoice<'a>> {
    // Tokens up to the row's own.
    let end = piece.position + piece.tokens;
    let seen = end - piece.logits + 1..=end;
    let row = |seen: usize| AcceleratorChoice {
        seen: choice.seen.get(..seen).unwrap_or(choice.seen),
        settings: choice.settings,
        random: answer::random(&choice.seed, seen),
    };
    seen.map(row).collect()
}
