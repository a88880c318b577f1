//! The choice of the next token.

use assay_exact::{
    sampling::{self, Cut, Settings},
    tables,
};
use blake2::{digest::consts::U32, Blake2b, Digest};
use serde::{Deserialize, Serialize};

use crate::{cases::Numbers, check, Vector};

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Choice {
    temperature: u32,
    top_k: u32,
    top_p: u32,
    min_p: u32,
    penalty: u32,
    seen: Vec<u32>,
    /// All 32 bytes of the seed are this one.
    seed: u8,
    position: u32,
    logits: Vec<i32>,
    token: u32,
}

impl Choice {
    fn settings(&self) -> Settings {
        Settings {
            temperature: self.temperature,
            top_k: self.top_k,
            top_p: self.top_p,
            min_p: self.min_p,
            penalty: self.penalty,
        }
    }

    fn random(&self) -> u64 {
        let message = sampling::draw_message(&[self.seed; 32], self.position);
        sampling::random(&Blake2b::<U32>::digest(message).into())
    }
}

impl Vector for Choice {
    const NAME: &'static str = "sampling";

    fn cases() -> Vec<Self> {
        let mut numbers = Numbers::new(9);
        let mut cases = Vec::new();
        for (index, width) in [1, 2, 255, 511, 512, 513].into_iter().enumerate() {
            for kind in 0..6 {
                let logits = match kind {
                    0 => numbers.row32(width, 2),
                    1 => numbers.row32(width, 3),
                    2 => numbers.row32(width, 1),
                    _ => numbers.list(width, |n| n.within(-400_000, 400_000) as i32),
                };
                let last = width as i64 - 1;
                cases.push(Self {
                    temperature: [0, 1_000, 10_000_000, 1_000_000, 700_000, 1_300_001][kind],
                    top_k: [0, 1, 7, 600][(index + kind) % 4],
                    top_p: [1_000_000, 1, 900_000, 999_999, 500_000][(index + kind) % 5],
                    min_p: [0, 1_000_000, 50_000][(index + 2 * kind) % 3],
                    penalty: [1_000_000, 500_000, 4_000_000, 1_100_000][(index + 3 * kind) % 4],
                    seen: numbers.list(5, |n| n.within(0, last) as u32),
                    seed: numbers.next() as u8,
                    position: numbers.next() as u32 % 5000,
                    logits,
                    token: 0,
                });
            }
        }
        cases
    }

    fn run(&mut self) {
        let settings = self.settings();
        let exp2 = tables::exp2();
        self.token =
            sampling::choose(&self.logits, &self.seen, &settings, self.random(), &exp2).unwrap();
    }

    /// The choice again, element by element and in blocks of 512 tokens.
    fn judge(&self) {
        let exp2 = tables::exp2();
        let mut logits = self.logits.clone();
        for (token, logit) in (0..).zip(&mut logits) {
            if self.seen.contains(&token) {
                *logit = sampling::penalised(*logit, self.penalty).unwrap();
            }
        }
        let best = logits
            .chunks(512)
            .zip((0..).step_by(512))
            .map(|(block, first)| sampling::greedy(block, first).unwrap())
            .reduce(|best, block| if block.0 > best.0 { block } else { best })
            .unwrap();
        if self.temperature == 0 {
            assert_eq!(best.1, self.token);
            return;
        }
        let cut = sorted_cut(&logits, self.top_k);
        let kept: Vec<_> = (0..)
            .zip(&logits)
            .map(|(token, logit)| {
                let mut candidate =
                    sampling::candidate(*logit, best.0, self.temperature, exp2.as_slice()).unwrap();
                let keep = sampling::passes_min_p(candidate.weight, self.min_p)
                    && cut.keeps(*logit, token);
                candidate.weight *= i64::from(keep);
                candidate
            })
            .collect();
        let bins: Vec<i64> = (0..sampling::BINS)
            .map(|bin| {
                let inside = kept
                    .iter()
                    .filter(|kept| sampling::bin(kept.distance) == bin);
                inside.map(|kept| kept.weight).sum()
            })
            .collect();
        let last = match self.top_p {
            1_000_000 => sampling::BINS,
            top_p => sampling::last_bin(&bins, top_p).unwrap(),
        };
        let weights: Vec<i64> = kept
            .iter()
            .map(|kept| kept.weight * i64::from(sampling::bin(kept.distance) <= last))
            .collect();
        let target = sampling::target(self.random(), weights.iter().sum()).unwrap();
        let mut before = 0;
        for (block, first) in weights.chunks(512).zip((0..).step_by(512)) {
            if let Some(token) = sampling::passing(block, before, first, target) {
                assert_eq!(token, self.token);
                return;
            }
            before += block.iter().sum::<i64>();
        }
        panic!("no block passes the target");
    }
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Candidates {
    temperature: u32,
    /// The first is the largest.
    logits: Vec<i32>,
    /// e, Q30.
    weights: Vec<i64>,
    /// x, log2 units in Q16.
    distances: Vec<i64>,
}

impl Vector for Candidates {
    const NAME: &'static str = "candidates";

