//! Names that every function of a module sees.

use super::variable::{Declaration, Home, Variable};
use std::collections::HashMap;

/// What can be called: where its results and parameters lie in its frame.
#[derive(Clone)]
pub(crate) struct Signature {
    pub index: u32,
    pub results: Vec<Variable>,
    pub parameters: Vec<Variable>,
}

/// Names that every function of a module sees.
#[derive(Default)]
pub(crate) struct Names<'a> {
    pub variables: HashMap<&'a str, Variable>,
    pub signatures: HashMap<&'a str, Signature>,
    /// Variables in device memory.
    pub globals: Vec<Declaration<'a>>,
    /// Shared memory that all kernels have, because functions or the module declare it.
    pub shared: u32,
}

impl<'a> Names<'a> {
    /// A variable in device memory.
    pub fn declare(&mut self, declared: &Declaration<'a>) -> Result<Variable, &'static str> {
        if declared.bytes == 0 {
            return Err("a variable without a length");
        }
        let variable = Variable {
            home: Home::Variable(self.globals.len()),
            bytes: declared.bytes,
        };
        self.globals.push(declared.clone());
        self.variables.insert(declared.name, variable);
        Ok(variable)
    }
}
