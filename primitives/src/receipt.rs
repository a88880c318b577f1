//! Requests and the signed statements that answer them.

use alloc::vec::Vec;
use core::ops::RangeInclusive;

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use serde::{Deserialize, Serialize};
use sp_core::H256;

use crate::{hashing::blake2_256, Balance, ChannelId, JobId, ListingId};

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
    /// [salted](crate::salted_token_root) one.
    pub prompt_root: H256,
    pub prompt_len: u32,
    pub sampling: Sampling,
    /// The most output tokens.
    pub token_limit: u32,
    /// Planck per prompt token.
    pub input_price: Balance,
    /// Planck per output token.
    pub output_price: Balance,
}

impl<AccountId: Encode> RequestHeader<AccountId> {
    /// BLAKE2b-256 of the domain and the SCALE encoding.
    pub fn hash(&self) -> H256 {
        blake2_256(&(HEADER_DOMAIN, self).encode()).into()
    }
}

/// The sampling seed of a request: from its header and, for a job, the draw's randomness, so that
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
    pub output_len: u32,
    /// [`token_root`](crate::token_root) of the output, in a channel the
    /// [salted](crate::salted_token_root) one.
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
mod tests {
    use super::*;

    #[test]
    fn sampling_out_of_range_is_refused() {
        use SamplingError::*;
        let with = |change: &dyn Fn(&mut Sampling)| {
            let mut sampling = Sampling::GREEDY;
            change(&mut sampling);
            sampling.validate()
        };
        for temperature in [0, 1_000, 10_000_000] {
            assert_eq!(with(&|s| s.temperature = temperature), Ok(()));
        }
        for temperature in [1, 999] {
            let error = with(&|s| s.temperature = temperature);
            assert_eq!(error, Err(TemperatureTooLow));
        }
        for temperature in [10_000_001, u32::MAX] {
            let error = with(&|s| s.temperature = temperature);
            assert_eq!(error, Err(TemperatureTooHigh));
        }
        assert_eq!(with(&|s| s.top_k = u32::MAX), Ok(()));
        assert_eq!(with(&|s| s.top_p = 1), Ok(()));
        assert_eq!(with(&|s| s.top_p = 0), Err(TopP));
        assert_eq!(with(&|s| s.top_p = PPM_ONE + 1), Err(TopP));
        assert_eq!(with(&|s| s.min_p = PPM_ONE), Ok(()));
        assert_eq!(with(&|s| s.min_p = PPM_ONE + 1), Err(MinP));
        for penalty in [500_000, 4_000_000] {
            assert_eq!(with(&|s| s.penalty = penalty), Ok(()));
        }
        for penalty in [0, 499_999, 4_000_001] {
            assert_eq!(with(&|s| s.penalty = penalty), Err(Penalty));
        }
    }

    /// The table of docs/jobs.md §3.
    #[test]
    fn header_and_seed_are_pinned() {
        let header = RequestHeader {
            version: FORMAT_VERSION,
            genesis: H256::repeat_byte(0x11),
            claim: Claim::Job(0x0102_0304_0506_0708),
            provider: H256::repeat_byte(0x22),
            listing: H256::repeat_byte(0x33),
            prompt_root: H256::repeat_byte(0x44),
            prompt_len: 5,
            sampling: Sampling {
                temperature: 700_000,
                top_k: 40,
                top_p: 950_000,
                min_p: 50_000,
                penalty: 1_100_000,
                nonce: 9,
            },
            token_limit: 64,
            input_price: 1,
            output_price: 2,
        };
        let mut expected = vec![0x3c];
        expected.extend(b"assay/header/v1");
        expected.extend(1u16.to_le_bytes());
        expected.extend([0x11; 32]);
        expected.push(0);
        expected.extend(0x0102_0304_0506_0708u64.to_le_bytes());
        expected.extend([0x22; 32]);
        expected.extend([0x33; 32]);
        expected.extend([0x44; 32]);
        expected.extend(5u32.to_le_bytes());
        for field in [700_000u32, 40, 950_000, 50_000, 1_100_000] {
            expected.extend(field.to_le_bytes());
        }
        expected.extend(9u64.to_le_bytes());
        expected.extend(64u32.to_le_bytes());
        expected.extend(1u128.to_le_bytes());
        expected.extend(2u128.to_le_bytes());
        assert_eq!(expected.len(), 223);
        let hash = header.hash();
        assert_eq!(hash, H256(blake2_256(&expected)));

        let randomness = H256::repeat_byte(0x55);
        let mut expected = vec![0x34];
        expected.extend(b"assay/seed/v1");
        expected.extend(hash.as_bytes());
        expected.extend(randomness.as_bytes());
        assert_eq!(seed(&hash, &randomness), blake2_256(&expected));
    }

    /// Anybody may verify a receipt in another language; these bytes must never change.
    #[test]
    fn the_signing_payload_is_pinned() {
        let receipt = Receipt {
            header: H256::repeat_byte(0x11),
            anchor: Anchor {
                number: 7,
                hash: H256::repeat_byte(0x22),
            },
            output_len: 3,
            output_root: H256::repeat_byte(0x33),
            finish: Finish::Length,
            fee: 5_000_000_000,
        };
        let mut expected = vec![64];
        expected.extend_from_slice(b"assay/receipt/v1");
        expected.extend_from_slice(&[0x11; 32]);
        expected.extend_from_slice(&7u32.to_le_bytes());
        expected.extend_from_slice(&[0x22; 32]);
        expected.extend_from_slice(&3u32.to_le_bytes());
        expected.extend_from_slice(&[0x33; 32]);
        expected.push(1);
        expected.extend_from_slice(&5_000_000_000u128.to_le_bytes());
        assert_eq!(receipt.signing_payload(), expected);
    }
}
