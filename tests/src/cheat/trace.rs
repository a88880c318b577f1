//! Traces that are not the true one, and what is proven of them.

use std::{collections::BTreeMap, ops::Range};

use assay_client::{
    dispute::Witness,
    primitives::{blake2_256, tree, LEAF_TOKENS},
    H256,
};
use assay_exact::{
    tensor::Tensor,
    trace::{
        opening::leaf_hash, prove, rule, Case, Cell, Digest, Layout, Opening, Place, Proof, Ruling,
        Source, Target, Trace, TraceError, Tree, Trees,
    },
};

/// A trace that a liar stands by: `said`, with other bytes in some leaves. What lies outside of it, namely
/// tokens and the model's numbers, it has to open as it is, against roots that it did not choose.
pub struct Lie<'e, 'm> {
    pub case: Case,
    pub output_len: u32,
    /// The tree that has the disputed token, its length in tokens, and the token's place.
    pub list: (Tree, u32, u32),
    /// What was computed, from whatever the liar computes with.
    pub said: Trace<'e, 'm>,
    /// The true trace of the same token.
    pub honest: Trace<'e, 'm>,
    /// Leaves in which it is neither.
    pub changed: BTreeMap<u64, Vec<u8>>,
    /// Whether a false sum is given false parts that fit it.
    pub in_parts: bool,
}

fn hash(bytes: &[u8]) -> [u8; 32] {
    blake2_256(bytes)
}

impl Lie<'_, '_> {
    /// One number is one more, or one less if that is no number of its type.
    pub fn add_one(&mut self, cell: Cell) -> Result<(), String> {
        let element = cell.place.row.element();
        let place = self.case.layout.leaf_of(cell);
        let (leaf, inside) = place.ok_or("the trace has no such number")?;
        let mut bytes = self.leaf(Tree::Trace, leaf).map_err(say)?;
        let value = element.at(&bytes, inside as usize);
        let value = value.ok_or("the leaf is shorter")?;
        let at = inside as usize * element.bytes();
        for other in [value + 1, value - 1] {
            let other = other.to_le_bytes();
            let slot = &mut bytes[at..at + element.bytes()];
            slot.copy_from_slice(&other[..element.bytes()]);
            if element.read(slot) == Some(i64::from_le_bytes(other)) {
                break;
            }
        }
        self.changed.insert(leaf, bytes);
        Ok(())
    }

    /// The last leaf has this token.
    pub fn say_token(&mut self, token: u32) {
        let last = self.case.layout.leaves() - 1;
        self.changed.insert(last, token.to_le_bytes().to_vec());
    }

    /// Parts with which the target follows, for the first of them that can be changed so.
    fn fitting(&mut self, target: &Target, parts: &[i64]) -> Option<Vec<i64>> {
        let case = self.case.clone();
        for shift in 0..62 {
            for change in [1i64 << shift, -(1i64 << shift)] {
                let mut other = parts.to_vec();
                let first = other.first_mut()?;
                *first = first.checked_add(change)?;
                let ruling = rule(&case, target, &other, &mut *self, hash);
                if ruling.ok() == Some(Ruling::Parts) {
                    return Some(other);
                }
            }
        }
        None
    }

    fn trace_node(&mut self, level: u32, index: u64) -> Result<Digest, TraceError> {
        let first = index << level;
        let last = (first + (1 << level)).min(self.case.layout.leaves());
        if self.changed.range(first..last).next().is_none() {
            return self.said.node(level, index);
        }
        let Some(below) = level.checked_sub(1) else {
            return Ok(leaf_hash(&self.leaf(Tree::Trace, index)?, hash));
        };
        let left = self.trace_node(below, 2 * index)?;
        // The last node of a level without a sibling rises.
        if (2 * index + 1) << below >= self.case.layout.leaves() {
            return Ok(left);
        }
        let right = self.trace_node(below, 2 * index + 1)?;
        Ok(tree::root_of(vec![H256(left), H256(right)]).0)
    }
}

