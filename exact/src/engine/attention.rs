//! Attention of one layer: each sequence's rows over its own cache, some tokens of one key-value head
//! at a time.

// Lengths are products of a shape's sizes and a pass's rows, and places are below them.
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]

use std::ops::Range;

use super::observer::{Attended, Observer};
use crate::{
    cache::{Cache, SLAB},
    cpu::{Cpu, Parts},
    leaf::LeafError,
    number::Scale,
    op::attention::{head_scale, Inverse, Maxima},
    rows::Intervals,
    shape::Shape,
};

/// Scores that one thread holds at a time, about.
const SCORES: usize = 1 << 16;
/// Most query rows that one thread takes at a time.
const QUERIES: usize = 64;

/// The sizes of a layer's heads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attention {
    heads: usize,
    kv_heads: usize,
    /// Query heads that read one key-value head.
    group: usize,
    head_dim: usize,
    /// log2(e) / sqrt(d).
    scale: Scale,
}

/// One sequence's rows in a pass.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    pub cache: &'a Cache,
    /// Its first row in the pass.
    pub row: usize,
    pub rows: usize,
    /// The position of its first row.
    pub position: usize,
}

/// Quantised queries of all rows, and a scale for each head.
#[derive(Clone, Copy)]
pub(super) struct Queries<'a> {
    pub numbers: &'a [i16],
    pub scales: &'a [Scale],
}

/// Some tokens of one sequence, and query heads that read one key-value head.
struct Unit<'a> {
    reader: Reader<'a>,
    tokens: Range<usize>,
    kv_head: usize,
    /// The first of its query heads, and how many.
    first: usize,
    heads: usize,
}

/// One thread's room. What belongs to a slab has a row of its positions for each query.
#[derive(Default)]
struct Scratch {
    queries: Vec<i16>,
    /// \[slab\]\[query\]\[position\].
    scores: Vec<i32>,
    weights: Vec<i16>,
    /// \[query\]\[dimension\].
    sums: Vec<i64>,
}

impl Attention {
    pub fn new(shape: &Shape) -> Self {
        Self {
            heads: shape.heads.into(),
            kv_heads: shape.kv_heads.into(),
            group: shape.group().into(),
            head_dim: shape.head_dim.into(),
            scale: head_scale(shape.head_dim),
        }
    }

    /// Outputs of all heads into `out`, a row for each token.
    #[allow(clippy::too_many_arguments)]
    pub fn run(
        &self,
        cpu: &Cpu,
        intervals: &Intervals,
        layer: usize,
        readers: &[Reader],
        queries: Queries,
        observer: Option<&dyn Observer>,
        out: &mut [i32],
    ) -> Result<(), LeafError> {
        let units = self.units(cpu.threads(), readers);
        let out = Parts::new(out);
        cpu.each(units.len(), Scratch::default, |scratch, unit| {
            let unit = &units[unit];
            self.unit(
                cpu, intervals, layer, unit, queries, observer, &out, scratch,
            )
        })
    }

