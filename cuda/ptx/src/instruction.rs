//! Decoded instructions.
//!
//! An operand is always an index into the file of registers: constants, addresses of variables and
//! special registers have registers of their own, which are filled when a function is entered.

use crate::{integer::Conversion, lanes::*, matrix::Shape};

/// Index of a register of values within the frame of a function.
pub(crate) type Value = u32;
/// Index of a register of predicates within the frame of a function.
pub(crate) type Predicate = u32;
/// Index into the module's code.
pub(crate) type Address = u32;

/// The predicate that is always true.
pub(crate) const ALWAYS: Predicate = 0;

#[derive(Clone, Debug)]
pub(crate) struct Instruction {
    pub guard: Predicate,
    pub negated: bool,
    pub class: Class,
    /// Of the source.
    pub line: u32,
    pub operation: Operation,
}

/// What instructions are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Class {
    /// Additions, logic, shifts, comparisons, selections, conversions and moves.
    Integer,
    /// Multiplications, with or without an addition.
    Multiply,
    /// Quotients and remainders, for which a GPU runs a whole routine.
    Divide,
    /// `dp4a` and `dp2a`.
    Dot,
    /// `mma`.
    Matrix,
    /// `ldmatrix` and `movmatrix`.
    MatrixLoad,
    /// Loads from global or constant memory, generic ones too.
    GlobalLoad,
    GlobalStore,
    SharedLoad,
    SharedStore,
    /// Loads and stores of local memory, in other words what did not fit registers.
    Local,
    /// Loads of arguments.
    Parameter,
    Atomic,
    /// `cp.async` and its groups.
    AsyncCopy,
    /// Shuffles, votes, reductions.
    Warp,
    /// Barriers of blocks and warps, and fences.
    Barrier,
    /// Branches, calls, returns.
    Control,
}

impl Class {
    pub(crate) const COUNT: usize = Self::Control as usize + 1;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Space {
    Generic,
    Global,
    Shared,
    Local,
    /// Arguments of the kernel.
    Parameter,
}

/// Registers of a vector, of which `count` are used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Vector {
    pub of: [Value; 4],
    pub count: u8,
}

impl Vector {
    pub fn values(&self) -> &[Value] {
        &self.of[..self.count as usize]
    }
}

/// Where a load or store goes: a register and a constant added to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub space: Space,
    pub base: Value,
    pub offset: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Logic {
    And,
    Or,
    Xor,
}

impl Logic {
    pub fn of(self, a: u32, b: u32) -> u32 {
        match self {
            Self::And => a & b,
            Self::Or => a | b,
            Self::Xor => a ^ b,
        }
    }
}

