//! The invariants in the crate's documentation, by their numbers.

#[cfg(any(feature = "try-runtime", feature = "std"))]
impl<T: crate::Config> crate::Pallet<T> {
    pub fn do_try_state() -> Result<(), sp_runtime::TryRuntimeError> {
        use crate::{
            Agenda, ByClaim, Commitments, Convictions, Disputes, Dockets, Duty, DutyOf, HoldReason,
            NextDispute, Traces,
        };
        use alloc::collections::BTreeMap;
        use assay_primitives::{Balance, Claim, Claims, Stake};
        use codec::Encode;
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
        let mut of_providers = BTreeMap::<T::AccountId, u32>::new();
        let mut of_claims = BTreeMap::<_, (Claim, u32)>::new();
        for (number, dispute) in Disputes::<T>::iter() {
            disputes = disputes.saturating_add(1);
            let count = of_providers.entry(dispute.provider.clone()).or_default();
            *count = count.saturating_add(1);
            // A channel counts those over all its answers.
            let claim = match dispute.claim {
                Claim::Channel { id, .. } => Claim::Channel { id, seq: 0 },
                job => job,
            };
            let (_, count) = of_claims.entry(claim.encode()).or_insert((claim, 0));
            *count = count.saturating_add(1);
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
                        docket.live.iter().any(|live| live.dispute == number),
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
        for (provider, count) in of_providers {
            ensure!(
                T::Stake::disputes(&provider) == count,
                "disputes 5: a stake that waits for other disputes than there are"
            );
        }
        for (claim, count) in of_claims.into_values() {
            ensure!(
                // One that is lost already keeps its record by itself.
                T::Claims::facts(&claim).is_none_or(|facts| facts.disputes == count),
                "disputes 5: a claim that waits for other disputes than there are"
            );
        }
        let mut on_dockets = 0usize;
        for docket in Dockets::<T>::iter_values() {
            on_dockets = on_dockets.saturating_add(docket.numbers().count());
            ensure!(
                docket.numbers().all(Disputes::<T>::contains_key),
                "disputes 4: a docket with a dispute that is not there"
            );
            // A limit that was raised is reached as disputes end.
            ensure!(
                docket.waiting.is_empty() || !docket.live.is_empty(),
                "disputes 4: a dispute waits for nothing"
            );
        }
        ensure!(
            on_dockets == disputes,
            "disputes 4: a dispute on two dockets"
        );
        let mut duties = BTreeMap::<_, u32>::new();
        for (_, duty) in Agenda::<T>::iter_keys() {
            let count = duties.entry(duty.encode()).or_default();
            *count = count.saturating_add(1);
        }
        let traces =
            Traces::<T>::iter_keys().map(|(receipt, position)| Duty::Trace(receipt, position));
        let convictions = Convictions::<T>::iter_keys().map(Duty::Conviction);
        for duty in traces.chain(convictions) {
            let duty: DutyOf<T> = duty;
            due = due.saturating_add(1);
            ensure!(
                duties.get(&duty.encode()) == Some(&1),
                "disputes 2: something that will not be dropped"
            );
        }
        ensure!(
            Agenda::<T>::iter_keys().count() == due,
            "disputes 2: a duty for nothing, or nothing for a duty"
        );
        Ok(())
    }
}
