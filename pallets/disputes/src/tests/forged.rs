//! A trace as a provider makes it up that has nothing better to show.

use assay_exact::trace::levels;
use assay_primitives::tree::{leaf_hash, root_of};
use sp_core::H256;

use crate::{mock::*, referee, Answer, Choice, DisputeId, Revelation, Stage};

pub struct Forged {
    leaves: Vec<Vec<u8>>,
    /// The nodes of each level, from the leaves up.
    levels: Vec<Vec<H256>>,
}

impl Forged {
    /// Leaves of the right lengths; the last has the token that was given.
    pub fn of(given: &Given, position: u32) -> Self {
        let layout = Disputes::layout(&given.header, position).unwrap();
        let mut leaves: Vec<Vec<u8>> = (0..layout.leaves())
            .map(|index| vec![index as u8; referee::leaf_length(&layout, index).unwrap()])
            .collect();
        let token = given.output[position as usize];
        *leaves.last_mut().unwrap() = token.to_le_bytes().to_vec();
        Self::from(leaves)
    }

    pub fn from(leaves: Vec<Vec<u8>>) -> Self {
        let mut levels = vec![leaves
            .iter()
            .map(|leaf| leaf_hash(leaf))
            .collect::<Vec<_>>()];
        while levels.last().unwrap().len() > 1 {
            let below = levels.last().unwrap();
            let above = below.chunks(2).map(|pair| root_of(pair.to_vec()));
            levels.push(above.collect());
        }
        Self { leaves, levels }
    }

    pub fn count(&self) -> u64 {
        self.leaves.len() as u64
    }

    pub fn root(&self) -> H256 {
        self.levels.last().unwrap()[0]
    }

    pub fn answer(&self, given: &Given, position: u32) -> Answer<u64> {
        Answer::Trace {
            signature: given.user_signature(),
            nodes: self.levels[levels::first(self.count()) as usize]
                .clone()
                .try_into()
                .unwrap(),
            last: open_leaf(&self.leaves, self.count() - 1),
            token: given.open_token(position),
        }
    }

    /// What lies under a node.
    pub fn below(&self, level: u32, index: u64) -> Revelation {
        let to = levels::next(level);
        let range = levels::below(self.count(), level, index, to.unwrap_or(0));
        let range = range.start as usize..range.end as usize;
        match to {
            Some(to) => {
                Revelation::Nodes(self.levels[to as usize][range].to_vec().try_into().unwrap())
            }
            None => Revelation::Leaves(
                self.leaves[range]
                    .iter()
                    .map(|leaf| leaf.clone().try_into().unwrap())
                    .collect::<Vec<_>>()
                    .try_into()
                    .unwrap(),
            ),
        }
    }

    /// Reveal what was asked for.
    pub fn reveal(&self, number: DisputeId) {
        let Stage::Node { level, index, .. } = stage(number) else {
            panic!("nothing was asked for: {:?}", stage(number))
        };
        reveal(operator(PETRA), number, self.below(level, index)).unwrap();
    }
}

/// Petra's answer to Uma, in a channel that paid for it, with Carl's dispute over one token; and the
/// trace that she makes up.
pub fn disputed(position: u32) -> (Given, DisputeId, Forged) {
    let given = Given::in_channel(channel(10_000), 0, (10..50).collect());
    pass(1);
    let number = given.dispute(CARL, position);
    let forged = Forged::of(&given, position);
    (given, number, forged)
}

/// On from there to a step: the last that there is at each choice.
pub fn at_a_step(position: u32) -> (Given, DisputeId, Forged) {
    let at = after(u32::MAX, position);
    assert!(matches!(stage(at.1), Stage::Step(_)));
    at
}

/// On from there by so many moves, if there are as many before a step.
pub fn after(moves: u32, position: u32) -> (Given, DisputeId, Forged) {
    let (given, number, forged) = disputed(position);
    for _ in 0..moves {
        match stage(number) {
            Stage::Answer => {
                answer(operator(PETRA), number, forged.answer(&given, position)).unwrap();
            }
            Stage::Nodes { nodes, .. } => {
                let last = nodes.len() as u32 - 1;
                choose(CARL, number, Choice::Node(last)).unwrap();
            }
            Stage::Node { .. } => forged.reveal(number),
            Stage::Leaves { leaves, .. } => {
                let leaf = leaves.len() as u32 - 1;
                choose(CARL, number, Choice::Element { leaf, element: 0 }).unwrap();
            }
            Stage::Step(_) => break,
            other => panic!("{other:?}"),
        }
    }
    (given, number, forged)
}
