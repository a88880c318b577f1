mod story;

pub use story::*;

use crate as pallet_disputes;
use crate::Parameters;
use assay_primitives::{
    Architecture, Balance, Claim, ListingId, Market, ModelParts, ModelSpec, Price, Profile, Rotary,
    TokenId,
};
#[cfg(feature = "runtime-benchmarks")]
use assay_primitives::{VoucherKey, VoucherSignature};
use frame_support::{
    derive_impl,
    dispatch::DispatchClass,
    parameter_types,
    traits::{
        fungible::HoldConsideration, ConstU128, ConstU32, Get, LinearStoragePrice, OnFinalize,
        OnIdle, OnInitialize,
    },
    weights::{constants::RocksDbWeight, Weight},
    PalletId,
};
use frame_system::{ConsumedWeight, EnsureRoot};
#[cfg(feature = "runtime-benchmarks")]
use sp_core::Pair;
use sp_core::H256;
use sp_runtime::{
    testing::{TestSignature, UintAuthorityId},
    traits::{BlakeTwo256, Hash},
    BuildStorage, DispatchResult, Permill,
};

pub const EXISTENTIAL_DEPOSIT: Balance = 100;
pub const ENDOWMENT: Balance = 1_000_000_000;
pub const BOND: Balance = 1_000_000;

pub const PAULA: u64 = 1;
pub const UMA: u64 = 2;
/// Challengers, and who plays for one of them.
pub const CARL: u64 = 4;
pub const CORA: u64 = 5;
pub const DORA: u64 = 6;
/// Somebody with no part in anything.
pub const SAM: u64 = 9;
/// Providers. The operator of each is its stash plus one.
pub const PETRA: u64 = 10;
pub const PIUS: u64 = 20;
pub const TREASURY: u64 = 90;

pub const PRICE: Price = Price {
    input: 11,
    output: 103,
};
pub const PROMPT: [TokenId; 5] = [5, 6, 7, 8, 9];
pub const LIMIT: u32 = 40;
/// A token that ends an answer.
pub const STOP: TokenId = 3;
pub const VOCABULARY: u32 = 96;
pub const CONTEXT: u32 = 64;
pub const SALT: H256 = H256([7; 32]);
pub const SECRET: [u8; 32] = [8; 32];
pub const DEPOSIT: Balance = 100_000;

frame_support::construct_runtime!(
    pub enum Test {
        System: frame_system,
        Balances: pallet_balances,
        Models: pallet_models,
        Providers: pallet_providers,
        Jobs: pallet_jobs,
        Channels: pallet_channels,
        Disputes: pallet_disputes,
    }
);

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
    type Block = frame_system::mocking::MockBlock<Test>;
    type BlockHashCount = frame_support::traits::ConstU64<2_400>;
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
    pub const JobDeposit: RuntimeHoldReason =
        RuntimeHoldReason::Jobs(pallet_jobs::HoldReason::JobDeposit);
    pub const ChannelDeposit: RuntimeHoldReason =
        RuntimeHoldReason::Channels(pallet_channels::HoldReason::ChannelDeposit);
    pub const TreasuryAccount: u64 = TREASURY;
    pub const EnoughWeight: Weight = Weight::from_parts(1_000_000_000_000, u64::MAX);
    /// How much the chain may do by itself for disputes in a block.
    pub static MaxAgendaWeight: Weight = Weight::from_parts(1_000_000_000_000, u64::MAX);
    /// Whether transactions fill the blocks.
    pub static BlocksAreFull: bool = false;
}

type Deposit<Reason> = HoldConsideration<
    u64,
    Balances,
    Reason,
    LinearStoragePrice<ConstU128<1_000>, ConstU128<1>, Balance>,
>;

pub struct StoodStill;

impl Get<u64> for StoodStill {
    fn get() -> u64 {
        Disputes::stood_still()
    }
}

pub struct ChallengeBlocks;

impl Get<u64> for ChallengeBlocks {
    fn get() -> u64 {
        crate::Params::<Test>::get().challenge_blocks
    }
}

pub struct MaturingBlocks;

