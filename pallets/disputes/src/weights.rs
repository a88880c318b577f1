//! What each call costs: estimates from like calls of other pallets, with the reads and writes of
//! ParityDB, until scripts/weights has measured them.

use frame_support::weights::{constants::ParityDbWeight, Weight};

pub trait WeightInfo {
    fn commit() -> Weight;
    fn open() -> Weight;
    fn answer() -> Weight;
    fn reveal() -> Weight;
    fn choose() -> Weight;
    /// Without what it may end with, which is what a timeout ends with.
    fn prove() -> Weight;
    fn timeout() -> Weight;
    fn accuse() -> Weight;
    fn set_parameters() -> Weight;
    fn pause() -> Weight;
    /// A commitment that was not used is dropped.
    fn expire() -> Weight;
    /// A trace or the note of a conviction is dropped.
    fn forget() -> Weight;

    /// The heaviest that the chain does by itself for one entry of the agenda.
    fn heaviest_duty() -> Weight {
        Self::timeout().max(Self::expire()).max(Self::forget())
    }
}

fn weight(micros: u64, reads: u64, writes: u64) -> Weight {
    Weight::from_parts(micros.saturating_mul(1_000_000), 8_192)
        .saturating_add(ParityDbWeight::get().reads_writes(reads, writes))
}

impl WeightInfo for () {
    fn commit() -> Weight {
        weight(60, 6, 6)
    }
    fn open() -> Weight {
        weight(350, 22, 14)
    }
    fn answer() -> Weight {
        weight(350, 14, 6)
    }
    fn reveal() -> Weight {
        weight(150, 9, 3)
    }
    fn choose() -> Weight {
        weight(100, 8, 3)
    }
    fn prove() -> Weight {
        weight(5_000, 12, 4)
    }
    fn timeout() -> Weight {
        weight(500, 26, 22)
    }
    fn accuse() -> Weight {
        weight(800, 30, 20)
    }
    fn set_parameters() -> Weight {
        weight(5, 1, 1)
    }
    fn pause() -> Weight {
        weight(10, 1, 1)
    }
    fn expire() -> Weight {
        weight(50, 4, 4)
    }
    fn forget() -> Weight {
        weight(50, 8, 3)
    }
}
