//! The configuration does what it promises.

use crate::{genesis_config_presets::*, *};
use codec::Encode;
use frame_support::{
    assert_noop,
    dispatch::GetDispatchInfo,
    genesis_builder_helper::{build_state, get_preset as get_preset_or_default},
    traits::{Get, Hooks, KeyOwnerProofSystem},
};
use serde_json::Value;
use sp_keyring::{Ed25519Keyring, Sr25519Keyring};
use sp_runtime::traits::Dispatchable;

mod governance;

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

pub(crate) fn chain_of(preset: &str) -> sp_io::TestExternalities {
    chain_with(preset, |_| ())
}

/// A chain of a preset that somebody has changed.
fn chain_with(preset: &str, change: impl FnOnce(&mut Value)) -> sp_io::TestExternalities {
    let json = |id| {
        let bytes = get_preset_or_default::<RuntimeGenesisConfig>(&id, get_preset).unwrap();
        serde_json::from_slice::<Value>(&bytes).unwrap()
    };
    let mut ext = sp_io::TestExternalities::new_empty();
    ext.execute_with(|| {
        let mut genesis = json(None);
        merge(&mut genesis, json(Some(preset.into())));
        change(&mut genesis);
        build_state::<RuntimeGenesisConfig>(genesis.to_string().into_bytes()).unwrap();
    });
    ext
}

#[test]
fn development_has_one_authority_and_fast_slots() {
    chain_of("development").execute_with(|| {
        assert_eq!(Babe::slot_duration(), 1_000);
        assert_eq!(<Runtime as pallet_babe::Config>::EpochDuration::get(), 60);
        assert_eq!(
            Session::validators(),
            [Sr25519Keyring::AliceStash.to_account_id()]
        );
        assert_eq!(Babe::authorities().len(), 1);
        assert_eq!(Grandpa::grandpa_authorities().len(), 1);
        assert_eq!(
            pallet_sudo::Key::<Runtime>::get(),
            Some(Sr25519Keyring::Alice.to_account_id())
        );
    });
}

#[test]
fn local_testnet_has_four_authorities() {
    chain_of("local_testnet").execute_with(|| {
        assert_eq!(Session::validators().len(), 4);
        assert_eq!(Babe::authorities().len(), 4);
        assert_eq!(Grandpa::grandpa_authorities().len(), 4);
    });
}

#[test]
fn production_is_a_template_without_authorities_and_without_sudo() {
    assert!(!preset_names().contains(&PRODUCTION_PRESET.into()));
    chain_of(PRODUCTION_PRESET).execute_with(|| {
        assert_eq!(Babe::slot_duration(), 6_000);
        assert_eq!(<Runtime as pallet_babe::Config>::EpochDuration::get(), 600);
        assert!(Session::validators().is_empty());
        assert_eq!(pallet_sudo::Key::<Runtime>::get(), None);
    });
}

#[test]
fn every_genesis_gives_the_treasury_its_existential_deposit() {
    for preset in ["development", "local_testnet", PRODUCTION_PRESET] {
        chain_of(preset).execute_with(|| {
            assert_eq!(
                Balances::free_balance(treasury_account()),
                EXISTENTIAL_DEPOSIT
            );
        });
    }
}

#[test]
fn keys_of_the_first_sessions_can_be_proven() {
    chain_of("local_testnet").execute_with(|| {
        for (session, key) in [
            (
                sp_consensus_babe::KEY_TYPE,
                Sr25519Keyring::Bob.to_raw_public(),
            ),
            (
                sp_consensus_grandpa::KEY_TYPE,
                Ed25519Keyring::Bob.to_raw_public(),
            ),
        ] {
            let proof = Validators::prove((session, key)).unwrap();
            let (owner, ()) = Validators::check_proof((session, key), proof).unwrap();
            assert_eq!(owner, Sr25519Keyring::BobStash.to_account_id());
        }
    });
}

#[test]
fn genesis_validators_have_bonds_and_stay_elected() {
    chain_of("local_testnet").execute_with(|| {
        let validators = Session::validators();
        System::set_block_number(1);
        for _ in 0..5 {
            Session::rotate_session();
        }
        assert_eq!(Session::validators(), validators);
        for who in validators {
            let record = pallet_validators::Bonds::<Runtime>::get(who).unwrap();
            assert_eq!(record.amount, 10_000 * ASY);
        }
        assert!(pallet_validators::Planned::<Runtime>::get().unwrap().index > 0);
    });
}

#[test]
fn roots_of_sessions_are_kept_as_long_as_offences_can_be_reported() {
    chain_of("local_testnet").execute_with(|| {
        let kept = pallet_validators::BondingSessions::<Runtime>::get();
        System::set_block_number(1);
        for _ in 0..kept + 5 {
            Session::rotate_session();
            System::reset_events();
        }
        let roots = pallet_session::historical::HistoricalSessions::<Runtime>::iter().count();
        let slots = <Runtime as pallet_babe::Config>::EpochDuration::get();
        // Besides those kept: the current session and the next.
        assert_eq!(roots as u32, kept + 2);
        let longevity: u64 = configs::ReportLongevity::get();
        assert_eq!(longevity, u64::from(kept) * slots);
    });
}

