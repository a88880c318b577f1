//! A module that can be launched from.

use crate::{
    filled::Filled,
    instruction::{Address, Instruction, Value},
};
use std::sync::atomic::{AtomicU64, Ordering};

/// PTX that was read: kernels, the functions that they call, and variables.
#[derive(Debug)]
pub struct Module {
    /// Tells modules apart in a [`Memory`](crate::Memory) that holds their variables.
    pub(crate) id: u64,
    pub(crate) source: String,
    pub(crate) target: String,
    pub(crate) code: Vec<Instruction>,
    pub(crate) frames: Vec<Frame>,
    pub(crate) globals: Vec<Global>,
    pub(crate) kernels: Vec<Kernel>,
}

/// What can be launched.
#[derive(Clone, Debug)]
pub struct Kernel {
    pub name: String,
    pub parameters: Vec<Parameter>,
    /// Bytes of shared memory that the kernel declares itself.
    pub static_shared: u32,
    /// Threads of a block at most, where `__launch_bounds__` say so.
    pub max_threads: Option<u32>,
    pub(crate) frame: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameter {
    pub bytes: u32,
    pub align: u32,
}

/// What a function needs when it is entered.
#[derive(Debug)]
pub(crate) struct Frame {
    pub entry: Address,
    pub values: u32,
    pub predicates: u32,
    /// Bytes of local memory.
    pub local: u32,
    pub filled: Vec<(Value, Filled)>,
}

/// A variable in device memory.
#[derive(Debug)]
pub(crate) struct Global {
    pub name: String,
    pub bytes: u32,
    pub element: u32,
    /// Of the first elements; the others are zero.
    pub content: Vec<Content>,
}

#[derive(Debug)]
pub(crate) enum Content {
    Number(u64),
    Address { index: usize, offset: i64 },
}

impl Module {
    pub(crate) fn empty(source: &str, target: String) -> Self {
        static IDS: AtomicU64 = AtomicU64::new(0);
        Self {
            id: IDS.fetch_add(1, Ordering::Relaxed),
            source: source.into(),
            target,
            code: Vec::new(),
            frames: Vec::new(),
            globals: Vec::new(),
            kernels: Vec::new(),
        }
    }

    pub fn kernels(&self) -> &[Kernel] {
        &self.kernels
    }

    pub fn kernel(&self, name: &str) -> Option<&Kernel> {
        self.kernels.iter().find(|kernel| kernel.name == name)
    }

    /// The architecture that it was compiled for, such as `sm_80`.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Shared memory that a block may have on the smallest device of the target, in bytes.
    pub(crate) fn shared_limit(&self) -> u32 {
        let digits: String = self.target.chars().filter(char::is_ascii_digit).collect();
        let kibibytes = match digits.parse::<u32>().unwrap_or(0) {
            0..=75 => 64,
            80 | 87 => 163,
            81..=89 | 120.. => 99,
            76..=79 => 64,
            90..=119 => 227,
        };
        kibibytes << 10
    }
}
