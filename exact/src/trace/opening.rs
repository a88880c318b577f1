//! Leaves of an RFC 6962 tree, opened together, and the nodes that a game shows of one.

use alloc::vec::Vec;

/// BLAKE2b-256, which this crate does not bring along.
pub type Hash = fn(&[u8]) -> [u8; 32];

/// A leaf's or a node's hash.
pub type Digest = [u8; 32];

const LEAF: u8 = 0;
const NODE: u8 = 1;

/// Some leaves of one tree, and what leads from them to its root.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[cfg_attr(
    feature = "chain",
    derive(
        codec::Encode,
        codec::Decode,
        codec::DecodeWithMemTracking,
        scale_info::TypeInfo
    )
)]
pub struct Opening {
    /// Index and bytes, by ascending index.
    pub leaves: Vec<(u64, Vec<u8>)>,
    /// Hashes that do not follow from the leaves: level by level from the leaves, left to right.
    pub siblings: Vec<Digest>,
}

/// Hash of a leaf.
pub fn leaf_hash(bytes: &[u8], hash: Hash) -> Digest {
    let mut message = Vec::with_capacity(bytes.len().saturating_add(1));
    message.push(LEAF);
    message.extend_from_slice(bytes);
    hash(&message)
}

fn node_hash(left: &Digest, right: &Digest, hash: Hash) -> Digest {
    let mut message = Vec::with_capacity(65);
    message.push(NODE);
    message.extend_from_slice(left);
    message.extend_from_slice(right);
    hash(&message)
}

/// Where a node's hash comes from on the way up.
enum Joined {
    /// It is a right child: the left one is missing.
    Left,
    /// It is a left child, and the right one is known.
    Known,
    /// It is a left child, and the right one is missing.
    Right,
    /// It is the last of its level, without a sibling, and rises.
    Alone,
}

/// How a node of a level of `count` nodes is joined; `next` is the next known node's index.
fn joined(index: u64, next: Option<u64>, count: u64) -> Joined {
    if index & 1 == 1 {
        Joined::Left
    } else if next.is_some() && next == index.checked_add(1) {
        Joined::Known
    } else if index < count.saturating_sub(1) {
        Joined::Right
    } else {
        Joined::Alone
    }
}

impl Opening {
    /// Whether it opens nothing.
    pub fn is_empty(&self) -> bool {
        self.leaves.is_empty() && self.siblings.is_empty()
    }

    /// The leaf of an index, if it is opened.
    pub fn leaf(&self, index: u64) -> Option<&[u8]> {
        let place = self
            .leaves
            .binary_search_by_key(&index, |leaf| leaf.0)
            .ok()?;
        self.leaves.get(place).map(|(_, bytes)| bytes.as_slice())
    }

    /// The root of a tree of so many leaves that has these; none if no tree has them.
    pub fn root(&self, leaf_count: u64, hash: Hash) -> Option<Digest> {
        let ascend = self.leaves.windows(2).all(|pair| match pair {
            [before, after] => before.0 < after.0,
            _ => true,
        });
        let last = self.leaves.last()?.0;
        if !ascend || last >= leaf_count {
            return None;
        }
        let leaves = self.leaves.iter();
        let mut level: Vec<(u64, Digest)> = leaves
            .map(|(index, bytes)| (*index, leaf_hash(bytes, hash)))
            .collect();
        let mut siblings = self.siblings.iter();
        let mut count = leaf_count;
        while count > 1 {
            let mut above = Vec::with_capacity(level.len());
            let mut nodes = level.iter();
            while let Some((index, node)) = nodes.next() {
                let next = nodes.as_slice().first().map(|next| next.0);
                let parent = match joined(*index, next, count) {
                    Joined::Left => node_hash(siblings.next()?, node, hash),
                    Joined::Known => node_hash(node, &nodes.next()?.1, hash),
                    Joined::Right => node_hash(node, siblings.next()?, hash),
                    Joined::Alone => *node,
                };
                above.push((index >> 1, parent));
            }
            level = above;
            count = count.div_ceil(2);
        }
        let (_, root) = *level.first()?;
        siblings.next().is_none().then_some(root)
    }

    /// Opens leaves, by ascending index, of a tree of `leaf_count`. `node` gives the tree's nodes by
    /// level, counted from the leaves, and index.
    pub fn new<E>(
        leaves: Vec<(u64, Vec<u8>)>,
        leaf_count: u64,
        mut node: impl FnMut(u32, u64) -> Result<Digest, E>,
    ) -> Result<Self, E> {
        let mut siblings = Vec::new();
        let mut level: Vec<u64> = leaves.iter().map(|(index, _)| *index).collect();
        let (mut height, mut count) = (0u32, leaf_count);
        while count > 1 {
            let mut above = Vec::with_capacity(level.len());
            let mut nodes = level.iter();
            while let Some(index) = nodes.next() {
                match joined(*index, nodes.as_slice().first().copied(), count) {
                    Joined::Left | Joined::Right => siblings.push(node(height, index ^ 1)?),
                    Joined::Known => {
                        nodes.next();
                    }
                    Joined::Alone => {}
                }
                above.push(index >> 1);
            }
            level = above;
            height = height.saturating_add(1);
            count = count.div_ceil(2);
        }
        Ok(Self { leaves, siblings })
    }
}

/// The node above all the nodes of one level that lie below it, in order; none for no node.
pub fn fold(nodes: &[Digest], hash: Hash) -> Option<Digest> {
    let mut level = nodes.to_vec();
    while level.len() > 1 {
        let pairs = level.chunks(2);
        level = pairs
            .filter_map(|pair| match pair {
                [left, right] => Some(node_hash(left, right, hash)),
                [single] => Some(*single),
                _ => None,
            })
            .collect();
    }
    level.pop()
}

#[cfg(all(test, feature = "std"))]
mod tests;
