//! A module: its functions, its variables, and how they are joined.

use super::Parser;
use crate::{
    error::ParseError,
    instruction::Operation,
    lexer::Token,
    module::{Content, Frame, Global, Kernel, Module, Parameter},
    source::{
        function::Function,
        names::{Names, Signature},
        variable::{Declaration, Home, Initial, Variable},
    },
};

impl Module {
    /// Reads PTX as NVRTC or nvcc write it.
    ///
    /// # Errors
    /// The first line that is not understood or not supported: an unknown opcode or modifier, an
    /// operand of a wrong width, and any float.
    pub fn parse(source: &str) -> Result<Self, ParseError> {
        module(source).map_err(|error| error.in_source(source))
    }
}

fn module(source: &str) -> Result<Module, ParseError> {
    let mut parser = Parser::new(source)?;
    let mut names = Names::default();
    let mut functions: Vec<Option<Function>> = Vec::new();
    let mut target = String::new();
    while let Some(token) = parser.peek() {
        parser.at += 1;
        let Token::Word(word) = token else {
            return Err(parser.error("a directive is expected"));
        };
        match word {
            ".version" | ".file" | ".loc" => parser.skip_line(),
            ".target" => {
                target = parser.word()?.into();
                parser.skip_line();
            }
            ".address_size" => {
                if parser.number()? != 64 {
                    return Err(parser.error("only addresses of 64 bits are supported"));
                }
            }
            ".visible" | ".extern" | ".weak" | ".common" => {}
            ".pragma" => parser.skip_until(';')?,
            ".section" => parser.section()?,
            ".entry" => parser.kernel(&mut names, &mut functions)?,
            ".func" => parser.function(&mut names, &mut functions)?,
            ".global" | ".const" => {
                let declared = parser.declaration()?;
                parser.mark(';')?;
                names
                    .declare(&declared)
                    .map_err(|problem| parser.error(problem))?;
            }
            ".shared" => parser.shared(&mut names)?,
            _ => return Err(parser.error(format!("the directive `{word}` is not supported"))),
        }
    }
    join(source, target, names, functions).map_err(|problem| parser.error(problem))
}

impl<'a> Parser<'a> {
    /// Debugging information, which is not looked at.
    fn section(&mut self) -> Result<(), ParseError> {
        self.skip_until('{')?;
        let mut depth = 1;
        while depth > 0 {
            match self.next()? {
                Token::Mark('{') => depth += 1,
                Token::Mark('}') => depth -= 1,
                _ => {}
            }
        }
        Ok(())
    }

    fn shared(&mut self, names: &mut Names<'a>) -> Result<(), ParseError> {
        let declared = self.declaration()?;
        self.mark(';')?;
        let home = if declared.bytes == 0 {
            Home::DynamicShared
        } else {
            let start = names.shared.next_multiple_of(declared.align);
            names.shared = start + declared.bytes;
            Home::Shared(start)
        };
        names.variables.insert(
            declared.name,
            Variable {
                home,
                bytes: declared.bytes,
            },
        );
        Ok(())
    }

    fn kernel(
        &mut self,
        names: &mut Names<'a>,
        functions: &mut Vec<Option<Function<'a>>>,
    ) -> Result<(), ParseError> {
        let mut kernel = Function::new(self.word()?, true);
        kernel.shared = names.shared;
        let mut bytes = 0u32;
        for declared in self.parameters()? {
            let start = bytes.next_multiple_of(declared.align);
            bytes = start + declared.bytes;
            let variable = Variable {
                home: Home::Parameter(start),
                bytes: declared.bytes,
            };
            kernel.declare(declared.name, variable);
            kernel.parameters.push((variable, declared.align));
        }
        loop {
            match self.next()? {
                Token::Word(".maxntid" | ".reqntid") => {
                    let mut threads = self.number()?;
                    while self.takes(',') {
                        threads = threads.saturating_mul(self.number()?);
                    }
                    kernel.max_threads = Some(threads.min(u64::from(u32::MAX)) as u32);
                }
                Token::Word(".minnctapersm" | ".maxnreg") => {
                    self.number()?;
                }
                Token::Word(".pragma") => self.skip_until(';')?,
                Token::Mark('{') => break,
                Token::Mark(';') => return Err(self.error("a kernel without a body")),
                _ => return Err(self.error("a directive that is not supported")),
            }
        }
        self.body(&mut kernel, names)?;
        functions.push(Some(kernel));
        Ok(())
    }

