//! A proof of one step, and its check.

use alloc::vec::Vec;

use super::{
    case::Case,
    layout::Layout,
    opening::{Digest, Hash, Opening},
    place::{Leaf, Place},
    source::Source,
    step::{self, Ruling, StepError, Target},
};
use crate::tensor::Tensor;

/// Tokens in one leaf of a token tree.
pub(super) const TOKENS_PER_LEAF: u32 = 32;
// The arithmetic depends on no other crate, so that it has to say the number again.
#[cfg(feature = "chain")]
const _: () = assert!(TOKENS_PER_LEAF as usize == assay_primitives::LEAF_TOKENS);
/// Most leaves of one tree in a proof, and most tensors: more than any step reads, so that the time of a
/// check is bounded by what a step needs.
const MAX_LEAVES: usize = 32;
/// Bytes of a token.
const TOKEN: usize = 4;
/// Bytes ahead of the tokens in a leaf of a salted tree.
const SALT: usize = 32;

/// What a dispute is about and what is known of it: the roots that a proof has to lead to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Roots {
    pub trace: Digest,
    pub prompt: Digest,
    pub output: Digest,
    pub tables: Digest,
    pub weights: Digest,
    /// Whether each leaf of the prompt's and the output's tree begins with 32 bytes of salt.
    pub salted: bool,
    /// Tokens of the whole output; the request's number is in the layout.
    pub output_len: u32,
}

/// Everything that a step reads, and the parts of what it is.
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
pub struct Proof {
    pub trace: Opening,
    pub prompt: Opening,
    pub output: Opening,
    pub tables: Tensors,
    pub weights: Tensors,
    /// As many as the target has parts.
    pub parts: Vec<i64>,
}

/// Leaves of some of the tensors below one root.
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
pub struct Tensors {
    /// By ascending place below the root.
    pub tensors: Vec<(u32, Opening)>,
    /// Hashes on the way from the tensors' roots to the root above them, as in an opening.
    pub siblings: Vec<Digest>,
}

/// One of the trees that a proof opens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tree {
    Trace,
    Prompt,
    Output,
    /// A tensor's leaves.
    Tensor(Tensor),
    /// The tables' roots.
    Tables,
    /// The weights' roots.
    Weights,
}

/// Why a proof shows nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProofError {
    /// The trace has no such element, or the element no such part.
    Target,
    /// There are more parts, or fewer, than the target has.
    Parts,
    /// A leaf that the tree does not have, or of another length.
    Leaf(Tree),
    /// More leaves of a tree than any step reads.
    TooMany(Tree),
    /// What is opened does not lead to the root.
    Root(Tree),
    /// A leaf of the trace at or behind the one in question.
    Later,
    /// Something that the step reads is not opened.
    Missing(Tree),
}

/// Whether a number follows from those before it. Total: whatever the proof is, this takes as long as
/// hashing it and one element.
pub fn check_step(
    case: &Case,
    roots: &Roots,
    target: &Target,
    proof: &Proof,
    hash: Hash,
) -> Result<Ruling, ProofError> {
    let layout = &case.layout;
    let (leaf, _) = layout.leaf_of(target.cell).ok_or(ProofError::Target)?;
    let opened = &proof.trace.leaves;
    if opened.iter().any(|(index, _)| *index >= leaf) {
        return Err(ProofError::Later);
    }
    let verified = Verified::new(layout, roots, proof, hash)?;
    step::rule(case, target, &proof.parts, verified, hash).map_err(|error| match error {
        StepError::Target => ProofError::Target,
        StepError::Parts => ProofError::Parts,
        StepError::Source(error) => error,
    })
}

/// A proof whose openings lead to the roots.
struct Verified<'a> {
    layout: &'a Layout,
    roots: &'a Roots,
    proof: &'a Proof,
}

impl<'a> Verified<'a> {
    fn new(
        layout: &'a Layout,
        roots: &'a Roots,
        proof: &'a Proof,
        hash: Hash,
    ) -> Result<Self, ProofError> {
        let verified = Self {
            layout,
            roots,
            proof,
        };
        let of_trace = |index| layout.leaf(index).as_ref().map(leaf_bytes);
        verify(
            Tree::Trace,
            &proof.trace,
            layout.leaves(),
            of_trace,
            &roots.trace,
            hash,
        )?;
        for (tree, opening, root, tokens) in [
            (
                Tree::Prompt,
                &proof.prompt,
                &roots.prompt,
                layout.prompt_len(),
            ),
            (Tree::Output, &proof.output, &roots.output, roots.output_len),
        ] {
            let leaves = tokens.div_ceil(TOKENS_PER_LEAF).into();
            let bytes = |index| token_leaf_bytes(index, tokens, roots.salted);
            verify(tree, opening, leaves, bytes, root, hash)?;
        }
        proof
            .tables
            .verify(Tree::Tables, layout, &roots.tables, hash)?;
        proof
            .weights
            .verify(Tree::Weights, layout, &roots.weights, hash)?;
        Ok(verified)
    }
}

/// Bytes of a trace's leaf.
pub(super) fn leaf_bytes(leaf: &Leaf) -> usize {
    let element = leaf.place.row.element().bytes();
    element.saturating_mul(leaf.elements as usize)
}

/// Bytes of a leaf of a list of so many tokens.
pub(super) fn token_leaf_bytes(index: u64, tokens: u32, salted: bool) -> Option<usize> {
    let before = index.checked_mul(TOKENS_PER_LEAF.into())?;
    let left = u64::from(tokens).checked_sub(before)?;
    let tokens = left.min(TOKENS_PER_LEAF.into()) as usize;
    tokens.checked_mul(TOKEN)?.checked_add(salt(salted))
}

