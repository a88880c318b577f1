//! A provider with a true trace, or with one in which it changed something.

use std::collections::BTreeMap;

use assay_exact::{
    random::Weights,
    sampling::Settings,
    shape::{Rotary, Shape, PPM},
    tensor::Tensor,
    trace::{
        self, levels, Answered, Case, Cell, Digest, Part, Place, Source, Target, Trace, TraceError,
        Tree, Trees,
    },
    Backend, Cpu, Engine,
};
use assay_primitives::{
    blake2_256,
    tree::{leaf_hash, root_of},
    ModelParts, Sampling, Task, TokenId,
};
use codec::Encode;
use sp_core::H256;

use crate::{mock::*, Answer, LeafOpening, Revelation, StepRecord};

pub fn shape() -> Shape {
    Shape {
        layers: 2,
        hidden: 72,
        intermediate: 130,
        heads: 4,
        kv_heads: 2,
        head_dim: 10,
        vocabulary: 1_100,
        context: CONTEXT,
        tied: true,
        biases: false,
        head_norms: true,
        fraction_bits: 16,
        eps40: 11,
        rotary: Rotary {
            base: 10_000 * PPM,
            scaling: None,
        },
    }
}

pub const GREEDY: Sampling = Sampling::GREEDY;
pub const EVERYTHING: Sampling = Sampling {
    temperature: 900_000,
    top_k: 20,
    top_p: 800_000,
    min_p: 1_000,
    penalty: 1_300_000,
    nonce: 3,
};

/// The settings, seed and tokens up to one place, as both sides compute them.
pub fn trace_of<'e, 'm>(engine: &'e Engine<'m>, given: &Given, position: u32) -> Trace<'e, 'm> {
    let answered = Answered {
        prompt: &given.prompt,
        output: &given.output,
        settings: Settings::from(given.header.sampling),
        seed: given.header.seed(&given.header.hash(), &given.randomness),
        secret: Some(SECRET),
        scored: given.header.task != Task::Generate,
        index: position,
    };
    Trace::new(engine, &answered).unwrap()
}

/// The token that follows.
pub fn truth(trace: &mut Trace) -> TokenId {
    let last = trace.layout().leaves() - 1;
    let leaves = trace.leaves(last, 1).unwrap();
    u32::from_le_bytes(leaves[0][..].try_into().unwrap())
}

/// What a listing of the engine's model binds.
pub fn parts_of(engine: &Engine) -> ModelParts {
    let answered = Answered {
        prompt: &[1],
        output: &[0],
        settings: Settings::from(GREEDY),
        seed: [0; 32],
        secret: None,
        scored: false,
        index: 0,
    };
    let mut trace = Trace::new(engine, &answered).unwrap();
    let weights = Tensor::weights_count(&shape()) as u64;
    let mut root = |tree, count| {
        let node = Trees::node(&mut trace, tree, levels::height(count), 0);
        H256(node.unwrap())
    };
    ModelParts {
        tables: root(Tree::Tables, 4),
        weights_root: root(Tree::Weights, weights),
        spec: shape().spec(&[1, STOP]).unwrap(),
        ..parts()
    }
}

/// A story in which Petra serves a model that everybody has.
pub fn with_model(story: impl FnOnce(&Engine)) {
    let weights = Weights::random(&shape(), 4);
    let model = weights.model();
    let cpu = Cpu::new(Backend::Portable, 1).unwrap();
    let engine = Engine::new(&model, &cpu).unwrap();
    TestExt::new()
        .model(parts_of(&engine))
        .execute_with(|| story(&engine));
}

/// Petra's true answer of so many tokens.
pub fn true_answer(engine: &Engine, seq: u64, sampling: Sampling, length: u32) -> Given {
    let id = channel(10_000);
    let mut output = vec![0];
    for position in 0..length {
        let given = Given::asked(id, seq, output.clone(), sampling);
        let token = truth(&mut trace_of(engine, &given, position));
        output[position as usize] = token;
        output.push(0);
    }
    output.pop();
    let given = Given::asked(id, seq, output, sampling);
    pass(1);
    given
}

/// A provider that states something else than the truth in some leaves of its trace, and then opens
/// what it stated; an honest one in none.
pub struct Player<'e, 'm> {
    pub truth: Trace<'e, 'm>,
    pub lies: BTreeMap<u64, Vec<u8>>,
    /// A tensor that it opens with other bytes: leaves, and the roots of the tensors beside it.
    pub bent: Option<Bent>,
}

pub struct Bent {
    pub tensor: Tensor,
    pub leaves: Vec<Vec<u8>>,
    pub roots: Vec<Digest>,
}

pub fn node_of(hashes: Vec<H256>, level: u32, index: u64) -> Digest {
    let range = levels::below(hashes.len() as u64, level, index, 0);
    root_of(hashes[range.start as usize..range.end as usize].to_vec()).0
}

impl<'e, 'm> Player<'e, 'm> {
    pub fn honest(truth: Trace<'e, 'm>) -> Self {
        Self {
            truth,
            lies: BTreeMap::new(),
            bent: None,
        }
    }

    /// Says that an element is another.
    pub fn lie(&mut self, leaf: u64, element: u32, change: i64) {
        let layout = self.truth.layout().clone();
        let kind = layout.leaf(leaf).unwrap().place.row.element();
        let mut bytes = self.truth.leaves(leaf, 1).unwrap().remove(0);
        let value = kind.at(&bytes, element as usize).unwrap();
        let mut written = Vec::new();
        kind.write(value.wrapping_add(change), &mut written);
        let start = element as usize * kind.bytes();
        bytes[start..start + kind.bytes()].copy_from_slice(&written);
        self.lies.insert(leaf, bytes);
    }

