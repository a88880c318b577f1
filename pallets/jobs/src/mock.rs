use crate as pallet_jobs;
use crate::{
    AssignmentRecordOf, HoldReason, JobRecordOf, JobState, Jobs as JobRecords, Parameters,
};
use assay_primitives::{
    token_root, Anchor, Architecture, Balance, Claim, ClaimFacts, Claims, Conviction, Finish,
    JobId, ListingId, ModelParts, ModelSpec, Price, Profile, Receipt, Request, Sampling, Stake,
    TokenId,
};
use frame_support::{
    derive_impl, parameter_types,
    traits::{
        fungible::{HoldConsideration, Inspect, InspectHold},
        ConstU128, ConstU32, Get, LinearStoragePrice, OnFinalize, OnIdle, OnInitialize,
    },
    weights::{constants::RocksDbWeight, Weight},
    PalletId,
};
use frame_system::EnsureRoot;
use sp_core::H256;
use sp_runtime::{
    testing::{TestSignature, UintAuthorityId},
    traits::{BlakeTwo256, Hash},
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
pub const PAVEL: u64 = 30;
pub const TREASURY: u64 = 90;

pub const PRICE: Price = Price {
    input: 11,
    output: 103,
};
pub const PROMPT: [TokenId; 8] = [5, 6, 7, 8, 9, 10, 11, 12];
pub const OUTPUT_LIMIT: u32 = 16;
pub const MAX_FEE: Balance = 10_000;
/// Eight tokens in and sixteen out, at [`PRICE`].
pub const WORST_CASE: Balance = 1_736;
/// The protocol fee of one job that raises its provider's score by a full step.
pub const FULL_STEP_FEE: Balance = 60;
/// A token that ends an answer.
pub const STOP: TokenId = 3;

frame_support::construct_runtime!(
    pub enum Test {
        System: frame_system,
        Balances: pallet_balances,
        Models: pallet_models,
        Providers: pallet_providers,
        Jobs: pallet_jobs,
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
    pub const JobDeposit: RuntimeHoldReason = RuntimeHoldReason::Jobs(HoldReason::JobDeposit);
    pub const TreasuryAccount: u64 = TREASURY;
    /// How much the chain may do by itself at the start of a block.
    pub static MaxAgendaWeight: Weight = Weight::from_parts(1_000_000_000_000, u64::MAX);
    /// Whether block authors give randomness.
    pub static HasRandomness: bool = true;
    /// Blocks in which the referee was paused, and whether it is.
    pub static StoodStill: u64 = 0;
    pub static IsPaused: bool = false;
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
    type MaxOffersPerListing = ConstU32<8>;
    type WeightInfo = ();
    #[cfg(feature = "runtime-benchmarks")]
    type BenchmarkHelper = Helper;
}

/// What the author of the block before gives to this one: another number for each.
pub fn randomness_of(block: u64) -> H256 {
    BlakeTwo256::hash(&block.to_le_bytes())
}

pub struct ParentRandomness;

impl Get<Option<H256>> for ParentRandomness {
    fn get() -> Option<H256> {
        HasRandomness::get().then(|| randomness_of(System::block_number()))
    }
}

impl crate::Config for Test {
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
    type MaxAgendaWeight = MaxAgendaWeight;
    type WeightInfo = ();
    #[cfg(feature = "runtime-benchmarks")]
    type BenchmarkHelper = Helper;
}

pub fn parameters() -> Parameters<u64> {
    Parameters {
        challenge_blocks: 10,
        retention_blocks: 20,
        base_deadline_blocks: 5,
        tokens_per_deadline_block: 32,
        max_draws: 3,
        protocol_fee: Permill::from_percent(5),
        burned_share: Permill::from_percent(50),
        missed_penalty: Permill::from_percent(20),
        min_missed_penalty: 500,
    }
}

pub struct TestExt {
    balances: Vec<(u64, Balance)>,
    providers: Vec<u64>,
    parameters: Parameters<u64>,
}

impl TestExt {
    /// Paula's model, served by Petra; users with money; a treasury and a royalty account that
    /// exist.
    pub fn new() -> Self {
        let rich = [PAULA, UMA, URS, PETRA, PIUS, PAVEL, SAM];
        let mut balances: Vec<_> = rich.into_iter().map(|who| (who, ENDOWMENT)).collect();
        balances.push((TREASURY, EXISTENTIAL_DEPOSIT));
        balances.push((Models::account_id(), EXISTENTIAL_DEPOSIT));
        Self {
            balances,
            providers: vec![PETRA],
            parameters: parameters(),
        }
    }

    pub fn providers(mut self, providers: &[u64]) -> Self {
        self.providers = providers.to_vec();
        self
    }

    pub fn endow(mut self, who: u64, amount: Balance) -> Self {
        self.balances.retain(|(account, _)| *account != who);
        if amount > 0 {
            self.balances.push((who, amount));
        }
        self
    }

    pub fn parameters(mut self, change: impl FnOnce(&mut Parameters<u64>)) -> Self {
        change(&mut self.parameters);
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
                    maturing_blocks: 40,
                    compensation_burned: Permill::from_percent(50),
                    full_step_fee: FULL_STEP_FEE,
                    ..Default::default()
                },
            },
            jobs: pallet_jobs::GenesisConfig {
                parameters: self.parameters,
            },
            ..Default::default()
        };
        config.build_storage().unwrap().into()
    }

    /// Run a story from block 1 on, then check that the books are in order.
    pub fn execute_with<R>(self, story: impl FnOnce() -> R) -> R {
        MaxAgendaWeight::set(Weight::from_parts(1_000_000_000_000, u64::MAX));
        HasRandomness::set(true);
        StoodStill::set(0);
        IsPaused::set(false);
        let providers = self.providers.clone();
        self.build().execute_with(|| {
            run_to(1);
            list_model();
            for stash in providers {
                register_provider(stash, BOND);
                set_offer(stash, PRICE, 5);
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
impl crate::BenchmarkHelper<Test> for Helper {
    fn listing() -> ListingId {
        list_model();
        listing()
    }

    fn provider(index: u32, listing: ListingId, price: Price) -> (u64, u64) {
        use frame_support::traits::fungible::Mutate;

        let stash = 1_000 + 10 * u64::from(index);
        let bond = 1_000_000_000_000;
        Balances::set_balance(&stash, 2 * bond);
        register_provider(stash, bond);
        let by = RuntimeOrigin::signed(stash);
        Providers::set_offer(by, listing, price.input, price.output, 96, 1).unwrap();
        (stash, operator(stash))
    }

    fn owe_reward(stash: &u64) {
        Providers::owe_reward(stash);
    }

    fn sign(operator: &u64, payload: &[u8]) -> TestSignature {
        TestSignature(*operator, payload.to_vec())
    }
}

pub fn check_books() {
    Models::do_try_state().unwrap();
    Providers::do_try_state().unwrap();
    Jobs::do_try_state().unwrap();
    let sum: Balance = frame_system::Account::<Test>::iter_values()
        .map(|account| account.data.free + account.data.reserved)
        .sum();
    assert_eq!(
        sum,
        Balances::total_issuance(),
        "money came from nowhere or went there"
    );
    for (stash, provider) in pallet_providers::Providers::<Test>::iter() {
        let open: Vec<Balance> = JobRecords::<Test>::iter_values()
            .filter_map(|job| match job.state {
                JobState::Assigned(assignment) => {
                    Some((assignment.provider, assignment.worst_case_fee))
                }
                JobState::Delivered(assignment, delivery) => {
                    Some((assignment.provider, delivery.fee))
                }
                _ => None,
            })
            .filter_map(|(provider, owed)| (provider == stash).then_some(owed))
            .collect();
        assert_eq!(
            provider.exposure,
            open.iter().sum::<Balance>(),
            "exposure of {stash}"
        );
        assert_eq!(
            provider.open_jobs as usize,
            open.len(),
            "open jobs of {stash}"
        );
    }
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
        if IsPaused::get() {
            StoodStill::mutate(|blocks| *blocks += 1);
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
            stop_tokens: vec![1, STOP].try_into().unwrap(),
            tied_embeddings: true,
        },
        tokenizer: H256::repeat_byte(1),
        template: H256::repeat_byte(2),
        tables: H256::zero(),
        weights_root: H256::repeat_byte(3),
    }
}

const ROYALTY: Permill = Permill::from_percent(2);

pub fn listing() -> ListingId {
    parts().listing_id(&PAULA, ROYALTY)
}

fn list_model() {
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

pub fn register_provider(stash: u64, bond: Balance) {
    let info = pallet_providers::ProviderInfo {
        endpoint: Default::default(),
        tls_key_hash: H256::zero(),
        x25519_key: [0; 32],
    };
    Providers::register(RuntimeOrigin::signed(stash), operator(stash), info, bond).unwrap();
}

/// Serve the model at this price, up to 48 tokens of context.
pub fn set_offer(stash: u64, price: Price, capacity: u32) {
    let by = RuntimeOrigin::signed(stash);
    Providers::set_offer(by, listing(), price.input, price.output, 48, capacity).unwrap();
}

/// What a user asks; change what the story is about.
pub struct Ask {
    pub user: u64,
    pub listing: ListingId,
    pub prompt: Vec<TokenId>,
    pub sampling: Sampling,
    pub output_limit: u32,
    pub min_output: u32,
    pub max_fee: Balance,
    pub provider: Option<u64>,
}

impl Default for Ask {
    fn default() -> Self {
        Self {
            user: UMA,
            listing: listing(),
            prompt: PROMPT.to_vec(),
            sampling: Sampling::GREEDY,
            output_limit: OUTPUT_LIMIT,
            min_output: 1,
            max_fee: MAX_FEE,
            provider: None,
        }
    }
}

impl Ask {
    /// The weight that was charged, or the error.
    pub fn submit(self) -> Result<Weight, sp_runtime::DispatchError> {
        let weight = <() as crate::WeightInfo>::submit(self.prompt.len() as u32);
        let done = Jobs::submit(
            RuntimeOrigin::signed(self.user),
            self.listing,
            self.prompt.try_into().unwrap(),
            self.sampling,
            self.output_limit,
            self.min_output,
            self.max_fee,
            self.provider,
        );
        match done {
            Ok(info) => Ok(info.actual_weight.unwrap()),
            Err(failed) => {
                assert_eq!(failed.post_info.actual_weight, Some(weight));
                Err(failed.error)
            }
        }
    }

    pub fn accepted(self) -> JobId {
        let id = crate::NextJobId::<Test>::get();
        self.submit().unwrap();
        id
    }
}

pub fn job(id: JobId) -> JobRecordOf<Test> {
    JobRecords::<Test>::get(id).unwrap()
}

pub fn assignment(id: JobId) -> AssignmentRecordOf<Test> {
    match job(id).state {
        JobState::Assigned(assignment) => assignment,
        state => panic!("job {id} is not assigned: {state:?}"),
    }
}

/// Submit the usual job and go on to its assignment.
pub fn assigned() -> JobId {
    let id = Ask::default().accepted();
    run_to(System::block_number() + 2);
    assignment(id);
    id
}

/// An output of this many tokens, the last of which stops.
pub fn stopped(length: usize) -> Vec<TokenId> {
    let mut output = vec![40; length - 1];
    output.push(STOP);
    output
}

/// An answer as an honest operator gives it; change what the story is about.
pub struct Answer {
    pub id: JobId,
    pub receipt: Receipt,
    pub signer: u64,
    pub output: Vec<TokenId>,
}

impl Answer {
    /// Anchored at the block before this one.
    pub fn to(id: JobId, output: Vec<TokenId>, finish: Finish) -> Self {
        let assignment = assignment(id);
        let anchor = System::block_number() - 1;
        let output_len = output.len() as u32;
        let receipt = Receipt {
            header: job(id).header(hash_of(0), id, &assignment).hash(),
            anchor: Anchor {
                number: anchor as u32,
                hash: hash_of(anchor),
            },
            output_len,
            output_root: token_root(&output),
            finish,
            fee: assignment
                .price
                .fee(job(id).prompt_len, output_len)
                .unwrap(),
        };
        Self {
            id,
            receipt,
            signer: operator(assignment.provider),
            output,
        }
    }

    pub fn anchored_at(mut self, block: u64) -> Self {
        self.receipt.anchor = Anchor {
            number: block as u32,
            hash: hash_of(block),
        };
        self
    }

    /// Give it, as this operator.
    pub fn deliver(self, by: u64) -> DispatchResult {
        let signature = TestSignature(self.signer, self.receipt.signing_payload());
        let output = self.output.try_into().unwrap();
        Jobs::deliver(
            RuntimeOrigin::signed(by),
            self.id,
            self.receipt,
            signature,
            output,
        )
    }
}

/// Go on to the next block and let the assigned provider answer with this many tokens.
pub fn answer(id: JobId, length: usize) {
    run_to(System::block_number() + 1);
    let by = operator(assignment(id).provider);
    Answer::to(id, stopped(length), Finish::Eos)
        .deliver(by)
        .unwrap();
}

type Facts = ClaimFacts<u64, u64>;

/// What can be disputed of a job.
pub fn facts(id: JobId) -> Option<Facts> {
    <Jobs as Claims<u64, u64>>::facts(&Claim::Job(id))
}

/// The last block at which a dispute over a job may begin.
pub fn window_end(id: JobId) -> u64 {
    match facts(id).unwrap().request {
        Request::Known { window_end, .. } => window_end,
        request => panic!("job {id} has no window: {request:?}"),
    }
}

/// A dispute over a job begins, and one ends.
pub fn freeze(id: JobId) {
    let provider = facts(id).unwrap().provider;
    <Jobs as Claims<u64, u64>>::freeze(&Claim::Job(id)).unwrap();
    <Providers as Stake<u64, u64>>::freeze(&provider).unwrap();
}

pub fn thaw(id: JobId) {
    let provider = match job(id).state {
        JobState::Delivered(assignment, _) | JobState::Slashed { assignment, .. } => {
            assignment.provider
        }
        state => panic!("job {id} is not disputed: {state:?}"),
    };
    <Jobs as Claims<u64, u64>>::thaw(&Claim::Job(id));
    <Providers as Stake<u64, u64>>::thaw(&provider);
}

/// The answer to a job is proven wrong, by Sam. Returns what the escrow gave back.
pub fn convict(id: JobId) -> Balance {
    let Facts {
        user,
        provider,
        paid,
        backing,
        ..
    } = facts(id).unwrap();
    let conviction = Conviction {
        fee: backing,
        user,
        refund: paid,
        challenger: SAM,
    };
    <Providers as Stake<u64, u64>>::slash(&provider, &conviction).unwrap();
    <Jobs as Claims<u64, u64>>::void(&Claim::Job(id), backing).unwrap()
}

pub fn free(who: u64) -> Balance {
    Balances::balance(&who)
}

pub fn held(reason: impl Into<RuntimeHoldReason>, who: u64) -> Balance {
    Balances::balance_on_hold(&reason.into(), &who)
}

pub fn escrow(who: u64) -> Balance {
    held(HoldReason::Escrow, who)
}

pub fn provider(stash: u64) -> pallet_providers::ProviderRecordOf<Test> {
    pallet_providers::Providers::<Test>::get(stash).unwrap()
}
