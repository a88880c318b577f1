//! What disputes ask of jobs.

use assay_primitives::{
    Balance, Claim, ClaimFacts, Claims, JobId, Market, ModelCatalogue, Request, Settlement,
};
use frame_support::{
    pallet_prelude::*,
    traits::{fungible::MutateHold, tokens::Precision, DefensiveSaturating, Get},
};
use frame_system::pallet_prelude::BlockNumberFor;
use sp_runtime::traits::{One, Saturating, Zero};

use crate::{
    AssignmentRecordOf, Config, DeliveryRecordOf, Error, Event, HoldReason, JobRecordOf, JobState,
    Jobs, Pallet, Params,
};

/// Blocks that the window stays open at least after a dispute: whoever waited for its end can still
/// open another.
const WINDOW_AFTER_DISPUTE: u32 = 5;

/// A job that an answer was delivered for.
type Delivered<T> = (
    JobId,
    JobRecordOf<T>,
    AssignmentRecordOf<T>,
    DeliveryRecordOf<T>,
);

impl<T: Config> Pallet<T> {
    fn delivered(claim: &Claim) -> Option<Delivered<T>> {
        let Claim::Job(id) = *claim else { return None };
        let job = Jobs::<T>::get(id)?;
        match job.state.clone() {
            JobState::Delivered(assignment, delivery) => Some((id, job, assignment, delivery)),
            _ => None,
        }
    }

    /// The delivery with its window as it stands now that the referee was paused for so long.
    pub(crate) fn window_now(mut delivery: DeliveryRecordOf<T>) -> DeliveryRecordOf<T> {
        let stood_still = T::StoodStill::get();
        let longer = stood_still.saturating_sub(delivery.stood_still);
        delivery.window_end = delivery.window_end.saturating_add(longer);
        delivery.stood_still = stood_still;
        delivery
    }

    /// File a delivered job again, after its window was moved.
    pub(crate) fn wait(
        id: JobId,
        mut job: JobRecordOf<T>,
        assignment: AssignmentRecordOf<T>,
        delivery: DeliveryRecordOf<T>,
    ) -> DispatchResult {
        job.state = JobState::Delivered(assignment, delivery);
        Self::file(id, job);
        Ok(())
    }
}

impl<T: Config> Claims<T::AccountId, BlockNumberFor<T>> for Pallet<T> {
    fn facts(claim: &Claim) -> Option<ClaimFacts<T::AccountId, BlockNumberFor<T>>> {
        let (id, job, assignment, delivery) = Self::delivered(claim)?;
        let window_end = match job.disputes {
            0 => Self::window_now(delivery.clone()).window_end,
            _ => Self::now().saturating_add(delivery.window_left),
        };
        let genesis = frame_system::Pallet::<T>::block_hash(BlockNumberFor::<T>::zero());
        Some(ClaimFacts {
            epoch: T::Market::terms(&assignment.provider)?.epoch,
            request: Request::Known {
                header: job.header(genesis, id, &assignment),
                randomness: assignment.randomness,
                receipt: delivery.receipt_hash,
                // Settlement comes first in its block.
                window_end: window_end.saturating_sub(One::one()),
            },
            user: job.user,
            provider: assignment.provider,
            listing: job.listing,
            paid: 0,
            backing: job.escrow,
            disputes: job.disputes,
        })
    }

    fn freeze(claim: &Claim) -> DispatchResult {
        let (id, mut job, assignment, delivery) =
            Self::delivered(claim).ok_or(Error::<T>::NotDelivered)?;
        Self::unfile(id, &job);
        let mut delivery = Self::window_now(delivery);
        if job.disputes == 0 {
            delivery.window_left = delivery.window_end.saturating_sub(Self::now());
        }
        job.disputes = job.disputes.checked_add(1).ok_or(Error::<T>::Overflow)?;
        Self::wait(id, job, assignment, delivery)
    }

    fn thaw(claim: &Claim) {
        let Claim::Job(id) = *claim else { return };
        let Some(mut job) = Jobs::<T>::get(id) else {
            return;
        };
        job.disputes.defensive_saturating_dec();
        if job.disputes == 0 {
            let now = Self::now();
            match &mut job.state {
                JobState::Delivered(_, delivery) => {
                    let left = delivery.window_left.max(WINDOW_AFTER_DISPUTE.into());
                    delivery.window_end = now.saturating_add(left);
                    delivery.window_left = Zero::zero();
                    delivery.stood_still = T::StoodStill::get();
                }
                JobState::Slashed { removed_at, .. } => {
                    *removed_at = now.saturating_add(One::one()).max(*removed_at);
                }
                _ => {}
            }
        }
        Self::file(id, job);
    }

    fn void(claim: &Claim, _: Balance) -> Result<Balance, DispatchError> {
        let (id, mut job, assignment, delivery) =
            Self::delivered(claim).ok_or(Error::<T>::NotDelivered)?;
        Self::unfile(id, &job);
        let refund = core::mem::take(&mut job.escrow);
        T::Currency::release(
            &HoldReason::Escrow.into(),
            &job.user,
            refund,
            Precision::Exact,
        )?;
        // The answer earns nothing and is answered for no more.
        let settlement = Settlement {
            fee: refund,
            ..Default::default()
        };
        T::Market::close(&assignment.provider, &settlement);
        T::Catalogue::release(&job.listing);
        let (user, provider) = (job.user.clone(), assignment.provider.clone());
        job.state = JobState::Slashed {
            assignment,
            delivery,
            removed_at: Self::now().saturating_add(Params::<T>::get().retention_blocks),
        };
        Self::file(id, job);
        Self::deposit_event(Event::Slashed {
            job: id,
            provider,
            user,
            refund,
        });
        Ok(refund)
    }

    fn note_refund(_: &Claim, _: Balance) {}
}
