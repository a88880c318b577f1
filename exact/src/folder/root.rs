//! Leaves and roots (format page §9): RFC 6962 trees over BLAKE2b-256.

use std::{vec, vec::Vec};

use assay_primitives::{tree::root_of, Architecture};
use blake2::{digest::consts::U32, Blake2b, Digest};
use sp_core::H256;

use super::layout::Kind;
use crate::{leaf::WEIGHTS_PER_LEAF, Shape};

/// Row parameters in one leaf.
pub const ROWS_PER_LEAF: usize = 32;
/// Entries of a norm in one leaf, behind the exponent.
pub const GAMMAS_PER_LEAF: usize = 64;
/// Intervals of a table in one leaf; it has one entry more, which is the next leaf's first.
pub const INTERVALS_PER_LEAF: usize = 64;

/// First byte of what is hashed for a leaf.
const LEAF: u8 = 0;

const MODEL_DOMAIN: &[u8] = b"assay/model/v1";
/// Index of `Profile::Exact` in its SCALE encoding.
const PROFILE_EXACT: u8 = 1;

/// BLAKE2b-256.
pub fn blake2_256(bytes: &[u8]) -> H256 {
    H256(Blake2b::<U32>::digest(bytes).into())
}

/// Hash of a leaf given in pieces.
fn leaf(pieces: &[&[u8]]) -> H256 {
    let mut hasher = Blake2b::<U32>::new_with_prefix([LEAF]);
    for piece in pieces {
        hasher.update(piece);
    }
    H256(hasher.finalize().into())
}

/// Root of one tensor over its bytes as they are stored.
pub fn tensor(kind: Kind, bytes: &[u8]) -> H256 {
    let whole = |size: usize| {
        bytes
            .chunks(size.max(1))
            .map(|chunk| leaf(&[chunk]))
            .collect()
    };
    root_of(match kind {
        Kind::Weights { inputs } | Kind::LowLimbs { inputs } => bytes
            .chunks(inputs.max(1))
            .flat_map(|row| row.chunks(WEIGHTS_PER_LEAF))
            .map(|block| leaf(&[block]))
            .collect(),
        Kind::Rows => whole(ROWS_PER_LEAF.saturating_mul(8)),
        Kind::Columns => whole(WEIGHTS_PER_LEAF),
        Kind::Rotary { width } => whole(width.saturating_mul(4)),
        Kind::Gamma => {
            let (exponent, entries) = bytes.split_at_checked(4).unwrap_or_default();
            entries
                .chunks(GAMMAS_PER_LEAF.saturating_mul(4))
                .map(|entries| leaf(&[exponent, entries]))
                .collect()
        }
        Kind::Intervals => intervals(bytes),
    })
}

fn intervals(bytes: &[u8]) -> Vec<H256> {
    let step = INTERVALS_PER_LEAF.saturating_mul(4);
    let mut leaves = vec![];
    let mut rest = bytes;
    while rest.len() > 4 {
        let end = rest.len().min(step.saturating_add(4));
        leaves.push(leaf(&[rest.get(..end).unwrap_or_default()]));
        rest = rest.get(step..).unwrap_or_default();
    }
    leaves
}

/// Root over the roots of tensors, as leaves.
pub fn of_roots(roots: impl IntoIterator<Item = H256>) -> H256 {
    root_of(
        roots
            .into_iter()
            .map(|root| leaf(&[root.as_bytes()]))
            .collect(),
    )
}

/// What the model root binds.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a> {
    pub shape: &'a Shape,
    /// Ascending.
    pub stop_tokens: &'a [u32],
    /// BLAKE2b-256 of `tokenizer.json`.
    pub tokenizer: H256,
    /// BLAKE2b-256 of the chat template's text.
    pub template: H256,
    /// Root of the roots of the tables.
    pub tables: H256,
    /// Root of the roots of all other tensors.
    pub weights_root: H256,
}

/// The family that a shape belongs to; none for query-key biases and norms at once.
pub fn architecture(shape: &Shape) -> Option<Architecture> {
    match (shape.biases, shape.head_norms) {
        (false, false) => Some(Architecture::Llama),
        (true, false) => Some(Architecture::Qwen2),
        (false, true) => Some(Architecture::Qwen3),
        (true, true) => None,
    }
}

