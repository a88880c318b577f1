//! What a player knows of a trace.

use std::ops::Range;

use assay_exact::trace::{Layout, Opening, Proof, Target};
use subxt::utils::H256;

/// A trace, as a player sees it. The honest one is that of [`assay_exact`], computed.
///
/// Errors are of this machine: a sentence that says what failed.
pub trait Witness {
    fn layout(&self) -> &Layout;

    /// Nodes of a level of its tree; leaves are level 0.
    fn nodes(&mut self, level: u32, range: Range<u64>) -> Result<Vec<H256>, String>;

    /// The bytes of leaves.
    fn leaves(&mut self, range: Range<u64>) -> Result<Vec<Vec<u8>>, String>;

    /// The last leaf, opened against the root.
    fn open_last(&mut self) -> Result<Opening, String>;

    /// The leaf with the disputed token, opened against the output's root.
    fn open_token(&mut self) -> Result<Opening, String>;

    /// The parts that a step consists of.
    fn parts(&mut self, target: &Target) -> Result<Vec<i64>, String>;

    /// What decides a step, or shows its parts.
    fn prove(&mut self, target: &Target) -> Result<Proof, String>;
}
