//! All rows of a trace from the operators' definitions: one position after the other, one thread, no
//! engine.

use std::collections::BTreeMap;

use assay_primitives::{
    blake2_256,
    tree::{leaf_hash, root_of},
};

use super::Answered;
use crate::{
    leaf::PAGE,
    model::{Gamma, Layer, Matrix, Model},
    number::{bits, round, Scale},
    op::{self, attention::Rows, norm::Width, rotary::Angle},
    sampling::{self, BINS, ONE, VOCABULARY_BLOCK},
    trace::{Layout, Place, Row},
};

/// Every row's elements.
pub struct Slow<'a> {
    model: &'a Model<'a>,
    layout: Layout,
    pub rows: BTreeMap<Place, Vec<i64>>,
    place: Place,
    /// Of each layer, position after position: keys and values.
    cached: Vec<[Cached; 2]>,
}

#[derive(Clone, Default)]
struct Cached {
    numbers: Vec<i8>,
    scales: Vec<Scale>,
}

fn pair(first: i32, second: u32) -> i64 {
    i64::from(first as u32) + (i64::from(second as i32) << 32)
}

fn size(x: &[i32]) -> i64 {
    x.iter().map(|x| i64::from(*x).abs()).max().unwrap()
}

impl<'a> Slow<'a> {
    pub fn new(model: &'a Model<'a>, answered: &Answered) -> Self {
        let prompt = answered.prompt.len() as u32;
        let layout = Layout::new(model.shape, &answered.settings, prompt, answered.index).unwrap();
        let place = Place {
            position: 0,
            layer: 0,
            row: Row::Embed,
        };
        let mut slow = Self {
            model,
            layout,
            rows: BTreeMap::new(),
            place,
            cached: vec![Default::default(); model.layers.len()],
        };
        let before = &answered.output[..answered.index as usize];
        slow.compute(&[answered.prompt, before].concat(), &answered.seed);
        slow
    }

    /// The root of the trace.
    pub fn root(&self) -> [u8; 32] {
        let leaves = (0..self.layout.leaves()).map(|leaf| leaf_hash(&self.leaf(leaf)));
        root_of(leaves.collect()).0
    }

    pub fn leaf(&self, index: u64) -> Vec<u8> {
        let leaf = self.layout.leaf(index).unwrap();
        let elements = &self.rows[&leaf.place][leaf.first as usize..][..leaf.elements as usize];
        let mut bytes = Vec::new();
        for element in elements {
            leaf.place.row.element().write(*element, &mut bytes);
        }
        bytes
    }

    fn put<T: Copy + Into<i64>>(&mut self, row: Row, elements: &[T]) {
        let elements = elements.iter().map(|element| (*element).into()).collect();
        let old = self.rows.insert(self.place.row(row), elements);
        assert_eq!(old, None, "{row:?}");
    }

    fn put_scales(&mut self, row: Row, scales: &[Scale]) {
        let packed = |scale: &Scale| i64::from(scale.exponent) * 65536 + i64::from(scale.mantissa);
        let scales: Vec<i64> = scales.iter().map(packed).collect();
        self.put(row, &scales);
    }

    fn compute(&mut self, tokens: &[u32], seed: &[u8; 32]) {
        let shape = self.model.shape;
        let mut seen = vec![0u8; shape.vocabulary.div_ceil(8) as usize];
        let mut x = vec![0; shape.hidden as usize];
        for (position, token) in tokens.iter().enumerate() {
            self.place.position = position as u32;
            self.place.layer = 0;
            seen[*token as usize / 8] |= 1 << (token % 8);
            if self.layout.has_penalty() {
                self.put(Row::Seen, &seen);
            }
            let mut angles = vec![Angle { cos: 0, sin: 0 }; usize::from(shape.head_dim) / 2];
            op::rotary::angles(&self.model.tables, position as u32, &mut angles).unwrap();
            let pairs = angles.iter().map(|angle| pair(angle.cos, angle.sin as u32));
            self.put(Row::Angles, &pairs.collect::<Vec<_>>());
            op::embed::row(&self.model.embedding, *token, shape.fraction_bits, &mut x).unwrap();
            self.put(Row::Embed, &x);
            for (index, layer) in self.model.layers.clone().iter().enumerate() {
                self.place.layer = index as u16;
                self.layer(layer, &angles, &mut x);
            }
        }
        self.place.layer = 0;
        let rows = [Row::FinalMaximum, Row::FinalSquares, Row::FinalProduct];
        let kinds = [Row::FinalActivation, Row::FinalScale];
        let (q, scale) = self.norm(&x, self.model.final_norm, rows, kinds);
        let head = self.model.head.unwrap_or(self.model.embedding.high);
        let logits = linear(&head, &q, scale);
        self.put(Row::Logits, &logits);
        self.choice(logits, tokens, seed);
    }

