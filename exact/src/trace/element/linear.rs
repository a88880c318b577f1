//! Linear maps (format page §3.4).

use crate::{
    leaf::WEIGHTS_PER_LEAF,
    op::linear,
    tensor::{LayerTensor, Tensor},
    trace::{
        layout::Layout,
        place::{Cell, Place},
        reader::{Read, Reader},
        reduction::{piece, Reduction},
        row::Row,
        source::Source,
    },
};

/// What a row's elements are made of.
struct Linear {
    activations: Place,
    scale: Place,
    /// Activations.
    inputs: u64,
    weights: Tensor,
    rows: Tensor,
    /// What the outputs are added to.
    residual: Option<Place>,
    fraction_bits: u8,
}

fn linear(layout: &Layout, place: Place) -> Linear {
    use LayerTensor::*;
    let shape = layout.shape();
    let (weights, rows) = match place.row {
        Row::Query => (QueryWeights, QueryRows),
        Row::Key => (KeyWeights, KeyRows),
        Row::Value => (ValueWeights, ValueRows),
        Row::Output => (OutputWeights, OutputRows),
        Row::Gate => (GateWeights, GateRows),
        Row::Up => (UpWeights, UpRows),
        _ => (DownWeights, DownRows),
    };
    let of_layer = |tensor| Tensor::Layer(place.layer, tensor);
    let (weights, rows) = match place.row {
        Row::Logits if shape.tied => (Tensor::EmbeddingHigh, Tensor::EmbeddingRows),
        Row::Logits => (Tensor::HeadWeights, Tensor::HeadRows),
        _ => (of_layer(weights), of_layer(rows)),
    };
    let (activations, scale, inputs) = match place.row {
        Row::Output => (Row::MixedActivation, Row::MixedScale, shape.query_width()),
        Row::Gate | Row::Up => (Row::PostActivation, Row::PostScale, shape.hidden),
        Row::Down => (
            Row::ProductActivation,
            Row::ProductScale,
            shape.intermediate,
        ),
        Row::Logits => (Row::FinalActivation, Row::FinalScale, shape.hidden),
        _ => (Row::InputActivation, Row::InputScale, shape.hidden),
    };
    let residual = match place.row {
        Row::Output => Some(layout.residual(place)),
        Row::Down => Some(place.row(Row::Output)),
        _ => None,
    };
    Linear {
        activations: place.row(activations),
        scale: place.row(scale),
        inputs: inputs.into(),
        weights,
        rows,
        residual,
        fraction_bits: residual.map_or(16, |_| shape.fraction_bits),
    }
}

pub(super) fn reduction(layout: &Layout, place: Place) -> Option<Reduction> {
    let inputs = linear(layout, place).inputs;
    Reduction::sum(inputs.div_ceil(WEIGHTS_PER_LEAF as u64))
}

pub(super) fn block<S: Source>(reader: &mut Reader<S>, cell: Cell, block: u64) -> Read<i64, S> {
    let linear = linear(&reader.case.layout, cell.place);
    let (first, count) = piece(block, WEIGHTS_PER_LEAF, linear.inputs)?;
    let q = reader.cells::<i16>(linear.activations, first, count)?;
    let weights = reader.weights(linear.weights, cell.element, block)?;
    Ok(if reader.checks_weights {
        linear::partial(&q, &weights)?
    } else {
        linear::partial_unchecked(&q, &weights)?
    })
}

pub(super) fn element<S: Source>(reader: &mut Reader<S>, cell: Cell, reduced: i64) -> Read<i64, S> {
    let linear = linear(&reader.case.layout, cell.place);
    let row = reader.parameters(linear.rows, cell.element)?;
    let scale = reader.scale(linear.scale, 0)?;
    let y = linear::element(&[reduced], row, scale, linear.fraction_bits)?;
    Ok(match linear.residual {
        Some(place) => linear::add(reader.i32(place, cell.element)?, y).into(),
        None => y.into(),
    })
}
