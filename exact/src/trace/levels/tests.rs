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
