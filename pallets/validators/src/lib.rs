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
mod election;
mod errors;
mod events;
mod invariants;
#[cfg(test)]
mod mock;
mod offences;
mod proofs;
mod rewards;
mod roles;
mod session;
#[cfg(test)]
mod tests;
mod types;
pub mod weights;

pub use pallet::*;
pub use rewards::{EraReward, EraStatus, Progress, ValidatorStatus};
pub use session::{BondingSessions, IdentifiedByAccount, KeysStay};
pub use types::*;
pub use weights::WeightInfo;

use frame_support::pallet_macros::import_section;

// The macros' own code expects what holds by construction; the logic is in the other modules.
#[allow(clippy::expect_used)]
#[import_section(errors::errors)]
#[import_section(events::events)]
#[frame_support::pallet]
pub mod pallet {
    use super::*;
    use alloc::vec::Vec;
    use assay_primitives::{Balance, EraEnded, EraIndex};
    use frame_support::{
        pallet_prelude::*,
        traits::{fungible, OnUnbalanced, PalletInfoAccess, Time},
        PalletId,
    };
    use frame_system::pallet_prelude::*;
    use sp_runtime::{Perbill, Permill};
    use sp_staking::SessionIndex;

    #[pallet::pallet]
    pub struct Pallet<T>(_);

    #[pallet::config]
    pub trait Config:
        frame_system::Config
        + pallet_session::Config<ValidatorId = <Self as frame_system::Config>::AccountId>
        + pallet_session::historical::Config<FullIdentification = ()>
    {
        /// The chain's token.
        type Currency: fungible::Mutate<Self::AccountId, Balance = Balance>
            + fungible::hold::Mutate<Self::AccountId, Reason = Self::RuntimeHoldReason>
            + fungible::BalancedHold<Self::AccountId>;
        /// The runtime's hold reasons.
        type RuntimeHoldReason: From<HoldReason>;
        /// Where slashed money goes that no reporter gets.
        type OnSlash: OnUnbalanced<CreditOf<Self>>;
        /// Who may set the parameters and the number of validators.
        type AdminOrigin: EnsureOrigin<Self::RuntimeOrigin>;
        /// The most validators in a session.
        #[pallet::constant]
        type MaxValidators: Get<u32>;
        /// The most accounts that stand for election at once: bounds the cost of one.
        #[pallet::constant]
        type MaxCandidates: Get<u32>;
        /// The most nominators that back one validator: bounds the cost of a slash.
        #[pallet::constant]
        type MaxNominators: Get<u32>;
        /// The most slashes in one block; others wait for the next.
        #[pallet::constant]
        type MaxSlashes: Get<u32>;
        /// The most withdrawals under way for one account.
        #[pallet::constant]
        type MaxUnbondingChunks: Get<u32>;
        /// The time of the last block, in milliseconds.
        type Time: Time<Moment = u64>;
        /// Derives the account that collects what validators earn.
        #[pallet::constant]
        type RewardPot: Get<PalletId>;
        /// Who else does its books by eras.
        type EraEnded: EraEnded;
        type WeightInfo: WeightInfo;
    }

    #[pallet::composite_enum]
    pub enum HoldReason {
        /// A bond, active or unbonding.
        #[codec(index = 0)]
        Bond,
    }

    /// Bonds by account.
    #[pallet::storage]
    pub type Bonds<T: Config> =
        CountedStorageMap<_, Blake2_128Concat, T::AccountId, BondRecordOf<T>>;

    /// Who stands for election, in the order of accounts.
    #[pallet::storage]
    pub type Candidates<T: Config> =
        StorageValue<_, BoundedVec<T::AccountId, T::MaxCandidates>, ValueQuery>;

    /// Who backs an account, and with how much. They stay with one that stands for election no more
    /// until they leave.
    #[pallet::storage]
    pub type Nominators<T: Config> =
        StorageMap<_, Blake2_128Concat, T::AccountId, BackingsOf<T>, ValueQuery>;

