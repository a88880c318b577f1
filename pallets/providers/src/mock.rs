use crate as pallet_providers;
use crate::{
    HoldReason, OfferRecordOf, OperatorHistoryOf, Parameters, ProviderInfo, ProviderRecordOf,
};
use assay_primitives::{
    Architecture, Assignment, Balance, Conviction, DrawRequest, Emission, EraEnded, ListingId,
    Market, ModelParts, ModelSpec, Outcome, Price, Profile, ProviderRewards, Settlement, Slashed,
    Stake,
};
use codec::MaxEncodedLen;
use frame_support::{
    derive_impl, parameter_types,
    traits::{
        fungible::{HoldConsideration, Inspect, InspectHold, Mutate},
        tokens::{Fortitude, Precision, Preservation},
        ConstU128, ConstU32, LinearStoragePrice, OnFinalize, OnIdle, OnInitialize,
    },
    weights::{constants::RocksDbWeight, Weight},
    PalletId,
};
use frame_system::EnsureRoot;
use sp_core::H256;
use sp_runtime::{
    traits::{BlakeTwo256, Hash},
    BuildStorage, DispatchError, DispatchResult, Permill,
};

pub const EXISTENTIAL_DEPOSIT: Balance = 100;
pub const ENDOWMENT: Balance = 100_000_000;
pub const BOND: Balance = 1_000_000;

pub const PAULA: u64 = 1;
pub const UMA: u64 = 2;
/// Somebody with no part in anything.
pub const SAM: u64 = 9;
/// Stashes. The operator of each is the stash plus one.
pub const PETRA: u64 = 10;
pub const PIUS: u64 = 20;
pub const PAVEL: u64 = 30;
pub const PIA: u64 = 40;

pub const PRICE: Price = Price {
    input: 11,
    output: 103,
};
/// Eight tokens in and sixteen out, at [`PRICE`].
pub const WORST_CASE: Balance = 1_736;
pub const FULL_STEP_FEE: Balance = 500;
pub const DAY_MILLIS: u64 = 86_400_000;
/// What all providers get for an era at most.
pub const MAX_PER_ERA: Balance = 10_000;

frame_support::construct_runtime!(
    pub enum Test {
        System: frame_system,
        Balances: pallet_balances,
        Models: pallet_models,
        Providers: pallet_providers,
    }
);

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
    type Block = frame_system::mocking::MockBlock<Test>;
    type AccountData = pallet_balances::AccountData<Balance>;
    type DbWeight = RocksDbWeight;
}

#[derive_impl(pallet_balances::config_preludes::TestDefaultConfig)]
impl pallet_balances::Config for Test {
    type Balance = Balance;
    type ExistentialDeposit = ConstU128<EXISTENTIAL_DEPOSIT>;
    type AccountStore = System;
}

parameter_types! {
    pub const ModelsPalletId: PalletId = PalletId(*b"asy/modl");
    pub const MaxRoyalty: Permill = Permill::from_percent(20);
    pub const ListingDeposit: RuntimeHoldReason =
        RuntimeHoldReason::Models(pallet_models::HoldReason::ListingDeposit);
    pub const ProviderDeposit: RuntimeHoldReason =
        RuntimeHoldReason::Providers(HoldReason::ProviderDeposit);
    /// What is left of a block when its extrinsics are done.
    pub static IdleWeight: Weight = Weight::MAX;
    /// Blocks in which the referee was paused, and whether it is.
    pub static StoodStill: u64 = 0;
    pub static IsPaused: bool = false;
    /// Blocks in which answers can be challenged.
    pub static ChallengeBlocks: u64 = 0;
}

type Deposit<Reason> = HoldConsideration<
    u64,
    Balances,
    Reason,
    LinearStoragePrice<ConstU128<1_000>, ConstU128<1>, Balance>,
>;

impl pallet_models::Config for Test {
    type Currency = Balances;
    type RuntimeHoldReason = RuntimeHoldReason;
    type Consideration = Deposit<ListingDeposit>;
    type AdminOrigin = EnsureRoot<u64>;
    type PalletId = ModelsPalletId;
    type MaxRoyalty = MaxRoyalty;
    type MaxUriLength = ConstU32<64>;
    type WeightInfo = ();
}

impl crate::Config for Test {
    type Currency = Balances;
    type RuntimeHoldReason = RuntimeHoldReason;
    type Consideration = Deposit<ProviderDeposit>;
    type Catalogue = Models;
    type StoodStill = StoodStill;
    type ChallengeBlocks = ChallengeBlocks;
    type AdminOrigin = EnsureRoot<u64>;
    type MaxEndpointLength = ConstU32<64>;
    type MaxUnbondingChunks = ConstU32<4>;
    type MaxOperatorRanges = ConstU32<4>;
    type MaxOffersPerListing = ConstU32<3>;
    type WeightInfo = ();
    #[cfg(feature = "runtime-benchmarks")]
    type BenchmarkHelper = Helper;
}

