//! The genesis configurations that come with the runtime.
//!
//! * `development`: one validator (Alice), fast slots. For one machine.
//! * `local_testnet`: four validators (Alice, Bob, Charlie, Dave), fast slots. For tests of networks.
//! * `production`: six-second slots, one-hour epochs, no sudo. It names no validators, so it is not
//!   in [`preset_names`]: whoever launches a chain exports it, fills in `session.keys` (one
//!   `[account, account, {"babe": …, "grandpa": …, "authority_discovery": …}]` for each validator),
//!   `validators.validators` (one `[account, planck]` each) and `balances.balances`, and gives the result
//!   to all nodes.

use crate::{
    configs::{treasury_account, BABE_GENESIS_EPOCH_CONFIG, EXISTENTIAL_DEPOSIT},
    AccountId, BabeConfig, Balance, BalancesConfig, BlockNumber, ChannelsConfig, DisputesConfig,
    GovernanceConfig, JobsConfig, Models, ProvidersConfig, Runtime, RuntimeGenesisConfig,
    SessionConfig, SessionKeys, SudoConfig, TimingConfig, Validators, ValidatorsConfig, ASY,
};
use alloc::{string::ToString, vec, vec::Vec};
use frame_support::build_struct_json_patch;
use serde_json::Value;
use sp_genesis_builder::{PresetId, DEV_RUNTIME_PRESET, LOCAL_TESTNET_RUNTIME_PRESET};
use sp_keyring::{Ed25519Keyring, Sr25519Keyring};

/// Name of the preset for a chain with real validators.
pub const PRODUCTION_PRESET: &str = "production";

/// What each well-known development account owns at genesis, in planck.
const DEVELOPMENT_ENDOWMENT: Balance = 1_000_000 * ASY;

/// What each development validator has bonded, in planck.
const DEVELOPMENT_BOND: Balance = 10_000 * ASY;

/// A referendum that everybody wants then passes in half a minute.
const FAST_DAY_BLOCKS: u32 = 12;

/// A development validator: its session belongs to the stash account, since that is the account
/// that network tools write when they replace the keys.
type Validator = (Sr25519Keyring, Sr25519Keyring, Ed25519Keyring);

const ALICE: Validator = (
    Sr25519Keyring::AliceStash,
    Sr25519Keyring::Alice,
    Ed25519Keyring::Alice,
);
const BOB: Validator = (
    Sr25519Keyring::BobStash,
    Sr25519Keyring::Bob,
    Ed25519Keyring::Bob,
);
const CHARLIE: Validator = (
    Sr25519Keyring::CharlieStash,
    Sr25519Keyring::Charlie,
    Ed25519Keyring::Charlie,
);
const DAVE: Validator = (
    Sr25519Keyring::DaveStash,
    Sr25519Keyring::Dave,
    Ed25519Keyring::Dave,
);

fn session_keys((stash, babe, grandpa): Validator) -> (AccountId, AccountId, SessionKeys) {
    let stash = stash.to_account_id();
    let keys = SessionKeys {
        babe: babe.public().into(),
        grandpa: grandpa.public().into(),
        authority_discovery: babe.public().into(),
    };
    (stash.clone(), stash, keys)
}

/// The accounts without keys that must exist before they are paid.
fn chain_balances() -> impl Iterator<Item = (AccountId, Balance)> {
    [
        treasury_account(),
        Models::account_id(),
        Validators::pot_account(),
    ]
    .into_iter()
    .map(|account| (account, EXISTENTIAL_DEPOSIT))
}

/// Alice to Ferdie and their stashes, and the chain's own accounts.
fn development_balances() -> Vec<(AccountId, Balance)> {
    Sr25519Keyring::well_known()
        .map(|account| (account.to_account_id(), DEVELOPMENT_ENDOWMENT))
        .chain(chain_balances())
        .collect()
}

/// Eras of two sessions, so that elections and payouts can be watched.
fn fast_validators(count: u32) -> pallet_validators::Parameters {
    pallet_validators::Parameters {
        min_validators: count.min(3),
        sessions_per_era: 2,
        bonding_sessions: 12,
        ..Default::default()
    }
}