    /// How many validators an election looks for.
    #[pallet::storage]
    pub type ValidatorCount<T> = StorageValue<_, u32, ValueQuery>;

    /// The last era that was planned: the one that runs, or the next in the session before it begins.
    #[pallet::storage]
    pub type Planned<T> = StorageValue<_, Era>;

    /// The validators of the planned era, in the order of accounts.
    #[pallet::storage]
    pub type Elected<T: Config> =
        StorageValue<_, BoundedVec<T::AccountId, T::MaxValidators>, ValueQuery>;

    /// The eras of the sessions that can still be reported, and of the planned one.
    #[pallet::storage]
    pub type EraOfSession<T> = StorageMap<_, Twox64Concat, SessionIndex, EraIndex>;

    /// What stood behind each validator of an era, until its last session can no longer be reported.
    #[pallet::storage]
    pub type Exposures<T: Config> =
        StorageDoubleMap<_, Twox64Concat, EraIndex, Blake2_128Concat, T::AccountId, ExposureOf<T>>;

    /// The share of its exposure that a validator loses for offences in a session.
    #[pallet::storage]
    pub type Slashed<T: Config> =
        StorageDoubleMap<_, Twox64Concat, SessionIndex, Blake2_128Concat, T::AccountId, Perbill>;

    /// By session and validator, what of [`Slashed`] is still to be taken.
    #[pallet::storage]
    #[pallet::unbounded]
    pub type Warrants<T: Config> = StorageDoubleMap<
        _,
        Twox64Concat,
        SessionIndex,
        Blake2_128Concat,
        T::AccountId,
        Warrant<T::AccountId>,
    >;

    /// The validators of the present session with the keys that they work with in it.
    #[pallet::storage]
    #[pallet::unbounded]
    pub type KeysInUse<T: Config> = StorageValue<_, Vec<(T::AccountId, T::Keys)>, ValueQuery>;

    /// Who is kept disabled.
    #[pallet::storage]
    pub type Offenders<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, Sentence>;

    /// The first session that can still be reported.
    #[pallet::storage]
    pub type KeptFrom<T> = StorageValue<_, SessionIndex, ValueQuery>;

    /// What governance has set.
    #[pallet::storage]
    pub type Params<T> = StorageValue<_, Parameters, ValueQuery>;

    /// The blocks that a validator made in an era, until they were paid.
    #[pallet::storage]
    pub type Points<T: Config> = StorageDoubleMap<
        _,
        Twox64Concat,
        EraIndex,
        Blake2_128Concat,
        T::AccountId,
        u32,
        ValueQuery,
    >;

    /// The era under way.
    #[pallet::storage]
    pub type EraProgress<T> = StorageValue<_, Progress, ValueQuery>;

    /// The pots of eras that are over, as long as their exposures are known.
    #[pallet::storage]
    pub type EraRewards<T> = StorageMap<_, Twox64Concat, EraIndex, EraReward>;

    /// What these have unpaid together, in planck.
    #[pallet::storage]
    pub type Unpaid<T> = StorageValue<_, Balance, ValueQuery>;

    #[pallet::genesis_config]
    pub struct GenesisConfig<T: Config> {
        /// Who stands for election from the beginning, and its bond in planck. Fewer than
        /// `min_validators` with session keys are no set: then whoever the genesis gave keys makes
        /// blocks until there are as many.
        pub validators: Vec<(T::AccountId, Balance)>,
        pub validator_count: u32,
        pub parameters: Parameters,
    }

    impl<T: Config> Default for GenesisConfig<T> {
        fn default() -> Self {
            Self {
                validators: Vec::new(),
                validator_count: 20.min(T::MaxValidators::get()),
                parameters: Parameters::default(),
            }
        }
    }

