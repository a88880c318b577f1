//! What the machine gives at most: bytes read from memory and products of 16 and 8 bits.

use std::{
    hint::black_box,
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use assay_exact::Backend;

/// Far-apart streams that one thread reads: about as many as a core follows ahead of time.
const STREAMS: usize = 8;
/// Bytes read for one figure, at least.
const READ: usize = 6 << 30;
/// How far ahead of its use a cache line is asked for, in lines.
const AHEAD: usize = 16;

/// One cache line.
type Line = [u64; 8];

/// Memory many times larger than the caches.
pub struct Arena(Vec<u64>);

impl Arena {
    pub fn new(bytes: usize) -> Self {
        Self(vec![1; bytes / 8])
    }

    /// See [`read`].
    pub fn read(&self, threads: usize) -> f64 {
        read(&self.0, threads)
    }
}

/// Reads the weights of a mapped file, as [`Arena::read`] reads memory.
pub fn read_mapped(weights: &[i8], threads: usize) -> f64 {
    // SAFETY: every pattern of bits is a u64.
    let (_, words, _) = unsafe { weights.align_to::<u64>() };
    read(words, threads)
}

/// 10^9 bytes a second, read by all threads together, each from several places at once.
fn read(words: &[u64], threads: usize) -> f64 {
    let part = words.len() / threads;
    let bytes = part * threads * 8;
    let passes = READ.min(64 * bytes).div_ceil(bytes.max(1));
    let time = together(threads, |thread| {
        let words = &words[thread * part..][..part];
        for _ in 0..passes {
            pass(black_box(words));
        }
    });
    (bytes * passes) as f64 / time.as_secs_f64() / 1e9
}

/// 10^9 products a second that all threads together make and add with a backend's instructions, with no
/// memory in the way. None for the portable backend, whose instructions the compiler chooses.
pub fn multiply(backend: Backend, threads: usize) -> Option<f64> {
    const STEPS: usize = 20_000_000;
    let products = match backend {
        Backend::Portable => return None,
        #[cfg(target_arch = "x86_64")]
        _ if !backend.is_available() => return None,
        #[cfg(target_arch = "x86_64")]
        Backend::Avx2 => STEPS * 6 * 16,
        #[cfg(target_arch = "x86_64")]
        Backend::Avx512 => STEPS * 12 * 32,
        #[cfg(not(target_arch = "x86_64"))]
        _ => return None,
    };
    let time = together(threads, |_| {
        #[cfg(target_arch = "x86_64")]
        match backend {
            // SAFETY: the instructions are there, and touch only registers that are given up.
            Backend::Avx512 => unsafe { x86::avx512(STEPS) },
            // SAFETY: as above.
            _ => unsafe { x86::avx2(STEPS) },
        }
    });
    Some((products * threads) as f64 / time.as_secs_f64() / 1e9)
}

/// The time from the first thread's beginning to the last one's end.
fn together(threads: usize, work: impl Fn(usize) + Sync) -> Duration {
    let barrier = Barrier::new(threads);
    let now = Instant::now();
    let mut spans = vec![(now, now); threads];
    thread::scope(|scope| {
        for (thread, span) in spans.iter_mut().enumerate() {
            let (barrier, work) = (&barrier, &work);
            scope.spawn(move || {
                barrier.wait();
                span.0 = Instant::now();
                work(thread);
                span.1 = Instant::now();
            });
        }
    });
    let began = spans.iter().map(|span| span.0).min().unwrap_or(now);
    let ended = spans.iter().map(|span| span.1).max().unwrap_or(now);
    ended - began
}

/// Reads every word once; what is done with it costs less than fetching it.
fn pass(words: &[u64]) {
    let (lines, _) = words.as_chunks::<8>();
    let stream = lines.len() / STREAMS;
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("avx2") {
        // SAFETY: it is there.
        return unsafe { x86::pass(lines, stream) };
    }
    let mut sums = [0; STREAMS];
    for index in 0..stream {
        for (number, sum) in sums.iter_mut().enumerate() {
            let line: &Line = &lines[number * stream + index];
            *sum ^= line.iter().fold(0, |all, word| all ^ word);
        }
    }
    black_box(sums);
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use core::{
        arch::{asm, x86_64::*},
        hint::black_box,
    };

    use super::{Line, AHEAD, STREAMS};

    /// Reads streams of so many lines, one after the other in memory.
    #[target_feature(enable = "avx2")]
    pub fn pass(lines: &[Line], stream: usize) {
        let mut sums = [_mm256_setzero_si256(); STREAMS];
        for index in 0..stream {
            for (number, sum) in sums.iter_mut().enumerate() {
                let line = &lines[number * stream + index];
                let half = line.as_ptr().cast::<__m256i>();
                // SAFETY: a line has two halves; any address may be prefetched, mapped or not.
                let (first, second) = unsafe {
                    _mm_prefetch(half.wrapping_add(2 * AHEAD).cast(), _MM_HINT_T0);
                    (_mm256_loadu_si256(half), _mm256_loadu_si256(half.add(1)))
                };
                *sum = _mm256_xor_si256(*sum, _mm256_xor_si256(first, second));
            }
        }
        black_box(sums);
    }

    /// 12 independent sums, so that none waits for its last step; 32 products each.
    ///
    /// # Safety
    /// The machine has AVX-512 VNNI.
    pub unsafe fn avx512(steps: usize) {
        asm!(
            "2:",
            "vpdpwssd zmm0, zmm12, zmm13",
            "vpdpwssd zmm1, zmm12, zmm13",
            "vpdpwssd zmm2, zmm12, zmm13",
            "vpdpwssd zmm3, zmm12, zmm13",
            "vpdpwssd zmm4, zmm12, zmm13",
            "vpdpwssd zmm5, zmm12, zmm13",
            "vpdpwssd zmm6, zmm12, zmm13",
            "vpdpwssd zmm7, zmm12, zmm13",
            "vpdpwssd zmm8, zmm12, zmm13",
            "vpdpwssd zmm9, zmm12, zmm13",
            "vpdpwssd zmm10, zmm12, zmm13",
            "vpdpwssd zmm11, zmm12, zmm13",
            "dec rcx",
            "jnz 2b",
            "vzeroupper",
            inout("rcx") steps => _,
            clobber_abi("sysv64"),
            options(nomem, nostack),
        );
    }

    /// 6 independent sums; 16 products each.
    ///
    /// # Safety
    /// The machine has AVX2.
    pub unsafe fn avx2(steps: usize) {
        asm!(
            "2:",
            "vpmaddwd ymm6, ymm12, ymm13",
            "vpmaddwd ymm7, ymm12, ymm13",
            "vpmaddwd ymm8, ymm12, ymm13",
            "vpmaddwd ymm9, ymm12, ymm13",
            "vpmaddwd ymm10, ymm12, ymm13",
            "vpmaddwd ymm11, ymm12, ymm13",
            "vpaddd ymm0, ymm0, ymm6",
            "vpaddd ymm1, ymm1, ymm7",
            "vpaddd ymm2, ymm2, ymm8",
            "vpaddd ymm3, ymm3, ymm9",
            "vpaddd ymm4, ymm4, ymm10",
            "vpaddd ymm5, ymm5, ymm11",
            "dec rcx",
            "jnz 2b",
            "vzeroupper",
            inout("rcx") steps => _,
            clobber_abi("sysv64"),
            options(nomem, nostack),
        );
    }
}
