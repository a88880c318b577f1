//! Rows of [`crate::op::rotary`].

use super::{product, round_after, saturate};

#[inline(always)]
pub(super) fn row(x: &mut [i32], cos: &[i32], sin: &[i32]) {
    let (first, second) = x.split_at_mut(cos.len().min(x.len()));
    for (((x, y), cos), sin) in first.iter_mut().zip(second).zip(cos).zip(sin) {
        let (a, b) = (i64::from(*x), i64::from(*y));
        let (cos, sin) = (i64::from(*cos), i64::from(*sin));
        let turned = product(a, cos).wrapping_sub(product(b, sin));
        *x = saturate(round_after(turned, 29));
        let turned = product(b, cos).wrapping_add(product(a, sin));
        *y = saturate(round_after(turned, 29));
    }
}
