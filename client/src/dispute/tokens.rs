//! Single leaves of trees, opened.

use assay_exact::trace::Opening;
use assay_primitives::{
    tree::{leaf_hash, root_of, salt},
    Side, TokenId, LEAF_TOKENS,
};
use subxt::utils::H256;

/// The leaf of a list of tokens that has the one at `position`, with its way to the root. The leaves are
/// salted for this side of a request, where there is a secret.
pub fn open(
    tokens: &[TokenId],
    (secret, side): (Option<[u8; 32]>, Side),
    position: u32,
) -> Opening {
    let leaves: Vec<Vec<u8>> = (0u64..)
        .zip(tokens.chunks(LEAF_TOKENS))
        .map(|(index, tokens)| {
            let salt = secret.map(|secret| salt(&secret, side, index));
            let salt = salt.iter().flatten().copied();
            salt.chain(tokens.iter().flat_map(|token| token.to_le_bytes()))
                .collect()
        })
        .collect();
    let place = position as usize / LEAF_TOKENS;
    let mut levels: Vec<Vec<H256>> = vec![leaves.iter().map(|leaf| leaf_hash(leaf)).collect()];
    while let Some(level) = levels.last().filter(|level| level.len() > 1) {
        let above = level.chunks(2).map(|pair| root_of(pair.to_vec()));
        levels.push(above.collect());
    }
    let bytes = leaves.get(place).cloned().unwrap_or_default();
    let opened = vec![(place as u64, bytes)];
    let node = |level: u32, index: u64| {
        let level = levels.get(level as usize);
        let node = level.and_then(|level| level.get(index as usize));
        node.map(|hash| hash.0).ok_or(())
    };
    Opening::new(opened, leaves.len() as u64, node).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use assay_primitives::{salted_token_root, token_root};

    #[test]
    fn every_token_of_every_length_leads_to_the_root() {
        let hash = |bytes: &[u8]| assay_primitives::blake2_256(bytes);
        for length in [1, 31, 32, 33, 64, 65, 96, 97, 200] {
            let output: Vec<TokenId> = (0..length).map(|token| token * 7).collect();
            for secret in [None, Some([3; 32])] {
                let root = match secret {
                    None => token_root(&output),
                    Some(secret) => salted_token_root(&secret, Side::Output, &output),
                };
                for position in 0..length {
                    let opening = open(&output, (secret, Side::Output), position);
                    let leaves = u64::from(length).div_ceil(LEAF_TOKENS as u64);
                    assert_eq!(
                        opening.root(leaves, hash),
                        Some(root.0),
                        "{position} of {length}"
                    );
                    let (_, bytes) = &opening.leaves[0];
                    let salt = if secret.is_some() { 32 } else { 0 };
                    let at = salt + position as usize % LEAF_TOKENS * 4;
                    assert_eq!(bytes[at..at + 4], (position * 7).to_le_bytes());
                }
            }
        }
    }
}
