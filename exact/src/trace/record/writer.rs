//! Writes the rows that a pass shows as the leaves of a trace.

// Lengths are products of a shape's sizes and a pass's rows, and places are below them.
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]

use std::{
    ops::Range,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{
    choice::Choice,
    keep::{Keep, Number},
};
use crate::{
    cache::{Cache, SLAB},
    engine::{Attended, Engine, Heads, Norm, Observer, Quantised, Rows},
    leaf::{LeafError, PAGE},
    model::Gamma,
    number::Scale,
    op::{
        attention::Maxima,
        norm::{Statistics, Width},
    },
    trace::{
        layout::{completes_page, PRODUCT_BLOCK},
        row::pair,
        Layout, Place, Row, Span,
    },
};

/// Positions that one pass computes.
pub(super) struct Writer<'a, 'm> {
    engine: &'a Engine<'m>,
    layout: &'a Layout,
    /// The token at each position of the trace.
    tokens: &'a [u32],
    /// Of the draw.
    random: u64,
    head: Width,
    places: Vec<Places>,
    keep: &'a Keep<'a>,
    /// What attention gives for each head of each position, until all of it is there.
    attended: Mutex<Vec<(Maxima, i64)>>,
}

/// Where the rows of one position go.
struct Places {
    position: u32,
    /// By row; those of a layer where the first layer has them.
    spans: Vec<Option<Span>>,
    /// Leaves of a layer.
    layer: u64,
}

/// One thread's room.
#[derive(Default)]
struct Scratch {
    x: Vec<i32>,
    z: Vec<i64>,
    q: Vec<i16>,
    numbers: Vec<i64>,
}

/// Which of three rows of a norm.
struct NormRows {
    maximum: Row,
    squares: Row,
    product: Row,
}

impl<'a, 'm> Writer<'a, 'm> {
    pub fn new(
        engine: &'a Engine<'m>,
        layout: &'a Layout,
        tokens: &'a [u32],
        random: u64,
        positions: Range<u32>,
        keep: &'a Keep<'a>,
    ) -> Self {
        let shape = layout.shape();
        let none = Maxima {
            score: 0,
            shifted: 0,
        };
        let heads = positions.len() * usize::from(shape.heads);
        Self {
            engine,
            layout,
            tokens,
            random,
            head: Width::head(shape),
            places: positions
                .map(|position| Places::new(layout, position))
                .collect(),
            keep,
            attended: Mutex::new(vec![(none, 0); heads]),
        }
    }

    fn attended(&self) -> MutexGuard<'_, Vec<(Maxima, i64)>> {
        self.attended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A row of a position of the pass; nothing if the trace does not have it.
    fn put<T: Number>(&self, row: usize, layer: usize, kind: Row, numbers: &[T]) {
        if let Some((leaf, span)) = self.places[row].find(layer, kind) {
            self.keep.write(leaf, span.extent.width as usize, numbers);
        }
    }

    /// Calls `work` for each position of the pass, on all threads.
    fn each(
        &self,
        work: impl Fn(&mut Scratch, usize) -> Result<(), LeafError> + Sync,
    ) -> Result<(), LeafError> {
        let cpu = self.engine.cpu();
        cpu.each(self.places.len(), Scratch::default, work)
    }

    fn embedded(&self, angles: &[i32], residual: &[i32]) -> Result<(), LeafError> {
        let shape = self.layout.shape();
        let (d, n) = (usize::from(shape.head_dim), shape.hidden as usize);
        self.each(|scratch, row| {
            if self.layout.has_penalty() {
                let mut seen = vec![0u8; shape.vocabulary.div_ceil(8) as usize];
                for token in &self.tokens[..=self.places[row].position as usize] {
                    seen[(token / 8) as usize] |= 1 << (token % 8);
                }
                self.put(row, 0, Row::Seen, &seen);
            }
            let (cos, sin) = angles[row * d..][..d].split_at(d / 2);
            let pairs = cos.iter().zip(sin);
            scratch.numbers.clear();
            let pairs = pairs.map(|(cos, sin)| pair(*cos, *sin as u32));
            scratch.numbers.extend(pairs);
            self.put(row, 0, Row::Angles, &scratch.numbers);
            self.put(row, 0, Row::Embed, &residual[row * n..][..n]);
            Ok(())
        })
    }

    fn normed(&self, norm: Norm, residual: &[i32], q: Quantised) -> Result<(), LeafError> {
        use Row::*;
        let (cpu, model) = (self.engine.cpu(), self.engine.model());
        let (layer, rows, activation, scale, gamma) = match norm {
            Norm::Input(layer) => (
                layer,
                NormRows::new(InputMaximum, InputSquares, InputProduct),
                InputActivation,
                InputScale,
                model.layers[layer].input_norm,
            ),
            Norm::Post(layer) => (
                layer,
                NormRows::new(PostMaximum, PostSquares, PostProduct),
                PostActivation,
                PostScale,
                model.layers[layer].post_norm,
            ),
            Norm::Final => (
                0,
                NormRows::new(FinalMaximum, FinalSquares, FinalProduct),
                FinalActivation,
                FinalScale,
                model.final_norm,
            ),
        };
        let n = gamma.entries.len();
        // The final norm is that of the last positions alone.
        let skipped = self.places.len() - residual.len() / n;
        self.each(|scratch, row| {
            let Some(index) = row.checked_sub(skipped) else {
                return Ok(());
            };
            let x = &residual[index * n..][..n];
            scratch.z.resize(n, 0);
            let of = (cpu.rows.statistics)(x, gamma.entries, &mut scratch.z)?;
            self.statistics(row, layer, &rows, &[of]);
            self.put(row, layer, activation, &q.activations[index * n..][..n]);
            self.put(row, layer, scale, &q.scales[index..=index]);
            Ok(())
        })
    }

    fn statistics(&self, row: usize, layer: usize, rows: &NormRows, of: &[Statistics]) {
        let numbers = |number: fn(&Statistics) -> i64| of.iter().map(number).collect::<Vec<_>>();
        self.put(row, layer, rows.maximum, &numbers(|of| of.maximum));
        self.put(row, layer, rows.squares, &numbers(|of| of.squares));
        self.put(row, layer, rows.product, &numbers(|of| of.product));
    }

    fn projected(&self, layer: usize, qkv: [&[i32]; 3]) -> Result<(), LeafError> {
        use Row::*;
        let shape = self.layout.shape();
        let widths = [shape.query_width(), shape.kv_width(), shape.kv_width()];
        let model = &self.engine.model().layers[layer];
        let queries = NormRows::new(QueryNormMaximum, QueryNormSquares, QueryNormProduct);
        let keys = NormRows::new(KeyNormMaximum, KeyNormSquares, KeyNormProduct);
        self.each(|scratch, row| {
            let numbers = [0, 1, 2].map(|kind: usize| {
                let width = widths[kind] as usize;
                &qkv[kind][row * width..][..width]
            });
            for (kind, numbers) in [Query, Key, Value].into_iter().zip(numbers) {
                self.put(row, layer, kind, numbers);
            }
            if let Some(gamma) = model.q_norm {
                let of = self.head_norm(scratch, gamma, numbers[0])?;
                self.statistics(row, layer, &queries, &of);
                self.put(row, layer, QueryNorm, &scratch.x);
            }
            if let Some(gamma) = model.k_norm {
                let of = self.head_norm(scratch, gamma, numbers[1])?;
                self.statistics(row, layer, &keys, &of);
                self.put(row, layer, KeyNorm, &scratch.x);
            }
            Ok(())
        })
    }

    /// What the elements of each head share; the normed heads are in the scratch.
    fn head_norm(
        &self,
        scratch: &mut Scratch,
        gamma: Gamma,
        x: &[i32],
    ) -> Result<Vec<Statistics>, LeafError> {
        let rows = &self.engine.cpu().rows;
        let d = gamma.entries.len();
        scratch.x.clear();
        scratch.x.extend_from_slice(x);
        scratch.z.resize(d, 0);
        let heads = scratch.x.chunks_exact_mut(d);
        heads
            .map(|head| {
                let z = &mut scratch.z[..d];
                let of = (rows.statistics)(head, gamma.entries, z)?;
                (rows.head_norm)(head, gamma, &self.head, z)?;
                Ok(of)
            })
            .collect()
    }

    fn heads(&self, layer: usize, made: Heads, cache: &Cache) -> Result<(), LeafError> {
        use Row::*;
        let shape = self.layout.shape();
        let d = usize::from(shape.head_dim);
        let [query, kv] = [shape.heads, shape.kv_heads].map(usize::from);
        self.each(|_, row| {
            let [q, k, v] = made.turned;
            let (queries, keys) = (row * query..(row + 1) * query, row * kv..(row + 1) * kv);
            let wide = |heads: &Range<usize>| heads.start * d..heads.end * d;
            self.put(row, layer, QueryMaximum, &maxima(&q[wide(&queries)], d));
            self.put(row, layer, QueryActivation, &made.queries.0[wide(&queries)]);
            self.put(row, layer, QueryScale, &made.queries.1[queries]);
            self.put(row, layer, KeyMaximum, &maxima(&k[wide(&keys)], d));
            self.put(row, layer, KeyCached, &made.keys.0[wide(&keys)]);
            self.put(row, layer, KeyScale, &made.keys.1[keys.clone()]);
            self.put(row, layer, ValueMaximum, &maxima(&v[wide(&keys)], d));
            self.put(row, layer, ValueCached, &made.values.0[wide(&keys)]);
            self.put(row, layer, ValueScale, &made.values.1[keys]);
            let position = self.places[row].position;
            if completes_page(position) {
                let (numbers, scales) = page(cache, layer, position as usize, kv, d);
                self.put(row, layer, ValuePage, &numbers);
                self.put(row, layer, ValuePageScale, &scales);
            }
            Ok(())
        })
    }

    fn mixed(&self, layer: usize, mixed: &[i32], q: Quantised) -> Result<(), LeafError> {
        use Row::*;
        let shape = self.layout.shape();
        let (width, heads) = (shape.query_width() as usize, usize::from(shape.heads));
        let attended = self.attended().clone();
        self.each(|_, row| {
            let of = &attended[row * heads..][..heads];
            let scores: Vec<_> = of.iter().map(|(maxima, _)| maxima.score).collect();
            let shifted: Vec<_> = of.iter().map(|(maxima, _)| maxima.shifted).collect();
            let denominators: Vec<_> = of.iter().map(|(_, sum)| *sum).collect();
            self.put(row, layer, ScoreMaximum, &scores);
            self.put(row, layer, ShiftedMaximum, &shifted);
            self.put(row, layer, Denominator, &denominators);
            let mixed = &mixed[row * width..][..width];
            self.put(row, layer, Mixed, mixed);
            self.put(row, layer, MixedMaximum, &maxima(mixed, width));
            let activations = &q.activations[row * width..][..width];
            self.put(row, layer, MixedActivation, activations);
            self.put(row, layer, MixedScale, &q.scales[row..=row]);
            Ok(())
        })
    }

    fn residual(&self, layer: usize, kind: Row, x: &[i32]) -> Result<(), LeafError> {
        let n = self.layout.shape().hidden as usize;
        self.each(|_, row| {
            self.put(row, layer, kind, &x[row * n..][..n]);
            Ok(())
        })
    }

    fn feed_forward(
        &self,
        layer: usize,
        gate: &[i32],
        up: &[i32],
        q: Quantised,
    ) -> Result<(), LeafError> {
        use Row::*;
        let (cpu, intervals) = (self.engine.cpu(), self.engine.intervals());
        let ff = self.layout.shape().intermediate as usize;
        self.each(|scratch, row| {
            let part = row * ff..(row + 1) * ff;
            let (gate, up) = (&gate[part.clone()], &up[part.clone()]);
            self.put(row, layer, Gate, gate);
            self.put(row, layer, Up, up);
            scratch.z.resize(ff, 0);
            scratch.q.resize(ff, 0);
            let (z, activations) = (&mut scratch.z[..ff], &mut scratch.q[..ff]);
            (cpu.rows.silu)(gate, up, intervals, z, activations)?;
            let blocks = z.chunks(PRODUCT_BLOCK as usize);
            let blocks = blocks.map(|z| z.iter().fold(0, |most: i64, z| most.max(z.abs())));
            scratch.numbers.clear();
            scratch.numbers.extend(blocks);
            let most = scratch.numbers.iter().copied().max().unwrap_or(0);
            self.put(row, layer, ProductBlock, &scratch.numbers);
            self.put(row, layer, ProductMaximum, &[most]);
            self.put(row, layer, ProductActivation, &q.activations[part]);
            self.put(row, layer, ProductScale, &q.scales[row..=row]);
            Ok(())
        })
    }

    /// Logits of the last position, and its token.
    fn logits(&self, logits: &[i32]) -> Result<(), LeafError> {
        let last = self.places.len() - 1;
        self.put(last, 0, Row::Logits, logits);
        let choice = Choice {
            layout: self.layout,
            logits,
            seen: self.tokens,
            random: self.random,
            exp2: self.engine.model().tables.exp2,
        };
        for (kind, elements) in choice.rows()? {
            match kind {
                Row::Penalised => self.put(last, 0, kind, &narrow(&elements, |x| x as i32)),
                Row::LastBin | Row::Token => {
                    self.put(last, 0, kind, &narrow(&elements, |x| x as u32));
                }
                _ => self.put(last, 0, kind, &elements),
            }
        }
        Ok(())
    }
}

impl Observer for Writer<'_, '_> {
    fn see(&self, rows: Rows) -> Result<(), LeafError> {
        match rows {
            Rows::Embedded { angles, residual } => self.embedded(angles, residual),
            Rows::Normed(norm, residual, q) => self.normed(norm, residual, q),
            Rows::Projected(layer, qkv) => self.projected(layer, qkv),
            Rows::Heads(layer, made, cache) => self.heads(layer, made, cache),
            Rows::Mixed(layer, mixed, q) => self.mixed(layer, mixed, q),
            Rows::Output(layer, x) => self.residual(layer, Row::Output, x),
            Rows::FeedForward(layer, gate, up, q) => self.feed_forward(layer, gate, up, q),
            Rows::Down(layer, x) => self.residual(layer, Row::Down, x),
            Rows::Logits(logits) => self.logits(logits),
        }
    }

    fn attended(&self, seen: Attended, scores: &mut dyn Iterator<Item = (usize, &[i32])>) {
        let Attended {
            layer, row, head, ..
        } = seen;
        let heads = usize::from(self.layout.shape().heads);
        Writer::attended(self)[row * heads + head] = (seen.maxima, seen.denominator);
        let Some((leaf, span)) = self.places[row].find(layer, Row::Score) else {
            return;
        };
        let first = leaf + head as u64 * span.extent.group_leaves();
        // A slab's scores are a leaf.
        for (slab, scores) in scores {
            self.keep.write(first + slab as u64, SLAB, scores);
        }
    }
}

impl Places {
    fn new(layout: &Layout, position: u32) -> Self {
        let rows = [Row::BEFORE, Row::LAYER, Row::AFTER].concat();
        let place = |row: &Row| Place {
            position,
            layer: 0,
            row: *row,
        };
        Self {
            position,
            // In the order of the rows' numbers.
            spans: rows.iter().map(|row| layout.span(place(row))).collect(),
            layer: layout.layer_leaves(position),
        }
    }

    /// A row's first leaf, and its span in the first layer.
    fn find(&self, layer: usize, row: Row) -> Option<(u64, &Span)> {
        let span = self.spans[row as usize].as_ref()?;
        Some((span.leaf + layer as u64 * self.layer, span))
    }
}

impl NormRows {
    fn new(maximum: Row, squares: Row, product: Row) -> Self {
        Self {
            maximum,
            squares,
            product,
        }
    }
}

/// The largest size of each `width` numbers.
fn maxima(x: &[i32], width: usize) -> Vec<i64> {
    let largest = |x: &[i32]| x.iter().fold(0, |most, x| most.max(x.unsigned_abs()));
    x.chunks_exact(width).map(|x| largest(x).into()).collect()
}

/// Values of the page that a position completes, head by head and dimension by dimension; and their scales.
fn page(
    cache: &Cache,
    layer: usize,
    position: usize,
    heads: usize,
    d: usize,
) -> (Vec<i8>, Vec<Scale>) {
    let end = position % SLAB + 1;
    let mut numbers = Vec::with_capacity(heads * d * PAGE);
    let mut scales = Vec::with_capacity(heads * PAGE);
    for head in 0..heads {
        let pages = cache.pages(position / SLAB, layer, head, end);
        let places = end - PAGE..end;
        for dimension in 0..d {
            let value = |place| pages.value(d, place, dimension);
            numbers.extend(places.clone().map(value));
        }
        scales.extend(places.map(|place| pages.value_scale(place)));
    }
    (numbers, scales)
}

fn narrow<T>(numbers: &[i64], to: impl Fn(i64) -> T) -> Vec<T> {
    numbers.iter().map(|number| to(*number)).collect()
}