pub fn parameters() -> Parameters<u64> {
    Parameters {
        min_bond: BOND,
        exposure_factor: 4,
        unbonding_blocks: 100,
        maturing_blocks: 40,
        full_step_fee: FULL_STEP_FEE,
        compensation_burned: Permill::from_percent(30),
        slash_multiple: 60,
        slash_floor: Permill::from_percent(10),
        reward_share: Permill::from_percent(40),
        // An era of a day may mint a thousandth of a year's rate, and so much at most.
        rewards: ProviderRewards {
            return_share: Permill::from_percent(80),
            emission: Emission {
                yearly_rate: Permill::from_percent(1),
                max_per_era: MAX_PER_ERA,
                max_era_millis: DAY_MILLIS,
            },
        },
    }
}

#[derive(Default)]
pub struct TestExt {
    bonds: Vec<(u64, Balance)>,
}

impl TestExt {
    /// Paula's model, and nobody who serves it.
    pub fn new() -> Self {
        Self::default()
    }

    /// A provider that serves the model at [`PRICE`].
    pub fn provider(mut self, stash: u64, bond: Balance) -> Self {
        self.bonds.push((stash, bond));
        self
    }

    fn build() -> sp_io::TestExternalities {
        let rich = [PAULA, UMA, SAM, PETRA, PIUS, PAVEL, PIA];
        let config = RuntimeGenesisConfig {
            balances: pallet_balances::GenesisConfig {
                balances: rich.into_iter().map(|who| (who, ENDOWMENT)).collect(),
                dev_accounts: None,
            },
            providers: pallet_providers::GenesisConfig {
                parameters: parameters(),
            },
            ..Default::default()
        };
        config.build_storage().unwrap().into()
    }

    /// Run a story from block 1 on, then check that the books are in order.
    pub fn execute_with<R>(self, story: impl FnOnce() -> R) -> R {
        let mut ext = Self::build();
        IdleWeight::set(Weight::MAX);
        StoodStill::set(0);
        IsPaused::set(false);
        ChallengeBlocks::set(0);
        ext.execute_with(|| {
            run_to(1);
            list_model(3);
            for (stash, bond) in self.bonds {
                register(stash, bond).unwrap();
                set_offer(stash, PRICE).unwrap();
            }
            let result = story();
            check_books();
            result
        })
    }
}

/// Where the benchmarks run as tests.
#[cfg(feature = "runtime-benchmarks")]
pub fn genesis() -> sp_io::TestExternalities {
    TestExt::build()
}

#[cfg(feature = "runtime-benchmarks")]
pub struct Helper;

#[cfg(feature = "runtime-benchmarks")]
impl crate::BenchmarkHelper for Helper {
    fn listing(index: u32) -> ListingId {
        list_model(10 + index as u8)
    }
}

pub fn check_books() {
    Models::do_try_state().unwrap();
    Providers::do_try_state().unwrap();
    let sum: Balance = frame_system::Account::<Test>::iter_values()
        .map(|account| account.data.free + account.data.reserved)
        .sum();
    assert_eq!(
        sum,
        Balances::total_issuance(),
        "money came from nowhere or went there"
    );
}

/// Go on to this block, through the hooks of every block between.
pub fn run_to(block: u64) {
    while System::block_number() < block {
        let now = System::block_number();
        if now > 0 {
            AllPalletsWithSystem::on_idle(now, IdleWeight::get());
            AllPalletsWithSystem::on_finalize(now);
        }
        if IsPaused::get() {
            StoodStill::mutate(|blocks| *blocks += 1);
        }
        System::initialize(&(now + 1), &H256::from_low_u64_be(now), &Default::default());
        AllPalletsWithSystem::on_initialize(now + 1);
    }
}

/// A model; another for each `seed`.
fn parts(seed: u8) -> ModelParts {
    ModelParts {
        spec: ModelSpec {
            architecture: Architecture::Llama,
            profile: Profile::Unverified,
            layers: 4,
            hidden: 256,
            intermediate: 768,
            heads: 8,
            kv_heads: 2,
            head_dim: 32,
            vocabulary: 1024,
            context: 96,
            stop_tokens: vec![1, 3].try_into().unwrap(),
            tied_embeddings: true,
        },
        tokenizer: H256::repeat_byte(1),
        template: H256::repeat_byte(2),
        tables: H256::zero(),
        weights_root: H256::repeat_byte(seed),
    }
}

pub fn list_model(seed: u8) -> ListingId {
    let id = parts(seed).listing_id(&PAULA, Permill::zero());
    let ModelParts {
        spec,
        tokenizer,
        template,
        tables,
        weights_root,
    } = parts(seed);
    Models::register(
        RuntimeOrigin::signed(PAULA),
        spec,
        tokenizer,
        template,
        tables,
        weights_root,
        Permill::zero(),
        Default::default(),
    )
    .unwrap();
    id
}

pub fn listing() -> ListingId {
    parts(3).listing_id(&PAULA, Permill::zero())
}

pub fn operator(stash: u64) -> u64 {
    stash + 1
}

pub fn info() -> crate::ProviderInfoOf<Test> {
    ProviderInfo {
        endpoint: b"https://petra.example".to_vec().try_into().unwrap(),
        tls_key_hash: H256::repeat_byte(5),
        x25519_key: [6; 32],
    }
}

