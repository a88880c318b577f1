//! The declaration of a variable: its alignment, its length, and what it begins with.

use super::Parser;
use crate::{
    error::ParseError,
    lexer::Token,
    source::variable::{bytes_of, Declaration, Initial},
};

impl<'a> Parser<'a> {
    /// A variable behind the name of its space, without the mark behind it.
    pub(super) fn declaration(&mut self) -> Result<Declaration<'a>, ParseError> {
        let (mut align, mut vector) = (None, 1);
        let element = loop {
            let word = self.word()?;
            match word {
                ".align" => align = Some(self.number()? as u32),
                ".v2" => vector = 2,
                ".v4" => vector = 4,
                _ => {
                    let bytes = bytes_of(word).map_err(|problem| self.error(problem))?;
                    break bytes * vector;
                }
            }
        };
        if self.takes_word(".ptr") {
            self.pointee()?;
        }
        let name = self.word()?;
        let mut bytes = element;
        while self.takes('[') {
            if self.takes(']') {
                bytes = 0;
                continue;
            }
            let length = self.number()?;
            bytes = length
                .checked_mul(bytes.into())
                .and_then(|bytes| u32::try_from(bytes).ok())
                .ok_or_else(|| self.error("an array that is too long"))?;
            self.mark(']')?;
        }
        let mut initial = Vec::new();
        if self.takes('=') {
            self.initial(&mut initial)?;
        }
        if (initial.len() as u64) * u64::from(element) > u64::from(bytes) {
            return Err(self.error("more initial values than elements"));
        }
        let align = align.unwrap_or(element);
        if !align.is_power_of_two() {
            return Err(self.error("an alignment that is not a power of two"));
        }
        Ok(Declaration {
            name,
            align,
            bytes,
            initial,
            element,
        })
    }

    /// Space and alignment of what a parameter points to, which are not relied on.
    fn pointee(&mut self) -> Result<(), ParseError> {
        for space in [".global", ".const", ".shared", ".local"] {
            self.takes_word(space);
        }
        if self.takes_word(".align") {
            self.number()?;
        }
        Ok(())
    }

    fn initial(&mut self, values: &mut Vec<Initial<'a>>) -> Result<(), ParseError> {
        match self.next()? {
            Token::Mark('{') => {
                while !self.takes('}') {
                    self.initial(values)?;
                    self.takes(',');
                }
            }
            Token::Number(value) => values.push(Initial::Number(value)),
            Token::Mark('-') => values.push(Initial::Number(self.number()?.wrapping_neg())),
            Token::Word("generic") => {
                self.mark('(')?;
                self.initial(values)?;
                self.mark(')')?;
            }
            Token::Word(name) if !name.as_bytes()[0].is_ascii_digit() => {
                let offset = if self.takes('+') {
                    self.number()? as i64
                } else {
                    0
                };
                values.push(Initial::Address { name, offset });
            }
            _ => return Err(self.error("an initial value is expected")),
        }
        Ok(())
    }
}
