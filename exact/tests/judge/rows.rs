//! The row of each operator from its elements, reductions in the format page's blocks, and blocks of
//! blocks where there are many.

use alloc::{vec, vec::Vec};

use assay_exact::{
    leaf::{LeafError, BLOCK, PAGE, WEIGHTS_PER_LEAF},
    op::{
        self,
        attention::{self, Maxima},
        embed, head_norm, linear,
        norm::{self, Statistics, Width},
        quant,
        rotary::{self, Angle},
        silu,
    },
    Scale,
};

use super::{
    files::{row, Norm, Parameters},
    Judge,
};

type Reduce = fn(&[i64]) -> Result<i64, LeafError>;

/// At most one block of results that stand for all of `parts`.
fn gathered(mut parts: Vec<i64>, reduce: Reduce) -> Result<Vec<i64>, LeafError> {
    while parts.len() > BLOCK {
        parts = parts.chunks(BLOCK).map(reduce).collect::<Result<_, _>>()?;
    }
    Ok(parts)
}

/// The result of a reduction from those of its blocks.
fn reduced(parts: Vec<i64>, reduce: Reduce) -> Result<i64, LeafError> {
    reduce(&gathered(parts, reduce)?)
}

/// A part of a reduction from each block of two rows.
fn parts<A, B>(
    a: &[A],
    b: &[B],
    block: usize,
    part: impl Fn(&[A], &[B]) -> Result<i64, LeafError>,
) -> Result<Vec<i64>, LeafError> {
    a.chunks(block)
        .zip(b.chunks(block))
        .map(|(a, b)| part(a, b))
        .collect()
}

/// A token's row, from both limbs of its embedding and the columns' exponents.
pub fn embed(
    high: &[i8],
    low: &[i8],
    parameters: Parameters,
    columns: &[i8],
    fraction_bits: u8,
) -> Result<Vec<i32>, LeafError> {
    high.iter()
        .zip(low)
        .zip(columns)
        .map(|((high, low), column)| {
            embed::element(*high, *low, row(parameters), *column, fraction_bits)
        })
        .collect()
}

fn statistics(x: &[i32], gamma: &[i32]) -> Result<Statistics, LeafError> {
    let maxima = x.chunks(BLOCK).map(norm::partial_maximum);
    let maximum = reduced(maxima.collect::<Result<_, _>>()?, op::maximum)?;
    let squares = x.chunks(BLOCK).map(|x| norm::partial_squares(x, maximum));
    let product = |x: &[i32], gamma: &[i32]| norm::partial_product(x, gamma, maximum);
    Ok(Statistics {
        maximum,
        squares: reduced(squares.collect::<Result<_, _>>()?, op::sum)?,
        product: reduced(parts(x, gamma, BLOCK, product)?, op::maximum)?,
    })
}

pub fn norm_quant(
    x: &[i32],
    (exponent, gamma): &Norm,
    width: &Width,
) -> Result<(Vec<i16>, Scale), LeafError> {
    let statistics = statistics(x, gamma)?;
    let elements = x.iter().zip(gamma);
    let q = elements.map(|(x, gamma)| norm::element(*x, *gamma, &statistics));
    Ok((
        q.collect::<Result<_, _>>()?,
        norm::scale(&statistics, *exponent, width)?,
    ))
}

/// One head's row.
pub fn head_norm(
    x: &[i32],
    (exponent, gamma): &Norm,
    width: &Width,
) -> Result<Vec<i32>, LeafError> {
    let statistics = statistics(x, gamma)?;
    x.iter()
        .zip(gamma)
        .map(|(x, gamma)| head_norm::element(*x, *gamma, *exponent, &statistics, width))
        .collect()
}

fn quantised<Q>(
    x: &[i32],
    element: fn(i64, i64) -> Result<Q, LeafError>,
    scale: fn(i64, i32) -> Result<Scale, LeafError>,
) -> Result<(Vec<Q>, Scale), LeafError> {
    let z: Vec<i64> = x.iter().map(|x| i64::from(*x)).collect();
    let maxima = z.chunks(BLOCK).map(quant::partial_maximum);
    let maximum = reduced(maxima.collect::<Result<_, _>>()?, op::maximum)?;
    let q = z.iter().map(|z| element(*z, maximum));
    Ok((q.collect::<Result<_, _>>()?, scale(maximum, 16)?))
}

/// A row in Q16 as int16 activations.
pub fn quant16(x: &[i32]) -> Result<(Vec<i16>, Scale), LeafError> {
    quantised(x, quant::element16, quant::scale16)
}

/// A row in Q16 as int8 keys or values.
pub fn quant8(x: &[i32]) -> Result<(Vec<i8>, Scale), LeafError> {
    quantised(x, quant::element8, quant::scale8)
}

