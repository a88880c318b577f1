//! The key-value cache: int8 keys and values of the positions so far, with a scale for each head.

use alloc::{vec, vec::Vec};

use crate::{
    leaf::LeafError,
    number::Scale,
    op::{attention, quant},
    shape::Shape,
};

/// Keys and values of the positions so far.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cache {
    positions: usize,
    kv_heads: usize,
    head_dim: usize,
    pub(crate) layers: Vec<CachedLayer>,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct CachedLayer {
    pub keys: CachedRows,
    pub values: CachedRows,
}

/// Position by position: all heads' numbers, and a scale for each head.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct CachedRows {
    numbers: Vec<i8>,
    scales: Vec<Scale>,
}

impl Cache {
    /// An empty cache.
    pub fn new(shape: &Shape) -> Self {
        Self {
            positions: 0,
            kv_heads: shape.kv_heads.into(),
            head_dim: shape.head_dim.into(),
            layers: vec![CachedLayer::default(); shape.layers.into()],
        }
    }

    /// Positions that it holds.
    pub fn positions(&self) -> usize {
        self.positions
    }

    /// Forgets every position from `positions` on.
    pub fn truncate(&mut self, positions: usize) {
        self.positions = self.positions.min(positions);
        let scales = self.positions.saturating_mul(self.kv_heads);
        for layer in &mut self.layers {
            for rows in [&mut layer.keys, &mut layer.values] {
                rows.scales.truncate(scales);
                rows.numbers.truncate(scales.saturating_mul(self.head_dim));
            }
        }
    }

    /// Whether it was made for a shape with the same keys and values.
    pub(crate) fn fits(&self, shape: &Shape) -> bool {
        self.layers.len() == usize::from(shape.layers)
            && self.kv_heads == usize::from(shape.kv_heads)
            && self.head_dim == usize::from(shape.head_dim)
    }

    /// Counts the positions whose keys and values every layer has got.
    pub(crate) fn advance(&mut self, positions: usize) {
        self.positions = self.positions.saturating_add(positions);
    }
}

impl CachedRows {
    /// Quantises the heads of some positions and adds them.
    pub fn append(&mut self, x: &[i32], head_dim: usize) -> Result<(), LeafError> {
        let start = self.numbers.len();
        self.numbers.resize(start.saturating_add(x.len()), 0);
        let out = self.numbers.get_mut(start..).unwrap_or_default();
        for (x, out) in x.chunks_exact(head_dim).zip(out.chunks_exact_mut(head_dim)) {
            self.scales.push(quant::row8(x, out)?);
        }
        Ok(())
    }

    /// What one key-value head reads.
    pub fn of(&self, head: usize, shape: &Shape) -> attention::Rows<'_> {
        attention::Rows {
            numbers: &self.numbers,
            stride: shape.kv_width() as usize,
            offset: head.saturating_mul(shape.head_dim.into()),
            scales: &self.scales,
            scale_stride: shape.kv_heads.into(),
            scale_offset: head,
        }
    }
}
