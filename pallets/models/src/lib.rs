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
mod impls;
#[cfg(test)]
mod mock;
#[cfg(test)]
mod tests;
mod types;
pub mod weights;

pub use pallet::*;
pub use types::{ListingAccount, ListingRecord, ListingRecordOf, ListingStatus, Parameters, UriOf};
pub use weights::WeightInfo;

use frame_support::traits::fungible;

/// Balance type of the currency: planck.
pub type BalanceOf<T> =
    <<T as Config>::Currency as fungible::Inspect<<T as frame_system::Config>::AccountId>>::Balance;

// The macros' own code expects what holds by construction, and a call has as many arguments as it
// has fields, of which a whole spec is a large one; the logic is in the other modules.
#[allow(
    clippy::expect_used,
    clippy::large_enum_variant,
    clippy::too_many_arguments
)]
#[frame_support::pallet]
pub mod pallet {
    use super::*;
    use alloc::vec::Vec;
    use assay_primitives::{Balance, ListingId, ModelParts, ModelSpec};
    use frame_support::{
        pallet_prelude::*,
        traits::{Consideration, Footprint},
        PalletId,
    };
    use frame_system::pallet_prelude::*;
    use sp_core::H256;
    use sp_runtime::Permill;

    #[pallet::pallet]
    pub struct Pallet<T>(_);

    #[pallet::config]
    pub trait Config: frame_system::Config {
        /// The chain's token.
        type Currency: fungible::Mutate<Self::AccountId, Balance = Balance>
            + fungible::hold::Mutate<Self::AccountId, Reason = Self::RuntimeHoldReason>;
        /// The runtime's hold reasons.
        type RuntimeHoldReason: From<HoldReason>;
        /// The deposit for a listing's storage.
        type Consideration: Consideration<Self::AccountId, Footprint>;
        /// Who may freeze a listing and set the parameters.
        type AdminOrigin: EnsureOrigin<Self::RuntimeOrigin>;
        /// Names the account that keeps unclaimed royalties.
        #[pallet::constant]
        type PalletId: Get<PalletId>;
        /// The highest `max_royalty`.
        #[pallet::constant]
        type MaxRoyalty: Get<Permill>;
        /// The longest URI, in bytes.
        #[pallet::constant]
        type MaxUriLength: Get<u32>;
        type WeightInfo: WeightInfo;
    }

    #[pallet::composite_enum]
    pub enum HoldReason {
        /// Royalties that their publishers have not claimed yet.
        #[codec(index = 0)]
        Royalty,
        /// The deposit for a listing.
        #[codec(index = 1)]
        ListingDeposit,
    }

    /// Listings by id.
    #[pallet::storage]
    pub type Listings<T: Config> = StorageMap<_, Identity, ListingId, ListingRecordOf<T>>;

    /// Uses and pot of each listing.
    #[pallet::storage]
    pub type Accounts<T: Config> = StorageMap<_, Identity, ListingId, ListingAccount>;

    /// What governance has set.
    #[pallet::storage]
    pub type Params<T> = StorageValue<_, Parameters, ValueQuery>;

    #[pallet::genesis_config]
    #[derive(frame_support::DefaultNoBound)]
    pub struct GenesisConfig<T: Config> {
        pub parameters: Parameters,
        #[serde(skip)]
        pub _config: PhantomData<T>,
    }

