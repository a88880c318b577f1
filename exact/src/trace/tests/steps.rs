use std::{collections::BTreeSet, vec::Vec};

use assay_primitives::blake2_256;

use super::{
    all_settings,
    book::{Book, SEED},
    shape, shapes,
};
use crate::{
    random::{Numbers, Weights},
    sampling::Settings,
    shape::Shape,
    trace::{
        check_step, pair, parts, rule, Answered, Case, Cell, Part, Place, Proof, Row, Ruling,
        Target, Trace,
    },
    Backend, Cpu, Engine,
};

/// Calls `each` with the trace of a random answer.
fn with_book(
    shape: &Shape,
    settings: Settings,
    (prompt, output): (usize, usize),
    each: impl FnOnce(Book, Numbers),
) {
    let mut numbers = Numbers::new(prompt as u64 + 1);
    let weights = Weights::random(shape, numbers.draw());
    let model = weights.model();
    let (prompt, output) = (numbers.tokens(prompt, shape), numbers.tokens(output, shape));
    let salted = settings.temperature > 0;
    each(
        Book::new(&model, settings, &prompt, &output, salted),
        numbers,
    );
}

/// Some cells of each row at the positions that differ in their rows.
fn cells(book: &Book, numbers: &mut Numbers) -> Vec<Cell> {
    let layout = &book.case.layout;
    let last = layout.positions() - 1;
    let positions: BTreeSet<u32> = [0, 1, 15, 16, last.saturating_sub(1), last].into();
    let mut cells = Vec::new();
    for position in positions.into_iter().filter(|position| *position <= last) {
        for span in layout.rows(position) {
            let elements = span.extent.elements();
            let random = numbers.below(elements as usize) as u64;
            let some: BTreeSet<u64> = [0, random, elements - 1].into();
            cells.extend(some.into_iter().map(|element| span.place.cell(element)));
        }
    }
    cells
}

/// The lines from an element to parts that are computed at once: some of the parts, at each level.
fn lines(book: &mut Book, cell: Cell, numbers: &mut Numbers) -> Vec<(Target, Proof)> {
    let mut open = [book.target(cell)].to_vec();
    let mut lines = Vec::new();
    while let Some(target) = open.pop() {
        let proof = book.prove(&target);
        let parts = proof.parts.len();
        if parts > 0 {
            let some: BTreeSet<usize> = [0, numbers.below(parts), parts - 1].into();
            for index in some {
                let mut part = target.clone();
                part.parts.push(Part {
                    index: index as u32,
                    value: proof.parts[index],
                });
                open.push(part);
            }
        }
        lines.push((target, proof));
    }
    lines
}

/// The target with another number in question.
fn changed(target: &Target, by: i64) -> Target {
    let mut changed = target.clone();
    match changed.parts.last_mut() {
        Some(part) => part.value += by,
        None => changed.value += by,
    }
    changed
}

/// What is true holds, what is not is refuted: the element, and whatever part of it.
fn judge(book: &mut Book, cell: Cell, numbers: &mut Numbers) {
    for (target, proof) in lines(book, cell, numbers) {
        let wanted = if proof.parts.is_empty() {
            Ruling::Holds
        } else {
            Ruling::Parts
        };
        assert_eq!(book.check(&target, &proof), Ok(wanted), "{target:?}");
        let wrong = changed(&target, [-1, 1, 1 << 32][numbers.below(3)]);
        let proof = book.prove(&wrong);
        assert_eq!(book.check(&wrong, &proof), Ok(Ruling::Refuted), "{wrong:?}");
    }
}

#[test]
fn true_steps_hold_and_others_are_refuted() {
    let mut rows = BTreeSet::new();
    let settings = all_settings();
    for (index, shape) in shapes().iter().enumerate() {
        for (place, lengths) in [(index, (16, 0)), (index + 2, (33, 5)), (index + 3, (1, 0))] {
            let settings = settings[place % settings.len()];
            with_book(shape, settings, lengths, |mut book, mut numbers| {
                for cell in cells(&book, &mut numbers) {
                    judge(&mut book, cell, &mut numbers);
                    rows.insert(cell.place.row);
                }
            });
        }
    }
    let all = [Row::BEFORE, Row::LAYER, Row::AFTER].concat();
    assert_eq!(rows.into_iter().collect::<Vec<_>>(), all);
}

