//! What each call costs, measured by scripts/weights (50 steps, 20 repetitions) on
//! AMD EPYC, with the reads and writes of ParityDB.

use frame_support::weights::{constants::ParityDbWeight, Weight};

pub trait WeightInfo {
    fn register() -> Weight;
    fn retire() -> Weight;
    fn claim_royalties() -> Weight;
    fn drop_retired() -> Weight;
    fn freeze() -> Weight;
    fn set_parameters() -> Weight;
}

impl WeightInfo for () {
    fn register() -> Weight {
        Weight::from_parts(46_249_000, 3996)
            // The parameters' read was added by hand after the measurement.
            .saturating_add(ParityDbWeight::get().reads(4))
            .saturating_add(ParityDbWeight::get().writes(4))
    }
    fn retire() -> Weight {
        Weight::from_parts(8_853_000, 3996)
            .saturating_add(ParityDbWeight::get().reads(1))
            .saturating_add(ParityDbWeight::get().writes(1))
    }
    fn claim_royalties() -> Weight {
        Weight::from_parts(66_679_000, 8799)
            .saturating_add(ParityDbWeight::get().reads(6))
            .saturating_add(ParityDbWeight::get().writes(5))
    }
    fn drop_retired() -> Weight {
        Weight::from_parts(59_148_000, 6196)
            .saturating_add(ParityDbWeight::get().reads(5))
            .saturating_add(ParityDbWeight::get().writes(5))
    }
    fn freeze() -> Weight {
        Weight::from_parts(8_743_000, 3996)
            .saturating_add(ParityDbWeight::get().reads(1))
            .saturating_add(ParityDbWeight::get().writes(1))
    }
    // Not measured yet: what that of pallet-channels takes, which does the same.
    fn set_parameters() -> Weight {
        Weight::from_parts(3_535_000, 0).saturating_add(ParityDbWeight::get().writes(1))
    }
}
