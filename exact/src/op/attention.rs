//! Attention of one head at one position: `scores` and `attend` (format page §3.7).
//!
//! Scores are in log2 units, Q16. The weights' common exponent K follows from U, the largest score
//! with its value row's exponent, so that a value row with a large scale and a small weight keeps
//! its digits.

use alloc::{vec, vec::Vec};

use crate::{
    leaf::{require, Entries, LeafError, Operand, BLOCK, PAGE},
    number::{bits, floor_div, isqrt, round, round_sat, Scale},
};

use super::{exp2::power, sum};

/// log2(e) in Q60.
const LOG2_E: i64 = 1_663_303_525_136_163_595;
/// 2^16, one unit of a score's integer part.
const UNIT: i64 = 1 << 16;
pub(crate) const MAX_WEIGHT: i64 = 32767;
/// 32767 · 127 · 2^20 (§8).
const MAX_SUM: u64 = (32767 * 127) << 20;

/// (m_d, e_d): log2(e) / sqrt(d).
pub fn head_scale(head_dim: u16) -> Scale {
    Scale::norm(
        floor_div(LOG2_E, isqrt(i64::from(head_dim).wrapping_mul(1 << 40))),
        -40,
    )
}

/// The scale of a query row for its scores, from its quantisation's.
pub fn query_scale(quantised: Scale, head_dim: u16) -> Scale {
    quantised.times(head_scale(head_dim))
}

/// The score of one earlier position, from the query row, its key row and their scales.
pub fn score(q: &[i16], k: &[i8], query: Scale, key: Scale) -> Result<i32, LeafError> {
    require(q.len() == k.len() && q.len() <= 512, Operand::Length)?;
    Ok(score_of(super::linear::dot(q, k), query, key))
}

#[inline]
pub(crate) fn score_of(acc: i64, query: Scale, key: Scale) -> i32 {
    let mantissa = round(
        i64::from(query.mantissa).wrapping_mul(key.mantissa.into()),
        8,
    );
    let exponent = query
        .exponent
        .saturating_add(key.exponent)
        .saturating_add(24);
    round_sat(acc.wrapping_mul(mantissa), exponent.saturating_neg())
}

/// What the weights of one head and position share.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Maxima {
    /// S, the largest score.
    pub score: i32,
    /// U, the largest of score + 2^16 · exponent of the value row's scale.
    pub shifted: i64,
}

impl Maxima {
    /// K, the weights' common exponent.
    pub(crate) fn exponent(&self) -> Result<i32, LeafError> {
        let distance = i64::from(self.score).saturating_sub(self.shifted);
        require(distance.unsigned_abs() < 1 << 40, Operand::Maximum)?;
        // -floor((S - U) / 65536) is the ceiling of the opposite.
        Ok((distance >> 16).wrapping_neg() as i32)
    }
}

/// S and U of at most [`BLOCK`] positions. Those of a row are the maxima of its blocks'.
pub fn partial_maxima(scores: &[i32], values: &[Scale]) -> Result<Maxima, LeafError> {
    require(
        scores.len() == values.len() && scores.len() <= BLOCK,
        Operand::Length,
    )?;
    maxima(scores, values.iter().copied())
}

fn maxima(scores: &[i32], values: impl Iterator<Item = Scale>) -> Result<Maxima, LeafError> {
    let mut pairs = scores
        .iter()
        .zip(values)
        .map(|(score, value)| (*score, shifted(*score, value.exponent)));
    let first = pairs.next().ok_or(Operand::Length)?;
    let (score, shifted) = pairs.fold(first, |most, pair| (most.0.max(pair.0), most.1.max(pair.1)));
    Ok(Maxima { score, shifted })
}

/// s + 2^16 · e_v.
#[inline]
pub(crate) fn shifted(score: i32, value_exponent: i32) -> i64 {
    i64::from(score).saturating_add(i64::from(value_exponent).saturating_mul(UNIT))
}

/// 2^-(delta mod 2^16 / 2^16) in Q30, and delta's integer part.
#[inline]
fn decay<E: Entries + ?Sized>(
    score: i32,
    maxima: &Maxima,
    exp2: &E,
) -> Result<(i64, i32), LeafError> {
    let delta = i64::from(maxima.score).wrapping_sub(score.into());
    require(delta >= 0, Operand::Maximum)?;
    Ok((power(delta & 0xffff, exp2)?, (delta >> 16) as i32))
}

/// The part of D that at most [`BLOCK`] positions add.
pub fn partial_denominator<E: Entries + ?Sized>(
    scores: &[i32],
    maxima: &Maxima,
    exp2: &E,
) -> Result<i64, LeafError> {
    require(scores.len() <= BLOCK, Operand::Length)?;
    scores.iter().try_fold(0i64, |total, score| {
        let (power, whole) = decay(*score, maxima, exp2)?;
        Ok(total.saturating_add(round(power, whole)))
    })
}

/// w\[j\], the weight of one position: its scale's mantissa is in it, and K is common to all.
#[inline]
pub fn weight<E: Entries + ?Sized>(
    score: i32,
    value: Scale,
    maxima: &Maxima,
    exp2: &E,
) -> Result<i16, LeafError> {
    let (power, whole) = decay(score, maxima, exp2)?;
    require(
        shifted(score, value.exponent) <= maxima.shifted,
        Operand::Maximum,
    )?;
    // U bounds this shift from below: at least 31.
    let shift = whole
        .saturating_add(31)
        .saturating_sub(value.exponent)
        .saturating_add(maxima.exponent()?);
    let weight = round(power.wrapping_mul(value.mantissa.into()), shift);
    Ok(weight.min(MAX_WEIGHT) as i16)
}