impl Parts<'_> {
    /// The model root: BLAKE2b-256 of the domain and the SCALE encoding of `ModelParts`. None for a shape
    /// of no [`architecture`] and for more than [`MAX_STOP_TOKENS`](super::MAX_STOP_TOKENS) stop tokens.
    pub fn root(&self) -> Option<H256> {
        let shape = self.shape;
        let mut bytes = vec![];
        let mut put = |field: &[u8]| bytes.extend_from_slice(field);
        // SCALE: integers little-endian, a byte for a variant, a compact length before what varies.
        put(&[compact(MODEL_DOMAIN.len())?]);
        put(MODEL_DOMAIN);
        put(&[match architecture(shape)? {
            Architecture::Llama => 0,
            Architecture::Qwen2 => 1,
            Architecture::Qwen3 => 2,
        }]);
        put(&[PROFILE_EXACT, shape.fraction_bits]);
        put(&shape.eps40.to_le_bytes());
        put(&shape.rotary.base.to_le_bytes());
        match &shape.rotary.scaling {
            None => put(&[0]),
            Some(scaling) => {
                put(&[1]);
                put(&scaling.factor.to_le_bytes());
                put(&scaling.low.to_le_bytes());
                put(&scaling.high.to_le_bytes());
                put(&scaling.original_context.to_le_bytes());
            }
        }
        put(&shape.layers.to_le_bytes());
        put(&shape.hidden.to_le_bytes());
        put(&shape.intermediate.to_le_bytes());
        put(&shape.heads.to_le_bytes());
        put(&shape.kv_heads.to_le_bytes());
        put(&shape.head_dim.to_le_bytes());
        put(&shape.vocabulary.to_le_bytes());
        put(&shape.context.to_le_bytes());
        if self.stop_tokens.len() > super::MAX_STOP_TOKENS {
            return None;
        }
        put(&[compact(self.stop_tokens.len())?]);
        for token in self.stop_tokens {
            put(&token.to_le_bytes());
        }
        put(&[shape.tied.into()]);
        for hash in [
            self.tokenizer,
            self.template,
            self.tables,
            self.weights_root,
        ] {
            put(hash.as_bytes());
        }
        Some(blake2_256(&bytes))
    }
}

/// SCALE's compact length, for lengths below 64.
fn compact(length: usize) -> Option<u8> {
    u8::try_from(length)
        .ok()
        .filter(|length| *length < 64)
        .map(|length| length << 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_hand(leaves: &[&[u8]]) -> H256 {
        root_of(leaves.iter().map(|bytes| leaf(&[bytes])).collect())
    }

    #[test]
    fn a_leaf_never_holds_weights_of_two_rows() {
        let bytes: Vec<u8> = (0..2 * 1030u32).map(|i| i as u8).collect();
        let expected = by_hand(&[
            &bytes[..1024],
            &bytes[1024..1030],
            &bytes[1030..2054],
            &bytes[2054..],
        ]);
        assert_eq!(tensor(Kind::Weights { inputs: 1030 }, &bytes), expected);
        assert_eq!(tensor(Kind::LowLimbs { inputs: 1030 }, &bytes), expected);
    }

    #[test]
    fn neighbouring_leaves_of_a_table_share_an_entry() {
        let bytes: Vec<u8> = (0..257 * 4u32).map(|i| (i / 3) as u8).collect();
        let expected = by_hand(&[
            &bytes[..260],
            &bytes[256..516],
            &bytes[512..772],
            &bytes[768..],
        ]);
        assert_eq!(tensor(Kind::Intervals, &bytes), expected);
    }

    #[test]
    fn every_leaf_of_a_norm_has_the_exponent() {
        let bytes: Vec<u8> = (0..66 * 4u32).map(|i| i as u8).collect();
        let second = [&bytes[..4], &bytes[260..]].concat();
        let expected = by_hand(&[&bytes[..260], &second]);
        assert_eq!(tensor(Kind::Gamma, &bytes), expected);
    }
}
