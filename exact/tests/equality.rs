//! The same bits, whatever runs: every backend, any number of threads, sequences alone or together,
//! their tokens at once or in pieces.
//!
//! What everything is compared with is one sequence alone, read at once by the portable backend on one
//! thread; that this one follows the format is what `vectors` shows. `ASSAY_LONG=1` is the long form,
//! of more than 100,000 tokens.

use std::path::Path;

use assay_exact::{
    folder::Folder,
    import::huggingface,
    model::Model,
    random::{Numbers, Weights},
    shape::{Rotary, Shape, PPM},
    Backend, Cache, Cpu, Engine, Logits, Sequence,
};

const BATCHES: [usize; 4] = [1, 2, 7, 32];
const CHUNKS: [usize; 3] = [1, 16, 512];
const THREADS: [usize; 2] = [1, 2];

fn is_long() -> bool {
    std::env::var_os("ASSAY_LONG").is_some_and(|value| value != "0")
}

fn cpus() -> Vec<Cpu> {
    let available = Backend::ALL.into_iter().filter(|one| one.is_available());
    available
        .flat_map(|backend| THREADS.map(|threads| Cpu::new(backend, threads).unwrap()))
        .collect()
}

fn portable() -> Cpu {
    Cpu::new(Backend::Portable, 1).unwrap()
}

fn run(engine: &Engine, cache: &mut Cache, tokens: &[u32], logits: Logits) -> Vec<i32> {
    let sequence = Sequence {
        cache,
        tokens,
        logits,
    };
    engine.run(&mut [sequence]).unwrap().remove(0)
}

/// Tokens, and the logits of all of them.
struct Told {
    tokens: Vec<u32>,
    logits: Vec<i32>,
}

impl Told {
    fn new(model: &Model, tokens: Vec<u32>) -> Self {
        let cpu = portable();
        let engine = Engine::new(model, &cpu).unwrap();
        Self {
            logits: run(&engine, &mut engine.cache(), &tokens, Logits::All),
            tokens,
        }
    }
}

/// A sequence that goes through its tokens with others.
struct Member<'a> {
    told: &'a Told,
    cache: Cache,
    /// The step at which it joins.
    joins: usize,
}

/// Runs the sequences together, `chunk` tokens of each at a step; they join one after the other and
/// leave when they are at their end. Gives the number of tokens whose logits were compared.
fn together(engine: &Engine, all: &[Told], chunk: usize) -> usize {
    let vocabulary = engine.model().shape.vocabulary as usize;
    let members = all.iter().enumerate().map(|(index, told)| Member {
        told,
        cache: engine.cache(),
        joins: index % 5,
    });
    let mut members: Vec<Member> = members.collect();
    let mut compared = 0;
    for step in 0.. {
        members.retain(|member| member.cache.positions() < member.told.tokens.len());
        if members.is_empty() {
            break;
        }
        let mut wanted = Vec::new();
        let mut batch = Vec::new();
        for (index, member) in members.iter_mut().enumerate() {
            if member.joins > step {
                continue;
            }
            let first = member.cache.positions();
            let end = member.told.tokens.len().min(first + chunk);
            // Not everybody asks for everything.
            let (logits, from) = match (step + index) % 4 {
                0 => (Logits::Last, end - 1),
                1 => (Logits::Tail(3), first.max(end.saturating_sub(3))),
                _ => (Logits::All, first),
            };
            wanted.push(&member.told.logits[from * vocabulary..end * vocabulary]);
            batch.push(Sequence {
                cache: &mut member.cache,
                tokens: &member.told.tokens[first..end],
                logits,
            });
        }
        let logits = engine.run(&mut batch).unwrap();
        let cpu = engine.cpu();
        for (index, (found, wanted)) in logits.iter().zip(&wanted).enumerate() {
            assert!(
                found == wanted,
                "{cpu:?}, {} sequences, chunks of {chunk}: sequence {index} at step {step}",
                all.len()
            );
        }
        compared += wanted
            .iter()
            .map(|row| row.len() / vocabulary)
            .sum::<usize>();
    }
    compared
}

/// The whole matrix over one model. Gives the number of tokens that were compared.
fn matrix(model: &Model, lengths: &[usize], batches: &[usize], seed: u64) -> usize {
    let mut numbers = Numbers::new(seed);
    let lengths = lengths.iter();
    let all: Vec<Told> = lengths
        .map(|length| Told::new(model, numbers.tokens(*length, model.shape)))
        .collect();
    let mut compared = 0;
    for cpu in cpus() {
        let engine = Engine::new(model, &cpu).unwrap();
        for batch in batches {
            for chunk in CHUNKS {
                compared += together(&engine, &all[..*batch], chunk);
            }
        }
    }
    compared
}

