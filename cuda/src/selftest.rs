//! Whether a device gives the processor's bits: the models of the conformance vectors, and random models
//! of awkward and of ordinary shapes, whose sequences the device reads in ragged batches and the
//! portable engine alone, and every logit of every position compared.

mod vectors;

use std::sync::Arc;

use assay_exact::{
    cpu::Cpu,
    model::Model,
    random::{Numbers, Weights},
    shape::{Rotary, Scaling, Shape, PPM},
    Backend, Cache, CpuError, Engine, EngineError, Logits, Sequence,
};

use crate::{
    device::Device,
    resident::{Resident, ResidentError},
};

/// Sequences of a batch, at most.
const SEQUENCES: usize = 9;
/// Positions of a sequence, at most, and so many in all are compared before the models change.
const POSITIONS: usize = 200;

/// What was compared on one shape.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Compared {
    pub shape: &'static str,
    /// Positions whose logits were compared, and of how many any was wrong.
    pub tokens: usize,
    pub wrong: usize,
}

/// Why nothing could be compared.
#[derive(Debug, thiserror::Error)]
pub enum SelftestError {
    #[error(transparent)]
    Resident(#[from] ResidentError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Cpu(#[from] CpuError),
    #[error("the conformance vectors are not readable: {0}; report this")]
    Vectors(#[from] serde_json::Error),
}

/// Compares the conformance vectors, and at least `tokens` positions on every shape, from `seed` on;
/// `told` gets the outcome of each.
pub fn run(
    device: &Arc<dyn Device>,
    tokens: usize,
    seed: u64,
    told: &mut dyn FnMut(&Compared),
) -> Result<(), SelftestError> {
    let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get());
    let cpu = Cpu::new(Backend::Portable, threads)?;
    told(&conformance(device, &cpu)?);
    for (index, (name, shape)) in shapes().into_iter().enumerate() {
        let mut compared = Compared {
            shape: name,
            tokens: 0,
            wrong: 0,
        };
        let mut numbers = Numbers::new(seed.wrapping_add(index as u64));
        while compared.tokens < tokens {
            let weights = Weights::random(&shape, numbers.draw());
            let rounds = compare(device, &cpu, &weights.model(), tokens, &mut numbers)?;
            compared.tokens += rounds.0;
            compared.wrong += rounds.1;
        }
        told(&compared);
    }
    Ok(())
}

/// The conformance vectors' models, each read at once, in pieces and token by token.
fn conformance(device: &Arc<dyn Device>, cpu: &Cpu) -> Result<Compared, SelftestError> {
    let mut compared = Compared {
        shape: "conformance vectors",
        tokens: 0,
        wrong: 0,
    };
    for vector in vectors::read()? {
        let tokens = vector.tokens.len();
        for piece in [tokens.max(1), 7, 1] {
            let found = vector.with(|model| -> Result<_, SelftestError> {
                let memory = Resident::cache(model.shape, tokens);
                let resident = Resident::new(device.clone(), model, memory)?;
                let engine = Engine::new(model, cpu)?.on(&resident);
                let mut cache = engine.cache();
                let mut logits = Vec::new();
                for tokens in vector.tokens.chunks(piece) {
                    logits.extend(all(&engine, &mut cache, tokens)?);
                }
                Ok(logits)
            })?;
            compared.tokens += tokens;
            compared.wrong += if vector.gives(&found) { 0 } else { tokens };
        }
    }
    Ok(compared)
}

/// The logits of all `tokens`.
fn all(engine: &Engine, cache: &mut Cache, tokens: &[u32]) -> Result<Vec<i32>, EngineError> {
    let logits = engine.run(&mut [Sequence {
        cache,
        tokens,
        logits: Logits::All,
    }])?;
    Ok(logits.concat())
}

/// Shapes that differ in all that kernels distinguish: widths that are multiples of nothing, one head
/// and many, grouped and not, with and without norms of heads, biases, and a head of its own.
pub fn shapes() -> Vec<(&'static str, Shape)> {
    let plain = Shape {
        layers: 2,
        hidden: 64,
        intermediate: 192,
        heads: 4,
        kv_heads: 2,
        head_dim: 16,
        vocabulary: 97,
        context: 512,
        tied: true,
        biases: false,
        head_norms: false,
        fraction_bits: 16,
        eps40: 11_000_000,
        rotary: Rotary {
            base: 10_000 * PPM,
            scaling: None,
        },
    };
    let odd = Shape {
        layers: 1,
        hidden: 49,
        intermediate: 131,
        heads: 5,
        kv_heads: 1,
        head_dim: 22,
        vocabulary: 61,
        tied: false,
        biases: true,
        head_norms: true,
        fraction_bits: 13,
        ..plain.clone()
    };
    let wide = Shape {
        layers: 1,
        hidden: 1100,
        intermediate: 1500,
        heads: 3,
        kv_heads: 3,
        head_dim: 130,
        vocabulary: 300,
        biases: true,
        ..plain.clone()
    };
    let llama = Shape {
        layers: 2,
        hidden: 512,
        intermediate: 1024,
        heads: 8,
        kv_heads: 2,
        head_dim: 64,
        vocabulary: 1000,
        tied: false,
        rotary: Rotary {
            base: 500_000 * PPM,
            scaling: Some(Scaling {
                factor: 8 * PPM,
                low: PPM,
                high: 4 * PPM,
                original_context: 128,
            }),
        },
        ..plain.clone()
    };
    vec![
        ("small", plain),
        ("odd widths, biases, head norms", odd),
        ("wide heads, not grouped", wide),
        ("Llama in little", llama),
    ]
}

/// Compares the sequences of one batch: how many positions, and how many of them were wrong.
fn compare(
    device: &Arc<dyn Device>,
    cpu: &Cpu,
    model: &Model,
    tokens: usize,
    numbers: &mut Numbers,
) -> Result<(usize, usize), SelftestError> {
    let alone = Engine::new(model, cpu)?;
    let count = 1 + numbers.below(SEQUENCES);
    let mut sequences = Vec::new();
    for _ in 0..count {
        let most = POSITIONS.min(tokens).min(model.shape.context as usize);
        let length = 1 + numbers.below(most.max(1));
        let tokens = numbers.tokens(length, model.shape);
        let expected = all(&alone, &mut alone.cache(), &tokens)?;
        sequences.push((tokens, expected));
    }
    let memory = count * Resident::cache(model.shape, POSITIONS);
    let resident = Resident::new(device.clone(), model, memory)?;
    let engine = Engine::new(model, cpu)?.on(&resident);
    let found = ragged(&engine, &sequences, numbers)?;
    let vocabulary = model.shape.vocabulary as usize;
    let mut wrong = 0;
    let mut positions = 0;
    for ((tokens, expected), found) in sequences.iter().zip(found) {
        positions += tokens.len();
        let rows = expected.chunks(vocabulary).zip(found.chunks(vocabulary));
        let right = rows.filter(|(expected, found)| expected == found).count();
        wrong += tokens.len() - right;
    }
    Ok((positions, wrong))
}

/// All sequences' logits, read in batches of pieces that begin and end anywhere.
fn ragged(
    engine: &Engine,
    sequences: &[(Vec<u32>, Vec<i32>)],
    numbers: &mut Numbers,
) -> Result<Vec<Vec<i32>>, EngineError> {
    let mut caches: Vec<Cache> = sequences.iter().map(|_| engine.cache()).collect();
    let mut logits: Vec<Vec<i32>> = sequences.iter().map(|_| Vec::new()).collect();
    loop {
        let mut of = Vec::new();
        let mut batch = Vec::new();
        for (index, cache) in caches.iter_mut().enumerate() {
            let tokens = sequences
                .get(index)
                .and_then(|(tokens, _)| tokens.get(cache.positions()..))
                .unwrap_or_default();
            // Most decode; some read a piece, and some wait.
            let most = match numbers.below(8) {
                0 => continue,
                1 => 1 + numbers.below(100),
                2 => 1 + numbers.below(9),
                _ => 1,
            };
            let tokens = tokens.get(..most).unwrap_or(tokens);
            if !tokens.is_empty() {
                of.push(index);
                batch.push(Sequence {
                    cache,
                    tokens,
                    logits: Logits::All,
                });
            }
        }
        let found = engine.run(&mut batch)?;
        for (index, found) in of.into_iter().zip(found) {
            if let Some(logits) = logits.get_mut(index) {
                logits.extend(found);
            }
        }
        let read = caches.iter().map(Cache::positions);
        if read.eq(sequences.iter().map(|(tokens, _)| tokens.len())) {
            return Ok(logits);
        }
    }
}
