//! The levels of a trace's tree, counted from the leaves: which nodes there are, and which of them lie
//! below which. The tree is RFC 6962's: a last node without a sibling rises unchanged, so level `l` of
//! `n` leaves has ⌈n / 2^l⌉ nodes.

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
    let depth = from.saturating_sub(to);
    let start = |index: u64| {
        let shifted = index.checked_mul(1u64.checked_shl(depth).unwrap_or(u64::MAX));
        shifted.unwrap_or(u64::MAX).min(nodes(leaves, to))
    };
    start(index)..start(index.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use assay_primitives::tree::root_of;
    use sp_core::H256;

    fn hashes(leaves: u64) -> Vec<H256> {
        (0..leaves).map(H256::from_low_u64_be).collect()
    }

    /// Node `index` of `level`, from the leaves under it.
    fn node(leaves: u64, level: u32, index: u64) -> H256 {
        let range = below(leaves, level, index, 0);
        root_of(hashes(leaves)[range.start as usize..range.end as usize].to_vec())
    }

    #[test]
    fn nodes_fold_to_the_node_above_them_at_every_level() {
        for leaves in (1..140).chain([511, 512, 513, 600]) {
            let height = height(leaves);
            assert_eq!(node(leaves, height, 0), root_of(hashes(leaves)));
            for from in 0..=height {
                for to in 0..=from {
                    for index in 0..nodes(leaves, from) {
                        let range = below(leaves, from, index, to);
                        assert!(!range.is_empty());
                        let revealed = range.map(|below| node(leaves, to, below)).collect();
                        assert_eq!(root_of(revealed), node(leaves, from, index));
                    }
                    let all: u64 = (0..nodes(leaves, from))
                        .map(|index| below(leaves, from, index, to))
                        .map(|range| range.end - range.start)
                        .sum();
                    assert_eq!(all, nodes(leaves, to), "every node is below one");
                }
            }
        }
    }

    #[test]
    fn a_descent_ends_at_leaves_and_no_move_reveals_too_many() {
        for leaves in [
            1,
            2,
            8,
            9,
            64,
            65,
            512,
            513,
            1 << 20,
            (1 << 36) + 1,
            u64::MAX,
        ] {
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
}
