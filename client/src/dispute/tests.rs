//! Whole games between players and the real judge, on a board that moves as the chain does.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    path::Path,
};

use assay_exact::{
    answer::{generate, Request},
    folder::Folder,
    import,
    trace::{
        check_step, levels, opening, Case, Digest, Layout, Opening, Proof, Roots, Row, Ruling,
        Target,
    },
    Cpu, Engine,
};
use assay_primitives::{blake2_256, salted_token_root, token_root, Sampling, Side as TokenSide};
use subxt::utils::H256;

use super::{play, Choice, Computed, Exhibit, Move, Play, Side, Stage, Step, Study, Witness};

const SAMPLED: Sampling = Sampling {
    temperature: 900_000,
    top_k: 40,
    top_p: 950_000,
    min_p: 10_000,
    penalty: 1_100_000,
    nonce: 3,
};

/// The chain's side of a game.
struct Board {
    case: Case,
    roots: Roots,
    root: Option<H256>,
    token: u32,
    /// The list of tokens that has it: its root, its length, and the token's place.
    tokens: (Digest, u64, u32),
    stage: Stage,
    moves: u32,
}

#[derive(Debug, PartialEq)]
enum Outcome {
    GoesOn,
    Won(Side),
    Refused(&'static str),
}

impl Board {
    fn new(folder: &Folder, exhibit: &Exhibit) -> Self {
        let parts = folder.parts();
        let root = |side, tokens: &[u32]| match exhibit.secret {
            None => token_root(tokens).0,
            Some(secret) => salted_token_root(&secret, side, tokens).0,
        };
        let length = exhibit.prompt.len() as u32;
        let (shape, settings) = (&folder.manifest().shape, exhibit.sampling.into());
        let all = [&exhibit.prompt[..], &exhibit.output].concat();
        let (layout, prompt, output) = match exhibit.scored {
            false => (
                Layout::new(shape, &settings, length, exhibit.position),
                &exhibit.prompt,
                &exhibit.output[..],
            ),
            true => (
                Layout::scored(shape, &settings, all.len() as u32, length, exhibit.position),
                &all,
                &[][..],
            ),
        };
        let (prompt_root, output_root) = (
            root(TokenSide::Prompt, prompt),
            root(TokenSide::Output, output),
        );
        let tokens = match exhibit.scored {
            false => (output_root, output.len() as u64, exhibit.position),
            true => (prompt_root, all.len() as u64, length + exhibit.position),
        };
        Self {
            case: Case {
                layout: layout.unwrap(),
                seed: exhibit.seed,
            },
            roots: Roots {
                trace: [0; 32],
                prompt: prompt_root,
                output: output_root,
                tables: parts.tables.0,
                weights: parts.weights_root.0,
                salted: exhibit.secret.is_some(),
                output_len: output.len() as u32,
            },
            root: None,
            token: exhibit.output[exhibit.position as usize],
            tokens,
            stage: Stage::Answer,
            moves: 0,
        }
    }

    fn leaves(&self) -> u64 {
        self.case.layout.leaves()
    }

