//! How a model's numbers are computed, and what is bounded by that.

use core::ops::RangeInclusive;

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use serde::{Deserialize, Serialize};

use super::SpecError;
use crate::PPM_ONE;

/// The bounds that depend on how a model's numbers are computed.
pub(super) struct Bounds {
    pub(super) hidden: u32,
    pub(super) intermediate: u32,
    pub(super) heads: u16,
    pub(super) head_dim: u16,
    /// Of `heads` times `head_dim`.
    pub(super) query_width: u32,
    pub(super) context: u32,
}

const UNVERIFIED: Bounds = Bounds {
    hidden: 1 << 18,
    intermediate: 1 << 18,
    heads: 1024,
    head_dim: 1024,
    query_width: 1 << 20,
    context: 1 << 24,
};

/// Those of docs/format.md §2: within them no reduction leaves its integer type.
const EXACT: Bounds = Bounds {
    hidden: 1 << 14,
    intermediate: 1 << 16,
    heads: u16::MAX,
    head_dim: 512,
    query_width: 1 << 16,
    context: 1 << 20,
};

const FRACTION_BITS: RangeInclusive<u8> = 8..=20;
const MAX_EPS40: u32 = 1 << 30;
const ROTARY_BASE: RangeInclusive<u64> = ONE..=ONE << 40;
const ROTARY_FACTOR: RangeInclusive<u64> = 1..=ONE << 40;

/// One, in the parts per million of the rotary parameters.
const ONE: u64 = PPM_ONE as u64;

/// How a model's numbers are computed, and so how its answers can be judged.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    Debug,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
    Serialize,
    Deserialize,
)]
pub enum Profile {
    /// Floating point: two honest machines may differ, so the chain judges only what can be
    /// checked without running the model (lengths, fees, signatures, stop tokens).
    #[codec(index = 0)]
    Unverified,
    /// Integers of the format "exact v1" (docs/format.md): all honest machines get the same bits.
    #[codec(index = 1)]
    Exact {
        /// Fraction bits of the residual stream, F.
        fraction_bits: u8,
        /// Epsilon of the norms, times 2^40.
        eps40: u32,
        rotary: Rotary,
    },
}

/// What the angles of an exact model's rotary embedding follow from (docs/format.md §7).
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    Debug,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
    Serialize,
    Deserialize,
)]
pub struct Rotary {
    /// `rope_theta`, in parts per million.
    pub base: u64,
    /// The scaling called `llama3`; none for the default kind.
    pub scaling: Option<RotaryScaling>,
}

/// `llama3` scaling of the rotary frequencies.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    Debug,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
    Serialize,
    Deserialize,
)]
pub struct RotaryScaling {
    /// Parts per million.
    pub factor: u64,
    /// `low_freq_factor`, in parts per million.
    pub low: u64,
    /// `high_freq_factor`, in parts per million.
    pub high: u64,
    /// `original_max_position_embeddings`, in positions.
    pub original_context: u32,
}

impl Profile {
    pub(super) fn bounds(&self) -> Bounds {
        match self {
            Self::Unverified => UNVERIFIED,
            Self::Exact { .. } => EXACT,
        }
    }

    /// Whether the numbers of an exact model are in range.
    pub(super) fn validate(&self) -> Result<(), SpecError> {
        let Self::Exact {
            fraction_bits,
            eps40,
            rotary,
        } = self
        else {
            return Ok(());
        };
        if !FRACTION_BITS.contains(fraction_bits) {
            return Err(SpecError::FractionBits);
        }
        if *eps40 == 0 || *eps40 > MAX_EPS40 {
            return Err(SpecError::Epsilon);
        }
        rotary.validate()
    }
}

impl Rotary {
    fn validate(&self) -> Result<(), SpecError> {
        if !ROTARY_BASE.contains(&self.base) {
            return Err(SpecError::RotaryBase);
        }
        let Some(scaling) = &self.scaling else {
            return Ok(());
        };
        let factors = [scaling.factor, scaling.low, scaling.high];
        if factors.iter().all(|factor| ROTARY_FACTOR.contains(factor))
            && scaling.low < scaling.high
            && scaling.original_context > 0
        {
            Ok(())
        } else {
            Err(SpecError::RotaryScaling)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes of docs/format.md §9: model roots depend on them.
    #[test]
    fn the_encoding_of_a_profile_is_pinned() {
        assert_eq!(Profile::Unverified.encode(), [0]);
        let rotary = |scaling| Profile::Exact {
            fraction_bits: 16,
            eps40: 0x0a0b_0c0d,
            rotary: Rotary {
                base: 0x0102_0304_0506_0708,
                scaling,
            },
        };
        let mut expected = vec![1, 16, 0x0d, 0x0c, 0x0b, 0x0a, 8, 7, 6, 5, 4, 3, 2, 1, 0];
        assert_eq!(rotary(None).encode(), expected);
        let scaling = RotaryScaling {
            factor: 0x11,
            low: 0x2200,
            high: 0x33_0000,
            original_context: 0x4400_0000,
        };
        *expected.last_mut().unwrap() = 1;
        expected.extend([0x11, 0, 0, 0, 0, 0, 0, 0]);
        expected.extend([0, 0x22, 0, 0, 0, 0, 0, 0]);
        expected.extend([0, 0, 0x33, 0, 0, 0, 0, 0]);
        expected.extend([0, 0, 0, 0x44]);
        assert_eq!(rotary(Some(scaling)).encode(), expected);
    }
}
