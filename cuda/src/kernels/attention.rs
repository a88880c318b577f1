//! Launches of `attention_maxima.cu`, `attention_mix.cu` and `attention_out.cu`, and how queries and
//! positions are shared out among blocks.

use assay_exact::Shape;

use super::layout::{padded_values, Cache, SLAB};
use crate::device::{
    Argument::{U32, U64},
    Launch,
};

/// Dimensions of a block that mixes values.
const MIX_DIMENSIONS: u32 = 128;
/// Most slabs of a split: the sums of a limb's products stay below 2^31.
const MOST_SLABS: u32 = 1024;
/// Blocks of each multiprocessor that keep it busy.
const BLOCKS: u32 = 2;

/// The queries of a pass, cut into tiles. A tile's queries are of neighbouring rows of one sequence and
/// of the heads that share a key-value head.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tiles {
    /// Whether tiles have 32 queries; else they have 8.
    pub many: bool,
    /// For each tile the first row of its sequence in the pass, how many it has, and the first query
    /// among theirs, token after token: three u32.
    pub list: Vec<[u32; 3]>,
}

impl Tiles {
    /// Of rows in a pass: how many rows each sequence has, in order.
    pub fn new(shape: &Shape, rows: impl IntoIterator<Item = u32>) -> Self {
        let group = u32::from(shape.group());
        let mut first = 0;
        let sequences: Vec<[u32; 2]> = rows
            .into_iter()
            .map(|rows| {
                first += rows;
                [first - rows, rows]
            })
            .collect();
        // Tiles of 32 read a key once where those of 8 read it four times.
        let many = sequences.iter().any(|[_, rows]| rows * group > 16);
        let queries = if many { 32 } else { 8 };
        let list = sequences.iter().flat_map(|[row, rows]| {
            let starts = (0..rows * group).step_by(queries);
            starts.map(|query| [*row, *rows, query])
        });
        Self {
            many,
            list: list.collect(),
        }
    }
}

/// How the positions are cut.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Splits {
    /// Slabs of each.
    pub slabs: u32,
    pub count: u32,
}

impl Splits {
    /// For sequences of at most `positions` positions with the pass's own: few enough that each is worth
    /// a block, and enough blocks for every multiprocessor.
    pub fn new(shape: &Shape, tiles: usize, positions: u32, multiprocessors: u32) -> Self {
        let all = positions.div_ceil(SLAB).max(1);
        let blocks = tiles.max(1) * usize::from(shape.kv_heads.max(1));
        let wanted = ((BLOCKS * multiprocessors) as usize).div_ceil(blocks);
        let wanted = u32::try_from(wanted).unwrap_or(u32::MAX);
        let slabs = all.div_ceil(wanted.max(1)).clamp(1, MOST_SLABS);
        Self {
            slabs,
            count: all.div_ceil(slabs),
        }
    }

    /// Bytes of the maxima, of the denominators and of the parts of a pass's rows.
    pub fn scratch_bytes(&self, shape: &Shape, rows: usize) -> [usize; 3] {
        let count = rows * usize::from(shape.heads) * self.count as usize;
        let dimensions = padded_values(shape.head_dim.into()) as usize;
        [16 * count, 8 * count, 8 * count * dimensions]
    }
}

/// What all launches of a layer's attention (format page, §3.7) are given.
#[derive(Clone, Copy, Debug)]
pub struct Attention<'a> {
    pub shape: &'a Shape,
    pub layer: u32,
    pub queries: u64,
    pub query_scales: u64,
    pub positions: u64,
    pub sequences: u64,
    pub cache: Cache,
    /// The list of [`Tiles`], how many it has, and whether of many queries.
    pub tiles: u64,
    pub tile_count: u32,
    pub many: bool,
    pub splits: Splits,
    /// Room of [`Splits::scratch_bytes`].
    pub maxima: u64,
}

impl Attention<'_> {
    fn launch(&self, [few, many]: [&'static str; 2], chunks: u32, more: &[u64]) -> Launch {
        let shape = self.shape;
        let mut arguments = vec![
            U64(self.queries),
            U64(self.query_scales),
            U64(self.positions),
            U64(self.sequences),
            U64(self.cache.slabs),
            U64(self.cache.tables),
            U32(self.cache.table_stride),
            U32(self.layer),
            U32(shape.layers.into()),
            U32(shape.heads.into()),
            U32(shape.kv_heads.into()),
            U32(shape.head_dim.into()),
            U64(self.tiles),
            U32(self.splits.slabs),
            U32(self.splits.count),
            U64(self.maxima),
        ];
        arguments.extend(more.iter().map(|address| U64(*address)));
        Launch {
            kernel: if self.many { many } else { few },
            grid: [
                self.tile_count,
                shape.kv_heads.into(),
                self.splits.count * chunks,
            ],
            block: [if self.many { 256 } else { 128 }, 1, 1],
            shared: 0,
            arguments,
        }
    }
}

/// S and U of each query in each split.
#[derive(Clone, Copy, Debug)]
pub struct AttentionMaxima<'a>(pub Attention<'a>);

impl AttentionMaxima<'_> {
    pub fn launch(&self) -> Launch {
        let kernels = ["attention_maxima_few", "attention_maxima_many"];
        self.0.launch(kernels, 1, &[])
    }
}

/// D and o of each query in each split, from all splits' maxima.
#[derive(Clone, Copy, Debug)]
pub struct AttentionMix<'a> {
    pub attention: Attention<'a>,
    /// E.
    pub exp2: u64,
    /// Room of [`Splits::scratch_bytes`].
    pub denominators: u64,
    pub parts: u64,
}

impl AttentionMix<'_> {
    pub fn launch(&self) -> Launch {
        let chunks = u32::from(self.attention.shape.head_dim).div_ceil(MIX_DIMENSIONS);
        self.attention.launch(
            ["attention_mix_few", "attention_mix_many"],
            chunks,
            &[self.exp2, self.denominators, self.parts],
        )
    }
}

/// Each query's output in Q16, from all splits' parts.
#[derive(Clone, Copy, Debug)]
pub struct AttentionOut<'a> {
    pub shape: &'a Shape,
    pub rows: u32,
    pub positions: u64,
    pub splits: Splits,
    pub maxima: u64,
    pub denominators: u64,
    pub parts: u64,
    pub out: u64,
}

impl AttentionOut<'_> {
    pub fn launch(&self) -> Launch {
        Launch {
            kernel: "attention_out",
            grid: [self.rows, self.shape.heads.into(), 1],
            block: [128, 1, 1],
            shared: 0,
            arguments: vec![
                U64(self.positions),
                U32(self.shape.head_dim.into()),
                U32(self.splits.slabs),
                U32(self.splits.count),
                U64(self.maxima),
                U64(self.denominators),
                U64(self.parts),
                U64(self.out),
            ],
        }
    }
}
