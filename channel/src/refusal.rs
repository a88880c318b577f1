//! Why a provider refuses a voucher or a request.

use assay_primitives::{Balance, ChannelId, SamplingError};
use sp_core::H256;

/// A refusal: one sentence with the next step, a code and an HTTP status. None of them gets better by trying the
/// same again.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PaymentError {
    #[error("channel {0:?} is not one of this provider's; open one with it, or check the id")]
    UnknownChannel(ChannelId),
    #[error("channel {0:?} is being closed: nothing more is sold under it; top it up to keep it, or open another")]
    ChannelClosing(ChannelId),
    #[error("channel {0:?} is closed; open another")]
    ChannelClosed(ChannelId),
    #[error("this is about channel {named:?}, and the rest of the request about {channel:?}; send both for one channel")]
    WrongChannel {
        named: ChannelId,
        channel: ChannelId,
    },
    #[error("the request is for the chain with first block {0:?}, which is not this provider's; sign it for this chain")]
    WrongChain(H256),
    #[error("the request names another provider; send it to that one, or sign it for this one")]
    WrongProvider,
    #[error("the request names listing {named:?}, and the channel is for {listing:?}; open a channel for that listing")]
    WrongListing { named: H256, listing: H256 },
    #[error("the request has format version {0}, which this provider does not know; update one of the two")]
    UnknownVersion(u16),
    #[error("the request is for a job; jobs go over the chain")]
    NotOfAChannel,
    #[error("the request has no prompt or no output; both have at least one token")]
    Empty,
    #[error("a score has a prompt, no more tokens to look at than the answer has, and no price of output; sign another header")]
    NoScore,
    #[error("the request's sampling is out of range: {0}")]
    Sampling(SamplingError),
    #[error("the fee of {prompt_len} prompt tokens and {token_limit} output tokens is more than there is money; lower the limit")]
    FeeOverflow { prompt_len: u32, token_limit: u32 },
    #[error("the offer is {input} planck per prompt token and {output} per output token, and the request gives less; read the offer again")]
    PriceTooLow { input: Balance, output: Balance },
    #[error("the signature of the {what} is not the voucher key's for this chain and channel; sign it with the channel's key")]
    InvalidSignature { what: &'static str },
    #[error("the {what} is signed with another kind of key than the channel's; sign it with the channel's key")]
    SignerMismatch { what: &'static str },
    #[error("the voucher is for {cumulative} planck and the channel's deposit is {deposit}; top it up by {}", cumulative.saturating_sub(*deposit))]
    ExceedsDeposit {
        cumulative: Balance,
        deposit: Balance,
    },
    #[error("vouchers pay {accepted} planck of the {required} that this needs; send a voucher for {required} in all")]
    Insufficient {
        accepted: Balance,
        required: Balance,
    },
    #[error("request number {0} of the channel was another one; sign this one with a new number")]
    UsedSeq(u64),
    #[error("request number {0} is being answered; wait for that answer")]
    StillRunning(u64),
    #[error("request number {0} of the channel is not known here; check the number")]
    UnknownSeq(u64),
    #[error("the signed header speaks of {signed} prompt tokens and the body has {sent}; sign what is sent")]
    PromptLength { signed: u32, sent: usize },
    #[error("the prompt and the secret in the body are not those of the signed header; sign what is sent")]
    PromptRoot,
}

impl PaymentError {
    /// What programs go by; stable.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownChannel(_) => "channel_not_found",
            Self::ChannelClosing(_) => "channel_closing",
            Self::ChannelClosed(_) => "channel_closed",
            Self::WrongChannel { .. } => "wrong_channel",
            Self::WrongChain(_) => "wrong_chain",
            Self::WrongProvider => "wrong_provider",
            Self::WrongListing { .. } => "wrong_listing",
            Self::UnknownVersion(_) => "unknown_version",
            Self::NotOfAChannel => "not_of_a_channel",
            Self::Empty => "empty_request",
            Self::NoScore => "no_score",
            Self::Sampling(_) => "invalid_sampling",
            Self::FeeOverflow { .. } => "fee_overflow",
            Self::PriceTooLow { .. } => "price_too_low",
            Self::InvalidSignature { .. } => "invalid_signature",
            Self::SignerMismatch { .. } => "signer_mismatch",
            Self::ExceedsDeposit { .. } => "amount_exceeds_deposit",
            Self::Insufficient { .. } => "insufficient_voucher",
            Self::UsedSeq(_) => "used_seq",
            Self::StillRunning(_) => "still_running",
            Self::UnknownSeq(_) => "unknown_seq",
            Self::PromptLength { .. } | Self::PromptRoot => "prompt_mismatch",
        }
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        match self {
            Self::UnknownVersion(_)
            | Self::NotOfAChannel
            | Self::Empty
            | Self::NoScore
            | Self::Sampling(_)
            | Self::FeeOverflow { .. }
            | Self::PromptLength { .. }
            | Self::PromptRoot => 400,
            Self::UnknownSeq(_) => 404,
            Self::UsedSeq(_) | Self::StillRunning(_) => 409,
            Self::UnknownChannel(_) | Self::ChannelClosing(_) | Self::ChannelClosed(_) => 410,
            Self::WrongChannel { .. }
            | Self::WrongChain(_)
            | Self::WrongProvider
            | Self::WrongListing { .. }
            | Self::PriceTooLow { .. }
            | Self::InvalidSignature { .. }
            | Self::SignerMismatch { .. }
            | Self::ExceedsDeposit { .. }
            | Self::Insufficient { .. } => 402,
        }
    }

    /// The cumulative voucher that would do, where more money is all that is missing.
    pub fn required(&self) -> Option<Balance> {
        match self {
            Self::Insufficient { required, .. } => Some(*required),
            _ => None,
        }
    }
}
