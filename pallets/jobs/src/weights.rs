use frame_support::weights::Weight;

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
        Self::draw().max(Self::miss()).max(Self::settle()).max(Self::remove())
    }
}

impl WeightInfo for () {
    fn submit(p: u32) -> Weight {
        Weight::from_parts(150_000_000, 16_000)
            .saturating_add(Weight::from_parts(20_000, 4).saturating_mul(p.into()))
    }
    fn cancel() -> Weight {
        Weight::from_parts(120_000_000, 16_000)
    }
    fn decline() -> Weight {
        Weight::from_parts(150_000_000, 16_000)
    }
    fn deliver(o: u32) -> Weight {
        Weight::from_parts(250_000_000, 16_000)
            .saturating_add(Weight::from_parts(50_000, 4).saturating_mul(o.into()))
    }
    fn draw() -> Weight {
        Weight::from_parts(1_500_000_000, 200_000)
    }
    fn miss() -> Weight {
        Weight::from_parts(300_000_000, 20_000)
    }
    fn settle() -> Weight {
        Weight::from_parts(400_000_000, 30_000)
    }
    fn remove() -> Weight {
        Weight::from_parts(150_000_000, 16_000)
    }
    fn set_parameters() -> Weight {
        Weight::from_parts(20_000_000, 2_000)
    }
}
