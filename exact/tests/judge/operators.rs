//! Each operator's case again. (Those of the sampling and of whole models have files of their own.)

use alloc::vec::Vec;

use assay_exact::{leaf::LeafError, op::norm::Width};

use super::{
    files::{
        angle, pair, scale, Attention, Embed, HeadNorm, Linear, NormQuant, Pair, Quant, Rope,
        SiluMul,
    },
    rows::{self, Seen},
    shape::norm_shape,
    Judge, Judged,
};

impl Judged for Embed {
    fn judged(&self, _: &Judge) -> Result<Self, LeafError> {
        let x = rows::embed(
            &self.high,
            &self.low,
            self.row,
            &self.columns,
            self.fraction_bits,
        )?;
        Ok(Self { x, ..self.clone() })
    }
}

impl Judged for NormQuant {
    fn judged(&self, _: &Judge) -> Result<Self, LeafError> {
        let width = Width::hidden(&norm_shape(self.x.len(), 2, self.eps40, self.fraction_bits));
        let gamma = (self.gamma_exponent, self.gamma.clone());
        let (q, scale) = rows::norm_quant(&self.x, &gamma, &width)?;
        Ok(Self {
            q,
            scale: pair(scale),
            ..self.clone()
        })
    }
}

impl Judged for HeadNorm {
    fn judged(&self, _: &Judge) -> Result<Self, LeafError> {
        let width = Width::head(&norm_shape(1, self.x.len(), self.eps40, 16));
        let gamma = (self.gamma_exponent, self.gamma.clone());
        let y = rows::head_norm(&self.x, &gamma, &width)?;
        Ok(Self { y, ..self.clone() })
    }
}

impl Judged for Quant {
    fn judged(&self, _: &Judge) -> Result<Self, LeafError> {
        let (q16, scale16) = rows::quant16(&self.x)?;
        let (q8, scale8) = rows::quant8(&self.x)?;
        Ok(Self {
            q16,
            scale16: pair(scale16),
            q8,
            scale8: pair(scale8),
            ..self.clone()
        })
    }
}

impl Judged for Linear {
    fn judged(&self, _: &Judge) -> Result<Self, LeafError> {
        let y = rows::linear(
            &self.q,
            scale(self.scale),
            &self.weights,
            &self.rows,
            self.fraction_bits,
        )?;
        Ok(Self {
            added: rows::added(&self.residual, &y),
            y,
            ..self.clone()
        })
    }
}

impl Judged for Rope {
    fn judged(&self, _: &Judge) -> Result<Self, LeafError> {
        let entries = |row: &[(i32, i32)]| row.iter().copied().map(angle).collect::<Vec<_>>();
        let angles = rows::angles(&entries(&self.low), &entries(&self.high))?;
        Ok(Self {
            y: rows::rope(&self.x, &angles)?,
            angles: angles.iter().map(|angle| (angle.cos, angle.sin)).collect(),
            ..self.clone()
        })
    }
}

fn seen<'a>(rows: &'a [Vec<i8>], scales: &[Pair]) -> Seen<'a> {
    Seen {
        rows: rows.iter().map(Vec::as_slice).collect(),
        scales: scales.iter().copied().map(scale).collect(),
    }
}

impl Judged for Attention {
    fn judged(&self, judge: &Judge) -> Result<Self, LeafError> {
        let of = rows::attention(
            &self.q,
            scale(self.scale),
            &seen(&self.keys, &self.key_scales),
            &seen(&self.values, &self.value_scales),
            judge,
        )?;
        Ok(Self {
            scores: of.scores,
            maxima: (of.maxima.score, of.maxima.shifted),
            denominator: of.denominator,
            weights: of.weights,
            out: of.out,
            ..self.clone()
        })
    }
}

impl Judged for SiluMul {
    fn judged(&self, judge: &Judge) -> Result<Self, LeafError> {
        let (q, scale) = rows::silu_mul(&self.gate, &self.up, judge)?;
        Ok(Self {
            q,
            scale: pair(scale),
            ..self.clone()
        })
    }
}
