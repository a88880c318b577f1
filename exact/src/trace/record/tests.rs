//! The trace against one that is computed without an engine.

mod proofs;
mod slow;

use self::slow::Slow;
use super::*;
use crate::{
    random::{Numbers, Weights},
    shape::{Rotary, Shape, PPM},
    Backend, Cpu,
};

fn shape() -> Shape {
    Shape {
        layers: 2,
        hidden: 24,
        intermediate: 40,
        heads: 4,
        kv_heads: 2,
        head_dim: 10,
        vocabulary: 97,
        context: 400,
        tied: true,
        biases: false,
        head_norms: false,
        fraction_bits: 16,
        eps40: 1_099_512,
        rotary: Rotary {
            base: 10_000 * PPM,
            scaling: None,
        },
    }
}

/// Shapes whose rows are cut in different ways.
fn shapes() -> [Shape; 4] {
    [
        shape(),
        Shape {
            biases: true,
            tied: false,
            hidden: 150,
            intermediate: 300,
            heads: 6,
            kv_heads: 1,
            head_dim: 32,
            ..shape()
        },
        Shape {
            head_norms: true,
            vocabulary: 1100,
            layers: 3,
            head_dim: 64,
            heads: 2,
            ..shape()
        },
        Shape {
            layers: 1,
            heads: 40,
            kv_heads: 40,
            head_dim: 2,
            hidden: 8,
            fraction_bits: 12,
            ..shape()
        },
    ]
}

fn samplings() -> [Settings; 6] {
    let drawn = Settings {
        temperature: 1_000_000,
        ..Settings::GREEDY
    };
    [
        Settings::GREEDY,
        Settings {
            penalty: 1_300_000,
            ..Settings::GREEDY
        },
        drawn,
        Settings { top_k: 30, ..drawn },
        Settings {
            top_p: 900_000,
            min_p: 20_000,
            ..drawn
        },
        Settings {
            temperature: 700_000,
            top_k: 20,
            top_p: 800_000,
            min_p: 1_000,
            penalty: 800_000,
        },
    ]
}

fn cpus() -> Vec<Cpu> {
    let available = Backend::ALL.into_iter().filter(|one| one.is_available());
    let threads = [1, 3];
    available
        .flat_map(|backend| threads.map(|threads| Cpu::new(backend, threads).unwrap()))
        .collect()
}

/// A prompt and an output.
struct Tokens {
    prompt: Vec<u32>,
    output: Vec<u32>,
    secret: Option<[u8; 32]>,
}

impl Tokens {
    fn new(shape: &Shape, prompt: usize, output: usize, seed: u64) -> Self {
        let mut numbers = Numbers::new(seed);
        Self {
            prompt: numbers.tokens(prompt, shape),
            output: numbers.tokens(output, shape),
            secret: None,
        }
    }

    fn answered(&self, settings: Settings, index: u32) -> Answered<'_> {
        Answered {
            prompt: &self.prompt,
            output: &self.output,
            settings,
            seed: [9; 32],
            secret: self.secret,
            scored: false,
            index,
        }
    }
}

fn sized<'e, 'm>(
    engine: &'e Engine<'m>,
    answered: &Answered,
    [chunk, window, lowest]: [u64; 3],
) -> Trace<'e, 'm> {
    let run = Run::new(engine, answered).unwrap();
    let sizes = Sizes {
        chunk,
        window,
        lowest: lowest as u32,
    };
    Trace::computed(run, answered, sizes).unwrap()
}

#[test]
fn a_trace_is_what_the_operators_give_one_by_one() {
    let cpus = cpus();
    for (index, shape) in shapes().iter().enumerate() {
        let weights = Weights::random(shape, index as u64);
        let model = weights.model();
        let lengths = [(1, 0), (5, 12), (17, 0), (60, 22)];
        for (place, settings) in samplings().into_iter().enumerate() {
            let (prompt, answer) = lengths[(place + index) % lengths.len()];
            let tokens = Tokens::new(shape, prompt, answer + 1, place as u64);
            let answered = tokens.answered(settings, answer as u32);
            let slow = Slow::new(&model, &answered);
            let engine = Engine::new(&model, &cpus[place % cpus.len()]).unwrap();
            let mut trace = Trace::new(&engine, &answered).unwrap();
            let leaves = trace.layout().leaves();
            for (leaf, bytes) in (0..).zip(trace.leaves(0, leaves).unwrap()) {
                let place = trace.layout().leaf(leaf);
                assert_eq!(bytes, slow.leaf(leaf), "{place:?} of {shape:?}");
            }
            assert_eq!(trace.root(), slow.root(), "{shape:?} {settings:?}");
            for (place, row) in &slow.rows {
                let mut found = vec![0; row.len()];
                trace.cells(*place, 0, &mut found).unwrap();
                assert_eq!(found, *row, "{place:?}");
            }
        }
    }
}

