//! Referenda: how long they take, and what they may do.

mod prices;

use super::chain_of;
use crate::{
    configs::{EnsureSpender, ParametersOrigin, Tracks},
    governance::{Origin, PausedByMigration},
    *,
};
use codec::Decode;
use frame_support::{
    assert_noop, assert_ok,
    migrations::{FailedMigrationHandler, MigrationStatusHandler},
    traits::{
        schedule::DispatchTime, Bounded, EnsureOrigin, GetCallMetadata, Hooks, StorePreimage,
    },
};
use pallet_conviction_voting::{AccountVote, Conviction, Vote};
use pallet_referenda::{ReferendumInfo, TracksInfo};
use sp_keyring::Sr25519Keyring::{self, Alice};
use sp_runtime::{
    traits::{BlakeTwo256, Dispatchable, Hash as _},
    DispatchError,
};
use std::collections::BTreeSet;

type Proposal = Bounded<RuntimeCall, BlakeTwo256>;

fn signed(who: Sr25519Keyring) -> RuntimeOrigin {
    RuntimeOrigin::signed(who.to_account_id())
}

fn next_block() {
    let now = System::block_number() + 1;
    System::set_block_number(now);
    Treasury::on_initialize(now);
    Scheduler::on_initialize(now);
}

fn proposal(call: impl Into<RuntimeCall>) -> Proposal {
    Preimage::bound(call.into()).unwrap()
}

/// Propose it, pay for its decision, and have three quarters of the issuance vote for it.
fn refer(origin: impl Into<OriginCaller>, proposal: Proposal) -> u32 {
    let number = pallet_referenda::ReferendumCount::<Runtime>::get();
    let soon = DispatchTime::After(0);
    assert_ok!(Referenda::submit(
        signed(Alice),
        Box::new(origin.into()),
        proposal,
        soon
    ));
    assert_ok!(Referenda::place_decision_deposit(signed(Alice), number));
    for voter in Sr25519Keyring::well_known() {
        let vote = Vote {
            aye: true,
            conviction: Conviction::Locked1x,
        };
        let balance = 750_000 * ASY;
        let vote = AccountVote::Standard { vote, balance };
        assert_ok!(ConvictionVoting::vote(signed(voter), number, vote));
    }
    number
}

fn is_approved(number: u32) -> bool {
    let info = pallet_referenda::ReferendumInfoFor::<Runtime>::get(number).unwrap();
    matches!(info, ReferendumInfo::Approved(..))
}

fn root() -> OriginCaller {
    OriginCaller::system(frame_system::RawOrigin::Root)
}

/// What the scheduler says of the call that the last referendum decided.
fn outcome() -> Option<Result<(), DispatchError>> {
    let events = System::events().into_iter().rev();
    events.into_iter().find_map(|record| match record.event {
        RuntimeEvent::Scheduler(pallet_scheduler::Event::Dispatched {
            id: Some(_),
            result,
            ..
        }) => Some(result),
        _ => None,
    })
}

#[test]
fn a_referendum_that_all_want_takes_under_a_minute_on_a_development_chain() {
    chain_of("development").execute_with(|| {
        System::set_block_number(1);
        let call = frame_system::Call::set_storage {
            items: vec![(b"k".to_vec(), b"v".to_vec())],
        };
        let number = refer(root(), proposal(call));
        while sp_io::storage::get(b"k").is_none() {
            assert!(System::block_number() < 60, "it takes more than a minute");
            next_block();
        }
        assert!(is_approved(number));
        assert_eq!(outcome(), Some(Ok(())));
    });
}

#[test]
fn proposals_that_nobody_wants_keep_no_other_waiting() {
    chain_of("development").execute_with(|| {
        System::set_block_number(1);
        let call = |key: u8| frame_system::Call::set_storage {
            items: vec![(vec![key], b"v".to_vec())],
        };
        for key in 0..40 {
            assert_ok!(Referenda::submit(
                signed(Sr25519Keyring::Bob),
                Box::new(root()),
                proposal(call(key)),
                DispatchTime::After(0)
            ));
            let number = key.into();
            assert_ok!(Referenda::place_decision_deposit(
                signed(Sr25519Keyring::Bob),
                number
            ));
        }
        // All of them are being decided.
        while System::block_number() < 10 {
            next_block();
        }
        refer(root(), proposal(call(200)));
        while sp_io::storage::get(&[200]).is_none() {
            assert!(System::block_number() < 70, "it waits for the others");
            next_block();
        }
        assert!((0..40).all(|key: u8| sp_io::storage::get(&[key]).is_none()));
    });
}

