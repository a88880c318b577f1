//! Chains at their genesis.

use assay_runtime::{genesis_config_presets::get_preset, RuntimeGenesisConfig};
use frame_support::genesis_builder_helper::{build_state, get_preset as get_preset_or_default};
use serde_json::Value;

/// The whole genesis that a preset stands for.
pub fn of(preset: &str) -> Value {
    let json = |id| {
        let bytes = get_preset_or_default::<RuntimeGenesisConfig>(&id, get_preset).unwrap();
        serde_json::from_slice::<Value>(&bytes).unwrap()
    };
    let mut genesis = json(None);
    merge(&mut genesis, json(Some(preset.into())));
    genesis
}

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

/// Builds the state of the chain; the error is what is wrong with the genesis.
pub fn build(genesis: &Value) -> Result<sp_io::TestExternalities, String> {
    let mut ext = sp_io::TestExternalities::new_empty();
    ext.execute_with(|| build_state::<RuntimeGenesisConfig>(genesis.to_string().into_bytes()))?;
    Ok(ext)
}

/// The chain of a preset, before its first block.
pub fn chain_of(preset: &str) -> sp_io::TestExternalities {
    build(&of(preset)).unwrap()
}
