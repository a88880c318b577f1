//! The invariants in the crate's documentation, by their numbers.

#[cfg(any(feature = "try-runtime", feature = "std"))]
impl<T: crate::Config> crate::Pallet<T> {
    pub fn do_try_state() -> Result<(), sp_runtime::TryRuntimeError> {
        use crate::{
            BurnSoFar, Due, HoldReason, MaturingCursor, Offering, Offers, OperatorHistory,
            Operators, Providers, RewardPools, REWARD_ERAS,
        };
        use alloc::{collections::BTreeMap, vec::Vec};
        use assay_primitives::Balance;
        use frame_support::{ensure, traits::fungible::InspectHold};
        use frame_system::pallet_prelude::BlockNumberFor;

        let (now, cursor) = (Self::clock(), MaturingCursor::<T>::get());
        let mut looks = BTreeMap::<T::AccountId, Vec<BlockNumberFor<T>>>::new();
        for (block, stash) in Due::<T>::iter_keys() {
            looks.entry(stash).or_default().push(block);
        }
        let mut open_jobs = BTreeMap::<T::AccountId, u32>::new();
        let mut offers = BTreeMap::<T::AccountId, u32>::new();
        for (listing, stash, offer) in Offers::<T>::iter() {
            ensure!(
                Offering::<T>::get(listing).contains(&stash),
                "providers 4: an offer that the index lacks"
            );
            let jobs = open_jobs.entry(stash.clone()).or_default();
            *jobs = jobs.saturating_add(offer.open_jobs);
            let count = offers.entry(stash).or_default();
            *count = count.saturating_add(1);
        }
        for (listing, stashes) in Offering::<T>::iter() {
            for stash in stashes {
                ensure!(
                    Offers::<T>::contains_key(listing, stash),
                    "providers 4: the index names an offer that is not there"
                );
            }
        }
        let so_far = BurnSoFar::<T>::get();
        let mut burned = BTreeMap::<_, Balance>::new();
        for (stash, provider) in Providers::<T>::iter() {
            let sum = burned.entry(provider.burned.era).or_default();
            *sum = sum.saturating_add(provider.burned.amount);
            let bonded = provider
                .unbonding
                .iter()
                .fold(provider.bond, |sum, chunk| sum.saturating_add(chunk.amount));
            ensure!(
                bonded == T::Currency::balance_on_hold(&HoldReason::Bond.into(), &stash),
                "providers 1: bond and unbonding differ from the hold"
            );
            let held = T::Currency::balance_on_hold(&HoldReason::Maturing.into(), &stash);
            let (mut amount, mut fees): (Balance, Balance) = (0, 0);
            for entry in &provider.earnings {
                amount = amount.saturating_add(entry.amount);
                fees = fees.saturating_add(entry.fees);
                let disputed = provider.disputes > 0 && entry.due <= now;
                let latest = entry.due.max(now);
                let looked_at = looks
                    .get(&stash)
                    .is_some_and(|blocks| blocks.iter().any(|at| (cursor..=latest).contains(at)));
                ensure!(
                    disputed || looked_at,
                    "providers 6: earnings that nobody will look at"
                );
            }
            ensure!(
                provider.maturing == amount && amount == held,
                "providers 2: maturing entries differ from the hold"
            );
            ensure!(
                provider.channel_exposure == fees,
                "providers 2: maturing entries differ from the exposure to channels"
            );
            ensure!(
                open_jobs.get(&stash).copied().unwrap_or(0) <= provider.open_jobs,
                "providers 3: the offers have more open jobs than the provider"
            );
            ensure!(
                provider.open_jobs > 0 || provider.exposure == 0,
                "providers 3: exposure without open jobs"
            );
            ensure!(
                offers.get(&stash).copied().unwrap_or(0) == provider.offers,
                "providers 4: a wrong count of offers"
            );
            ensure!(
                Operators::<T>::get(&provider.operator).as_ref() == Some(&stash),
                "providers 5: an operator that does not point to its provider"
            );
            ensure!(
                OperatorHistory::<T>::get(&stash)
                    .last()
                    .is_some_and(|range| {
                        range.operator == provider.operator && range.until.is_none()
                    }),
                "providers 5: the operator is not the last open range"
            );
        }
        let current = burned.get(&so_far.era).copied().unwrap_or(0);
        ensure!(
            current <= so_far.amount,
            "providers 7: providers burned more in this era than all together"
        );
        for (era, pool) in RewardPools::<T>::iter() {
            ensure!(
                era < so_far.era && era >= so_far.era.saturating_sub(REWARD_ERAS),
                "providers 7: a pool of an era that is not over, or too old"
            );
            let unpaid = burned.get(&era).copied().unwrap_or(0);
            ensure!(
                pool.amount <= pool.burned && unpaid <= pool.burned,
                "providers 7: a pool of more than was burned"
            );
        }
        Ok(())
    }
}
