//! How numbers lie in device memory. Everything is little-endian, and each array starts at a multiple
//! of 16 bytes.
//!
//! | array | layout |
//! |---|---|
//! | weights | \[outputs\]\[[`padded_line`] inputs\] i8, zeros behind a row's inputs |
//! | their parameters | \[outputs\]: mantissa u16, exponent i16, bias i32, as in a leaf of the model |
//! | γ | \[width\] i32; its exponent is an argument |
//! | tables | exp2: 257 i32; SiLU: 2,049 i32 |
//! | residual | \[rows\]\[n\] i32 |
//! | angles | \[rows\]\[d\] i32: the row's position's cosines, then its sines |
//! | activations | \[rows\]\[2\]\[[`padded_line`] width\] i8: high limbs, then low ones |
//! | scales | \[rows\]: mantissa i32, exponent i32 |
//! | rows of q, k, v | \[rows\]\[(H + 2 KV) d\] i32 |
//! | queries | \[rows\]\[H\]\[2\]\[[`padded_line`] d\] i8, limbs as of activations; their scales \[rows\]\[H\] |
//! | gates and ups | \[rows\]\[2 ff\] i32: gates, then ups |
//! | logits | \[rows\]\[V\] i32 |
//! | choices | \[rows\]\[8\] u32, as [`Choice::words`](super::choose::Choice::words) says |
//! | tokens that occurred | \[rows\]\[V up to a multiple of 32\] bits, the lowest of a u32 first |
//! | chosen tokens | \[rows\] u32 |
//! | positions, sequences | \[rows\] u32 |
//! | tables of slabs | \[sequences\]\[stride\] u32: slab numbers in order |
//!
//! The cache is an array of slabs, which begins as zeros. A slab has [`SLAB`] positions, and for each
//! \[layer\]\[key-value head\] the keys \[64\]\[[`padded_line`] d\] i8, the values
//! \[d up to a multiple of 16\]\[64\] i8, and 64 scales of the keys and of the values: mantissa u16,
//! exponent i16. Keys lie by position and values by dimension, so that the terms of q · k and of w · v
//! are neighbours, as the tensor cores want them.

use assay_exact::Shape;

/// Positions of a slab.
pub const SLAB: u32 = 64;

/// Bytes of a row that the kernels take at a time.
pub const LINE: u32 = 64;

/// Bytes of a row of int8, or of one limb of a row.
pub fn padded_line(width: u32) -> u32 {
    width.next_multiple_of(LINE)
}

/// Dimensions of the values of a head, with those that fill a tile.
pub fn padded_values(head_dim: u32) -> u32 {
    head_dim.next_multiple_of(16)
}

/// Bytes of a row of activations, both limbs.
pub fn activation_bytes(width: u32) -> usize {
    2 * padded_line(width) as usize
}

/// Bytes of a row's scale.
pub const SCALE_BYTES: usize = 8;

/// Bytes of one slab of the cache.
pub fn slab_bytes(shape: &Shape) -> usize {
    let d = u32::from(shape.head_dim);
    let position = padded_line(d) + padded_values(d) + 8;
    let heads = usize::from(shape.layers) * usize::from(shape.kv_heads);
    heads * (SLAB * position) as usize
}

/// The cache as kernels find it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cache {
    /// The first slab.
    pub slabs: u64,
    /// Slab numbers of each sequence.
    pub tables: u64,
    /// Slab numbers of one sequence.
    pub table_stride: u32,
}
