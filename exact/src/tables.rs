//! The tables of the format page's §7: each entry is the nearest integer to a real number.
//!
//! Computed in fixed point on big integers with 256 fraction bits, by series and recurrences whose
//! error stays below 2^-200; that any other precision gives the same entries is tested. Only the
//! import of a model makes tables. Engines and judges read those of the model.

#![cfg(feature = "std")]
// Big integers do not overflow, and no index comes from outside.
#![allow(clippy::arithmetic_side_effects)]

use std::vec::Vec;

use num_bigint::{BigInt, Sign};

use crate::shape::{Rotary, Shape, PPM};
pub use crate::tensor::{EXP2_INTERVALS, LOW_POSITIONS, SILU_INTERVALS};

const FRACTION_BITS: u32 = 256;

/// E: 257 entries, `2^30 · 2^(-i/256)`.
pub fn exp2() -> Vec<i32> {
    Reals(FRACTION_BITS).exp2()
}

/// B: 2,049 entries, `2^28 · u / (1 + e^u)` at `u = i/128`.
pub fn silu() -> Vec<i32> {
    Reals(FRACTION_BITS).silu()
}

/// Rotary rows of the positions 0 to 255, and of the positions 256·r below the context rounded up:
/// `head_dim / 2` pairs (cos, sin) in Q30 each.
pub fn rotary(shape: &Shape) -> (Vec<i32>, Vec<i32>) {
    Reals(FRACTION_BITS).rotary(shape)
}

/// What share of each rotary frequency its scaling leaves, in Q32.
pub(crate) fn rotary_shares(rotary: &Rotary, head_dim: u16) -> Vec<u64> {
    let reals = Reals(FRACTION_BITS);
    let plain = Rotary {
        base: rotary.base,
        scaling: None,
    };
    let [scaled, plain] = [rotary, &plain].map(|rotary| reals.frequencies(rotary, head_dim.into()));
    let share = |(scaled, plain): (&BigInt, &BigInt)| {
        u64::try_from((scaled << 32u32) / plain).unwrap_or(u64::MAX)
    };
    scaled.iter().zip(&plain).map(share).collect()
}

/// Real numbers in fixed point, with this many fraction bits.
struct Reals(u32);

impl Reals {
    fn one(&self) -> BigInt {
        BigInt::from(1) << self.0
    }

    fn multiply(&self, a: &BigInt, b: &BigInt) -> BigInt {
        (a * b) >> self.0
    }

    fn divide(&self, a: &BigInt, b: &BigInt) -> BigInt {
        (a << self.0) / b
    }

    /// Nearest integer to `x · 2^fraction_bits`. Every table entry fits i32.
    fn nearest(&self, x: &BigInt, fraction_bits: u32) -> i32 {
        let below = self.0 - fraction_bits;
        let rounded: BigInt = (x + (BigInt::from(1) << (below - 1))) >> below;
        i32::try_from(rounded).unwrap_or(i32::MAX)
    }

    /// How often to halve x until it is at most 1 in size.
    fn halvings(&self, x: &BigInt) -> u64 {
        x.bits().saturating_sub(self.0.into())
    }

    /// 2·(y + y³/3 + y⁵/5 + …) = ln((1 + y) / (1 - y)).
    fn twice_atanh(&self, y: &BigInt) -> BigInt {
        let square = self.multiply(y, y);
        let (mut power, mut sum, mut n) = (y.clone(), BigInt::from(0), 1u32);
        while power.sign() != Sign::NoSign {
            sum += &power / n;
            power = self.multiply(&power, &square);
            n += 2;
        }
        sum * 2
    }

    fn ln2(&self) -> BigInt {
        self.twice_atanh(&(self.one() / 3))
    }

    /// ln(numerator / denominator) of a ratio of at least 1.
    fn ln(&self, numerator: u64, denominator: u64) -> BigInt {
        let (numerator, mut denominator) = (BigInt::from(numerator), BigInt::from(denominator));
        let mut doublings = 0u32;
        while &denominator * 2 <= numerator {
            denominator *= 2;
            doublings += 1;
        }
        let y = ((&numerator - &denominator) << self.0) / (&numerator + &denominator);
        self.twice_atanh(&y) + self.ln2() * doublings
    }

