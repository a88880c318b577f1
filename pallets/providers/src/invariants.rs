//! The invariants in the crate's documentation, by their numbers.

#[cfg(any(feature = "try-runtime", feature = "std"))]
impl<T: crate::Config> crate::Pallet<T> {
    pub fn do_try_state() -> Result<(), sp_runtime::TryRuntimeError> {
        use crate::{
            Earnings, HoldReason, Maturing, Offering, Offers, OperatorHistory, Operators, Providers,
        };
        use alloc::collections::BTreeMap;
        use frame_support::{ensure, traits::fungible::InspectHold};

        let mut maturing = BTreeMap::<T::AccountId, Earnings>::new();
        for (_, stash, earnings) in Maturing::<T>::iter() {
            let sum = maturing.entry(stash).or_default();
            sum.amount = sum.amount.saturating_add(earnings.amount);
            sum.fees = sum.fees.saturating_add(earnings.fees);
        }
        for stash in maturing.keys() {
            ensure!(
                Providers::<T>::contains_key(stash),
                "providers 2: maturing earnings of an unknown provider"
            );
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
        for (stash, provider) in Providers::<T>::iter() {
            let bonded = provider
                .unbonding
                .iter()
                .fold(provider.bond, |sum, chunk| sum.saturating_add(chunk.amount));
            ensure!(
                bonded == T::Currency::balance_on_hold(&HoldReason::Bond.into(), &stash),
                "providers 1: bond and unbonding differ from the hold"
            );
            let held = T::Currency::balance_on_hold(&HoldReason::Maturing.into(), &stash);
            let Earnings { amount, fees } = maturing.get(&stash).copied().unwrap_or_default();
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
        Ok(())
    }
}