    #[pallet::genesis_build]
    impl<T: Config> BuildGenesisConfig for GenesisConfig<T> {
        fn build(&self) {
            assert!(
                self.parameters.is_valid(T::MaxUnbondingChunks::get()),
                "validators: the genesis parameters contradict each other"
            );
            Params::<T>::put(&self.parameters);
            let count = self.validator_count;
            assert!(
                Pallet::<T>::do_set_validator_count(count).is_ok(),
                "validators.validatorCount is {count}: give at least minValidators, and no more than \
                 the chain allows"
            );
            for (who, bond) in &self.validators {
                let bonded = Pallet::<T>::bond_at_genesis(who.clone(), *bond);
                assert!(
                    bonded.is_ok(),
                    "validators: {who:?} cannot bond {bond}: {bonded:?}"
                );
            }
        }
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        fn on_initialize(_: BlockNumberFor<T>) -> Weight {
            Self::carry_out_slashes()
        }

        fn integrity_test() {
            // The order of genesis is that of the indices.
            assert!(
                <Self as PalletInfoAccess>::index()
                    < <pallet_session::Pallet<T> as PalletInfoAccess>::index(),
                "validators: the session pallet's genesis asks for bonds, so give it a higher index"
            );
            assert!(T::MaxValidators::get() > 0 && T::MaxNominators::get() > 0);
            assert!(
                T::MaxCandidates::get() >= T::MaxValidators::get(),
                "validators: nobody can be elected who cannot stand for election"
            );
            // The session pallet takes a whole block for what a new session costs.
            let election = <T as Config>::WeightInfo::plan_era(
                T::MaxCandidates::get(),
                T::MaxNominators::get(),
            );
            assert!(
                election.ref_time() <= T::BlockWeights::get().max_block.ref_time(),
                "validators: an election does not fit into a block"
            );
            let slashes = <T as Config>::WeightInfo::slash(T::MaxNominators::get())
                .saturating_mul(T::MaxSlashes::get().into());
            assert!(
                T::MaxSlashes::get() > 0
                    && slashes.ref_time() <= T::BlockWeights::get().max_block.ref_time() / 4,
                "validators: the slashes of a block are none, or take more than a quarter of it"
            );
            assert!(
                Parameters::default().is_valid(T::MaxUnbondingChunks::get()),
                "validators: the default parameters contradict each other or MaxUnbondingChunks"
            );
        }

