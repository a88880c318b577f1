//! The invariants in the crate's documentation, by their numbers.

#[cfg(any(feature = "try-runtime", feature = "std"))]
impl<T: crate::Config> crate::Pallet<T> {
    pub fn do_try_state() -> Result<(), sp_runtime::TryRuntimeError> {
        use crate::{
            Agenda, ByClaim, Commitments, Convictions, DisputeId, Disputes, Dockets, Duty,
            HoldReason, NextDispute, Params, Traces,
        };
        use alloc::collections::BTreeMap;
        use assay_primitives::Balance;
        use frame_support::{ensure, traits::fungible::InspectHold};
        use sp_runtime::traits::{One, Saturating};

        let next = NextDispute::<T>::get();
        let mut deposits = BTreeMap::<T::AccountId, Balance>::new();
        let mut due = 0usize;
        for (who, hash, commitment) in Commitments::<T>::iter() {
            let sum = deposits.entry(who.clone()).or_default();
            *sum = sum.saturating_add(commitment.deposit);
            due = due.saturating_add(1);
            let duty = Duty::Commitment(who, hash);
            ensure!(
                commitment.number < next && Agenda::<T>::contains_key(commitment.expires_at, duty),
                "disputes 2: a commitment that will not be dropped"
            );
        }
        let mut bonds = BTreeMap::<T::AccountId, Balance>::new();
        let mut disputes = 0usize;
        for (number, dispute) in Disputes::<T>::iter() {
            disputes = disputes.saturating_add(1);
            let sum = bonds.entry(dispute.challenger.clone()).or_default();
            *sum = sum.saturating_add(dispute.bond);
            ensure!(
                dispute.surcharge < dispute.bond,
                "disputes 1: a queue added more to a bond than there is"
            );
            ensure!(
                number < next
                    && ByClaim::<T>::get(dispute.claim, dispute.rank(number))
                        == Some(dispute.receipt.fee),
                "disputes 3: a dispute that its claim does not know"
            );
            let docket = Dockets::<T>::get(&dispute.provider);
            match dispute.deadline {
                Some(deadline) => {
                    due = due.saturating_add(1);
                    let late = deadline.saturating_add(One::one());
                    ensure!(
                        Agenda::<T>::contains_key(late, Duty::Dispute(number)),
                        "disputes 2: a dispute that will not end"
                    );
                    ensure!(
                        docket.live.contains(&number),
                        "disputes 4: a live dispute that is not on its docket"
                    );
                }
                None => ensure!(
                    docket.waiting.contains(&number),
                    "disputes 4: a waiting dispute that is not on its docket"
                ),
            }
        }
        // Also those who have a hold and no record.
        for who in frame_system::Account::<T>::iter_keys() {
            let held = |reason: HoldReason| T::Currency::balance_on_hold(&reason.into(), &who);
            let of = |sums: &BTreeMap<T::AccountId, Balance>| sums.get(&who).copied().unwrap_or(0);
            ensure!(
                held(HoldReason::CommitmentDeposit) == of(&deposits)
                    && held(HoldReason::ChallengeBond) == of(&bonds),
                "disputes 1: what is on hold is not what the records say"
            );
        }
        ensure!(
            ByClaim::<T>::iter_keys().count() == disputes,
            "disputes 3: a claim knows a dispute that is not there"
        );
        let mut on_dockets = 0usize;
        for docket in Dockets::<T>::iter_values() {
            let all = docket.live.iter().chain(docket.waiting.iter());
            on_dockets = on_dockets.saturating_add(all.clone().count());
            ensure!(
                all.copied()
                    .all(|number: DisputeId| Disputes::<T>::contains_key(number)),
                "disputes 4: a docket with a dispute that is not there"
            );
            let limit = usize::try_from(Params::<T>::get().live_disputes).unwrap_or(usize::MAX);
            ensure!(
                docket.waiting.is_empty() || docket.live.len() >= limit.min(1),
                "disputes 4: a dispute waits for nothing"
            );
        }
        ensure!(
            on_dockets == disputes,
            "disputes 4: a dispute on two dockets"
        );
        let traces = Traces::<T>::iter_keys().count();
        let convictions = Convictions::<T>::iter_keys().count();
        let all = due.saturating_add(traces).saturating_add(convictions);
        ensure!(
            Agenda::<T>::iter_keys().count() == all,
            "disputes 2: a duty for nothing, or nothing for a duty"
        );
        Ok(())
    }
}
