//! A model as the engines read it: borrowed slices, laid out as the format page's §2 and §9 name
//! them. Nothing here is checked; [`crate::leaf`] has the ranges and [`Model::check`] the lengths.

use alloc::vec::Vec;

pub use crate::leaf::Row;
use crate::{
    leaf::{self, LeafError},
    op::exp2::power,
    shape::{Shape, ShapeError},
};

/// int8 weights, one row for each output.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    /// Weights in one row.
    pub inputs: usize,
    /// `rows.len() · inputs` weights in [-127, 127], row after row.
    pub weights: &'a [i8],
    pub rows: &'a [Row],
}

/// The embedding table: `256 · high + low` in units of the token's row scale, times 2^column.
#[derive(Clone, Copy, Debug)]
pub struct Embedding<'a> {
    /// High limbs, one row for each token. A tied head reads these alone.
    pub high: Matrix<'a>,
    /// Low limbs, laid out as the high ones.
    pub low: &'a [i8],
    /// One exponent in [-16, 16] for each element of the residual.
    pub columns: &'a [i8],
}

/// The weights of a norm, `entries · 2^exponent`.
#[derive(Clone, Copy, Debug)]
pub struct Gamma<'a> {
    /// In [-64, 31].
    pub exponent: i32,
    /// Each below 2^24 in size.
    pub entries: &'a [i32],
}

/// One decoder layer.
#[derive(Clone, Copy, Debug)]
pub struct Layer<'a> {
    pub input_norm: Gamma<'a>,
    pub q: Matrix<'a>,
    pub k: Matrix<'a>,
    pub v: Matrix<'a>,
    /// Query norm, for shapes with `head_norms`.
    pub q_norm: Option<Gamma<'a>>,
    /// Key norm, for shapes with `head_norms`.
    pub k_norm: Option<Gamma<'a>>,
    pub o: Matrix<'a>,
    pub post_norm: Gamma<'a>,
    pub gate: Matrix<'a>,
    pub up: Matrix<'a>,
    pub down: Matrix<'a>,
}

/// The tables of the format page's §7.
#[derive(Clone, Copy, Debug)]
pub struct Tables<'a> {
    /// 257 entries in Q30: 2^(-i/256).
    pub exp2: &'a [i32],
    /// 2,049 entries in Q28: x / (1 + e^x) at x = i/128.
    pub silu: &'a [i32],
    /// Rotary rows of positions 0 to 255: `head_dim / 2` pairs (cos, sin) in Q30 each.
    pub low: &'a [i32],
    /// Rotary rows of positions 256·r, for r below `context / 256` rounded up.
    pub high: &'a [i32],
}

/// A whole model.
#[derive(Clone, Debug)]
pub struct Model<'a> {
    pub shape: &'a Shape,
    pub tables: Tables<'a>,
    pub embedding: Embedding<'a>,
    pub layers: Vec<Layer<'a>>,
    pub final_norm: Gamma<'a>,
    /// The output projection; none where it is tied to the embedding.
    pub head: Option<Matrix<'a>>,
}

/// Which part of a model does not fit its shape or the format.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ModelError {
    /// The tensor's name in this module.
    pub tensor: &'static str,
    /// Its decoder layer, for those inside one.
    pub layer: Option<usize>,
    pub fault: Fault,
}

/// What is wrong with a tensor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// Its length is not the one that the shape asks for.
    Length,
    /// It is there and should not be, or the other way around.
    Presence,
    /// A number is outside its range.
    Range(LeafError),
    /// The shape itself breaks a bound.
    Shape(ShapeError),
}

impl core::fmt::Display for ModelError {
    fn fmt(&self, f: &mut core::fmt::Formatter) -> core::fmt::Result {
        if let Some(layer) = self.layer {
            write!(f, "layer {layer}: ")?;
        }
        write!(f, "{}: {:?}", self.tensor, self.fault)
    }
}

impl core::error::Error for ModelError {}

impl Model<'_> {
    /// Whether all lengths follow the shape and all small parameters are in range. The int8 weights,
    /// which may be large, are not read: -128 among them changes no bound of the format page's §8.
    pub fn check(&self) -> Result<(), ModelError> {
        let shape = self.shape;
        let fault = |tensor, fault| ModelError {
            tensor,
            layer: None,
            fault,
        };
        shape
            .validate()
            .map_err(|error| fault("shape", Fault::Shape(error)))?;
        let (hidden, vocabulary) = (shape.hidden as usize, shape.vocabulary as usize);
        let kit = Check { shape, layer: None };
        kit.tables(&self.tables)?;
        kit.matrix("embedding", &self.embedding.high, hidden, vocabulary)?;
        kit.length(
            "embedding low",
            self.embedding.low.len(),
            self.embedding.high.weights.len(),
        )?;
        kit.length("embedding columns", self.embedding.columns.len(), hidden)?;
        for column in self.embedding.columns {
            kit.range("embedding columns", leaf::column(*column))?;
        }
        kit.length("layers", self.layers.len(), shape.layers.into())?;
        for (index, layer) in self.layers.iter().enumerate() {
            Check {
                shape,
                layer: Some(index),
            }
            .layer(layer)?;
        }
        kit.gamma("final_norm", &self.final_norm, hidden)?;
        kit.present("head", self.head.is_some(), !shape.tied)?;
        match &self.head {
            Some(head) => kit.matrix("head", head, hidden, vocabulary),
            None => Ok(()),
        }
    }
}

