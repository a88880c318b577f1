//! What runs an engine's passes in the processor's place: a machine that holds the model, and the keys
//! and values of all requests, in a memory of its own.
//!
//! The engine keeps what is not worth a machine: it cuts the tokens into passes, reads the embedding
//! and the angles of their rows, and says in which slabs a sequence's keys and values are. The bits
//! are those of the processor.

use std::{fmt::Debug, sync::Arc};

use crate::{leaf::LeafError, sampling::Settings};

/// A model on a machine.
pub trait Accelerator: Debug + Send + Sync {
    /// Where it keeps keys and values.
    fn slabs(&self) -> Arc<dyn Slabs>;

    /// Runs the program over the rows of a pass, from the first norm on: writes their keys and values
    /// into the pieces' slabs, and what is asked for of their last tokens into `asked`, one for each
    /// piece. After an error no part of it counts.
    fn run(
        &self,
        pass: &AcceleratorPass,
        asked: &mut [AcceleratorRows],
    ) -> Result<(), AcceleratorError>;
}

/// The rows of a pass, one token after the other.
#[derive(Clone, Copy, Debug)]
pub struct AcceleratorPass<'a> {
    /// Embeddings: `hidden` numbers in the shape's fraction bits for each row.
    pub residual: &'a [i32],
    /// Cosines, then sines, of each row's position: `head_dim` numbers in Q30 for each row.
    pub angles: &'a [i32],
    /// In the order of their rows.
    pub pieces: &'a [AcceleratorPiece],
}

/// Tokens of one sequence, one row each.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AcceleratorPiece {
    pub tokens: usize,
    /// The first token's position.
    pub position: usize,
    /// Of how many of its last tokens something is asked for.
    pub logits: usize,
    /// Names of the slabs of all positions up to the last token's.
    pub slabs: Vec<u32>,
}

/// What is asked for of a piece's last tokens, whose logits are one row each.
#[derive(Debug)]
pub enum AcceleratorRows<'a> {
    /// The logits (i32, Q16): the vocabulary for each row.
    Logits(&'a mut [i32]),
    /// The token that each row chooses.
    Tokens {
        choices: Vec<AcceleratorChoice<'a>>,
        tokens: &'a mut [u32],
    },
}

/// How a row chooses: what [`choose`](crate::sampling::choose) is given beside the logits.
#[derive(Clone, Copy, Debug)]
pub struct AcceleratorChoice<'a> {
    /// Prompt and answer so far.
    pub seen: &'a [u32],
    /// In their ranges.
    pub settings: Settings,
    pub random: u64,
}

/// A machine's memory for keys and values: slabs of [`SLAB`](crate::cache::SLAB) positions, each with a
/// name.
pub trait Slabs: Debug + Send + Sync {
    /// Bytes of one slab.
    fn bytes(&self) -> usize;

    /// A slab that nobody else has; what is in it is anything.
    fn take(&self) -> Result<u32, AcceleratorError>;

    /// Gives a slab back.
    fn give(&self, slab: u32);

    /// Makes what is in `to` the same as in `from`.
    fn copy(&self, from: u32, to: u32) -> Result<(), AcceleratorError>;
}

/// Why a machine does not do what it was told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AcceleratorError {
    /// A stored number is outside its range: what the processor's engine says as well.
    #[error("a number is outside the format: {0:?}")]
    Leaf(LeafError),
    /// No slab is free.
    #[error(
        "the device has no slab of keys and values left; give the worker more --cache-memory, or ask for \
         fewer tokens"
    )]
    Slabs,
    /// Nothing more can be expected of it.
    #[error(
        "the device failed at {action} ({name}, code {code}); see its driver's log, and start again"
    )]
    Failed {
        action: &'static str,
        /// The driver's name of the error, and its code.
        name: &'static str,
        code: i32,
    },
}
