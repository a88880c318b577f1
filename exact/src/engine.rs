//! The portable engine: runs the program over rows, several positions at a time (prefill) or one
//! (decode), with an int8 key-value cache. However the positions are cut, the bits are the same.

use alloc::{vec, vec::Vec};

use crate::{
    cache::{Cache, CachedLayer},
    leaf::{LeafError, Operand},
    model::{Gamma, Layer, Matrix, Model, ModelError},
    number::Scale,
    op::{attention, embed, head_norm, linear, norm, quant, rotary, silu},
    program::{Operator, Program, Step},
    shape::Shape,
};

/// Positions that one pass over the weights serves.
const CHUNK: usize = 32;

/// Why a run failed. The cache is then as it was before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EngineError {
    /// The model's tensors do not fit its shape, or a stored number is outside its range.
    Model(ModelError),
    /// A token is outside the vocabulary.
    Token(u32),
    /// The positions would exceed the shape's context.
    Context,
    /// The cache was made for another shape.
    Cache,
    /// A stored number is outside its range.
    Leaf(LeafError),
}

impl core::fmt::Display for EngineError {
    fn fmt(&self, f: &mut core::fmt::Formatter) -> core::fmt::Result {
        match self {
            Self::Model(error) => write!(f, "the model is not sound: {error}"),
            Self::Token(token) => write!(f, "token {token} is outside the vocabulary"),
            Self::Context => write!(f, "more positions than the model's context"),
            Self::Cache => write!(f, "the cache belongs to a model of another shape"),
            Self::Leaf(error) => write!(f, "a number is outside the format: {error:?}"),
        }
    }
}

impl core::error::Error for EngineError {}

impl From<LeafError> for EngineError {
    fn from(error: LeafError) -> Self {
        Self::Leaf(error)
    }
}

impl From<Operand> for EngineError {
    fn from(error: Operand) -> Self {
        Self::Leaf(error.into())
    }
}

/// Which positions' logits a run gives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Logits {
    /// None: the run only fills the cache.
    None,
    /// The last position's.
    Last,
    /// Every position's.
    All,
}

/// A model that was checked, and its program.
#[derive(Clone, Debug)]
pub struct Engine<'m> {
    model: &'m Model<'m>,
    program: Program,
    hidden: norm::Width,
    head: norm::Width,
}

impl<'m> Engine<'m> {
    /// Checks the shape, all lengths and the ranges of the small parameters.
    pub fn new(model: &'m Model<'m>) -> Result<Self, EngineError> {
        model.check().map_err(EngineError::Model)?;
        Ok(Self {
            model,
            program: Program::new(model.shape),
            hidden: norm::Width::hidden(model.shape),
            head: norm::Width::head(model.shape),
        })
    }

    /// An empty cache.
    pub fn cache(&self) -> Cache {
        Cache::new(self.model.shape)
    }

    /// Runs `tokens` at the positions after the cache's, and adds them to it. Gives the rows of
    /// logits that were asked for, one after the other (i32, Q16).
    pub fn run(
        &self,
        cache: &mut Cache,
        tokens: &[u32],
        logits: Logits,
    ) -> Result<Vec<i32>, EngineError> {
        let shape = self.model.shape;
        if !cache.fits(shape) {
            return Err(EngineError::Cache);
        }
        if cache.positions().saturating_add(tokens.len()) > shape.context as usize {
            return Err(EngineError::Context);
        }
        if let Some(token) = tokens.iter().find(|token| **token >= shape.vocabulary) {
            return Err(EngineError::Token(*token));
        }
        let before = cache.positions();
        let result = self.chunks(cache, tokens, logits);
        if result.is_err() {
            cache.truncate(before);
        }
        result
    }

    fn chunks(
        &self,
        cache: &mut Cache,
        tokens: &[u32],
        logits: Logits,
    ) -> Result<Vec<i32>, EngineError> {
        let mut out = Vec::new();
        let mut left = tokens;
        while !left.is_empty() {
            let (chunk, rest) = left.split_at_checked(CHUNK).unwrap_or((left, &[]));
            left = rest;
            let mut rows = Rows::new(chunk, cache.positions());
            for step in self.program.body() {
                self.step(step, &mut rows, cache)?;
            }
            cache.advance(chunk.len());
            match logits {
                Logits::All => {}
                Logits::Last if left.is_empty() => rows.keep_last(self.model.shape),
                _ => continue,
            }
            for step in self.program.head() {
                self.step(step, &mut rows, cache)?;
            }
            out.append(&mut rows.logits);
        }
        Ok(out)
    }

