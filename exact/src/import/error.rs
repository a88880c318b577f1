//! Why an import stops. Every message is one line that says what was attempted and what to change.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::{
    folder::{one_line, FolderError},
    ShapeError,
};

/// Why a model cannot be imported. Nothing is left at the target.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The target is there already.
    #[error("{} exists already: choose another target, or remove it", .0.display())]
    Exists(PathBuf),
    /// A file cannot be read or written.
    #[error("{}: {reason}", path.display())]
    File { path: PathBuf, reason: String },
    /// A file is not what its name promises: broken JSON, a truncated checkpoint.
    #[error("{}: {reason}: copy it again from the model's publisher", path.display())]
    Malformed { path: PathBuf, reason: String },
    /// The model needs something that the format does not have (format page §6.3).
    #[error("{}: {what} is not supported by the exact format", path.display())]
    Unsupported { path: PathBuf, what: String },
    /// A file that says too little, or says it in a way that would have to be guessed.
    #[error("{}: {what}: {instead}", path.display())]
    Unclear {
        path: PathBuf,
        what: String,
        /// The way out.
        instead: &'static str,
    },
    /// What is to be imported is no folder, and no file of a known format.
    #[error("{} is neither a folder nor a GGUF file: name a Hugging Face folder or a .gguf file", .0.display())]
    Neither(PathBuf),
    /// The shape is beyond the format's bounds (format page §2).
    #[error("the model's shape is outside the exact format's bounds: {0:?}")]
    Shape(ShapeError),
    /// The configuration asks for a tensor that no file has.
    #[error("tensor {0:?} is missing: take all files from the same model")]
    Missing(String),
    /// A tensor that the shape has no place for; to ignore it would change the model.
    #[error("tensor {0:?} has no place in this architecture")]
    Unexpected(String),
    /// Two tensors have the same name.
    #[error("tensor {0:?} is there twice: take all files from the same model")]
    Duplicate(String),
    /// A tensor disagrees with the configuration.
    #[error(
        "tensor {name:?} has the shape {found:?}, and the configuration asks for {expected:?}"
    )]
    TensorShape {
        name: String,
        found: Vec<usize>,
        expected: Vec<usize>,
    },
    /// Only bf16, f16 and f32 are read, and Q8_0 in a GGUF file.
    #[error("tensor {name:?} is {found}: import a checkpoint in BF16, F16 or F32, or a GGUF file in Q8_0")]
    ElementType { name: String, found: String },
    /// A weight is not a finite number.
    #[error("tensor {name:?} has {value} at index {index}: the checkpoint is broken")]
    NotFinite {
        name: String,
        /// Of the element in the tensor as the file has it, row after row.
        index: usize,
        value: f64,
    },
    /// A scale above the range of the format page's §2.
    #[error("tensor {name:?} has weights too large for the exact format in row {row}")]
    TooLarge { name: String, row: usize },
    /// A norm's weights beyond the exponents of the format page's §2.
    #[error("tensor {0:?} is too large or too small for the exact format")]
    NormRange(String),
    /// The finished folder does not open.
    #[error(transparent)]
    Folder(#[from] FolderError),
}

impl ImportError {
    pub(super) fn file(path: &Path, error: &io::Error) -> Self {
        Self::File {
            path: path.into(),
            reason: match error.kind() {
                io::ErrorKind::NotFound => "is missing".into(),
                _ => one_line(error),
            },
        }
    }

    pub(super) fn malformed(path: &Path, reason: impl ToString) -> Self {
        Self::Malformed {
            path: path.into(),
            reason: one_line(reason),
        }
    }

    pub(super) fn unsupported(path: &Path, what: impl ToString) -> Self {
        Self::Unsupported {
            path: path.into(),
            what: one_line(what),
        }
    }

    pub(super) fn unclear(path: &Path, what: impl ToString, instead: &'static str) -> Self {
        Self::Unclear {
            path: path.into(),
            what: one_line(what),
            instead,
        }
    }
}
