//! Variables: where they lie, how long they are, and what they begin with.

use super::Parser;
use crate::{error::ParseError, lexer::Token};

/// A declaration such as `.align 16 .b8 table[16] = {1, 2}`.
#[derive(Clone, Debug)]
pub(crate) struct Declaration<'a> {
    pub name: &'a str,
    pub align: u32,
    /// 0 for an array whose length is left open.
    pub bytes: u32,
    pub initial: Vec<Initial<'a>>,
    /// Bytes of one element.
    pub element: u32,
}

#[derive(Clone, Debug)]
pub(crate) enum Initial<'a> {
    Number(u64),
    /// The address of a variable, and an offset in it.
    Address {
        name: &'a str,
        offset: i64,
    },
}

/// Bytes of a type without floats; an error says why there is none.
pub(crate) fn bytes_of(name: &str) -> Result<u32, &'static str> {
    Ok(match name {
        ".b8" | ".u8" | ".s8" => 1,
        ".b16" | ".u16" | ".s16" => 2,
        ".b32" | ".u32" | ".s32" => 4,
        ".b64" | ".u64" | ".s64" => 8,
        ".b128" => 16,
        ".f16" | ".f16x2" | ".bf16" | ".bf16x2" | ".f32" | ".f64" | ".tf32" => {
            return Err("a float: exact arithmetic has none")
        }
        _ => return Err("a type is expected"),
    })
}

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
            bytes = u32::try_from(u64::from(bytes) * length)
                .map_err(|_| self.error("an array that is too long"))?;
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
