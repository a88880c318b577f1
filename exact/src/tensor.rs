//! The tensors of a model in the order of their roots, and how each is cut into leaves (format page
//! §9): functions of the shape alone.

// A valid shape's tensors have less than 2^50 bytes together.
#![allow(clippy::arithmetic_side_effects)]

use alloc::borrow::Cow;
use core::{fmt, ops::Range};

use crate::{
    leaf::{INTERVALS_PER_LEAF, WEIGHTS_PER_LEAF},
    shape::Shape,
};

/// Positions in the low rotary table, and the distance of rows in the high one.
pub const LOW_POSITIONS: u32 = 256;
/// Intervals of the exp2 table; it has one entry more.
pub const EXP2_INTERVALS: u32 = 256;
/// Intervals of the SiLU table, 128 for each unit; it has one entry more.
pub const SILU_INTERVALS: u32 = 2048;

/// Row parameters in one leaf.
pub const ROWS_PER_LEAF: usize = 32;
/// Entries of a norm in one leaf, behind the exponent.
pub const GAMMAS_PER_LEAF: usize = 64;

/// Bytes of one row's parameters.
const ROW_BYTES: u64 = 8;
/// Bytes of an i32.
const ENTRY: u64 = 4;

/// One tensor.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Tensor {
    /// E.
    Exp2,
    /// B.
    Silu,
    RotaryLow,
    RotaryHigh,

    EmbeddingHigh,
    EmbeddingRows,
    EmbeddingLow,
    EmbeddingColumns,
    /// One of a layer's.
    Layer(u16, LayerTensor),
    FinalNorm,
    HeadWeights,
    HeadRows,
}

/// A tensor of each layer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum LayerTensor {
    InputNorm,
    QueryWeights,
    QueryRows,
    KeyWeights,
    KeyRows,
    ValueWeights,
    ValueRows,
    QueryNorm,
    KeyNorm,
    OutputWeights,
    OutputRows,
    PostNorm,
    GateWeights,
    GateRows,
    UpWeights,
    UpRows,
    DownWeights,
    DownRows,
}

impl LayerTensor {
    const ALL: [Self; 18] = [
        Self::InputNorm,
        Self::QueryWeights,
        Self::QueryRows,
        Self::KeyWeights,
        Self::KeyRows,
        Self::ValueWeights,
        Self::ValueRows,
        Self::QueryNorm,
        Self::KeyNorm,
        Self::OutputWeights,
        Self::OutputRows,
        Self::PostNorm,
        Self::GateWeights,
        Self::GateRows,
        Self::UpWeights,
        Self::UpRows,
        Self::DownWeights,
        Self::DownRows,
    ];

    /// Those that a layer of the shape has.
    fn of(shape: &Shape) -> impl Iterator<Item = Self> + Clone {
        let head_norms = shape.head_norms;
        let is_there =
            move |tensor: &Self| head_norms || !matches!(tensor, Self::QueryNorm | Self::KeyNorm);
        Self::ALL.into_iter().filter(is_there)
    }

    const fn name(self) -> &'static str {
        match self {
            Self::InputNorm => "input_norm",
            Self::QueryWeights => "q.weights",
            Self::QueryRows => "q.rows",
            Self::KeyWeights => "k.weights",
            Self::KeyRows => "k.rows",
            Self::ValueWeights => "v.weights",
            Self::ValueRows => "v.rows",
            Self::QueryNorm => "q_norm",
            Self::KeyNorm => "k_norm",
            Self::OutputWeights => "o.weights",
            Self::OutputRows => "o.rows",
            Self::PostNorm => "post_norm",
            Self::GateWeights => "gate.weights",
            Self::GateRows => "gate.rows",
            Self::UpWeights => "up.weights",
            Self::UpRows => "up.rows",
            Self::DownWeights => "down.weights",
            Self::DownRows => "down.rows",
        }
    }
}

impl Tensor {
    /// Those under the root `tables`.
    pub const TABLES: [Self; 4] = [Self::Exp2, Self::Silu, Self::RotaryLow, Self::RotaryHigh];

    const EMBEDDING: [Self; 4] = [
        Self::EmbeddingHigh,
        Self::EmbeddingRows,
        Self::EmbeddingLow,
        Self::EmbeddingColumns,
    ];

