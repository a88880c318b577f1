//! Who governs: the origins that referenda give to what they decide, and how long they take.
//!
//! The holders of the token vote with conviction on referenda. Each referendum is on one of three
//! [`tracks`](crate::configs::Tracks), and what it decides is dispatched from that track's origin: root may do everything,
//! [`Origin::Parameters`] turns the knobs that the pallets have, [`Origin::Spender`] spends from the treasury.
//!
//! All periods are parts of a day, and how many blocks a day has is state, chosen at genesis: so one
//! Wasm serves a chain on which a referendum takes days and one on which it takes half a minute.

pub use pallet::*;

use core::marker::PhantomData;
use frame_support::traits::Get;

use crate::BlockNumber;

/// Blocks in a day of a chain whose genesis names no other number: six seconds each.
pub const DEFAULT_DAY_BLOCKS: BlockNumber = 14_400;

// The pallet macro expands to an expect.
#[allow(clippy::expect_used)]
#[frame_support::pallet]
pub mod pallet {
    use super::*;
    use frame_support::pallet_prelude::*;
    use frame_system::pallet_prelude::BlockNumberFor;

    #[pallet::pallet]
    pub struct Pallet<T>(_);

    #[pallet::config]
    pub trait Config: frame_system::Config {}

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

    #[pallet::genesis_config]
    pub struct GenesisConfig<T: Config> {
        /// Blocks in a day, by which the periods of referenda are measured; at least 1.
        pub day_blocks: BlockNumber,
        #[serde(skip)]
        pub _config: PhantomData<T>,
    }

    impl<T: Config> Default for GenesisConfig<T> {
        fn default() -> Self {
            Self {
                day_blocks: DEFAULT_DAY_BLOCKS,
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
        }
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        /// A day has a block.
        #[cfg(feature = "try-runtime")]
        fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
            ensure!(DayBlocks::<T>::get() >= 1, "day without a block");
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
