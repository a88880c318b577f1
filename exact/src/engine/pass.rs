//! One pass: the steps of [`crate::program`] for the rows of several sequences.

// Lengths are products of a shape's sizes and a pass's rows, and places are below them.
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]

mod accelerated;
mod heads;

use super::{
    attention::{Queries, Reader},
    linear::{self, Activations, Output},
    observer::{Heads, Norm, Observer, Quantised, Rows},
    Choice, Engine, EngineError, Made, Part, Sequence, Times, CHUNK,
};
use crate::{
    accelerator::Accelerator,
    cpu::Parts,
    leaf::LeafError,
    model::{Gamma, Layer, Matrix},
    number::Scale,
    op::rotary,
};

/// Rows of one pass, each kind one token after the other, and the engine that they run on.
pub(super) struct Pass<'a, 'm> {
    engine: &'a Engine<'m>,
    /// What runs the rows instead.
    accelerator: Option<&'m dyn Accelerator>,
    times: &'a mut Times,
    /// Of a batch of one sequence.
    observer: Option<&'a dyn Observer>,
    pieces: Vec<Piece>,
    /// Tokens of all pieces.
    rows: usize,
    /// Cosines, then sines, of each token's position.
    angles: Vec<i32>,
    residual: Vec<i32>,
    /// The latest activations, and a scale for each row.
    activations: Vec<i16>,
    scales: Vec<Scale>,
    q: Vec<i32>,
    k: Vec<i32>,
    v: Vec<i32>,
    /// int16 queries, and a scale for each head of each token.
    queries: Vec<i16>,
    query_scales: Vec<Scale>,
    /// int8 keys and values, and their scales.
    keys: Vec<i8>,
    key_scales: Vec<Scale>,
    values: Vec<i8>,
    value_scales: Vec<Scale>,
    attention: Vec<i32>,
    gate: Vec<i32>,
    up: Vec<i32>,
}

/// The tokens of one sequence that a pass takes.
#[derive(Clone, Copy)]
struct Piece {
    sequence: usize,
    /// Its first token, and how many.
    token: usize,
    tokens: usize,
    /// Its first row.
    row: usize,
    /// The first token's position.
    position: usize,
    /// How many of its last tokens' logits are asked for.
    logits: usize,
}

impl<'a, 'm> Pass<'a, 'm> {
    pub fn new(
        engine: &'a Engine<'m>,
        accelerator: Option<&'m dyn Accelerator>,
        times: &'a mut Times,
        observer: Option<&'a dyn Observer>,
    ) -> Self {
        Self {
            engine,
            accelerator,
            times,
            observer,
            pieces: Vec::new(),
            rows: 0,
            angles: Vec::new(),
            residual: Vec::new(),
            activations: Vec::new(),
            scales: Vec::new(),
            q: Vec::new(),
            k: Vec::new(),
            v: Vec::new(),
            queries: Vec::new(),
            query_scales: Vec::new(),
            keys: Vec::new(),
            key_scales: Vec::new(),
            values: Vec::new(),
            value_scales: Vec::new(),
            attention: Vec::new(),
            gate: Vec::new(),
            up: Vec::new(),
        }
    }

    /// Runs all tokens of the batch, [`CHUNK`] of them at a time.
    pub fn run(
        &mut self,
        batch: &mut [Sequence],
        choices: &[Option<Choice>],
    ) -> Result<Vec<Made>, EngineError> {
        let vocabulary = self.engine.model.shape.vocabulary as usize;
        let choices = match self.accelerator {
            Some(_) => choices,
            None => &[],
        };
        let made = |(index, one): (usize, &Sequence)| {
            let rows = one.logits.of(one.tokens.len());
            match choices.get(index) {
                Some(Some(_)) => Made::Tokens(Vec::with_capacity(rows)),
                _ => Made::Logits(Vec::with_capacity(rows * vocabulary)),
            }
        };
        let mut all: Vec<_> = batch.iter().enumerate().map(made).collect();
        let mut done = vec![0; batch.len()];
        while self.take(batch, &mut done) {
            self.times.start();
            for piece in &self.pieces {
                batch[piece.sequence].cache.reserve(piece.tokens)?;
            }
            self.embed(batch)?;
            if let Some(accelerator) = self.accelerator {
                self.accelerate(accelerator, batch, choices, &mut all)?;
                continue;
            }
            let engine = self.engine;
            for (index, layer) in engine.model.layers.iter().enumerate() {
                self.layer(index, layer, batch)?;
            }
            for piece in &self.pieces {
                batch[piece.sequence].cache.advance(piece.tokens);
            }
            self.logits(&mut all)?;
        }
        Ok(all)
    }

    /// The next tokens, in the order of the sequences. False if none is left.
    fn take(&mut self, batch: &[Sequence], done: &mut [usize]) -> bool {
        self.pieces.clear();
        self.rows = 0;
        for (sequence, (of, done)) in batch.iter().zip(done).enumerate() {
            let left = of.tokens.len() - *done;
            let tokens = left.min(CHUNK - self.rows);
            if tokens == 0 {
                continue;
            }
            let after = left - tokens;
            self.pieces.push(Piece {
                sequence,
                token: *done,
                tokens,
                row: self.rows,
                position: of.cache.positions(),
                logits: of
                    .logits
                    .of(of.tokens.len())
                    .saturating_sub(after)
                    .min(tokens),
            });
            *done += tokens;
            self.rows += tokens;
        }
        self.rows > 0
    }

