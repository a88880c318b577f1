//! One function per call.

use assay_primitives::{
    token_root, Balance, DrawRequest, Eligibility, Finish, JobId, ListingId, Market,
    ModelCatalogue, ModelSpec, Outcome, Receipt, Sampling, SamplingError, TokenId,
};
use frame_support::{
    pallet_prelude::*,
    traits::{fungible::MutateHold, tokens::Precision, Consideration, Footprint, Get},
};
use frame_system::pallet_prelude::BlockNumberFor;
use sp_core::H256;
use sp_runtime::traits::{Hash, One, Saturating, UniqueSaturatedInto, Verify, Zero};

use crate::{
    Assignments, Config, DeliveryRecord, Error, Event, HoldReason, JobRecord, JobRecordOf,
    JobState, Jobs, NextJobId, Outputs, Pallet, ParametersOf, Params, Prompts, RefundReason,
    TokensOf, WeightInfo,
};

/// Blocks from submission, or from being sent back, to the draw: the author of the block between
/// gives the randomness, and nobody can know it before.
const BLOCKS_TO_DRAW: u32 = 2;

impl<T: Config> Pallet<T> {
    pub(crate) fn accepts(parameters: &ParametersOf<T>) -> bool {
        parameters.is_valid()
            && u32::from(parameters.max_draws) <= T::MaxDraws::get()
            // What a provider earned with an answer is there for as long as that can be disputed.
            && parameters.challenge_blocks <= T::Market::maturing_blocks()
    }

    /// Returns the weight of what the chain will do for the job by itself.
    // As many arguments as the call has.
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn do_submit(
        user: T::AccountId,
        listing: ListingId,
        prompt: TokensOf<T>,
        sampling: Sampling,
        max_output_tokens: u32,
        min_output_tokens: u32,
        max_fee: Balance,
        named: Option<T::AccountId>,
    ) -> Result<Weight, DispatchError> {
        let model = T::Catalogue::listing(&listing).ok_or(Error::<T>::UnknownListing)?;
        ensure!(model.active, Error::<T>::ListingNotActive);
        sampling.validate().map_err(|error| match error {
            SamplingError::TemperatureTooHigh => Error::<T>::TemperatureTooHigh,
            SamplingError::TemperatureTooLow => Error::<T>::TemperatureTooLow,
            SamplingError::TopP => Error::<T>::InvalidTopP,
            SamplingError::MinP => Error::<T>::InvalidMinP,
            SamplingError::Penalty => Error::<T>::InvalidPenalty,
        })?;
        let prompt_len = prompt.len() as u32;
        ensure!(prompt_len > 0, Error::<T>::EmptyPrompt);
        ensure!(
            prompt.iter().all(|token| *token < model.spec.vocabulary),
            Error::<T>::TokenOutsideVocabulary
        );
        ensure!(
            max_output_tokens > 0 && max_output_tokens <= T::MaxTokens::get(),
            Error::<T>::OutputLimitOutOfBounds
        );
        ensure!(
            min_output_tokens > 0 && min_output_tokens <= max_output_tokens,
            Error::<T>::MinOutputOutOfBounds
        );
        ensure!(
            prompt_len.saturating_add(max_output_tokens) <= model.spec.context,
            Error::<T>::ContextExceeded
        );

        let footprint = Footprint::from_parts(
            1,
            JobRecordOf::<T>::max_encoded_len()
                .saturating_add(prompt.encoded_size())
                .saturating_add((max_output_tokens as usize).saturating_mul(4)),
        );
        let ticket = T::Consideration::new(&user, footprint)?;
        T::Currency::hold(&HoldReason::Escrow.into(), &user, max_fee)?;
        T::Catalogue::acquire(&listing)?;

        let (submitted_at, draw_at) = (Self::now(), Self::next_draw());
        let job = JobRecord {
            user: user.clone(),
            listing,
            prompt_root: token_root(&prompt),
            prompt_len,
            sampling,
            max_output_tokens,
            min_output_tokens,
            max_fee,
            named,
            excluded: Default::default(),
            draws: 0,
            escrow: max_fee,
            state: JobState::Waiting { draw_at },
            disputes: 0,
            submitted_at,
            ticket,
        };
        if let Some(provider) = &job.named {
            let request = Self::draw_request(&job, draw_at, H256::zero());
            match T::Market::eligibility(&request, provider) {
                // A busy provider may be free when the draw comes.
                Eligibility::Eligible | Eligibility::Busy => {}
                Eligibility::NoOffer => Err(Error::<T>::ProviderHasNoOffer)?,
                Eligibility::Offline => Err(Error::<T>::ProviderOffline)?,
                Eligibility::Context => Err(Error::<T>::ProviderContextTooShort)?,
                Eligibility::Unaffordable => Err(Error::<T>::MaxFeeTooLow)?,
            }
        }
        let id = NextJobId::<T>::try_mutate(|next| -> Result<JobId, Error<T>> {
            let id = *next;
            *next = id.checked_add(1).ok_or(Error::<T>::Overflow)?;
            Ok(id)
        })?;
        let max_draws = Params::<T>::get().max_draws;
        let future = T::WeightInfo::future(Self::offers_for(&job), max_draws.into());
        Prompts::<T>::insert(id, prompt);
        Self::file(id, job);
        Self::deposit_event(Event::Submitted {
            job: id,
            user,
            listing,
            max_fee,
        });
        Ok(future)
    }

