//! The scaling of the rotary frequencies, found again in the factors that a GGUF file has of it.
//!
//! Converters keep no parameters of Llama 3's scaling, only what each frequency is divided by, in f32.
//! The factor is the largest of these; the bounds and the context have been the same in every model
//! that was published. That they are is not believed but computed: every frequency must be divided by
//! what the format's tables divide it by.

use super::super::config::parts_per_million;
use crate::{
    shape::{Rotary, Scaling, PPM},
    tables,
};

/// The scaling that divides the frequencies of heads of width `head_dim` by `factors`; none if it is
/// not Llama 3's. `base` is within the format's bounds, in parts per million.
pub(super) fn scaling(factors: &[f32], base: u64, head_dim: u16) -> Option<Scaling> {
    let largest = factors.iter().copied().fold(1.0, f32::max);
    let scaling = Scaling {
        factor: parts_per_million(largest.into())?,
        low: PPM,
        high: PPM.saturating_mul(4),
        original_context: 8192,
    };
    let rotary = Rotary {
        base,
        scaling: Some(scaling),
    };
    let shares = tables::rotary_shares(&rotary, head_dim);
    let matches = |(factor, share): (&f32, &u64)| {
        // Not of NaN either.
        let found = match (1.0..=largest).contains(factor) {
            true => (4_294_967_296.0 / f64::from(*factor)) as u64,
            false => return false,
        };
        // In f32 a converter misses a frequency by about 1 in 2^15.
        found.abs_diff(*share) <= share / 2048
    };
    let all = factors.len() == shares.len() && factors.iter().zip(&shares).all(matches);
    rotary.scaling.filter(|_| all)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: u64 = 500_000 * PPM;

    /// As converters compute them, in f32.
    fn factors(factor: f32, low: f32, high: f32, context: f32) -> Vec<f32> {
        let of = |i: usize| {
            let frequency = 1.0 / 500_000f32.powf(i as f32 * 2.0 / 64.0);
            let length = core::f32::consts::TAU / frequency;
            if length < context / high {
                return 1.0;
            }
            if length > context / low {
                return factor;
            }
            let smooth = (context / length - low) / (high - low);
            1.0 / ((1.0 - smooth) / factor + smooth)
        };
        (0..32).map(of).collect()
    }

    #[test]
    fn the_scaling_of_the_published_models_is_found() {
        for factor in [8u8, 32] {
            let found = scaling(&factors(factor.into(), 1.0, 4.0, 8192.0), BASE, 64).unwrap();
            assert_eq!(found.factor, u64::from(factor) * PPM);
            assert_eq!((found.low, found.high), (PPM, 4 * PPM));
            assert_eq!(found.original_context, 8192);
        }
    }

    #[test]
    fn another_scaling_is_not_taken_for_it() {
        let sound = factors(32.0, 1.0, 4.0, 8192.0);
        for other in [
            factors(32.0, 1.0, 4.0, 8000.0),
            factors(32.0, 1.0, 4.1, 8192.0),
            factors(32.0, 1.1, 4.0, 8192.0),
            vec![32.0; 32],
            sound[..31].to_vec(),
            [&sound[..31], &[f32::NAN]].concat(),
            [&sound[..31], &[f32::INFINITY]].concat(),
            [&[-1.0], &sound[1..]].concat(),
        ] {
            assert_eq!(scaling(&other, BASE, 64), None);
        }
        assert_eq!(scaling(&sound, 10_000 * PPM, 64), None);
    }
}
