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
        Weight::from_parts(68_562_000, 4038)
            .saturating_add(ParityDbWeight::get().reads(4))
            .saturating_add(ParityDbWeight::get().writes(4))
    }
    fn retire() -> Weight {
        Weight::from_parts(14_531_000, 4038)
            .saturating_add(ParityDbWeight::get().reads(1))
            .saturating_add(ParityDbWeight::get().writes(1))
    }
    fn claim_royalties() -> Weight {
        Weight::from_parts(94_841_000, 8799)
            .saturating_add(ParityDbWeight::get().reads(6))
            .saturating_add(ParityDbWeight::get().writes(5))
    }
    fn drop_retired() -> Weight {
        Weight::from_parts(85_647_000, 6196)
            .saturating_add(ParityDbWeight::get().reads(5))
            .saturating_add(ParityDbWeight::get().writes(5))
    }
    fn freeze() -> Weight {
        Weight::from_parts(14_382_000, 4038)
            .saturating_add(ParityDbWeight::get().reads(1))
            .saturating_add(ParityDbWeight::get().writes(1))
    }
    fn set_parameters() -> Weight {
        Weight::from_parts(5_248_000, 0).saturating_add(ParityDbWeight::get().writes(1))
    }
}
