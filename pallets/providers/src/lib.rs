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
mod draw;
mod errors;
mod events;
mod invariants;
mod market;
mod maturing;
#[cfg(test)]
mod mock;
mod race;
mod rewards;
mod stake;
#[cfg(test)]
mod tests;
mod types;
pub mod weights;

#[cfg(feature = "runtime-benchmarks")]
pub use benchmarking::BenchmarkHelper;
pub use pallet::*;
pub use rewards::REWARD_ERAS;
pub use types::*;
pub use weights::WeightInfo;

use frame_support::pallet_macros::import_section;

// The macros' own code expects what holds by construction, and a call has as many arguments as it
// has fields; the logic is in the other modules.
#[allow(clippy::expect_used, clippy::too_many_arguments)]
#[import_section(errors::errors)]
#[import_section(events::events)]
#[frame_support::pallet]
pub mod pallet {
    use super::*;
    use alloc::vec::Vec;
    use assay_primitives::{
        Balance, EraIndex, ListingId, ModelCatalogue, Outcome, Price, RewardPool,
    };
    use frame_support::{
        pallet_prelude::*,
        traits::{fungible, Consideration, Footprint},
        weights::WeightMeter,
    };
    use frame_system::pallet_prelude::*;

    #[pallet::pallet]
    pub struct Pallet<T>(_);

    #[pallet::config]
    pub trait Config: frame_system::Config {
        /// The chain's token.
        type Currency: fungible::Mutate<Self::AccountId, Balance = Balance>
            + fungible::hold::Mutate<Self::AccountId, Reason = Self::RuntimeHoldReason>;
        /// The runtime's hold reasons.
        type RuntimeHoldReason: From<HoldReason>;
        /// The deposit for a provider's and an offer's storage.
        type Consideration: Consideration<Self::AccountId, Footprint>;
        /// Where listings are looked up.
        type Catalogue: ModelCatalogue<Self::AccountId>;
        /// The blocks so far in which the referee was paused, and all windows with it.
        type StoodStill: Get<BlockNumberFor<Self>>;
        /// Blocks in which an answer can be challenged: what it earned must not mature sooner.
        type ChallengeBlocks: Get<BlockNumberFor<Self>>;
        /// Who may set the parameters.
        type AdminOrigin: EnsureOrigin<Self::RuntimeOrigin>;
        /// The longest endpoint URL, in bytes.
        #[pallet::constant]
        type MaxEndpointLength: Get<u32>;
        /// The most withdrawals under way for one provider.
        #[pallet::constant]
        type MaxUnbondingChunks: Get<u32>;
        /// The most operator keys whose validity is remembered for one provider.
        #[pallet::constant]
        type MaxOperatorRanges: Get<u32>;
        /// The most offers for one listing: bounds the cost of a draw.
        #[pallet::constant]
        type MaxOffersPerListing: Get<u32>;
        type WeightInfo: WeightInfo;
        #[cfg(feature = "runtime-benchmarks")]
        type BenchmarkHelper: BenchmarkHelper;
    }

    #[pallet::composite_enum]
    pub enum HoldReason {
        /// A provider's bond, active or unbonding.
        #[codec(index = 0)]
        Bond,
        /// Earnings that have not matured.
        #[codec(index = 1)]
        Maturing,
        /// The deposit for a provider and its offers.
        #[codec(index = 2)]
        ProviderDeposit,
    }

    /// Providers by stash.
    #[pallet::storage]
    pub type Providers<T: Config> =
        CountedStorageMap<_, Blake2_128Concat, T::AccountId, ProviderRecordOf<T>>;

    /// The provider that a current operator speaks for.
    #[pallet::storage]
    pub type Operators<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, T::AccountId>;

    /// The operator keys of a provider and when each was valid, oldest first.
    #[pallet::storage]
    pub type OperatorHistory<T: Config> =
        StorageMap<_, Blake2_128Concat, T::AccountId, OperatorHistoryOf<T>, ValueQuery>;

    /// Offers by listing and stash.
    #[pallet::storage]
    pub type Offers<T: Config> =
        StorageDoubleMap<_, Identity, ListingId, Blake2_128Concat, T::AccountId, OfferRecordOf<T>>;

