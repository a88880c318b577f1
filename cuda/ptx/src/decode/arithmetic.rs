//! Integer arithmetic, logic and shifts.

use super::{
    arithmetic_type, compare,
    opcode::{with_type, Type},
    Decoder, Result,
};
use crate::{
    instruction::{Carried, CarryStep, Class, Operation},
    integer::{dot2, dot4, extract_field, Integer, Permutation},
    lanes::{lanes, low_bits, Binary, Lanes, Ternary, Unary},
};

fn unary<T: Integer>(name: &str) -> Option<Unary> {
    Some(match name {
        "abs" => lanes!(|a| T::get(a).absolute().put()),
        "neg" => lanes!(|a| T::get(0).sub(T::get(a)).put()),
        "not" => lanes!(|a| T::get(!a).put()),
        "cnot" => lanes!(|a| u64::from(a == 0)),
        "clz" => lanes!(|a| u64::from(a.leading_zeros() + T::BITS - 64)),
        "popc" => lanes!(|a| u64::from(a.count_ones())),
        "brev" => lanes!(|a| a.reverse_bits() >> (64 - T::BITS)),
        "bfind" => lanes!(|a| u64::from(T::get(a).highest_bit())),
        "bfind.shiftamt" => lanes!(|a| {
            let bit = T::get(a).highest_bit();
            u64::from(if bit == u32::MAX {
                bit
            } else {
                T::BITS - 1 - bit
            })
        }),
        _ => return None,
    })
}

fn binary<T: Integer>(name: &str) -> Option<Binary> {
    Some(match name {
        "add" => lanes!(|a, b| T::get(a).add(T::get(b)).put()),
        "add.sat" => lanes!(|a, b| T::get(a).add_saturating(T::get(b)).put()),
        "sub" => lanes!(|a, b| T::get(a).sub(T::get(b)).put()),
        "sub.sat" => lanes!(|a, b| T::get(a).sub_saturating(T::get(b)).put()),
        "mul.lo" => lanes!(|a, b| T::get(a).multiply_low(T::get(b)).put()),
        "mul.hi" => lanes!(|a, b| T::get(a).multiply_high(T::get(b)).put()),
        "mul.wide" => lanes!(|a, b| wide_product::<T>(a, b)),
        "mul24.lo" => lanes!(|a, b| product24::<T>(a, b) & low_bits(32)),
        "mul24.hi" => lanes!(|a, b| product24::<T>(a, b) >> 16 & low_bits(32)),
        "div" => lanes!(|a, b| T::get(a).quotient(T::get(b)).put()),
        "rem" => lanes!(|a, b| T::get(a).remainder(T::get(b)).put()),
        "min" => lanes!(|a, b| T::get(a).min(T::get(b)).put()),
        "max" => lanes!(|a, b| T::get(a).max(T::get(b)).put()),
        "and" => lanes!(|a, b| a & b),
        "or" => lanes!(|a, b| a | b),
        "xor" => lanes!(|a, b| a ^ b),
        // Shifts by more than the width give zeros, or signs.
        "shl" => lanes!(|a, b| T::get(a.unbounded_shl(b as u32)).put()),
        "shr" => lanes!(|a, b| T::get(a).shift_right(b as u32).put()),
        _ => return None,
    })
}

fn ternary<T: Integer>(name: &str) -> Option<Ternary> {
    Some(match name {
        "mad.lo" => lanes!(|a, b, c| T::get(a).multiply_low(T::get(b)).add(T::get(c)).put()),
        "mad.hi" => lanes!(|a, b, c| T::get(a).multiply_high(T::get(b)).add(T::get(c)).put()),
        "mad.hi.sat" => lanes!(|a, b, c| T::get(a)
            .multiply_high(T::get(b))
            .add_saturating(T::get(c))
            .put()),
        "mad.wide" => {
            lanes!(|a, b, c| wide_product::<T>(a, b).wrapping_add(c) & low_bits(2 * T::BITS))
        }
        "mad24.lo" => lanes!(|a, b, c| product24::<T>(a, b).wrapping_add(c) & low_bits(32)),
        "mad24.hi" => lanes!(|a, b, c| (product24::<T>(a, b) >> 16).wrapping_add(c) & low_bits(32)),
        "sad" => lanes!(|a, b, c| T::get(c.wrapping_add(T::get(a).distance(T::get(b)))).put()),
        _ => return None,
    })
}

/// The whole product, in a register of twice the bits.
fn wide_product<T: Integer>(a: u64, b: u64) -> u64 {
    let (a, b) = (T::get(a), T::get(b));
    (a.multiply_high(b).put() << T::BITS) | a.multiply_low(b).put()
}

