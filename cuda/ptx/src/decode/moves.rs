//! Moves, conversions, and addresses of one space as addresses of another.

use super::{arithmetic_type, Decoder, Result};
use crate::{
    instruction::{Class, Condition, Logic, Operation, ALWAYS},
    integer::Conversion,
    lanes::{lanes, lanes_where, low_bits, Comparison, Lanes, Unary, WARP},
    source::operand::Operand,
    space::{GLOBAL_BASE, LOCAL_WINDOW, SHARED_WINDOW, WINDOW_BYTES},
};

pub(super) fn decode(d: &mut Decoder<'_, '_>) -> Result<bool> {
    match d.opcode.name {
        "mov" => {
            d.expect(2)?;
            if d.opcode.one_type()?.bits == 1 {
                let (to, a) = (d.target_predicate(0)?, d.condition(1)?);
                let b = Condition {
                    predicate: ALWAYS,
                    negated: false,
                };
                d.emit(
                    Class::Integer,
                    Operation::Predicate {
                        of: Logic::And,
                        to,
                        a,
                        b,
                    },
                );
                return Ok(true);
            }
            let bits = arithmetic_type(d.opcode.one_type()?)?.bits;
            match (d.operand(0)?, d.operand(1)?) {
                (Operand::Vector(parts), _) => {
                    let part_bits = bits / parts.len().max(1) as u8;
                    let (parts, _) = d.vector(0, part_bits, true)?;
                    let from = d.source(1, bits)?;
                    d.emit(
                        Class::Integer,
                        Operation::Unpack {
                            part_bits,
                            parts,
                            from,
                        },
                    );
                }
                (_, Operand::Vector(parts)) => {
                    let part_bits = bits / parts.len().max(1) as u8;
                    let (to, (parts, _)) = (d.target(0, bits)?, d.vector(1, part_bits, true)?);
                    d.emit(
                        Class::Integer,
                        Operation::Pack {
                            part_bits,
                            to,
                            parts,
                        },
                    );
                }
                _ => {
                    let (to, from) = (d.target(0, bits)?, d.source(1, bits)?);
                    d.emit(Class::Integer, Operation::Move { to, from });
                }
            }
        }
        "cvt" => convert(d)?,
        "cvta" => {
            let back = d.opcode.flag("to");
            let bits = d.opcode.one_type()?.bits;
            if bits != 64 {
                return Err(format!("an address of {bits} bits"));
            }
            let of: Unary = match (d.opcode.next_flag(), back) {
                (Some("global" | "const"), _) => lanes!(|a| a),
                (Some("shared" | "shared::cta"), false) => {
                    lanes!(|a| a.wrapping_add(SHARED_WINDOW))
                }
                (Some("shared" | "shared::cta"), true) => lanes!(|a| a.wrapping_sub(SHARED_WINDOW)),
                (Some("local"), false) => lanes!(|a| a.wrapping_add(LOCAL_WINDOW)),
                (Some("local"), true) => lanes!(|a| a.wrapping_sub(LOCAL_WINDOW)),
                (Some(space), _) => {
                    return Err(format!("addresses of `.{space}` are not generic here"))
                }
                (None, _) => return Err("cvta needs a space".into()),
            };
            let (to, a) = (d.target(0, bits)?, d.source(1, bits)?);
            d.expect(2)?;
            d.emit(Class::Integer, Operation::Unary { of, to, a });
        }
        "isspacep" => {
            let inside: Comparison = match d.opcode.next_flag() {
                Some("shared" | "shared::cta") => {
                    lanes_where!(|a, _b| a.wrapping_sub(SHARED_WINDOW) < WINDOW_BYTES)
                }
                Some("local") => lanes_where!(|a, _b| a.wrapping_sub(LOCAL_WINDOW) < WINDOW_BYTES),
                Some("global") => lanes_where!(|a, _b| a >= GLOBAL_BASE),
                _ => return Err("isspacep asks for .shared, .local or .global".into()),
            };
            let (to, a) = (d.target_predicate(0)?, d.source(1, 64)?);
            d.expect(2)?;
            let operation = Operation::Compare {
                of: inside,
                combined: None,
                to,
                inverse: None,
                a,
                b: a,
            };
            d.emit(Class::Integer, operation);
        }
        "szext" => {
            let wraps = d
                .opcode
                .one_of(&[("wrap", true), ("clamp", false)])
                .ok_or("szext takes .wrap or .clamp")?;
            let signed = d.opcode.one_type()?.signed;
            let of = match (wraps, signed) {
                (true, false) => lanes!(|a, b| a & low_bits(b as u32 & 31)),
                (false, false) => lanes!(|a, b| a & low_bits(b.min(32) as u32)),
                (true, true) => lanes!(|a, b| sign_extended(a, b as u32 & 31)),
                (false, true) => lanes!(|a, b| sign_extended(a, b.min(32) as u32)),
            };
            let (to, a, b) = (d.target(0, 32)?, d.source(1, 32)?, d.source(2, 32)?);
            d.expect(3)?;
            d.emit(Class::Integer, Operation::Binary { of, to, a, b });
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// The low `bits` of 32, with the highest of them in all above.
fn sign_extended(value: u64, bits: u32) -> u64 {
    match bits {
        0 => 0,
        _ => crate::integer::extended(value, bits as u8, true) & low_bits(32),
    }
}

fn convert(d: &mut Decoder<'_, '_>) -> Result<()> {
    if d.opcode.flag("pack") {
        return Err("cvt.pack is not supported".into());
    }
    let (to_type, from_type) = d.opcode.two_types()?;
    let saturates = d.opcode.flag("sat");
    let (to, register_bits) = d.wide_target(0, to_type.bits)?;
    let a = d.wide_source(1, from_type.bits)?;
    d.expect(2)?;
    let how = Conversion {
        from_bits: from_type.bits,
        from_signed: from_type.signed,
        to_bits: to_type.bits,
        to_signed: to_type.signed,
        saturates,
        register_bits,
    };
    d.emit(Class::Integer, Operation::Convert { how, to, a });
    Ok(())
}
