//! How a dispute begins.

use assay_exact::trace::levels;
use assay_primitives::{
    blake2_256, dispute::commitment, Balance, Claim, Claims, Finish, Receipt, Stake, Task,
};
use codec::Encode;
use frame_support::{
    pallet_prelude::*,
    traits::{fungible::MutateHold, tokens::Precision},
};
use frame_system::pallet_prelude::BlockNumberFor;
use sp_core::H256;
use sp_runtime::traits::{One, Saturating};

use crate::{
    Agenda, ByClaim, Clock, CommitmentRecord, Commitments, Config, DisputeId, DisputeRecord,
    DisputeRecordOf, Disputes, Docket, Dockets, Duty, Error, Event, HeaderOf, HoldReason, Live,
    NextDispute, Pallet, Params, Question, Stage, StatementOf, Traces,
};

impl<T: Config> Pallet<T> {
    pub(crate) fn do_commit(who: T::AccountId, hash: H256) -> DispatchResult {
        ensure!(
            !Commitments::<T>::contains_key(&who, hash),
            Error::<T>::AlreadyCommitted
        );
        let parameters = Params::<T>::get();
        let deposit = parameters.commitment_deposit;
        T::Currency::hold(&HoldReason::CommitmentDeposit.into(), &who, deposit)?;
        let number = NextDispute::<T>::get();
        let next = number.checked_add(1).ok_or(Error::<T>::Overflow)?;
        NextDispute::<T>::put(next);
        let made_at = Self::now();
        // The clock is never faster than blocks, so this is not too early.
        let after = parameters.commitment_blocks.saturating_add(One::one());
        let expires_at = Self::remind(after, Duty::Commitment(who.clone(), hash));
        let record = CommitmentRecord {
            number,
            made_at,
            expires_at,
            deposit,
        };
        Commitments::<T>::insert(&who, hash, record);
        Self::deposit_event(Event::Committed {
            dispute: number,
            who,
        });
        Ok(())
    }

    /// Take the commitment that `who` made to the claim, and return its deposit.
    pub(crate) fn redeem(
        who: &T::AccountId,
        claim: &Claim,
        salt: &H256,
    ) -> Result<DisputeId, DispatchError> {
        let hash = commitment(claim, who, salt);
        let record = Commitments::<T>::get(who, hash).ok_or(Error::<T>::NotCommitted)?;
        let now = Self::now();
        ensure!(record.made_at < now, Error::<T>::CommitmentTooNew);
        let valid = Params::<T>::get().commitment_blocks;
        ensure!(
            now <= record.made_at.saturating_add(valid),
            Error::<T>::CommitmentExpired
        );
        Agenda::<T>::remove(record.expires_at, Duty::Commitment(who.clone(), hash));
        Self::drop_commitment(who, hash, &record)?;
        Ok(record.number)
    }

