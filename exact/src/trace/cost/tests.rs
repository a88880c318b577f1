//! The bars of a dispute, and that the samples are steps.

use super::*;
use crate::{
    random::Numbers,
    sampling::Settings,
    shape::{Rotary, Scaling, PPM},
    Shape,
};

/// Llama-3.1-8B.
fn llama() -> Shape {
    Shape {
        layers: 32,
        hidden: 4096,
        intermediate: 14_336,
        heads: 32,
        kv_heads: 8,
        head_dim: 128,
        vocabulary: 128_256,
        context: 131_072,
        tied: false,
        biases: false,
        head_norms: false,
        fraction_bits: 16,
        eps40: 10_995_116,
        rotary: Rotary {
            base: 500_000 * PPM,
            scaling: Some(Scaling {
                factor: 8 * PPM,
                low: PPM,
                high: 4 * PPM,
                original_context: 8192,
            }),
        },
    }
}

/// Everything that a request can ask of the choice.
const ALL: Settings = Settings {
    temperature: 1_000_000,
    top_k: 50,
    top_p: 900_000,
    min_p: 10_000,
    penalty: 1_100_000,
};

#[test]
fn a_dispute_over_a_thousand_tokens_of_8b_keeps_its_bars() {
    for settings in [Settings::GREEDY, ALL] {
        let layout = Layout::new(&llama(), &settings, 24, 999).unwrap();
        let cost = Cost::new(&layout);
        assert!(cost.moves <= 16, "{cost:?}");
        assert!(cost.bytes <= 24 << 10, "{cost:?}");
        assert!(cost.largest.0 <= 12 << 10, "{cost:?}");
        assert!(cost.hashed <= 11_000_000, "{cost:?}");
    }
}

/// No sample is one that steps cannot be made of.
#[test]
fn every_row_has_a_proof() {
    for head_norms in [false, true] {
        let mut shape = llama();
        (shape.layers, shape.head_norms) = (1, head_norms);
        let layout = Layout::new(&shape, &ALL, 40, 9).unwrap();
        let all = [Row::BEFORE, Row::LAYER, Row::AFTER].concat();
        let there = all.into_iter().filter(|row| {
            let place = |position| Place {
                position,
                layer: 0,
                row: *row,
            };
            [47, 48]
                .iter()
                .any(|position| layout.span(place(*position)).is_some())
        });
        let cost = Cost::new(&layout);
        let found: Vec<_> = cost.proofs.iter().map(|(row, _)| *row).collect();
        assert_eq!(found, there.collect::<Vec<_>>());
        // A proof opens something and brings at least a root's siblings.
        assert!(
            cost.proofs.iter().all(|(_, bytes)| *bytes > MOVE + 100),
            "{cost:?}"
        );
    }
}

/// Costs are taken from samples: a step anywhere has no more moves, and needs a few hashes more at most.
#[test]
fn no_step_anywhere_costs_more() {
    const HASHES: u64 = 8 * DIGEST;
    let shape = Shape {
        layers: 3,
        hidden: 256,
        intermediate: 700,
        heads: 8,
        kv_heads: 4,
        head_dim: 32,
        vocabulary: 2_000,
        head_norms: true,
        ..llama()
    };
    let mut numbers = Numbers::new(3);
    for (settings, prompt, index) in [(Settings::GREEDY, 24, 3), (ALL, 7, 20), (ALL, 40, 300)] {
        let layout = Layout::new(&shape, &settings, prompt, index).unwrap();
        let cost = Cost::new(&layout);
        let case = Case {
            layout: layout.clone(),
            seed: [0; 32],
        };
        let prover = Prover {
            case: &case,
            output_len: index + 1,
        };
        let before = descent(&layout, prover.output_len);
        let mut most = 0;
        for _ in 0..10_000 {
            let leaf = layout.leaf(numbers.draw() % layout.leaves()).unwrap();
            let element = numbers.below(leaf.elements as usize) as u64;
            let cell = leaf.place.cell(leaf.first + element);
            let value = plausible(&layout, cell.place.row);
            let end = prover.play(Target::element(cell, value));
            let moves = before.len() as u32 + end.moves;
            assert!(moves <= cost.moves, "{cell:?}");
            most = most.max(moves);
            assert!(end.largest <= cost.largest.0 + HASHES, "{cell:?}");
            let bytes = before.iter().sum::<u64>() + end.bytes;
            assert!(bytes <= cost.bytes + HASHES, "{cell:?}");
        }
        assert_eq!(most, cost.moves);
    }
}
