//! The bytes of a model's tensors.

use std::vec::Vec;

use crate::{
    leaf::Row,
    model::{Gamma, Matrix, Model},
    tensor::{LayerTensor, Tensor},
};

/// A tensor's bytes as a folder stores them.
pub fn stored(model: &Model, tensor: Tensor) -> Vec<u8> {
    use LayerTensor::*;
    let Tensor::Layer(layer, of_layer) = tensor else {
        let head = model.head.as_ref();
        return match tensor {
            Tensor::Exp2 => integers(model.tables.exp2),
            Tensor::Silu => integers(model.tables.silu),
            Tensor::RotaryLow => integers(model.tables.low),
            Tensor::RotaryHigh => integers(model.tables.high),
            Tensor::EmbeddingHigh => weights(&model.embedding.high),
            Tensor::EmbeddingRows => rows(model.embedding.high.rows),
            Tensor::EmbeddingLow => bytes(model.embedding.low),
            Tensor::EmbeddingColumns => bytes(model.embedding.columns),
            Tensor::FinalNorm => gamma(&model.final_norm),
            Tensor::HeadWeights => weights(head.unwrap()),
            _ => rows(head.unwrap().rows),
        };
    };
    let layer = &model.layers[usize::from(layer)];
    match of_layer {
        InputNorm => gamma(&layer.input_norm),
        QueryWeights => weights(&layer.q),
        QueryRows => rows(layer.q.rows),
        KeyWeights => weights(&layer.k),
        KeyRows => rows(layer.k.rows),
        ValueWeights => weights(&layer.v),
        ValueRows => rows(layer.v.rows),
        QueryNorm => gamma(layer.q_norm.as_ref().unwrap()),
        KeyNorm => gamma(layer.k_norm.as_ref().unwrap()),
        OutputWeights => weights(&layer.o),
        OutputRows => rows(layer.o.rows),
        PostNorm => gamma(&layer.post_norm),
        GateWeights => weights(&layer.gate),
        GateRows => rows(layer.gate.rows),
        UpWeights => weights(&layer.up),
        UpRows => rows(layer.up.rows),
        DownWeights => weights(&layer.down),
        DownRows => rows(layer.down.rows),
    }
}

fn bytes(numbers: &[i8]) -> Vec<u8> {
    numbers.iter().map(|number| *number as u8).collect()
}

fn integers(numbers: &[i32]) -> Vec<u8> {
    numbers
        .iter()
        .flat_map(|number| number.to_le_bytes())
        .collect()
}

fn weights(matrix: &Matrix) -> Vec<u8> {
    bytes(matrix.weights)
}

fn rows(rows: &[Row]) -> Vec<u8> {
    let row = |row: &Row| {
        let [a, b] = row.mantissa.to_le_bytes();
        let [c, d] = row.exponent.to_le_bytes();
        let [e, f, g, h] = row.bias.to_le_bytes();
        [a, b, c, d, e, f, g, h]
    };
    rows.iter().flat_map(row).collect()
}

fn gamma(gamma: &Gamma) -> Vec<u8> {
    let mut bytes = gamma.exponent.to_le_bytes().to_vec();
    bytes.extend(integers(gamma.entries));
    bytes
}
