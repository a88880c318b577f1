//! The clock that moves are timed by, and what the chain does by itself at its readings.
//!
//! The clock counts blocks, so it waits when slots are missed, and of these only the ones that had room
//! for a move, so that nobody is late because others filled them.

use assay_primitives::Claims;
use frame_support::{
    defensive, dispatch::DispatchClass, pallet_prelude::*, storage::with_storage_layer,
    traits::Get, weights::WeightMeter,
};
use frame_system::pallet_prelude::BlockNumberFor;
use sp_runtime::{
    traits::{One, Saturating, Zero},
    Perbill,
};

use crate::{
    Agenda, AgendaCursor, ByClaim, Clock, Commitments, Config, Convictions, DisputeId,
    DisputeRecordOf, Disputes, Duty, DutyOf, EarlierPauses, Error, Event, LastPause, Pallet,
    ParametersOf, Params, Pause, Traces, WeightInfo,
};

/// A block had room for moves if no more than this was taken: of the part that only operational transactions
/// may use, or of all of it.
const FULL: Perbill = Perbill::from_percent(90);

impl<T: Config> Pallet<T> {
    pub(crate) fn check_parameters(parameters: &ParametersOf<T>) -> Result<(), Error<T>> {
        ensure!(parameters.is_valid(), Error::<T>::InvalidParameters);
        let hashes: BlockNumberFor<T> = T::BlockHashCount::get();
        ensure!(
            parameters.challenge_blocks <= T::MaturingBlocks::get()
                // An anchor's block must still be known when the receipt is disputed.
                && parameters.challenge_blocks < hashes,
            Error::<T>::WindowTooLong
        );
        Ok(())
    }

    /// The block's transactions are over.
    pub(crate) fn tick() {
        if !Self::is_paused() && Self::had_room() {
            Clock::<T>::mutate(|clock| *clock = clock.saturating_add(One::one()));
        }
    }

    fn had_room() -> bool {
        let used = frame_system::Pallet::<T>::block_weight();
        let limits = T::BlockWeights::get();
        let is_within = |used: Weight, limit: Weight| {
            used.ref_time() <= FULL.mul_floor(limit.ref_time())
                && used.proof_size() <= FULL.mul_floor(limit.proof_size())
        };
        let class = DispatchClass::Operational;
        let reserved = limits.get(class).reserved.unwrap_or_default();
        let length = *T::BlockLength::get().max.get(class);
        (is_within(*used.get(class), reserved) || is_within(used.total(), limits.max_block))
            && frame_system::Pallet::<T>::block_size() <= FULL.mul_floor(length)
    }

    pub(crate) fn is_paused() -> bool {
        LastPause::<T>::get().is_some_and(|pause| pause.until.is_none())
    }

    pub(crate) fn do_pause(on: bool) -> DispatchResult {
        ensure!(on != Self::is_paused(), Error::<T>::NothingToChange);
        let now = Self::now();
        let (pause, event) = match (on, LastPause::<T>::get()) {
            (false, Some(pause)) => {
                let until = Some(now);
                (Pause { until, ..pause }, Event::Resumed)
            }
            (_, last) => {
                if let Some(last) = last {
                    Self::remember(last);
                }
                let pause = Pause {
                    before: Self::stood_still(),
                    since: now,
                    until: None,
                };
                (pause, Event::Paused)
            }
        };
        LastPause::<T>::put(pause);
        Self::deposit_event(event);
        Ok(())
    }

    /// Blocks of all pauses, the one that lasts included: what waits by block numbers waits so much
    /// longer.
    pub fn stood_still() -> BlockNumberFor<T> {
        let Some(pause) = LastPause::<T>::get() else {
            return Zero::zero();
        };
        let until = pause.until.unwrap_or(Self::now());
        let length = until.saturating_sub(pause.since);
        pause.before.saturating_add(length)
    }

    fn remember(pause: Pause<BlockNumberFor<T>>) {
        EarlierPauses::<T>::mutate(|pauses| {
            if pauses.is_full() {
                pauses.remove(0);
            }
            if pauses.try_push(pause).is_err() {
                defensive!("there was no room for a pause");
            }
        });
    }

    /// Blocks of pauses since `block`, of as many pauses as are remembered.
    pub(crate) fn paused_since(block: BlockNumberFor<T>) -> BlockNumberFor<T> {
        let Some(last) = LastPause::<T>::get() else {
            return Zero::zero();
        };
        let since = |pause: &Pause<BlockNumberFor<T>>| {
            let until = pause.until.unwrap_or(Self::now());
            until.saturating_sub(pause.since.max(block))
        };
        let earlier = match last.since > block {
            true => EarlierPauses::<T>::get(),
            false => Default::default(),
        };
        let earlier = earlier.iter().map(since);
        earlier.fold(since(&last), |sum, blocks| sum.saturating_add(blocks))
    }

