//! What jobs ask of providers.

use assay_primitives::{
    Assignment, Balance, DrawRequest, Eligibility, Market, Obligation, Outcome,
};
use frame_support::{
    defensive,
    pallet_prelude::*,
    traits::{
        fungible::MutateHold,
        tokens::{Fortitude, Precision, Restriction},
        DefensiveSaturating,
    },
};
use frame_system::pallet_prelude::BlockNumberFor;

use crate::{
    Config, Event, HoldReason, Offers, OperatorHistory, Operators, Pallet, ProviderRecordOf,
    Providers,
};

impl<T: Config> Pallet<T> {
    /// The job is over for the bond.
    fn give_back(provider: &mut ProviderRecordOf<T>, owed: &Obligation) {
        provider.exposure = provider
            .exposure
            .defensive_saturating_sub(owed.worst_case_fee);
        provider.open_jobs.defensive_saturating_dec();
    }

    /// The job is over for the worker: its place in the offer's capacity is free.
    fn free_place(stash: &T::AccountId, owed: &Obligation) {
        Offers::<T>::mutate(owed.listing, stash, |offer| match offer {
            Some(offer) => offer.open_jobs.defensive_saturating_dec(),
            None => {
                defensive!("an open job's offer was removed");
            }
        });
    }
}

impl<T: Config> Market<T::AccountId, BlockNumberFor<T>> for Pallet<T> {
    fn provider_of(operator: &T::AccountId) -> Option<T::AccountId> {
        Operators::<T>::get(operator)
    }

    fn operator_at(provider: &T::AccountId, block: BlockNumberFor<T>) -> Option<T::AccountId> {
        OperatorHistory::<T>::get(provider)
            .into_iter()
            .find(|range| range.contains(&block))
            .map(|range| range.operator)
    }

    fn eligibility(request: &DrawRequest<T::AccountId>, provider: &T::AccountId) -> Eligibility {
        Self::check_eligibility(request, provider)
    }

    fn draw(request: &DrawRequest<T::AccountId>) -> Option<Assignment<T::AccountId>> {
        let assignment = Self::choose(request)?;
        Providers::<T>::mutate(&assignment.provider, |provider| {
            if let Some(provider) = provider {
                provider.exposure = provider.exposure.saturating_add(assignment.worst_case_fee);
                provider.open_jobs.defensive_saturating_inc();
                provider.record.assigned = provider.record.assigned.saturating_add(1);
            }
        });
        Offers::<T>::mutate(request.listing, &assignment.provider, |offer| {
            if let Some(offer) = offer {
                offer.open_jobs.defensive_saturating_inc();
            }
        });
        Some(assignment)
    }

    fn resolve(stash: &T::AccountId, obligation: &Obligation, outcome: Outcome) {
        Providers::<T>::mutate(stash, |slot| {
            let Some(provider) = slot else {
                defensive!("a provider with open jobs was deregistered");
                return;
            };
            match outcome {
                Outcome::Delivered => provider.record.note_delivered(),
                Outcome::Declined => provider.record.note_declined(),
                Outcome::Missed => provider.record.note_missed(),
            }
            Self::free_place(stash, obligation);
            if outcome != Outcome::Delivered {
                Self::give_back(provider, obligation);
            }
            let score = provider.record.score;
            Self::deposit_event(Event::Resolved {
                provider: stash.clone(),
                outcome,
                score,
            });
        });
    }

    fn close(stash: &T::AccountId, obligation: &Obligation, earned: Balance) {
        Providers::<T>::mutate(stash, |slot| {
            let Some(provider) = slot else {
                defensive!("a provider with open jobs was deregistered");
                return;
            };
            Self::give_back(provider, obligation);
            provider.record.earned = provider.record.earned.saturating_add(earned);
        });
    }

    fn mature(stash: &T::AccountId, amount: Balance) -> DispatchResult {
        Self::hold_earnings(stash, amount)
    }

    fn compensate(
        stash: &T::AccountId,
        beneficiary: &T::AccountId,
        amount: Balance,
    ) -> Result<Balance, DispatchError> {
        Self::try_mutate_provider(stash, |provider| {
            // A provider that is its own user pays from one pocket into the other, and loses the
            // bond all the same.
            let mut left = amount;
            let mut take = |from: &mut Balance| {
                let part = left.min(*from);
                *from = from.saturating_sub(part);
                left = left.saturating_sub(part);
            };
            take(&mut provider.bond);
            for chunk in provider.unbonding.iter_mut() {
                take(&mut chunk.amount);
            }
            provider.unbonding.retain(|chunk| chunk.amount > 0);
            let amount = amount.saturating_sub(left);
            T::Currency::transfer_on_hold(
                &HoldReason::Bond.into(),
                stash,
                beneficiary,
                amount,
                Precision::Exact,
                Restriction::Free,
                Fortitude::Force,
            )?;
            let (provider, beneficiary) = (stash.clone(), beneficiary.clone());
            Self::deposit_event(Event::Compensated {
                provider,
                beneficiary,
                amount,
            });
            Ok(amount)
        })
    }
}