    /// Some for every thread, as far as there are heads.
    fn units<'a>(&self, threads: usize, readers: &[Reader<'a>]) -> Vec<Unit<'a>> {
        let shares = threads.div_ceil(self.kv_heads * readers.len().max(1));
        let share = self.group.div_ceil(shares);
        let mut units = Vec::new();
        for reader in readers {
            let positions = reader.position + reader.rows;
            // The scratch holds scores for every head of a unit, even for one token.
            let heads = share.min((SCORES / positions).max(1));
            let tokens = ((SCORES / positions).min(QUERIES) / heads).max(1);
            for start in (0..reader.rows).step_by(tokens) {
                for first in (0..self.heads).step_by(self.group) {
                    let shares = (first..first + self.group).step_by(heads);
                    units.extend(shares.map(|share| Unit {
                        reader: *reader,
                        tokens: start..reader.rows.min(start + tokens),
                        kv_head: first / self.group,
                        first: share,
                        heads: heads.min(first + self.group - share),
                    }));
                }
            }
        }
        units
    }

    #[allow(clippy::too_many_arguments)]
    fn unit(
        &self,
        cpu: &Cpu,
        intervals: &Intervals,
        layer: usize,
        unit: &Unit,
        queries: Queries,
        observer: Option<&dyn Observer>,
        out: &Parts<i32>,
        scratch: &mut Scratch,
    ) -> Result<(), LeafError> {
        let (d, reader) = (self.head_dim, &unit.reader);
        let count = unit.tokens.len() * unit.heads;
        // The heads of a unit lie together in a token's row.
        let first_head = |token: usize| (reader.row + token) * self.heads + unit.first;
        scratch.queries.clear();
        for token in unit.tokens.clone() {
            let first = first_head(token);
            let heads = first * d..(first + unit.heads) * d;
            scratch.queries.extend_from_slice(&queries.numbers[heads]);
        }
        let positions = reader.position + unit.tokens.end;
        let slabs = positions.div_ceil(SLAB);
        let tile = count * SLAB;
        scratch.scores.resize(slabs * tile, 0);
        scratch.weights.clear();
        scratch.weights.resize(slabs * tile, 0);
        scratch.sums.clear();
        scratch.sums.resize(count * d, 0);
        for (slab, scores) in scratch.scores.chunks_exact_mut(tile).enumerate() {
            let keys = reader.cache.pages(slab, layer, unit.kv_head, SLAB).keys;
            (cpu.kernels.scores)(&scratch.queries, keys, d, scores);
        }
        let mut inverses = Vec::with_capacity(count);
        for query in 0..count {
            let token = unit.tokens.start + query / unit.heads;
            let quantised = queries.scales[first_head(token) + query % unit.heads];
            let visible = Visible {
                cache: reader.cache,
                layer,
                head: unit.kv_head,
                // Its own position is visible to a token.
                positions: reader.position + token + 1,
                query: quantised.times(self.scale),
            };
            let of = |slab: usize| slab * tile + query * SLAB..slab * tile + (query + 1) * SLAB;
            let maxima = visible.scores(cpu, &mut scratch.scores, of);
            let denominator = visible.weights(
                cpu,
                intervals,
                &maxima,
                &scratch.scores,
                &mut scratch.weights,
                of,
            )?;
            inverses.push(Inverse::new(denominator, &maxima)?);
            if let Some(observer) = observer {
                let seen = Attended {
                    layer,
                    row: token,
                    head: unit.first + query % unit.heads,
                    maxima,
                    denominator,
                };
                let slabs = 0..visible.positions.div_ceil(SLAB);
                let scores = slabs.map(|slab| &scratch.scores[of(slab)][..visible.end(slab)]);
                observer.attended(seen, &mut scores.enumerate());
            }
        }
        for (slab, weights) in scratch.weights.chunks_exact(tile).enumerate() {
            let values = reader.cache.pages(slab, layer, unit.kv_head, SLAB).values;
            (cpu.kernels.mix)(weights, values, d, &mut scratch.sums);
        }
        let sums = scratch.sums.chunks_exact(d).zip(&inverses);
        for (query, (sums, inverse)) in sums.enumerate() {
            let token = unit.tokens.start + query / unit.heads;
            let first = (first_head(token) + query % unit.heads) * d;
            // SAFETY: another unit has other tokens or heads.
            let out = unsafe { out.part(first..first + d) };
            (cpu.rows.mixed)(sums, inverse, out);
        }
        Ok(())
    }
}

/// What one query sees.
struct Visible<'a> {
    cache: &'a Cache,
    layer: usize,
    head: usize,
    /// Positions 0 to this one, without it.
    positions: usize,
    query: Scale,
}

impl Visible<'_> {
    /// Positions of a slab.
    fn end(&self, slab: usize) -> usize {
        (self.positions - slab * SLAB).min(SLAB)
    }

    /// Scores in place of the sums, which lie at `of` each slab.
    fn scores(&self, cpu: &Cpu, sums: &mut [i32], of: impl Fn(usize) -> Range<usize>) -> Maxima {
        let mut all = Maxima {
            score: i32::MIN,
            shifted: i64::MIN,
        };
        for slab in 0..self.positions.div_ceil(SLAB) {
            let end = self.end(slab);
            let pages = self.cache.pages(slab, self.layer, self.head, end);
            let sums = &mut sums[of(slab)][..end];
            let some = (cpu.rows.scores)(sums, self.query, pages.key_scales, pages.value_scales);
            all.score = all.score.max(some.score);
            all.shifted = all.shifted.max(some.shifted);
        }
        all
    }

    /// Weights of all visible positions, and D. What is not visible keeps the weight 0.
    fn weights(
        &self,
        cpu: &Cpu,
        intervals: &Intervals,
        maxima: &Maxima,
        scores: &[i32],
        weights: &mut [i16],
        of: impl Fn(usize) -> Range<usize>,
    ) -> Result<i64, LeafError> {
        let common = maxima.exponent()?;
        let mut denominator = 0i64;
        for slab in 0..self.positions.div_ceil(SLAB) {
            let end = self.end(slab);
            let values = self
                .cache
                .pages(slab, self.layer, self.head, end)
                .value_scales;
            let scores = &scores[of(slab)][..end];
            let weights = &mut weights[of(slab)][..end];
            denominator += (cpu.rows.weights)(scores, maxima, common, values, intervals, weights);
        }
        Ok(denominator)
    }
}
