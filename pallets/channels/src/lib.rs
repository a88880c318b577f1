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

mod agenda;
#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
mod calls;
mod claims;
mod invariants;
#[cfg(test)]
mod mock;
mod settle;
#[cfg(test)]
mod tests;
mod types;
pub mod weights;

#[cfg(feature = "runtime-benchmarks")]
pub use benchmarking::BenchmarkHelper;
pub use pallet::*;
pub use types::*;
pub use weights::WeightInfo;

// The macros' own code expects what holds by construction; the logic is in the other modules.
#[allow(clippy::expect_used)]
#[frame_support::pallet]
pub mod pallet {
    use super::*;
    use alloc::vec::Vec;
    use assay_primitives::{
        Balance, ChannelId, Dues, Fees, ListingId, Market, ModelCatalogue, Settlement,
        SignedVoucher, VoucherKey,
    };
    use frame_support::{
        pallet_prelude::*,
        traits::{fungible, Consideration, Footprint},
        weights::WeightMeter,
    };
    use frame_system::pallet_prelude::*;
    use sp_core::H256;

    /// The most vouchers of one [`settle_many`](Pallet::settle_many).
    pub const MAX_VOUCHERS: u32 = 100;

    #[pallet::pallet]
    pub struct Pallet<T>(_);

    #[pallet::config]
    pub trait Config: frame_system::Config<Hash = H256> {
        /// The chain's token.
        type Currency: fungible::Mutate<Self::AccountId, Balance = Balance>
            + fungible::hold::Mutate<Self::AccountId, Reason = Self::RuntimeHoldReason>;
        /// The runtime's hold reasons.
        type RuntimeHoldReason: From<HoldReason>;
        /// The deposit for a channel's storage.
        type Consideration: Consideration<Self::AccountId, Footprint>;
        /// Where listings are looked up.
        type Catalogue: ModelCatalogue<Self::AccountId>;
        /// Who the providers are.
        type Market: Market<Self::AccountId, BlockNumberFor<Self>>;
        /// How what a channel pays is divided.
        type Fees: Fees<Self::AccountId, Self::RuntimeHoldReason>;
        /// How many blocks of the chain's life a pause of the referee stopped all clocks for.
        type StoodStill: Get<BlockNumberFor<Self>>;
        /// Who may set the parameters.
        type AdminOrigin: EnsureOrigin<Self::RuntimeOrigin>;
        /// The weight that the agenda may take at the end of a block, if there is room.
        #[pallet::constant]
        type MaxAgendaWeight: Get<Weight>;
        type WeightInfo: WeightInfo;
        #[cfg(feature = "runtime-benchmarks")]
        type BenchmarkHelper: BenchmarkHelper<Self::AccountId>;
    }

    #[pallet::composite_enum]
    pub enum HoldReason {
        /// What a user's channels can still pay.
        #[codec(index = 0)]
        Deposit,
        /// The deposit for a channel's record.
        #[codec(index = 1)]
        ChannelDeposit,
    }

    /// The number of the next channel.
    #[pallet::storage]
    pub type NextChannel<T: Config> = StorageValue<_, u64, ValueQuery>;

    /// Channels by id.
    #[pallet::storage]
    pub type Channels<T: Config> = StorageMap<_, Identity, ChannelId, ChannelRecordOf<T>>;

    /// The channels that an account opened and whose record is kept.
    #[pallet::storage]
    pub type UserChannels<T: Config> =
        StorageDoubleMap<_, Blake2_128Concat, T::AccountId, Identity, ChannelId, ()>;

    /// The channels to a provider whose record is kept.
    #[pallet::storage]
    pub type ProviderChannels<T: Config> =
        StorageDoubleMap<_, Blake2_128Concat, T::AccountId, Identity, ChannelId, ()>;

    /// The channels with a step to take at a block.
    #[pallet::storage]
    pub type Agenda<T: Config> =
        StorageDoubleMap<_, Twox64Concat, BlockNumberFor<T>, Identity, ChannelId, ()>;

