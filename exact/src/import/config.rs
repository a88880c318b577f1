//! What a model says of itself besides its weights, checked; and `config.json`, which becomes a shape or
//! is refused by name (format page §6.3).

use std::{collections::BTreeSet, fs, path::Path};

use serde::{de::DeserializeOwned, Deserialize};
use serde_json::Value;

use super::ImportError;
use crate::{
    folder::MAX_STOP_TOKENS,
    shape::{Rotary, Scaling, PPM},
    Shape,
};

const CONFIG: &str = "config.json";
const GENERATION_CONFIG: &str = "generation_config.json";

/// Fraction bits of the residual, where nothing else is asked for.
pub const FRACTION_BITS: u8 = 16;

/// The rotary base of a configuration that names none.
pub(super) const DEFAULT_BASE: f64 = 10_000.0;

/// What the files say besides the weights, within the format's bounds.
pub(super) struct Config {
    pub shape: Shape,
    /// Token ids that end an answer, in ascending order.
    pub stop_tokens: Vec<u32>,
}

impl Config {
    /// `path` is the file that says so.
    pub fn new(path: &Path, shape: Shape, stop_tokens: BTreeSet<u32>) -> Result<Self, ImportError> {
        shape.validate().map_err(ImportError::Shape)?;
        let refuse = |what: String| Err(ImportError::unsupported(path, what));
        if stop_tokens.len() > MAX_STOP_TOKENS {
            return refuse(format!("a model with {} stop tokens", stop_tokens.len()));
        }
        if let Some(token) = stop_tokens.iter().find(|token| **token >= shape.vocabulary) {
            return refuse(format!("the stop token {token} beyond the vocabulary"));
        }
        let stop_tokens = stop_tokens.into_iter().collect();
        Ok(Self { shape, stop_tokens })
    }

    pub fn set_fraction_bits(&mut self, fraction_bits: u8) -> Result<(), ImportError> {
        self.shape.fraction_bits = fraction_bits;
        self.shape.validate().map_err(ImportError::Shape)
    }
}

/// A norm's epsilon in Q40.
pub(super) fn eps40(eps: f64) -> u32 {
    // The cast saturates, and the shape's bounds refuse what is left.
    (eps * 1_099_511_627_776.0).round_ties_even() as u32
}

/// Read `config.json` and the stop tokens of `generation_config.json`.
pub(super) fn read(folder: &Path) -> Result<Config, ImportError> {
    let path = folder.join(CONFIG);
    let raw: Raw = parse(&path)?;
    let refusals = Refusals { path: &path };
    let family = raw.family(&refusals)?;
    refusals.check(&raw)?;
    let heads = raw.num_attention_heads;
    let head_dim = match raw.head_dim {
        Some(head_dim) => head_dim,
        None => raw
            .hidden_size
            .checked_div(heads)
            .ok_or_else(|| refusals.of("num_attention_heads = 0"))?,
    };
    let narrow = |value: u32, what| {
        u16::try_from(value).map_err(|_| refusals.of(format!("{what} = {value}")))
    };
    let shape = Shape {
        layers: narrow(raw.num_hidden_layers, "num_hidden_layers")?,
        hidden: raw.hidden_size,
        intermediate: raw.intermediate_size,
        heads: narrow(heads, "num_attention_heads")?,
        kv_heads: narrow(
            raw.num_key_value_heads.unwrap_or(heads),
            "num_key_value_heads",
        )?,
        head_dim: narrow(head_dim, "head_dim")?,
        vocabulary: raw.vocab_size,
        context: raw.max_position_embeddings,
        tied: raw.tie_word_embeddings.unwrap_or(false),
        biases: family == Family::Qwen2,
        head_norms: family == Family::Qwen3,
        fraction_bits: FRACTION_BITS,
        eps40: eps40(raw.rms_norm_eps),
        rotary: raw.rotary(&refusals)?,
    };
    Config::new(&path, shape, stop_tokens(folder, &raw)?)
}

