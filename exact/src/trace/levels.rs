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
mod tests {
    use assay_primitives::blake2_256;

    use super::*;
    use crate::trace::opening::{fold, Digest};

    /// All levels of a tree of as many different leaves.
    fn tree(leaves: u64) -> Vec<Vec<Digest>> {
        let mut levels = vec![(0..leaves)
            .map(|leaf| blake2_256(&leaf.to_le_bytes()))
            .collect()];
        while let Some(level) = levels.last().filter(|level: &&Vec<Digest>| level.len() > 1) {
            let above = level.chunks(2).map(|pair| fold(pair, blake2_256).unwrap());
            levels.push(above.collect());
        }
        levels
    }

    #[test]
    fn nodes_fold_to_the_node_above_them_at_every_level() {
        for leaves in (1..140).chain([511, 512, 513, 600]) {
            let tree = tree(leaves);
            assert_eq!(height(leaves) as usize, tree.len() - 1, "{leaves} leaves");
            for (from, above) in (0u32..).zip(&tree) {
                for (to, level) in (0..=from).zip(&tree) {
                    let mut next = 0;
                    for (index, node) in (0u64..).zip(above) {
                        let range = below(leaves, from, index, to);
                        assert_eq!(range.start, next, "each node is below one, in order");
                        next = range.end;
                        let revealed = &level[range.start as usize..range.end as usize];
                        assert_eq!(fold(revealed, blake2_256), Some(*node));
                    }
                    assert_eq!(next, level.len() as u64);
                    assert!(below(leaves, from, above.len() as u64, to).is_empty());
                }
            }
        }
    }

    #[test]
    fn a_descent_ends_at_leaves_and_no_move_reveals_too_many() {
        let small = [1, 2, 8, 9, 64, 65, 512, 513];
        for leaves in small.into_iter().chain([1 << 20, (1 << 36) + 1, u64::MAX]) {
            let (mut level, mut index) = (height(leaves), 0);
            let mut to = first(leaves);
            let mut moves = 0;
            loop {
                let range = below(leaves, level, index, to);
                assert!(range.end - range.start <= u64::from(MAX_NODES));
                (level, index) = (to, range.end - 1);
                moves += 1;
                match next(level) {
                    Some(next) => to = next,
                    None => break,
                }
            }
            let range = below(leaves, level, index, 0);
            assert!(range.end == leaves && range.end - range.start <= u64::from(MAX_LEAVES));
            assert!(moves <= 11, "{leaves}: {moves} moves");
        }
    }

    #[test]
    fn there_is_nothing_below_what_is_not_there() {
        for (leaves, from, index, to) in [
            (5, 64, u64::MAX, 0),
            (5, 200, 1, 100),
            (u64::MAX, 64, u64::MAX, 0),
            (0, 0, 0, 0),
        ] {
            assert!(below(leaves, from, index, to).is_empty());
        }
        assert_eq!(below(5, 200, 0, 0), 0..5);
    }
}
