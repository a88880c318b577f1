//! The judge of the conformance vectors: what the files in `vectors/` hold, and every case of them
//! once more, element by element and block by block, as it is done on chain.
//!
//! The same code runs natively and, compiled to Wasm, in the node's executor: it needs no more than
//! `alloc`, the crate's core, the model's tables and a hash.

pub mod bytes;
pub mod files;
mod operators;
mod program;
mod rows;
mod sampling;
pub mod shape;

use alloc::vec::Vec;

use assay_exact::leaf::LeafError;

/// What a judge brings along.
pub struct Judge<'a> {
    /// Opened leaves of the table E.
    pub exp2: &'a [Option<&'a [i32]>],
    /// Opened leaves of the table B.
    pub silu: &'a [Option<&'a [i32]>],
    /// BLAKE2b-256.
    pub hash: fn(&[u8]) -> [u8; 32],
}

/// A case that can be computed again.
pub trait Judged: files::Case {
    /// The case with outputs computed from its inputs.
    fn judged(&self, judge: &Judge) -> Result<Self, LeafError>;
}

/// A table in the leaves of the format page's §9: 64 intervals, one entry shared with the next.
pub fn leaves(table: &[i32]) -> Vec<Option<&[i32]>> {
    (0..table.len() - 1)
        .step_by(64)
        .map(|first| table.get(first..(first + 65).min(table.len())))
        .collect()
}