    #[pallet::genesis_build]
    impl<T: Config> BuildGenesisConfig for GenesisConfig<T> {
        fn build(&self) {
            assert!(
                Pallet::<T>::accepts(&self.parameters),
                "models: the genesis parameters are above the chain's bounds"
            );
            Params::<T>::put(&self.parameters);
        }
    }

    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// A model was listed.
        Registered {
            /// Id of the listing.
            listing: ListingId,
            /// Hash of the model's parts.
            root: H256,
            /// Who is paid the royalty.
            publisher: T::AccountId,
            /// Share of each fee.
            royalty: Permill,
        },
        /// A publisher withdrew its listing: no new offers or jobs may name it.
        Retired {
            /// Id of the listing.
            listing: ListingId,
        },
        /// A listing was frozen because its weights break the numeric format.
        Frozen {
            /// Id of the listing.
            listing: ListingId,
        },
        /// A pot was paid to the publisher.
        RoyaltiesClaimed {
            /// Id of the listing.
            listing: ListingId,
            /// Who was paid.
            publisher: T::AccountId,
            /// Planck.
            amount: Balance,
        },
        /// A listing that nothing names any more was dropped and its deposit returned.
        Dropped {
            /// Id of the listing.
            listing: ListingId,
        },
        /// The parameters were set.
        ParametersSet,
    }

    #[pallet::error]
    pub enum Error<T> {
        /// There is no listing under this id: look at `assay model list`.
        UnknownListing,
        /// This publisher already lists this model with this royalty.
        AlreadyRegistered,
        /// A dimension of the model, or its heads times their width, is zero or above the bound of
        /// its profile.
        DimensionOutOfBounds,
        /// Key heads must divide query heads, and the head width must be even.
        HeadsDoNotDivide,
        /// Stop tokens must be in the vocabulary and in ascending order.
        InvalidStopTokens,
        /// The fraction bits of an exact model must be 8 to 20.
        FractionBitsOutOfBounds,
        /// The epsilon of an exact model must be 1 to 2^30 in Q40.
        EpsilonOutOfBounds,
        /// The rotary base of an exact model must be 1 to 2^40, in parts per million.
        RotaryBaseOutOfBounds,
        /// The factors of a rotary scaling must be above 0 and up to 2^40, `high` above `low`, and
        /// the original context not 0.
        InvalidRotaryScaling,
        /// An exact model has tables, and an unverified one has none: their root is zero.
        TablesContradictProfile,
        /// The royalty is above the chain's cap.
        RoyaltyTooHigh,
        /// Only the publisher of a listing may do this.
        NotPublisher,
        /// The listing is retired or frozen, so nothing new may name it.
        ListingNotActive,
        /// The listing is active: retire it first.
        ListingActive,
        /// Offers, unfinished jobs or channels still name the listing.
        ListingInUse,
        /// The pot is not empty: claim the royalties first.
        PotNotEmpty,
        /// There is nothing in the pot.
        NothingToClaim,
        /// A counter of the listing is at its bound.
        CounterOverflow,
        /// The parameters are above the chain's bounds.
        InvalidParameters,
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        fn integrity_test() {
            assert!(
                Self::accepts(&Parameters::default()),
                "models: the default parameters are above MaxRoyalty"
            );
        }

        #[cfg(feature = "try-runtime")]
        fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
            Self::do_try_state()
        }
    }

    #[pallet::call(weight(<T as Config>::WeightInfo))]
    impl<T: Config> Pallet<T> {
        /// List a model. Its root is computed from the arguments; the listing's id is the hash of
        /// root, caller and royalty.
        #[pallet::call_index(0)]
        pub fn register(
            origin: OriginFor<T>,
            spec: ModelSpec,
            tokenizer: H256,
            template: H256,
            tables: H256,
            weights_root: H256,
            royalty: Permill,
            uri: UriOf<T>,
        ) -> DispatchResult {
            let publisher = ensure_signed(origin)?;
            let parts = ModelParts {
                spec,
                tokenizer,
                template,
                tables,
                weights_root,
            };
            Self::do_register(publisher, parts, royalty, uri)
        }

        /// Withdraw a listing: no new offers or jobs may name it. Those that do run out.
        #[pallet::call_index(1)]
        pub fn retire(origin: OriginFor<T>, listing: ListingId) -> DispatchResult {
            let publisher = ensure_signed(origin)?;
            Self::do_retire(publisher, listing)
        }

        /// Pay a listing's pot to its publisher. Anyone may call it.
        #[pallet::call_index(2)]
        pub fn claim_royalties(origin: OriginFor<T>, listing: ListingId) -> DispatchResult {
            ensure_signed(origin)?;
            Self::do_claim_royalties(listing)
        }

        /// Drop a retired or frozen listing that nothing names any more and return its deposit.
        /// Anyone may call it; it is free when it succeeds.
        #[pallet::call_index(3)]
        pub fn drop_retired(
            origin: OriginFor<T>,
            listing: ListingId,
        ) -> DispatchResultWithPostInfo {
            ensure_signed(origin)?;
            Self::do_drop_retired(listing)?;
            Ok(Pays::No.into())
        }

        /// Freeze a listing whose authenticated weights break the numeric format.
        #[pallet::call_index(4)]
        pub fn freeze(origin: OriginFor<T>, listing: ListingId) -> DispatchResult {
            T::AdminOrigin::ensure_origin(origin)?;
            Self::do_freeze(listing)
        }

        /// Set the parameters. Listings that there are keep their royalties.
        #[pallet::call_index(5)]
        pub fn set_parameters(origin: OriginFor<T>, parameters: Parameters) -> DispatchResult {
            T::AdminOrigin::ensure_origin(origin)?;
            ensure!(Self::accepts(&parameters), Error::<T>::InvalidParameters);
            Params::<T>::put(parameters);
            Self::deposit_event(Event::ParametersSet);
            Ok(())
        }
    }

    #[pallet::view_functions]
    impl<T: Config> Pallet<T> {
        /// The listing under this id, if there is one.
        pub fn listing(id: ListingId) -> Option<ListingRecordOf<T>> {
            Listings::<T>::get(id)
        }

        /// Uses and pot of a listing.
        pub fn account(id: ListingId) -> Option<ListingAccount> {
            Accounts::<T>::get(id)
        }

        /// The ids of all listings of one publisher.
        pub fn listings_of(publisher: T::AccountId) -> Vec<ListingId> {
            Listings::<T>::iter()
                .filter(|(_, record)| record.publisher == publisher)
                .map(|(id, _)| id)
                .collect()
        }
    }
}
