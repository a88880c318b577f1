//! How fast the kernels are beside what the machine's memory and multipliers give:
//! `cargo run --release -p assay-exact --example kernels [-- ROUNDS [SHAPE ...]]`.
//!
//! Every round measures each thing once, so that what disturbs the machine disturbs all of them, and
//! the best of the rounds is printed: disturbance only slows. Two machines, or two hours, are compared
//! by the ratios.

use std::{
    hint::black_box,
    thread,
    time::{Duration, Instant},
};

use assay_exact::kernel::{Backend, Kernels};

/// Time of one measurement.
const TIME: Duration = Duration::from_millis(60);
/// Bytes that reading and decoding go through: many times what caches hold.
const ARENA: usize = 512 << 20;
/// Rows and inputs of matrices of small models.
const SHAPES: [(usize, usize); 4] = [(8192, 2048), (2048, 8192), (4864, 896), (151_936, 896)];
const BATCHES: [usize; 4] = [1, 2, 4, 8];
/// Tokens of a prefill, and rows of one call.
const PREFILL: usize = 512;
const PREFILL_ROWS: usize = 256;
/// Attention: queries that share a head, its dimensions and positions.
const QUERIES: usize = 4;
const DIMENSIONS: usize = 64;
const POSITIONS: usize = 2048;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let rounds = arguments.next().map_or(5, |rounds| rounds.parse().unwrap());
    let wanted: Vec<_> = arguments.collect();
    let machine = Machine::new();
    println!(
        "{} threads, the best of {rounds} rounds; memory in GB/s, products in GMAC/s",
        machine.threads
    );
    for (rows, inputs) in SHAPES {
        let name = format!("{rows}x{inputs}");
        if wanted.is_empty() || wanted.contains(&name) {
            println!("\n{name}");
            machine.shape(rounds, rows, inputs);
        }
    }
}

struct Machine {
    threads: usize,
    backends: Vec<(Backend, Kernels)>,
    weights: Vec<i8>,
    q: Vec<i16>,
}

impl Machine {
    fn new() -> Self {
        let mut state = 1u64;
        let mut random = move || {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            (state >> 33) as i32
        };
        let all = Backend::ALL.into_iter();
        Self {
            threads: thread::available_parallelism().map_or(1, usize::from),
            backends: all
                .filter_map(|backend| Some((backend, Kernels::of(backend).ok()?)))
                .collect(),
            weights: (0..ARENA).map(|_| random() as i8).collect(),
            q: (0..PREFILL << 13)
                .map(|_| (random() % 32513) as i16)
                .collect(),
        }
    }

    /// Measures and prints what concerns matrices of one shape.
    fn shape(&self, rounds: usize, rows: usize, inputs: usize) {
        let mut reads = [Rates::default(), Rates::default()];
        let mut found = vec![Found::default(); self.backends.len()];
        for _ in 0..rounds {
            reads[0].note(self.read::<1>(rows * inputs));
            reads[1].note(self.read::<8>(rows * inputs));
            for ((backend, kernels), found) in self.backends.iter().zip(&mut found) {
                for (batch, rates) in BATCHES.into_iter().zip(&mut found.decode) {
                    rates.note(self.decode(kernels, rows, inputs, batch));
                }
                found.prefill.note(self.prefill(kernels, rows, inputs));
                found.scores.note(self.scores(kernels));
                found.mix.note(self.mix(kernels));
                if let Some(products) = peak::products(*backend) {
                    found.peak.note(self.rate(|_| move |_| products()));
                }
            }
        }
        let read = reads[1].best();
        println!(
            "  plain read      1 stream {:.1}, 8 streams {read:.1}",
            reads[0].best()
        );
        for ((backend, _), found) in self.backends.iter().zip(&found) {
            let decode = found.decode.each_ref().map(Rates::best);
            print!("  {backend:8} decode");
            for (batch, decode) in BATCHES.into_iter().zip(decode) {
                let share = 100.0 * decode / read;
                print!("  x{batch} {decode:.1} ({share:.0} % of reading)");
            }
            println!(", tokens/s x8 / x1 {:.1}", 8.0 * decode[3] / decode[0]);
            print!("  {backend:8}");
            for (name, rates) in [
                ("prefill", &found.prefill),
                ("scores", &found.scores),
                ("mix", &found.mix),
            ] {
                print!("  {name} {:.1}", rates.best());
                if found.peak.best() > 0.0 {
                    let share = 100.0 * rates.best() / found.peak.best();
                    print!(" ({share:.0} % of {:.0})", found.peak.best());
                }
            }
            println!();
        }
    }

    /// Runs each thread's work, step by step, until time is up: 10^9 units a second, all together.
    fn rate<W: FnMut(usize) -> usize>(&self, work: impl Fn(usize) -> W + Sync) -> f64 {
        let run = |thread| {
            let mut work = work(thread);
            let start = Instant::now();
            let mut done = 0;
            for step in 0.. {
                done += work(step);
                if start.elapsed() > TIME {
                    break;
                }
            }
            done as f64 / start.elapsed().as_secs_f64() / 1e9
        };
        let run = &run;
        thread::scope(|scope| {
            let threads: Vec<_> = (0..self.threads)
                .map(|thread| scope.spawn(move || run(thread)))
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum()
        })
    }

