//! What disputes ask of providers: to hold a stake still, and to take it.

use assay_primitives::{Balance, Conviction, Market, Slashed, Stake};
use frame_support::{
    pallet_prelude::*,
    storage::with_storage_layer,
    traits::{
        fungible::MutateHold,
        tokens::{Fortitude, Precision, Restriction},
        DefensiveSaturating,
    },
};
use frame_system::pallet_prelude::BlockNumberFor;

use crate::{
    Config, Earnings, Error, Event, HoldReason, Operators, Pallet, Params, ProviderRecordOf,
    Providers,
};

/// Money on hold of a convicted provider, by what it was held for.
struct Purse {
    reason: HoldReason,
    left: Balance,
}

impl<T: Config> Stake<T::AccountId, BlockNumberFor<T>> for Pallet<T> {
    fn epoch(provider: &T::AccountId) -> Option<BlockNumberFor<T>> {
        Providers::<T>::get(provider).map(|record| record.registered_at)
    }

    fn operator_at(provider: &T::AccountId, block: BlockNumberFor<T>) -> Option<T::AccountId> {
        <Self as Market<_, _>>::operator_at(provider, block)
    }

    fn provider_of(account: &T::AccountId) -> Option<T::AccountId> {
        if Providers::<T>::contains_key(account) {
            return Some(account.clone());
        }
        Operators::<T>::get(account)
    }

    fn freeze(provider: &T::AccountId) -> DispatchResult {
        Self::try_mutate_provider(provider, |record| {
            record.disputes = record.disputes.checked_add(1).ok_or(Error::<T>::Overflow)?;
            Ok(())
        })
    }

    fn thaw(provider: &T::AccountId) {
        Providers::<T>::mutate(provider, |slot| {
            let Some(record) = slot else {
                defensive!("a provider with live disputes was deregistered");
                return;
            };
            record.disputes.defensive_saturating_dec();
            if record.disputes == 0 {
                Self::resume_maturing(provider, record);
            }
        });
    }

    fn disputes(provider: &T::AccountId) -> u32 {
        Providers::<T>::get(provider).map_or(0, |record| record.disputes)
    }

    fn slash(
        stash: &T::AccountId,
        conviction: &Conviction<T::AccountId>,
    ) -> Result<Slashed, DispatchError> {
        let parameters = Params::<T>::get();
        Self::try_mutate_provider(stash, |provider| {
            let bonded = provider
                .unbonding
                .iter()
                .fold(provider.bond, |sum, chunk| sum.saturating_add(chunk.amount));
            let least = parameters.slash_floor.mul_ceil(bonded);
            let amount = conviction
                .fee
                .saturating_mul(parameters.slash_multiple.into())
                .max(least);
            let bond = Self::take_bonded(provider, amount);
            let earnings = core::mem::take(&mut provider.maturing);
            for entry in provider.earnings.iter_mut() {
                entry.amount = 0;
            }
            // What was burned counts for no reward any more.
            provider.burned = Default::default();
            provider.online = false;
            provider.record.note_convicted();

            let sum = bond.checked_add(earnings).ok_or(Error::<T>::Overflow)?;
            let mut purses = [
                Purse {
                    reason: HoldReason::Bond,
                    left: bond,
                },
                Purse {
                    reason: HoldReason::Maturing,
                    left: earnings,
                },
            ];
            // Half of it is burned whatever was paid: a friend who has a share of what it pays, as a listing's
            // publisher, would have the stake back as a refund.
            let most = sum.saturating_div(2);
            // Users get back what its channels were paid of late and no more: a friend could have been paying
            // for long, and would take the stake out of the slash.
            let due = conviction.refund.min(most).min(provider.channel_exposure);
            let refund = Self::pay_from(stash, &mut purses, &conviction.user, due);
            Self::answered(provider, refund);
            let share = parameters.reward_share.mul_floor(sum.saturating_sub(due));
            let share = share.min(most.saturating_sub(due));
            let reward = Self::pay_from(stash, &mut purses, &conviction.challenger, share);
            let mut burned: Balance = 0;
            for Purse { reason, left } in purses {
                T::Currency::burn_held(
                    &reason.into(),
                    stash,
                    left,
                    Precision::Exact,
                    Fortitude::Force,
                )?;
                burned = burned.saturating_add(left);
            }
            Self::deposit_event(Event::Slashed {
                provider: stash.clone(),
                bond,
                earnings,
                refund,
                reward,
                burned,
            });
            Ok(Slashed {
                refund,
                reward,
                burned,
            })
        })
    }
}

impl<T: Config> Pallet<T> {
    /// So much of the fees of channels, at most all that there are, went back and need not be answered for any
    /// more: of the oldest first.
    fn answered(provider: &mut ProviderRecordOf<T>, fees: Balance) {
        provider.channel_exposure = provider.channel_exposure.defensive_saturating_sub(fees);
        let mut left = fees;
        for entry in provider.earnings.iter_mut() {
            let part = left.min(entry.fees);
            entry.fees = entry.fees.saturating_sub(part);
            left = left.saturating_sub(part);
        }
        let is_empty = |entry: &Earnings<_>| entry.amount == 0 && entry.fees == 0;
        provider.earnings.retain(|entry| !is_empty(entry));
    }

    /// Pay `amount` out of what is in the purses. An account that cannot be paid, because it would
    /// not exist even then, gets nothing, and the money stays in the purses. Returns what was paid.
    fn pay_from(
        stash: &T::AccountId,
        purses: &mut [Purse; 2],
        to: &T::AccountId,
        amount: Balance,
    ) -> Balance {
        let paid = with_storage_layer(|| -> Result<_, DispatchError> {
            let mut missing = amount;
            let mut parts = [0; 2];
            for (purse, part) in purses.iter().zip(&mut parts) {
                *part = missing.min(purse.left);
                missing = missing.saturating_sub(*part);
                if *part > 0 {
                    T::Currency::transfer_on_hold(
                        &purse.reason.into(),
                        stash,
                        to,
                        *part,
                        Precision::Exact,
                        Restriction::Free,
                        Fortitude::Force,
                    )?;
                }
            }
            Ok(parts)
        });
        let Ok(parts) = paid else { return 0 };
        for (purse, part) in purses.iter_mut().zip(parts) {
            purse.left = purse.left.saturating_sub(part);
        }
        amount
    }
}
