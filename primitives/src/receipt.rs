//! Requests and the signed statements that answer them.

use alloc::vec::Vec;
use core::ops::RangeInclusive;

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use serde::{Deserialize, Serialize};
use sp_core::H256;

use crate::{hashing::blake2_256, Balance, ChannelId, JobId, ListingId, Price};

/// Version of the header, the receipt and the token tree.
pub const FORMAT_VERSION: u16 = 1;

/// One, in parts per million.
pub const PPM_ONE: u32 = 1_000_000;

const HEADER_DOMAIN: &[u8] = b"assay/header/v1";
const RECEIPT_DOMAIN: &[u8] = b"assay/receipt/v1";
const SEED_DOMAIN: &[u8] = b"assay/seed/v1";

const TEMPERATURE: RangeInclusive<u32> = PPM_ONE / 1_000..=10 * PPM_ONE;
const PENALTY: RangeInclusive<u32> = PPM_ONE / 2..=4 * PPM_ONE;

/// How the next token is chosen from the model's distribution: docs/format.md §5. Integers, so that a
/// request has one meaning and one encoding.
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
pub struct Sampling {
    /// Temperature in parts per million: 1,000 to 10^7, or zero, which is greedy.
    pub temperature: u32,
    /// Keep only this many of the likeliest tokens; zero keeps all.
    pub top_k: u32,
    /// Keep the smallest set of likeliest tokens whose probabilities reach this many parts per
    /// million; [`PPM_ONE`] keeps all.
    pub top_p: u32,
    /// Keep only tokens that are at least this likely, in parts per million of the likeliest one's
    /// probability; zero keeps all.
    pub min_p: u32,
    /// Divisor of the positive logits, and factor of the others, of tokens that the prompt or the
    /// answer has already: 500,000 to 4,000,000 parts per million; [`PPM_ONE`] changes nothing.
    pub penalty: u32,
    /// The user's share in the seed, so that the same prompt can be asked again for another answer.
    pub nonce: u64,
}

impl Sampling {
    /// The likeliest token, always.
    pub const GREEDY: Self = Self {
        temperature: 0,
        top_k: 0,
        top_p: PPM_ONE,
        min_p: 0,
        penalty: PPM_ONE,
        nonce: 0,
    };

    /// Whether the values are in range.
    pub fn validate(&self) -> Result<(), SamplingError> {
        if self.temperature > *TEMPERATURE.end() {
            return Err(SamplingError::TemperatureTooHigh);
        }
        if self.temperature > 0 && self.temperature < *TEMPERATURE.start() {
            return Err(SamplingError::TemperatureTooLow);
        }
        if self.top_p == 0 || self.top_p > PPM_ONE {
            return Err(SamplingError::TopP);
        }
        if self.min_p > PPM_ONE {
            return Err(SamplingError::MinP);
        }
        if !PENALTY.contains(&self.penalty) {
            return Err(SamplingError::Penalty);
        }
        Ok(())
    }
}

/// Why a [`Sampling`] is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SamplingError {
    /// The temperature is above 10.
    TemperatureTooHigh,
    /// The temperature is below 0.001 and not zero.
    TemperatureTooLow,
    /// `top_p` is zero or above one.
    TopP,
    /// `min_p` is above one.
    MinP,
    /// The penalty is below one half or above 4.
    Penalty,
}

impl core::fmt::Display for SamplingError {
    fn fmt(&self, f: &mut core::fmt::Formatter) -> core::fmt::Result {
        f.write_str(match self {
            Self::TemperatureTooHigh => "temperature is above 10",
            Self::TemperatureTooLow => "temperature is below 0.001 and not 0",
            Self::TopP => "top_p is 0 or above 1",
            Self::MinP => "min_p is above 1",
            Self::Penalty => "penalty is below 0.5 or above 4",
        })
    }
}

/// What an answer is owed under.
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
)]
pub enum Claim {
    /// A job on chain.
    #[codec(index = 0)]
    Job(JobId),
    /// A channel, and the number of the request in it: of two headers with one number the user is at fault.
    #[codec(index = 1)]
    Channel { id: ChannelId, seq: u64 },
}

/// What is to be done with the tokens of a request.
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
)]
pub enum Task {
    /// Answer them.
    #[codec(index = 0)]
    Generate,
    /// They are a prompt and an answer to it: say how many tokens of the answer are right. In a channel
    /// alone; the request's sampling is that of the answer.
    #[codec(index = 1)]
    Score {
        /// The answer's, as the user states it.
        seed: H256,
        /// Place of the answer's first token.
        answer_at: u32,
    },
}

