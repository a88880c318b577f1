//! The proof of a step, from a trace and the trees around it.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};

use super::{
    case::Case,
    layout::Layout,
    opening::{Digest, Hash, Opening},
    place::Place,
    proof::{roots_count, Proof, Tensors, Tree, TOKENS_PER_LEAF},
    source::{Fault, Source},
    step::{self, StepError, Target},
};
use crate::tensor::Tensor;

/// The trees that proofs open. Levels count from the leaves.
pub trait Trees: Source {
    /// The bytes of a leaf, with its salt if it has one. (Those of [`Tree::Tables`] and [`Tree::Weights`]
    /// are not asked for.)
    fn leaf(&mut self, tree: Tree, index: u64) -> Result<Vec<u8>, Self::Error>;

    /// The hash of a node; level 0 are leaves' hashes.
    fn node(&mut self, tree: Tree, level: u32, index: u64) -> Result<Digest, Self::Error>;
}

/// Which leaves a step reads.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Reads {
    pub trace: BTreeSet<u64>,
    pub prompt: BTreeSet<u64>,
    pub output: BTreeSet<u64>,
    pub tensors: BTreeSet<(Tensor, u64)>,
}

/// A source that remembers what was read of another.
pub struct Recorder<'a, S> {
    layout: &'a Layout,
    source: S,
    pub reads: Reads,
}

impl<'a, S> Recorder<'a, S> {
    pub fn new(layout: &'a Layout, source: S) -> Self {
        Self {
            layout,
            source,
            reads: Reads::default(),
        }
    }
}

impl<S: Source> Source for Recorder<'_, S> {
    type Error = S::Error;

    fn cells(&mut self, place: Place, first: u64, out: &mut [i64]) -> Result<(), S::Error> {
        let runs = self.layout.runs(place, first, out.len() as u64);
        let leaves = runs.into_iter().flatten().map(|run| run.leaf);
        self.reads.trace.extend(leaves);
        self.source.cells(place, first, out)
    }

    fn tensor(&mut self, tensor: Tensor, leaf: u64) -> Result<Vec<u8>, S::Error> {
        self.reads.tensors.insert((tensor, leaf));
        self.source.tensor(tensor, leaf)
    }

    fn token(&mut self, position: u32) -> Result<u32, S::Error> {
        let (leaves, index) = match position.checked_sub(self.layout.prompt_len()) {
            None => (&mut self.reads.prompt, position),
            Some(index) => (&mut self.reads.output, index),
        };
        leaves.insert(index.wrapping_div(TOKENS_PER_LEAF).into());
        self.source.token(position)
    }
}

/// The proof of a target: its true parts, if it has any, and everything that is read. `output_len` are
/// the tokens of the whole answer.
pub fn prove<T: Trees>(
    case: &Case,
    target: &Target,
    output_len: u32,
    trees: &mut T,
    hash: Hash,
) -> Result<Proof, StepError<Fault<T::Error>>> {
    let parts = step::parts(case, target, &mut *trees, hash)?;
    let mut recorder = Recorder::new(&case.layout, &mut *trees);
    // What is read depends on no ruling: a wrong target is proven as far as its proof is read.
    step::rule(case, target, &parts, &mut recorder, hash).map_err(|error| match error {
        StepError::Source(error) => StepError::Source(Fault::Source(error)),
        StepError::Target => StepError::Target,
        StepError::Parts => StepError::Parts,
    })?;
    let reads = recorder.reads;
    let proof = open(&case.layout, &reads, parts, output_len, trees);
    proof.map_err(|error| StepError::Source(Fault::Source(error)))
}

/// Opens all that was read.
pub(super) fn open<T: Trees>(
    layout: &Layout,
    reads: &Reads,
    parts: Vec<i64>,
    output_len: u32,
    trees: &mut T,
) -> Result<Proof, T::Error> {
    let tokens = |tokens: u32| u64::from(tokens.div_ceil(TOKENS_PER_LEAF));
    let mut opening = |tree, leaves: &BTreeSet<u64>, count| opening(trees, tree, leaves, count);
    let prompt = tokens(layout.prompt_len());
    let trace = opening(Tree::Trace, &reads.trace, layout.leaves())?;
    let prompt = opening(Tree::Prompt, &reads.prompt, prompt)?;
    let output = opening(Tree::Output, &reads.output, tokens(output_len))?;
    Ok(Proof {
        trace,
        prompt,
        output,
        tables: tensors(layout, reads, Tree::Tables, trees)?,
        weights: tensors(layout, reads, Tree::Weights, trees)?,
        parts,
    })
}

fn opening<T: Trees>(
    trees: &mut T,
    tree: Tree,
    leaves: &BTreeSet<u64>,
    count: u64,
) -> Result<Opening, T::Error> {
    let leaves = leaves.iter();
    let leaves = leaves.map(|index| Ok((*index, trees.leaf(tree, *index)?)));
    let leaves: Vec<_> = leaves.collect::<Result<_, _>>()?;
    if leaves.is_empty() {
        return Ok(Opening::default());
    }
    Opening::new(leaves, count, |level, index| trees.node(tree, level, index))
}

/// The tensors of one root that were read.
fn tensors<T: Trees>(
    layout: &Layout,
    reads: &Reads,
    tree: Tree,
    trees: &mut T,
) -> Result<Tensors, T::Error> {
    let shape = layout.shape();
    let mut by_tensor: BTreeMap<usize, (Tensor, BTreeSet<u64>)> = BTreeMap::new();
    for (tensor, leaf) in &reads.tensors {
        let is_here = tensor.is_table() == (tree == Tree::Tables);
        if let Some(index) = tensor.index(shape).filter(|_| is_here) {
            let entry = by_tensor.entry(index);
            let (_, leaves) = entry.or_insert_with(|| (*tensor, BTreeSet::new()));
            leaves.insert(*leaf);
        }
    }
    if by_tensor.is_empty() {
        return Ok(Tensors::default());
    }
    let mut roots = Vec::new();
    let mut opened = Vec::new();
    for (index, (tensor, leaves)) in by_tensor {
        let count = tensor.form(shape).leaves();
        let opening = opening(trees, Tree::Tensor(tensor), &leaves, count)?;
        roots.push((index as u64, Vec::new()));
        opened.push((index as u32, opening));
    }
    let count = roots_count(tree, layout);
    let above = Opening::new(roots, count, |level, index| trees.node(tree, level, index))?;
    Ok(Tensors {
        tensors: opened,
        siblings: above.siblings,
    })
}