    fn norm(
        &mut self,
        x: &[i32],
        gamma: Gamma,
        statistics: [Row; 3],
        [activation, kind]: [Row; 2],
    ) -> (Vec<i16>, Scale) {
        let of = statistic(x, gamma.entries);
        for (row, value) in statistics.into_iter().zip(of) {
            self.put(row, &[value]);
        }
        let mut q = vec![0; x.len()];
        let width = Width::hidden(self.model.shape);
        let scale = op::norm::row(x, gamma, &width, &mut q).unwrap();
        self.put(activation, &q);
        self.put_scales(kind, &[scale]);
        (q, scale)
    }

    fn head_norm(&mut self, x: &mut [i32], gamma: Gamma, rows: [Row; 4]) {
        let d = gamma.entries.len();
        let of: Vec<_> = x.chunks(d).map(|x| statistic(x, gamma.entries)).collect();
        for (index, row) in rows[..3].iter().enumerate() {
            let values: Vec<i64> = of.iter().map(|of| of[index]).collect();
            self.put(*row, &values);
        }
        let width = Width::head(self.model.shape);
        for x in x.chunks_mut(d) {
            op::head_norm::row(x, gamma, &width).unwrap();
        }
        self.put(rows[3], x);
    }

    fn layer(&mut self, layer: &Layer, angles: &[Angle], x: &mut [i32]) {
        use Row::*;
        let shape = self.model.shape;
        let d = usize::from(shape.head_dim);
        let rows = [InputMaximum, InputSquares, InputProduct];
        let kinds = [InputActivation, InputScale];
        let (q, scale) = self.norm(x, layer.input_norm, rows, kinds);
        let [mut queries, mut keys, values] =
            [&layer.q, &layer.k, &layer.v].map(|matrix| linear(matrix, &q, scale));
        self.put(Query, &queries);
        self.put(Key, &keys);
        self.put(Value, &values);
        if let Some(gamma) = layer.q_norm {
            let rows = [
                QueryNormMaximum,
                QueryNormSquares,
                QueryNormProduct,
                QueryNorm,
            ];
            self.head_norm(&mut queries, gamma, rows);
        }
        if let Some(gamma) = layer.k_norm {
            let rows = [KeyNormMaximum, KeyNormSquares, KeyNormProduct, KeyNorm];
            self.head_norm(&mut keys, gamma, rows);
        }
        for head in queries.chunks_mut(d).chain(keys.chunks_mut(d)) {
            op::rotary::row(head, angles).unwrap();
        }
        let maxima = |x: &[i32]| x.chunks(d).map(size).collect::<Vec<_>>();
        self.put(QueryMaximum, &maxima(&queries));
        let mut activations = vec![0; queries.len()];
        let heads = queries.chunks(d).zip(activations.chunks_mut(d));
        let query_scales: Vec<_> = heads
            .map(|(x, q)| op::quant::row16(x, q).unwrap())
            .collect();
        self.put(QueryActivation, &activations);
        self.put_scales(QueryScale, &query_scales);
        for (kind, x) in [&keys, &values].into_iter().enumerate() {
            let mut q = vec![0; x.len()];
            let heads = x.chunks(d).zip(q.chunks_mut(d));
            let scales: Vec<_> = heads.map(|(x, q)| op::quant::row8(x, q).unwrap()).collect();
            let [maximum, cached, scale] = [
                [KeyMaximum, KeyCached, KeyScale],
                [ValueMaximum, ValueCached, ValueScale],
            ][kind];
            self.put(maximum, &maxima(x));
            self.put(cached, &q);
            self.put_scales(scale, &scales);
            let cached = &mut self.cached[usize::from(self.place.layer)][kind];
            cached.numbers.extend(q);
            cached.scales.extend(scales);
        }
        self.page();
        self.attention(&activations, &query_scales, layer, x);
        let rows = [PostMaximum, PostSquares, PostProduct];
        let (q, scale) = self.norm(x, layer.post_norm, rows, [PostActivation, PostScale]);
        self.feed_forward(layer, &q, scale, x);
    }