fn answered<'a>(book: &'a Book) -> Answered<'a> {
    Answered {
        prompt: &book.prompt,
        output: &book.output,
        settings: *book.case.layout.settings(),
        seed: SEED,
        secret: None,
        scored: false,
        index: book.output.len() as u32 - 1,
    }
}

/// What judges compute, element by element, is what engines compute.
#[test]
fn the_engines_trace_is_the_judges() {
    let cpu = Cpu::new(Backend::best(), 2).unwrap();
    let settings = all_settings();
    for (index, shape) in shapes().iter().enumerate() {
        for settings in [index, index + 1, index + 3].map(|place| settings[place % settings.len()])
        {
            let mut numbers = Numbers::new(index as u64);
            let weights = Weights::random(shape, numbers.draw());
            let model = weights.model();
            let engine = Engine::new(&model, &cpu).unwrap();
            let tokens = numbers.tokens(40, shape);
            let book = Book::new(&model, settings, &tokens[..33], &tokens[33..], false);
            let mut trace = Trace::new(&engine, &answered(&book)).unwrap();
            let leaves = trace.leaves(0, book.leaves.len() as u64).unwrap();
            for (leaf, (found, wanted)) in leaves.iter().zip(&book.leaves).enumerate() {
                assert!(found == wanted, "{:?}", book.case.layout.leaf(leaf as u64));
            }
        }
    }
}

/// Long enough for two levels of parts.
#[test]
fn parts_of_parts_are_judged() {
    let long = Shape {
        layers: 1,
        hidden: 8,
        intermediate: 5000,
        heads: 1,
        kv_heads: 1,
        head_dim: 2,
        vocabulary: 40,
        context: 5000,
        ..shape()
    };
    let wide = Shape {
        vocabulary: 512 * 300 + 7,
        context: 5,
        ..long.clone()
    };
    let settings = Settings {
        temperature: 900_000,
        top_k: 30_000,
        top_p: 900_000,
        ..Settings::GREEDY
    };
    let cpu = Cpu::new(Backend::best(), 2).unwrap();
    let of_vocabulary = [Row::Largest, Row::Cut, Row::Cumulative].as_slice();
    let of_positions = [Row::ShiftedMaximum, Row::Mixed].as_slice();
    for (shape, prompt, rows) in [(wide, 2, of_vocabulary), (long, 4200, of_positions)] {
        let mut numbers = Numbers::new(prompt as u64);
        let weights = Weights::random(&shape, numbers.draw());
        let model = weights.model();
        let engine = Engine::new(&model, &cpu).unwrap();
        let answered = Answered {
            prompt: &numbers.tokens(prompt, &shape),
            output: &[0],
            settings,
            seed: SEED,
            secret: None,
            scored: false,
            index: 0,
        };
        let mut trace = Trace::new(&engine, &answered).unwrap();
        let case = Case {
            layout: trace.layout().clone(),
            seed: SEED,
        };
        for row in rows {
            let place = Place {
                position: case.layout.positions() - 1,
                layer: 0,
                row: *row,
            };
            let elements = case.layout.span(place).unwrap().extent.elements();
            let cell = place.cell(elements / 2);
            let mut target = Target::element(cell, trace.cell(cell).unwrap());
            loop {
                let parts = trace.parts(&target).unwrap();
                let mut ruled = |target: &Target, parts: &[i64]| {
                    rule(&case, target, parts, &mut trace, blake2_256).unwrap()
                };
                assert_eq!(ruled(&changed(&target, 1), &parts), Ruling::Refuted);
                if parts.is_empty() {
                    assert_eq!(ruled(&target, &parts), Ruling::Holds);
                    break;
                }
                assert_eq!(ruled(&target, &parts), Ruling::Parts);
                let index = numbers.below(parts.len());
                let mut false_parts = parts.clone();
                false_parts[index] += 1 << 60;
                assert_eq!(ruled(&target, &false_parts), Ruling::Refuted);
                target.parts.push(Part {
                    index: index as u32,
                    value: parts[index],
                });
            }
            assert_eq!(target.parts.len(), 2, "{row:?}");
        }
    }
}