pub fn linear(
    q: &[i16],
    scale: Scale,
    weights: &[Vec<i8>],
    parameters: &[Parameters],
    fraction_bits: u8,
) -> Result<Vec<i32>, LeafError> {
    let outputs = weights.iter().zip(parameters);
    outputs
        .map(|(weights, parameters)| {
            let sums = parts(q, weights, WEIGHTS_PER_LEAF, linear::partial)?;
            let sums = gathered(sums, op::sum)?;
            linear::element(&sums, row(*parameters), scale, fraction_bits)
        })
        .collect()
}

/// Outputs of a linear map added to a residual.
pub fn added(residual: &[i32], y: &[i32]) -> Vec<i32> {
    let elements = residual.iter().zip(y);
    elements.map(|(x, y)| linear::add(*x, *y)).collect()
}

/// A position's angles, from its rows in both tables.
pub fn angles(low: &[Angle], high: &[Angle]) -> Result<Vec<Angle>, LeafError> {
    let entries = low.iter().zip(high);
    entries
        .map(|(low, high)| rotary::angle(*low, *high))
        .collect()
}

/// One head's row.
pub fn rope(x: &[i32], angles: &[Angle]) -> Result<Vec<i32>, LeafError> {
    let (first, second) = x.split_at(angles.len());
    let rotated = |element: fn(i32, i32, Angle) -> Result<i32, LeafError>| {
        let pairs = first.iter().zip(second).zip(angles);
        pairs
            .map(|((x, other), angle)| element(*x, *other, *angle))
            .collect::<Result<Vec<_>, _>>()
    };
    Ok([
        rotated(rotary::element_first)?,
        rotated(rotary::element_second)?,
    ]
    .concat())
}

/// What one head's attention at one position computes.
pub struct Attention {
    pub scores: Vec<i32>,
    pub maxima: Maxima,
    pub denominator: i64,
    pub weights: Vec<i16>,
    pub out: Vec<i32>,
}

/// Keys or values that one head sees, by position, with their scales.
pub struct Seen<'a> {
    pub rows: Vec<&'a [i8]>,
    pub scales: Vec<Scale>,
}

pub fn attention(
    q: &[i16],
    quantised: Scale,
    keys: &Seen,
    values: &Seen,
    judge: &Judge,
) -> Result<Attention, LeafError> {
    let query = attention::query_scale(quantised, q.len() as u16);
    let scores = keys.rows.iter().zip(&keys.scales);
    let scores: Vec<i32> = scores
        .map(|(key, scale)| attention::score(q, key, query, *scale))
        .collect::<Result<_, _>>()?;
    let maxima = maxima(&scores, &values.scales)?;
    let denominators = scores
        .chunks(BLOCK)
        .map(|scores| attention::partial_denominator(scores, &maxima, judge.exp2));
    let denominator = reduced(denominators.collect::<Result<_, _>>()?, op::sum)?;
    let weights: Vec<i16> = scores
        .iter()
        .zip(&values.scales)
        .map(|(score, scale)| attention::weight(*score, *scale, &maxima, judge.exp2))
        .collect::<Result<_, _>>()?;
    let mut out = vec![0; q.len()];
    for (i, out) in out.iter_mut().enumerate() {
        let column: Vec<i8> = values.rows.iter().map(|value| value[i]).collect();
        let sums = gathered(parts(&weights, &column, PAGE, attention::partial)?, op::sum)?;
        *out = attention::element(&sums, denominator, &maxima)?;
    }
    Ok(Attention {
        scores,
        maxima,
        denominator,
        weights,
        out,
    })
}

fn maxima(scores: &[i32], scales: &[Scale]) -> Result<Maxima, LeafError> {
    let blocks = scores.chunks(BLOCK).zip(scales.chunks(BLOCK));
    let blocks: Vec<Maxima> = blocks
        .map(|(scores, scales)| attention::partial_maxima(scores, scales))
        .collect::<Result<_, _>>()?;
    let over = |of: fn(&Maxima) -> i64| reduced(blocks.iter().map(of).collect(), op::maximum);
    Ok(Maxima {
        score: over(|block| block.score.into())? as i32,
        shifted: over(|block| block.shifted)?,
    })
}

pub fn silu_mul(gate: &[i32], up: &[i32], judge: &Judge) -> Result<(Vec<i16>, Scale), LeafError> {
    let block = |gate: &[i32], up: &[i32]| silu::partial_maximum(gate, up, judge.silu);
    let maximum = reduced(parts(gate, up, BLOCK, block)?, op::maximum)?;
    let elements = gate.iter().zip(up);
    let q = elements.map(|(gate, up)| silu::element(*gate, *up, judge.silu, maximum));
    Ok((q.collect::<Result<_, _>>()?, silu::scale(maximum)?))
}
