//! Steps of a small model's trace, ruled over in the executor as they are natively.

use assay_exact::{
    folder::root,
    random::Weights,
    sampling::Settings,
    shape::{Rotary, Shape, PPM},
    trace::{Answered, Cell, Layout, Proof, Roots, Row, Target, Trace, Tree, Trees},
    Backend, Cpu, Engine,
};

use crate::{executor::Module, step::Step};

const SETTINGS: Settings = Settings {
    temperature: 900_000,
    top_k: 100,
    top_p: 800_000,
    min_p: 1_000,
    penalty: 1_300_000,
};
const PROMPT: [u32; 20] = [7; 20];
const SEED: [u8; 32] = [5; 32];

fn blake2_256(message: &[u8]) -> [u8; 32] {
    root::blake2_256(message).0
}

fn shape() -> Shape {
    Shape {
        layers: 1,
        hidden: 72,
        intermediate: 1100,
        heads: 4,
        kv_heads: 2,
        head_dim: 10,
        vocabulary: 1100,
        context: 400,
        tied: false,
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

fn roots(trace: &mut Trace) -> Roots {
    let mut root = |tree| {
        let level = (0..64).find(|level| Trees::node(trace, tree, *level, 1).is_err());
        Trees::node(trace, tree, level.unwrap(), 0).unwrap()
    };
    Roots {
        trace: root(Tree::Trace),
        prompt: root(Tree::Prompt),
        output: root(Tree::Output),
        tables: root(Tree::Tables),
        weights: root(Tree::Weights),
        salted: false,
        output_len: 1,
    }
}

/// Every row's first and last elements at the positions that have the row.
fn cells(layout: &Layout) -> Vec<Cell> {
    let last = layout.positions() - 1;
    let spans = [15, last]
        .into_iter()
        .flat_map(|position| layout.rows(position));
    let cells = spans.flat_map(|span| {
        let elements = [0, span.extent.elements() - 1];
        elements.map(|element| Cell {
            place: span.place,
            element,
        })
    });
    cells.collect()
}

#[test]
fn the_executor_rules_as_the_machine_does() {
    let module = Module::get();
    let (shape, cpu) = (shape(), Cpu::new(Backend::best(), 1).unwrap());
    let weights = Weights::random(&shape, 3);
    let model = weights.model();
    let engine = Engine::new(&model, &cpu).unwrap();
    let answered = Answered {
        prompt: &PROMPT,
        output: &[1],
        settings: SETTINGS,
        seed: SEED,
        secret: None,
        scored: false,
        index: 0,
    };
    let mut trace = Trace::new(&engine, &answered).unwrap();
    let (layout, roots) = (trace.layout().clone(), roots(&mut trace));
    let mut rulings = [0; 4];
    for cell in cells(&layout) {
        let (leaf, element) = layout.leaf_of(cell).unwrap();
        let mut step = Step {
            shape: shape.clone(),
            settings: SETTINGS,
            prompt_len: PROMPT.len() as u32,
            index: 0,
            seed: SEED,
            roots: roots.clone(),
            leaf,
            element,
            value: trace.cell(cell).unwrap(),
            parts: vec![],
            proof: Proof::default(),
        };
        let target = Target::element(cell, step.value);
        step.proof = trace.prove(&target).unwrap();
        let mut judged = |step: &Step| {
            let found: Result<String, String> = module.call("step", step);
            assert_eq!(found, step.ruled(blake2_256), "{cell:?}");
            let kind = match found.as_deref() {
                Ok("Holds") => 0,
                Ok("Parts") => 1,
                Ok(_) => 2,
                Err(_) => 3,
            };
            rulings[kind] += 1;
            kind
        };
        assert!(judged(&step) < 2, "{cell:?}");
        step.value ^= 1;
        // Another bin's sums lie in other leaves, perhaps.
        if cell.place.row != Row::LastBin {
            assert_eq!(judged(&step), 2, "{cell:?}");
        }
        if let Some((_, bytes)) = step.proof.trace.leaves.first_mut() {
            bytes[0] ^= 1;
            assert_eq!(judged(&step), 3, "{cell:?}");
        }
    }
    assert!(rulings.iter().all(|count| *count > 5), "{rulings:?}");
}
