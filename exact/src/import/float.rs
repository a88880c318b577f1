//! Functions of f64 that are exact by definition, so that every platform agrees. The format page
//! names no others besides `+ - * /` (§6).

/// 2^exponent for an exponent in [-1022, 1023], clamped to it.
pub(super) fn power_of_two(exponent: i32) -> f64 {
    let biased = exponent.clamp(-1022, 1023).saturating_add(1023);
    f64::from_bits(u64::from(biased.unsigned_abs()) << 52)
}

/// (f, e) with x = f · 2^e and ½ ≤ |f| < 1, for a normal x; (0, 0) for 0.
///
/// Weights are f32 at most, so nothing that the import computes of them is subnormal in f64.
pub(super) fn frexp(x: f64) -> (f64, i32) {
    const FRACTION_AND_SIGN: u64 = !(0x7ff << 52);
    if x == 0.0 {
        return (0.0, 0);
    }
    let biased = (x.to_bits() >> 52 & 0x7ff) as i32;
    let fraction = f64::from_bits(x.to_bits() & FRACTION_AND_SIGN | 1022 << 52);
    (fraction, biased.saturating_sub(1022))
}

/// Largest size of a row's elements; 0 for no element.
pub(super) fn largest(row: &[f64]) -> f64 {
    row.iter()
        .fold(0.0, |largest, x| f64::max(largest, x.abs()))
}

pub(super) fn from_bf16(bits: u16) -> f64 {
    f32::from_bits(u32::from(bits) << 16).into()
}

/// IEEE binary16: 5 exponent bits with bias 15, 10 fraction bits.
pub(super) fn from_f16(bits: u16) -> f64 {
    let fraction = f64::from(bits & 0x3ff);
    let size = match i32::from(bits >> 10 & 0x1f) {
        0 => fraction * power_of_two(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        exponent => (fraction + 1024.0) * power_of_two(exponent.saturating_sub(25)),
    };
    if bits >> 15 == 1 {
        -size
    } else {
        size
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frexp_takes_a_number_apart() {
        for (x, expected) in [
            (0.0, (0.0, 0)),
            (1.0, (0.5, 1)),
            (-3.0, (-0.75, 2)),
            (0.1, (0.8, -3)),
            (65535.0, (65535.0 / 65536.0, 16)),
        ] {
            assert_eq!(frexp(x), expected, "{x}");
        }
        let smallest = f64::from(f32::from_bits(1));
        assert_eq!(frexp(smallest), (0.5, -148));
    }

    #[test]
    fn powers_of_two_are_exact() {
        for exponent in -1022..=1023 {
            assert_eq!(frexp(power_of_two(exponent)), (0.5, exponent + 1));
        }
    }

    #[test]
    fn halves_and_bfloats_are_read_exactly() {
        for (bits, expected) in [
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
            (0x0001, 2f64.powi(-24)),
            (0x03ff, 1023.0 * 2f64.powi(-24)),
            (0x0400, 2f64.powi(-14)),
            (0x3555, 1365.0 / 4096.0),
            (0x7c00, f64::INFINITY),
            (0xfc00, f64::NEG_INFINITY),
        ] {
            assert_eq!(from_f16(bits), expected, "{bits:#x}");
        }
        assert!(from_f16(0x7c01).is_nan());
        assert_eq!(from_bf16(0x3f80), 1.0);
        assert_eq!(from_bf16(0xc0a0), -5.0);
        assert!(from_bf16(0x7f81).is_nan());
    }
}
