//! A whole trace, leaf by leaf, each element by the function that judges it, from the leaves before it.

use std::{collections::BTreeMap, format, string::String, vec, vec::Vec};

use assay_primitives::{blake2_256, LEAF_TOKENS};

use super::stored::stored;
use crate::{
    model::Model,
    sampling::{self, Settings, BINS},
    tensor::Tensor,
    trace::{
        finding::Finding,
        opening::{fold, leaf_hash},
        step::found,
        Case, Cell, Digest, Layout, Place, Proof, ProofError, Roots, Row, Ruling, Source, Target,
        Tree, Trees,
    },
};

pub const SEED: [u8; 32] = [7; 32];
const SALT: u8 = 9;

pub struct Book<'a> {
    model: &'a Model<'a>,
    pub case: Case,
    pub prompt: Vec<u32>,
    /// The whole answer; the last token is the one that the trace chose.
    pub output: Vec<u32>,
    pub salted: bool,
    pub leaves: Vec<Vec<u8>>,
    tensors: BTreeMap<Tensor, Vec<u8>>,
    levels: BTreeMap<String, Vec<Vec<Digest>>>,
}

impl<'a> Book<'a> {
    /// The trace of the token behind `prompt` and `output`.
    pub fn new(
        model: &'a Model<'a>,
        settings: Settings,
        prompt: &[u32],
        output: &[u32],
        salted: bool,
    ) -> Self {
        let prompt_len = prompt.len() as u32;
        let layout = Layout::new(model.shape, &settings, prompt_len, output.len() as u32);
        let tensors = Tensor::TABLES
            .into_iter()
            .chain(Tensor::weights(model.shape));
        let tensors = tensors.map(|tensor| (tensor, stored(model, tensor)));
        let mut book = Self {
            model,
            case: Case {
                layout: layout.unwrap(),
                seed: SEED,
            },
            prompt: prompt.to_vec(),
            output: output.to_vec(),
            salted,
            leaves: vec![],
            tensors: tensors.collect(),
            levels: BTreeMap::new(),
        };
        for index in 0..book.case.layout.leaves() {
            let leaf = book.case.layout.leaf(index).unwrap();
            let mut bytes = vec![];
            for element in 0..leaf.elements {
                let cell = book.case.layout.cell(index, element).unwrap();
                let value = book.computed(cell);
                leaf.place.row.element().write(value, &mut bytes);
            }
            book.leaves.push(bytes);
        }
        let token = book.leaves.last().unwrap();
        book.output
            .push(Row::Token.element().at(token, 0).unwrap() as u32);
        book
    }

    fn computed(&mut self, cell: Cell) -> i64 {
        let value = self.recognisable(cell);
        let case = self.case.clone();
        match found(&case, cell, value, &mut *self, blake2_256).unwrap() {
            Finding::Is(found) => found,
            Finding::Recognised(holds) => {
                assert!(holds, "{cell:?}: {value}");
                value
            }
        }
    }

    /// The value of what is only recognised, by the functions that an engine chooses with.
    fn recognisable(&mut self, cell: Cell) -> i64 {
        let settings = *self.case.layout.settings();
        let row = |book: &mut Self, row| {
            let place = cell.place.row(row);
            let extent = book.case.layout.extent(row, place.position).unwrap();
            let mut cells = vec![0; extent.elements() as usize];
            book.cells(place, 0, &mut cells).unwrap();
            cells
        };
        let narrow =
            |cells: Vec<i64>| -> Vec<i32> { cells.iter().map(|cell| *cell as i32).collect() };
        match cell.place.row {
            Row::Cut => {
                let penalised = self.case.layout.has_penalty();
                let of = if penalised {
                    Row::Penalised
                } else {
                    Row::Logits
                };
                let cut = sampling::cut(&narrow(row(self, of)), settings.top_k);
                crate::trace::pair(cut.logit, cut.token)
            }
            Row::LastBin => {
                let sums = row(self, Row::Cumulative);
                assert_eq!(sums.len(), BINS);
                let before = [0].into_iter().chain(sums.iter().copied());
                let bins: Vec<i64> = sums
                    .iter()
                    .zip(before)
                    .map(|(sum, before)| sum - before)
                    .collect();
                sampling::last_bin(&bins, settings.top_p).unwrap() as i64
            }
            Row::Token => {
                let logits = narrow(row(self, Row::Logits));
                let seen = [self.prompt.as_slice(), &self.output].concat();
                let message = sampling::draw_message(&SEED, seen.len() as u32);
                let random = sampling::random(&blake2_256(&message));
                let exp2 = self.model.tables.exp2;
                sampling::choose(&logits, &seen, &settings, random, exp2)
                    .unwrap()
                    .into()
            }
            _ => 0,
        }
    }

    /// What a leaf says of a cell.
    pub fn value(&self, cell: Cell) -> i64 {
        let (leaf, inside) = self.case.layout.leaf_of(cell).unwrap();
        let element = cell.place.row.element();
        element
            .at(&self.leaves[leaf as usize], inside as usize)
            .unwrap()
    }

    pub fn target(&self, cell: Cell) -> Target {
        Target::element(cell, self.value(cell))
    }