#[test]
fn periods_are_parts_of_the_day_that_genesis_names() {
    let periods = |preset| {
        chain_of(preset).execute_with(|| {
            let tracks = Tracks::tracks().map(|track| {
                let info = &track.info;
                (
                    info.prepare_period,
                    info.decision_period,
                    info.confirm_period,
                    info.min_enactment_period,
                )
            });
            tracks.collect::<Vec<_>>()
        })
    };
    assert_eq!(
        periods("production"),
        [
            (1_200, 201_600, 14_400, 14_400),
            (600, 100_800, 1_800, 600),
            (1_200, 100_800, 7_200, 7_200),
        ]
    );
    assert_eq!(
        periods("development"),
        [(1, 168, 12, 12), (1, 84, 1, 1), (1, 84, 6, 6)]
    );
}

#[test]
fn tracks_of_more_power_ask_for_more() {
    chain_of("production").execute_with(|| {
        let tracks: Vec<_> = Tracks::tracks().map(|track| track.into_owned()).collect();
        let [root, parameters, spender] = &tracks[..] else {
            panic!("there are three tracks")
        };
        for lesser in [parameters, spender] {
            assert!(root.info.decision_deposit > lesser.info.decision_deposit);
            assert!(root.info.confirm_period > lesser.info.confirm_period);
            assert!(root.info.min_enactment_period > lesser.info.min_enactment_period);
            for percent in 0..=100 {
                let x = sp_runtime::Perbill::from_percent(percent);
                assert!(root.info.min_support.threshold(x) >= lesser.info.min_support.threshold(x));
                assert!(
                    root.info.min_approval.threshold(x) >= lesser.info.min_approval.threshold(x)
                );
            }
        }
    });
}

/// The calls that do not refuse this origin as such, whatever else they say of empty arguments.
fn open_to(origin: RuntimeOrigin) -> BTreeSet<String> {
    let all = RuntimeCall::get_module_names().iter().flat_map(|module| {
        let calls = RuntimeCall::get_call_names(module).iter();
        calls.map(move |call| format!("{module}.{call}"))
    });
    let mut untried: BTreeSet<_> = all.collect();
    let mut open = BTreeSet::new();
    for (pallet, call) in (0..=u8::MAX).flat_map(|pallet| (0..=u8::MAX).map(move |c| (pallet, c))) {
        // No argument, or the first of its kind; where kinds are counted from one, that.
        let decoded = [0, 1].into_iter().find_map(|filling| {
            let mut bytes = vec![pallet, call];
            bytes.resize(1 << 16, filling);
            RuntimeCall::decode(&mut &bytes[..]).ok()
        });
        let Some(call) = decoded else {
            continue;
        };
        let name = call.get_call_metadata();
        let name = format!("{}.{}", name.pallet_name, name.function_name);
        untried.remove(&name);
        let result = frame_support::storage::with_transaction(|| {
            let result = call.dispatch(origin.clone());
            let result = result.map(drop).map_err(|error| error.error);
            sp_runtime::TransactionOutcome::Rollback(Ok::<_, DispatchError>(result))
        });
        if result.unwrap() != Err(DispatchError::BadOrigin) {
            open.insert(name);
        }
    }
    assert!(untried.is_empty(), "not tried: {untried:?}");
    open
}

/// What any origin may try: calls that do nothing by themselves or ask for no origin, and one that is
/// closed to all by a filter.
const ANYBODY: [&str; 7] = [
    "Session.purge_keys",
    "System.apply_authorized_upgrade",
    "System.remark",
    "Utility.batch",
    "Utility.batch_all",
    "Utility.force_batch",
    "Utility.if_else",
];

/// What the track of parameters is for.
const KNOBS: [&str; 10] = [
    "Channels.set_parameters",
    "Disputes.pause",
    "Disputes.set_parameters",
    "Governance.set_parameters",
    "Jobs.set_parameters",
    "Models.freeze",
    "Models.set_parameters",
    "Providers.set_parameters",
    "Validators.set_parameters",
    "Validators.set_validator_count",
];

