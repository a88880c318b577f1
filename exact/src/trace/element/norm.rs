//! Norms of the residual and of heads (format page §3.2, §3.5), and what their elements share.

use crate::{
    leaf::{Operand, BLOCK},
    op::{
        head_norm,
        norm::{self, Statistics, Width},
    },
    tensor::{LayerTensor, Tensor},
    trace::{
        layout::Layout,
        place::{Cell, Place},
        reader::{of_scale, Read, Reader},
        reduction::{piece, Reduction},
        row::Row,
        source::Source,
    },
};

/// One of the rows that a norm is written as.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Maximum,
    Squares,
    Product,
    Activation,
    Scale,
    /// A head's normed row.
    Head,
}

/// The norm that a row belongs to.
struct Norm {
    part: Part,
    /// The row that is normed.
    x: Place,
    gamma: Tensor,
    /// Elements that are normed together.
    width: u64,
    maximum: Place,
    squares: Place,
    product: Place,
}

fn norm(layout: &Layout, place: Place) -> Norm {
    use LayerTensor as Of;
    use Row::*;
    let (part, [maximum, squares, product]) = match place.row {
        InputMaximum | PostMaximum | FinalMaximum | QueryNormMaximum | KeyNormMaximum => {
            (Part::Maximum, statistics(place.row))
        }
        InputSquares | PostSquares | FinalSquares | QueryNormSquares | KeyNormSquares => {
            (Part::Squares, statistics(place.row))
        }
        InputProduct | PostProduct | FinalProduct | QueryNormProduct | KeyNormProduct => {
            (Part::Product, statistics(place.row))
        }
        InputScale | PostScale | FinalScale => (Part::Scale, statistics(place.row)),
        QueryNorm | KeyNorm => (Part::Head, statistics(place.row)),
        _ => (Part::Activation, statistics(place.row)),
    };
    let shape = layout.shape();
    let (hidden, head_dim) = (shape.hidden.into(), shape.head_dim.into());
    let of_layer = |tensor| Tensor::Layer(place.layer, tensor);
    let (x, gamma, width) = match maximum {
        PostMaximum => (place.row(Output), of_layer(Of::PostNorm), hidden),
        FinalMaximum => (layout.residual(place), Tensor::FinalNorm, hidden),
        QueryNormMaximum => (place.row(Query), of_layer(Of::QueryNorm), head_dim),
        KeyNormMaximum => (place.row(Key), of_layer(Of::KeyNorm), head_dim),
        _ => (layout.residual(place), of_layer(Of::InputNorm), hidden),
    };
    Norm {
        part,
        x,
        gamma,
        width,
        maximum: place.row(maximum),
        squares: place.row(squares),
        product: place.row(product),
    }
}

/// What a norm's rows share.
fn statistics(row: Row) -> [Row; 3] {
    use Row::*;
    match row {
        PostMaximum | PostSquares | PostProduct | PostActivation | PostScale => {
            [PostMaximum, PostSquares, PostProduct]
        }
        FinalMaximum | FinalSquares | FinalProduct | FinalActivation | FinalScale => {
            [FinalMaximum, FinalSquares, FinalProduct]
        }
        QueryNormMaximum | QueryNormSquares | QueryNormProduct | QueryNorm => {
            [QueryNormMaximum, QueryNormSquares, QueryNormProduct]
        }
        KeyNormMaximum | KeyNormSquares | KeyNormProduct | KeyNorm => {
            [KeyNormMaximum, KeyNormSquares, KeyNormProduct]
        }
        _ => [InputMaximum, InputSquares, InputProduct],
    }
}

pub(super) fn reduction(layout: &Layout, place: Place) -> Option<Reduction> {
    let norm = norm(layout, place);
    let blocks = norm.width.div_ceil(BLOCK as u64);
    match norm.part {
        Part::Squares => Reduction::sum(blocks),
        Part::Maximum | Part::Product => Reduction::maximum(blocks),
        Part::Activation | Part::Scale | Part::Head => None,
    }
}

/// `cell.element` is 0, or the head.
pub(super) fn block<S: Source>(reader: &mut Reader<S>, cell: Cell, block: u64) -> Read<i64, S> {
    let norm = norm(&reader.case.layout, cell.place);
    let (first, count) = piece(block, BLOCK, norm.width)?;
    let start = cell.element * norm.width + first;
    let x = reader.cells::<i32>(norm.x, start, count)?;
    if norm.part == Part::Maximum {
        return Ok(norm::partial_maximum(&x)?);
    }
    let maximum = reader.cell(norm.maximum, cell.element)?;
    Ok(match norm.part {
        Part::Squares => norm::partial_squares(&x, maximum)?,
        Part::Product => {
            let (_, gamma) = reader.gamma(norm.gamma, first, count)?;
            norm::partial_product(&x, &gamma, maximum)?
        }
        _ => return Err(Operand::Length.into()),
    })
}

pub(super) fn element<S: Source>(reader: &mut Reader<S>, cell: Cell, reduced: i64) -> Read<i64, S> {
    let layout = &reader.case.layout;
    let (norm, shape) = (norm(layout, cell.place), layout.shape());
    let group = cell.element / norm.width;
    let inside = cell.element % norm.width;
    match norm.part {
        Part::Maximum | Part::Squares | Part::Product => Ok(reduced),
        Part::Activation => {
            let x = reader.i32(norm.x, cell.element)?;
            let gamma = gamma(reader, &norm, inside)?.1;
            let statistics = Statistics {
                maximum: reader.cell(norm.maximum, group)?,
                // No activation depends on it.
                squares: 0,
                product: reader.cell(norm.product, group)?,
            };
            Ok(norm::element(x, gamma, &statistics)?.into())
        }
        Part::Scale => {
            let statistics = all_statistics(reader, &norm, 0)?;
            let exponent = gamma(reader, &norm, 0)?.0;
            let scale = norm::scale(&statistics, exponent, &Width::hidden(shape))?;
            Ok(of_scale(scale))
        }
        Part::Head => {
            let x = reader.i32(norm.x, cell.element)?;
            let (exponent, gamma) = gamma(reader, &norm, inside)?;
            let statistics = all_statistics(reader, &norm, group)?;
            let width = Width::head(shape);
            Ok(head_norm::element(x, gamma, exponent, &statistics, &width)?.into())
        }
    }
}

/// γ's exponent and one of its entries.
fn gamma<S: Source>(reader: &mut Reader<S>, norm: &Norm, index: u64) -> Read<(i32, i32), S> {
    let (exponent, entries) = reader.gamma(norm.gamma, index, 1)?;
    let entry = entries.first().copied().ok_or(Operand::Entry)?;
    Ok((exponent, entry))
}

fn all_statistics<S: Source>(
    reader: &mut Reader<S>,
    norm: &Norm,
    group: u64,
) -> Read<Statistics, S> {
    Ok(Statistics {
        maximum: reader.cell(norm.maximum, group)?,
        squares: reader.cell(norm.squares, group)?,
        product: reader.cell(norm.product, group)?,
    })
}
