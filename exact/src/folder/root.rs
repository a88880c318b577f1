//! Leaves and roots (format page §9): RFC 6962 trees over BLAKE2b-256.

use std::vec::Vec;

use assay_primitives::tree::{leaf_hash, root_of};
use sp_core::H256;

use crate::tensor::Form;

/// BLAKE2b-256.
pub fn blake2_256(bytes: &[u8]) -> H256 {
    H256(assay_primitives::blake2_256(bytes))
}

/// Hashes of a tensor's leaves, from its bytes as they are stored.
pub fn leaves(form: Form, bytes: &[u8]) -> Vec<H256> {
    (0..form.leaves())
        .filter_map(|index| form.leaf(bytes, index))
        .map(|leaf| leaf_hash(&leaf))
        .collect()
}

/// Root of one tensor over its bytes as they are stored.
pub fn tensor(form: Form, bytes: &[u8]) -> H256 {
    root_of(leaves(form, bytes))
}

/// Root over the roots of tensors, as leaves.
pub fn of_roots(roots: impl IntoIterator<Item = H256>) -> H256 {
    root_of(
        roots
            .into_iter()
            .map(|root| leaf_hash(root.as_bytes()))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        shape::{Rotary, PPM},
        tensor::Kind,
        Shape,
    };
    use assay_primitives::ModelParts;

    /// Of the demo model, computed elsewhere from the bytes of the format page's §9.
    #[test]
    fn the_demo_model_has_the_root_of_the_page() {
        let hash = |text: &str| text.parse::<H256>().unwrap();
        let shape = Shape {
            layers: 4,
            hidden: 256,
            intermediate: 704,
            heads: 8,
            kv_heads: 2,
            head_dim: 32,
            vocabulary: 1536,
            context: 512,
            tied: true,
            biases: false,
            head_norms: false,
            fraction_bits: 16,
            eps40: 10_995_116,
            rotary: Rotary {
                base: 10_000 * PPM,
                scaling: None,
            },
        };
        let parts = ModelParts {
            spec: shape.spec(&[3]).unwrap(),
            tokenizer: hash("c4478079723ad08537d0be90f9b33fc2098f7b36e9856d273f0a6729d48cada5"),
            template: hash("c7f0e1a79cf295ad75d9d952aaefd1a5d5057880d439847fa1161b4555325ba1"),
            tables: hash("d2a1ba1fe7d7a91a14c36d6eae083ebb2e272a90aa5ce0c9f9bfe86b8cf82420"),
            weights_root: hash("a4223ea9a6baa6f1eb6b59a7d409d197a09dc8bb28b6455107a45cc22a748ec6"),
        };
        assert_eq!(
            parts.root(),
            hash("0ce9a1acf7cb69bd3e67c446ee03a5c1986f25329d8d57dcedd0a83e3be7e2a1")
        );
        assert_eq!(parts.validate(), Ok(()));
    }

    fn by_hand(leaves: &[&[u8]]) -> H256 {
        root_of(leaves.iter().copied().map(leaf_hash).collect())
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
        let inputs = 1030;
        for kind in [Kind::Weights { inputs }, Kind::LowLimbs { inputs }] {
            assert_eq!(tensor(Form { kind, count: 2 }, &bytes), expected);
        }
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
        let form = Form {
            kind: Kind::Intervals,
            count: 256,
        };
        assert_eq!(tensor(form, &bytes), expected);
    }

    #[test]
    fn every_leaf_of_a_norm_has_the_exponent() {
        let bytes: Vec<u8> = (0..66 * 4u32).map(|i| i as u8).collect();
        let second = [&bytes[..4], &bytes[260..]].concat();
        let expected = by_hand(&[&bytes[..260], &second]);
        let form = Form {
            kind: Kind::Gamma,
            count: 65,
        };
        assert_eq!(tensor(form, &bytes), expected);
    }
}
