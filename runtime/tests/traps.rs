//! Traps of consensus that only the whole runtime can fall into. The others have tests in
//! pallet-validators.

mod genesis;

use assay_runtime::{
    genesis_config_presets::preset_names, Authorship, Runtime, RuntimeCall, Session, SessionKeys,
    Validators,
};
use frame_support::traits::{Get, GetCallMetadata, PalletInfoAccess};
use pallet_session::SessionHandler;
use sp_runtime::traits::OpaqueKeys;

/// BABE counts epochs from genesis on; another length would brick the chain.
#[test]
fn trap_7_no_call_changes_the_length_of_an_epoch() {
    assert!(!RuntimeCall::get_module_names().contains(&"Timing"));
    for preset in preset_names() {
        let preset: &str = preset.as_ref();
        let slots = genesis::of(preset)["timing"]["epochSlots"].as_u64();
        genesis::chain_of(preset).execute_with(|| {
            let length = <Runtime as pallet_babe::Config>::EpochDuration::get();
            assert_eq!(Some(length), slots);
        });
    }
}

/// The session pallet's genesis panics otherwise, and keys would be given to the wrong pallet.
#[test]
fn trap_8_session_keys_are_in_the_order_of_their_pallets() {
    type Handler = <Runtime as pallet_session::Config>::SessionHandler;
    assert_eq!(
        <Handler as SessionHandler<assay_runtime::AccountId>>::KEY_TYPE_IDS,
        SessionKeys::key_ids()
    );
}

/// The order of genesis and of the hooks is that of the indices. Session's genesis asks for the bonds,
/// and who made the first block of a session is found in the set that begins with it.
#[test]
fn bonds_come_before_sessions_and_authors_after_them() {
    let order = [Validators::index(), Session::index(), Authorship::index()];
    assert!(order.is_sorted(), "{order:?}");
}

/// It would be another chain than its operators think, and nobody would say so.
#[test]
fn a_parameter_that_there_is_not_is_no_genesis() {
    let genesis = genesis::of("development");
    for path in [
        "/channels/parameters",
        "/disputes/parameters",
        "/governance/parameters",
        "/jobs/parameters",
        "/models/parameters",
        "/providers/parameters",
        "/providers/parameters/rewards",
        "/validators/parameters",
        "/validators/parameters/rewards",
        "/validators/parameters/rewards/emission",
    ] {
        let mut mistyped = genesis.clone();
        let parameters = mistyped.pointer_mut(path).and_then(|it| it.as_object_mut());
        let parameters = parameters.unwrap_or_else(|| panic!("{path} is not in a genesis"));
        parameters.insert("bondingSessions".into(), 4.into());
        let refused = genesis::build(&mistyped).map(drop).unwrap_err();
        assert!(refused.contains("unknown field"), "{path}: {refused}");
    }
}
