//! A model folder as Hugging Face lays it out: `config.json`, `tokenizer.json`, weights in one or
//! several safetensors files, and perhaps `generation_config.json` and a chat template.
//!
//! Opening a [`ModelFolder`] reads everything but the weights themselves and holds it all against
//! itself. The worker does so before it loads a model and the command before it lists one, so that
//! what gets onto the chain can be loaded.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use assay_primitives::{ModelParts, ModelSpec, Profile, SpecError, TokenId, MAX_STOP_TOKENS};
use blake2::{
    digest::{consts::U32, Digest},
    Blake2b,
};
use serde::{de::DeserializeOwned, Deserialize};
use subxt::utils::H256;
use tokenizers::Tokenizer;

use self::{config::TokenIds, weights::Weights};
use crate::Error;

mod config;
mod weights;

pub use self::{
    config::{Config, Llama3Scaling},
    weights::RawTensor,
};

type Blake2b256 = Blake2b<U32>;

const CONFIG: &str = "config.json";
const GENERATION_CONFIG: &str = "generation_config.json";
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
    config: Config,
    spec: ModelSpec,
    weights: Weights,
    /// The tensors that this architecture and shape are made of.
    tensors: Vec<String>,
}

impl ModelFolder {
    /// Opens the folder at `path` and checks it.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, Error> {
        let path = path.into();
        if !path.is_dir() {
            let next = "name the folder that holds the model's config.json";
            return Err(Error::file(&path, "is not a folder", next));
        }
        let config = Config::read(&path.join(CONFIG))?;
        let stop_tokens = stop_tokens(&path, &config)?;
        check_tokenizer(&path.join(TOKENIZER), &config)?;
        let weights = Weights::open(&path)?;
        let tensors = check_tensors(&weights, &config)?;
        let spec = spec(&path.join(CONFIG), &config, stop_tokens)?;
        Ok(Self {
            path,
            config,
            spec,
            weights,
            tensors,
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The shape, with the stop tokens of `generation_config.json` as well.
    pub fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    /// The names of the model's tensors.
    pub fn tensors(&self) -> impl Iterator<Item = &str> {
        self.tensors.iter().map(String::as_str)
    }

    /// Reads one of the model's tensors.
    pub fn read(&self, tensor: &str) -> Result<RawTensor<'_>, Error> {
        self.weights.read(tensor)
    }

    /// Everything about the model that its listing binds. Reads the weights once, which takes as
    /// long as the disk needs.
    pub fn parts(&self) -> Result<ModelParts, Error> {
        Ok(ModelParts {
            spec: self.spec.clone(),
            tokenizer: hash(&tokenizer(&self.path)?),
            template: hash(template(&self.path)?.as_bytes()),
            tables: H256::zero(),
            weights_root: self.weights.root()?,
        })
    }
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

/// A tokenizer of another model turns every prompt into nonsense. A vocabulary larger than the
/// tokenizer's is common (it is padded to a round number); a smaller one cannot be right.
fn check_tokenizer(file: &Path, config: &Config) -> Result<(), Error> {
    let tokenizer = Tokenizer::from_bytes(read(file)?)
        .map_err(|error| Error::file(file, format!("is not a tokenizer: {error}"), AGAIN))?;
    let Some(largest) = tokenizer.get_vocab(true).into_values().max() else {
        return Err(Error::file(file, "holds no tokens", AGAIN));
    };
    if largest >= config.vocabulary {
        let vocabulary = config.vocabulary;
        let problem =
            format!("holds token {largest}, but config.json says vocab_size {vocabulary}");
        return Err(Error::file(file, problem, BOTH_FILES));
    }
    Ok(())
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

#[derive(Deserialize)]
struct GenerationConfig {
    eos_token_id: Option<TokenIds>,
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
mod tests {
    use super::*;
    use assay_primitives::tree::weights_root;
    use serde_json::json;

    const WEIGHTS: &str = "model.safetensors";
    const WEIGHTS_INDEX: &str = "model.safetensors.index.json";

    struct Folder(tempfile::TempDir);

    impl Folder {
        /// A whole model of one layer.
        fn new() -> Self {
            let folder = Self(tempfile::tempdir().unwrap())
                .with(
                    CONFIG,
                    r#"{"model_type": "llama", "architectures": ["LlamaForCausalLM"],
                        "num_hidden_layers": 1, "hidden_size": 8, "intermediate_size": 12,
                        "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 8,
                        "max_position_embeddings": 512, "eos_token_id": 7,
                        "tie_word_embeddings": true}"#,
                )
                .with(GENERATION_CONFIG, r#"{"eos_token_id": [3, 7]}"#)
                .with(
                    TOKENIZER,
                    r#"{"version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
                        "normalizer": null, "pre_tokenizer": null, "post_processor": null,
                        "decoder": null,
                        "model": {"type": "WordLevel", "vocab": {"w": 0}, "unk_token": "w"}}"#,
                )
                .with(
                    TOKENIZER_CONFIG,
                    r#"{"chat_template": "{{ messages }}", "bos_token": {"content": "<s>"},
                        "eos_token": "</s>"}"#,
                );
            let weights = safetensors(folder.tensors());
            folder.with(WEIGHTS, weights)
        }

        fn tensors(&self) -> Vec<(String, Vec<usize>)> {
            let config = Config::read(&self.0.path().join(CONFIG)).unwrap();
            config.tensors().collect()
        }

        fn with(self, name: &str, content: impl AsRef<[u8]>) -> Self {
            fs::write(self.0.path().join(name), content).unwrap();
            self
        }

        fn without(self, name: &str) -> Self {
            fs::remove_file(self.0.path().join(name)).unwrap();
            self
        }

        fn path(&self) -> PathBuf {
            self.0.path().into()
        }

        fn parts(&self) -> Result<ModelParts, Error> {
            ModelFolder::open(self.path())?.parts()
        }

        /// The one line with which opening fails.
        fn refusal(&self) -> String {
            let message = self.parts().unwrap_err().to_string();
            assert!(!message.contains('\n'), "{message}");
            message
        }
    }

    /// A file of these tensors in BF16, all zero.
    fn safetensors(tensors: Vec<(String, Vec<usize>)>) -> Vec<u8> {
        let mut header = serde_json::Map::new();
        let mut end = 0;
        for (name, shape) in tensors {
            let start = end;
            end += shape.iter().product::<usize>() * 2;
            let entry = json!({"dtype": "BF16", "shape": shape, "data_offsets": [start, end]});
            header.insert(name, entry);
        }
        let header = serde_json::to_vec(&header).unwrap();
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend(header);
        file.resize(file.len() + end, 0);
        file
    }

    #[test]
    fn the_hash_is_blake2b_256() {
        assert_eq!(
            hex::encode(hash(b"abc")),
            "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319"
        );
    }

    #[test]
    fn shape_hashes_and_stop_tokens_are_read() {
        let folder = Folder::new();
        let parts = folder.parts().unwrap();
        assert_eq!(parts.spec.head_dim, 4);
        assert_eq!(parts.spec.stop_tokens.to_vec(), [3, 7]);
        assert!(parts.spec.tied_embeddings);
        assert_eq!(
            parts.tokenizer,
            hash(&fs::read(folder.path().join(TOKENIZER)).unwrap())
        );
        assert_eq!(parts.template, hash(b"{{ messages }}"));
        let weights = fs::read(folder.path().join(WEIGHTS)).unwrap();
        assert_eq!(
            parts.weights_root,
            weights_root([(WEIGHTS, weights.len() as u64, hash(&weights))])
        );
    }

    #[test]
    fn a_template_file_goes_before_the_tokenizers_configuration() {
        let folder = Folder::new().with(TEMPLATE, "newer");
        assert_eq!(template(&folder.path()).unwrap(), "newer");
        let tokens = special_tokens(&folder.path()).unwrap();
        assert_eq!(tokens.bos_token.as_deref(), Some("<s>"));
        assert_eq!(tokens.eos_token.as_deref(), Some("</s>"));
    }

    #[test]
    fn a_model_may_have_no_template() {
        let folder = Folder::new().without(TOKENIZER_CONFIG);
        assert_eq!(template(&folder.path()).unwrap(), "");
    }

    #[test]
    fn shards_are_those_of_the_index_in_the_order_of_their_names() {
        let folder = Folder::new().without(WEIGHTS);
        let mut first = folder.tensors();
        let last = first.split_off(3);
        let mut map = serde_json::Map::new();
        for (file, tensors) in [("b.safetensors", &first), ("a.safetensors", &last)] {
            for (name, _) in tensors {
                map.insert(name.clone(), json!(file));
            }
        }
        let (a, b) = (safetensors(last), safetensors(first));
        let expected = weights_root([
            ("a.safetensors", a.len() as u64, hash(&a)),
            ("b.safetensors", b.len() as u64, hash(&b)),
        ]);
        let folder = folder
            .with("a.safetensors", a)
            .with("b.safetensors", b)
            .with("unused.safetensors", "c")
            .with(WEIGHTS_INDEX, json!({ "weight_map": map }).to_string());
        assert_eq!(folder.parts().unwrap().weights_root, expected);
    }

    #[test]
    fn an_index_cannot_lead_out_of_the_folder() {
        let folder = Folder::new()
            .without(WEIGHTS)
            .with(WEIGHTS_INDEX, r#"{"weight_map": {"x": "../secret"}}"#);
        assert!(folder.refusal().contains("../secret"));
    }

    #[test]
    fn what_is_missing_or_broken_is_named() {
        for name in [CONFIG, TOKENIZER, WEIGHTS] {
            let error = Folder::new().without(name).refusal();
            assert!(
                error.contains(name) && error.contains("is missing"),
                "{error}"
            );
        }
        for content in ["", "[]", r#"{"model_type": "gpt2"}"#] {
            let error = Folder::new().with(CONFIG, content).refusal();
            assert!(error.contains(CONFIG), "{error}");
        }
    }

    #[test]
    fn weights_that_no_worker_could_load_are_refused() {
        let folder = Folder::new();
        let whole = fs::read(folder.path().join(WEIGHTS)).unwrap();
        let huge = [&(1u64 << 63).to_le_bytes()[..], &whole[8..]].concat();
        let mut other_shape = folder.tensors();
        other_shape[0].1 = vec![9, 8];
        let mut one_more = folder.tensors();
        one_more.push(("a\nname".into(), vec![2]));
        let mut one_less = folder.tensors();
        one_less.pop();
        for (weights, problem) in [
            (whole[..whole.len() - 1].to_vec(), "is truncated"),
            (whole[..100].to_vec(), "is truncated"),
            (Vec::new(), "is truncated"),
            (huge, "is not a safetensors file"),
            (safetensors(other_shape), "with shape [9, 8]"),
            (safetensors(one_more), "holds tensor a name"),
            (safetensors(one_less), "lacks tensor model.layers.0."),
        ] {
            let error = Folder::new().with(WEIGHTS, weights).refusal();
            assert!(error.contains(problem), "{error}");
        }
    }
}
