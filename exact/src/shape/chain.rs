//! A listing's shape and a request's sampling, as the chain has them, in this crate's terms.

use assay_primitives::{Architecture, ModelSpec, Profile, RotaryScaling, Sampling};

use super::{Rotary, Scaling, Shape, ShapeError};
use crate::sampling::Settings;

/// Why a listing's spec has no exact shape.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "std", derive(thiserror::Error))]
pub enum NoShape {
    /// It is computed in floating point.
    #[cfg_attr(
        feature = "std",
        error("the listing's profile is Unverified: ask for one whose profile is Exact")
    )]
    Unverified,
    /// A bound of the format is broken.
    #[cfg_attr(
        feature = "std",
        error(
            "the listing's shape is outside the format's bounds: {0:?}: ask for another listing"
        )
    )]
    Bounds(ShapeError),
}

impl TryFrom<&ModelSpec> for Shape {
    type Error = NoShape;

    fn try_from(spec: &ModelSpec) -> Result<Self, NoShape> {
        let Profile::Exact {
            fraction_bits,
            eps40,
            rotary,
        } = spec.profile
        else {
            return Err(NoShape::Unverified);
        };
        let shape = Self {
            layers: spec.layers,
            hidden: spec.hidden,
            intermediate: spec.intermediate,
            heads: spec.heads,
            kv_heads: spec.kv_heads,
            head_dim: spec.head_dim,
            vocabulary: spec.vocabulary,
            context: spec.context,
            tied: spec.tied_embeddings,
            biases: spec.architecture == Architecture::Qwen2,
            head_norms: spec.architecture == Architecture::Qwen3,
            fraction_bits,
            eps40,
            rotary: Rotary {
                base: rotary.base,
                scaling: rotary.scaling.map(|scaling| Scaling {
                    factor: scaling.factor,
                    low: scaling.low,
                    high: scaling.high,
                    original_context: scaling.original_context,
                }),
            },
        };
        shape.validate().map_err(NoShape::Bounds)?;
        Ok(shape)
    }
}

impl Shape {
    /// The family that the shape belongs to; none for query-key biases and norms at once.
    pub fn architecture(&self) -> Option<Architecture> {
        match (self.biases, self.head_norms) {
            (false, false) => Some(Architecture::Llama),
            (true, false) => Some(Architecture::Qwen2),
            (false, true) => Some(Architecture::Qwen3),
            (true, true) => None,
        }
    }

    /// The shape as a listing has it, with the tokens that end an answer in ascending order. None for a
    /// shape of no [`architecture`](Self::architecture), and for more stop tokens than
    /// [`MAX_STOP_TOKENS`](assay_primitives::MAX_STOP_TOKENS).
    pub fn spec(&self, stop_tokens: &[u32]) -> Option<ModelSpec> {
        let scaling = self.rotary.scaling.as_ref().map(|scaling| RotaryScaling {
            factor: scaling.factor,
            low: scaling.low,
            high: scaling.high,
            original_context: scaling.original_context,
        });
        Some(ModelSpec {
            architecture: self.architecture()?,
            profile: Profile::Exact {
                fraction_bits: self.fraction_bits,
                eps40: self.eps40,
                rotary: assay_primitives::Rotary {
                    base: self.rotary.base,
                    scaling,
                },
            },
            layers: self.layers,
            hidden: self.hidden,
            intermediate: self.intermediate,
            heads: self.heads,
            kv_heads: self.kv_heads,
            head_dim: self.head_dim,
            vocabulary: self.vocabulary,
            context: self.context,
            stop_tokens: stop_tokens.to_vec().try_into().ok()?,
            tied_embeddings: self.tied,
        })
    }
}

impl From<Sampling> for Settings {
    fn from(sampling: Sampling) -> Self {
        Self {
            temperature: sampling.temperature,
            top_k: sampling.top_k,
            top_p: sampling.top_p,
            min_p: sampling.min_p,
            penalty: sampling.penalty,
        }
    }
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use super::*;
    use crate::shape::PPM;
    use assay_primitives::SpecError;
    use proptest::prelude::*;
    use std::{vec, vec::Vec};

    /// At every upper bound.
    fn largest() -> Shape {
        Shape {
            layers: 512,
            hidden: 1 << 14,
            intermediate: 1 << 16,
            heads: 128,
            kv_heads: 32,
            head_dim: 512,
            vocabulary: 1 << 22,
            context: 1 << 20,
            tied: false,
            biases: false,
            head_norms: true,
            fraction_bits: 20,
            eps40: 1 << 30,
            rotary: Rotary {
                base: PPM << 40,
                scaling: Some(Scaling {
                    factor: PPM << 40,
                    low: PPM,
                    high: PPM << 40,
                    original_context: u32::MAX,
                }),
            },
        }
    }