#[test]
fn whoever_a_network_tool_names_makes_blocks() {
    // Such a tool writes keys for any names that it likes, and bonds nobody.
    let ferdie = Sr25519Keyring::FerdieStash.to_account_id();
    let name = |genesis: &mut Value| {
        let keys = &mut genesis["session"]["keys"];
        let first = keys[0][2].clone();
        *keys = serde_json::json!([[&ferdie, &ferdie, first]]);
    };
    chain_with("local_testnet", name).execute_with(|| {
        assert_eq!(Session::validators(), core::slice::from_ref(&ferdie));
    });
}

#[test]
fn session_keys_cannot_be_purged() {
    chain_of("development").execute_with(|| {
        let call = RuntimeCall::Session(pallet_session::Call::purge_keys {});
        let alice = RuntimeOrigin::signed(Sr25519Keyring::AliceStash.to_account_id());
        assert_noop!(
            call.dispatch(alice),
            frame_system::Error::<Runtime>::CallFiltered
        );
    });
}

#[test]
fn a_transfer_costs_about_a_thousandth_of_a_token() {
    chain_of("development").execute_with(|| {
        let call = RuntimeCall::Balances(pallet_balances::Call::transfer_keep_alive {
            dest: Sr25519Keyring::Bob.to_account_id().into(),
            value: ASY,
        });
        // Signature, sender and extensions of a usual transaction take about 110 bytes.
        let len = call.encoded_size() as u32 + 110;
        let fee = TransactionPayment::compute_fee(len, &call.get_dispatch_info(), 0);
        assert!((MILLI_ASY / 2..3 * MILLI_ASY).contains(&fee), "{fee}");
    });
}

#[test]
fn fees_fall_back_to_their_minimum_on_an_empty_chain() {
    chain_of("development").execute_with(|| {
        for block in 1..10 {
            System::set_block_number(block);
            TransactionPayment::on_finalize(block);
        }
        let multiplier = pallet_transaction_payment::NextFeeMultiplier::<Runtime>::get();
        assert_eq!(multiplier, sp_runtime::FixedU128::from_u32(1));
    });
}

#[test]
fn a_block_is_remembered_for_4096_blocks() {
    assert_eq!(
        <Runtime as frame_system::Config>::BlockHashCount::get(),
        4096
    );
}

#[test]
fn what_a_receipt_can_cost_is_there_as_long_as_it_can_be_disputed() {
    for preset in ["development", "local_testnet", PRODUCTION_PRESET] {
        chain_of(preset).execute_with(|| {
            let disputes = pallet_disputes::Params::<Runtime>::get();
            let providers = pallet_providers::Params::<Runtime>::get();
            let jobs = pallet_jobs::Params::<Runtime>::get();
            let window = disputes.challenge_blocks.max(jobs.challenge_blocks);
            assert!(window <= providers.maturing_blocks, "{preset}");
            assert!(window <= providers.unbonding_blocks, "{preset}");
            assert!(window < <Runtime as frame_system::Config>::BlockHashCount::get());
            // Somebody who needs a block to notice can commit, and open in the block after.
            assert!(window > 3, "{preset}");
        });
    }
}

#[test]
fn moves_of_disputes_have_room_in_full_blocks() {
    use frame_support::dispatch::DispatchClass;

    let state = Hash::zero();
    let proof = pallet_disputes::Call::<Runtime>::prove {
        dispute: 0,
        state,
        proof: Default::default(),
    };
    let info = RuntimeCall::from(proof).get_dispatch_info();
    assert_eq!(info.class, DispatchClass::Operational);
    let limits = <Runtime as frame_system::Config>::BlockWeights::get();
    let reserved = limits.get(DispatchClass::Operational).reserved.unwrap();
    // Even the heaviest, ten times.
    assert!(info.call_weight.saturating_mul(10).all_lte(reserved));
}

/// lotus#2465: a release had the settle delay of a test network, one epoch: receivers could not answer a close in
/// time, and lost what they had not settled.
#[test]
fn where_money_is_real_a_close_leaves_hours_to_settle() {
    const HOUR: u64 = 60 * 60 * 1_000;
    chain_of(PRODUCTION_PRESET).execute_with(|| {
        let parameters = pallet_channels::Params::<Runtime>::get();
        let window = u64::from(parameters.close_window_blocks) * Babe::slot_duration();
        assert!(window >= HOUR, "{window} ms");
        // And whoever cheated is still there to answer for it.
        assert!(parameters.retention_blocks > parameters.close_window_blocks);
    });
}
