//! Models with random weights, in memory: of any shape, and of ordinary sizes, so that attention
//! looks at several positions and logits lie some units apart.

// Lengths are products of a shape's sizes; whoever chooses the shape has the memory.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use crate::{
    model::{Embedding, Gamma, Layer, Matrix, Model, Row, Tables},
    shape::Shape,
    tables, Scale,
};

/// Numbers that depend on nothing but their order: splitmix64.
#[derive(Clone)]
pub struct Numbers(u64);

impl Numbers {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    /// Below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.draw() % end as u64) as usize
    }

    pub fn tokens(&mut self, count: usize, shape: &Shape) -> Vec<u32> {
        let token = |_| self.below(shape.vocabulary as usize) as u32;
        (0..count).map(token).collect()
    }
}

/// The numbers of a model.
pub struct Weights {
    shape: Shape,
    exp2: Vec<i32>,
    silu: Vec<i32>,
    low: Vec<i32>,
    high: Vec<i32>,
    /// All int8 weights, in the order of [`Weights::model`], and the embedding's low limbs.
    arena: Vec<i8>,
    columns: Vec<i8>,
    /// Row parameters, in the order of the matrices.
    rows: Vec<Vec<Row>>,
    /// Entries of the norms, in order.
    gammas: Vec<Vec<i32>>,
}

/// Outputs and inputs of a shape's matrices, in order.
fn matrices(shape: &Shape) -> Vec<(usize, usize)> {
    let (n, ff) = (shape.hidden as usize, shape.intermediate as usize);
    let (query, kv) = (shape.query_width() as usize, shape.kv_width() as usize);
    let layer = [
        (query, n),
        (kv, n),
        (kv, n),
        (n, query),
        (ff, n),
        (ff, n),
        (n, ff),
    ];
    let vocabulary = (shape.vocabulary as usize, n);
    let mut all = vec![vocabulary];
    all.extend((0..shape.layers).flat_map(|_| layer));
    all.extend((!shape.tied).then_some(vocabulary));
    all
}

impl Weights {
    pub fn random(shape: &Shape, seed: u64) -> Self {
        let mut numbers = Numbers::new(seed);
        let matrices = matrices(shape);
        let limbs = (shape.vocabulary * shape.hidden) as usize;
        let weights: usize = matrices
            .iter()
            .map(|(outputs, inputs)| outputs * inputs)
            .sum();
        let mut arena = vec![0i8; weights + limbs];
        for bytes in arena.chunks_mut(8) {
            let random = numbers.draw().to_le_bytes();
            for (weight, byte) in bytes.iter_mut().zip(random) {
                // Not -128.
                *weight = (byte as i8).max(-127);
            }
        }
        let (n, d) = (shape.hidden as usize, usize::from(shape.head_dim));
        let norms = usize::from(shape.layers) * if shape.head_norms { 4 } else { 2 } + 1;
        let mut gamma = |index: usize| {
            let inside = index + 1 < norms && shape.head_norms;
            let width = if inside && (1..=2).contains(&(index % 4)) {
                d
            } else {
                n
            };
            let entry = |_| (1 << 22) + (numbers.draw() as i32 >> 9);
            (0..width).map(entry).collect()
        };
        let gammas = (0..norms).map(&mut gamma).collect();
        let rows = matrices.iter().enumerate();
        let rows = rows.map(|(index, (outputs, inputs))| {
            let inside = index > 0 && index <= 7 * usize::from(shape.layers);
            let biased = shape.biases && inside && (1..=3).contains(&(index % 7));
            let row = |_| parameters(&mut numbers, *inputs, biased);
            (0..*outputs).map(row).collect()
        });
        let (low, high) = tables::rotary(shape);
        Self {
            exp2: tables::exp2(),
            silu: tables::silu(),
            low,
            high,
            arena,
            rows: rows.collect(),
            columns: (0..n).map(|i| (i % 3) as i8 - 1).collect(),
            gammas,
            shape: shape.clone(),
        }
    }

    /// All int8 weights that a token's decoding reads, one after the other.
    pub fn bytes(&self) -> &[i8] {
        let limbs = (self.shape.vocabulary * self.shape.hidden) as usize;
        let skipped = if self.shape.tied { 0 } else { limbs };
        &self.arena[skipped..self.arena.len() - limbs]
    }

    pub fn model(&self) -> Model<'_> {
        let shape = &self.shape;
        let mut rest = self.arena.as_slice();
        let mut all = matrices(shape).into_iter().zip(&self.rows);
        let mut gammas = self.gammas.iter();
        let mut matrix = || {
            let ((outputs, inputs), rows) = all.next().unwrap();
            let weights;
            (weights, rest) = rest.split_at(outputs * inputs);
            Matrix {
                inputs,
                weights,
                rows,
            }
        };
        let mut gamma = || Gamma {
            exponent: -22,
            entries: gammas.next().unwrap(),
        };
        let high = matrix();
        let layers = (0..shape.layers)
            .map(|_| Layer {
                input_norm: gamma(),
                q_norm: shape.head_norms.then(&mut gamma),
                k_norm: shape.head_norms.then(&mut gamma),
                post_norm: gamma(),
                q: matrix(),
                k: matrix(),
                v: matrix(),
                o: matrix(),
                gate: matrix(),
                up: matrix(),
                down: matrix(),
            })
            .collect();
        let head = (!shape.tied).then(&mut matrix);
        Model {
            shape,
            tables: Tables {
                exp2: &self.exp2,
                silu: &self.silu,
                low: &self.low,
                high: &self.high,
            },
            embedding: Embedding {
                high,
                low: rest,
                columns: &self.columns,
            },
            layers,
            final_norm: gamma(),
            head,
        }
    }
}

/// Of a row whose outputs are about as large as its inputs: 1 / (73 · sqrt(inputs)), where 73 is the
/// size of a weight.
fn parameters(numbers: &mut Numbers, inputs: usize, biased: bool) -> Row {
    let size = (73 * (inputs as i64).isqrt()).max(1);
    // Between a half and one and a half times that.
    let factor = (1 << 15) + numbers.below(1 << 16) as i64;
    let scale = Scale::norm((factor << 24) / size, -40);
    Row {
        mantissa: scale.mantissa,
        exponent: scale.exponent as i16,
        bias: if biased {
            numbers.draw() as i32 >> 14
        } else {
            0
        },
    }
}
