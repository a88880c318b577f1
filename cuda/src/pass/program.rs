//! The launches of a pass: the steps of the format's program, in their order.

use std::ops::Range;

use assay_exact::Shape;

use super::{Plan, Scratch};
use crate::{
    device::{Buffer, Launch, Limits},
    kernels::{
        Attention, AttentionMaxima, AttentionMix, AttentionOut, Cache, Choose, Gamma, Heads,
        Linear, Norm, Quantise, Silu, Splits, Width,
    },
    weights::{self, Layer, Weights},
};

/// What the launches of a pass are made of.
pub(super) struct Program<'a> {
    pub limits: Limits,
    pub shape: &'a Shape,
    pub weights: &'a Weights,
    /// Where the slabs are.
    pub slabs: u64,
    pub scratch: &'a Scratch<Buffer>,
    pub plan: Plan,
}

/// Where a linear map's outputs go.
enum Out<'a> {
    /// In place of what is there, in Q16.
    Place(&'a Buffer),
    /// Added to the residual.
    Residual,
}

impl Program<'_> {
    /// The whole pass, of which no more rows' logits are asked for than are held at a time.
    pub fn all(&self) -> Vec<Launch> {
        let mut all = self.layers();
        all.extend(self.logits(0..self.plan.logits, self.plan.chosen));
        all
    }

    pub fn layers(&self) -> Vec<Launch> {
        let layers = self.weights.layers.iter().enumerate();
        layers
            .flat_map(|(index, layer)| self.layer(index as u32, layer))
            .collect()
    }

    /// Logits of some of the rows that are picked, from the first place on, and the tokens that so many of
    /// them choose.
    pub fn logits(&self, rows: Range<usize>, chosen: usize) -> Vec<Launch> {
        let first = self.scratch.picked.address() + 4 * rows.start as u64;
        let out = Out::Place(&self.scratch.logits);
        let mut all = vec![
            self.norm(rows.len() as u32, first, &self.weights.final_norm),
            self.linear(rows.len() as u32, &self.weights.head, out),
        ];
        let choose = Choose {
            choices: chosen as u32,
            vocabulary: self.shape.vocabulary,
            logits: self.scratch.logits.address(),
            asked: self.scratch.choices.address(),
            seen: self.scratch.seen.address(),
            exp2: self.weights.exp2.address(),
            tokens: self.scratch.tokens.address(),
        };
        all.extend((chosen > 0).then(|| choose.launch()));
        all
    }

    fn layer(&self, index: u32, layer: &Layer) -> [Launch; 12] {
        let (shape, scratch) = (self.shape, self.scratch);
        let rows = self.plan.rows as u32;
        let [maxima, mix, out] = self.attend(index);
        let quantise = Quantise {
            rows,
            width: shape.query_width(),
            numbers: scratch.mixed.address(),
            activations: scratch.activations.address(),
            scales: scratch.scales.address(),
        };
        let silu = Silu {
            rows,
            width: shape.intermediate,
            gates_and_ups: scratch.pairs.address(),
            table: self.weights.silu.address(),
            activations: scratch.activations.address(),
            scales: scratch.scales.address(),
        };
        [
            self.norm(rows, 0, &layer.input_norm),
            self.linear(rows, &layer.qkv, Out::Place(&scratch.projected)),
            self.heads(index, layer),
            maxima,
            mix,
            out,
            quantise.launch(),
            self.linear(rows, &layer.o, Out::Residual),
            self.norm(rows, 0, &layer.post_norm),
            self.linear(rows, &layer.gate_up, Out::Place(&scratch.pairs)),
            silu.launch(),
            self.linear(rows, &layer.down, Out::Residual),
        ]
    }

    /// Activations of the residual: of its rows that `picked` lists, or of the first.
    fn norm(&self, rows: u32, picked: u64, norm: &weights::Norm) -> Launch {
        Norm {
            rows,
            residual: self.scratch.residual.address(),
            picked,
            gamma: norm.gamma(),
            width: Width::hidden(self.shape),
            activations: self.scratch.activations.address(),
            scales: self.scratch.scales.address(),
        }
        .launch()
    }

    fn linear(&self, rows: u32, matrix: &weights::Matrix, out: Out) -> Launch {
        let (fraction_bits, added, out) = match out {
            Out::Place(buffer) => (16, false, buffer),
            Out::Residual => (self.shape.fraction_bits, true, &self.scratch.residual),
        };
        Linear {
            rows,
            matrix: matrix.at(),
            activations: self.scratch.activations.address(),
            scales: self.scratch.scales.address(),
            fraction_bits,
            added,
            out: out.address(),
        }
        .launch(self.limits.multiprocessors, self.limits.shared)
    }

    fn heads(&self, index: u32, layer: &Layer) -> Launch {
        let scratch = self.scratch;
        let (query_norm, key_norm) = match &layer.head_norms {
            Some((query, key)) => (query.gamma(), key.gamma()),
            None => (Gamma::default(), Gamma::default()),
        };
        Heads {
            shape: self.shape,
            layer: index,
            rows: self.plan.rows as u32,
            linear: scratch.projected.address(),
            angles: scratch.angles.address(),
            query_norm,
            key_norm,
            positions: scratch.positions.address(),
            sequences: scratch.sequences.address(),
            cache: self.cache(),
            queries: scratch.queries.address(),
            query_scales: scratch.query_scales.address(),
        }
        .launch()
    }

    /// Attention of all heads, in Q16.
    fn attend(&self, layer: u32) -> [Launch; 3] {
        let (shape, scratch, plan) = (self.shape, self.scratch, self.plan);
        let splits = Splits::new(
            shape,
            plan.tiles,
            (plan.table * assay_exact::cache::SLAB) as u32,
            self.limits.multiprocessors,
        );
        let attention = Attention {
            shape,
            layer,
            queries: scratch.queries.address(),
            query_scales: scratch.query_scales.address(),
            positions: scratch.positions.address(),
            sequences: scratch.sequences.address(),
            cache: self.cache(),
            tiles: scratch.tiles.address(),
            tile_count: plan.tiles as u32,
            many: plan.many,
            splits,
            maxima: scratch.maxima.address(),
        };
        let (denominators, parts) = (scratch.denominators.address(), scratch.parts.address());
        let mix = AttentionMix {
            attention,
            exp2: self.weights.exp2.address(),
            denominators,
            parts,
        };
        let out = AttentionOut {
            shape,
            rows: plan.rows as u32,
            positions: scratch.positions.address(),
            splits,
            maxima: scratch.maxima.address(),
            denominators,
            parts,
            out: scratch.mixed.address(),
        };
        [
            AttentionMaxima(attention).launch(),
            mix.launch(),
            out.launch(),
        ]
    }

    fn cache(&self) -> Cache {
        Cache {
            slabs: self.slabs,
            tables: self.scratch.tables.address(),
            table_stride: self.plan.table as u32,
        }
    }
}
