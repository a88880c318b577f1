//! `assay-worker bench`: what a GPU makes of a model of 8 billion weights.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{ensure, Context};
use assay_cuda::{device::Buffer, store::Store, weights::Weights as OnDevice, Device, Resident};
use assay_exact::{
    cpu::Cpu,
    model::Model,
    random::{Numbers, Weights},
    shape::{Rotary, Scaling, Shape, PPM},
    Cache, Engine, Logits, Sequence,
};
use clap::Args;

use super::On;

/// Bytes that are copied to see what the memory gives.
const COPIED: usize = 1 << 30;
/// How often a thing is measured; the median is printed.
const ROUNDS: usize = 5;
/// Tokens that each sequence decodes in a round.
const STEPS: usize = 32;
/// Positions that a sequence has when it begins to decode.
const CONTEXT: usize = 512;

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
    #[arg(long, value_name = "N", default_value_t = 32)]
    layers: u16,
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
        let ordinal = self.on.ordinal()?;
        let libraries = self.on.cuda_lib_dir.as_deref();
        let cold = assay_cuda::open(ordinal, libraries, None)?;
        let (compiling, compiler) = (cold.compiling, cold.compiler);
        drop(cold);
        let store = Store::of_user();
        drop(assay_cuda::open(ordinal, libraries, store.as_ref())?);
        let warm = assay_cuda::open(ordinal, libraries, store.as_ref())?;
        let device = warm.device;
        println!("cuda:{ordinal} is {}; NVRTC {compiler}", device.name());
        println!(
            "kernels: compiled in {compiling:.1?}, found again in {:.2?} ({:?}), loaded in {:.2?}",
            warm.compiling, warm.origin, warm.loading
        );
        let ceiling = ceiling(&device)?;
        println!(
            "memory: {:.0} GB/s read and written by a copy of 1 GiB",
            ceiling / 1e9
        );

        let shape = shape(self.layers);
        shape
            .validate()
            .map_err(|error| anyhow::anyhow!("--layers: {error:?}"))?;
        let started = Instant::now();
        let weights = Weights::random(&shape, 1);
        let model = weights.model();
        println!("weights: drawn in {:.0?}", started.elapsed());
        let cpu = Cpu::detect();
        let most = self.batch.iter().copied().max().unwrap_or_default().max(1);
        let longest = self.prefill.iter().copied().max().unwrap_or_default();
        let one = Resident::cache(&shape, CONTEXT + (ROUNDS + 1) * STEPS);
        let cache = (one * most).max(Resident::cache(&shape, longest));
        let free = device.memory()?.0;
        let started = Instant::now();
        let resident = Resident::new(device.clone(), &model, cache)?;
        device.synchronise()?;
        let taken = started.elapsed();
        let used = free.saturating_sub(device.memory()?.0);
        let bytes = OnDevice::bytes(&model);
        println!(
            "model: {} MiB of weights and {} MiB of keys and values in {} MiB, uploaded in {taken:.1?}",
            bytes >> 20,
            cache >> 20,
            used >> 20
        );
        let engine = Engine::new(&model, &cpu)?.on(&resident);
        println!(
            "{:>8} {:>12} {:>12} {:>8}",
            "decode", "tokens/s", "GB/s", "of copy"
        );
        for batch in self.batch {
            ensure!(batch > 0, "--batch: a batch has at least one sequence");
            let step = decode(&engine, &model, batch)?.as_secs_f64();
            // Every weight once, and each sequence's keys and values.
            let read = (bytes + batch * Resident::cache(&shape, CONTEXT)) as f64 / step;
            println!(
                "{batch:>8} {:>12.1} {:>12.1} {:>7.1}%",
                batch as f64 / step,
                read / 1e9,
                100.0 * read / ceiling
            );
        }
        println!(
            "{:>8} {:>12} {:>12} {:>8}",
            "prefill", "tokens/s", "TOP/s", "ms"
        );
        for tokens in self.prefill {
            let took = prefill(&engine, &model, tokens)?.as_secs_f64();
            // A multiplication and an addition for each weight of the layers, of each of the two limbs.
            let layers = bytes - shape.vocabulary as usize * shape.hidden as usize;
            println!(
                "{tokens:>8} {:>12.1} {:>12.1} {:>8.1}",
                tokens as f64 / took,
                4.0 * layers as f64 * tokens as f64 / took / 1e12,
                1e3 * took
            );
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Bytes a second that a copy inside the memory reads and writes.
fn ceiling(device: &Device) -> anyhow::Result<f64> {
    let buffers = [(); 2].map(|()| Buffer::new(device, COPIED));
    let [from, to] =
        buffers.map(|buffer| buffer.context("there is no room to measure the memory in"));
    let (from, to) = (from?, to?);
    device.zero(from.address(), COPIED)?;
    let took = median(|| {
        device.copy(from.address(), to.address(), COPIED)?;
        Ok(device.synchronise()?)
    })?;
    Ok(2.0 * COPIED as f64 / took.as_secs_f64())
}

/// Time of one step of `batch` sequences, choosing left out.
fn decode(engine: &Engine, model: &Model, batch: usize) -> anyhow::Result<Duration> {
    let mut numbers = Numbers::new(batch as u64);
    let mut caches: Vec<Cache> = (0..batch).map(|_| engine.cache()).collect();
    for cache in &mut caches {
        let tokens = numbers.tokens(CONTEXT, model.shape);
        run(engine, &mut [last(cache, &tokens)])?;
    }
    let next = numbers.tokens(batch, model.shape);
    let took = median(|| {
        for _ in 0..STEPS {
            let each = caches.iter_mut().zip(next.chunks(1));
            let mut batch: Vec<_> = each.map(|(cache, next)| last(cache, next)).collect();
            run(engine, &mut batch)?;
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
