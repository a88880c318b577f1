//! A folder of float weights as Hugging Face lays it out: `config.json`, weights in one or several safetensors
//! files, and perhaps `generation_config.json`.
//!
//! Opening it reads everything but the weights themselves and holds it all against itself, so that what gets onto
//! the chain can be loaded.

use std::{collections::BTreeSet, path::Path};

use assay_primitives::{ModelSpec, Profile, SpecError, TokenId, MAX_STOP_TOKENS};
use serde::Deserialize;
use subxt::utils::H256;

use super::{
    check_tokenizer,
    config::{Config, TokenIds},
    parse,
    weights::{RawTensor, Stored, Weights},
    BOTH_FILES, SAME_MODEL, TOKENIZER,
};
use crate::Error;

pub(super) const CONFIG: &str = "config.json";
pub(super) const GENERATION_CONFIG: &str = "generation_config.json";

/// Float weights and their configuration.
pub struct HuggingFace {
    config: Config,
    spec: ModelSpec,
    weights: Weights,
    /// The tensors that this architecture and shape are made of.
    tensors: Vec<String>,
}

impl HuggingFace {
    pub(super) fn open(folder: &Path) -> Result<Self, Error> {
        let config = Config::read(&folder.join(CONFIG))?;
        let stop_tokens = stop_tokens(folder, &config)?;
        check_tokenizer(&folder.join(TOKENIZER), config.vocabulary)?;
        let weights = Weights::open(folder)?;
        let tensors = check_tensors(&weights, &config)?;
        let spec = spec(&folder.join(CONFIG), &config, stop_tokens)?;
        Ok(Self {
            config,
            spec,
            weights,
            tensors,
        })
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The shape, with the stop tokens of `generation_config.json` as well.
    pub fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    /// The model's tensors: name, and where and how it is stored.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, &Stored)> {
        let stored = |name: &String| self.weights.stored(name);
        self.tensors
            .iter()
            .filter_map(move |name| Some((name.as_str(), stored(name)?)))
    }

    /// Reads one of the model's tensors.
    pub fn read(&self, tensor: &str) -> Result<RawTensor<'_>, Error> {
        self.weights.read(tensor)
    }

    /// Root over the files that hold the weights. Reads them once, which takes as long as the disk needs.
    pub(super) fn weights_root(&self) -> Result<H256, Error> {
        self.weights.root()
    }
}

/// The shape as a listing has it.
fn spec(path: &Path, config: &Config, stop_tokens: Vec<TokenId>) -> Result<ModelSpec, Error> {
    let wrong = |what: &str| Error::file(path, format!("{what} is out of range"), SAME_MODEL);
    let narrow = |value: u32, what| u16::try_from(value).map_err(|_| wrong(what));
    let found = stop_tokens.len();
    let spec = ModelSpec {
        architecture: config.architecture,
        profile: Profile::Unverified,
        layers: narrow(config.layers, "num_hidden_layers")?,
        hidden: config.hidden,
        intermediate: config.intermediate,
        heads: narrow(config.heads, "num_attention_heads")?,
        kv_heads: narrow(config.kv_heads, "num_key_value_heads")?,
        head_dim: narrow(config.head_dim, "head_dim")?,
        vocabulary: config.vocabulary,
        context: config.context,
        stop_tokens: stop_tokens.try_into().map_err(|_| {
            let problem = format!("with {GENERATION_CONFIG} names {found} stop tokens");
            let next = format!("keep the {MAX_STOP_TOKENS} that end an answer");
            Error::file(path, problem, next)
        })?,
        tied_embeddings: config.tied_embeddings,
    };
    spec.validate().map_err(|error| {
        wrong(match error {
            SpecError::Dimension => "a dimension",
            SpecError::Heads => "the number or width of the heads",
            SpecError::StopTokens => "a stop token",
            SpecError::FractionBits
            | SpecError::Epsilon
            | SpecError::RotaryBase
            | SpecError::RotaryScaling
            | SpecError::Tables => "a number of the profile",
        })
    })?;
    Ok(spec)
}

/// The ids that end an answer by either file, in ascending order. Fine-tunes often name the end of
/// a turn in one of them and the end of text in the other, and an answer is over at both.
fn stop_tokens(folder: &Path, config: &Config) -> Result<Vec<TokenId>, Error> {
    let mut named: Vec<(&str, TokenId)> = Vec::new();
    named.extend(config.stop_tokens.iter().map(|token| (CONFIG, *token)));
    let generation_file = folder.join(GENERATION_CONFIG);
    if generation_file.exists() {
        let ids = parse::<GenerationConfig>(&generation_file)?.eos_token_id;
        let ids = ids.map(TokenIds::into_vec).unwrap_or_default();
        named.extend(ids.into_iter().map(|token| (GENERATION_CONFIG, token)));
    }
    let vocabulary = config.vocabulary;
    if let Some((file, token)) = named.iter().find(|(_, token)| *token >= vocabulary) {
        let problem = format!("names stop token {token}, outside the vocabulary of {vocabulary}");
        return Err(Error::file(&folder.join(file), problem, BOTH_FILES));
    }
    let ascending: BTreeSet<TokenId> = named.into_iter().map(|(_, token)| token).collect();
    Ok(ascending.into_iter().collect())
}

/// Holds the files' tensors against those that the configuration asks for, and returns the names
/// of the latter.
fn check_tensors(weights: &Weights, config: &Config) -> Result<Vec<String>, Error> {
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
            let class = config.class();
            let problem =
                format!("holds tensor {name}, which {class} with this config.json does not have");
            return Err(Error::file(file, problem, SAME_MODEL));
        }
    }
    Ok(names)
}

#[derive(Deserialize)]
struct GenerationConfig {
    eos_token_id: Option<TokenIds>,
}
