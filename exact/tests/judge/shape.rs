//! Shapes of which only a norm's numbers matter.

use assay_exact::shape::{Rotary, Shape};

/// The shape of a residual's and a head's norms.
pub fn norm_shape(hidden: usize, head_dim: usize, eps40: u32, fraction_bits: u8) -> Shape {
    Shape {
        layers: 1,
        hidden: hidden as u32,
        intermediate: 1,
        heads: 1,
        kv_heads: 1,
        head_dim: head_dim as u16,
        vocabulary: 1,
        context: 1,
        tied: true,
        biases: false,
        head_norms: true,
        fraction_bits,
        eps40,
        rotary: Rotary {
            base: 10_000_000_000,
            scaling: None,
        },
    }
}
