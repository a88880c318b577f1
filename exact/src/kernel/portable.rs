//! The kernels in plain loops, which the compiler turns into what vectors every machine of its
//! target has.

// Bounded by the callers' ranges (mod.rs), and indices by the lengths that `shape` compares.
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]

use super::{shape, Kernels, PAIRS};
use crate::leaf::PAGE;

pub const KERNELS: Kernels = Kernels {
    linear,
    scores,
    mix,
};

fn linear(q: &[i16], weights: &[i8], inputs: usize, sums: &mut [i64]) {
    let tokens = shape::linear(q, weights, inputs, sums).tokens;
    if tokens == 0 {
        return;
    }
    let rows = weights.chunks_exact(inputs);
    for (weights, sums) in rows.zip(sums.chunks_exact_mut(tokens)) {
        for (q, sum) in q.chunks_exact(inputs).zip(sums) {
            *sum = dot(q, weights);
        }
    }
}

/// Sum of q · w.
pub fn dot(q: &[i16], weights: &[i8]) -> i64 {
    let blocks = q.chunks(2 * PAIRS).zip(weights.chunks(2 * PAIRS));
    blocks
        .map(|(q, weights)| {
            let terms = q.iter().zip(weights);
            i64::from(
                terms
                    .map(|(q, w)| i32::from(*q) * i32::from(*w))
                    .sum::<i32>(),
            )
        })
        .sum()
}

fn scores(q: &[i16], pages: &[i8], d: usize, out: &mut [i32]) {
    let positions = shape::scores(q, pages, d, out).positions;
    if positions == 0 {
        return;
    }
    for (q, out) in q.chunks_exact(d).zip(out.chunks_exact_mut(positions)) {
        for (page, out) in pages.chunks_exact(PAGE * d).zip(out.chunks_exact_mut(PAGE)) {
            out.fill(0);
            for (q, keys) in q.chunks_exact(2).zip(page.chunks_exact(2 * PAGE)) {
                add_pairs(q, keys, out);
            }
        }
    }
}

fn mix(w: &[i16], pages: &[i8], d: usize, out: &mut [i64]) {
    if shape::mix(w, pages, d, out).positions > 0 {
        mix_from(0, w, pages, d, out);
    }
}

/// `mix` of the dimensions from `start` on, at one position or more.
pub fn mix_from(start: usize, w: &[i16], pages: &[i8], d: usize, out: &mut [i64]) {
    const DIMENSIONS: usize = 16;
    let positions = pages.len() / d;
    for (w, out) in w.chunks_exact(positions).zip(out.chunks_exact_mut(d)) {
        for (w, pages) in w.chunks(2 * PAIRS).zip(pages.chunks(2 * PAIRS * d)) {
            for first in (start..d).step_by(DIMENSIONS) {
                let out = &mut out[first..d.min(first + DIMENSIONS)];
                let mut sums = [0; DIMENSIONS];
                for (w, values) in w.chunks_exact(2).zip(pages.chunks_exact(2 * d)) {
                    add_pairs(w, &values[2 * first..], &mut sums[..out.len()]);
                }
                for (out, sum) in out.iter_mut().zip(sums) {
                    *out += i64::from(sum);
                }
            }
        }
    }
}

/// Adds to each sum what a pair of numbers and its own pair of bytes give.
fn add_pairs(pair: &[i16], bytes: &[i8], sums: &mut [i32]) {
    for (sum, bytes) in sums.iter_mut().zip(bytes.chunks_exact(2)) {
        *sum += i32::from(pair[0]) * i32::from(bytes[0]) + i32::from(pair[1]) * i32::from(bytes[1]);
    }
}
