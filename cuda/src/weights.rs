//! A model's numbers in a device's memory, as the kernels read them.
//!
//! Matrices that read the same activations are one: queries, keys and values, and gate and up, with
//! their rows one after the other. A row of weights is filled up with zeros to a multiple of
//! [`LINE`](crate::kernels::layout::LINE) bytes; where the model's rows have that length they go to the
//! device from where they are, which is the mapped file, and where not, some megabytes at a time.

use assay_exact::model::{self, Gamma, Model, Row};

use crate::{
    device::{bytes_of, Buffer, Device, DeviceError, Plain},
    kernels::{self, layout::padded_line},
};

/// Bytes of rows that are filled up at a time.
const STAGED: usize = 16 << 20;
/// Bytes of a row's parameters: mantissa u16, exponent i16, bias i32.
const ROW: usize = 8;

/// Weights of one or more matrices with the same inputs, and their rows' parameters.
#[derive(Debug)]
pub struct Matrix {
    pub weights: Buffer,
    pub rows: Buffer,
    pub outputs: u32,
    pub inputs: u32,
}

/// Entries of a norm, and their exponent.
#[derive(Debug)]
pub struct Norm {
    pub entries: Buffer,
    pub exponent: i32,
}

#[derive(Debug)]
pub struct Layer {
    pub input_norm: Norm,
    pub qkv: Matrix,
    /// Query norm and key norm, for shapes with head norms.
    pub head_norms: Option<(Norm, Norm)>,
    pub o: Matrix,
    pub post_norm: Norm,
    pub gate_up: Matrix,
    pub down: Matrix,
}

/// All of a model that the kernels read.
#[derive(Debug)]
pub struct Weights {
    pub layers: Vec<Layer>,
    pub final_norm: Norm,
    pub head: Matrix,
    pub exp2: Buffer,
    pub silu: Buffer,
}

impl Weights {
    pub fn upload(device: &Device, model: &Model) -> Result<Self, DeviceError> {
        let norm = |gamma: &Gamma| Norm::upload(device, gamma);
        let layer = |layer: &model::Layer| {
            let head_norms = match (&layer.q_norm, &layer.k_norm) {
                (Some(q), Some(k)) => Some((norm(q)?, norm(k)?)),
                _ => None,
            };
            Ok(Layer {
                input_norm: norm(&layer.input_norm)?,
                qkv: Matrix::upload(device, &[&layer.q, &layer.k, &layer.v])?,
                head_norms,
                o: Matrix::upload(device, &[&layer.o])?,
                post_norm: norm(&layer.post_norm)?,
                gate_up: Matrix::upload(device, &[&layer.gate, &layer.up])?,
                down: Matrix::upload(device, &[&layer.down])?,
            })
        };
        let head = model.head.as_ref().unwrap_or(&model.embedding.high);
        Ok(Self {
            layers: model.layers.iter().map(layer).collect::<Result<_, _>>()?,
            final_norm: norm(&model.final_norm)?,
            head: Matrix::upload(device, &[head])?,
            exp2: Buffer::of(device, &bytes_of(model.tables.exp2))?,
            silu: Buffer::of(device, &bytes_of(model.tables.silu))?,
        })
    }

    /// Bytes that [`upload`](Self::upload) takes.
    pub fn bytes(model: &Model) -> usize {
        let norm = |gamma: &Gamma| gamma.entries.len() * i32::BYTES;
        let layer = |layer: &model::Layer| {
            let matrices = [
                &layer.q,
                &layer.k,
                &layer.v,
                &layer.o,
                &layer.gate,
                &layer.up,
                &layer.down,
            ];
            let norms = [&layer.input_norm, &layer.post_norm].into_iter();
            let norms = norms.chain(&layer.q_norm).chain(&layer.k_norm);
            matrices.map(matrix_bytes).iter().sum::<usize>() + norms.map(norm).sum::<usize>()
        };
        let head = model.head.as_ref().unwrap_or(&model.embedding.high);
        let tables = (model.tables.exp2.len() + model.tables.silu.len()) * i32::BYTES;
        let layers: usize = model.layers.iter().map(layer).sum();
        layers + norm(&model.final_norm) + matrix_bytes(head) + tables
    }
}

impl Norm {
    /// As the kernels name it.
    pub fn gamma(&self) -> kernels::Gamma {
        kernels::Gamma {
            entries: self.entries.address(),
            exponent: self.exponent,
        }
    }

    fn upload(device: &Device, gamma: &Gamma) -> Result<Self, DeviceError> {
        Ok(Self {
            entries: Buffer::of(device, &bytes_of(gamma.entries))?,
            exponent: gamma.exponent,
        })
    }
}

fn matrix_bytes(matrix: &model::Matrix) -> usize {
    matrix.rows.len() * (padded_line(matrix.inputs as u32) as usize + ROW)
}

impl Matrix {
    /// As the kernels name it.
    pub fn at(&self) -> kernels::Matrix {
        kernels::Matrix {
            weights: self.weights.address(),
            parameters: self.rows.address(),
            inputs: self.inputs,
            outputs: self.outputs,
        }
    }

    /// All rows of `parts`, whose inputs are the same.
    fn upload(device: &Device, parts: &[&model::Matrix]) -> Result<Self, DeviceError> {
        let inputs = parts.first().map_or(0, |part| part.inputs);
        let outputs: usize = parts.iter().map(|part| part.rows.len()).sum();
        let stride = padded_line(inputs as u32) as usize;
        let weights = Buffer::new(device, outputs * stride)?;
        let mut place = weights.address();
        for part in parts {
            if inputs == stride {
                device.upload(place, unsigned(part.weights))?;
            } else {
                upload_padded(device, place, part, stride)?;
            }
            place += (part.rows.len() * stride) as u64;
        }
        let rows: Vec<u8> = parts
            .iter()
            .flat_map(|part| part.rows)
            .flat_map(row)
            .collect();
        Ok(Self {
            weights,
            rows: Buffer::of(device, &rows)?,
            outputs: outputs as u32,
            inputs: inputs as u32,
        })
    }
}

fn upload_padded(
    device: &Device,
    mut place: u64,
    part: &model::Matrix,
    stride: usize,
) -> Result<(), DeviceError> {
    let mut staged = Vec::new();
    for rows in part.weights.chunks(part.inputs * (STAGED / stride).max(1)) {
        staged.clear();
        for row in rows.chunks(part.inputs) {
            staged.extend_from_slice(unsigned(row));
            staged.resize(staged.len().next_multiple_of(stride), 0);
        }
        device.upload(place, &staged)?;
        place += staged.len() as u64;
    }
    Ok(())
}

fn row(row: &Row) -> [u8; ROW] {
    let mut bytes = [0; ROW];
    row.mantissa.put(&mut bytes[..2]);
    row.exponent.put(&mut bytes[2..4]);
    row.bias.put(&mut bytes[4..]);
    bytes
}

fn unsigned(numbers: &[i8]) -> &[u8] {
    // SAFETY: both are bytes, and every byte is a number of either type.
    unsafe { std::slice::from_raw_parts(numbers.as_ptr().cast(), numbers.len()) }
}