    /// At every lower bound.
    fn smallest() -> Shape {
        Shape {
            layers: 1,
            hidden: 1,
            intermediate: 1,
            heads: 1,
            kv_heads: 1,
            head_dim: 2,
            vocabulary: 1,
            context: 1,
            tied: true,
            biases: true,
            head_norms: false,
            fraction_bits: 8,
            eps40: 1,
            rotary: Rotary {
                base: PPM,
                scaling: Some(Scaling {
                    factor: 1,
                    low: 1,
                    high: 2,
                    original_context: 1,
                }),
            },
        }
    }

    /// What the chain says to an error of the format.
    fn on_chain(error: ShapeError, shape: &Shape) -> SpecError {
        let zero = shape.head_dim == 0 || shape.kv_heads == 0;
        match error {
            ShapeError::KvHeads if !zero => SpecError::Heads,
            ShapeError::HeadDim if shape.head_dim & 1 == 1 => SpecError::Heads,
            ShapeError::FractionBits => SpecError::FractionBits,
            ShapeError::Epsilon => SpecError::Epsilon,
            ShapeError::RotaryBase => SpecError::RotaryBase,
            ShapeError::RotaryScaling => SpecError::RotaryScaling,
            _ => SpecError::Dimension,
        }
    }

    #[test]
    fn the_chain_has_every_bound_of_the_format() {
        for shape in [smallest(), largest()] {
            assert_eq!(shape.validate(), Ok(()));
            let spec = shape.spec(&[]).unwrap();
            assert_eq!(spec.validate(), Ok(()));
            assert_eq!(Shape::try_from(&spec), Ok(shape));
        }
        let scaling = |change: fn(&mut Scaling)| {
            let mut shape = largest();
            change(shape.rotary.scaling.as_mut().unwrap());
            shape
        };
        let with = |change: fn(&mut Shape)| {
            let mut shape = largest();
            change(&mut shape);
            shape
        };
        let broken = vec![
            with(|s| s.layers = 0),
            with(|s| s.layers += 1),
            with(|s| s.hidden = 0),
            with(|s| s.hidden += 1),
            with(|s| s.intermediate = 0),
            with(|s| s.intermediate += 1),
            with(|s| s.heads = 0),
            with(|s| s.heads = 160),
            with(|s| (s.heads, s.kv_heads, s.head_dim) = (32_769, 1, 2)),
            with(|s| s.kv_heads = 0),
            with(|s| s.kv_heads = 3),
            with(|s| s.kv_heads = 256),
            with(|s| s.head_dim = 0),
            with(|s| s.head_dim = 511),
            with(|s| (s.head_dim, s.heads) = (514, 32)),
            with(|s| s.vocabulary = 0),
            with(|s| s.vocabulary += 1),
            with(|s| s.context = 0),
            with(|s| s.context += 1),
            with(|s| s.fraction_bits = 7),
            with(|s| s.fraction_bits = 21),
            with(|s| s.eps40 = 0),
            with(|s| s.eps40 += 1),
            with(|s| s.rotary.base = PPM - 1),
            with(|s| s.rotary.base += 1),
            scaling(|s| s.factor = 0),
            scaling(|s| s.factor += 1),
            scaling(|s| s.low = 0),
            scaling(|s| s.low = s.high),
            scaling(|s| s.high += 1),
            scaling(|s| s.original_context = 0),
        ];
        for shape in broken {
            let error = shape.validate().unwrap_err();
            let spec = shape.spec(&[]).unwrap();
            assert_eq!(
                spec.validate(),
                Err(on_chain(error, &shape)),
                "{error:?} of {shape:?}"
            );
            assert_eq!(Shape::try_from(&spec), Err(NoShape::Bounds(error)));
        }
        let many = with(|s| (s.heads, s.kv_heads, s.head_dim) = (32_768, 1, 2));
        assert_eq!(many.validate(), Ok(()));
        assert_eq!(many.spec(&[]).unwrap().validate(), Ok(()));
    }

