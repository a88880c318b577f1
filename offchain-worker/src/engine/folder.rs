//! A model folder as Hugging Face lays it out: `config.json`, `tokenizer.json`, weights in one or
//! several safetensors files, and perhaps `generation_config.json`.
//!
//! Opening a folder reads everything but the weights themselves and holds it all against itself,
//! so whatever is wrong with a download is said at start and not in the middle of an answer.

use std::{
    collections::{BTreeSet, HashMap},
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use candle_core::Tensor;
use serde::{de::DeserializeOwned, Deserialize};
use tokenizers::Tokenizer;

use self::{
    config::{Config, TokenIds},
    weights::Weights,
};
use super::{EngineError, EngineSpec};

pub(super) mod config;
mod weights;

pub use self::config::Architecture;

const AGAIN: &str = "download it again from the model's publisher";
const SAME_MODEL: &str = "take config.json and the weights from the same model";

/// A model folder whose files exist, are whole and agree with one another.
pub struct ModelFolder {
    path: PathBuf,
    config: Config,
    spec: EngineSpec,
    weights: Weights,
    /// The tensors that this architecture and shape are made of.
    names: Vec<String>,
}

#[derive(Deserialize)]
struct GenerationConfig {
    eos_token_id: Option<TokenIds>,
}

impl ModelFolder {
    /// Opens the folder at `path` and checks it.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, EngineError> {
        let path = path.into();
        if !path.is_dir() {
            let next = "name the folder that holds the model's config.json";
            return Err(fault(&path, "is not a folder", next));
        }
        let config = Config::read(&path.join("config.json"))?;
        let stop_tokens = stop_tokens(&path, &config)?;
        check_tokenizer(&path.join("tokenizer.json"), &config)?;
        let weights = Weights::open(&path)?;
        let names = check_tensors(&weights, &config)?;
        let spec = EngineSpec {
            architecture: config.architecture,
            layers: config.layers,
            hidden: config.hidden,
            intermediate: config.intermediate,
            heads: config.heads,
            kv_heads: config.kv_heads,
            head_dim: config.head_dim,
            vocabulary: config.vocabulary,
            context: config.context,
            stop_tokens,
            tied_embeddings: config.tied_embeddings,
        };
        Ok(Self {
            path,
            config,
            spec,
            weights,
            names,
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn spec(&self) -> &EngineSpec {
        &self.spec
    }

    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    /// Every tensor of the model by its name in the files, widened to f32.
    pub(super) fn read_tensors(&self) -> Result<HashMap<String, Tensor>, EngineError> {
        self.names
            .iter()
            .map(|name| Ok((name.clone(), self.weights.read(name)?)))
            .collect()
    }
}

/// An error about `file`: what is wrong with it and what to do next.
fn fault(file: &Path, problem: impl Into<String>, next: impl Into<String>) -> EngineError {
    EngineError::Model {
        file: file.into(),
        problem: problem.into(),
        next: next.into(),
    }
}

/// The content of a file that has to be there.
fn read(file: &Path) -> Result<Vec<u8>, EngineError> {
    fs::read(file).map_err(|error| match error.kind() {
        ErrorKind::NotFound => fault(file, "is missing", "copy it from the model's publisher"),
        _ => fault(
            file,
            format!("cannot be read: {error}"),
            "check the file and its permissions",
        ),
    })
}

fn parse<T: DeserializeOwned>(file: &Path, content: &[u8]) -> Result<T, EngineError> {
    serde_json::from_slice(content).map_err(|error| {
        fault(
            file,
            format!("is not the JSON expected here: {error}"),
            AGAIN,
        )
    })
}

/// The ids that end an answer by either file. Fine-tunes often name the end of a turn in one of
/// them and the end of text in the other, and an answer is over at both.
fn stop_tokens(path: &Path, config: &Config) -> Result<Vec<u32>, EngineError> {
    let config_file = path.join("config.json");
    let generation_file = path.join("generation_config.json");
    let mut named: Vec<(&Path, u32)> = config
        .stop_tokens
        .iter()
        .map(|token| (config_file.as_path(), *token))
        .collect();
    if generation_file.exists() {
        let generation: GenerationConfig = parse(&generation_file, &read(&generation_file)?)?;
        let ids = generation
            .eos_token_id
            .map(TokenIds::into_vec)
            .unwrap_or_default();
        named.extend(
            ids.into_iter()
                .map(|token| (generation_file.as_path(), token)),
        );
    }
    if let Some((file, token)) = named.iter().find(|(_, token)| *token >= config.vocabulary) {
        let vocabulary = config.vocabulary;
        let problem = format!("names stop token {token}, outside the vocabulary of {vocabulary}");
        return Err(fault(file, problem, "take both files from the same model"));
    }
    let ascending: BTreeSet<u32> = named.into_iter().map(|(_, token)| token).collect();
    Ok(ascending.into_iter().collect())
}

/// The engine itself never needs the tokenizer, but users of this model do, and a tokenizer of
/// another model turns every prompt into nonsense. A vocabulary larger than the tokenizer's is
/// common (it is padded to a round number); a smaller one cannot be right.
fn check_tokenizer(file: &Path, config: &Config) -> Result<(), EngineError> {
    let tokenizer = Tokenizer::from_bytes(read(file)?).map_err(|error| {
        let error = one_line(&error.to_string());
        fault(file, format!("is not a tokenizer: {error}"), AGAIN)
    })?;
    let Some(largest) = tokenizer.get_vocab(true).into_values().max() else {
        return Err(fault(file, "holds no tokens", AGAIN));
    };
    if largest >= config.vocabulary {
        let vocabulary = config.vocabulary;
        let problem =
            format!("holds token {largest}, but config.json says vocab_size {vocabulary}");
        return Err(fault(file, problem, "take both files from the same model"));
    }
    Ok(())
}

/// Holds the files' tensors against those that the configuration asks for, and returns the names
/// of the latter.
fn check_tensors(weights: &Weights, config: &Config) -> Result<Vec<String>, EngineError> {
    let mut names = Vec::new();
    for (name, shape) in config.tensors() {
        weights.check(&name, &shape)?;
        names.push(name);
    }
    // A tensor left over is a part of the model that would silently not be computed: a bias, or a
    // layer more than the configuration has.
    let known: BTreeSet<&str> = names.iter().map(String::as_str).collect();
    let tied_head = |name: &str| config.tied_embeddings && name == "lm_head.weight";
    let derived = |name: &str| name.ends_with(".rotary_emb.inv_freq");
    for (name, file) in weights.names() {
        if !known.contains(name) && !tied_head(name) && !derived(name) {
            let architecture = config.architecture;
            let problem = format!(
                "holds tensor {name}, which {architecture} with this config.json does not have"
            );
            return Err(fault(file, problem, SAME_MODEL));
        }
    }
    Ok(names)
}

/// The first line of a message from elsewhere.
pub(super) fn one_line(message: &str) -> String {
    message.lines().next().unwrap_or_default().trim().into()
}