impl Source for Lie<'_, '_> {
    type Error = TraceError;

    fn cells(&mut self, place: Place, first: u64, out: &mut [i64]) -> Result<(), TraceError> {
        self.said.cells(place, first, out)?;
        let runs = self.case.layout.runs(place, first, out.len() as u64);
        let mut done = 0;
        for run in runs.ok_or(TraceError::Place)? {
            let elements = run.elements as usize;
            if let Some(bytes) = self.changed.get(&run.leaf) {
                for (element, slot) in out.iter_mut().skip(done).take(elements).enumerate() {
                    let value = place.row.element().at(bytes, run.inside as usize + element);
                    *slot = value.ok_or(TraceError::Place)?;
                }
            }
            done += elements;
        }
        Ok(())
    }

    fn tensor(&mut self, tensor: Tensor, leaf: u64) -> Result<Vec<u8>, TraceError> {
        self.honest.tensor(tensor, leaf)
    }

    fn token(&mut self, position: u32) -> Result<u32, TraceError> {
        self.honest.token(position)
    }
}

impl Trees for Lie<'_, '_> {
    fn leaf(&mut self, tree: Tree, index: u64) -> Result<Vec<u8>, TraceError> {
        match tree {
            Tree::Trace => match self.changed.get(&index) {
                Some(bytes) => Ok(bytes.clone()),
                None => Trees::leaf(&mut self.said, tree, index),
            },
            _ => Trees::leaf(&mut self.honest, tree, index),
        }
    }

    fn node(&mut self, tree: Tree, level: u32, index: u64) -> Result<Digest, TraceError> {
        match tree {
            Tree::Trace => self.trace_node(level, index),
            _ => Trees::node(&mut self.honest, tree, level, index),
        }
    }
}

impl Witness for Lie<'_, '_> {
    fn layout(&self) -> &Layout {
        &self.case.layout
    }

    fn nodes(&mut self, level: u32, range: Range<u64>) -> Result<Vec<H256>, String> {
        let nodes = range.map(|index| self.trace_node(level, index).map(H256));
        nodes.collect::<Result<_, _>>().map_err(say)
    }

    fn leaves(&mut self, range: Range<u64>) -> Result<Vec<Vec<u8>>, String> {
        let leaves = range.map(|index| self.leaf(Tree::Trace, index));
        leaves.collect::<Result<_, _>>().map_err(say)
    }

    fn open_last(&mut self) -> Result<Opening, String> {
        let count = self.case.layout.leaves();
        let bytes = self.leaf(Tree::Trace, count - 1).map_err(say)?;
        let node = |level, index| self.trace_node(level, index);
        Opening::new(vec![(count - 1, bytes)], count, node).map_err(say)
    }

    fn open_token(&mut self) -> Result<Opening, String> {
        let (tree, length, place) = self.list;
        let leaf = u64::from(place / LEAF_TOKENS as u32);
        let count = length.div_ceil(LEAF_TOKENS as u32);
        let bytes = self.leaf(tree, leaf).map_err(say)?;
        let node = |level, index| Trees::node(self, tree, level, index);
        Opening::new(vec![(leaf, bytes)], count.into(), node).map_err(say)
    }

    fn parts(&mut self, target: &Target) -> Result<Vec<i64>, String> {
        let case = self.case.clone();
        let parts = assay_exact::trace::parts(&case, target, self, hash);
        parts.map_err(|error| format!("{error:?}"))
    }

    fn prove(&mut self, target: &Target) -> Result<Proof, String> {
        let (case, output_len) = (self.case.clone(), self.output_len);
        let proof = prove(&case, target, output_len, self, hash);
        let mut proof = proof.map_err(|error| format!("{error:?}"))?;
        if self.in_parts && !proof.parts.is_empty() {
            if let Some(parts) = self.fitting(target, &proof.parts) {
                proof.parts = parts;
            }
        }
        Ok(proof)
    }
}

fn say(error: TraceError) -> String {
    error.to_string()
}
