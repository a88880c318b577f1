//! How a dispute ends: every movement of money.

use crate::{
    statement::FactsOf, ByClaim, Clock, Config, Convictions, DisputeId, DisputeRecordOf, Disputes,
    Dockets, Duty, Error, Event, Fault, HoldReason, Pallet, Params, Rank, Side, Verdict,
};
use assay_primitives::{Balance, Claim, Claims, Conviction, Stake};
use frame_support::{
    defensive,
    pallet_prelude::*,
    storage::with_storage_layer,
    traits::{
        fungible::MutateHold,
        tokens::{Fortitude, Precision, Restriction},
    },
};

/// Disputes that begin when one ends: a second one, so that a limit that was raised is reached.
const MAX_STARTS: u32 = 2;

impl<T: Config> Pallet<T> {
    pub(crate) fn do_timeout(number: DisputeId) -> DispatchResult {
        ensure!(!Self::is_paused(), Error::<T>::Paused);
        let record = Disputes::<T>::get(number).ok_or(Error::<T>::UnknownDispute)?;
        if Convictions::<T>::contains_key(record.claim) {
            return Self::conclude(number, record, Verdict::Superseded);
        }
        let deadline = record.deadline.ok_or(Error::<T>::DisputeWaits)?;
        ensure!(Clock::<T>::get() > deadline, Error::<T>::NotLate);
        let loser = record.stage.side();
        Self::decide(number, record, loser)
    }

    /// One side has lost.
    pub(crate) fn decide(
        number: DisputeId,
        record: DisputeRecordOf<T>,
        loser: Side,
    ) -> DispatchResult {
        let verdict = match loser {
            Side::Challenger => Verdict::Acquitted,
            Side::Provider => {
                let facts = T::Claims::facts(&record.claim).ok_or(Error::<T>::UnknownClaim)?;
                let fee = record.receipt.fee;
                let accuser = (record.rank(number), record.challenger.clone());
                Self::convict(&record.claim, facts, fee, accuser, None)?;
                Verdict::Convicted
            }
        };
        // A conviction counts against what the queue added to the bond of who is rewarded.
        let record = Disputes::<T>::get(number).unwrap_or(record);
        Self::conclude(number, record, verdict)
    }

    /// The provider is guilty of the claim: give the user its money back, slash, and reward whoever
    /// was first among those who dispute it now, `accuser` included. It counts who opened first: who only
    /// has a commitment could have it in advance for whatever is disputed. And it counts what the dearest
    /// of their receipts bills: a provider that is disputed could be convicted of a cheap one by a friend.
    /// It counts no further than what was put into the claim: a friend's receipt could bill so much that
    /// nothing is left of the stake for other claims. Returns all that changed hands.
    pub(crate) fn convict(
        claim: &Claim,
        facts: FactsOf<T>,
        fee: Balance,
        (accusation, accuser): (Rank, T::AccountId),
        fault: Option<Fault>,
    ) -> Result<Balance, DispatchError> {
        let disputes = ByClaim::<T>::iter_prefix(claim);
        let (first, fee) = disputes.fold((accusation, fee), |(first, most), (rank, fee)| {
            (first.min(rank), most.max(fee))
        });
        let rewarded = DisputeId::from_be_bytes(first.1);
        let challenger = match first == accusation {
            true => accuser,
            false => {
                let dispute = Disputes::<T>::get(rewarded);
                dispute.ok_or(Error::<T>::UnknownDispute)?.challenger
            }
        };
        Convictions::<T>::insert(claim, rewarded);
        Self::look_again(Duty::Conviction(*claim));

        let fee = fee.min(facts.backing);
        let conviction = Conviction {
            fee,
            user: facts.user,
            refund: fee.min(facts.paid),
            challenger: challenger.clone(),
        };
        let slashed = T::Stake::slash(&facts.provider, &conviction)?;
        Disputes::<T>::mutate_extant(rewarded, |record| {
            record.surcharge = record.surcharge.saturating_sub(slashed.burned);
        });
        T::Claims::note_refund(claim, slashed.refund);
        // Also what the stake should have given and could not, or a voucher would pay it to the provider.
        let returned = T::Claims::void(claim, fee.saturating_sub(slashed.refund))?;
        let taken = [slashed.refund, slashed.reward, slashed.burned];
        let moved = taken.into_iter().fold(returned, Balance::saturating_add);
        Self::deposit_event(Event::Convicted {
            claim: *claim,
            provider: facts.provider,
            challenger,
            returned,
            slashed,
            fault,
        });
        Ok(moved)
    }