impl Get<u64> for MaturingBlocks {
    fn get() -> u64 {
        Providers::maturing_blocks()
    }
}

pub struct ParentRandomness;

impl Get<Option<H256>> for ParentRandomness {
    fn get() -> Option<H256> {
        Some(BlakeTwo256::hash(&System::block_number().to_le_bytes()))
    }
}

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
    type ChallengeBlocks = ChallengeBlocks;
    type AdminOrigin = EnsureRoot<u64>;
    type MaxEndpointLength = ConstU32<64>;
    type MaxUnbondingChunks = ConstU32<4>;
    type MaxOperatorRanges = ConstU32<4>;
    type MaxOffersPerListing = ConstU32<8>;
    type WeightInfo = ();
    #[cfg(feature = "runtime-benchmarks")]
    type BenchmarkHelper = Helper;
}

impl pallet_jobs::Config for Test {
    type Currency = Balances;
    type RuntimeHoldReason = RuntimeHoldReason;
    type Consideration = Deposit<JobDeposit>;
    type Catalogue = Models;
    type Market = Providers;
    type StoodStill = StoodStill;
    type ParentRandomness = ParentRandomness;
    type Signature = TestSignature;
    type Signer = UintAuthorityId;
    type Treasury = TreasuryAccount;
    type AdminOrigin = EnsureRoot<u64>;
    type MaxTokens = ConstU32<64>;
    type MaxDraws = ConstU32<4>;
    type MaxAgendaWeight = EnoughWeight;
    type WeightInfo = ();
    #[cfg(feature = "runtime-benchmarks")]
    type BenchmarkHelper = Helper;
}

impl pallet_channels::Config for Test {
    type Currency = Balances;
    type RuntimeHoldReason = RuntimeHoldReason;
    type Consideration = Deposit<ChannelDeposit>;
    type Catalogue = Models;
    type Market = Providers;
    type Fees = Jobs;
    type StoodStill = StoodStill;
    type AdminOrigin = EnsureRoot<u64>;
    type MaxAgendaWeight = EnoughWeight;
    type WeightInfo = ();
    #[cfg(feature = "runtime-benchmarks")]
    type BenchmarkHelper = Helper;
}

/// Jobs and channels, by the kind of claim.
pub struct AllClaims;

impl assay_primitives::Claims<u64, u64> for AllClaims {
    fn facts(claim: &Claim) -> Option<assay_primitives::ClaimFacts<u64, u64>> {
        match claim {
            Claim::Job(_) => <Jobs as assay_primitives::Claims<_, _>>::facts(claim),
            Claim::Channel { .. } => <Channels as assay_primitives::Claims<_, _>>::facts(claim),
        }
    }

    fn freeze(claim: &Claim) -> DispatchResult {
        match claim {
            Claim::Job(_) => <Jobs as assay_primitives::Claims<_, _>>::freeze(claim),
            Claim::Channel { .. } => <Channels as assay_primitives::Claims<_, _>>::freeze(claim),
        }
    }

    fn thaw(claim: &Claim) {
        match claim {
            Claim::Job(_) => <Jobs as assay_primitives::Claims<_, _>>::thaw(claim),
            Claim::Channel { .. } => <Channels as assay_primitives::Claims<_, _>>::thaw(claim),
        }
    }

    fn void(claim: &Claim, missing: Balance) -> Result<Balance, sp_runtime::DispatchError> {
        match claim {
            Claim::Job(_) => <Jobs as assay_primitives::Claims<_, _>>::void(claim, missing),
            Claim::Channel { .. } => {
                <Channels as assay_primitives::Claims<_, _>>::void(claim, missing)
            }
        }
    }

    fn note_refund(claim: &Claim, refund: Balance) {
        match claim {
            Claim::Job(_) => <Jobs as assay_primitives::Claims<_, _>>::note_refund(claim, refund),
            Claim::Channel { .. } => {
                <Channels as assay_primitives::Claims<_, _>>::note_refund(claim, refund)
            }
        }
    }
}

