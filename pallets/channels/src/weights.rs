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
        Weight::from_parts(97_856_000, 4317)
            .saturating_add(ParityDbWeight::get().reads(9))
            .saturating_add(ParityDbWeight::get().writes(7))
    }
    fn top_up() -> Weight {
        Weight::from_parts(53_449_000, 4317)
            .saturating_add(ParityDbWeight::get().reads(4))
            .saturating_add(ParityDbWeight::get().writes(4))
    }
    fn settle() -> Weight {
        Weight::from_parts(253_057_000, 11402)
            .saturating_add(ParityDbWeight::get().reads(15))
            .saturating_add(ParityDbWeight::get().writes(11))
    }
    fn settle_many(n: u32) -> Weight {
        Weight::from_parts(116_753_073, 6196)
            .saturating_add(Weight::from_parts(245_468_105, 0).saturating_mul(n.into()))
            .saturating_add(ParityDbWeight::get().reads(6))
            .saturating_add(ParityDbWeight::get().reads((9_u64).saturating_mul(n.into())))
            .saturating_add(ParityDbWeight::get().writes(3))
            .saturating_add(ParityDbWeight::get().writes((8_u64).saturating_mul(n.into())))
            .saturating_add(Weight::from_parts(0, 5408).saturating_mul(n.into()))
    }
    fn close() -> Weight {
        Weight::from_parts(289_041_000, 11402)
            .saturating_add(ParityDbWeight::get().reads(17))
            .saturating_add(ParityDbWeight::get().writes(13))
    }
    fn request_close() -> Weight {
        Weight::from_parts(13_551_000, 3687)
            .saturating_add(ParityDbWeight::get().reads(2))
            .saturating_add(ParityDbWeight::get().writes(2))
    }
    fn finalize() -> Weight {
        Weight::from_parts(53_920_000, 3694)
            .saturating_add(ParityDbWeight::get().reads(6))
            .saturating_add(ParityDbWeight::get().writes(6))
    }
    fn remove() -> Weight {
        Weight::from_parts(42_804_000, 3694)
            .saturating_add(ParityDbWeight::get().reads(3))
            .saturating_add(ParityDbWeight::get().writes(6))
    }
    fn pay_dues() -> Weight {
        Weight::from_parts(160_000_000, 11402)
            .saturating_add(ParityDbWeight::get().reads(9))
            .saturating_add(ParityDbWeight::get().writes(7))
    }
    fn set_parameters() -> Weight {
        Weight::from_parts(3_516_000, 0).saturating_add(ParityDbWeight::get().writes(1))
    }
}