    /// Those under `weights_root`, in order.
    pub fn weights(shape: &Shape) -> impl Iterator<Item = Self> {
        let of_layer = LayerTensor::of(shape);
        let layers = (0..shape.layers).flat_map(move |layer| {
            of_layer
                .clone()
                .map(move |tensor| Self::Layer(layer, tensor))
        });
        let head = [Self::HeadWeights, Self::HeadRows];
        let head = head.into_iter().filter({
            let untied = !shape.tied;
            move |_| untied
        });
        let embedding = Self::EMBEDDING.into_iter();
        embedding.chain(layers).chain([Self::FinalNorm]).chain(head)
    }

    /// How many [`weights`](Self::weights) there are.
    pub fn weights_count(shape: &Shape) -> usize {
        let head = if shape.tied { 0 } else { 2 };
        let layers = usize::from(shape.layers) * LayerTensor::of(shape).count();
        Self::EMBEDDING.len() + layers + 1 + head
    }

    /// Whether it is one of [`TABLES`](Self::TABLES).
    pub fn is_table(self) -> bool {
        Self::TABLES.contains(&self)
    }

    /// Its place among those under its root; none if the shape has no such tensor.
    pub fn index(self, shape: &Shape) -> Option<usize> {
        let place = |list: &[Self]| list.iter().position(|tensor| *tensor == self);
        let in_layer = LayerTensor::of(shape).count();
        let behind = Self::EMBEDDING.len() + usize::from(shape.layers) * in_layer;
        match self {
            Self::Layer(layer, tensor) if layer < shape.layers => {
                let place = LayerTensor::of(shape).position(|other| other == tensor)?;
                Some(Self::EMBEDDING.len() + usize::from(layer) * in_layer + place)
            }
            Self::Layer(..) => None,
            Self::FinalNorm => Some(behind),
            Self::HeadWeights => (!shape.tied).then_some(behind + 1),
            Self::HeadRows => (!shape.tied).then_some(behind + 2),
            _ if self.is_table() => place(&Self::TABLES),
            _ => place(&Self::EMBEDDING),
        }
    }

    /// What is under a root at a place; none beyond the end.
    pub fn at(table: bool, index: usize, shape: &Shape) -> Option<Self> {
        if table {
            return Self::TABLES.get(index).copied();
        }
        if let Some(tensor) = Self::EMBEDDING.get(index) {
            return Some(*tensor);
        }
        let (index, in_layer) = (
            index - Self::EMBEDDING.len(),
            LayerTensor::of(shape).count(),
        );
        let layer = index / in_layer;
        if layer < usize::from(shape.layers) {
            let tensor = LayerTensor::of(shape).nth(index % in_layer)?;
            return Some(Self::Layer(layer as u16, tensor));
        }
        let behind = [Self::FinalNorm, Self::HeadWeights, Self::HeadRows];
        let tensor = *behind.get(index - usize::from(shape.layers) * in_layer)?;
        (tensor == Self::FinalNorm || !shape.tied).then_some(tensor)
    }

    /// How its numbers are stored, and how many there are.
    pub fn form(self, shape: &Shape) -> Form {
        use LayerTensor::*;
        let (hidden, ff) = (shape.hidden, shape.intermediate);
        let (query, kv) = (shape.query_width(), shape.kv_width());
        let (vocabulary, head) = (shape.vocabulary, u32::from(shape.head_dim));
        let weights = |rows, inputs: u32| Form {
            kind: Kind::Weights {
                inputs: inputs as usize,
            },
            count: rows,
        };
        let of = |kind, count| Form { kind, count };
        let rotary = |rows| {
            let width = head as usize;
            of(Kind::Rotary { width }, rows)
        };
        match self {
            Self::Exp2 => of(Kind::Intervals, EXP2_INTERVALS),
            Self::Silu => of(Kind::Intervals, SILU_INTERVALS),
            Self::RotaryLow => rotary(LOW_POSITIONS),
            Self::RotaryHigh => rotary(shape.rotary_high_rows()),
            Self::EmbeddingHigh | Self::HeadWeights => weights(vocabulary, hidden),
            Self::EmbeddingRows | Self::HeadRows => of(Kind::Rows, vocabulary),
            Self::EmbeddingLow => {
                let inputs = hidden as usize;
                of(Kind::LowLimbs { inputs }, vocabulary)
            }
            Self::EmbeddingColumns => of(Kind::Columns, hidden),
            Self::FinalNorm => of(Kind::Gamma, hidden),
            Self::Layer(_, tensor) => match tensor {
                InputNorm | PostNorm => of(Kind::Gamma, hidden),
                QueryNorm | KeyNorm => of(Kind::Gamma, head),
                QueryWeights => weights(query, hidden),
                QueryRows => of(Kind::Rows, query),
                KeyWeights | ValueWeights => weights(kv, hidden),
                KeyRows | ValueRows => of(Kind::Rows, kv),
                OutputWeights => weights(hidden, query),
                GateWeights | UpWeights => weights(ff, hidden),
                GateRows | UpRows => of(Kind::Rows, ff),
                DownWeights => weights(hidden, ff),
                OutputRows | DownRows => of(Kind::Rows, hidden),
            },
        }
    }
}

