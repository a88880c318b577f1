//! The safetensors files of a Hugging Face folder.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use memmap2::Mmap;
use safetensors::{
    tensor::{Metadata, TensorInfo},
    Dtype,
};
use serde::Deserialize;

use crate::folder::one_line;

use super::{
    checkpoint::{self, Checkpoint, Place, MAX_DIMENSIONS, MAX_NAME},
    tensor::{Element, Order},
    ImportError,
};

const WEIGHTS: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// Longest header that is parsed, as the safetensors library has it.
const MAX_HEADER: usize = 100_000_000;

/// Map `model.safetensors`, or else the files that the index names.
pub(super) fn open(folder: &Path) -> Result<Checkpoint, ImportError> {
    let mut checkpoint = Checkpoint::new(str::to_owned);
    for path in paths(folder)? {
        let file = checkpoint::map(&path)?;
        let tensors = tensors(&path, &file)?;
        for (name, _) in &tensors {
            // Llama's first checkpoints carry the frequencies that config.json gives already.
            if name.ends_with(".rotary_emb.inv_freq") {
                checkpoint.ignore(name);
            }
        }
        checkpoint.add(file, tensors)?;
    }
    Ok(checkpoint)
}

fn tensors(path: &Path, file: &Mmap) -> Result<Vec<(String, Place)>, ImportError> {
    let broken = |reason: &str| ImportError::malformed(path, reason);
    let (length, rest) = file
        .split_first_chunk::<8>()
        .ok_or_else(|| broken("is shorter than a safetensors header"))?;
    let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
    if length > MAX_HEADER {
        return Err(broken("has no safetensors header"));
    }
    let (header, data) = rest
        .split_at_checked(length)
        .ok_or_else(|| broken("is truncated in its header"))?;
    // The library checks that the tensors follow one another without gaps and have their
    // shape's length.
    let metadata: Metadata = serde_json::from_slice(header)
        .map_err(|error| ImportError::malformed(path, format!("header: {error}")))?;
    if metadata.data_len() != data.len() {
        return Err(broken(&format!(
            "has {} bytes of weights, and its header promises {}",
            data.len(),
            metadata.data_len()
        )));
    }
    // Errors show both.
    let unusual =
        |name: &str, info: &TensorInfo| name.len() > MAX_NAME || info.shape.len() > MAX_DIMENSIONS;
    if metadata
        .tensors()
        .iter()
        .any(|(name, info)| unusual(name, info))
    {
        return Err(broken("has a tensor with a huge name or shape"));
    }
    let before = file.len().saturating_sub(data.len());
    let place = |(name, info): (String, &TensorInfo)| {
        let (start, end) = info.data_offsets;
        let place = Place {
            shape: info.shape.clone(),
            element: match info.dtype {
                Dtype::F32 => Ok(Element::F32),
                Dtype::F16 => Ok(Element::F16),
                Dtype::BF16 => Ok(Element::Bf16),
                other => Err(format!("{other:?}")),
            },
            order: Order::Halves,
            start: before.saturating_add(start),
            end: before.saturating_add(end),
        };
        (name, place)
    };
    Ok(metadata.tensors().into_iter().map(place).collect())
}

#[derive(Deserialize)]
struct Index {
    /// File by tensor name.
    weight_map: BTreeMap<String, String>,
}

fn paths(folder: &Path) -> Result<Vec<PathBuf>, ImportError> {
    let single = folder.join(WEIGHTS);
    let path = folder.join(INDEX);
    if single.exists() || !path.exists() {
        return Ok(vec![single]);
    }
    let text = std::fs::read(&path).map_err(|error| ImportError::file(&path, &error))?;
    let index: Index =
        serde_json::from_slice(&text).map_err(|error| ImportError::malformed(&path, error))?;
    let names: BTreeSet<String> = index.weight_map.into_values().collect();
    names
        .into_iter()
        .map(|name| {
            // The index comes with the download and must not lead out of the folder, nor write to a
            // terminal where an error shows it.
            let plain = name.len() <= MAX_NAME && !name.contains(char::is_control);
            if plain && Path::new(&name).file_name() == Some(name.as_ref()) {
                Ok(folder.join(name))
            } else {
                let name = one_line(format!("{name:?}"));
                Err(ImportError::malformed(
                    &path,
                    format!("names the file {name}"),
                ))
            }
        })
        .collect()
}
