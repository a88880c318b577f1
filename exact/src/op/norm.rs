//! RMS norm and quantisation: `norm_quant` (format page §3.2).
//!
//! A row x (i32, QF) and γ become int16 activations q and one scale:
//! `q[i] · scale ≈ x[i] γ[i] / sqrt(mean x² + eps)`.

use crate::{
    leaf::{self, require, LeafError, Operand, BLOCK},
    model::Gamma,
    number::{bits, floor_div, isqrt, round, Scale},
    shape::Shape,
};

use super::{fill, largest, quant};

/// What all norms of one width share.
#[derive(Clone, Copy, Debug)]
pub struct Width {
    /// Elements in a row, n.
    elements: i64,
    /// Epsilon in Q40.
    eps40: i64,
    /// Fraction bits of x.
    fraction_bits: i32,
    /// cn = isqrt(n · 4^kn).
    pub(super) root: i64,
    /// kn, the largest k with n · 4^k below 2^62.
    pub(super) root_exponent: i32,
}

impl Width {
    /// For rows of the residual.
    pub fn hidden(shape: &Shape) -> Self {
        Self::new(shape.hidden, shape.eps40, shape.fraction_bits)
    }

    /// For one head's row, whose numbers are Q16.
    pub fn head(shape: &Shape) -> Self {
        Self::new(shape.head_dim.into(), shape.eps40, 16)
    }

    fn new(elements: u32, eps40: u32, fraction_bits: u8) -> Self {
        let elements = i64::from(elements);
        // n · 4^k < 2^62 is bits(n) + 2k ≤ 62.
        let root_exponent = 62i32.saturating_sub(bits(elements)).max(0) >> 1;
        Self {
            elements,
            eps40: eps40.into(),
            fraction_bits: fraction_bits.into(),
            root: isqrt(round(elements, root_exponent.saturating_mul(-2))),
            root_exponent,
        }
    }
}

/// What the elements of one row share, all taken over the whole row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Statistics {
    /// max |x|.
    pub maximum: i64,
    /// ss, the sum of x'².
    pub squares: i64,
    /// a = max |x' γ|.
    pub product: i64,
}

/// max |x| of at most [`BLOCK`] elements.
pub fn partial_maximum(x: &[i32]) -> Result<i64, LeafError> {
    require(x.len() <= BLOCK, Operand::Length)?;
    Ok(largest(x.iter().map(|x| i64::from(*x))))
}

/// ss of at most [`BLOCK`] elements, given the row's max |x|.
pub fn partial_squares(x: &[i32], maximum: i64) -> Result<i64, LeafError> {
    require(x.len() <= BLOCK, Operand::Length)?;
    squares(x, maximum)
}

/// max |x' γ| of at most [`BLOCK`] elements, given the row's max |x|.
pub fn partial_product(x: &[i32], gamma: &[i32], maximum: i64) -> Result<i64, LeafError> {
    require(x.len() <= BLOCK, Operand::Length)?;
    product_maximum(x, gamma, maximum)
}

/// Activation q[i] from x[i] and γ[i].
#[inline]
pub fn element(x: i32, gamma: i32, statistics: &Statistics) -> Result<i16, LeafError> {
    quant::element16(product(x, gamma, statistics.maximum)?, statistics.product)
}

/// The row's scale.
pub fn scale(
    statistics: &Statistics,
    gamma_exponent: i32,
    width: &Width,
) -> Result<Scale, LeafError> {
    let exponent = leaf::gamma_exponent(gamma_exponent)?;
    let Some(reciprocal) = quant::Reciprocal::new(statistics.product)? else {
        return Ok(Scale::ZERO);
    };
    let root = Root::new(statistics, width)?;
    let t = floor_div(
        floor_div(reciprocal.reduced.saturating_mul(width.root), root.root).saturating_mul(1 << 30),
        leaf::MAX_ACTIVATION,
    );
    Ok(Scale::norm(
        t,
        reciprocal
            .shift
            .saturating_add(exponent)
            .saturating_add(root.exponent)
            .saturating_sub(width.root_exponent)
            .saturating_sub(30),
    ))
}

/// The whole row: activations into `out`, and their scale.
pub fn row(x: &[i32], gamma: Gamma, width: &Width, out: &mut [i16]) -> Result<Scale, LeafError> {
    let statistics = statistics(x, gamma.entries, width)?;
    require(out.len() == x.len(), Operand::Length)?;
    fill(
        out,
        x.iter()
            .zip(gamma.entries)
            .map(|(x, gamma)| element(*x, *gamma, &statistics)),
    )?;
    scale(&statistics, gamma.exponent, width)
}

