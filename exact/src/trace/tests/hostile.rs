//! Proofs that nobody honest makes.

use std::vec::Vec;

use assay_primitives::{blake2_256, LEAF_TOKENS};
use codec::{Decode, Encode};

use super::{all_settings, book::Book, shape};
use crate::{
    leaf::Parameter,
    random::{Numbers, Weights},
    shape::Shape,
    trace::{
        check_step, made, rule, Answered, Case, Opening, Part, Place, Proof, ProofError, Row,
        Ruling, Target, Trace, Tree, Trees,
    },
    Backend, Cpu, Engine,
};

/// Whatever the bytes and the target are, there is a ruling or an error.
#[test]
fn any_bytes_and_any_target_have_an_end() {
    let mut numbers = Numbers::new(11);
    let weights = Weights::random(&shape(), 4);
    let model = weights.model();
    let tokens = numbers.tokens(20, &shape());
    let mut book = Book::new(&model, all_settings()[2], &tokens, &tokens[..2], true);
    let roots = book.roots();
    let case = book.case.clone();
    let proofs: Vec<Vec<u8>> = made::targets(&case.layout)
        .map(|target| book.prove(&target).encode())
        .collect();
    let mut decoded = 0;
    for round in 0..20_000 {
        let mut bytes = proofs[numbers.below(proofs.len())].clone();
        for _ in 0..numbers.below(8) {
            let place = numbers.below(bytes.len());
            bytes[place] = numbers.draw() as u8;
        }
        if round % 4 == 0 {
            bytes.truncate(numbers.below(bytes.len()));
        }
        if round % 16 == 0 {
            bytes = (0..numbers.below(600))
                .map(|_| numbers.draw() as u8)
                .collect();
        }
        let Ok(proof) = Proof::decode(&mut bytes.as_slice()) else {
            continue;
        };
        decoded += 1;
        let any = |numbers: &mut Numbers| numbers.draw() >> numbers.below(64);
        let leaf = any(&mut numbers) % case.layout.leaves();
        let cell = case.layout.cell(leaf, 0).unwrap();
        let mut target = Target::element(cell, any(&mut numbers) as i64);
        target.cell.element = any(&mut numbers);
        if round % 3 == 0 {
            target.cell.place.position = any(&mut numbers) as u32;
            target.cell.place.layer = any(&mut numbers) as u16;
        }
        for _ in 0..numbers.below(4) {
            target.parts.push(Part {
                index: any(&mut numbers) as u32,
                value: any(&mut numbers) as i64,
            });
        }
        let _ = check_step(&case, &roots, &target, &proof, blake2_256);
        let _ = target.fan(&case.layout);
    }
    assert!(decoded > 5_000, "{decoded}");
}

/// Numbers of any size in the leaves that a step reads, authenticated: a ruling, and no panic.
#[test]
fn any_numbers_have_a_ruling() {
    let mut numbers = Numbers::new(12);
    let weights = Weights::random(&shape(), 4);
    let model = weights.model();
    let tokens = numbers.tokens(20, &shape());
    for settings in all_settings() {
        let mut book = Book::new(&model, settings, &tokens, &tokens[..2], false);
        let case = book.case.clone();
        for mut target in made::targets(&case.layout) {
            let mut proof = book.prove(&target);
            for round in 0..20 {
                let mut any = || match round % 4 {
                    0 => 0,
                    1 => i64::MIN >> numbers.below(64),
                    _ => numbers.draw() as i64 >> numbers.below(64),
                };
                target.value = any();
                for part in &mut proof.parts {
                    *part = any();
                }
                let tensors = proof
                    .tables
                    .tensors
                    .iter_mut()
                    .chain(&mut proof.weights.tensors);
                let openings = tensors
                    .map(|tensor| &mut tensor.1)
                    .chain([&mut proof.trace]);
                for opening in openings {
                    for byte in opening.leaves.iter_mut().flat_map(|leaf| &mut leaf.1) {
                        if round < 8 || any() % 64 == 0 {
                            *byte = any() as u8;
                        }
                    }
                }
                let mut roots = book.roots();
                let root = |opening: &Opening, count| opening.root(count, blake2_256);
                if let Some(found) = root(&proof.trace, case.layout.leaves()) {
                    roots.trace = found;
                }
                if let Ok(found) = proof.tables.root(Tree::Tables, &case.layout, blake2_256) {
                    roots.tables = found;
                }
                if let Ok(found) = proof.weights.root(Tree::Weights, &case.layout, blake2_256) {
                    roots.weights = found;
                }
                match check_step(&case, &roots, &target, &proof, blake2_256) {
                    // A claimed cut, or a gate, is where something else is read.
                    Ok(_) | Err(ProofError::Missing(_)) => {}
                    Err(error) => panic!("{error:?}: {target:?}"),
                }
            }
        }
    }
}

