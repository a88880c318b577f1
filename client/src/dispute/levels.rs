//! Which nodes of a trace's tree a move reveals. Levels are counted from the leaves; a last node without a
//! sibling rises unchanged, so that level l of n leaves has ⌈n / 2^l⌉ nodes.

use std::ops::Range;

/// Levels between a node and what one move reveals below it.
const STRIDE: u32 = 6;
/// At this level and below it, a node's leaves are revealed and not their hashes.
const LEAF_LEVEL: u32 = 3;

/// Levels above the leaves of a tree of `leaves`.
pub fn height(leaves: u64) -> u32 {
    u64::BITS.saturating_sub(leaves.saturating_sub(1).leading_zeros())
}

/// The level that the first answer reveals.
pub fn first(leaves: u64) -> u32 {
    height(leaves).saturating_sub(STRIDE)
}

/// The level that is revealed after a node of `level` was chosen; none if its leaves are.
pub fn next(level: u32) -> Option<u32> {
    (level > LEAF_LEVEL).then(|| level.saturating_sub(STRIDE).max(LEAF_LEVEL))
}

/// The nodes of level `to` under node `index` of level `from`.
pub fn below(leaves: u64, from: u32, index: u64, to: u32) -> Range<u64> {
    let nodes = match leaves.checked_sub(1) {
        Some(last) => last.checked_shr(to).unwrap_or(0).saturating_add(1),
        None => 0,
    };
    let width = 1u64
        .checked_shl(from.saturating_sub(to))
        .unwrap_or(u64::MAX);
    let start = |index: u64| index.saturating_mul(width).min(nodes);
    start(index)..start(index.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descent_ends_at_leaves() {
        for leaves in [1, 2, 8, 9, 64, 65, 512, 513, 600, 1 << 20, (1 << 36) + 1] {
            let (mut level, mut index, mut to) = (height(leaves), 0, first(leaves));
            assert_eq!(below(leaves, level, 0, 0), 0..leaves);
            loop {
                let range = below(leaves, level, index, to);
                assert!((1..=64).contains(&(range.end - range.start)), "{leaves}");
                (level, index) = (to, range.end - 1);
                match next(level) {
                    Some(next) => to = next,
                    None => break,
                }
            }
            let range = below(leaves, level, index, 0);
            assert!(
                range.end == leaves && range.end - range.start <= 8,
                "{leaves}"
            );
        }
    }
}