/// Read a JSON file.
pub(super) fn parse<T: DeserializeOwned>(path: &Path) -> Result<T, ImportError> {
    let text = fs::read(path).map_err(|error| ImportError::file(path, &error))?;
    serde_json::from_slice(&text).map_err(|error| ImportError::malformed(path, error))
}

#[derive(Clone, Copy, PartialEq)]
enum Family {
    Llama,
    Mistral,
    Qwen2,
    Qwen3,
}

#[derive(Deserialize)]
struct Raw {
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
    rms_norm_eps: f64,
    tie_word_embeddings: Option<bool>,
    hidden_act: Option<String>,
    attention_bias: Option<bool>,
    mlp_bias: Option<bool>,
    sliding_window: Option<u32>,
    use_sliding_window: Option<bool>,
    layer_types: Option<Vec<String>>,
    partial_rotary_factor: Option<f64>,
    quantization_config: Option<Value>,
    rope_theta: Option<f64>,
    rope_scaling: Option<Rope>,
    /// Where later files keep `rope_theta` and `rope_scaling` together.
    rope_parameters: Option<Rope>,
    eos_token_id: Option<TokenIds>,
}

#[derive(Deserialize)]
struct Rope {
    #[serde(alias = "type")]
    rope_type: Option<String>,
    rope_theta: Option<f64>,
    factor: Option<f64>,
    low_freq_factor: Option<f64>,
    high_freq_factor: Option<f64>,
    original_max_position_embeddings: Option<u32>,
    partial_rotary_factor: Option<f64>,
}

#[derive(Deserialize)]
struct GenerationConfig {
    eos_token_id: Option<TokenIds>,
}

/// One token id or several, as both JSON files write them.
#[derive(Clone, Deserialize)]
#[serde(untagged)]
enum TokenIds {
    One(u32),
    Several(Vec<u32>),
}

/// Names what a model needs and the format does not have.
struct Refusals<'a> {
    path: &'a Path,
}

impl Refusals<'_> {
    fn of(&self, what: impl ToString) -> ImportError {
        ImportError::unsupported(self.path, what)
    }

    fn check(&self, raw: &Raw) -> Result<(), ImportError> {
        let refuse = |condition: bool, what: &str| match condition {
            true => Err(self.of(what)),
            false => Ok(()),
        };
        if let Some(activation) = &raw.hidden_act {
            refuse(
                activation != "silu" && activation != "swish",
                &format!("hidden_act = {activation:?}"),
            )?;
        }
        // Mistral has no switch: its window is on wherever it is given.
        let window = match raw.use_sliding_window {
            Some(false) => None,
            _ => raw.sliding_window,
        };
        if let Some(window) = window {
            refuse(
                window < raw.max_position_embeddings,
                &format!("sliding_window = {window} below the context"),
            )?;
        }
        let layers = raw.layer_types.iter().flatten();
        for kind in layers {
            refuse(
                kind != "full_attention",
                &format!("a layer of the type {kind:?}"),
            )?;
        }
        refuse(raw.attention_bias == Some(true), "attention_bias = true")?;
        refuse(raw.mlp_bias == Some(true), "mlp_bias = true")?;
        let partial = [&raw.rope_scaling, &raw.rope_parameters]
            .into_iter()
            .flatten()
            .map(|rope| rope.partial_rotary_factor)
            .chain([raw.partial_rotary_factor])
            .flatten()
            .find(|share| *share != 1.0);
        if let Some(share) = partial {
            refuse(true, &format!("partial_rotary_factor = {share}"))?;
        }
        refuse(
            raw.quantization_config.is_some(),
            "a checkpoint that is quantised already (quantization_config)",
        )
    }
}

