use frame_support::weights::Weight;

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
}

impl WeightInfo for () {
    fn register() -> Weight {
        Weight::from_parts(80_000_000, 8_000)
    }
    fn update_info() -> Weight {
        Weight::from_parts(80_000_000, 8_000)
    }
    fn rotate_operator() -> Weight {
        Weight::from_parts(80_000_000, 8_000)
    }
    fn bond_extra() -> Weight {
        Weight::from_parts(80_000_000, 8_000)
    }
    fn unbond() -> Weight {
        Weight::from_parts(80_000_000, 8_000)
    }
    fn withdraw_unbonded() -> Weight {
        Weight::from_parts(80_000_000, 8_000)
    }
    fn set_offer() -> Weight {
        Weight::from_parts(80_000_000, 8_000)
    }
    fn remove_offer() -> Weight {
        Weight::from_parts(80_000_000, 8_000)
    }
    fn set_online() -> Weight {
        Weight::from_parts(80_000_000, 8_000)
    }
    fn deregister() -> Weight {
        Weight::from_parts(80_000_000, 8_000)
    }
    fn release_earnings() -> Weight {
        Weight::from_parts(80_000_000, 8_000)
    }
    fn set_parameters() -> Weight {
        Weight::from_parts(80_000_000, 8_000)
    }
}
