//! What the kernels ask of an instruction set, and the tile that all of them are made of.

// Indices are below the constant lengths of their arrays; sums are bounded by the callers (mod.rs).
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]

/// A register of i32 lanes, each of which stands beside a pair of i16.
///
/// # Safety
///
/// Every function needs the instruction set of its type, and a pointer to as many numbers as it
/// says, at any address. They are inlined into functions that enable the instructions: whatever
/// calls them must be `#[inline(always)]` up to there, without closures between. Arrays of vectors
/// are best gone through by reference: by value, the compiler copies them about.
pub trait Vector: Copy {
    const LANES: usize;

    unsafe fn zero() -> Self;

    /// A pair for each lane.
    unsafe fn pairs(from: *const i16) -> Self;

    /// A pair for each lane, sign-extended.
    unsafe fn widened(from: *const i8) -> Self;

    /// One pair for all lanes.
    unsafe fn same_pair(from: *const i16) -> Self;

    /// Adds both products of two pairs to each lane.
    unsafe fn add_products(self, a: Self, b: Self) -> Self;

    /// Writes the lanes.
    unsafe fn store(self, to: *mut i32);

    /// Takes 8 pairs of each of 8 rows, and writes the rows' first pairs side by side, their second
    /// pairs [`LANES`](Self::LANES) pairs further on, and so forth.
    unsafe fn transpose(from: [*const i16; 8], to: *mut i16);

    /// Adds each lane to a sum.
    unsafe fn add_to(self, sums: *mut i64);

    /// The sum of the lanes.
    unsafe fn total(self) -> i64;
}

/// A number of which a vector loads pairs.
pub trait Number: Copy {
    /// # Safety
    ///
    /// As [`Vector`]'s: a pair of numbers for each lane.
    unsafe fn pairs<V: Vector>(from: *const Self) -> V;
}

impl Number for i8 {
    #[inline(always)]
    unsafe fn pairs<V: Vector>(from: *const Self) -> V {
        // SAFETY: the caller's.
        unsafe { V::widened(from) }
    }
}

impl Number for i16 {
    #[inline(always)]
    unsafe fn pairs<V: Vector>(from: *const Self) -> V {
        // SAFETY: the caller's.
        unsafe { V::pairs(from) }
    }
}

/// Rows of pairs, `stride` numbers apart.
#[derive(Clone, Copy)]
pub struct Rows {
    pub first: *const i16,
    pub stride: usize,
}

/// Columns of pairs, a vector wide and `stride` numbers apart; a column's next pairs are `step`
/// numbers further on.
#[derive(Clone, Copy)]
pub struct Columns<N> {
    pub first: *const N,
    pub stride: usize,
    pub step: usize,
}

/// The products of R rows and P columns of `pairs` ≤ [`PAIRS`](super::PAIRS) pairs.
///
/// # Safety
///
/// The instruction set of V, and rows and columns that have so many pairs.
#[inline(always)]
pub unsafe fn tile<V: Vector, N: Number, const R: usize, const P: usize>(
    rows: Rows,
    columns: Columns<N>,
    pairs: usize,
) -> [[V; P]; R] {
    // SAFETY: the caller's, for every pair below `pairs`.
    unsafe {
        let mut sums = [[V::zero(); P]; R];
        let mut vectors = [V::zero(); P];
        for pair in 0..pairs {
            for (p, vector) in vectors.iter_mut().enumerate() {
                *vector = N::pairs(columns.first.add(p * columns.stride + pair * columns.step));
            }
            for (r, sums) in sums.iter_mut().enumerate() {
                let row = V::same_pair(rows.first.add(r * rows.stride + 2 * pair));
                for (sum, vector) in sums.iter_mut().zip(&vectors) {
                    *sum = sum.add_products(row, *vector);
                }
            }
        }
        sums
    }
}

/// Adds the first `count` lanes of a tile's row to as many sums.
///
/// # Safety
///
/// The instruction set of V, and `count` ≤ P · LANES sums.
#[inline(always)]
pub unsafe fn add_lanes<V: Vector, const P: usize>(row: &[V; P], sums: *mut i64, count: usize) {
    for (p, vector) in row.iter().enumerate() {
        let first = p * V::LANES;
        // SAFETY: the caller's; no type has more than 16 lanes.
        unsafe {
            if first + V::LANES <= count {
                vector.add_to(sums.add(first));
            } else if first < count {
                let mut lanes = [0; 16];
                vector.store(lanes.as_mut_ptr());
                for (i, lane) in lanes.iter().enumerate().take(count - first) {
                    *sums.add(first + i) += i64::from(*lane);
                }
            }
        }
    }
}

/// Rows that a tile takes at most.
pub const ROWS: usize = 4;

/// A tile that can have several sizes.
pub trait Tile {
    /// # Safety
    ///
    /// The instruction set of V; R rows and P vectors.
    unsafe fn run<V: Vector, const R: usize, const P: usize>(self);
}

/// How many of so many vectors the next tile takes.
#[inline(always)]
pub fn at_once<const P: usize>(vectors: usize) -> usize {
    match vectors {
        _ if vectors >= P => P,
        2.. => 2,
        _ => 1,
    }
}

/// Runs a tile of `rows` rows, but at most [`ROWS`], and as many vectors as [`at_once`] said.
///
/// # Safety
///
/// The instruction set of V, and what the tile asks.
#[inline(always)]
pub unsafe fn run<V: Vector, const P: usize>(tile: impl Tile, rows: usize, vectors: usize) {
    // SAFETY: the caller's.
    unsafe {
        match (rows, vectors) {
            (1, 1) => tile.run::<V, 1, 1>(),
            (2, 1) => tile.run::<V, 2, 1>(),
            (3, 1) => tile.run::<V, 3, 1>(),
            (_, 1) => tile.run::<V, ROWS, 1>(),
            (1, 2) => tile.run::<V, 1, 2>(),
            (2, 2) => tile.run::<V, 2, 2>(),
            (3, 2) => tile.run::<V, 3, 2>(),
            (_, 2) => tile.run::<V, ROWS, 2>(),
            (1, _) => tile.run::<V, 1, P>(),
            (2, _) => tile.run::<V, 2, P>(),
            (3, _) => tile.run::<V, 3, P>(),
            (_, _) => tile.run::<V, ROWS, P>(),
        }
    }
}
