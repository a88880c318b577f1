//! The tensors of one or several safetensors files: their headers, held against the files, and
//! their bytes.
//!
//! They are read and not mapped: a file that shrinks under a mapping ends the process where a read
//! returns an error.

use std::{
    collections::{btree_map::Entry, BTreeMap},
    fs::File,
    io::{self, ErrorKind, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use assay_primitives::tree::weights_root;
use blake2::digest::Digest;
use safetensors::{tensor::Metadata, Dtype};
use serde::Deserialize;
use subxt::utils::H256;

use super::{parse, unreadable, Blake2b256, AGAIN, SAME_MODEL};
use crate::Error;

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
    name: String,
    path: PathBuf,
    file: File,
}

/// How and where a tensor is stored.
pub struct Stored {
    shard: usize,
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    start: u64,
    /// Its length.
    pub bytes: usize,
}

/// A tensor as its file has it.
pub struct RawTensor<'a> {
    /// One of F32, F16 and BF16.
    pub dtype: Dtype,
    pub shape: &'a [usize],
    /// Little-endian.
    pub bytes: Vec<u8>,
}

#[derive(Deserialize)]
struct Index {
    /// File by tensor name.
    weight_map: BTreeMap<String, String>,
}

impl Weights {
    /// Opens the weights in `folder` and reads their headers.
    pub(super) fn open(folder: &Path) -> Result<Self, Error> {
        let mut weights = Self {
            shards: Vec::new(),
            tensors: BTreeMap::new(),
        };
        let single = folder.join(SINGLE);
        let index_file = folder.join(INDEX);
        if single.exists() {
            weights.add(folder, SINGLE)?;
            return Ok(weights);
        }
        if !index_file.exists() {
            let problem = format!("is missing, and so is {INDEX}");
            let next = "put the model's weights there in the safetensors format";
            return Err(Error::file(&single, problem, next));
        }
        let index: Index = parse(&index_file)?;
        let mut shard_of = BTreeMap::new();
        for name in index.weight_map.values() {
            if let Entry::Vacant(vacant) = shard_of.entry(name.as_str()) {
                // The index comes with the download and must not lead out of the folder.
                if Path::new(name).file_name() != Some(name.as_ref()) {
                    let problem = format!("names the file {name:?}");
                    return Err(Error::file(&index_file, problem, AGAIN));
                }
                vacant.insert(weights.shards.len());
                weights.add(folder, name)?;
            }
        }
        for (tensor, name) in &index.weight_map {
            let held_by = weights.tensors.get(tensor).map(|stored| stored.shard);
            if held_by.is_none() || held_by != shard_of.get(name.as_str()).copied() {
                let problem = format!("lacks tensor {tensor}, which {INDEX} says it holds");
                return Err(Error::file(&folder.join(name), problem, AGAIN));
            }
        }
        Ok(weights)
    }

    /// Reads the header of the file `name` and holds it against the file's length.
    fn add(&mut self, folder: &Path, name: &str) -> Result<(), Error> {
        let path = folder.join(name);
        let broken = |error: io::Error| match error.kind() {
            ErrorKind::UnexpectedEof => Error::file(&path, "is truncated", AGAIN),
            _ => unreadable(&path, &error),
        };
        let mut file = File::open(&path).map_err(broken)?;
        let found = file.metadata().map_err(broken)?.len();
        let mut prefix = [0; PREFIX_BYTES as usize];
        file.read_exact(&mut prefix).map_err(broken)?;
        let header_bytes = u64::from_le_bytes(prefix);
        if header_bytes > MAX_HEADER_BYTES {
            return Err(Error::file(&path, "is not a safetensors file", AGAIN));
        }
        let data_start = PREFIX_BYTES + header_bytes;
        if data_start > found {
            return Err(truncated(&path, found, data_start));
        }
        let mut header = vec![0; header_bytes as usize];
        file.read_exact(&mut header).map_err(broken)?;
        let metadata: Metadata = serde_json::from_slice(&header).map_err(|error| {
            let problem = format!("has a header that is not safetensors': {error}");
            Error::file(&path, problem, AGAIN)
        })?;
        let wanted = data_start.saturating_add(metadata.data_len() as u64);
        if found < wanted {
            return Err(truncated(&path, found, wanted));
        }
        if found > wanted {
            let problem = format!("has {} bytes after its last tensor", found - wanted);
            return Err(Error::file(&path, problem, AGAIN));
        }
        let shard = self.shards.len();
        for (tensor, info) in metadata.tensors() {
            let (start, end) = info.data_offsets;
            let stored = Stored {
                shard,
                dtype: info.dtype,
                shape: info.shape.clone(),
                start: data_start.saturating_add(start as u64),
                bytes: end.saturating_sub(start),
            };
            if self.tensors.contains_key(&tensor) {
                let problem = format!("holds tensor {tensor}, and so does another file");
                return Err(Error::file(&path, problem, AGAIN));
            }
            self.tensors.insert(tensor, stored);
        }
        self.shards.push(Shard {
            name: name.into(),
            path,
            file,
        });
        Ok(())
    }

