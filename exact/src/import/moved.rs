//! A matrix of the checkpoint with the powers of two that equalisation gives it.

use super::{
    float::power_of_two,
    quantise::{self, RowScale},
    tensor::Tensor,
    ImportError,
};

/// A matrix with the powers of two that it takes over: rows and bias times 2^rows, columns times
/// 2^columns. Missing exponents are 0.
pub(super) struct Moved<'a> {
    pub tensor: Tensor<'a>,
    pub bias: Option<Vec<f64>>,
    rows: Vec<i32>,
    columns: Vec<f64>,
}

impl<'a> Moved<'a> {
    pub fn new(tensor: Tensor<'a>) -> Self {
        Self {
            tensor,
            bias: None,
            rows: vec![],
            columns: vec![],
        }
    }

    pub fn rows(mut self, exponents: Vec<i32>) -> Self {
        self.rows = exponents;
        self
    }

    pub fn columns(mut self, exponents: &[i32]) -> Self {
        self.columns = exponents.iter().map(|e| power_of_two(*e)).collect();
        self
    }

    fn factor(&self, row: usize) -> f64 {
        power_of_two(self.rows.get(row).copied().unwrap_or(0))
    }

    /// A row as it is quantised, in place of what `out` had.
    pub fn row(&self, row: usize, out: &mut Vec<f64>) -> Result<(), ImportError> {
        self.tensor.row(row, out)?;
        let factor = self.factor(row);
        out.iter_mut().for_each(|w| *w *= factor);
        for (w, factor) in out.iter_mut().zip(&self.columns) {
            *w *= factor;
        }
        Ok(())
    }

    /// The scale and bias of a row that [`row`](Self::row) gave.
    pub fn scale(&self, index: usize, row: &[f64]) -> Result<RowScale, ImportError> {
        let mut scale = quantise::row_scale(row).ok_or_else(|| ImportError::TooLarge {
            name: self.tensor.name().into(),
            row: index,
        })?;
        if let Some(bias) = self.bias.as_ref().and_then(|bias| bias.get(index)) {
            scale.row.bias = quantise::bias(bias * self.factor(index));
        }
        Ok(scale)
    }
}

pub(super) fn negated(exponents: &[i32]) -> Vec<i32> {
    exponents.iter().map(|e| e.saturating_neg()).collect()
}

pub(super) fn times_powers(vector: &mut [f64], exponents: &[i32]) {
    for (x, exponent) in vector.iter_mut().zip(exponents) {
        *x *= power_of_two(*exponent);
    }
}
