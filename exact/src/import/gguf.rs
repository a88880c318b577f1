//! A GGUF file becomes a model folder.
//!
//! 1. [`header`]: the file's keys, whose values are read by [`value`], and the places of its tensors.
//! 2. [`metadata`]: the keys' values, by type.
//! 3. [`config`]: they become a [`Shape`](crate::Shape), or are refused by name; [`rotary`] finds the
//!    scaling of the rotary frequencies in its factors.
//! 4. [`names`]: what GGUF calls the tensors, and which outputs it stores in another order.
//! 5. [`tokenizer`]: `tokenizer.json` of the tokens and merges.

mod config;
mod header;
mod metadata;
mod names;
mod rotary;
mod tokenizer;
mod value;

use std::path::Path;

use super::{
    checkpoint::{self, Checkpoint, Place},
    huggingface::{read, read_if_there},
    target::{self, Imported, Progress, Source, Text, TOKENIZER_CONFIG},
    ImportError,
};
use crate::folder;

/// Import the GGUF file `source` (version 2 or 3, little-endian; F32, F16, BF16 and Q8_0; the
/// architectures llama, qwen2 and qwen3) as the new model folder `target`, with
/// [`FRACTION_BITS`](super::FRACTION_BITS). Nothing must write to `source` meanwhile.
///
/// The tokenizer and the chat template are the file's own. A `tokenizer.json` or
/// `tokenizer_config.json` beside the file comes first: with the publisher's, and with the same numbers,
/// the model has the root of the Hugging Face folder.
///
/// The folder appears under its name only when it is complete; an import that is killed leaves
/// nothing but a hidden folder `.import-*` beside it.
pub fn gguf(
    source: &Path,
    target: &Path,
    progress: impl FnMut(Progress<'_>),
) -> Result<Imported, ImportError> {
    target::require_free(target)?;
    target::write(self::source(source)?, target, progress)
}

/// What the file `path` holds.
pub(super) fn source(path: &Path) -> Result<Source, ImportError> {
    let file = checkpoint::map(path)?;
    let header = header::read(path, &file)?;
    let (config, order) = config::read(&header, &file)?;
    let text = text(&header.metadata, config.shape.vocabulary)?;
    let mut checkpoint = Checkpoint::new(names::of);
    checkpoint.ignore(config::FACTORS);
    let tensors: Vec<(String, Place)> = header
        .tensors
        .into_iter()
        .map(|(name, place)| {
            let order = names::order(&name, order);
            (name, Place { order, ..place })
        })
        .collect();
    checkpoint.add(file, tensors)?;
    Ok(Source {
        path: path.into(),
        config,
        checkpoint,
        text,
    })
}

fn text(metadata: &metadata::Metadata, vocabulary: u32) -> Result<Text, ImportError> {
    let beside = |name: &str| metadata.path().with_file_name(name);
    let path = beside(folder::TOKENIZER);
    let tokenizer = match path.exists() {
        true => read(&path)?,
        false => tokenizer::json(metadata, vocabulary)?.into_bytes(),
    };
    let special_tokens = match read_if_there(&beside(TOKENIZER_CONFIG))? {
        Some(bytes) => bytes,
        None => tokenizer::special_tokens(metadata, vocabulary)?.into_bytes(),
    };
    Ok(Text {
        tokenizer,
        template: metadata
            .text("tokenizer.chat_template")?
            .unwrap_or_default()
            .into(),
        special_tokens: Some(special_tokens),
    })
}