pub(super) fn statistics(x: &[i32], gamma: &[i32], width: &Width) -> Result<Statistics, LeafError> {
    require(x.len() as i64 == width.elements, Operand::Length)?;
    let maximum = largest(x.iter().map(|x| i64::from(*x)));
    Ok(Statistics {
        maximum,
        squares: squares(x, maximum)?,
        product: product_maximum(x, gamma, maximum)?,
    })
}

/// w = sqrt(v) · 2^j with 31 digits: the root of the mean square, in units of x' times sqrt(n).
pub(super) struct Root {
    /// w, in [2^30, 2^31).
    pub root: i64,
    /// j.
    pub exponent: i32,
}

impl Root {
    pub fn new(statistics: &Statistics, width: &Width) -> Result<Self, LeafError> {
        let shift = reduction(statistics.maximum)?;
        let epsilon = round(
            width.elements.saturating_mul(width.eps40),
            shift
                .saturating_sub(width.fraction_bits)
                .saturating_mul(2)
                .saturating_add(40),
        );
        let mean = statistics.squares.saturating_add(epsilon);
        require(
            statistics.squares >= 0 && mean > 0 && bits(mean) <= 62,
            Operand::Sum,
        )?;
        let exponent = 62i32.saturating_sub(bits(mean)) >> 1;
        Ok(Self {
            root: isqrt(round(mean, exponent.saturating_mul(-2))),
            exponent,
        })
    }
}

/// h: how far x is shifted so that x' has at most 23 digits.
#[inline]
pub(crate) fn reduction(maximum: i64) -> Result<i32, LeafError> {
    require((0..=1 << 31).contains(&maximum), Operand::Maximum)?;
    Ok(bits(maximum).saturating_sub(23).max(0))
}

#[inline]
fn reduced(x: i32, maximum: i64) -> Result<i64, LeafError> {
    require(i64::from(x.unsigned_abs()) <= maximum, Operand::Maximum)?;
    Ok(round(x.into(), reduction(maximum)?))
}

/// z[i] = x'[i] γ[i], below 2^47 in size.
#[inline]
pub(super) fn product(x: i32, gamma: i32, maximum: i64) -> Result<i64, LeafError> {
    Ok(reduced(x, maximum)?.saturating_mul(leaf::gamma(gamma)?))
}

fn squares(x: &[i32], maximum: i64) -> Result<i64, LeafError> {
    x.iter().try_fold(0i64, |total, x| {
        let x = reduced(*x, maximum)?;
        Ok(total.saturating_add(x.saturating_mul(x)))
    })
}

fn product_maximum(x: &[i32], gamma: &[i32], maximum: i64) -> Result<i64, LeafError> {
    require(x.len() == gamma.len(), Operand::Length)?;
    x.iter().zip(gamma).try_fold(0, |most: i64, (x, gamma)| {
        Ok(most.max(product(*x, *gamma, maximum)?.saturating_abs()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_of_the_width_is_the_definition() {
        for elements in (1..=600).chain([896, 4095, 4096, 8191, 16383, 16384]) {
            let width = Width::new(elements, 1, 16);
            let mut k = 0;
            while i128::from(elements) << (2 * (k + 1)) < 1 << 62 {
                k += 1;
            }
            assert_eq!(width.root_exponent, k, "{elements}");
            assert_eq!(
                width.root,
                isqrt(i64::from(elements) << (2 * k)),
                "{elements}"
            );
        }
    }

    #[test]
    fn a_row_of_zeros_has_the_zero_scale() {
        let width = Width::new(3, 11, 16);
        let mut out = [7; 3];
        let gamma = |entries| Gamma {
            exponent: 0,
            entries,
        };
        assert_eq!(
            row(&[0; 3], gamma(&[5; 3]), &width, &mut out),
            Ok(Scale::ZERO)
        );
        assert_eq!(out, [0; 3]);
        assert_eq!(
            row(&[9; 3], gamma(&[0; 3]), &width, &mut out),
            Ok(Scale::ZERO)
        );
    }

    #[test]
    fn numbers_that_contradict_each_other_are_refused() {
        let sound = Statistics {
            maximum: 9,
            squares: 81,
            product: 45,
        };
        assert!(element(9, 5, &sound).is_ok());
        assert_eq!(element(10, 5, &sound), Err(Operand::Maximum.into()));
        assert_eq!(element(i32::MIN, 0, &sound), Err(Operand::Maximum.into()));
        assert_eq!(element(9, 6, &sound), Err(Operand::Maximum.into()));
        assert_eq!(
            element(1, 1 << 24, &sound),
            Err(leaf::Parameter::Gamma.into())
        );
        let width = Width::new(1, 1, 16);
        for squares in [-1, 1 << 62, i64::MAX, i64::MIN] {
            let false_sum = Statistics { squares, ..sound };
            assert_eq!(scale(&false_sum, 0, &width), Err(Operand::Sum.into()));
        }
    }
}
