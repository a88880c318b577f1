//! How an assignment, and how a job, comes to its end: every movement of money.

use assay_primitives::{
    Balance, Dues, Fees, JobId, ListingId, Market, ModelCatalogue, Outcome, Settlement,
};
use frame_support::{
    defensive,
    pallet_prelude::*,
    storage::with_storage_layer,
    traits::{
        fungible::{InspectHold, MutateHold},
        tokens::{Fortitude, Precision, Restriction},
        Consideration, Get,
    },
};
use sp_runtime::{traits::Saturating, Permill};

use crate::{
    AssignmentRecordOf, Assignments, Config, DeliveryRecordOf, Event, HoldReason, JobRecordOf,
    JobState, Jobs, Outputs, Pallet, Params, Prompts, RefundReason,
};

impl<T: Config> Pallet<T> {
    /// An assignment ended without an answer: draw again, or refund.
    pub(crate) fn send_back(
        id: JobId,
        mut job: JobRecordOf<T>,
        assignment: AssignmentRecordOf<T>,
        outcome: Outcome,
    ) -> DispatchResult {
        let provider = assignment.provider.clone();
        T::Market::resolve(
            &provider,
            &job.listing,
            assignment.worst_case_fee,
            outcome,
            0,
        );
        Assignments::<T>::remove(&provider, id);
        let compensation = match outcome {
            Outcome::Missed => Self::compensate(&job, &assignment),
            Outcome::Delivered | Outcome::Declined => 0,
        };
        if job.excluded.try_push(provider.clone()).is_err() {
            defensive!("more providers were drawn than draws are allowed");
        }
        Self::deposit_event(Event::SentBack {
            job: id,
            provider,
            outcome,
            compensation,
        });
        Self::draw_again(id, job)
    }

    fn compensate(job: &JobRecordOf<T>, assignment: &AssignmentRecordOf<T>) -> Balance {
        let parameters = Params::<T>::get();
        let amount = parameters
            .missed_penalty
            .mul_floor(assignment.worst_case_fee)
            .max(parameters.min_missed_penalty)
            // Never more than the job could have earned, or missing deadlines would be worth
            // provoking.
            .min(assignment.worst_case_fee);
        // The user's account exists: it has money on hold. Should the payment fail all the same,
        // the job goes on without it.
        with_storage_layer(|| T::Market::compensate(&assignment.provider, &job.user, amount))
            .unwrap_or_else(|error| {
                defensive!("a compensation could not be paid", error);
                0
            })
    }

    /// Wait for another draw if there may be one, and refund otherwise.
    pub(crate) fn draw_again(id: JobId, mut job: JobRecordOf<T>) -> DispatchResult {
        let exhausted = job.draws >= Params::<T>::get().max_draws;
        let named_failed = job
            .named
            .as_ref()
            .is_some_and(|named| job.excluded.contains(named));
        if exhausted || named_failed {
            return Self::refund(id, job, RefundReason::Exhausted);
        }
        // What was released at the assignment is needed again if the next provider is dearer; a
        // user who has spent it meanwhile goes on with what is still on hold.
        let missing = job.max_fee.saturating_sub(job.escrow);
        if missing > 0 && T::Currency::hold(&HoldReason::Escrow.into(), &job.user, missing).is_ok()
        {
            job.escrow = job.max_fee;
        }
        job.state = JobState::Waiting {
            draw_at: Self::next_draw(),
        };
        Self::file(id, job);
        Ok(())
    }

    /// Release the whole escrow; the job is over.
    pub(crate) fn refund(
        id: JobId,
        mut job: JobRecordOf<T>,
        reason: RefundReason,
    ) -> DispatchResult {
        let amount = core::mem::take(&mut job.escrow);
        T::Currency::release(
            &HoldReason::Escrow.into(),
            &job.user,
            amount,
            Precision::Exact,
        )?;
        T::Catalogue::release(&job.listing);
        let removed_at = Self::now().saturating_add(Params::<T>::get().retention_blocks);
        job.state = JobState::Refunded { reason, removed_at };
        let user = job.user.clone();
        Self::file(id, job);
        Self::deposit_event(Event::Refunded {
            job: id,
            user,
            amount,
            reason,
        });
        Ok(())
    }

