//! The tensors of one or several safetensors files.
//!
//! They are read and not mapped: each is widened to f32 anyway, so a mapping would save nothing,
//! and a file that shrinks under a mapping ends the process where a read returns an error.

use std::{
    collections::{btree_map::Entry, BTreeMap},
    fs::File,
    io::{ErrorKind, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use candle_core::{DType, Device, Tensor};
use safetensors::{tensor::Metadata, Dtype};
use serde::Deserialize;

use super::{fault, one_line, parse, read, AGAIN, SAME_MODEL};
use crate::engine::EngineError;

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// Bytes of the header's length, at the start of a file.
const PREFIX_BYTES: u64 = 8;

/// The largest header that the format allows.
const MAX_HEADER_BYTES: u64 = 100_000_000;

pub(super) struct Weights {
    shards: Vec<Shard>,
    tensors: BTreeMap<String, Stored>,
}

/// One file, open so that what is read later is what was checked.
struct Shard {
    path: PathBuf,
    file: File,
}

/// Where a tensor lies.
struct Stored {
    shard: usize,
    dtype: Dtype,
    shape: Vec<usize>,
    start: u64,
    bytes: usize,
}

#[derive(Deserialize)]
struct Index {
    /// File by tensor name.
    weight_map: BTreeMap<String, String>,
}

impl Weights {
    /// Opens the weights in `folder` and reads their headers.
    pub(super) fn open(folder: &Path) -> Result<Self, EngineError> {
        let mut weights = Self {
            shards: Vec::new(),
            tensors: BTreeMap::new(),
        };
        let single = folder.join(SINGLE);
        let index_file = folder.join(INDEX);
        if single.exists() {
            weights.add(single)?;
            return Ok(weights);
        }
        if !index_file.exists() {
            let problem = format!("is missing, and so is {INDEX}");
            let next = "put the model's weights there in the safetensors format";
            return Err(fault(&single, problem, next));
        }
        let index: Index = parse(&index_file, &read(&index_file)?)?;
        let mut shard_of = BTreeMap::new();
        for name in index.weight_map.values() {
            if let Entry::Vacant(vacant) = shard_of.entry(name.as_str()) {
                // The index comes with the download and must not lead out of the folder.
                if Path::new(name).file_name() != Some(name.as_ref()) {
                    return Err(fault(
                        &index_file,
                        format!("names the file {name:?}"),
                        AGAIN,
                    ));
                }
                vacant.insert(weights.shards.len());
                weights.add(folder.join(name))?;
            }
        }
        for (tensor, name) in &index.weight_map {
            let held_by = weights.tensors.get(tensor).map(|stored| stored.shard);
            if held_by.is_none() || held_by != shard_of.get(name.as_str()).copied() {
                let problem = format!("lacks tensor {tensor}, which {INDEX} says it holds");
                return Err(fault(&folder.join(name), problem, AGAIN));
            }
        }
        Ok(weights)
    }

    /// Reads the header of the file at `path` and holds it against the file's length.
    fn add(&mut self, path: PathBuf) -> Result<(), EngineError> {
        let broken = |error: std::io::Error| match error.kind() {
            ErrorKind::NotFound => fault(&path, "is missing", "copy it from the model's publisher"),
            ErrorKind::UnexpectedEof => fault(&path, "is truncated", AGAIN),
            _ => {
                let problem = format!("cannot be read: {error}");
                fault(&path, problem, "check the file and its permissions")
            }
        };
        let mut file = File::open(&path).map_err(broken)?;
        let found = file.metadata().map_err(broken)?.len();
        let mut prefix = [0; PREFIX_BYTES as usize];
        file.read_exact(&mut prefix).map_err(broken)?;
        let header_bytes = u64::from_le_bytes(prefix);
        if header_bytes > MAX_HEADER_BYTES {
            return Err(fault(&path, "is not a safetensors file", AGAIN));
        }
        let data_start = PREFIX_BYTES + header_bytes;
        if data_start > found {
            return Err(truncated(&path, found, data_start));
        }
        let mut header = vec![0; header_bytes as usize];
        file.read_exact(&mut header).map_err(broken)?;
        let metadata: Metadata = serde_json::from_slice(&header).map_err(|error| {
            let problem = format!("has a header that is not safetensors': {error}");
            fault(&path, one_line(&problem), AGAIN)
        })?;
        let wanted = data_start.saturating_add(metadata.data_len() as u64);
        if found < wanted {
            return Err(truncated(&path, found, wanted));
        }
        if found > wanted {
            let problem = format!("has {} bytes after its last tensor", found - wanted);
            return Err(fault(&path, problem, AGAIN));
        }
        let shard = self.shards.len();
        for (name, info) in metadata.tensors() {
            let (start, end) = info.data_offsets;
            let stored = Stored {
                shard,
                dtype: info.dtype,
                shape: info.shape.clone(),
                start: data_start.saturating_add(start as u64),
                bytes: end.saturating_sub(start),
            };
            if self.tensors.contains_key(&name) {
                let problem = format!("holds tensor {name}, and so does another file");
                return Err(fault(&path, problem, AGAIN));
            }
            self.tensors.insert(name, stored);
        }
        self.shards.push(Shard { path, file });
        Ok(())
    }

    /// Every tensor's name with the file that holds it.
    pub(super) fn names(&self) -> impl Iterator<Item = (&str, &Path)> {
        self.tensors
            .iter()
            .filter_map(|(name, stored)| Some((name.as_str(), self.path_of(stored)?)))
    }

    /// Checks that the tensor exists, with this shape and of a type that can be widened to f32.
    pub(super) fn check(&self, name: &str, shape: &[usize]) -> Result<(), EngineError> {
        let (stored, shard) = self.find(name)?;
        let path = shard.path.as_path();
        if stored.shape != shape {
            let found = &stored.shape;
            let problem =
                format!("holds {name} with shape {found:?}, but config.json asks for {shape:?}");
            return Err(fault(path, problem, SAME_MODEL));
        }
        if float_type(stored.dtype).is_none() {
            let problem = format!("holds {name} as {:?}", stored.dtype);
            return Err(fault(path, problem, "use weights in BF16, F16 or F32"));
        }
        Ok(())
    }

    /// Reads a tensor and widens it to f32.
    pub(super) fn read(&self, name: &str) -> Result<Tensor, EngineError> {
        let (stored, shard) = self.find(name)?;
        let unreadable = |problem: String| {
            let problem = format!("{name} cannot be read: {}", one_line(&problem));
            fault(&shard.path, problem, "check the file and start again")
        };
        let mut bytes = vec![0; stored.bytes];
        let mut file = &shard.file;
        file.seek(SeekFrom::Start(stored.start))
            .and_then(|_| file.read_exact(&mut bytes))
            .map_err(|error| unreadable(error.to_string()))?;
        let dtype = float_type(stored.dtype)
            .ok_or_else(|| unreadable(format!("{:?} is not a float", stored.dtype)))?;
        Tensor::from_raw_buffer(&bytes, dtype, &stored.shape, &Device::Cpu)
            .and_then(|tensor| tensor.to_dtype(DType::F32))
            .map_err(|error| unreadable(error.to_string()))
    }

    fn find(&self, name: &str) -> Result<(&Stored, &Shard), EngineError> {
        let stored = self.tensors.get(name);
        let found = stored.and_then(|stored| Some((stored, self.shards.get(stored.shard)?)));
        found.ok_or_else(|| {
            // With several files none of them is to blame, so the first stands for their set.
            let path = self
                .shards
                .first()
                .map_or(Path::new(SINGLE), |shard| &shard.path);
            fault(
                path,
                format!("lacks tensor {name}, which config.json asks for"),
                SAME_MODEL,
            )
        })
    }

    fn path_of(&self, stored: &Stored) -> Option<&Path> {
        self.shards
            .get(stored.shard)
            .map(|shard| shard.path.as_path())
    }
}

fn truncated(path: &Path, found: u64, wanted: u64) -> EngineError {
    let problem = format!("is truncated: {found} of at least {wanted} bytes are there");
    fault(path, problem, AGAIN)
}

fn float_type(dtype: Dtype) -> Option<DType> {
    match dtype {
        Dtype::F32 => Some(DType::F32),
        Dtype::F16 => Some(DType::F16),
        Dtype::BF16 => Some(DType::BF16),
        _ => None,
    }
}
