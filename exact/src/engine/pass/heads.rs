//! Queries, keys and values of a pass: from what the linear maps give to what attention reads.

// As in the pass.
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]

use super::{Heads, Pass};
use crate::{
    cache::Quantised,
    cpu::Parts,
    engine::{EngineError, Part, Sequence},
    leaf::LeafError,
    model::{Gamma, Layer},
    number::Scale,
};

impl Pass<'_, '_> {
    /// Norm, rotation and quantisation of queries, keys and values.
    pub(super) fn heads(&mut self, layer: &Layer) -> Result<(), EngineError> {
        let engine = self.engine;
        let (rows, shape) = (engine.cpu.rows, engine.model.shape);
        let d = usize::from(shape.head_dim);
        let (heads, kv_heads) = (usize::from(shape.heads), usize::from(shape.kv_heads));
        let (query, kv) = (self.rows * heads, self.rows * kv_heads);
        self.queries.resize(query * d, 0);
        self.keys.resize(kv * d, 0);
        self.values.resize(kv * d, 0);
        self.query_scales.resize(query, Scale::ZERO);
        self.key_scales.resize(kv, Scale::ZERO);
        self.value_scales.resize(kv, Scale::ZERO);
        let (q, k) = (Parts::new(&mut self.q), Parts::new(&mut self.k));
        let (queries, query_scales) = (
            Parts::new(&mut self.queries),
            Parts::new(&mut self.query_scales),
        );
        let (keys, key_scales) = (Parts::new(&mut self.keys), Parts::new(&mut self.key_scales));
        let (values, value_scales) = (
            Parts::new(&mut self.values),
            Parts::new(&mut self.value_scales),
        );
        let (angles, v) = (&self.angles, &self.v);
        engine.cpu.each(
            self.rows,
            || vec![0; d],
            |z, row| {
                let (cos, sin) = angles[row * d..][..d].split_at(d / 2);
                let turned = |x: &mut [i32], gamma: Option<Gamma>, z: &mut [i64]| {
                    if let Some(gamma) = gamma {
                        (rows.head_norm)(x, gamma, &engine.head, z)?;
                    }
                    (rows.rope)(x, cos, sin);
                    Ok::<_, LeafError>(())
                };
                for head in row * heads..(row + 1) * heads {
                    let numbers = head * d..(head + 1) * d;
                    // SAFETY: each row of the pass and each head has its own numbers and scales.
                    let (x, out, scale) = unsafe {
                        let one = query_scales.part(head..head + 1);
                        (q.part(numbers.clone()), queries.part(numbers), one)
                    };
                    turned(x, layer.q_norm, z)?;
                    scale.fill((rows.quant16)(x, z, out)?);
                }
                for head in row * kv_heads..(row + 1) * kv_heads {
                    let numbers = head * d..(head + 1) * d;
                    // SAFETY: as above.
                    let (x, out, scale) = unsafe {
                        let one = key_scales.part(head..head + 1);
                        (k.part(numbers.clone()), keys.part(numbers.clone()), one)
                    };
                    turned(x, layer.k_norm, z)?;
                    scale.fill((rows.quant8)(x, z, out)?);
                    // SAFETY: as above.
                    let (out, scale) = unsafe {
                        let one = value_scales.part(head..head + 1);
                        (values.part(numbers.clone()), one)
                    };
                    scale.fill((rows.quant8)(&v[numbers], z, out)?);
                }
                Ok::<_, LeafError>(())
            },
        )?;
        Ok(())
    }

    /// What [`heads`](Self::heads) made.
    pub(super) fn made_heads(&self) -> Heads<'_> {
        Heads {
            turned: [&self.q, &self.k, &self.v],
            queries: (&self.queries, &self.query_scales),
            keys: (&self.keys, &self.key_scales),
            values: (&self.values, &self.value_scales),
        }
    }

    /// Keys and values into the caches.
    pub(super) fn append(&mut self, layer: usize, batch: &mut [Sequence]) {
        let shape = self.engine.model.shape;
        let (d, kv_heads) = (usize::from(shape.head_dim), usize::from(shape.kv_heads));
        for piece in &self.pieces {
            let cache = &mut *batch[piece.sequence].cache;
            for index in 0..piece.tokens {
                for head in 0..kv_heads {
                    let place = (piece.row + index) * kv_heads + head;
                    let numbers = place * d..(place + 1) * d;
                    let key = Quantised {
                        numbers: &self.keys[numbers.clone()],
                        scale: self.key_scales[place],
                    };
                    let value = Quantised {
                        numbers: &self.values[numbers],
                        scale: self.value_scales[place],
                    };
                    cache.write(layer, head, piece.position + index, key, value);
                }
            }
        }
        self.times.lap(Part::Heads);
    }
}
