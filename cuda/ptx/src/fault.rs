//! What a kernel did that it must not do.

use crate::error::MemoryError;
use core::fmt::{Display, Formatter, Result};

/// The end of a launch that went wrong, and where that was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Fault {
    pub kernel: String,
    /// `None` if the launch itself was wrong.
    pub place: Option<Place>,
    pub cause: Cause,
}

/// A thread and what it was at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub block: [u32; 3],
    pub thread: [u32; 3],
    /// Line of the PTX, counted from 1, and its text.
    pub line: u32,
    pub text: String,
}

/// Why a launch ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    #[error("the module has no such kernel")]
    UnknownKernel,
    #[error("argument {index} has {given} bytes instead of {expected}")]
    ArgumentSize {
        index: usize,
        given: usize,
        expected: usize,
    },
    #[error("{given} arguments instead of {expected}")]
    ArgumentCount { given: usize, expected: usize },
    #[error("a grid of {0:?} blocks is not between 1 and 2147483647, 65535 and 65535")]
    Grid([u32; 3]),
    #[error("a block of {threads} threads is not between 1 and {most}")]
    Threads { threads: u64, most: u32 },
    #[error("{bytes} bytes of shared memory are more than the {most} of {target}")]
    SharedMemory {
        bytes: u64,
        most: u32,
        target: String,
    },
    #[error("no device memory for the module's variables: {0}")]
    Variables(MemoryError),
    #[error("{bytes} bytes at {address:#x} are outside {space}")]
    Outside {
        space: &'static str,
        address: u64,
        bytes: u32,
    },
    #[error("{bytes} bytes at {address:#x} are not aligned to their size")]
    Misaligned { address: u64, bytes: u32 },
    #[error("the byte at {address:#x} of {space} is read and was never written")]
    NeverWritten { space: &'static str, address: u64 },
    #[error(
        "the byte at {address:#x} of shared memory belongs to a cp.async that was not waited for"
    )]
    InFlight { address: u64 },
    #[error(
        "thread {other:?} {did} the byte at {address:#x} of shared memory, with no barrier between"
    )]
    SharedRace {
        address: u64,
        other: [u32; 3],
        did: Did,
    },
    #[error("{} {did} the byte at {address:#x} in the same launch", Blocks(.other))]
    GlobalRace {
        address: u64,
        other: Option<[u32; 3]>,
        did: Did,
    },
    #[error("a division by zero")]
    DivisionByZero,
    #[error("the instruction waits for lanes {missing:#010x}, which have ended or wait elsewhere")]
    MissingLanes { missing: u32 },
    #[error("the thread is not in the mask {mask:#010x} of its own instruction")]
    NotInMask { mask: u32 },
    #[error("the value is of lane {lane}, which does not take part")]
    InactiveLane { lane: u32 },
    #[error("lanes of one instruction disagree about {what}")]
    Disagreement { what: &'static str },
    #[error("barrier {barrier} takes {threads} threads, which is not a number of whole warps in this block")]
    BarrierThreads { barrier: u32, threads: u32 },
    #[error("barrier {barrier} does not exist")]
    NoBarrier { barrier: u32 },
    #[error("the block waits for ever: at barrier {barrier} with {arrived} of {expected} threads, and no warp can run")]
    Deadlock {
        barrier: u32,
        arrived: u32,
        expected: u32,
    },
    #[error("barrier {barrier} is waited at by threads that disagree about their number")]
    BarrierDisagreement { barrier: u32 },
    #[error("the block has a barrier for all its threads, some of which have ended")]
    EndedBeforeBarrier,
    #[error("branch target {index} of {targets}")]
    BranchIndex { index: u64, targets: usize },
    #[error("the kernel trapped")]
    Trap,
    #[error("calls are nested too deeply")]
    Calls,
    #[error("the launch has run {0} instructions of warps and does not end")]
    Endless(u64),
}

/// What the other side of a race did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Did {
    Read,
    Wrote,
}

impl Display for Did {
    fn fmt(&self, out: &mut Formatter<'_>) -> Result {
        out.write_str(match self {
            Self::Read => "read",
            Self::Wrote => "wrote",
        })
    }
}

struct Blocks<'a>(&'a Option<[u32; 3]>);

impl Display for Blocks<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> Result {
        match self.0 {
            Some(block) => write!(out, "block {block:?}"),
            None => out.write_str("several blocks"),
        }
    }
}

impl Display for Fault {
    fn fmt(&self, out: &mut Formatter<'_>) -> Result {
        write!(out, "kernel {}", self.kernel)?;
        if let Some(place) = &self.place {
            write!(
                out,
                ", block {:?}, thread {:?}, PTX line {} ({})",
                place.block, place.thread, place.line, place.text
            )?;
        }
        write!(out, ": {}", self.cause)
    }
}

/// A cause, and the lane that is to blame.
#[derive(Debug)]
pub(crate) struct Stop {
    pub lane: u32,
    pub cause: Cause,
}

/// Where and why a block ended before its time.
pub(crate) struct Ended {
    /// The thread's number in its block.
    pub thread: u32,
    pub line: u32,
    pub cause: Cause,
}

impl Cause {
    pub(crate) fn at(self, lane: u32) -> Stop {
        Stop { lane, cause: self }
    }
}
