//! The body of a function.

use super::Parser;
use crate::{
    decode,
    error::ParseError,
    instruction::{Class, Operation, ALWAYS},
    lexer::Token,
    source::{
        function::Function,
        names::Names,
        operand::Operand,
        variable::{Home, Variable},
    },
};

impl<'a> Parser<'a> {
    /// A body behind its opening brace, with the closing one.
    pub(super) fn body(
        &mut self,
        function: &mut Function<'a>,
        names: &mut Names<'a>,
    ) -> Result<(), ParseError> {
        loop {
            match self.next()? {
                Token::Mark('{') => function.open(),
                Token::Mark('}') => {
                    let ended = function.close().map_err(|label| {
                        self.error(format!("no label `{label}` in `{}`", function.name))
                    })?;
                    if ended {
                        // What runs off the end returns.
                        function.guard = (ALWAYS, false);
                        function.line = self.line();
                        function.emit(Class::Control, Operation::Return);
                        return Ok(());
                    }
                }
                Token::Mark('@') => {
                    let negated = self.takes('!');
                    let name = self.word()?;
                    let guard = function.register(name);
                    let Some(Operand::Predicate { index, .. }) = guard else {
                        return Err(self.error("a predicate is expected"));
                    };
                    let opcode = self.word()?;
                    self.instruction(opcode, (index, negated), function, names)?;
                }
                Token::Mark(';') => {}
                Token::Word(word) if word.starts_with('.') => {
                    self.directive(word, function, names)?
                }
                Token::Word(label) if self.takes(':') => {
                    if self.takes_word(".branchtargets") {
                        let mut labels = vec![self.word()?];
                        while self.takes(',') {
                            labels.push(self.word()?);
                        }
                        self.mark(';')?;
                        function.declare_table(label, labels);
                    } else {
                        function.label(label);
                    }
                }
                Token::Word(opcode) => {
                    self.instruction(opcode, (ALWAYS, false), function, names)?
                }
                _ => return Err(self.error("an instruction is expected")),
            }
        }
    }

    fn instruction(
        &mut self,
        opcode: &'a str,
        guard: (u32, bool),
        function: &mut Function<'a>,
        names: &Names<'a>,
    ) -> Result<(), ParseError> {
        let line = self.line();
        function.guard = guard;
        function.line = line;
        let operands = self.operands(function)?;
        decode::instruction(opcode, &operands, function, names)
            .map_err(|problem| ParseError::new(line, problem))
    }

    fn directive(
        &mut self,
        word: &'a str,
        function: &mut Function<'a>,
        names: &mut Names<'a>,
    ) -> Result<(), ParseError> {
        match word {
            ".reg" => {
                let mut type_name = self.word()?;
                if matches!(type_name, ".v2" | ".v4") {
                    return Err(self.error("vectors have braces here, not registers of their own"));
                }
                let bits =
                    Function::register_bits(type_name).map_err(|problem| self.error(problem))?;
                loop {
                    type_name = self.word()?;
                    if self.takes('<') {
                        let count = self.number()? as u32;
                        self.mark('>')?;
                        function.declare_range(type_name, count, bits);
                    } else {
                        function.declare_register(type_name, bits);
                    }
                    if !self.takes(',') {
                        break;
                    }
                }
                self.mark(';')
            }
            ".local" | ".param" => {
                let declared = self.declaration()?;
                function.declare_local(&declared);
                self.mark(';')
            }
            ".shared" => {
                let declared = self.declaration()?;
                if declared.bytes == 0 {
                    function.declare(
                        declared.name,
                        Variable {
                            home: Home::DynamicShared,
                            bytes: 0,
                        },
                    );
                } else {
                    function.declare_shared(&declared);
                }
                self.mark(';')
            }
            ".global" | ".const" => {
                let declared = self.declaration()?;
                self.mark(';')?;
                let variable = names
                    .declare(&declared)
                    .map_err(|problem| self.error(problem))?;
                function.declare(declared.name, variable);
                Ok(())
            }
            ".loc" | ".file" => {
                self.skip_line();
                Ok(())
            }
            ".pragma" => self.skip_until(';'),
            _ => Err(self.error(format!("the directive `{word}` is not supported"))),
        }
    }
}