    /// Do something when the clock has gone on by so much. Returns the reading.
    pub(crate) fn remind(after: BlockNumberFor<T>, duty: DutyOf<T>) -> BlockNumberFor<T> {
        let at = Clock::<T>::get().saturating_add(after);
        Agenda::<T>::insert(at, duty, ());
        at
    }

    /// Store a dispute, with an agenda entry for when its next move is late.
    pub(crate) fn file(number: DisputeId, record: DisputeRecordOf<T>) {
        if let Some(deadline) = record.deadline {
            let late = deadline.saturating_add(One::one());
            Agenda::<T>::insert(late, Duty::Dispute(number), ());
        }
        Disputes::<T>::insert(number, record);
    }

    /// Take back a dispute's agenda entry.
    pub(crate) fn unfile(number: DisputeId, record: &DisputeRecordOf<T>) {
        if let Some(deadline) = record.deadline {
            let late = deadline.saturating_add(One::one());
            Agenda::<T>::remove(late, Duty::Dispute(number));
        }
    }

    /// Do the duties of all readings up to the clock's, oldest first, for as long as the meter allows.
    /// What is left is done in the next block.
    pub(crate) fn work_agenda(meter: &mut WeightMeter) {
        let start = T::DbWeight::get().reads_writes(3, 1);
        if meter.try_consume(start).is_err() || Self::is_paused() {
            return;
        }
        let clock = Clock::<T>::get();
        let start = AgendaCursor::<T>::get();
        let mut cursor = start;
        'readings: while cursor <= clock {
            // One iterator for a reading: a new one would walk again over what was removed. New entries
            // are always for later readings.
            let mut duties = Agenda::<T>::iter_key_prefix(cursor);
            loop {
                if meter.try_consume(T::DbWeight::get().reads(1)).is_err() {
                    break 'readings;
                }
                let Some(duty) = duties.next() else { break };
                if meter.try_consume(Self::duty_weight(&duty)).is_err() {
                    break 'readings;
                }
                Agenda::<T>::remove(cursor, &duty);
                // Nothing may block the agenda; `timeout` can still end a dispute.
                if with_storage_layer(|| Self::fulfil(duty)).is_err() {
                    defensive!("a duty of the referee failed");
                }
            }
            cursor = cursor.saturating_add(One::one());
        }
        if cursor != start {
            AgendaCursor::<T>::put(cursor);
        }
    }

    fn duty_weight(duty: &DutyOf<T>) -> Weight {
        let weight = match duty {
            Duty::Commitment(..) => T::WeightInfo::expire(),
            Duty::Dispute(_) => T::WeightInfo::timeout(),
            Duty::Trace(..) | Duty::Conviction(_) => T::WeightInfo::forget(),
        };
        // It leaves the agenda.
        weight.saturating_add(T::DbWeight::get().writes(1))
    }

    pub(crate) fn fulfil(duty: DutyOf<T>) -> DispatchResult {
        match duty {
            Duty::Commitment(who, hash) => {
                let record = Commitments::<T>::get(&who, hash).ok_or(Error::<T>::NotCommitted)?;
                Self::drop_commitment(&who, hash, &record)?;
                let dispute = record.number;
                Self::deposit_event(Event::CommitmentExpired { dispute, who });
                Ok(())
            }
            Duty::Dispute(number) => Self::do_timeout(number),
            Duty::Trace(receipt, position) => {
                let trace = Traces::<T>::get(receipt, position);
                let stands = trace.is_some_and(|trace| {
                    let disputed = ByClaim::<T>::iter_key_prefix(trace.claim).next().is_some();
                    let facts = T::Claims::facts(&trace.claim);
                    disputed || facts.is_some_and(|facts| Self::is_in_time(&facts, trace.anchor))
                });
                match stands {
                    true => Self::look_again(Duty::Trace(receipt, position)),
                    false => Traces::<T>::remove(receipt, position),
                }
                Ok(())
            }
            Duty::Conviction(claim) => {
                match T::Claims::facts(&claim).is_some()
                    || ByClaim::<T>::iter_key_prefix(claim).next().is_some()
                {
                    true => Self::look_again(Duty::Conviction(claim)),
                    false => Convictions::<T>::remove(claim),
                }
                Ok(())
            }
        }
    }

    /// Look again, after a window, whether something can be dropped.
    pub(crate) fn look_again(duty: DutyOf<T>) {
        let after = Params::<T>::get().challenge_blocks;
        Self::remind(after, duty);
    }
}
