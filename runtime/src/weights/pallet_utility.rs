//! What the calls of pallet_utility cost, measured by scripts/weights (50 steps, 20 repetitions) on
//! AMD EPYC, with the reads and writes of ParityDB.

use core::marker::PhantomData;
use frame_support::weights::Weight;

pub struct WeightInfo<T>(PhantomData<T>);

impl<T: frame_system::Config> pallet_utility::WeightInfo for WeightInfo<T> {
    fn batch(c: u32) -> Weight {
        Weight::from_parts(8_074_591, 0)
            .saturating_add(Weight::from_parts(2_289_961, 0).saturating_mul(c.into()))
    }
    fn as_derivative() -> Weight {
        Weight::from_parts(3_275_000, 0)
    }
    fn batch_all(c: u32) -> Weight {
        Weight::from_parts(2_440_647, 0)
            .saturating_add(Weight::from_parts(2_531_196, 0).saturating_mul(c.into()))
    }
    fn dispatch_as() -> Weight {
        Weight::from_parts(4_677_000, 0)
    }
    fn force_batch(c: u32) -> Weight {
        Weight::from_parts(1_973_336, 0)
            .saturating_add(Weight::from_parts(2_345_353, 0).saturating_mul(c.into()))
    }
    fn dispatch_as_fallible() -> Weight {
        Weight::from_parts(4_747_000, 0)
    }
    fn if_else() -> Weight {
        Weight::from_parts(5_799_000, 0)
    }
}