impl crate::Config for Test {
    type Currency = Balances;
    type RuntimeHoldReason = RuntimeHoldReason;
    type Catalogue = Models;
    type Claims = AllClaims;
    type Stake = Providers;
    type Signature = TestSignature;
    type Signer = UintAuthorityId;
    type MaturingBlocks = MaturingBlocks;
    type AdminOrigin = EnsureRoot<u64>;
    type MaxAgendaWeight = MaxAgendaWeight;
    type WeightInfo = ();
    #[cfg(feature = "runtime-benchmarks")]
    type BenchmarkHelper = Helper;
}

pub fn parameters() -> Parameters<u64> {
    Parameters {
        challenge_blocks: 30,
        commitment_blocks: 8,
        reply_blocks: 5,
        leaves_per_block: 1_000,
        commitment_deposit: 1_000,
        base_bond: 50_000,
        bond_per_block: 100,
        compensation: 20_000,
        live_disputes: 2,
    }
}

pub struct TestExt {
    balances: Vec<(u64, Balance)>,
    parts: ModelParts,
}

impl TestExt {
    /// Paula's model, served by Petra and Pius; others with money; a treasury and a royalty account
    /// that exist.
    pub fn new() -> Self {
        let rich = [PAULA, UMA, CARL, CORA, SAM, PETRA, PIUS];
        let mut balances: Vec<_> = rich.into_iter().map(|who| (who, ENDOWMENT)).collect();
        balances.push((TREASURY, EXISTENTIAL_DEPOSIT));
        balances.push((Models::account_id(), EXISTENTIAL_DEPOSIT));
        Self {
            balances,
            parts: parts(),
        }
    }

    /// Petra and Pius serve this model.
    pub fn model(mut self, parts: ModelParts) -> Self {
        self.parts = parts;
        self
    }

    pub fn build(self) -> sp_io::TestExternalities {
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
                    maturing_blocks: 40,
                    ..Default::default()
                },
            },
            jobs: pallet_jobs::GenesisConfig {
                parameters: pallet_jobs::Parameters {
                    challenge_blocks: 30,
                    retention_blocks: 60,
                    ..Default::default()
                },
            },
            channels: pallet_channels::GenesisConfig {
                parameters: pallet_channels::Parameters {
                    close_window_blocks: 10,
                    retention_blocks: 20,
                    min_deposit: 1_000,
                },
            },
            disputes: pallet_disputes::GenesisConfig {
                parameters: parameters(),
            },
            ..Default::default()
        };
        config.build_storage().unwrap().into()
    }

    /// Run a story from block 1 on, then check that the books are in order.
    pub fn execute_with<R>(self, story: impl FnOnce() -> R) -> R {
        MaxAgendaWeight::set(EnoughWeight::get());
        BlocksAreFull::set(false);
        let parts = self.parts.clone();
        self.build().execute_with(|| {
            run_to(1);
            list_model(parts);
            for stash in [PETRA, PIUS] {
                register_provider(stash);
            }
            // Offers are drawn from the next block on.
            run_to(2);
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
        list_model(parts());
        listing()
    }
}

#[cfg(feature = "runtime-benchmarks")]
impl pallet_jobs::BenchmarkHelper<Test> for Helper {
    fn listing() -> ListingId {
        list_model(parts());
        listing()
    }

    fn provider(_: u32, _: ListingId, _: Price) -> (u64, u64) {
        register_provider(PETRA);
        (PETRA, operator(PETRA))
    }

    fn owe_reward(stash: &u64) {
        Providers::owe_reward(stash);
    }

    fn sign(operator: &u64, payload: &[u8]) -> TestSignature {
        TestSignature(*operator, payload.to_vec())
    }
}

#[cfg(feature = "runtime-benchmarks")]
impl pallet_channels::BenchmarkHelper<u64> for Helper {
    fn provider(_: u32) -> (ListingId, u64, u64) {
        list_model(parts());
        register_provider(PETRA);
        (listing(), PETRA, operator(PETRA))
    }

    fn owe_reward(stash: &u64) {
        Providers::owe_reward(stash);
    }

    fn voucher_key() -> VoucherKey {
        VoucherKey::Sr25519(voucher_pair().public())
    }

    fn sign(payload: &[u8]) -> VoucherSignature {
        user_signature(payload)
    }
}

#[cfg(feature = "runtime-benchmarks")]
impl crate::BenchmarkHelper<Test> for Helper {
    fn channel(parts: ModelParts) -> crate::BenchmarkChannel<u64> {
        list_model(parts);
        register_provider(PETRA);
        crate::BenchmarkChannel {
            id: channel(10_000),
            listing: listing(),
            stash: PETRA,
            operator: operator(PETRA),
        }
    }

    fn operator_signature(operator: &u64, payload: &[u8]) -> TestSignature {
        TestSignature(*operator, payload.to_vec())
    }

    fn user_signature(payload: &[u8]) -> VoucherSignature {
        user_signature(payload)
    }
}

pub fn check_books() {
    Models::do_try_state().unwrap();
    Providers::do_try_state().unwrap();
    Jobs::do_try_state().unwrap();
    Channels::do_try_state().unwrap();
    Disputes::do_try_state().unwrap();
    // A limit that was raised is reached when disputes end.
    let limit = crate::Params::<Test>::get().live_disputes;
    if limit <= parameters().live_disputes {
        for docket in crate::Dockets::<Test>::iter_values() {
            let is_full = docket.live.len() >= limit as usize;
            assert!(docket.waiting.is_empty() || is_full, "{docket:?}");
        }
    }
    let sum: Balance = frame_system::Account::<Test>::iter_values()
        .map(|account| account.data.free + account.data.reserved)
        .sum();
    assert_eq!(
        sum,
        Balances::total_issuance(),
        "money came from nowhere or went there"
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
            if BlocksAreFull::get() {
                fill(Weight::zero(), block_weights().max_block);
            }
            AllPalletsWithSystem::on_idle(now, Weight::MAX);
            AllPalletsWithSystem::on_finalize(now);
        }
        System::initialize(&(now + 1), &hash_of(now), &Default::default());
        AllPalletsWithSystem::on_initialize(now + 1);
    }
}

