//! Text to a [`Module`](crate::Module).

mod body;
mod module;
mod operand;
mod variable;

use crate::{
    error::ParseError,
    lexer::{tokens, Lexed, Token},
};

/// A place among the tokens.
struct Parser<'a> {
    tokens: Vec<Lexed<'a>>,
    at: usize,
}

impl<'a> Parser<'a> {
    fn new(source: &'a str) -> Result<Self, ParseError> {
        let tokens = tokens(source)?;
        Ok(Self { tokens, at: 0 })
    }

    fn peek(&self) -> Option<Token<'a>> {
        Some(self.tokens.get(self.at)?.token)
    }

    fn next(&mut self) -> Result<Token<'a>, ParseError> {
        let token = self
            .peek()
            .ok_or_else(|| self.error("the module ends too early"))?;
        self.at += 1;
        Ok(token)
    }

    /// The line of the token that was read last.
    fn line(&self) -> u32 {
        let last = self
            .at
            .saturating_sub(1)
            .min(self.tokens.len().saturating_sub(1));
        self.tokens.get(last).map_or(1, |lexed| lexed.line)
    }

    fn error(&self, problem: impl Into<String>) -> ParseError {
        ParseError::new(self.line(), problem)
    }

    /// Whether the next token is this mark, which is then read.
    fn takes(&mut self, mark: char) -> bool {
        let there = self.peek() == Some(Token::Mark(mark));
        self.at += usize::from(there);
        there
    }

    /// Whether the next token is this word, which is then read.
    fn takes_word(&mut self, word: &str) -> bool {
        let there = self.peek() == Some(Token::Word(word));
        self.at += usize::from(there);
        there
    }

    fn mark(&mut self, mark: char) -> Result<(), ParseError> {
        if self.takes(mark) {
            return Ok(());
        }
        self.at += 1;
        Err(self.error(format!("`{mark}` is expected")))
    }

    fn word(&mut self) -> Result<&'a str, ParseError> {
        match self.next()? {
            Token::Word(word) => Ok(word),
            _ => Err(self.error("a name is expected")),
        }
    }

    fn number(&mut self) -> Result<u64, ParseError> {
        match self.next()? {
            Token::Number(number) => Ok(number),
            _ => Err(self.error("an integer is expected")),
        }
    }

    /// Skips a directive that ends with its line.
    fn skip_line(&mut self) {
        let line = self.line();
        while self
            .tokens
            .get(self.at)
            .is_some_and(|lexed| lexed.line == line)
        {
            self.at += 1;
        }
    }

    fn skip_until(&mut self, mark: char) -> Result<(), ParseError> {
        while self.next()? != Token::Mark(mark) {}
        Ok(())
    }
}
