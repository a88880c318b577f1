//! What both ends know of a channel, and the arithmetic that they share.

use assay_primitives::{
    salted_token_root, Balance, ChannelId, Claim, ListingId, Side, TokenId, VoucherKey,
    WINDOW_TOKENS,
};
use codec::{Decode, Encode};
use sp_core::H256;

use crate::{AccountId, Header, PaymentError};

/// How many blocks behind what its user takes for the last finalized one a receipt may build: nodes differ by a few, and
/// where finality lags, by more.
pub const ANCHOR_AGE: u32 = 64;

/// What never changes in the life of a channel.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Terms {
    /// Hash of the chain's first block.
    pub genesis: H256,
    pub channel: ChannelId,
    /// The provider's stash.
    pub provider: AccountId,
    pub listing: ListingId,
    pub voucher_key: VoucherKey,
}

/// What a finalised block says of a channel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Facts {
    /// Planck that were ever put in.
    pub deposit: Balance,
    /// Planck that the provider has claimed of them.
    pub settled: Balance,
    pub state: ChannelState,
}

/// How far a channel is from its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChannelState {
    Open,
    /// The user asked for the rest of the deposit; vouchers can be settled before this block.
    Closing {
        finalize_at: u32,
    },
    /// Nothing can be settled any more. Also a channel that is gone, or whose provider has registered anew since.
    Closed,
}

/// Everything below this `seq` is over and its records are forgotten; only the sum of the fees remains.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Encode, Decode)]
pub struct Floor {
    pub seq: u64,
    pub spent: Balance,
}

/// The number of a request in its channel; a header of a job has none.
pub(crate) fn seq_of(header: &Header) -> Option<(ChannelId, u64)> {
    match header.claim {
        Claim::Channel { id, seq } => Some((id, seq)),
        Claim::Job(_) => None,
    }
}

/// Planck for the prompt and this many output tokens. Headers whose largest fee does not fit are refused at the
/// beginning, so nothing saturates later.
pub(crate) fn fee(header: &Header, output_len: u32) -> Balance {
    header.fee(output_len).unwrap_or(Balance::MAX)
}

/// [`ANCHOR_AGE`] where receipts may be disputed for so many blocks after their anchor: half of that window at most is gone
/// when a receipt is paid, and the rest is for whoever finds it wrong.
pub fn anchor_age(dispute_blocks: u32) -> u32 {
    ANCHOR_AGE.min(dispute_blocks / 2)
}

/// How many output tokens may be paid for, and computed, while receipts speak of `receipted`: both ends' rule.
pub fn window_end(header: &Header, receipted: u32) -> u32 {
    receipted
        .saturating_add(WINDOW_TOKENS)
        .min(header.token_limit)
}

/// Whether `prompt` is what the header speaks of, under the secret that came with the request.
pub fn check_prompt(
    header: &Header,
    secret: &[u8; 32],
    prompt: &[TokenId],
) -> Result<(), PaymentError> {
    let length = u32::try_from(prompt.len()).ok();
    if length != Some(header.prompt_len) {
        return Err(PaymentError::PromptLength {
            signed: header.prompt_len,
            sent: prompt.len(),
        });
    }
    if salted_token_root(secret, Side::Prompt, prompt) != header.prompt_root {
        return Err(PaymentError::PromptRoot);
    }
    Ok(())
}
