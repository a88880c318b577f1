//! Arithmetic that is no plain function of whole registers.

use super::warp::Warp;
use crate::{
    instruction::{Carried, CarryStep, Value, Vector},
    integer::insert_field,
    lanes::{in_mask, low_bits},
};
use core::array::from_fn;

impl Warp {
    /// `lop3`: each bit of the result is the bit of the table that the three bits choose.
    pub(super) fn logic3(&mut self, lanes: u32, table: u8, to: Value, [a, b, c]: [Value; 3]) {
        let (a, b, c) = (self.value(a), self.value(b), self.value(c));
        let result = from_fn(|lane| {
            (0..8)
                .filter(|term| table >> term & 1 == 1)
                .fold(0, |result, term| {
                    let chosen =
                        |value: u64, weight: u32| if term & weight == 0 { !value } else { value };
                    result
                        | chosen(a[lane], 4)
                            & chosen(b[lane], 2)
                            & chosen(c[lane], 1)
                            & low_bits(32)
                })
        });
        self.write(to, lanes, &result);
    }

    /// `bfi`.
    pub(super) fn insert_field(&mut self, lanes: u32, wide: bool, to: Value, from: [Value; 4]) {
        let bits = if wide { 64 } else { 32 };
        let [a, b, position, length] = from.map(|register| self.value(register));
        let result =
            from_fn(|lane| insert_field(a[lane], b[lane], bits, position[lane], length[lane]));
        self.write(to, lanes, &result);
    }

    /// A step of arithmetic with carries, which are one bit for each lane.
    pub(super) fn carry(&mut self, lanes: u32, how: Carried, to: Value, [a, b, c]: [Value; 3]) {
        let bits = if how.wide { 64 } else { 32 };
        let (a, b, c) = (*self.value(a), *self.value(b), *self.value(c));
        let mut result = [0; 32];
        for lane in in_mask(lanes) {
            let (a, b, c) = (
                u128::from(a[lane]),
                u128::from(b[lane]),
                u128::from(c[lane]),
            );
            let carry = if how.takes {
                u128::from(self.carry >> lane & 1)
            } else {
                0
            };
            let whole = match how.step {
                CarryStep::Add => a + b + carry,
                CarryStep::Subtract => a.wrapping_sub(b + carry),
                CarryStep::MultiplyLow => ((a * b) & u128::from(low_bits(bits))) + c + carry,
                CarryStep::MultiplyHigh { signed } => high(a, b, bits, signed) + c + carry,
            };
            if how.leaves {
                let out = (whole >> bits & 1) as u32;
                self.carry = self.carry & !(1 << lane) | out << lane;
            }
            result[lane] = whole as u64 & low_bits(bits);
        }
        self.write(to, lanes, &result);
    }

    pub(super) fn pack(&mut self, lanes: u32, part_bits: u8, to: Value, parts: &Vector) {
        let mut result = [0; 32];
        for (index, &part) in parts.values().iter().enumerate() {
            let part = self.value(part);
            for (to, from) in result.iter_mut().zip(part) {
                *to |= from << (index * usize::from(part_bits));
            }
        }
        self.write(to, lanes, &result);
    }

    pub(super) fn unpack(&mut self, lanes: u32, part_bits: u8, parts: &Vector, from: Value) {
        let whole = *self.value(from);
        for (index, &part) in parts.values().iter().enumerate() {
            let shift = index * usize::from(part_bits);
            self.write(
                part,
                lanes,
                &whole.map(|value| value >> shift & low_bits(part_bits.into())),
            );
        }
    }
}

/// The high half of a product of words.
fn high(a: u128, b: u128, bits: u32, signed: bool) -> u128 {
    let product = if signed {
        let value =
            |word: u128| crate::integer::extended(word as u64, bits as u8, true) as i64 as i128;
        value(a).wrapping_mul(value(b)) as u128
    } else {
        a * b
    };
    product >> bits & u128::from(low_bits(bits))
}
