//! How long a slot and an epoch last: chosen at genesis and never changed afterwards.
//!
//! A development chain wants fast slots and a production chain slow ones. Because the lengths are
//! state and not constants, one Wasm blob serves both, and what is tested is what is launched.
//! There is no call to change them: BABE cannot follow a change of the epoch's length.

pub use pallet::*;

use core::marker::PhantomData;
use frame_support::traits::Get;

/// Slot length of a chain whose genesis names none, in milliseconds.
pub const DEFAULT_SLOT_MILLIS: u64 = 6_000;
/// Epoch length of a chain whose genesis names none, in slots: one hour of default slots.
pub const DEFAULT_EPOCH_SLOTS: u64 = 600;

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

    #[pallet::type_value]
    pub fn SlotMillisOnEmpty() -> u64 {
        DEFAULT_SLOT_MILLIS
    }

    #[pallet::type_value]
    pub fn EpochSlotsOnEmpty() -> u64 {
        DEFAULT_EPOCH_SLOTS
    }

    /// Length of a slot in milliseconds.
    #[pallet::storage]
    #[pallet::whitelist_storage]
    pub type SlotMillis<T> = StorageValue<_, u64, ValueQuery, SlotMillisOnEmpty>;

    /// Length of an epoch in slots.
    #[pallet::storage]
    #[pallet::whitelist_storage]
    pub type EpochSlots<T> = StorageValue<_, u64, ValueQuery, EpochSlotsOnEmpty>;

    #[pallet::genesis_config]
    pub struct GenesisConfig<T: Config> {
        /// Length of a slot in milliseconds; at least 2.
        pub slot_millis: u64,
        /// Length of an epoch in slots; at least 1.
        pub epoch_slots: u64,
        #[serde(skip)]
        pub _config: PhantomData<T>,
    }

    impl<T: Config> Default for GenesisConfig<T> {
        fn default() -> Self {
            Self {
                slot_millis: DEFAULT_SLOT_MILLIS,
                epoch_slots: DEFAULT_EPOCH_SLOTS,
                _config: PhantomData,
            }
        }
    }

    #[pallet::genesis_build]
    impl<T: Config> BuildGenesisConfig for GenesisConfig<T> {
        fn build(&self) {
            assert!(
                self.slot_millis >= 2,
                "timing.slotMillis is {}: give at least 2 milliseconds",
                self.slot_millis
            );
            assert!(
                self.epoch_slots >= 1,
                "timing.epochSlots is 0: give at least 1 slot"
            );
            SlotMillis::<T>::put(self.slot_millis);
            EpochSlots::<T>::put(self.epoch_slots);
        }
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        /// The lengths are those that genesis accepts.
        #[cfg(feature = "try-runtime")]
        fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
            ensure!(SlotMillis::<T>::get() >= 2, "slot shorter than 2 ms");
            ensure!(EpochSlots::<T>::get() >= 1, "epoch without a slot");
            Ok(())
        }
    }
}

/// Length of a slot in milliseconds.
pub struct SlotDuration<T>(PhantomData<T>);

impl<T: Config> Get<u64> for SlotDuration<T> {
    fn get() -> u64 {
        SlotMillis::<T>::get()
    }
}

/// Half a slot in milliseconds: the least time between two blocks. BABE takes the slot to be twice
/// as long.
pub struct MinimumPeriod<T>(PhantomData<T>);

impl<T: Config> Get<u64> for MinimumPeriod<T> {
    fn get() -> u64 {
        SlotMillis::<T>::get() / 2
    }
}

/// Length of an epoch in slots.
pub struct EpochDuration<T>(PhantomData<T>);

impl<T: Config> Get<u64> for EpochDuration<T> {
    fn get() -> u64 {
        EpochSlots::<T>::get()
    }
}

/// `Sessions` epochs in slots, which bounds the number of blocks in them.
pub struct SessionsInSlots<T, Sessions>(PhantomData<(T, Sessions)>);

impl<T: Config, Sessions: Get<u32>> Get<u64> for SessionsInSlots<T, Sessions> {
    fn get() -> u64 {
        EpochSlots::<T>::get().saturating_mul(Sessions::get().into())
    }
}