/// What would break the law of causality is refused, authenticated or not.
#[test]
fn a_leaf_at_or_behind_the_target_is_refused() {
    let mut numbers = Numbers::new(13);
    let weights = Weights::random(&shape(), 4);
    let model = weights.model();
    let tokens = numbers.tokens(20, &shape());
    let mut book = Book::new(&model, all_settings()[0], &tokens, &[], false);
    let case = book.case.clone();
    let targets: Vec<Target> = made::targets(&case.layout).collect();
    for pair in targets.windows(2) {
        let [before, behind] = [&pair[0], &pair[1]].map(|target| book.target(target.cell));
        let proof = book.prove(&behind);
        let (leaf, _) = case.layout.leaf_of(before.cell).unwrap();
        let later = proof.trace.leaves.iter().any(|opened| opened.0 >= leaf);
        let ruling = book.check(&before, &proof);
        assert_eq!(
            ruling == Err(ProofError::Later),
            later,
            "{before:?} {behind:?}"
        );
    }
}

#[test]
fn more_leaves_than_a_step_reads_are_refused() {
    let mut numbers = Numbers::new(13);
    let weights = Weights::random(&shape(), 4);
    let model = weights.model();
    let tokens = numbers.tokens(20, &shape());
    let mut book = Book::new(&model, all_settings()[0], &tokens, &[], false);
    let case = book.case.clone();
    let last = case.layout.cell(case.layout.leaves() - 1, 0).unwrap();
    let target = book.target(last);
    for (leaves, refused) in [(32, false), (33, true)] {
        let first = case.layout.leaves() - 1 - leaves;
        let opened = (first..).take(leaves as usize);
        let opened = opened.map(|leaf| (leaf, book.leaves[leaf as usize].clone()));
        let node = |book: &mut Book, level, index| Trees::node(book, Tree::Trace, level, index);
        let opened: Vec<_> = opened.collect();
        let mut proof = book.prove(&target);
        let count = case.layout.leaves();
        proof.trace =
            Opening::new(opened, count, |level, index| node(&mut book, level, index)).unwrap();
        let ruling = book.check(&target, &proof);
        let wanted = if refused {
            Err(ProofError::TooMany(Tree::Trace))
        } else {
            Ok(Ruling::Holds)
        };
        assert_eq!(ruling, wanted);
    }
}

type Chosen = fn(&mut Proof) -> Option<&mut Opening>;

/// A leaf has the length that follows from its place, whatever root it leads to.
#[test]
fn a_leaf_of_another_length_is_refused() {
    let mut numbers = Numbers::new(13);
    let weights = Weights::random(&shape(), 4);
    let model = weights.model();
    let tokens = numbers.tokens(40, &shape());
    let settings = all_settings()[2];
    let mut book = Book::new(&model, settings, &tokens[..34], &tokens[34..], true);
    let case = book.case.clone();
    let layout = &case.layout;
    for target in made::targets(layout) {
        let target = book.target(target.cell);
        let proof = book.prove(&target);
        let prompt = u64::from(layout.prompt_len().div_ceil(LEAF_TOKENS as u32));
        let openings: [(Tree, Chosen); 4] = [
            (Tree::Trace, |proof| Some(&mut proof.trace)),
            (Tree::Prompt, |proof| Some(&mut proof.prompt)),
            (Tree::Tables, |proof| {
                Some(&mut proof.tables.tensors.first_mut()?.1)
            }),
            (Tree::Weights, |proof| {
                Some(&mut proof.weights.tensors.first_mut()?.1)
            }),
        ];
        for (tree, opening) in openings {
            for longer in [true, false] {
                let mut changed = proof.clone();
                let opened = opening(&mut changed).and_then(|opening| opening.leaves.last_mut());
                let Some((_, bytes)) = opened else { continue };
                if longer {
                    bytes.push(0);
                } else {
                    bytes.pop();
                }
                let mut roots = book.roots();
                let led = match tree {
                    Tree::Trace => changed.trace.root(layout.leaves(), blake2_256),
                    Tree::Prompt => changed.prompt.root(prompt, blake2_256),
                    _ => None,
                };
                match tree {
                    Tree::Trace => roots.trace = led.unwrap(),
                    Tree::Prompt => roots.prompt = led.unwrap(),
                    _ => {}
                }
                let ruling = check_step(&case, &roots, &target, &changed, blake2_256);
                assert!(
                    matches!(ruling, Err(ProofError::Leaf(_))),
                    "{ruling:?}: {tree:?} of {target:?}"
                );
            }
        }
    }
}