#[test]
fn the_origin_of_parameters_sets_parameters_and_nothing_else() {
    chain_of("development").execute_with(|| {
        System::set_block_number(1);
        let expected = KNOBS.iter().chain(&ANYBODY);
        let expected: BTreeSet<_> = expected.map(|call| call.to_string()).collect();
        assert_eq!(open_to(Origin::Parameters.into()), expected);
        let by_anybody = open_to(signed(Alice));
        assert!(KNOBS.iter().all(|knob| !by_anybody.contains(*knob)));
    });
}

#[test]
fn the_origin_of_spenders_spends_and_nothing_else() {
    chain_of("development").execute_with(|| {
        System::set_block_number(1);
        let expected = ANYBODY
            .iter()
            .chain(&["Treasury.spend", "Treasury.spend_local"]);
        let expected: BTreeSet<_> = expected.map(|call| call.to_string()).collect();
        assert_eq!(open_to(Origin::Spender.into()), expected);
        assert!(!open_to(signed(Alice)).contains("Treasury.spend"));
    });
}

#[test]
fn root_may_do_what_tracks_may() {
    assert_ok!(ParametersOrigin::ensure_origin(RuntimeOrigin::root()));
    let most = EnsureSpender::ensure_origin(RuntimeOrigin::root());
    assert_eq!(most.ok(), Some(Balance::MAX));
    assert!(ParametersOrigin::ensure_origin(Origin::Spender.into()).is_err());
    assert!(EnsureSpender::ensure_origin(Origin::Parameters.into()).is_err());
}

/// A call that turns a knob, and whether it has been turned.
type Turn = (RuntimeCall, Box<dyn Fn() -> bool>);

macro_rules! turn {
    ($pallet:ident, $knob:ident = $value:expr) => {{
        let mut parameters = $pallet::Params::<Runtime>::get();
        let value = $value;
        assert_ne!(parameters.$knob, value);
        parameters.$knob = value;
        let call = $pallet::Call::set_parameters {
            parameters: parameters.clone(),
        };
        let is_done = move || $pallet::Params::<Runtime>::get() == parameters;
        (RuntimeCall::from(call), Box::new(is_done) as Box<_>)
    }};
}

#[test]
fn each_knob_is_turned_by_referendum() {
    chain_of("development").execute_with(|| {
        System::set_block_number(1);
        let turns: [Turn; 9] = [
            turn!(pallet_channels, close_window_blocks = 11),
            turn!(pallet_disputes, reply_blocks = 21),
            turn!(governance, deposit_base = 11 * MILLI_ASY),
            turn!(pallet_jobs, challenge_blocks = 6),
            turn!(
                pallet_models,
                max_royalty = sp_runtime::Permill::from_percent(30)
            ),
            turn!(pallet_providers, min_bond = 101 * ASY),
            turn!(pallet_validators, bonding_sessions = 13),
            (
                pallet_validators::Call::set_validator_count { count: 7 }.into(),
                Box::new(|| pallet_validators::ValidatorCount::<Runtime>::get() == 7),
            ),
            (
                pallet_disputes::Call::pause { on: true }.into(),
                Box::new(is_paused),
            ),
        ];
        let mut turned = BTreeSet::from(["Models.freeze".to_owned()]);
        for (call, is_done) in turns {
            let name = call.get_call_metadata();
            let name = format!("{}.{}", name.pallet_name, name.function_name);
            assert!(!is_done(), "{name}");
            System::reset_events();
            let number = refer(Origin::Parameters, proposal(call));
            for _ in 0..10 {
                next_block();
            }
            assert!(is_approved(number), "{name}");
            assert_eq!(outcome(), Some(Ok(())), "{name}");
            assert!(is_done(), "{name}");
            turned.insert(name);
        }
        assert_eq!(turned, KNOBS.map(str::to_owned).into());
    });
}

#[test]
fn a_referendum_without_a_track_is_not_accepted() {
    chain_of("development").execute_with(|| {
        System::set_block_number(1);
        let bob = frame_system::RawOrigin::Signed(Sr25519Keyring::Bob.to_account_id());
        let call = frame_system::Call::remark { remark: vec![] };
        let call = proposal(call);
        assert_noop!(
            Referenda::submit(
                signed(Alice),
                Box::new(OriginCaller::system(bob)),
                call,
                DispatchTime::After(0)
            ),
            pallet_referenda::Error::<Runtime>::NoTrack
        );
    });
}

