//! The choice of the next token.

use assay_exact::{
    sampling::{self, Cut, Settings},
    tables,
};

use crate::{
    cases::Numbers,
    check, hash,
    judge::files::{Candidates, Choice},
    Generated,
};

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

    /// The second token's distance is the last of the first bin, the third's the first of the next,
    /// and only the first bin is kept.
    fn at_a_bins_edge(seed: u8) -> Self {
        Self {
            temperature: 1_000_000,
            top_k: 0,
            top_p: 1,
            min_p: 0,
            penalty: 1_000_000,
            seen: Vec::new(),
            seed,
            position: 7,
            logits: vec![900_000, 900_000 - 354, 900_000 - 355],
            token: 0,
        }
    }

    fn random(&self) -> u64 {
        let message = sampling::draw_message(&[self.seed; 32], self.position);
        sampling::random(&hash(&message))
    }
}

impl Generated for Choice {
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
                    seed: numbers.draw() as u8,
                    position: numbers.draw() as u32 % 5000,
                    logits,
                    token: 0,
                });
            }
        }
        cases.extend((0..8).map(Self::at_a_bins_edge));
        cases
    }

    fn run(&mut self) {
        let settings = self.settings();
        let exp2 = tables::exp2();
        self.token =
            sampling::choose(&self.logits, &self.seen, &settings, self.random(), &exp2).unwrap();
    }
}

impl Candidates {
    /// Distances at both ends of every interval of the table E, below one log2 unit, so that the
    /// weights show the last digit of every entry.
    fn every_interval() -> Self {
        // log2(e) in Q20: a logit's distance at the temperature 1.
        let (unit, factor) = (1i64 << 20, 1_512_775);
        let first = (0..256).map(|interval| -(-256 * interval * unit).div_euclid(factor));
        let last = (1..=256).map(|interval| (256 * interval - 1) * unit / factor);
        Self {
            temperature: 1_000_000,
            logits: first.chain(last).map(|below| -below as i32).collect(),
            weights: Vec::new(),
            distances: Vec::new(),
        }
    }
}

impl Generated for Candidates {
    fn cases() -> Vec<Self> {
        let mut numbers = Numbers::new(14);
        let cases = [
            1_000, 1_001, 99_999, 500_000, 700_001, 1_000_000, 3_333_333, 10_000_000,
        ]
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
        });
        cases.into_iter().chain([Self::every_interval()]).collect()
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
