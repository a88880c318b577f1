//! The model folder: `manifest.json` with the shape and the hashes, `weights.bin` with the tables and the
//! tensors, `tokenizer.json`, and `chat_template.jinja`.
//!
//! [`layout`] says where each tensor lies, [`manifest`] what the JSON says, [`root`] how leaves and roots are
//! made (format page §9). Opening maps the weights and checks lengths, ranges of small parameters and that
//! the manifest's roots agree with one another; [`Folder::verify`] reads every byte.

mod error;
pub(crate) mod layout;
mod low_limbs;
pub(crate) mod manifest;
pub mod root;

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    vec::Vec,
};

use assay_primitives::ModelParts;
use memmap2::Mmap;
use sp_core::H256;

use self::layout::Layout;
pub(crate) use self::{error::one_line, low_limbs::LowLimbs};
pub use self::{error::FolderError, manifest::Manifest};
use crate::{
    model::{Embedding, Gamma, Layer, Matrix, Model, Row, Tables},
    tensor::Kind,
};

/// The most stop tokens that a model may name.
pub const MAX_STOP_TOKENS: usize = assay_primitives::MAX_STOP_TOKENS as usize;

pub(crate) const MANIFEST: &str = "manifest.json";
pub(crate) const WEIGHTS: &str = "weights.bin";
pub(crate) const TOKENIZER: &str = "tokenizer.json";
pub(crate) const TEMPLATE: &str = "chat_template.jinja";

/// Longest manifest that is read; a model of 512 layers has about 1 MiB.
const MAX_MANIFEST: u64 = 1 << 26;

/// An open model folder. The int8 tensors stay in the mapped file, which must not be changed while the
/// folder is open.
pub struct Folder {
    path: PathBuf,
    manifest: Manifest,
    parts: ModelParts,
    layout: Layout,
    file: File,
    weights: Mmap,
    /// For each tensor, its numbers if they are wider than int8.
    decoded: Vec<Decoded>,
}

impl core::fmt::Debug for Folder {
    fn fmt(&self, f: &mut core::fmt::Formatter) -> core::fmt::Result {
        write!(f, "Folder({})", self.path.display())
    }
}

enum Decoded {
    /// int8, or not of interest.
    Mapped,
    Rows(Vec<Row>),
    Integers(Vec<i32>),
}

