//! Every backend against plain i64 arithmetic, at random and at the extremes of the ranges.

use super::*;
use crate::leaf::PAGE;

/// The largest activation.
const Q: i16 = 32512;

/// What fills the operands.
#[derive(Clone, Copy, Debug)]
enum Fill {
    Random,
    /// Every product the largest, with a weight that only the embedding's low limb has.
    Largest,
    Smallest,
    /// Signs alternate in both: every product is the largest again.
    Alternating,
    /// The format's own extreme.
    Format,
}

const FILLS: [Fill; 5] = [
    Fill::Random,
    Fill::Largest,
    Fill::Smallest,
    Fill::Alternating,
    Fill::Format,
];

/// xorshift64 (Marsaglia 2003).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

impl Fill {
    /// Numbers of -most to most.
    fn wide(self, most: i16, count: usize) -> Vec<i16> {
        let mut random = Random(count as u64 + 1);
        (0..count)
            .map(|i| match self {
                Self::Random => {
                    ((random.next() % (2 * most as u64 + 1)) as i32 - i32::from(most)) as i16
                }
                Self::Largest | Self::Format => -most,
                Self::Smallest => most,
                Self::Alternating => [-most, most][i % 2],
            })
            .collect()
    }

    fn bytes(self, count: usize) -> Vec<i8> {
        let mut random = Random(count as u64 + 2);
        (0..count)
            .map(|i| match self {
                Self::Random => random.next() as i8,
                Self::Largest | Self::Smallest => -128,
                Self::Alternating => [-128, 127][i % 2],
                Self::Format => -127,
            })
            .collect()
    }
}

fn available() -> impl Iterator<Item = (Backend, Kernels)> {
    let all = Backend::ALL.into_iter();
    all.filter_map(|backend| Some((backend, Kernels::of(backend).ok()?)))
}

/// The same numbers at an address that is aligned to nothing but their type.
fn askew<T: Copy + Default>(numbers: &[T]) -> Vec<T> {
    [&[T::default()], numbers].concat()
}