    fn cases() -> Vec<Self> {
        let mut numbers = Numbers::new(14);
        [
            1_000, 1_001, 99_999, 500_000, 700_001, 1_000_000, 3_333_333, 10_000_000,
        ]
        .into_iter()
        .map(|temperature| {
            let mut logits = vec![i32::MAX, i32::MAX - 1, 0, -1, i32::MIN];
            logits.extend(numbers.row32(12, 2));
            logits.extend((0..20).map(|place| i32::MAX - (1 << place) - 5));
            Self {
                temperature,
                logits,
                weights: Vec::new(),
                distances: Vec::new(),
            }
        })
        .collect()
    }

    fn run(&mut self) {
        let exp2 = tables::exp2();
        let candidate = |logit: &i32| {
            sampling::candidate(*logit, self.logits[0], self.temperature, exp2.as_slice())
        };
        let candidates = self.logits.iter().map(|logit| candidate(logit).unwrap());
        (self.weights, self.distances) = candidates
            .map(|candidate| (candidate.weight, candidate.distance))
            .unzip();
    }

    fn judge(&self) {}
}

#[test]
fn candidates() {
    check::<Candidates>();
}

/// Top-k by its definition: logits in descending order, equals in the order of their ids.
fn sorted_cut(logits: &[i32], top_k: u32) -> Cut {
    let mut order: Vec<u32> = (0..logits.len() as u32).collect();
    order.sort_by_key(|token| (std::cmp::Reverse(logits[*token as usize]), *token));
    match top_k
        .checked_sub(1)
        .and_then(|last| order.get(last as usize))
    {
        Some(token) => Cut {
            logit: logits[*token as usize],
            token: *token,
        },
        None => Cut::NONE,
    }
}

#[test]
fn sampling() {
    check::<Choice>();
}

#[test]
fn top_k_is_the_order_by_logit_and_id() {
    let mut numbers = Numbers::new(10);
    for (width, limit) in [(1, 3), (300, 2), (300, 40), (300, i32::MAX.into())] {
        let logits = numbers.list(width, |n| n.within(-limit - 1, limit) as i32);
        for top_k in 1..=width as u32 + 1 {
            let (found, sorted) = (sampling::cut(&logits, top_k), sorted_cut(&logits, top_k));
            for (token, logit) in (0..).zip(&logits) {
                assert_eq!(found.keeps(*logit, token), sorted.keeps(*logit, token));
            }
        }
    }
}

#[test]
fn the_draw_takes_the_first_token_whose_sum_passes_the_target() {
    let passing = |target| sampling::passing(&[0, 2, 0, 3, 0], 10, 7, target);
    assert_eq!(passing(10), Some(8));
    assert_eq!(passing(11), Some(8));
    assert_eq!(passing(12), Some(10));
    assert_eq!(passing(14), Some(10));
    assert_eq!(passing(15), None);
}
