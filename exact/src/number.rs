//! The functions that every operator is made of (format page §1), on integers of 64 bits.
//!
//! All are total. Within the page's bounds they are the mathematical functions; beyond them, where
//! only a false trace can lead, they clamp to the type and never panic.

/// `R(x, shift)`: x · 2^-shift to the nearest integer, ties towards +∞. A negative shift multiplies.
///
/// ```
/// use assay_exact::number::round;
/// assert_eq!([round(5, 1), round(-5, 1), round(5, -1), round(5, 70)], [3, -2, 10, 0]);
/// ```
#[inline]
pub const fn round(x: i64, shift: i32) -> i64 {
    match shift {
        ..0 => shift_left(x, shift.unsigned_abs()),
        0 => x,
        // floor((x + 2^(s-1)) / 2^s) = floor(x / 2^s) + the digit below: no sum that could overflow.
        1..=63 => {
            let below = x.wrapping_shr(shift.unsigned_abs().wrapping_sub(1)) & 1;
            x.wrapping_shr(shift.unsigned_abs()).wrapping_add(below)
        }
        _ => 0,
    }
}

const fn shift_left(x: i64, shift: u32) -> i64 {
    // Digits of |x|, so that the shifted number still fits where there is room.
    let room = x.unsigned_abs().leading_zeros().saturating_sub(1);
    if x == 0 || shift <= room {
        return x.wrapping_shl(if x == 0 { 0 } else { shift });
    }
    if x < 0 {
        i64::MIN
    } else {
        i64::MAX
    }
}

/// x clamped to i32.
#[inline]
pub const fn sat(x: i64) -> i32 {
    if x > i32::MAX as i64 {
        i32::MAX
    } else if x < i32::MIN as i64 {
        i32::MIN
    } else {
        x as i32
    }
}

/// `sat(R(x, shift))`.
#[inline]
pub const fn round_sat(x: i64, shift: i32) -> i32 {
    sat(round(x, shift))
}

/// Binary digits of |x|; 0 for 0.
#[inline]
pub const fn bits(x: i64) -> i32 {
    64u32.saturating_sub(x.unsigned_abs().leading_zeros()) as i32
}

/// Floor of the square root; 0 for negative x.
#[inline]
pub const fn isqrt(x: i64) -> i64 {
    if x < 0 {
        0
    } else {
        (x as u64).isqrt() as i64
    }
}

/// Floor of a / b for a ≥ 0 and b > 0, otherwise 0.
#[inline]
pub(crate) const fn floor_div(a: i64, b: i64) -> i64 {
    if a < 0 || b <= 0 {
        return 0;
    }
    match a.checked_div(b) {
        Some(quotient) => quotient,
        None => 0,
    }
}

/// m · 2^e with m = 0, or 2^15 ≤ m < 2^16.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Scale {
    pub mantissa: u16,
    pub exponent: i32,
}

impl Scale {
    /// The scale of a row of zeros.
    pub const ZERO: Self = Self {
        mantissa: 0,
        exponent: -128,
    };

    /// `norm(t, e)`: t · 2^e with 16 digits, for t ≥ 0.
    pub const fn norm(t: i64, exponent: i32) -> Self {
        let (mantissa, exponent) = norm_to(t, exponent, 16);
        Self {
            mantissa: mantissa as u16,
            exponent,
        }
    }

    /// The product of two scales, normalised again.
    pub const fn times(self, other: Self) -> Self {
        Self::norm(
            (self.mantissa as i64).wrapping_mul(other.mantissa as i64),
            self.exponent.saturating_add(other.exponent),
        )
    }
}

/// `norm24(t, e)`: mantissa and exponent with 24 digits.
pub const fn norm24(t: i64, exponent: i32) -> (i64, i32) {
    norm_to(t, exponent, 24)
}

const fn norm_to(t: i64, exponent: i32, digits: i32) -> (i64, i32) {
    if t <= 0 {
        return (0, Scale::ZERO.exponent);
    }
    let shift = bits(t).saturating_sub(digits);
    let mantissa = round(t, shift);
    // A carry has made the mantissa a power of two, which halves exactly.
    if bits(mantissa) > digits {
        return (
            mantissa >> 1,
            exponent.saturating_add(shift).saturating_add(1),
        );
    }
    (mantissa, exponent.saturating_add(shift))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The page's definition, in integers that are wide enough.
    fn defined(x: i64, shift: i32) -> i64 {
        let x = i128::from(x);
        let exact = if shift > 0 {
            let shift = shift.min(100);
            (x + (1 << (shift - 1))) >> shift
        } else {
            x << (-shift).min(63)
        };
        exact.clamp(i64::MIN.into(), i64::MAX.into()) as i64
    }

    #[test]
    fn rounding_is_the_definition_at_every_shift() {
        let near = |x: i64| [x.saturating_sub(1), x, x.saturating_add(1)];
        for power in 0..63 {
            for x in near(1 << power).into_iter().chain(near(-1 << power)) {
                for shift in -66..=66 {
                    assert_eq!(round(x, shift), defined(x, shift), "R({x}, {shift})");
                }
            }
        }
        for x in [0, i64::MAX, i64::MIN, i64::MIN + 1] {
            for shift in [i32::MIN, -64, -63, -1, 0, 1, 62, 63, 64, 65, i32::MAX] {
                assert_eq!(
                    round(x, shift),
                    defined(x, shift.max(-70)),
                    "R({x}, {shift})"
                );
            }
        }
    }

    proptest! {
        #[test]
        fn rounding_is_the_definition(x: i64, shift in -70i32..70) {
            prop_assert_eq!(round(x, shift), defined(x, shift));
        }

        #[test]
        fn a_root_is_the_floor(x in 0i64..) {
            let root = i128::from(isqrt(x));
            prop_assert!(root * root <= x.into() && (root + 1) * (root + 1) > x.into());
        }

        #[test]
        fn a_normalised_mantissa_has_its_digits(t in 1i64.., e in -1000i32..1000) {
            let scale = Scale::norm(t, e);
            prop_assert!(scale.mantissa >= 1 << 15);
            // Within half a unit of the last digit.
            let exact = i128::from(t) << 16;
            let shift = scale.exponent - e + 16;
            let value = i128::from(scale.mantissa) << shift;
            prop_assert!((value - exact).abs() << 1 <= 1 << shift);
        }
    }

    #[test]
    fn a_carry_shortens_the_mantissa() {
        assert_eq!(
            Scale::norm(0x1_ffff, 3),
            Scale {
                mantissa: 1 << 15,
                exponent: 5
            }
        );
        assert_eq!(
            Scale::norm(0xffff, 3),
            Scale {
                mantissa: 0xffff,
                exponent: 3
            }
        );
        assert_eq!(
            Scale::norm(1, 3),
            Scale {
                mantissa: 1 << 15,
                exponent: -12
            }
        );
        assert_eq!(Scale::norm(0, 3), Scale::ZERO);
        assert_eq!(norm24((1 << 25) - 1, 0), (1 << 23, 2));
        assert_eq!(norm24(i64::MAX, i32::MAX), (1 << 23, i32::MAX));
    }
}