    fn function(
        &mut self,
        names: &mut Names<'a>,
        functions: &mut Vec<Option<Function<'a>>>,
    ) -> Result<(), ParseError> {
        let results = self.parameters()?;
        let mut function = Function::new(self.word()?, false);
        function.results = results
            .iter()
            .map(|declared| function.declare_local(declared))
            .collect();
        let parameters: Vec<_> = self
            .parameters()?
            .iter()
            .map(|declared| function.declare_local(declared))
            .collect();
        let index = match names.signatures.get(function.name) {
            Some(signature) => signature.index,
            None => {
                let index = functions.len() as u32;
                let results = function.results.clone();
                names.signatures.insert(
                    function.name,
                    Signature {
                        index,
                        results,
                        parameters,
                    },
                );
                functions.push(None);
                index
            }
        };
        loop {
            match self.next()? {
                Token::Mark(';') => return Ok(()),
                Token::Mark('{') => break,
                Token::Word(".noreturn" | ".noinline") => {}
                _ => return Err(self.error("a directive that is not supported")),
            }
        }
        function.shared = names.shared;
        self.body(&mut function, names)?;
        if function.shared > names.shared {
            if functions.iter().flatten().any(|other| other.kernel) {
                return Err(self.error(
                    "shared memory of a function that stands behind a kernel is not supported",
                ));
            }
            names.shared = function.shared;
        }
        functions[index as usize] = Some(function);
        Ok(())
    }

    /// Parameters in parentheses, if there are any.
    fn parameters(&mut self) -> Result<Vec<Declaration<'a>>, ParseError> {
        let mut parameters = Vec::new();
        if !self.takes('(') || self.takes(')') {
            return Ok(parameters);
        }
        loop {
            if !self.takes_word(".param") {
                return Err(self.error("a parameter is expected"));
            }
            parameters.push(self.declaration()?);
            if self.takes(')') {
                return Ok(parameters);
            }
            self.mark(',')?;
        }
    }
}

/// Puts the functions' code into one array.
fn join(
    source: &str,
    target: String,
    names: Names<'_>,
    functions: Vec<Option<Function<'_>>>,
) -> Result<Module, String> {
    let mut module = Module::empty(source, target);
    for (index, function) in functions.into_iter().enumerate() {
        let Some(mut function) = function else {
            let missing = names
                .signatures
                .iter()
                .find(|(_, signature)| signature.index as usize == index);
            return Err(format!(
                "the function `{}` has no body",
                missing.map_or("?", |(name, _)| name)
            ));
        };
        let entry = module.code.len() as u32;
        for instruction in &mut function.code {
            match &mut instruction.operation {
                Operation::Branch { target } => *target += entry,
                Operation::BranchIndex { targets, .. } => {
                    targets.iter_mut().for_each(|target| *target += entry)
                }
                _ => {}
            }
        }
        module.code.append(&mut function.code);
        if function.kernel {
            module.kernels.push(Kernel {
                name: function.name.into(),
                parameters: function
                    .parameters
                    .iter()
                    .map(|(variable, align)| Parameter {
                        bytes: variable.bytes,
                        align: *align,
                    })
                    .collect(),
                static_shared: function.shared,
                max_threads: function.max_threads,
                frame: index,
            });
        }
        module.frames.push(Frame {
            entry,
            values: function.values,
            predicates: function.predicates,
            local: function.local.next_multiple_of(16),
            filled: function.filled,
        });
    }
    for declared in &names.globals {
        let content = declared
            .initial
            .iter()
            .map(|value| content(value, &names))
            .collect::<Result<_, _>>()?;
        module.globals.push(Global {
            name: declared.name.into(),
            bytes: declared.bytes,
            element: declared.element,
            content,
        });
    }
    Ok(module)
}

fn content(value: &Initial<'_>, names: &Names<'_>) -> Result<Content, String> {
    Ok(match value {
        Initial::Number(number) => Content::Number(*number),
        Initial::Address { name, offset } => {
            match names.variables.get(name).map(|variable| variable.home) {
                Some(Home::Variable(index)) => Content::Address {
                    index,
                    offset: *offset,
                },
                _ => return Err(format!("no variable `{name}` in device memory")),
            }
        }
    })
}
