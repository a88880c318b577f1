//! Earnings on their way to the provider.

use assay_primitives::Balance;
use frame_support::{
    defensive,
    pallet_prelude::*,
    storage::with_storage_layer,
    traits::{fungible::MutateHold, tokens::Precision, DefensiveSaturating, Get},
    weights::WeightMeter,
};
use frame_system::pallet_prelude::BlockNumberFor;
use sp_runtime::traits::{CheckedDiv, One, Saturating, Zero};

use crate::{
    Config, Earnings, Error, Event, HoldReason, Maturing, MaturingCursor, Pallet, Params,
    WeightInfo,
};

/// Releases are gathered: earnings of an eighth of the maturing time are due together.
const RELEASES_PER_PERIOD: u32 = 8;

impl<T: Config> Pallet<T> {
    /// The block at which earnings of `now` are due.
    pub(crate) fn due_block(now: BlockNumberFor<T>) -> BlockNumberFor<T> {
        let period = Params::<T>::get().maturing_blocks;
        let step = period
            .checked_div(&RELEASES_PER_PERIOD.into())
            .unwrap_or(One::one())
            .max(One::one());
        let earliest = now.saturating_add(period);
        let whole_steps = earliest
            .saturating_sub(One::one())
            .checked_div(&step)
            .unwrap_or(Zero::zero());
        whole_steps.saturating_add(One::one()).saturating_mul(step)
    }

    pub(crate) fn hold_earnings(stash: &T::AccountId, amount: Balance) -> DispatchResult {
        if amount == 0 {
            return Ok(());
        }
        let due = Self::due_block(Self::now());
        Self::try_mutate_provider(stash, |provider| {
            provider.maturing = provider
                .maturing
                .checked_add(amount)
                .ok_or(Error::<T>::Overflow)?;
            T::Currency::hold(&HoldReason::Maturing.into(), stash, amount)?;
            Maturing::<T>::mutate(due, stash, |earnings| {
                earnings.amount = earnings.amount.saturating_add(amount);
            });
            Ok(())
        })?;
        Self::deposit_event(Event::EarningsHeld {
            provider: stash.clone(),
            amount,
            due,
        });
        Ok(())
    }

    /// The provider answers for a channel's `fee` for as long as what it earned with it matures.
    pub(crate) fn hold_answerable(
        stash: &T::AccountId,
        fee: Balance,
        earned: Balance,
        protocol_fee: Balance,
    ) -> DispatchResult {
        if fee == 0 {
            return Ok(());
        }
        let full_step_fee = Params::<T>::get().full_step_fee;
        Self::try_mutate_provider(stash, |provider| {
            provider.channel_exposure = provider
                .channel_exposure
                .checked_add(fee)
                .ok_or(Error::<T>::Overflow)?;
            provider
                .record
                .note_paid(earned, protocol_fee, full_step_fee);
            Maturing::<T>::mutate(Self::due_block(Self::now()), stash, |earnings| {
                earnings.fees = earnings.fees.saturating_add(fee);
            });
            Ok(())
        })
    }

    pub(crate) fn do_release_earnings(
        due: BlockNumberFor<T>,
        stash: &T::AccountId,
    ) -> DispatchResult {
        let earnings = Maturing::<T>::take(due, stash);
        ensure!(earnings != Earnings::default(), Error::<T>::NotMatured);
        let Earnings { amount, fees } = earnings;
        Self::try_mutate_provider(stash, |provider| {
            provider.maturing = provider.maturing.defensive_saturating_sub(amount);
            provider.channel_exposure = provider.channel_exposure.defensive_saturating_sub(fees);
            T::Currency::release(
                &HoldReason::Maturing.into(),
                stash,
                amount,
                Precision::Exact,
            )?;
            Ok(())
        })?;
        Self::deposit_event(Event::EarningsReleased {
            provider: stash.clone(),
            amount,
        });
        Ok(())
    }

    /// Release what is due, oldest first, for as long as the meter allows.
    pub(crate) fn release_due(now: BlockNumberFor<T>, meter: &mut WeightMeter) {
        let cursor_weight = T::DbWeight::get().reads_writes(2, 1);
        let release_weight = T::WeightInfo::release_earnings();
        if meter.try_consume(cursor_weight).is_err() {
            return;
        }
        let start = MaturingCursor::<T>::get();
        let mut cursor = start;
        let mut stuck = false;
        'blocks: while cursor <= now {
            if meter.try_consume(T::DbWeight::get().reads(1)).is_err() {
                break;
            }
            // One iterator for a block: a new one would walk again over what was removed.
            for stash in Maturing::<T>::iter_key_prefix(cursor) {
                if meter.try_consume(release_weight).is_err() {
                    break 'blocks;
                }
                let released = with_storage_layer(|| Self::do_release_earnings(cursor, &stash));
                // One entry must not stop the others; `release_earnings` can still be called for it.
                stuck |= released.is_err();
            }
            cursor = cursor.saturating_add(One::one());
        }
        if cursor != start {
            MaturingCursor::<T>::put(cursor);
        }
        if stuck {
            defensive!("earnings on hold could not be released");
        }
    }
}
