//! Instructions as they are written, to operations.

mod arithmetic;
mod compare;
mod control;
mod matrix;
mod memory;
mod moves;
mod opcode;
mod warp;

use crate::{
    filled::Filled,
    instruction::{Class, Condition, Operation, Predicate, Value, Vector, ALWAYS},
    source::{function::Function, names::Names, operand::Operand},
};
use opcode::{Opcode, Type};

/// What is wrong with an instruction.
type Result<T, E = String> = core::result::Result<T, E>;

/// Adds what an instruction does to the function.
pub(crate) fn instruction<'a>(
    text: &'a str,
    operands: &[Operand<'a>],
    function: &mut Function<'a>,
    names: &Names<'a>,
) -> Result<()> {
    let opcode = Opcode::read(text)?;
    let decoder = &mut Decoder {
        opcode,
        operands,
        function,
        names,
    };
    let known = arithmetic::decode(decoder)?
        || moves::decode(decoder)?
        || compare::decode(decoder)?
        || memory::decode(decoder)?
        || control::decode(decoder)?
        || warp::decode(decoder)?
        || matrix::decode(decoder)?;
    if !known {
        return Err(format!(
            "`{}` is no opcode that is supported",
            decoder.opcode.name
        ));
    }
    decoder.opcode.finish()
}

/// One instruction, and the function that it goes to.
struct Decoder<'d, 'a> {
    opcode: Opcode<'a>,
    operands: &'d [Operand<'a>],
    function: &'d mut Function<'a>,
    names: &'d Names<'a>,
}

impl<'a> Decoder<'_, 'a> {
    fn emit(&mut self, class: Class, operation: Operation) {
        self.function.emit(class, operation);
    }

    fn operand(&self, index: usize) -> Result<&Operand<'a>> {
        self.operands
            .get(index)
            .ok_or_else(|| format!("operand {} is missing", index + 1))
    }

    /// Refuses operands beyond these.
    fn expect(&self, count: usize) -> Result<()> {
        if self.operands.len() > count {
            return Err(format!(
                "{} operands instead of {count}",
                self.operands.len()
            ));
        }
        Ok(())
    }

    /// An operand that is read, of exactly these bits.
    fn source(&mut self, index: usize, bits: u8) -> Result<Value> {
        self.value(&self.operand(index)?.clone(), bits, false)
    }

    /// An operand that is read, of at least these bits.
    fn wide_source(&mut self, index: usize, bits: u8) -> Result<Value> {
        self.value(&self.operand(index)?.clone(), bits, true)
    }

    fn value(&mut self, operand: &Operand<'a>, bits: u8, wider: bool) -> Result<Value> {
        match operand {
            Operand::Register { index, bits: own } if *own == bits || (wider && *own > bits) => {
                Ok(*index)
            }
            Operand::Register { bits: own, .. } => {
                Err(format!("a register of {own} bits instead of {bits}"))
            }
            Operand::Immediate(value) => Ok(self.function.constant(*value, bits)),
            Operand::Special(special) => Ok(self.function.filled(Filled::Special(*special))),
            Operand::Name { name, offset } => self.address_of(name, *offset),
            _ => Err("a register or a constant is expected".into()),
        }
    }

    /// A register with the address of a variable.
    fn address_of(&mut self, name: &str, offset: i64) -> Result<Value> {
        let variable = self
            .function
            .variable(name)
            .or_else(|| self.names.variables.get(name).copied());
        let variable = variable.ok_or_else(|| format!("no variable `{name}`"))?;
        Ok(self.function.filled(variable.home.filled(offset)))
    }

    /// A register that is written, of exactly these bits.
    fn target(&mut self, index: usize, bits: u8) -> Result<Value> {
        match self.operand(index)? {
            Operand::Register { index, bits: own } if *own == bits => Ok(*index),
            Operand::Register { bits: own, .. } => {
                Err(format!("a register of {own} bits instead of {bits}"))
            }
            Operand::Sink => Ok(self.function.scratch()),
            _ => Err("a register is expected".into()),
        }
    }

    /// A register that is written, of at least these bits, and its bits.
    fn wide_target(&mut self, index: usize, bits: u8) -> Result<(Value, u8)> {
        match self.operand(index)? {
            Operand::Register { index, bits: own } if *own >= bits => Ok((*index, *own)),
            Operand::Sink => Ok((self.function.scratch(), bits)),
            _ => Err(format!("a register of at least {bits} bits is expected")),
        }
    }

    fn condition_of(&mut self, operand: &Operand<'a>) -> Result<Condition> {
        match operand {
            Operand::Predicate { index, negated } => Ok(Condition {
                predicate: *index,
                negated: *negated,
            }),
            Operand::Immediate(value) => Ok(Condition {
                predicate: ALWAYS,
                negated: *value == 0,
            }),
            _ => Err("a predicate is expected".into()),
        }
    }

    fn condition(&mut self, index: usize) -> Result<Condition> {
        self.condition_of(&self.operand(index)?.clone())
    }

    fn target_predicate_of(&mut self, operand: &Operand<'a>) -> Result<Predicate> {
        match operand {
            Operand::Predicate {
                index,
                negated: false,
            } => Ok(*index),
            Operand::Sink => Ok(self.function.scratch_predicate()),
            _ => Err("a predicate is expected".into()),
        }
    }

    fn target_predicate(&mut self, index: usize) -> Result<Predicate> {
        self.target_predicate_of(&self.operand(index)?.clone())
    }

    /// What is written as `%r1|%p1`, or as the first alone.
    fn pair(&self, index: usize) -> Result<(Operand<'a>, Option<Operand<'a>>)> {
        Ok(match self.operand(index)? {
            Operand::Pair(first, second) => ((**first).clone(), Some((**second).clone())),
            single => (single.clone(), None),
        })
    }

    /// Registers in braces, or one alone. Those that are written may be wider than the element, as
    /// may those that are read; the bits of the first come along.
    fn vector(&mut self, index: usize, bits: u8, exact: bool) -> Result<(Vector, u8)> {
        let parts = match self.operand(index)? {
            Operand::Vector(parts) => parts.clone(),
            single => vec![single.clone()],
        };
        if parts.is_empty() || parts.len() > 4 {
            return Err("a vector has 1 to 4 registers".into());
        }
        let mut vector = Vector {
            of: [0; 4],
            count: parts.len() as u8,
        };
        let mut width = bits;
        for (to, part) in vector.of.iter_mut().zip(&parts) {
            *to = match part {
                Operand::Sink => self.function.scratch(),
                other => self.value(other, bits, !exact)?,
            };
            if let Operand::Register { bits: own, .. } = part {
                width = *own;
            }
        }
        Ok((vector, width))
    }

    /// A constant.
    fn immediate(&self, index: usize) -> Result<u64> {
        match self.operand(index)? {
            Operand::Immediate(value) => Ok(*value),
            _ => Err("a constant is expected".into()),
        }
    }
}

/// Whether a type is one of the widths that arithmetic has.
fn arithmetic_type(of: Type) -> Result<Type> {
    match of.bits {
        16 | 32 | 64 => Ok(of),
        bits => Err(format!("{bits} bits are not a width of this instruction")),
    }
}
