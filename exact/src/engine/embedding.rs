//! Tokens' rows of the embedding.

use super::EngineError;
use crate::{
    folder::LowLimbs,
    leaf::Operand,
    model::{Embedding, Matrix, Model},
    op::embed,
};

/// The embedding, and where its low limbs come from.
#[derive(Debug)]
pub(super) struct Rows<'m> {
    embedding: Embedding<'m>,
    fraction_bits: u8,
    /// None: the model's own.
    low: Option<LowLimbs<'m>>,
}

impl<'m> Rows<'m> {
    pub fn new(model: &Model<'m>, low: Option<LowLimbs<'m>>) -> Self {
        Self {
            embedding: model.embedding,
            fraction_bits: model.shape.fraction_bits,
            low,
        }
    }

    /// `embed` (§3.1) of `token` into `out`. `limbs` is room for its low limbs.
    pub fn row(&self, token: u32, limbs: &mut Vec<i8>, out: &mut [i32]) -> Result<(), EngineError> {
        let embedding = &self.embedding;
        let Some(low) = self.low else {
            return Ok(embed::row(embedding, token, self.fraction_bits, out)?);
        };
        let width = embedding.high.inputs;
        limbs.resize(width, 0);
        low.read(token, limbs).map_err(|error| EngineError::Read {
            token,
            error: error.kind(),
        })?;
        let index = token as usize;
        let start = index.saturating_mul(width);
        let high = embedding.high.weights;
        let high = high.get(start..start.saturating_add(width));
        let row = embedding.high.rows.get(index..index.saturating_add(1));
        let alone = Embedding {
            high: Matrix {
                inputs: width,
                weights: high.ok_or(Operand::Length)?,
                rows: row.ok_or(Operand::Length)?,
            },
            low: limbs,
            columns: embedding.columns,
        };
        Ok(embed::row(&alone, 0, self.fraction_bits, out)?)
    }
}
