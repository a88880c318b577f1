//! The shape of a model and the hash that names it.

mod profile;
#[cfg(test)]
mod tests;

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use serde::{Deserialize, Serialize};
use sp_core::{bounded::BoundedVec, ConstU32, H256};
use sp_runtime::Permill;

pub use self::profile::{Profile, Rotary, RotaryScaling};
use crate::{hashing::blake2_256, ListingId, ModelRoot, TokenId};

/// The most stop tokens that a model may name.
pub const MAX_STOP_TOKENS: u32 = 8;

const MODEL_DOMAIN: &[u8] = b"assay/model/v1";
const LISTING_DOMAIN: &[u8] = b"assay/listing/v1";

const MAX_LAYERS: u16 = 512;
const MAX_VOCABULARY: u32 = 1 << 22;

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

/// Why a [`ModelSpec`], or the [`ModelParts`] around it, is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SpecError {
    /// A dimension, or `heads` times `head_dim`, is zero or above the bound of the profile.
    Dimension,
    /// `kv_heads` does not divide `heads`, or `head_dim` is odd.
    Heads,
    /// A stop token is outside the vocabulary, or they are not in ascending order.
    StopTokens,
    /// The fraction bits of an exact model are outside 8 to 20.
    FractionBits,
    /// The epsilon of an exact model is zero or above 2^30 in Q40.
    Epsilon,
    /// The rotary base of an exact model is below 1 or above 2^40.
    RotaryBase,
    /// A rotary factor is zero or above 2^40, `high` is not above `low`, or there is no original
    /// context.
    RotaryScaling,
    /// An exact model has no tables, or an unverified one has some.
    Tables,
}

impl ModelSpec {
    /// Whether everything is within the bounds of the profile and agrees with itself.
    pub fn validate(&self) -> Result<(), SpecError> {
        let bounds = self.profile.bounds();
        let query_width = u32::from(self.heads).saturating_mul(self.head_dim.into());
        let within = |value: u32, bound: u32| value > 0 && value <= bound;
        if !(within(self.layers.into(), MAX_LAYERS.into())
            && within(self.hidden, bounds.hidden)
            && within(self.intermediate, bounds.intermediate)
            && within(self.heads.into(), bounds.heads.into())
            && within(self.kv_heads.into(), bounds.heads.into())
            && within(self.head_dim.into(), bounds.head_dim.into())
            && within(query_width, bounds.query_width)
            && within(self.vocabulary, MAX_VOCABULARY)
            && within(self.context, bounds.context))
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
        self.profile.validate()
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
    /// Root of the numeric tables of an exact model; zero for an unverified one, which has none.
    pub tables: H256,
    /// Root of the weights: of an unverified model [`weights_root`](crate::tree::weights_root), of an
    /// exact one the tree of docs/format.md §9.
    pub weights_root: H256,
}

impl ModelParts {
    /// Whether the spec is sound, and there are tables if and only if the model is exact.
    pub fn validate(&self) -> Result<(), SpecError> {
        self.spec.validate()?;
        let exact = self.spec.profile != Profile::Unverified;
        if exact == self.tables.is_zero() {
            return Err(SpecError::Tables);
        }
        Ok(())
    }

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
        listing_id(&self.root(), publisher, royalty)
    }
}

/// [`ModelParts::listing_id`] of the model with this root.
pub fn listing_id<AccountId: Encode>(
    root: &ModelRoot,
    publisher: &AccountId,
    royalty: Permill,
) -> ListingId {
    blake2_256(&(LISTING_DOMAIN, root, publisher, royalty).encode()).into()
}