    pub fn prove(&mut self, target: &Target) -> Proof {
        let (case, output) = (self.case.clone(), self.output.len() as u32);
        crate::trace::prove(&case, target, output, self, blake2_256).unwrap()
    }

    pub fn roots(&mut self) -> Roots {
        let root = |book: &mut Self, tree| book.levels(tree).last().unwrap()[0];
        Roots {
            trace: root(self, Tree::Trace),
            prompt: root(self, Tree::Prompt),
            output: root(self, Tree::Output),
            tables: root(self, Tree::Tables),
            weights: root(self, Tree::Weights),
            salted: self.salted,
            output_len: self.output.len() as u32,
        }
    }

    pub fn check(&mut self, target: &Target, proof: &Proof) -> Result<Ruling, ProofError> {
        let roots = self.roots();
        crate::trace::check_step(&self.case, &roots, target, proof, blake2_256)
    }

    fn token_leaf(&self, tokens: &[u32], index: u64) -> Vec<u8> {
        let chunk = tokens.chunks(LEAF_TOKENS).nth(index as usize).unwrap();
        let salt = if self.salted { vec![SALT; 32] } else { vec![] };
        let tokens = chunk.iter().flat_map(|token| token.to_le_bytes());
        salt.into_iter().chain(tokens).collect()
    }

    fn tree_leaves(&mut self, tree: Tree) -> Vec<Vec<u8>> {
        let shape = self.model.shape;
        let tokens = |book: &Self, tokens: &[u32]| {
            let leaves = tokens.len().div_ceil(LEAF_TOKENS) as u64;
            (0..leaves)
                .map(|leaf| book.token_leaf(tokens, leaf))
                .collect()
        };
        let roots = |book: &mut Self, tensors: Vec<Tensor>| {
            let root = |tensor| book.levels(Tree::Tensor(tensor)).last().unwrap()[0].to_vec();
            tensors.into_iter().map(root).collect()
        };
        match tree {
            Tree::Trace => self.leaves.clone(),
            Tree::Prompt => tokens(self, &self.prompt),
            Tree::Output => tokens(self, &self.output),
            Tree::Tensor(tensor) => {
                let form = tensor.form(shape);
                let leaves = 0..form.leaves();
                let bytes = &self.tensors[&tensor];
                leaves
                    .map(|leaf| form.leaf(bytes, leaf).unwrap().to_vec())
                    .collect()
            }
            Tree::Tables => roots(self, Tensor::TABLES.to_vec()),
            Tree::Weights => roots(self, Tensor::weights(shape).collect()),
        }
    }

    fn levels(&mut self, tree: Tree) -> &[Vec<Digest>] {
        let key = format!("{tree:?}");
        if !self.levels.contains_key(&key) {
            let leaves = self.tree_leaves(tree);
            let hash = |leaf: &Vec<u8>| leaf_hash(leaf, blake2_256);
            let mut levels = vec![leaves.iter().map(hash).collect::<Vec<_>>()];
            while levels.last().unwrap().len() > 1 {
                let pairs = levels.last().unwrap().chunks(2);
                levels.push(pairs.map(|pair| fold(pair, blake2_256).unwrap()).collect());
            }
            self.levels.insert(key.clone(), levels);
        }
        &self.levels[&key]
    }
}

/// Nothing that is read fails: a leaf that is not there yet would break causality.
impl Source for Book<'_> {
    type Error = ();

    fn cells(&mut self, place: Place, first: u64, out: &mut [i64]) -> Result<(), ()> {
        let runs = self.case.layout.runs(place, first, out.len() as u64);
        let mut slots = out.iter_mut();
        for run in runs.unwrap() {
            for inside in run.inside..run.inside + run.elements {
                let leaf = &self.leaves[run.leaf as usize];
                let value = place.row.element().at(leaf, inside as usize);
                *slots.next().unwrap() = value.unwrap();
            }
        }
        Ok(())
    }

    fn tensor(&mut self, tensor: Tensor, leaf: u64) -> Result<Vec<u8>, ()> {
        let form = tensor.form(self.model.shape);
        Ok(form.leaf(&self.tensors[&tensor], leaf).unwrap().to_vec())
    }

    fn token(&mut self, position: u32) -> Result<u32, ()> {
        let position = position as usize;
        let prompt = self.prompt.get(position);
        Ok(*prompt.unwrap_or_else(|| &self.output[position - self.prompt.len()]))
    }
}

impl Trees for Book<'_> {
    fn leaf(&mut self, tree: Tree, index: u64) -> Result<Vec<u8>, ()> {
        Ok(match tree {
            Tree::Trace => self.leaves[index as usize].clone(),
            Tree::Prompt => self.token_leaf(&self.prompt, index),
            Tree::Output => self.token_leaf(&self.output, index),
            Tree::Tensor(tensor) => self.tensor(tensor, index)?,
            Tree::Tables | Tree::Weights => unreachable!(),
        })
    }

    fn node(&mut self, tree: Tree, level: u32, index: u64) -> Result<Digest, ()> {
        Ok(self.levels(tree)[level as usize][index as usize])
    }
}