/// The name by which a model folder lists it.
impl fmt::Display for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Exp2 => "tables.exp2",
            Self::Silu => "tables.silu",
            Self::RotaryLow => "tables.rotary_low",
            Self::RotaryHigh => "tables.rotary_high",
            Self::EmbeddingHigh => "embedding.high.weights",
            Self::EmbeddingRows => "embedding.high.rows",
            Self::EmbeddingLow => "embedding.low",
            Self::EmbeddingColumns => "embedding.columns",
            Self::Layer(layer, tensor) => return write!(f, "layers.{layer}.{}", tensor.name()),
            Self::FinalNorm => "final_norm",
            Self::HeadWeights => "head.weights",
            Self::HeadRows => "head.rows",
        })
    }
}

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
    pub fn is_weights(self) -> bool {
        matches!(self, Self::Weights { .. })
    }
}

/// A tensor's kind and size.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Form {
    pub kind: Kind,
    /// Rows, or columns, or entries of a norm, or intervals.
    pub count: u32,
}

impl Form {
    /// Bytes in all, as they are stored.
    pub fn bytes(&self) -> u64 {
        let count = u64::from(self.count);
        match self.kind {
            Kind::Weights { inputs } | Kind::LowLimbs { inputs } => count * inputs as u64,
            Kind::Rows => count * ROW_BYTES,
            Kind::Columns => count,
            Kind::Gamma | Kind::Intervals => (count + 1) * ENTRY,
            Kind::Rotary { width } => count * width as u64 * ENTRY,
        }
    }

    /// Leaves in all.
    pub fn leaves(&self) -> u64 {
        let count = u64::from(self.count);
        match self.kind {
            Kind::Weights { .. } | Kind::LowLimbs { .. } => count * self.row_leaves(),
            Kind::Rows => count.div_ceil(ROWS_PER_LEAF as u64),
            Kind::Columns => count.div_ceil(WEIGHTS_PER_LEAF as u64),
            Kind::Gamma => count.div_ceil(GAMMAS_PER_LEAF as u64),
            Kind::Intervals => count.div_ceil(INTERVALS_PER_LEAF as u64),
            Kind::Rotary { .. } => count,
        }
    }

    /// Leaves of one row of weights or low limbs; 1 of anything else.
    pub fn row_leaves(&self) -> u64 {
        match self.kind {
            Kind::Weights { inputs } | Kind::LowLimbs { inputs } => {
                inputs.div_ceil(WEIGHTS_PER_LEAF).max(1) as u64
            }
            _ => 1,
        }
    }

    /// Where a leaf's bytes are among the stored ones; a norm's leaf has the first 4 ahead of them.
    fn range(&self, leaf: u64) -> Option<Range<u64>> {
        if leaf >= self.leaves() {
            return None;
        }
        let pieces = |piece: u64, before: u64| {
            let start = before + leaf * piece;
            start..(start + piece).min(self.bytes())
        };
        Some(match self.kind {
            Kind::Weights { inputs } | Kind::LowLimbs { inputs } => {
                let (row, block) = (leaf / self.row_leaves(), leaf % self.row_leaves());
                let end = (row + 1) * inputs as u64;
                let start = row * inputs as u64 + block * WEIGHTS_PER_LEAF as u64;
                start..(start + WEIGHTS_PER_LEAF as u64).min(end)
            }
            Kind::Rows => pieces(ROWS_PER_LEAF as u64 * ROW_BYTES, 0),
            Kind::Columns => pieces(WEIGHTS_PER_LEAF as u64, 0),
            Kind::Gamma => pieces(GAMMAS_PER_LEAF as u64 * ENTRY, ENTRY),
            Kind::Rotary { width } => pieces(width as u64 * ENTRY, 0),
            Kind::Intervals => {
                let range = pieces(INTERVALS_PER_LEAF as u64 * ENTRY, 0);
                range.start..(range.end + ENTRY).min(self.bytes())
            }
        })
    }

