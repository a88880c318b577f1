//! What each call costs: estimates until scripts/weights has measured them, from the reads and writes
//! of each with those of ParityDB.

use frame_support::weights::{constants::ParityDbWeight, Weight};

pub trait WeightInfo {
    fn bond() -> Weight;
    fn bond_extra() -> Weight;
    fn validate() -> Weight;
    fn nominate() -> Weight;
    fn chill() -> Weight;
    fn unbond() -> Weight;
    fn withdraw_unbonded() -> Weight;
    fn purge_keys() -> Weight;
    fn set_validator_count() -> Weight;
    fn set_parameters() -> Weight;
    /// A validator with `n` nominators.
    fn payout(n: u32) -> Weight;
    /// What a block's author costs.
    fn note_points() -> Weight;
    /// An election among `c` candidates with `n` nominators each.
    fn plan_era(c: u32, n: u32) -> Weight;
    /// One offender with `n` nominators.
    fn on_offence(n: u32) -> Weight;
}

impl WeightInfo for () {
    fn bond() -> Weight {
        Weight::from_parts(50_000_000, 4_000)
            .saturating_add(ParityDbWeight::get().reads(5))
            .saturating_add(ParityDbWeight::get().writes(4))
    }
    fn bond_extra() -> Weight {
        Weight::from_parts(50_000_000, 7_000)
            .saturating_add(ParityDbWeight::get().reads(5))
            .saturating_add(ParityDbWeight::get().writes(4))
    }
    /// With a full list of candidates, each of which is looked at.
    fn validate() -> Weight {
        Weight::from_parts(2_500_000_000, 1_600_000)
            .saturating_add(ParityDbWeight::get().reads(775))
            .saturating_add(ParityDbWeight::get().writes(4))
    }
    fn nominate() -> Weight {
        Weight::from_parts(60_000_000, 25_000)
            .saturating_add(ParityDbWeight::get().reads(6))
            .saturating_add(ParityDbWeight::get().writes(4))
    }
    fn chill() -> Weight {
        Weight::from_parts(30_000_000, 12_000)
            .saturating_add(ParityDbWeight::get().reads(3))
            .saturating_add(ParityDbWeight::get().writes(3))
    }
    fn unbond() -> Weight {
        Weight::from_parts(30_000_000, 7_000)
            .saturating_add(ParityDbWeight::get().reads(4))
            .saturating_add(ParityDbWeight::get().writes(2))
    }
    fn withdraw_unbonded() -> Weight {
        Weight::from_parts(50_000_000, 4_000)
            .saturating_add(ParityDbWeight::get().reads(4))
            .saturating_add(ParityDbWeight::get().writes(4))
    }
    fn purge_keys() -> Weight {
        Weight::from_parts(60_000_000, 14_000)
            .saturating_add(ParityDbWeight::get().reads(8))
            .saturating_add(ParityDbWeight::get().writes(7))
    }
    fn set_validator_count() -> Weight {
        Weight::from_parts(5_000_000, 0)
            .saturating_add(ParityDbWeight::get().reads(1))
            .saturating_add(ParityDbWeight::get().writes(1))
    }
    fn set_parameters() -> Weight {
        Weight::from_parts(5_000_000, 0)
            .saturating_add(ParityDbWeight::get().reads(1))
            .saturating_add(ParityDbWeight::get().writes(1))
    }
    fn plan_era(c: u32, n: u32) -> Weight {
        let each = Weight::from_parts(10_000_000, 6_000)
            .saturating_add(ParityDbWeight::get().reads(6))
            .saturating_add(ParityDbWeight::get().writes(1));
        let backing = Weight::from_parts(100_000, 50);
        each.saturating_add(backing.saturating_mul(n.into()))
            .saturating_mul(c.into())
            .saturating_add(ParityDbWeight::get().reads(5))
            .saturating_add(ParityDbWeight::get().writes(4))
    }
    fn on_offence(n: u32) -> Weight {
        let each = Weight::from_parts(40_000_000, 7_000)
            .saturating_add(ParityDbWeight::get().reads(4))
            .saturating_add(ParityDbWeight::get().writes(4));
        each.saturating_mul(n.saturating_add(1).into())
            .saturating_add(Weight::from_parts(150_000_000, 30_000))
            .saturating_add(ParityDbWeight::get().reads(12))
            .saturating_add(ParityDbWeight::get().writes(8))
    }
    fn payout(n: u32) -> Weight {
        let each = Weight::from_parts(45_000_000, 2_603)
            .saturating_add(ParityDbWeight::get().reads_writes(1, 1));
        Weight::from_parts(80_000_000, 12_000)
            .saturating_add(ParityDbWeight::get().reads(9))
            .saturating_add(ParityDbWeight::get().writes(5))
            .saturating_add(each.saturating_mul(n.into()))
    }
    fn note_points() -> Weight {
        Weight::from_parts(12_000_000, 3_500)
            .saturating_add(ParityDbWeight::get().reads(4))
            .saturating_add(ParityDbWeight::get().writes(2))
    }
}
