//! What providers get back of what their settlements burned, era by era.

use assay_primitives::{Balance, EraEnded, EraIndex, RewardPool};
use frame_support::{
    defensive,
    pallet_prelude::*,
    storage::with_storage_layer,
    traits::fungible::{Inspect, Mutate},
};
use sp_runtime::traits::Zero;

use crate::{
    Burn, BurnSoFar, Config, Error, Event, Pallet, Params, ProviderRecordOf, ProviderReward,
    Providers, RewardPools,
};

/// Eras that a pool waits for its providers; what nobody claims meanwhile is never minted.
pub const REWARD_ERAS: EraIndex = 84;

impl<T: Config> Pallet<T> {
    /// A settlement of this provider burned so much. What it burned in an era before is paid first,
    /// since a provider's record counts one era at a time.
    pub(crate) fn count_burned(stash: &T::AccountId, burned: Balance) {
        if burned.is_zero() || !Providers::<T>::contains_key(stash) {
            return;
        }
        if let Err(error) = Self::pay_reward(stash) {
            defensive!("a reward could not be minted", error);
        }
        let era = BurnSoFar::<T>::mutate(|so_far| {
            so_far.amount = so_far.amount.saturating_add(burned);
            so_far.era
        });
        Providers::<T>::mutate(stash, |provider| {
            let Some(provider) = provider else { return };
            let own = match provider.burned.era == era {
                true => provider.burned.amount,
                false => 0,
            };
            provider.burned = Burn {
                era,
                amount: own.saturating_add(burned),
            };
        });
    }

    pub(crate) fn do_claim_reward(stash: &T::AccountId) -> DispatchResult {
        ensure!(
            Providers::<T>::contains_key(stash),
            Error::<T>::UnknownProvider
        );
        let paid = Self::pay_reward(stash)?;
        ensure!(paid > 0, Error::<T>::NoReward);
        Ok(())
    }

    /// Mint what is due to the provider for an era that is over; it matures like all that it earns.
    /// Returns how much.
    fn pay_reward(stash: &T::AccountId) -> Result<Balance, DispatchError> {
        let Some(provider) = Providers::<T>::get(stash) else {
            return Ok(0);
        };
        let (era, amount) = (provider.burned.era, Self::reward_due(&provider));
        if amount.is_zero() {
            return Ok(0);
        }
        with_storage_layer(|| {
            Self::try_mutate_provider(stash, |provider| {
                provider.burned = Burn::default();
                Ok(())
            })?;
            T::Currency::mint_into(stash, amount)?;
            Self::hold_earnings(stash, amount, 0, |_| ())
        })?;
        Self::deposit_event(Event::Rewarded {
            provider: stash.clone(),
            era,
            amount,
        });
        Ok(amount)
    }

    /// What the provider can claim: nothing for the era that is not over, nor for one whose pool is
    /// gone.
    pub(crate) fn reward_due(provider: &ProviderRecordOf<T>) -> Balance {
        RewardPools::<T>::get(provider.burned.era)
            .map_or(0, |pool| pool.part(provider.burned.amount))
    }

    pub(crate) fn reward_of(provider: &ProviderRecordOf<T>) -> ProviderReward {
        let so_far = BurnSoFar::<T>::get();
        let burned = match provider.burned.era == so_far.era {
            true => provider.burned.amount,
            false => 0,
        };
        ProviderReward {
            era: so_far.era,
            burned,
            burned_by_all: so_far.amount,
            due: Self::reward_due(provider),
        }
    }
}

impl<T: Config> EraEnded for Pallet<T> {
    fn era_ended(ended: EraIndex, millis: u64) {
        let burned = BurnSoFar::<T>::get().amount;
        let issuance = T::Currency::total_issuance();
        let pool = Params::<T>::get().rewards.pool(issuance, millis, burned);
        if pool.amount > 0 {
            RewardPools::<T>::insert(ended, pool);
        }
        if let Some(expired) = ended.checked_sub(REWARD_ERAS) {
            RewardPools::<T>::remove(expired);
        }
        let era = ended.saturating_add(1);
        BurnSoFar::<T>::put(Burn { era, amount: 0 });
        let RewardPool { amount, burned } = pool;
        Self::deposit_event(Event::EraEnded {
            era: ended,
            burned,
            pool: amount,
        });
    }
}
