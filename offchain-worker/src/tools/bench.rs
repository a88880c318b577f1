//! `assay-worker bench`: what a GPU makes of a model of 8 billion weights, beside what it does at most and what
//! PyTorch makes of the same shape.

mod bars;
mod ceilings;
mod pytorch;

use std::{
    ffi::OsString,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::ensure;
use assay_cuda::{
    store::{Origin, Store},
    weights::Weights as OnDevice,
    Device, Opened, Resident,
};
use assay_exact::{
    cpu::Cpu,
    engine::Choice,
    model::Model,
    random::{Numbers, Weights},
    sampling::Settings,
    shape::{Rotary, Scaling, Shape, PPM},
    Cache, Engine, Logits, Sequence,
};
use clap::Args;

use self::{
    bars::{Decode, Figures, Memory, Prefill},
    ceilings::{Ceilings, Work},
    pytorch::{Asked, PyTorch, Sizes, SCRIPT},
};
use super::On;

/// How often a thing is measured; the median is printed.
const ROUNDS: usize = 5;
/// Tokens that each sequence decodes in a round.
const STEPS: usize = 32;
/// Positions that a sequence has when it begins to decode.
const CONTEXT: usize = 512;
/// By which a decoding sequence's tokens are chosen.
const SETTINGS: Settings = Settings {
    temperature: 700_000,
    top_p: 950_000,
    ..Settings::GREEDY
};
/// Decoder layers of the shape.
const LAYERS: u16 = 32;
/// Seconds that PyTorch may take, most of which are its compiler's.
const PYTORCH: u32 = 1800;
/// Rows and columns of the matrices whose product is PyTorch's peak.
const PRODUCT: usize = 8192;

#[derive(Clone, Debug, Args)]
pub struct Bench {
    #[command(flatten)]
    pub(super) on: On,

    /// Sequences that decode together, one number for each measurement.
    #[arg(long, value_name = "N", value_delimiter = ',', default_values_t = [1, 2, 4, 8, 16, 32, 64])]
    batch: Vec<usize>,

    /// Tokens of the prompts that are read, one number for each measurement.
    #[arg(long, value_name = "N", value_delimiter = ',', default_values_t = [512, 4096])]
    prefill: Vec<usize>,

    /// Decoder layers, of the 32 that the shape has: fewer fit a smaller GPU.
    #[arg(long, value_name = "N", default_value_t = LAYERS)]
    layers: u16,

    /// Python with PyTorch, which measures the same shape in bf16; without one the bench says so and goes on.
    #[arg(long, value_name = "PROGRAM", default_value = "python3")]
    python: OsString,
}

/// Llama 3.1 8B, with so many layers.
fn shape(layers: u16) -> Shape {
    Shape {
        layers,
        hidden: 4096,
        intermediate: 14336,
        heads: 32,
        kv_heads: 8,
        head_dim: 128,
        vocabulary: 128_256,
        context: 8192,
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

impl Bench {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let shape = shape(self.layers);
        shape
            .validate()
            .map_err(|error| anyhow::anyhow!("--layers: {error:?}"))?;
        ensure!(
            !self.batch.contains(&0),
            "--batch: a batch has at least one sequence"
        );
        let (compiling, opened) = self.start()?;
        let name = opened.device.name();
        println!("{name}; NVRTC {}", opened.compiler);
        println!(
            "kernels: compiled in {compiling:.1?}, found again in {:.2?} ({:?}), loaded in {:.2?}",
            opened.compiling, opened.origin, opened.loading
        );
        let ceilings = self.ceilings()?;
        println!(
            "memory: {:.0} GB/s read alone, {:.0} GB/s read and written by a copy",
            ceilings.read / 1e9,
            ceilings.copied / 1e9
        );
        println!(
            "tensor cores: {:.1} TOP/s of int8 by mma.sync alone",
            ceilings.multiplied / 1e12
        );
        // Before the model takes the memory.
        let pytorch = self.pytorch(&shape)?;
        match &pytorch {
            Ok(pytorch) => println!(
                "PyTorch {}: {:.1} TFLOP/s of bf16 in a product of matrices",
                pytorch.torch,
                pytorch.product / 1e12
            ),
            Err(why) => println!("PyTorch is not measured: {why}"),
        }
        let found_again = (opened.origin == Origin::Store).then_some(opened.compiling);
        let mut figures = Figures {
            compiling,
            loading: found_again.map(|found| found + opened.loading),
            ceilings,
            pytorch,
            memory: Memory::default(),
            decode: Vec::new(),
            prefill: Vec::new(),
            whole: self.layers == LAYERS,
        };
        self.exact(&shape, &opened.device, &mut figures)?;
        println!();
        for bar in figures.bars() {
            println!("{bar}");
        }
        Ok(ExitCode::SUCCESS)
    }

    /// The GPU, and how long its kernels take to compile where they never were before.
    fn start(&self) -> anyhow::Result<(Duration, Opened)> {
        let ordinal = self.on.ordinal()?;
        let libraries = self.on.cuda_lib_dir.as_deref();
        let compiling = assay_cuda::open(ordinal, libraries, None)?.compiling;
        let store = Store::of_user();
        drop(assay_cuda::open(ordinal, libraries, store.as_ref())?);
        let opened = assay_cuda::open(ordinal, libraries, store.as_ref())?;
        Ok((compiling, opened))
    }

    fn ceilings(&self) -> anyhow::Result<Ceilings> {
        let ordinal = self.on.ordinal()?;
        let libraries = self.on.cuda_lib_dir.as_deref();
        let kernels = assay_cuda::ceilings::kernels();
        let opened = assay_cuda::open_with(&kernels, ordinal, libraries, None)?;
        ceilings::measure(&opened.device, Work::ALL)
    }

    fn pytorch(&self, shape: &Shape) -> anyhow::Result<Result<PyTorch, String>> {
        let asked = Asked {
            device: format!("cuda:{}", self.on.ordinal()?),
            limit: PYTORCH,
            shape: Sizes::of(shape),
            batches: self.batch.clone(),
            prefills: self.prefill.clone(),
            context: CONTEXT,
            steps: STEPS,
            rounds: ROUNDS,
            product: PRODUCT,
        };
        println!("PyTorch: the same shape in bf16, which takes minutes ...");
        Ok(PyTorch::measure(&self.python, SCRIPT, &asked))
    }

    /// Measures the exact engine, and prints what it finds.
    fn exact(&self, shape: &Shape, device: &Device, figures: &mut Figures) -> anyhow::Result<()> {
        let started = Instant::now();
        let weights = Weights::random(shape, 1);
        let model = weights.model();
        println!("weights: drawn in {:.0?}", started.elapsed());
        let cpu = Cpu::detect();
        let most = self.batch.iter().copied().max().unwrap_or_default().max(1);
        let longest = self.prefill.iter().copied().max().unwrap_or_default();
        let one = Resident::cache(shape, CONTEXT + (ROUNDS + 1) * STEPS);
        let cache = (one * most).max(Resident::cache(shape, longest));
        let free = device.memory()?.0;
        let started = Instant::now();
        let resident = Resident::new(device.clone(), &model, cache)?;
        device.synchronise()?;
        let taken = started.elapsed();
        let bytes = OnDevice::bytes(&model);
        println!(
            "model: {} MiB of weights and {} MiB of keys and values, uploaded in {taken:.1?}",
            bytes >> 20,
            cache >> 20,
        );
        let engine = Engine::new(&model, &cpu)?.on(&resident);
        println!(
            "\n{:>8} {:>12} {:>12} {:>10} {:>10} {:>14} {:>8}",
            "decode", "tokens/s", "GB/s", "of reading", "of copying", "bf16 tokens/s", "times"
        );
        for batch in &self.batch {
            let found = Decode {
                batch: *batch,
                seconds: decode(&engine, &model, *batch)?.as_secs_f64(),
                // Every weight once, and each sequence's keys and values.
                bytes: (bytes + batch * Resident::cache(shape, CONTEXT)) as f64,
            };
            let bf16 = figures.pytorch.as_ref().ok();
            let bf16 = bf16.and_then(|pytorch| pytorch.decode(*batch));
            println!(
                "{batch:>8} {:>12.1} {:>12.1} {:>9.1}% {:>9.1}% {:>14} {:>8}",
                found.tokens(),
                found.bandwidth() / 1e9,
                100.0 * found.bandwidth() / figures.ceilings.read,
                100.0 * found.bandwidth() / figures.ceilings.copied,
                or_none(bf16.map(|seconds| *batch as f64 / seconds)),
                or_none(bf16.map(|seconds| seconds / found.seconds)),
            );
            figures.decode.push(found);
        }
        println!(
            "\n{:>8} {:>12} {:>12} {:>12} {:>10} {:>14} {:>8}",
            "prefill", "tokens/s", "ms", "TOP/s", "of int8", "bf16 tokens/s", "times"
        );
        for tokens in &self.prefill {
            let found = Prefill {
                tokens: *tokens,
                seconds: prefill(&engine, &model, *tokens)?.as_secs_f64(),
                operations: 2.0 * layer_weights(shape) * *tokens as f64,
            };
            let bf16 = figures.pytorch.as_ref().ok();
            let bf16 = bf16.and_then(|pytorch| pytorch.prefill(*tokens));
            println!(
                "{tokens:>8} {:>12.1} {:>12.1} {:>12.1} {:>9.1}% {:>14} {:>8}",
                *tokens as f64 / found.seconds,
                1e3 * found.seconds,
                found.multiplied() / 1e12,
                100.0 * found.multiplied() / figures.ceilings.multiplied,
                or_none(bf16.map(|seconds| *tokens as f64 / seconds)),
                or_none(bf16.map(|seconds| seconds / found.seconds)),
            );
            figures.prefill.push(found);
        }
        // With the graphs that were made meanwhile.
        let used = free.saturating_sub(device.memory()?.0);
        println!("\nmemory: {} MiB in all", used >> 20);
        figures.memory = Memory {
            weights: bytes,
            cache,
            used,
        };
        Ok(())
    }
}

fn or_none(figure: Option<f64>) -> String {
    figure.map_or_else(|| "-".into(), |figure| format!("{figure:.2}"))
}

/// Weights of all layers.
fn layer_weights(shape: &Shape) -> f64 {
    let (n, q) = (u64::from(shape.hidden), u64::from(shape.query_width()));
    let (kv, ff) = (u64::from(shape.kv_width()), u64::from(shape.intermediate));
    let layer = n * (q + 2 * kv) + q * n + 3 * n * ff;
    (u64::from(shape.layers) * layer) as f64
}

/// Time of one step of `batch` sequences, with the choice of their tokens.
fn decode(engine: &Engine, model: &Model, batch: usize) -> anyhow::Result<Duration> {
    let mut numbers = Numbers::new(batch as u64);
    let mut caches: Vec<Cache> = (0..batch).map(|_| engine.cache()).collect();
    let mut prompts = Vec::with_capacity(batch);
    for cache in &mut caches {
        let tokens = numbers.tokens(CONTEXT, model.shape);
        run(engine, &mut [last(cache, &tokens)])?;
        prompts.push(tokens);
    }
    let choices: Vec<_> = prompts
        .iter()
        .map(|prompt| {
            Some(Choice {
                seen: prompt,
                settings: SETTINGS,
                seed: [1; 32],
            })
        })
        .collect();
    let next = numbers.tokens(batch, model.shape);
    let took = median(|| {
        for _ in 0..STEPS {
            let each = caches.iter_mut().zip(next.chunks(1));
            let mut batch: Vec<_> = each.map(|(cache, next)| last(cache, next)).collect();
            std::hint::black_box(engine.run_choosing(&mut batch, &choices)?);
        }
        Ok(())
    })?;
    Ok(took / STEPS as u32)
}

/// Time until the first token's logits of a prompt.
fn prefill(engine: &Engine, model: &Model, tokens: usize) -> anyhow::Result<Duration> {
    let tokens = Numbers::new(1).tokens(tokens, model.shape);
    median(|| run(engine, &mut [last(&mut engine.cache(), &tokens)]))
}

fn last<'a>(cache: &'a mut Cache, tokens: &'a [u32]) -> Sequence<'a> {
    Sequence {
        cache,
        tokens,
        logits: Logits::Last,
    }
}

fn run(engine: &Engine, batch: &mut [Sequence]) -> anyhow::Result<()> {
    std::hint::black_box(engine.run(batch)?);
    Ok(())
}

/// The median of some rounds, after one that does not count.
fn median(mut work: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<Duration> {
    work()?;
    let mut times = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let started = Instant::now();
        work()?;
        times.push(started.elapsed());
    }
    times.sort();
    Ok(times.get(ROUNDS / 2).copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shape_has_the_weights_that_it_is_known_for() {
        let shape = shape(LAYERS);
        shape.validate().unwrap();
        // 8.03 billion parameters: layers, embedding and head, without the norms.
        let table = f64::from(shape.vocabulary) * f64::from(shape.hidden);
        let all = layer_weights(&shape) + 2.0 * table;
        assert!((8.029e9..8.031e9).contains(&all), "{all}");
    }
}
