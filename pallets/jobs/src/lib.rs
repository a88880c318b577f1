#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "std"), no_std)]
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

extern crate alloc;

#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
mod calls;
mod dispute;
mod invariants;
#[cfg(test)]
mod mock;
mod settle;
#[cfg(test)]
mod tests;
mod tick;
mod types;
pub mod weights;

#[cfg(feature = "runtime-benchmarks")]
pub use benchmarking::BenchmarkHelper;
pub use pallet::*;
pub use types::*;
pub use weights::WeightInfo;

// The macros' own code expects what holds by construction, and a call has as many arguments as it
// has fields; the logic is in the other modules.
#[allow(clippy::expect_used, clippy::too_many_arguments)]
#[frame_support::pallet]
pub mod pallet {
    use super::*;
    use alloc::vec::Vec;
    use assay_primitives::{
        Balance, JobId, ListingId, Market, ModelCatalogue, Outcome, Price, Receipt, Sampling,
        Settlement, TokenId,
    };
    use frame_support::{
        dispatch::WithPostDispatchInfo,
        pallet_prelude::*,
        traits::{fungible, Consideration, Footprint},
        weights::WeightMeter,
    };
    use frame_system::pallet_prelude::*;
    use sp_core::H256;
    use sp_runtime::traits::{IdentifyAccount, Verify};

    #[pallet::pallet]
    pub struct Pallet<T>(_);

    #[pallet::config]
    pub trait Config: frame_system::Config<Hash = H256> {
        /// The chain's token.
        type Currency: fungible::Mutate<Self::AccountId, Balance = Balance>
            + fungible::hold::Mutate<Self::AccountId, Reason = Self::RuntimeHoldReason>;
        /// The runtime's hold reasons.
        type RuntimeHoldReason: From<HoldReason>;
        /// The deposit for a job's storage.
        type Consideration: Consideration<Self::AccountId, Footprint>;
        /// Where listings are looked up.
        type Catalogue: ModelCatalogue<Self::AccountId>;
        /// Where providers are drawn.
        type Market: Market<Self::AccountId, BlockNumberFor<Self>>;
        /// The blocks so far in which the referee was paused, and all windows with it.
        type StoodStill: Get<BlockNumberFor<Self>>;
        /// The randomness of the previous block's author, `None` if it gave none.
        type ParentRandomness: Get<Option<H256>>;
        /// What an operator signs receipts with.
        type Signature: Parameter + Verify<Signer = Self::Signer>;
        /// Public key of [`Config::Signature`].
        type Signer: IdentifyAccount<AccountId = Self::AccountId>;
        /// Where the treasury's part of fees goes.
        type Treasury: Get<Self::AccountId>;
        /// Who may set the parameters.
        type AdminOrigin: EnsureOrigin<Self::RuntimeOrigin>;
        /// The most tokens of a prompt, and of an answer.
        #[pallet::constant]
        type MaxTokens: Get<u32>;
        /// The highest `max_draws`.
        #[pallet::constant]
        type MaxDraws: Get<u32>;
        /// The weight that the agenda may take at the start of a block.
        #[pallet::constant]
        type MaxAgendaWeight: Get<Weight>;
        type WeightInfo: WeightInfo;
        #[cfg(feature = "runtime-benchmarks")]
        type BenchmarkHelper: BenchmarkHelper<Self>;
    }

    #[pallet::composite_enum]
    pub enum HoldReason {
        /// What a user's jobs may cost.
        #[codec(index = 0)]
        Escrow,
        /// The deposit for a job's record.
        #[codec(index = 1)]
        JobDeposit,
    }

    /// The id of the next job.
    #[pallet::storage]
    pub type NextJobId<T: Config> = StorageValue<_, JobId, ValueQuery>;

    /// Jobs by id.
    #[pallet::storage]
    pub type Jobs<T: Config> = StorageMap<_, Twox64Concat, JobId, JobRecordOf<T>>;

    /// Prompts by job.
    #[pallet::storage]
    pub type Prompts<T: Config> = StorageMap<_, Twox64Concat, JobId, TokensOf<T>>;

