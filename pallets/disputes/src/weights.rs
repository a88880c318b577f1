//! What each call costs, measured by scripts/weights (50 steps, 20 repetitions) on
//! AMD EPYC, with the reads and writes of ParityDB.

use frame_support::weights::{constants::ParityDbWeight, Weight};

pub trait WeightInfo {
    fn commit() -> Weight;
    fn open() -> Weight;
    fn answer() -> Weight;
    fn reveal() -> Weight;
    fn choose() -> Weight;
    /// Without what it may end with, which is what a timeout ends with.
    fn prove() -> Weight;
    fn prove_kept() -> Weight;
    fn prove_cumulative() -> Weight;
    fn prove_linear() -> Weight;
    fn timeout() -> Weight;
    fn accuse() -> Weight;
    fn set_parameters() -> Weight;
    fn pause() -> Weight;
    /// A commitment that was not used is dropped.
    fn expire() -> Weight;
    /// A trace or the note of a conviction is dropped.
    fn forget() -> Weight;

    /// The dearest of the proofs that are measured: the longest of all rows, and those of the rows that
    /// compute most.
    fn dearest_proof() -> Weight {
        Self::prove()
            .max(Self::prove_kept())
            .max(Self::prove_cumulative())
            .max(Self::prove_linear())
    }

    /// The heaviest that the chain does by itself for one entry of the agenda.
    fn heaviest_duty() -> Weight {
        Self::timeout().max(Self::expire()).max(Self::forget())
    }
}

impl WeightInfo for () {
    fn commit() -> Weight {
        Weight::from_parts(47_450_000, 3730)
            .saturating_add(ParityDbWeight::get().reads(6))
            .saturating_add(ParityDbWeight::get().writes(5))
    }
    fn open() -> Weight {
        Weight::from_parts(174_249_000, 5636)
            .saturating_add(ParityDbWeight::get().reads(14))
            .saturating_add(ParityDbWeight::get().writes(10))
    }
    fn answer() -> Weight {
        Weight::from_parts(137_675_000, 8814)
            .saturating_add(ParityDbWeight::get().reads(10))
            .saturating_add(ParityDbWeight::get().writes(5))
    }
    fn reveal() -> Weight {
        Weight::from_parts(77_205_000, 6185)
            .saturating_add(ParityDbWeight::get().reads(7))
            .saturating_add(ParityDbWeight::get().writes(3))
    }
    fn choose() -> Weight {
        Weight::from_parts(43_495_000, 6185)
            .saturating_add(ParityDbWeight::get().reads(6))
            .saturating_add(ParityDbWeight::get().writes(3))
    }
    fn prove() -> Weight {
        Weight::from_parts(213_719_000, 8814)
            .saturating_add(ParityDbWeight::get().reads(15))
            .saturating_add(ParityDbWeight::get().writes(9))
    }
    fn prove_kept() -> Weight {
        Weight::from_parts(202_812_000, 8814)
            .saturating_add(ParityDbWeight::get().reads(15))
            .saturating_add(ParityDbWeight::get().writes(9))
    }
    fn prove_cumulative() -> Weight {
        Weight::from_parts(195_902_000, 8814)
            .saturating_add(ParityDbWeight::get().reads(15))
            .saturating_add(ParityDbWeight::get().writes(9))
    }
    fn prove_linear() -> Weight {
        Weight::from_parts(174_690_000, 8814)
            .saturating_add(ParityDbWeight::get().reads(15))
            .saturating_add(ParityDbWeight::get().writes(9))
    }
    fn timeout() -> Weight {
        Weight::from_parts(213_929_000, 11380)
            .saturating_add(ParityDbWeight::get().reads(16))
            .saturating_add(ParityDbWeight::get().writes(15))
    }
    fn accuse() -> Weight {
        Weight::from_parts(306_286_000, 8799)
            .saturating_add(ParityDbWeight::get().reads(15))
            .saturating_add(ParityDbWeight::get().writes(11))
    }
    fn set_parameters() -> Weight {
        Weight::from_parts(6_299_000, 1545)
            .saturating_add(ParityDbWeight::get().reads(1))
            .saturating_add(ParityDbWeight::get().writes(1))
    }
    fn pause() -> Weight {
        Weight::from_parts(6_569_000, 1498)
            .saturating_add(ParityDbWeight::get().reads(1))
            .saturating_add(ParityDbWeight::get().writes(1))
    }
    fn expire() -> Weight {
        Weight::from_parts(36_695_000, 3730)
            .saturating_add(ParityDbWeight::get().reads(3))
            .saturating_add(ParityDbWeight::get().writes(3))
    }
    fn forget() -> Weight {
        Weight::from_parts(30_555_000, 5636)
            .saturating_add(ParityDbWeight::get().reads(6))
            .saturating_add(ParityDbWeight::get().writes(1))
    }
}
