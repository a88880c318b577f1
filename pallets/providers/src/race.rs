//! The race that decides a draw: weighted rendezvous hashing.
//!
//! Every entrant gets a number u in (0, 1] from the draw's randomness and its own name, and the
//! smallest −log₂(u) / weight wins; that is each one with probability weight / sum of the weights
//! (Efraimidis and Spirakis, "Weighted random sampling with a reservoir", 2006). No number depends
//! on who else runs, nor in which order: whoever knows the randomness early changes nothing between
//! two entrants by sending in a third or taking it out.

use codec::Encode;
use core::cmp::Ordering;
use sp_core::H256;
use sp_runtime::traits::{BlakeTwo256, Hash};

struct Runner<'a, Name> {
    name: &'a Name,
    /// −log₂(u) in units of 2⁻³²: at most 2³⁸, so that its product with a weight fits 128 bits.
    log: u64,
    weight: u64,
}

impl<'a, Name: Encode> Runner<'a, Name> {
    fn new(randomness: &H256, name: &'a Name, weight: u64) -> Self {
        let hash = BlakeTwo256::hash_of(&(randomness, name));
        let point = hash.0.first_chunk().copied().map_or(0, u64::from_le_bytes);
        Self {
            name,
            log: minus_log2(point),
            weight,
        }
    }

    /// The smaller log / weight comes first; of two equal ones, the smaller encoded name.
    fn compare(&self, other: &Self) -> Ordering {
        let product = |log: u64, weight: u64| u128::from(log).saturating_mul(weight.into());
        product(self.log, other.weight)
            .cmp(&product(other.log, self.weight))
            .then_with(|| self.name.encode().cmp(&other.name.encode()))
    }
}

/// The place of the winner among these names with their weights; `None` if nobody runs.
pub(crate) fn winner<Name: Encode>(randomness: &H256, entrants: &[(Name, u128)]) -> Option<usize> {
    let largest = entrants.iter().map(|(_, weight)| *weight).max()?;
    // All are shifted together, until the largest fits 64 bits.
    let excess = u64::BITS.saturating_sub(largest.leading_zeros());
    entrants
        .iter()
        .map(|(name, weight)| {
            let weight = weight.checked_shr(excess).unwrap_or(0);
            let weight = u64::try_from(weight).unwrap_or(u64::MAX).max(1);
            Runner::new(randomness, name, weight)
        })
        .enumerate()
        .min_by(|(_, one), (_, other)| one.compare(other))
        .map(|(place, _)| place)
}

