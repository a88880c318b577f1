//! The safetensors files of a folder: tensors by name, read row by row into f64.
//!
//! The files are mapped, so memory holds one row at a time. They must not be changed while they are
//! read.

// Every offset below is checked against the file when it is opened.
#![allow(clippy::arithmetic_side_effects)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    path::{Path, PathBuf},
};

use memmap2::Mmap;
use safetensors::{tensor::Metadata, Dtype};
use serde::Deserialize;

use super::{
    error::one_line,
    float::{from_bf16, from_f16},
    ImportError,
};

const WEIGHTS: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// Longest header that is parsed, as the safetensors library has it.
const MAX_HEADER: usize = 100_000_000;

/// The tensors of a folder.
pub(super) struct Checkpoint {
    files: Vec<Mmap>,
    places: BTreeMap<String, Place>,
    used: BTreeSet<String>,
}

struct Place {
    file: usize,
    element: Dtype,
    shape: Vec<usize>,
    start: usize,
    end: usize,
}

/// One tensor of one or two dimensions.
pub(super) struct Tensor<'a> {
    name: String,
    element: Element,
    rows: usize,
    inputs: usize,
    bytes: &'a [u8],
}

#[derive(Clone, Copy)]
enum Element {
    Bf16,
    F16,
    F32,
}

impl Checkpoint {
    /// Map `model.safetensors`, or else the files that the index names.
    pub fn open(folder: &Path) -> Result<Self, ImportError> {
        let mut checkpoint = Self {
            files: Vec::new(),
            places: BTreeMap::new(),
            used: BTreeSet::new(),
        };
        for path in paths(folder)? {
            checkpoint.add(&path)?;
        }
        Ok(checkpoint)
    }

    fn add(&mut self, path: &Path) -> Result<(), ImportError> {
        let file = File::open(path).map_err(|error| ImportError::file(path, &error))?;
        // SAFETY: the mapping is only read, as bytes; that nobody else writes to the file meanwhile is
        // the caller's part of the contract.
        let map = unsafe { Mmap::map(&file) }.map_err(|error| ImportError::file(path, &error))?;
        let broken = |reason: &str| ImportError::malformed(path, reason);
        let (length, rest) = map
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
        for (name, info) in metadata.tensors() {
            let (start, end) = info.data_offsets;
            let place = Place {
                file: self.files.len(),
                element: info.dtype,
                shape: info.shape.clone(),
                start: 8 + length + start,
                end: 8 + length + end,
            };
            if self.places.insert(name.clone(), place).is_some() {
                return Err(ImportError::Duplicate(name));
            }
        }
        self.files.push(map);
        Ok(())
    }

    /// Mark a tensor as known, whether it is there or not.
    pub fn ignore(&mut self, name: &str) {
        self.used.insert(name.into());
    }

    /// Every tensor must have been asked for or ignored.
    pub fn finish(&self) -> Result<(), ImportError> {
        let unknown = self.places.keys().find(|name| {
            // Llama's first checkpoints carry the frequencies that config.json gives already.
            !self.used.contains(*name) && !name.ends_with(".rotary_emb.inv_freq")
        });
        match unknown {
            Some(name) => Err(ImportError::Unexpected(name.clone())),
            None => Ok(()),
        }
    }

    /// Check that the tensor `name` is there, has this shape and can be read.
    pub fn require(&mut self, name: &str, shape: &[usize]) -> Result<(), ImportError> {
        self.tensor(name, shape)?;
        self.used.insert(name.into());
        Ok(())
    }

    /// The tensor `name`, which must have this shape; a vector is one row.
    pub fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor<'_>, ImportError> {
        let missing = || ImportError::Missing(name.into());
        let place = self.places.get(name).ok_or_else(missing)?;
        if place.shape != shape {
            return Err(ImportError::TensorShape {
                name: name.into(),
                found: place.shape.clone(),
                expected: shape.into(),
            });
        }
        let element = match place.element {
            Dtype::BF16 => Element::Bf16,
            Dtype::F16 => Element::F16,
            Dtype::F32 => Element::F32,
            other => {
                return Err(ImportError::ElementType {
                    name: name.into(),
                    found: format!("{other:?}"),
                })
            }
        };
        let (rows, inputs) = match *shape {
            [inputs] => (1, inputs),
            [rows, inputs] => (rows, inputs),
            _ => return Err(missing()),
        };
        let bytes = self
            .files
            .get(place.file)
            .and_then(|file| file.get(place.start..place.end))
            .ok_or_else(missing)?;
        Ok(Tensor {
            name: name.into(),
            element,
            rows,
            inputs,
            bytes,
        })
    }

    /// All elements of a vector.
    pub fn vector(&self, name: &str, length: usize) -> Result<Vec<f64>, ImportError> {
        let mut elements = Vec::new();
        self.tensor(name, &[length])?.row(0, &mut elements)?;
        Ok(elements)
    }
}

impl Tensor<'_> {
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// The elements of one row, in place of what `out` had. An element that is not finite is an error.
    pub fn row(&self, row: usize, out: &mut Vec<f64>) -> Result<(), ImportError> {
        let width = match self.element {
            Element::F32 => 4,
            Element::Bf16 | Element::F16 => 2,
        } * self.inputs;
        let start = row * width;
        let bytes = self.bytes.get(start..start + width).unwrap_or_default();
        out.clear();
        match self.element {
            Element::Bf16 => out.extend(halves(bytes).map(from_bf16)),
            Element::F16 => out.extend(halves(bytes).map(from_f16)),
            Element::F32 => out.extend(
                bytes
                    .as_chunks::<4>()
                    .0
                    .iter()
                    .map(|b| f64::from(f32::from_le_bytes(*b))),
            ),
        }
        match out.iter().position(|x| !x.is_finite()) {
            None => Ok(()),
            Some(place) => Err(ImportError::NotFinite {
                name: self.name.clone(),
                index: row * self.inputs + place,
                value: out.get(place).copied().unwrap_or(f64::NAN),
            }),
        }
    }
}

fn halves(bytes: &[u8]) -> impl Iterator<Item = u16> + '_ {
    let (pairs, _) = bytes.as_chunks::<2>();
    pairs.iter().map(|pair| u16::from_le_bytes(*pair))
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
            // The index comes with the download and must not lead out of the folder.
            if Path::new(&name).file_name() == Some(name.as_ref()) {
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
