//! One function per call.

use assay_primitives::{
    channel_id, Balance, ChannelId, Dues, ListingId, Market, ModelCatalogue, SignedVoucher,
    VoucherKey,
};
use frame_support::{
    pallet_prelude::*,
    traits::{fungible::MutateHold, Consideration, Footprint},
};
use frame_system::pallet_prelude::BlockNumberFor;
use sp_core::H256;
use sp_runtime::traits::{Saturating, Zero};

use crate::{
    settle::Payee, ChannelRecord, ChannelRecordOf, ChannelState, Channels, Config, Error, Event,
    HoldReason, NextChannel, Pallet, Params, ProviderChannels, UserChannels,
};

impl<T: Config> Pallet<T> {
    pub(crate) fn do_open(
        user: T::AccountId,
        provider: T::AccountId,
        listing: ListingId,
        voucher_key: VoucherKey,
        deposit: Balance,
    ) -> DispatchResult {
        let model = T::Catalogue::listing(&listing).ok_or(Error::<T>::UnknownListing)?;
        ensure!(model.active, Error::<T>::ListingNotActive);
        let terms = T::Market::terms(&provider).ok_or(Error::<T>::UnknownProvider)?;
        ensure!(terms.online, Error::<T>::ProviderOffline);
        ensure!(terms.has_endpoint, Error::<T>::ProviderHasNoEndpoint);
        ensure!(
            T::Market::has_offer(&provider, &listing),
            Error::<T>::ProviderHasNoOffer
        );
        ensure!(
            deposit >= Params::<T>::get().min_deposit,
            Error::<T>::DepositTooSmall
        );

        let ticket = T::Consideration::new(&user, Self::footprint())?;
        T::Currency::hold(&HoldReason::Deposit.into(), &user, deposit)?;
        T::Catalogue::acquire(&listing)?;
        let number = NextChannel::<T>::get();
        let next = number.checked_add(1).ok_or(Error::<T>::Overflow)?;
        NextChannel::<T>::put(next);
        let channel = channel_id(&Self::genesis(), number);
        UserChannels::<T>::insert(&user, channel, ());
        ProviderChannels::<T>::insert(&provider, channel, ());
        let record = ChannelRecord {
            user: user.clone(),
            provider: provider.clone(),
            epoch: terms.epoch,
            listing,
            royalty: model.royalty,
            voucher_key,
            deposit,
            settled: 0,
            dues: Dues::default(),
            refunded: 0,
            disputes: 0,
            opened_at: Self::now(),
            stood_still: Zero::zero(),
            state: ChannelState::Open,
            ticket,
        };
        Self::file(channel, record);
        Self::deposit_event(Event::Opened {
            channel,
            user,
            provider,
            listing,
            deposit,
        });
        Ok(())
    }

    /// What is stored for a channel: the record, and its id under user and provider.
    fn footprint() -> Footprint {
        let index_entry = T::AccountId::max_encoded_len().saturating_add(size_of::<ChannelId>());
        let bytes =
            ChannelRecordOf::<T>::max_encoded_len().saturating_add(index_entry.saturating_mul(2));
        Footprint::from_parts(1, bytes)
    }

    pub(crate) fn do_top_up(user: T::AccountId, id: ChannelId, amount: Balance) -> DispatchResult {
        let mut channel = Self::of_user(&user, id)?;
        ensure!(Self::is_present(&channel), Error::<T>::ProviderGone);
        let deposit = channel
            .deposit
            .checked_add(amount)
            .ok_or(Error::<T>::Overflow)?;
        T::Currency::hold(&HoldReason::Deposit.into(), &user, amount)?;
        Self::unfile(id, &channel);
        channel.deposit = deposit;
        channel.state = ChannelState::Open;
        Self::file(id, channel);
        Self::deposit_event(Event::ToppedUp {
            channel: id,
            amount,
            deposit,
        });
        Ok(())
    }

    pub(crate) fn do_settle(voucher: SignedVoucher, amount: Balance) -> DispatchResult {
        let channel = Channels::<T>::get(voucher.channel).ok_or(Error::<T>::UnknownChannel)?;
        ensure!(!channel.is_closed(), Error::<T>::ChannelClosed);
        ensure!(amount > channel.settled, Error::<T>::NothingToSettle);
        let mut payee = Payee::<T>::of(&channel)?;
        payee.settle(channel, &voucher, amount)?;
        payee.close_books()
    }

