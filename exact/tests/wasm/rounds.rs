//! The elements that a judge computes, each over and over on operands of its largest block, to be held
//! against what the machine makes of them.

use alloc::vec::Vec;
use core::hint::black_box;

use assay_exact::{
    leaf::LeafError,
    model::Row,
    op::{
        self,
        attention::{self, Maxima},
        embed, head_norm, linear,
        norm::{self, Statistics, Width},
        quant,
        rotary::{self, Angle},
        silu,
    },
    sampling::{self, BINS, VOCABULARY_BLOCK},
    Scale,
};

use crate::{cases::Numbers, judge::shape};

/// An element's function.
pub struct Element {
    pub name: &'static str,
    /// Runs it so many times, and gives something of all results.
    pub run: fn(u32) -> i64,
}

/// Operands that the rounds take in turn.
const OPERANDS: u32 = 32;

fn repeat<T>(
    rounds: u32,
    operands: impl Fn(&mut Numbers) -> T,
    element: impl Fn(&T) -> Result<i64, LeafError>,
) -> i64 {
    let operands = Numbers::new(15).list(OPERANDS as usize, operands);
    (0..rounds).fold(0, |sum, round| {
        let operands = black_box(&operands[(round % OPERANDS) as usize]);
        let given = element(operands).expect("sound operands");
        sum.wrapping_mul(31).wrapping_add(given)
    })
}

macro_rules! elements {
    ($($name:literal, $operands:expr, $element:expr;)*) => {
        pub const ELEMENTS: &[Element] = &[$(Element {
            name: $name,
            run: |rounds| repeat(rounds, $operands, $element),
        }),*];
    };
}

elements! {
    "sum", |n| n.list(256, |n| n.within(-1 << 40, 1 << 40)), |parts| op::sum(parts);
    "maximum", |n| n.list(256, |n| n.within(-1 << 40, 1 << 40)), |parts| op::maximum(parts);

    "embed: element",
        |n| (n.weights(2, 2), row(n)),
        |(limbs, row)| Ok(embed::element(limbs[0], limbs[1], *row, 3, 16)?.into());

    "norm_quant: max |x|", |n| n.row32(256, 2), |x| norm::partial_maximum(x);
    "norm_quant: sum of squares",
        |n| n.row32(256, 2),
        |x| norm::partial_squares(x, black_box(LARGEST));
    "norm_quant: max |z|",
        |n| (n.row32(256, 2), n.gamma(256, 2)),
        |(x, gamma)| norm::partial_product(x, gamma, black_box(LARGEST));
    "norm_quant: element",
        |n| (x(n), n.gamma(1, 2)[0], statistics(n)),
        |(x, gamma, statistics)| Ok(norm::element(*x, *gamma, statistics)?.into());
    "norm_quant: scale",
        |n| (statistics(n), Width::hidden(&shape::norm_shape(4096, 128, 11, 16))),
        |(statistics, width)| norm::scale(statistics, -24, width).map(of_scale);
    "head_norm: element",
        |n| {
            let width = Width::head(&shape::norm_shape(4096, 128, 11, 16));
            (x(n), n.gamma(1, 2)[0], statistics(n), width)
        },
        |(x, gamma, statistics, width)| {
            Ok(head_norm::element(*x, *gamma, -24, statistics, width)?.into())
        };

    "quant: max |z|",
        |n| n.list(256, |n| n.within(-1 << 40, 1 << 40)),
        |z| quant::partial_maximum(z);
    "quant: int16",
        |n| (n.within(-1 << 40, 1 << 40), n.within(1 << 40, 1 << 41)),
        |(z, most)| Ok(quant::element16(*z, *most)?.into());
    "quant: int8",
        |n| (n.within(-1 << 40, 1 << 40), n.within(1 << 40, 1 << 41)),
        |(z, most)| Ok(quant::element8(*z, *most)?.into());
    "quant: scale", |n| n.within(1, 1 << 40), |most| quant::scale16(*most, 16).map(of_scale);

    "linear: partial sum",
        |n| (n.activations(1024, 2), n.weights(1024, 2)),
        |(q, weights)| linear::partial(q, weights);
    "linear: element",
        |n| (n.list(64, |n| n.within(-1 << 31, 1 << 31)), row(n), scale(n)),
        |(parts, row, scale)| Ok(linear::element(parts, *row, *scale, 16)?.into());
    "linear: added", |n| (x(n), x(n)), |(x, y)| Ok(linear::add(*x, *y).into());

    "angles: element",
        |n| (angle(n), angle(n)),
        |(low, high)| rotary::angle(*low, *high).map(|angle| i64::from(angle.cos ^ angle.sin));
    "rope: element",
        |n| (x(n), x(n), angle(n)),
        |(x, other, angle)| Ok(rotary::element_first(*x, *other, *angle)?.into());

    "attention: query's scale",
        |n| (scale(n), n.of(&[64, 128])),
        |(quantised, width)| Ok(of_scale(attention::query_scale(*quantised, *width)));
    "attention: score",
        |n| (n.activations(128, 2), n.weights(128, 2), scale(n), scale(n)),
        |(q, k, query, key)| Ok(attention::score(q, k, *query, *key)?.into());
    "attention: S and U",
        |n| (n.list(256, score), n.list(256, scale)),
        |(scores, scales)| {
            let maxima = attention::partial_maxima(scores, scales)?;
            Ok(maxima.shifted ^ i64::from(maxima.score))
        };
    "attention: D",
        |n| (n.list(256, score), exp2()),
        |(scores, exp2)| {
            let opened = opened::<4>(exp2);
            attention::partial_denominator(scores, black_box(&MAXIMA), opened.as_slice())
        };
    "attention: weight",
        |n| (score(n), scale(n), exp2()),
        |(score, scale, exp2)| {
            let (maxima, opened) = (black_box(&MAXIMA), opened::<1>(exp2));
            Ok(attention::weight(*score, *scale, maxima, opened.as_slice())?.into())
        };
    "attention: partial sum",
        |n| (n.list(16, |n| n.within(0, 32767) as i16), n.weights(16, 2)),
        |(weights, values)| attention::partial(weights, values);
    "attention: element",
        |n| (n.list(256, |n| n.within(-1 << 25, 1 << 25)), n.within(1 << 30, 1 << 50)),
        |(parts, denominator)| {
            Ok(attention::element(parts, *denominator, black_box(&MAXIMA))?.into())
        };

    "silu_mul: max |z|",
        |n| (n.list(256, gate), n.row32(256, 2), silu()),
        |(gate, up, silu)| silu::partial_maximum(gate, up, opened::<32>(silu).as_slice());
    "silu_mul: element",
        |n| (gate(n) >> 6, x(n), silu(), n.within(1 << 52, 1 << 53)),
        |(gate, up, silu, most)| {
            Ok(silu::element(*gate, *up, opened::<1>(silu).as_slice(), *most)?.into())
        };
    "silu_mul: scale", |n| n.within(1, 1 << 52), |most| silu::scale(*most).map(of_scale);

    "sampling: penalised",
        |n| (x(n), n.within(500_000, 4_000_000) as u32),
        |(logit, penalty)| Ok(sampling::penalised(*logit, *penalty)?.into());
    "sampling: greedy",
        |n| n.row32(VOCABULARY_BLOCK, 2),
        |logits| Ok(sampling::greedy(logits, 0).map_or(0, |(_, token)| token.into()));
    "sampling: candidate",
        |n| (score(n), n.within(500_000, 2_000_000) as u32, exp2()),
        |(logit, temperature, exp2)| {
            let opened = opened::<4>(exp2);
            let candidate =
                sampling::candidate(*logit, MAXIMA.score, *temperature, opened.as_slice())?;
            Ok(candidate.weight ^ candidate.distance)
        };
    "sampling: counts",
        |n| n.row32(VOCABULARY_BLOCK, 2),
        |logits| Ok(sampling::counts(logits, logits[0], 1)[7].into());
    "sampling: last bin",
        |n| n.list(BINS, |n| n.within(0, 1 << 30)),
        |bins| Ok(sampling::last_bin(bins, 900_000)? as i64);
    "sampling: passing",
        |n| n.list(VOCABULARY_BLOCK, |n| n.within(0, 1 << 30)),
        |weights| Ok(sampling::passing(weights, 0, 0, 1 << 60).map_or(0, i64::from));
}

