//! The memory of a pass's rows.

use std::convert::Infallible;

use assay_exact::{cache::SLAB, Shape};

use crate::{
    device::{Buffer, Device, DeviceError},
    kernels::{
        choose::{mark_words, Choice},
        layout::{activation_bytes, padded_values, SCALE_BYTES},
    },
};

/// Rows whose logits are held at a time.
pub(super) const LOGITS: usize = 64;
/// Of attention's launches: most queries of a tile, blocks that a multiprocessor is given, and most slabs
/// of a split.
const TILE_QUERIES: usize = 32;
const BLOCKS: usize = 4;
const MOST_SLABS: usize = 1024;

/// Bytes of a query's maxima over a split.
const MAXIMA: usize = 16;
/// Bytes of a tile of attention.
const TILE: usize = 12;

/// What a pass's kernels write and read; `T` is a buffer, or nothing where only the sizes count.
#[derive(Debug)]
pub struct Scratch<T> {
    /// \[row\]\[hidden\] i32.
    pub residual: T,
    /// \[row\]\[head_dim\] i32: cosines, then sines.
    pub angles: T,
    /// Position, and number in the tables, of each row: u32.
    pub positions: T,
    pub sequences: T,
    /// Slabs of each sequence: u32.
    pub tables: T,
    pub tiles: T,
    /// Rows whose logits are asked for: u32.
    pub picked: T,
    /// \[row\]\[limb\]\[a line of the widest input\] i8, and a scale for each row.
    pub activations: T,
    pub scales: T,
    /// \[row\]\[queries, keys, values\] i32.
    pub projected: T,
    /// \[row\]\[head\]\[limb\]\[a line of head_dim\] i8, and a scale for each.
    pub queries: T,
    pub query_scales: T,
    /// \[row\]\[head\]\[split\].
    pub maxima: T,
    pub denominators: T,
    /// \[row\]\[head\]\[split\]\[dimension\] i64.
    pub parts: T,
    /// \[row\]\[head\]\[dimension\] i32.
    pub mixed: T,
    /// \[row\]\[gate, up\] i32.
    pub pairs: T,
    /// \[row\]\[vocabulary\] i32, of [`LOGITS`] rows.
    pub logits: T,
    /// What the rows among these are told that choose, \[row\]\[bit of each token\] which tokens occurred, and
    /// what they chose: u32.
    pub choices: T,
    pub seen: T,
    pub tokens: T,
}

impl<T> Scratch<T> {
    fn each<E>(
        shape: &Shape,
        rows: usize,
        multiprocessors: u32,
        mut make: impl FnMut(usize) -> Result<T, E>,
    ) -> Result<Self, E> {
        let (hidden, ff) = (shape.hidden as usize, shape.intermediate as usize);
        let (query, kv) = (shape.query_width() as usize, shape.kv_width() as usize);
        let (heads, d) = (usize::from(shape.heads), usize::from(shape.head_dim));
        let slabs = (shape.context as usize).div_ceil(SLAB).next_power_of_two();
        let splits = splits(shape, rows, multiprocessors);
        Ok(Self {
            residual: make(rows * hidden * 4)?,
            angles: make(rows * d * 4)?,
            positions: make(rows * 4)?,
            sequences: make(rows * 4)?,
            tables: make(rows * slabs * 4)?,
            tiles: make(rows * usize::from(shape.group()) * TILE)?,
            picked: make(rows * 4)?,
            activations: make(rows * activation_bytes(hidden.max(ff).max(query) as u32))?,
            scales: make(rows * SCALE_BYTES)?,
            projected: make(rows * (query + 2 * kv) * 4)?,
            queries: make(rows * heads * activation_bytes(d as u32))?,
            query_scales: make(rows * heads * SCALE_BYTES)?,
            maxima: make(splits * MAXIMA)?,
            denominators: make(splits * 8)?,
            parts: make(splits * padded_values(d as u32) as usize * 8)?,
            mixed: make(rows * query * 4)?,
            pairs: make(rows * 2 * ff * 4)?,
            logits: make(LOGITS * shape.vocabulary as usize * 4)?,
            choices: make(LOGITS * Choice::WORDS * 4)?,
            seen: make(LOGITS * mark_words(shape.vocabulary) * 4)?,
            tokens: make(LOGITS * 4)?,
        })
    }
}

