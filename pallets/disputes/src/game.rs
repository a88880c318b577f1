//! The moves: from the question to one step.

use alloc::vec::Vec;

use assay_exact::trace::{levels, Operator};
use assay_primitives::{
    tree::{leaf_hash, root_of},
    ModelCatalogue, Stake, Task, VoucherSignature,
};
use frame_support::pallet_prelude::*;
use sp_core::H256;
use sp_runtime::traits::Saturating;

use crate::{
    referee, statement::FactsOf, Answer, AnswerOf, Choice, Clock, Config, Convictions, DisputeId,
    DisputeRecordOf, Disputes, Dockets, Duty, Error, Event, LeafOpening, Leaves, Nodes, Pallet,
    Params, ProofBytes, Question, Revelation, Side, Stage, TraceRecord, Traces, Verdict,
};

impl<T: Config> Pallet<T> {
    /// The dispute in which `who` may make the next move, which it knows as `state`; none if another of its
    /// side was first with it. Two that watch a dispute for one side, and who sends a move again because
    /// of a fork, cannot know that; but only the first to come too late is excused, or moves were free
    /// however many they are.
    fn turn(
        who: &T::AccountId,
        number: DisputeId,
        state: H256,
        side: Side,
    ) -> Result<Option<DisputeRecordOf<T>>, Error<T>> {
        ensure!(!Self::is_paused(), Error::<T>::Paused);
        let mut record = Disputes::<T>::get(number).ok_or(Error::<T>::UnknownDispute)?;
        ensure!(
            !Convictions::<T>::contains_key(record.claim),
            Error::<T>::AlreadyConvicted
        );
        let is_their = match side {
            Side::Challenger => record.is_challenger(who),
            Side::Provider => T::Stake::provider_of(who).as_ref() == Some(&record.provider),
        };
        let is_turn = record.stage.side() == side;
        if record.overtaken == Some(state) && is_their && !is_turn {
            record.overtaken = None;
            Disputes::<T>::insert(number, record);
            return Ok(None);
        }
        ensure!(record.state == state, Error::<T>::StateChanged);
        let deadline = record.deadline.ok_or(Error::<T>::DisputeWaits)?;
        ensure!(is_their && is_turn, Error::<T>::NotYourTurn);
        ensure!(Clock::<T>::get() <= deadline, Error::<T>::DeadlinePassed);
        Ok(Some(record))
    }

    /// The move was good: wait for the other side's.
    fn advance(number: DisputeId, mut record: DisputeRecordOf<T>, stage: Stage) {
        Self::unfile(number, &record);
        record.advance(stage);
        let docket = Dockets::<T>::get(&record.provider);
        let allowance = record.allowance(&Params::<T>::get(), &docket);
        let deadline = Clock::<T>::get().saturating_add(allowance);
        record.deadline = Some(deadline);
        Self::deposit_event(Event::Moved {
            dispute: number,
            turn: record.stage.side(),
            state: record.state,
            deadline,
        });
        Self::file(number, record);
    }

    pub(crate) fn do_answer(
        who: T::AccountId,
        number: DisputeId,
        state: H256,
        answer: AnswerOf<T>,
    ) -> DispatchResult {
        let Some(record) = Self::turn(&who, number, state, Side::Provider)? else {
            return Ok(());
        };
        ensure!(record.stage == Stage::Answer, Error::<T>::OtherMoveExpected);
        let facts = Self::facts(&record.claim)?;
        match (&record.question, answer) {
            (Question::Header, Answer::Header(shown)) => {
                let header = shown.header.hash();
                ensure!(header == record.receipt.header, Error::<T>::WrongHeader);
                ensure!(
                    Self::is_asked(&header, &facts, Some(&shown.signature)),
                    Error::<T>::InvalidSignature
                );
                Self::decide(number, record, Side::Challenger)
            }
            (
                Question::Token { .. },
                Answer::Trace {
                    signature,
                    nodes,
                    last,
                    token,
                },
            ) => Self::answer_with_trace(number, record, facts, signature, nodes, last, token),
            _ => Err(Error::<T>::OtherMoveExpected.into()),
        }
    }

    fn answer_with_trace(
        number: DisputeId,
        record: DisputeRecordOf<T>,
        facts: FactsOf<T>,
        signature: Option<VoucherSignature>,
        nodes: Nodes,
        last: LeafOpening,
        token: LeafOpening,
    ) -> DispatchResult {
        let receipt = &record.receipt;
        let Question::Token {
            position,
            ref header,
            leaves,
            ..
        } = record.question
        else {
            return Err(Error::<T>::OtherMoveExpected.into());
        };
        ensure!(
            Self::is_asked(&receipt.header, &facts, signature.as_ref()),
            Error::<T>::InvalidSignature
        );
        let level = levels::first(leaves);
        let root = Self::folded(leaves, levels::height(leaves), 0, level, &nodes)?;
        let hash = Self::hash_of(receipt);
        // Between two disputes over one token the first answer decides what the other is about.
        let known = Traces::<T>::get(hash, position);
        ensure!(
            known.as_ref().is_none_or(|known| known.root == root),
            Error::<T>::WrongHash
        );

        let opened = last.root(leaves.saturating_sub(1), leaves);
        ensure!(opened == Some(root), Error::<T>::WrongHash);
        let chosen = <[u8; 4]>::try_from(&last.bytes[..]);
        let chosen = u32::from_le_bytes(chosen.map_err(|_| Error::<T>::WrongLength)?);
        match header.task {
            Task::Generate => {
                let given = Self::output_token(&record.claim, receipt, position, &token)?;
                ensure!(given == chosen, Error::<T>::TokenMismatch);
            }
            Task::Score { answer_at, .. } => {
                let place = answer_at.saturating_add(position);
                let request = (header.prompt_len, header.prompt_root);
                let given = Self::token_of(&record.claim, request, place, &token)?;
                match position < receipt.output_len {
                    true => ensure!(given == chosen, Error::<T>::TokenMismatch),
                    false => ensure!(given != chosen, Error::<T>::TokenMatches),
                }
            }
        }

        if known.is_none() {
            let trace = TraceRecord {
                claim: record.claim,
                anchor: receipt.anchor.number,
                root,
                nodes: nodes.clone(),
            };
            Traces::<T>::insert(hash, position, trace);
            Self::look_again(Duty::Trace(hash, position));
        }
        let stage = Stage::Nodes {
            level,
            first: 0,
            nodes,
        };
        Self::advance(number, record, stage);
        Ok(())
    }