    pub(crate) fn do_cancel(user: T::AccountId, id: JobId) -> DispatchResult {
        let job = Jobs::<T>::get(id).ok_or(Error::<T>::UnknownJob)?;
        ensure!(job.user == user, Error::<T>::NotUser);
        ensure!(
            matches!(job.state, JobState::Waiting { .. }),
            Error::<T>::NotWaiting
        );
        Self::unfile(id, &job);
        Self::refund(id, job, RefundReason::Cancelled)
    }

    pub(crate) fn do_decline(operator: T::AccountId, id: JobId) -> DispatchResult {
        let job = Jobs::<T>::get(id).ok_or(Error::<T>::UnknownJob)?;
        let JobState::Assigned(assignment) = job.state.clone() else {
            return Err(Error::<T>::NotAssigned.into());
        };
        let provider = T::Market::provider_of(&operator);
        ensure!(
            provider.as_ref() == Some(&assignment.provider),
            Error::<T>::NotYourJob
        );
        // After the deadline a refusal comes too late, also where the chain has not noticed yet.
        ensure!(
            Self::now() <= assignment.deadline,
            Error::<T>::DeadlinePassed
        );
        Self::unfile(id, &job);
        Self::send_back(id, job, assignment, Outcome::Declined)
    }

    pub(crate) fn do_deliver(
        operator: T::AccountId,
        id: JobId,
        receipt: Receipt,
        signature: T::Signature,
        output: TokensOf<T>,
    ) -> DispatchResult {
        let mut job = Jobs::<T>::get(id).ok_or(Error::<T>::UnknownJob)?;
        let JobState::Assigned(assignment) = job.state.clone() else {
            return Err(Error::<T>::NotAssigned.into());
        };
        let provider = T::Market::provider_of(&operator);
        ensure!(
            provider.as_ref() == Some(&assignment.provider),
            Error::<T>::NotYourJob
        );
        let now = Self::now();
        ensure!(now <= assignment.deadline, Error::<T>::DeadlinePassed);

        let genesis = frame_system::Pallet::<T>::block_hash(BlockNumberFor::<T>::zero());
        let header = job.header(genesis, id, &assignment).hash();
        ensure!(receipt.header == header, Error::<T>::WrongHeader);
        let anchor = BlockNumberFor::<T>::from(receipt.anchor.number);
        ensure!(
            anchor >= assignment.assigned_at
                && anchor < now
                && frame_system::Pallet::<T>::block_hash(anchor) == receipt.anchor.hash,
            Error::<T>::InvalidAnchor
        );
        let signer = T::Market::operator_at(&assignment.provider, anchor)
            .ok_or(Error::<T>::InvalidSignature)?;
        let payload = receipt.signing_payload();
        ensure!(
            signature.verify(&payload[..], &signer),
            Error::<T>::InvalidSignature
        );

        let model = T::Catalogue::listing(&job.listing).ok_or(Error::<T>::UnknownListing)?;
        Self::check_output(&model.spec, &output, receipt.finish, assignment.token_limit)?;
        let output_len = output.len() as u32;
        ensure!(
            receipt.output_len == output_len && receipt.output_root == token_root(&output),
            Error::<T>::OutputMismatch
        );
        let fee = assignment.price.fee(job.prompt_len, output_len);
        ensure!(fee == Some(receipt.fee), Error::<T>::WrongFee);

        Self::unfile(id, &job);
        let rest = job.escrow.saturating_sub(receipt.fee);
        T::Currency::release(
            &HoldReason::Escrow.into(),
            &job.user,
            rest,
            Precision::Exact,
        )?;
        job.escrow = receipt.fee;
        let window_end = now.saturating_add(Params::<T>::get().challenge_blocks);
        let delivery = DeliveryRecord {
            receipt_hash: T::Hashing::hash(&payload),
            output_len,
            output_root: receipt.output_root,
            finish: receipt.finish,
            fee: receipt.fee,
            delivered_at: now,
            window_end,
            window_left: Zero::zero(),
            stood_still: T::StoodStill::get(),
        };
        let provider = assignment.provider.clone();
        T::Market::resolve(
            &provider,
            &job.listing,
            assignment.worst_case_fee,
            Outcome::Delivered,
            receipt.fee,
        );
        Assignments::<T>::remove(&provider, id);
        Outputs::<T>::insert(id, output);
        job.state = JobState::Delivered(assignment, delivery);
        Self::file(id, job);
        let fee = receipt.fee;
        Self::deposit_event(Event::Delivered {
            job: id,
            provider,
            output_len,
            fee,
            window_end,
        });
        Ok(())
    }

