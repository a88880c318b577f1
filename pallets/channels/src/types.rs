use assay_primitives::{Balance, Dues, ListingId, VoucherKey};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use frame_support::pallet_prelude::*;
use frame_system::pallet_prelude::BlockNumberFor;
use scale_info::TypeInfo;
use serde::{Deserialize, Serialize};
use sp_runtime::Permill;

use crate::Config;

/// What governance may set.
#[derive(
    Clone,
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
#[serde(deny_unknown_fields)]
pub struct Parameters<BlockNumber> {
    /// Blocks that a provider has to settle after the user asked to close.
    pub close_window_blocks: BlockNumber,
    /// Blocks that the record of a closed channel stays readable, and longer while what it paid
    /// matures.
    pub retention_blocks: BlockNumber,
    /// The least deposit that a channel is opened with, in planck.
    pub min_deposit: Balance,
}

impl<BlockNumber: From<u32>> Default for Parameters<BlockNumber> {
    /// For blocks of six seconds: four hours to settle, a day to read.
    fn default() -> Self {
        Self {
            close_window_blocks: 2_400u32.into(),
            retention_blocks: 14_400u32.into(),
            min_deposit: 10_000_000_000,
        }
    }
}

impl<BlockNumber: PartialOrd + From<u32>> Parameters<BlockNumber> {
    /// Whether a provider always has time to settle, and every channel reaches its end.
    pub fn is_valid(&self) -> bool {
        self.close_window_blocks > 0u32.into()
            && self.retention_blocks > 0u32.into()
            && self.min_deposit > 0
    }
}

/// Where a channel stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub enum ChannelState<BlockNumber> {
    Open,
    /// The user asked to close; the provider can settle until then.
    Closing {
        finalize_at: BlockNumber,
    },
    /// Nothing is left in it; the record is kept until `remove_at`, and longer while answers of it
    /// are disputed.
    Closed {
        remove_at: BlockNumber,
    },
}

/// A payment channel.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct ChannelRecord<AccountId, BlockNumber, Ticket> {
    pub user: AccountId,
    /// The provider's stash.
    pub provider: AccountId,
    /// The block at which the provider had registered: one that left and came back is another.
    pub epoch: BlockNumber,
    /// What is served.
    pub listing: ListingId,
    /// The publisher's share of what is settled.
    pub royalty: Permill,
    /// What vouchers and requests are signed with.
    pub voucher_key: VoucherKey,
    /// All that was ever put in, in planck.
    pub deposit: Balance,
    /// All that was ever settled, in planck, or given back before it was.
    pub settled: Balance,
    /// What publisher and protocol have of it and were not paid yet.
    pub dues: Dues,
    /// Planck that the user got back for wrong answers, of the provider's stake or of the deposit.
    pub refunded: Balance,
    /// Disputes over answers of this channel that are not over.
    pub disputes: u32,
    pub opened_at: BlockNumber,
    /// Blocks in which all clocks had stood still when it was decided how long to keep the record.
    pub stood_still: BlockNumber,
    pub state: ChannelState<BlockNumber>,
    /// The deposit for this record.
    pub ticket: Ticket,
}

impl<AccountId, BlockNumber, Ticket> ChannelRecord<AccountId, BlockNumber, Ticket> {
    /// Planck that are still on hold for this channel: what it can still pay, and its dues.
    pub fn on_hold(&self) -> Balance {
        self.unsettled().saturating_add(self.dues.total())
    }

    /// Planck that vouchers can still move.
    pub fn unsettled(&self) -> Balance {
        match self.state {
            ChannelState::Closed { .. } => 0,
            _ => self.deposit.saturating_sub(self.settled),
        }
    }

    /// Planck that were settled and not given back.
    pub fn refundable(&self) -> Balance {
        self.settled.saturating_sub(self.refunded)
    }

    pub fn is_closed(&self) -> bool {
        matches!(self.state, ChannelState::Closed { .. })
    }
}

impl<AccountId, BlockNumber: Copy, Ticket> ChannelRecord<AccountId, BlockNumber, Ticket> {
    /// The block of the next step that the chain takes by itself.
    pub fn due(&self) -> Option<BlockNumber> {
        match self.state {
            ChannelState::Open => None,
            ChannelState::Closing { finalize_at } => Some(finalize_at),
            ChannelState::Closed { .. } if self.disputes > 0 => None,
            ChannelState::Closed { remove_at } => Some(remove_at),
        }
    }
}

pub type ChannelRecordOf<T> = ChannelRecord<
    <T as frame_system::Config>::AccountId,
    BlockNumberFor<T>,
    <T as Config>::Consideration,
>;
pub type ParametersOf<T> = Parameters<BlockNumberFor<T>>;