    /// The hash of node `index` of level `from`, of which these are the nodes of level `to` below it.
    fn folded(
        leaves: u64,
        from: u32,
        index: u64,
        to: u32,
        nodes: &[H256],
    ) -> Result<H256, Error<T>> {
        let below = levels::below(leaves, from, index, to);
        let expected = below.end.saturating_sub(below.start);
        ensure!(
            u64::try_from(nodes.len()) == Ok(expected),
            Error::<T>::WrongLength
        );
        Ok(root_of(nodes.to_vec()))
    }

    pub(crate) fn do_reveal(
        who: T::AccountId,
        number: DisputeId,
        state: H256,
        revelation: Revelation,
    ) -> DispatchResult {
        let Some(record) = Self::turn(&who, number, state, Side::Provider)? else {
            return Ok(());
        };
        let (
            Stage::Node { level, index, hash },
            Question::Token {
                position,
                ref header,
                leaves: all,
                ..
            },
        ) = (record.stage.clone(), &record.question)
        else {
            return Err(Error::<T>::OtherMoveExpected.into());
        };
        let stage = match (levels::next(level), revelation) {
            (Some(to), Revelation::Nodes(nodes)) => {
                let folded = Self::folded(*all, level, index, to, &nodes)?;
                ensure!(folded == hash, Error::<T>::WrongHash);
                let first = levels::below(*all, level, index, to).start;
                Stage::Nodes {
                    level: to,
                    first,
                    nodes,
                }
            }
            (None, Revelation::Leaves(leaves)) => {
                let layout = Self::layout(header, *position)?;
                let below = levels::below(*all, level, index, 0);
                let first = below.start;
                let lengths = below.map(|leaf| referee::leaf_length(&layout, leaf));
                let shown = leaves.iter().map(|leaf| Some(leaf.len()));
                ensure!(lengths.eq(shown), Error::<T>::WrongLength);
                ensure!(Self::hash_of_leaves(&leaves) == hash, Error::<T>::WrongHash);
                Stage::Leaves { first, leaves }
            }
            _ => return Err(Error::<T>::OtherMoveExpected.into()),
        };
        Self::advance(number, record, stage);
        Ok(())
    }

    fn hash_of_leaves(leaves: &Leaves) -> H256 {
        let hashes: Vec<H256> = leaves.iter().map(|leaf| leaf_hash(leaf)).collect();
        root_of(hashes)
    }

    pub(crate) fn do_choose(
        who: T::AccountId,
        number: DisputeId,
        state: H256,
        choice: Choice,
    ) -> DispatchResult {
        let Some(record) = Self::turn(&who, number, state, Side::Challenger)? else {
            return Ok(());
        };
        let Question::Token {
            position,
            ref header,
            ..
        } = record.question
        else {
            return Err(Error::<T>::OtherMoveExpected.into());
        };
        let fits = matches!(
            (&record.stage, choice),
            (Stage::Nodes { .. }, Choice::Node(_))
                | (Stage::Leaves { .. }, Choice::Element { .. })
                | (Stage::Parts { .. }, Choice::Part(_))
        );
        ensure!(fits, Error::<T>::OtherMoveExpected);
        let layout = Self::layout(header, position)?;
        let stage = record.stage.clone().chosen(choice, |leaf, bytes, element| {
            referee::value_in(&layout, leaf, bytes, element)
        });
        let stage = stage.ok_or(Error::<T>::ChoiceOutOfBounds)?;
        Self::advance(number, record, stage);
        Ok(())
    }

    /// What a proof shows is done; returns what the step is computed by, if nobody was first.
    pub(crate) fn do_prove(
        who: T::AccountId,
        number: DisputeId,
        state: H256,
        proof: ProofBytes,
    ) -> Result<Option<Operator>, DispatchError> {
        let Some(record) = Self::turn(&who, number, state, Side::Provider)? else {
            return Ok(None);
        };
        let Stage::Step(step) = record.stage.clone() else {
            return Err(Error::<T>::OtherMoveExpected.into());
        };
        let (operator, judgement) = Self::judge(&record, &step, &proof)?;
        match judgement {
            referee::Judgement::Holds => Self::decide(number, record, Side::Challenger)?,
            referee::Judgement::Refuted => Self::decide(number, record, Side::Provider)?,
            referee::Judgement::Parts(parts) => {
                Self::advance(number, record, Stage::Parts { step, parts });
            }
            referee::Judgement::Broken(listing) => {
                T::Catalogue::freeze(&listing)?;
                Self::deposit_event(Event::ModelBroken { listing });
                Self::conclude(number, record, Verdict::ModelBroken)?;
            }
        }
        Ok(Some(operator))
    }
}
