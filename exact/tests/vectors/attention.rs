//! `scores` and `attend`.

use assay_exact::{
    op::{
        self,
        attention::{self, Maxima},
    },
    tables, Scale,
};
use serde::{Deserialize, Serialize};

use crate::{cases::Numbers, check, rows::leaves, scale, Pair, Vector};

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Attention {
    q: Vec<i16>,
    /// Of the quantised query, before log2(e)/sqrt(d).
    scale: Pair,
    keys: Vec<Vec<i8>>,
    key_scales: Vec<Pair>,
    values: Vec<Vec<i8>>,
    value_scales: Vec<Pair>,
    /// s, log2 units in Q16.
    scores: Vec<i32>,
    /// S and U.
    maxima: (i32, i64),
    /// D, Q30.
    denominator: i64,
    /// w.
    weights: Vec<i16>,
    out: Vec<i32>,
}

impl Attention {
    /// Of one kind: 0 ordinary, 1 far apart in size, 2 a sink (one large score whose value is
    /// small), 3 saturated.
    fn case(numbers: &mut Numbers, width: usize, positions: usize, kind: usize) -> Self {
        let exponents: &[i32] = match kind {
            0 => &[-24, -23, -22],
            1 => &[-128, -60, -40, -24, -10, 20],
            2 => &[-24],
            _ => &[-9, 0],
        };
        let scales = |numbers: &mut Numbers| {
            numbers.list(positions, |n| match (n.mantissa(), n.of(exponents)) {
                (0, _) => (0, -128),
                sound => sound,
            })
        };
        let key_scales = scales(numbers);
        let mut value_scales = scales(numbers);
        if kind == 2 {
            let place = numbers.next() as usize % positions;
            value_scales[place] = (40_000, -60);
        }
        let rows =
            |numbers: &mut Numbers| numbers.list(positions, |n| n.weights(width, 1 + kind % 2));
        Self {
            q: numbers.activations(width, 1 + kind % 2),
            scale: (
                numbers.mantissa().max(1 << 15),
                numbers.of(&[-31, -28, -24]),
            ),
            keys: rows(numbers),
            key_scales,
            values: rows(numbers),
            value_scales,
            scores: Vec::new(),
            maxima: (0, 0),
            denominator: 0,
            weights: Vec::new(),
            out: Vec::new(),
        }
    }

    fn rows<'a>(&self, numbers: &'a [i8], scales: &'a [Scale]) -> attention::Rows<'a> {
        attention::Rows {
            numbers,
            stride: self.q.len(),
            offset: 0,
            scales,
            scale_stride: 1,
            scale_offset: 0,
        }
    }
}

fn all(scales: &[Pair]) -> Vec<Scale> {
    scales.iter().map(|pair| scale(*pair)).collect()
}

impl Vector for Attention {
    const NAME: &'static str = "attention";

    fn cases() -> Vec<Self> {
        let mut numbers = Numbers::new(8);
        let sizes = [
            (2, 1),
            (2, 2),
            (30, 15),
            (32, 16),
            (34, 17),
            (4, 255),
            (2, 256),
            (2, 257),
        ];
        let kinds = |size: (usize, usize)| (0..4).map(move |kind| (size, kind));
        let mut cases: Vec<Self> = sizes
            .into_iter()
            .flat_map(kinds)
            .map(|((width, positions), kind)| Self::case(&mut numbers, width, positions, kind))
            .collect();
        // The widest head at its largest score.
        let mut widest = Self::case(&mut numbers, 512, 2, 0);
        widest.q.fill(32512);
        widest.keys[0].fill(127);
        widest.keys[1].fill(-127);
        cases.push(widest);
        cases
    }

    fn run(&mut self) {
        let (keys, values) = (self.keys.concat(), self.values.concat());
        let (key_scales, value_scales) = (all(&self.key_scales), all(&self.value_scales));
        let (keys, values) = (
            self.rows(&keys, &key_scales),
            self.rows(&values, &value_scales),
        );
        let (q, scale, count, exp2) = (&self.q, scale(self.scale), self.keys.len(), tables::exp2());
        let weights = attention::weights(q, scale, keys, values, count, &exp2).unwrap();
        let mut out = vec![0; q.len()];
        attention::row(q, scale, keys, values, count, &exp2, &mut out).unwrap();
        self.scores = weights.scores;
        self.maxima = (weights.maxima.score, weights.maxima.shifted);
        self.denominator = weights.denominator;
        self.weights = weights.weights;
        self.out = out;
    }

    fn judge(&self) {
        let table = tables::exp2();
        let opened = leaves(&table);
        let opened = opened.as_slice();
        let (key_scales, value_scales) = (all(&self.key_scales), all(&self.value_scales));
        let query = attention::query_scale(scale(self.scale), self.q.len() as u16);
        let scores: Vec<i32> = self
            .keys
            .iter()
            .zip(&key_scales)
            .map(|(key, scale)| attention::score(&self.q, key, query, *scale).unwrap())
            .collect();
        let blocks: Vec<Maxima> = scores
            .chunks(256)
            .zip(value_scales.chunks(256))
            .map(|(scores, values)| attention::partial_maxima(scores, values).unwrap())
            .collect();
        let maxima = Maxima {
            score: blocks.iter().map(|block| block.score).max().unwrap(),
            shifted: blocks.iter().map(|block| block.shifted).max().unwrap(),
        };
        let parts: Vec<i64> = scores
            .chunks(256)
            .map(|scores| attention::partial_denominator(scores, &maxima, opened).unwrap())
            .collect();
        let denominator = op::sum(&parts).unwrap();
        let weights: Vec<i16> = scores
            .iter()
            .zip(&value_scales)
            .map(|(score, value)| attention::weight(*score, *value, &maxima, opened).unwrap())
            .collect();
        assert_eq!(scores, self.scores);
        assert_eq!((maxima.score, maxima.shifted), self.maxima);
        assert_eq!(denominator, self.denominator);
        assert_eq!(weights, self.weights);
        for (i, out) in self.out.iter().enumerate() {
            let column: Vec<i8> = self.values.iter().map(|value| value[i]).collect();
            let parts: Vec<i64> = weights
                .chunks(16)
                .zip(column.chunks(16))
                .map(|(weights, column)| attention::partial(weights, column).unwrap())
                .collect();
            assert_eq!(attention::element(&parts, denominator, &maxima), Ok(*out));
        }
    }
}

#[test]
fn attention() {
    check::<Attention>();
}