/// Windows of a few blocks, so that earnings can be watched until they are free.
fn fast_providers() -> pallet_providers::ParametersOf<Runtime> {
    pallet_providers::Parameters {
        unbonding_blocks: 40,
        maturing_blocks: 30,
        ..Default::default()
    }
}

/// With a window of a few blocks, so that a job can be watched to its end.
fn fast_jobs(challenge_blocks: BlockNumber) -> pallet_jobs::ParametersOf<Runtime> {
    pallet_jobs::Parameters {
        challenge_blocks,
        retention_blocks: 600,
        ..Default::default()
    }
}

/// As long as earnings mature.
fn fast_disputes() -> pallet_disputes::ParametersOf<Runtime> {
    pallet_disputes::Parameters {
        challenge_blocks: 30,
        commitment_blocks: 20,
        reply_blocks: 20,
        ..Default::default()
    }
}

/// Long enough for a worker that was just started again to settle.
fn fast_channels() -> pallet_channels::ParametersOf<Runtime> {
    pallet_channels::Parameters {
        close_window_blocks: 10,
        retention_blocks: 60,
        ..Default::default()
    }
}

/// `challenge_blocks` is the window of jobs.
fn for_development(
    validators: &[Validator],
    epoch_slots: u64,
    challenge_blocks: BlockNumber,
) -> Value {
    let bonds = validators
        .iter()
        .map(|(stash, _, _)| (stash.to_account_id(), DEVELOPMENT_BOND));
    build_struct_json_patch!(RuntimeGenesisConfig {
        timing: TimingConfig {
            slot_millis: 1_000,
            epoch_slots
        },
        babe: BabeConfig {
            epoch_config: BABE_GENESIS_EPOCH_CONFIG
        },
        balances: BalancesConfig {
            balances: development_balances()
        },
        validators: ValidatorsConfig {
            validators: bonds.collect::<Vec<_>>(),
            parameters: fast_validators(validators.len() as u32)
        },
        session: SessionConfig {
            keys: validators
                .iter()
                .copied()
                .map(session_keys)
                .collect::<Vec<_>>()
        },
        providers: ProvidersConfig {
            parameters: fast_providers()
        },
        jobs: JobsConfig {
            parameters: fast_jobs(challenge_blocks)
        },
        channels: ChannelsConfig {
            parameters: fast_channels()
        },
        disputes: DisputesConfig {
            parameters: fast_disputes()
        },
        governance: GovernanceConfig {
            day_blocks: FAST_DAY_BLOCKS
        },
        sudo: SudoConfig {
            key: Some(Sr25519Keyring::Alice.to_account_id())
        },
    })
}

fn production() -> Value {
    build_struct_json_patch!(RuntimeGenesisConfig {
        timing: TimingConfig {
            slot_millis: 6_000,
            epoch_slots: 600
        },
        babe: BabeConfig {
            epoch_config: BABE_GENESIS_EPOCH_CONFIG
        },
        balances: BalancesConfig {
            balances: chain_balances().collect::<Vec<_>>()
        },
    })
}

/// The preset called `id`, as a JSON patch of the default genesis.
pub fn get_preset(id: &PresetId) -> Option<Vec<u8>> {
    let patch = match id.as_ref() {
        // Epochs of a minute: the block that ends an epoch has no room for transactions.
        DEV_RUNTIME_PRESET => for_development(&[ALICE], 60, 5),
        // Where transactions travel, and wait among others, a challenger needs several blocks for each of two.
        LOCAL_TESTNET_RUNTIME_PRESET => for_development(&[ALICE, BOB, CHARLIE, DAVE], 20, 20),
        PRODUCTION_PRESET => production(),
        _ => return None,
    };
    Some(patch.to_string().into_bytes())
}

/// The presets from which a chain can be started as they are.
pub fn preset_names() -> Vec<PresetId> {
    vec![
        PresetId::from(DEV_RUNTIME_PRESET),
        PresetId::from(LOCAL_TESTNET_RUNTIME_PRESET),
    ]
}