#[test]
fn a_proposal_of_another_length_than_its_preimage_is_not_accepted() {
    chain_of("development").execute_with(|| {
        System::set_block_number(1);
        let bytes = vec![0; 200];
        let hash = BlakeTwo256::hash(&bytes);
        assert_ok!(Preimage::note_preimage(signed(Alice), bytes));
        assert_noop!(
            Referenda::submit(
                signed(Alice),
                Box::new(root()),
                Bounded::Lookup { hash, len: 100 },
                DispatchTime::After(0)
            ),
            pallet_referenda::Error::<Runtime>::PreimageStoredWithDifferentLength
        );
    });
}

/// Everything, every balance among it, but the block number, events, and what referenda, votes and the scheduler note
/// of themselves.
fn rest_of_state() -> Vec<(Vec<u8>, Vec<u8>)> {
    let bookkeeping = [
        "Referenda",
        "Scheduler",
        "ConvictionVoting",
        "Preimage",
        "Treasury",
    ];
    let hash = |name: &str| sp_io::hashing::twox_128(name.as_bytes()).to_vec();
    let mut prefixes: Vec<Vec<u8>> = bookkeeping.map(hash).into();
    let of_the_block = ["Number", "Events", "EventCount"];
    prefixes.extend(of_the_block.map(|item| [hash("System"), hash(item)].concat()));
    let mut state = vec![];
    let mut key = vec![];
    while let Some(next) = sp_io::storage::next_key(&key) {
        if !prefixes.iter().any(|prefix| next.starts_with(prefix)) {
            state.push((next.clone(), sp_io::storage::get(&next).unwrap().to_vec()));
        }
        key = next;
    }
    state
}

#[test]
fn a_referendum_on_bytes_that_are_no_call_changes_nothing() {
    chain_of("development").execute_with(|| {
        System::set_block_number(1);
        let bytes = vec![0xff; 200];
        let hash = BlakeTwo256::hash(&bytes);
        assert_ok!(Preimage::note_preimage(signed(Alice), bytes));
        let number = refer(root(), Bounded::Lookup { hash, len: 200 });
        let before = rest_of_state();
        for _ in 0..40 {
            next_block();
        }
        assert!(is_approved(number));
        assert_eq!(outcome(), None);
        let unavailable = |event: &RuntimeEvent| {
            matches!(
                event,
                RuntimeEvent::Scheduler(pallet_scheduler::Event::CallUnavailable { .. })
            )
        };
        assert!(System::events().iter().any(|r| unavailable(&r.event)));
        assert!(rest_of_state() == before);
    });
}

#[test]
fn a_referendum_on_a_call_that_its_origin_may_not_make_changes_nothing() {
    chain_of("development").execute_with(|| {
        System::set_block_number(1);
        let call = frame_system::Call::set_storage {
            items: vec![(b"k".to_vec(), b"v".to_vec())],
        };
        let number = refer(Origin::Parameters, proposal(call));
        let before = rest_of_state();
        for _ in 0..10 {
            next_block();
        }
        assert!(is_approved(number));
        assert_eq!(outcome(), Some(Err(DispatchError::BadOrigin)));
        assert!(rest_of_state() == before);
    });
}

#[test]
fn a_referendum_on_parameters_that_do_not_fit_changes_nothing() {
    chain_of("development").execute_with(|| {
        System::set_block_number(1);
        let mut parameters = pallet_jobs::Params::<Runtime>::get();
        parameters.challenge_blocks = 0;
        let call = pallet_jobs::Call::set_parameters { parameters };
        refer(Origin::Parameters, proposal(call));
        let before = rest_of_state();
        for _ in 0..10 {
            next_block();
        }
        let error = pallet_jobs::Error::<Runtime>::InvalidParameters;
        assert_eq!(outcome(), Some(Err(error.into())));
        assert!(rest_of_state() == before);
    });
}

#[test]
fn what_is_held_votes_and_can_still_be_taken() {
    use frame_support::traits::{
        fungible::{Inspect, MutateHold},
        tokens::{Fortitude, Precision},
    };
    chain_of("development").execute_with(|| {
        System::set_block_number(1);
        let who = Alice.to_account_id();
        let reason = RuntimeHoldReason::Providers(pallet_providers::HoldReason::Bond);
        assert_ok!(Balances::hold(&reason, &who, 900_000 * ASY));
        let call = proposal(frame_system::Call::remark { remark: vec![] });
        let number = refer(root(), call);
        let all = Balances::total_balance(&who);
        let vote = AccountVote::Standard {
            vote: Vote {
                aye: true,
                conviction: Conviction::Locked6x,
            },
            balance: all,
        };
        assert_ok!(ConvictionVoting::vote(signed(Alice), number, vote));
        assert_ok!(Balances::burn_held(
            &reason,
            &who,
            900_000 * ASY,
            Precision::Exact,
            Fortitude::Force
        ));
    });
}