    /// Taylor's series of e^x on a halved argument, squared back.
    fn exp(&self, x: &BigInt) -> BigInt {
        let halvings = self.halvings(x);
        let x = x >> halvings;
        let (mut term, mut sum, mut n) = (self.one(), BigInt::from(0), 1u32);
        while term.sign() != Sign::NoSign {
            sum += &term;
            // A division and not a shift, which would never bring a negative term to 0.
            term = &term * &x / (self.one() * n);
            n += 1;
        }
        for _ in 0..halvings {
            sum = self.multiply(&sum, &sum);
        }
        sum
    }

    /// Machin: π = 16 atan(1/5) - 4 atan(1/239).
    fn pi(&self) -> BigInt {
        let atan_inverse = |x: u32| {
            let (mut power, mut sum, mut n) = (self.one() / x, BigInt::from(0), 1u32);
            while power.sign() != Sign::NoSign {
                if n % 4 == 1 {
                    sum += &power / n;
                } else {
                    sum -= &power / n;
                }
                power /= x * x;
                n += 2;
            }
            sum
        };
        atan_inverse(5) * 16 - atan_inverse(239) * 4
    }

    /// (cos x, sin x) by Taylor's series on a halved argument, doubled back.
    fn turn(&self, x: &BigInt) -> Turn {
        let halvings = self.halvings(x);
        let x = x >> halvings;
        let mut turn = Turn {
            cos: BigInt::from(0),
            sin: BigInt::from(0),
        };
        let (mut term, mut n) = (self.one(), 0u32);
        while term.sign() != Sign::NoSign {
            match n % 4 {
                0 => turn.cos += &term,
                1 => turn.sin += &term,
                2 => turn.cos -= &term,
                _ => turn.sin -= &term,
            }
            n += 1;
            term = self.multiply(&term, &x) / n;
        }
        self.doubled(turn, halvings)
    }

    fn added(&self, a: &Turn, b: &Turn) -> Turn {
        let product = |x, y| self.multiply(x, y);
        Turn {
            cos: product(&a.cos, &b.cos) - product(&a.sin, &b.sin),
            sin: product(&a.sin, &b.cos) + product(&a.cos, &b.sin),
        }
    }

    fn doubled(&self, turn: Turn, times: u64) -> Turn {
        (0..times).fold(turn, |turn, _| self.added(&turn, &turn))
    }

    /// ω_i = base^(-2i/d), scaled as `llama3` scales them where the parameters say so.
    fn frequencies(&self, rotary: &Rotary, head_dim: u32) -> Vec<BigInt> {
        let step = self.exp(&(-self.ln(rotary.base, PPM) * 2 / head_dim));
        let mut frequency = self.one();
        let mut frequencies = Vec::new();
        for _ in 0..head_dim / 2 {
            frequencies.push(frequency.clone());
            frequency = self.multiply(&frequency, &step);
        }
        let Some(scaling) = &rotary.scaling else {
            return frequencies;
        };
        let full_turn = self.pi() * 2;
        let (low, high) = (
            self.parts_per_million(scaling.low),
            self.parts_per_million(scaling.high),
        );
        for frequency in &mut frequencies {
            let turns = self.divide(&(&*frequency * scaling.original_context), &full_turn);
            let slowed = &*frequency * PPM / scaling.factor;
            if turns > high {
                continue;
            }
            *frequency = if turns < low {
                slowed
            } else {
                let share = self.divide(&(&turns - &low), &(&high - &low));
                self.multiply(&slowed, &(self.one() - &share)) + self.multiply(frequency, &share)
            };
        }
        frequencies
    }

    fn parts_per_million(&self, value: u64) -> BigInt {
        (BigInt::from(value) << self.0) / PPM
    }

    fn exp2(&self) -> Vec<i32> {
        let step = self.exp(&(-self.ln2() / EXP2_INTERVALS));
        let mut entry = self.one();
        let mut table = Vec::new();
        for _ in 0..=EXP2_INTERVALS {
            table.push(self.nearest(&entry, 30));
            entry = self.multiply(&entry, &step);
        }
        table
    }

    fn silu(&self) -> Vec<i32> {
        let unit = self.one() / 128;
        let step = self.exp(&unit);
        let mut power = self.one();
        let mut table = Vec::new();
        for i in 0..=SILU_INTERVALS {
            let entry = self.divide(&(&unit * i), &(self.one() + &power));
            table.push(self.nearest(&entry, 28));
            power = self.multiply(&power, &step);
        }
        table
    }

