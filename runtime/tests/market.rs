//! Whatever anybody calls, in whatever order, the whole runtime keeps its books.

use std::sync::atomic::{AtomicU64, Ordering};

use assay_primitives::{
    channel_id, dispute::commitment, token_root, Anchor, Architecture, ChannelId, Finish, JobId,
    ListingId, ModelParts, ModelSpec, Profile, Receipt, Sampling, SignedVoucher, TokenId, Voucher,
    VoucherKey, VoucherSignature,
};
use assay_runtime::{
    genesis_config_presets::get_preset, treasury_account, AccountId, Babe, Balance, Balances,
    Channels, Disputes, Hash, Jobs, Models, Providers, Runtime, RuntimeCall, RuntimeEvent,
    RuntimeGenesisConfig, RuntimeHoldReason, RuntimeOrigin, Signature, System, ASY, MICRO_ASY,
    MILLI_ASY,
};
use codec::{Encode, MaxEncodedLen};
use frame_support::{
    genesis_builder_helper::{build_state, get_preset as get_preset_or_default},
    storage::with_storage_layer,
    traits::{fungible::InspectHold, Hooks},
    weights::Weight,
};
use pallet_jobs::{AssignmentRecordOf, JobRecordOf, JobState};
use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::Value;
use sp_keyring::Sr25519Keyring::{self, Alice, Bob, Charlie, Dave, Eve, Ferdie};
use sp_runtime::{
    traits::{BlakeTwo256, Dispatchable, Hash as _},
    DispatchResult, Permill,
};

/// Unless `PROPTEST_CASES` says otherwise.
const DEFAULT_CASES: u32 = 128;
const ACTORS: [Sr25519Keyring; 6] = [Alice, Bob, Charlie, Dave, Eve, Ferdie];
const ENDOWMENT: Balance = 1_000_000 * ASY;
const BOND: Balance = 1_000 * ASY;
const ROYALTY: Permill = Permill::from_percent(2);
/// A token that ends an answer, and one that does not.
const STOP: TokenId = 3;
const WORD: TokenId = 40;

fn merge(into: &mut Value, patch: Value) {
    match (into, patch) {
        (Value::Object(into), Value::Object(patch)) => {
            for (key, value) in patch {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, patch) => *into = patch,
    }
}

fn development() -> sp_io::TestExternalities {
    let json = |id| {
        let bytes = get_preset_or_default::<RuntimeGenesisConfig>(&id, get_preset).unwrap();
        serde_json::from_slice::<Value>(&bytes).unwrap()
    };
    let mut ext = sp_io::TestExternalities::new_empty();
    ext.execute_with(|| {
        let mut genesis = json(None);
        merge(&mut genesis, json(Some("development".into())));
        build_state::<RuntimeGenesisConfig>(genesis.to_string().into_bytes()).unwrap();
    });
    ext
}

fn hash_of(block: u32) -> Hash {
    BlakeTwo256::hash_of(&("block", block))
}

/// The hooks of the market at the start of a block. Those of consensus need a real author; what
/// the market takes from it, the parent's randomness, is given here.
fn begin_block(author_gives_randomness: bool) {
    let block = System::block_number() + 1;
    System::initialize(&block, &hash_of(block - 1), &Default::default());
    System::reset_events();
    let randomness = author_gives_randomness.then(|| hash_of(block).0);
    pallet_babe::AuthorVrfRandomness::<Runtime>::put(randomness);
    assert_eq!(Babe::author_vrf_randomness(), randomness);
    Models::on_initialize(block);
    Providers::on_initialize(block);
    let used = Jobs::on_initialize(block);
    let most = <Runtime as pallet_jobs::Config>::MaxAgendaWeight::get();
    assert!(
        used.all_lte(most),
        "the agenda of block {block} took {used}, more than {most}"
    );
}

fn end_block() {
    let block = System::block_number();
    Models::on_idle(block, Weight::MAX);
    Providers::on_idle(block, Weight::MAX);
    Jobs::on_idle(block, Weight::MAX);
    let used = Channels::on_idle(block, Weight::MAX);
    let most = <Runtime as pallet_channels::Config>::MaxAgendaWeight::get();
    assert!(
        used.all_lte(most),
        "channels took {used} at the end of block {block}"
    );
    let used = Disputes::on_idle(block, Weight::MAX);
    let most = <Runtime as pallet_disputes::Config>::MaxAgendaWeight::get();
    assert!(
        used.all_lte(most),
        "disputes took {used} at the end of block {block}"
    );
    Models::on_finalize(block);
    Providers::on_finalize(block);
    Jobs::on_finalize(block);
    Channels::on_finalize(block);
    Disputes::on_finalize(block);
}

/// What a block did to the money as a whole.
#[derive(Default)]
struct Effect {
    /// Jobs.
    settled: u64,
    /// Vouchers.
    vouchers: u64,
    burned: Balance,
}

fn effect_of_block() -> Effect {
    let mut effect = Effect::default();
    for record in System::events() {
        match record.event {
            RuntimeEvent::Jobs(pallet_jobs::Event::Settled { settlement, .. }) => {
                effect.settled += 1;
                effect.burned += settlement.burned;
            }
            RuntimeEvent::Channels(pallet_channels::Event::Settled { .. }) => {
                effect.vouchers += 1;
            }
            RuntimeEvent::Channels(pallet_channels::Event::DuesPaid { dues, .. }) => {
                effect.burned += dues.burned;
            }
            RuntimeEvent::Providers(pallet_providers::Event::Compensated { burned, .. }) => {
                effect.burned += burned;
            }
            RuntimeEvent::Disputes(pallet_disputes::Event::Convicted { slashed, .. }) => {
                effect.burned += slashed.burned;
            }
            RuntimeEvent::Disputes(pallet_disputes::Event::Ended { burned, .. }) => {
                effect.burned += burned;
            }
            _ => {}
        }
    }
    effect
}

fn check_books(issuance_before: Balance, effect: &Effect) {
    let issuance = Balances::total_issuance();
    let mut owned = 0;
    for (who, account) in frame_system::Account::<Runtime>::iter() {
        owned += account.data.free + account.data.reserved;
        let held: Balance = pallet_balances::Holds::<Runtime>::get(&who)
            .iter()
            .map(|hold| hold.amount)
            .sum();
        assert!(
            account.data.reserved >= held,
            "{who} has {held} on hold and less reserved"
        );
    }
    assert_eq!(
        owned, issuance,
        "what the accounts own is not what was issued"
    );
    assert_eq!(
        issuance_before - issuance,
        effect.burned,
        "only settlements, compensations and disputes destroy money"
    );
    Models::do_try_state().unwrap();
    Providers::do_try_state().unwrap();
    Jobs::do_try_state().unwrap();
    Channels::do_try_state().unwrap();
    Disputes::do_try_state().unwrap();
}

/// One block with these transactions, and its checks.
fn block(author_gives_randomness: bool, transactions: impl FnOnce()) -> Effect {
    let issuance = Balances::total_issuance();
    begin_block(author_gives_randomness);
    transactions();
    end_block();
    let effect = effect_of_block();
    check_books(issuance, &effect);
    effect
}

fn run_to(number: u32) {
    while System::block_number() < number {
        block(true, || {});
    }
}

fn dispatch(who: &AccountId, call: RuntimeCall) -> DispatchResult {
    with_storage_layer(|| {
        call.dispatch(RuntimeOrigin::signed(who.clone()))
            .map(|_| ())
            .map_err(|failed| failed.error)
    })
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
            vocabulary: 1_024,
            context: 96,
            stop_tokens: vec![1, STOP].try_into().unwrap(),
            tied_embeddings: true,
        },
        tokenizer: Hash::repeat_byte(1),
        template: Hash::repeat_byte(2),
        tables: Hash::zero(),
        weights_root: Hash::repeat_byte(3),
    }
}

