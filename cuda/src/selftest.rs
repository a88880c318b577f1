//! Whether a device gives the processor's bits: the models of the conformance vectors, and random models
//! of awkward and of ordinary shapes, whose sequences the device reads in ragged batches and the
//! portable engine alone; the logits are compared, each of them, and the tokens that they choose.
//!
//! What is launched depends on how many multiprocessors there are: the device is compared as if it had
//! one, a few, and all of its own, and every kernel is launched.

mod choice;
mod ragged;
mod vectors;
mod watch;

use assay_exact::{
    cpu::Cpu,
    engine::Made,
    random::{Numbers, Weights},
    shape::{Rotary, Scaling, Shape, PPM},
    Backend, Cache, CpuError, Engine, EngineError, Logits, Sequence,
};

use self::{
    ragged::{compare, differ, Read},
    watch::{Watch, KINDS},
};
use crate::{
    device::Device,
    resident::{Resident, ResidentError},
};

/// Positions of a long sequence: at least, so that all of [`PIECES`] are read, and at most.
const LONG: [usize; 2] = [200, 3000];
/// Tokens of the pieces in which it is read, again and again: one is decoded, a few are a small batch,
/// and so on for every kernel.
const PIECES: [usize; 7] = [100, 1, 6, 12, 40, 3, 256];

/// What was compared on one shape.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Compared {
    pub shape: &'static str,
    /// Positions whose logits or chosen token were compared, and at how many there was anything wrong.
    pub tokens: usize,
    pub wrong: usize,
}

impl Compared {
    fn none(shape: &'static str) -> Self {
        Self {
            shape,
            tokens: 0,
            wrong: 0,
        }
    }

    fn add(&mut self, (tokens, wrong): (usize, usize)) {
        self.tokens += tokens;
        self.wrong += wrong;
    }
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
    #[error("of the kernels {0} nothing was compared; report this")]
    Never(String),
}

/// Compares the conformance vectors, at least `tokens` positions on every shape, from `seed` on, and a
/// long sequence; `told` gets the outcome of each.
pub fn run(
    device: &Device,
    tokens: usize,
    seed: u64,
    told: &mut dyn FnMut(&Compared),
) -> Result<(), SelftestError> {
    let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get());
    let cpu = Cpu::new(Backend::Portable, threads)?;
    let watch = Watch::new(device);
    told(&conformance(&watch, &cpu)?);
    let share = tokens.div_ceil(KINDS);
    for (index, (name, shape)) in shapes().into_iter().enumerate() {
        let mut compared = Compared::none(name);
        let mut numbers = Numbers::new(seed.wrapping_add(index as u64));
        for device in watch.kinds() {
            let before = compared.tokens;
            while compared.tokens - before < share {
                let weights = Weights::random(&shape, numbers.draw());
                compared.add(compare(
                    &device,
                    &cpu,
                    &weights.model(),
                    share,
                    &mut numbers,
                )?);
            }
        }
        told(&compared);
    }
    let [least, most] = LONG;
    let length = tokens.saturating_mul(10).clamp(least, most);
    told(&long(&watch, &cpu, length, seed)?);
    match watch.never().as_slice() {
        [] => Ok(()),
        kernels => Err(SelftestError::Never(kernels.join(", "))),
    }
}

/// The conformance vectors' models, each read at once, in pieces and token by token.
fn conformance(watch: &Watch, cpu: &Cpu) -> Result<Compared, SelftestError> {
    let mut compared = Compared::none("conformance vectors");
    for vector in vectors::read()? {
        let tokens = vector.tokens.len();
        for (piece, device) in [tokens.max(1), 7, 1].into_iter().zip(watch.kinds()) {
            let found = vector.with(|model| -> Result<_, SelftestError> {
                let memory = Resident::cache(model.shape, tokens);
                let resident = Resident::new(device, model, memory)?;
                let engine = Engine::new(model, cpu)?.on(&resident);
                let mut cache = engine.cache();
                let mut logits = Vec::new();
                for tokens in vector.tokens.chunks(piece) {
                    logits.extend(all(&engine, &mut cache, tokens)?);
                }
                Ok(logits)
            })?;
            let wrong = if vector.gives(&found) { 0 } else { tokens };
            compared.add((tokens, wrong));
        }
    }
    Ok(compared)
}

/// One sequence of `length` positions, whose splits have many slabs.
fn long(watch: &Watch, cpu: &Cpu, length: usize, seed: u64) -> Result<Compared, SelftestError> {
    let mut compared = Compared::none("one long sequence");
    let shape = Shape {
        layers: 1,
        context: LONG[1] as u32,
        ..plain()
    };
    let weights = Weights::random(&shape, seed);
    let (model, tokens) = (weights.model(), Numbers::new(seed).tokens(length, &shape));
    let alone = Engine::new(&model, cpu)?;
    let expected = all(&alone, &mut alone.cache(), &tokens)?;
    for device in watch.kinds() {
        let resident = Resident::new(device, &model, Resident::cache(&shape, length))?;
        let engine = Engine::new(&model, cpu)?.on(&resident);
        let (mut cache, mut read) = (engine.cache(), Vec::new());
        for piece in PIECES.into_iter().cycle() {
            let at = cache.positions();
            let end = length.min(at + piece);
            let tokens = tokens.get(at..end).unwrap_or_default();
            if tokens.is_empty() {
                break;
            }
            let logits = all(&engine, &mut cache, tokens)?;
            let positions = at..end;
            read.push(Read {
                positions,
                choice: None,
                made: Made::Logits(logits),
            });
        }
        compared.add(differ(&model, &tokens, &expected, &read));
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

/// A shape with nothing special.
fn plain() -> Shape {
    Shape {
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
    }
}

/// Shapes that differ in all that kernels distinguish: widths that are multiples of nothing, one head
/// and many, grouped and not, with and without norms of heads, biases, and a head of its own.
pub fn shapes() -> Vec<(&'static str, Shape)> {
    let plain = plain();
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
