//! Every movement of money out of a channel.

use assay_primitives::{
    Balance, ChannelId, Dues, Fees, Market, ModelCatalogue, Settlement, SignedVoucher,
};
use frame_support::{
    pallet_prelude::*,
    traits::{
        fungible::MutateHold,
        tokens::{Fortitude, Precision, Restriction},
        Consideration, Get,
    },
};
use frame_system::pallet_prelude::BlockNumberFor;
use sp_core::H256;
use sp_runtime::traits::Saturating;

use crate::{
    ChannelRecordOf, ChannelState, Channels, Config, Error, Event, HoldReason, Pallet, Params,
    ProviderChannels, UserChannels,
};

/// What one provider is paid in one call: its own books are written once, with the sum.
pub(crate) struct Payee<T: Config> {
    stash: T::AccountId,
    epoch: BlockNumberFor<T>,
    genesis: H256,
    sum: Settlement,
}

impl<T: Config> Payee<T> {
    /// The provider of this channel.
    pub(crate) fn of(channel: &ChannelRecordOf<T>) -> Result<Self, Error<T>> {
        let terms = T::Market::terms(&channel.provider).ok_or(Error::<T>::ProviderGone)?;
        Ok(Self {
            stash: channel.provider.clone(),
            epoch: terms.epoch,
            genesis: Pallet::<T>::genesis(),
            sum: Settlement::default(),
        })
    }

    /// Pay the provider its share of what is missing to `amount`, which is more than was settled,
    /// from a channel that is not closed, and store the channel. The dues stay on hold.
    pub(crate) fn settle(
        &mut self,
        mut channel: ChannelRecordOf<T>,
        voucher: &SignedVoucher,
        amount: Balance,
    ) -> Result<ChannelRecordOf<T>, DispatchError> {
        ensure!(
            amount <= voucher.cumulative,
            Error::<T>::AmountExceedsVoucher
        );
        ensure!(
            voucher.cumulative <= channel.deposit,
            Error::<T>::VoucherExceedsDeposit
        );
        ensure!(channel.provider == self.stash, Error::<T>::OtherProvider);
        ensure!(channel.epoch == self.epoch, Error::<T>::ProviderGone);
        ensure!(
            voucher.is_signed(self.genesis, &channel.voucher_key),
            Error::<T>::InvalidSignature
        );
        let fee = amount.saturating_sub(channel.settled);
        let settlement = T::Fees::divide(channel.royalty, fee);
        T::Currency::transfer_on_hold(
            &HoldReason::Deposit.into(),
            &channel.user,
            &self.stash,
            settlement.provider,
            Precision::Exact,
            Restriction::Free,
            Fortitude::Force,
        )?;
        channel.settled = amount;
        channel.dues = channel.dues.saturating_add(settlement.dues());
        Channels::<T>::insert(voucher.channel, &channel);
        self.sum = self.sum.saturating_add(settlement);
        Pallet::<T>::deposit_event(Event::Settled {
            channel: voucher.channel,
            provider: self.stash.clone(),
            settled: amount,
            settlement,
        });
        Ok(channel)
    }

    /// What was paid begins to mature.
    pub(crate) fn close_books(self) -> DispatchResult {
        T::Market::answer_for(
            &self.stash,
            self.sum.fee,
            self.sum.provider,
            self.sum.protocol_fee(),
        )
    }
}

impl<T: Config> Pallet<T> {
    /// Pay what publisher and protocol have of all that was settled, as far as they can be paid.
    pub(crate) fn clear_dues(id: ChannelId, channel: &mut ChannelRecordOf<T>) -> DispatchResult {
        if channel.dues.total() == 0 {
            return Ok(());
        }
        let paid = T::Fees::pay_dues(
            &HoldReason::Deposit.into(),
            &channel.user,
            &channel.listing,
            channel.dues,
        )?;
        channel.dues = channel.dues.saturating_sub(paid);
        T::Market::note_burned(&channel.provider, paid.burned);
        Self::deposit_event(Event::DuesPaid {
            channel: id,
            dues: paid,
        });
        Ok(())
    }

    /// Pay the dues, and release what is left to the user; the channel, whose agenda entry was taken
    /// back, is closed.
    pub(crate) fn refund(id: ChannelId, mut channel: ChannelRecordOf<T>) -> DispatchResult {
        Self::clear_dues(id, &mut channel)?;
        let refund = channel.on_hold();
        T::Currency::release(
            &HoldReason::Deposit.into(),
            &channel.user,
            refund,
            Precision::Exact,
        )?;
        let remove_at = Self::removal();
        channel.dues = Dues::default();
        channel.stood_still = T::StoodStill::get();
        channel.state = ChannelState::Closed { remove_at };
        let user = channel.user.clone();
        Self::file(id, channel);
        Self::deposit_event(Event::Closed {
            channel: id,
            user,
            refund,
            remove_at,
        });
        Ok(())
    }

    /// The block at which the record of a channel that closes now is removed.
    pub(crate) fn removal() -> BlockNumberFor<T> {
        // What the channel paid can be disputed until it has matured, and that needs the record.
        Self::now()
            .saturating_add(Params::<T>::get().retention_blocks)
            .max(T::Market::matured_at())
    }

    /// The record has been readable long enough: drop it and return the deposit.
    pub(crate) fn remove(id: ChannelId, channel: ChannelRecordOf<T>) -> DispatchResult {
        UserChannels::<T>::remove(&channel.user, id);
        ProviderChannels::<T>::remove(&channel.provider, id);
        channel.ticket.drop(&channel.user)?;
        T::Catalogue::release(&channel.listing);
        Channels::<T>::remove(id);
        Self::deposit_event(Event::Removed { channel: id });
        Ok(())
    }
}