/// A model's number outside the format is nobody's fault.
#[test]
fn a_broken_parameter_is_named() {
    let mut numbers = Numbers::new(14);
    let weights = Weights::random(&shape(), 4);
    let model = weights.model();
    let tokens = numbers.tokens(3, &shape());
    let mut book = Book::new(&model, all_settings()[0], &tokens, &[], false);
    let case = book.case.clone();
    let mut found = Vec::new();
    for target in made::targets(&case.layout) {
        let target = Target {
            value: book.value(target.cell),
            ..target
        };
        if !target.parts.is_empty() {
            continue;
        }
        let mut proof = book.prove(&target);
        for (_, opening) in proof
            .tables
            .tensors
            .iter_mut()
            .chain(&mut proof.weights.tensors)
        {
            for byte in opening.leaves.iter_mut().flat_map(|leaf| &mut leaf.1) {
                *byte = 128;
            }
        }
        let mut roots = book.roots();
        if let Ok(root) = proof.tables.root(Tree::Tables, &case.layout, blake2_256) {
            roots.tables = root;
        }
        if let Ok(root) = proof.weights.root(Tree::Weights, &case.layout, blake2_256) {
            roots.weights = root;
        }
        let ruling = check_step(&case, &roots, &target, &proof, blake2_256).unwrap();
        match ruling {
            Ruling::Broken(parameter) => found.push(parameter),
            ruling => {
                let reads_model =
                    !proof.tables.tensors.is_empty() || !proof.weights.tensors.is_empty();
                assert!(!reads_model, "{ruling:?}: {target:?}");
            }
        }
    }
    assert!(found.len() > 10, "{found:?}");
}

/// Engines do not look at a weight's range, so an honest provider of a broken model has an answer to
/// defend: its parts lead to the weight.
#[test]
fn a_broken_weight_is_reached_through_the_parts() {
    let long = Shape {
        intermediate: 1100,
        ..shape()
    };
    let weights = Weights::random(&long, 4);
    let mut model = weights.model();
    let mut down = model.layers[0].down.weights.to_vec();
    // Of the second output's second block.
    down[1100 + 1050] = -128;
    model.layers[0].down.weights = &down;
    let cpu = Cpu::new(Backend::best(), 1).unwrap();
    let engine = Engine::new(&model, &cpu).unwrap();
    let answered = Answered {
        prompt: &[1, 2, 3],
        output: &[0],
        settings: all_settings()[0],
        seed: [0; 32],
        secret: None,
        scored: false,
        index: 0,
    };
    let mut trace = Trace::new(&engine, &answered).unwrap();
    let case = Case {
        layout: trace.layout().clone(),
        seed: [0; 32],
    };
    let place = Place {
        position: 1,
        layer: 0,
        row: Row::Down,
    };
    for (element, broken) in [(0, false), (1, true)] {
        let cell = place.cell(element);
        let target = Target::element(cell, trace.cell(cell).unwrap());
        let proof = trace.prove(&target).unwrap();
        let mut ruled = |target: &Target, parts: &[i64]| {
            rule(&case, target, parts, &mut trace, blake2_256).unwrap()
        };
        assert_eq!(ruled(&target, &proof.parts), Ruling::Parts);
        for (index, value) in proof.parts.into_iter().enumerate() {
            let mut part = target.clone();
            part.parts.push(Part {
                index: index as u32,
                value,
            });
            let wanted = if broken && index == 1 {
                Ruling::Broken(Parameter::Weight)
            } else {
                Ruling::Holds
            };
            assert_eq!(ruled(&part, &[]), wanted);
        }
    }
}