#[test]
fn every_linear_is_the_plain_sum() {
    const TOKENS: [usize; 12] = [1, 2, 3, 5, 7, 8, 9, 16, 17, 32, 33, 64];
    const ROWS: [usize; 7] = [1, 3, 7, 8, 9, 17, 64];
    for inputs in [
        1, 2, 31, 32, 33, 63, 64, 65, 255, 896, 1024, 4864, 8192, 8193, 65536,
    ] {
        // Where rows are long, each count is met once instead of each with each.
        let sizes: Vec<_> = if inputs <= 1024 {
            let each = |tokens| ROWS.map(|rows| (tokens, rows));
            TOKENS.into_iter().flat_map(each).collect()
        } else {
            let rows = ROWS.into_iter().rev().cycle();
            TOKENS.into_iter().zip(rows).collect()
        };
        for fill in FILLS {
            let q = askew(&fill.wide(Q, inputs * 64));
            let weights = askew(&fill.bytes(inputs * 64));
            for (tokens, rows) in sizes.iter().copied() {
                let q = &q[1..][..tokens * inputs];
                let weights = &weights[1..][..rows * inputs];
                let expected: Vec<i64> = weights
                    .chunks(inputs)
                    .flat_map(|w| q.chunks(inputs).map(|q| plain(q, w)))
                    .collect();
                for (backend, kernels) in available() {
                    let mut sums = vec![-1; rows * tokens];
                    (kernels.linear)(q, weights, inputs, &mut sums);
                    assert!(
                        sums == expected,
                        "{backend}: {inputs} inputs, {tokens} tokens, {rows} rows, {fill:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn more_tokens_than_one_block_are_all_served() {
    let (inputs, tokens, rows) = (300, 1100, 5);
    let q = Fill::Random.wide(Q, inputs * tokens);
    let weights = Fill::Random.bytes(inputs * rows);
    let expected: Vec<i64> = weights
        .chunks(inputs)
        .flat_map(|w| q.chunks(inputs).map(|q| plain(q, w)))
        .collect();
    for (backend, kernels) in available() {
        let mut sums = vec![-1; rows * tokens];
        (kernels.linear)(&q, &weights, inputs, &mut sums);
        assert!(sums == expected, "{backend}");
    }
}

fn plain(q: &[i16], w: &[i8]) -> i64 {
    let terms = q.iter().zip(w);
    terms.map(|(q, w)| i64::from(*q) * i64::from(*w)).sum()
}

const DIMENSIONS: [usize; 7] = [2, 32, 36, 64, 80, 128, 512];
const PAGES: [usize; 4] = [1, 2, 33, 64];
const QUERIES: [usize; 5] = [1, 2, 5, 7, 8];

/// Calls `check(d, pages, queries, fill)` for every attention to try.
fn every_attention(check: impl Fn(usize, usize, usize, Fill)) {
    for d in DIMENSIONS {
        for pages in PAGES {
            for queries in QUERIES {
                for fill in FILLS {
                    check(d, pages, queries, fill);
                }
            }
        }
    }
}

#[test]
fn every_score_is_the_plain_sum() {
    every_attention(|d, pages, queries, fill| {
        let positions = pages * PAGE;
        let q = askew(&fill.wide(Q, queries * d));
        let keys = askew(&fill.bytes(positions * d));
        let (q, keys) = (&q[1..], &keys[1..]);
        let key = |position: usize, i: usize| {
            keys[position / PAGE * PAGE * d + i / 2 * 2 * PAGE + position % PAGE * 2 + i % 2]
        };
        let score = |query: usize, position: usize| -> i64 {
            (0..d)
                .map(|i| i64::from(q[query * d + i]) * i64::from(key(position, i)))
                .sum()
        };
        let expected: Vec<_> = (0..queries * positions)
            .map(|i| i32::try_from(score(i / positions, i % positions)).unwrap())
            .collect();
        for (backend, kernels) in available() {
            let mut out = vec![-1; queries * positions];
            (kernels.scores)(q, keys, d, &mut out);
            assert!(
                out == expected,
                "{backend}: d = {d}, {pages} pages, {queries} queries, {fill:?}"
            );
        }
    });
}

#[test]
fn every_mix_adds_the_plain_sum() {
    every_attention(|d, pages, rows, fill| {
        let positions = pages * PAGE;
        let weights = fill.wide(32767, rows * positions);
        let weights = askew(
            &weights
                .iter()
                .map(|w| w.saturating_abs())
                .collect::<Vec<_>>(),
        );
        let values = askew(&fill.bytes(positions * d));
        let (weights, values) = (&weights[1..], &values[1..]);
        let value = |position: usize, i: usize| values[position / 2 * 2 * d + i * 2 + position % 2];
        let before = |i: usize| (i as i64) << 40;
        let sum = |row: usize, i: usize| -> i64 {
            (0..positions)
                .map(|j| i64::from(weights[row * positions + j]) * i64::from(value(j, i)))
                .sum()
        };
        let expected: Vec<_> = (0..rows * d)
            .map(|i| before(i) + sum(i / d, i % d))
            .collect();
        for (backend, kernels) in available() {
            let mut out: Vec<_> = (0..rows * d).map(before).collect();
            (kernels.mix)(weights, values, d, &mut out);
            assert!(
                out == expected,
                "{backend}: d = {d}, {pages} pages, {rows} rows, {fill:?}"
            );
        }
    });
}

#[test]
fn nothing_is_a_sum_of_nothing() {
    for (_, kernels) in available() {
        (kernels.linear)(&[], &[1, 2], 2, &mut []);
        (kernels.linear)(&[1, 2], &[], 2, &mut []);
        (kernels.scores)(&[1, 2], &[], 2, &mut []);
        (kernels.mix)(&[], &[], 2, &mut [7, 7]);
    }
}

#[test]
fn lengths_that_contradict_each_other_are_refused() {
    let refused = |call: &dyn Fn()| {
        let call = std::panic::AssertUnwindSafe(call);
        assert!(std::panic::catch_unwind(call).is_err());
    };
    for (_, kernels) in available() {
        refused(&|| (kernels.linear)(&[0; 4], &[0; 4], 2, &mut [0; 3]));
        refused(&|| (kernels.linear)(&[0; 5], &[0; 4], 2, &mut [0; 4]));
        refused(&|| (kernels.linear)(&[0; 4], &[0; 4], 0, &mut [0; 4]));
        refused(&|| (kernels.scores)(&[0; 2], &[0; 32], 2, &mut [0; 15]));
        refused(&|| (kernels.scores)(&[0; 2], &[0; 30], 2, &mut [0; 15]));
        refused(&|| (kernels.scores)(&[0; 3], &[0; 48], 3, &mut [0; 16]));
        refused(&|| (kernels.mix)(&[0; 15], &[0; 32], 2, &mut [0; 2]));
        refused(&|| (kernels.mix)(&[0; 16], &[0; 32], 2, &mut [0; 3]));
    }
}

#[test]
fn a_backend_is_its_name() {
    for backend in Backend::ALL {
        assert_eq!(backend.to_string().parse(), Ok(backend));
    }
    assert!(Kernels::of(Backend::best()).is_ok());
    let error = "sse9".parse::<Backend>().unwrap_err().to_string();
    assert!(error.contains("\"sse9\" is no backend: choose one of portable"));
}
