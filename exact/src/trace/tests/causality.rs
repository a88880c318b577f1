use std::{collections::BTreeSet, vec::Vec};

use assay_primitives::blake2_256;

use super::{all_settings, shape, shapes};
use crate::{
    random::Numbers,
    sampling::Settings,
    shape::Shape,
    trace::{check_step, made, Case, Layout, Row, Ruling, Target},
};

fn wide() -> Vec<Shape> {
    let llama = Shape {
        layers: 3,
        hidden: 4096,
        intermediate: 14336,
        heads: 32,
        kv_heads: 8,
        head_dim: 128,
        vocabulary: 128_256,
        context: 1 << 20,
        ..shape()
    };
    let longest = Shape {
        hidden: 1 << 14,
        intermediate: 1 << 16,
        heads: 128,
        kv_heads: 1,
        head_dim: 512,
        vocabulary: 1 << 22,
        head_norms: true,
        ..llama.clone()
    };
    [shapes(), [llama, longest].to_vec()].concat()
}

fn layouts() -> Vec<Layout> {
    let mut layouts = Vec::new();
    for shape in wide() {
        for settings in all_settings() {
            let lengths = [(1, 0), (15, 0), (16, 0), (17, 3), (1, 33), (200, 57)];
            let longest = (shape.context / 2, shape.context / 2);
            for (prompt, index) in lengths.into_iter().chain([longest]) {
                layouts.push(Layout::new(&shape, &settings, prompt, index).unwrap());
            }
        }
    }
    layouts
}

/// Everything that a step reads lies before it: the law, for every row and part.
#[test]
fn what_a_step_reads_lies_before_it() {
    let mut rows = BTreeSet::new();
    for layout in layouts() {
        let output_len = layout.positions() - layout.prompt_len() + 1;
        let case = Case {
            layout,
            seed: [3; 32],
        };
        for target in made::targets(&case.layout) {
            let (leaf, _) = case.layout.leaf_of(target.cell).unwrap();
            let (roots, proof) = made::proof(&case, &target, output_len, true, blake2_256).unwrap();
            let last = proof.trace.leaves.last();
            assert!(last.is_none_or(|last| last.0 < leaf), "{target:?}");
            let ruling = check_step(&case, &roots, &target, &proof, blake2_256);
            assert!(
                matches!(ruling, Ok(Ruling::Holds | Ruling::Parts | Ruling::Refuted)),
                "{ruling:?}: {target:?}"
            );
            rows.insert(target.cell.place.row);
        }
    }
    let all = [Row::BEFORE, Row::LAYER, Row::AFTER].concat();
    assert_eq!(rows.into_iter().collect::<Vec<_>>(), all);
}

/// The same of elements and parts anywhere.
#[test]
fn what_any_step_reads_lies_before_it() {
    let mut numbers = Numbers::new(5);
    for layout in layouts() {
        let case = Case {
            layout,
            seed: [3; 32],
        };
        let layout = &case.layout;
        for _ in 0..200 {
            let leaf = numbers.draw() % layout.leaves();
            let elements = layout.leaf(leaf).unwrap().elements;
            let cell = layout
                .cell(leaf, numbers.below(elements as usize) as u32)
                .unwrap();
            let mut target = Target::element(cell, 0);
            loop {
                let (_, proof) = made::proof(&case, &target, 1 << 20, false, blake2_256).unwrap();
                let last = proof.trace.leaves.last();
                assert!(last.is_none_or(|last| last.0 < leaf), "{target:?}");
                let fan = target.fan(layout).unwrap();
                assert!(fan <= 257, "{fan} parts: {target:?}");
                if fan == 0 {
                    break;
                }
                let index = numbers.below(fan as usize) as u32;
                target.parts.push(crate::trace::Part { index, value: 0 });
            }
            assert!(target.parts.len() <= 2, "{target:?}");
        }
    }
}

/// Levels of parts, at the most that the format allows.
#[test]
fn the_longest_reductions_have_two_levels() {
    let shape = wide().pop().unwrap();
    let half = shape.context / 2;
    let settings = Settings {
        temperature: 1_000_000,
        top_p: 500_000,
        ..Settings::GREEDY
    };
    let layout = Layout::new(&shape, &settings, half, half).unwrap();
    let fans = |row| {
        let target = |target: &Target| target.cell.place.row == row && target.cell.element == 0;
        let lines = made::targets(&layout).filter(target);
        lines
            .map(|target| target.fan(&layout).unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(fans(Row::Mixed), [257, 256, 0]);
    assert_eq!(fans(Row::ShiftedMaximum), [257, 256, 0]);
    assert_eq!(fans(Row::ScoreMaximum), [16, 256, 0]);
    assert_eq!(fans(Row::Cumulative), [32, 256, 0]);
    assert_eq!(fans(Row::Query), [16, 0]);
    assert_eq!(fans(Row::Down), [64, 0]);
    assert_eq!(fans(Row::MixedMaximum), [256, 0]);
    assert_eq!(fans(Row::Score), [0]);
}
