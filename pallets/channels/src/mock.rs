use crate as pallet_channels;
use crate::{ChannelRecordOf, HoldReason, NextChannel, Parameters};
use assay_primitives::{
    Architecture, Balance, ChannelId, ListingId, ModelParts, ModelSpec, Profile, SignedVoucher,
    Voucher, VoucherKey, VoucherSignature,
};
use frame_support::{
    derive_impl, parameter_types,
    traits::{
        fungible::{HoldConsideration, Inspect, InspectHold},
        ConstU128, ConstU32, LinearStoragePrice, OnFinalize, OnIdle, OnInitialize,
    },
    weights::{constants::RocksDbWeight, Weight},
    PalletId,
};
use frame_system::EnsureRoot;
use sp_core::{ed25519, sr25519, Pair, H256};
use sp_runtime::{
    testing::{TestSignature, UintAuthorityId},
    BuildStorage, DispatchResult, Permill,
};

pub const EXISTENTIAL_DEPOSIT: Balance = 100;
pub const ENDOWMENT: Balance = 100_000_000;
pub const BOND: Balance = 1_000_000;

pub const PAULA: u64 = 1;
pub const UMA: u64 = 2;
pub const URS: u64 = 3;
/// Somebody with no part in anything.
pub const SAM: u64 = 9;
/// Providers. The operator of each is its stash plus one.
pub const PETRA: u64 = 10;
pub const PIUS: u64 = 20;
pub const TREASURY: u64 = 90;

pub const DEPOSIT: Balance = 100_000;
pub const MIN_DEPOSIT: Balance = 1_000;
pub const PROTOCOL_FEE: Permill = Permill::from_percent(5);
pub const BURNED_SHARE: Permill = Permill::from_percent(50);
/// The protocol fee that raises a provider's score by a full step.
pub const FULL_STEP_FEE: Balance = 60;

