//! All tensors of a checkpoint, equalised, quantised and written in the order of the layout (format
//! page §6).
//!
//! Every tensor is read two or three times, row by row: for the sizes that equalisation needs, and to be
//! quantised. Memory holds one row, and the small vectors of one layer.

use std::path::Path;

use super::{
    checkpoint::Checkpoint,
    equalise,
    float::power_of_two,
    moved::{negated, times_powers, Moved},
    quantise::{self, RowScale},
    tensor::Tensor,
    writer::Writer,
    ImportError,
};
use crate::{model::Row, tables, Shape};

const EMBEDDING: &str = "model.embed_tokens.weight";
const FINAL_NORM: &str = "model.norm.weight";
const HEAD: &str = "lm_head.weight";

fn in_layer(layer: u16, tensor: &str) -> String {
    format!("model.layers.{layer}.{tensor}")
}

/// Outputs and inputs of a layer's matrix.
fn dimensions(shape: &Shape, tensor: &str) -> [usize; 2] {
    let [hidden, ff, query, kv] = [
        shape.hidden,
        shape.intermediate,
        shape.query_width(),
        shape.kv_width(),
    ]
    .map(|width| width as usize);
    match tensor {
        "self_attn.q_proj" => [query, hidden],
        "self_attn.k_proj" | "self_attn.v_proj" => [kv, hidden],
        "self_attn.o_proj" => [hidden, query],
        "mlp.down_proj" => [hidden, ff],
        _ => [ff, hidden],
    }
}

const QUERY: &str = "self_attn.q_proj";
const KEY: &str = "self_attn.k_proj";
const VALUE: &str = "self_attn.v_proj";
const OUTPUT: &str = "self_attn.o_proj";
const GATE: &str = "mlp.gate_proj";
const UP: &str = "mlp.up_proj";
const DOWN: &str = "mlp.down_proj";
const INPUT_NORM: &str = "input_layernorm.weight";
const POST_NORM: &str = "post_attention_layernorm.weight";
const QUERY_NORM: &str = "self_attn.q_norm.weight";
const KEY_NORM: &str = "self_attn.k_norm.weight";

/// Every tensor of the shape is there as it should be, and no other.
pub(super) fn require_all(checkpoint: &mut Checkpoint, shape: &Shape) -> Result<(), ImportError> {
    let (hidden, vocabulary) = (shape.hidden as usize, shape.vocabulary as usize);
    checkpoint.require(EMBEDDING, &[vocabulary, hidden])?;
    checkpoint.require(FINAL_NORM, &[hidden])?;
    if shape.tied {
        checkpoint.ignore(HEAD);
    } else {
        checkpoint.require(HEAD, &[vocabulary, hidden])?;
    }
    for layer in 0..shape.layers {
        for tensor in [QUERY, KEY, VALUE, OUTPUT, GATE, UP, DOWN] {
            let [outputs, inputs] = dimensions(shape, tensor);
            checkpoint.require(&in_layer(layer, &weight(tensor)), &[outputs, inputs])?;
            if shape.biases && [QUERY, KEY, VALUE].contains(&tensor) {
                checkpoint.require(&in_layer(layer, &bias(tensor)), &[outputs])?;
            }
        }
        for tensor in [INPUT_NORM, POST_NORM] {
            checkpoint.require(&in_layer(layer, tensor), &[hidden])?;
        }
        if shape.head_norms {
            for tensor in [QUERY_NORM, KEY_NORM] {
                checkpoint.require(&in_layer(layer, tensor), &[shape.head_dim.into()])?;
            }
        }
    }
    checkpoint.finish()
}

fn weight(tensor: &str) -> String {
    format!("{tensor}.weight")
}

fn bias(tensor: &str) -> String {
    format!("{tensor}.bias")
}

/// How many numbers are too large for what the format stores them in, and clamped.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Clamped {
    /// Biases of 2^15 or more in size.
    pub biases: u64,
    /// Numbers of the embedding of 2^(31 - fraction bits) or more in size, which the residual does not hold.
    pub embedding: u64,
}

/// Write all tensors; gives what did not fit. `path` is the writer's.
pub(super) fn all<'a>(
    shape: &'a Shape,
    checkpoint: &'a Checkpoint,
    path: &'a Path,
    writer: Writer<'a>,
) -> Result<Clamped, ImportError> {
    Conversion {
        shape,
        checkpoint,
        path,
        writer,
        clamped: Clamped::default(),
    }
    .run()
}

struct Conversion<'a> {
    shape: &'a Shape,
    checkpoint: &'a Checkpoint,
    path: &'a Path,
    writer: Writer<'a>,
    clamped: Clamped,
}