    #[test]
    fn families_are_kept_apart_and_floats_have_no_shape() {
        for (biases, head_norms, architecture) in [
            (false, false, Some(Architecture::Llama)),
            (true, false, Some(Architecture::Qwen2)),
            (false, true, Some(Architecture::Qwen3)),
            (true, true, None),
        ] {
            let shape = Shape {
                biases,
                head_norms,
                ..smallest()
            };
            let spec = shape.spec(&[]);
            assert_eq!(spec.as_ref().map(|spec| spec.architecture), architecture);
            if let Some(spec) = spec {
                assert_eq!(Shape::try_from(&spec), Ok(shape));
            }
        }
        let spec = smallest().spec(&[0]).unwrap();
        assert_eq!(spec.stop_tokens.to_vec(), [0]);
        let most: Vec<u32> = (0..8).collect();
        assert!(largest().spec(&most).is_some());
        assert!(largest().spec(&[&most[..], &[8]].concat()).is_none());
        let floats = ModelSpec {
            profile: Profile::Unverified,
            ..spec
        };
        assert_eq!(Shape::try_from(&floats), Err(NoShape::Unverified));
    }

    /// Mostly `good`, else around `bound`, zero, or anything.
    fn near<T>(good: impl Strategy<Value = T> + 'static, bound: u64) -> BoxedStrategy<T>
    where
        T: TryFrom<u64> + core::fmt::Debug + Clone + 'static,
    {
        let edge = prop_oneof![
            Just(0),
            Just(1),
            bound.saturating_sub(2)..=bound.saturating_add(2),
            any::<u64>(),
        ];
        prop_oneof![
            9 => good,
            1 => edge.prop_filter_map("does not fit", |value| T::try_from(value).ok()),
        ]
        .boxed()
    }

    fn rotary() -> impl Strategy<Value = Rotary> {
        let most = PPM << 40;
        let factor = || near(1..=most, most);
        let scaling =
            (factor(), factor(), factor(), near(1..=u32::MAX, 1)).prop_map(|parts| Scaling {
                factor: parts.0,
                low: parts.1,
                high: parts.2,
                original_context: parts.3,
            });
        let scaling = proptest::option::of(scaling);
        (
            prop_oneof![near(PPM..=most, most), near(PPM..=most, PPM)],
            scaling,
        )
            .prop_map(|(base, scaling)| Rotary { base, scaling })
    }

    prop_compose! {
        fn shape()(
            layers in near(1..=512u16, 512),
            hidden in near(1..=1u32 << 14, 1 << 14),
            intermediate in near(1..=1u32 << 16, 1 << 16),
            kv_heads in near(1..=16u16, 1),
            group in near(1..=16u16, 1 << 12),
            odd in prop_oneof![15 => Just(0u16), 1 => 1..=3u16],
            head_dim in near((1..=128u16).prop_map(|half| half * 2), 512),
            vocabulary in near(1..=1u32 << 22, 1 << 22),
            context in near(1..=1u32 << 20, 1 << 20),
            family in 0..3u8,
            tied in any::<bool>(),
            fraction_bits in prop_oneof![near(8..=20u8, 8), near(8..=20u8, 20)],
            eps40 in near(1..=1u32 << 30, 1 << 30),
            rotary in rotary(),
        ) -> Shape {
            Shape {
                layers,
                hidden,
                intermediate,
                heads: kv_heads.saturating_mul(group).saturating_add(odd),
                kv_heads,
                head_dim,
                vocabulary,
                context,
                tied,
                biases: family == 1,
                head_norms: family == 2,
                fraction_bits,
                eps40,
                rotary,
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_096))]

        #[test]
        fn chain_and_format_accept_the_same_shapes(shape in shape()) {
            let spec = shape.spec(&[]).unwrap();
            prop_assert_eq!(
                spec.validate().is_ok(),
                shape.validate().is_ok(),
                "{:?}, {:?}",
                spec.validate(),
                shape.validate()
            );
            let back = shape.validate().map(|()| shape).map_err(NoShape::Bounds);
            prop_assert_eq!(Shape::try_from(&spec), back);
        }

        #[test]
        fn chain_and_format_accept_the_same_sampling(
            temperature in prop_oneof![near(1_000..=10_000_000u32, 1_000), near(1..=1u32, 10_000_000)],
            top_k in any::<u32>(),
            top_p in near(1..=1_000_000u32, 1_000_000),
            min_p in near(0..=1_000_000u32, 1_000_000),
            penalty in prop_oneof![
                near(500_000..=4_000_000u32, 500_000),
                near(500_000..=4_000_000u32, 4_000_000),
            ],
            nonce in any::<u64>(),
        ) {
            let sampling = Sampling { temperature, top_k, top_p, min_p, penalty, nonce };
            let settings = Settings::from(sampling);
            prop_assert_eq!(sampling.validate().is_ok(), settings.validate().is_ok());
            prop_assert_eq!(settings, Settings { temperature, top_k, top_p, min_p, penalty });
        }
    }

    #[test]
    fn greedy_is_greedy_in_both() {
        assert_eq!(Settings::from(Sampling::GREEDY), Settings::GREEDY);
    }
}
