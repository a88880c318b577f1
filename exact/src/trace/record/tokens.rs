//! The token trees of a prompt and an output.

use assay_primitives::tree::{leaf_hash, salt, Side, LEAF_TOKENS};

use super::{tree::Kept, Answered};
use crate::trace::opening::Digest;

/// One of the two trees.
pub(super) struct Tokens {
    leaves: Vec<Vec<u8>>,
    tree: Kept,
}

impl Tokens {
    pub fn new(answered: &Answered, side: Side) -> Self {
        let Answered { prompt, output, .. } = answered;
        let tokens = match (side, answered.scored) {
            (Side::Prompt, false) => prompt.to_vec(),
            (Side::Prompt, true) => [*prompt, *output].concat(),
            (Side::Output, _) => output.to_vec(),
        };
        let pieces = (0u64..).zip(tokens.chunks(LEAF_TOKENS));
        let leaves = pieces.map(|(index, tokens)| {
            let salt = answered.secret.map(|secret| salt(&secret, side, index));
            let tokens = tokens.iter().flat_map(|token| token.to_le_bytes());
            salt.into_iter().flatten().chain(tokens).collect()
        });
        let leaves: Vec<Vec<u8>> = leaves.collect();
        let hashes = leaves.iter().map(|leaf| leaf_hash(leaf).0);
        Self {
            tree: Kept::new(0, hashes.collect()),
            leaves,
        }
    }

    pub fn leaf(&self, index: u64) -> Option<Vec<u8>> {
        self.leaves.get(usize::try_from(index).ok()?).cloned()
    }

    pub fn node(&self, level: u32, index: u64) -> Option<Digest> {
        self.tree.node(level, index)
    }
}