    fn apply(&mut self, made: Move, hash_of_node: &mut Option<H256>) -> Outcome {
        use Outcome::*;
        self.moves += 1;
        let fold = |nodes: &[H256]| {
            let nodes: Vec<_> = nodes.iter().map(|node| node.0).collect();
            opening::fold(&nodes, hash).map(H256)
        };
        let leaves = self.leaves();
        let (stage, outcome) = match (self.stage.clone(), made) {
            (
                Stage::Answer,
                Move::Trace {
                    nodes, last, token, ..
                },
            ) => {
                let level = levels::first(leaves);
                if nodes.len() as u64 != leaves.div_ceil(1 << level) {
                    return Refused("number of nodes");
                }
                let root = fold(&nodes);
                if last.root(leaves, hash).map(H256) != root || last.leaves[0].0 != leaves - 1 {
                    return Refused("last leaf");
                }
                let (root_of_tokens, length, place) = self.tokens;
                if token.root(length.div_ceil(32), hash) != Some(root_of_tokens) {
                    return Refused("token leaf");
                }
                let salt = if self.roots.salted { 32 } else { 0 };
                let at = salt + place as usize % 32 * 4;
                if token.leaves[0].1[at..at + 4] != last.leaves[0].1[..] {
                    return Refused("another token");
                }
                assert_eq!(token.leaves[0].1[at..at + 4], self.token.to_le_bytes());
                self.root = root;
                self.roots.trace = root.unwrap().0;
                let first = 0;
                (
                    Stage::Nodes {
                        level,
                        first,
                        nodes,
                    },
                    GoesOn,
                )
            }
            (
                Stage::Nodes {
                    level,
                    first,
                    nodes,
                },
                Move::Choose(Choice::Node(index)),
            ) => {
                *hash_of_node = Some(nodes[index as usize]);
                let index = first + u64::from(index);
                (Stage::Node { level, index }, GoesOn)
            }
            (Stage::Node { level, index }, Move::Nodes(nodes)) => {
                let Some(next) = levels::next(level) else {
                    return Refused("leaves are next");
                };
                let below = levels::below(leaves, level, index, next);
                if nodes.len() as u64 != below.end - below.start || fold(&nodes) != *hash_of_node {
                    return Refused("nodes");
                }
                (
                    Stage::Nodes {
                        level: next,
                        first: below.start,
                        nodes,
                    },
                    GoesOn,
                )
            }
            (Stage::Node { level, index }, Move::Leaves(shown)) => {
                let below = levels::below(leaves, level, index, 0);
                let hashes: Vec<_> = shown
                    .iter()
                    .map(|leaf| H256(opening::leaf_hash(leaf, hash)))
                    .collect();
                if levels::next(level).is_some()
                    || shown.len() as u64 != below.end - below.start
                    || fold(&hashes) != *hash_of_node
                {
                    return Refused("leaves");
                }
                (
                    Stage::Leaves {
                        first: below.start,
                        leaves: shown,
                    },
                    GoesOn,
                )
            }
            (Stage::Leaves { first, leaves }, Move::Choose(Choice::Element { leaf, element })) => {
                let number = first + u64::from(leaf);
                let row = self.case.layout.leaf(number).unwrap().place.row;
                let value = row.element().at(&leaves[leaf as usize], element as usize);
                let step = Step {
                    leaf: number,
                    element,
                    value: value.unwrap(),
                    parts: vec![],
                };
                (Stage::Step(step), GoesOn)
            }
            (Stage::Step(step), Move::Prove(proof)) => {
                let target = step.target(&self.case.layout).unwrap();
                match check_step(&self.case, &self.roots, &target, &proof, hash) {
                    Ok(Ruling::Holds) => (self.stage.clone(), Won(Side::Provider)),
                    Ok(Ruling::Refuted) => (self.stage.clone(), Won(Side::Challenger)),
                    Ok(Ruling::Parts) => {
                        let parts = proof.parts;
                        (Stage::Parts { step, parts }, GoesOn)
                    }
                    Ok(Ruling::Broken(_)) => return Refused("the model is broken"),
                    Err(_) => return Refused("proof"),
                }
            }
            (Stage::Parts { mut step, parts }, Move::Choose(Choice::Part(index))) => {
                let value = parts[index as usize];
                step.parts.push(assay_exact::trace::Part { index, value });
                (Stage::Step(step), GoesOn)
            }
            _ => return Refused("another move is next"),
        };
        self.stage = stage;
        outcome
    }
}

fn hash(bytes: &[u8]) -> [u8; 32] {
    blake2_256(bytes)
}

/// The shipped model, made exact.
fn model() -> (tempfile::TempDir, Folder) {
    let floats = Path::new("../models/demo/assay-demo");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model");
    import::huggingface(floats, &path, |_| {}).unwrap();
    let opened = Folder::open(&path).unwrap();
    (folder, opened)
}

fn exhibit(engine: &Engine, sampling: Sampling, secret: Option<[u8; 32]>) -> Exhibit {
    let prompt = vec![0, 1, 1257, 15, 304, 351, 286];
    let request = Request {
        prompt: &prompt,
        settings: sampling.into(),
        seed: [7; 32],
        stop_tokens: &[],
        limit: 14,
    };
    let answer = generate(engine, &request, &mut |_| {
        std::ops::ControlFlow::Continue(())
    });
    Exhibit {
        sampling,
        seed: [7; 32],
        output: answer.unwrap().tokens,
        prompt,
        secret,
        scored: false,
        position: 11,
    }
}

/// Somebody whose trace has other values in some leaves, and everything above them to match.
struct Liar<'a, 'e, 'm> {
    inner: &'a mut Computed<'e, 'm>,
    lies: BTreeMap<u64, Vec<u8>>,
}

