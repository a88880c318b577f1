//! What each call costs at most. The storage accesses are counted from the code and priced for
//! ParityDB; the computing time is an upper estimate. `make weights` replaces this with measurements.

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

/// Storage accesses, and microseconds of computing.
fn cost(reads: u64, writes: u64, micros: u64) -> Weight {
    ParityDbWeight::get()
        .reads_writes(reads, writes)
        .saturating_add(Weight::from_parts(
            micros.saturating_mul(1_000_000),
            reads.saturating_mul(4_096),
        ))
}

impl WeightInfo for () {
    fn submit(p: u32) -> Weight {
        cost(11, 7, 80).saturating_add(Weight::from_parts(60_000, 4).saturating_mul(p.into()))
    }
    fn cancel() -> Weight {
        cost(6, 6, 90)
    }
    fn decline() -> Weight {
        cost(8, 8, 100)
    }
    fn deliver(o: u32) -> Weight {
        cost(10, 8, 180).saturating_add(Weight::from_parts(100_000, 4).saturating_mul(o.into()))
    }
    fn draw(o: u32) -> Weight {
        cost(9, 8, 200).saturating_add(cost(2, 0, 13).saturating_mul(o.into()))
    }
    fn miss() -> Weight {
        cost(12, 12, 200)
    }
    fn settle() -> Weight {
        cost(17, 15, 250)
    }
    fn remove() -> Weight {
        cost(4, 6, 80)
    }
    fn set_parameters() -> Weight {
        cost(0, 1, 15)
    }
}
