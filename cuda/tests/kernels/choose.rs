//! `choose` against `sampling::choose`.

use assay_cuda::kernels::{
    choose::{marks, Choice},
    Choose,
};
use assay_exact::{
    folder::root::blake2_256,
    sampling::{self, Settings},
    tables,
};

use crate::{
    cases::{Numbers, KINDS},
    judge::files::{self, read as vectors},
    machine::{each, read, Machine},
};

/// A row, and how it chooses.
#[derive(Clone, Debug)]
struct Asked {
    logits: Vec<i32>,
    seen: Vec<u32>,
    settings: Settings,
    random: u64,
}

impl Asked {
    fn new(logits: Vec<i32>, settings: Settings, random: u64) -> Self {
        Self {
            logits,
            seen: Vec::new(),
            settings,
            random,
        }
    }

    fn expected(&self) -> u32 {
        let exp2 = tables::exp2();
        sampling::choose(&self.logits, &self.seen, &self.settings, self.random, &exp2).unwrap()
    }
}

/// The tokens that rows of one width choose. Behind each of them is one that chooses nothing, and stays as
/// it is.
fn choose(machine: &Machine, all: &[Asked]) -> Vec<u32> {
    let vocabulary = all[0].logits.len() as u32;
    let beside = vec![7; vocabulary as usize];
    let rows = all.iter().flat_map(|asked| [&asked.logits, &beside]);
    let logits = machine.of(&rows.flatten().copied().collect::<Vec<i32>>());
    // In another order than the rows.
    let (mut choices, mut seen) = (Vec::new(), Vec::new());
    for (index, asked) in all.iter().enumerate().rev() {
        let choice = Choice {
            row: 2 * index as u32,
            settings: asked.settings,
            random: asked.random,
        };
        choices.extend(choice.words(vocabulary));
        seen.extend(marks(&asked.seen, vocabulary));
    }
    let (choices, seen) = (machine.of(&choices), machine.of(&seen));
    let exp2 = machine.of(&tables::exp2());
    let tokens = machine.room::<u32>(all.len());
    let launch = Choose {
        choices: all.len() as u32,
        vocabulary,
        logits: logits.address(),
        asked: choices.address(),
        seen: seen.address(),
        exp2: exp2.address(),
        tokens: tokens.address(),
    };
    machine.run(launch.launch());
    let after: Vec<i32> = read(&logits);
    let others = after.chunks(beside.len()).skip(1).step_by(2);
    others.for_each(|row| assert_eq!(row, beside));
    let mut found: Vec<u32> = read(&tokens);
    found.reverse();
    found
}

fn compare(machine: &Machine, all: &[Asked]) {
    for (found, asked) in choose(machine, all).into_iter().zip(all) {
        let expected = asked.expected();
        assert_eq!(found, expected, "{:?} {}", asked.settings, asked.random);
    }
}

const SAMPLED: Settings = Settings {
    temperature: 1_000_000,
    ..Settings::GREEDY
};

#[test]
fn choices_give_the_conformance_vectors() {
    each(|machine| {
        for (number, case) in vectors::<files::Choice>().into_iter().enumerate() {
            let message = sampling::draw_message(&[case.seed; 32], case.position);
            let asked = Asked {
                logits: case.logits,
                seen: case.seen,
                settings: Settings {
                    temperature: case.temperature,
                    top_k: case.top_k,
                    top_p: case.top_p,
                    min_p: case.min_p,
                    penalty: case.penalty,
                },
                random: sampling::random(&blake2_256(&message).0),
            };
            assert_eq!(choose(machine, &[asked]), [case.token], "case {number}");
        }
    });
}

/// A row of `width`: as [`Numbers::row32`], or of ordinary logits.
fn row(numbers: &mut Numbers, width: usize, kind: usize) -> Vec<i32> {
    match kind < KINDS {
        true => numbers.row32(width, kind),
        false => numbers.list(width, |n| n.within(-500_000, 500_000) as i32),
    }
}

#[test]
fn every_row_chooses_by_its_own_settings() {
    each(|machine| {
        let mut numbers = Numbers::new(11);
        for width in [1, 2, 31, 32, 33, 64, 97, 1000, 1025, 4100] {
            let all: Vec<Asked> = (0..2 * KINDS + 4)
                .map(|kind| Asked {
                    logits: row(&mut numbers, width, kind),
                    // Some twice, and some that the vocabulary does not have.
                    seen: numbers.list(9, |n| n.within(0, width as i64 + 1) as u32),
                    settings: Settings {
                        temperature: numbers.of(&[0, 1_000, 700_001, 1_000_000, 10_000_000]),
                        top_k: numbers.of(&[0, 1, 2, 7, width as u32 - 1, width as u32]),
                        top_p: numbers.of(&[1, 500_000, 900_000, 999_999, 1_000_000]),
                        min_p: numbers.of(&[0, 0, 50_000, 1_000_000]),
                        penalty: numbers.of(&[500_000, 1_000_000, 1_100_000, 4_000_000]),
                    },
                    random: numbers.of(&[0, u64::MAX, 1 << 30]) ^ (numbers.draw() >> 7),
                })
                .collect();
            compare(machine, &all);
        }
    });
}

