//! Why a model folder is not usable. Every message is one line.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::model::ModelError;

/// Why a model folder does not open or does not verify.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// A file cannot be read.
    #[error("{}: {reason}", path.display())]
    File { path: PathBuf, reason: String },
    /// The manifest is not what the import writes.
    #[error("{}: {reason}: import the model again", path.display())]
    Manifest { path: PathBuf, reason: String },
    /// `weights.bin` does not have the length that the shape asks for.
    #[error("{}: {found} bytes long, and the shape asks for {expected}: copy it again", path.display())]
    Length {
        path: PathBuf,
        found: u64,
        expected: u64,
    },
    /// A tensor has a length or a number outside the format.
    #[error("the model breaks the format: {0}")]
    Model(#[from] ModelError),
    /// A tensor or a file has not the hash that the manifest gives.
    #[error("{0} does not have the hash of the manifest: copy the folder again")]
    Changed(String),
    /// The bytes between two tensors are not zero.
    #[error("the padding before {0} is not zero: copy the folder again")]
    Padding(String),
    /// A weight of -128, which the format does not have.
    #[error("{0} has a weight of -128: the model breaks the format")]
    Range(String),
}

impl FolderError {
    pub(crate) fn file(path: &Path, error: &io::Error) -> Self {
        Self::File {
            path: path.into(),
            reason: match error.kind() {
                io::ErrorKind::NotFound => "is missing".into(),
                _ => one_line(error),
            },
        }
    }

    pub(crate) fn manifest(path: &Path, reason: impl ToString) -> Self {
        Self::Manifest {
            path: path.into(),
            reason: one_line(reason),
        }
    }
}

/// What a library or a file says, with nothing that could break the line.
pub(crate) fn one_line(text: impl ToString) -> String {
    text.to_string()
        .chars()
        .take(300)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}
