use std::{vec, vec::Vec};

use assay_primitives::{
    blake2_256,
    tree::{leaf_hash as leaf_of, root_of},
};
use sp_core::H256;

use super::*;

fn leaf(index: u64) -> Vec<u8> {
    vec![index as u8; 1 + index as usize % 7]
}

/// All levels of a tree of `count` leaves.
fn levels(count: u64) -> Vec<Vec<Digest>> {
    let mut levels = vec![(0..count)
        .map(|index| leaf_hash(&leaf(index), blake2_256))
        .collect::<Vec<_>>()];
    while levels.last().unwrap().len() > 1 {
        let below = levels.last().unwrap();
        let above = below.chunks(2);
        levels.push(above.map(|pair| fold(pair, blake2_256).unwrap()).collect());
    }
    levels
}

fn open(levels: &[Vec<Digest>], indices: impl IntoIterator<Item = u64>) -> Opening {
    let leaves = indices.into_iter().map(|index| (index, leaf(index)));
    let node = |level: u32, index: u64| Ok::<_, ()>(levels[level as usize][index as usize]);
    Opening::new(leaves.collect(), levels[0].len() as u64, node).unwrap()
}

/// Sets of leaves by a few bits each.
fn sets(count: u64) -> impl Iterator<Item = Vec<u64>> {
    let singles = (0..count).map(|index| vec![index]);
    let all = [(0..count).collect()];
    let scattered = (1..=20u64).map(move |seed| {
        let chosen = move |index: &u64| {
            (index + 1).wrapping_mul(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)) >> 62 == 0
        };
        (0..count).filter(chosen).collect()
    });
    let sets = singles.chain(all).chain(scattered);
    sets.filter(|set: &Vec<u64>| !set.is_empty())
}

#[test]
fn every_set_of_leaves_leads_to_the_root() {
    for count in 1..70 {
        let leaves = (0..count).map(|index| leaf_of(&leaf(index)));
        let root = root_of(leaves.collect());
        let levels = levels(count);
        assert_eq!(fold(&levels[0], blake2_256).map(H256), Some(root));
        for set in sets(count) {
            let opening = open(&levels, set.iter().copied());
            assert_eq!(
                opening.root(count, blake2_256).map(H256),
                Some(root),
                "{set:?} of {count}"
            );
            for index in 0..count {
                let opened = set.contains(&index).then(|| leaf(index));
                assert_eq!(opening.leaf(index).map(<[u8]>::to_vec), opened);
            }
        }
    }
}

/// Whatever is changed, the root is another or there is none.
#[test]
fn no_other_opening_leads_to_the_root() {
    for count in [1u64, 2, 5, 37, 64] {
        let levels = levels(count);
        let root = fold(&levels[0], blake2_256);
        for set in sets(count) {
            let opening = open(&levels, set.iter().copied());
            let differs = |change: &dyn Fn(&mut Opening)| {
                let mut changed = opening.clone();
                change(&mut changed);
                assert_ne!(changed.root(count, blake2_256), root, "{set:?} of {count}");
            };
            for index in 0..set.len() {
                differs(&|opening| opening.leaves[index].1[0] ^= 1);
                differs(&|opening| opening.leaves[index].1.push(0));
                differs(&|opening| opening.leaves[index].0 += 1);
                differs(&|opening| {
                    opening.leaves.remove(index);
                });
                differs(&|opening| {
                    let again = opening.leaves[index].clone();
                    opening.leaves.insert(index, again);
                });
            }
            for index in 0..opening.siblings.len() {
                differs(&|opening| opening.siblings[index][31] ^= 128);
                differs(&|opening| {
                    opening.siblings.remove(index);
                });
            }
            differs(&|opening| opening.siblings.push([0; 32]));
            differs(&|opening| opening.leaves.push((count, vec![0])));
            if set.len() > 1 {
                differs(&|opening| opening.leaves.swap(0, 1));
            }
        }
    }
}

#[test]
fn hostile_numbers_end_at_once() {
    let opening = |index| Opening {
        leaves: vec![(index, vec![])],
        siblings: vec![[7; 32]; 64],
    };
    for count in [0, 1, 2, 1 << 63, u64::MAX] {
        for index in [0, 1, u64::MAX - 1, u64::MAX] {
            let root = opening(index).root(count, blake2_256);
            // Only a tree with 64 levels uses all the siblings.
            assert_eq!(
                root.is_some(),
                count == u64::MAX && index < 2,
                "{index} {count}"
            );
        }
    }
    assert_eq!(Opening::default().root(1, blake2_256), None);
    assert_eq!(fold(&[], blake2_256), None);
}
