//! Who governs: the origins that referenda give to what they decide, and how long they take.
//!
//! The holders of the token vote with conviction on referenda. Each referendum is on one of three
//! [`tracks`](crate::configs::Tracks), and what it decides is dispatched from that track's origin: root may do everything,
//! [`Origin::Parameters`] turns the knobs that the pallets have, [`Origin::Spender`] spends from the treasury.
//!
//! All periods are parts of a day, and how many blocks a day has is state, chosen at genesis: so one
//! Wasm serves a chain on which a referendum takes days and one on which it takes half a minute.
//!
//! What transactions and records cost is set here too, since it belongs to no other pallet.

mod parameters;

pub use pallet::*;
pub use parameters::{
    Parameters, DEPOSIT_BASE, DEPOSIT_PER_BYTE, FEE_PER_BYTE, FEE_PER_PICOSECOND,
};

use core::marker::PhantomData;
use frame_support::traits::Get;

use crate::{Balance, BlockNumber};

/// Blocks in a day of a chain whose genesis names no other number: six seconds each.
pub const DEFAULT_DAY_BLOCKS: BlockNumber = 14_400;

// The pallet macro expands to an expect.
#[allow(clippy::expect_used)]
#[frame_support::pallet]
pub mod pallet {
    use super::*;
    use frame_support::pallet_prelude::*;
    use frame_system::{
        pallet_prelude::{BlockNumberFor, OriginFor},
        WeightInfo,
    };

    #[pallet::pallet]
    pub struct Pallet<T>(_);

    #[pallet::config]
    pub trait Config: frame_system::Config {
        /// Who may set the parameters.
        type AdminOrigin: EnsureOrigin<Self::RuntimeOrigin>;
        /// What [`Origin::Spender`] may spend from the treasury at a time, in planck. More takes root.
        #[pallet::constant]
        type SpendLimit: Get<Balance>;
    }

    /// What a referendum's decision is dispatched from, besides root.
    #[pallet::origin]
    #[derive(
        Clone,
        Copy,
        PartialEq,
        Eq,
        Debug,
        Encode,
        Decode,
        DecodeWithMemTracking,
        TypeInfo,
        MaxEncodedLen,
    )]
    pub enum Origin {
        /// May set the parameters of all pallets, pause the referee, freeze a listing.
        Parameters,
        /// May spend from the treasury, up to a limit each time.
        Spender,
    }

    #[pallet::type_value]
    pub fn DayBlocksOnEmpty() -> BlockNumber {
        DEFAULT_DAY_BLOCKS
    }

    /// Blocks in a day.
    #[pallet::storage]
    #[pallet::whitelist_storage]
    pub type DayBlocks<T> = StorageValue<_, BlockNumber, ValueQuery, DayBlocksOnEmpty>;

    /// The referee was paused because storage is being migrated.
    #[pallet::storage]
    pub type PausedByMigration<T> = StorageValue<_, (), OptionQuery>;

    /// What governance has set. Every transaction asks for it, and each of a block after the first finds
    /// it in the node's cache: as with the fee multiplier beside it, no call's weight counts the read.
    #[pallet::storage]
    #[pallet::whitelist_storage]
    pub type Params<T> = StorageValue<_, Parameters, ValueQuery>;

    #[pallet::genesis_config]
    pub struct GenesisConfig<T: Config> {
        /// Blocks in a day, by which the periods of referenda are measured; at least 1.
        pub day_blocks: BlockNumber,
        pub parameters: Parameters,
        #[serde(skip)]
        pub _config: PhantomData<T>,
    }

    impl<T: Config> Default for GenesisConfig<T> {
        fn default() -> Self {
            Self {
                day_blocks: DEFAULT_DAY_BLOCKS,
                parameters: Parameters::default(),
                _config: PhantomData,
            }
        }
    }

    #[pallet::genesis_build]
    impl<T: Config> BuildGenesisConfig for GenesisConfig<T> {
        fn build(&self) {
            assert!(
                self.day_blocks >= 1,
                "governance.dayBlocks is 0: give at least 1 block"
            );
            DayBlocks::<T>::put(self.day_blocks);
            assert!(
                self.parameters.is_valid(),
                "governance: the genesis parameters are outside their bounds"
            );
            Params::<T>::put(&self.parameters);
        }
    }

    #[pallet::event]
    #[pallet::generate_deposit(fn deposit_event)]
    pub enum Event<T: Config> {
        /// The parameters were set.
        ParametersSet,
    }

    #[pallet::error]
    pub enum Error<T> {
        /// A parameter is outside its bounds.
        InvalidParameters,
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        /// A day has a block, and the parameters are within their bounds.
        #[cfg(feature = "try-runtime")]
        fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
            ensure!(DayBlocks::<T>::get() >= 1, "day without a block");
            ensure!(
                Params::<T>::get().is_valid(),
                "parameters outside their bounds"
            );
            Ok(())
        }
    }

    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Set what transactions and records cost. Records that there are keep what they have on hold, and
        /// give back as much.
        // It writes one item, as that call of the system does, whose weight is measured.
        #[pallet::call_index(0)]
        #[pallet::weight(<T as frame_system::Config>::SystemWeightInfo::set_storage(1))]
        pub fn set_parameters(origin: OriginFor<T>, parameters: Parameters) -> DispatchResult {
            T::AdminOrigin::ensure_origin(origin)?;
            ensure!(parameters.is_valid(), Error::<T>::InvalidParameters);
            Params::<T>::put(parameters);
            Self::deposit_event(Event::ParametersSet);
            Ok(())
        }
    }
}

/// `HOURS` hours in blocks, at least 1.
pub struct Hours<T, const HOURS: u32>(PhantomData<T>);

impl<T: Config, const HOURS: u32> Get<BlockNumber> for Hours<T, HOURS> {
    fn get() -> BlockNumber {
        let blocks = DayBlocks::<T>::get().saturating_mul(HOURS) / 24;
        blocks.max(1)
    }
}