pub fn register(stash: u64, bond: Balance) -> DispatchResult {
    Providers::register(RuntimeOrigin::signed(stash), operator(stash), info(), bond)
}

/// Serve the model with a context of 48 tokens, up to three jobs at once.
pub fn set_offer(stash: u64, price: Price) -> DispatchResult {
    offer(stash, listing(), price, 48, 3)
}

pub fn offer(
    stash: u64,
    listing: ListingId,
    price: Price,
    context: u32,
    capacity: u32,
) -> DispatchResult {
    let by = RuntimeOrigin::signed(stash);
    Providers::set_offer(by, listing, price.input, price.output, context, capacity)
}

/// A job of eight tokens in and sixteen out that can pay 10,000, for offers up to this block.
pub fn request<'a>(
    named: Option<&'a u64>,
    excluded: &'a [u64],
    seed: u64,
) -> DrawRequest<'a, u64, u64> {
    DrawRequest {
        listing: listing(),
        prompt_len: 8,
        max_output_tokens: 16,
        min_output_tokens: 1,
        budget: 10_000,
        named,
        excluded,
        sealed_at: System::block_number() + 1,
        randomness: BlakeTwo256::hash(&seed.to_le_bytes()),
    }
}

/// Assign a job to this provider.
pub fn assign(stash: u64) -> Option<Assignment<u64>> {
    <Providers as Market<u64, u64>>::draw(&request(Some(&stash), &[], 0))
}

/// The worker delivers an answer for this fee.
pub fn deliver(stash: u64, worst_case_fee: Balance, fee: Balance) {
    resolve(stash, worst_case_fee, Outcome::Delivered, fee);
}

/// An assignment of the model ends.
pub fn resolve(stash: u64, worst_case_fee: Balance, outcome: Outcome, remaining: Balance) {
    let listing = listing();
    <Providers as Market<u64, u64>>::resolve(&stash, &listing, worst_case_fee, outcome, remaining);
}

/// A delivered answer is paid.
pub fn close(stash: u64, fee: Balance, earned: Balance, protocol_fee: Balance) {
    let settlement = Settlement {
        fee,
        provider: earned,
        treasury: protocol_fee,
        ..Default::default()
    };
    <Providers as Market<u64, u64>>::close(&stash, &settlement);
}

/// Dues of one of the provider's channels burned so much of Uma's money.
pub fn burn(stash: u64, amount: Balance) {
    Balances::burn_from(
        &UMA,
        amount,
        Preservation::Preserve,
        Precision::Exact,
        Fortitude::Polite,
    )
    .unwrap();
    <Providers as Market<u64, u64>>::note_burned(&stash, amount);
}

/// The era that is under way ends after a day.
pub fn end_era() {
    let era = crate::BurnSoFar::<Test>::get().era;
    <Providers as EraEnded>::era_ended(era, DAY_MILLIS);
}

pub fn compensate(stash: u64, beneficiary: u64, amount: Balance) -> Result<Balance, DispatchError> {
    <Providers as Market<u64, u64>>::compensate(&stash, &beneficiary, amount)
}

/// What a settlement does: pay the stash, then let it mature.
pub fn earn(stash: u64, amount: Balance) {
    Balances::mint_into(&stash, amount).unwrap();
    <Providers as Market<u64, u64>>::mature(&stash, amount).unwrap();
}

pub fn freeze(stash: u64) {
    <Providers as Stake<u64, u64>>::freeze(&stash).unwrap();
}

pub fn thaw(stash: u64) {
    <Providers as Stake<u64, u64>>::thaw(&stash);
}

/// A wrong answer for this fee, of which the user is to get `refund`, was proven.
pub fn slash(stash: u64, fee: Balance, refund: Balance, challenger: u64) -> Slashed {
    let conviction = Conviction {
        fee,
        user: UMA,
        refund,
        challenger,
    };
    <Providers as Stake<u64, u64>>::slash(&stash, &conviction).unwrap()
}

/// What a settlement of a channel does: pay the stash, then let it mature.
pub fn earn_in_channel(stash: u64, fee: Balance, earned: Balance) {
    Balances::mint_into(&stash, earned).unwrap();
    <Providers as Market<u64, u64>>::answer_for(&stash, fee, earned, fee - earned).unwrap();
}

pub fn record(stash: u64) -> ProviderRecordOf<Test> {
    crate::Providers::<Test>::get(stash).unwrap()
}

pub fn free(who: u64) -> Balance {
    Balances::balance(&who)
}

pub fn held(reason: HoldReason, who: u64) -> Balance {
    Balances::balance_on_hold(&reason.into(), &who)
}

pub fn provider_deposit() -> Balance {
    let bytes =
        ProviderRecordOf::<Test>::max_encoded_len() + OperatorHistoryOf::<Test>::max_encoded_len();
    1_000 + bytes as u128
}

pub fn offer_deposit() -> Balance {
    1_000 + OfferRecordOf::<Test>::max_encoded_len() as u128
}
