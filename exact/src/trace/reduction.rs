//! Long reductions: the blocks that one is taken in, and how their results are combined.

use alloc::vec::Vec;

use crate::{
    leaf::{require, LeafError, Operand, BLOCK},
    op,
};

/// How the results of a long reduction's blocks are combined.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reduce {
    Sum,
    Maximum,
}

impl Reduce {
    /// The result of some parts, of which there may be a few more than fit one block.
    pub fn combine(self, parts: &[i64]) -> Result<i64, LeafError> {
        let reduce = match self {
            Self::Sum => op::sum,
            Self::Maximum => op::maximum,
        };
        let blocks = parts.chunks(BLOCK).map(reduce);
        reduce(&blocks.collect::<Result<Vec<_>, _>>()?)
    }
}

/// A reduction, and in how many blocks it is taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Reduction {
    pub reduce: Reduce,
    /// At least 1.
    pub blocks: u64,
}

impl Reduction {
    pub const fn sum(blocks: u64) -> Option<Self> {
        let reduce = Reduce::Sum;
        Some(Self { reduce, blocks })
    }

    pub const fn maximum(blocks: u64) -> Option<Self> {
        let reduce = Reduce::Maximum;
        Some(Self { reduce, blocks })
    }
}

/// First element and number of elements of one block of `size` out of `all`.
pub(super) fn piece(block: u64, size: usize, all: u64) -> Result<(u64, u64), LeafError> {
    let first = block.saturating_mul(size as u64);
    require(first < all, Operand::Length)?;
    Ok((first, all.saturating_sub(first).min(size as u64)))
}
