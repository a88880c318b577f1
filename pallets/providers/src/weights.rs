//! What each call costs at most. The storage accesses are counted from the code and priced for
//! ParityDB; the computing time is an upper estimate. `make weights` replaces this with measurements.

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
        cost(6, 5, 100)
    }
    fn update_info() -> Weight {
        cost(1, 1, 25)
    }
    fn rotate_operator() -> Weight {
        cost(4, 4, 50)
    }
    fn bond_extra() -> Weight {
        cost(4, 3, 60)
    }
    fn unbond() -> Weight {
        cost(2, 1, 30)
    }
    fn withdraw_unbonded() -> Weight {
        cost(3, 3, 60)
    }
    fn set_offer() -> Weight {
        cost(7, 6, 90)
    }
    fn remove_offer() -> Weight {
        cost(5, 6, 80)
    }
    fn set_online() -> Weight {
        cost(2, 1, 25)
    }
    fn deregister() -> Weight {
        cost(4, 5, 70)
    }
    fn release_earnings() -> Weight {
        cost(4, 4, 70)
    }
    fn set_parameters() -> Weight {
        cost(0, 1, 15)
    }
    fn evict_offer() -> Weight {
        cost(10, 6, 120)
    }
}
