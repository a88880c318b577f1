//! What a launch did, in numbers.

use crate::instruction::Class;
use core::{
    fmt::{Display, Formatter, Result},
    ops::AddAssign,
};

/// Work of one launch or of several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Instructions of warps, by class: what a GPU issues.
    instructions: [u64; Class::COUNT],
    /// Bytes that threads asked global memory for; bytes asked for twice count twice.
    pub global_loaded: u64,
    pub global_stored: u64,
    /// Sectors of 32 bytes that the accesses of warps to global memory touch: with whole use of
    /// each sector they are a 32nd of the bytes.
    pub global_sectors: u64,
    /// Passes over the banks of shared memory beyond the least that an access of a warp takes.
    pub bank_conflicts: u64,
}

const NAMES: [(Class, &str); Class::COUNT] = [
    (Class::Integer, "integer"),
    (Class::Multiply, "multiply"),
    (Class::Divide, "divide"),
    (Class::Dot, "dot"),
    (Class::Matrix, "matrix"),
    (Class::MatrixLoad, "matrix load"),
    (Class::GlobalLoad, "global load"),
    (Class::GlobalStore, "global store"),
    (Class::SharedLoad, "shared load"),
    (Class::SharedStore, "shared store"),
    (Class::Local, "local"),
    (Class::Parameter, "parameter"),
    (Class::Atomic, "atomic"),
    (Class::AsyncCopy, "async copy"),
    (Class::Warp, "warp"),
    (Class::Barrier, "barrier"),
    (Class::Control, "control"),
];

impl Counts {
    /// Instructions of warps of one class.
    pub fn of(&self, class: Class) -> u64 {
        self.instructions[class as usize]
    }

    /// Instructions of warps.
    pub fn total(&self) -> u64 {
        self.instructions.iter().sum()
    }

    pub(crate) fn count(&mut self, class: Class) {
        self.instructions[class as usize] += 1;
    }
}

impl AddAssign<&Counts> for Counts {
    fn add_assign(&mut self, other: &Counts) {
        for (to, from) in self.instructions.iter_mut().zip(&other.instructions) {
            *to += from;
        }
        self.global_loaded += other.global_loaded;
        self.global_stored += other.global_stored;
        self.global_sectors += other.global_sectors;
        self.bank_conflicts += other.bank_conflicts;
    }
}

impl Display for Counts {
    fn fmt(&self, out: &mut Formatter<'_>) -> Result {
        for (class, name) in NAMES {
            if self.of(class) > 0 {
                write!(out, "{name} {}, ", self.of(class))?;
            }
        }
        write!(
            out,
            "{} bytes loaded and {} stored in {} sectors, {} bank conflicts",
            self.global_loaded, self.global_stored, self.global_sectors, self.bank_conflicts
        )
    }
}