    /// The window of a delivered job is over: divide the fee.
    pub(crate) fn settle(
        id: JobId,
        mut job: JobRecordOf<T>,
        assignment: AssignmentRecordOf<T>,
        delivery: DeliveryRecordOf<T>,
    ) -> DispatchResult {
        let fee = core::mem::take(&mut job.escrow);
        let settlement = Self::pay(&job.user, &assignment.provider, &job.listing, fee)?;
        T::Market::close(&assignment.provider, &settlement);
        T::Catalogue::release(&job.listing);

        let provider = assignment.provider.clone();
        let removed_at = Self::now().saturating_add(Params::<T>::get().retention_blocks);
        job.state = JobState::Settled {
            assignment,
            delivery,
            settlement,
            removed_at,
        };
        Self::file(id, job);
        Self::deposit_event(Event::Settled {
            job: id,
            provider,
            settlement,
        });
        Ok(())
    }

    /// The record has been readable long enough: drop it and return the deposit.
    pub(crate) fn remove(id: JobId, job: JobRecordOf<T>) -> DispatchResult {
        job.ticket.drop(&job.user)?;
        Jobs::<T>::remove(id);
        Prompts::<T>::remove(id);
        Outputs::<T>::remove(id);
        Self::deposit_event(Event::Removed { job: id });
        Ok(())
    }

    /// Release what the provider's price cannot reach.
    pub(crate) fn trim_escrow(job: &mut JobRecordOf<T>, worst_case_fee: Balance) {
        let reason = HoldReason::Escrow.into();
        let rest = job.escrow.saturating_sub(worst_case_fee);
        debug_assert!(T::Currency::balance_on_hold(&reason, &job.user) >= job.escrow);
        match T::Currency::release(&reason, &job.user, rest, Precision::Exact) {
            Ok(_) => job.escrow = worst_case_fee,
            Err(error) => {
                defensive!("an escrow is larger than the hold", error);
            }
        }
    }

    /// Divide `fee`, which `user` has in escrow, between the listing's publisher, the protocol and
    /// the provider, whose part begins to mature.
    fn pay(
        user: &T::AccountId,
        provider: &T::AccountId,
        listing: &ListingId,
        fee: Balance,
    ) -> Result<Settlement, DispatchError> {
        let royalty = T::Catalogue::listing(listing)
            .map(|model| model.royalty)
            .unwrap_or_default();
        let reason = HoldReason::Escrow.into();
        let dues = Self::divide(royalty, fee).dues();
        let paid = Self::pay_dues(&reason, user, listing, dues)?;
        // The provider takes what nobody else does.
        let earned = fee.saturating_sub(paid.total());
        transfer::<T>(&reason, user, provider, earned)?;
        if T::Market::mature(provider, earned).is_err() {
            defensive!("earnings could not be put on hold");
        }
        Ok(Settlement {
            fee,
            provider: earned,
            royalty: paid.royalty,
            treasury: paid.treasury,
            burned: paid.burned,
        })
    }
}

fn transfer<T: Config>(
    reason: &T::RuntimeHoldReason,
    user: &T::AccountId,
    payee: &T::AccountId,
    amount: Balance,
) -> DispatchResult {
    if amount > 0 {
        T::Currency::transfer_on_hold(
            reason,
            user,
            payee,
            amount,
            Precision::Exact,
            Restriction::Free,
            Fortitude::Force,
        )?;
    }
    Ok(())
}

impl<T: Config> Fees<T::AccountId, T::RuntimeHoldReason> for Pallet<T> {
    fn divide(royalty: Permill, fee: Balance) -> Settlement {
        let parameters = Params::<T>::get();
        Settlement::divide(
            fee,
            royalty,
            parameters.protocol_fee,
            parameters.burned_share,
        )
    }

    fn pay_dues(
        reason: &T::RuntimeHoldReason,
        user: &T::AccountId,
        listing: &ListingId,
        mut dues: Dues,
    ) -> Result<Dues, DispatchError> {
        let royalty_paid = with_storage_layer(|| {
            let account = T::Catalogue::royalty_account();
            transfer::<T>(reason, user, &account, dues.royalty)?;
            T::Catalogue::credit_royalty(listing, dues.royalty)
        });
        if royalty_paid.is_err() {
            dues.royalty = 0;
        }
        if transfer::<T>(reason, user, &T::Treasury::get(), dues.treasury).is_err() {
            dues.treasury = 0;
        }
        T::Currency::burn_held(
            reason,
            user,
            dues.burned,
            Precision::Exact,
            Fortitude::Force,
        )?;
        Ok(dues)
    }
}
