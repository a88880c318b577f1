//! A model folder, of one of two kinds.
//!
//! * **Exact**: what `assay model import` writes, `manifest.json` and int8 weights. Its answers are the same bits
//!   on every machine, so that they can be verified.
//! * **Float**: as Hugging Face lays it out, `config.json` and safetensors. Two honest machines may differ.
//!
//! Both have `tokenizer.json` and perhaps a chat template. Opening a [`ModelFolder`] reads everything but the
//! weights themselves and holds it all against itself. The worker does so before it loads a model and the command
//! before it lists one, so that what gets onto the chain can be loaded.

use std::{
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use assay_exact::folder::{Folder, FolderError};
use assay_primitives::{ModelParts, ModelSpec, Profile};
use blake2::{
    digest::{consts::U32, Digest},
    Blake2b,
};
use serde::{de::DeserializeOwned, Deserialize};
use subxt::utils::H256;
use tokenizers::Tokenizer;

use crate::Error;

mod config;
mod huggingface;
mod weights;

pub use self::{
    config::{Config, Llama3Scaling},
    huggingface::HuggingFace,
    weights::{RawTensor, Stored},
};

type Blake2b256 = Blake2b<U32>;

const MANIFEST: &str = "manifest.json";
const TOKENIZER: &str = "tokenizer.json";
const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
const TEMPLATE: &str = "chat_template.jinja";

const FROM_PUBLISHER: &str = "copy it from the model's publisher";
const AGAIN: &str = "download it again from the model's publisher";
const SAME_MODEL: &str = "take config.json and the weights from the same model";
const BOTH_FILES: &str = "take both files from the same model";

/// A model folder whose files exist, are whole and agree with one another.
pub struct ModelFolder {
    path: PathBuf,
    spec: ModelSpec,
    weights: ModelWeights,
}

/// What a model is computed from.
pub enum ModelWeights {
    /// Integers: the profile `Exact`.
    Exact(Box<Folder>),
    /// Floats: the profile `Unverified`.
    Float(Box<HuggingFace>),
}

impl ModelFolder {
    /// Opens the folder at `path`, of whichever kind it is, and checks it.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, Error> {
        let path = path.into();
        if !path.is_dir() {
            let next = "name the folder that holds the model's manifest.json or config.json";
            return Err(Error::file(&path, "is not a folder", next));
        }
        let (spec, weights) = if path.join(MANIFEST).exists() {
            let folder = Folder::open(&path).map_err(|error| unusable(&path, error))?;
            let spec = folder.parts().spec;
            check_tokenizer(&path.join(TOKENIZER), spec.vocabulary)?;
            (spec, ModelWeights::Exact(Box::new(folder)))
        } else {
            let folder = HuggingFace::open(&path)?;
            (folder.spec().clone(), ModelWeights::Float(Box::new(folder)))
        };
        Ok(Self {
            path,
            spec,
            weights,
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    /// Whether answers of this model can be verified.
    pub fn is_exact(&self) -> bool {
        self.spec.profile != Profile::Unverified
    }

    pub fn weights(&self) -> &ModelWeights {
        &self.weights
    }

    /// What an engine takes from the folder.
    pub fn into_weights(self) -> ModelWeights {
        self.weights
    }

    /// Everything about the model that its listing binds. Reads every byte of the weights once, which takes as long
    /// as the disk needs; an exact folder that has not the root it claims is an error that names what differs.
    pub fn parts(&self) -> Result<ModelParts, Error> {
        match &self.weights {
            ModelWeights::Exact(folder) => {
                let verified = folder.verify();
                verified.map_err(|error| unusable(&self.path, error))?;
                Ok(folder.parts())
            }
            ModelWeights::Float(folder) => Ok(ModelParts {
                spec: self.spec.clone(),
                tokenizer: hash(&tokenizer(&self.path)?),
                template: hash(template(&self.path)?.as_bytes()),
                tables: H256::zero(),
                weights_root: folder.weights_root()?,
            }),
        }
    }
}

/// What is wrong with an exact folder, with its path and the next step.
fn unusable(folder: &Path, error: FolderError) -> Error {
    match error {
        FolderError::File { path, reason } => Error::file(&path, reason, "copy the folder again"),
        // These begin with the file's path.
        FolderError::Manifest { .. } | FolderError::Length { .. } => {
            Error::ExactFolder(error.to_string())
        }
        FolderError::Model(_)
        | FolderError::Changed(_)
        | FolderError::Padding(_)
        | FolderError::Range(_) => Error::ExactFolder(format!("{}: {error}", folder.display())),
    }
}

/// The root that an exact folder's manifest names, unchecked; none for a folder of another kind, or of a tokenizer
/// alone.
pub fn named_root(folder: &Path) -> Option<H256> {
    #[derive(Deserialize)]
    struct Named {
        root: H256,
    }
    let manifest = fs::read(folder.join(MANIFEST)).ok()?;
    let named: Named = serde_json::from_slice(&manifest).ok()?;
    Some(named.root)
}

/// BLAKE2b-256.
pub fn hash(bytes: &[u8]) -> H256 {
    H256(Blake2b256::digest(bytes).into())
}

/// Content of `tokenizer.json`.
pub fn tokenizer(folder: &Path) -> Result<Vec<u8>, Error> {
    read(&folder.join(TOKENIZER))
}

/// The chat template's text: `chat_template.jinja`, or else what `tokenizer_config.json` has. Empty
/// for a model without one.
pub fn template(folder: &Path) -> Result<String, Error> {
    let file = folder.join(TEMPLATE);
    if file.exists() {
        return String::from_utf8(read(&file)?)
            .map_err(|_| Error::file(&file, "is not UTF-8", FROM_PUBLISHER));
    }
    Ok(match tokenizer_config(folder)?.chat_template {
        None => String::new(),
        Some(Templates::One(text)) => text,
        Some(Templates::Named(all)) => {
            let default = all.into_iter().find(|named| named.name == "default");
            default.map(|named| named.template).unwrap_or_default()
        }
    })
}

/// The texts of the tokens that templates name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpecialTokens {
    pub bos_token: Option<String>,
    pub eos_token: Option<String>,
}

/// What `tokenizer_config.json` calls the tokens at the start and the end of a text.
pub fn special_tokens(folder: &Path) -> Result<SpecialTokens, Error> {
    let config = tokenizer_config(folder)?;
    let text = |token: Option<SpecialToken>| {
        token.map(|token| match token {
            SpecialToken::Text(text) | SpecialToken::Record { content: text } => text,
        })
    };
    Ok(SpecialTokens {
        bos_token: text(config.bos_token),
        eos_token: text(config.eos_token),
    })
}

/// A tokenizer of another model turns every prompt into nonsense. A vocabulary larger than the
/// tokenizer's is common (it is padded to a round number); a smaller one cannot be right.
fn check_tokenizer(file: &Path, vocabulary: u32) -> Result<(), Error> {
    let tokenizer = Tokenizer::from_bytes(read(file)?)
        .map_err(|error| Error::file(file, format!("is not a tokenizer: {error}"), AGAIN))?;
    let Some(largest) = tokenizer.get_vocab(true).into_values().max() else {
        return Err(Error::file(file, "holds no tokens", AGAIN));
    };
    if largest >= vocabulary {
        let problem = format!("holds token {largest}, and the model has {vocabulary} tokens");
        return Err(Error::file(file, problem, BOTH_FILES));
    }
    Ok(())
}

fn tokenizer_config(folder: &Path) -> Result<TokenizerConfig, Error> {
    let path = folder.join(TOKENIZER_CONFIG);
    if !path.exists() {
        return Ok(TokenizerConfig::default());
    }
    parse(&path)
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, error: &io::Error) -> Error {
    match error.kind() {
        ErrorKind::NotFound => Error::file(path, "is missing", FROM_PUBLISHER),
        _ => Error::file(
            path,
            format!("cannot be read: {error}"),
            "check the file and its permissions",
        ),
    }
}

fn parse<T: DeserializeOwned>(path: &Path) -> Result<T, Error> {
    serde_json::from_slice(&read(path)?).map_err(|error| {
        Error::file(
            path,
            format!("is not the JSON expected here: {error}"),
            AGAIN,
        )
    })
}

#[derive(Deserialize, Default)]
struct TokenizerConfig {
    chat_template: Option<Templates>,
    bos_token: Option<SpecialToken>,
    eos_token: Option<SpecialToken>,
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

#[derive(Deserialize)]
#[serde(untagged)]
enum SpecialToken {
    Text(String),
    Record { content: String },
}

#[cfg(test)]
mod tests;
