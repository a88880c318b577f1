//! What each call costs, measured by scripts/weights (50 steps, 20 repetitions) on
//! AMD EPYC, with the reads and writes of ParityDB.

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
        Weight::from_parts(103_083_725, 4922)
            .saturating_add(Weight::from_parts(33_547, 0).saturating_mul(p.into()))
            .saturating_add(ParityDbWeight::get().reads(9))
            .saturating_add(ParityDbWeight::get().writes(7))
    }
    fn cancel() -> Weight {
        Weight::from_parts(52_869_000, 4274)
            .saturating_add(ParityDbWeight::get().reads(5))
            .saturating_add(ParityDbWeight::get().writes(6))
    }
    fn decline() -> Weight {
        Weight::from_parts(74_421_000, 4922)
            .saturating_add(ParityDbWeight::get().reads(7))
            .saturating_add(ParityDbWeight::get().writes(8))
    }
    fn deliver(o: u32) -> Weight {
        Weight::from_parts(116_532_574, 6028)
            .saturating_add(Weight::from_parts(33_097, 0).saturating_mul(o.into()))
            .saturating_add(ParityDbWeight::get().reads(12))
            .saturating_add(ParityDbWeight::get().writes(9))
    }
    fn draw(o: u32) -> Weight {
        Weight::from_parts(75_911_050, 5547)
            .saturating_add(Weight::from_parts(8_581_998, 0).saturating_mul(o.into()))
            .saturating_add(ParityDbWeight::get().reads(6))
            .saturating_add(ParityDbWeight::get().reads((2_u64).saturating_mul(o.into())))
            .saturating_add(ParityDbWeight::get().writes(8))
            .saturating_add(Weight::from_parts(0, 3932).saturating_mul(o.into()))
    }
    fn miss() -> Weight {
        Weight::from_parts(114_030_000, 6542)
            .saturating_add(ParityDbWeight::get().reads(8))
            .saturating_add(ParityDbWeight::get().writes(10))
    }
    fn settle() -> Weight {
        Weight::from_parts(271_054_000, 11402)
            .saturating_add(ParityDbWeight::get().reads(15))
            .saturating_add(ParityDbWeight::get().writes(14))
    }
    fn remove() -> Weight {
        Weight::from_parts(38_467_000, 3766)
            .saturating_add(ParityDbWeight::get().reads(2))
            .saturating_add(ParityDbWeight::get().writes(6))
    }
    fn set_parameters() -> Weight {
        Weight::from_parts(6_540_000, 1577)
            .saturating_add(ParityDbWeight::get().reads(1))
            .saturating_add(ParityDbWeight::get().writes(1))
    }
}
