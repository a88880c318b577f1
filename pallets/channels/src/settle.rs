//! Every movement of money out of a channel.

use assay_primitives::{Balance, ChannelId, Fees, Market, ModelCatalogue, SignedVoucher};
use frame_support::{
    pallet_prelude::*,
    traits::{fungible::MutateHold, tokens::Precision, Consideration},
};
use frame_system::pallet_prelude::BlockNumberFor;
use sp_runtime::traits::Saturating;

use crate::{
    ChannelRecordOf, ChannelState, Channels, Config, Error, Event, HoldReason, Pallet, Params,
    ProviderChannels, UserChannels,
};

impl<T: Config> Pallet<T> {
    /// Pay the provider what is missing to `amount`, which is more than was settled, from a channel
    /// that is not closed. Returns the channel as it is then; the caller stores it.
    pub(crate) fn pay(
        mut channel: ChannelRecordOf<T>,
        voucher: SignedVoucher,
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
        ensure!(Self::is_present(&channel), Error::<T>::ProviderGone);
        ensure!(
            voucher.is_signed(Self::genesis(), &channel.voucher_key),
            Error::<T>::InvalidSignature
        );
        let settlement = T::Fees::pay(
            HoldReason::Deposit.into(),
            &channel.user,
            &channel.provider,
            &channel.listing,
            amount.saturating_sub(channel.settled),
        )?;
        T::Market::answer_for(
            &channel.provider,
            settlement.fee,
            settlement.provider,
            settlement.protocol_fee(),
        )?;
        channel.settled = amount;
        Self::deposit_event(Event::Settled {
            channel: voucher.channel,
            provider: channel.provider.clone(),
            settled: amount,
            settlement,
        });
        Ok(channel)
    }

    /// Release what is left to the user; the channel, whose agenda entry was taken back, is closed.
    pub(crate) fn refund(id: ChannelId, mut channel: ChannelRecordOf<T>) -> DispatchResult {
        let refund = channel.rest();
        T::Currency::release(
            &HoldReason::Deposit.into(),
            &channel.user,
            refund,
            Precision::Exact,
        )?;
        T::Catalogue::release(&channel.listing);
        let remove_at = Self::removal();
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
        Channels::<T>::remove(id);
        Self::deposit_event(Event::Removed { channel: id });
        Ok(())
    }
}
