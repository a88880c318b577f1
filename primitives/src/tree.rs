//! Binary Merkle trees over token lists and weight files.
//!
//! The tree is the one of RFC 6962 §2.1 over BLAKE2b-256: the left subtree takes the largest power
//! of two smaller than the number of leaves, leaves and nodes hash under different first bytes, so
//! a prefix of a list is a subtree of the list and no node can be taken for a leaf.

use alloc::vec::Vec;

use codec::Encode;
use sp_core::H256;

use crate::{hashing::blake2_256, TokenId};

/// Tokens in one leaf of a token tree. Opening a token costs the chain the whole leaf; a smaller leaf
/// costs every receipt more hashes.
pub const LEAF_TOKENS: usize = 32;

const LEAF: u8 = 0;
const NODE: u8 = 1;
const EMPTY_DOMAIN: &[u8] = b"assay/empty/v1";
const SALT_DOMAIN: &[u8] = b"assay/salt/v1";
const FILE_DOMAIN: &[u8] = b"assay/file/v1";

/// Hash of a leaf that holds `bytes`.
pub fn leaf_hash(bytes: &[u8]) -> H256 {
    let mut input = Vec::with_capacity(bytes.len().saturating_add(1));
    input.push(LEAF);
    input.extend_from_slice(bytes);
    blake2_256(&input).into()
}

fn node_hash(left: H256, right: H256) -> H256 {
    let mut input = [NODE; 65];
    let (_, children) = input.split_at_mut(1);
    let (l, r) = children.split_at_mut(32);
    l.copy_from_slice(left.as_bytes());
    r.copy_from_slice(right.as_bytes());
    blake2_256(&input).into()
}

/// Root over leaf hashes in order; a fixed hash for no leaf at all.
///
/// Works level by level: a last node without a sibling rises unchanged, which gives the same tree
/// as splitting at the largest power of two.
pub fn root_of(mut level: Vec<H256>) -> H256 {
    while level.len() > 1 {
        level = level
            .chunks(2)
            .filter_map(|pair| match pair {
                [left, right] => Some(node_hash(*left, *right)),
                [single] => Some(*single),
                _ => None,
            })
            .collect();
    }
    level
        .pop()
        .unwrap_or_else(|| blake2_256(EMPTY_DOMAIN).into())
}

/// Root of a token list: leaves of [`LEAF_TOKENS`] tokens, each token four bytes little-endian; the
/// last leaf may be shorter.
pub fn token_root(tokens: &[TokenId]) -> H256 {
    root_of(
        tokens
            .chunks(LEAF_TOKENS)
            .map(|leaf| token_leaf(&[], leaf))
            .collect(),
    )
}

/// Which of a request's token lists a salted leaf belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode)]
pub enum Side {
    #[codec(index = 0)]
    Prompt,
    #[codec(index = 1)]
    Output,
}

/// Root of a token list that stays between a user and a provider: as [`token_root`], with 32 bytes of
/// salt before the tokens of each leaf, so that nobody finds a short text by trying. `secret` is the
/// user's choice for this request alone; the salt of one leaf gives away nothing about another's.
pub fn salted_token_root(secret: &[u8; 32], side: Side, tokens: &[TokenId]) -> H256 {
    root_of(
        (0u64..)
            .zip(tokens.chunks(LEAF_TOKENS))
            .map(|(index, leaf)| token_leaf(&salt(secret, side, index), leaf))
            .collect(),
    )
}

/// The salt of leaf number `index`.
pub fn salt(secret: &[u8; 32], side: Side, index: u64) -> [u8; 32] {
    blake2_256(&(SALT_DOMAIN, secret, side, index).encode())
}

fn token_leaf(salt: &[u8], tokens: &[TokenId]) -> H256 {
    let length = tokens.len().saturating_mul(4);
    let mut bytes = Vec::with_capacity(salt.len().saturating_add(length));
    bytes.extend_from_slice(salt);
    for token in tokens {
        bytes.extend_from_slice(&token.to_le_bytes());
    }
    leaf_hash(&bytes)
}

