//! Floats of which `assay model import` makes exact models.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde_json::{json, Map, Value};

use crate::{copy, repository};

/// Where the shipped model lies in the repository.
pub(crate) const DEMO: &str = "models/demo/assay-demo";

/// The shipped model.
pub fn demo_source() -> Result<PathBuf> {
    Ok(repository()?.join(DEMO))
}

/// The same in `folder`, but it hardly ever ends an answer by itself.
pub fn endless_source(folder: &Path) -> Result<PathBuf> {
    let source = folder.join("endless-source");
    // The Qwen3 is made of it, and both may be wanted.
    if source.exists() {
        return Ok(source);
    }
    copy(&demo_source()?, &source)?;
    for name in ["config.json", "generation_config.json"] {
        // The token of a byte that is in no text.
        change(&source.join(name), |config| {
            config["eos_token_id"] = json!([192]);
        })?;
    }
    Ok(source)
}

/// The endless one as a Qwen3, with a norm for each head's queries and keys.
pub fn qwen3_source(folder: &Path) -> Result<PathBuf> {
    let source = folder.join("qwen3-source");
    copy(&endless_source(folder)?, &source)?;
    let (mut layers, mut width) = (0, 0);
    change(&source.join("config.json"), |config| {
        config["model_type"] = json!("qwen3");
        config["architectures"] = json!(["Qwen3ForCausalLM"]);
        layers = config["num_hidden_layers"].as_u64().unwrap_or_default();
        width = config["head_dim"].as_u64().unwrap_or_default() as usize;
    })?;
    let mut norms = Vec::new();
    for layer in 0..layers {
        for (seed, norm) in ["q_norm", "k_norm"].into_iter().enumerate() {
            let name = format!("model.layers.{layer}.self_attn.{norm}.weight");
            let gamma = |index| 0.5 + ((index * 7 + seed * 3 + layer as usize) % 16) as f32 / 8.0;
            norms.push((name, (0..width).map(gamma).collect()));
        }
    }
    add_tensors(&source.join("model.safetensors"), norms)?;
    Ok(source)
}

fn change(path: &Path, change: impl FnOnce(&mut Value)) -> Result<()> {
    let mut json: Value = serde_json::from_slice(&fs::read(path)?)?;
    change(&mut json);
    Ok(fs::write(path, json.to_string())?)
}

/// Adds vectors, which bfloat16 holds exactly, to a safetensors file: the length of its header, the header in
/// JSON, and the tensors' bytes.
fn add_tensors(path: &Path, tensors: Vec<(String, Vec<f32>)>) -> Result<()> {
    let bytes = fs::read(path)?;
    let (length, rest) = bytes.split_first_chunk::<8>().context("a header")?;
    let length = u64::from_le_bytes(*length) as usize;
    let (header, data) = rest.split_at_checked(length).context("a header")?;
    let mut header: Map<String, Value> = serde_json::from_slice(header)?;
    let mut data = data.to_vec();
    for (name, numbers) in tensors {
        let start = data.len();
        for number in &numbers {
            data.extend(&number.to_bits().to_le_bytes()[2..]);
        }
        let place = json!({
            "dtype": "BF16",
            "shape": [numbers.len()],
            "data_offsets": [start, data.len()],
        });
        header.insert(name, place);
    }
    let header = serde_json::to_vec(&header)?;
    let length = (header.len() as u64).to_le_bytes();
    Ok(fs::write(path, [&length[..], &header, &data].concat())?)
}