/// The part of o\[i\] that one page of at most [`PAGE`] positions adds: `values` is column i of it.
pub fn partial(weights: &[i16], values: &[i8]) -> Result<i64, LeafError> {
    require(
        weights.len() == values.len() && weights.len() <= PAGE,
        Operand::Length,
    )?;
    Ok(super::linear::dot(weights, values))
}

/// Element i of the head's output in Q16, from the parts of o\[i\] and the row's D, S and U.
pub fn element(parts: &[i64], denominator: i64, maxima: &Maxima) -> Result<i32, LeafError> {
    output(sum(parts)?, denominator, maxima)
}

#[inline]
fn output(acc: i64, denominator: i64, maxima: &Maxima) -> Result<i32, LeafError> {
    require(acc.unsigned_abs() <= MAX_SUM, Operand::Sum)?;
    Ok(Inverse::new(denominator, maxima)?.times(acc))
}

/// What every sum of a head's output is multiplied with.
pub(crate) struct Inverse {
    pub mantissa: i64,
    /// Of the result in Q16.
    pub exponent: i32,
}

impl Inverse {
    pub fn new(denominator: i64, maxima: &Maxima) -> Result<Self, LeafError> {
        // The largest score alone gives 2^30.
        require((1 << 30..=1 << 50).contains(&denominator), Operand::Sum)?;
        let shift = bits(denominator).wrapping_sub(31);
        let inverse = Scale::norm(
            floor_div(1 << 62, round(denominator, shift)),
            (-32i32).wrapping_sub(shift),
        );
        Ok(Self {
            mantissa: inverse.mantissa.into(),
            exponent: inverse
                .exponent
                .saturating_add(maxima.exponent()?)
                .saturating_add(17),
        })
    }

    #[inline]
    pub fn times(&self, acc: i64) -> i32 {
        round_sat(
            acc.wrapping_mul(self.mantissa),
            self.exponent.saturating_neg(),
        )
    }
}

/// Keys or values of one layer's positions that one head reads.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// Position j's row is `numbers[j · stride + offset ..][.. d]`.
    pub numbers: &'a [i8],
    pub stride: usize,
    pub offset: usize,
    /// Position j's scale is `scales[j · scale_stride + scale_offset]`.
    pub scales: &'a [Scale],
    pub scale_stride: usize,
    pub scale_offset: usize,
}

impl<'a> Rows<'a> {
    fn rows(&self, width: usize) -> impl Iterator<Item = (&'a [i8], Scale)> + Clone + use<'a> {
        let (numbers, scales) = (self.offset, self.scale_offset);
        let end = numbers.saturating_add(width);
        self.numbers
            .chunks_exact(self.stride.max(1))
            .zip(self.scales.chunks_exact(self.scale_stride.max(1)))
            .map_while(move |(row, scale)| Some((row.get(numbers..end)?, *scale.get(scales)?)))
    }
}

/// One head's weights at one position.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Weights {
    /// s\[j\] of every visible position, log2 units in Q16.
    pub scores: Vec<i32>,
    pub maxima: Maxima,
    /// D, Q30.
    pub denominator: i64,
    /// w\[j\].
    pub weights: Vec<i16>,
}

/// The weights of a query row over `positions` rows of keys and values.
pub fn weights(
    q: &[i16],
    quantised: Scale,
    keys: Rows,
    values: Rows,
    positions: usize,
    exp2: &[i32],
) -> Result<Weights, LeafError> {
    let width = q.len();
    let head_dim = u16::try_from(width).map_err(|_| Operand::Length)?;
    let query = query_scale(quantised, head_dim);
    let keys = keys.rows(width).take(positions);
    let scores = keys
        .map(|(key, scale)| score(q, key, query, scale))
        .collect::<Result<Vec<_>, _>>()?;
    require(scores.len() == positions, Operand::Length)?;
    let scales = values.rows(width).map(|(_, scale)| scale);
    let maxima = maxima(&scores, scales.clone())?;
    let denominator = scores.chunks(BLOCK).try_fold(0i64, |total, block| {
        Ok::<_, LeafError>(total.saturating_add(partial_denominator(block, &maxima, exp2)?))
    })?;
    let weights = scores
        .iter()
        .zip(scales)
        .map(|(score, value)| weight(*score, value, &maxima, exp2))
        .collect::<Result<Vec<_>, _>>()?;
    require(weights.len() == positions, Operand::Length)?;
    Ok(Weights {
        scores,
        maxima,
        denominator,
        weights,
    })
}

/// The output of one head into `out` (d elements, Q16): a query row over `positions` rows of keys
/// and values.
pub fn row(
    q: &[i16],
    quantised: Scale,
    keys: Rows,
    values: Rows,
    positions: usize,
    exp2: &[i32],
    out: &mut [i32],
) -> Result<(), LeafError> {
    require(out.len() == q.len(), Operand::Length)?;
    let of = weights(q, quantised, keys, values, positions, exp2)?;
    let mut sums = vec![0i64; out.len()];
    for (weight, (value, _)) in of.weights.iter().zip(values.rows(out.len())) {
        for (sum, value) in sums.iter_mut().zip(value) {
            // 2^15 · 2^7 for each of at most 2^20 positions.
            *sum = sum.wrapping_add(i64::from(*weight).wrapping_mul((*value).into()));
        }
    }
    for (slot, acc) in out.iter_mut().zip(sums) {
        *slot = output(acc, of.denominator, &of.maxima)?;
    }
    Ok(())
}
