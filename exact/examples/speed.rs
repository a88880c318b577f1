//! How fast the engine is beside what the machine's memory gives:
//! `cargo run -p assay-exact --example speed [-- OPTION ...]`.
//!
//! * `qwen`, `llama` or `tiny`: shapes with random weights (`qwen` if nothing is named), or the path
//!   of a model folder;
//! * `portable`, `avx2`, `avx512`: backends (the best one if none is named);
//! * a number of threads (all cores if none is named).
//!
//! Every round measures each thing once, so that what disturbs the machine disturbs all of them, and
//! medians are printed.

use std::{
    hint::black_box,
    ops::ControlFlow,
    time::{Duration, Instant},
};

use assay_exact::{
    answer::{check, generate, Request},
    batch::{Batch, Event, Limits},
    engine::{Part, Times},
    folder::Folder,
    model::Model,
    random::{Numbers, Weights},
    sampling::Settings,
    shape::{Rotary, Scaling, Shape, PPM},
    Backend, Cache, Cpu, Engine, Logits, Sequence,
};

const ROUNDS: usize = 5;
const BATCHES: [usize; 5] = [1, 2, 4, 8, 16];
/// Requests of a [`Batch`] whose rate is compared with that of the engine alone.
const SCHEDULED: [usize; 2] = [8, 32];
/// Tokens that stand in a cache before decoding is measured, and tokens decoded.
const PROMPT: usize = 128;
const DECODED: usize = 16;
const PREFILL: usize = 512;
/// Tokens of the prompt, and of the answer, where checking is compared with generating.
const CHECKED: usize = 128;

fn main() {
    let mut backends = Vec::new();
    let mut models = Vec::new();
    let mut threads = std::thread::available_parallelism().map_or(1, usize::from);
    for argument in std::env::args().skip(1) {
        if let Ok(backend) = argument.parse() {
            backends.push(backend);
        } else if let Ok(count) = argument.parse() {
            threads = count;
        } else {
            models.push(argument);
        }
    }
    if backends.is_empty() {
        backends.push(Backend::best());
    }
    if models.is_empty() {
        models.push("qwen".into());
    }
    let cpus: Vec<Cpu> = backends
        .into_iter()
        .map(|backend| Cpu::new(backend, threads).unwrap())
        .collect();
    for name in models {
        println!("{name}, {threads} threads");
        match shape(&name) {
            Some(shape) => {
                let weights = Weights::random(&shape, 1);
                measure(&weights.model(), Some(weights.bytes()), &cpus);
            }
            None => measure(&Folder::open(&name).unwrap().model(), None, &cpus),
        }
    }
}

fn shape(name: &str) -> Option<Shape> {
    let qwen = Shape {
        layers: 24,
        hidden: 896,
        intermediate: 4864,
        heads: 14,
        kv_heads: 2,
        head_dim: 64,
        vocabulary: 151_936,
        context: 32_768,
        tied: true,
        biases: true,
        head_norms: false,
        fraction_bits: 16,
        eps40: 1_099_512,
        rotary: Rotary {
            base: 1_000_000 * PPM,
            scaling: None,
        },
    };
    match name {
        "qwen" => Some(qwen),
        "llama" => Some(Shape {
            layers: 16,
            hidden: 2048,
            intermediate: 8192,
            heads: 32,
            kv_heads: 8,
            vocabulary: 128_256,
            context: 131_072,
            biases: false,
            eps40: 10_995_116,
            rotary: Rotary {
                base: 500_000 * PPM,
                scaling: Some(Scaling {
                    factor: 32 * PPM,
                    low: PPM,
                    high: 4 * PPM,
                    original_context: 8192,
                }),
            },
            ..qwen
        }),
        "tiny" => Some(Shape {
            layers: 2,
            vocabulary: 2048,
            context: 2048,
            ..qwen
        }),
        _ => None,
    }
}

/// Bytes of weights that a token's decoding reads.
fn streamed(model: &Model) -> usize {
    let layer = |layer: &assay_exact::model::Layer| {
        let all = [
            layer.q, layer.k, layer.v, layer.o, layer.gate, layer.up, layer.down,
        ];
        all.iter().map(|matrix| matrix.weights.len()).sum::<usize>()
    };
    let head = model.head.as_ref().unwrap_or(&model.embedding.high);
    head.weights.len() + model.layers.iter().map(layer).sum::<usize>()
}

/// Products of a token whose logits nobody asks for.
fn products(model: &Model) -> usize {
    let head = model.head.as_ref().unwrap_or(&model.embedding.high);
    streamed(model) - head.weights.len()
}