    /// Outputs by job.
    #[pallet::storage]
    pub type Outputs<T: Config> = StorageMap<_, Twox64Concat, JobId, TokensOf<T>>;

    /// A provider's duties: the jobs that are assigned to it now.
    #[pallet::storage]
    pub type Assignments<T: Config> =
        StorageDoubleMap<_, Blake2_128Concat, T::AccountId, Twox64Concat, JobId, ()>;

    /// The jobs with a step to take at a block.
    #[pallet::storage]
    pub type Agenda<T: Config> =
        StorageDoubleMap<_, Twox64Concat, BlockNumberFor<T>, Twox64Concat, JobId, ()>;

    /// The first block whose agenda may not be empty.
    #[pallet::storage]
    pub type AgendaCursor<T: Config> = StorageValue<_, BlockNumberFor<T>, ValueQuery>;

    #[pallet::type_value]
    pub fn DefaultParameters<T: Config>() -> ParametersOf<T> {
        Parameters::default()
    }

    /// The randomness for the draws of a block, kept until its agenda is done.
    #[pallet::storage]
    pub type Randomness<T: Config> = StorageMap<_, Twox64Concat, BlockNumberFor<T>, H256>;

    /// What governance has set.
    #[pallet::storage]
    pub type Params<T: Config> = StorageValue<_, ParametersOf<T>, ValueQuery, DefaultParameters<T>>;

    #[pallet::genesis_config]
    #[derive(frame_support::DefaultNoBound)]
    pub struct GenesisConfig<T: Config> {
        pub parameters: ParametersOf<T>,
    }

