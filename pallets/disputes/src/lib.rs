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
mod clock;
mod end;
mod errors;
mod events;
mod face;
mod game;
mod invariants;
#[cfg(test)]
mod mock;
mod open;
mod parameters;
mod referee;
mod statement;
#[cfg(test)]
mod tests;
mod types;
pub mod weights;

#[cfg(feature = "runtime-benchmarks")]
pub use benchmarking::{BenchmarkChannel, BenchmarkHelper};
pub use pallet::*;
pub use parameters::Parameters;
pub use types::*;
pub use weights::WeightInfo;

use frame_support::pallet_macros::import_section;

// The macros' own code expects what holds by construction, and a call has as many arguments as it
// has fields, of which a whole statement is a large one; the logic is in the other modules.
#[allow(
    clippy::expect_used,
    clippy::large_enum_variant,
    clippy::too_many_arguments
)]
#[import_section(errors::errors)]
#[import_section(events::events)]
#[frame_support::pallet]
pub mod pallet {
    use super::*;
    use alloc::vec::Vec;
    use assay_primitives::{Balance, Claim, Claims, ListingId, ModelCatalogue, Slashed, Stake};
    use frame_support::{pallet_prelude::*, traits::fungible, weights::WeightMeter};
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
        /// Where listings are looked up, and frozen.
        type Catalogue: ModelCatalogue<Self::AccountId>;
        /// Who keeps the claims that receipts are of.
        type Claims: Claims<Self::AccountId, BlockNumberFor<Self>>;
        /// Who keeps the providers' stakes.
        type Stake: Stake<Self::AccountId, BlockNumberFor<Self>>;
        /// What an operator signs receipts with.
        type Signature: Parameter + Verify<Signer = Self::Signer>;
        /// Public key of [`Config::Signature`].
        type Signer: IdentifyAccount<AccountId = Self::AccountId>;
        /// Blocks for which earnings mature: a window must not outlast them.
        type MaturingBlocks: Get<BlockNumberFor<Self>>;
        /// Who may set the parameters and stop the clocks.
        type AdminOrigin: EnsureOrigin<Self::RuntimeOrigin>;
        /// The weight that the agenda may take at the end of a block, if there is room.
        #[pallet::constant]
        type MaxAgendaWeight: Get<Weight>;
        type WeightInfo: WeightInfo;
        #[cfg(feature = "runtime-benchmarks")]
        type BenchmarkHelper: BenchmarkHelper<Self>;
    }

    #[pallet::composite_enum]
    pub enum HoldReason {
        /// For commitments that are not used yet.
        #[codec(index = 0)]
        CommitmentDeposit,
        /// What challengers lose if they are wrong.
        #[codec(index = 1)]
        ChallengeBond,
    }

    /// The number of the next commitment.
    #[pallet::storage]
    pub type NextDispute<T: Config> = StorageValue<_, DisputeId, ValueQuery>;

    /// Commitments that are not used yet, by who made them and what they are.
    #[pallet::storage]
    pub type Commitments<T: Config> = StorageDoubleMap<
        _,
        Blake2_128Concat,
        T::AccountId,
        Identity,
        H256,
        CommitmentRecord<BlockNumberFor<T>>,
    >;

    /// Disputes by number.
    #[pallet::storage]
    pub type Disputes<T: Config> = StorageMap<_, Twox64Concat, DisputeId, DisputeRecordOf<T>>;

    /// The disputes of each provider: its duties.
    #[pallet::storage]
    pub type Dockets<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, Docket, ValueQuery>;

    /// The disputes over a claim, the one that is rewarded first, and what the receipt of each bills.
    #[pallet::storage]
    pub type ByClaim<T: Config> =
        StorageDoubleMap<_, Blake2_128Concat, Claim, Identity, Rank, Balance>;

    /// The claims that a provider was convicted of, once and for all, and the number of the commitment
    /// that was rewarded.
    #[pallet::storage]
    pub type Convictions<T: Config> = StorageMap<_, Blake2_128Concat, Claim, DisputeId>;

    /// The traces that providers stand by, by receipt and output position: one for each, whatever
    /// disputes there are.
    #[pallet::storage]
    pub type Traces<T: Config> =
        StorageDoubleMap<_, Identity, H256, Twox64Concat, u32, TraceRecord>;

    /// Blocks with room for moves while no pause lasted.
    #[pallet::storage]
    pub type Clock<T: Config> = StorageValue<_, BlockNumberFor<T>, ValueQuery>;

    /// The pause that lasts, or the last one.
    #[pallet::storage]
    pub type LastPause<T: Config> = StorageValue<_, Pause<BlockNumberFor<T>>>;

    /// The pauses before that, the earliest first: as many as are remembered.
    #[pallet::storage]
    pub type EarlierPauses<T: Config> =
        StorageValue<_, BoundedVec<Pause<BlockNumberFor<T>>, ConstU32<MAX_PAUSES>>, ValueQuery>;

    /// What is to do at a reading of the clock.
    #[pallet::storage]
    pub type Agenda<T: Config> =
        StorageDoubleMap<_, Twox64Concat, BlockNumberFor<T>, Blake2_128Concat, DutyOf<T>, ()>;

    /// The first reading of the clock whose agenda may not be empty.
    #[pallet::storage]
    pub type AgendaCursor<T: Config> = StorageValue<_, BlockNumberFor<T>, ValueQuery>;

    #[pallet::type_value]
    pub fn DefaultParameters<T: Config>() -> ParametersOf<T> {
        Parameters::default()
    }

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
            let checked = Pallet::<T>::check_parameters(&self.parameters);
            assert!(
                checked.is_ok(),
                "disputes: the genesis parameters contradict each other: {checked:?}"
            );
            Params::<T>::put(&self.parameters);
        }
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        /// The weight of the clock.
        fn on_initialize(_: BlockNumberFor<T>) -> Weight {
            T::DbWeight::get().reads_writes(2, 1)
        }

        fn on_idle(_: BlockNumberFor<T>, limit: Weight) -> Weight {
            let mut meter = WeightMeter::with_limit(limit.min(T::MaxAgendaWeight::get()));
            Self::work_agenda(&mut meter);
            // Not when the block is finalised: that happens also where there was no room for this, and while a
            // migration keeps all transactions out.
            Self::tick();
            meter.consumed()
        }

        fn integrity_test() {
            // Before it does a duty, a block moves the cursor and looks at two agendas.
            let duty = T::DbWeight::get()
                .reads_writes(4, 1)
                .saturating_add(T::WeightInfo::heaviest_duty());
            assert!(
                T::MaxAgendaWeight::get().all_gte(duty),
                "the agenda must be able to do its heaviest duty"
            );
        }

        #[cfg(feature = "try-runtime")]
        fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
            Self::do_try_state()
        }
    }

    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Commit to a claim, a block ahead at least: `hash` is
        /// [`commitment`](assay_primitives::dispute::commitment) of the claim, the caller and a salt.
        /// The first to open a dispute is rewarded, so nobody who sees one can overtake it.
        #[pallet::call_index(0)]
        #[pallet::weight(T::WeightInfo::commit().saturating_add(T::WeightInfo::expire()))]
        pub fn commit(origin: OriginFor<T>, hash: H256) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_commit(who, hash)
        }

        /// Dispute a receipt under a commitment: output token `position` does not follow, what a score says
        /// of the token there is false, or without a position, the user never asked this. Holds a bond, which is lost to whoever is right;
        /// what a crowd that waits added to it is lost but for what a conviction burns that it is rewarded for.
        /// `delegate` may play the caller's moves.
        #[pallet::call_index(1)]
        #[pallet::weight(T::WeightInfo::open().saturating_add(T::WeightInfo::heaviest_duty()))]
        pub fn open(
            origin: OriginFor<T>,
            claim: Claim,
            statement: StatementOf<T>,
            position: Option<u32>,
            salt: H256,
            delegate: Option<T::AccountId>,
        ) -> DispatchResult {
            let challenger = ensure_signed(origin)?;
            Self::do_open(challenger, claim, statement, position, salt, delegate)
        }

        /// Answer a dispute, as its provider, by stash or operator: show the header that the user
        /// signed, or the first nodes of the trace. The root under which they lie is the provider's for
        /// this receipt and position in every dispute. Free in time and on one's turn.
        #[pallet::call_index(2)]
        #[pallet::weight((
            T::WeightInfo::answer().saturating_add(T::WeightInfo::timeout()),
            DispatchClass::Operational,
        ))]
        pub fn answer(
            origin: OriginFor<T>,
            dispute: DisputeId,
            state: H256,
            answer: AnswerOf<T>,
        ) -> DispatchResultWithPostInfo {
            let who = ensure_signed(origin)?;
            Self::do_answer(who, dispute, state, answer)?;
            Ok(Pays::No.into())
        }

        /// Reveal what lies under the node that was chosen, as the provider. Free in time and on one's
        /// turn.
        #[pallet::call_index(3)]
        #[pallet::weight((T::WeightInfo::reveal(), DispatchClass::Operational))]
        pub fn reveal(
            origin: OriginFor<T>,
            dispute: DisputeId,
            state: H256,
            revelation: Revelation,
        ) -> DispatchResultWithPostInfo {
            let who = ensure_signed(origin)?;
            Self::do_reveal(who, dispute, state, revelation)?;
            Ok(Pays::No.into())
        }

        /// Choose the first that is wrong of what was revealed, as the challenger or its delegate. Free
        /// in time and on one's turn.
        #[pallet::call_index(4)]
        #[pallet::weight((T::WeightInfo::choose(), DispatchClass::Operational))]
        pub fn choose(
            origin: OriginFor<T>,
            dispute: DisputeId,
            state: H256,
            choice: Choice,
        ) -> DispatchResultWithPostInfo {
            let who = ensure_signed(origin)?;
            Self::do_choose(who, dispute, state, choice)?;
            Ok(Pays::No.into())
        }

        /// Prove the step that was chosen, as the provider: `proof` is an encoded
        /// [`Proof`](assay_exact::trace::Proof). Whatever the chain finds by it, it is free in time and
        /// on one's turn.
        #[pallet::call_index(5)]
        #[pallet::weight((
            T::WeightInfo::prove(T::WeightInfo::dearest_judgement()),
            DispatchClass::Operational,
        ))]
        pub fn prove(
            origin: OriginFor<T>,
            dispute: DisputeId,
            state: H256,
            proof: ProofBytes,
        ) -> DispatchResultWithPostInfo {
            let who = ensure_signed(origin)?;
            let operator = Self::do_prove(who, dispute, state, proof)?;
            let judged =
                operator.map(|operator| T::WeightInfo::prove(T::WeightInfo::judge(operator)));
            let weight = judged.unwrap_or_else(T::WeightInfo::choose);
            Ok((Some(weight), Pays::No).into())
        }

        /// End a dispute whose next move is late, against the side that had to move; or one over a claim
        /// that the provider was convicted of meanwhile. Anyone may call it; it is free when it
        /// succeeds. The chain does the same by itself when blocks have room.
        #[pallet::call_index(6)]
        #[pallet::weight((T::WeightInfo::timeout(), DispatchClass::Operational))]
        pub fn timeout(origin: OriginFor<T>, dispute: DisputeId) -> DispatchResultWithPostInfo {
            ensure_signed(origin)?;
            Self::do_timeout(dispute)?;
            Ok(Pays::No.into())
        }

        /// Convict a provider, under a commitment, of a receipt of a channel that is false on its face.
        #[pallet::call_index(7)]
        #[pallet::weight(T::WeightInfo::accuse())]
        pub fn accuse(
            origin: OriginFor<T>,
            claim: Claim,
            statement: StatementOf<T>,
            evidence: EvidenceOf<T>,
            salt: H256,
        ) -> DispatchResult {
            let accuser = ensure_signed(origin)?;
            Self::do_accuse(accuser, claim, statement, evidence, salt)
        }

        /// Set the parameters.
        #[pallet::call_index(8)]
        #[pallet::weight(T::WeightInfo::set_parameters())]
        pub fn set_parameters(origin: OriginFor<T>, parameters: ParametersOf<T>) -> DispatchResult {
            T::AdminOrigin::ensure_origin(origin)?;
            Self::check_parameters(&parameters)?;
            Params::<T>::put(parameters);
            Self::deposit_event(Event::ParametersSet);
            Ok(())
        }

        /// Stop all clocks, or let them run again. While they stand still nothing is judged, and new
        /// disputes can be opened.
        #[pallet::call_index(9)]
        #[pallet::weight((T::WeightInfo::pause(), DispatchClass::Operational))]
        pub fn pause(origin: OriginFor<T>, on: bool) -> DispatchResult {
            T::AdminOrigin::ensure_origin(origin)?;
            Self::do_pause(on)
        }
    }

    #[pallet::view_functions]
    impl<T: Config> Pallet<T> {
        /// The dispute with this number, if it is not over.
        pub fn dispute(number: DisputeId) -> Option<DisputeRecordOf<T>> {
            Disputes::<T>::get(number)
        }

        /// The disputes of a provider: those whose clocks run, then those that wait.
        pub fn disputes_of_provider(provider: T::AccountId) -> Vec<DisputeId> {
            Dockets::<T>::get(provider).numbers().collect()
        }

        /// The bond that a challenge of this provider over a trace of so many leaves takes now, in
        /// planck.
        pub fn bond(provider: T::AccountId, leaves: u64) -> Balance {
            Self::bond_for(&Dockets::<T>::get(provider), leaves)
        }
    }
}
