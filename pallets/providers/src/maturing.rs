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
    Config, Due, Earnings, Error, Event, HoldReason, MaturingCursor, Pallet, Params,
    ProviderRecordOf, Providers, TrackRecord, WeightInfo,
};

/// Releases are gathered: earnings of an eighth of the maturing time are due together.
const RELEASES_PER_PERIOD: u32 = 8;

/// The most due blocks of one provider: those of two periods, because earnings that a dispute holds
/// stand beside those that come meanwhile. When there are more, the two oldest are due together.
pub(crate) const MAX_EARNINGS: u32 = 16;

impl<T: Config> Pallet<T> {
    /// The block at which earnings of now are due.
    pub(crate) fn due_block() -> BlockNumberFor<T> {
        let period = Params::<T>::get().maturing_blocks;
        let step = period
            .checked_div(&RELEASES_PER_PERIOD.into())
            .unwrap_or(One::one())
            .max(One::one());
        let earliest = Self::clock().saturating_add(period);
        let whole_steps = earliest
            .saturating_sub(One::one())
            .checked_div(&step)
            .unwrap_or(Zero::zero());
        whole_steps.saturating_add(One::one()).saturating_mul(step)
    }

    /// Put on hold what was just paid, until it has matured; for as long the provider answers for
    /// these fees of channels.
    pub(crate) fn hold_earnings(
        stash: &T::AccountId,
        amount: Balance,
        fees: Balance,
        note: impl FnOnce(&mut TrackRecord),
    ) -> DispatchResult {
        if amount == 0 && fees == 0 {
            return Ok(());
        }
        let due = Self::try_mutate_provider(stash, |provider| {
            let maturing = provider.maturing.checked_add(amount);
            provider.maturing = maturing.ok_or(Error::<T>::Overflow)?;
            let answered = provider.channel_exposure.checked_add(fees);
            provider.channel_exposure = answered.ok_or(Error::<T>::Overflow)?;
            T::Currency::hold(&HoldReason::Maturing.into(), stash, amount)?;
            note(&mut provider.record);
            Ok(Self::book(stash, provider, amount, fees))
        })?;
        if amount > 0 {
            Self::deposit_event(Event::EarningsHeld {
                provider: stash.clone(),
                amount,
                due,
            });
        }
        Ok(())
    }

    /// Add to what is due when earnings of now are. The sums are the caller's. Returns that block.
    fn book(
        stash: &T::AccountId,
        provider: &mut ProviderRecordOf<T>,
        amount: Balance,
        fees: Balance,
    ) -> BlockNumberFor<T> {
        let due = Self::due_block();
        let entries = &mut provider.earnings;
        if let Some(entry) = entries.iter_mut().find(|entry| entry.due == due) {
            entry.amount = entry.amount.saturating_add(amount);
            entry.fees = entry.fees.saturating_add(fees);
            return due;
        }
        if entries.is_full() {
            let oldest = entries.remove(0);
            if let Some(next) = entries.iter_mut().next() {
                next.due = next.due.max(oldest.due);
                next.amount = next.amount.saturating_add(oldest.amount);
                next.fees = next.fees.saturating_add(oldest.fees);
            }
        }
        let entry = Earnings { due, amount, fees };
        if entries.try_push(entry).is_err() {
            defensive!("no room where room was just made");
        }
        Due::<T>::insert(due, stash, ());
        due
    }

    pub(crate) fn do_release_earnings(stash: &T::AccountId) -> DispatchResult {
        let now = Self::clock();
        let amount = Self::try_mutate_provider(stash, |provider| {
            ensure!(provider.disputes == 0, Error::<T>::Disputed);
            let is_due = |entry: &Earnings<_>| entry.due <= now;
            ensure!(provider.earnings.iter().any(is_due), Error::<T>::NotMatured);
            let (mut amount, mut fees): (Balance, Balance) = (0, 0);
            for entry in provider.earnings.iter().filter(|entry| is_due(entry)) {
                amount = amount.saturating_add(entry.amount);
                fees = fees.saturating_add(entry.fees);
            }
            provider.earnings.retain(|entry| !is_due(entry));
            provider.maturing = provider.maturing.defensive_saturating_sub(amount);
            provider.channel_exposure = provider.channel_exposure.defensive_saturating_sub(fees);
            let reason = HoldReason::Maturing.into();
            T::Currency::release(&reason, stash, amount, Precision::Exact)
        })?;
        Self::deposit_event(Event::EarningsReleased {
            provider: stash.clone(),
            amount,
        });
        Ok(())
    }

    /// The provider is not disputed any more: look at once at what fell due meanwhile.
    pub(crate) fn resume_maturing(stash: &T::AccountId, provider: &ProviderRecordOf<T>) {
        let now = Self::clock();
        if provider.earnings.iter().any(|entry| entry.due <= now) {
            Due::<T>::insert(now, stash, ());
        }
    }

    /// Release what is due, oldest first, for as long as the meter allows.
    pub(crate) fn release_due(meter: &mut WeightMeter) {
        let now = Self::clock();
        let cursor_weight = T::DbWeight::get().reads_writes(2, 1);
        let release_weight =
            T::WeightInfo::release_earnings().saturating_add(T::DbWeight::get().reads_writes(1, 1));
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
            for stash in Due::<T>::iter_key_prefix(cursor) {
                if meter.try_consume(release_weight).is_err() {
                    break 'blocks;
                }
                Due::<T>::remove(cursor, &stash);
                // What a dispute holds comes back with its end; what was gathered, forfeit or
                // released already is not there.
                if !Self::has_due(&stash) {
                    continue;
                }
                let released = with_storage_layer(|| Self::do_release_earnings(&stash));
                // One entry must not stop the others; `release_earnings` can still be called for it.
                stuck |= released.is_err();
            }
            // This time may last for many blocks, when the referee is paused, and each may end a dispute.
            if cursor == now {
                break;
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

    fn has_due(stash: &T::AccountId) -> bool {
        let now = Self::clock();
        Providers::<T>::get(stash).is_some_and(|provider| {
            provider.disputes == 0 && provider.earnings.iter().any(|entry| entry.due <= now)
        })
    }
}
