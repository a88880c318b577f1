//! `linear` for any vectors: a stream over the weights for few tokens, a blocked product for many.

// Offsets are within what `shape` compared; sums are bounded by the callers' ranges (mod.rs).
#![allow(clippy::arithmetic_side_effects)]

use super::{
    shape::{self, Linear},
    vector::Vector,
};

mod product;
mod stream;

/// Bytes of a cache line.
const LINE: usize = 64;
/// Tokens for which even three streams are faster than a product.
const FEW: usize = 24;

/// Aligned to cache lines.
#[repr(align(64))]
struct Aligned<T>(T);

/// [`Kernels::linear`](super::Kernels::linear), with tiles of P vectors of tokens in a product.
///
/// # Safety
///
/// The instruction set of V.
#[inline(always)]
pub unsafe fn linear<V: Vector, const P: usize>(
    q: &[i16],
    weights: &[i8],
    inputs: usize,
    sums: &mut [i64],
) {
    let call = Call {
        shape: shape::linear(q, weights, inputs, sums),
        q,
        weights,
        inputs,
    };
    sums.fill(0);
    // SAFETY: the caller's.
    unsafe {
        match call.shape.tokens {
            0 => {}
            1..=FEW => call.streams::<V>(sums),
            _ => call.product::<V, P>(sums),
        }
    }
}

struct Call<'a> {
    q: &'a [i16],
    weights: &'a [i8],
    inputs: usize,
    shape: Linear,
}
