//! What jobs and channels ask of providers.

use assay_primitives::{
    Assignment, Balance, DrawRequest, Eligibility, ListingId, Market, Outcome, ProviderTerms,
    Settlement,
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
use sp_runtime::traits::Saturating;

use crate::{
    Config, Event, HoldReason, Offering, Offers, OperatorHistory, Operators, Pallet, Params,
    ProviderRecordOf, Providers,
};

impl<T: Config> Pallet<T> {
    /// Take up to `amount` off what is bonded, the active bond first, then what began to leave
    /// earliest. Returns how much; the caller moves the money.
    pub(crate) fn take_bonded(provider: &mut ProviderRecordOf<T>, amount: Balance) -> Balance {
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
        amount.saturating_sub(left)
    }

    /// The job is over for the worker: its place in the offer's capacity is free.
    fn free_place(stash: &T::AccountId, listing: &ListingId) {
        Offers::<T>::mutate(listing, stash, |offer| match offer {
            Some(offer) => offer.open_jobs.defensive_saturating_dec(),
            None => {
                defensive!("an open job's offer was removed");
            }
        });
    }
}

impl<T: Config> Market<T::AccountId, BlockNumberFor<T>> for Pallet<T> {
    fn max_offers() -> u32 {
        T::MaxOffersPerListing::get()
    }

    fn offers(listing: &ListingId) -> u32 {
        let offers = Offering::<T>::decode_len(listing).unwrap_or(0);
        u32::try_from(offers).unwrap_or(u32::MAX)
    }

    fn provider_of(operator: &T::AccountId) -> Option<T::AccountId> {
        Operators::<T>::get(operator)
    }

    fn operator_at(provider: &T::AccountId, block: BlockNumberFor<T>) -> Option<T::AccountId> {
        OperatorHistory::<T>::get(provider)
            .into_iter()
            .find(|range| range.contains(&block))
            .map(|range| range.operator)
    }

    fn terms(provider: &T::AccountId) -> Option<ProviderTerms<BlockNumberFor<T>>> {
        let record = Providers::<T>::get(provider)?;
        Some(ProviderTerms {
            epoch: record.registered_at,
            online: record.online,
            has_endpoint: !record.info.endpoint.is_empty(),
        })
    }

    fn has_offer(provider: &T::AccountId, listing: &ListingId) -> bool {
        Offers::<T>::contains_key(listing, provider)
    }

    fn eligibility(
        request: &DrawRequest<T::AccountId, BlockNumberFor<T>>,
        provider: &T::AccountId,
    ) -> Eligibility {
        Self::check_eligibility(request, provider)
    }

    fn draw(
        request: &DrawRequest<T::AccountId, BlockNumberFor<T>>,
    ) -> Option<Assignment<T::AccountId>> {
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

    fn resolve(
        stash: &T::AccountId,
        listing: &ListingId,
        worst_case_fee: Balance,
        outcome: Outcome,
        remaining: Balance,
    ) {
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
            Self::free_place(stash, listing);
            let given_back = worst_case_fee.defensive_saturating_sub(remaining);
            provider.exposure = provider.exposure.defensive_saturating_sub(given_back);
            // A delivered answer is open until it is paid.
            if outcome != Outcome::Delivered {
                provider.open_jobs.defensive_saturating_dec();
            }
            let score = provider.record.score;
            Self::deposit_event(Event::Resolved {
                provider: stash.clone(),
                outcome,
                score,
            });
        });
    }

    fn close(stash: &T::AccountId, settlement: &Settlement) {
        let full_step_fee = Params::<T>::get().full_step_fee;
        Providers::<T>::mutate(stash, |slot| {
            let Some(provider) = slot else {
                defensive!("a provider with open jobs was deregistered");
                return;
            };
            provider.exposure = provider.exposure.defensive_saturating_sub(settlement.fee);
            provider.open_jobs.defensive_saturating_dec();
            let (earned, protocol_fee) = (settlement.provider, settlement.protocol_fee());
            provider
                .record
                .note_paid(earned, protocol_fee, full_step_fee);
        });
        Self::count_burned(stash, settlement.burned);
    }

    fn note_burned(stash: &T::AccountId, burned: Balance) {
        Self::count_burned(stash, burned);
    }

    fn mature(stash: &T::AccountId, amount: Balance) -> DispatchResult {
        Self::hold_earnings(stash, amount, 0, |_| ())
    }

    fn maturing_blocks() -> BlockNumberFor<T> {
        Params::<T>::get().maturing_blocks
    }

    fn matured_at() -> BlockNumberFor<T> {
        Self::due_block().saturating_add(T::StoodStill::get())
    }

    fn answer_for(
        stash: &T::AccountId,
        fee: Balance,
        earned: Balance,
        protocol_fee: Balance,
    ) -> DispatchResult {
        let full_step_fee = Params::<T>::get().full_step_fee;
        Self::hold_earnings(stash, earned, fee, |record| {
            record.note_paid(earned, protocol_fee, full_step_fee)
        })
    }

    fn compensate(
        stash: &T::AccountId,
        beneficiary: &T::AccountId,
        amount: Balance,
    ) -> Result<Balance, DispatchError> {
        Self::try_mutate_provider(stash, |provider| {
            // A provider that is its own user gets no more back than any other.
            let taken = Self::take_bonded(provider, amount);
            let burned = Params::<T>::get().compensation_burned.mul_floor(taken);
            let paid = taken.saturating_sub(burned);
            let reason = HoldReason::Bond.into();
            // Paying comes first: only that can fail, and then nothing is burned.
            T::Currency::transfer_on_hold(
                &reason,
                stash,
                beneficiary,
                paid,
                Precision::Exact,
                Restriction::Free,
                Fortitude::Force,
            )?;
            T::Currency::burn_held(&reason, stash, burned, Precision::Exact, Fortitude::Force)?;
            Self::deposit_event(Event::Compensated {
                provider: stash.clone(),
                beneficiary: beneficiary.clone(),
                amount: paid,
                burned,
            });
            Ok(paid)
        })
    }
}