    fn page(&mut self) {
        let position = self.place.position as usize;
        if position % PAGE != PAGE - 1 {
            return;
        }
        let shape = self.model.shape;
        let (d, heads) = (usize::from(shape.head_dim), usize::from(shape.kv_heads));
        let cached = self.cached[usize::from(self.place.layer)][1].clone();
        let (mut numbers, mut scales) = (vec![], vec![]);
        for head in 0..heads {
            for i in 0..d {
                for r in position - 15..=position {
                    numbers.push(cached.numbers[(r * heads + head) * d + i]);
                }
            }
            for r in position - 15..=position {
                scales.push(cached.scales[r * heads + head]);
            }
        }
        self.put(Row::ValuePage, &numbers);
        self.put_scales(Row::ValuePageScale, &scales);
    }

    fn attention(&mut self, queries: &[i16], scales: &[Scale], layer: &Layer, x: &mut [i32]) {
        use Row::*;
        let shape = self.model.shape;
        let (d, kv) = (usize::from(shape.head_dim), usize::from(shape.kv_heads));
        let positions = self.place.position as usize + 1;
        let cached = self.cached[usize::from(self.place.layer)].clone();
        let exp2 = self.model.tables.exp2;
        let (mut scores, mut largest, mut shifted, mut sums) = (vec![], vec![], vec![], vec![]);
        let mut mixed = vec![0; queries.len()];
        for (head, out) in mixed.chunks_mut(d).enumerate() {
            let kv_head = head / usize::from(shape.group());
            let [keys, values] = [0, 1].map(|kind: usize| Rows {
                numbers: &cached[kind].numbers,
                stride: kv * d,
                offset: kv_head * d,
                scales: &cached[kind].scales,
                scale_stride: kv,
                scale_offset: kv_head,
            });
            let q = &queries[head * d..][..d];
            let of = op::attention::weights(q, scales[head], keys, values, positions, exp2);
            let of = of.unwrap();
            scores.extend(of.scores);
            largest.push(of.maxima.score);
            shifted.push(of.maxima.shifted);
            sums.push(of.denominator);
            op::attention::row(q, scales[head], keys, values, positions, exp2, out).unwrap();
        }
        self.put(Score, &scores);
        self.put(ScoreMaximum, &largest);
        self.put(ShiftedMaximum, &shifted);
        self.put(Denominator, &sums);
        self.put(Mixed, &mixed);
        self.put(MixedMaximum, &[size(&mixed)]);
        let mut q = vec![0; mixed.len()];
        let scale = op::quant::row16(&mixed, &mut q).unwrap();
        self.put(MixedActivation, &q);
        self.put_scales(MixedScale, &[scale]);
        op::linear::rows_added(&q, &[scale], &layer.o, shape.fraction_bits, x).unwrap();
        self.put(Output, x);
    }

    fn feed_forward(&mut self, layer: &Layer, q: &[i16], scale: Scale, x: &mut [i32]) {
        use Row::*;
        let gate = linear(&layer.gate, q, scale);
        let up = linear(&layer.up, q, scale);
        self.put(Gate, &gate);
        self.put(Up, &up);
        let silu = self.model.tables.silu;
        let pairs = gate.iter().zip(&up);
        let z = pairs.map(|(gate, up)| op::silu::product(*gate, *up, silu).unwrap().abs());
        let z: Vec<_> = z.collect();
        let blocks: Vec<i64> = z.chunks(16).map(|z| *z.iter().max().unwrap()).collect();
        self.put(ProductBlock, &blocks);
        self.put(ProductMaximum, &[*z.iter().max().unwrap()]);
        let mut activations = vec![0; gate.len()];
        let scale = op::silu::row(&gate, &up, silu, &mut activations).unwrap();
        self.put(ProductActivation, &activations);
        self.put_scales(ProductScale, &[scale]);
        let fraction_bits = self.model.shape.fraction_bits;
        op::linear::rows_added(&activations, &[scale], &layer.down, fraction_bits, x).unwrap();
        self.put(Down, x);
    }

