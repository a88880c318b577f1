//! Launches of `norm.cu`, and what all norms of one width share.

use assay_exact::Shape;

use super::{layout::padded_line, rows::row_threads};
use crate::device::{
    Argument::{I32, U32, U64},
    Launch,
};

/// The weights of a norm in device memory. Address 0 is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Gamma {
    pub entries: u64,
    pub exponent: i32,
}

/// What all norms of one width share (format page, §3.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Width {
    pub elements: u32,
    /// n · eps40.
    pub epsilon: u64,
    pub fraction_bits: u8,
    /// cn.
    pub root: u64,
    /// kn.
    pub root_exponent: u32,
}

impl Width {
    /// For rows of the residual.
    pub fn hidden(shape: &Shape) -> Self {
        Self::new(shape.hidden, shape.eps40, shape.fraction_bits)
    }

    /// For one head's row.
    pub fn head(shape: &Shape) -> Self {
        Self::new(shape.head_dim.into(), shape.eps40, 16)
    }

    fn new(elements: u32, eps40: u32, fraction_bits: u8) -> Self {
        // The largest k with n · 4^k below 2^62: bits(n) + 2k ≤ 62.
        let root_exponent = (30 + elements.leading_zeros()) / 2;
        Self {
            elements,
            epsilon: u64::from(elements) * u64::from(eps40),
            fraction_bits,
            root: (u64::from(elements) << (2 * root_exponent)).isqrt(),
            root_exponent,
        }
    }
}

/// `norm_quant` (§3.2) of rows of the residual.
#[derive(Clone, Copy, Debug)]
pub struct Norm {
    pub rows: u32,
    pub residual: u64,
    /// Which row of the residual each row is of, u32; 0: each its own.
    pub picked: u64,
    pub gamma: Gamma,
    pub width: Width,
    pub activations: u64,
    pub scales: u64,
}

impl Norm {
    pub fn launch(&self) -> Launch {
        let width = &self.width;
        Launch {
            kernel: "rms_norm",
            grid: [self.rows, 1, 1],
            block: [row_threads(width.elements), 1, 1],
            shared: 0,
            arguments: vec![
                U64(self.residual),
                U64(self.picked),
                U64(self.gamma.entries),
                I32(self.gamma.exponent),
                U32(width.elements),
                U32(padded_line(width.elements)),
                U64(width.epsilon),
                I32(width.fraction_bits.into()),
                U64(width.root),
                U32(width.root_exponent),
                U64(self.activations),
                U64(self.scales),
            ],
        }
    }
}
