//! What the warps of a block share.

use super::{barrier::Barriers, setup::Setup, shared::Shared};
use crate::{counts::Counts, memory::Memory};

/// A block, without its warps.
pub(super) struct Common<'a> {
    pub setup: &'a Setup<'a>,
    pub memory: &'a mut Memory,
    pub counts: &'a mut Counts,
    pub shared: Shared,
    pub barriers: Barriers,
    pub position: [u32; 3],
}