    /// A dispute is over: do with the bond what the verdict says, let go what it held, and let the next
    /// one of the provider begin.
    pub(crate) fn conclude(
        number: DisputeId,
        record: DisputeRecordOf<T>,
        verdict: Verdict,
    ) -> DispatchResult {
        Self::unfile(number, &record);
        Disputes::<T>::remove(number);
        ByClaim::<T>::remove(record.claim, record.rank(number));
        let (compensation, burned) = match verdict {
            Verdict::Acquitted => Self::forfeit(&record)?,
            // Whatever came of it, it has filled the queue: a provider could fill its own to shut others out,
            // and give up one claim, or many that its stake does not pay for, or a broken model of its own.
            Verdict::Convicted | Verdict::Superseded | Verdict::ModelBroken => {
                (0, Self::give_back(&record)?)
            }
        };
        T::Claims::thaw(&record.claim);
        T::Stake::thaw(&record.provider);
        Self::deposit_event(Event::Ended {
            dispute: number,
            verdict,
            compensation,
            burned,
        });
        Self::leave_docket(number, &record.provider);
        Ok(())
    }

    /// Give a bond back but for what the queue added to it, which is burned. Returns that.
    fn give_back(record: &DisputeRecordOf<T>) -> Result<Balance, DispatchError> {
        Self::burn_of_bond(record, record.surcharge)?;
        T::Currency::release(
            &HoldReason::ChallengeBond.into(),
            &record.challenger,
            record.bond.saturating_sub(record.surcharge),
            Precision::Exact,
        )?;
        Ok(record.surcharge)
    }

    /// The challenger was wrong: pay the provider for its trouble and burn the rest, so that a provider
    /// that challenges itself loses too. Returns both.
    fn forfeit(record: &DisputeRecordOf<T>) -> Result<(Balance, Balance), DispatchError> {
        let compensation = Params::<T>::get().compensation(record.question.leaves());
        let compensation = compensation.min(record.bond);
        let paid = with_storage_layer(|| {
            T::Currency::transfer_on_hold(
                &HoldReason::ChallengeBond.into(),
                &record.challenger,
                &record.provider,
                compensation,
                Precision::Exact,
                Restriction::Free,
                Fortitude::Force,
            )
        })
        .unwrap_or(0);
        let burned = record.bond.saturating_sub(paid);
        Self::burn_of_bond(record, burned)?;
        Ok((paid, burned))
    }

    /// Burn so much of the bond on hold.
    fn burn_of_bond(record: &DisputeRecordOf<T>, amount: Balance) -> DispatchResult {
        // Burning nothing would still be an event.
        if amount > 0 {
            T::Currency::burn_held(
                &HoldReason::ChallengeBond.into(),
                &record.challenger,
                amount,
                Precision::Exact,
                Fortitude::Force,
            )?;
        }
        Ok(())
    }

    fn leave_docket(number: DisputeId, provider: &T::AccountId) {
        let mut docket = Dockets::<T>::get(provider);
        docket.live.retain(|live| live.dispute != number);
        docket.waiting.retain(|other| *other != number);
        let limit = usize::try_from(Params::<T>::get().live_disputes).unwrap_or(usize::MAX);
        for _ in 0..MAX_STARTS {
            if docket.live.len() >= limit || docket.waiting.is_empty() {
                break;
            }
            let next = docket.waiting.remove(0);
            let started = Disputes::<T>::get(next)
                .is_some_and(|record| Self::start(next, record, &mut docket).is_ok());
            if !started {
                defensive!("a waiting dispute could not begin");
            }
        }
        match docket.live.is_empty() && docket.waiting.is_empty() {
            true => Dockets::<T>::remove(provider),
            false => Dockets::<T>::insert(provider, docket),
        }
    }
}
