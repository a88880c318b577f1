//! Sizes of rows and columns, and the powers of two that equalisation moves between tensors
//! (format page §6.1).
//!
//! A column's size is relative to its rows' maxima, and a factor of two changes no quotient. So all
//! sizes can be taken from the checkpoint's own numbers, whatever was moved before.

// The sums are bounded where they are taken.
#![allow(clippy::arithmetic_side_effects)]

use super::{
    float::{frexp, largest},
    tensor::Tensor,
    ImportError,
};

/// Largest exponent that is moved.
const MOST: i32 = 12;

/// Exponents that bring `sizes`, which are powers `k` of lengths, near their lower median: 0 for a size
/// of 0, and where little would be gained.
pub(super) fn exponents(sizes: &[f64], k: i32) -> Vec<i32> {
    let mut positive: Vec<f64> = sizes.iter().copied().filter(|size| *size > 0.0).collect();
    positive.sort_by(f64::total_cmp);
    let Some(median) = positive.get(positive.len().saturating_sub(1) / 2) else {
        return vec![0; sizes.len()];
    };
    let exponent = |size: &f64| {
        if *size <= 0.0 {
            return 0;
        }
        let floor_log2 = frexp(size / median).1 - 1;
        let exponent = (floor_log2 + k / 2).div_euclid(k).clamp(-MOST, MOST);
        if exponent.abs() <= 1 {
            0
        } else {
            exponent
        }
    };
    sizes.iter().map(exponent).collect()
}

/// Column sizes of matrices that read one row: the sum of (2^16 |W| / row maximum)², at most 2^32 for
/// each of at most 2^22 rows.
pub(super) fn column_sizes(matrices: &[&Tensor]) -> Result<Vec<u64>, ImportError> {
    let mut sizes = vec![0; matrices.first().map_or(0, |matrix| matrix.inputs())];
    let mut row = Vec::new();
    for matrix in matrices {
        for index in 0..matrix.rows() {
            matrix.row(index, &mut row)?;
            let most = largest(&row);
            if most > 0.0 {
                for (size, w) in sizes.iter_mut().zip(&row) {
                    *size += squared(w.abs() / most * 65536.0);
                }
            }
        }
    }
    Ok(sizes)
}

/// Sizes of the outputs of `matrix` behind a norm: the sum of (2^20 |W γ| / tensor maximum)², at most
/// 2^54, and the bias in the same unit, at most 2^58.
pub(super) fn row_sizes(
    matrix: &Tensor,
    gamma: &[f64],
    bias: Option<&[f64]>,
) -> Result<Vec<u64>, ImportError> {
    let mut row = Vec::new();
    let mut scaled = |index| {
        matrix.row(index, &mut row)?;
        for (w, gamma) in row.iter_mut().zip(gamma) {
            *w = (*w * gamma).abs();
        }
        Ok::<_, ImportError>(row.clone())
    };
    let mut most = 0.0;
    for index in 0..matrix.rows() {
        most = f64::max(most, largest(&scaled(index)?));
    }
    if most == 0.0 {
        return Ok(vec![0; matrix.rows()]);
    }
    let mut sizes = Vec::with_capacity(matrix.rows());
    for index in 0..matrix.rows() {
        let size = scaled(index)?
            .iter()
            .map(|w| squared(w / most * 1_048_576.0))
            .sum::<u64>();
        let bias = bias.and_then(|bias| bias.get(index)).map_or(0, |b| {
            squared((b.abs() / most * 1_048_576.0).min(536_870_912.0))
        });
        sizes.push(size + bias);
    }
    Ok(sizes)
}

/// Sizes of a norm's weights, as [`row_sizes`] takes them.
pub(super) fn gamma_sizes(gamma: &[f64]) -> Vec<u64> {
    let most = largest(gamma);
    let size = |g: &f64| match most {
        0.0 => 0,
        most => squared(g.abs() / most * 1_048_576.0),
    };
    gamma.iter().map(size).collect()
}

/// `x` is at most 2^29.
fn squared(x: f64) -> u64 {
    let n = x.round_ties_even() as u64;
    n * n
}

/// Exponents of the pairs (i, i + d/2) that the rotary embedding turns together, for each head's d
/// sizes; twice in a row, so that each element finds its own.
pub(super) fn pair_exponents(sizes: &[u64], head_dim: usize) -> Vec<i32> {
    sizes
        .chunks(head_dim)
        .flat_map(|head| {
            let (first, second) = head.split_at(head.len() / 2);
            let sums: Vec<f64> = first
                .iter()
                .zip(second)
                .map(|(a, b)| (a + b) as f64)
                .collect();
            let exponents = exponents(&sums, 2);
            [exponents.clone(), exponents].concat()
        })
        .collect()
}

/// One run of `head_dim` exponents for each key-value head becomes one for each query head.
pub(super) fn for_query_heads(exponents: &[i32], head_dim: usize, group: usize) -> Vec<i32> {
    exponents
        .chunks(head_dim)
        .flat_map(|head| head.repeat(group))
        .collect()
}

/// Exponents of the value rows: the size of v_proj's row over the sum of the sizes of the columns of
/// o_proj that read it. 0 where one of them is 0.
pub(super) fn value_exponents(
    rows: &[u64],
    columns: &[u64],
    head_dim: usize,
    group: usize,
) -> Vec<i32> {
    let mut readers = Vec::with_capacity(rows.len());
    for heads in columns.chunks(head_dim * group) {
        for i in 0..head_dim {
            readers.push(heads.iter().skip(i).step_by(head_dim).sum::<u64>());
        }
    }
    let ratio = |(row, column): (&u64, &u64)| match column {
        0 => 0.0,
        column => *row as f64 / *column as f64,
    };
    let ratios: Vec<f64> = rows.iter().zip(&readers).map(ratio).collect();
    exponents(&ratios, 4)
}

/// Exponents of columns by their sizes.
pub(super) fn column_exponents(sizes: &[u64]) -> Vec<i32> {
    let sizes: Vec<f64> = sizes.iter().map(|size| *size as f64).collect();
    exponents(&sizes, 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponents_are_rounded_logarithms_over_the_lower_median() {
        let sizes = [
            4.0,
            1.0,
            1.0,
            64.0,
            0.0,
            1.0 / 1024.0,
            1e30,
            1e-30,
            2.0,
            16.0,
        ];
        // The nine positive sizes in order have 2.0 in the middle.
        assert_eq!(exponents(&sizes, 2), [0, 0, 0, 3, 0, -5, 12, -12, 0, 2]);
        assert_eq!(exponents(&[0.0, 0.0], 2), [0, 0]);
        assert_eq!(exponents(&[], 2), [0i32; 0]);
        assert_eq!(exponents(&[1.0, 1.0, 256.0, 1023.0], 4), [0, 0, 2, 2]);
    }

    #[test]
    fn a_value_row_is_weighed_against_all_of_its_readers() {
        // Two key-value heads of two elements, two query heads each.
        let columns = [1, 10, 3, 30, 100, 0, 156, 0];
        let exponents = value_exponents(&[4, 40, 1 << 20, 7], &columns, 2, 2);
        assert_eq!(exponents, [0, 0, 3, 0]);
    }

    #[test]
    fn pairs_of_the_rotary_embedding_share_an_exponent() {
        let sizes = [1, 1, 1024, 0, 0, 1, 0, 0];
        assert_eq!(pair_exponents(&sizes, 8), [0, 0, 5, 0, 0, 0, 5, 0]);
        assert_eq!(
            for_query_heads(&[1, 2, 3, 4], 2, 2),
            [1, 2, 1, 2, 3, 4, 3, 4]
        );
    }
}
