//! What each call costs at most. The storage accesses are counted from the code and priced for
//! ParityDB; the computing time is an upper estimate. `make weights` replaces this with measurements.

use frame_support::weights::{constants::ParityDbWeight, Weight};

pub trait WeightInfo {
    fn register() -> Weight;
    fn retire() -> Weight;
    fn claim_royalties() -> Weight;
    fn drop_retired() -> Weight;
    fn freeze() -> Weight;
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
    fn register() -> Weight {
        cost(3, 4, 80)
    }
    fn retire() -> Weight {
        cost(1, 1, 20)
    }
    fn claim_royalties() -> Weight {
        cost(6, 5, 90)
    }
    fn drop_retired() -> Weight {
        cost(4, 4, 60)
    }
    fn freeze() -> Weight {
        cost(1, 1, 20)
    }
}