    /// Angles, and the residual.
    fn embed(&mut self, batch: &[Sequence]) -> Result<(), EngineError> {
        let model = &self.engine.model;
        let (d, n) = (
            usize::from(model.shape.head_dim),
            model.shape.hidden as usize,
        );
        self.angles.resize(self.rows * d, 0);
        self.residual.resize(self.rows * n, 0);
        let mut turns = vec![rotary::Angle { cos: 0, sin: 0 }; d / 2];
        let mut limbs = Vec::new();
        for piece in &self.pieces {
            let tokens = &batch[piece.sequence].tokens[piece.token..][..piece.tokens];
            for (index, token) in tokens.iter().enumerate() {
                let row = piece.row + index;
                let position = (piece.position + index) as u32;
                rotary::angles(&model.tables, position, &mut turns)?;
                let (cos, sin) = self.angles[row * d..][..d].split_at_mut(d / 2);
                for ((turn, cos), sin) in turns.iter().zip(cos).zip(sin) {
                    (*cos, *sin) = (turn.cos, turn.sin);
                }
                let x = &mut self.residual[row * n..][..n];
                self.engine.embedding.row(*token, &mut limbs, x)?;
            }
        }
        self.times.lap(Part::Embed);
        self.show(Rows::Embedded {
            angles: &self.angles,
            residual: &self.residual,
        })
    }

    fn layer(
        &mut self,
        index: usize,
        layer: &Layer,
        batch: &mut [Sequence],
    ) -> Result<(), EngineError> {
        let fraction_bits = self.engine.model.shape.fraction_bits;
        self.norm(Norm::Input(index), layer.input_norm)?;
        self.project(index, layer)?;
        self.heads(layer)?;
        self.append(index, batch);
        self.attend(index, batch)?;
        self.add(&layer.o, fraction_bits)?;
        self.show(Rows::Output(index, &self.residual))?;
        self.norm(Norm::Post(index), layer.post_norm)?;
        self.feed_forward(index, layer)?;
        self.add(&layer.down, fraction_bits)?;
        self.show(Rows::Down(index, &self.residual))
    }

    /// Shows rows to whoever wants to see them.
    fn show(&self, rows: Rows) -> Result<(), EngineError> {
        match self.observer {
            Some(observer) => Ok(observer.see(rows)?),
            None => Ok(()),
        }
    }