/// What is recognised and not computed has one value, wherever the draw falls.
#[test]
fn one_value_is_recognised() {
    let settings = all_settings();
    for settings in [settings[1], settings[2], settings[4]] {
        with_book(&shape(), settings, (5, 2), |mut book, _| {
            let case = book.case.clone();
            let layout = &case.layout;
            let place = |row| Place {
                position: layout.positions() - 1,
                layer: 0,
                row,
            };
            let vocabulary = layout.shape().vocabulary;
            let logits = |token: u32| {
                let cell = place(Row::Penalised).cell(token.into());
                let penalised = layout.leaf_of(cell).is_some();
                let row = if penalised {
                    Row::Penalised
                } else {
                    Row::Logits
                };
                (place(row).cell(token.into()), token)
            };
            let cuts = (0..vocabulary).map(logits);
            let cuts = cuts.map(|(cell, token)| pair(book.value(cell) as i32, token));
            let candidates: [(Row, Vec<i64>); 3] = [
                (Row::Token, (0..vocabulary.into()).collect()),
                (Row::LastBin, (0..4096).collect()),
                (Row::Cut, cuts.collect()),
            ];
            for (row, values) in candidates {
                let cell = place(row).cell(0);
                if layout.leaf_of(cell).is_none() {
                    continue;
                }
                let passing = values.into_iter().filter(|value| {
                    let target = Target::element(cell, *value);
                    let parts = parts(&case, &target, &mut book, blake2_256).unwrap();
                    let ruling = rule(&case, &target, &parts, &mut book, blake2_256);
                    ruling != Ok(Ruling::Refuted)
                });
                let passing: Vec<i64> = passing.collect();
                assert_eq!(passing, [book.value(cell)], "{row:?}");
            }
        });
    }
}

/// A proof of something else is none: whatever bit of it is changed, it is refused, or nothing that is
/// read is another.
#[test]
fn no_bit_of_a_proof_can_be_changed() {
    let settings = all_settings()[2];
    with_book(&shape(), settings, (33, 5), |mut book, mut numbers| {
        let roots = book.roots();
        let case = book.case.clone();
        for cell in cells(&book, &mut numbers) {
            for (target, proof) in lines(&mut book, cell, &mut numbers) {
                let mut refused = |change: &mut dyn FnMut(&mut Proof, &mut Numbers)| {
                    let mut changed = proof.clone();
                    change(&mut changed, &mut numbers);
                    if changed != proof {
                        let ruling = check_step(&case, &roots, &target, &changed, blake2_256);
                        assert!(ruling.is_err(), "{ruling:?}: {target:?}");
                    }
                };
                let openings = |proof: &Proof| {
                    let tensors = proof.tables.tensors.len() + proof.weights.tensors.len();
                    3 + tensors
                };
                for index in 0..openings(&proof) {
                    refused(&mut |proof, numbers| {
                        let opening = opening(proof, index);
                        if let Some((_, bytes)) = pick(&mut opening.leaves, numbers) {
                            if let Some(byte) = pick(bytes, numbers) {
                                *byte ^= 1 << numbers.below(8);
                            }
                        }
                    });
                    refused(&mut |proof, numbers| {
                        let opening = opening(proof, index);
                        if let Some(sibling) = pick(&mut opening.siblings, numbers) {
                            sibling[numbers.below(32)] ^= 1;
                        }
                    });
                    refused(&mut |proof, numbers| {
                        let opening = opening(proof, index);
                        if let Some((index, _)) = pick(&mut opening.leaves, numbers) {
                            *index ^= 1;
                        }
                    });
                    refused(&mut |proof, _| {
                        opening(proof, index).leaves.pop();
                    });
                    refused(&mut |proof, _| *opening(proof, index) = Default::default());
                }
                refused(&mut |proof, _| proof.parts.push(0));
                refused(&mut |proof, _| {
                    proof.parts.pop();
                });
                refused(&mut |proof, _| proof.weights.siblings.push([0; 32]));
                refused(&mut |proof, numbers| {
                    if let Some((index, _)) = pick(&mut proof.weights.tensors, numbers) {
                        *index ^= 1;
                    }
                });
            }
        }
    });
}

fn pick<'a, T>(list: &'a mut [T], numbers: &mut Numbers) -> Option<&'a mut T> {
    if list.is_empty() {
        return None;
    }
    list.get_mut(numbers.below(list.len()))
}

/// One of a proof's openings, counted.
fn opening(proof: &mut Proof, index: usize) -> &mut crate::trace::Opening {
    let tables = proof.tables.tensors.iter_mut();
    let tensors = tables.chain(&mut proof.weights.tensors);
    let lists = [&mut proof.trace, &mut proof.prompt, &mut proof.output];
    let mut all = lists.into_iter().chain(tensors.map(|tensor| &mut tensor.1));
    all.nth(index).unwrap()
}