    /// Every tensor's name with the file that holds it.
    pub(super) fn names(&self) -> impl Iterator<Item = (&str, &Path)> {
        self.tensors
            .iter()
            .filter_map(|(name, stored)| Some((name.as_str(), self.path_of(stored)?)))
    }

    /// Checks that the tensor exists, with this shape and of a type that can be widened to f32.
    pub(super) fn check(&self, name: &str, shape: &[usize]) -> Result<(), Error> {
        let (stored, shard) = self.find(name)?;
        let path = shard.path.as_path();
        if stored.shape != shape {
            let found = &stored.shape;
            let problem =
                format!("holds {name} with shape {found:?}, but config.json asks for {shape:?}");
            return Err(Error::file(path, problem, SAME_MODEL));
        }
        if !matches!(stored.dtype, Dtype::F32 | Dtype::F16 | Dtype::BF16) {
            let problem = format!("holds {name} as {:?}", stored.dtype);
            return Err(Error::file(
                path,
                problem,
                "use weights in BF16, F16 or F32",
            ));
        }
        Ok(())
    }

    pub(super) fn stored(&self, name: &str) -> Option<&Stored> {
        self.tensors.get(name)
    }

    /// A tensor's type, shape and bytes.
    pub(super) fn read(&self, name: &str) -> Result<RawTensor<'_>, Error> {
        let (stored, shard) = self.find(name)?;
        let mut bytes = vec![0; stored.bytes];
        let mut file = &shard.file;
        file.seek(SeekFrom::Start(stored.start))
            .and_then(|_| file.read_exact(&mut bytes))
            .map_err(|error| {
                let problem = format!("{name} cannot be read: {error}");
                Error::file(&shard.path, problem, "check the file and start again")
            })?;
        Ok(RawTensor {
            dtype: stored.dtype,
            shape: &stored.shape,
            bytes,
        })
    }

    /// Root over the files that hold the tensors. Reads them once.
    pub(super) fn root(&self) -> Result<H256, Error> {
        // A listing takes them in the order of their names.
        let mut shards: Vec<&Shard> = self.shards.iter().collect();
        shards.sort_by_key(|shard| shard.name.as_str());
        let mut files = Vec::with_capacity(shards.len());
        for shard in shards {
            let (length, hash) =
                hash_file(&shard.file).map_err(|error| unreadable(&shard.path, &error))?;
            files.push((shard.name.as_str(), length, hash));
        }
        Ok(weights_root(files))
    }

    fn find(&self, name: &str) -> Result<(&Stored, &Shard), Error> {
        let stored = self.tensors.get(name);
        let found = stored.and_then(|stored| Some((stored, self.shards.get(stored.shard)?)));
        found.ok_or_else(|| {
            // With several files none of them is to blame, so the first stands for their set.
            let path = self
                .shards
                .first()
                .map_or(Path::new(SINGLE), |shard| &shard.path);
            Error::file(
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

fn truncated(path: &Path, found: u64, wanted: u64) -> Error {
    let problem = format!("is truncated: {found} of at least {wanted} bytes are there");
    Error::file(path, problem, AGAIN)
}

fn hash_file(mut file: &File) -> io::Result<(u64, H256)> {
    file.seek(SeekFrom::Start(0))?;
    let mut hasher = Blake2b256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut length = 0u64;
    loop {
        let read = match file.read(&mut buffer) {
            Ok(0) => return Ok((length, H256(hasher.finalize().into()))),
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hasher.update(buffer.get(..read).unwrap_or_default());
        length = length.saturating_add(read as u64);
    }
}
