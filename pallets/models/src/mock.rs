use crate as pallet_models;
use crate::{HoldReason, ListingRecordOf};
use assay_primitives::{
    Architecture, Balance, ListingId, ModelParts, ModelSpec, Profile, Rotary, RotaryScaling,
    PPM_ONE,
};
use frame_support::{
    derive_impl, parameter_types,
    traits::{
        fungible::{HoldConsideration, Inspect, InspectHold},
        ConstU128, ConstU32, Footprint, LinearStoragePrice,
    },
    PalletId,
};
use frame_system::EnsureRoot;
use sp_core::H256;
use sp_runtime::{traits::Convert, BuildStorage, Permill};

pub const EXISTENTIAL_DEPOSIT: Balance = 100;
pub const ENDOWMENT: Balance = 1_000_000;

/// Publishers.
pub const PAULA: u64 = 1;
pub const PEDRO: u64 = 2;
/// Somebody with no part in anything.
pub const SAM: u64 = 9;

frame_support::construct_runtime!(
    pub enum Test {
        System: frame_system,
        Balances: pallet_balances,
        Models: pallet_models,
    }
);

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
    type Block = frame_system::mocking::MockBlock<Test>;
    type AccountData = pallet_balances::AccountData<Balance>;
}

#[derive_impl(pallet_balances::config_preludes::TestDefaultConfig)]
impl pallet_balances::Config for Test {
    type Balance = Balance;
    type ExistentialDeposit = ConstU128<EXISTENTIAL_DEPOSIT>;
    type AccountStore = System;
}

parameter_types! {
    pub const ModelsPalletId: PalletId = PalletId(*b"asy/modl");
    pub const MaxRoyalty: Permill = Permill::from_percent(30);
    pub const ListingDeposit: RuntimeHoldReason =
        RuntimeHoldReason::Models(HoldReason::ListingDeposit);
}

type DepositPrice = LinearStoragePrice<ConstU128<1_000>, ConstU128<1>, Balance>;

impl crate::Config for Test {
    type Currency = Balances;
    type RuntimeHoldReason = RuntimeHoldReason;
    type Consideration = HoldConsideration<u64, Balances, ListingDeposit, DepositPrice>;
    type AdminOrigin = EnsureRoot<u64>;
    type PalletId = ModelsPalletId;
    type MaxRoyalty = MaxRoyalty;
    type MaxUriLength = ConstU32<64>;
    type WeightInfo = ();
}

pub struct TestExt(Vec<(u64, Balance)>);

impl TestExt {
    /// Publishers with money, and a royalty account that exists.
    pub fn new() -> Self {
        let royalties = Models::account_id();
        Self(vec![
            (PAULA, ENDOWMENT),
            (PEDRO, ENDOWMENT),
            (SAM, ENDOWMENT),
            (royalties, EXISTENTIAL_DEPOSIT),
        ])
    }

    pub fn endow(mut self, who: u64, amount: Balance) -> Self {
        self.0.retain(|(account, _)| *account != who);
        self.0.push((who, amount));
        self
    }

    fn build(self) -> sp_io::TestExternalities {
        let config = RuntimeGenesisConfig {
            balances: pallet_balances::GenesisConfig {
                balances: self.0,
                dev_accounts: None,
            },
            ..Default::default()
        };
        config.build_storage().unwrap().into()
    }

    /// Run a story, then check that the books are in order.
    pub fn execute_with<R>(self, story: impl FnOnce() -> R) -> R {
        self.build().execute_with(|| {
            System::set_block_number(1);
            let result = story();
            check_books();
            result
        })
    }
}

/// Where the benchmarks run as tests.
#[cfg(feature = "runtime-benchmarks")]
pub fn genesis() -> sp_io::TestExternalities {
    TestExt::new().build()
}

pub fn check_books() {
    Models::do_try_state().unwrap();
    let sum: Balance = frame_system::Account::<Test>::iter_values()
        .map(|account| account.data.free + account.data.reserved)
        .sum();
    assert_eq!(
        sum,
        Balances::total_issuance(),
        "money came from nowhere or went there"
    );
}

pub fn spec() -> ModelSpec {
    ModelSpec {
        architecture: Architecture::Llama,
        profile: Profile::Unverified,
        layers: 4,
        hidden: 256,
        intermediate: 768,
        heads: 8,
        kv_heads: 2,
        head_dim: 32,
        vocabulary: 1024,
        context: 512,
        stop_tokens: vec![1, 3].try_into().unwrap(),
        tied_embeddings: true,
    }
}

/// A model; another for each `seed`.
pub fn parts(seed: u8) -> ModelParts {
    ModelParts {
        spec: spec(),
        tokenizer: H256::repeat_byte(1),
        template: H256::repeat_byte(2),
        tables: H256::zero(),
        weights_root: H256::repeat_byte(seed),
    }
}

/// The numbers of an exact model.
#[derive(Clone, Copy)]
pub struct Exact {
    pub fraction_bits: u8,
    pub eps40: u32,
    pub base: u64,
    pub scaling: RotaryScaling,
}

impl Exact {
    /// Those of Llama 3.2.
    pub fn new() -> Self {
        let one = u64::from(PPM_ONE);
        Self {
            fraction_bits: 16,
            eps40: 10_995_116,
            base: 500_000 * one,
            scaling: RotaryScaling {
                factor: 32 * one,
                low: one,
                high: 4 * one,
                original_context: 8192,
            },
        }
    }

    /// A model with these numbers and with tables.
    pub fn parts(self) -> ModelParts {
        let profile = Profile::Exact {
            fraction_bits: self.fraction_bits,
            eps40: self.eps40,
            rotary: Rotary {
                base: self.base,
                scaling: Some(self.scaling),
            },
        };
        ModelParts {
            spec: ModelSpec { profile, ..spec() },
            tables: H256::repeat_byte(4),
            ..parts(3)
        }
    }
}

pub fn percent(royalty: u32) -> Permill {
    Permill::from_percent(royalty)
}

/// Call `register`; the id is what the listing is called if it succeeds.
pub fn register(
    publisher: u64,
    parts: ModelParts,
    royalty: Permill,
) -> (ListingId, sp_runtime::DispatchResult) {
    let id = parts.listing_id(&publisher, royalty);
    let ModelParts {
        spec,
        tokenizer,
        template,
        tables,
        weights_root,
    } = parts;
    let result = Models::register(
        RuntimeOrigin::signed(publisher),
        spec,
        tokenizer,
        template,
        tables,
        weights_root,
        royalty,
        b"https://models.example".to_vec().try_into().unwrap(),
    );
    (id, result)
}

/// Paula's model with a royalty of two per cent.
pub fn listed() -> ListingId {
    let (id, result) = register(PAULA, parts(3), percent(2));
    result.unwrap();
    id
}

pub fn listing_deposit() -> Balance {
    DepositPrice::convert(Footprint::from_mel::<ListingRecordOf<Test>>())
}

pub fn free(who: u64) -> Balance {
    Balances::balance(&who)
}

pub fn held(reason: HoldReason, who: u64) -> Balance {
    Balances::balance_on_hold(&reason.into(), &who)
}

/// What a settlement does: pay the royalty account, then tell the listing of it.
pub fn pay_royalty(listing: ListingId, amount: Balance) {
    use assay_primitives::ModelCatalogue;
    use frame_support::traits::fungible::Mutate;

    Balances::mint_into(&Models::royalty_account(), amount).unwrap();
    Models::credit_royalty(&listing, amount).unwrap();
}
