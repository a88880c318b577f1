//! AVX2: 8 lanes; `vpmaddwd` multiplies, and an addition follows.

// Indices are below the constant lengths of their arrays.
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]

use core::arch::x86_64::*;

use super::{attention, linear, vector::Vector, Kernels};

/// The functions, where the machine has the instructions.
pub fn kernels() -> Option<Kernels> {
    is_x86_feature_detected!("avx2").then_some(Kernels {
        // SAFETY (of all three): the instructions were detected.
        linear: |q, weights, inputs, sums| unsafe { linear(q, weights, inputs, sums) },
        scores: |q, pages, d, out| unsafe { scores(q, pages, d, out) },
        mix: |w, pages, d, out| unsafe { mix(w, pages, d, out) },
    })
}

#[target_feature(enable = "avx2")]
fn linear(q: &[i16], weights: &[i8], inputs: usize, sums: &mut [i64]) {
    // SAFETY: this function has the instructions.
    unsafe { linear::linear::<Lanes8, 2>(q, weights, inputs, sums) }
}

#[target_feature(enable = "avx2")]
fn scores(q: &[i16], pages: &[i8], d: usize, out: &mut [i32]) {
    // SAFETY: as above.
    unsafe { attention::scores::<Lanes8, 2>(q, pages, d, out) }
}

#[target_feature(enable = "avx2")]
fn mix(w: &[i16], pages: &[i8], d: usize, out: &mut [i64]) {
    // SAFETY: as above.
    unsafe { attention::mix::<Lanes8, 2>(w, pages, d, out) }
}

#[derive(Clone, Copy)]
struct Lanes8(__m256i);

// SAFETY (of every block): what the trait asks of its callers.
impl Vector for Lanes8 {
    const LANES: usize = 8;

    #[inline(always)]
    unsafe fn zero() -> Self {
        unsafe { Self(_mm256_setzero_si256()) }
    }

    #[inline(always)]
    unsafe fn pairs(from: *const i16) -> Self {
        unsafe { Self(_mm256_loadu_si256(from.cast())) }
    }

    #[inline(always)]
    unsafe fn widened(from: *const i8) -> Self {
        unsafe { Self(_mm256_cvtepi8_epi16(_mm_loadu_si128(from.cast()))) }
    }

    #[inline(always)]
    unsafe fn same_pair(from: *const i16) -> Self {
        unsafe { Self(_mm256_set1_epi32(from.cast::<i32>().read_unaligned())) }
    }

    #[inline(always)]
    unsafe fn add_products(self, a: Self, b: Self) -> Self {
        unsafe { Self(_mm256_add_epi32(self.0, _mm256_madd_epi16(a.0, b.0))) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut i32) {
        unsafe { _mm256_storeu_si256(to.cast(), self.0) }
    }

    #[inline(always)]
    unsafe fn add_to(self, sums: *mut i64) {
        unsafe { add(self.0, sums) }
    }

    #[inline(always)]
    unsafe fn total(self) -> i64 {
        unsafe {
            let [low, high] = halves(self.0);
            total(_mm256_add_epi64(low, high))
        }
    }

    #[inline(always)]
    unsafe fn transpose(from: [*const i16; 8], to: *mut i16) {
        unsafe { transpose::<{ 2 * Self::LANES }>(from, to) }
    }
}

/// Lanes as i64.
///
/// # Safety
///
/// AVX2.
#[inline(always)]
unsafe fn halves(lanes: __m256i) -> [__m256i; 2] {
    // SAFETY: the caller's.
    unsafe {
        [
            _mm256_cvtepi32_epi64(_mm256_castsi256_si128(lanes)),
            _mm256_cvtepi32_epi64(_mm256_extracti128_si256::<1>(lanes)),
        ]
    }
}

/// Adds 8 lanes to 8 sums.
///
/// # Safety
///
/// AVX2; 8 sums.
#[inline(always)]
pub unsafe fn add(lanes: __m256i, sums: *mut i64) {
    // SAFETY: the caller's.
    unsafe {
        for (i, half) in halves(lanes).into_iter().enumerate() {
            let sums = sums.add(4 * i);
            let sum = _mm256_add_epi64(_mm256_loadu_si256(sums.cast()), half);
            _mm256_storeu_si256(sums.cast(), sum);
        }
    }
}

/// The sum of four i64.
///
/// # Safety
///
/// AVX2.
#[inline(always)]
pub unsafe fn total(four: __m256i) -> i64 {
    // SAFETY: the caller's.
    unsafe {
        let high = _mm256_extracti128_si256::<1>(four);
        let two = _mm_add_epi64(_mm256_castsi256_si128(four), high);
        _mm_cvtsi128_si64(_mm_add_epi64(two, _mm_unpackhi_epi64(two, two)))
    }
}

/// Writes the 8 pairs of each of 8 rows as columns: pair `i` of all rows at `to + i · STRIDE`.
///
/// # Safety
///
/// AVX2; rows of 16 numbers; room for 16 at each of the 8 places.
#[inline(always)]
pub unsafe fn transpose<const STRIDE: usize>(from: [*const i16; 8], to: *mut i16) {
    for first in [0, 4] {
        // SAFETY: the caller's.
        unsafe {
            let mut rows = [_mm256_setzero_si256(); 4];
            for (i, row) in rows.iter_mut().enumerate() {
                *row = _mm256_loadu2_m128i(
                    from[i + 4].add(2 * first).cast(),
                    from[i].add(2 * first).cast(),
                );
            }
            let [a, b, c, d] = rows;
            let even = [_mm256_unpacklo_epi32(a, b), _mm256_unpacklo_epi32(c, d)];
            let odd = [_mm256_unpackhi_epi32(a, b), _mm256_unpackhi_epi32(c, d)];
            let columns = [
                _mm256_unpacklo_epi64(even[0], even[1]),
                _mm256_unpackhi_epi64(even[0], even[1]),
                _mm256_unpacklo_epi64(odd[0], odd[1]),
                _mm256_unpackhi_epi64(odd[0], odd[1]),
            ];
            for (i, column) in columns.into_iter().enumerate() {
                _mm256_storeu_si256(to.add((first + i) * STRIDE).cast(), column);
            }
        }
    }
}
