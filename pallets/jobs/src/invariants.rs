//! The invariants in the crate's documentation, by their numbers.

#[cfg(any(feature = "try-runtime", feature = "std"))]
impl<T: crate::Config> crate::Pallet<T> {
    pub fn do_try_state() -> Result<(), sp_runtime::TryRuntimeError> {
        use crate::{
            Agenda, AgendaCursor, Assignments, HoldReason, JobState, Jobs, Outputs, Prompts,
            Randomness,
        };
        use alloc::collections::BTreeMap;
        use assay_primitives::Balance;
        use frame_support::{ensure, traits::fungible::InspectHold};

        let mut escrows = BTreeMap::<T::AccountId, Balance>::new();
        let (mut jobs, mut entries, mut outputs, mut assigned) = (0u64, 0u64, 0u64, 0u64);
        for (id, job) in Jobs::<T>::iter() {
            jobs = jobs.saturating_add(1);
            let sum = escrows.entry(job.user.clone()).or_default();
            *sum = sum.saturating_add(job.escrow);
            if let Some(due) = job.due() {
                entries = entries.saturating_add(1);
                ensure!(
                    Agenda::<T>::contains_key(due, id),
                    "jobs 2: a job without an agenda entry at its next step"
                );
            }
            ensure!(
                job.disputes == 0
                    || matches!(
                        job.state,
                        JobState::Delivered(..) | JobState::Slashed { .. }
                    ),
                "jobs 7: a dispute over a job without an answer"
            );
            ensure!(
                Prompts::<T>::contains_key(id),
                "jobs 3: a job without its prompt"
            );
            let answered = match &job.state {
                JobState::Waiting { .. } => false,
                JobState::Assigned(assignment) => {
                    assigned = assigned.saturating_add(1);
                    ensure!(
                        Assignments::<T>::contains_key(&assignment.provider, id),
                        "jobs 4: an assigned job that its provider cannot find"
                    );
                    false
                }
                JobState::Delivered(_, delivery) => {
                    ensure!(
                        job.escrow == delivery.fee,
                        "jobs 5: the escrow is not the fee"
                    );
                    true
                }
                JobState::Settled { .. } => {
                    ensure!(job.escrow == 0, "jobs 5: a settled job holds money");
                    true
                }
                JobState::Slashed { .. } => {
                    ensure!(job.escrow == 0, "jobs 5: a slashed job holds money");
                    true
                }
                JobState::Refunded { .. } => {
                    ensure!(job.escrow == 0, "jobs 5: a refunded job holds money");
                    false
                }
            };
            ensure!(
                Outputs::<T>::contains_key(id) == answered,
                "jobs 3: an output does not go with the job's state"
            );
            outputs = outputs.saturating_add(answered.into());
        }
        for (user, escrow) in escrows {
            ensure!(
                escrow == T::Currency::balance_on_hold(&HoldReason::Escrow.into(), &user),
                "jobs 1: escrows differ from the hold"
            );
        }
        let count = |keys: usize| u64::try_from(keys).unwrap_or(u64::MAX);
        ensure!(
            count(Agenda::<T>::iter_keys().count()) == entries,
            "jobs 2: a stray agenda entry"
        );
        ensure!(
            count(Prompts::<T>::iter_keys().count()) == jobs,
            "jobs 3: a stray prompt"
        );
        ensure!(
            count(Outputs::<T>::iter_keys().count()) == outputs,
            "jobs 3: a stray output"
        );
        ensure!(
            count(Assignments::<T>::iter_keys().count()) == assigned,
            "jobs 4: a stray assignment"
        );
        let cursor = AgendaCursor::<T>::get();
        ensure!(
            Randomness::<T>::iter_keys().all(|block| block >= cursor),
            "jobs 6: randomness that no draw is waiting for"
        );
        Ok(())
    }
}
