//! Few tokens: the memory's pace decides, so the weights are read once for up to eight tokens, in
//! the order that memory likes best.

// Offsets are within what `shape` compared; sums are bounded by the callers' ranges (kernel/mod.rs).
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]

use core::{
    arch::x86_64::{_mm_prefetch, _MM_HINT_T0},
    ops::Range,
};

use super::{Aligned, Call, LINE};
use crate::kernel::{portable, vector::Vector, PAIRS};

/// Places of the weights that are read in turn: one place alone does not get all that the memory gives.
const STREAMS: usize = 8;
/// Tokens of one pass over the weights.
const TOKENS: usize = 8;
/// Bytes of activations that stay in the nearest cache.
const NEAR: usize = 32 << 10;

impl Call<'_> {
    /// Adds to the sums, in passes over the weights that serve eight tokens or fewer.
    ///
    /// # Safety
    ///
    /// The instruction set of V.
    #[inline(always)]
    pub unsafe fn streams<V: Vector>(&self, sums: &mut [i64]) {
        let all = self.shape.tokens;
        // Nine tokens are five and four rather than eight and one.
        let tokens = all.div_ceil(all.div_ceil(TOKENS));
        // Rows at once times tokens are sums in registers, of which AVX-512 has 32 and AVX2 has 16.
        let wide = V::LANES == 16;
        for token in (0..all).step_by(tokens) {
            // SAFETY: the caller's, and as many tokens as the arm says.
            unsafe {
                match (tokens.min(all - token), wide) {
                    (1, _) => self.stream::<V, 8, 1>(token, sums),
                    (2, true) => self.stream::<V, 8, 2>(token, sums),
                    (2, false) => self.stream::<V, 4, 2>(token, sums),
                    (3, true) => self.stream::<V, 8, 3>(token, sums),
                    (3, false) => self.stream::<V, 4, 3>(token, sums),
                    (4, true) => self.stream::<V, 4, 4>(token, sums),
                    (4, false) => self.stream::<V, 2, 4>(token, sums),
                    (5, true) => self.stream::<V, 4, 5>(token, sums),
                    (5, false) => self.stream::<V, 2, 5>(token, sums),
                    (6, true) => self.stream::<V, 4, 6>(token, sums),
                    (6, false) => self.stream::<V, 2, 6>(token, sums),
                    (7, true) => self.stream::<V, 2, 7>(token, sums),
                    (7, false) => self.stream::<V, 1, 7>(token, sums),
                    (_, true) => self.stream::<V, 2, TOKENS>(token, sums),
                    (_, false) => self.stream::<V, 1, TOKENS>(token, sums),
                }
            }
        }
        let whole = whole::<V>(self.inputs);
        if whole < self.inputs {
            self.rest(whole, sums);
        }
    }

    /// T tokens from `token` on: rows of eight places of the weights in turn, R at once.
    ///
    /// # Safety
    ///
    /// The instruction set of V, and so many tokens.
    #[inline(always)]
    unsafe fn stream<V: Vector, const R: usize, const T: usize>(
        &self,
        token: usize,
        sums: &mut [i64],
    ) {
        let whole = whole::<V>(self.inputs);
        let chunk = (NEAR / 2 / T / LINE * LINE).min(PAIRS * 2 * V::LANES);
        let each = self.shape.rows / STREAMS;
        // Vector by vector, the tokens' side by side: aligned, and no two in the same place of a cache.
        let mut q = Vec::<Aligned<[i16; LINE / 2]>>::with_capacity((whole * T).div_ceil(LINE / 2));
        let q = q.as_mut_ptr().cast::<i16>();
        for i in (0..whole).step_by(2 * V::LANES) {
            for t in 0..T {
                // SAFETY: there are these tokens and inputs, and room for T · `whole` numbers.
                unsafe {
                    let from = self.q.as_ptr().add((token + t) * self.inputs + i);
                    V::pairs(from).store(q.add(i * T + t * 2 * V::LANES).cast());
                }
            }
        }
        for i in 0..each {
            for first in (0..whole).step_by(chunk) {
                let inputs = first..whole.min(first + chunk);
                for stream in (0..STREAMS).step_by(R) {
                    let row = stream * each + i;
                    // SAFETY: there are `STREAMS · each` such rows, and `whole` inputs.
                    unsafe { self.dots::<V, R, T>(q, row, each, token, inputs.clone(), sums) };
                }
            }
        }
        for row in STREAMS * each..self.shape.rows {
            for first in (0..whole).step_by(chunk) {
                let inputs = first..whole.min(first + chunk);
                // SAFETY: as above.
                unsafe { self.dots::<V, 1, T>(q, row, 0, token, inputs, sums) };
            }
        }
    }

    /// Adds what R rows, `apart` rows from each other, and T tokens give over these inputs.
    ///
    /// # Safety
    ///
    /// The instruction set of V; the tokens' activations in `stream`'s order; rows and inputs that are
    /// there, the inputs in whole vectors.
    #[inline(always)]
    unsafe fn dots<V: Vector, const R: usize, const T: usize>(
        &self,
        q: *const i16,
        row: usize,
        apart: usize,
        token: usize,
        inputs: Range<usize>,
        sums: &mut [i64],
    ) {
        // Where not all streams are read at once, the time between two visits to one is longer.
        let ahead = if R == STREAMS { 1024 } else { 2048 };
        let lines = inputs.len() - inputs.len() % LINE;
        // SAFETY: the caller's; what is fetched ahead may lie anywhere.
        unsafe {
            let mut from = Dots {
                weights: self.weights.as_ptr().add(row * self.inputs + inputs.start),
                apart: apart * self.inputs,
                q: q.add(inputs.start * T),
            };
            let mut totals = [[V::zero(); R]; T];
            for _ in (0..lines).step_by(LINE) {
                for r in 0..R {
                    let next = from.weights.wrapping_add(r * from.apart + ahead);
                    _mm_prefetch::<_MM_HINT_T0>(next);
                }
                for _ in (0..LINE).step_by(2 * V::LANES) {
                    from.add(&mut totals);
                }
            }
            for _ in (lines..inputs.len()).step_by(2 * V::LANES) {
                from.add(&mut totals);
            }
            // What is looked up by a number has to be in memory, which these must not be in the loops above.
            let mut lanes = [[[0i32; 16]; R]; T];
            for (totals, lanes) in totals.iter().zip(&mut lanes) {
                for (total, lanes) in totals.iter().zip(lanes) {
                    total.store(lanes.as_mut_ptr());
                }
            }
            for (t, lanes) in lanes.iter().enumerate() {
                for (r, lanes) in lanes.iter().enumerate() {
                    let row = row + r * apart;
                    let total = V::pairs(lanes.as_ptr().cast()).total();
                    sums[row * self.shape.tokens + token + t] += total;
                }
            }
        }
    }

    /// Adds what the inputs from `first` on give.
    fn rest(&self, first: usize, sums: &mut [i64]) {
        let rows = self.weights.chunks_exact(self.inputs);
        for (weights, sums) in rows.zip(sums.chunks_exact_mut(self.shape.tokens)) {
            for (q, sum) in self.q.chunks_exact(self.inputs).zip(sums) {
                *sum += portable::dot(&q[first..], &weights[first..]);
            }
        }
    }
}