fn shapes() -> Vec<(&'static str, Shape)> {
    let grouped = Shape {
        layers: 2,
        hidden: 48,
        intermediate: 80,
        heads: 6,
        kv_heads: 2,
        head_dim: 16,
        vocabulary: 61,
        context: 700,
        tied: true,
        biases: false,
        head_norms: false,
        fraction_bits: 16,
        eps40: 1_099_512,
        rotary: Rotary {
            base: 10_000 * PPM,
            scaling: None,
        },
    };
    let all_heads = Shape {
        kv_heads: 6,
        ..grouped.clone()
    };
    let odd = Shape {
        layers: 3,
        hidden: 33,
        intermediate: 71,
        heads: 3,
        kv_heads: 1,
        head_dim: 10,
        vocabulary: 37,
        fraction_bits: 13,
        ..grouped.clone()
    };
    let biases = Shape {
        biases: true,
        heads: 7,
        kv_heads: 1,
        ..grouped.clone()
    };
    let norms = Shape {
        head_norms: true,
        head_dim: 32,
        ..grouped.clone()
    };
    let untied = Shape {
        tied: false,
        fraction_bits: 20,
        ..grouped.clone()
    };
    let wide = Shape {
        layers: 1,
        head_dim: 80,
        heads: 2,
        kv_heads: 2,
        intermediate: 1100,
        ..grouped.clone()
    };
    vec![
        ("grouped heads", grouped),
        ("all heads", all_heads),
        ("odd widths", odd),
        ("biases", biases),
        ("head norms", norms),
        ("untied", untied),
        ("heads of 80", wide),
    ]
}

#[test]
fn all_backends_batches_chunks_and_threads_give_the_same_logits() {
    // Pages end at 16 positions, slabs at 64, passes at 256 rows.
    let first = [530, 64, 17, 1, 15, 16, 33, 2];
    let rest = (0..24).map(|index| 3 + index * 7 % 40);
    let lengths: Vec<usize> = first.into_iter().chain(rest).collect();
    let mut compared = 0;
    for (index, (name, shape)) in shapes().iter().enumerate() {
        let seeds = if is_long() { 2 } else { 1 };
        for seed in 0..seeds {
            let weights = Weights::random(shape, seed);
            // The first shape has every batch in the short form too.
            let batches = match (index, is_long()) {
                (0, _) | (_, true) => &BATCHES[..],
                _ => &[1, 7],
            };
            let tokens = matrix(&weights.model(), &lengths, batches, seed);
            println!("{name}: {tokens} tokens, 0 mismatches");
            compared += tokens;
        }
    }
    println!("all: {compared} tokens, 0 mismatches");
    assert!(compared > if is_long() { 100_000 } else { 10_000 });
}

#[test]
fn the_demo_model_gives_the_same_logits() {
    let source = Path::new("../models/demo/assay-demo");
    let target = tempfile::tempdir().unwrap();
    let path = target.path().join("demo");
    huggingface(source, &path, |_| {}).unwrap();
    let folder = Folder::open(&path).unwrap();
    let model = folder.model();
    let (lengths, batches): (Vec<usize>, _) = if is_long() {
        let rest = (0..31).map(|index| 20 + index * 13 % 90);
        ([510].into_iter().chain(rest).collect(), &BATCHES[..])
    } else {
        (vec![70, 20, 5, 17, 3, 9, 31], &[7][..])
    };
    let tokens = matrix(&model, &lengths, batches, 5);
    println!("demo: {tokens} tokens, 0 mismatches");
}

/// A pass takes tokens of several sequences, whatever their number.
#[test]
fn long_and_short_sequences_share_passes() {
    let (_, shape) = shapes().swap_remove(0);
    let weights = Weights::random(&shape, 9);
    let model = weights.model();
    let mut numbers = Numbers::new(8);
    let lengths = [1, 300, 2, 300, 1, 1, 40];
    let all: Vec<Told> = lengths
        .into_iter()
        .map(|length| Told::new(&model, numbers.tokens(length, &shape)))
        .collect();
    for cpu in cpus() {
        let engine = Engine::new(&model, &cpu).unwrap();
        let mut caches = vec![engine.cache(); all.len()];
        let mut batch: Vec<Sequence> = caches
            .iter_mut()
            .zip(&all)
            .map(|(cache, told)| Sequence {
                cache,
                tokens: &told.tokens,
                logits: Logits::All,
            })
            .collect();
        let logits = engine.run(&mut batch).unwrap();
        for (index, (logits, told)) in logits.iter().zip(&all).enumerate() {
            assert!(*logits == told.logits, "{cpu:?}, sequence {index}");
        }
    }
}

#[test]
fn a_truncated_sequence_goes_on_with_other_tokens() {
    for (name, shape) in shapes() {
        let weights = Weights::random(&shape, 4);
        let model = weights.model();
        let mut numbers = Numbers::new(6);
        let tokens = numbers.tokens(150, &shape);
        for cpu in cpus() {
            let engine = Engine::new(&model, &cpu).unwrap();
            let mut cache = engine.cache();
            run(&engine, &mut cache, &tokens, Logits::None);
            for kept in [128, 127, 65, 64, 63, 17, 16, 15, 1, 0] {
                cache.truncate(kept);
                assert_eq!(cache.positions(), kept);
                // A clone goes another way in between.
                let mut other = cache.clone();
                let elsewhere = numbers.tokens(20, &shape);
                run(&engine, &mut other, &elsewhere, Logits::None);
                let fresh = numbers.tokens(9, &shape);
                let found = run(&engine, &mut cache, &fresh, Logits::All);
                let whole: Vec<u32> = tokens[..kept].iter().chain(&fresh).copied().collect();
                let wanted = Told::new(&model, whole).logits;
                let from = wanted.len() - found.len();
                assert!(found == wanted[from..], "{name}, {cpu:?}, kept {kept}");
                cache.truncate(kept);
            }
        }
    }
}