    pub(crate) fn do_open(
        challenger: T::AccountId,
        claim: Claim,
        statement: StatementOf<T>,
        position: Option<u32>,
        salt: H256,
        delegate: Option<T::AccountId>,
    ) -> DispatchResult {
        let number = Self::redeem(&challenger, &claim, &salt)?;
        let facts = Self::facts(&claim)?;
        let stated = Self::check(&claim, &facts, &statement)?;
        let receipt = statement.receipt;
        let hash = Self::hash_of(&receipt);
        let (question, stage) = match position {
            None => {
                ensure!(
                    matches!(claim, Claim::Channel { .. }),
                    Error::<T>::JobIsChecked
                );
                // Without its header any receipt could be held against any claim, and who finds requests
                // by their claim would have nothing to show.
                ensure!(stated.is_some(), Error::<T>::HeaderMissing);
                (Question::Header, Stage::Answer)
            }
            Some(position) => {
                let (header, randomness) = stated.ok_or(Error::<T>::HeaderMissing)?;
                ensure!(
                    Self::fits(&header, &facts),
                    Error::<T>::HeaderContradictsClaim
                );
                ensure!(
                    Self::speaks_of(&receipt, &header, position),
                    Error::<T>::PositionOutOfBounds
                );
                let leaves = Self::layout(&header, position)?.leaves();
                let question = Question::Token {
                    position,
                    header,
                    randomness,
                    leaves,
                };
                // What a provider answered once it answered for ever.
                let stage = match Traces::<T>::get(hash, position) {
                    None => Stage::Answer,
                    Some(trace) => Stage::Nodes {
                        level: levels::first(leaves),
                        first: 0,
                        nodes: trace.nodes,
                    },
                };
                (question, stage)
            }
        };

        let provider = facts.provider;
        let mut docket = Dockets::<T>::get(&provider);
        let bond = Self::bond_for(&docket, question.leaves());
        let alone = Params::<T>::get().bond(question.leaves(), 0);
        let opened_at = Self::now();
        T::Currency::hold(&HoldReason::ChallengeBond.into(), &challenger, bond)?;
        T::Stake::freeze(&provider)?;
        T::Claims::freeze(&claim)?;
        let state = blake2_256(&(number, &claim, hash, position, &stage).encode());
        let record = DisputeRecord {
            claim,
            provider: provider.clone(),
            challenger: challenger.clone(),
            delegate,
            receipt,
            question,
            opened_at,
            bond,
            surcharge: bond.saturating_sub(alone),
            stage,
            moves: 0,
            state: state.into(),
            overtaken: None,
            deadline: None,
        };
        ByClaim::<T>::insert(claim, record.rank(number), record.receipt.fee);
        Self::deposit_event(Event::Opened {
            dispute: number,
            claim,
            provider: provider.clone(),
            challenger,
            bond,
        });
        let live = u32::try_from(docket.live.len()).unwrap_or(u32::MAX);
        if live < Params::<T>::get().live_disputes && docket.waiting.is_empty() {
            Self::start(number, record, &mut docket)?;
        } else {
            let pushed = docket.waiting.try_push(number);
            pushed.map_err(|_| Error::<T>::QueueFull)?;
            Disputes::<T>::insert(number, record);
        }
        Dockets::<T>::insert(&provider, docket);
        Ok(())
    }

    /// Whether a receipt says something about the token at `position`.
    fn speaks_of(receipt: &Receipt, header: &HeaderOf<T>, position: u32) -> bool {
        match (header.task, receipt.finish) {
            // The one that it calls wrong.
            (Task::Score { .. }, Finish::Mismatch) => position <= receipt.output_len,
            _ => position < receipt.output_len,
        }
    }

    /// Let the clock of a dispute run, as a live one on its provider's docket.
    pub(crate) fn start(
        number: DisputeId,
        mut record: DisputeRecordOf<T>,
        docket: &mut Docket,
    ) -> Result<(), Error<T>> {
        let parameters = Params::<T>::get();
        let live = Live {
            dispute: number,
            trace_blocks: parameters.blocks_for(record.question.leaves()),
        };
        let pushed = docket.live.try_push(live);
        pushed.map_err(|_| Error::<T>::QueueFull)?;
        let allowance = record.allowance(&parameters, docket);
        let deadline = Clock::<T>::get().saturating_add(allowance);
        record.deadline = Some(deadline);
        Self::file(number, record);
        Self::deposit_event(Event::Started {
            dispute: number,
            deadline,
        });
        Ok(())
    }

    /// The bond of a challenge over a trace of `leaves`, for the next on this docket.
    pub(crate) fn bond_for(docket: &Docket, leaves: u64) -> Balance {
        let waiting = u32::try_from(docket.waiting.len()).unwrap_or(u32::MAX);
        Params::<T>::get().bond(leaves, waiting)
    }

    /// Drop a commitment and return its deposit.
    pub(crate) fn drop_commitment(
        who: &T::AccountId,
        hash: H256,
        record: &CommitmentRecord<BlockNumberFor<T>>,
    ) -> DispatchResult {
        T::Currency::release(
            &HoldReason::CommitmentDeposit.into(),
            who,
            record.deposit,
            Precision::Exact,
        )?;
        Commitments::<T>::remove(who, hash);
        Ok(())
    }
}