    fn rotary(&self, shape: &Shape) -> (Vec<i32>, Vec<i32>) {
        let steps: Vec<Turn> = self
            .frequencies(&shape.rotary, shape.head_dim.into())
            .iter()
            .map(|frequency| self.turn(frequency))
            .collect();
        let low = self.multiples(&steps, LOW_POSITIONS);
        let steps = steps
            .into_iter()
            .map(|step| self.doubled(step, LOW_POSITIONS.ilog2().into()))
            .collect::<Vec<_>>();
        (low, self.multiples(&steps, shape.rotary_high_rows()))
    }

    /// Rows of the multiples 0, 1, … of each step.
    fn multiples(&self, steps: &[Turn], rows: u32) -> Vec<i32> {
        let start = Turn {
            cos: self.one(),
            sin: BigInt::from(0),
        };
        let mut turns = vec![start; steps.len()];
        let mut table = Vec::new();
        for _ in 0..rows {
            for (turn, step) in turns.iter_mut().zip(steps) {
                table.push(self.nearest(&turn.cos, 30));
                table.push(self.nearest(&turn.sin, 30));
                *turn = self.added(turn, step);
            }
        }
        table
    }
}

/// A point on the unit circle.
#[derive(Clone)]
struct Turn {
    cos: BigInt,
    sin: BigInt,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::Scaling;
    use blake2::{digest::consts::U32, Blake2b, Digest};

    fn hash(entries: &[i32]) -> String {
        let bytes: Vec<u8> = entries.iter().flat_map(|x| x.to_le_bytes()).collect();
        Blake2b::<U32>::digest(bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    fn shape(head_dim: u16, context: u32, base: u64, scaling: Option<Scaling>) -> Shape {
        Shape {
            layers: 1,
            hidden: 64,
            intermediate: 64,
            heads: 1,
            kv_heads: 1,
            head_dim,
            vocabulary: 16,
            context,
            tied: true,
            biases: false,
            head_norms: false,
            fraction_bits: 16,
            eps40: 1,
            rotary: Rotary {
                base: base * PPM,
                scaling,
            },
        }
    }

    fn llama3() -> Scaling {
        Scaling {
            factor: 32 * PPM,
            low: PPM,
            high: 4 * PPM,
            original_context: 8192,
        }
    }

    fn rotary_hash(shape: &Shape) -> String {
        let (mut low, high) = rotary(shape);
        low.extend(high);
        hash(&low)
    }

    #[test]
    fn the_tables_hash_as_the_page_says() {
        assert_eq!(
            hash(&exp2()),
            "a408aeab6de0209c5c2dafd854b2ac5f777cc3d55f94868a9d681d8c9e9dc729"
        );
        assert_eq!(
            hash(&silu()),
            "b7e0c2967f054f39ccc49e43094669336f4a9b22d6284eac84458c8667ca137d"
        );
        assert_eq!(
            rotary_hash(&shape(32, 512, 10_000, None)),
            "96505936d21d9ba48d66514929d17662cfdd067839407aa8222eaafd662aa026"
        );
        assert_eq!(
            rotary_hash(&shape(64, 32_768, 1_000_000, None)),
            "afcc642e9ce533e1cb1bbe6c8505ad57749f147ea62b191140cbdf9105940e29"
        );
        assert_eq!(
            rotary_hash(&shape(64, 131_072, 500_000, Some(llama3()))),
            "f855abd57d72ced68bf5577c30e0ac431fa06618010342feb174ce9034f7fbce"
        );
    }

    #[test]
    fn another_precision_gives_the_same_entries() {
        let finer = Reals(320);
        assert_eq!(finer.exp2(), exp2());
        assert_eq!(finer.silu(), silu());
        for shape in [
            shape(32, 512, 10_000, None),
            shape(6, 1 << 20, 1, None),
            shape(64, 4096, 500_000, Some(llama3())),
            shape(
                8,
                700,
                1 << 40,
                Some(Scaling {
                    factor: 1,
                    low: 1,
                    high: 2,
                    original_context: 1,
                }),
            ),
        ] {
            assert_eq!(finer.rotary(&shape), rotary(&shape));
        }
    }
}
