//! The front of a GGUF file: keys with their values, and the tensors with their places.
//!
//! Nothing in the file is believed. Every count is used up by bytes that are there, nothing is
//! allocated by a declared number, and every tensor must lie where the one before it ends.

use std::{collections::BTreeMap, collections::BTreeSet, path::Path};

use super::{
    super::{
        checkpoint::{Place, MAX_DIMENSIONS},
        tensor::{Element, Order},
        ImportError,
    },
    metadata::Metadata,
    value::{Broken, Reader, Value},
};

const MAGIC: [u8; 4] = *b"GGUF";

/// Longest front, in bytes. A vocabulary of 2^18 tokens and its merges take about 10 MB.
const MAX_HEADER: usize = 100_000_000;

/// The most keys; a model has less than 100.
const MAX_KEYS: u64 = 1 << 16;
/// The most tensors; a layer has about 12.
const MAX_TENSORS: u64 = 1 << 20;

/// Boundary on which tensors begin, in bytes, unless the file names another.
const ALIGNMENT: u64 = 32;

/// What the front of a file says.
pub(super) struct Header<'a> {
    pub metadata: Metadata<'a>,
    pub tensors: Vec<(String, Place)>,
}

/// Read the front of `file`, whose name is `path`.
pub(super) fn read<'a>(path: &'a Path, file: &'a [u8]) -> Result<Header<'a>, ImportError> {
    let broken = |reason: Broken| ImportError::malformed(path, reason);
    let front = file.get(..MAX_HEADER).unwrap_or(file);
    let mut reader = Reader { rest: front };
    if reader.bytes(4).ok() != Some(&MAGIC) {
        return Err(ImportError::Neither(path.into()));
    }
    let version = reader.u32().map_err(broken)?;
    if ![2, 3].contains(&version) {
        let what = match version.swap_bytes() {
            2 | 3 => "is a big-endian GGUF file".into(),
            _ => format!("is a GGUF file of version {version}"),
        };
        const INSTEAD: &str = "convert the model to GGUF version 3, little-endian";
        return Err(ImportError::unclear(path, what, INSTEAD));
    }
    let tensors = reader.count("tensors", MAX_TENSORS).map_err(broken)?;
    let keys = reader.count("keys", MAX_KEYS).map_err(broken)?;
    let metadata = Metadata::new(path, entries(&mut reader, keys).map_err(broken)?);
    let mut infos = Vec::new();
    for _ in 0..tensors {
        infos.push(info(&mut reader).map_err(broken)?);
    }
    let end = front.len().saturating_sub(reader.rest.len());
    let tensors = places(path, file.len(), end, alignment(&metadata)?, infos)?;
    Ok(Header { metadata, tensors })
}

fn entries<'a>(
    reader: &mut Reader<'a>,
    count: u64,
) -> Result<BTreeMap<&'a str, Value<'a>>, Broken> {
    let mut entries = BTreeMap::new();
    for _ in 0..count {
        let key = reader.name()?;
        let kind = reader.kind()?;
        let value = reader.value(kind)?;
        if entries.insert(key, value).is_some() {
            return Err(format!("has the key {key:?} twice"));
        }
    }
    Ok(entries)
}

fn alignment(metadata: &Metadata) -> Result<u64, ImportError> {
    let alignment = metadata
        .integer("general.alignment")?
        .unwrap_or(ALIGNMENT.into());
    match u64::try_from(alignment) {
        Ok(alignment) if alignment.is_power_of_two() && alignment <= 1 << 20 => Ok(alignment),
        _ => Err(ImportError::malformed(
            metadata.path(),
            format!("has the alignment {alignment}, which is no power of two up to 2^20"),
        )),
    }
}

/// A tensor as the front describes it.
struct Info<'a> {
    name: &'a str,
    /// Outermost dimension first.
    shape: Vec<usize>,
    kind: u32,
    /// From the end of the front, rounded up to the alignment.
    offset: u64,
}