impl Liar<'_, '_, '_> {
    fn node(&mut self, level: u32, index: u64) -> H256 {
        let leaves = self.inner.layout().leaves();
        let mut below = levels::below(leaves, level, index, 0);
        if !below.any(|leaf| self.lies.contains_key(&leaf)) {
            return self.inner.nodes(level, index..index + 1).unwrap()[0];
        }
        if level == 0 {
            return H256(opening::leaf_hash(&self.lies[&index], hash));
        }
        let below = levels::below(leaves, level, index, level - 1);
        let nodes: Vec<_> = below.map(|index| self.node(level - 1, index).0).collect();
        H256(opening::fold(&nodes, hash).unwrap())
    }
}

impl Witness for Liar<'_, '_, '_> {
    fn layout(&self) -> &Layout {
        self.inner.layout()
    }

    fn nodes(&mut self, level: u32, range: Range<u64>) -> Result<Vec<H256>, String> {
        Ok(range.map(|index| self.node(level, index)).collect())
    }

    fn leaves(&mut self, range: Range<u64>) -> Result<Vec<Vec<u8>>, String> {
        let mut leaves = self.inner.leaves(range.clone())?;
        for (leaf, bytes) in self.lies.range(range.clone()) {
            leaves[(leaf - range.start) as usize] = bytes.clone();
        }
        Ok(leaves)
    }

    fn open_last(&mut self) -> Result<Opening, String> {
        let leaves = self.inner.layout().leaves();
        let last = self.leaves(leaves - 1..leaves)?.remove(0);
        let opened = vec![(leaves - 1, last)];
        Opening::new(opened, leaves, |level, index| Ok(self.node(level, index).0))
    }

    fn open_token(&mut self) -> Result<Opening, String> {
        self.inner.open_token()
    }

    fn parts(&mut self, target: &Target) -> Result<Vec<i64>, String> {
        self.inner.parts(target)
    }

    /// What is read lies ahead of the lie and is true; only the way to the root is another.
    fn prove(&mut self, target: &Target) -> Result<Proof, String> {
        let mut proof = self.inner.prove(target)?;
        if !proof.trace.is_empty() {
            let leaves = self.inner.layout().leaves();
            let opened = proof.trace.leaves.clone();
            let node = |level, index| Ok::<_, String>(self.node(level, index).0);
            proof.trace = Opening::new(opened, leaves, node)?;
        }
        Ok(proof)
    }
}

/// Plays to the end. The challenger, if `choices` is none, plays its best, else at random from it.
fn game(
    board: &mut Board,
    provider: &mut dyn Witness,
    choose: &mut dyn FnMut(&Stage) -> Play,
) -> Outcome {
    let mut chosen = None;
    loop {
        let play = match board.stage.side() {
            Side::Provider => play::provider(&board.stage, provider, None).unwrap(),
            Side::Challenger => choose(&board.stage),
        };
        let made = match play {
            Play::Move(made) => made,
            Play::NothingWrong => return Outcome::Won(Side::Provider),
            Play::Wait => panic!("nobody moves at {:?}", board.stage),
        };
        match board.apply(made, &mut chosen) {
            Outcome::GoesOn => assert!(board.moves < 20, "no end"),
            over => return over,
        }
    }
}

