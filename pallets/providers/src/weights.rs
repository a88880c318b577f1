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
        Weight::from_parts(86_800_000, 4922)
            .saturating_add(ParityDbWeight::get().reads(7))
            .saturating_add(ParityDbWeight::get().writes(6))
    }
    fn update_info() -> Weight {
        Weight::from_parts(10_405_000, 4922)
            .saturating_add(ParityDbWeight::get().reads(1))
            .saturating_add(ParityDbWeight::get().writes(1))
    }
    fn rotate_operator() -> Weight {
        Weight::from_parts(24_146_000, 4922)
            .saturating_add(ParityDbWeight::get().reads(5))
            .saturating_add(ParityDbWeight::get().writes(4))
    }
    fn bond_extra() -> Weight {
        Weight::from_parts(50_375_000, 4922)
            .saturating_add(ParityDbWeight::get().reads(4))
            .saturating_add(ParityDbWeight::get().writes(3))
    }
    fn unbond() -> Weight {
        Weight::from_parts(15_302_000, 4922)
            .saturating_add(ParityDbWeight::get().reads(3))
            .saturating_add(ParityDbWeight::get().writes(1))
    }
    fn withdraw_unbonded() -> Weight {
        Weight::from_parts(45_117_000, 4922)
            .saturating_add(ParityDbWeight::get().reads(4))
            .saturating_add(ParityDbWeight::get().writes(3))
    }
    fn set_offer() -> Weight {
        Weight::from_parts(64_546_000, 5547)
            .saturating_add(ParityDbWeight::get().reads(7))
            .saturating_add(ParityDbWeight::get().writes(6))
    }
    fn remove_offer() -> Weight {
        Weight::from_parts(55_092_000, 5547)
            .saturating_add(ParityDbWeight::get().reads(6))
            .saturating_add(ParityDbWeight::get().writes(6))
    }
    fn set_online() -> Weight {
        Weight::from_parts(15_994_000, 8854)
            .saturating_add(ParityDbWeight::get().reads(3))
            .saturating_add(ParityDbWeight::get().writes(1))
    }
    fn deregister() -> Weight {
        Weight::from_parts(47_431_000, 4922)
            .saturating_add(ParityDbWeight::get().reads(4))
            .saturating_add(ParityDbWeight::get().writes(6))
    }
    fn release_earnings() -> Weight {
        Weight::from_parts(68_291_000, 6196)
            .saturating_add(ParityDbWeight::get().reads(6))
            .saturating_add(ParityDbWeight::get().writes(4))
    }
    fn set_parameters() -> Weight {
        Weight::from_parts(6_340_000, 1573)
            .saturating_add(ParityDbWeight::get().reads(1))
            .saturating_add(ParityDbWeight::get().writes(1))
    }
    fn evict_offer() -> Weight {
        Weight::from_parts(69_874_000, 8854)
            .saturating_add(ParityDbWeight::get().reads(10))
            .saturating_add(ParityDbWeight::get().writes(6))
    }
    fn claim_reward() -> Weight {
        Weight::from_parts(99_519_000, 6196)
            .saturating_add(ParityDbWeight::get().reads(7))
            .saturating_add(ParityDbWeight::get().writes(5))
    }
    fn era_ended() -> Weight {
        Weight::from_parts(11_287_000, 1577)
            .saturating_add(ParityDbWeight::get().reads(2))
            .saturating_add(ParityDbWeight::get().writes(3))
    }
}
