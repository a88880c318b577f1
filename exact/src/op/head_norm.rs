//! Norm of a query's or key's head: `head_norm` (format page §3.5, Qwen3).

use crate::{
    leaf::{self, require, LeafError, Operand},
    model::Gamma,
    number::{floor_div, norm24, round, round_sat},
};

use super::{
    norm::{product, statistics, Root, Statistics, Width},
    quant::Reciprocal,
};

/// Element i of a head's row in Q16, from x[i] (Q16), γ[i] and what the head's row shares.
pub fn element(
    x: i32,
    gamma: i32,
    gamma_exponent: i32,
    statistics: &Statistics,
    width: &Width,
) -> Result<i32, LeafError> {
    let z = product(x, gamma, statistics.maximum)?;
    require(z.saturating_abs() <= statistics.product, Operand::Maximum)?;
    match Factor::new(gamma_exponent, statistics, width)? {
        Some(factor) => Ok(factor.times(z)),
        None => Ok(0),
    }
}

/// The row of one head, in place.
pub fn row(x: &mut [i32], gamma: Gamma, width: &Width) -> Result<(), LeafError> {
    let statistics = statistics(x, gamma.entries, width)?;
    for (x, entry) in x.iter_mut().zip(gamma.entries) {
        *x = element(*x, *entry, gamma.exponent, &statistics, width)?;
    }
    Ok(())
}

/// What every element of the row is multiplied with.
pub(crate) struct Factor {
    /// g.
    pub shift: i32,
    /// Below 2^24.
    pub mantissa: i64,
    /// Of the result in Q16.
    pub exponent: i32,
}

impl Factor {
    /// None for a row of zeros.
    pub fn new(
        gamma_exponent: i32,
        statistics: &Statistics,
        width: &Width,
    ) -> Result<Option<Self>, LeafError> {
        let gamma_exponent = leaf::gamma_exponent(gamma_exponent)?;
        let Some(reciprocal) = Reciprocal::new(statistics.product)? else {
            return Ok(None);
        };
        let root = Root::new(statistics, width)?;
        let (mantissa, exponent) = norm24(
            floor_div(width.root.saturating_mul(1 << 31), root.root),
            root.exponent
                .saturating_sub(width.root_exponent)
                .saturating_sub(31),
        );
        Ok(Some(Self {
            shift: reciprocal.shift,
            mantissa,
            exponent: exponent
                .saturating_add(reciprocal.shift)
                .saturating_add(gamma_exponent)
                .saturating_add(16),
        }))
    }

    pub fn times(&self, z: i64) -> i32 {
        round_sat(
            round(z, self.shift).saturating_mul(self.mantissa),
            self.exponent.saturating_neg(),
        )
    }
}