fn listing_of(publisher: Sr25519Keyring) -> ListingId {
    parts().listing_id(&publisher.to_account_id(), ROYALTY)
}

fn list_model() -> RuntimeCall {
    let ModelParts {
        spec,
        tokenizer,
        template,
        tables,
        weights_root,
    } = parts();
    RuntimeCall::Models(pallet_models::Call::register {
        spec,
        tokenizer,
        template,
        tables,
        weights_root,
        royalty: ROYALTY,
        uri: Default::default(),
    })
}

fn register(operator: Sr25519Keyring, bond: Balance) -> RuntimeCall {
    let info = pallet_providers::ProviderInfo {
        endpoint: b"https://provider.example".to_vec().try_into().unwrap(),
        tls_key_hash: Hash::zero(),
        x25519_key: [0; 32],
    };
    let operator = operator.to_account_id();
    RuntimeCall::Providers(pallet_providers::Call::register {
        operator,
        info,
        bond,
    })
}

/// Up to 48 tokens of context, at these prices in thousandths of an ASY.
fn set_offer(listing: ListingId, input: u32, output: u32, capacity: u32) -> RuntimeCall {
    RuntimeCall::Providers(pallet_providers::Call::set_offer {
        listing,
        input_price: Balance::from(input) * MILLI_ASY,
        output_price: Balance::from(output) * MILLI_ASY,
        context: 48,
        capacity,
    })
}

fn submit(
    listing: ListingId,
    prompt_len: usize,
    max_output_tokens: u32,
    min_output_tokens: u32,
    max_fee: Balance,
    provider: Option<Sr25519Keyring>,
) -> RuntimeCall {
    RuntimeCall::Jobs(pallet_jobs::Call::submit {
        listing,
        prompt: vec![WORD; prompt_len].try_into().unwrap(),
        sampling: Sampling::GREEDY,
        max_output_tokens,
        min_output_tokens,
        max_fee,
        provider: provider.map(|key| key.to_account_id()),
    })
}

fn job(id: JobId) -> JobRecordOf<Runtime> {
    pallet_jobs::Jobs::<Runtime>::get(id).unwrap()
}

/// How a dishonest or broken operator's answer differs from an honest one's.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Flaw {
    None,
    Fee,
    Root,
    Anchor,
    Signature,
    Sender,
}