/// Root over the weight files of an unverified model: one leaf a file, in the order of their names,
/// binding the name, the length in bytes and BLAKE2b-256 of the content.
pub fn weights_root<'a>(files: impl IntoIterator<Item = (&'a str, u64, H256)>) -> H256 {
    let mut files: Vec<_> = files.into_iter().collect();
    files.sort_by(|a, b| a.0.cmp(b.0));
    root_of(
        files
            .into_iter()
            .map(|(name, length, hash)| {
                leaf_hash(&(FILE_DOMAIN, name.as_bytes(), length, hash).encode())
            })
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition of RFC 6962, recursively.
    fn recursive(leaves: &[H256]) -> H256 {
        match leaves {
            [] => blake2_256(EMPTY_DOMAIN).into(),
            [single] => *single,
            _ => {
                let split = leaves.len().next_power_of_two() / 2;
                let (left, right) = leaves.split_at(split);
                node_hash(recursive(left), recursive(right))
            }
        }
    }

    #[test]
    fn level_by_level_is_the_recursive_definition() {
        for count in 0..70u64 {
            let leaves: Vec<H256> = (0..count).map(H256::from_low_u64_be).collect();
            assert_eq!(
                root_of(leaves.clone()),
                recursive(&leaves),
                "{count} leaves"
            );
        }
    }

    #[test]
    fn the_root_depends_on_every_token_and_on_the_length() {
        let tokens: Vec<u32> = (0..105).collect();
        let root = token_root(&tokens);
        for position in 0..tokens.len() {
            let mut changed = tokens.clone();
            changed[position] += 1;
            assert_ne!(token_root(&changed), root, "token {position}");
        }
        for length in 0..tokens.len() {
            assert_ne!(token_root(&tokens[..length]), root, "length {length}");
        }
        let mut padded = tokens.clone();
        padded.push(0);
        assert_ne!(token_root(&padded), root);
    }

    /// The vectors of docs/jobs.md.
    #[test]
    fn token_roots_are_those_of_the_page() {
        let root = |length| format!("{:x}", token_root(&(0..length).collect::<Vec<_>>()));
        for (length, expected) in [
            (
                0,
                "f66dc62948fc07bb5bdbdd0b5a97c6c2ef50c242a36870d6b32980e44ff6cc94",
            ),
            (
                32,
                "366ec079a6edf59ab06584b20c1a1c95780b864d3d226b055e46df2c51fff6ae",
            ),
            (
                100,
                "f5121fe6477fbfed51ec8f6a4a9559341c42b466474c73a600ca39431757c9cc",
            ),
        ] {
            assert_eq!(root(length), expected, "{length} tokens");
        }
    }

    #[test]
    fn the_weights_root_ignores_the_order_in_which_files_are_given() {
        let a = ("a.safetensors", 1, H256::repeat_byte(1));
        let b = ("b.safetensors", 2, H256::repeat_byte(2));
        assert_eq!(weights_root([a, b]), weights_root([b, a]));
        assert_ne!(weights_root([a, b]), weights_root([a]));
    }

    /// The bytes of docs/channels.md: a leaf's salt, and where it stands.
    #[test]
    fn salted_roots_are_pinned_and_differ_in_secret_side_and_place() {
        let tokens: Vec<TokenId> = (0..40).collect();
        let secret = [7; 32];
        let leaf = |index: u64, tokens: &[TokenId]| {
            let mut input = vec![52];
            input.extend(b"assay/salt/v1");
            input.extend(secret);
            input.push(1);
            input.extend(index.to_le_bytes());
            let mut bytes = blake2_256(&input).to_vec();
            bytes.extend(tokens.iter().flat_map(|token| token.to_le_bytes()));
            leaf_hash(&bytes)
        };
        let expected = node_hash(leaf(0, &tokens[..32]), leaf(1, &tokens[32..]));
        let root = salted_token_root(&secret, Side::Output, &tokens);
        assert_eq!(root, expected);
        assert_ne!(root, salted_token_root(&secret, Side::Prompt, &tokens));
        assert_ne!(root, salted_token_root(&[8; 32], Side::Output, &tokens));
        assert_ne!(root, token_root(&tokens));
        // Equal leaves at two places do not look alike.
        assert_ne!(
            salt(&secret, Side::Output, 0),
            salt(&secret, Side::Output, 1)
        );
    }
}
