//! Operands as they are written, with the registers that their names stand for.

use crate::{
    filled::Special,
    instruction::{Predicate, Value},
};

#[derive(Clone, Debug)]
pub(crate) enum Operand<'a> {
    Register {
        index: Value,
        bits: u8,
    },
    Predicate {
        index: Predicate,
        negated: bool,
    },
    Immediate(u64),
    Special(Special),
    /// A label, a function, or a variable and an offset in it.
    Name {
        name: &'a str,
        offset: i64,
    },
    Address {
        base: Box<Operand<'a>>,
        offset: i64,
    },
    Vector(Vec<Operand<'a>>),
    Pair(Box<Operand<'a>>, Box<Operand<'a>>),
    List(Vec<Operand<'a>>),
    /// `_`: what goes there is not wanted.
    Sink,
}