    fn step(&self, step: &Step, rows: &mut Rows, cache: &mut Cache) -> Result<(), EngineError> {
        let (model, shape) = (self.model, self.model.shape);
        let layer = usize::from(step.layer.unwrap_or(0));
        let weights = model.layers.get(layer).ok_or(Operand::Length)?;
        let cached = cache.layers.get_mut(layer).ok_or(EngineError::Cache)?;
        let head_dim = usize::from(shape.head_dim);
        match step.operator {
            Operator::Angles => {
                rows.angles = vec![rotary::Angle { cos: 0, sin: 0 }; rows.of(step.width)];
                let each = rows.angles.chunks_exact_mut(step.width as usize);
                for (position, angles) in (rows.first as u32..).zip(each) {
                    rotary::angles(&model.tables, position, angles)?;
                }
            }
            Operator::Embed => {
                rows.residual = vec![0; rows.of(step.width)];
                let each = rows.residual.chunks_exact_mut(step.width as usize);
                for (token, row) in rows.tokens.iter().zip(each) {
                    embed::row(&model.embedding, *token, shape.fraction_bits, row)?;
                }
            }
            Operator::InputNorm => rows.norm(weights.input_norm, &self.hidden)?,
            Operator::PostNorm => rows.norm(weights.post_norm, &self.hidden)?,
            Operator::FinalNorm => rows.norm(model.final_norm, &self.hidden)?,
            Operator::Query => rows.q = rows.linear(&weights.q)?,
            Operator::Key => rows.k = rows.linear(&weights.k)?,
            Operator::Value => rows.v = rows.linear(&weights.v)?,
            Operator::Gate => rows.gate = rows.linear(&weights.gate)?,
            Operator::Up => rows.up = rows.linear(&weights.up)?,
            Operator::Logits => {
                let head = model.head.as_ref().unwrap_or(&model.embedding.high);
                rows.logits = rows.linear(head)?;
            }
            Operator::Output => rows.add(&weights.o, shape.fraction_bits)?,
            Operator::Down => rows.add(&weights.down, shape.fraction_bits)?,
            Operator::QueryNorm => self.head_norm(&mut rows.q, weights, |layer| layer.q_norm)?,
            Operator::KeyNorm => self.head_norm(&mut rows.k, weights, |layer| layer.k_norm)?,
            Operator::QueryRotation => {
                rotate(&mut rows.q, &rows.angles, head_dim, shape.heads)?;
            }
            Operator::KeyRotation => {
                rotate(&mut rows.k, &rows.angles, head_dim, shape.kv_heads)?;
            }
            Operator::QueryQuant => {
                rows.query = vec![0; rows.q.len()];
                rows.query_scales.clear();
                let each = rows.query.chunks_exact_mut(head_dim);
                for (x, q) in rows.q.chunks_exact(head_dim).zip(each) {
                    rows.query_scales.push(quant::row16(x, q)?);
                }
            }
            Operator::KeyQuant => cached.keys.append(&rows.k, head_dim)?,
            Operator::ValueQuant => cached.values.append(&rows.v, head_dim)?,
            Operator::Attention => rows.attend(cached, shape, model.tables.exp2)?,
            Operator::AttentionQuant => {
                rows.activations = vec![0; rows.attention.len()];
                rows.scales.clear();
                let width = step.width as usize;
                let each = rows.activations.chunks_exact_mut(width);
                for (x, q) in rows.attention.chunks_exact(width).zip(each) {
                    rows.scales.push(quant::row16(x, q)?);
                }
            }
            Operator::SiluMul => {
                rows.activations = vec![0; rows.gate.len()];
                rows.scales.clear();
                let width = step.width as usize;
                let both = rows
                    .gate
                    .chunks_exact(width)
                    .zip(rows.up.chunks_exact(width));
                for ((gate, up), q) in both.zip(rows.activations.chunks_exact_mut(width)) {
                    rows.scales.push(silu::row(gate, up, model.tables.silu, q)?);
                }
            }
        }
        Ok(())
    }