/// The product of the low 24 bits, which has 48.
fn product24<T: Integer>(a: u64, b: u64) -> u64 {
    let signed = T::get(u64::MAX) < T::get(0);
    let field = |value| crate::integer::extended(value, 24, signed);
    field(a).wrapping_mul(field(b)) & low_bits(48)
}

pub(super) fn decode(d: &mut Decoder<'_, '_>) -> Result<bool> {
    match d.opcode.name {
        "add" | "sub" => {
            if d.opcode.flag("cc") {
                return carried(d, false).map(|()| true);
            }
            let of = arithmetic_type(d.opcode.one_type()?)?;
            let saturates = d.opcode.flag("sat");
            if saturates && (of.bits, of.signed) != (32, true) {
                return Err("only .s32 saturates".into());
            }
            two(d, of, if saturates { ".sat" } else { "" }, Class::Integer)?;
        }
        "addc" | "subc" => carried(d, true)?,
        "mul" | "mad" | "mul24" | "mad24" => multiply(d)?,
        "madc" => multiply_carried(d, true)?,
        "div" | "rem" => {
            let of = arithmetic_type(d.opcode.one_type()?)?;
            let quotient = with_type!(of, binary(d.opcode.name)).ok_or("no such type")?;
            let (to, a, b) = (
                d.target(0, of.bits)?,
                d.source(1, of.bits)?,
                d.source(2, of.bits)?,
            );
            d.expect(3)?;
            d.emit(
                Class::Divide,
                Operation::Divide {
                    of: quotient,
                    to,
                    a,
                    b,
                },
            );
        }
        "min" | "max" => {
            let of = arithmetic_type(d.opcode.one_type()?)?;
            two(d, of, "", Class::Integer)?;
        }
        "and" | "or" | "xor" | "not" if d.opcode.one_type()?.bits == 1 => compare::predicates(d)?,
        "and" | "or" | "xor" => {
            let of = arithmetic_type(d.opcode.one_type()?)?;
            two(d, of, "", Class::Integer)?;
        }
        "shl" | "shr" => {
            let of = arithmetic_type(d.opcode.one_type()?)?;
            let shift = with_type!(of, binary(d.opcode.name)).ok_or("no such type")?;
            let (to, a, b) = (
                d.target(0, of.bits)?,
                d.source(1, of.bits)?,
                d.source(2, 32)?,
            );
            d.expect(3)?;
            d.emit(
                Class::Integer,
                Operation::Binary {
                    of: shift,
                    to,
                    a,
                    b,
                },
            );
        }
        "abs" | "neg" | "not" | "cnot" | "brev" => {
            let of = arithmetic_type(d.opcode.one_type()?)?;
            one(d, of, of.bits, "")?;
        }
        "clz" | "popc" => {
            let of = arithmetic_type(d.opcode.one_type()?)?;
            one(d, of, 32, "")?;
        }
        "bfind" => {
            let of = arithmetic_type(d.opcode.one_type()?)?;
            let amount = d.opcode.flag("shiftamt");
            one(d, of, 32, if amount { ".shiftamt" } else { "" })?;
        }
        "sad" => {
            let of = arithmetic_type(d.opcode.one_type()?)?;
            three(d, "sad", of, of.bits, Class::Integer)?;
        }
        "lop3" => {
            let (to, a, b, c) = (
                d.target(0, 32)?,
                d.source(1, 32)?,
                d.source(2, 32)?,
                d.source(3, 32)?,
            );
            let table = d.immediate(4)? as u8;
            d.expect(5)?;
            d.emit(Class::Integer, Operation::Logic3 { table, to, a, b, c });
        }
        "shf" => funnel(d)?,
        "bfe" => {
            let of = d.opcode.one_type()?;
            let extract: Ternary = match (of.bits, of.signed) {
                (32, false) => lanes!(|a, b, c| extract_field(a, 32, false, b, c)),
                (32, true) => lanes!(|a, b, c| extract_field(a, 32, true, b, c)),
                (64, false) => lanes!(|a, b, c| extract_field(a, 64, false, b, c)),
                (64, true) => lanes!(|a, b, c| extract_field(a, 64, true, b, c)),
                _ => return Err("bfe has 32 or 64 bits".into()),
            };
            let (to, a, b, c) = (
                d.target(0, of.bits)?,
                d.source(1, of.bits)?,
                d.source(2, 32)?,
                d.source(3, 32)?,
            );
            d.expect(4)?;
            d.emit(
                Class::Integer,
                Operation::Ternary {
                    of: extract,
                    to,
                    a,
                    b,
                    c,
                },
            );
        }
        "bfi" => {
            let bits = d.opcode.one_type()?.bits;
            let (to, a, b) = (d.target(0, bits)?, d.source(1, bits)?, d.source(2, bits)?);
            let (position, length) = (d.source(3, 32)?, d.source(4, 32)?);
            d.expect(5)?;
            d.emit(
                Class::Integer,
                Operation::InsertField {
                    wide: bits == 64,
                    to,
                    a,
                    b,
                    position,
                    length,
                },
            );
        }
        "prmt" => permute(d)?,
        "dp4a" => {
            let (a, b) = d.opcode.two_types()?;
            let dot: Ternary = match (a.signed, b.signed) {
                (false, false) => lanes!(|a, b, c| dot4(a, b, c, false, false)),
                (false, true) => lanes!(|a, b, c| dot4(a, b, c, false, true)),
                (true, false) => lanes!(|a, b, c| dot4(a, b, c, true, false)),
                (true, true) => lanes!(|a, b, c| dot4(a, b, c, true, true)),
            };
            plain_ternary(d, dot, Class::Dot)?;
        }
        "dp2a" => {
            let (a, b) = d.opcode.two_types()?;
            let high = d.opcode.flag("hi");
            if !high && !d.opcode.flag("lo") {
                return Err("dp2a takes .lo or .hi".into());
            }
            let dot: Ternary = match (a.signed, b.signed, high) {
                (false, false, false) => lanes!(|a, b, c| dot2(a, b, c, false, false, false)),
                (false, true, false) => lanes!(|a, b, c| dot2(a, b, c, false, true, false)),
                (true, false, false) => lanes!(|a, b, c| dot2(a, b, c, true, false, false)),
                (true, true, false) => lanes!(|a, b, c| dot2(a, b, c, true, true, false)),
                (false, false, true) => lanes!(|a, b, c| dot2(a, b, c, false, false, true)),
                (false, true, true) => lanes!(|a, b, c| dot2(a, b, c, false, true, true)),
                (true, false, true) => lanes!(|a, b, c| dot2(a, b, c, true, false, true)),
                (true, true, true) => lanes!(|a, b, c| dot2(a, b, c, true, true, true)),
            };
            plain_ternary(d, dot, Class::Dot)?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn one(d: &mut Decoder<'_, '_>, of: Type, to_bits: u8, suffix: &str) -> Result<()> {
    let name = format!("{}{suffix}", d.opcode.name);
    let function = with_type!(of, unary(&name)).ok_or("no such type")?;
    let (to, a) = (d.target(0, to_bits)?, d.source(1, of.bits)?);
    d.expect(2)?;
    d.emit(
        Class::Integer,
        Operation::Unary {
            of: function,
            to,
            a,
        },
    );
    Ok(())
}

fn two(d: &mut Decoder<'_, '_>, of: Type, suffix: &str, class: Class) -> Result<()> {
    let name = format!("{}{suffix}", d.opcode.name);
    let function = with_type!(of, binary(&name)).ok_or("no such type")?;
    let (to, a, b) = (
        d.target(0, of.bits)?,
        d.source(1, of.bits)?,
        d.source(2, of.bits)?,
    );
    d.expect(3)?;
    d.emit(
        class,
        Operation::Binary {
            of: function,
            to,
            a,
            b,
        },
    );
    Ok(())
}

fn three(d: &mut Decoder<'_, '_>, name: &str, of: Type, wide: u8, class: Class) -> Result<()> {
    let function = with_type!(of, ternary(name)).ok_or("no such type")?;
    let (to, a, b, c) = (
        d.target(0, wide)?,
        d.source(1, of.bits)?,
        d.source(2, of.bits)?,
        d.source(3, wide)?,
    );
    d.expect(4)?;
    d.emit(
        class,
        Operation::Ternary {
            of: function,
            to,
            a,
            b,
            c,
        },
    );
    Ok(())
}

fn plain_ternary(d: &mut Decoder<'_, '_>, of: Ternary, class: Class) -> Result<()> {
    let (to, a, b, c) = (
        d.target(0, 32)?,
        d.source(1, 32)?,
        d.source(2, 32)?,
        d.source(3, 32)?,
    );
    d.expect(4)?;
    d.emit(class, Operation::Ternary { of, to, a, b, c });
    Ok(())
}

fn multiply(d: &mut Decoder<'_, '_>) -> Result<()> {
    if d.opcode.flag("cc") {
        return multiply_carried(d, false);
    }
    let of = arithmetic_type(d.opcode.one_type()?)?;
    let short = d.opcode.name.ends_with("24");
    let half = d
        .opcode
        .one_of(&[("lo", "lo"), ("hi", "hi"), ("wide", "wide")]);
    let half = half.ok_or("a product needs .lo, .hi or .wide")?;
    if (half == "wide" && (of.bits == 64 || short)) || (short && of.bits != 32) {
        return Err("no such product".into());
    }
    let bits = if half == "wide" { 2 * of.bits } else { of.bits };
    let adds = d.opcode.name.starts_with("mad");
    let saturates = adds && half == "hi" && d.opcode.flag("sat");
    let name = format!(
        "{}.{half}{}",
        d.opcode.name,
        if saturates { ".sat" } else { "" }
    );
    if adds {
        return three(d, &name, of, bits, Class::Multiply);
    }
    let function = with_type!(of, binary(&name)).ok_or("no such product")?;
    let (to, a, b) = (
        d.target(0, bits)?,
        d.source(1, of.bits)?,
        d.source(2, of.bits)?,
    );
    d.expect(3)?;
    d.emit(
        Class::Multiply,
        Operation::Binary {
            of: function,
            to,
            a,
            b,
        },
    );
    Ok(())
}

/// `add.cc`, `addc`, `addc.cc` and the same of `sub`; `.cc` was used up if no carry is taken.
fn carried(d: &mut Decoder<'_, '_>, takes: bool) -> Result<()> {
    let leaves = !takes || d.opcode.flag("cc");
    let bits = arithmetic_type(d.opcode.one_type()?)?.bits;
    let step = if d.opcode.name.starts_with("add") {
        CarryStep::Add
    } else {
        CarryStep::Subtract
    };
    let (to, a, b) = (d.target(0, bits)?, d.source(1, bits)?, d.source(2, bits)?);
    d.expect(3)?;
    let how = Carried {
        step,
        takes,
        leaves,
        wide: bits == 64,
    };
    d.emit(
        Class::Integer,
        Operation::Carry {
            how,
            to,
            a,
            b,
            c: a,
        },
    );
    Ok(())
}

fn multiply_carried(d: &mut Decoder<'_, '_>, takes: bool) -> Result<()> {
    let leaves = !takes || d.opcode.flag("cc");
    let of = arithmetic_type(d.opcode.one_type()?)?;
    let step = match d.opcode.one_of(&[("lo", false), ("hi", true)]) {
        Some(false) => CarryStep::MultiplyLow,
        Some(true) => CarryStep::MultiplyHigh { signed: of.signed },
        None => return Err("a product with a carry needs .lo or .hi".into()),
    };
    let bits = of.bits;
    let (to, a, b, c) = (
        d.target(0, bits)?,
        d.source(1, bits)?,
        d.source(2, bits)?,
        d.source(3, bits)?,
    );
    d.expect(4)?;
    let how = Carried {
        step,
        takes,
        leaves,
        wide: bits == 64,
    };
    d.emit(Class::Multiply, Operation::Carry { how, to, a, b, c });
    Ok(())
}

/// `shf`: a shift of two words, of which one comes out.
fn funnel(d: &mut Decoder<'_, '_>) -> Result<()> {
    let left = d
        .opcode
        .one_of(&[("l", true), ("r", false)])
        .ok_or("shf takes .l or .r")?;
    let wraps = d
        .opcode
        .one_of(&[("wrap", true), ("clamp", false)])
        .ok_or("shf takes .wrap or .clamp")?;
    let of: Ternary = match (left, wraps) {
        (true, true) => lanes!(|a, b, c| (b << 32 | a) << (c & 31) >> 32),
        (true, false) => lanes!(|a, b, c| (b << 32 | a) << c.min(32) >> 32),
        (false, true) => lanes!(|a, b, c| (b << 32 | a) >> (c & 31) & low_bits(32)),
        (false, false) => lanes!(|a, b, c| (b << 32 | a) >> c.min(32) & low_bits(32)),
    };
    plain_ternary(d, of, Class::Integer)
}

fn permute(d: &mut Decoder<'_, '_>) -> Result<()> {
    let of: Ternary = match d.opcode.next_flag() {
        None => lanes!(|a, b, c| Permutation::General.of(a, b, c)),
        Some("f4e") => lanes!(|a, b, c| Permutation::Forward4.of(a, b, c)),
        Some("b4e") => lanes!(|a, b, c| Permutation::Backward4.of(a, b, c)),
        Some("rc8") => lanes!(|a, b, c| Permutation::Replicate8.of(a, b, c)),
        Some("ecl") => lanes!(|a, b, c| Permutation::EdgeLeft.of(a, b, c)),
        Some("ecr") => lanes!(|a, b, c| Permutation::EdgeRight.of(a, b, c)),
        Some("rc16") => lanes!(|a, b, c| Permutation::Replicate16.of(a, b, c)),
        Some(other) => return Err(format!("prmt has no mode `.{other}`")),
    };
    plain_ternary(d, of, Class::Integer)
}