    /// The latest activations.
    fn quantised(&self) -> Quantised<'_> {
        Quantised {
            activations: &self.activations,
            scales: &self.scales,
        }
    }

    /// Activations of the residual.
    fn norm(&mut self, norm: Norm, gamma: Gamma) -> Result<(), EngineError> {
        let (cpu, width) = (self.engine.cpu, &self.engine.hidden);
        let n = gamma.entries.len();
        let x = &self.residual;
        let row = |z: &mut [i64], row: usize, q: &mut [i16]| {
            (cpu.rows.norm)(&x[row * n..][..n], gamma, width, z, q)
        };
        quantise(
            cpu,
            n,
            self.rows,
            &mut self.activations,
            &mut self.scales,
            row,
        )?;
        self.times.lap(Part::Norm);
        self.show(Rows::Normed(norm, &self.residual, self.quantised()))
    }

    fn project(&mut self, index: usize, layer: &Layer) -> Result<(), EngineError> {
        let outputs = [
            output(&layer.q, self.rows, &mut self.q),
            output(&layer.k, self.rows, &mut self.k),
            output(&layer.v, self.rows, &mut self.v),
        ];
        let activations = Activations {
            numbers: &self.activations,
            scales: &self.scales,
        };
        linear::run(self.engine.cpu, activations, outputs)?;
        self.times.lap(Part::Linear);
        self.show(Rows::Projected(index, [&self.q, &self.k, &self.v]))
    }

    /// Attention of all heads, and its activations.
    fn attend(&mut self, layer: usize, batch: &[Sequence]) -> Result<(), EngineError> {
        let engine = self.engine;
        let width = engine.model.shape.query_width() as usize;
        let readers: Vec<Reader> = self
            .pieces
            .iter()
            .map(|piece| Reader {
                cache: &*batch[piece.sequence].cache,
                row: piece.row,
                rows: piece.tokens,
                position: piece.position,
            })
            .collect();
        if let [piece] = self.pieces[..] {
            let cache = &*batch[piece.sequence].cache;
            self.show(Rows::Heads(layer, self.made_heads(), cache))?;
        }
        let queries = Queries {
            numbers: &self.queries,
            scales: &self.query_scales,
        };
        self.attention.resize(self.rows * width, 0);
        let out = &mut self.attention;
        engine.attention.run(
            engine.cpu,
            &engine.intervals,
            layer,
            &readers,
            queries,
            self.observer,
            out,
        )?;
        let (cpu, x) = (engine.cpu, &self.attention);
        let row = |z: &mut [i64], row: usize, q: &mut [i16]| {
            (cpu.rows.quant16)(&x[row * width..][..width], z, q)
        };
        quantise(
            cpu,
            width,
            self.rows,
            &mut self.activations,
            &mut self.scales,
            row,
        )?;
        self.times.lap(Part::Attention);
        self.show(Rows::Mixed(layer, &self.attention, self.quantised()))
    }

    /// A linear map of the activations, added to the residual.
    fn add(&mut self, matrix: &Matrix, fraction_bits: u8) -> Result<(), EngineError> {
        let activations = Activations {
            numbers: &self.activations,
            scales: &self.scales,
        };
        let rows = self.residual.chunks_exact_mut(matrix.rows.len());
        let output = Output::added(matrix, fraction_bits, rows);
        linear::run(self.engine.cpu, activations, [output])?;
        self.times.lap(Part::Linear);
        Ok(())
    }

    /// The gate, and its activations.
    fn feed_forward(&mut self, index: usize, layer: &Layer) -> Result<(), EngineError> {
        let (cpu, intervals) = (self.engine.cpu, &self.engine.intervals);
        let outputs = [
            output(&layer.gate, self.rows, &mut self.gate),
            output(&layer.up, self.rows, &mut self.up),
        ];
        let activations = Activations {
            numbers: &self.activations,
            scales: &self.scales,
        };
        linear::run(cpu, activations, outputs)?;
        self.times.lap(Part::Linear);
        let ff = layer.gate.rows.len();
        let (gate, up) = (&self.gate, &self.up);
        let row = |z: &mut [i64], row: usize, q: &mut [i16]| {
            let part = row * ff..(row + 1) * ff;
            (cpu.rows.silu)(&gate[part.clone()], &up[part], intervals, z, q)
        };
        quantise(
            cpu,
            ff,
            self.rows,
            &mut self.activations,
            &mut self.scales,
            row,
        )?;
        self.times.lap(Part::Silu);
        let product = self.quantised();
        self.show(Rows::FeedForward(index, &self.gate, &self.up, product))
    }

    /// Logits of the rows that were asked for, behind what their sequences have.
    fn logits(&mut self, all: &mut [Made]) -> Result<(), EngineError> {
        let model = &self.engine.model;
        let n = model.shape.hidden as usize;
        let mut kept = 0;
        for piece in &self.pieces {
            let end = piece.row + piece.tokens;
            let asked = (end - piece.logits) * n..end * n;
            self.residual.copy_within(asked, kept * n);
            kept += piece.logits;
        }
        if kept == 0 {
            return Ok(());
        }
        self.rows = kept;
        self.residual.truncate(kept * n);
        self.norm(Norm::Final, model.final_norm)?;
        let head = model.head.as_ref().unwrap_or(&model.embedding.high);
        let mut rows = Vec::new();
        let mut pieces = self.pieces.iter().peekable();
        for (sequence, made) in all.iter_mut().enumerate() {
            let Made::Logits(out) = made else { continue };
            if let Some(piece) = pieces.next_if(|piece| piece.sequence == sequence) {
                let held = out.len();
                out.resize(held + piece.logits * head.rows.len(), 0);
                rows.extend(out[held..].chunks_exact_mut(head.rows.len()));
            }
        }
        let activations = Activations {
            numbers: &self.activations,
            scales: &self.scales,
        };
        let output = Output::new(head, rows.into_iter());
        linear::run(self.engine.cpu, activations, [output])?;
        self.times.lap(Part::Logits);
        match all {
            [Made::Logits(logits)] => self.show(Rows::Logits(logits)),
            _ => Ok(()),
        }
    }
}

/// Outputs in Q16 into `out`, which gets their length.
fn output<'a>(matrix: &'a Matrix<'a>, rows: usize, out: &'a mut Vec<i32>) -> Output<'a> {
    out.resize(rows * matrix.rows.len(), 0);
    Output::new(matrix, out.chunks_exact_mut(matrix.rows.len()))
}

/// Activations of `rows` rows of `width`: `row` makes one, with room for its intermediate numbers.
fn quantise(
    cpu: &crate::Cpu,
    width: usize,
    rows: usize,
    activations: &mut Vec<i16>,
    scales: &mut Vec<Scale>,
    row: impl Fn(&mut [i64], usize, &mut [i16]) -> Result<Scale, LeafError> + Sync,
) -> Result<(), LeafError> {
    activations.resize(rows * width, 0);
    scales.resize(rows, Scale::ZERO);
    let (activations, scales) = (Parts::new(activations), Parts::new(scales));
    cpu.each(
        rows,
        || vec![0; width],
        |z, index| {
            // SAFETY: each row has its own activations and scale.
            let (q, scale) = unsafe {
                let q = activations.part(index * width..(index + 1) * width);
                (q, scales.part(index..index + 1))
            };
            scale.fill(row(z, index, q)?);
            Ok(())
        },
    )
}