    /// Says that this is the token.
    pub fn lie_about_token(&mut self, token: TokenId) {
        let last = self.truth.layout().leaves() - 1;
        self.lies.insert(last, token.to_le_bytes().to_vec());
    }

    pub fn leaf_at(&mut self, index: u64) -> Vec<u8> {
        match self.lies.get(&index) {
            Some(bytes) => bytes.clone(),
            None => self.truth.leaves(index, 1).unwrap().remove(0),
        }
    }

    pub fn trace_node(&mut self, level: u32, index: u64) -> H256 {
        let leaves = self.truth.layout().leaves();
        let below = levels::below(leaves, level, index, 0);
        if self.lies.range(below).next().is_none() {
            return H256(self.truth.node(level, index).unwrap());
        }
        match level {
            0 => leaf_hash(&self.leaf_at(index)),
            _ => {
                let children = levels::below(leaves, level, index, level - 1);
                let children = children.map(|child| self.trace_node(level - 1, child));
                root_of(children.collect())
            }
        }
    }

    pub fn answer(&mut self, given: &Given, position: u32) -> Answer<u64> {
        let leaves = self.truth.layout().leaves();
        let (height, level) = (levels::height(leaves), levels::first(leaves));
        let nodes: Vec<H256> = levels::below(leaves, height, 0, level)
            .map(|index| self.trace_node(level, index))
            .collect();
        let mut siblings = Vec::new();
        let mut index = leaves - 1;
        for level in 0..height {
            // The last leaf's way is along last nodes: a sibling is on the left, or there is none.
            if index % 2 == 1 {
                siblings.push(self.trace_node(level, index - 1));
            }
            index /= 2;
        }
        Answer::Trace {
            signature: given.user_signature(),
            nodes: nodes.try_into().unwrap(),
            last: LeafOpening {
                bytes: self.leaf_at(leaves - 1).try_into().unwrap(),
                siblings: siblings.try_into().unwrap(),
            },
            token: given.open_token(position),
        }
    }

    pub fn below(&mut self, level: u32, index: u64) -> Revelation {
        let leaves = self.truth.layout().leaves();
        match levels::next(level) {
            Some(to) => Revelation::Nodes(
                levels::below(leaves, level, index, to)
                    .map(|index| self.trace_node(to, index))
                    .collect::<Vec<_>>()
                    .try_into()
                    .unwrap(),
            ),
            None => Revelation::Leaves(
                levels::below(leaves, level, index, 0)
                    .map(|index| self.leaf_at(index).try_into().unwrap())
                    .collect::<Vec<_>>()
                    .try_into()
                    .unwrap(),
            ),
        }
    }

    /// The move that comes next; none if it has nothing to show.
    pub fn prove(&mut self, given: &Given, target: &Target) -> Option<Vec<u8>> {
        let case = Case {
            layout: self.truth.layout().clone(),
            seed: given.header.seed(&given.header.hash(), &given.randomness),
        };
        let output_len = match given.header.task {
            Task::Generate => given.output.len() as u32,
            Task::Score { .. } => 0,
        };
        let proof = trace::prove(&case, target, output_len, self, blake2_256).ok()?;
        Some(proof.encode())
    }
}

impl Source for Player<'_, '_> {
    type Error = TraceError;

    fn cells(&mut self, place: Place, first: u64, out: &mut [i64]) -> Result<(), TraceError> {
        for (element, slot) in (first..).zip(out) {
            let cell = Cell { place, element };
            let (leaf, element) = self.truth.layout().leaf_of(cell).ok_or(TraceError::Place)?;
            let bytes = self.leaf_at(leaf);
            *slot = place.row.element().at(&bytes, element as usize).unwrap();
        }
        Ok(())
    }

    fn tensor(&mut self, tensor: Tensor, leaf: u64) -> Result<Vec<u8>, TraceError> {
        match &self.bent {
            Some(bent) if bent.tensor == tensor => Ok(bent.leaves[leaf as usize].clone()),
            _ => self.truth.tensor(tensor, leaf),
        }
    }

    fn token(&mut self, position: u32) -> Result<u32, TraceError> {
        self.truth.token(position)
    }
}

impl Trees for Player<'_, '_> {
    fn leaf(&mut self, tree: Tree, index: u64) -> Result<Vec<u8>, TraceError> {
        match tree {
            Tree::Trace => Ok(self.leaf_at(index)),
            Tree::Tensor(tensor) => self.tensor(tensor, index),
            _ => Trees::leaf(&mut self.truth, tree, index),
        }
    }

    fn node(&mut self, tree: Tree, level: u32, index: u64) -> Result<Digest, TraceError> {
        match (tree, &self.bent) {
            (Tree::Trace, _) => Ok(self.trace_node(level, index).0),
            (Tree::Tensor(tensor), Some(bent)) if bent.tensor == tensor => {
                let hashes = bent.leaves.iter().map(|leaf| leaf_hash(leaf)).collect();
                Ok(node_of(hashes, level, index))
            }
            (Tree::Weights, Some(bent)) => {
                let hashes = bent.roots.iter().map(|root| leaf_hash(root)).collect();
                Ok(node_of(hashes, level, index))
            }
            _ => Trees::node(&mut self.truth, tree, level, index),
        }
    }
}

pub fn target_of(truth: &Trace, step: &StepRecord) -> Target {
    Target {
        cell: truth.layout().cell(step.leaf, step.element).unwrap(),
        value: step.value,
        parts: step
            .parts
            .iter()
            .map(|part| Part {
                index: part.index,
                value: part.value,
            })
            .collect(),
    }
}