/// A choice among everything that can be chosen.
fn any(stage: &Stage, layout: &Layout, mut draw: impl FnMut(u32) -> u32) -> Play {
    let choice = match stage {
        Stage::Nodes { nodes, .. } => Choice::Node(draw(nodes.len() as u32)),
        Stage::Leaves { first, leaves } => {
            let leaf = draw(leaves.len() as u32);
            let elements = layout.leaf(first + u64::from(leaf)).unwrap().elements;
            Choice::Element {
                leaf,
                element: draw(elements),
            }
        }
        Stage::Parts { parts, .. } => Choice::Part(draw(parts.len() as u32)),
        _ => return Play::Wait,
    };
    Play::Move(Move::Choose(choice))
}

/// Numbers that look drawn.
fn numbers(mut state: u64) -> impl FnMut(u32) -> u32 {
    move |below| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        ((state >> 33) % u64::from(below)) as u32
    }
}

#[test]
fn an_honest_provider_wins_whatever_is_chosen() {
    let (_folder, folder) = model();
    let cpu = Cpu::detect();
    let engine = Engine::of(&folder, &cpu).unwrap();
    let mut draw = numbers(1);
    for (sampling, secret, scored) in [
        (Sampling::GREEDY, None, false),
        (SAMPLED, Some([5; 32]), false),
        (SAMPLED, Some([5; 32]), true),
    ] {
        let exhibit = Exhibit {
            scored,
            ..exhibit(&engine, sampling, secret)
        };
        let mut honest = Computed::new(&engine, exhibit.clone()).unwrap();
        let layout = honest.layout().clone();
        let mut rows = BTreeSet::new();
        for _ in 0..60 {
            let mut board = Board::new(&folder, &exhibit);
            let outcome = game(&mut board, &mut honest, &mut |stage| {
                any(stage, &layout, &mut draw)
            });
            let Stage::Step(step) = &board.stage else {
                panic!("{outcome:?} at {:?}", board.stage);
            };
            let row = layout.leaf(step.leaf).unwrap().place.row;
            assert_eq!(outcome, Outcome::Won(Side::Provider), "{row:?} {step:?}");
            rows.insert(row);
        }
        assert!(rows.len() > 5, "{rows:?}");
        // A challenger that computes has nothing to choose.
        let mut board = Board::new(&folder, &exhibit);
        let mut other = Computed::new(&engine, exhibit).unwrap();
        let outcome = game(&mut board, &mut honest, &mut |stage| {
            play::challenger(stage, &mut other).unwrap()
        });
        assert_eq!((outcome, board.moves), (Outcome::Won(Side::Provider), 1));
    }
}

#[test]
fn a_lie_is_found_where_it_is_and_convicts() {
    let (_folder, folder) = model();
    let cpu = Cpu::detect();
    let engine = Engine::of(&folder, &cpu).unwrap();
    let exhibit = exhibit(&engine, SAMPLED, Some([5; 32]));
    let mut truth = Computed::new(&engine, exhibit.clone()).unwrap();
    let mut judge = Computed::new(&engine, exhibit.clone()).unwrap();
    let layout = truth.layout().clone();
    let mut draw = numbers(2);
    let mut told = BTreeSet::new();
    for _ in 0..40 {
        let leaf = u64::from(draw(layout.leaves() as u32 - 1));
        let held = layout.leaf(leaf).unwrap();
        let element = draw(held.elements);
        // The first lie, and others behind it: near, far, and in the same leaf.
        let end = layout.leaves() - 2;
        let near = (leaf + 1 + u64::from(draw(9))).min(end);
        let far = leaf + u64::from(draw((end - leaf + 1) as u32));
        let mut lies = BTreeMap::new();
        for lie in [near, far, leaf] {
            let held = layout.leaf(lie).unwrap();
            let size = held.place.row.element().bytes();
            let mut bytes = truth.leaves(lie..lie + 1).unwrap().remove(0);
            for place in (0..held.elements).skip(if lie == leaf { element as usize } else { 0 }) {
                bytes[place as usize * size] ^= 1;
            }
            lies.insert(lie, bytes);
        }
        let mut liar = Liar {
            inner: &mut truth,
            lies,
        };
        let mut board = Board::new(&folder, &exhibit);
        let outcome = game(&mut board, &mut liar, &mut |stage| {
            play::challenger(stage, &mut judge).unwrap()
        });
        let Stage::Step(step) = &board.stage else {
            panic!("{outcome:?} at {:?}", board.stage);
        };
        assert_eq!((step.leaf, step.element), (leaf, element));
        assert_eq!(outcome, Outcome::Won(Side::Challenger), "{:?}", held.place);
        told.insert(held.place.row);
    }
    assert!(told.len() > 5, "{told:?}");
}