/// The operator that speaks for the job's provider, and its signed answer of up to `length` tokens.
fn answer(
    id: JobId,
    job: &JobRecordOf<Runtime>,
    assignment: &AssignmentRecordOf<Runtime>,
    length: u32,
    flaw: Flaw,
) -> (AccountId, RuntimeCall) {
    let length = length.clamp(1, assignment.token_limit);
    let mut output = vec![WORD; length as usize];
    *output.last_mut().unwrap() = STOP;
    let now = System::block_number();
    let mut receipt = Receipt {
        header: job.header(System::block_hash(0), id, assignment).hash(),
        anchor: Anchor {
            number: now - 1,
            hash: System::block_hash(now - 1),
        },
        output_len: length,
        output_root: token_root(&output),
        finish: Finish::Eos,
        fee: assignment.price.fee(job.prompt_len, length).unwrap(),
    };
    match flaw {
        Flaw::Fee => receipt.fee += 1,
        Flaw::Root => receipt.output_root = Hash::zero(),
        Flaw::Anchor => receipt.anchor.hash = Hash::zero(),
        Flaw::None | Flaw::Signature | Flaw::Sender => {}
    }
    let operator = Providers::provider(assignment.provider.clone())
        .unwrap()
        .operator;
    let payload = receipt.signing_payload();
    let signer = match flaw {
        Flaw::Signature => Sr25519Keyring::One,
        _ => Sr25519Keyring::from_account_id(&operator).unwrap(),
    };
    let sender = match flaw {
        Flaw::Sender => Sr25519Keyring::One.to_account_id(),
        _ => operator,
    };
    let call = RuntimeCall::Jobs(pallet_jobs::Call::deliver {
        job: id,
        receipt,
        signature: Signature::Sr25519(signer.sign(&payload)),
        output: output.try_into().unwrap(),
    });
    (sender, call)
}

fn answer_assigned(id: JobId, length: u32) -> (AccountId, RuntimeCall) {
    let record = job(id);
    let JobState::Assigned(assignment) = record.state.clone() else {
        panic!("job {id} is not assigned: {:?}", record.state)
    };
    answer(id, &record, &assignment, length, Flaw::None)
}

/// A user's voucher key is that of its account.
fn open_channel(provider: Sr25519Keyring, user: Sr25519Keyring, deposit: Balance) -> RuntimeCall {
    RuntimeCall::Channels(pallet_channels::Call::open {
        provider: provider.to_account_id(),
        listing: listing_of(Charlie),
        voucher_key: VoucherKey::Sr25519(user.public()),
        deposit,
    })
}

/// A channel among the last that were opened.
fn recent_channel(ago: u64) -> ChannelId {
    let number = pallet_channels::NextChannel::<Runtime>::get().saturating_sub(1 + ago);
    channel_id(&System::block_hash(0), number)
}

fn voucher(channel: ChannelId, cumulative: Balance, signer: Sr25519Keyring) -> SignedVoucher {
    let voucher = Voucher {
        genesis: System::block_hash(0),
        channel,
        cumulative,
    };
    let signature = signer.sign(&voucher.signing_payload());
    SignedVoucher {
        channel,
        cumulative,
        signature: VoucherSignature::Sr25519(signature),
    }
}

/// What somebody claims of a channel, in parts per thousand of its deposit.
#[derive(Clone, Copy, Debug)]
struct Claim {
    ago: u64,
    amount: u16,
    ahead: u16,
    /// By another than the user's key.
    forged: bool,
}

impl Claim {
    fn voucher(self) -> (SignedVoucher, Balance) {
        let id = recent_channel(self.ago);
        let record = Channels::channel(id);
        let signer = record
            .as_ref()
            .filter(|_| !self.forged)
            .and_then(|channel| Sr25519Keyring::from_account_id(&channel.user))
            .unwrap_or(Sr25519Keyring::One);
        let deposit = record.map(|channel| channel.deposit).unwrap_or(ASY);
        let amount = deposit / 1_000 * Balance::from(self.amount);
        let cumulative = amount + deposit / 1_000 * Balance::from(self.ahead);
        (voucher(id, cumulative, signer), amount)
    }
}

/// Something that an account does.
#[derive(Clone, Debug)]
enum Act {
    Transfer {
        to: Sr25519Keyring,
        amount: Balance,
    },
    TransferAll {
        to: Sr25519Keyring,
    },
    Batch {
        all_or_nothing: bool,
        acts: Vec<Act>,
    },
    List,
    Retire(Sr25519Keyring),
    Claim(Sr25519Keyring),
    Drop(Sr25519Keyring),
    Freeze(Sr25519Keyring),
    Register {
        operator: Sr25519Keyring,
        bond: Balance,
    },
    Rotate(Sr25519Keyring),
    BondExtra(Balance),
    Unbond(Balance),
    Withdraw,
    Offer {
        of: Sr25519Keyring,
        input: u32,
        output: u32,
        capacity: u32,
    },
    RemoveOffer(Sr25519Keyring),
    Evict {
        of: Sr25519Keyring,
        provider: Sr25519Keyring,
    },
    Online(bool),
    Deregister,
    Release {
        provider: Sr25519Keyring,
    },
    Submit {
        of: Sr25519Keyring,
        prompt: usize,
        output: u32,
        least: u32,
        fee: Balance,
        named: Option<Sr25519Keyring>,
    },
    Cancel(u64),
    Decline(u64),
    Deliver {
        pick: usize,
        length: u32,
        flaw: Flaw,
    },
    Finalize(u64),
    OpenChannel {
        provider: Sr25519Keyring,
        deposit: Balance,
    },
    TopUp {
        ago: u64,
        amount: Balance,
    },
    Settle(Claim),
    SettleMany(Vec<Claim>),
    Close {
        ago: u64,
        last: Option<Claim>,
    },
    RequestClose(u64),
    PayDues(u64),
    FinalizeChannel(u64),
}

