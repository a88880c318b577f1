//! What each call costs, measured by scripts/weights (50 steps, 20 repetitions) on
//! AMD EPYC, with the reads and writes of ParityDB.

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
    /// One offender.
    fn on_offence() -> Weight;
    /// Of a validator with `n` nominators.
    fn slash(n: u32) -> Weight;
}

impl WeightInfo for () {
    fn bond() -> Weight {
        Weight::from_parts(49_754_000, 4203)
            .saturating_add(ParityDbWeight::get().reads(5))
            .saturating_add(ParityDbWeight::get().writes(4))
    }
    fn bond_extra() -> Weight {
        Weight::from_parts(64_456_000, 6587)
            .saturating_add(ParityDbWeight::get().reads(5))
            .saturating_add(ParityDbWeight::get().writes(4))
    }
    fn validate() -> Weight {
        Weight::from_parts(3_205_228_000, 2245387)
            .saturating_add(ParityDbWeight::get().reads(1205))
            .saturating_add(ParityDbWeight::get().writes(4))
    }
    fn nominate() -> Weight {
        Weight::from_parts(44_907_000, 14287)
            .saturating_add(ParityDbWeight::get().reads(6))
            .saturating_add(ParityDbWeight::get().writes(4))
    }
    fn chill() -> Weight {
        Weight::from_parts(28_463_000, 6587)
            .saturating_add(ParityDbWeight::get().reads(2))
            .saturating_add(ParityDbWeight::get().writes(2))
    }
    fn unbond() -> Weight {
        Weight::from_parts(36_084_000, 6587)
            .saturating_add(ParityDbWeight::get().reads(4))
            .saturating_add(ParityDbWeight::get().writes(2))
    }
    fn withdraw_unbonded() -> Weight {
        Weight::from_parts(44_396_000, 4823)
            .saturating_add(ParityDbWeight::get().reads(5))
            .saturating_add(ParityDbWeight::get().writes(3))
    }
    fn purge_keys() -> Weight {
        Weight::from_parts(46_589_000, 7507)
            .saturating_add(ParityDbWeight::get().reads(7))
            .saturating_add(ParityDbWeight::get().writes(6))
    }
    fn set_validator_count() -> Weight {
        Weight::from_parts(7_311_000, 1565)
            .saturating_add(ParityDbWeight::get().reads(1))
            .saturating_add(ParityDbWeight::get().writes(1))
    }
    fn set_parameters() -> Weight {
        Weight::from_parts(7_361_000, 1489)
            .saturating_add(ParityDbWeight::get().reads(1))
            .saturating_add(ParityDbWeight::get().writes(1))
    }
    fn payout(n: u32) -> Weight {
        Weight::from_parts(83_013_278, 8799)
            .saturating_add(Weight::from_parts(32_097_324, 0).saturating_mul(n.into()))
            .saturating_add(ParityDbWeight::get().reads(10))
            .saturating_add(ParityDbWeight::get().reads((1_u64).saturating_mul(n.into())))
            .saturating_add(ParityDbWeight::get().writes(6))
            .saturating_add(ParityDbWeight::get().writes((1_u64).saturating_mul(n.into())))
            .saturating_add(Weight::from_parts(0, 2603).saturating_mul(n.into()))
    }
    fn note_points() -> Weight {
        Weight::from_parts(14_602_000, 3529)
            .saturating_add(ParityDbWeight::get().reads(5))
            .saturating_add(ParityDbWeight::get().writes(2))
    }
    fn plan_era(c: u32, n: u32) -> Weight {
        Weight::from_parts(453_966_349, 14287)
            .saturating_add(Weight::from_parts(11_531_051, 0).saturating_mul(c.into()))
            .saturating_add(ParityDbWeight::get().reads(4))
            .saturating_add(ParityDbWeight::get().reads((3_u64).saturating_mul(c.into())))
            .saturating_add(ParityDbWeight::get().writes(48))
            .saturating_add(Weight::from_parts(0, 5597).saturating_mul(c.into()))
            .saturating_add(Weight::from_parts(0, 63).saturating_mul(n.into()))
    }
    fn on_offence() -> Weight {
        Weight::from_parts(107_610_000, 19095)
            .saturating_add(ParityDbWeight::get().reads(14))
            .saturating_add(ParityDbWeight::get().writes(6))
    }
    fn slash(n: u32) -> Weight {
        Weight::from_parts(66_763_491, 8799)
            .saturating_add(Weight::from_parts(23_106_342, 0).saturating_mul(n.into()))
            .saturating_add(ParityDbWeight::get().reads(12))
            .saturating_add(ParityDbWeight::get().reads((3_u64).saturating_mul(n.into())))
            .saturating_add(ParityDbWeight::get().writes(7))
            .saturating_add(ParityDbWeight::get().writes((3_u64).saturating_mul(n.into())))
            .saturating_add(Weight::from_parts(0, 3213).saturating_mul(n.into()))
    }
}
