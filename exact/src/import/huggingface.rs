//! A Hugging Face folder becomes a model folder.

use std::{fs, path::Path};

use serde::Deserialize;

use super::{
    config, safetensors,
    target::{self, Imported, Progress, Source, Text, TOKENIZER_CONFIG},
    ImportError,
};
use crate::folder;

/// Import the Hugging Face folder `source` as the new model folder `target`, with [`FRACTION_BITS`](super::FRACTION_BITS).
/// Nothing must write to `source` meanwhile.
///
/// The folder appears under its name only when it is complete; an import that is killed leaves
/// nothing but a hidden folder `.import-*` beside it.
pub fn huggingface(
    source: &Path,
    target: &Path,
    progress: impl FnMut(Progress<'_>),
) -> Result<Imported, ImportError> {
    target::require_free(target)?;
    target::write(self::source(source)?, target, progress)
}

/// What the folder `path` holds.
pub(super) fn source(path: &Path) -> Result<Source, ImportError> {
    Ok(Source {
        path: path.into(),
        config: config::read(path)?,
        checkpoint: safetensors::open(path)?,
        text: text(path)?,
    })
}

fn text(folder: &Path) -> Result<Text, ImportError> {
    Ok(Text {
        tokenizer: read(&folder.join(folder::TOKENIZER))?,
        template: template(folder)?,
        special_tokens: read_if_there(&folder.join(TOKENIZER_CONFIG))?,
    })
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, ImportError> {
    fs::read(path).map_err(|error| ImportError::file(path, &error))
}

/// The content of a file that a model may lack.
pub(super) fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, ImportError> {
    match path.exists() {
        true => read(path).map(Some),
        false => Ok(None),
    }
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
    if let Some(text) = read_if_there(&file)? {
        return String::from_utf8(text).map_err(|_| ImportError::malformed(&file, "is not UTF-8"));
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