impl<'a> Conversion<'a> {
    fn run(mut self) -> Result<Clamped, ImportError> {
        self.integers(&tables::exp2())?;
        self.integers(&tables::silu())?;
        let (low, high) = tables::rotary(self.shape);
        self.integers(&low)?;
        self.integers(&high)?;
        let embedding_columns = self.embedding()?;
        for layer in 0..self.shape.layers {
            self.layer(layer)?;
        }
        self.head(&embedding_columns)?;
        let path = self.path;
        self.writer
            .finish()
            .map_err(|error| ImportError::file(path, &error))?;
        Ok(self.clamped)
    }

    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor<'a>, ImportError> {
        self.checkpoint.tensor(name, shape)
    }

    fn matrix(&self, layer: u16, tensor: &str) -> Result<Tensor<'a>, ImportError> {
        let dimensions = dimensions(self.shape, tensor);
        self.tensor(&in_layer(layer, &weight(tensor)), &dimensions)
    }

    fn bias(&self, layer: u16, tensor: &str) -> Result<Option<Vec<f64>>, ImportError> {
        if !self.shape.biases {
            return Ok(None);
        }
        let [outputs, _] = dimensions(self.shape, tensor);
        let name = in_layer(layer, &bias(tensor));
        self.checkpoint.vector(&name, outputs).map(Some)
    }

    /// The embedding table; gives the exponents that its columns had taken out.
    fn embedding(&mut self) -> Result<Vec<i32>, ImportError> {
        let dimensions = [self.shape.vocabulary as usize, self.shape.hidden as usize];
        let tensor = self.tensor(EMBEDDING, &dimensions)?;
        let columns = equalise::column_exponents(&equalise::column_sizes(&[&tensor])?);
        let table = Moved::new(tensor).columns(&negated(&columns));
        let scales = self.weights(&table)?;
        self.begin()?;
        let (mut row, mut bytes) = (vec![], vec![]);
        for (index, scale) in scales.iter().enumerate() {
            table.row(index, &mut row)?;
            quantise::low_limbs(&row, *scale, &mut bytes);
            self.put(&bytes)?;
            let clamped = too_large(&row, &columns, self.shape.fraction_bits);
            self.clamped.embedding = self.clamped.embedding.saturating_add(clamped);
        }
        self.begin()?;
        let exponents: Vec<u8> = columns.iter().map(|e| *e as i8 as u8).collect();
        self.put(&exponents)?;
        Ok(columns)
    }

    fn layer(&mut self, layer: u16) -> Result<(), ImportError> {
        let shape = self.shape;
        let (d, group) = (usize::from(shape.head_dim), usize::from(shape.group()));
        let hidden = shape.hidden as usize;
        let vector = |name, length| self.checkpoint.vector(&in_layer(layer, name), length);
        let mut input_norm = vector(INPUT_NORM, hidden)?;
        let mut post_norm = vector(POST_NORM, hidden)?;
        let matrix = |tensor| self.matrix(layer, tensor);
        let (q, k, v) = (matrix(QUERY)?, matrix(KEY)?, matrix(VALUE)?);
        let (o, gate, up, down) = (matrix(OUTPUT)?, matrix(GATE)?, matrix(UP)?, matrix(DOWN)?);
        let q_bias = self.bias(layer, QUERY)?;
        let k_bias = self.bias(layer, KEY)?;
        let v_bias = self.bias(layer, VALUE)?;

        // The five steps of the format page's §6.1.
        let mut head_norms = None;
        let mut keys = vec![];
        if shape.head_norms {
            let (mut q_norm, mut k_norm) = (vector(QUERY_NORM, d)?, vector(KEY_NORM, d)?);
            let exponents = equalise::pair_exponents(&equalise::gamma_sizes(&k_norm), d);
            times_powers(&mut k_norm, &negated(&exponents));
            times_powers(&mut q_norm, &exponents);
            head_norms = Some((q_norm, k_norm));
        } else {
            let sizes = equalise::row_sizes(&k, &input_norm, k_bias.as_deref())?;
            keys = equalise::pair_exponents(&sizes, d);
        }
        let values = equalise::value_exponents(
            &equalise::row_sizes(&v, &input_norm, v_bias.as_deref())?,
            &equalise::column_sizes(&[&o])?,
            d,
            group,
        );
        let gated = equalise::column_exponents(&equalise::column_sizes(&[&down])?);
        let attention = equalise::column_exponents(&equalise::column_sizes(&[&q, &k, &v])?);
        let feed_forward = equalise::column_exponents(&equalise::column_sizes(&[&gate, &up])?);
        times_powers(&mut input_norm, &attention);
        times_powers(&mut post_norm, &feed_forward);

        let attention = negated(&attention);
        let feed_forward = negated(&feed_forward);
        self.gamma(&in_layer(layer, INPUT_NORM), &input_norm)?;
        for (tensor, bias, rows) in [
            (q, q_bias, equalise::for_query_heads(&keys, d, group)),
            (k, k_bias, negated(&keys)),
            (v, v_bias, negated(&values)),
        ] {
            let mut moved = Moved::new(tensor).rows(rows).columns(&attention);
            moved.bias = bias;
            self.weights(&moved)?;
        }
        if let Some((q_norm, k_norm)) = head_norms {
            self.gamma(&in_layer(layer, QUERY_NORM), &q_norm)?;
            self.gamma(&in_layer(layer, KEY_NORM), &k_norm)?;
        }
        self.weights(&Moved::new(o).columns(&equalise::for_query_heads(&values, d, group)))?;
        self.gamma(&in_layer(layer, POST_NORM), &post_norm)?;
        self.weights(&Moved::new(gate).columns(&feed_forward))?;
        self.weights(&Moved::new(up).rows(gated.clone()).columns(&feed_forward))?;
        self.weights(&Moved::new(down).columns(&negated(&gated)))?;
        Ok(())
    }

    /// The final norm, and the head where it has weights of its own.
    fn head(&mut self, embedding_columns: &[i32]) -> Result<(), ImportError> {
        let dimensions = [self.shape.vocabulary as usize, self.shape.hidden as usize];
        let mut final_norm = self
            .checkpoint
            .vector(FINAL_NORM, self.shape.hidden as usize)?;
        if self.shape.tied {
            times_powers(&mut final_norm, embedding_columns);
            return self.gamma(FINAL_NORM, &final_norm);
        }
        let tensor = self.tensor(HEAD, &dimensions)?;
        let columns = equalise::column_exponents(&equalise::column_sizes(&[&tensor])?);
        times_powers(&mut final_norm, &columns);
        self.gamma(FINAL_NORM, &final_norm)?;
        self.weights(&Moved::new(tensor).columns(&negated(&columns)))?;
        Ok(())
    }

    /// Weights and row parameters of a matrix; gives the rows' scales.
    fn weights(&mut self, matrix: &Moved) -> Result<Vec<RowScale>, ImportError> {
        self.begin()?;
        let mut scales = Vec::with_capacity(matrix.tensor.rows());
        let (mut row, mut bytes) = (vec![], vec![]);
        for index in 0..matrix.tensor.rows() {
            matrix.row(index, &mut row)?;
            let scale = matrix.scale(index, &row)?;
            quantise::weights(&row, scale, &mut bytes);
            self.put(&bytes)?;
            let clamped = [i32::MIN, i32::MAX].contains(&scale.row.bias);
            self.clamped.biases = self.clamped.biases.saturating_add(clamped.into());
            scales.push(scale);
        }
        self.begin()?;
        for scale in &scales {
            let Row {
                mantissa,
                exponent,
                bias,
            } = scale.row;
            self.put(&mantissa.to_le_bytes())?;
            self.put(&exponent.to_le_bytes())?;
            self.put(&bias.to_le_bytes())?;
        }
        Ok(scales)
    }

    fn gamma(&mut self, name: &str, gamma: &[f64]) -> Result<(), ImportError> {
        let out_of_range = || ImportError::NormRange(name.into());
        let (exponent, mut entries) = quantise::gamma(gamma).ok_or_else(out_of_range)?;
        entries.insert(0, exponent);
        self.integers(&entries)
    }

    /// A whole tensor of i32.
    fn integers(&mut self, integers: &[i32]) -> Result<(), ImportError> {
        self.begin()?;
        for integer in integers {
            self.put(&integer.to_le_bytes())?;
        }
        Ok(())
    }

    fn begin(&mut self) -> Result<(), ImportError> {
        let begun = self.writer.begin();
        begun.map_err(|error| ImportError::file(self.path, &error))
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), ImportError> {
        let put = self.writer.put(bytes);
        put.map_err(|error| ImportError::file(self.path, &error))
    }
}

/// How many of a row's elements, whose columns had exponents taken out, the residual does not hold.
fn too_large(row: &[f64], columns: &[i32], fraction_bits: u8) -> u64 {
    let most = power_of_two(31i32.saturating_sub(fraction_bits.into()));
    let elements = row.iter().zip(columns);
    elements
        .filter(|(x, column)| x.abs() * power_of_two(**column) >= most)
        .count() as u64
}