/// A job among the last ten.
fn recent(ago: u64) -> JobId {
    pallet_jobs::NextJobId::<Runtime>::get().saturating_sub(1 + ago)
}

impl Act {
    /// The call and who makes it; `None` if there is nothing to do it to.
    fn call(&self, who: &AccountId) -> Option<(AccountId, RuntimeCall)> {
        type Money = pallet_balances::Call<Runtime>;
        type Model = pallet_models::Call<Runtime>;
        type Provider = pallet_providers::Call<Runtime>;
        type Job = pallet_jobs::Call<Runtime>;
        type Channel = pallet_channels::Call<Runtime>;
        type Utility = pallet_utility::Call<Runtime>;
        type Sudo = pallet_sudo::Call<Runtime>;

        let address = |key: &Sr25519Keyring| key.to_account_id().into();
        let call = match self {
            Self::Transfer { to, amount } => Money::transfer_allow_death {
                dest: address(to),
                value: *amount,
            }
            .into(),
            Self::TransferAll { to } => Money::transfer_all {
                dest: address(to),
                keep_alive: false,
            }
            .into(),
            Self::Batch {
                all_or_nothing,
                acts,
            } => {
                let calls = acts
                    .iter()
                    .filter_map(|act| Some(act.call(who)?.1))
                    .collect();
                match all_or_nothing {
                    true => Utility::batch_all { calls }.into(),
                    false => Utility::force_batch { calls }.into(),
                }
            }
            Self::List => list_model(),
            Self::Retire(of) => Model::retire {
                listing: listing_of(*of),
            }
            .into(),
            Self::Claim(of) => Model::claim_royalties {
                listing: listing_of(*of),
            }
            .into(),
            Self::Drop(of) => Model::drop_retired {
                listing: listing_of(*of),
            }
            .into(),
            Self::Freeze(of) => {
                let call = Model::freeze {
                    listing: listing_of(*of),
                }
                .into();
                Sudo::sudo {
                    call: Box::new(call),
                }
                .into()
            }
            Self::Register { operator, bond } => register(*operator, *bond),
            Self::Rotate(to) => Provider::rotate_operator {
                operator: to.to_account_id(),
            }
            .into(),
            Self::BondExtra(amount) => Provider::bond_extra { amount: *amount }.into(),
            Self::Unbond(amount) => Provider::unbond { amount: *amount }.into(),
            Self::Withdraw => Provider::withdraw_unbonded {}.into(),
            Self::Offer {
                of,
                input,
                output,
                capacity,
            } => set_offer(listing_of(*of), *input, *output, *capacity),
            Self::RemoveOffer(of) => Provider::remove_offer {
                listing: listing_of(*of),
            }
            .into(),
            Self::Evict { of, provider } => Provider::evict_offer {
                listing: listing_of(*of),
                provider: provider.to_account_id(),
            }
            .into(),
            Self::Online(online) => Provider::set_online { online: *online }.into(),
            Self::Deregister => Provider::deregister {}.into(),
            Self::Release { provider } => Provider::release_earnings {
                provider: provider.to_account_id(),
            }
            .into(),
            Self::Submit {
                of,
                prompt,
                output,
                least,
                fee,
                named,
            } => submit(listing_of(*of), *prompt, *output, *least, *fee, *named),
            Self::Cancel(ago) => Job::cancel { job: recent(*ago) }.into(),
            Self::Decline(ago) => Job::decline { job: recent(*ago) }.into(),
            Self::Deliver { pick, length, flaw } => {
                let mut assigned: Vec<_> = pallet_jobs::Jobs::<Runtime>::iter()
                    .filter_map(|(id, job)| match job.state.clone() {
                        JobState::Assigned(assignment) => Some((id, job, assignment)),
                        _ => None,
                    })
                    .collect();
                assigned.sort_by_key(|(id, ..)| *id);
                let (id, job, assignment) = assigned.get(pick % assigned.len().max(1))?;
                return Some(answer(*id, job, assignment, *length, *flaw));
            }
            Self::Finalize(ago) => Job::finalize { job: recent(*ago) }.into(),
            Self::OpenChannel { provider, deposit } => {
                open_channel(*provider, Sr25519Keyring::from_account_id(who)?, *deposit)
            }
            Self::TopUp { ago, amount } => Channel::top_up {
                channel: recent_channel(*ago),
                amount: *amount,
            }
            .into(),
            Self::Settle(claim) => {
                let (voucher, amount) = claim.voucher();
                Channel::settle { voucher, amount }.into()
            }
            Self::SettleMany(claims) => {
                let vouchers: Vec<_> = claims.iter().map(|claim| claim.voucher()).collect();
                let vouchers = vouchers.try_into().unwrap();
                Channel::settle_many { vouchers }.into()
            }
            Self::Close { ago, last } => Channel::close {
                channel: recent_channel(*ago),
                last: last.map(|last| Claim { ago: *ago, ..last }.voucher()),
            }
            .into(),
            Self::RequestClose(ago) => Channel::request_close {
                channel: recent_channel(*ago),
            }
            .into(),
            Self::PayDues(ago) => Channel::pay_dues {
                channel: recent_channel(*ago),
            }
            .into(),
            Self::FinalizeChannel(ago) => Channel::finalize {
                channel: recent_channel(*ago),
            }
            .into(),
        };
        Some((who.clone(), call))
    }
}