/// −log₂(u) for u = (`point` + 1) / 2⁶⁴, in units of 2⁻³² and rounded up.
fn minus_log2(point: u64) -> u64 {
    /// log₂ of the denominator of u, in units of 2⁻³².
    const DENOMINATOR: u64 = 64 << 32;

    let numerator = u128::from(point).saturating_add(1);
    let leading_zeros = numerator.leading_zeros();
    let mut log = u64::from(127u32.saturating_sub(leading_zeros));
    // Between 1 and 2, with 63 bits after the point. Nothing is lost: of the numerators of more than
    // 64 bits there is only 2⁶⁴.
    let normalized = numerator.checked_shl(leading_zeros).unwrap_or(0) >> 64;
    let mut mantissa = u64::try_from(normalized).unwrap_or(u64::MAX);
    // Squaring doubles the logarithm, so what is 2 or more after it has a one as the next bit.
    for _ in 0..32 {
        let square = u128::from(mantissa).saturating_mul(mantissa.into());
        let carry = u64::try_from(square >> 127).unwrap_or(1);
        let kept = if carry == 1 {
            square >> 64
        } else {
            square >> 63
        };
        mantissa = u64::try_from(kept).unwrap_or(u64::MAX);
        log = (log << 1).saturating_add(carry);
    }
    DENOMINATOR.saturating_sub(log)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn randomness(seed: u64) -> H256 {
        BlakeTwo256::hash(&seed.to_le_bytes())
    }

    /// The name that wins.
    fn win(seed: u64, entrants: &[(u64, u128)]) -> u64 {
        entrants[winner(&randomness(seed), entrants).unwrap()].0
    }

    /// Points of every size: next to the powers of two, and pseudorandom ones.
    fn points() -> Vec<u64> {
        let powers = (0..64).map(|bits| 1u64 << bits);
        let near = powers.flat_map(|power| [power - 1, power, power + 1]);
        let random = (0..20_000u64).map(|n| {
            let hash = randomness(n).to_low_u64_be();
            hash >> (n % 64)
        });
        let mut points: Vec<u64> = near.chain(random).chain([u64::MAX - 1, u64::MAX]).collect();
        points.sort();
        points
    }

    #[test]
    fn the_logarithm_is_exact_at_powers_of_two() {
        for bits in 0..=64u32 {
            let point = ((1u128 << bits) - 1) as u64;
            assert_eq!(minus_log2(point), u64::from(64 - bits) << 32);
        }
    }

    #[test]
    fn the_logarithm_is_that_of_floating_point() {
        for point in points() {
            let exact = if point < 1 << 63 {
                64.0 - (point as f64 + 1.0).log2()
            } else {
                // Near one, u itself would lose its last bits.
                let missing = (u64::MAX - point) as f64 / 2f64.powi(64);
                -(-missing).ln_1p() / core::f64::consts::LN_2
            };
            let got = minus_log2(point) as f64 / 2f64.powi(32);
            assert!(
                (got - exact).abs() < 2f64.powi(-30),
                "{point}: {got} is not {exact}"
            );
        }
    }

    #[test]
    fn the_logarithm_never_rises() {
        let logs: Vec<u64> = points().into_iter().map(minus_log2).collect();
        assert!(logs.is_sorted_by(|one, next| one >= next));
        assert!(logs[0] > 60 << 32);
    }

    #[test]
    fn everybody_wins_as_often_as_its_weight_says() {
        const ROUNDS: u64 = 20_000;
        let entrants = [(7, 1_000), (3, 2_000), (9, 3_000), (4, 4_000)];
        let mut wins = [0u32; 4];
        for seed in 0..ROUNDS {
            wins[winner(&randomness(seed), &entrants).unwrap()] += 1;
        }
        let chi_square: f64 = entrants
            .iter()
            .zip(wins)
            .map(|((_, weight), wins)| {
                let expected = ROUNDS as f64 * *weight as f64 / 10_000.0;
                (f64::from(wins) - expected).powi(2) / expected
            })
            .sum();
        // Three degrees of freedom: one honest run in a hundred is above.
        assert!(chi_square < 11.3, "{wins:?}: {chi_square}");
    }

    #[test]
    fn the_winner_stays_whoever_else_leaves_comes_or_changes_places() {
        let entrants: Vec<(u64, u128)> = (0..8).map(|name| (name, 10 + u128::from(name))).collect();
        for seed in 0..500 {
            let best = win(seed, &entrants);
            let mut reversed = entrants.clone();
            reversed.reverse();
            assert_eq!(win(seed, &reversed), best);
            for loser in (0..8).filter(|name| *name != best) {
                let mut fewer = entrants.clone();
                fewer.retain(|(name, _)| *name != loser);
                assert_eq!(win(seed, &fewer), best, "without {loser}");
            }
            let mut more = entrants.clone();
            more.push((99, 20));
            assert!([best, 99].contains(&win(seed, &more)));
        }
    }

    #[test]
    fn a_weight_that_grows_helps_nobody_else() {
        let entrants: Vec<(u64, u128)> = (0..8).map(|name| (name, 1 << 20)).collect();
        let mut gained = 0;
        for seed in 0..500 {
            let best = win(seed, &entrants);
            for grown in 0..8 {
                let mut changed = entrants.clone();
                changed[grown].1 *= 3;
                let now = win(seed, &changed);
                assert!(now == best || now == grown as u64);
                gained += u32::from(now != best);
            }
        }
        assert!(gained > 0);
    }

    #[test]
    fn only_the_shares_of_weights_count_however_large_they_are() {
        let entrants = |shift: u32| [(1, 3 << shift), (2, 5 << shift), (3, 6u128 << shift)];
        for seed in 0..500 {
            let small = win(seed, &entrants(0));
            for shift in [1, 60, 61, 62, 63, 100, 125] {
                assert_eq!(win(seed, &entrants(shift)), small, "shifted by {shift}");
            }
        }
    }

    #[test]
    fn the_largest_weights_do_not_leave_the_type_and_the_smallest_still_run() {
        let wins =
            (0..1_000).map(|seed| win(seed, &[(1, u128::MAX), (2, 1 << 127), (3, 1), (4, 0)]));
        let mut wins = wins.fold([0; 5], |mut wins, name| {
            wins[name as usize] += 1;
            wins
        });
        assert!((600..730).contains(&wins[1]), "{wins:?}");
        wins[1] = 0;
        assert!(wins[2] > 270 && wins[3] + wins[4] == 0, "{wins:?}");
        let light = (0..1_000).filter(|seed| win(*seed, &[(1, 0), (2, 0)]) == 1);
        assert!((430..570).contains(&light.count()));
    }

    #[test]
    fn nobody_wins_where_nobody_runs() {
        assert_eq!(winner::<u64>(&randomness(0), &[]), None);
    }

    #[test]
    fn the_smaller_encoded_name_wins_a_tie() {
        let runner = |name: &'static u64, log, weight| Runner { name, log, weight };
        // Little-endian: 256 is encoded before 1.
        let (small, large) = (runner(&256, 30, 10), runner(&1, 60, 20));
        assert_eq!(small.compare(&large), Ordering::Less);
        assert_eq!(large.compare(&small), Ordering::Greater);
        assert_eq!(runner(&1, 59, 20).compare(&small), Ordering::Less);
        assert_eq!(runner(&1, 61, 20).compare(&small), Ordering::Greater);
        let last = runner(&1, 64 << 32, u64::MAX);
        assert_eq!(
            last.compare(&runner(&256, 64 << 32, u64::MAX)),
            Ordering::Greater
        );
    }

    /// The formula in words, for whoever follows a draw outside the chain.
    #[test]
    fn a_runners_number_is_the_hash_of_randomness_and_name() {
        let (randomness, name) = (H256::repeat_byte(7), 0x0102_0304_0506_0708u64);
        let bytes = [randomness.as_bytes(), &name.to_le_bytes()].concat();
        let hash = sp_io::hashing::blake2_256(&bytes);
        let point = u64::from_le_bytes(hash[..8].try_into().unwrap());
        assert_eq!(Runner::new(&randomness, &name, 1).log, minus_log2(point));
    }
}