fn info<'a>(reader: &mut Reader<'a>) -> Result<Info<'a>, Broken> {
    let name = reader.name()?;
    let dimensions = reader.u32()?;
    if dimensions == 0 || dimensions as usize > MAX_DIMENSIONS {
        return Err(format!("gives tensor {name:?} {dimensions} dimensions"));
    }
    let mut shape = Vec::new();
    for _ in 0..dimensions {
        let size = usize::try_from(reader.u64()?);
        shape.insert(
            0,
            size.map_err(|_| format!("gives tensor {name:?} a huge dimension"))?,
        );
    }
    Ok(Info {
        name,
        shape,
        kind: reader.u32()?,
        offset: reader.u64()?,
    })
}

/// Where the tensors lie in a file of `length` bytes whose front ends at `front_end`.
fn places(
    path: &Path,
    length: usize,
    front_end: usize,
    alignment: u64,
    infos: Vec<Info<'_>>,
) -> Result<Vec<(String, Place)>, ImportError> {
    let broken = |reason: Broken| ImportError::malformed(path, reason);
    let begin = (front_end as u64).next_multiple_of(alignment);
    let available = (length as u64).saturating_sub(begin);
    let (mut names, mut places) = (BTreeSet::new(), Vec::new());
    // Bytes of tensors so far, with and without what fills up the last one.
    let (mut next, mut end) = (0u64, 0u64);
    for info in infos {
        let name = info.name;
        if !names.insert(name) {
            return Err(ImportError::Duplicate(name.into()));
        }
        let element = element(info.kind).ok_or_else(|| ImportError::ElementType {
            name: name.into(),
            found: kind_name(info.kind),
        })?;
        if info.offset != next {
            return Err(broken(format!(
                "has tensor {name:?} at offset {}, and the tensors before it end at {next}",
                info.offset
            )));
        }
        let bytes = bytes(element, &info.shape).ok_or_else(|| {
            let shape = &info.shape;
            broken(format!(
                "has tensor {name:?} of {shape:?}, which no {element:?} tensor can be"
            ))
        })?;
        end = match next.checked_add(bytes) {
            Some(end) if end <= available => end,
            _ => {
                return Err(broken(format!(
                    "has {available} bytes of weights, and tensor {name:?} does not fit in"
                )))
            }
        };
        let place = |offset: u64| usize::try_from(begin.saturating_add(offset));
        let (Ok(start), Ok(stop)) = (place(next), place(end)) else {
            return Err(broken("is too long for this machine".into()));
        };
        places.push((
            name.to_owned(),
            Place {
                shape: info.shape,
                element: Ok(element),
                order: Order::Halves,
                start,
                end: stop,
            },
        ));
        next = end.next_multiple_of(alignment);
    }
    // Writers fill up the last tensor, or not.
    if available > next {
        return Err(broken(format!(
            "has {available} bytes of weights, and its header promises {end}"
        )));
    }
    Ok(places)
}

fn bytes(element: Element, shape: &[usize]) -> Option<u64> {
    let (inputs, outer) = shape.split_last()?;
    let rows = outer
        .iter()
        .try_fold(1usize, |n, size| n.checked_mul(*size))?;
    let bytes = element.row_bytes(*inputs)?.checked_mul(rows)?;
    u64::try_from(bytes).ok()
}

fn element(kind: u32) -> Option<Element> {
    match kind {
        0 => Some(Element::F32),
        1 => Some(Element::F16),
        8 => Some(Element::Q8_0),
        30 => Some(Element::Bf16),
        _ => None,
    }
}

/// The name of a type that is not read.
fn kind_name(kind: u32) -> String {
    let names = [
        (2, "Q4_0"),
        (3, "Q4_1"),
        (6, "Q5_0"),
        (7, "Q5_1"),
        (9, "Q8_1"),
        (10, "Q2_K"),
        (11, "Q3_K"),
        (12, "Q4_K"),
        (13, "Q5_K"),
        (14, "Q6_K"),
        (15, "Q8_K"),
        (20, "IQ4_NL"),
        (23, "IQ4_XS"),
        (28, "F64"),
        (39, "MXFP4"),
    ];
    match names.iter().find(|(known, _)| *known == kind) {
        Some((_, name)) => (*name).into(),
        None => format!("of GGUF's type {kind}"),
    }
}
