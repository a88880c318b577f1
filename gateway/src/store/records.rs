//! What the store is made of.

use assay_channel::Header;
use assay_client::H256;
use assay_primitives::{Balance, ListingId, Receipt, Task, TokenId};
use codec::{Decode, Encode};

use crate::choice::Offer;

/// Why a channel that comes from a backup is used no more.
pub const RESTORED: &str = "it was restored from a backup";

/// Whose store this is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Owner {
    pub genesis: H256,
    pub account: [u8; 32],
}

/// A channel that is asked for and not seen yet. Its deposit counts against the budget from the moment
/// before it is sent.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Opening {
    /// Of the voucher key, sr25519.
    pub seed: [u8; 32],
    pub provider: [u8; 32],
    pub epoch: u32,
    pub listing: ListingId,
    /// The model that is bought through it, by the name that clients give it.
    pub model: String,
    pub deposit: Balance,
    /// The finalized block before it was sent, or a later one where finality lags.
    pub since: u32,
    /// It comes from a backup, and what was signed since is not known.
    pub restored: bool,
}

impl Opening {
    /// Whether the offer could be bought through the channel that it asks for.
    pub fn is_for(&self, offer: &Offer) -> bool {
        !self.restored
            && self.provider == offer.provider.0
            && self.epoch == offer.epoch
            && self.listing == offer.listing
    }
}

/// A channel.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Channel {
    /// Of the voucher key, sr25519.
    pub seed: [u8; 32],
    pub provider: [u8; 32],
    pub epoch: u32,
    pub listing: ListingId,
    /// The model that is bought through it, by the name that clients give it.
    pub model: String,
    /// All that is in it for sure, in planck.
    pub deposit: Balance,
    /// What is on its way into it.
    pub top_up: Option<TopUp>,
    /// What the provider has got of it on chain, by the last look at it.
    pub settled: Balance,
    pub stage: Stage,
    /// A finalized block before it was opened.
    pub since: u32,
    /// Why nothing more is bought through it; none while it may be.
    pub retired: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct TopUp {
    pub amount: Balance,
    /// The finalized block before it was sent, or a later one where finality lags.
    pub since: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub enum Stage {
    Open,
    /// From this block on the rest can be had back, unless a top-up opens it again.
    Closing(u32),
    /// The rest came back.
    Closed,
    /// It is closed, and the chain had forgotten it before anybody looked: what its provider got in the end is not known.
    Gone {
        /// The most that it can be.
        at_most: Balance,
        /// What the receipts held said that it had cost.
        spent: Balance,
    },
}

impl Stage {
    /// Whether nothing of it is left on the chain to spend or to have back.
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Closed | Self::Gone { .. })
    }
}

impl Channel {
    /// What it takes of the budget: what is or may be in it, less what came back.
    pub fn committed(&self) -> Balance {
        let coming = self.top_up.as_ref().map_or(0, |top_up| top_up.amount);
        match self.stage {
            Stage::Closed => self.settled,
            Stage::Gone { at_most, .. } => at_most,
            Stage::Open | Stage::Closing(_) => self.deposit.saturating_add(coming),
        }
    }

    /// Whether it comes from a backup, so that what was signed since is not known.
    pub fn is_restored(&self) -> bool {
        self.retired.as_deref() == Some(RESTORED)
    }

    /// The most that the provider can have got of it on chain, where that is not known.
    pub fn settled_at_most(&self) -> Option<Balance> {
        match self.stage {
            Stage::Gone { at_most, .. } => Some(at_most),
            Stage::Open | Stage::Closing(_) | Stage::Closed => None,
        }
    }

    /// What came back for sure, in planck.
    pub fn refunded(&self) -> Balance {
        match self.stage {
            Stage::Closed => self.deposit.saturating_sub(self.settled),
            Stage::Gone { at_most, .. } => self.deposit.saturating_sub(at_most),
            Stage::Open | Stage::Closing(_) => 0,
        }
    }
}

/// What came of an answer that broke off, for when its last receipt is here.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Fragment {
    pub tokens: Vec<TokenId>,
    /// Whether the answer is one of those to be checked.
    pub drawn: bool,
}

/// What was bought of a model.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Encode, Decode)]
pub struct Spending {
    pub requests: u64,
    pub prompt_tokens: u64,
    pub output_tokens: u64,
    /// Planck.
    pub fees: Balance,
}

impl Spending {
    /// What a request has cost that ended with this receipt. A score makes no tokens.
    pub fn of(header: &Header, receipt: &Receipt) -> Self {
        Self {
            requests: 1,
            prompt_tokens: header.prompt_len.into(),
            output_tokens: match header.task {
                Task::Generate => receipt.output_len.into(),
                Task::Score { .. } => 0,
            },
            fees: receipt.fee,
        }
    }

    pub(super) fn plus(&self, more: &Self) -> Self {
        Self {
            requests: self.requests.saturating_add(more.requests),
            prompt_tokens: self.prompt_tokens.saturating_add(more.prompt_tokens),
            output_tokens: self.output_tokens.saturating_add(more.output_tokens),
            fees: self.fees.saturating_add(more.fees),
        }
    }
}
