//! What disputes ask of channels.

use assay_primitives::{Balance, ChannelId, Claim, ClaimFacts, Claims, Request};
use frame_support::{
    defensive,
    pallet_prelude::*,
    traits::{fungible::MutateHold, tokens::Precision, DefensiveSaturating},
};
use frame_system::pallet_prelude::BlockNumberFor;

use crate::{ChannelRecordOf, ChannelState, Channels, Config, Error, Event, HoldReason, Pallet};

impl<T: Config> Pallet<T> {
    fn claimed(claim: &Claim) -> Option<(ChannelId, ChannelRecordOf<T>)> {
        let Claim::Channel { id, .. } = claim else {
            return None;
        };
        Channels::<T>::get(id).map(|channel| (*id, channel))
    }

    /// Store a channel with another number of disputes over it: while there are any, its record is
    /// kept.
    fn file_disputed(id: ChannelId, mut channel: ChannelRecordOf<T>, disputes: u32) {
        Self::unfile(id, &channel);
        channel.disputes = disputes;
        if let (ChannelState::Closed { remove_at }, 0) = (&mut channel.state, disputes) {
            // Other receipts of the channel can be disputed for as long as if it had closed now.
            *remove_at = Self::removal().max(*remove_at);
            channel.stood_still = T::StoodStill::get();
        }
        Self::file(id, channel);
    }
}

impl<T: Config> Claims<T::AccountId, BlockNumberFor<T>> for Pallet<T> {
    fn facts(claim: &Claim) -> Option<ClaimFacts<T::AccountId, BlockNumberFor<T>>> {
        let (_, channel) = Self::claimed(claim)?;
        Some(ClaimFacts {
            paid: channel.refundable(),
            backing: channel.deposit.saturating_sub(channel.refunded),
            disputes: channel.disputes,
            user: channel.user,
            provider: channel.provider,
            epoch: channel.epoch,
            listing: channel.listing,
            request: Request::SignedBy(channel.voucher_key),
        })
    }

    /// Settling, closing and the user's refund go on: what they pay the provider matures, and that
    /// waits for the dispute.
    fn freeze(claim: &Claim) -> DispatchResult {
        let (id, channel) = Self::claimed(claim).ok_or(Error::<T>::UnknownChannel)?;
        let disputes = channel
            .disputes
            .checked_add(1)
            .ok_or(Error::<T>::Overflow)?;
        Self::file_disputed(id, channel, disputes);
        Ok(())
    }

    fn thaw(claim: &Claim) {
        let Some((id, channel)) = Self::claimed(claim) else {
            defensive!("a disputed channel was removed");
            return;
        };
        let disputes = channel.disputes.defensive_saturating_sub(1);
        Self::file_disputed(id, channel, disputes);
    }

    /// What goes back to the user counts as settled, so that no voucher pays it any more.
    fn void(claim: &Claim, missing: Balance) -> Result<Balance, DispatchError> {
        let (id, mut channel) = Self::claimed(claim).ok_or(Error::<T>::UnknownChannel)?;
        let returned = missing.min(channel.unsettled());
        if returned > 0 {
            T::Currency::release(
                &HoldReason::Deposit.into(),
                &channel.user,
                returned,
                Precision::Exact,
            )?;
            channel.settled = channel.settled.saturating_add(returned);
            channel.refunded = channel.refunded.saturating_add(returned);
            Self::deposit_event(Event::Voided {
                channel: id,
                user: channel.user.clone(),
                returned,
            });
            Channels::<T>::insert(id, channel);
        }
        Ok(returned)
    }

    fn note_refund(claim: &Claim, refund: Balance) {
        let Some((id, mut channel)) = Self::claimed(claim) else {
            defensive!("a disputed channel was removed");
            return;
        };
        channel.refunded = channel.refunded.saturating_add(refund);
        if channel.refunded > channel.settled {
            defensive!("more of a channel was given back than was settled");
        }
        Channels::<T>::insert(id, channel);
    }
}
