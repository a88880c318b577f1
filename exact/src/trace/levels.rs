//! The levels of a trace's tree, counted from the leaves: which nodes there are, which of them lie below
//! which, and what a move of the game reveals. The tree is RFC 6962's: a last node without a sibling rises
//! unchanged, so level `l` of `n` leaves has ⌈n / 2^l⌉ nodes.

use core::ops::Range;

/// Levels between a node and the descendants of it that one move reveals.
pub const STRIDE: u32 = 6;

/// The most nodes that one move reveals.
pub const MAX_NODES: u32 = 1 << STRIDE;

/// At this level and below it, a node's leaves are revealed and not their hashes.
pub const LEAF_LEVEL: u32 = 3;

/// The most leaves that one move reveals.
pub const MAX_LEAVES: u32 = 1 << LEAF_LEVEL;

/// Levels above the leaves of a tree of `leaves`.
pub fn height(leaves: u64) -> u32 {
    let last = leaves.saturating_sub(1);
    u64::BITS.saturating_sub(last.leading_zeros())
}

/// The level that the first answer reveals.
pub fn first(leaves: u64) -> u32 {
    height(leaves).saturating_sub(STRIDE)
}

/// The level that is revealed after a node of `level` was chosen; none if its leaves are.
pub fn next(level: u32) -> Option<u32> {
    (level > LEAF_LEVEL).then(|| level.saturating_sub(STRIDE).max(LEAF_LEVEL))
}

fn nodes(leaves: u64, level: u32) -> u64 {
    match leaves.checked_sub(1) {
        Some(last) => last.checked_shr(level).unwrap_or(0).saturating_add(1),
        None => 0,
    }
}

/// The nodes of level `to` under node `index` of level `from`.
pub fn below(leaves: u64, from: u32, index: u64, to: u32) -> Range<u64> {
    let width = 1u64.checked_shl(from.saturating_sub(to));
    let nodes = nodes(leaves, to);
    let start = |index: u64| index.saturating_mul(width.unwrap_or(u64::MAX)).min(nodes);
    start(index)..start(index.saturating_add(1))
}

#[cfg(all(test, feature = "std"))]
mod tests;
