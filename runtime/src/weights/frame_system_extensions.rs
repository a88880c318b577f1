//! What the calls of frame_system_extensions cost, measured by scripts/weights (50 steps, 20 repetitions) on
//! AMD EPYC, with the reads and writes of ParityDB.

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::Weight};

pub struct WeightInfo<T>(PhantomData<T>);

impl<T: frame_system::Config> frame_system::ExtensionsWeightInfo for WeightInfo<T> {
    fn check_genesis() -> Weight {
        Weight::from_parts(1_532_000, 0)
    }
    fn check_mortality_mortal_transaction() -> Weight {
        Weight::from_parts(3_165_000, 0)
    }
    fn check_mortality_immortal_transaction() -> Weight {
        Weight::from_parts(3_165_000, 0)
    }
    fn check_non_zero_sender() -> Weight {
        Weight::from_parts(511_000, 0)
    }
    fn check_nonce() -> Weight {
        Weight::from_parts(6_240_000, 3593)
            .saturating_add(T::DbWeight::get().reads(1))
            .saturating_add(T::DbWeight::get().writes(1))
    }
    fn check_spec_version() -> Weight {
        Weight::from_parts(400_000, 0)
    }
    fn check_tx_version() -> Weight {
        Weight::from_parts(400_000, 0)
    }
    fn check_weight() -> Weight {
        Weight::from_parts(3_014_000, 0)
    }
    fn weight_reclaim() -> Weight {
        Weight::from_parts(1_732_000, 0)
    }
}