/// Let transactions of these classes have taken so much of the block.
pub fn fill(normal: Weight, operational: Weight) {
    let mut used = ConsumedWeight::default();
    used.set(normal, DispatchClass::Normal);
    used.set(operational, DispatchClass::Operational);
    frame_system::BlockWeight::<Test>::put(used);
}

pub fn block_weights() -> frame_system::limits::BlockWeights {
    <() as Get<frame_system::limits::BlockWeights>>::get()
}

pub fn pass(blocks: u64) {
    run_to(System::block_number() + blocks);
}

pub fn parts() -> ModelParts {
    ModelParts {
        spec: ModelSpec {
            architecture: Architecture::Llama,
            profile: Profile::Exact {
                fraction_bits: 14,
                eps40: 10_995_116,
                rotary: Rotary {
                    base: 10_000_000_000,
                    scaling: None,
                },
            },
            layers: 2,
            hidden: 64,
            intermediate: 96,
            heads: 4,
            kv_heads: 2,
            head_dim: 16,
            vocabulary: VOCABULARY,
            context: CONTEXT,
            stop_tokens: vec![1, STOP].try_into().unwrap(),
            tied_embeddings: true,
        },
        tokenizer: H256::repeat_byte(1),
        template: H256::repeat_byte(2),
        tables: H256::repeat_byte(3),
        weights_root: H256::repeat_byte(4),
    }
}

const ROYALTY: Permill = Permill::from_percent(2);

/// The one listing.
pub fn listing() -> ListingId {
    pallet_models::Listings::<Test>::iter_keys().next().unwrap()
}

pub fn list_model(parts: ModelParts) {
    let ModelParts {
        spec,
        tokenizer,
        template,
        tables,
        weights_root,
    } = parts;
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
    let by = || RuntimeOrigin::signed(stash);
    let info = pallet_providers::ProviderInfo {
        endpoint: b"https://provider.example".to_vec().try_into().unwrap(),
        tls_key_hash: H256::zero(),
        x25519_key: [0; 32],
    };
    Providers::register(by(), operator(stash), info, BOND).unwrap();
    Providers::set_offer(by(), listing(), PRICE.input, PRICE.output, CONTEXT, 5).unwrap();
}