    /// Whether the finish says the truth about the output, as far as the chain can see without
    /// running the model.
    fn check_output(
        spec: &ModelSpec,
        output: &[TokenId],
        finish: Finish,
        token_limit: u32,
    ) -> Result<(), Error<T>> {
        let (last, before) = output
            .split_last()
            .ok_or(Error::<T>::OutputLengthOutOfBounds)?;
        ensure!(
            output.len() as u64 <= token_limit.into(),
            Error::<T>::OutputLengthOutOfBounds
        );
        ensure!(
            output.iter().all(|token| *token < spec.vocabulary),
            Error::<T>::TokenOutsideVocabulary
        );
        let stops = |token: &TokenId| spec.stop_tokens.contains(token);
        ensure!(!before.iter().any(stops), Error::<T>::InvalidFinish);
        let truthful = match finish {
            Finish::Eos => stops(last),
            Finish::Length => !stops(last) && output.len() as u64 == u64::from(token_limit),
            Finish::Caller | Finish::Mismatch => false,
        };
        ensure!(truthful, Error::<T>::InvalidFinish);
        Ok(())
    }

    pub(crate) fn do_finalize(id: JobId) -> DispatchResult {
        let job = Jobs::<T>::get(id).ok_or(Error::<T>::UnknownJob)?;
        let is_due = job.due().is_some_and(|due| due <= Self::now());
        ensure!(is_due, Error::<T>::NotDue);
        Self::step(id, job)
    }

    pub(crate) fn now() -> BlockNumberFor<T> {
        frame_system::Pallet::<T>::block_number()
    }

    pub(crate) fn draw_request(
        job: &JobRecordOf<T>,
        draw_at: BlockNumberFor<T>,
        randomness: H256,
    ) -> DrawRequest<'_, T::AccountId, BlockNumberFor<T>> {
        DrawRequest {
            listing: job.listing,
            prompt_len: job.prompt_len,
            max_output_tokens: job.max_output_tokens,
            min_output_tokens: job.min_output_tokens,
            budget: job.escrow,
            named: job.named.as_ref(),
            excluded: &job.excluded,
            sealed_at: draw_at.saturating_sub(One::one()),
            randomness,
        }
    }

    pub(crate) fn next_draw() -> BlockNumberFor<T> {
        Self::now().saturating_add(BLOCKS_TO_DRAW.into())
    }

    /// The last block at which an answer of this length may be delivered.
    pub(crate) fn deadline(tokens: u32) -> BlockNumberFor<T> {
        let parameters = Params::<T>::get();
        let for_tokens = tokens.div_ceil(parameters.tokens_per_deadline_block.max(1));
        let for_tokens: BlockNumberFor<T> = UniqueSaturatedInto::unique_saturated_into(for_tokens);
        Self::now()
            .saturating_add(parameters.base_deadline_blocks)
            .saturating_add(for_tokens)
    }
}
