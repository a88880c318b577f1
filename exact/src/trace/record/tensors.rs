//! The trees of a model's tensors, computed where they are asked for.

// Leaves are counted by a tensor's form.
#![allow(clippy::arithmetic_side_effects)]

use std::{
    borrow::Cow,
    collections::{btree_map::Entry, BTreeMap},
};

use assay_primitives::tree::leaf_hash;

use super::tree::{each, folded, Kept};
use crate::{
    engine::Engine,
    model::{Gamma, Matrix, Row},
    tensor::{Form, LayerTensor, Tensor},
    trace::opening::Digest,
};

/// Levels of a tensor's tree that are not kept.
const LEFT_OUT: u32 = 6;

/// What was computed of a model's trees.
#[derive(Default)]
pub(super) struct Tensors {
    trees: BTreeMap<Tensor, Kept>,
    /// Above the roots of the tables, and of the weights.
    above: [Option<Kept>; 2],
}

impl Tensors {
    /// A leaf's bytes; none if the model has no such tensor or leaf.
    pub fn leaf(&self, engine: &Engine, tensor: Tensor, leaf: u64) -> Option<Vec<u8>> {
        let shape = engine.model().shape;
        let stored = stored(engine, tensor)?;
        Some(tensor.form(shape).leaf(&stored, leaf)?.into_owned())
    }

    /// A node of a tensor's tree.
    pub fn node(
        &mut self,
        engine: &Engine,
        tensor: Tensor,
        level: u32,
        index: u64,
    ) -> Option<Digest> {
        let form = tensor.form(engine.model().shape);
        if level < LEFT_OUT {
            let stored = stored(engine, tensor)?;
            return below(&form, &stored, level, index);
        }
        let tree = match self.trees.entry(tensor) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => place.insert(tree(engine, tensor)?),
        };
        tree.node(level, index)
    }

    /// A node above the tensors' roots.
    pub fn above(
        &mut self,
        engine: &Engine,
        tables: bool,
        level: u32,
        index: u64,
    ) -> Option<Digest> {
        let [of_tables, of_weights] = &mut self.above;
        let above = if tables { of_tables } else { of_weights };
        if above.is_none() {
            let leaves = roots(engine, tables)?;
            let leaves = leaves.iter().map(|root| leaf_hash(root).0);
            *above = Some(Kept::new(0, leaves.collect()));
        }
        above.as_ref()?.node(level, index)
    }
}

/// Roots of the tables or of the weights: those that the folder lists, or else computed.
fn roots(engine: &Engine, tables: bool) -> Option<Vec<Digest>> {
    let shape = engine.model().shape;
    let weights = Tensor::weights(shape).filter(|_| !tables);
    let tensors = Tensor::TABLES.into_iter().filter(|_| tables).chain(weights);
    if let Some(folder) = engine.folder() {
        let skipped = if tables { 0 } else { Tensor::TABLES.len() };
        let listed = folder.tensors().skip(skipped).zip(tensors);
        return Some(listed.map(|((_, _, root), _)| root.0).collect());
    }
    tensors
        .map(|tensor| Some(tree(engine, tensor)?.root()))
        .collect()
}

fn tree(engine: &Engine, tensor: Tensor) -> Option<Kept> {
    let form = tensor.form(engine.model().shape);
    let stored = stored(engine, tensor)?;
    let mut nodes = vec![[0; 32]; form.leaves().div_ceil(1 << LEFT_OUT) as usize];
    each(engine.cpu(), &mut nodes, |index| {
        below(&form, &stored, LEFT_OUT, index as u64).unwrap_or_default()
    });
    Some(Kept::new(LEFT_OUT, nodes))
}

/// A node from the leaves below it.
fn below(form: &Form, stored: &[u8], level: u32, index: u64) -> Option<Digest> {
    let first = index.checked_mul(1 << level)?;
    let end = form.leaves().min(first.checked_add(1 << level)?);
    let leaf = |leaf| Some(leaf_hash(&form.leaf(stored, leaf)?).0);
    let leaves: Vec<_> = (first..end).map(leaf).collect::<Option<_>>()?;
    (!leaves.is_empty()).then(|| folded(&leaves))
}

/// A tensor's bytes as a folder stores them.
fn stored<'a>(engine: &'a Engine, tensor: Tensor) -> Option<Cow<'a, [u8]>> {
    let model = engine.model();
    Some(match tensor {
        Tensor::Exp2 => integers(None, model.tables.exp2),
        Tensor::Silu => integers(None, model.tables.silu),
        Tensor::RotaryLow => integers(None, model.tables.low),
        Tensor::RotaryHigh => integers(None, model.tables.high),
        Tensor::EmbeddingHigh => bytes(model.embedding.high.weights),
        Tensor::EmbeddingRows => rows(model.embedding.high.rows),
        Tensor::EmbeddingLow => bytes(model.embedding.low),
        Tensor::EmbeddingColumns => bytes(model.embedding.columns),
        Tensor::FinalNorm => norm(&model.final_norm),
        Tensor::HeadWeights => bytes(model.head.as_ref()?.weights),
        Tensor::HeadRows => rows(model.head.as_ref()?.rows),
        Tensor::Layer(index, tensor) => {
            let layer = model.layers.get(usize::from(index))?;
            let matrix = |matrix: &Matrix<'a>, weights| match tensor == weights {
                true => bytes(matrix.weights),
                false => rows(matrix.rows),
            };
            use LayerTensor::*;
            match tensor {
                InputNorm => norm(&layer.input_norm),
                QueryWeights | QueryRows => matrix(&layer.q, QueryWeights),
                KeyWeights | KeyRows => matrix(&layer.k, KeyWeights),
                ValueWeights | ValueRows => matrix(&layer.v, ValueWeights),
                QueryNorm => norm(layer.q_norm.as_ref()?),
                KeyNorm => norm(layer.k_norm.as_ref()?),
                OutputWeights | OutputRows => matrix(&layer.o, OutputWeights),
                PostNorm => norm(&layer.post_norm),
                GateWeights | GateRows => matrix(&layer.gate, GateWeights),
                UpWeights | UpRows => matrix(&layer.up, UpWeights),
                DownWeights | DownRows => matrix(&layer.down, DownWeights),
            }
        }
    })
}

fn bytes(numbers: &[i8]) -> Cow<'_, [u8]> {
    // SAFETY: i8 and u8 have the same size and alignment, and every i8 is a byte.
    Cow::Borrowed(unsafe { core::slice::from_raw_parts(numbers.as_ptr().cast(), numbers.len()) })
}

fn integers<'a>(first: Option<i32>, numbers: &[i32]) -> Cow<'a, [u8]> {
    let numbers = first.iter().chain(numbers);
    Cow::Owned(numbers.flat_map(|number| number.to_le_bytes()).collect())
}

fn norm<'a>(gamma: &Gamma) -> Cow<'a, [u8]> {
    integers(Some(gamma.exponent), gamma.entries)
}

fn rows<'a>(rows: &[Row]) -> Cow<'a, [u8]> {
    let mut bytes = Vec::with_capacity(rows.len() * 8);
    for row in rows {
        bytes.extend(row.mantissa.to_le_bytes());
        bytes.extend(row.exponent.to_le_bytes());
        bytes.extend(row.bias.to_le_bytes());
    }
    Cow::Owned(bytes)
}
