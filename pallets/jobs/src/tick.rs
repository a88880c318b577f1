//! What the chain does by itself: each job's next step, at its block.

use assay_primitives::{JobId, Market, Outcome};
use codec::Encode;
use frame_support::{
    defensive, pallet_prelude::*, storage::with_storage_layer, traits::Get, weights::WeightMeter,
};
use frame_system::pallet_prelude::BlockNumberFor;
use sp_core::H256;
use sp_runtime::traits::{Hash, One, Saturating};

use crate::{
    Agenda, AgendaCursor, AssignmentRecord, Assignments, Config, Event, JobRecordOf, JobState,
    Jobs, Pallet, Randomness, WeightInfo,
};

impl<T: Config> Pallet<T> {
    /// Store a job, with an agenda entry for its next step if it has one.
    pub(crate) fn file(id: JobId, job: JobRecordOf<T>) {
        if let Some(due) = job.due() {
            Agenda::<T>::insert(due, id, ());
        }
        Jobs::<T>::insert(id, job);
    }

    /// Take back a job's agenda entry, before its state changes.
    pub(crate) fn unfile(id: JobId, job: &JobRecordOf<T>) {
        if let Some(due) = job.due() {
            Agenda::<T>::remove(due, id);
        }
    }

    /// Keep the randomness of the draws that are due in this block. A draw for which the block has
    /// no room must not get a later block's: whoever fills blocks could choose among many.
    pub(crate) fn pin_randomness(now: BlockNumberFor<T>) {
        if let Some(randomness) = T::ParentRandomness::get() {
            Randomness::<T>::insert(now, randomness);
        }
    }

    /// Take the steps of all blocks up to now, oldest first, for as long as the meter allows. What
    /// is left is taken in the next block.
    pub(crate) fn work_agenda(now: BlockNumberFor<T>, meter: &mut WeightMeter) {
        // The cursor, and the randomness that was just pinned.
        if meter
            .try_consume(T::DbWeight::get().reads_writes(2, 2))
            .is_err()
        {
            return;
        }
        let start = AgendaCursor::<T>::get();
        let mut cursor = start;
        'blocks: while cursor <= now {
            // One iterator for a block: a new one would walk again over what was removed. New
            // entries are always for later blocks.
            let mut ids = Agenda::<T>::iter_key_prefix(cursor);
            loop {
                if meter.try_consume(T::DbWeight::get().reads(1)).is_err() {
                    break 'blocks;
                }
                let Some(id) = ids.next() else { break };
                let Some(job) = Jobs::<T>::get(id) else {
                    defensive!("an agenda entry without a job");
                    Agenda::<T>::remove(cursor, id);
                    continue;
                };
                if meter.try_consume(Self::step_weight(&job)).is_err() {
                    break 'blocks;
                }
                if with_storage_layer(|| Self::step(id, job)).is_err() {
                    defensive!("a job's step failed");
                    // Nothing may block the agenda; `finalize` can still take this step.
                    Agenda::<T>::remove(cursor, id);
                }
            }
            if meter.try_consume(T::DbWeight::get().writes(1)).is_err() {
                break;
            }
            // In a block that does its own agenda, this never reaches the database.
            Randomness::<T>::remove(cursor);
            cursor = cursor.saturating_add(One::one());
        }
        if cursor != start {
            AgendaCursor::<T>::put(cursor);
        }
    }

    fn step_weight(job: &JobRecordOf<T>) -> Weight {
        match job.state {
            JobState::Waiting { .. } => T::WeightInfo::draw(Self::offers_for(job)),
            JobState::Assigned(_) => T::WeightInfo::miss(),
            JobState::Delivered(..) => T::WeightInfo::settle(),
            JobState::Settled { .. } | JobState::Refunded { .. } | JobState::Slashed { .. } => {
                T::WeightInfo::remove()
            }
        }
    }

    /// How many offers a draw for this job looks at.
    pub(crate) fn offers_for(job: &JobRecordOf<T>) -> u32 {
        match job.named {
            Some(_) => 1,
            None => T::Market::offers(&job.listing).max(1),
        }
    }

    /// Take the next step of a job, whose block has come.
    pub(crate) fn step(id: JobId, job: JobRecordOf<T>) -> DispatchResult {
        Self::unfile(id, &job);
        match job.state.clone() {
            JobState::Waiting { draw_at } => Self::draw(id, job, draw_at),
            JobState::Assigned(assignment) => Self::send_back(id, job, assignment, Outcome::Missed),
            JobState::Delivered(assignment, delivery) => {
                let delivery = Self::window_now(delivery);
                if delivery.window_end > Self::now() {
                    return Self::wait(id, job, assignment, delivery);
                }
                Self::settle(id, job, assignment, delivery)
            }
            JobState::Settled { .. } | JobState::Refunded { .. } | JobState::Slashed { .. } => {
                Self::remove(id, job)
            }
        }
    }

    fn draw(id: JobId, mut job: JobRecordOf<T>, draw_at: BlockNumberFor<T>) -> DispatchResult {
        job.draws = job.draws.saturating_add(1);
        let drawn = Randomness::<T>::get(draw_at).and_then(|randomness| {
            let seed = (randomness, id, job.draws, job.prompt_root);
            let randomness: H256 = T::Hashing::hash(&seed.encode());
            let request = Self::draw_request(&job, draw_at, randomness);
            let assignment = T::Market::draw(&request)?;
            Some((assignment, randomness))
        });
        let Some((assignment, randomness)) = drawn else {
            Self::deposit_event(Event::NobodyEligible {
                job: id,
                draws: job.draws,
            });
            return Self::draw_again(id, job);
        };
        Self::trim_escrow(&mut job, assignment.worst_case_fee);
        let deadline = Self::deadline(job.prompt_len.saturating_add(assignment.token_limit));
        Assignments::<T>::insert(&assignment.provider, id, ());
        Self::deposit_event(Event::Assigned {
            job: id,
            provider: assignment.provider.clone(),
            price: assignment.price,
            token_limit: assignment.token_limit,
            deadline,
        });
        let record = AssignmentRecord::new(assignment, randomness, Self::now(), deadline);
        job.state = JobState::Assigned(record);
        Self::file(id, job);
        Ok(())
    }
}