    fn choice(&mut self, mut logits: Vec<i32>, tokens: &[u32], seed: &[u8; 32]) {
        use Row::*;
        let settings = *self.layout.settings();
        let exp2 = self.model.tables.exp2;
        let message = sampling::draw_message(seed, tokens.len() as u32);
        let random = sampling::random(&blake2_256(&message));
        let chosen = sampling::choose(&logits, tokens, &settings, random, exp2).unwrap();
        if i64::from(settings.penalty) != ONE {
            for (token, logit) in (0..).zip(&mut logits) {
                if tokens.contains(&token) {
                    *logit = sampling::penalised(*logit, settings.penalty).unwrap();
                }
            }
            self.put(Penalised, &logits);
        }
        let mut order: Vec<u32> = (0..logits.len() as u32).collect();
        order.sort_by_key(|token| (-i64::from(logits[*token as usize]), *token));
        let at = |place: usize| pair(logits[order[place] as usize], order[place]);
        let largest = logits[order[0] as usize];
        self.put(Largest, &[at(0)]);
        if settings.temperature > 0 {
            let mut kept = order.len();
            if (1..logits.len() as u32).contains(&settings.top_k) {
                kept = settings.top_k as usize;
                self.put(Cut, &[at(kept - 1)]);
            }
            let mut weights = vec![0; logits.len()];
            let mut bins = vec![0; logits.len()];
            for token in &order[..kept] {
                let token = *token as usize;
                let temperature = settings.temperature;
                let of = sampling::candidate(logits[token], largest, temperature, exp2).unwrap();
                if sampling::passes_min_p(of.weight, settings.min_p) {
                    weights[token] = of.weight;
                    bins[token] = sampling::bin(of.distance);
                }
            }
            if i64::from(settings.top_p) != ONE {
                let upto = |bin: usize| {
                    let kept = weights.iter().zip(&bins).filter(|(_, of)| **of <= bin);
                    kept.map(|(weight, _)| weight).sum::<i64>()
                };
                let sums: Vec<i64> = (0..BINS).map(upto).collect();
                let single: Vec<i64> = (0..BINS)
                    .map(|bin| sums[bin] - if bin > 0 { sums[bin - 1] } else { 0 })
                    .collect();
                let last = sampling::last_bin(&single, settings.top_p).unwrap();
                self.put(Cumulative, &sums);
                self.put(LastBin, &[last as i64]);
                for (weight, bin) in weights.iter_mut().zip(&bins) {
                    if *bin > last {
                        *weight = 0;
                    }
                }
            }
            let blocks = weights.len().div_ceil(VOCABULARY_BLOCK);
            let behind = |block: usize| weights.len().min((block + 1) * VOCABULARY_BLOCK);
            let sum = |block| weights[..behind(block)].iter().sum();
            let sums: Vec<i64> = (0..blocks).map(sum).collect();
            self.put(Kept, &sums);
        }
        self.put(Token, &[chosen]);
    }
}

fn linear(matrix: &Matrix, q: &[i16], scale: Scale) -> Vec<i32> {
    let mut out = vec![0; matrix.rows.len()];
    op::linear::rows(q, &[scale], matrix, 16, &mut out).unwrap();
    out
}

/// max |x|, sum of x'², max |x' γ|.
fn statistic(x: &[i32], gamma: &[i32]) -> [i64; 3] {
    let maximum = size(x);
    let shift = (bits(maximum) - 23).max(0);
    let reduced = |x: &i32| round((*x).into(), shift);
    let squares = x.iter().map(|x| reduced(x) * reduced(x)).sum();
    let products = x.iter().zip(gamma);
    let product = products.map(|(x, gamma)| (reduced(x) * i64::from(*gamma)).abs());
    [maximum, squares, product.max().unwrap()]
}