#[test]
fn a_false_token_under_a_true_trace_is_not_answered() {
    let (_folder, folder) = model();
    let cpu = Cpu::detect();
    let engine = Engine::of(&folder, &cpu).unwrap();
    let mut exhibit = exhibit(&engine, Sampling::GREEDY, None);
    exhibit.output[11] += 1;
    // Its trace up to there is the true one, whose token is another.
    let mut provider = Computed::new(&engine, exhibit.clone()).unwrap();
    let mut board = Board::new(&folder, &exhibit);
    let outcome = game(&mut board, &mut provider, &mut |_| Play::Wait);
    assert_eq!(outcome, Outcome::Refused("another token"));
    // With its own token in the last leaf it is convicted at that.
    let leaf = provider.layout().leaves() - 1;
    assert_eq!(provider.layout().leaf(leaf).unwrap().place.row, Row::Token);
    let bytes = exhibit.output[11].to_le_bytes().to_vec();
    let mut liar = Liar {
        inner: &mut provider,
        lies: BTreeMap::from([(leaf, bytes)]),
    };
    let mut judge = Computed::new(&engine, exhibit.clone()).unwrap();
    let mut board = Board::new(&folder, &exhibit);
    let outcome = game(&mut board, &mut liar, &mut |stage| {
        play::challenger(stage, &mut judge).unwrap()
    });
    assert_eq!(outcome, Outcome::Won(Side::Challenger));
}

#[tokio::test]
async fn a_study_answers_many_questions_with_one_trace() {
    let (path, folder) = model();
    let cpu = std::sync::Arc::new(Cpu::detect());
    let exhibit = {
        let engine = Engine::of(&folder, &cpu).unwrap();
        exhibit(&engine, Sampling::GREEDY, None)
    };
    let study = super::computed(path.path().join("model"), cpu.clone(), exhibit.clone());
    let study = Study::start(study).unwrap();
    study.ready().await.unwrap();
    assert!(!study.is_computing() && !study.has_failed());
    for _ in 0..2 {
        let play = study.play(Side::Provider, Stage::Answer, None).await;
        assert!(matches!(play, Ok(Play::Move(Move::Trace { .. }))));
    }
    let play = study.play(Side::Challenger, Stage::Answer, None).await;
    assert_eq!(play, Ok(Play::Wait));
    // What cannot be computed is told to everybody who asks.
    let nowhere = super::computed(path.path().join("nowhere"), cpu, exhibit);
    let study = Study::start(nowhere).unwrap();
    for _ in 0..2 {
        assert!(study
            .play(Side::Provider, Stage::Answer, None)
            .await
            .is_err());
    }
    assert!(study.ready().await.is_err());
    assert!(!study.is_computing() && study.has_failed());
}

#[tokio::test]
async fn a_study_is_ready_once_there_is_a_trace_and_fails_with_its_thread() {
    let (go, gate) = std::sync::mpsc::channel::<()>();
    let study = Study::start(Box::new(move |_| {
        let _ = gate.recv();
        Err("no such folder".into())
    }));
    let study = study.unwrap();
    assert!(study.is_computing() && !study.has_failed());
    drop(go);
    assert_eq!(study.ready().await, Err("no such folder".into()));

    // Its thread ends without a word.
    let study = Study::start(Box::new(|_| Ok(()))).unwrap();
    assert!(study.ready().await.is_err());
    assert!(!study.is_computing() && study.has_failed());
}