frame_support::construct_runtime!(
    pub enum Test {
        System: frame_system,
        Balances: pallet_balances,
        Models: pallet_models,
        Providers: pallet_providers,
        Jobs: pallet_jobs,
        Channels: pallet_channels,
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
        RuntimeHoldReason::Providers(pallet_providers::HoldReason::ProviderDeposit);
    pub const JobDeposit: RuntimeHoldReason = RuntimeHoldReason::Jobs(pallet_jobs::HoldReason::JobDeposit);
    pub const ChannelDeposit: RuntimeHoldReason =
        RuntimeHoldReason::Channels(HoldReason::ChannelDeposit);
    pub const TreasuryAccount: u64 = TREASURY;
    pub const MaxJobsWeight: Weight = Weight::from_parts(1_000_000_000_000, u64::MAX);
    /// Blocks in which the referee was paused.
    pub static StoodStill: u64 = 0;
    /// How much the chain may do by itself for channels in a block.
    pub static MaxAgendaWeight: Weight = Weight::from_parts(1_000_000_000_000, u64::MAX);
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

impl pallet_providers::Config for Test {
    type Currency = Balances;
    type RuntimeHoldReason = RuntimeHoldReason;
    type Consideration = Deposit<ProviderDeposit>;
    type Catalogue = Models;
    type StoodStill = StoodStill;
    type ChallengeBlocks = ();
    type AdminOrigin = EnsureRoot<u64>;
    type MaxEndpointLength = ConstU32<64>;
    type MaxUnbondingChunks = ConstU32<4>;
    type MaxOperatorRanges = ConstU32<4>;
    type MaxOffersPerListing = ConstU32<128>;
    type WeightInfo = ();
    #[cfg(feature = "runtime-benchmarks")]
    type BenchmarkHelper = Helper;
}

/// Jobs are here for the rules by which fees are divided.
impl pallet_jobs::Config for Test {
    type Currency = Balances;
    type RuntimeHoldReason = RuntimeHoldReason;
    type Consideration = Deposit<JobDeposit>;
    type Catalogue = Models;
    type Market = Providers;
    type StoodStill = StoodStill;
    type ParentRandomness = ();
    type Signature = TestSignature;
    type Signer = UintAuthorityId;
    type Treasury = TreasuryAccount;
    type AdminOrigin = EnsureRoot<u64>;
    type MaxTokens = ConstU32<64>;
    type MaxDraws = ConstU32<4>;
    type MaxAgendaWeight = MaxJobsWeight;
    type WeightInfo = ();
    #[cfg(feature = "runtime-benchmarks")]
    type BenchmarkHelper = Helper;
}

impl crate::Config for Test {
    type Currency = Balances;
    type RuntimeHoldReason = RuntimeHoldReason;
    type Consideration = Deposit<ChannelDeposit>;
    type Catalogue = Models;
    type Market = Providers;
    type Fees = Jobs;
    type StoodStill = StoodStill;
    type AdminOrigin = EnsureRoot<u64>;
    type MaxAgendaWeight = MaxAgendaWeight;
    type WeightInfo = ();
    #[cfg(feature = "runtime-benchmarks")]
    type BenchmarkHelper = Helper;
}

pub fn parameters() -> Parameters<u64> {
    Parameters {
        close_window_blocks: 10,
        retention_blocks: 20,
        min_deposit: MIN_DEPOSIT,
    }
}

pub struct TestExt {
    balances: Vec<(u64, Balance)>,
    providers: Vec<u64>,
    parameters: Parameters<u64>,
    maturing_blocks: u64,
}

impl TestExt {
    /// Paula's model, served by Petra and Pius; users with money; a treasury and a royalty account
    /// that exist.
    pub fn new() -> Self {
        let rich = [PAULA, UMA, URS, PETRA, PIUS, SAM];
        let mut balances: Vec<_> = rich.into_iter().map(|who| (who, ENDOWMENT)).collect();
        balances.push((TREASURY, EXISTENTIAL_DEPOSIT));
        balances.push((Models::account_id(), EXISTENTIAL_DEPOSIT));
        Self {
            balances,
            providers: vec![PETRA, PIUS],
            parameters: parameters(),
            maturing_blocks: 16,
        }
    }

    pub fn endow(mut self, who: u64, amount: Balance) -> Self {
        self.balances.retain(|(account, _)| *account != who);
        if amount > 0 {
            self.balances.push((who, amount));
        }
        self
    }

    pub fn maturing_blocks(mut self, blocks: u64) -> Self {
        self.maturing_blocks = blocks;
        self
    }

    fn build(self) -> sp_io::TestExternalities {
        let config = RuntimeGenesisConfig {
            balances: pallet_balances::GenesisConfig {
                balances: self.balances,
                dev_accounts: None,
            },
            providers: pallet_providers::GenesisConfig {
                parameters: pallet_providers::Parameters {
                    min_bond: BOND,
                    exposure_factor: 4,
                    unbonding_blocks: 100,
                    maturing_blocks: self.maturing_blocks,
                    compensation_burned: Permill::from_percent(50),
                    full_step_fee: FULL_STEP_FEE,
                    ..Default::default()
                },
            },
            jobs: pallet_jobs::GenesisConfig {
                parameters: pallet_jobs::Parameters {
                    protocol_fee: PROTOCOL_FEE,
                    burned_share: BURNED_SHARE,
                    challenge_blocks: 10,
                    ..Default::default()
                },
            },
            channels: pallet_channels::GenesisConfig {
                parameters: self.parameters,
            },
            ..Default::default()
        };
        config.build_storage().unwrap().into()
    }

    /// Run a story from block 1 on, then check that the books are in order.
    pub fn execute_with<R>(self, story: impl FnOnce() -> R) -> R {
        MaxAgendaWeight::set(Weight::from_parts(1_000_000_000_000, u64::MAX));
        StoodStill::set(0);
        let providers = self.providers.clone();
        self.build().execute_with(|| {
            run_to(1);
            list_model();
            for stash in providers {
                register_provider(stash);
                set_offer(stash);
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
    TestExt::new().build()
}

#[cfg(feature = "runtime-benchmarks")]
pub struct Helper;

#[cfg(feature = "runtime-benchmarks")]
impl pallet_providers::BenchmarkHelper for Helper {
    fn listing(_: u32) -> ListingId {
        list_model();
        listing()
    }
}

#[cfg(feature = "runtime-benchmarks")]
impl pallet_jobs::BenchmarkHelper<Test> for Helper {
    fn listing() -> ListingId {
        list_model();
        listing()
    }

    fn provider(index: u32, _: ListingId, _: assay_primitives::Price) -> (u64, u64) {
        let (_, stash, operator) = <Self as crate::BenchmarkHelper<u64>>::provider(index);
        (stash, operator)
    }

    fn owe_reward(stash: &u64) {
        Providers::owe_reward(stash);
    }

    fn sign(operator: &u64, payload: &[u8]) -> TestSignature {
        TestSignature(*operator, payload.to_vec())
    }
}

#[cfg(feature = "runtime-benchmarks")]
impl crate::BenchmarkHelper<u64> for Helper {
    fn provider(index: u32) -> (ListingId, u64, u64) {
        use frame_support::traits::fungible::Mutate;

        if index == 0 {
            list_model();
        }
        let stash = 1_000 + 10 * u64::from(index);
        Balances::set_balance(&stash, ENDOWMENT);
        register_provider(stash);
        set_offer(stash);
        (listing(), stash, operator(stash))
    }

    fn owe_reward(stash: &u64) {
        Providers::owe_reward(stash);
    }

    fn voucher_key() -> VoucherKey {
        key_of(UMA)
    }

    fn sign(payload: &[u8]) -> VoucherSignature {
        signature_of(UMA, payload)
    }
}

pub fn check_books() {
    Models::do_try_state().unwrap();
    Providers::do_try_state().unwrap();
    Jobs::do_try_state().unwrap();
    Channels::do_try_state().unwrap();
    let sum: Balance = frame_system::Account::<Test>::iter_values()
        .map(|account| account.data.free + account.data.reserved)
        .sum();
    assert_eq!(
        sum,
        Balances::total_issuance(),
        "money came from nowhere or went there"
    );
    let channels = crate::Channels::<Test>::iter_values().count();
    let offers = pallet_providers::Offers::<Test>::iter().count();
    assert_eq!(
        Models::account(listing()).unwrap().uses as usize,
        channels + offers,
        "what names the listing"
    );
}

pub fn hash_of(block: u64) -> H256 {
    H256::from_low_u64_be(1_000 + block)
}

/// Go on to this block, through the hooks of every block between.
pub fn run_to(block: u64) {
    while System::block_number() < block {
        let now = System::block_number();
        if now > 0 {
            AllPalletsWithSystem::on_idle(now, Weight::MAX);
            AllPalletsWithSystem::on_finalize(now);
        }
        System::initialize(&(now + 1), &hash_of(now), &Default::default());
        AllPalletsWithSystem::on_initialize(now + 1);
    }
}

fn parts() -> ModelParts {
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
        weights_root: H256::repeat_byte(3),
    }
}

pub const ROYALTY: Permill = Permill::from_percent(2);

pub fn listing() -> ListingId {
    parts().listing_id(&PAULA, ROYALTY)
}

pub fn list_model() {
    let ModelParts {
        spec,
        tokenizer,
        template,
        tables,
        weights_root,
    } = parts();
    let uri = Default::default();
    let by = RuntimeOrigin::signed(PAULA);
    Models::register(
        by,
        spec,
        tokenizer,
        template,
        tables,
        weights_root,
        ROYALTY,
        uri,
    )
    .unwrap();
}

pub fn operator(stash: u64) -> u64 {
    stash + 1
}

pub fn register_provider(stash: u64) {
    let by = RuntimeOrigin::signed(stash);
    Providers::register(by, operator(stash), info(b"https://provider.example"), BOND).unwrap();
}

pub fn info(endpoint: &[u8]) -> pallet_providers::ProviderInfoOf<Test> {
    pallet_providers::ProviderInfo {
        endpoint: endpoint.to_vec().try_into().unwrap(),
        tls_key_hash: H256::zero(),
        x25519_key: [0; 32],
    }
}

pub fn set_offer(stash: u64) {
    Providers::set_offer(RuntimeOrigin::signed(stash), listing(), 11, 103, 48, 5).unwrap();
}

/// A stash with nothing open, offered or maturing leaves.
pub fn leave(stash: u64) {
    let by = || RuntimeOrigin::signed(stash);
    Providers::remove_offer(by(), listing()).unwrap();
    Providers::unbond(by(), provider(stash).bond).unwrap();
    run_to(System::block_number() + 100);
    Providers::withdraw_unbonded(by()).unwrap();
    Providers::deregister(by()).unwrap();
}

/// Urs signs with ed25519, everybody else with sr25519.
fn signs_with_ed25519(user: u64) -> bool {
    user == URS
}

pub fn key_of(user: u64) -> VoucherKey {
    let seed = [user as u8; 32];
    match signs_with_ed25519(user) {
        true => VoucherKey::Ed25519(ed25519::Pair::from_seed(&seed).public()),
        false => VoucherKey::Sr25519(sr25519::Pair::from_seed(&seed).public()),
    }
}

pub fn signature_of(user: u64, payload: &[u8]) -> VoucherSignature {
    let seed = [user as u8; 32];
    match signs_with_ed25519(user) {
        true => VoucherSignature::Ed25519(ed25519::Pair::from_seed(&seed).sign(payload)),
        false => VoucherSignature::Sr25519(sr25519::Pair::from_seed(&seed).sign(payload)),
    }
}

/// A voucher as this user's key signs it.
pub fn voucher_of(user: u64, genesis: H256, channel: ChannelId, amount: Balance) -> SignedVoucher {
    let voucher = Voucher {
        genesis,
        channel,
        cumulative: amount,
    };
    SignedVoucher {
        channel,
        cumulative: amount,
        signature: signature_of(user, &voucher.signing_payload()),
    }
}

/// An honest voucher of the channel's user.
pub fn voucher(id: ChannelId, amount: Balance) -> SignedVoucher {
    voucher_of(channel(id).user, hash_of(0), id, amount)
}

pub fn open(user: u64, provider: u64, deposit: Balance) -> ChannelId {
    let number = NextChannel::<Test>::get();
    let by = RuntimeOrigin::signed(user);
    Channels::open(by, provider, listing(), key_of(user), deposit).unwrap();
    assay_primitives::channel_id(&hash_of(0), number)
}

/// Uma's channel to Petra.
pub fn opened() -> ChannelId {
    open(UMA, PETRA, DEPOSIT)
}

/// Sam, who has no part in it, settles what the user's voucher allows.
pub fn settle(id: ChannelId, amount: Balance) -> DispatchResult {
    Channels::settle(RuntimeOrigin::signed(SAM), voucher(id, amount), amount)
}

pub fn request_close(id: ChannelId) {
    let by = RuntimeOrigin::signed(channel(id).user);
    Channels::request_close(by, id).unwrap();
}

pub fn channel(id: ChannelId) -> ChannelRecordOf<Test> {
    crate::Channels::<Test>::get(id).unwrap()
}

pub fn free(who: u64) -> Balance {
    Balances::balance(&who)
}

pub fn held(reason: impl Into<RuntimeHoldReason>, who: u64) -> Balance {
    Balances::balance_on_hold(&reason.into(), &who)
}

/// What a user's channels can still pay.
pub fn in_channels(who: u64) -> Balance {
    held(HoldReason::Deposit, who)
}

pub fn maturing(stash: u64) -> Balance {
    held(pallet_providers::HoldReason::Maturing, stash)
}

pub fn provider(stash: u64) -> pallet_providers::ProviderRecordOf<Test> {
    pallet_providers::Providers::<Test>::get(stash).unwrap()
}