#[test]
fn a_root_does_not_depend_on_who_computes_it() {
    let shape = &shapes()[1];
    let weights = Weights::random(shape, 3);
    let model = weights.model();
    let tokens = Tokens::new(shape, 90, 200, 5);
    let answered = tokens.answered(samplings()[5], 199);
    let cpus = cpus();
    let engine = Engine::new(&model, &cpus[0]).unwrap();
    let expected = Trace::new(&engine, &answered).unwrap().root();
    let chunks = [1, 700, 5_000, 1 << 20];
    for (cpu, chunk) in cpus.iter().zip(chunks.into_iter().cycle()) {
        let engine = Engine::new(&model, cpu).unwrap();
        for lowest in [6, 7, 13] {
            let trace = sized(&engine, &answered, [chunk, 1, lowest]);
            assert_eq!(trace.root(), expected, "{cpu:?}, {chunk} leaves, {lowest}");
        }
    }
}

#[test]
fn every_node_is_that_of_the_whole_tree() {
    let shape = shape();
    let weights = Weights::random(&shape, 3);
    let model = weights.model();
    let cpu = Cpu::new(Backend::best(), 2).unwrap();
    let engine = Engine::new(&model, &cpu).unwrap();
    let cases = [
        (1, 0, [1 << 20, 1 << 14, 6]),
        (3, 2, [1, 10, 7]),
        (70, 41, [1 << 20, 1 << 14, 6]),
        (30, 20, [2_000, 700, 9]),
    ];
    for (prompt, index, sizes) in cases {
        let tokens = Tokens::new(&shape, prompt, 50, 5);
        let answered = tokens.answered(samplings()[4], index);
        let mut trace = sized(&engine, &answered, sizes);
        let slow = Slow::new(&model, &answered);
        let leaves = 0..trace.layout().leaves();
        let mut nodes: Vec<_> = leaves
            .map(|leaf| leaf_hash(&slow.leaf(leaf), blake2_256))
            .collect();
        let height = trace.layout().height();
        for level in 0..=height {
            for (index, node) in (0..).zip(&nodes) {
                assert_eq!(trace.node(level, index), Ok(*node), "{level} {index}");
            }
            let end = nodes.len() as u64;
            assert_eq!(trace.node(level, end), Err(TraceError::Place));
            nodes = nodes.chunks(2).map(folded).collect();
        }
        assert_eq!(nodes, [trace.root()]);
        assert_eq!(trace.node(height, 0), Ok(trace.root()));
        assert_eq!(trace.node(height, 1), Err(TraceError::Place));
        assert!((1..=8).contains(&trace.windows.held()));
        assert!(trace.leaves(trace.layout().leaves(), 1).is_err());
        let last = trace.layout().leaves() - 1;
        assert_eq!(trace.leaves(last, 9).unwrap(), [slow.leaf(last)]);
    }
}

#[test]
fn what_is_kept_stays_small() {
    let lowest = |leaves| Sizes::of(leaves).lowest;
    assert_eq!([1, 64, 65, 1 << 26].map(lowest), [6; 4]);
    assert_eq!(
        [(1 << 26) + 1, 1 << 27, (1 << 27) + 1].map(lowest),
        [7, 7, 8]
    );
    // An answer of 32,000 tokens of an 8B model.
    assert_eq!(lowest(9_287_100_000), 14);
}

#[test]
fn what_has_no_trace_is_refused() {
    let shape = shape();
    let weights = Weights::random(&shape, 3);
    let model = weights.model();
    let cpu = Cpu::new(Backend::Portable, 1).unwrap();
    let engine = Engine::new(&model, &cpu).unwrap();
    let error = |tokens: &Tokens, index| {
        let answered = tokens.answered(Settings::GREEDY, index);
        Trace::new(&engine, &answered).map(|_| ()).unwrap_err()
    };
    let mut tokens = Tokens::new(&shape, 3, 400, 1);
    assert_eq!(error(&tokens, 401), TraceError::Output);
    let context = TraceError::Layout(LayoutError::Context);
    assert_eq!(error(&tokens, 398), context);
    tokens.output[7] = 97;
    assert_eq!(error(&tokens, 8), EngineError::Token(97).into());
    // The token in question may be any.
    assert!(Trace::new(&engine, &tokens.answered(Settings::GREEDY, 7)).is_ok());
    tokens.prompt.clear();
    let empty = TraceError::Layout(LayoutError::EmptyPrompt);
    assert_eq!(error(&tokens, 0), empty);
}