struct Check<'a> {
    shape: &'a Shape,
    layer: Option<usize>,
}

impl Check<'_> {
    fn error(&self, tensor: &'static str, fault: Fault) -> ModelError {
        ModelError {
            tensor,
            layer: self.layer,
            fault,
        }
    }

    fn length(&self, tensor: &'static str, length: usize, wanted: usize) -> Result<(), ModelError> {
        if length == wanted {
            Ok(())
        } else {
            Err(self.error(tensor, Fault::Length))
        }
    }

    fn present(&self, tensor: &'static str, present: bool, wanted: bool) -> Result<(), ModelError> {
        if present == wanted {
            Ok(())
        } else {
            Err(self.error(tensor, Fault::Presence))
        }
    }

    fn range<T>(
        &self,
        tensor: &'static str,
        found: Result<T, LeafError>,
    ) -> Result<(), ModelError> {
        found
            .map(|_| ())
            .map_err(|error| self.error(tensor, Fault::Range(error)))
    }

    fn tables(&self, tables: &Tables) -> Result<(), ModelError> {
        let row = usize::from(self.shape.head_dim);
        let high = row.saturating_mul(self.shape.rotary_high_rows() as usize);
        for (tensor, entries, length, check) in [
            ("exp2", tables.exp2, 257, leaf::exp2 as fn(i32) -> _),
            ("silu", tables.silu, 2049, leaf::silu),
            (
                "rotary low",
                tables.low,
                row.saturating_mul(256),
                leaf::rotary,
            ),
            ("rotary high", tables.high, high, leaf::rotary),
        ] {
            self.length(tensor, entries.len(), length)?;
            for entry in entries {
                self.range(tensor, check(*entry))?;
            }
        }
        self.range("exp2", power(0, tables.exp2))
    }

    fn matrix(
        &self,
        tensor: &'static str,
        matrix: &Matrix,
        inputs: usize,
        outputs: usize,
    ) -> Result<(), ModelError> {
        self.length(tensor, matrix.inputs, inputs)?;
        self.length(tensor, matrix.rows.len(), outputs)?;
        self.length(tensor, matrix.weights.len(), inputs.saturating_mul(outputs))?;
        for row in matrix.rows {
            self.range(tensor, leaf::row(*row))?;
        }
        Ok(())
    }

    fn gamma(&self, tensor: &'static str, gamma: &Gamma, width: usize) -> Result<(), ModelError> {
        self.length(tensor, gamma.entries.len(), width)?;
        self.range(tensor, leaf::gamma_exponent(gamma.exponent))?;
        for entry in gamma.entries {
            self.range(tensor, leaf::gamma(*entry))?;
        }
        Ok(())
    }

    fn head_norm(&self, tensor: &'static str, gamma: &Option<Gamma>) -> Result<(), ModelError> {
        self.present(tensor, gamma.is_some(), self.shape.head_norms)?;
        match gamma {
            Some(gamma) => self.gamma(tensor, gamma, self.shape.head_dim.into()),
            None => Ok(()),
        }
    }

    fn layer(&self, layer: &Layer) -> Result<(), ModelError> {
        let shape = self.shape;
        let (hidden, ff) = (shape.hidden as usize, shape.intermediate as usize);
        let (query, kv) = (shape.query_width() as usize, shape.kv_width() as usize);
        self.gamma("input_norm", &layer.input_norm, hidden)?;
        self.matrix("q", &layer.q, hidden, query)?;
        self.matrix("k", &layer.k, hidden, kv)?;
        self.matrix("v", &layer.v, hidden, kv)?;
        self.head_norm("q_norm", &layer.q_norm)?;
        self.head_norm("k_norm", &layer.k_norm)?;
        self.matrix("o", &layer.o, query, hidden)?;
        self.gamma("post_norm", &layer.post_norm, hidden)?;
        self.matrix("gate", &layer.gate, hidden, ff)?;
        self.matrix("up", &layer.up, hidden, ff)?;
        self.matrix("down", &layer.down, ff, hidden)
    }
}
