use frame_support::weights::Weight;

pub trait WeightInfo {
    fn register() -> Weight;
    fn retire() -> Weight;
    fn claim_royalties() -> Weight;
    fn drop_retired() -> Weight;
    fn freeze() -> Weight;
}

impl WeightInfo for () {
    fn register() -> Weight {
        Weight::from_parts(60_000_000, 4_000)
    }
    fn retire() -> Weight {
        Weight::from_parts(20_000_000, 4_000)
    }
    fn claim_royalties() -> Weight {
        Weight::from_parts(80_000_000, 8_000)
    }
    fn drop_retired() -> Weight {
        Weight::from_parts(60_000_000, 4_000)
    }
    fn freeze() -> Weight {
        Weight::from_parts(20_000_000, 4_000)
    }
}