impl Folder {
    /// Open a folder: read the manifest, map the weights, check all lengths, the ranges of all
    /// parameters but the int8 ones, and that the roots in the manifest follow from one another.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, FolderError> {
        let path = path.as_ref();
        let manifest_path = path.join(MANIFEST);
        let manifest = read_manifest(&manifest_path)?;
        let parts = manifest.parts().ok_or_else(|| {
            FolderError::manifest(&manifest_path, "no listing can have its shape")
        })?;
        let layout = Layout::of(&manifest.shape);
        let weights_path = path.join(WEIGHTS);
        let (file, weights) = map(&weights_path)?;
        if weights.len() as u64 != layout.bytes {
            return Err(FolderError::Length {
                path: weights_path,
                found: weights.len() as u64,
                expected: layout.bytes,
            });
        }
        let decoded = layout
            .tensors
            .iter()
            .map(|tensor| decode(tensor.form.kind, tensor.of(&weights)))
            .collect();
        let folder = Self {
            path: path.into(),
            manifest,
            parts,
            layout,
            file,
            weights,
            decoded,
        };
        folder.model().check()?;
        Ok(folder)
    }

    /// What the manifest says.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// What a listing of this model binds; its root is [`root`](Self::root).
    pub fn parts(&self) -> ModelParts {
        self.parts.clone()
    }

    /// The tensors of `weights.bin` in their order: name, length in bytes, and root as the manifest has it.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, u64, H256)> {
        let listed = self.layout.tensors.iter().zip(&self.manifest.tensors);
        listed.map(|(tensor, listed)| (tensor.name.as_str(), tensor.bytes, listed.root))
    }

    /// The root that names the model. It binds the folder's content once [`verify`](Self::verify) has passed.
    pub fn root(&self) -> H256 {
        self.manifest.root
    }

    /// Read every byte and compare it with the manifest's hashes. The error names the first tensor or file
    /// that differs.
    pub fn verify(&self) -> Result<H256, FolderError> {
        let path = self.path.join(WEIGHTS);
        // Another mapping than the engines': what is read here leaves memory afterwards.
        let weights = mapped(&path, &self.file)?;
        let mut end = 0;
        for (tensor, listed) in self.layout.tensors.iter().zip(&self.manifest.tensors) {
            let padding = weights.get(end..tensor.start()).unwrap_or_default();
            if padding.iter().any(|byte| *byte != 0) {
                return Err(FolderError::Padding(tensor.name.clone()));
            }
            end = tensor.end();
            let bytes = tensor.of(&weights);
            if root::tensor(tensor.form, bytes) != listed.root {
                return Err(FolderError::Changed(tensor.name.clone()));
            }
            if tensor.form.kind.is_weights() && bytes.contains(&(i8::MIN as u8)) {
                return Err(FolderError::Range(tensor.name.clone()));
            }
        }
        for (name, expected) in [
            (TOKENIZER, self.manifest.tokenizer),
            (TEMPLATE, self.manifest.template),
        ] {
            let path = self.path.join(name);
            let bytes = fs::read(&path).map_err(|error| FolderError::file(&path, &error))?;
            if root::blake2_256(&bytes) != expected {
                return Err(FolderError::Changed(name.into()));
            }
        }
        Ok(self.manifest.root)
    }

    pub(crate) fn low_limbs(&self) -> LowLimbs<'_> {
        LowLimbs {
            file: &self.file,
            offset: self.layout.low_limbs,
        }
    }

    /// The model, borrowed from the folder.
    pub fn model(&self) -> Model<'_> {
        let shape = &self.manifest.shape;
        let mut reader = Reader {
            folder: self,
            next: 0,
        };
        let tables = Tables {
            exp2: reader.integers(),
            silu: reader.integers(),
            low: reader.integers(),
            high: reader.integers(),
        };
        let embedding = Embedding {
            high: reader.matrix(shape.hidden),
            low: reader.signed(),
            columns: reader.signed(),
        };
        let layers = (0..shape.layers)
            .map(|_| Layer {
                input_norm: reader.gamma(),
                q: reader.matrix(shape.hidden),
                k: reader.matrix(shape.hidden),
                v: reader.matrix(shape.hidden),
                q_norm: shape.head_norms.then(|| reader.gamma()),
                k_norm: shape.head_norms.then(|| reader.gamma()),
                o: reader.matrix(shape.query_width()),
                post_norm: reader.gamma(),
                gate: reader.matrix(shape.hidden),
                up: reader.matrix(shape.hidden),
                down: reader.matrix(shape.intermediate),
            })
            .collect();
        Model {
            shape,
            tables,
            embedding,
            layers,
            final_norm: reader.gamma(),
            head: (!shape.tied).then(|| reader.matrix(shape.hidden)),
        }
    }
}

/// Takes the tensors in the order of the layout. What is not there is empty, which
/// [`Model::check`] finds.
struct Reader<'a> {
    folder: &'a Folder,
    next: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self) -> (&'a [u8], &'a Decoded) {
        let folder = self.folder;
        let bytes = folder
            .layout
            .tensors
            .get(self.next)
            .map_or(&[][..], |tensor| tensor.of(&folder.weights));
        let decoded = folder.decoded.get(self.next).unwrap_or(&Decoded::Mapped);
        self.next = self.next.saturating_add(1);
        (bytes, decoded)
    }

    fn signed(&mut self) -> &'a [i8] {
        let (bytes, _) = self.take();
        // SAFETY: i8 and u8 have the same size and alignment, and every byte is an i8.
        unsafe { core::slice::from_raw_parts(bytes.as_ptr().cast(), bytes.len()) }
    }

    fn integers(&mut self) -> &'a [i32] {
        match self.take() {
            (_, Decoded::Integers(integers)) => integers,
            _ => &[],
        }
    }

    fn matrix(&mut self, inputs: u32) -> Matrix<'a> {
        let weights = self.signed();
        let rows: &[Row] = match self.take() {
            (_, Decoded::Rows(rows)) => rows,
            _ => &[],
        };
        Matrix {
            inputs: inputs as usize,
            weights,
            rows,
        }
    }

    fn gamma(&mut self) -> Gamma<'a> {
        match self.integers() {
            [exponent, entries @ ..] => Gamma {
                exponent: *exponent,
                entries,
            },
            [] => Gamma {
                exponent: 0,
                entries: &[],
            },
        }
    }
}