    /// A thread's share of a matrix, another matrix at each step.
    fn share(&self, thread: usize, step: usize, rows: usize, inputs: usize) -> &[i8] {
        let matrices = ARENA / (rows * inputs);
        let share = rows / self.threads;
        let first = (step % matrices * rows + thread * share) * inputs;
        &self.weights[first..][..share * inputs]
    }

    /// Reads as decoding does, with S streams, and computes nothing.
    fn read<const S: usize>(&self, bytes: usize) -> f64 {
        self.rate(|thread| {
            move |step| {
                let share = self.share(thread, step, bytes / 64, 64);
                let stream = share.len() / S / 64 * 64;
                let mut sums = [[0u64; 8]; S];
                for line in (0..stream).step_by(64) {
                    for (s, sums) in sums.iter_mut().enumerate() {
                        let from = share[s * stream + line..][..64].as_ptr();
                        ahead(from);
                        for (i, sum) in sums.iter_mut().enumerate() {
                            // SAFETY: the line has 64 bytes.
                            *sum ^= unsafe { from.cast::<u64>().add(i).read_unaligned() };
                        }
                    }
                }
                black_box(sums);
                S * stream
            }
        })
    }

    fn decode(&self, kernels: &Kernels, rows: usize, inputs: usize, batch: usize) -> f64 {
        let linear = kernels.linear;
        self.rate(|thread| {
            let mut sums = vec![0; rows / self.threads * batch];
            move |step| {
                let share = self.share(thread, step, rows, inputs);
                linear(&self.q[..batch * inputs], share, inputs, &mut sums);
                share.len()
            }
        })
    }

    fn prefill(&self, kernels: &Kernels, rows: usize, inputs: usize) -> f64 {
        let linear = kernels.linear;
        self.rate(|thread| {
            let mut sums = vec![0; PREFILL_ROWS * PREFILL];
            move |step| {
                let share = self.share(thread, 0, rows, inputs);
                let calls = share.len() / (PREFILL_ROWS * inputs);
                let first = step % calls * PREFILL_ROWS * inputs;
                let block = &share[first..][..PREFILL_ROWS * inputs];
                linear(&self.q[..PREFILL * inputs], block, inputs, &mut sums);
                PREFILL * block.len()
            }
        })
    }

    fn scores(&self, kernels: &Kernels) -> f64 {
        let scores = kernels.scores;
        self.rate(|thread| {
            let mut out = vec![0; QUERIES * POSITIONS];
            move |_| {
                let keys = self.share(thread, 0, self.threads * POSITIONS, DIMENSIONS);
                scores(&self.q[..QUERIES * DIMENSIONS], keys, DIMENSIONS, &mut out);
                QUERIES * keys.len()
            }
        })
    }

    fn mix(&self, kernels: &Kernels) -> f64 {
        let mix = kernels.mix;
        self.rate(|thread| {
            let mut out = vec![0; QUERIES * DIMENSIONS];
            move |_| {
                let values = self.share(thread, 0, self.threads * POSITIONS, DIMENSIONS);
                mix(&self.q[..QUERIES * POSITIONS], values, DIMENSIONS, &mut out);
                QUERIES * values.len()
            }
        })
    }
}

#[derive(Clone, Default)]
struct Rates(Vec<f64>);

impl Rates {
    fn note(&mut self, rate: f64) {
        self.0.push(rate);
    }

    fn best(&self) -> f64 {
        self.0.iter().copied().fold(0.0, f64::max)
    }
}

#[derive(Clone, Default)]
struct Found {
    decode: [Rates; 4],
    prefill: Rates,
    scores: Rates,
    mix: Rates,
    peak: Rates,
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

/// Multiplying and adding in registers alone.
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, unused_imports))]
mod peak {
    use std::hint::black_box;

    use assay_exact::kernel::Backend;

    const STEPS: usize = 100_000;
    /// Sums that hide one another's latency.
    const SUMS: usize = 12;

    /// What computes for a while and gives the number of products. What the compiler makes of plain loops
    /// has no such loop.
    pub fn products(backend: Backend) -> Option<fn() -> usize> {
        match backend {
            Backend::Portable => None,
            // SAFETY: only backends that are available are measured.
            #[cfg(target_arch = "x86_64")]
            Backend::Avx2 => Some(|| unsafe { avx2() }),
            #[cfg(target_arch = "x86_64")]
            Backend::Avx512 => Some(|| unsafe { avx512() }),
            #[cfg(not(target_arch = "x86_64"))]
            _ => None,
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn avx2() -> usize {
        use core::arch::x86_64::*;
        let mut sums = [_mm256_setzero_si256(); SUMS];
        let factor = black_box(_mm256_set1_epi16(3));
        for _ in 0..STEPS {
            for sum in &mut sums {
                *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(*sum, factor));
            }
        }
        black_box(sums);
        STEPS * SUMS * 16
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512vnni")]
    fn avx512() -> usize {
        use core::arch::{asm, x86_64::*};
        let mut sums = [_mm512_setzero_si512(); SUMS];
        let factor = black_box(_mm512_set1_epi16(3));
        for _ in 0..STEPS {
            for sum in &mut sums {
                // SAFETY: the instruction touches nothing else. (Out of the intrinsic the compiler makes two.)
                unsafe {
                    asm!(
                        "vpdpwssd {sum}, {factor}, {factor}",
                        sum = inout(zmm_reg) *sum,
                        factor = in(zmm_reg) factor,
                        options(pure, nomem, nostack, preserves_flags),
                    );
                }
            }
        }
        black_box(sums);
        STEPS * SUMS * 32
    }
}
