//! Many tokens: the multipliers' pace decides, so activations are put in order once for all rows, and
//! every vector of them is used for several rows while it is in a register.

// Offsets are within what `shape` compared; sums are bounded by the callers' ranges (kernel/mod.rs).
#![allow(clippy::arithmetic_side_effects)]

use core::{
    arch::x86_64::{_mm_prefetch, _MM_HINT_T0},
    mem::MaybeUninit,
};

use super::{Aligned, Call, LINE};
use crate::kernel::{
    vector::{add_lanes, at_once, run, tile, Columns, Rows, Tile, Vector, ROWS},
    PAIRS,
};

/// Tokens and inputs of a block, whose 256 KiB of activations stay in the second cache.
const TOKENS: usize = 256;
/// As many as a tile can sum.
const INPUTS: usize = 2 * PAIRS;

/// A block of activations.
struct Block {
    token: usize,
    tokens: usize,
    first: usize,
    inputs: usize,
}

impl Call<'_> {
    /// Adds to the sums block by block, P vectors of tokens at a time.
    ///
    /// # Safety
    ///
    /// The instruction set of V.
    #[inline(always)]
    pub unsafe fn product<V: Vector, const P: usize>(&self, sums: &mut [i64]) {
        let mut panels = Aligned([MaybeUninit::<i16>::uninit(); TOKENS * INPUTS]);
        let panels = panels.0.as_mut_ptr().cast::<i16>();
        let mut rows = Aligned([0i16; ROWS * INPUTS]);
        let rows = rows.0.as_mut_ptr();
        let blocks = self.inputs.div_ceil(INPUTS);
        let inputs = self.inputs.div_ceil(blocks).next_multiple_of(16);
        for token in (0..self.shape.tokens).step_by(TOKENS) {
            for first in (0..self.inputs).step_by(inputs) {
                let block = Block {
                    token,
                    tokens: TOKENS.min(self.shape.tokens - token),
                    first,
                    inputs: inputs.min(self.inputs - first),
                };
                // SAFETY: the block is there, and the panels and rows have room for it.
                unsafe {
                    self.pack::<V>(&block, panels);
                    for row in (0..self.shape.rows).step_by(ROWS) {
                        let count = ROWS.min(self.shape.rows - row);
                        self.widen::<V>(row, count, &block, rows);
                        let sums = sums.as_mut_ptr().add(row * self.shape.tokens + token);
                        self.tiles::<V, P>(count, &block, rows, panels, sums);
                    }
                }
            }
        }
    }

    /// Adds what some rows give.
    ///
    /// # Safety
    ///
    /// The instruction set of V; so many rows, their sums, and the block's panels.
    #[inline(always)]
    unsafe fn tiles<V: Vector, const P: usize>(
        &self,
        count: usize,
        block: &Block,
        rows: *const i16,
        panels: *const i16,
        sums: *mut i64,
    ) {
        let pairs = block.inputs.div_ceil(2);
        let mut done = 0;
        while done < block.tokens {
            let left = block.tokens - done;
            let vectors = at_once::<P>(left.div_ceil(V::LANES));
            // SAFETY: the caller's; every panel before these has `LANES · pairs` pairs.
            unsafe {
                let tile = Product {
                    rows,
                    panels: panels.add(done * 2 * pairs),
                    pairs,
                    tokens: left.min(vectors * V::LANES),
                    sums: sums.add(done),
                    stride: self.shape.tokens,
                };
                run::<V, P>(tile, count, vectors);
            }
            done += vectors * V::LANES;
        }
    }

    /// Puts activations in order: panels of LANES tokens, \[inputs/2\]\[LANES\]\[2\]. Lanes without a
    /// token of their own get the last one's, and nobody looks at what they give.
    ///
    /// # Safety
    ///
    /// The instruction set of V; a block that is there, and room for it.
    #[inline(always)]
    unsafe fn pack<V: Vector>(&self, block: &Block, panels: *mut i16) {
        let pairs = block.inputs.div_ceil(2);
        let whole = block.inputs - block.inputs % 16;
        for group in (0..block.tokens.next_multiple_of(V::LANES)).step_by(8) {
            // SAFETY: the caller's.
            unsafe {
                let mut from = [self.q.as_ptr(); 8];
                for (lane, from) in from.iter_mut().enumerate() {
                    let token = block.token + (group + lane).min(block.tokens - 1);
                    *from = from.add(token * self.inputs + block.first);
                }
                let lane = group % V::LANES;
                let panel = panels.add((group - lane) * 2 * pairs + 2 * lane);
                for i in (0..whole).step_by(16) {
                    let mut from = from;
                    for from in &mut from {
                        *from = from.add(i);
                    }
                    V::transpose(from, panel.add(i * V::LANES));
                }
                for i in (whole..block.inputs).step_by(2) {
                    for (lane, from) in from.iter().enumerate() {
                        let odd = i + 1 == block.inputs;
                        let second = if odd { 0 } else { *from.add(i + 1) };
                        let pair = panel.add(i * V::LANES + 2 * lane);
                        pair.write(*from.add(i));
                        pair.add(1).write(second);
                    }
                }
            }
        }
    }

    /// Sign-extends the block's inputs of some rows, and fetches those of the next rows ahead.
    ///
    /// # Safety
    ///
    /// The instruction set of V; so many rows, and a block that is there.
    #[inline(always)]
    unsafe fn widen<V: Vector>(&self, row: usize, count: usize, block: &Block, to: *mut i16) {
        let whole = block.inputs - block.inputs % (2 * V::LANES);
        for r in 0..count {
            // SAFETY: the caller's; what is fetched ahead may lie anywhere.
            unsafe {
                let from = self.weights.as_ptr();
                let from = from.add((row + r) * self.inputs + block.first);
                let to = to.add(r * INPUTS);
                for i in (0..block.inputs).step_by(LINE) {
                    _mm_prefetch::<_MM_HINT_T0>(from.wrapping_add(ROWS * self.inputs + i));
                }
                for i in (0..whole).step_by(2 * V::LANES) {
                    V::widened(from.add(i)).store(to.add(i).cast());
                }
                for i in whole..block.inputs {
                    to.add(i).write((*from.add(i)).into());
                }
            }
        }
    }
}

/// Widened rows beside panels.
struct Product {
    rows: *const i16,
    panels: *const i16,
    pairs: usize,
    /// Tokens that count.
    tokens: usize,
    sums: *mut i64,
    /// Sums from row to row.
    stride: usize,
}

impl Tile for Product {
    #[inline(always)]
    unsafe fn run<V: Vector, const R: usize, const P: usize>(self) {
        let rows = Rows {
            first: self.rows,
            stride: INPUTS,
        };
        let columns = Columns {
            first: self.panels,
            stride: 2 * V::LANES * self.pairs,
            step: 2 * V::LANES,
        };
        // SAFETY: the caller's.
        unsafe {
            let sums = tile::<V, i16, R, P>(rows, columns, self.pairs);
            for (r, row) in sums.iter().enumerate() {
                add_lanes(row, self.sums.add(r * self.stride), self.tokens);
            }
        }
    }
}