fn decode(kind: Kind, bytes: &[u8]) -> Decoded {
    match kind {
        Kind::Weights { .. } | Kind::LowLimbs { .. } | Kind::Columns => Decoded::Mapped,
        Kind::Rows => Decoded::Rows(
            bytes
                .as_chunks::<8>()
                .0
                .iter()
                .map(|&[m0, m1, e0, e1, b0, b1, b2, b3]| Row {
                    mantissa: u16::from_le_bytes([m0, m1]),
                    exponent: i16::from_le_bytes([e0, e1]),
                    bias: i32::from_le_bytes([b0, b1, b2, b3]),
                })
                .collect(),
        ),
        Kind::Gamma | Kind::Intervals | Kind::Rotary { .. } => Decoded::Integers(
            bytes
                .as_chunks::<4>()
                .0
                .iter()
                .map(|entry| i32::from_le_bytes(*entry))
                .collect(),
        ),
    }
}

fn read_manifest(path: &Path) -> Result<Manifest, FolderError> {
    let file = |error: &std::io::Error| FolderError::file(path, error);
    let length = fs::metadata(path).map_err(|error| file(&error))?.len();
    if length > MAX_MANIFEST {
        return Err(FolderError::manifest(path, "is too long"));
    }
    let bytes = fs::read(path).map_err(|error| file(&error))?;
    Manifest::parse(&bytes).map_err(|reason| FolderError::manifest(path, reason))
}

pub(crate) fn map(path: &Path) -> Result<(File, Mmap), FolderError> {
    let file = File::open(path).map_err(|error| FolderError::file(path, &error))?;
    let mapped = mapped(path, &file)?;
    Ok((file, mapped))
}

fn mapped(path: &Path, file: &File) -> Result<Mmap, FolderError> {
    // SAFETY: the mapping is only read, as bytes; that nobody writes to the file while the folder is
    // open is the caller's part of the contract.
    unsafe { Mmap::map(file) }.map_err(|error| FolderError::file(path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        shape::{Rotary, PPM},
        tables, Shape,
    };

    /// A folder whose manifest vouches for a weight that the format does not have.
    #[test]
    fn a_weight_of_minus_128_is_named_even_if_the_hashes_agree() {
        let shape = Shape {
            layers: 1,
            hidden: 4,
            intermediate: 4,
            heads: 1,
            kv_heads: 1,
            head_dim: 2,
            vocabulary: 4,
            context: 8,
            tied: true,
            biases: false,
            head_norms: false,
            fraction_bits: 16,
            eps40: 1,
            rotary: Rotary {
                base: PPM,
                scaling: None,
            },
        };
        let layout = Layout::of(&shape);
        let place = |name: &str| {
            let tensor = layout.tensors.iter().find(|tensor| tensor.name == name);
            tensor.unwrap().start()
        };
        let mut weights = vec![0u8; layout.bytes as usize];
        for (entry, bytes) in tables::exp2().iter().zip(weights.chunks_mut(4)) {
            bytes.copy_from_slice(&entry.to_le_bytes());
        }
        // In a low limb it is a number like others.
        weights[place("embedding.low")] = 0x80;
        let path = tempfile::tempdir().unwrap();
        let verify = |weights: &[u8]| {
            let hash = root::blake2_256(b"");
            let manifest = Manifest::of(shape.clone(), vec![], hash, hash, weights).unwrap();
            let write = |name, bytes: &[u8]| fs::write(path.path().join(name), bytes).unwrap();
            write(MANIFEST, &manifest.to_bytes().unwrap());
            write(WEIGHTS, weights);
            write(TOKENIZER, b"");
            write(TEMPLATE, b"");
            let folder = Folder::open(&path).unwrap();
            assert_eq!(folder.parts().root(), folder.root());
            folder.verify()
        };
        assert!(verify(&weights).is_ok());
        weights[place("layers.0.gate.weights") + 5] = 0x80;
        let error = verify(&weights).unwrap_err();
        assert!(matches!(&error, FolderError::Range(name) if name == "layers.0.gate.weights"));
    }
}