impl Raw {
    fn family(&self, refusals: &Refusals) -> Result<Family, ImportError> {
        let class = self.architectures.as_ref().and_then(|all| all.first());
        match self.model_type.as_ref().or(class).map(String::as_str) {
            Some("llama" | "LlamaForCausalLM") => Ok(Family::Llama),
            Some("mistral" | "MistralForCausalLM") => Ok(Family::Mistral),
            Some("qwen2" | "Qwen2ForCausalLM") => Ok(Family::Qwen2),
            Some("qwen3" | "Qwen3ForCausalLM") => Ok(Family::Qwen3),
            other => Err(refusals.of(format!(
                "the architecture {:?}",
                other.unwrap_or("without a name")
            ))),
        }
    }

    fn rotary(&self, refusals: &Refusals) -> Result<Rotary, ImportError> {
        let rope = self.rope_parameters.as_ref().or(self.rope_scaling.as_ref());
        let base = rope
            .and_then(|rope| rope.rope_theta)
            .or(self.rope_theta)
            .unwrap_or(DEFAULT_BASE);
        let millionths = |name: &str, value: Option<f64>| {
            let value = value.ok_or_else(|| refusals.of(format!("rope scaling without {name}")))?;
            parts_per_million(value).ok_or_else(|| refusals.of(format!("{name} = {value}")))
        };
        let scaling = match rope.map(|rope| (rope.rope_type.as_deref(), rope)) {
            None | Some((None | Some("default"), _)) => None,
            Some((Some("llama3"), rope)) => Some(Scaling {
                factor: millionths("factor", rope.factor)?,
                low: millionths("low_freq_factor", rope.low_freq_factor)?,
                high: millionths("high_freq_factor", rope.high_freq_factor)?,
                original_context: rope.original_max_position_embeddings.ok_or_else(|| {
                    refusals.of("rope scaling without original_max_position_embeddings")
                })?,
            }),
            Some((Some(other), _)) => {
                return Err(refusals.of(format!("rope scaling of the type {other:?}")))
            }
        };
        Ok(Rotary {
            base: millionths("rope_theta", Some(base))?,
            scaling,
        })
    }
}

/// A decimal of at most six places, exactly.
pub(super) fn parts_per_million(value: f64) -> Option<u64> {
    let one = PPM as f64;
    let parts = (value * one).round_ties_even();
    // Below 2^53 the parts are exact, and only the decimal itself comes back from them.
    (parts > 0.0 && parts < 9_007_199_254_740_992.0 && parts / one == value).then_some(parts as u64)
}