/// Bytes ahead of a leaf's tokens.
fn salt(salted: bool) -> usize {
    if salted {
        SALT
    } else {
        0
    }
}

/// Whether leaves have their lengths and lead to the root; an opening of nothing is right.
fn verify(
    tree: Tree,
    opening: &Opening,
    leaf_count: u64,
    leaf_bytes: impl Fn(u64) -> Option<usize>,
    root: &Digest,
    hash: Hash,
) -> Result<(), ProofError> {
    if opening.is_empty() || root_of(tree, opening, leaf_count, leaf_bytes, hash)? == *root {
        Ok(())
    } else {
        Err(ProofError::Root(tree))
    }
}

/// The root that leaves of the right lengths lead to.
fn root_of(
    tree: Tree,
    opening: &Opening,
    leaf_count: u64,
    leaf_bytes: impl Fn(u64) -> Option<usize>,
    hash: Hash,
) -> Result<Digest, ProofError> {
    if opening.leaves.len() > MAX_LEAVES {
        return Err(ProofError::TooMany(tree));
    }
    for (index, bytes) in &opening.leaves {
        if leaf_bytes(*index) != Some(bytes.len()) {
            return Err(ProofError::Leaf(tree));
        }
    }
    opening.root(leaf_count, hash).ok_or(ProofError::Root(tree))
}

impl Tensors {
    fn verify(
        &self,
        tree: Tree,
        layout: &Layout,
        root: &Digest,
        hash: Hash,
    ) -> Result<(), ProofError> {
        if self.tensors.is_empty() && self.siblings.is_empty() {
            return Ok(());
        }
        if self.root(tree, layout, hash)? == *root {
            Ok(())
        } else {
            Err(ProofError::Root(tree))
        }
    }

    /// The root that what is opened leads to.
    pub(super) fn root(
        &self,
        tree: Tree,
        layout: &Layout,
        hash: Hash,
    ) -> Result<Digest, ProofError> {
        let (shape, tables) = (layout.shape(), tree == Tree::Tables);
        if self.tensors.len() > MAX_LEAVES {
            return Err(ProofError::TooMany(tree));
        }
        let mut roots = Opening {
            leaves: Vec::with_capacity(self.tensors.len()),
            siblings: self.siblings.clone(),
        };
        for (index, opening) in &self.tensors {
            let tensor = Tensor::at(tables, *index as usize, shape);
            let tensor = tensor.ok_or(ProofError::Leaf(tree))?;
            let form = tensor.form(shape);
            let root = root_of(
                Tree::Tensor(tensor),
                opening,
                form.leaves(),
                |leaf| form.leaf_bytes(leaf),
                hash,
            )?;
            roots.leaves.push((u64::from(*index), root.to_vec()));
        }
        let root = roots.root(roots_count(tree, layout), hash);
        root.ok_or(ProofError::Root(tree))
    }

    fn leaf(&self, index: usize, leaf: u64) -> Option<&[u8]> {
        let found = |tensor: &(u32, Opening)| (tensor.0 as usize).cmp(&index);
        let place = self.tensors.binary_search_by(found).ok()?;
        self.tensors.get(place)?.1.leaf(leaf)
    }
}

/// Roots below [`Tree::Tables`] or [`Tree::Weights`].
pub(super) fn roots_count(tree: Tree, layout: &Layout) -> u64 {
    if tree == Tree::Tables {
        Tensor::TABLES.len() as u64
    } else {
        Tensor::weights_count(layout.shape()) as u64
    }
}

impl Source for Verified<'_> {
    type Error = ProofError;

    fn cells(&mut self, place: Place, first: u64, out: &mut [i64]) -> Result<(), ProofError> {
        let missing = ProofError::Missing(Tree::Trace);
        let element = place.row.element();
        let runs = self.layout.runs(place, first, out.len() as u64);
        let mut slots = out.iter_mut();
        for run in runs.ok_or(missing)? {
            let leaf = self.proof.trace.leaf(run.leaf).ok_or(missing)?;
            let cells = run.inside..run.inside.saturating_add(run.elements);
            for (index, slot) in cells.zip(slots.by_ref()) {
                *slot = element.at(leaf, index as usize).ok_or(missing)?;
            }
        }
        Ok(())
    }

    fn tensor(&mut self, tensor: Tensor, leaf: u64) -> Result<Vec<u8>, ProofError> {
        let missing = ProofError::Missing(Tree::Tensor(tensor));
        let index = tensor.index(self.layout.shape()).ok_or(missing)?;
        let tensors = if tensor.is_table() {
            &self.proof.tables
        } else {
            &self.proof.weights
        };
        Ok(tensors.leaf(index, leaf).ok_or(missing)?.to_vec())
    }

    fn token(&mut self, position: u32) -> Result<u32, ProofError> {
        let (tree, opening, index) = match position.checked_sub(self.layout.prompt_len()) {
            None => (Tree::Prompt, &self.proof.prompt, position),
            Some(index) => (Tree::Output, &self.proof.output, index),
        };
        let missing = ProofError::Missing(tree);
        let leaf = opening.leaf(index.wrapping_div(TOKENS_PER_LEAF).into());
        let tokens = leaf
            .and_then(|leaf| leaf.get(salt(self.roots.salted)..))
            .ok_or(missing)?;
        let token = tokens
            .chunks_exact(TOKEN)
            .nth(index.wrapping_rem(TOKENS_PER_LEAF) as usize);
        let bytes = token.and_then(|bytes| bytes.try_into().ok());
        Ok(u32::from_le_bytes(bytes.ok_or(missing)?))
    }
}
