//! Proofs that a trace gives, as a judge sees them.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use assay_primitives::tree::{salted_token_root, token_root};

use super::*;
use crate::{
    folder::Folder,
    import::huggingface,
    trace::{check_step, Case, Operator, Part, Roots, Ruling, Target, Tree, Trees},
};

/// The roots that a dispute knows.
fn roots(trace: &mut Trace, answered: &Answered) -> Roots {
    let (prompt, output) = match answered.scored {
        false => (answered.prompt.to_vec(), answered.output),
        true => ([answered.prompt, answered.output].concat(), &[][..]),
    };
    let output_len = output.len() as u32;
    let [prompt, output] = match answered.secret {
        None => [token_root(&prompt), token_root(output)],
        Some(secret) => [
            salted_token_root(&secret, Side::Prompt, &prompt),
            salted_token_root(&secret, Side::Output, output),
        ],
    };
    let top = |trace: &mut Trace, tree| {
        let level = (0..).find(|level| Trees::node(trace, tree, *level, 1).is_err());
        Trees::node(trace, tree, level.unwrap(), 0).unwrap()
    };
    Roots {
        trace: trace.root(),
        prompt: prompt.0,
        output: output.0,
        tables: top(trace, Tree::Tables),
        weights: top(trace, Tree::Weights),
        salted: answered.secret.is_some(),
        output_len,
    }
}

/// Plays a target to its end; the part at each turn is chosen at random.
fn play(
    trace: &mut Trace,
    roots: &Roots,
    case: &Case,
    mut target: Target,
    numbers: &mut Numbers,
) -> Ruling {
    loop {
        let proof = trace.prove(&target).unwrap();
        let ruling = check_step(case, roots, &target, &proof, blake2_256).unwrap();
        assert_eq!(proof.parts, trace.parts(&target).unwrap());
        if ruling != Ruling::Parts {
            return ruling;
        }
        let index = numbers.below(proof.parts.len());
        target.parts.push(Part {
            index: index as u32,
            value: proof.parts[index],
        });
    }
}

#[test]
fn true_elements_are_proven_and_false_ones_refuted() {
    let cpu = Cpu::new(Backend::best(), 2).unwrap();
    let mut numbers = Numbers::new(1);
    for (index, shape) in shapes().iter().enumerate() {
        let weights = Weights::random(shape, index as u64);
        let model = weights.model();
        let engine = Engine::new(&model, &cpu).unwrap();
        let mut tokens = Tokens::new(shape, 33, 50, 5);
        tokens.secret = (index % 2 == 1).then_some([3; 32]);
        let answered = Answered {
            scored: index % 3 != 0,
            ..tokens.answered(samplings()[5 - index], 20)
        };
        let mut trace = Trace::new(&engine, &answered).unwrap();
        let roots = roots(&mut trace, &answered);
        let layout = trace.layout().clone();
        let case = Case {
            layout: layout.clone(),
            seed: answered.seed,
        };
        for position in [31, 47, 52] {
            for span in layout.rows(position).collect::<Vec<_>>() {
                let elements = span.extent.elements() as usize;
                let cell = Cell {
                    place: span.place,
                    element: numbers.below(elements) as u64,
                };
                let value = trace.cell(cell).unwrap();
                let target = Target::element(cell, value);
                let ruling = play(&mut trace, &roots, &case, target, &mut numbers);
                assert_eq!(ruling, Ruling::Holds, "{cell:?}");
                let target = Target::element(cell, value ^ 1);
                let proof = trace.prove(&target).unwrap();
                let ruling = check_step(&case, &roots, &target, &proof, blake2_256).unwrap();
                assert_eq!(ruling, Ruling::Refuted, "{cell:?}");
            }
        }
    }
}

/// Leaves of an engine's trace, each as likely as any other, and one of every kind of row.
#[test]
fn leaves_anywhere_are_proven() {
    const LEAVES: usize = 2_000;
    let shape = &shapes()[2];
    let weights = Weights::random(shape, 6);
    let model = weights.model();
    let cpu = Cpu::new(Backend::best(), 2).unwrap();
    let engine = Engine::new(&model, &cpu).unwrap();
    let mut tokens = Tokens::new(shape, 33, 30, 6);
    tokens.secret = Some([4; 32]);
    let answered = tokens.answered(samplings()[5], 20);
    let mut trace = Trace::new(&engine, &answered).unwrap();
    let roots = roots(&mut trace, &answered);
    let layout = trace.layout().clone();
    let case = Case {
        layout: layout.clone(),
        seed: answered.seed,
    };
    let mut numbers = Numbers::new(6);
    let anywhere: Vec<u64> = (0..LEAVES)
        .map(|_| numbers.draw() % layout.leaves())
        .collect();
    // The last position, and the last that completes a page.
    let rows: BTreeMap<_, _> = [47, 52]
        .iter()
        .flat_map(|position| layout.rows(*position))
        .map(|span| (span.place.row, span.leaf))
        .collect();
    let (mut proven, mut operators) = (0, BTreeSet::new());
    for leaf in anywhere.into_iter().chain(rows.into_values()) {
        let elements = layout.leaf(leaf).unwrap().elements;
        let element = numbers.below(elements as usize) as u32;
        let cell = layout.cell(leaf, element).unwrap();
        let target = Target::element(cell, trace.cell(cell).unwrap());
        let ruling = play(&mut trace, &roots, &case, target, &mut numbers);
        assert_eq!(ruling, Ruling::Holds, "{cell:?}");
        proven += 1;
        operators.insert(cell.place.row.operator());
    }
    assert!(proven > LEAVES, "{proven}");
    let operators: Vec<Operator> = operators.into_iter().collect();
    assert_eq!(operators, Operator::ALL);
}

/// It is of the same tokens, which are only in another tree.
#[test]
fn a_score_s_trace_is_the_answer_s() {
    let shape = &shapes()[0];
    let weights = Weights::random(shape, 4);
    let model = weights.model();
    let cpu = Cpu::new(Backend::best(), 1).unwrap();
    let engine = Engine::new(&model, &cpu).unwrap();
    let tokens = Tokens::new(shape, 33, 5, 5);
    for index in [0, 4] {
        let answered = tokens.answered(samplings()[5], index);
        let score = Answered {
            scored: true,
            ..answered
        };
        let [answer, score] =
            [answered, score].map(|one| Trace::new(&engine, &one).unwrap().root());
        assert_eq!(answer, score);
    }
    let behind = Answered {
        scored: true,
        ..tokens.answered(samplings()[5], 5)
    };
    let refused = Trace::new(&engine, &behind).map(|_| ());
    assert_eq!(refused, Err(TraceError::Layout(LayoutError::Answer)));
}

/// Computed from the model, and taken from its folder.
#[test]
fn a_model_s_roots_are_those_of_its_listing() {
    let source = Path::new("../models/demo/assay-demo");
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("model");
    huggingface(source, &path, |_| {}).unwrap();
    let folder = Folder::open(&path).unwrap();
    let (model, cpu) = (folder.model(), Cpu::detect());
    let tokens = Tokens::new(model.shape, 20, 3, 5);
    let answered = tokens.answered(Settings::GREEDY, 1);
    let engines = [Engine::of(&folder, &cpu), Engine::new(&model, &cpu)];
    let listed = folder.parts();
    for engine in engines.map(Result::unwrap) {
        let mut trace = Trace::new(&engine, &answered).unwrap();
        let roots = roots(&mut trace, &answered);
        assert_eq!(roots.tables, listed.tables.0);
        assert_eq!(roots.weights, listed.weights_root.0);
    }
}