    #[pallet::genesis_build]
    impl<T: Config> BuildGenesisConfig for GenesisConfig<T> {
        fn build(&self) {
            assert!(
                Pallet::<T>::accepts(&self.parameters),
                "jobs: the genesis parameters contradict each other"
            );
            Params::<T>::put(&self.parameters);
        }
    }

    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// A job was submitted and its escrow held.
        Submitted {
            /// Id.
            job: JobId,
            /// Who pays.
            user: T::AccountId,
            /// What is asked.
            listing: ListingId,
            /// Planck on hold.
            max_fee: Balance,
        },
        /// A provider was drawn.
        Assigned {
            /// Id.
            job: JobId,
            /// Stash.
            provider: T::AccountId,
            /// Planck per token, pinned.
            price: Price,
            /// The most output tokens.
            token_limit: u32,
            /// The last block at which the answer may be delivered.
            deadline: BlockNumberFor<T>,
        },
        /// A draw found nobody eligible; there will be another.
        NobodyEligible {
            /// Id.
            job: JobId,
            /// Draws so far.
            draws: u8,
        },
        /// An assignment ended without an answer; there will be another draw, or a refund.
        SentBack {
            /// Id.
            job: JobId,
            /// Stash.
            provider: T::AccountId,
            /// Declined or missed.
            outcome: Outcome,
            /// Planck paid to the user from the provider's bond.
            compensation: Balance,
        },
        /// An answer was delivered.
        Delivered {
            /// Id.
            job: JobId,
            /// Stash.
            provider: T::AccountId,
            /// Tokens.
            output_len: u32,
            /// Planck.
            fee: Balance,
            /// The block at which the job is settled.
            window_end: BlockNumberFor<T>,
        },
        /// A job was paid.
        Settled {
            /// Id.
            job: JobId,
            /// Stash.
            provider: T::AccountId,
            /// Where the fee went.
            settlement: Settlement,
        },
        /// A job is over without an answer and its escrow was released.
        Refunded {
            /// Id.
            job: JobId,
            /// Who was refunded.
            user: T::AccountId,
            /// Planck released now.
            amount: Balance,
            /// Why.
            reason: RefundReason,
        },
        /// An answer was proven wrong: its provider gets nothing for it, and the escrow was released.
        Slashed {
            /// Id.
            job: JobId,
            /// Stash.
            provider: T::AccountId,
            /// Who was refunded.
            user: T::AccountId,
            /// Planck released now.
            refund: Balance,
        },
        /// The record of a job that is over was removed and its deposit returned.
        Removed {
            /// Id.
            job: JobId,
        },
        /// The parameters were set.
        ParametersSet,
    }

    #[pallet::error]
    pub enum Error<T> {
        /// There is no job with this id, or its record was removed.
        UnknownJob,
        /// There is no listing under this id: look at `assay model list`.
        UnknownListing,
        /// The listing is retired or frozen: choose another.
        ListingNotActive,
        /// The prompt has no tokens.
        EmptyPrompt,
        /// A token id is outside the model's vocabulary.
        TokenOutsideVocabulary,
        /// No output tokens are asked for, or more than the chain carries.
        OutputLimitOutOfBounds,
        /// `min_output_tokens` is zero, or above `max_output_tokens`.
        MinOutputOutOfBounds,
        /// Prompt and answer together are longer than the model's context.
        ContextExceeded,
        /// The temperature is above 10.
        TemperatureTooHigh,
        /// The temperature is below 0.001: take 0 for the likeliest token.
        TemperatureTooLow,
        /// `top_p` must be above zero and at most one.
        InvalidTopP,
        /// `min_p` must be at most one.
        InvalidMinP,
        /// The penalty must be 0.5 to 4; 1 is none.
        InvalidPenalty,
        /// The named provider has no offer for this listing.
        ProviderHasNoOffer,
        /// The named provider is offline.
        ProviderOffline,
        /// Prompt and answer are longer than the named provider's offer allows.
        ProviderContextTooShort,
        /// `max_fee` does not pay the named provider for the prompt and `min_output_tokens`.
        MaxFeeTooLow,
        /// Only the user of a job may do this.
        NotUser,
        /// The job is not waiting for a draw any more.
        NotWaiting,
        /// The job is not assigned.
        NotAssigned,
        /// There is no answer to this job that could still be disputed.
        NotDelivered,
        /// The job is assigned to another provider.
        NotYourJob,
        /// The deadline has passed.
        DeadlinePassed,
        /// The receipt is for another request than this job.
        WrongHeader,
        /// The anchor is older than the assignment, too old to be known, or not on this chain.
        InvalidAnchor,
        /// The operator key that was valid at the anchor did not sign this receipt.
        InvalidSignature,
        /// The output has no tokens, or more than the token limit.
        OutputLengthOutOfBounds,
        /// The receipt's output length or root is not that of the output.
        OutputMismatch,
        /// The finish contradicts the output: stop tokens end an answer, and only they or the
        /// limit do.
        InvalidFinish,
        /// The receipt's fee is not the price of its tokens.
        WrongFee,
        /// The job's next step is not due yet.
        NotDue,
        /// The parameters contradict each other or the chain's bounds.
        InvalidParameters,
        /// No more job ids.
        Overflow,
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        fn on_initialize(now: BlockNumberFor<T>) -> Weight {
            let mut meter = WeightMeter::with_limit(T::MaxAgendaWeight::get());
            Self::pin_randomness(now);
            Self::work_agenda(now, &mut meter);
            meter.consumed()
        }

        fn integrity_test() {
            // Before it takes a step, a block moves the cursor and pins its randomness, may find
            // that the agenda of one block is done and drop its randomness, and looks at the next.
            let step = T::DbWeight::get()
                .reads_writes(4, 3)
                .saturating_add(T::WeightInfo::heaviest_step(T::Market::max_offers()));
            assert!(
                T::MaxAgendaWeight::get().all_gte(step),
                "the agenda must be able to take its heaviest step"
            );
        }

        #[cfg(feature = "try-runtime")]
        fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
            Self::do_try_state()
        }
    }

    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Ask a listed model to continue `prompt`. Holds `max_fee` and a deposit for the storage.
        /// With `provider`, only that provider will do; otherwise one is drawn among those whose
        /// price leaves at least `min_output_tokens` within `max_fee`. The fee of this call
        /// covers all that the chain does for the job by itself.
        #[pallet::call_index(0)]
        #[pallet::weight(
            T::WeightInfo::submit(prompt.len() as u32)
                .saturating_add(T::WeightInfo::future(T::Market::max_offers(), T::MaxDraws::get()))
        )]
        pub fn submit(
            origin: OriginFor<T>,
            listing: ListingId,
            prompt: TokensOf<T>,
            sampling: Sampling,
            max_output_tokens: u32,
            min_output_tokens: u32,
            #[pallet::compact] max_fee: Balance,
            provider: Option<T::AccountId>,
        ) -> DispatchResultWithPostInfo {
            let user = ensure_signed(origin)?;
            let submission = T::WeightInfo::submit(prompt.len() as u32);
            let future = Self::do_submit(
                user,
                listing,
                prompt,
                sampling,
                max_output_tokens,
                min_output_tokens,
                max_fee,
                provider,
            )
            // Nothing follows what failed.
            .map_err(|error| error.with_weight(submission))?;
            Ok(Some(submission.saturating_add(future)).into())
        }

        /// Take back a job that is not assigned.
        #[pallet::call_index(1)]
        #[pallet::weight(T::WeightInfo::cancel())]
        pub fn cancel(origin: OriginFor<T>, job: JobId) -> DispatchResult {
            let user = ensure_signed(origin)?;
            Self::do_cancel(user, job)
        }

        /// Refuse an assigned job, as its provider's operator. Costs score, not bond.
        #[pallet::call_index(2)]
        #[pallet::weight(T::WeightInfo::decline())]
        pub fn decline(origin: OriginFor<T>, job: JobId) -> DispatchResult {
            let operator = ensure_signed(origin)?;
            Self::do_decline(operator, job)
        }

        /// Answer an assigned job, as its provider's operator. The output's root and the fee are
        /// recomputed; `signature` is the operator's over the receipt's signing payload.
        #[pallet::call_index(3)]
        #[pallet::weight(T::WeightInfo::deliver(output.len() as u32))]
        pub fn deliver(
            origin: OriginFor<T>,
            job: JobId,
            receipt: Receipt,
            signature: T::Signature,
            output: TokensOf<T>,
        ) -> DispatchResult {
            let operator = ensure_signed(origin)?;
            Self::do_deliver(operator, job, receipt, signature, output)
        }

        /// Take a job's next step, if it is due: the draw, a missed deadline, the settlement, the
        /// removal. Anyone may call it; it is free when it succeeds. The chain does the same by
        /// itself.
        #[pallet::call_index(4)]
        #[pallet::weight(T::WeightInfo::heaviest_step(T::Market::max_offers()))]
        pub fn finalize(origin: OriginFor<T>, job: JobId) -> DispatchResultWithPostInfo {
            ensure_signed(origin)?;
            Self::do_finalize(job)?;
            Ok(Pays::No.into())
        }

        /// Set the parameters.
        #[pallet::call_index(5)]
        #[pallet::weight(T::WeightInfo::set_parameters())]
        pub fn set_parameters(origin: OriginFor<T>, parameters: ParametersOf<T>) -> DispatchResult {
            T::AdminOrigin::ensure_origin(origin)?;
            ensure!(Self::accepts(&parameters), Error::<T>::InvalidParameters);
            Params::<T>::put(parameters);
            Self::deposit_event(Event::ParametersSet);
            Ok(())
        }
    }

    #[pallet::view_functions]
    impl<T: Config> Pallet<T> {
        /// The job with this id, if its record is still kept.
        pub fn job(id: JobId) -> Option<JobRecordOf<T>> {
            Jobs::<T>::get(id)
        }

        /// The output of a job, if it was delivered and its record is still kept.
        pub fn output(id: JobId) -> Option<Vec<TokenId>> {
            Outputs::<T>::get(id).map(BoundedVec::into_inner)
        }

        /// The jobs that are assigned to a provider now.
        pub fn duties(provider: T::AccountId) -> Vec<JobId> {
            Assignments::<T>::iter_key_prefix(provider).collect()
        }
    }
}
