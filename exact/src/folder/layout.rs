//! Where each tensor lies in `weights.bin`: a function of the shape alone.
//!
//! The tables first, then the tensors in the order of the weights root (format page §9). Each starts at a
//! multiple of 64 bytes, and zeros fill the gaps.

use std::{format, string::String, vec, vec::Vec};

use crate::{
    tables::{EXP2_INTERVALS, LOW_POSITIONS, SILU_INTERVALS},
    Shape,
};

/// Alignment of every tensor, in bytes: a cache line, and the widest SIMD register.
pub(crate) const ALIGNMENT: u64 = 64;

/// Tensors before those of the weights root.
pub(crate) const TABLES: usize = 4;

/// How a tensor's numbers are stored and cut into leaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// int8, rows of `inputs`.
    Weights { inputs: usize },
    /// As weights, and -128 is a value like others.
    LowLimbs { inputs: usize },
    /// 8 bytes for each row: mantissa u16, exponent i16, bias i32.
    Rows,
    /// One i8 for each column.
    Columns,
    /// An exponent and the entries, i32 each.
    Gamma,
    /// i32 entries of a table that is read in pairs of neighbours.
    Intervals,
    /// i32 entries, rows of `width`.
    Rotary { width: usize },
}

impl Kind {
    /// int8 weights, of which none may be -128.
    pub(crate) fn is_weights(self) -> bool {
        matches!(self, Self::Weights { .. })
    }
}

/// One tensor's place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Tensor {
    pub name: String,
    pub kind: Kind,
    pub offset: u64,
    pub bytes: u64,
}

impl Tensor {
    pub fn start(&self) -> usize {
        usize::try_from(self.offset).unwrap_or(usize::MAX)
    }

    pub fn end(&self) -> usize {
        usize::try_from(self.offset.saturating_add(self.bytes)).unwrap_or(usize::MAX)
    }

    /// The tensor's bytes in the file.
    pub fn of<'a>(&self, file: &'a [u8]) -> &'a [u8] {
        file.get(self.start()..self.end()).unwrap_or_default()
    }
}

/// All tensors of a model.
pub(crate) struct Layout {
    pub tensors: Vec<Tensor>,
    /// Where the embedding's low limbs begin.
    pub low_limbs: u64,
    /// Length of the file.
    pub bytes: u64,
}

/// How many tensors a model of this shape has, without listing them.
pub(crate) fn count(shape: &Shape) -> usize {
    let layer = if shape.head_norms { 18 } else { 16 };
    let around = if shape.tied { 9usize } else { 11 };
    around.saturating_add(usize::from(shape.layers).saturating_mul(layer))
}

impl Layout {
    /// The layout for a valid shape.
    pub fn of(shape: &Shape) -> Self {
        let (hidden, ff) = (shape.hidden, shape.intermediate);
        let (query, kv) = (shape.query_width(), shape.kv_width());
        let vocabulary = shape.vocabulary;
        let width = u32::from(shape.head_dim);
        let mut layout = Self {
            tensors: vec![],
            low_limbs: 0,
            bytes: 0,
        };
        layout.intervals("tables.exp2", EXP2_INTERVALS);
        layout.intervals("tables.silu", SILU_INTERVALS);
        layout.rotary("tables.rotary_low", LOW_POSITIONS, width);
        layout.rotary("tables.rotary_high", shape.rotary_high_rows(), width);
        layout.matrix("embedding.high", vocabulary, hidden);
        layout.low_limbs("embedding.low", vocabulary, hidden);
        layout.add("embedding.columns".into(), Kind::Columns, hidden, 1);
        for layer in 0..shape.layers {
            let name = |tensor: &str| format!("layers.{layer}.{tensor}");
            layout.gamma(&name("input_norm"), hidden);
            layout.matrix(&name("q"), query, hidden);
            layout.matrix(&name("k"), kv, hidden);
            layout.matrix(&name("v"), kv, hidden);
            if shape.head_norms {
                layout.gamma(&name("q_norm"), width);
                layout.gamma(&name("k_norm"), width);
            }
            layout.matrix(&name("o"), hidden, query);
            layout.gamma(&name("post_norm"), hidden);
            layout.matrix(&name("gate"), ff, hidden);
            layout.matrix(&name("up"), ff, hidden);
            layout.matrix(&name("down"), hidden, ff);
        }
        layout.gamma("final_norm", hidden);
        if !shape.tied {
            layout.matrix("head", vocabulary, hidden);
        }
        layout
    }

    /// The next tensor: `count` items of `size` bytes. A valid shape has less than 2^50 bytes, so nothing
    /// here saturates.
    fn add(&mut self, name: String, kind: Kind, count: u32, size: u32) {
        let offset = self.bytes.next_multiple_of(ALIGNMENT);
        let bytes = u64::from(count).saturating_mul(size.into());
        self.bytes = offset.saturating_add(bytes);
        self.tensors.push(Tensor {
            name,
            kind,
            offset,
            bytes,
        });
    }

    fn matrix(&mut self, name: &str, rows: u32, inputs: u32) {
        let kind = Kind::Weights {
            inputs: inputs as usize,
        };
        self.add(format!("{name}.weights"), kind, rows, inputs);
        self.add(format!("{name}.rows"), Kind::Rows, rows, 8);
    }

    fn gamma(&mut self, name: &str, entries: u32) {
        self.add(name.into(), Kind::Gamma, entries.saturating_add(1), 4);
    }

    fn intervals(&mut self, name: &str, intervals: u32) {
        self.add(name.into(), Kind::Intervals, intervals.saturating_add(1), 4);
    }

    fn rotary(&mut self, name: &str, rows: u32, width: u32) {
        let kind = Kind::Rotary {
            width: width as usize,
        };
        self.add(name.into(), kind, rows, width.saturating_mul(4));
    }

    fn low_limbs(&mut self, name: &str, rows: u32, inputs: u32) {
        let kind = Kind::LowLimbs {
            inputs: inputs as usize,
        };
        self.add(name.into(), kind, rows, inputs);
        self.low_limbs = self.tensors.last().map_or(0, |tensor| tensor.offset);
    }
}
