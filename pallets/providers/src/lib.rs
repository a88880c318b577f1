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

// The macros' own code expects what holds by construction, and a call has as many arguments as it
// has fields; the logic is in the other modules.
#[allow(clippy::expect_used, clippy::too_many_arguments)]
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

    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// A provider registered.
        Registered {
            /// Stash.
            provider: T::AccountId,
            /// Its first operator key.
            operator: T::AccountId,
            /// Planck.
            bond: Balance,
        },
        /// A provider changed how it is reached.
        InfoUpdated {
            /// Stash.
            provider: T::AccountId,
        },
        /// A provider replaced its operator key; the new one is valid from this block.
        OperatorRotated {
            /// Stash.
            provider: T::AccountId,
            /// The new key.
            operator: T::AccountId,
        },
        /// Money was added to a bond.
        Bonded {
            /// Stash.
            provider: T::AccountId,
            /// Planck added.
            amount: Balance,
        },
        /// Money began to leave a bond.
        Unbonded {
            /// Stash.
            provider: T::AccountId,
            /// Planck.
            amount: Balance,
            /// The first block at which it may be withdrawn.
            due: BlockNumberFor<T>,
        },
        /// Unbonded money was released.
        Withdrawn {
            /// Stash.
            provider: T::AccountId,
            /// Planck.
            amount: Balance,
        },
        /// An offer was made or changed. Assigned jobs keep the price that they were assigned at.
        OfferSet {
            /// Stash.
            provider: T::AccountId,
            /// What is served.
            listing: ListingId,
            /// Planck per token.
            price: Price,
        },
        /// An offer was removed.
        OfferRemoved {
            /// Stash.
            provider: T::AccountId,
            /// What was served.
            listing: ListingId,
        },
        /// An offer that must not stand, or not any longer, was removed.
        OfferEvicted {
            /// Stash.
            provider: T::AccountId,
            /// What was served.
            listing: ListingId,
            /// Who asked for it.
            by: T::AccountId,
        },
        /// A provider went online or offline.
        OnlineSet {
            /// Stash.
            provider: T::AccountId,
            /// Whether new jobs may be assigned.
            online: bool,
        },
        /// A provider left; its deposit was returned.
        Deregistered {
            /// Stash.
            provider: T::AccountId,
        },
        /// An assignment ended.
        Resolved {
            /// Stash.
            provider: T::AccountId,
            /// How.
            outcome: Outcome,
            /// The provider's score after it, in parts per million.
            score: u32,
        },
        /// Earnings began to mature.
        EarningsHeld {
            /// Stash.
            provider: T::AccountId,
            /// Planck.
            amount: Balance,
            /// The block at which they are due for release.
            due: BlockNumberFor<T>,
        },
        /// Matured earnings were released to the stash.
        EarningsReleased {
            /// Stash.
            provider: T::AccountId,
            /// Planck.
            amount: Balance,
        },
        /// A part of a bond was paid to somebody whom the provider let down.
        Compensated {
            /// Stash.
            provider: T::AccountId,
            /// Who was paid.
            beneficiary: T::AccountId,
            /// Planck paid.
            amount: Balance,
            /// Planck burned besides.
            burned: Balance,
        },
        /// A provider was convicted of a wrong answer.
        Slashed {
            /// Stash.
            provider: T::AccountId,
            /// Planck taken from the bond, active or unbonding.
            bond: Balance,
            /// Planck of earnings that had not matured.
            earnings: Balance,
            /// Planck of both that went to the user.
            refund: Balance,
            /// Planck of both that went to the challenger.
            reward: Balance,
            /// Planck of both that were burned.
            burned: Balance,
        },
        /// The parameters were set.
        ParametersSet,
        /// An era is over.
        EraEnded {
            /// Its number.
            era: EraIndex,
            /// Planck that settlements of all providers burned in it.
            burned: Balance,
            /// Planck that these providers can claim.
            pool: Balance,
        },
        /// A provider got its part of an era's pool, which begins to mature.
        Rewarded {
            /// Stash.
            provider: T::AccountId,
            /// The era.
            era: EraIndex,
            /// Planck that were minted.
            amount: Balance,
        },
    }

    #[pallet::error]
    pub enum Error<T> {
        /// This account is not a provider's stash: register first.
        UnknownProvider,
        /// This account is already a provider's stash.
        AlreadyRegistered,
        /// This key already speaks for a provider: choose another.
        OperatorTaken,
        /// Too many operator keys are still remembered: wait until old receipts have expired.
        TooManyRotations,
        /// The bond is below the least that a provider may have.
        BondTooSmall,
        /// What would remain bonded does not cover the open jobs.
        BondNeeded,
        /// Too many withdrawals are under way: withdraw what is due first.
        TooManyUnbondingChunks,
        /// Nothing is due for withdrawal yet.
        NothingToWithdraw,
        /// There is no listing under this id: look at `assay model list`.
        UnknownListing,
        /// The listing is retired or frozen.
        ListingNotActive,
        /// The offer's context is zero or longer than the model's.
        ContextOutOfBounds,
        /// The price is too high for a worst-case fee to be computed.
        PriceTooHigh,
        /// This listing has as many offers as the chain allows.
        TooManyOffers,
        /// The provider has no offer for this listing.
        UnknownOffer,
        /// The offer has open jobs: set its capacity to zero and wait for them.
        OfferBusy,
        /// The offer may stand: its listing is active, its provider's bond suffices, and it is in
        /// the way of no larger bond in a full listing.
        OfferStands,
        /// The provider still has offers: remove them first.
        OffersRemain,
        /// The provider still has a bond or unbonding money: withdraw it first.
        BondRemains,
        /// The provider still has open jobs.
        JobsRemain,
        /// The provider still has maturing earnings: wait until they are released.
        EarningsRemain,
        /// These earnings are not due yet, or there are none.
        NotMatured,
        /// A dispute against the provider is live: wait until it is over.
        Disputed,
        /// The parameters contradict each other: unbonding must outlast maturing, `reward_share` is at
        /// most a half, `return_share` at most nine tenths, and only these, the emission and
        /// `compensation_burned` may be zero.
        InvalidParameters,
        /// A sum of the provider's money does not fit its type.
        Overflow,
        /// No reward is due to this provider: one is when an era ends in which its settlements burned
        /// something.
        NoReward,
        /// Earnings would mature while the answers that they are for can be challenged: lower the
        /// referee's `challenge_blocks` first.
        MaturesTooSoon,
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
