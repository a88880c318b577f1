//! What each call costs at most. The storage accesses are counted from the code and priced for
//! ParityDB; the computing time is an upper estimate. `make weights` replaces this with measurements.

use frame_support::weights::{constants::ParityDbWeight, Weight};

pub trait WeightInfo {
    fn submit(p: u32) -> Weight;
    fn cancel() -> Weight;
    fn decline() -> Weight;
    fn deliver(o: u32) -> Weight;
    fn draw() -> Weight;
    fn miss() -> Weight;
    fn settle() -> Weight;
    fn remove() -> Weight;
    fn set_parameters() -> Weight;

    /// The heaviest step that `finalize` may take.
    fn heaviest_step() -> Weight {
        Self::draw()
            .max(Self::miss())
            .max(Self::settle())
            .max(Self::remove())
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
        cost(9, 7, 80).saturating_add(Weight::from_parts(60_000, 4).saturating_mul(p.into()))
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
    fn draw() -> Weight {
        cost(137, 8, 1000)
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