impl Scratch<Buffer> {
    /// For passes of up to `rows` rows.
    pub fn new(device: &Device, shape: &Shape, rows: usize) -> Result<Self, DeviceError> {
        let multiprocessors = device.limits().multiprocessors;
        Self::each(shape, rows, multiprocessors, |bytes| {
            Buffer::new(device, bytes)
        })
    }
}

impl Scratch<()> {
    /// Bytes that [`new`](Scratch::new) takes.
    pub fn bytes(shape: &Shape, rows: usize, multiprocessors: u32) -> usize {
        let mut sum = 0;
        let add = |bytes| {
            sum += bytes;
            Ok::<_, Infallible>(())
        };
        match Self::each(shape, rows, multiprocessors, add) {
            Ok(_) => sum,
            Err(never) => match never {},
        }
    }
}

/// Parts of queries' positions in all, at most: [`Splits`](crate::kernels::Splits) has a few blocks of up
/// to 32 queries for each multiprocessor, and at least one part for each query and so many positions.
fn splits(shape: &Shape, rows: usize, multiprocessors: u32) -> usize {
    let blocks = BLOCKS * multiprocessors as usize;
    let least = 2 + shape.context as usize / (SLAB * MOST_SLABS);
    TILE_QUERIES * blocks + rows * usize::from(shape.heads) * least
}

#[cfg(test)]
mod tests {
    use assay_exact::{
        engine::CHUNK,
        shape::{Rotary, PPM},
    };
    use proptest::prelude::*;

    use super::*;
    use crate::{
        kernels::{Splits, Tiles},
        pass::inputs::rounded,
        resident::Resident,
    };

    fn shape(heads: u16, kv_heads: u16, context: u32) -> Shape {
        Shape {
            layers: 32,
            hidden: 4096,
            intermediate: 14336,
            heads,
            kv_heads,
            head_dim: 128,
            vocabulary: 128_256,
            context,
            tied: false,
            biases: false,
            head_norms: false,
            fraction_bits: 16,
            eps40: 10_995_116,
            rotary: Rotary {
                base: 500_000 * PPM,
                scaling: None,
            },
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        /// However a pass's positions are cut, there is room for the parts.
        #[test]
        fn there_is_room_for_every_pass(
            kv_heads in 1u16..=16,
            group in 1u16..=16,
            pieces in prop::collection::vec(1u32..=64, 1..=64),
            slabs in 1u32..=16_384,
            part in 0.0..=1.0,
            multiprocessors in 1u32..=256,
        ) {
            let shape = shape(kv_heads * group, kv_heads, slabs * SLAB as u32);
            let rows: u32 = pieces.iter().sum();
            let tiles = Tiles::new(&shape, pieces).list.len();
            // The longest sequence of the pass has some part of the context.
            let table = rounded(1 + (f64::from(slabs - 1) * part) as usize);
            let positions = (table * SLAB) as u32;
            let cut = Splits::new(&shape, tiles, positions, multiprocessors);
            let needed = rows as usize * usize::from(shape.heads) * cut.count as usize;
            let room = splits(&shape, rows as usize, multiprocessors);
            prop_assert!(needed <= room, "{needed} of {room}: {cut:?}");
            prop_assert!(tiles <= (rows * u32::from(group)) as usize);
            prop_assert!(table <= (slabs as usize).next_power_of_two());
        }
    }

    /// What a pass takes beside the weights, and keys and values, of a model of 8 billion numbers.
    #[test]
    fn a_pass_takes_little_beside_the_model() {
        let shape = shape(32, 8, 8192);
        let layer = shape.hidden as usize
            * (2 * shape.hidden as usize
                + 2 * shape.kv_width() as usize
                + 3 * shape.intermediate as usize);
        let head = shape.vocabulary as usize * shape.hidden as usize;
        let weights = usize::from(shape.layers) * layer + head;
        let cache = Resident::cache(&shape, shape.context as usize);
        for multiprocessors in [1, 40, 132, 192] {
            let pass = Scratch::bytes(&shape, CHUNK, multiprocessors);
            assert!(20 * pass <= weights + cache, "{pass} bytes");
        }
    }
}