    /// Bytes of one leaf; none if there is no such leaf.
    pub fn leaf_bytes(&self, leaf: u64) -> Option<usize> {
        let range = self.range(leaf)?;
        let ahead = if self.kind == Kind::Gamma { ENTRY } else { 0 };
        usize::try_from(ahead + (range.end - range.start)).ok()
    }

    /// One leaf of the stored bytes; none if it or they are not there.
    pub fn leaf<'a>(&self, stored: &'a [u8], leaf: u64) -> Option<Cow<'a, [u8]>> {
        let range = self.range(leaf)?;
        let (start, end) = (range.start.try_into().ok()?, range.end.try_into().ok()?);
        let bytes = stored.get::<Range<usize>>(start..end)?;
        Some(if self.kind == Kind::Gamma {
            Cow::Owned([stored.get(..ENTRY as usize)?, bytes].concat())
        } else {
            Cow::Borrowed(bytes)
        })
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::shape::{Rotary, PPM};

    fn shape(tied: bool, head_norms: bool) -> Shape {
        Shape {
            layers: 3,
            hidden: 1030,
            intermediate: 200,
            heads: 6,
            kv_heads: 2,
            head_dim: 10,
            vocabulary: 77,
            context: 600,
            tied,
            biases: false,
            head_norms,
            fraction_bits: 16,
            eps40: 11,
            rotary: Rotary {
                base: PPM,
                scaling: None,
            },
        }
    }

    #[test]
    fn a_place_and_its_tensor_are_each_others() {
        for (tied, head_norms) in [(false, false), (false, true), (true, false), (true, true)] {
            let shape = shape(tied, head_norms);
            let weights: Vec<_> = Tensor::weights(&shape).collect();
            assert_eq!(weights.len(), Tensor::weights_count(&shape));
            for (list, tables) in [(weights.as_slice(), false), (&Tensor::TABLES, true)] {
                for (index, tensor) in list.iter().enumerate() {
                    assert_eq!(tensor.index(&shape), Some(index), "{tensor}");
                    assert_eq!(tensor.is_table(), tables);
                    assert_eq!(Tensor::at(tables, index, &shape), Some(*tensor));
                }
                assert_eq!(Tensor::at(tables, list.len(), &shape), None);
                assert_eq!(Tensor::at(tables, usize::MAX, &shape), None);
            }
            let norm = Tensor::Layer(2, LayerTensor::QueryNorm);
            assert_eq!(norm.index(&shape).is_some(), head_norms);
            assert_eq!(Tensor::HeadRows.index(&shape).is_some(), !tied);
            let beyond = Tensor::Layer(3, LayerTensor::InputNorm);
            assert_eq!(beyond.index(&shape), None);
        }
    }

    /// Without what leaves share, all leaves are the tensor.
    #[test]
    fn leaves_cover_a_tensor_in_order() {
        let shape = shape(false, true);
        for tensor in Tensor::TABLES.into_iter().chain(Tensor::weights(&shape)) {
            let form = tensor.form(&shape);
            let bytes: Vec<u8> = (0..form.bytes()).map(|i| (i % 251) as u8).collect();
            let mut joined: Vec<u8> = Vec::new();
            for index in 0..form.leaves() {
                let leaf = form.leaf(&bytes, index).unwrap();
                assert_eq!(form.leaf_bytes(index), Some(leaf.len()), "{tensor}");
                assert!(leaf.len() <= 1024 && !leaf.is_empty());
                let shared = match form.kind {
                    Kind::Gamma | Kind::Intervals if index > 0 => 4,
                    _ => 0,
                };
                joined.extend(&leaf[shared..]);
            }
            assert!(joined == bytes, "{tensor}");
            assert_eq!(form.leaf(&bytes, form.leaves()), None);
            assert_eq!(form.leaf_bytes(form.leaves()), None);
            assert_eq!(form.leaf(&bytes[1..], form.leaves() - 1), None);
        }
    }
}