/// What each aid does alone, where one more or one less is another token.
#[test]
fn each_aid_cuts_where_the_page_says() {
    each(|machine| {
        let mut numbers = Numbers::new(12);
        let width = 300;
        // Many equal ones, which only their ids tell apart.
        let equal = numbers.list(width, |n| n.within(-3, 3) as i32 * 30_000);
        let some = row(&mut numbers, width, KINDS);
        let mut all = Vec::new();
        for logits in [&equal, &some] {
            // The last token that is kept is drawn by the largest remainder; the first by 0.
            let mut ask = |settings: Settings| {
                let of = |random| Asked::new(logits.clone(), settings, random);
                all.extend([0, 1 << 29, (1 << 30) - 1, 1 << 30, u64::MAX].map(of));
                all.extend([0; 3].map(|_| of(numbers.draw())));
            };
            for top_k in [1, 2, 3, 33, 299] {
                ask(Settings { top_k, ..SAMPLED });
            }
            for top_p in [1, 100_000, 400_000, 999_999] {
                ask(Settings { top_p, ..SAMPLED });
            }
            for min_p in [1, 400_000, 999_999, 1_000_000] {
                ask(Settings { min_p, ..SAMPLED });
            }
            for temperature in [0, 1_000, 10_000_000] {
                ask(Settings {
                    temperature,
                    ..SAMPLED
                });
            }
        }
        compare(machine, &all);
    });
}

/// A penalty counts once for each token, whatever the sign of its logit, and saturates.
#[test]
fn a_penalty_counts_once() {
    each(|machine| {
        let logits = vec![i32::MIN, -65_536, -3, 0, 3, 65_536, 70_000, i32::MAX];
        let mut all = Vec::new();
        for penalty in [500_000, 999_999, 1_000_001, 1_333_333, 4_000_000] {
            for first in 0..8 {
                let seen: Vec<u32> = (first..8).chain([7, first, 1 << 31]).collect();
                let greedy = Settings {
                    penalty,
                    ..Settings::GREEDY
                };
                for settings in [greedy, Settings { penalty, ..SAMPLED }] {
                    let asked = Asked::new(logits.clone(), settings, u64::MAX);
                    all.push(Asked {
                        seen: seen.clone(),
                        ..asked
                    });
                }
                // Only those that are negative: the order among them may turn.
                let asked = Asked::new(logits[..4].repeat(2), greedy, 0);
                all.push(Asked {
                    seen: vec![first % 4, 4 + first % 4],
                    ..asked
                });
            }
        }
        compare(machine, &all);
    });
}

/// Weights at both sides of a bin's border, and sums that do not fit 32 bits.
#[test]
fn bins_are_whole_and_their_sums_have_all_digits() {
    each(|machine| {
        let at_the_edge = vec![900_000, 900_000 - 354, 900_000 - 355];
        let mut all = Vec::new();
        for random in (0..9).map(|third| third << 28) {
            for top_p in [1, 340_000, 660_000, 670_000, 999_999] {
                let settings = Settings { top_p, ..SAMPLED };
                all.push(Asked::new(at_the_edge.clone(), settings, random));
            }
        }
        compare(machine, &all);
        // 2^30 each, in two bins.
        let mut logits = vec![-40_000; 700];
        logits[1..300].fill(5);
        let settings = |top_p| Settings { top_p, ..SAMPLED };
        let total: i64 = 299 << 30;
        let mut all = Vec::new();
        for top_p in [1, 500_000, 598_000, 610_000, 999_999] {
            for random in [0, 1 << 30, total - 1, total, total + 1, i64::MAX] {
                all.push(Asked::new(logits.clone(), settings(top_p), random as u64));
            }
        }
        compare(machine, &all);
        // The second has about a millionth of the weight of the first, which is as much as top-p wants, or
        // all but a few units in the last place.
        let pair = |below: i32| Asked::new(vec![0, -below], settings(999_999), 1 << 30);
        let all: Vec<Asked> = (905_000..905_800).step_by(20).map(pair).collect();
        let kept = all.iter().filter(|asked| asked.expected() == 1).count();
        assert!(kept > 0 && kept < all.len(), "{kept}");
        compare(machine, &all);
    });
}

/// Min-p's bound is hardly ever a whole number, and a weight is right below it here.
#[test]
fn min_p_keeps_no_weight_that_is_less() {
    let (exp2, one) = (tables::exp2(), sampling::ONE);
    let mut all = Vec::new();
    for below in 0..60_000 {
        let weight = sampling::candidate(-below, 0, SAMPLED.temperature, &exp2[..]);
        let weight = weight.unwrap().weight;
        let min_p = ((weight * one) >> 30) + 1;
        if (min_p << 30) / one == weight {
            for min_p in [min_p as u32 - 1, min_p as u32] {
                let settings = Settings { min_p, ..SAMPLED };
                all.push(Asked::new(vec![0, -below], settings, 1 << 30));
            }
        }
    }
    assert!(all.len() > 20, "{}", all.len());
    for (index, asked) in all.iter().enumerate() {
        assert_eq!(asked.expected() as usize, 1 - index % 2);
    }
    each(|machine| compare(machine, &all));
}

#[test]
fn a_vocabulary_of_ordinary_size_is_searched_to_its_end() {
    each(|machine| {
        let (mut numbers, width) = (Numbers::new(13), 128_256);
        let mut logits = row(&mut numbers, width, KINDS);
        logits[width - 1] = 500_001;
        let all = Settings {
            temperature: 900_000,
            top_k: 50_000,
            top_p: 990_000,
            min_p: 1,
            penalty: 1_100_000,
        };
        let mut asked = Vec::new();
        for settings in [Settings::GREEDY, SAMPLED, all] {
            let one = Asked::new(logits.clone(), settings, numbers.draw());
            let seen = numbers.list(1000, |n| n.within(0, width as i64 - 2) as u32);
            asked.push(Asked { seen, ..one });
        }
        assert_eq!(asked[0].expected(), width as u32 - 1);
        compare(machine, &asked);
    });
}
