//! The shape of a model and the hash that names it.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use serde::{Deserialize, Serialize};
use sp_core::{bounded::BoundedVec, ConstU32, H256};
use sp_runtime::Permill;

use crate::{hashing::blake2_256, ListingId, ModelRoot, TokenId};

/// The most stop tokens that a model may name.
pub const MAX_STOP_TOKENS: u32 = 8;

const MODEL_DOMAIN: &[u8] = b"assay/model/v1";
const LISTING_DOMAIN: &[u8] = b"assay/listing/v1";

const MAX_LAYERS: u16 = 512;
const MAX_WIDTH: u32 = 1 << 18;
const MAX_HEADS: u16 = 1024;
const MAX_VOCABULARY: u32 = 1 << 22;
const MAX_CONTEXT: u32 = 1 << 24;

/// The families of decoder that the engines know.
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
pub enum Architecture {
    /// Llama 2 and 3.
    Llama,
    /// Qwen2: Llama with biases on the query, key and value projections.
    Qwen2,
    /// Qwen3: Llama with a norm on queries and keys.
    Qwen3,
}

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
    Unverified,
}

/// The shape of a model: everything about it that the chain needs to price, bound and check a
/// request without reading the weights.
#[derive(
    Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct ModelSpec {
    pub architecture: Architecture,
    pub profile: Profile,
    /// Decoder layers.
    pub layers: u16,
    /// Width of the residual stream.
    pub hidden: u32,
    /// Width of the feed-forward layer.
    pub intermediate: u32,
    /// Query heads.
    pub heads: u16,
    /// Key and value heads; divides `heads`.
    pub kv_heads: u16,
    /// Width of one head; even, for rotary embeddings.
    pub head_dim: u16,
    /// Number of token ids; every token is smaller than this.
    pub vocabulary: u32,
    /// The most tokens that prompt and answer may have together.
    pub context: u32,
    /// Token ids that end an answer, in ascending order.
    pub stop_tokens: BoundedVec<TokenId, ConstU32<MAX_STOP_TOKENS>>,
    /// Whether the output projection is the embedding table.
    pub tied_embeddings: bool,
}

/// Why a [`ModelSpec`] is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SpecError {
    /// A dimension is zero or above its bound.
    Dimension,
    /// `kv_heads` does not divide `heads`, or `head_dim` is odd.
    Heads,
    /// A stop token is outside the vocabulary, or they are not in ascending order.
    StopTokens,
}

impl ModelSpec {
    /// Whether the dimensions are within the chain's bounds and agree with one another.
    pub fn validate(&self) -> Result<(), SpecError> {
        let within = |value: u32, bound: u32| value > 0 && value <= bound;
        if !(within(self.layers.into(), MAX_LAYERS.into())
            && within(self.hidden, MAX_WIDTH)
            && within(self.intermediate, MAX_WIDTH)
            && within(self.heads.into(), MAX_HEADS.into())
            && within(self.kv_heads.into(), MAX_HEADS.into())
            && within(self.head_dim.into(), MAX_HEADS.into())
            && within(self.vocabulary, MAX_VOCABULARY)
            && within(self.context, MAX_CONTEXT))
        {
            return Err(SpecError::Dimension);
        }
        let divides = self.heads.checked_rem(self.kv_heads) == Some(0);
        if !divides || self.head_dim & 1 == 1 {
            return Err(SpecError::Heads);
        }
        let ascending = self.stop_tokens.windows(2).all(|pair| match pair {
            [a, b] => a < b,
            _ => true,
        });
        if !ascending
            || self
                .stop_tokens
                .iter()
                .any(|token| *token >= self.vocabulary)
        {
            return Err(SpecError::StopTokens);
        }
        Ok(())
    }
}

