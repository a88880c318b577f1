//! Games over true traces of a small model, judged by the real referee.

use std::collections::BTreeMap;

use assay_exact::{
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

use self::random::{Numbers, Weights};
use crate::{
    mock::*, referee, Answer, Choice, Convictions, DisputeId, Event, LeafOpening, Revelation,
    Stage, StepRecord, Verdict,
};

#[allow(dead_code)]
#[path = "../../../../exact/tests/random/mod.rs"]
mod random;
mod scores;

fn shape() -> Shape {
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

const GREEDY: Sampling = Sampling::GREEDY;
const EVERYTHING: Sampling = Sampling {
    temperature: 900_000,
    top_k: 20,
    top_p: 800_000,
    min_p: 1_000,
    penalty: 1_300_000,
    nonce: 3,
};

/// The settings, seed and tokens up to one place, as both sides compute them.
fn trace_of<'e, 'm>(engine: &'e Engine<'m>, given: &Given, position: u32) -> Trace<'e, 'm> {
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
fn truth(trace: &mut Trace) -> TokenId {
    let last = trace.layout().leaves() - 1;
    let leaves = trace.leaves(last, 1).unwrap();
    u32::from_le_bytes(leaves[0][..].try_into().unwrap())
}

/// What a listing of the engine's model binds.
fn parts_of(engine: &Engine) -> ModelParts {
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
fn with_model(story: impl FnOnce(&Engine)) {
    let weights = Weights::random(&shape(), 4);
    let model = weights.model();
    let cpu = Cpu::new(Backend::Portable, 1).unwrap();
    let engine = Engine::new(&model, &cpu).unwrap();
    TestExt::new()
        .model(parts_of(&engine))
        .execute_with(|| story(&engine));
}

/// Petra's true answer of so many tokens.
fn true_answer(engine: &Engine, seq: u64, sampling: Sampling, length: u32) -> Given {
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
struct Player<'e, 'm> {
    truth: Trace<'e, 'm>,
    lies: BTreeMap<u64, Vec<u8>>,
    /// A tensor that it opens with other bytes: leaves, and the roots of the tensors beside it.
    bent: Option<Bent>,
}

struct Bent {
    tensor: Tensor,
    leaves: Vec<Vec<u8>>,
    roots: Vec<Digest>,
}

fn node_of(hashes: Vec<H256>, level: u32, index: u64) -> Digest {
    let range = levels::below(hashes.len() as u64, level, index, 0);
    root_of(hashes[range.start as usize..range.end as usize].to_vec()).0
}

impl<'e, 'm> Player<'e, 'm> {
    fn honest(truth: Trace<'e, 'm>) -> Self {
        Self {
            truth,
            lies: BTreeMap::new(),
            bent: None,
        }
    }

    /// Says that an element is another.
    fn lie(&mut self, leaf: u64, element: u32, change: i64) {
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
    fn lie_about_token(&mut self, token: TokenId) {
        let last = self.truth.layout().leaves() - 1;
        self.lies.insert(last, token.to_le_bytes().to_vec());
    }

    fn leaf_at(&mut self, index: u64) -> Vec<u8> {
        match self.lies.get(&index) {
            Some(bytes) => bytes.clone(),
            None => self.truth.leaves(index, 1).unwrap().remove(0),
        }
    }

    fn trace_node(&mut self, level: u32, index: u64) -> H256 {
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

    fn answer(&mut self, given: &Given, position: u32) -> Answer<u64> {
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

    fn below(&mut self, level: u32, index: u64) -> Revelation {
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
    fn prove(&mut self, given: &Given, target: &Target) -> Option<Vec<u8>> {
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

fn target_of(truth: &Trace, step: &StepRecord) -> Target {
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

/// What a challenger chooses that has the true trace: the first that is wrong, or if nothing is, the
/// last.
fn first_wrong(truth: &mut Trace, stage: &Stage) -> Choice {
    let pick = |wrong: Option<usize>, count: usize| wrong.unwrap_or(count - 1) as u32;
    match stage {
        Stage::Nodes {
            level,
            first,
            nodes,
        } => {
            let wrong = (*first..)
                .zip(nodes.iter())
                .position(|(index, node)| truth.node(*level, index).unwrap() != node.0);
            Choice::Node(pick(wrong, nodes.len()))
        }
        Stage::Leaves { first, leaves } => {
            let own = truth.leaves(*first, leaves.len() as u64).unwrap();
            let wrong = own.iter().zip(leaves.iter()).position(|(a, b)| *a != b[..]);
            let leaf = pick(wrong, leaves.len());
            let layout = truth.layout();
            let held = layout.leaf(first + u64::from(leaf)).unwrap();
            let at =
                |bytes: &[u8], element: u32| held.place.row.element().at(bytes, element as usize);
            let (own, shown) = (&own[leaf as usize], &leaves[leaf as usize]);
            let wrong =
                (0..held.elements).position(|element| at(own, element) != at(shown, element));
            let element = pick(wrong, held.elements as usize);
            Choice::Element { leaf, element }
        }
        Stage::Parts { step, parts } => {
            let target = target_of(truth, step);
            let own = truth.parts(&target).unwrap();
            let wrong = own.iter().zip(parts.iter()).position(|(a, b)| a != b);
            Choice::Part(pick(wrong, parts.len()))
        }
        other => panic!("not the challenger's turn: {other:?}"),
    }
}

/// A choice without any sense.
fn any(numbers: &mut Numbers, truth: &Trace, stage: &Stage) -> Choice {
    match stage {
        Stage::Nodes { nodes, .. } => Choice::Node(numbers.below(nodes.len()) as u32),
        Stage::Leaves { first, leaves } => {
            let leaf = numbers.below(leaves.len()) as u32;
            let held = truth.layout().leaf(first + u64::from(leaf)).unwrap();
            let element = numbers.below(held.elements as usize) as u32;
            Choice::Element { leaf, element }
        }
        Stage::Parts { parts, .. } => Choice::Part(numbers.below(parts.len()) as u32),
        other => panic!("not the challenger's turn: {other:?}"),
    }
}

/// Play to the end; whoever has nothing to show lets the time pass. Returns the moves and their bytes.
fn play(
    number: DisputeId,
    given: &Given,
    position: u32,
    player: &mut Player,
    mut chooser: impl FnMut(&Stage) -> Choice,
) -> (u32, usize) {
    let (mut moves, mut bytes) = (0, 0);
    while !is_over(number) {
        moves += 1;
        let by = operator(PETRA);
        match stage(number) {
            Stage::Answer => {
                let shown = player.answer(given, position);
                bytes += shown.encoded_size();
                answer(by, number, shown).unwrap();
            }
            Stage::Node { level, index, .. } => {
                let shown = player.below(level, index);
                bytes += shown.encoded_size();
                reveal(by, number, shown).unwrap();
            }
            Stage::Step(step) => {
                let target = target_of(&player.truth, &step);
                match player.prove(given, &target) {
                    Some(proof) => {
                        assert!(proof.len() <= crate::MAX_PROOF_BYTES as usize);
                        bytes += proof.len();
                        prove(by, number, proof).unwrap();
                    }
                    None => pass(10),
                }
            }
            choosing => {
                let choice = chooser(&choosing);
                bytes += choice.encoded_size();
                choose(CARL, number, choice).unwrap();
            }
        }
    }
    (moves, bytes)
}

fn verdict() -> Verdict {
    let ended = System::events()
        .into_iter()
        .rev()
        .find_map(|record| match record.event {
            RuntimeEvent::Disputes(Event::Ended { verdict, .. }) => Some(verdict),
            _ => None,
        });
    ended.unwrap()
}

#[test]
fn an_honest_provider_wins_whatever_is_chosen() {
    let mut steps_with_parts = 0;
    for sampling in [GREEDY, EVERYTHING] {
        with_model(|engine| {
            let given = true_answer(engine, 0, sampling, 20);
            let mut numbers = Numbers::new(7);
            for game in 0..24 {
                let position = numbers.below(20) as u32;
                let number = given.dispute(CARL, position);
                let mut player = Player::honest(trace_of(engine, &given, position));
                let truth = trace_of(engine, &given, position);
                let mut parts = false;
                let (moves, _) = play(number, &given, position, &mut player, |stage| {
                    parts |= matches!(stage, Stage::Parts { .. });
                    // Half of the games go to where most rows have parts, the last position.
                    match (game % 2, stage) {
                        (0, Stage::Nodes { nodes, .. }) => Choice::Node(nodes.len() as u32 - 1),
                        _ => any(&mut numbers, &truth, stage),
                    }
                });
                steps_with_parts += u32::from(parts);
                assert_eq!(verdict(), Verdict::Acquitted, "game {game} at {position}");
                assert!(moves <= 16, "{moves} moves");
                run_to_fresh_window(&given);
            }
            assert!(Convictions::<Test>::iter().next().is_none());
            assert_eq!(provider(PETRA).bond, BOND);
        });
    }
    assert!(steps_with_parts > 5, "{steps_with_parts}");
}

/// Games take no blocks, but commitments do; the window is 30.
fn run_to_fresh_window(given: &Given) {
    assert!(System::block_number() <= u64::from(given.receipt.anchor.number) + 30 + 2);
    System::reset_events();
}

#[test]
fn a_false_token_is_convicted_by_one_honest_challenger() {
    for sampling in [GREEDY, EVERYTHING] {
        with_model(|engine| {
            let mut given = true_answer(engine, 0, sampling, 12);
            given.output[9] = (given.output[9] + 1) % 1_100;
            // Only the last leaf is false.
            let given = restated(given);
            let number = given.dispute(CARL, 9);
            let mut player = Player::honest(trace_of(engine, &given, 9));
            player.lie_about_token(given.output[9]);
            let mut truth = trace_of(engine, &given, 9);
            play(number, &given, 9, &mut player, |stage| {
                first_wrong(&mut truth, stage)
            });
            assert_eq!(verdict(), Verdict::Convicted);
            assert!(Convictions::<Test>::contains_key(given.claim));
        });
    }
}

/// The receipt over the output as it is now.
fn restated(mut given: Given) -> Given {
    let root =
        assay_primitives::salted_token_root(&SECRET, assay_primitives::Side::Output, &given.output);
    given.receipt.output_root = root;
    given
}

#[test]
fn a_lie_anywhere_in_the_trace_is_found() {
    with_model(|engine| {
        let mut numbers = Numbers::new(5);
        let mut rows = std::collections::BTreeSet::new();
        for game in 0..40u64 {
            let mut given = true_answer(engine, game, EVERYTHING, 3);
            let position = 2;
            given.output[2] = (given.output[2] + 1 + numbers.below(1_000) as u32) % 1_100;
            let given = restated(given);
            let number = given.dispute(CARL, position);
            let mut player = Player::honest(trace_of(engine, &given, position));
            let layout = player.truth.layout().clone();
            // Every second lie is at the last position, which has all rows.
            let first = if game % 2 == 0 {
                layout.start(layout.positions() - 1)
            } else {
                0
            };
            let leaf = first + numbers.below((layout.leaves() - 1 - first) as usize) as u64;
            let held = layout.leaf(leaf).unwrap();
            rows.insert(held.place.row);
            let element = numbers.below(held.elements as usize) as u32;
            player.lie(leaf, element, 1 + numbers.below(2) as i64);
            player.lie_about_token(given.output[2]);
            let mut truth = trace_of(engine, &given, position);
            play(number, &given, position, &mut player, |stage| {
                first_wrong(&mut truth, stage)
            });
            assert_eq!(
                verdict(),
                Verdict::Convicted,
                "game {game}: {held:?} element {element}"
            );
            System::reset_events();
            // The next game needs a provider with something at stake.
            if provider(PETRA).bond < BOND / 2 {
                Providers::bond_extra(RuntimeOrigin::signed(PETRA), BOND).unwrap();
            }
            Providers::set_online(RuntimeOrigin::signed(PETRA), true).unwrap();
        }
        assert!(rows.len() > 10, "{rows:?}");
    });
}

#[test]
fn another_seed_is_another_truth() {
    with_model(|engine| {
        // Petra computes with a seed of her own choice; the chain with the header's.
        let given = true_answer(engine, 0, EVERYTHING, 4);
        let wrong = given
            .clone()
            .with_header(|header| header.sampling.nonce += 1);
        let mut own = trace_of(engine, &wrong, 3);
        let mut right = trace_of(engine, &given, 3);
        let mut given = given.clone();
        given.output[3] = match truth(&mut own) {
            token if token == truth(&mut right) => (token + 1) % 1_100,
            token => token,
        };
        let given = restated(given);
        let number = given.dispute(CARL, 3);
        let mut player = Player::honest(trace_of(engine, &given, 3));
        player.lie_about_token(given.output[3]);
        let mut right = trace_of(engine, &given, 3);
        play(number, &given, 3, &mut player, |stage| {
            first_wrong(&mut right, stage)
        });
        assert_eq!(verdict(), Verdict::Convicted);
    });
}

/// A model with a number outside the format in its final norm: whoever computed with it is not to blame.
#[test]
fn a_broken_model_is_frozen_and_nobody_is_slashed() {
    let weights = Weights::random(&shape(), 4);
    let model = weights.model();
    let cpu = Cpu::new(Backend::Portable, 1).unwrap();
    let engine = Engine::new(&model, &cpu).unwrap();
    let mut parts = parts_of(&engine);

    let tensor = Tensor::FinalNorm;
    let answered = Answered {
        prompt: &[1],
        output: &[0],
        settings: Settings::from(GREEDY),
        seed: [0; 32],
        secret: None,
        scored: false,
        index: 0,
    };
    let mut any_trace = Trace::new(&engine, &answered).unwrap();
    let count = tensor.form(&shape()).leaves();
    let leaves: Vec<Vec<u8>> = (0..count)
        .map(|leaf| {
            let bytes = any_trace.tensor(tensor, leaf).unwrap();
            vec![0x7f; bytes.len()]
        })
        .collect();
    let bent_root = root_of(leaves.iter().map(|leaf| leaf_hash(leaf)).collect()).0;
    let roots: Vec<Digest> = Tensor::weights(&shape())
        .map(|other| match other == tensor {
            true => bent_root,
            false => {
                let height = levels::height(other.form(&shape()).leaves());
                Trees::node(&mut any_trace, Tree::Tensor(other), height, 0).unwrap()
            }
        })
        .collect();
    parts.weights_root = root_of(roots.iter().map(|root| leaf_hash(root)).collect());

    TestExt::new().model(parts).execute_with(|| {
        let given = true_answer(&engine, 0, GREEDY, 4);
        let number = given.dispute(CARL, 2);
        let mut player = Player::honest(trace_of(&engine, &given, 2));
        player.bent = Some(Bent {
            tensor,
            leaves: leaves.clone(),
            roots,
        });
        // Carl names an element that reads the norm.
        let layout = player.truth.layout().clone();
        let place = Place {
            position: layout.positions() - 1,
            layer: 0,
            row: trace::Row::FinalActivation,
        };
        let (leaf, element) = layout.leaf_of(Cell { place, element: 3 }).unwrap();
        let bond = bond_of(CARL);
        let carl = free(CARL);
        assert!(bond > 0);
        play(number, &given, 2, &mut player, |stage| match stage {
            Stage::Nodes { level, first, .. } => Choice::Node(((leaf >> level) - first) as u32),
            Stage::Leaves { first, .. } => Choice::Element {
                leaf: (leaf - first) as u32,
                element,
            },
            other => panic!("{other:?}"),
        });
        assert_eq!(verdict(), Verdict::ModelBroken);
        let listing = Models::listing(listing()).unwrap();
        assert_eq!(listing.status, pallet_models::ListingStatus::Frozen);
        assert_eq!((free(CARL), bond_of(CARL)), (carl + bond, 0));
        assert_eq!(provider(PETRA).bond, BOND);
        assert!(Convictions::<Test>::iter().next().is_none());

        // Another dispute over it ends in the same way.
        let number = given.dispute(CORA, 2);
        assert!(!is_over(number));
    });
}

#[test]
fn a_leaf_is_as_long_as_the_referee_says() {
    with_model(|engine| {
        let given = true_answer(engine, 0, EVERYTHING, 2);
        let mut trace = trace_of(engine, &given, 1);
        let layout = Disputes::layout(&given.header, 1).unwrap();
        assert_eq!(&layout, trace.layout());
        for index in 0..layout.leaves() {
            let leaf = trace.leaves(index, 1).unwrap().remove(0);
            assert_eq!(referee::leaf_length(&layout, index), Some(leaf.len()));
        }
        assert_eq!(referee::leaf_length(&layout, layout.leaves()), None);
    });
}
