//! What the integer instructions compute, one lane at a time.

use crate::lanes::{low_bits, Lanes};

/// An integer type of PTX, as it lies in the low bits of a register.
pub(crate) trait Integer: Copy + Ord {
    const BITS: u32;
    fn get(register: u64) -> Self;
    fn put(self) -> u64;
    fn add(self, other: Self) -> Self;
    fn add_saturating(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn sub_saturating(self, other: Self) -> Self;
    fn multiply_low(self, other: Self) -> Self;
    fn multiply_high(self, other: Self) -> Self;
    /// 0 where there is no quotient: the divisor was looked at before.
    fn quotient(self, other: Self) -> Self;
    fn remainder(self, other: Self) -> Self;
    fn distance(self, other: Self) -> u64;
    fn absolute(self) -> Self;
    fn shift_right(self, by: u32) -> Self;
    /// Position of the highest bit that differs from the sign; all ones if there is none.
    fn highest_bit(self) -> u32;
}

macro_rules! integers {
    ($($type:ty: $unsigned:ty, $twice:ty, |$value:ident| $absolute:expr, $magnitude:expr;)*) => {$(
        impl Integer for $type {
            const BITS: u32 = <$type>::BITS;
            fn get(register: u64) -> Self {
                register as $type
            }
            fn put(self) -> u64 {
                u64::from(self as $unsigned)
            }
            fn add(self, other: Self) -> Self {
                self.wrapping_add(other)
            }
            fn add_saturating(self, other: Self) -> Self {
                self.saturating_add(other)
            }
            fn sub(self, other: Self) -> Self {
                self.wrapping_sub(other)
            }
            fn sub_saturating(self, other: Self) -> Self {
                self.saturating_sub(other)
            }
            fn multiply_low(self, other: Self) -> Self {
                self.wrapping_mul(other)
            }
            fn multiply_high(self, other: Self) -> Self {
                ((self as $twice).wrapping_mul(other as $twice) >> Self::BITS) as $type
            }
            fn quotient(self, other: Self) -> Self {
                if other == 0 { 0 } else { self.wrapping_div(other) }
            }
            fn remainder(self, other: Self) -> Self {
                if other == 0 { 0 } else { self.wrapping_rem(other) }
            }
            fn distance(self, other: Self) -> u64 {
                u64::from(self.abs_diff(other))
            }
            fn absolute(self) -> Self {
                let $value = self;
                $absolute
            }
            fn shift_right(self, by: u32) -> Self {
                self.unbounded_shr(by)
            }
            fn highest_bit(self) -> u32 {
                let $value = self;
                let magnitude: $unsigned = $magnitude;
                magnitude.checked_ilog2().unwrap_or(u32::MAX)
            }
        }
    )*};
}

integers! {
    u8: u8, u16, |value| value, value;
    u16: u16, u32, |value| value, value;
    u32: u32, u64, |value| value, value;
    u64: u64, u128, |value| value, value;
    i8: u8, i16, |value| value.wrapping_abs(), (value ^ (value >> 7)) as u8;
    i16: u16, i32, |value| value.wrapping_abs(), (value ^ (value >> 15)) as u16;
    i32: u32, i64, |value| value.wrapping_abs(), (value ^ (value >> 31)) as u32;
    i64: u64, i128, |value| value.wrapping_abs(), (value ^ (value >> 63)) as u64;
}

/// `cvt` between integers, and the extension of a narrow result in a wider register.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conversion {
    pub from_bits: u8,
    pub from_signed: bool,
    pub to_bits: u8,
    pub to_signed: bool,
    pub saturates: bool,
    pub register_bits: u8,
}

impl Conversion {
    pub fn of(&self, a: &Lanes) -> Lanes {
        let width = low_bits(self.register_bits.into());
        core::array::from_fn(|lane| {
            let value = extended(a[lane], self.from_bits, self.from_signed);
            let value = if self.saturates {
                self.saturated(value)
            } else {
                value
            };
            extended(value, self.to_bits, self.to_signed) & width
        })
    }

    fn saturated(&self, value: u64) -> u64 {
        let value = if self.from_signed {
            i128::from(value as i64)
        } else {
            i128::from(value)
        };
        let (low, high) = if self.to_signed {
            (-1 << (self.to_bits - 1), (1 << (self.to_bits - 1)) - 1)
        } else {
            (0, (1 << self.to_bits) - 1)
        };
        value.clamp(low, high) as u64
    }
}

