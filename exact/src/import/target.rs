//! The model folder that an import makes, all of it or nothing.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use sp_core::H256;

use super::{
    checkpoint::Checkpoint,
    config::Config,
    convert::{self, Clamped},
    writer::Writer,
    ImportError,
};
use crate::{
    folder::{self, root::blake2_256, Folder, Manifest},
    Shape,
};

pub(super) const TOKENIZER_CONFIG: &str = "tokenizer_config.json";

/// How far an import is.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// The tensor of the model folder that is being written.
    pub tensor: &'a str,
    /// Bytes of `weights.bin` that are written.
    pub done_bytes: u64,
    /// Bytes that it will have.
    pub total_bytes: u64,
}

/// What an import made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Imported {
    /// The model root.
    pub root: H256,
    /// Root of the numeric tables.
    pub tables: H256,
    /// Root of the weights.
    pub weights_root: H256,
    pub shape: Shape,
    /// Length of `weights.bin`.
    pub weights_bytes: u64,
    pub clamped: Clamped,
}

/// All that a model folder is made of.
pub(super) struct Source {
    pub path: PathBuf,
    pub config: Config,
    pub checkpoint: Checkpoint,
    pub text: Text,
}

/// The files about text.
pub(super) struct Text {
    /// `tokenizer.json`.
    pub tokenizer: Vec<u8>,
    /// The chat template; empty for a model without one.
    pub template: String,
    /// `tokenizer_config.json`, which names the special tokens that templates use.
    pub special_tokens: Option<Vec<u8>>,
}

/// Nothing may be at the target.
pub(super) fn require_free(target: &Path) -> Result<(), ImportError> {
    match target.symlink_metadata() {
        Ok(_) => Err(ImportError::Exists(target.into())),
        Err(_) => Ok(()),
    }
}

/// Write `source` as the new model folder `target`.
pub(super) fn write(
    mut source: Source,
    target: &Path,
    mut progress: impl FnMut(Progress<'_>),
) -> Result<Imported, ImportError> {
    let Config { shape, stop_tokens } = source.config;
    convert::require_all(&mut source.checkpoint, &shape)?;
    let parent = match target.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let temporary = hidden_folder(parent).map_err(|error| ImportError::file(parent, &error))?;
    let here = |name: &str| temporary.path().join(name);
    let weights_path = here(folder::WEIGHTS);
    let writer = Writer::create(&weights_path, &shape, &mut progress)
        .map_err(|error| ImportError::file(&weights_path, &error))?;
    let clamped = convert::all(&shape, &source.checkpoint, &weights_path, writer)?;

    let text = source.text;
    let (_, weights) = folder::map(&weights_path)?;
    let weights_bytes = weights.len() as u64;
    let manifest = Manifest::of(
        shape,
        stop_tokens,
        blake2_256(&text.tokenizer),
        blake2_256(text.template.as_bytes()),
        &weights,
    )
    .and_then(|manifest| Some((manifest.to_bytes().ok()?, manifest)));
    drop(weights);
    let Some((bytes, manifest)) = manifest else {
        return Err(ImportError::malformed(
            &source.path,
            "has a shape without a root",
        ));
    };
    write_file(&here(folder::TOKENIZER), &text.tokenizer)?;
    write_file(&here(folder::TEMPLATE), text.template.as_bytes())?;
    if let Some(special_tokens) = text.special_tokens {
        write_file(&here(TOKENIZER_CONFIG), &special_tokens)?;
    }
    write_file(&here(folder::MANIFEST), &bytes)?;
    Folder::open(temporary.path())?;
    publish(temporary, target, parent)?;
    Ok(Imported {
        root: manifest.root,
        tables: manifest.tables,
        weights_root: manifest.weights_root,
        shape: manifest.shape,
        weights_bytes,
        clamped,
    })
}

fn hidden_folder(parent: &Path) -> io::Result<tempfile::TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".import-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // It becomes the model folder: as open as the user's mask allows.
        builder.permissions(fs::Permissions::from_mode(0o777));
    }
    builder.tempdir_in(parent)
}

fn publish(temporary: tempfile::TempDir, target: &Path, parent: &Path) -> Result<(), ImportError> {
    require_free(target)?;
    fs::rename(temporary.path(), target).map_err(|error| ImportError::file(target, &error))?;
    // There is nothing left to remove under its old name.
    let _ = temporary.keep();
    // The names are on the disk when both folders are; not every platform can open a folder.
    for folder in [target, parent] {
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }
    Ok(())
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<(), ImportError> {
    fs::write(path, bytes)
        .and_then(|()| File::open(path)?.sync_all())
        .map_err(|error| ImportError::file(path, &error))
}
