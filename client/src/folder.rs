//! A model folder as Hugging Face lays it out, reduced to what a listing says of it: shape and
//! hashes. Whether the weights fit the shape is for the engine that loads them.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Read},
    path::Path,
};

use assay_primitives::{
    tree::weights_root, Architecture, ModelParts, ModelSpec, Profile, SpecError, TokenId,
    MAX_STOP_TOKENS,
};
use blake2::{
    digest::{consts::U32, Digest},
    Blake2b,
};
use serde::{de::DeserializeOwned, Deserialize};
use subxt::utils::H256;

use crate::Error;

type Blake2b256 = Blake2b<U32>;

const CONFIG: &str = "config.json";
const GENERATION_CONFIG: &str = "generation_config.json";
const TOKENIZER: &str = "tokenizer.json";
const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
const TEMPLATE: &str = "chat_template.jinja";
const WEIGHTS: &str = "model.safetensors";
const WEIGHTS_INDEX: &str = "model.safetensors.index.json";

const FROM_PUBLISHER: &str = "copy it from the model's publisher";
const SUPPORTED: &str = "use a model of LlamaForCausalLM, Qwen2ForCausalLM or Qwen3ForCausalLM";
const SAME_MODEL: &str = "take all files from the same model";

/// Everything about the model in `folder` that its listing binds. Reads the weights once, which
/// takes as long as the disk needs.
pub fn parts(folder: &Path) -> Result<ModelParts, Error> {
    Ok(ModelParts {
        spec: spec(folder)?,
        tokenizer: tokenizer_hash(folder)?,
        template: hash(template(folder)?.as_bytes()),
        tables: H256::zero(),
        weights_root: weights(folder)?,
    })
}

/// BLAKE2b-256.
pub fn hash(bytes: &[u8]) -> H256 {
    H256(Blake2b256::digest(bytes).into())
}