#[derive(Clone, Default)]
struct Rates(Vec<f64>);

impl Rates {
    fn median(&self) -> f64 {
        let mut rates = self.0.clone();
        rates.sort_by(f64::total_cmp);
        rates[rates.len() / 2]
    }
}

#[derive(Clone, Default)]
struct Found {
    /// Tokens a second.
    decode: [Rates; BATCHES.len()],
    prefill: Rates,
    /// Rate of a batch that chooses its tokens, over that of the engine alone.
    scheduled: [Rates; SCHEDULED.len()],
    /// Time of checking, over the time of generating.
    checking: Rates,
    decode_times: Times,
    prefill_times: Times,
}

fn measure(model: &Model, weights: Option<&[i8]>, cpus: &[Cpu]) {
    let engines: Vec<Engine> = cpus
        .iter()
        .map(|cpu| Engine::new(model, cpu).unwrap())
        .collect();
    let head = model.head.as_ref().unwrap_or(&model.embedding.high);
    let weights = weights.unwrap_or(head.weights);
    let mut numbers = Numbers::new(2);
    let tokens = numbers.tokens(PREFILL, model.shape);
    let mut ceiling = Rates::default();
    let mut found = vec![Found::default(); engines.len()];
    for _ in 0..ROUNDS {
        ceiling.0.push(read(weights, engines[0].cpu().threads()));
        for (engine, found) in engines.iter().zip(&mut found) {
            let mut decode = [0.0; BATCHES.len()];
            for (index, batch) in BATCHES.into_iter().enumerate() {
                let mut times = Times::default();
                let of = if batch == 1 {
                    &mut found.decode_times
                } else {
                    &mut times
                };
                decode[index] = decoded(engine, &tokens[..PROMPT], batch, of);
                found.decode[index].0.push(decode[index]);
            }
            for (index, requests) in SCHEDULED.into_iter().enumerate() {
                let engine_alone =
                    decoded(engine, &tokens[..PROMPT], requests, &mut Times::default());
                let batch = scheduled(model, engine.cpu(), &tokens[..PROMPT], requests);
                found.scheduled[index].0.push(batch / engine_alone);
            }
            let start = Instant::now();
            let times = &mut found.prefill_times;
            run(engine, &mut engine.cache(), &tokens, Logits::None, times);
            let rate = PREFILL as f64 / start.elapsed().as_secs_f64();
            found.prefill.0.push(rate);
            found.checking.0.push(checking(engine, &tokens[..CHECKED]));
        }
    }
    let ceiling = ceiling.median();
    println!(
        "  {:.0} MB of weights a token; reading alone {ceiling:.1} GB/s",
        streamed(model) as f64 / 1e6
    );
    for (engine, found) in engines.iter().zip(&found) {
        print(model, engine, found, ceiling);
    }
    if let Some(peak) = peak_memory() {
        println!("  peak memory {:.0} MB", peak as f64 / 1e6);
    }
}

fn print(model: &Model, engine: &Engine, found: &Found, ceiling: f64) {
    let backend = engine.cpu().backend();
    let one = found.decode[0].median();
    print!("  {backend:8} decode, tokens/s:");
    for (batch, rates) in BATCHES.into_iter().zip(&found.decode) {
        let rate = rates.median();
        print!("  x{batch} {rate:.1} ({:.2})", rate / one);
    }
    print!("\n  {backend:8} decode in a batch that chooses tokens, over the engine alone:");
    for (requests, rates) in SCHEDULED.into_iter().zip(&found.scheduled) {
        print!("  x{requests} {:.3}", rates.median());
    }
    let bytes = one * streamed(model) as f64 / 1e9;
    println!(
        "\n  {backend:8} x1 reads {bytes:.1} GB/s, {:.0} % of reading alone",
        100.0 * bytes / ceiling
    );
    let prefill = found.prefill.median();
    println!(
        "  {backend:8} prefill of {PREFILL}: {prefill:.0} tokens/s, {:.0} GMAC/s; checking / generating \
         {:.3}",
        prefill * products(model) as f64 / 1e9,
        found.checking.median()
    );
    for (name, times) in [
        ("decode", &found.decode_times),
        ("prefill", &found.prefill_times),
    ] {
        print!("  {backend:8} {name}, shares of time:");
        for part in Part::ALL {
            let share = times.of(part).as_secs_f64() / times.total().as_secs_f64();
            print!("  {part:?} {:.1} %", 100.0 * share);
        }
        println!();
    }
}