/// How many of the inputs are whole vectors.
#[inline(always)]
fn whole<V: Vector>(inputs: usize) -> usize {
    inputs - inputs % (2 * V::LANES)
}

/// Where dots of weights and activations go on.
struct Dots {
    weights: *const i8,
    /// From one row of weights to the next.
    apart: usize,
    q: *const i16,
}

impl Dots {
    /// Adds the products of the next vectors of R rows and T tokens.
    ///
    /// # Safety
    ///
    /// The instruction set of V, and a vector in every row.
    #[inline(always)]
    unsafe fn add<V: Vector, const R: usize, const T: usize>(&mut self, totals: &mut [[V; R]; T]) {
        // SAFETY: the caller's.
        unsafe {
            let mut weights = [V::zero(); R];
            for (r, weights) in weights.iter_mut().enumerate() {
                *weights = V::widened(self.weights.add(r * self.apart));
            }
            for (t, totals) in totals.iter_mut().enumerate() {
                let q = V::pairs(self.q.add(t * 2 * V::LANES));
                for (total, weights) in totals.iter_mut().zip(&weights) {
                    *total = total.add_products(*weights, q);
                }
            }
            self.weights = self.weights.wrapping_add(2 * V::LANES);
            self.q = self.q.wrapping_add(T * 2 * V::LANES);
        }
    }
}
