//! What each call costs, measured by scripts/weights (50 steps, 20 repetitions) on
//! AMD EPYC, with the reads and writes of ParityDB.

use frame_support::weights::{constants::ParityDbWeight, Weight};

pub trait WeightInfo {
    fn register() -> Weight;
    fn update_info() -> Weight;
    fn rotate_operator() -> Weight;
    fn bond_extra() -> Weight;
    fn unbond() -> Weight;
    fn withdraw_unbonded() -> Weight;
    fn set_offer() -> Weight;
    fn remove_offer() -> Weight;
    fn set_online() -> Weight;
    fn deregister() -> Weight;
    fn release_earnings() -> Weight;
    fn set_parameters() -> Weight;
    fn evict_offer() -> Weight;
    fn claim_reward() -> Weight;
    fn era_ended() -> Weight;
}

impl WeightInfo for () {
    fn register() -> Weight {
        Weight::from_parts(82_293_000, 4317)
            .saturating_add(ParityDbWeight::get().reads(7))
            .saturating_add(ParityDbWeight::get().writes(6))
    }
    fn update_info() -> Weight {
        Weight::from_parts(9_194_000, 4317)
            .saturating_add(ParityDbWeight::get().reads(1))
            .saturating_add(ParityDbWeight::get().writes(1))
    }
    fn rotate_operator() -> Weight {
        Weight::from_parts(20_451_000, 4317)
            .saturating_add(ParityDbWeight::get().reads(5))
            .saturating_add(ParityDbWeight::get().writes(4))
    }
    fn bond_extra() -> Weight {
        Weight::from_parts(46_820_000, 4317)
            .saturating_add(ParityDbWeight::get().reads(4))
            .saturating_add(ParityDbWeight::get().writes(3))
    }
    fn unbond() -> Weight {
        Weight::from_parts(11_047_000, 4317)
            .saturating_add(ParityDbWeight::get().reads(3))
            .saturating_add(ParityDbWeight::get().writes(1))
    }
    fn withdraw_unbonded() -> Weight {
        Weight::from_parts(39_168_000, 4317)
            .saturating_add(ParityDbWeight::get().reads(4))
            .saturating_add(ParityDbWeight::get().writes(3))
    }
    fn set_offer() -> Weight {
        Weight::from_parts(59_779_000, 5547)
            .saturating_add(ParityDbWeight::get().reads(7))
            .saturating_add(ParityDbWeight::get().writes(6))
    }
    fn remove_offer() -> Weight {
        Weight::from_parts(51_316_000, 5547)
            .saturating_add(ParityDbWeight::get().reads(6))
            .saturating_add(ParityDbWeight::get().writes(6))
    }
    fn set_online() -> Weight {
        Weight::from_parts(13_199_000, 7644)
            .saturating_add(ParityDbWeight::get().reads(3))
            .saturating_add(ParityDbWeight::get().writes(1))
    }
    fn deregister() -> Weight {
        Weight::from_parts(40_951_000, 4317)
            .saturating_add(ParityDbWeight::get().reads(4))
            .saturating_add(ParityDbWeight::get().writes(6))
    }
    fn release_earnings() -> Weight {
        Weight::from_parts(61_081_000, 6196)
            .saturating_add(ParityDbWeight::get().reads(6))
            .saturating_add(ParityDbWeight::get().writes(4))
    }
    fn set_parameters() -> Weight {
        Weight::from_parts(3_395_000, 0).saturating_add(ParityDbWeight::get().writes(1))
    }
    fn evict_offer() -> Weight {
        Weight::from_parts(64_136_000, 7644)
            .saturating_add(ParityDbWeight::get().reads(10))
            .saturating_add(ParityDbWeight::get().writes(6))
    }
    // Estimated from `release_earnings`, with what it reads and writes besides.
    fn claim_reward() -> Weight {
        Weight::from_parts(80_000_000, 6196)
            .saturating_add(ParityDbWeight::get().reads(8))
            .saturating_add(ParityDbWeight::get().writes(5))
    }
    // Estimated.
    fn era_ended() -> Weight {
        Weight::from_parts(15_000_000, 3500)
            .saturating_add(ParityDbWeight::get().reads(2))
            .saturating_add(ParityDbWeight::get().writes(3))
    }
}