/// Hash of `tokenizer.json`.
pub fn tokenizer_hash(folder: &Path) -> Result<H256, Error> {
    Ok(hash(&tokenizer(folder)?))
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

/// The shape that `config.json` gives, with the stop tokens of `generation_config.json` as well.
pub fn spec(folder: &Path) -> Result<ModelSpec, Error> {
    let path = folder.join(CONFIG);
    let config: Config = parse(&path)?;
    let class = config.architectures.as_ref().and_then(|all| all.first());
    let architecture = match config.model_type.as_deref().or(class.map(String::as_str)) {
        Some("llama" | "LlamaForCausalLM") => Architecture::Llama,
        Some("qwen2" | "Qwen2ForCausalLM") => Architecture::Qwen2,
        Some("qwen3" | "Qwen3ForCausalLM") => Architecture::Qwen3,
        other => {
            let problem = format!("unsupported architecture {}", other.unwrap_or("none"));
            return Err(Error::file(&path, problem, SUPPORTED));
        }
    };
    let wrong = |what: &str| Error::file(&path, format!("{what} is out of range"), SAME_MODEL);
    let narrow = |value: u32, what| u16::try_from(value).map_err(|_| wrong(what));
    let heads = config.num_attention_heads;
    let head_dim = match architecture {
        Architecture::Llama | Architecture::Qwen2 => config
            .hidden_size
            .checked_div(heads)
            .ok_or_else(|| wrong("num_attention_heads"))?,
        // What the publisher's own code takes where the file is silent.
        Architecture::Qwen3 => config.head_dim.unwrap_or(128),
    };
    let stop_tokens = stop_tokens(folder, config.eos_token_id)?;
    let found = stop_tokens.len();
    let spec = ModelSpec {
        architecture,
        profile: Profile::Unverified,
        layers: narrow(config.num_hidden_layers, "num_hidden_layers")?,
        hidden: config.hidden_size,
        intermediate: config.intermediate_size,
        heads: narrow(heads, "num_attention_heads")?,
        kv_heads: narrow(
            config.num_key_value_heads.unwrap_or(heads),
            "num_key_value_heads",
        )?,
        head_dim: narrow(head_dim, "head_dim")?,
        vocabulary: config.vocab_size,
        context: config.max_position_embeddings,
        stop_tokens: stop_tokens.try_into().map_err(|_| {
            let problem = format!("with {GENERATION_CONFIG} names {found} stop tokens");
            Error::file(
                &path,
                problem,
                format!("keep the {MAX_STOP_TOKENS} that end an answer"),
            )
        })?,
        tied_embeddings: config.tie_word_embeddings.unwrap_or(false),
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

/// Root over the weight files that an engine loads: `model.safetensors`, or else those that the
/// index names.
pub fn weights(folder: &Path) -> Result<H256, Error> {
    let index_path = folder.join(WEIGHTS_INDEX);
    let names: BTreeSet<String> = if folder.join(WEIGHTS).exists() || !index_path.exists() {
        BTreeSet::from([WEIGHTS.to_owned()])
    } else {
        let index: Index = parse(&index_path)?;
        index.weight_map.into_values().collect()
    };
    let mut files = Vec::with_capacity(names.len());
    for name in &names {
        // The index comes with the download and must not lead out of the folder.
        if Path::new(name).file_name() != Some(name.as_ref()) {
            return Err(Error::file(
                &index_path,
                format!("names the file {name:?}"),
                FROM_PUBLISHER,
            ));
        }
        let path = folder.join(name);
        let (length, hash) = hash_file(&path).map_err(|error| unreadable(&path, &error))?;
        files.push((name.as_str(), length, hash));
    }
    Ok(weights_root(files))
}

fn hash_file(path: &Path) -> io::Result<(u64, H256)> {
    let mut file = File::open(path)?;
    let mut hasher = Blake2b256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut length = 0u64;
    loop {
        let read = match file.read(&mut buffer) {
            Ok(0) => return Ok((length, H256(hasher.finalize().into()))),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hasher.update(buffer.get(..read).unwrap_or_default());
        length = length.saturating_add(read as u64);
    }
}

/// The ids that end an answer by either file, in ascending order.
fn stop_tokens(folder: &Path, config: Option<TokenIds>) -> Result<Vec<TokenId>, Error> {
    let path = folder.join(GENERATION_CONFIG);
    let generation = match path.exists() {
        true => parse::<GenerationConfig>(&path)?.eos_token_id,
        false => None,
    };
    let ids: BTreeSet<TokenId> = config
        .into_iter()
        .chain(generation)
        .flat_map(TokenIds::into_vec)
        .collect();
    Ok(ids.into_iter().collect())
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
        io::ErrorKind::NotFound => Error::file(path, "is missing", FROM_PUBLISHER),
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
            FROM_PUBLISHER,
        )
    })
}

#[derive(Deserialize)]
struct Config {
    model_type: Option<String>,
    architectures: Option<Vec<String>>,
    num_hidden_layers: u32,
    hidden_size: u32,
    intermediate_size: u32,
    num_attention_heads: u32,
    num_key_value_heads: Option<u32>,
    head_dim: Option<u32>,
    vocab_size: u32,
    max_position_embeddings: u32,
    eos_token_id: Option<TokenIds>,
    tie_word_embeddings: Option<bool>,
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

/// One token id or several, as both JSON files write them.
#[derive(Deserialize)]
#[serde(untagged)]
enum TokenIds {
    One(TokenId),
    Several(Vec<TokenId>),
}

impl TokenIds {
    fn into_vec(self) -> Vec<TokenId> {
        match self {
            Self::One(id) => vec![id],
            Self::Several(ids) => ids,
        }
    }
}

#[derive(Deserialize)]
struct Index {
    /// File by tensor name.
    weight_map: std::collections::BTreeMap<String, String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new() -> Self {
            let folder = Self(tempfile::tempdir().unwrap());
            folder
                .with(
                    CONFIG,
                    r#"{"model_type": "llama", "architectures": ["LlamaForCausalLM"],
                        "num_hidden_layers": 4, "hidden_size": 256, "intermediate_size": 768,
                        "num_attention_heads": 8, "num_key_value_heads": 2, "vocab_size": 1024,
                        "max_position_embeddings": 512, "eos_token_id": 7,
                        "tie_word_embeddings": true}"#,
                )
                .with(GENERATION_CONFIG, r#"{"eos_token_id": [3, 7]}"#)
                .with(TOKENIZER, "{}")
                .with(
                    TOKENIZER_CONFIG,
                    r#"{"chat_template": "{{ messages }}", "bos_token": {"content": "<s>"},
                        "eos_token": "</s>"}"#,
                )
                .with(WEIGHTS, "weights")
        }

        fn with(self, name: &str, content: &str) -> Self {
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
        let parts = parts(&Folder::new().path()).unwrap();
        assert_eq!(parts.spec.head_dim, 32);
        assert_eq!(parts.spec.stop_tokens.to_vec(), [3, 7]);
        assert!(parts.spec.tied_embeddings);
        assert_eq!(parts.tokenizer, hash(b"{}"));
        assert_eq!(parts.template, hash(b"{{ messages }}"));
        assert_eq!(
            parts.weights_root,
            weights_root([(WEIGHTS, 7, hash(b"weights"))])
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
    fn shards_are_those_of_the_index() {
        let folder = Folder::new()
            .without(WEIGHTS)
            .with("a.safetensors", "a")
            .with("b.safetensors", "bb")
            .with("unused.safetensors", "c")
            .with(
                WEIGHTS_INDEX,
                r#"{"weight_map": {"x": "b.safetensors", "y": "a.safetensors", "z": "a.safetensors"}}"#,
            );
        let expected = weights_root([
            ("a.safetensors", 1, hash(b"a")),
            ("b.safetensors", 2, hash(b"bb")),
        ]);
        assert_eq!(weights(&folder.path()).unwrap(), expected);
    }

    #[test]
    fn an_index_cannot_lead_out_of_the_folder() {
        let folder = Folder::new()
            .without(WEIGHTS)
            .with(WEIGHTS_INDEX, r#"{"weight_map": {"x": "../secret"}}"#);
        assert!(weights(&folder.path())
            .unwrap_err()
            .to_string()
            .contains("../secret"));
    }

    #[test]
    fn what_is_missing_or_broken_is_named() {
        for name in [CONFIG, TOKENIZER, WEIGHTS] {
            let error = parts(&Folder::new().without(name).path())
                .unwrap_err()
                .to_string();
            assert!(
                error.contains(name) && error.contains("is missing"),
                "{error}"
            );
        }
        for content in ["", "[]", r#"{"model_type": "gpt2"}"#] {
            let error = spec(&Folder::new().with(CONFIG, content).path()).unwrap_err();
            assert!(error.to_string().contains(CONFIG), "{error}");
        }
    }
}
