//! The elementwise operators over whole rows, as an engine runs them: what a row's elements share is
//! computed once, and what remains are loops without branches, compiled for each instruction set.
//!
//! Each file has the name of the operator in [`crate::op`] whose rows it computes, and calls that
//! one's functions for everything that is not in the loop. Parameters are in their ranges, which
//! [`crate::model::Model::check`] has seen to; the errors are those of numbers that no sound model
//! reaches.

mod attention;
mod linear;
mod norm;
mod quant;
mod rotary;
mod silu;
mod tables;
#[cfg(test)]
mod tests;

pub(crate) use self::{attention::Scales, linear::Parameters, tables::Intervals};
use crate::{
    kernel::Backend,
    leaf::LeafError,
    model::Gamma,
    number::Scale,
    op::{
        attention::{Inverse, Maxima},
        norm::{Statistics, Width},
    },
};

/// `R(x, s + 1)` for 0 ≤ s ≤ 62.
#[inline(always)]
fn round_after(x: i64, s: u32) -> i64 {
    x.wrapping_shr(s).wrapping_add(1) >> 1
}

/// A product of two numbers that fit 32 bits, in the form for which there is an instruction.
#[inline(always)]
fn product(x: i64, y: i64) -> i64 {
    i64::from(x as i32).wrapping_mul(i64::from(y as i32))
}

/// `R(x, shift)` of a small x ≥ 0, for 0 ≤ shift ≤ 62.
#[inline(always)]
fn round_small(x: i64, shift: u32) -> i64 {
    let half = 1i64.wrapping_shl(shift) >> 1;
    (x.wrapping_add(half) as u64).wrapping_shr(shift) as i64
}

#[inline(always)]
fn saturate(x: i64) -> i32 {
    x.clamp(i32::MIN.into(), i32::MAX.into()) as i32
}

/// Calls a row's function with the instructions of a backend.
macro_rules! compiled {
    ($features:literal, $body:path, ($($argument:ident: $type:ty),*) -> $out:ty) => {{
        #[target_feature(enable = $features)]
        fn with_features($($argument: $type),*) -> $out {
            $body($($argument),*)
        }
        fn row($($argument: $type),*) -> $out {
            // SAFETY: `Rows::of` has seen that this machine has the features.
            unsafe { with_features($($argument),*) }
        }
        row
    }};
}

macro_rules! rows {
    ($($(#[$doc:meta])* $name:ident: $body:path = fn($($argument:ident: $type:ty),* $(,)?) -> $out:ty;)*) => {
        /// The rows' functions, compiled for one backend.
        #[derive(Clone, Copy)]
        pub(crate) struct Rows {
            $($(#[$doc])* pub $name: fn($($argument: $type),*) -> $out,)*
        }

        impl Rows {
            /// Those for a backend; the portable ones where this machine lacks something.
            pub fn of(backend: Backend) -> Self {
                #[cfg(target_arch = "x86_64")]
                match backend {
                    Backend::Avx512
                        if is_x86_feature_detected!("avx512f")
                            && is_x86_feature_detected!("avx512bw")
                            && is_x86_feature_detected!("avx512dq")
                            && is_x86_feature_detected!("avx512vl") =>
                    {
                        return Self {
                            $($name: compiled!("avx512f,avx512bw,avx512dq,avx512vl", $body, ($($argument: $type),*) -> $out),)*
                        };
                    }
                    Backend::Avx2 | Backend::Avx512 if is_x86_feature_detected!("avx2") => {
                        return Self {
                            $($name: compiled!("avx2", $body, ($($argument: $type),*) -> $out),)*
                        };
                    }
                    _ => {}
                }
                let _ = backend;
                Self { $($name: $body,)* }
            }
        }
    };
}

rows! {
    /// `norm_quant` (§3.2) of x: activations into `q`. `z` is room for as many numbers.
    norm: norm::quantised = fn(
        x: &[i32], gamma: Gamma, width: &Width, z: &mut [i64], q: &mut [i16],
    ) -> Result<Scale, LeafError>;
    /// What the elements of a norm's row share; products into `z`.
    statistics: norm::statistics = fn(
        x: &[i32], gamma: &[i32], z: &mut [i64],
    ) -> Result<Statistics, LeafError>;
    /// `head_norm` (§3.5) of one head's row, in place.
    head_norm: norm::head = fn(
        x: &mut [i32], gamma: Gamma, width: &Width, z: &mut [i64],
    ) -> Result<(), LeafError>;
    /// int16 (§3.3) of a row in Q16.
    quant16: quant::row16 = fn(x: &[i32], z: &mut [i64], q: &mut [i16]) -> Result<Scale, LeafError>;
    /// int8 (§3.3) of a row in Q16.
    quant8: quant::row8 = fn(x: &[i32], z: &mut [i64], q: &mut [i8]) -> Result<Scale, LeafError>;
    /// `rope` (§3.6) of one head's row, in place: cosines and sines of its position, d/2 each.
    rope: rotary::row = fn(x: &mut [i32], cos: &[i32], sin: &[i32]) -> ();
    /// `silu_mul` (§3.8) and its int16.
    silu: silu::row = fn(
        gate: &[i32], up: &[i32], intervals: &Intervals, z: &mut [i64], q: &mut [i16],
    ) -> Result<Scale, LeafError>;
    /// Outputs of `linear` (§3.4) from one token's sums, instead of what `out` holds.
    outputs: linear::outputs = fn(
        sums: &[i64], parameters: Parameters, scale: Scale, fraction_bits: u8, out: &mut [i32],
    ) -> Result<(), LeafError>;
    /// Outputs of `linear`, added to what `out` holds.
    outputs_added: linear::outputs_added = fn(
        sums: &[i64], parameters: Parameters, scale: Scale, fraction_bits: u8, out: &mut [i32],
    ) -> Result<(), LeafError>;
    /// `scores` (§3.7) in place of the sums q · k of some positions, and their maxima.
    scores: attention::scores = fn(
        sums: &mut [i32], query: Scale, keys: Scales, values: Scales,
    ) -> Maxima;
    /// Weights w of some positions from their scores, and the part of D that they add.
    weights: attention::weights = fn(
        scores: &[i32], maxima: &Maxima, common: i32, values: Scales, intervals: &Intervals, w: &mut [i16],
    ) -> i64;
    /// One head's output from its sums w · v.
    mixed: attention::outputs = fn(sums: &[i64], inverse: &Inverse, out: &mut [i32]) -> ();
}