fn run(
    engine: &Engine,
    cache: &mut Cache,
    tokens: &[u32],
    logits: Logits,
    times: &mut Times,
) -> Vec<i32> {
    let sequence = Sequence {
        cache,
        tokens,
        logits,
    };
    engine.run_timed(&mut [sequence], times).unwrap().remove(0)
}

/// Time of checking an answer, over the time of generating it.
fn checking(engine: &Engine, prompt: &[u32]) -> f64 {
    let request = Request {
        prompt,
        settings: Settings::GREEDY,
        seed: [0; 32],
        stop_tokens: &[],
        limit: CHECKED as u32,
    };
    let start = Instant::now();
    let answer = generate(engine, &request, &mut |_| ControlFlow::Continue(())).unwrap();
    let generating = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let wrong = check(engine, &request, &answer.tokens, &mut |_| {}).unwrap();
    assert_eq!(wrong, None);
    start.elapsed().as_secs_f64() / generating
}

/// Tokens a second of `batch` sequences together.
fn decoded(engine: &Engine, prompt: &[u32], batch: usize, times: &mut Times) -> f64 {
    let mut first = engine.cache();
    run(
        engine,
        &mut first,
        &prompt[..PROMPT],
        Logits::None,
        &mut Times::default(),
    );
    let mut caches = vec![first; batch];
    let start = Instant::now();
    for step in 0..DECODED {
        let tokens: Vec<[u32; 1]> = (0..batch).map(|i| [prompt[step + i]]).collect();
        let mut sequences: Vec<Sequence> = caches
            .iter_mut()
            .zip(&tokens)
            .map(|(cache, tokens)| Sequence {
                cache,
                tokens,
                logits: Logits::Last,
            })
            .collect();
        black_box(engine.run_timed(&mut sequences, times).unwrap());
    }
    (DECODED * batch) as f64 / start.elapsed().as_secs_f64()
}

/// Tokens a second of a batch of requests that all decode.
fn scheduled(model: &Model, cpu: &Cpu, prompt: &[u32], requests: usize) -> f64 {
    let limits = Limits {
        requests,
        prefill: PROMPT,
        memory: 1 << 32,
    };
    let mut batch = Batch::new(Engine::new(model, cpu).unwrap(), limits);
    for id in 0..requests as u64 {
        let request = Request {
            prompt,
            settings: Settings::GREEDY,
            seed: [0; 32],
            stop_tokens: &[],
            limit: 1 + DECODED as u32,
        };
        assert!(batch.admit(id, &request).unwrap());
        batch.allow(id, 1);
    }
    // The prompts, and the first token of each.
    while batch.step().is_some() {}
    for id in 0..requests as u64 {
        batch.allow(id, u32::MAX);
    }
    let start = Instant::now();
    let mut tokens = 0;
    while let Some(events) = batch.step() {
        let is_token = |event: &&(u64, Event)| matches!(event.1, Event::Token { .. });
        tokens += events.iter().filter(is_token).count();
    }
    let elapsed = start.elapsed().as_secs_f64();
    assert_eq!(tokens, requests * DECODED);
    tokens as f64 / elapsed
}

/// Reads all weights in eight streams a thread, and computes nothing: GB/s.
fn read(weights: &[i8], threads: usize) -> f64 {
    const STREAMS: usize = 8;
    let start = Instant::now();
    let mut bytes = 0;
    while start.elapsed() < Duration::from_millis(200) {
        std::thread::scope(|scope| {
            for share in weights.chunks(weights.len().div_ceil(threads)) {
                scope.spawn(move || {
                    let stream = share.len() / STREAMS / 64 * 64;
                    let mut sums = [[0u64; 2]; STREAMS];
                    for line in (0..stream).step_by(64) {
                        for (s, [a, b]) in sums.iter_mut().enumerate() {
                            let line = share[s * stream + line..][..64].as_ptr();
                            ahead(line);
                            for i in 0..4 {
                                // SAFETY: the line has 64 bytes.
                                let [c, d] =
                                    unsafe { line.cast::<[u64; 2]>().add(i).read_unaligned() };
                                (*a, *b) = (*a ^ c, *b ^ d);
                            }
                        }
                    }
                    black_box(sums);
                });
            }
        });
        bytes += weights.len();
    }
    bytes as f64 / start.elapsed().as_secs_f64() / 1e9
}

/// Fetches what lies 1 KiB further on.
fn ahead(from: *const i8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: nothing is read, and SSE is always there.
    unsafe {
        use core::arch::x86_64::{_mm_prefetch, _MM_HINT_T0};
        _mm_prefetch::<_MM_HINT_T0>(from.wrapping_add(1024));
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = from;
}

/// The most memory that this process has had, in bytes, where the system says.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(1024 * kilobytes)
}
