//! What the calls of frame_system cost, measured by scripts/weights (50 steps, 20 repetitions) on
//! AMD EPYC, with the reads and writes of ParityDB.

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::Weight};

pub struct WeightInfo<T>(PhantomData<T>);

impl<T: frame_system::Config> frame_system::WeightInfo for WeightInfo<T> {
    fn remark(b: u32) -> Weight {
        Weight::from_parts(22_846_886, 0)
            .saturating_add(Weight::from_parts(195, 0).saturating_mul(b.into()))
    }
    fn remark_with_event(b: u32) -> Weight {
        Weight::from_parts(3_835_000, 0)
            .saturating_add(Weight::from_parts(1_777, 0).saturating_mul(b.into()))
    }
    fn set_heap_pages() -> Weight {
        Weight::from_parts(2_894_000, 0).saturating_add(T::DbWeight::get().writes(1))
    }
    fn set_code() -> Weight {
        Weight::from_parts(106_894_229_000, 0).saturating_add(T::DbWeight::get().writes(1))
    }
    fn set_storage(i: u32) -> Weight {
        Weight::from_parts(1_532_000, 0)
            .saturating_add(Weight::from_parts(622_022, 0).saturating_mul(i.into()))
            .saturating_add(T::DbWeight::get().writes((1_u64).saturating_mul(i.into())))
    }
    fn kill_storage(i: u32) -> Weight {
        Weight::from_parts(1_493_000, 0)
            .saturating_add(Weight::from_parts(437_517, 0).saturating_mul(i.into()))
            .saturating_add(T::DbWeight::get().writes((1_u64).saturating_mul(i.into())))
    }
    fn kill_prefix(p: u32) -> Weight {
        Weight::from_parts(2_814_000, 59)
            .saturating_add(Weight::from_parts(904_958, 0).saturating_mul(p.into()))
            .saturating_add(T::DbWeight::get().reads((1_u64).saturating_mul(p.into())))
            .saturating_add(T::DbWeight::get().writes((1_u64).saturating_mul(p.into())))
            .saturating_add(Weight::from_parts(0, 70).saturating_mul(p.into()))
    }
    fn authorize_upgrade() -> Weight {
        Weight::from_parts(6_730_000, 0).saturating_add(T::DbWeight::get().writes(1))
    }
    fn apply_authorized_upgrade() -> Weight {
        Weight::from_parts(112_024_227_000, 1518)
            .saturating_add(T::DbWeight::get().reads(1))
            .saturating_add(T::DbWeight::get().writes(2))
    }
}