    /// The first block whose agenda may not be empty.
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
            assert!(
                self.parameters.is_valid(),
                "channels: the genesis parameters contradict each other"
            );
            Params::<T>::put(&self.parameters);
        }
    }

    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// A channel was opened.
        Opened {
            /// Id.
            channel: ChannelId,
            /// Who pays.
            user: T::AccountId,
            /// Stash of who is paid.
            provider: T::AccountId,
            /// What is served.
            listing: ListingId,
            /// Planck on hold.
            deposit: Balance,
        },
        /// Money was added to a channel. If it was closing, it is open again.
        ToppedUp {
            /// Id.
            channel: ChannelId,
            /// Planck added.
            amount: Balance,
            /// All that was ever put in, in planck.
            deposit: Balance,
        },
        /// A voucher was settled. Royalty and protocol fee are owed, and paid later.
        Settled {
            /// Id.
            channel: ChannelId,
            /// Stash of who was paid.
            provider: T::AccountId,
            /// All that was ever settled, in planck.
            settled: Balance,
            /// Whose what was settled now is.
            settlement: Settlement,
        },
        /// Royalty and protocol fee of what was settled were paid.
        DuesPaid {
            /// Id.
            channel: ChannelId,
            /// What was paid.
            dues: Dues,
        },
        /// The price of a wrong answer that was not settled yet was given back, and counts as settled.
        Voided {
            /// Id.
            channel: ChannelId,
            /// Who was refunded.
            user: T::AccountId,
            /// Planck released now.
            returned: Balance,
        },
        /// The user wants to close a channel.
        CloseRequested {
            /// Id.
            channel: ChannelId,
            /// Stash of who has until then to settle.
            provider: T::AccountId,
            /// The block at which the rest goes back to the user.
            finalize_at: BlockNumberFor<T>,
        },
        /// A channel is closed, and the rest of its deposit was released.
        Closed {
            /// Id.
            channel: ChannelId,
            /// Who was refunded.
            user: T::AccountId,
            /// Planck released now.
            refund: Balance,
            /// The block at which the record is removed.
            remove_at: BlockNumberFor<T>,
        },
        /// The record of a closed channel was removed and its deposit returned.
        Removed {
            /// Id.
            channel: ChannelId,
        },
        /// The parameters were set.
        ParametersSet,
    }

    #[pallet::error]
    pub enum Error<T> {
        /// There is no channel with this id, or its record was removed.
        UnknownChannel,
        /// There is no listing under this id: look at `assay model list`.
        UnknownListing,
        /// The listing is retired or frozen: choose another.
        ListingNotActive,
        /// There is no provider with this stash: `assay model show` names those that offer a listing.
        UnknownProvider,
        /// The provider is offline: choose another.
        ProviderOffline,
        /// The provider has no server for channels: choose another.
        ProviderHasNoEndpoint,
        /// The provider has no offer for this listing.
        ProviderHasNoOffer,
        /// The provider that this channel was opened with has left: request to close it.
        ProviderGone,
        /// The deposit is below the least that a channel may have.
        DepositTooSmall,
        /// Only the user of a channel may do this.
        NotUser,
        /// Only the channel's provider, by its stash or its operator, may do this.
        NotProvider,
        /// The channel is closed: open another.
        ChannelClosed,
        /// The channel is closing already.
        AlreadyClosing,
        /// The voucher is of another channel.
        WrongChannel,
        /// The voucher is not signed by the channel's voucher key for this chain.
        InvalidSignature,
        /// More is claimed than the voucher allows.
        AmountExceedsVoucher,
        /// The voucher allows more than was ever put into the channel.
        VoucherExceedsDeposit,
        /// As much, or more, has been settled already.
        NothingToSettle,
        /// The vouchers are of channels to several providers: settle those of each by themselves.
        OtherProvider,
        /// Publisher and protocol have been paid all that they have of this channel.
        NothingDue,
        /// The channel's next step is not due yet, or it has none.
        NotDue,
        /// The parameters contradict each other.
        InvalidParameters,
        /// A sum does not fit its type.
        Overflow,
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        fn on_idle(now: BlockNumberFor<T>, limit: Weight) -> Weight {
            let mut meter = WeightMeter::with_limit(limit.min(T::MaxAgendaWeight::get()));
            Self::work_agenda(now, &mut meter);
            meter.consumed()
        }

        fn integrity_test() {
            // Before it takes a step, a block moves the cursor and looks at two agendas.
            let step = T::DbWeight::get()
                .reads_writes(4, 1)
                .saturating_add(T::WeightInfo::heaviest_step());
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
        /// Open a channel to a provider that is online, has an endpoint, and offers `listing`. Holds
        /// `deposit`, which vouchers signed by `voucher_key` may spend, and a deposit for the
        /// storage. The fee of this call covers all that the chain does for the channel by itself.
        #[pallet::call_index(0)]
        #[pallet::weight(T::WeightInfo::open().saturating_add(T::WeightInfo::future()))]
        pub fn open(
            origin: OriginFor<T>,
            provider: T::AccountId,
            listing: ListingId,
            voucher_key: VoucherKey,
            #[pallet::compact] deposit: Balance,
        ) -> DispatchResult {
            let user = ensure_signed(origin)?;
            Self::do_open(user, provider, listing, voucher_key, deposit)
        }

        /// Add to a channel's deposit, as its user; nothing is an amount too. A channel that was
        /// closing is open again.
        #[pallet::call_index(1)]
        #[pallet::weight(T::WeightInfo::top_up())]
        pub fn top_up(
            origin: OriginFor<T>,
            channel: ChannelId,
            #[pallet::compact] amount: Balance,
        ) -> DispatchResult {
            let user = ensure_signed(origin)?;
            Self::do_top_up(user, channel, amount)
        }

        /// Pay the provider up to `amount` planck since the channel was opened: what it was owed, at
        /// most what the voucher allows. Anyone may call it. It works until the channel is closed.
        #[pallet::call_index(2)]
        #[pallet::weight(T::WeightInfo::settle())]
        pub fn settle(
            origin: OriginFor<T>,
            voucher: SignedVoucher,
            #[pallet::compact] amount: Balance,
        ) -> DispatchResult {
            ensure_signed(origin)?;
            Self::do_settle(voucher, amount)
        }

        /// Settle several vouchers of one provider's channels, each up to its amount. One with nothing left to pay, because
        /// as much was settled already or the channel is closed, is skipped: somebody was faster.
        /// Any other fault fails them all.
        #[pallet::call_index(3)]
        #[pallet::weight(T::WeightInfo::settle_many(vouchers.len() as u32))]
        pub fn settle_many(
            origin: OriginFor<T>,
            vouchers: BoundedVec<(SignedVoucher, Balance), ConstU32<MAX_VOUCHERS>>,
        ) -> DispatchResult {
            ensure_signed(origin)?;
            Self::do_settle_many(vouchers)
        }

        /// Close a channel at once, as its provider, by stash or operator: settle `last`, a voucher
        /// and an amount, if that pays anything, and release the rest to the user.
        #[pallet::call_index(4)]
        #[pallet::weight(T::WeightInfo::close())]
        pub fn close(
            origin: OriginFor<T>,
            channel: ChannelId,
            last: Option<(SignedVoucher, Balance)>,
        ) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_close(who, channel, last)
        }

        /// Ask to close a channel, as its user. The provider has the close window to settle.
        #[pallet::call_index(5)]
        #[pallet::weight(T::WeightInfo::request_close())]
        pub fn request_close(origin: OriginFor<T>, channel: ChannelId) -> DispatchResult {
            let user = ensure_signed(origin)?;
            Self::do_request_close(user, channel)
        }

        /// Take a channel's next step, if it is due: the refund at the end of the close window, or
        /// the removal of the record. Anyone may call it; it is free when it succeeds. The chain
        /// does the same by itself when blocks have room.
        #[pallet::call_index(6)]
        #[pallet::weight(T::WeightInfo::heaviest_step())]
        pub fn finalize(origin: OriginFor<T>, channel: ChannelId) -> DispatchResultWithPostInfo {
            ensure_signed(origin)?;
            Self::do_finalize(channel)?;
            Ok(Pays::No.into())
        }

        /// Set the parameters.
        #[pallet::call_index(7)]
        #[pallet::weight(T::WeightInfo::set_parameters())]
        pub fn set_parameters(origin: OriginFor<T>, parameters: ParametersOf<T>) -> DispatchResult {
            T::AdminOrigin::ensure_origin(origin)?;
            ensure!(parameters.is_valid(), Error::<T>::InvalidParameters);
            Params::<T>::put(parameters);
            Self::deposit_event(Event::ParametersSet);
            Ok(())
        }

        /// Pay what publisher and protocol have of all that was settled from a channel so far. Anyone
        /// may call it; a channel that closes does it by itself.
        #[pallet::call_index(8)]
        #[pallet::weight(T::WeightInfo::pay_dues())]
        pub fn pay_dues(origin: OriginFor<T>, channel: ChannelId) -> DispatchResult {
            ensure_signed(origin)?;
            Self::do_pay_dues(channel)
        }
    }

    #[pallet::view_functions]
    impl<T: Config> Pallet<T> {
        /// The channel with this id, if its record is still kept.
        pub fn channel(id: ChannelId) -> Option<ChannelRecordOf<T>> {
            Channels::<T>::get(id)
        }

        /// The channels that an account opened and whose record is still kept.
        pub fn channels_of_user(user: T::AccountId) -> Vec<ChannelId> {
            UserChannels::<T>::iter_key_prefix(user).collect()
        }

        /// The channels to a provider whose record is still kept.
        pub fn channels_of_provider(provider: T::AccountId) -> Vec<ChannelId> {
            ProviderChannels::<T>::iter_key_prefix(provider).collect()
        }
    }
}