        #[cfg(feature = "try-runtime")]
        fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
            Self::do_try_state()
        }
    }

    #[pallet::call(weight(<T as Config>::WeightInfo))]
    impl<T: Config> Pallet<T> {
        /// Put money on hold, to stand for election or to back a validator with it.
        #[pallet::call_index(0)]
        pub fn bond(origin: OriginFor<T>, #[pallet::compact] amount: Balance) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_bond(who, amount)
        }

        /// Add to the bond.
        #[pallet::call_index(1)]
        pub fn bond_extra(
            origin: OriginFor<T>,
            #[pallet::compact] amount: Balance,
        ) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_bond_extra(who, amount)
        }

        /// Stand for election, or change the commission. Session keys must be set.
        #[pallet::call_index(2)]
        pub fn validate(origin: OriginFor<T>, commission: Permill) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_validate(who, commission)
        }

        /// Back a validator with the whole bond, instead of what it stood for before.
        #[pallet::call_index(3)]
        pub fn nominate(origin: OriginFor<T>, validator: T::AccountId) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_nominate(who, validator)
        }

        /// Neither stand for election nor back anybody any longer. What was elected already stays so
        /// until the next election.
        #[pallet::call_index(4)]
        pub fn chill(origin: OriginFor<T>) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_chill(who)
        }

        /// Begin to take money out of the bond. It answers for offences until `bonding_sessions` after
        /// the last session that somebody is elected for now.
        #[pallet::call_index(5)]
        pub fn unbond(origin: OriginFor<T>, #[pallet::compact] amount: Balance) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_unbond(who, amount)
        }

        /// Release the unbonded money that is due.
        #[pallet::call_index(6)]
        pub fn withdraw_unbonded(origin: OriginFor<T>) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_withdraw_unbonded(who)
        }

        /// Remove one's session keys, and have their deposit back: when nothing is bonded any more.
        #[pallet::call_index(7)]
        pub fn purge_keys(origin: OriginFor<T>) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_purge_keys(who)
        }

        /// Set how many validators an election looks for.
        #[pallet::call_index(8)]
        pub fn set_validator_count(origin: OriginFor<T>, count: u32) -> DispatchResult {
            T::AdminOrigin::ensure_origin(origin)?;
            Self::do_set_validator_count(count)
        }

        /// Set the parameters. Money that is unbonding already keeps its date.
        #[pallet::call_index(9)]
        pub fn set_parameters(origin: OriginFor<T>, parameters: Parameters) -> DispatchResult {
            T::AdminOrigin::ensure_origin(origin)?;
            ensure!(
                parameters.is_valid(T::MaxUnbondingChunks::get())
                    && parameters.min_validators <= ValidatorCount::<T>::get(),
                Error::<T>::InvalidParameters
            );
            Params::<T>::put(parameters);
            Self::deposit_event(Event::ParametersSet);
            Ok(())
        }

        /// Pay what a validator and its nominators earned in an era that is over. Anyone may call it; it is
        /// free when it succeeds.
        #[pallet::call_index(20)]
        #[pallet::weight(<T as Config>::WeightInfo::payout(T::MaxNominators::get()))]
        pub fn payout(
            origin: OriginFor<T>,
            validator: T::AccountId,
            era: EraIndex,
        ) -> DispatchResultWithPostInfo {
            ensure_signed(origin)?;
            let nominators = Self::do_payout(validator, era)?;
            let weight = <T as Config>::WeightInfo::payout(nominators);
            Ok((Some(weight), Pays::No).into())
        }
    }

    #[pallet::view_functions]
    impl<T: Config> Pallet<T> {
        /// The era under way, and what it has to divide so far.
        pub fn era() -> EraStatus {
            Self::era_status()
        }

        /// What a validator has earned and was not paid.
        pub fn rewards(validator: T::AccountId) -> ValidatorStatus {
            Self::status_of(&validator)
        }

        /// Who gets how many planck when a validator is paid for an era that is over.
        pub fn payees(validator: T::AccountId, era: EraIndex) -> Vec<(T::AccountId, Balance)> {
            Self::parts_of(&validator, era)
        }

        /// What an account has bonded, and what it does with it.
        pub fn bond_of(who: T::AccountId) -> Option<BondRecordOf<T>> {
            Bonds::<T>::get(who)
        }

        /// Who stands for election, and the planck behind each; none behind one that cannot be elected.
        pub fn standings() -> Vec<(T::AccountId, Balance)> {
            let min_bond = Params::<T>::get().min_validator_bond;
            let candidates = Candidates::<T>::get().into_iter();
            candidates
                .map(|who| (who.clone(), Self::standing(&who, min_bond)))
                .collect()
        }

        /// Whom the next election would elect as things stand, if they are enough.
        pub fn next_elected() -> Vec<T::AccountId> {
            Self::elect(Params::<T>::get().min_validator_bond)
        }

        /// The last planned era.
        pub fn planned_era() -> Option<Era> {
            Planned::<T>::get()
        }

        /// What stands behind a validator in an era.
        pub fn exposure(era: EraIndex, validator: T::AccountId) -> Option<ExposureOf<T>> {
            Exposures::<T>::get(era, validator)
        }
    }

    impl<T: Config> Pallet<T> {
        /// The era of the present session.
        pub fn active_era() -> EraIndex {
            let session = pallet_session::Pallet::<T>::current_index();
            EraOfSession::<T>::get(session).unwrap_or(0)
        }
    }
}
