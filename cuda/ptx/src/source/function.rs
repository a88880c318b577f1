//! A function while it is read: its names, and the code that it has so far.

use super::{
    operand::Operand,
    variable::{bytes_of, Declaration, Home, Variable},
};
use crate::{
    filled::Filled,
    instruction::{Address, Class, Instruction, Operation, Predicate, Value, ALWAYS},
    lanes::low_bits,
};
use std::collections::HashMap;

/// The names of one pair of braces.
#[derive(Default)]
struct Scope<'a> {
    /// Registers in ranges, `%r<10>`: the first and how many, by prefix.
    ranges: HashMap<&'a str, (u32, u32, u8)>,
    registers: HashMap<&'a str, (u32, u8)>,
    variables: HashMap<&'a str, Variable>,
    labels: HashMap<&'a str, Address>,
    tables: HashMap<&'a str, Vec<&'a str>>,
    /// Instructions in this scope whose label comes later, with the name and the number of the target.
    wanted: Vec<(usize, &'a str, usize)>,
}

/// Bits that stand for a register of predicates.
const PREDICATE: u8 = 1;

pub(crate) struct Function<'a> {
    pub name: &'a str,
    pub kernel: bool,
    pub code: Vec<Instruction>,
    pub filled: Vec<(Value, Filled)>,
    pub values: u32,
    pub predicates: u32,
    pub local: u32,
    /// Static shared memory.
    pub shared: u32,
    pub parameters: Vec<(Variable, u32)>,
    pub results: Vec<Variable>,
    pub max_threads: Option<u32>,
    scopes: Vec<Scope<'a>>,
    /// Of the instruction that is being decoded.
    pub guard: (Predicate, bool),
    pub line: u32,
}

impl<'a> Function<'a> {
    pub fn new(name: &'a str, kernel: bool) -> Self {
        Self {
            name,
            kernel,
            code: Vec::new(),
            filled: Vec::new(),
            values: 0,
            predicates: ALWAYS + 1,
            local: 0,
            shared: 0,
            parameters: Vec::new(),
            results: Vec::new(),
            max_threads: None,
            scopes: vec![Scope::default()],
            guard: (ALWAYS, false),
            line: 0,
        }
    }

    pub fn open(&mut self) {
        self.scopes.push(Scope::default());
    }

    /// Ends a scope; what it jumps to and does not have may be in the scope around it. True if that was the outermost.
    pub fn close(&mut self) -> Result<bool, &'a str> {
        let Some(scope) = self.scopes.pop() else {
            return Ok(true);
        };
        for (at, name, index) in scope.wanted {
            match scope.labels.get(name) {
                Some(&address) => self.aim(at, index, address),
                None => match self.scopes.last_mut() {
                    Some(outer) => outer.wanted.push((at, name, index)),
                    None => return Err(name),
                },
            }
        }
        Ok(self.scopes.is_empty())
    }

    fn aim(&mut self, at: usize, index: usize, address: Address) {
        match &mut self.code[at].operation {
            Operation::Branch { target } => *target = address,
            Operation::BranchIndex { targets, .. } => targets[index] = address,
            _ => unreachable!("only branches want labels"),
        }
    }

    fn scope(&mut self) -> &mut Scope<'a> {
        self.scopes
            .last_mut()
            .expect("a function has a scope until it ends")
    }

    pub fn declare_range(&mut self, prefix: &'a str, count: u32, bits: u8) {
        let first = self.fresh(bits, count);
        self.scope().ranges.insert(prefix, (first, count, bits));
    }

    pub fn declare_register(&mut self, name: &'a str, bits: u8) {
        let first = self.fresh(bits, 1);
        self.scope().registers.insert(name, (first, bits));
    }

    fn fresh(&mut self, bits: u8, count: u32) -> u32 {
        let file = if bits == PREDICATE {
            &mut self.predicates
        } else {
            &mut self.values
        };
        let first = *file;
        *file += count;
        first
    }

    /// A register that no name stands for.
    pub fn scratch(&mut self) -> Value {
        self.fresh(64, 1)
    }

    pub fn scratch_predicate(&mut self) -> Predicate {
        self.fresh(PREDICATE, 1)
    }

    pub fn register(&self, name: &str) -> Option<Operand<'a>> {
        let digits = name.len() - name.bytes().rev().take_while(u8::is_ascii_digit).count();
        let (prefix, number) = name.split_at(digits);
        self.scopes.iter().rev().find_map(|scope| {
            let (index, bits) = match scope.registers.get(name) {
                Some(&found) => found,
                None => {
                    let &(first, count, bits) = scope.ranges.get(prefix)?;
                    let number = number
                        .parse::<u32>()
                        .ok()
                        .filter(|number| *number < count)?;
                    (first + number, bits)
                }
            };
            Some(match bits {
                PREDICATE => Operand::Predicate {
                    index,
                    negated: false,
                },
                _ => Operand::Register { index, bits },
            })
        })
    }

    /// The bits of a register of this type.
    pub fn register_bits(name: &str) -> Result<u8, &'static str> {
        match name {
            ".pred" => Ok(PREDICATE),
            ".b128" => Err("registers of 128 bits are not supported"),
            _ => bytes_of(name).map(|bytes| bytes as u8 * 8),
        }
    }

    pub fn declare(&mut self, name: &'a str, variable: Variable) {
        self.scope().variables.insert(name, variable);
    }

    pub fn declare_local(&mut self, declared: &Declaration<'a>) -> Variable {
        let start = self.local.next_multiple_of(declared.align);
        self.local = start + declared.bytes;
        let variable = Variable {
            home: Home::Local(start),
            bytes: declared.bytes,
        };
        self.declare(declared.name, variable);
        variable
    }

    pub fn declare_shared(&mut self, declared: &Declaration<'a>) {
        let start = self.shared.next_multiple_of(declared.align);
        self.shared = start + declared.bytes;
        self.declare(
            declared.name,
            Variable {
                home: Home::Shared(start),
                bytes: declared.bytes,
            },
        );
    }

    pub fn variable(&self, name: &str) -> Option<Variable> {
        self.scopes
            .iter()
            .rev()
            .find_map(|scope| scope.variables.get(name).copied())
    }

    pub fn label(&mut self, name: &'a str) {
        let here = self.code.len() as Address;
        self.scope().labels.insert(name, here);
    }

    pub fn declare_table(&mut self, name: &'a str, labels: Vec<&'a str>) {
        self.scope().tables.insert(name, labels);
    }

    pub fn table(&self, name: &str) -> Option<Vec<&'a str>> {
        self.scopes
            .iter()
            .rev()
            .find_map(|scope| scope.tables.get(name).cloned())
    }

    /// The next instruction jumps to this label.
    pub fn want(&mut self, label: &'a str, index: usize) {
        let at = self.code.len();
        self.scope().wanted.push((at, label, index));
    }

    pub fn emit(&mut self, class: Class, operation: Operation) {
        let (guard, negated) = self.guard;
        let line = self.line;
        self.code.push(Instruction {
            guard,
            negated,
            class,
            line,
            operation,
        });
    }

    /// The register that has this from the start.
    pub fn filled(&mut self, with: Filled) -> Value {
        if let Some((register, _)) = self.filled.iter().find(|(_, other)| *other == with) {
            return *register;
        }
        let register = self.scratch();
        self.filled.push((register, with));
        register
    }

    pub fn constant(&mut self, value: u64, bits: u8) -> Value {
        self.filled(Filled::Value(value & low_bits(bits.into())))
    }
}