/// The parts of a model, by hash. The root binds them, so a listing cannot lie about any of them.
#[derive(
    Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct ModelParts {
    pub spec: ModelSpec,
    /// BLAKE2b-256 of `tokenizer.json`.
    pub tokenizer: H256,
    /// BLAKE2b-256 of the chat template's text.
    pub template: H256,
    /// Root of the numeric tables; zero for an unverified model, which has none.
    pub tables: H256,
    /// Root of the weights: see [`weights_root`](crate::tree::weights_root).
    pub weights_root: H256,
}

impl ModelParts {
    /// BLAKE2b-256 of the domain and the SCALE encoding of the parts.
    pub fn root(&self) -> ModelRoot {
        blake2_256(&(MODEL_DOMAIN, self).encode()).into()
    }

    /// The id of the listing of this model by `publisher` for `royalty`. Two publishers of the
    /// same model have two listings, so nobody can squat on a root.
    pub fn listing_id<AccountId: Encode>(
        &self,
        publisher: &AccountId,
        royalty: Permill,
    ) -> ListingId {
        blake2_256(&(LISTING_DOMAIN, self.root(), publisher, royalty).encode()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> ModelSpec {
        ModelSpec {
            architecture: Architecture::Llama,
            profile: Profile::Unverified,
            layers: 4,
            hidden: 256,
            intermediate: 768,
            heads: 8,
            kv_heads: 2,
            head_dim: 32,
            vocabulary: 1024,
            context: 512,
            stop_tokens: vec![1, 3].try_into().unwrap(),
            tied_embeddings: true,
        }
    }

    #[test]
    fn a_sound_shape_is_accepted() {
        assert_eq!(spec().validate(), Ok(()));
    }

    #[test]
    fn shapes_that_contradict_themselves_are_refused() {
        let broken = |change: fn(&mut ModelSpec)| {
            let mut spec = spec();
            change(&mut spec);
            spec.validate()
        };
        assert_eq!(broken(|s| s.layers = 0), Err(SpecError::Dimension));
        assert_eq!(
            broken(|s| s.hidden = MAX_WIDTH + 1),
            Err(SpecError::Dimension)
        );
        assert_eq!(broken(|s| s.kv_heads = 0), Err(SpecError::Dimension));
        assert_eq!(broken(|s| s.kv_heads = 3), Err(SpecError::Heads));
        assert_eq!(broken(|s| s.head_dim = 33), Err(SpecError::Heads));
        assert_eq!(
            broken(|s| s.stop_tokens = vec![1024].try_into().unwrap()),
            Err(SpecError::StopTokens)
        );
        assert_eq!(
            broken(|s| s.stop_tokens = vec![3, 1].try_into().unwrap()),
            Err(SpecError::StopTokens)
        );
    }

    #[test]
    fn the_root_depends_on_every_part() {
        let parts = ModelParts {
            spec: spec(),
            tokenizer: H256::repeat_byte(1),
            template: H256::repeat_byte(2),
            tables: H256::zero(),
            weights_root: H256::repeat_byte(3),
        };
        let changed = [
            ModelParts {
                spec: ModelSpec {
                    context: 513,
                    ..spec()
                },
                ..parts.clone()
            },
            ModelParts {
                tokenizer: H256::zero(),
                ..parts.clone()
            },
            ModelParts {
                template: H256::zero(),
                ..parts.clone()
            },
            ModelParts {
                tables: H256::repeat_byte(9),
                ..parts.clone()
            },
            ModelParts {
                weights_root: H256::zero(),
                ..parts.clone()
            },
        ];
        for other in changed {
            assert_ne!(parts.root(), other.root());
        }
    }

    #[test]
    fn a_listing_is_its_publishers_own() {
        let parts = ModelParts {
            spec: spec(),
            tokenizer: H256::zero(),
            template: H256::zero(),
            tables: H256::zero(),
            weights_root: H256::zero(),
        };
        let id = parts.listing_id(&1u64, Permill::from_percent(1));
        assert_ne!(id, parts.listing_id(&2u64, Permill::from_percent(1)));
        assert_ne!(id, parts.listing_id(&1u64, Permill::from_percent(2)));
    }
}
