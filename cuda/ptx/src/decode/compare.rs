//! Comparisons, selections and the logic of predicates.

use super::{arithmetic_type, opcode::with_type, Decoder, Result};
use crate::{
    instruction::{Class, Condition, Logic, Operation, ALWAYS},
    integer::Integer,
    lanes::{lanes, lanes_where, Comparison, Lanes, Ternary, WARP},
};

fn comparison<T: Integer>(name: &str) -> Option<Comparison> {
    Some(match name {
        "eq" => lanes_where!(|a, b| T::get(a) == T::get(b)),
        "ne" => lanes_where!(|a, b| T::get(a) != T::get(b)),
        "lt" | "lo" => lanes_where!(|a, b| T::get(a) < T::get(b)),
        "le" | "ls" => lanes_where!(|a, b| T::get(a) <= T::get(b)),
        "gt" | "hi" => lanes_where!(|a, b| T::get(a) > T::get(b)),
        "ge" | "hs" => lanes_where!(|a, b| T::get(a) >= T::get(b)),
        _ => return None,
    })
}

const LOGIC: [(&str, Logic); 3] = [("and", Logic::And), ("or", Logic::Or), ("xor", Logic::Xor)];

pub(super) fn decode(d: &mut Decoder<'_, '_>) -> Result<bool> {
    match d.opcode.name {
        "setp" => {
            let name = d.opcode.next_flag().ok_or("a comparison is missing")?;
            let of = arithmetic_type(d.opcode.one_type()?)?;
            let compared =
                with_type!(of, comparison(name)).ok_or("no such comparison of integers")?;
            let (first, second) = d.pair(0)?;
            let to = d.target_predicate_of(&first)?;
            let inverse = second
                .map(|second| d.target_predicate_of(&second))
                .transpose()?;
            let (a, b) = (d.source(1, of.bits)?, d.source(2, of.bits)?);
            let combined = combined(d)?;
            d.emit(
                Class::Integer,
                Operation::Compare {
                    of: compared,
                    combined,
                    to,
                    inverse,
                    a,
                    b,
                },
            );
        }
        "set" => {
            let name = d.opcode.next_flag().ok_or("a comparison is missing")?;
            let (result, of) = d.opcode.two_types()?;
            let of = arithmetic_type(of)?;
            let compared =
                with_type!(of, comparison(name)).ok_or("no such comparison of integers")?;
            let (to, a, b) = (
                d.target(0, result.bits)?,
                d.source(1, of.bits)?,
                d.source(2, of.bits)?,
            );
            let combined = combined(d)?;
            d.emit(
                Class::Integer,
                Operation::Set {
                    of: compared,
                    combined,
                    to,
                    a,
                    b,
                },
            );
        }
        "selp" => {
            let bits = arithmetic_type(d.opcode.one_type()?)?.bits;
            let (to, a, b, condition) = (
                d.target(0, bits)?,
                d.source(1, bits)?,
                d.source(2, bits)?,
                d.condition(3)?,
            );
            d.expect(4)?;
            d.emit(
                Class::Integer,
                Operation::Select {
                    to,
                    a,
                    b,
                    condition,
                },
            );
        }
        "slct" => {
            let (of, sign) = d.opcode.two_types()?;
            if (sign.bits, sign.signed) != (32, true) {
                return Err("slct selects by a .s32".into());
            }
            let choose: Ternary = lanes!(|a, b, c| if (c as i32) >= 0 { a } else { b });
            let (to, a, b, c) = (
                d.target(0, of.bits)?,
                d.source(1, of.bits)?,
                d.source(2, of.bits)?,
                d.source(3, 32)?,
            );
            d.expect(4)?;
            d.emit(
                Class::Integer,
                Operation::Ternary {
                    of: choose,
                    to,
                    a,
                    b,
                    c,
                },
            );
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// The predicate that a comparison is combined with: `setp.lt.and.s32 p, a, b, q`.
fn combined(d: &mut Decoder<'_, '_>) -> Result<Option<(Logic, Condition)>> {
    let Some(logic) = d.opcode.one_of(&LOGIC) else {
        return d.expect(3).map(|()| None);
    };
    d.expect(4)?;
    Ok(Some((logic, d.condition(3)?)))
}

/// `and.pred`, `or.pred`, `xor.pred` and `not.pred`.
pub(super) fn predicates(d: &mut Decoder<'_, '_>) -> Result<()> {
    let to = d.target_predicate(0)?;
    let mut a = d.condition(1)?;
    let logic = LOGIC.iter().find(|(name, _)| *name == d.opcode.name);
    let (of, b) = match logic {
        Some((_, logic)) => {
            d.expect(3)?;
            (*logic, d.condition(2)?)
        }
        None => {
            d.expect(2)?;
            a.negated = !a.negated;
            (
                Logic::And,
                Condition {
                    predicate: ALWAYS,
                    negated: false,
                },
            )
        }
    };
    d.emit(Class::Integer, Operation::Predicate { of, to, a, b });
    Ok(())
}
