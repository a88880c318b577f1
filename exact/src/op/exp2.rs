//! Powers of two from the exp2 table (format page §3.7).

use crate::{
    leaf::{self, pair, require, Entries, LeafError},
    number::round,
};

/// T(f): 2^(-f/2^16) in Q30, interpolated in the exp2 table; 0 ≤ f < 2^16.
#[inline]
pub(crate) fn power<E: Entries + ?Sized>(fraction: i64, exp2: &E) -> Result<i64, LeafError> {
    let interval = (fraction >> 8) as usize & 0xff;
    let (below, above) = pair(exp2, interval, leaf::exp2)?;
    require(interval > 0 || below == 1 << 30, leaf::Parameter::Exp2)?;
    let slope = above.wrapping_sub(below).wrapping_mul(fraction & 0xff);
    Ok(below.wrapping_add(round(slope, 8)))
}