    fn head_norm(
        &self,
        x: &mut [i32],
        layer: &Layer<'m>,
        gamma: fn(&Layer<'m>) -> Option<Gamma<'m>>,
    ) -> Result<(), EngineError> {
        let gamma = gamma(layer).ok_or(Operand::Length)?;
        for head in x.chunks_exact_mut(self.model.shape.head_dim.into()) {
            head_norm::row(head, gamma, &self.head)?;
        }
        Ok(())
    }
}

fn rotate(
    x: &mut [i32],
    angles: &[rotary::Angle],
    head_dim: usize,
    heads: u16,
) -> Result<(), LeafError> {
    let positions = x.chunks_exact_mut(head_dim.saturating_mul(heads.into()));
    for (row, angles) in positions.zip(angles.chunks_exact(head_dim >> 1)) {
        for head in row.chunks_exact_mut(head_dim) {
            rotary::row(head, angles)?;
        }
    }
    Ok(())
}

/// The rows of a chunk of positions, each kind one position after the other.
#[derive(Default)]
struct Rows {
    tokens: Vec<u32>,
    /// Position of the first token.
    first: usize,
    angles: Vec<rotary::Angle>,
    residual: Vec<i32>,
    /// The latest quantised rows, and a scale for each.
    activations: Vec<i16>,
    scales: Vec<Scale>,
    q: Vec<i32>,
    k: Vec<i32>,
    v: Vec<i32>,
    /// int16 queries, and a scale for each head of each position.
    query: Vec<i16>,
    query_scales: Vec<Scale>,
    attention: Vec<i32>,
    gate: Vec<i32>,
    up: Vec<i32>,
    logits: Vec<i32>,
}

impl Rows {
    fn new(tokens: &[u32], first: usize) -> Self {
        Self {
            tokens: tokens.to_vec(),
            first,
            ..Self::default()
        }
    }

    /// Numbers in rows of `width` for all positions.
    fn of(&self, width: u32) -> usize {
        self.tokens.len().saturating_mul(width as usize)
    }

    /// Drops all residuals but the last.
    fn keep_last(&mut self, shape: &Shape) {
        let from = self.residual.len().saturating_sub(shape.hidden as usize);
        self.residual.drain(..from);
    }

    fn norm(&mut self, gamma: Gamma, width: &norm::Width) -> Result<(), LeafError> {
        let elements = gamma.entries.len().max(1);
        self.activations = vec![0; self.residual.len()];
        self.scales.clear();
        let each = self.activations.chunks_exact_mut(elements);
        for (x, q) in self.residual.chunks_exact(elements).zip(each) {
            self.scales.push(norm::row(x, gamma, width, q)?);
        }
        Ok(())
    }

    fn linear(&self, matrix: &Matrix) -> Result<Vec<i32>, LeafError> {
        let mut out = vec![0; self.scales.len().saturating_mul(matrix.rows.len())];
        linear::rows(&self.activations, &self.scales, matrix, 16, &mut out)?;
        Ok(out)
    }

    fn add(&mut self, matrix: &Matrix, fraction_bits: u8) -> Result<(), LeafError> {
        linear::rows_added(
            &self.activations,
            &self.scales,
            matrix,
            fraction_bits,
            &mut self.residual,
        )
    }

    fn attend(
        &mut self,
        cached: &CachedLayer,
        shape: &Shape,
        exp2: &[i32],
    ) -> Result<(), LeafError> {
        let head_dim = usize::from(shape.head_dim);
        let (heads, group) = (usize::from(shape.heads), usize::from(shape.group()));
        self.attention = vec![0; self.query.len()];
        let queries = self.query.chunks_exact(head_dim).zip(&self.query_scales);
        for (index, ((q, scale), out)) in queries
            .zip(self.attention.chunks_exact_mut(head_dim))
            .enumerate()
        {
            let (Some(row), Some(head)) = (index.checked_div(heads), index.checked_rem(heads))
            else {
                continue;
            };
            let kv = head.checked_div(group).unwrap_or(0);
            attention::row(
                q,
                *scale,
                cached.keys.of(kv, shape),
                cached.values.of(kv, shape),
                // Row's own position is visible to it.
                self.first.saturating_add(row).saturating_add(1),
                exp2,
                out,
            )?;
        }
        Ok(())
    }
}
