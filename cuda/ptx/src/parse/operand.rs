//! The operands of an instruction.

use super::Parser;
use crate::{
    error::ParseError,
    filled::Special,
    lexer::Token,
    source::{function::Function, operand::Operand},
};

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