fn actor() -> impl Strategy<Value = Sr25519Keyring> {
    select(ACTORS.to_vec())
}

/// Mostly an account whose model is listed from the start.
fn publisher() -> impl Strategy<Value = Sr25519Keyring> {
    prop_oneof![6 => Just(Charlie), 1 => Just(Dave), 1 => actor()]
}

fn amount() -> impl Strategy<Value = Balance> {
    prop_oneof![
        0..2 * MILLI_ASY,
        (0..200u128).prop_map(|tokens| tokens * ASY),
        Just(BOND),
        0..2 * ENDOWMENT,
    ]
}

fn deliver() -> impl Strategy<Value = Act> {
    let flaw = prop_oneof![
        10 => Just(Flaw::None),
        1 => Just(Flaw::Fee),
        1 => Just(Flaw::Root),
        1 => Just(Flaw::Anchor),
        1 => Just(Flaw::Signature),
        1 => Just(Flaw::Sender),
    ];
    (0..8usize, 1..20u32, flaw).prop_map(|(pick, length, flaw)| Act::Deliver { pick, length, flaw })
}

fn ask() -> impl Strategy<Value = Act> {
    let fee = prop_oneof![8 => Just(ASY), 1 => 0..100 * MILLI_ASY, 1 => amount()];
    let named = prop_oneof![4 => Just(None), 1 => actor().prop_map(Some)];
    let least = prop_oneof![4 => Just(1), 1 => 0..24u32];
    (publisher(), 1..24usize, 1..24u32, least, fee, named).prop_map(
        |(of, prompt, output, least, fee, named)| Act::Submit {
            of,
            prompt,
            output,
            least,
            fee,
            named,
        },
    )
}

fn claim() -> impl Strategy<Value = Claim> {
    let forged = prop::bool::weighted(0.05);
    (0..6u64, 0..1_000u16, 0..100u16, forged).prop_map(|(ago, amount, ahead, forged)| Claim {
        ago,
        amount,
        ahead,
        forged,
    })
}

fn single_act() -> impl Strategy<Value = Act> {
    let offer =
        (publisher(), 0..4u32, 0..8u32, 0..5u32).prop_map(|(of, input, output, capacity)| {
            Act::Offer {
                of,
                input,
                output,
                capacity,
            }
        });
    let money = prop_oneof![
        4 => (actor(), amount()).prop_map(|(to, amount)| Act::Transfer { to, amount }),
        1 => actor().prop_map(|to| Act::TransferAll { to }),
    ];
    let models = prop_oneof![
        2 => Just(Act::List),
        1 => actor().prop_map(Act::Retire),
        4 => publisher().prop_map(Act::Claim),
        2 => publisher().prop_map(Act::Drop),
        1 => actor().prop_map(Act::Freeze),
    ];
    let providers = prop_oneof![
        3 => (actor(), amount()).prop_map(|(operator, bond)| Act::Register { operator, bond }),
        1 => actor().prop_map(Act::Rotate),
        2 => amount().prop_map(Act::BondExtra),
        2 => amount().prop_map(Act::Unbond),
        2 => Just(Act::Withdraw),
        5 => offer,
        1 => publisher().prop_map(Act::RemoveOffer),
        1 => (publisher(), actor()).prop_map(|(of, provider)| Act::Evict { of, provider }),
        3 => prop::bool::weighted(0.8).prop_map(Act::Online),
        1 => Just(Act::Deregister),
        2 => actor().prop_map(|provider| Act::Release { provider }),
    ];
    let jobs = prop_oneof![
        12 => ask(),
        16 => deliver(),
        2 => (0..10u64).prop_map(Act::Cancel),
        2 => (0..10u64).prop_map(Act::Decline),
        3 => (0..10u64).prop_map(Act::Finalize),
    ];
    let deposit = || prop_oneof![3 => (1..20u128).prop_map(|tokens| tokens * ASY), 1 => amount()];
    let provider = prop_oneof![4 => select(vec![Alice, Bob]), 1 => actor()];
    let last = prop_oneof![1 => Just(None), 2 => claim().prop_map(Some)];
    let recently = || 0..6u64;
    let channels = prop_oneof![
        4 => (provider, deposit())
            .prop_map(|(provider, deposit)| Act::OpenChannel { provider, deposit }),
        2 => (recently(), deposit()).prop_map(|(ago, amount)| Act::TopUp { ago, amount }),
        8 => claim().prop_map(Act::Settle),
        2 => vec(claim(), 0..5).prop_map(Act::SettleMany),
        3 => (recently(), last).prop_map(|(ago, last)| Act::Close { ago, last }),
        4 => recently().prop_map(Act::RequestClose),
        1 => recently().prop_map(Act::PayDues),
        1 => recently().prop_map(Act::FinalizeChannel),
    ];
    prop_oneof![1 => money, 2 => models, 4 => providers, 8 => jobs, 6 => channels]
}

