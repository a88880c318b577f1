//! One row of floats becomes int8 weights and a scale (format page §6.2).

use super::float::{frexp, largest, power_of_two};
use crate::model::Row;

/// Scale of a row for the largest value at 127, as f64 and as it is stored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct RowScale {
    unit: f64,
    pub row: Row,
}

/// The scale of `row`. A row too small for the stored exponents becomes a row of zeros; none for a
/// row that is too large for them.
pub(super) fn row_scale(row: &[f64]) -> Option<RowScale> {
    let zero = RowScale {
        unit: 0.0,
        row: Row::default(),
    };
    let (fraction, mut exponent) = frexp(largest(row) / 127.0);
    if fraction == 0.0 {
        return Some(zero);
    }
    let mut mantissa = (fraction * 65536.0).ceil();
    if mantissa == 65536.0 {
        mantissa = 32768.0;
        exponent = exponent.saturating_add(1);
    }
    let exponent = exponent.saturating_sub(16);
    match exponent {
        ..-96 => Some(zero),
        -96..=31 => Some(RowScale {
            unit: mantissa * power_of_two(exponent),
            row: Row {
                mantissa: mantissa as u16,
                exponent: exponent as i16,
                bias: 0,
            },
        }),
        _ => None,
    }
}

/// The row in units of its scale, as int8 in [-127, 127].
pub(super) fn weights(row: &[f64], scale: RowScale, out: &mut Vec<u8>) {
    out.clear();
    out.extend(row.iter().map(|w| high(*w, scale) as i8 as u8));
}

/// What [`weights`] leave of each element, in 1/256 of the unit.
pub(super) fn low_limbs(row: &[f64], scale: RowScale, out: &mut Vec<u8>) {
    out.clear();
    out.extend(row.iter().map(|w| {
        if scale.unit == 0.0 {
            return 0;
        }
        let rest = w / scale.unit - high(*w, scale);
        (rest * 256.0).round_ties_even().clamp(-128.0, 127.0) as i8 as u8
    }));
}

fn high(w: f64, scale: RowScale) -> f64 {
    if scale.unit == 0.0 {
        return 0.0;
    }
    (w / scale.unit).round_ties_even().clamp(-127.0, 127.0)
}

/// A bias in Q16, saturated.
pub(super) fn bias(b: f64) -> i32 {
    // A float-to-integer cast saturates.
    (b * 65536.0).round_ties_even() as i32
}

/// A norm's weights as integers of 24 bits with one exponent; none for an exponent outside [-64, 31].
pub(super) fn gamma(gamma: &[f64]) -> Option<(i32, Vec<i32>)> {
    const MOST: f64 = 16_777_215.0;
    let (_, exponent) = frexp(largest(gamma));
    let unit = power_of_two(24i32.saturating_sub(exponent));
    let entries = gamma
        .iter()
        .map(|g| (g * unit).round_ties_even().clamp(-MOST, MOST) as i32)
        .collect();
    let exponent = exponent.saturating_sub(24);
    (-64..=31)
        .contains(&exponent)
        .then_some((exponent, entries))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quantised(row: &[f64]) -> (Row, Vec<i8>, Vec<i8>) {
        let scale = row_scale(row).unwrap();
        let (mut high, mut low) = (Vec::new(), Vec::new());
        weights(row, scale, &mut high);
        low_limbs(row, scale, &mut low);
        let signed = |bytes: Vec<u8>| bytes.into_iter().map(|b| b as i8).collect();
        (scale.row, signed(high), signed(low))
    }

    #[test]
    fn the_largest_weight_is_127_units_at_most() {
        let (row, high, low) = quantised(&[1.27, -0.5, 0.004, 0.0]);
        assert_eq!(high, [127, -50, 0, 0]);
        assert_eq!((row.mantissa, row.exponent), (41944, -22));
        assert!((low[2] as f64 / 256.0 - 0.4).abs() < 0.002);
    }

    #[test]
    fn a_mantissa_that_rounds_up_to_the_next_power_of_two_stays_normalised() {
        let just_below = 127.0 * (1.0 - power_of_two(-40));
        let (row, high, _) = quantised(&[just_below]);
        assert_eq!((row.mantissa, row.exponent, high[0]), (1 << 15, -15, 127));
    }

    #[test]
    fn rows_outside_the_exponents_are_zeros_or_refused() {
        assert_eq!(quantised(&[0.0, 0.0]).0, Row::default());
        // A scale of 2^15 · 2^-96 is the smallest that is kept.
        let smallest = 127.0 * power_of_two(-81);
        assert_eq!(quantised(&[smallest]).0.exponent, -96);
        let (row, high, low) = quantised(&[smallest * 0.999]);
        assert_eq!((row, high[0], low[0]), (Row::default(), 0, 0));
        let largest = 127.0 * 65535.0 * power_of_two(31);
        assert_eq!(row_scale(&[largest]).unwrap().row.exponent, 31);
        assert_eq!(row_scale(&[largest * 1.001]), None);
    }

    #[test]
    fn a_norm_has_24_bits_below_its_largest_entry() {
        assert_eq!(gamma(&[1.0, -0.5]), Some((-23, vec![1 << 23, -(1 << 22)])));
        let close = 1.0 - power_of_two(-40);
        assert_eq!(gamma(&[close]), Some((-24, vec![(1 << 24) - 1])));
        assert_eq!(gamma(&[0.0]), Some((-24, vec![0])));
        assert_eq!(gamma(&[power_of_two(55)]), None);
        assert_eq!(gamma(&[power_of_two(-42)]), None);
    }

    #[test]
    fn biases_saturate() {
        assert_eq!(
            [bias(1.5), bias(-1e9), bias(1e9)],
            [98304, i32::MIN, i32::MAX]
        );
    }
}