    pub(crate) fn do_settle_many(
        vouchers: impl IntoIterator<Item = (SignedVoucher, Balance)>,
    ) -> DispatchResult {
        let mut payee = None;
        for (voucher, amount) in vouchers {
            let open = Channels::<T>::get(voucher.channel).filter(|channel| !channel.is_closed());
            let Some(channel) = open.filter(|channel| amount > channel.settled) else {
                continue;
            };
            let payee = match &mut payee {
                Some(payee) => payee,
                None => payee.insert(Payee::<T>::of(&channel)?),
            };
            payee.settle(channel, &voucher, amount)?;
        }
        payee.map_or(Ok(()), Payee::close_books)
    }

    pub(crate) fn do_close(
        who: T::AccountId,
        id: ChannelId,
        last: Option<(SignedVoucher, Balance)>,
    ) -> DispatchResult {
        let mut channel = Channels::<T>::get(id).ok_or(Error::<T>::UnknownChannel)?;
        let is_provider = who == channel.provider
            || T::Market::provider_of(&who).as_ref() == Some(&channel.provider);
        ensure!(is_provider, Error::<T>::NotProvider);
        ensure!(!channel.is_closed(), Error::<T>::ChannelClosed);
        if let Some((voucher, amount)) = last {
            ensure!(voucher.channel == id, Error::<T>::WrongChannel);
            if amount > channel.settled {
                let mut payee = Payee::<T>::of(&channel)?;
                channel = payee.settle(channel, &voucher, amount)?;
                payee.close_books()?;
            }
        }
        Self::unfile(id, &channel);
        Self::refund(id, channel)
    }

    pub(crate) fn do_request_close(user: T::AccountId, id: ChannelId) -> DispatchResult {
        let mut channel = Self::of_user(&user, id)?;
        ensure!(
            channel.state == ChannelState::Open,
            Error::<T>::AlreadyClosing
        );
        let finalize_at = Self::now().saturating_add(Params::<T>::get().close_window_blocks);
        channel.state = ChannelState::Closing { finalize_at };
        let provider = channel.provider.clone();
        Self::file(id, channel);
        Self::deposit_event(Event::CloseRequested {
            channel: id,
            provider,
            finalize_at,
        });
        Ok(())
    }

    pub(crate) fn do_finalize(id: ChannelId) -> DispatchResult {
        let channel = Channels::<T>::get(id).ok_or(Error::<T>::UnknownChannel)?;
        let is_due = channel.due().is_some_and(|due| due <= Self::now());
        ensure!(is_due, Error::<T>::NotDue);
        Self::step(id, channel)
    }

    pub(crate) fn do_pay_dues(id: ChannelId) -> DispatchResult {
        let mut channel = Channels::<T>::get(id).ok_or(Error::<T>::UnknownChannel)?;
        ensure!(channel.dues.total() > 0, Error::<T>::NothingDue);
        Self::clear_dues(id, &mut channel)?;
        Channels::<T>::insert(id, channel);
        Ok(())
    }

    /// A channel of this user that is not closed.
    fn of_user(user: &T::AccountId, id: ChannelId) -> Result<ChannelRecordOf<T>, Error<T>> {
        let channel = Channels::<T>::get(id).ok_or(Error::<T>::UnknownChannel)?;
        ensure!(channel.user == *user, Error::<T>::NotUser);
        ensure!(!channel.is_closed(), Error::<T>::ChannelClosed);
        Ok(channel)
    }

    /// Whether the provider is the one that the channel was opened with.
    pub(crate) fn is_present(channel: &ChannelRecordOf<T>) -> bool {
        T::Market::terms(&channel.provider).is_some_and(|terms| terms.epoch == channel.epoch)
    }

    pub(crate) fn genesis() -> H256 {
        frame_system::Pallet::<T>::block_hash(BlockNumberFor::<T>::zero())
    }

    pub(crate) fn now() -> BlockNumberFor<T> {
        frame_system::Pallet::<T>::block_number()
    }
}