fn act() -> impl Strategy<Value = Act> {
    let batch =
        (any::<bool>(), vec(single_act(), 1..4)).prop_map(|(all_or_nothing, acts)| Act::Batch {
            all_or_nothing,
            acts,
        });
    prop_oneof![9 => single_act(), 1 => batch]
}

/// Whether the author gives randomness, and who does what.
type BlockPlan = (bool, Vec<(Sr25519Keyring, Act)>);

fn block_plan() -> impl Strategy<Value = BlockPlan> {
    (prop::bool::weighted(0.95), vec((actor(), act()), 0..8))
}

/// A market that works: two providers of one model.
fn open_market() {
    block(true, || {
        let at_once = |key: Sr25519Keyring, call| dispatch(&key.to_account_id(), call).unwrap();
        at_once(Charlie, list_model());
        for (stash, operator, output) in [(Alice, Sr25519Keyring::Two, 3), (Bob, Eve, 4)] {
            at_once(stash, register(operator, BOND));
            at_once(stash, set_offer(listing_of(Charlie), 1, output, 4));
        }
    });
}

/// How many jobs and vouchers were settled.
fn play(plan: Vec<BlockPlan>) -> [u64; 2] {
    open_market();
    let (mut jobs, mut vouchers) = (0, 0);
    let mut note = |effect: Effect| {
        jobs += effect.settled;
        vouchers += effect.vouchers;
    };
    for (author_gives_randomness, transactions) in plan {
        note(block(author_gives_randomness, || {
            for (who, act) in transactions {
                if let Some((sender, call)) = act.call(&who.to_account_id()) {
                    // Refusals are part of the game; they must leave no trace.
                    let _ = dispatch(&sender, call);
                }
            }
        }));
    }
    // Beyond every deadline, window and release, though not beyond the records' removal.
    for _ in 0..30 {
        note(block(true, || {}));
    }
    [jobs, vouchers]
}

