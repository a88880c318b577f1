//! The chains that the node knows by name. Their genesis comes from the runtime's presets.

use assay_runtime::{
    genesis_config_presets::PRODUCTION_PRESET, opaque::Block, SS58_PREFIX, TOKEN_DECIMALS,
    TOKEN_SYMBOL, WASM_BINARY,
};
use sc_chain_spec::{ChainSpecExtension, ChainType, Properties};
use serde::{Deserialize, Serialize};

const DEVELOPMENT_PRESET: &str = "development";
const LOCAL_TESTNET_PRESET: &str = "local_testnet";

/// What a specification may hold beyond the genesis.
#[derive(Default, Clone, Serialize, Deserialize, ChainSpecExtension)]
#[serde(rename_all = "camelCase")]
pub struct Extensions {
    /// Blocks that must be on the chain.
    pub fork_blocks: sc_client_api::ForkBlocks<Block>,
    /// Blocks that must not be on the chain.
    pub bad_blocks: sc_client_api::BadBlocks<Block>,
    /// A finalised state from which light clients may start.
    pub light_sync_state: sc_sync_state_rpc::LightSyncStateExtension,
}

/// Specification of an Assay chain.
pub type ChainSpec = sc_service::GenericChainSpec<Extensions>;

/// One validator, fast slots.
pub fn development() -> Result<ChainSpec, String> {
    from_preset(
        "Assay Development",
        "assay_dev",
        ChainType::Development,
        DEVELOPMENT_PRESET,
    )
}

/// Four validators, fast slots.
pub fn local_testnet() -> Result<ChainSpec, String> {
    from_preset(
        "Assay Local Testnet",
        "assay_local",
        ChainType::Local,
        LOCAL_TESTNET_PRESET,
    )
}

/// A template without validators, to be filled in by whoever launches a chain.
pub fn production() -> Result<ChainSpec, String> {
    from_preset("Assay", "assay", ChainType::Live, PRODUCTION_PRESET)
}

fn from_preset(
    name: &str,
    id: &str,
    chain_type: ChainType,
    preset: &str,
) -> Result<ChainSpec, String> {
    let wasm = WASM_BINARY.ok_or(
        "this assay-node was built without its runtime: build it again without SKIP_WASM_BUILD",
    )?;
    Ok(ChainSpec::builder(wasm, Extensions::default())
        .with_name(name)
        .with_id(id)
        .with_chain_type(chain_type)
        .with_protocol_id(id)
        .with_properties(properties())
        .with_genesis_config_preset_name(preset)
        .build())
}

/// How wallets show amounts and addresses.
fn properties() -> Properties {
    let mut properties = Properties::new();
    properties.insert("tokenSymbol".into(), TOKEN_SYMBOL.into());
    properties.insert("tokenDecimals".into(), TOKEN_DECIMALS.into());
    properties.insert("ss58Format".into(), SS58_PREFIX.into());
    properties
}
