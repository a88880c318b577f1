//! What each call costs, measured by scripts/weights (50 steps, 20 repetitions) on
//! AMD EPYC, with the reads and writes of ParityDB.
//!
//! Not measured yet: the reward that a settlement pays, for which that of `claim_reward` was added.

use frame_support::weights::{constants::ParityDbWeight, Weight};

pub trait WeightInfo {
    fn submit(p: u32) -> Weight;
    fn cancel() -> Weight;
    fn decline() -> Weight;
    fn deliver(o: u32) -> Weight;
    fn draw(o: u32) -> Weight;
    fn miss() -> Weight;
    fn settle() -> Weight;
    fn remove() -> Weight;
    fn set_parameters() -> Weight;

    /// The heaviest step that `finalize` may take, where a draw looks at this many offers.
    fn heaviest_step(offers: u32) -> Weight {
        Self::draw(offers)
            .max(Self::miss())
            .max(Self::settle())
            .max(Self::remove())
    }

    /// What the chain does by itself for a job that was submitted, at most: all its draws, each of
    /// which looks at this many offers and may end in a miss, then settlement and removal.
    fn future(offers: u32, max_draws: u32) -> Weight {
        Self::draw(offers)
            .saturating_add(Self::miss())
            .saturating_mul(max_draws.into())
            .saturating_add(Self::settle())
            .saturating_add(Self::remove())
    }
}

impl WeightInfo for () {
    fn submit(p: u32) -> Weight {
        Weight::from_parts(106_084_883, 4922)
            .saturating_add(Weight::from_parts(35_198, 0).saturating_mul(p.into()))
            .saturating_add(ParityDbWeight::get().reads(9))
            .saturating_add(ParityDbWeight::get().writes(7))
    }
    fn cancel() -> Weight {
        Weight::from_parts(55_683_000, 4274)
            .saturating_add(ParityDbWeight::get().reads(5))
            .saturating_add(ParityDbWeight::get().writes(6))
    }
    fn decline() -> Weight {
        Weight::from_parts(78_818_000, 4922)
            .saturating_add(ParityDbWeight::get().reads(7))
            .saturating_add(ParityDbWeight::get().writes(8))
    }
    fn deliver(o: u32) -> Weight {
        Weight::from_parts(131_999_370, 6028)
            .saturating_add(Weight::from_parts(35_244, 0).saturating_mul(o.into()))
            .saturating_add(ParityDbWeight::get().reads(12))
            .saturating_add(ParityDbWeight::get().writes(9))
    }
    fn draw(o: u32) -> Weight {
        Weight::from_parts(73_334_762, 5547)
            .saturating_add(Weight::from_parts(10_280_256, 0).saturating_mul(o.into()))
            .saturating_add(ParityDbWeight::get().reads(6))
            .saturating_add(ParityDbWeight::get().reads((2_u64).saturating_mul(o.into())))
            .saturating_add(ParityDbWeight::get().writes(8))
            .saturating_add(Weight::from_parts(0, 3932).saturating_mul(o.into()))
    }
    fn miss() -> Weight {
        Weight::from_parts(123_634_000, 6542)
            .saturating_add(ParityDbWeight::get().reads(8))
            .saturating_add(ParityDbWeight::get().writes(10))
    }
    fn settle() -> Weight {
        Weight::from_parts(336_862_000, 11402)
            .saturating_add(ParityDbWeight::get().reads(22))
            .saturating_add(ParityDbWeight::get().writes(19))
    }
    fn remove() -> Weight {
        Weight::from_parts(42_393_000, 3766)
            .saturating_add(ParityDbWeight::get().reads(2))
            .saturating_add(ParityDbWeight::get().writes(6))
    }
    fn set_parameters() -> Weight {
        Weight::from_parts(6_850_000, 1577)
            .saturating_add(ParityDbWeight::get().reads(1))
            .saturating_add(ParityDbWeight::get().writes(1))
    }
}
