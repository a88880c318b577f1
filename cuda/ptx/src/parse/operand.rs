//! Operands as they are written.

use super::{function::Function, Parser};
use crate::{
    error::ParseError,
    instruction::{Predicate, Value},
    lexer::Token,
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

/// Registers that the machine fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Special {
    Thread(usize),
    Threads(usize),
    Block(usize),
    Blocks(usize),
    Lane,
    Warp,
    Warps,
    LanesEqual,
    LanesBelow,
    LanesBelowOrEqual,
    LanesAbove,
    LanesAboveOrEqual,
    DynamicShared,
    TotalShared,
    /// What a machine of one multiprocessor, with one grid, has 0 of.
    Zero,
    One,
}

impl Special {
    fn named(name: &str) -> Option<Self> {
        let axis = || match name.as_bytes().last() {
            Some(b'x') => 0,
            Some(b'y') => 1,
            _ => 2,
        };
        Some(match name {
            "%tid.x" | "%tid.y" | "%tid.z" => Self::Thread(axis()),
            "%ntid.x" | "%ntid.y" | "%ntid.z" => Self::Threads(axis()),
            "%ctaid.x" | "%ctaid.y" | "%ctaid.z" => Self::Block(axis()),
            "%nctaid.x" | "%nctaid.y" | "%nctaid.z" => Self::Blocks(axis()),
            "%laneid" => Self::Lane,
            "%warpid" => Self::Warp,
            "%nwarpid" => Self::Warps,
            "%lanemask_eq" => Self::LanesEqual,
            "%lanemask_lt" => Self::LanesBelow,
            "%lanemask_le" => Self::LanesBelowOrEqual,
            "%lanemask_gt" => Self::LanesAbove,
            "%lanemask_ge" => Self::LanesAboveOrEqual,
            "%dynamic_smem_size" => Self::DynamicShared,
            "%total_smem_size" => Self::TotalShared,
            "%smid" | "%gridid" => Self::Zero,
            "%nsmid" => Self::One,
            _ => return None,
        })
    }
}

impl<'a> Parser<'a> {
    /// The operands of an instruction, up to its semicolon.
    pub(super) fn operands(
        &mut self,
        function: &Function<'a>,
    ) -> Result<Vec<Operand<'a>>, ParseError> {
        let mut operands = Vec::new();
        if self.takes(';') {
            return Ok(operands);
        }
        loop {
            operands.push(self.operand(function)?);
            if self.takes(';') {
                return Ok(operands);
            }
            self.mark(',')?;
        }
    }

    fn operand(&mut self, function: &Function<'a>) -> Result<Operand<'a>, ParseError> {
        let first = self.single(function)?;
        if self.takes('|') {
            let second = self.single(function)?;
            return Ok(Operand::Pair(Box::new(first), Box::new(second)));
        }
        Ok(first)
    }

    fn single(&mut self, function: &Function<'a>) -> Result<Operand<'a>, ParseError> {
        match self.next()? {
            Token::Mark('{') => Ok(Operand::Vector(self.operands_until('}', function)?)),
            Token::Mark('(') => Ok(Operand::List(self.operands_until(')', function)?)),
            Token::Mark('[') => {
                let base = self.single(function)?;
                let (base, mut offset) = match base {
                    Operand::Name { name, offset } => (Operand::Name { name, offset: 0 }, offset),
                    other => (other, 0),
                };
                offset += self.offset()?;
                self.mark(']')?;
                Ok(Operand::Address {
                    base: Box::new(base),
                    offset,
                })
            }
            Token::Mark('!') => match self.single(function)? {
                Operand::Predicate { index, negated } => Ok(Operand::Predicate {
                    index,
                    negated: !negated,
                }),
                _ => Err(self.error("only a predicate can be negated")),
            },
            Token::Mark('-') => Ok(Operand::Immediate(self.number()?.wrapping_neg())),
            Token::Mark('~') => Ok(Operand::Immediate(!self.number()?)),
            Token::Number(value) => Ok(Operand::Immediate(value)),
            Token::Word("_") => Ok(Operand::Sink),
            Token::Word("WARP_SZ") => Ok(Operand::Immediate(32)),
            Token::Word(name) => self.named(name, function),
            _ => Err(self.error("an operand is expected")),
        }
    }

    fn operands_until(
        &mut self,
        end: char,
        function: &Function<'a>,
    ) -> Result<Vec<Operand<'a>>, ParseError> {
        let mut operands = Vec::new();
        if self.takes(end) {
            return Ok(operands);
        }
        loop {
            operands.push(self.operand(function)?);
            if self.takes(end) {
                return Ok(operands);
            }
            self.mark(',')?;
        }
    }

    fn named(&mut self, name: &'a str, function: &Function<'a>) -> Result<Operand<'a>, ParseError> {
        if let Some(register) = function.register(name) {
            return Ok(register);
        }
        if name.starts_with('%') {
            let special = Special::named(name);
            return special
                .map(Operand::Special)
                .ok_or_else(|| self.error("a register that was not declared"));
        }
        if name.starts_with("0f") || name.starts_with("0d") || name.as_bytes()[0].is_ascii_digit() {
            return Err(self.error("a float: exact arithmetic has none"));
        }
        let offset = self.offset()?;
        Ok(Operand::Name { name, offset })
    }

    /// `+8`, `+-8` or nothing.
    fn offset(&mut self) -> Result<i64, ParseError> {
        if !self.takes('+') {
            return Ok(0);
        }
        let negative = self.takes('-');
        let value = self.number()? as i64;
        Ok(if negative {
            value.wrapping_neg()
        } else {
            value
        })
    }
}