    /// Who offers a listing: the candidates of a draw.
    #[pallet::storage]
    pub type Offering<T: Config> = StorageMap<
        _,
        Identity,
        ListingId,
        BoundedVec<T::AccountId, T::MaxOffersPerListing>,
        ValueQuery,
    >;

    /// The providers whose earnings to look at, by block: wherever earnings fall due, there is an
    /// entry, unless a dispute holds them.
    #[pallet::storage]
    pub type Due<T: Config> =
        StorageDoubleMap<_, Twox64Concat, BlockNumberFor<T>, Blake2_128Concat, T::AccountId, ()>;

    /// The first block whose due earnings may not all have been looked at.
    #[pallet::storage]
    pub type MaturingCursor<T: Config> = StorageValue<_, BlockNumberFor<T>, ValueQuery>;

    /// The era that is under way, and what settlements of all providers burned in it so far.
    #[pallet::storage]
    pub type BurnSoFar<T: Config> = StorageValue<_, Burn, ValueQuery>;

    /// What providers get for each of the last eras in which their settlements burned something.
    #[pallet::storage]
    pub type RewardPools<T: Config> = StorageMap<_, Twox64Concat, EraIndex, RewardPool>;

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
            assert!(
                self.parameters.is_valid(),
                "providers: the genesis parameters contradict each other"
            );
            Params::<T>::put(&self.parameters);
        }
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        fn on_idle(_: BlockNumberFor<T>, limit: Weight) -> Weight {
            let mut meter = WeightMeter::with_limit(limit);
            Self::release_due(&mut meter);
            meter.consumed()
        }

        #[cfg(feature = "try-runtime")]
        fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
            Self::do_try_state()
        }
    }

    #[pallet::call(weight(<T as Config>::WeightInfo))]
    impl<T: Config> Pallet<T> {
        /// Become a provider: bond money and name an operator key.
        #[pallet::call_index(0)]
        pub fn register(
            origin: OriginFor<T>,
            operator: T::AccountId,
            info: ProviderInfoOf<T>,
            #[pallet::compact] bond: Balance,
        ) -> DispatchResult {
            let stash = ensure_signed(origin)?;
            Self::do_register(stash, operator, info, bond)
        }

        /// Change how the provider is reached.
        #[pallet::call_index(1)]
        pub fn update_info(origin: OriginFor<T>, info: ProviderInfoOf<T>) -> DispatchResult {
            let stash = ensure_signed(origin)?;
            Self::do_update_info(stash, info)
        }

        /// Replace the operator key, from this block on.
        #[pallet::call_index(2)]
        pub fn rotate_operator(origin: OriginFor<T>, operator: T::AccountId) -> DispatchResult {
            let stash = ensure_signed(origin)?;
            Self::do_rotate_operator(stash, operator)
        }

        /// Add to the bond.
        #[pallet::call_index(3)]
        pub fn bond_extra(
            origin: OriginFor<T>,
            #[pallet::compact] amount: Balance,
        ) -> DispatchResult {
            let stash = ensure_signed(origin)?;
            Self::do_bond_extra(stash, amount)
        }

        /// Begin to take money out of the bond. What remains must be nothing or at least the least
        /// bond, and must cover the open jobs.
        #[pallet::call_index(4)]
        pub fn unbond(origin: OriginFor<T>, #[pallet::compact] amount: Balance) -> DispatchResult {
            let stash = ensure_signed(origin)?;
            Self::do_unbond(stash, amount)
        }

        /// Release the unbonded money that is due.
        #[pallet::call_index(5)]
        pub fn withdraw_unbonded(origin: OriginFor<T>) -> DispatchResult {
            let stash = ensure_signed(origin)?;
            Self::do_withdraw_unbonded(stash)
        }

        /// Serve a listing, or change the terms. Prices are in planck per token. Jobs that are
        /// assigned already keep their price.
        #[pallet::call_index(6)]
        pub fn set_offer(
            origin: OriginFor<T>,
            listing: ListingId,
            #[pallet::compact] input_price: Balance,
            #[pallet::compact] output_price: Balance,
            context: u32,
            capacity: u32,
        ) -> DispatchResult {
            let stash = ensure_signed(origin)?;
            let price = Price {
                input: input_price,
                output: output_price,
            };
            Self::do_set_offer(stash, listing, price, context, capacity)
        }

        /// Stop serving a listing.
        #[pallet::call_index(7)]
        pub fn remove_offer(origin: OriginFor<T>, listing: ListingId) -> DispatchResult {
            let stash = ensure_signed(origin)?;
            Self::do_remove_offer(stash, listing)
        }

        /// Accept new jobs, or none. The stash or its operator may call it.
        #[pallet::call_index(8)]
        pub fn set_online(origin: OriginFor<T>, online: bool) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_set_online(who, online)
        }

        /// Leave: nothing may be open, bonded, offered or maturing any more. A reward that was not
        /// claimed is lost.
        #[pallet::call_index(9)]
        pub fn deregister(origin: OriginFor<T>) -> DispatchResult {
            let stash = ensure_signed(origin)?;
            Self::do_deregister(stash)
        }

        /// Release a provider's earnings that are due. Anyone may call it; it is free when it
        /// succeeds. The chain does the same by itself when blocks have room.
        #[pallet::call_index(10)]
        pub fn release_earnings(
            origin: OriginFor<T>,
            provider: T::AccountId,
        ) -> DispatchResultWithPostInfo {
            ensure_signed(origin)?;
            Self::do_release_earnings(&provider)?;
            Ok(Pays::No.into())
        }

        /// Set the parameters.
        #[pallet::call_index(11)]
        pub fn set_parameters(origin: OriginFor<T>, parameters: ParametersOf<T>) -> DispatchResult {
            T::AdminOrigin::ensure_origin(origin)?;
            ensure!(parameters.is_valid(), Error::<T>::InvalidParameters);
            ensure!(
                parameters.maturing_blocks >= T::ChallengeBlocks::get(),
                Error::<T>::MaturesTooSoon
            );
            Params::<T>::put(parameters);
            Self::deposit_event(Event::ParametersSet);
            Ok(())
        }

        /// Remove somebody's offer without open jobs: of a listing that is not active, or of a
        /// provider below the least bond; or, from a full listing, for a caller that is a provider
        /// with a larger bond and no offer there. The deposit goes back to the offer's stash. Anyone
        /// may call it; it is free when it succeeds, except from a full listing.
        #[pallet::call_index(12)]
        pub fn evict_offer(
            origin: OriginFor<T>,
            listing: ListingId,
            provider: T::AccountId,
        ) -> DispatchResultWithPostInfo {
            let by = ensure_signed(origin)?;
            Ok(Self::do_evict_offer(by, listing, provider)?.into())
        }

        /// Mint a provider's part of the pool of the last era in which its settlements burned something.
        /// It matures like all that it earns. Anyone may call it; it is free when it succeeds. The
        /// provider's next settlement in a later era does the same.
        #[pallet::call_index(13)]
        pub fn claim_reward(
            origin: OriginFor<T>,
            provider: T::AccountId,
        ) -> DispatchResultWithPostInfo {
            ensure_signed(origin)?;
            Self::do_claim_reward(&provider)?;
            Ok(Pays::No.into())
        }
    }

    #[pallet::view_functions]
    impl<T: Config> Pallet<T> {
        /// The provider with this stash.
        pub fn provider(stash: T::AccountId) -> Option<ProviderRecordOf<T>> {
            Providers::<T>::get(stash)
        }

        /// The provider that this operator speaks for.
        pub fn provider_of_operator(operator: T::AccountId) -> Option<T::AccountId> {
            Operators::<T>::get(operator)
        }

        /// All offers for a listing, with the stash of each.
        pub fn offers(listing: ListingId) -> Vec<(T::AccountId, OfferRecordOf<T>)> {
            Offers::<T>::iter_prefix(listing).collect()
        }

        /// A provider's earnings that have not been released, by the block at which they are due.
        pub fn maturing(stash: T::AccountId) -> Vec<(BlockNumberFor<T>, Balance)> {
            let provider = Providers::<T>::get(stash);
            let earnings = provider.into_iter().flat_map(|provider| provider.earnings);
            earnings.map(|part| (part.due, part.amount)).collect()
        }

        /// What a provider's settlements burned in this era, and what it can claim for an earlier one.
        pub fn reward(stash: T::AccountId) -> Option<ProviderReward> {
            Providers::<T>::get(stash).map(|provider| Self::reward_of(&provider))
        }
    }
}