/// The largest |x| of all rows.
const LARGEST: i64 = 1 << 31;

/// Above every [`score`], with every [`scale`].
const MAXIMA: Maxima = Maxima {
    score: 1 << 20,
    shifted: 1 << 20,
};

fn statistics(n: &mut Numbers) -> Statistics {
    Statistics {
        maximum: LARGEST,
        squares: n.within(1, 1 << 57),
        // Above every product.
        product: n.within(1 << 47, 1 << 48),
    }
}

fn x(n: &mut Numbers) -> i32 {
    n.draw() as i32
}

/// Q16, within the SiLU table.
fn gate(n: &mut Numbers) -> i32 {
    n.within(-(1 << 20), 1 << 20) as i32
}

/// Below the largest by a whole number and little more, so that one leaf of the exp2 table will do.
fn score(n: &mut Numbers) -> i32 {
    MAXIMA.score - (n.within(0, 12) << 16 | n.within(0, (1 << 14) - 1)) as i32
}

fn row(n: &mut Numbers) -> Row {
    Row {
        mantissa: n.mantissa(),
        exponent: n.within(-30, -20) as i16,
        bias: x(n),
    }
}

fn scale(n: &mut Numbers) -> Scale {
    Scale {
        mantissa: n.mantissa().max(1 << 15),
        exponent: n.within(-30, -10) as i32,
    }
}

fn of_scale(scale: Scale) -> i64 {
    i64::from(scale.mantissa) << 32 | i64::from(scale.exponent as u32)
}

fn angle(n: &mut Numbers) -> Angle {
    let mut entry = || n.within(-(1 << 29), 1 << 29) as i32;
    Angle {
        cos: entry(),
        sin: entry(),
    }
}

/// As many entries as the table E, within its range.
fn exp2() -> Vec<i32> {
    (0..=256).map(|i| (1 << 30) - (i << 21)).collect()
}

/// As many entries as the table B, within its range.
fn silu() -> Vec<i32> {
    (0..=2048).map(|i| i << 15).collect()
}

/// The first N leaves of a table: all that it has where a whole block reads it.
fn opened<const N: usize>(table: &[i32]) -> [Option<&[i32]>; N] {
    core::array::from_fn(|leaf| table.get(64 * leaf..64 * leaf + 65))
}