/// What a user asked for, of whom and at which price. For a job the user's extrinsic and the
/// chain's assignment together are the header; both sides derive the same bytes from storage. In a
/// channel the user signs it.
#[derive(
    Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct RequestHeader<AccountId> {
    pub version: u16,
    /// Hash of the chain's first block.
    pub genesis: H256,
    pub claim: Claim,
    /// The provider's stash.
    pub provider: AccountId,
    pub listing: ListingId,
    /// [`token_root`](crate::token_root) of the prompt, in a channel the
    /// [salted](crate::salted_token_root) one. The prompt of a score is the scored prompt and the answer
    /// behind it.
    pub prompt_root: H256,
    pub prompt_len: u32,
    pub task: Task,
    pub sampling: Sampling,
    /// The most output tokens; of a score, how many of the answer's tokens are looked at.
    pub token_limit: u32,
    /// Planck per prompt token.
    pub input_price: Balance,
    /// Planck per output token; zero for a score, which makes none.
    pub output_price: Balance,
}

impl<AccountId> RequestHeader<AccountId> {
    pub fn price(&self) -> Price {
        Price {
            input: self.input_price,
            output: self.output_price,
        }
    }

    /// Planck for the prompt and this many output tokens; `None` if it does not fit.
    pub fn fee(&self, output_len: u32) -> Option<Balance> {
        self.price().fee(self.prompt_len, output_len)
    }

    /// Positions in the model's context that this many output tokens end at; `None` if there are not as
    /// many. A score's are in its prompt.
    pub fn positions(&self, output_len: u32) -> Option<u32> {
        match self.task {
            Task::Generate => self.prompt_len.checked_add(output_len),
            Task::Score { .. } => Some(self.prompt_len),
        }
    }

    /// The same header with its provider written in another way.
    pub fn map_account<Other>(
        self,
        account: impl FnOnce(AccountId) -> Other,
    ) -> RequestHeader<Other> {
        RequestHeader {
            version: self.version,
            genesis: self.genesis,
            claim: self.claim,
            provider: account(self.provider),
            listing: self.listing,
            prompt_root: self.prompt_root,
            prompt_len: self.prompt_len,
            task: self.task,
            sampling: self.sampling,
            token_limit: self.token_limit,
            input_price: self.input_price,
            output_price: self.output_price,
        }
    }
}

impl<AccountId: Encode> RequestHeader<AccountId> {
    /// BLAKE2b-256 of the domain and the SCALE encoding.
    pub fn hash(&self) -> H256 {
        blake2_256(&(HEADER_DOMAIN, self).encode()).into()
    }

    /// What random numbers are drawn from, where this is the header's hash: see [`seed`].
    pub fn seed(&self, hash: &H256, randomness: &H256) -> [u8; 32] {
        match self.task {
            Task::Generate => seed(hash, randomness),
            Task::Score { seed, .. } => seed.0,
        }
    }
}

/// The sampling seed of a request that is to be answered: from its header and, for a job, the draw's randomness, so that
/// neither the user nor the worker can choose it alone. In a channel the randomness is zero.
pub fn seed(header: &H256, randomness: &H256) -> [u8; 32] {
    blake2_256(&(SEED_DOMAIN, header, randomness).encode())
}

/// Why an answer ended.
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
pub enum Finish {
    /// The last token is one of the model's stop tokens.
    Eos,
    /// The token limit is reached.
    Length,
    /// The caller ended it. Never a fault, and not allowed in a job. A running receipt, which a longer
    /// one of the same request may follow, has this too.
    Caller,
    /// The next token of a scored answer is wrong. [`Length`](Self::Length) says that none is.
    Mismatch,
}

/// A block that a receipt builds on; it dates the receipt.
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
)]
pub struct Anchor {
    pub number: u32,
    pub hash: H256,
}

/// "This model, on these tokens, with this seed, gives these tokens": the statement that an operator
/// signs and a provider's bond answers for.
#[derive(
    Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Receipt {
    /// Hash of the [`RequestHeader`].
    pub header: H256,
    pub anchor: Anchor,
    /// Of a score: how many tokens of the answer are right, from its first on.
    pub output_len: u32,
    /// [`token_root`](crate::token_root) of the output, in a channel the
    /// [salted](crate::salted_token_root) one. A score has no tokens of its own: the root of none.
    pub output_root: H256,
    pub finish: Finish,
    /// Planck.
    pub fee: Balance,
}

impl Receipt {
    /// The bytes that the operator key signs.
    pub fn signing_payload(&self) -> Vec<u8> {
        (RECEIPT_DOMAIN, self).encode()
    }
}

#[cfg(test)]
mod tests;