/// The low bits of a register, extended to 64 bits.
pub(crate) fn extended(value: u64, bits: u8, signed: bool) -> u64 {
    let unused = 64 - u32::from(bits);
    if signed {
        ((value << unused) as i64 >> unused) as u64
    } else {
        value << unused >> unused
    }
}

/// `bfe`: the field of `length` bits at `position`, sign-extended if asked for.
pub(crate) fn extract_field(value: u64, bits: u8, signed: bool, position: u64, length: u64) -> u64 {
    let (position, length) = (position & 0xff, length & 0xff);
    let top = u64::from(bits) - 1;
    if length == 0 {
        return 0;
    }
    // Beyond the value there is its sign, and the sign of the field is its highest bit inside.
    let value = extended(value, bits, signed);
    let sign = signed && value >> (position + length - 1).min(top) & 1 == 1;
    let shifted = if position > top { 0 } else { value >> position };
    let kept = length.min((top + 1).saturating_sub(position)) as u32;
    let field = shifted & low_bits(kept);
    let fill = if sign { !low_bits(kept) } else { 0 };
    (field | fill) & low_bits(bits.into())
}

/// `bfi`: `a` in the field of `length` bits at `position` of `b`.
pub(crate) fn insert_field(a: u64, b: u64, bits: u8, position: u64, length: u64) -> u64 {
    let (position, length) = ((position & 0xff) as u32, (length & 0xff) as u32);
    if position >= u32::from(bits) {
        return b;
    }
    let field = (low_bits(length.min(64)) << position) & low_bits(bits.into());
    (b & !field) | ((a << position) & field)
}

/// The selector nibbles of `prmt`'s modes, by the low two bits of `c`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Permutation {
    General,
    Forward4,
    Backward4,
    Replicate8,
    EdgeLeft,
    EdgeRight,
    Replicate16,
}

impl Permutation {
    pub fn of(self, a: u64, b: u64, c: u64) -> u64 {
        let selectors = match self {
            Self::General => c,
            _ => {
                let table: [u64; 4] = match self {
                    Self::Forward4 => [0x3210, 0x4321, 0x5432, 0x6543],
                    Self::Backward4 => [0x5670, 0x6701, 0x7012, 0x0123],
                    Self::Replicate8 => [0x0000, 0x1111, 0x2222, 0x3333],
                    Self::EdgeLeft => [0x3210, 0x3211, 0x3222, 0x3333],
                    Self::EdgeRight => [0x0000, 0x1110, 0x2210, 0x3210],
                    _ => [0x1010, 0x3232, 0x1010, 0x3232],
                };
                table[(c & 3) as usize]
            }
        };
        let bytes = (b << 32 | a).to_le_bytes();
        let chosen = |place: u32| {
            let selector = selectors >> (4 * place) & 0xf;
            let byte = bytes[(selector & 7) as usize];
            // The selector's highest bit spreads the byte's sign.
            let byte = if selector & 8 == 0 {
                byte
            } else {
                (byte as i8 >> 7) as u8
            };
            u64::from(byte) << (8 * place)
        };
        (0..4).map(chosen).sum()
    }
}

/// `dp4a`: four products of bytes, and an addition that wraps.
pub(crate) fn dot4(a: u64, b: u64, c: u64, a_signed: bool, b_signed: bool) -> u64 {
    let byte = |word: u64, place: u32, signed| extended(word >> (8 * place), 8, signed) as i64;
    let sum: i64 = (0..4)
        .map(|place| byte(a, place, a_signed) * byte(b, place, b_signed))
        .sum();
    (c as i64).wrapping_add(sum) as u32 as u64
}

/// `dp2a`: two products of 16-bit halves of `a` with bytes of `b`, the low or the high two.
pub(crate) fn dot2(a: u64, b: u64, c: u64, a_signed: bool, b_signed: bool, high: bool) -> u64 {
    let b = if high { b >> 16 } else { b };
    let product = |place: u32| {
        let half = extended(a >> (16 * place), 16, a_signed) as i64;
        half * extended(b >> (8 * place), 8, b_signed) as i64
    };
    (c as i64).wrapping_add(product(0) + product(1)) as u32 as u64
}
