//! Rows of [`crate::op::attention`], for a part of the positions.

use super::{product, round_after, round_small, saturate, Intervals};
use crate::{
    number::Scale,
    op::attention::{score_of, shifted, Inverse, Maxima, MAX_WEIGHT},
};

/// Scales of some positions' keys or values, each kind together.
#[derive(Clone, Copy)]
pub(crate) struct Scales<'a> {
    pub mantissas: &'a [u16],
    pub exponents: &'a [i8],
}

#[inline(always)]
pub(super) fn scores(sums: &mut [i32], query: Scale, keys: Scales, values: Scales) -> Maxima {
    let largest = keys
        .exponents
        .iter()
        .fold(i8::MIN, |most, exponent| most.max(*exponent));
    // A position's last shift is base - e_k + 1.
    let base = query.exponent.saturating_add(25).saturating_neg();
    let each = keys.mantissas.iter().zip(keys.exponents);
    if i32::from(largest) > base {
        // Scores of 2^15 and more.
        for (sum, (mantissa, exponent)) in sums.iter_mut().zip(each) {
            let key = Scale {
                mantissa: *mantissa,
                exponent: i32::from(*exponent),
            };
            *sum = score_of((*sum).into(), query, key);
        }
    } else {
        for (sum, (mantissa, exponent)) in sums.iter_mut().zip(each) {
            let both = u32::from(*mantissa).wrapping_mul(query.mantissa.into());
            let mantissa = both.wrapping_add(128) >> 8;
            let shift = base
                .wrapping_sub((*exponent).into())
                .clamp(0, 62)
                .unsigned_abs();
            let y = product((*sum).into(), mantissa.into());
            *sum = saturate(round_after(y, shift));
        }
    }
    let mut maxima = Maxima {
        score: i32::MIN,
        shifted: i64::MIN,
    };
    for (score, exponent) in sums.iter().zip(values.exponents) {
        maxima.score = maxima.score.max(*score);
        maxima.shifted = maxima.shifted.max(shifted(*score, (*exponent).into()));
    }
    maxima
}

#[inline(always)]
pub(super) fn weights(
    scores: &[i32],
    maxima: &Maxima,
    common: i32,
    values: Scales,
    intervals: &Intervals,
    w: &mut [i16],
) -> i64 {
    let table: &[[i32; 2]; 256] = &intervals.exp2;
    let values = values.mantissas.iter().zip(values.exponents);
    let mut denominator = 0i64;
    for ((score, (mantissa, exponent)), w) in scores.iter().zip(values).zip(w) {
        let delta = i64::from(maxima.score).wrapping_sub((*score).into());
        let [below, slope] = interval(table, (delta >> 8) as u8);
        let part = product(slope.into(), delta & 0xff).wrapping_add(128) >> 8;
        let power = i64::from(below).wrapping_add(part);
        let whole = (delta >> 16) as i32;
        denominator = denominator.wrapping_add(round_small(power, whole.min(62).unsigned_abs()));
        // At least 31, because U bounds it.
        let shift = whole
            .wrapping_add(31)
            .wrapping_sub((*exponent).into())
            .wrapping_add(common)
            .clamp(0, 62);
        let weight = round_small(product(power, (*mantissa).into()), shift.unsigned_abs());
        *w = weight.min(MAX_WEIGHT) as i16;
    }
    denominator
}

#[inline(always)]
#[allow(clippy::indexing_slicing)]
fn interval(table: &[[i32; 2]; 256], number: u8) -> [i32; 2] {
    // A u8 is below 256.
    table[usize::from(number)]
}

#[inline(always)]
pub(super) fn outputs(sums: &[i64], inverse: &Inverse, out: &mut [i32]) {
    let last = inverse.exponent.saturating_neg().saturating_sub(1);
    let shift = last.clamp(0, 62).unsigned_abs();
    for (sum, out) in sums.iter().zip(out) {
        *out = if last < 0 {
            inverse.times(*sum)
        } else {
            saturate(round_after(sum.wrapping_mul(inverse.mantissa), shift))
        };
    }
}
