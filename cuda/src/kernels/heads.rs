//! Launches of `heads.cu`.

use assay_exact::{op::attention::head_scale, Shape};

use super::{layout::Cache, Gamma, Width};
use crate::device::{
    Argument::{I32, U32, U64},
    Launch,
};

/// Warps of a block: a head each.
const WARPS: u32 = 4;

/// Norm of the heads where the shape has it, rotation, and quantisation: queries for the attention,
/// keys and values into the cache.
#[derive(Clone, Copy, Debug)]
pub struct Heads<'a> {
    pub shape: &'a Shape,
    pub layer: u32,
    pub rows: u32,
    /// Rows of q, k, v.
    pub linear: u64,
    pub angles: u64,
    /// None in shapes without norms of heads.
    pub query_norm: Gamma,
    pub key_norm: Gamma,
    pub positions: u64,
    pub sequences: u64,
    pub cache: Cache,
    pub queries: u64,
    pub query_scales: u64,
}

impl Heads<'_> {
    pub fn launch(&self) -> Launch {
        let shape = self.shape;
        let (heads, kv_heads) = (u32::from(shape.heads), u32::from(shape.kv_heads));
        let width = Width::head(shape);
        let scale = head_scale(shape.head_dim);
        Launch {
            kernel: "heads",
            grid: [self.rows, (heads + 2 * kv_heads).div_ceil(WARPS), 1],
            block: [32 * WARPS, 1, 1],
            shared: 0,
            arguments: vec![
                U64(self.linear),
                U64(self.angles),
                U64(self.query_norm.entries),
                I32(self.query_norm.exponent),
                U64(self.key_norm.entries),
                I32(self.key_norm.exponent),
                U64(width.epsilon),
                U64(width.root),
                U32(width.root_exponent),
                U32(scale.mantissa.into()),
                I32(scale.exponent),
                U32(heads),
                U32(kv_heads),
                U32(shape.head_dim.into()),
                U64(self.positions),
                U64(self.sequences),
                U64(self.cache.tables),
                U32(self.cache.table_stride),
                U64(self.cache.slabs),
                U32(self.layer),
                U32(shape.layers.into()),
                U64(self.queries),
                U64(self.query_scales),
            ],
        }
    }
}