#[test]
fn any_calls_in_any_order_leave_the_books_in_order() {
    let config = ProptestConfig {
        cases: DEFAULT_CASES,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let (jobs, vouchers) = (AtomicU64::new(0), AtomicU64::new(0));
    proptest!(config, |(plan in vec(block_plan(), 20..60))| {
        let settled = development().execute_with(|| play(plan));
        jobs.fetch_add(settled[0], Ordering::Relaxed);
        vouchers.fetch_add(settled[1], Ordering::Relaxed);
    });
    // Chance does settle both, or this test would look at a part of the market only.
    let (jobs, vouchers) = (jobs.into_inner(), vouchers.into_inner());
    println!("{jobs} jobs and {vouchers} vouchers were settled in all");
    assert!(jobs > 0 && vouchers > 0, "{jobs} jobs, {vouchers} vouchers");
}

fn owned(who: &AccountId) -> Balance {
    let account = frame_system::Account::<Runtime>::get(who).data;
    account.free + account.reserved
}

fn held(reason: impl Into<RuntimeHoldReason>, who: &AccountId) -> Balance {
    Balances::balance_on_hold(&reason.into(), who)
}

/// The command tells with these whether an account can pay, in a test of this name.
#[test]
fn deposits_are_those_of_the_largest_records() {
    use pallet_channels::HoldReason::ChannelDeposit;
    use pallet_jobs::HoldReason::JobDeposit;
    use pallet_models::HoldReason::ListingDeposit;
    use pallet_providers::HoldReason::ProviderDeposit;

    development().execute_with(|| {
        let [publisher, stash, user] = [Charlie, Alice, Ferdie].map(|key| key.to_account_id());
        let listing = listing_of(Charlie);
        block(true, || {
            dispatch(&publisher, list_model()).unwrap();
            dispatch(&stash, register(Sr25519Keyring::Two, BOND)).unwrap();
        });
        assert_eq!(held(ListingDeposit, &publisher), 15_410 * MICRO_ASY);
        assert_eq!(held(ProviderDeposit, &stash), 30_460 * MICRO_ASY);
        block(true, || {
            dispatch(&stash, set_offer(listing, 1, 3, 1)).unwrap();
            dispatch(&user, submit(listing, 7, 64, 1, ASY, None)).unwrap();
        });
        assert_eq!(held(ProviderDeposit, &stash), (30_460 + 10_640) * MICRO_ASY);
        assert_eq!(held(JobDeposit, &user), 20_780 * MICRO_ASY);
        block(true, || {
            dispatch(&user, open_channel(Alice, Ferdie, ASY)).unwrap();
        });
        assert_eq!(held(ChannelDeposit, &user), 13_940 * MICRO_ASY);
    });
}

#[test]
fn one_job_from_submission_to_removal_moves_exactly_its_fee() {
    use pallet_jobs::HoldReason::{Escrow, JobDeposit};

    // Eight tokens at 1 and four at 3 thousandths of an ASY.
    const FEE: Balance = 20 * MILLI_ASY;
    const ROYALTY_PAID: Balance = 400 * MICRO_ASY;
    const BURNED: Balance = 500 * MICRO_ASY;
    const TO_TREASURY: Balance = 500 * MICRO_ASY;
    const TO_PROVIDER: Balance = FEE - ROYALTY_PAID - BURNED - TO_TREASURY;

    development().execute_with(|| {
        let [publisher, stash, operator, user] =
            [Charlie, Alice, Sr25519Keyring::Two, Ferdie].map(|key| key.to_account_id());
        let listing = listing_of(Charlie);
        let issued = Balances::total_issuance();
        let treasury = owned(&treasury_account());

        block(true, || {
            dispatch(&publisher, list_model()).unwrap();
            dispatch(&stash, register(Sr25519Keyring::Two, BOND)).unwrap();
            dispatch(&stash, set_offer(listing, 1, 3, 1)).unwrap();
            dispatch(&user, submit(listing, 8, 16, 1, ASY, None)).unwrap();
        });
        let prompt: pallet_jobs::TokensOf<Runtime> = vec![WORD; 8].try_into().unwrap();
        let bytes = JobRecordOf::<Runtime>::max_encoded_len() + prompt.encoded_size() + 16 * 4;
        let deposit = 10 * MILLI_ASY + bytes as Balance * 10 * MICRO_ASY;
        assert_eq!(
            (held(Escrow, &user), held(JobDeposit, &user)),
            (ASY, deposit)
        );
        assert_eq!(Balances::free_balance(&user), ENDOWMENT - ASY - deposit);

        run_to(3);
        // The draw releases what eight tokens in and sixteen out can never cost.
        assert_eq!(held(Escrow, &user), 56 * MILLI_ASY);
        let settled = block(true, || {
            let (sender, call) = answer_assigned(0, 4);
            assert_eq!(sender, operator);
            dispatch(&sender, call).unwrap();
        });
        assert_eq!((settled.settled, held(Escrow, &user)), (0, FEE));

        run_to(8);
        assert!(matches!(job(0).state, JobState::Delivered(..)));
        assert_eq!(block(true, || {}).settled, 1);
        assert_eq!(System::block_number(), 9);
        assert_eq!(owned(&user), ENDOWMENT - FEE);
        assert_eq!((held(Escrow, &user), held(JobDeposit, &user)), (0, deposit));
        assert_eq!(owned(&stash), ENDOWMENT + TO_PROVIDER);
        assert_eq!(
            held(pallet_providers::HoldReason::Maturing, &stash),
            TO_PROVIDER
        );
        assert_eq!(Models::account(listing).unwrap().pot, ROYALTY_PAID);
        assert_eq!(owned(&treasury_account()), treasury + TO_TREASURY);
        assert_eq!(Balances::total_issuance(), issued - BURNED);

        run_to(38);
        assert_eq!(
            held(pallet_providers::HoldReason::Maturing, &stash),
            TO_PROVIDER
        );
        run_to(39);
        assert_eq!(held(pallet_providers::HoldReason::Maturing, &stash), 0);
        block(true, || {
            let call = RuntimeCall::Models(pallet_models::Call::claim_royalties { listing });
            dispatch(&user, call).unwrap();
        });
        assert_eq!(owned(&publisher), ENDOWMENT + ROYALTY_PAID);
        assert_eq!(Models::account(listing).unwrap().pot, 0);

        run_to(608);
        assert!(Jobs::output(0).is_some());
        run_to(609);
        assert!(Jobs::job(0).is_none() && Jobs::output(0).is_none());
        assert_eq!(Balances::free_balance(&user), ENDOWMENT - FEE);
        assert_eq!(held(JobDeposit, &user), 0);
        assert_eq!(Balances::total_issuance(), issued - BURNED);
    });
}

#[test]
fn one_channel_from_opening_to_removal_moves_exactly_what_was_settled() {
    use pallet_channels::HoldReason::{ChannelDeposit, Deposit};

    const FEE: Balance = 3 * ASY;
    const ROYALTY_PAID: Balance = 60 * MILLI_ASY;
    const BURNED: Balance = 75 * MILLI_ASY;
    const TO_TREASURY: Balance = 75 * MILLI_ASY;
    const TO_PROVIDER: Balance = FEE - ROYALTY_PAID - BURNED - TO_TREASURY;

    development().execute_with(|| {
        let [stash, operator, user, watchtower] =
            [Alice, Sr25519Keyring::Two, Ferdie, Eve].map(|key| key.to_account_id());
        let issued = Balances::total_issuance();
        let treasury = owned(&treasury_account());
        open_market();
        block(true, || {
            dispatch(&user, open_channel(Alice, Ferdie, 10 * ASY)).unwrap();
        });
        let id = recent_channel(0);
        let deposit = held(ChannelDeposit, &user);
        let channel = || Channels::channel(id).unwrap();
        assert_eq!(held(Deposit, &user), 10 * ASY);
        assert_eq!(channel().epoch, 1);

        // Anybody settles what is owed, with a voucher that pays a little ahead.
        let voucher = voucher(id, 4 * ASY, Ferdie);
        let effect = block(true, || {
            let amount = FEE;
            let settle = pallet_channels::Call::settle { voucher, amount };
            dispatch(&watchtower, settle.into()).unwrap();
        });
        // Royalty and protocol fee are owed until the channel closes.
        assert_eq!((effect.vouchers, effect.burned), (1, 0));
        assert_eq!(held(Deposit, &user), 10 * ASY - TO_PROVIDER);
        assert_eq!(
            held(pallet_providers::HoldReason::Maturing, &stash),
            TO_PROVIDER
        );
        assert_eq!(
            Providers::provider(stash.clone()).unwrap().channel_exposure,
            FEE
        );
        let pot = || Models::account(listing_of(Charlie)).unwrap().pot;
        assert_eq!((pot(), owned(&treasury_account())), (0, treasury));

        // The user asks to close in block 4; its window ends with block 14.
        block(true, || {
            let call = pallet_channels::Call::request_close { channel: id };
            dispatch(&user, call.into()).unwrap();
        });
        run_to(13);
        assert_eq!(held(Deposit, &user), 10 * ASY - TO_PROVIDER);
        assert_eq!(block(true, || {}).burned, BURNED);
        assert_eq!(held(Deposit, &user), 0);
        assert_eq!(pot(), ROYALTY_PAID);
        assert_eq!(owned(&treasury_account()), treasury + TO_TREASURY);
        assert_eq!(owned(&user), ENDOWMENT - FEE);
        assert_eq!(held(ChannelDeposit, &user), deposit);
        block(true, || {
            let call = pallet_channels::Call::close {
                channel: id,
                last: Some((voucher, 4 * ASY)),
            };
            assert!(dispatch(&operator, call.into()).is_err());
        });
        run_to(73);
        assert!(Channels::channel(id).is_some());
        run_to(74);
        assert_eq!(Channels::channel(id), None);
        assert_eq!(Balances::free_balance(&user), ENDOWMENT - FEE);
        assert_eq!(owned(&stash), ENDOWMENT + TO_PROVIDER);
        assert_eq!(held(pallet_providers::HoldReason::Maturing, &stash), 0);
        assert_eq!(Balances::total_issuance(), issued - BURNED);
    });
}

#[test]
fn a_receipt_for_what_nobody_asked_costs_the_provider() {
    use pallet_disputes::{Call, HoldReason::ChallengeBond, Statement};

    const FEE: Balance = ASY;
    /// A tenth of the bond is more than sixty fees.
    const SLASH: Balance = BOND / 10;

    development().execute_with(|| {
        let [stash, operator, user, challenger] =
            [Alice, Sr25519Keyring::Two, Ferdie, Eve].map(|key| key.to_account_id());
        open_market();
        block(true, || {
            dispatch(&user, open_channel(Alice, Ferdie, 10 * ASY)).unwrap();
        });
        let id = recent_channel(0);
        let voucher = voucher(id, 4 * ASY, Ferdie);
        block(true, || {
            let amount = 3 * ASY;
            dispatch(
                &user,
                pallet_channels::Call::settle { voucher, amount }.into(),
            )
            .unwrap();
        });
        let maturing = held(pallet_providers::HoldReason::Maturing, &stash);
        let claim = assay_primitives::Claim::Channel { id, seq: 5 };
        let anchor = System::block_number() - 1;
        let receipt = Receipt {
            header: Hash::repeat_byte(9),
            anchor: Anchor {
                number: anchor,
                hash: System::block_hash(anchor),
            },
            output_len: 4,
            output_root: Hash::repeat_byte(8),
            finish: Finish::Caller,
            fee: FEE,
        };
        let signature = Sr25519Keyring::Two.sign(&receipt.signing_payload());
        let salt = Hash::repeat_byte(7);
        block(true, || {
            let hash = commitment(&claim, &challenger, &salt);
            dispatch(&challenger, Call::commit { hash }.into()).unwrap();
        });
        block(true, || {
            let statement = Statement {
                receipt,
                signature: Some(Signature::Sr25519(signature)),
                header: None,
            };
            let call = Call::open {
                claim,
                statement,
                position: None,
                salt,
                delegate: None,
            };
            dispatch(&challenger, call.into()).unwrap();
        });
        assert_eq!(held(ChallengeBond, &challenger), 10 * ASY);
        assert_eq!(Disputes::disputes_of_provider(stash.clone()), [0]);
        let opened = System::block_number();
        run_to(opened + 20);
        assert!(Disputes::dispute(0).is_some());
        // Nothing that anybody shows makes up for a signature that is not there.
        block(true, || {
            let (dispute, state) = (0, Disputes::dispute(0).unwrap().state);
            let proof = Default::default();
            let call = Call::prove {
                dispute,
                state,
                proof,
            };
            assert!(dispatch(&operator, call.into()).is_err());
        });
        run_to(opened + 22);
        assert!(Disputes::dispute(0).is_none());
        let reward = (SLASH + maturing - FEE) * 4 / 10;
        assert_eq!(owned(&challenger), ENDOWMENT + reward);
        assert_eq!(Balances::free_balance(&challenger), ENDOWMENT + reward);
        // Royalty and protocol fee are owed until the channel closes.
        assert_eq!(owned(&user), ENDOWMENT - maturing + FEE);
        assert_eq!(owned(&stash), ENDOWMENT - SLASH);
        assert_eq!(held(pallet_providers::HoldReason::Maturing, &stash), 0);
    });
}
