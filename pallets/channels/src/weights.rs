//! What each call costs, measured by scripts/weights (50 steps, 20 repetitions) on
//! AMD EPYC, with the reads and writes of ParityDB.

use frame_support::weights::{constants::ParityDbWeight, Weight};

pub trait WeightInfo {
    fn open() -> Weight;
    fn top_up() -> Weight;
    fn settle() -> Weight;
    fn settle_many(n: u32) -> Weight;
    fn close() -> Weight;
    fn request_close() -> Weight;
    fn finalize() -> Weight;
    fn remove() -> Weight;
    fn pay_dues() -> Weight;
    fn set_parameters() -> Weight;

    /// The heaviest step that a channel may take.
    fn heaviest_step() -> Weight {
        Self::finalize().max(Self::remove())
    }

    /// What the chain does by itself for a channel that was opened, at most.
    fn future() -> Weight {
        Self::finalize().saturating_add(Self::remove())
    }
}

impl WeightInfo for () {
    fn open() -> Weight {
        Weight::from_parts(98_928_000, 4922)
            .saturating_add(ParityDbWeight::get().reads(9))
            .saturating_add(ParityDbWeight::get().writes(7))
    }
    fn top_up() -> Weight {
        Weight::from_parts(55_142_000, 4922)
            .saturating_add(ParityDbWeight::get().reads(4))
            .saturating_add(ParityDbWeight::get().writes(4))
    }
    fn settle() -> Weight {
        Weight::from_parts(144_435_000, 6542)
            .saturating_add(ParityDbWeight::get().reads(10))
            .saturating_add(ParityDbWeight::get().writes(7))
    }
    fn settle_many(n: u32) -> Weight {
        Weight::from_parts(66_013_150, 4922)
            .saturating_add(Weight::from_parts(75_572_626, 0).saturating_mul(n.into()))
            .saturating_add(ParityDbWeight::get().reads(7))
            .saturating_add(ParityDbWeight::get().reads((3_u64).saturating_mul(n.into())))
            .saturating_add(ParityDbWeight::get().writes(4))
            .saturating_add(ParityDbWeight::get().writes((3_u64).saturating_mul(n.into())))
            .saturating_add(Weight::from_parts(0, 2776).saturating_mul(n.into()))
    }
    fn close() -> Weight {
        Weight::from_parts(370_963_000, 11402)
            .saturating_add(ParityDbWeight::get().reads(18))
            .saturating_add(ParityDbWeight::get().writes(14))
    }
    fn request_close() -> Weight {
        Weight::from_parts(14_261_000, 3763)
            .saturating_add(ParityDbWeight::get().reads(2))
            .saturating_add(ParityDbWeight::get().writes(2))
    }
    fn finalize() -> Weight {
        Weight::from_parts(259_477_000, 11402)
            .saturating_add(ParityDbWeight::get().reads(15))
            .saturating_add(ParityDbWeight::get().writes(14))
    }
    fn remove() -> Weight {
        Weight::from_parts(50_055_000, 3766)
            .saturating_add(ParityDbWeight::get().reads(5))
            .saturating_add(ParityDbWeight::get().writes(7))
    }
    fn pay_dues() -> Weight {
        Weight::from_parts(216_162_000, 11402)
            .saturating_add(ParityDbWeight::get().reads(14))
            .saturating_add(ParityDbWeight::get().writes(11))
    }
    fn set_parameters() -> Weight {
        Weight::from_parts(3_535_000, 0).saturating_add(ParityDbWeight::get().writes(1))
    }
}
