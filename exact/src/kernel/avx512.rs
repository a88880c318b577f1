//! AVX-512: 16 lanes, and `vpdpwssd`, which multiplies and adds at once.

use core::arch::{asm, x86_64::*};

use super::{attention, avx2, linear, vector::Vector, Kernels};

/// The functions, where the machine has the instructions.
pub fn kernels() -> Option<Kernels> {
    let detected = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vnni");
    detected.then_some(Kernels {
        // SAFETY (of all three): the instructions were detected.
        linear: |q, weights, inputs, sums| unsafe { linear(q, weights, inputs, sums) },
        scores: |q, pages, d, out| unsafe { scores(q, pages, d, out) },
        mix: |w, pages, d, out| unsafe { mix(w, pages, d, out) },
    })
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn linear(q: &[i16], weights: &[i8], inputs: usize, sums: &mut [i64]) {
    // SAFETY: this function has the instructions.
    unsafe { linear::linear::<Lanes16, 4>(q, weights, inputs, sums) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn scores(q: &[i16], pages: &[i8], d: usize, out: &mut [i32]) {
    // SAFETY: as above.
    unsafe { attention::scores::<Lanes16, 4>(q, pages, d, out) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn mix(w: &[i16], pages: &[i8], d: usize, out: &mut [i64]) {
    // SAFETY: as above.
    unsafe { attention::mix::<Lanes16, 4>(w, pages, d, out) }
}

/// `vpdpwssd` itself: out of the intrinsic the compiler makes a product and an addition.
#[inline]
#[target_feature(enable = "avx512f,avx512vnni")]
fn dpwssd(mut sum: __m512i, a: __m512i, b: __m512i) -> __m512i {
    // SAFETY: the instruction is there and touches nothing else.
    unsafe {
        asm!(
            "vpdpwssd {sum}, {a}, {b}",
            sum = inout(zmm_reg) sum,
            a = in(zmm_reg) a,
            b = in(zmm_reg) b,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sum
}

#[derive(Clone, Copy)]
struct Lanes16(__m512i);

// SAFETY (of every block): what the trait asks of its callers.
impl Vector for Lanes16 {
    const LANES: usize = 16;

    #[inline(always)]
    unsafe fn zero() -> Self {
        unsafe { Self(_mm512_setzero_si512()) }
    }

    #[inline(always)]
    unsafe fn pairs(from: *const i16) -> Self {
        unsafe { Self(_mm512_loadu_si512(from.cast())) }
    }

    #[inline(always)]
    unsafe fn widened(from: *const i8) -> Self {
        unsafe { Self(_mm512_cvtepi8_epi16(_mm256_loadu_si256(from.cast()))) }
    }

    #[inline(always)]
    unsafe fn same_pair(from: *const i16) -> Self {
        unsafe { Self(_mm512_set1_epi32(from.cast::<i32>().read_unaligned())) }
    }

    #[inline(always)]
    unsafe fn add_products(self, a: Self, b: Self) -> Self {
        unsafe { Self(dpwssd(self.0, a.0, b.0)) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut i32) {
        unsafe { _mm512_storeu_si512(to.cast(), self.0) }
    }

    #[inline(always)]
    unsafe fn add_to(self, sums: *mut i64) {
        unsafe {
            avx2::add(_mm512_castsi512_si256(self.0), sums);
            avx2::add(_mm512_extracti64x4_epi64::<1>(self.0), sums.add(8));
        }
    }

    #[inline(always)]
    unsafe fn total(self) -> i64 {
        unsafe {
            let odd = _mm512_srai_epi64::<32>(self.0);
            let even = _mm512_srai_epi64::<32>(_mm512_slli_epi64::<32>(self.0));
            let eight = _mm512_add_epi64(odd, even);
            avx2::total(_mm256_add_epi64(
                _mm512_castsi512_si256(eight),
                _mm512_extracti64x4_epi64::<1>(eight),
            ))
        }
    }

    #[inline(always)]
    unsafe fn transpose(from: [*const i16; 8], to: *mut i16) {
        unsafe { avx2::transpose::<{ 2 * Self::LANES }>(from, to) }
    }
}
