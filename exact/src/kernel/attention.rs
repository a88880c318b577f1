//! `scores` and `mix` for any vectors. The lanes are positions in the one and dimensions in the other.

// Offsets are within what `shape` compared.
#![allow(clippy::arithmetic_side_effects)]

use super::{
    portable, shape,
    vector::{add_lanes, at_once, run, tile, Columns, Rows, Tile, Vector, ROWS},
    PAIRS,
};
use crate::leaf::PAGE;

/// [`Kernels::scores`](super::Kernels::scores), P vectors of positions at a time.
///
/// # Safety
///
/// The instruction set of V.
#[inline(always)]
pub unsafe fn scores<V: Vector, const P: usize>(
    q: &[i16],
    pages: &[i8],
    d: usize,
    out: &mut [i32],
) {
    let shape = shape::scores(q, pages, d, out);
    let mut position = 0;
    while position < shape.positions {
        let vectors = at_once::<P>((shape.positions - position) / V::LANES);
        for row in (0..shape.rows).step_by(ROWS) {
            // SAFETY: `shape` has these rows and positions.
            unsafe {
                let tile = Scores {
                    q: q.as_ptr().add(row * d),
                    keys: pages
                        .as_ptr()
                        .add(position / PAGE * PAGE * d + position % PAGE * 2),
                    d,
                    out: out.as_mut_ptr().add(row * shape.positions + position),
                    positions: shape.positions,
                };
                run::<V, P>(tile, shape.rows - row, vectors);
            }
        }
        position += vectors * V::LANES;
    }
}

/// [`Kernels::mix`](super::Kernels::mix), P vectors of dimensions at a time.
///
/// # Safety
///
/// The instruction set of V.
#[inline(always)]
pub unsafe fn mix<V: Vector, const P: usize>(w: &[i16], pages: &[i8], d: usize, out: &mut [i64]) {
    let shape = shape::mix(w, pages, d, out);
    if shape.positions == 0 {
        return;
    }
    let whole = d - d % V::LANES;
    for position in (0..shape.positions).step_by(2 * PAIRS) {
        let mut dimension = 0;
        while dimension < whole {
            let vectors = at_once::<P>((whole - dimension) / V::LANES);
            for row in (0..shape.rows).step_by(ROWS) {
                // SAFETY: `shape` has these rows, positions and dimensions.
                unsafe {
                    let tile = Mix {
                        w: w.as_ptr().add(row * shape.positions + position),
                        positions: shape.positions,
                        values: pages.as_ptr().add(position * d + 2 * dimension),
                        pairs: PAIRS.min((shape.positions - position) / 2),
                        d,
                        out: out.as_mut_ptr().add(row * d + dimension),
                    };
                    run::<V, P>(tile, shape.rows - row, vectors);
                }
            }
            dimension += vectors * V::LANES;
        }
    }
    if whole < d {
        portable::mix_from(whole, w, pages, d, out);
    }
}

struct Scores {
    q: *const i16,
    keys: *const i8,
    d: usize,
    out: *mut i32,
    positions: usize,
}

impl Tile for Scores {
    #[inline(always)]
    unsafe fn run<V: Vector, const R: usize, const P: usize>(self) {
        let rows = Rows {
            first: self.q,
            stride: self.d,
        };
        let columns = Columns {
            first: self.keys,
            // Half a page lies beside its other half, a page behind the page before.
            stride: if V::LANES < PAGE {
                2 * V::LANES
            } else {
                PAGE * self.d
            },
            step: 2 * PAGE,
        };
        // SAFETY: the caller's; a page has d/2 pairs for each position.
        unsafe {
            let sums = tile::<V, i8, R, P>(rows, columns, self.d / 2);
            for (r, sums) in sums.iter().enumerate() {
                for (p, sum) in sums.iter().enumerate() {
                    sum.store(self.out.add(r * self.positions + p * V::LANES));
                }
            }
        }
    }
}

struct Mix {
    w: *const i16,
    positions: usize,
    values: *const i8,
    pairs: usize,
    d: usize,
    out: *mut i64,
}

impl Tile for Mix {
    #[inline(always)]
    unsafe fn run<V: Vector, const R: usize, const P: usize>(self) {
        let rows = Rows {
            first: self.w,
            stride: self.positions,
        };
        let columns = Columns {
            first: self.values,
            stride: 2 * V::LANES,
            step: 2 * self.d,
        };
        // SAFETY: the caller's; pairs of positions lie 2 · d apart, in one page and from page to page.
        unsafe {
            let sums = tile::<V, i8, R, P>(rows, columns, self.pairs);
            for (r, sums) in sums.iter().enumerate() {
                add_lanes(sums, self.out.add(r * self.d), P * V::LANES);
            }
        }
    }
}