fn stop_tokens(folder: &Path, raw: &Raw) -> Result<BTreeSet<u32>, ImportError> {
    let path = folder.join(GENERATION_CONFIG);
    let generation = match path.exists() {
        true => parse::<GenerationConfig>(&path)?.eos_token_id,
        false => None,
    };
    let ids = raw.eos_token_id.iter().cloned().chain(generation);
    Ok(ids
        .flat_map(|ids| match ids {
            TokenIds::One(id) => vec![id],
            TokenIds::Several(ids) => ids,
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read_with(changes: Value) -> Result<Config, String> {
        let mut config = json!({
            "model_type": "llama", "num_hidden_layers": 2, "hidden_size": 16,
            "intermediate_size": 24, "num_attention_heads": 4, "num_key_value_heads": 2,
            "vocab_size": 32, "max_position_embeddings": 64, "rms_norm_eps": 1e-5,
            "rope_theta": 10000.0, "eos_token_id": 7, "hidden_act": "silu"
        });
        let object = config.as_object_mut().unwrap();
        for (key, value) in changes.as_object().unwrap() {
            object.insert(key.clone(), value.clone());
        }
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(CONFIG), config.to_string()).unwrap();
        fs::write(
            folder.path().join(GENERATION_CONFIG),
            r#"{"eos_token_id": [3, 7]}"#,
        )
        .unwrap();
        read(folder.path()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_shape_is_read() {
        let config = read_with(json!({})).unwrap();
        assert_eq!(config.stop_tokens, [3, 7]);
        assert_eq!(config.shape.head_dim, 4);
        assert_eq!(config.shape.eps40, 10_995_116);
        assert_eq!(config.shape.rotary.base, 10_000 * PPM);
        assert!(!config.shape.tied);
    }

    #[test]
    fn scaled_rotations_are_read_from_either_place() {
        let rope = json!({"rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0,
            "high_freq_factor": 4.25, "original_max_position_embeddings": 8192});
        let scaling = Scaling {
            factor: 32 * PPM,
            low: PPM,
            high: 4_250_000,
            original_context: 8192,
        };
        let config = read_with(json!({ "rope_scaling": rope })).unwrap();
        assert_eq!(config.shape.rotary.scaling.as_ref(), Some(&scaling));
        let mut rope = rope;
        rope["rope_theta"] = json!(500000);
        let config = read_with(json!({ "rope_parameters": rope })).unwrap();
        assert_eq!(config.shape.rotary.scaling, Some(scaling));
        assert_eq!(config.shape.rotary.base, 500_000 * PPM);
    }

    #[test]
    fn families_have_their_biases_and_norms() {
        for (family, biases, head_norms) in [
            ("llama", false, false),
            ("mistral", false, false),
            ("qwen2", true, false),
            ("qwen3", false, true),
        ] {
            let shape = read_with(json!({ "model_type": family })).unwrap().shape;
            assert_eq!((shape.biases, shape.head_norms), (biases, head_norms));
        }
    }

    #[test]
    fn what_the_format_lacks_is_refused_by_name() {
        for (changes, named) in [
            (json!({"model_type": "gpt2"}), "gpt2"),
            (json!({"hidden_act": "gelu"}), "gelu"),
            (
                json!({"model_type": "mistral", "sliding_window": 63}),
                "sliding_window = 63",
            ),
            (
                json!({"model_type": "qwen2", "sliding_window": 63, "use_sliding_window": true}),
                "sliding_window",
            ),
            (
                json!({"layer_types": ["full_attention", "sliding_attention"]}),
                "sliding_attention",
            ),
            (
                json!({"rope_scaling": {"type": "yarn", "factor": 4.0}}),
                "yarn",
            ),
            (
                json!({"rope_scaling": {"type": "llama3", "factor": 4.0}}),
                "low_freq_factor",
            ),
            (
                json!({"partial_rotary_factor": 0.5}),
                "partial_rotary_factor",
            ),
            (json!({"rope_theta": 10000.0000001}), "rope_theta"),
            (json!({"rope_theta": 0.5}), "RotaryBase"),
            (json!({"attention_bias": true}), "attention_bias"),
            (json!({"mlp_bias": true}), "mlp_bias"),
            (json!({"quantization_config": {}}), "quantization_config"),
            (json!({"num_attention_heads": 0}), "num_attention_heads"),
            (json!({"num_hidden_layers": 65536}), "num_hidden_layers"),
            (json!({"num_key_value_heads": 3}), "KvHeads"),
            (json!({"rms_norm_eps": 0.0}), "Epsilon"),
            (json!({"rms_norm_eps": 1e300}), "Epsilon"),
            (json!({"max_position_embeddings": 2_000_000}), "Context"),
            (json!({"eos_token_id": 32}), "stop token 32"),
            (
                json!({"eos_token_id": (0..10).collect::<Vec<u32>>()}),
                "stop tokens",
            ),
            (json!({"vocab_size": -1}), "config.json"),
            (json!({"model_type": "a\nb"}), "architecture"),
        ] {
            let error = read_with(changes.clone()).err().unwrap_or_default();
            assert!(error.contains(named), "{changes}: {error:?}");
            assert!(!error.contains('\n'), "{error:?}");
        }
    }

    #[test]
    fn a_window_as_long_as_the_context_is_full_attention() {
        assert!(read_with(json!({"model_type": "mistral", "sliding_window": 64})).is_ok());
        assert!(read_with(
            json!({"model_type": "qwen2", "sliding_window": 8, "use_sliding_window": false})
        )
        .is_ok());
    }
}
