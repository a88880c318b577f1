//! A Hugging Face folder becomes a model folder, all of it or nothing.

use std::{
    fs::{self, File},
    io,
    path::Path,
};

use serde::Deserialize;
use sp_core::H256;

use super::{checkpoint::Checkpoint, config, convert, writer::Writer, ImportError};
use crate::{
    folder::{self, root::blake2_256, Folder, Manifest},
    Shape,
};

const TOKENIZER_CONFIG: &str = "tokenizer_config.json";

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
}

/// Import the Hugging Face folder `source` as the new model folder `target`. Nothing must write to
/// `source` meanwhile.
///
/// The folder appears under its name only when it is complete; an import that is killed leaves
/// nothing but a hidden folder `.import-*` beside it.
pub fn huggingface(
    source: &Path,
    target: &Path,
    mut progress: impl FnMut(Progress<'_>),
) -> Result<Imported, ImportError> {
    if target.symlink_metadata().is_ok() {
        return Err(ImportError::Exists(target.into()));
    }
    let config = config::read(source)?;
    let shape = config.shape;
    let mut checkpoint = Checkpoint::open(source)?;
    convert::require_all(&mut checkpoint, &shape)?;
    let tokenizer_path = source.join(folder::TOKENIZER);
    let tokenizer = read(&tokenizer_path)?;
    let template = template(source)?;

    let parent = match target.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let temporary = hidden_folder(parent).map_err(|error| ImportError::file(parent, &error))?;
    let here = |name: &str| temporary.path().join(name);
    let weights_path = here(folder::WEIGHTS);
    let writer = Writer::create(&weights_path, &shape, &mut progress)
        .map_err(|error| ImportError::file(&weights_path, &error))?;
    convert::all(&shape, &checkpoint, &weights_path, writer)?;

    let weights = folder::map(&weights_path)?;
    let weights_bytes = weights.len() as u64;
    let manifest = Manifest::of(
        shape,
        config.stop_tokens,
        blake2_256(&tokenizer),
        blake2_256(template.as_bytes()),
        &weights,
    )
    .and_then(|manifest| Some((manifest.to_bytes().ok()?, manifest)));
    drop(weights);
    let Some((bytes, manifest)) = manifest else {
        return Err(ImportError::malformed(source, "has a shape without a root"));
    };
    write(&here(folder::TOKENIZER), &tokenizer)?;
    write(&here(folder::TEMPLATE), template.as_bytes())?;
    let special_tokens = source.join(TOKENIZER_CONFIG);
    if special_tokens.exists() {
        write(&here(TOKENIZER_CONFIG), &read(&special_tokens)?)?;
    }
    write(&here(folder::MANIFEST), &bytes)?;
    Folder::open(temporary.path())?;
    publish(temporary, target, parent)?;
    Ok(Imported {
        root: manifest.root,
        tables: manifest.tables,
        weights_root: manifest.weights_root,
        shape: manifest.shape,
        weights_bytes,
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
    if target.symlink_metadata().is_ok() {
        return Err(ImportError::Exists(target.into()));
    }
    fs::rename(temporary.path(), target).map_err(|error| ImportError::file(target, &error))?;
    // There is nothing left to remove under its old name.
    let _ = temporary.keep();
    // The names are on the disk when both folders are; not every platform can open a folder.
    for folder in [target, parent] {
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>, ImportError> {
    fs::read(path).map_err(|error| ImportError::file(path, &error))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), ImportError> {
    fs::write(path, bytes)
        .and_then(|()| File::open(path)?.sync_all())
        .map_err(|error| ImportError::file(path, &error))
}

#[derive(Deserialize)]
struct TokenizerConfig {
    chat_template: Option<Templates>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Templates {
    One(String),
    Named(Vec<NamedTemplate>),
}

#[derive(Deserialize)]
struct NamedTemplate {
    name: String,
    template: String,
}

/// The chat template's text: `chat_template.jinja`, or else what `tokenizer_config.json` has. Empty
/// for a model without one.
fn template(source: &Path) -> Result<String, ImportError> {
    let file = source.join(folder::TEMPLATE);
    if file.exists() {
        return String::from_utf8(read(&file)?)
            .map_err(|_| ImportError::malformed(&file, "is not UTF-8"));
    }
    let path = source.join(TOKENIZER_CONFIG);
    if !path.exists() {
        return Ok(String::new());
    }
    Ok(
        match config::parse::<TokenizerConfig>(&path)?.chat_template {
            None => String::new(),
            Some(Templates::One(text)) => text,
            Some(Templates::Named(all)) => all
                .into_iter()
                .find(|named| named.name == "default")
                .map(|named| named.template)
                .unwrap_or_default(),
        },
    )
}