/// A predicate that is read, perhaps negated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Condition {
    pub predicate: Predicate,
    pub negated: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Atomic {
    Add,
    Min,
    Max,
    And,
    Or,
    Xor,
    Exchange,
    CompareAndSwap,
    /// Adds 1, or begins at 0 again behind a limit.
    Increment,
    /// Subtracts 1, or begins at the limit again.
    Decrement,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shuffle {
    Up,
    Down,
    Butterfly,
    Index,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Vote {
    All,
    Any,
    Uniform,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reduction {
    None,
    Count(Value),
    And(Predicate),
    Or(Predicate),
}

/// A step of arithmetic in several words.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Carried {
    pub step: CarryStep,
    /// The carry goes in, or out.
    pub takes: bool,
    pub leaves: bool,
    pub wide: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CarryStep {
    Add,
    Subtract,
    /// The low or high half of a product, and then an addition.
    MultiplyLow,
    MultiplyHigh {
        signed: bool,
    },
}

#[derive(Clone, Debug)]
pub(crate) enum Operation {
    /// Hints and what means nothing here.
    Nothing,
    Move {
        to: Value,
        from: Value,
    },
    Unary {
        of: Unary,
        to: Value,
        a: Value,
    },
    Binary {
        of: Binary,
        to: Value,
        a: Value,
        b: Value,
    },
    Ternary {
        of: Ternary,
        to: Value,
        a: Value,
        b: Value,
        c: Value,
    },
    Convert {
        how: Conversion,
        to: Value,
        a: Value,
    },
    /// `of` is a quotient or a remainder.
    Divide {
        of: Binary,
        to: Value,
        a: Value,
        b: Value,
    },
    Logic3 {
        table: u8,
        to: Value,
        a: Value,
        b: Value,
        c: Value,
    },
    InsertField {
        wide: bool,
        to: Value,
        a: Value,
        b: Value,
        position: Value,
        length: Value,
    },
    Carry {
        how: Carried,
        to: Value,
        a: Value,
        b: Value,
        c: Value,
    },
    Pack {
        part_bits: u8,
        to: Value,
        parts: Vector,
    },
    Unpack {
        part_bits: u8,
        parts: Vector,
        from: Value,
    },

    Compare {
        of: Comparison,
        combined: Option<(Logic, Condition)>,
        to: Predicate,
        inverse: Option<Predicate>,
        a: Value,
        b: Value,
    },
    Set {
        of: Comparison,
        combined: Option<(Logic, Condition)>,
        to: Value,
        a: Value,
        b: Value,
    },
    Select {
        to: Value,
        a: Value,
        b: Value,
        condition: Condition,
    },
    Predicate {
        of: Logic,
        to: Predicate,
        a: Condition,
        b: Condition,
    },

    Load {
        at: Place,
        bytes: u8,
        signed: bool,
        register_bits: u8,
        to: Vector,
    },
    Store {
        at: Place,
        bytes: u8,
        from: Vector,
    },
    Atomic {
        of: Atomic,
        at: Place,
        bytes: u8,
        signed: bool,
        to: Option<Value>,
        b: Value,
        c: Value,
        ordered: bool,
    },
    /// Copies `bytes` to shared memory, `given` of which come from global memory; the others are zero.
    AsyncCopy {
        to: Place,
        from: Place,
        bytes: u8,
        given: Option<Value>,
    },
    /// Ends a group of copies.
    AsyncCommit,
    /// Waits until at most so many groups are left, or for everything.
    AsyncWait {
        left: Option<u32>,
    },
    Fence,

    Branch {
        target: Address,
    },
    BranchIndex {
        index: Value,
        targets: Box<[Address]>,
    },
    Call {
        function: u32,
        arguments: Box<[(u32, u32, u32)]>,
        results: Box<[(u32, u32, u32)]>,
    },
    Return,
    Exit,
    Trap,

    Barrier {
        barrier: Value,
        threads: Option<Value>,
        waits: bool,
        reduction: Reduction,
        condition: Condition,
    },
    WarpBarrier {
        mask: Value,
    },
    Shuffle {
        how: Shuffle,
        to: Value,
        valid: Option<Predicate>,
        a: Value,
        b: Value,
        c: Value,
        mask: Value,
    },
    Vote {
        how: Vote,
        to: Predicate,
        condition: Condition,
        mask: Value,
    },
    Ballot {
        to: Value,
        condition: Condition,
        mask: Value,
    },
    ActiveMask {
        to: Value,
    },
    MatchAny {
        to: Value,
        a: Value,
        mask: Value,
    },
    MatchAll {
        to: Value,
        all: Option<Predicate>,
        a: Value,
        mask: Value,
    },
    Reduce {
        of: Atomic,
        signed: bool,
        to: Value,
        a: Value,
        mask: Value,
    },

    Multiply(Box<Product>),
    LoadMatrix {
        at: Place,
        transposed: bool,
        to: Vector,
    },
    MoveMatrix {
        to: Value,
        from: Value,
    },
}

/// `mma`: D = A · B + C.
#[derive(Clone, Debug)]
pub(crate) struct Product {
    pub shape: Shape,
    pub a_signed: bool,
    pub b_signed: bool,
    pub saturates: bool,
    pub d: Vector,
    pub a: Vector,
    pub b: Vector,
    pub c: Vector,
}
