//! Traps of consensus that only the whole runtime can fall into. The others have tests in
//! pallet-validators.

use assay_runtime::{
    genesis_config_presets::{get_preset, preset_names},
    Authorship, Runtime, RuntimeCall, RuntimeGenesisConfig, Session, SessionKeys, Validators,
};
use frame_support::{
    genesis_builder_helper::{build_state, get_preset as get_preset_or_default},
    traits::{Get, GetCallMetadata, PalletInfoAccess},
};
use pallet_session::SessionHandler;
use serde_json::Value;
use sp_runtime::traits::OpaqueKeys;

/// BABE counts epochs from genesis on; another length would brick the chain.
#[test]
fn trap_7_no_call_changes_the_length_of_an_epoch() {
    assert!(!RuntimeCall::get_module_names().contains(&"Timing"));
    for preset in preset_names() {
        let bytes = get_preset_or_default::<RuntimeGenesisConfig>(&None, get_preset).unwrap();
        let mut genesis: Value = serde_json::from_slice(&bytes).unwrap();
        let patch: Value = serde_json::from_slice(&get_preset(&preset).unwrap()).unwrap();
        let slots = patch["timing"]["epochSlots"].clone();
        for (key, value) in patch.as_object().unwrap() {
            for (field, value) in value.as_object().unwrap() {
                genesis[key][field] = value.clone();
            }
        }
        sp_io::TestExternalities::new_empty().execute_with(|| {
            build_state::<RuntimeGenesisConfig>(genesis.to_string().into_bytes()).unwrap();
            let length = <Runtime as pallet_babe::Config>::EpochDuration::get();
            assert_eq!(Some(length), slots.as_u64());
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