#[test]
fn spenders_spend_up_to_a_limit_and_never_close_the_treasury() {
    use frame_support::traits::fungible::Mutate;
    chain_of("development").execute_with(|| {
        System::set_block_number(1);
        let bob = Sr25519Keyring::Bob.to_account_id();
        let spend = |origin: RuntimeOrigin, amount| {
            Treasury::spend(origin, Box::new(()), amount, Box::new(bob.clone()), None)
        };
        assert_noop!(
            spend(Origin::Spender.into(), 10_000 * ASY + 1),
            pallet_treasury::Error::<Runtime>::InsufficientPermission
        );
        assert_ok!(spend(Origin::Spender.into(), 10_000 * ASY));
        let treasury = treasury_account();
        Balances::set_balance(&treasury, 10_000 * ASY);
        // All of it would close the account.
        assert_noop!(
            Treasury::payout(signed(Alice), 0),
            pallet_treasury::Error::<Runtime>::PayoutError
        );
        Balances::set_balance(&treasury, 10_000 * ASY + EXISTENTIAL_DEPOSIT);
        let before = Balances::free_balance(&bob);
        assert_ok!(Treasury::payout(signed(Alice), 0));
        assert_eq!(Balances::free_balance(&bob), before + 10_000 * ASY);
        assert_eq!(Balances::free_balance(&treasury), EXISTENTIAL_DEPOSIT);
    });
}

type Status = <Runtime as pallet_migrations::Config>::MigrationStatusHandler;
type Failure = <Runtime as pallet_migrations::Config>::FailedMigrationHandler;

fn is_paused() -> bool {
    pallet_disputes::LastPause::<Runtime>::get().is_some_and(|pause| pause.until.is_none())
}

#[test]
fn sudo_is_given_a_key_by_root_alone() {
    chain_of("production").execute_with(|| {
        System::set_block_number(1);
        let alice = Alice.to_account_id();
        for origin in [
            RuntimeOrigin::none(),
            signed(Alice),
            Origin::Parameters.into(),
            Origin::Spender.into(),
        ] {
            let given = Sudo::set_key(origin.clone(), alice.clone().into());
            assert!(given.is_err(), "{origin:?}");
        }
        assert_eq!(pallet_sudo::Key::<Runtime>::get(), None);
    });
    // A referendum of all may, as it may do anything.
    chain_of("development").execute_with(|| {
        System::set_block_number(1);
        let bob = Sr25519Keyring::Bob.to_account_id();
        let new = bob.clone().into();
        refer(root(), proposal(pallet_sudo::Call::set_key { new }));
        for _ in 0..60 {
            next_block();
        }
        assert_eq!(pallet_sudo::Key::<Runtime>::get(), Some(bob));
    });
}

#[test]
fn the_referee_rests_while_storage_is_migrated() {
    chain_of("development").execute_with(|| {
        System::set_block_number(1);
        Status::started();
        assert!(is_paused());
        Status::completed();
        assert!(!is_paused());
    });
}

#[test]
fn a_pause_by_governance_outlasts_migrations() {
    chain_of("development").execute_with(|| {
        System::set_block_number(1);
        assert_ok!(Disputes::pause(RuntimeOrigin::root(), true));
        Status::started();
        Status::completed();
        assert!(is_paused());
    });
}

#[test]
fn a_migration_that_fails_leaves_transactions_on_and_the_referee_off() {
    chain_of("development").execute_with(|| {
        System::set_block_number(1);
        Status::started();
        let handling = Failure::failed(None);
        assert_eq!(
            handling,
            frame_support::migrations::FailedMigrationHandling::ForceUnstuck
        );
        assert!(is_paused());
        // A later migration does not take the pause for its own.
        Status::started();
        Status::completed();
        assert!(is_paused());
        assert!(!PausedByMigration::<Runtime>::exists());
    });
}

#[test]
fn nothing_is_migrated_by_the_first_version() {
    chain_of("development").execute_with(|| {
        System::set_block_number(1);
        <MultiBlockMigrations as Hooks<_>>::on_runtime_upgrade();
        assert!(!pallet_migrations::Cursor::<Runtime>::exists());
    });
}
