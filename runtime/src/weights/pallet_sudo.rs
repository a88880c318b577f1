//! What the calls of pallet_sudo cost, measured by scripts/weights (50 steps, 20 repetitions) on
//! AMD EPYC, with the reads and writes of ParityDB.

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::Weight};

pub struct WeightInfo<T>(PhantomData<T>);

impl<T: frame_system::Config> pallet_sudo::WeightInfo for WeightInfo<T> {
    fn set_key() -> Weight {
        Weight::from_parts(6_560_000, 1517)
            .saturating_add(T::DbWeight::get().reads(1))
            .saturating_add(T::DbWeight::get().writes(1))
    }
    fn sudo() -> Weight {
        Weight::from_parts(7_131_000, 1517).saturating_add(T::DbWeight::get().reads(1))
    }
    fn sudo_as() -> Weight {
        Weight::from_parts(7_221_000, 1517).saturating_add(T::DbWeight::get().reads(1))
    }
    fn remove_key() -> Weight {
        Weight::from_parts(5_959_000, 1517)
            .saturating_add(T::DbWeight::get().reads(1))
            .saturating_add(T::DbWeight::get().writes(1))
    }
    fn check_only_sudo_account() -> Weight {
        Weight::from_parts(3_716_000, 1517).saturating_add(T::DbWeight::get().reads(1))
    }
}
