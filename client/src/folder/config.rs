//! `config.json`: which architecture, which shape, and whether a worker computes exactly that.

use std::path::Path;

use assay_primitives::Architecture;
use serde::Deserialize;

use super::{parse, AGAIN};
use crate::Error;

/// The tables of the rotary embedding are computed for every position at load; beyond this
/// length they would take more memory than the weights of a small model.
const MAX_CONTEXT: u32 = 1 << 20;

const SUPPORTED: &str = "use a model of LlamaForCausalLM, Qwen2ForCausalLM or Qwen3ForCausalLM";

/// The names by which `config.json` may call an architecture: `model_type`, and the entry of
/// `architectures`.
fn names(architecture: Architecture) -> (&'static str, &'static str) {
    match architecture {
        Architecture::Llama => ("llama", "LlamaForCausalLM"),
        Architecture::Qwen2 => ("qwen2", "Qwen2ForCausalLM"),
        Architecture::Qwen3 => ("qwen3", "Qwen3ForCausalLM"),
    }
}

fn find(kind: &Kind) -> Option<Architecture> {
    [
        Architecture::Llama,
        Architecture::Qwen2,
        Architecture::Qwen3,
    ]
    .into_iter()
    .find(|architecture| {
        let (model_type, class) = names(*architecture);
        // A model of the right type may still have another head on it, such as a classifier.
        let classes = kind.architectures.as_ref().filter(|all| !all.is_empty());
        let class_fits = classes.map(|all| all.iter().any(|found| found == class));
        match &kind.model_type {
            Some(found) => found == model_type && class_fits != Some(false),
            None => class_fits == Some(true),
        }
    })
}

/// The checked content of `config.json`.
#[derive(Clone, Debug)]
pub struct Config {
    pub architecture: Architecture,
    pub layers: u32,
    pub hidden: u32,
    pub intermediate: u32,
    pub heads: u32,
    pub kv_heads: u32,
    pub head_dim: u32,
    pub vocabulary: u32,
    pub context: u32,
    pub stop_tokens: Vec<u32>,
    pub tied_embeddings: bool,
    pub attention_bias: bool,
    pub norm_epsilon: f64,
    pub rope_theta: f64,
    pub rope_scaling: Option<Llama3Scaling>,
}

/// How Llama 3 stretches the slow frequencies of the rotary embedding.
#[derive(Clone, Copy, Debug)]
pub struct Llama3Scaling {
    pub factor: f32,
    pub low_freq_factor: f32,
    pub high_freq_factor: f32,
    pub original_context: u32,
}

#[derive(Deserialize)]
struct Kind {
    model_type: Option<String>,
    architectures: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct File {
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
    attention_bias: Option<bool>,
    mlp_bias: Option<bool>,
    hidden_act: Option<String>,
    rms_norm_eps: Option<f64>,
    rope_theta: Option<f64>,
    rope_scaling: Option<Rope>,
    // Newer files keep theta and scaling together.
    rope_parameters: Option<Rope>,
    use_sliding_window: Option<bool>,
    layer_types: Option<Vec<String>>,
    quantization_config: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Rope {
    #[serde(alias = "type")]
    rope_type: Option<String>,
    rope_theta: Option<f64>,
    factor: Option<f32>,
    low_freq_factor: Option<f32>,
    high_freq_factor: Option<f32>,
    original_max_position_embeddings: Option<u32>,
}

/// One token id or several, as both JSON files write them.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum TokenIds {
    One(u32),
    Several(Vec<u32>),
}

impl TokenIds {
    pub(super) fn into_vec(self) -> Vec<u32> {
        match self {
            Self::One(id) => vec![id],
            Self::Several(ids) => ids,
        }
    }
}

impl Config {
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        let kind: Kind = parse(path)?;
        let Some(architecture) = find(&kind) else {
            let class = kind.architectures.as_ref().and_then(|all| all.first());
            let found = class
                .or(kind.model_type.as_ref())
                .map_or("none", String::as_str);
            let problem = format!("unsupported architecture {found}");
            return Err(Error::file(path, problem, SUPPORTED));
        };
        let file: File = parse(path)?;
        Self::from_file(architecture, file)
            .map_err(|Unusable { problem, next }| Error::file(path, problem, next))
    }

    fn from_file(architecture: Architecture, file: File) -> Result<Self, Unusable> {
        refuse_what_is_not_computed(architecture, &file)?;
        let heads = file.num_attention_heads;
        let per_head = file.hidden_size.checked_div(heads).unwrap_or(0);
        let head_dim = match architecture {
            // These two have no width of their own for a head.
            Architecture::Llama | Architecture::Qwen2 => {
                if let Some(other) = file.head_dim.filter(|dim| *dim != per_head) {
                    return Err(Unusable::contradiction(format!(
                        "head_dim {other} is not hidden_size / num_attention_heads = {per_head}"
                    )));
                }
                per_head
            }
            // What the publisher's own code takes where the file is silent.
            Architecture::Qwen3 => file.head_dim.unwrap_or(128),
        };
        let (rope_theta, rope_scaling) = rope(architecture, &file)?;
        let config = Self {
            architecture,
            layers: file.num_hidden_layers,
            hidden: file.hidden_size,
            intermediate: file.intermediate_size,
            heads,
            kv_heads: file.num_key_value_heads.unwrap_or(heads),
            head_dim,
            vocabulary: file.vocab_size,
            context: file.max_position_embeddings,
            stop_tokens: file
                .eos_token_id
                .map(TokenIds::into_vec)
                .unwrap_or_default(),
            tied_embeddings: file.tie_word_embeddings.unwrap_or(false),
            attention_bias: file.attention_bias.unwrap_or(false),
            norm_epsilon: file.rms_norm_eps.unwrap_or(1e-6),
            rope_theta,
            rope_scaling,
        };
        config.check_dimensions()?;
        Ok(config)
    }

    fn check_dimensions(&self) -> Result<(), Unusable> {
        let dimensions = [
            ("num_hidden_layers", self.layers),
            ("hidden_size", self.hidden),
            ("intermediate_size", self.intermediate),
            ("num_attention_heads", self.heads),
            ("num_key_value_heads", self.kv_heads),
            ("head_dim", self.head_dim),
            ("vocab_size", self.vocabulary),
            ("max_position_embeddings", self.context),
        ];
        if let Some((name, _)) = dimensions.iter().find(|(_, value)| *value == 0) {
            return Err(Unusable::contradiction(format!("{name} is zero")));
        }
        if self.context > MAX_CONTEXT {
            let context = self.context;
            return Err(Unusable::unsupported(format!(
                "max_position_embeddings {context}, above {MAX_CONTEXT},"
            )));
        }
        if self.heads.checked_rem(self.kv_heads) != Some(0) {
            let (heads, kv_heads) = (self.heads, self.kv_heads);
            return Err(Unusable::contradiction(format!(
                "num_key_value_heads {kv_heads} does not divide num_attention_heads {heads}"
            )));
        }
        let heads_width = u64::from(self.heads) * u64::from(self.head_dim);
        if self.architecture != Architecture::Qwen3 && heads_width != u64::from(self.hidden) {
            let (heads, hidden) = (self.heads, self.hidden);
            return Err(Unusable::contradiction(format!(
                "num_attention_heads {heads} does not divide hidden_size {hidden}"
            )));
        }
        if self.head_dim & 1 == 1 {
            return Err(Unusable::contradiction(format!(
                "a head is {} wide, which is odd",
                self.head_dim
            )));
        }
        if !(self.norm_epsilon >= 0.0 && self.rope_theta > 0.0) {
            return Err(Unusable::contradiction(
                "rms_norm_eps or rope_theta is out of range".into(),
            ));
        }
        Ok(())
    }

    /// The class that the architecture has in `config.json`.
    pub(super) fn class(&self) -> &'static str {
        names(self.architecture).1
    }

    /// The tensors of a model with this configuration: names and shapes.
    pub(super) fn tensors(&self) -> impl Iterator<Item = (String, Vec<usize>)> + '_ {
        let hidden = self.hidden as usize;
        let vocabulary = self.vocabulary as usize;
        let embedding = (
            "model.embed_tokens.weight".to_owned(),
            vec![vocabulary, hidden],
        );
        let norm = ("model.norm.weight".to_owned(), vec![hidden]);
        let head = (!self.tied_embeddings)
            .then(|| ("lm_head.weight".to_owned(), vec![vocabulary, hidden]));
        // Lazily: the number of layers is only a claim until their tensors are found.
        let layers = (0..self.layers).flat_map(|layer| {
            let name = move |part| format!("model.layers.{layer}.{part}");
            self.layer_tensors()
                .into_iter()
                .map(move |(part, shape)| (name(part), shape))
        });
        [embedding, norm].into_iter().chain(head).chain(layers)
    }

    fn layer_tensors(&self) -> Vec<(&'static str, Vec<usize>)> {
        let hidden = self.hidden as usize;
        let intermediate = self.intermediate as usize;
        let head_dim = self.head_dim as usize;
        let query = (self.heads as usize).saturating_mul(head_dim);
        let key = (self.kv_heads as usize).saturating_mul(head_dim);
        let mut tensors = vec![
            ("input_layernorm.weight", vec![hidden]),
            ("self_attn.q_proj.weight", vec![query, hidden]),
            ("self_attn.k_proj.weight", vec![key, hidden]),
            ("self_attn.v_proj.weight", vec![key, hidden]),
            ("self_attn.o_proj.weight", vec![hidden, query]),
            ("post_attention_layernorm.weight", vec![hidden]),
            ("mlp.gate_proj.weight", vec![intermediate, hidden]),
            ("mlp.up_proj.weight", vec![intermediate, hidden]),
            ("mlp.down_proj.weight", vec![hidden, intermediate]),
        ];
        let biases = [
            ("self_attn.q_proj.bias", vec![query]),
            ("self_attn.k_proj.bias", vec![key]),
            ("self_attn.v_proj.bias", vec![key]),
        ];
        match self.architecture {
            Architecture::Llama => {}
            Architecture::Qwen2 => tensors.extend(biases),
            Architecture::Qwen3 => {
                tensors.push(("self_attn.q_norm.weight", vec![head_dim]));
                tensors.push(("self_attn.k_norm.weight", vec![head_dim]));
                if self.attention_bias {
                    tensors.extend(biases);
                    tensors.push(("self_attn.o_proj.bias", vec![hidden]));
                }
            }
        }
        tensors
    }
}

/// What makes a configuration unusable, and what to do about it.
struct Unusable {
    problem: String,
    next: &'static str,
}

impl Unusable {
    /// The file contradicts itself, or says something that cannot be.
    fn contradiction(problem: String) -> Self {
        Self {
            problem,
            next: AGAIN,
        }
    }

    /// The file is right, and the engine cannot do what it says.
    fn unsupported(what: String) -> Self {
        let next = "choose a variant of the model without it";
        Self {
            problem: format!("{what} is not supported"),
            next,
        }
    }
}

/// An engine that ignored these would answer, and answer wrongly.
fn refuse_what_is_not_computed(architecture: Architecture, file: &File) -> Result<(), Unusable> {
    let refuse = |what: String| Err(Unusable::unsupported(what));
    if file.quantization_config.is_some() {
        return refuse("quantization_config".into());
    }
    if let Some(other) = file.hidden_act.as_ref().filter(|act| *act != "silu") {
        return refuse(format!("hidden_act {other}"));
    }
    if architecture == Architecture::Llama && file.attention_bias == Some(true) {
        return refuse("attention_bias".into());
    }
    if file.mlp_bias == Some(true) {
        return refuse("mlp_bias".into());
    }
    if file.use_sliding_window == Some(true) {
        return refuse("use_sliding_window".into());
    }
    let mut layer_types = file.layer_types.iter().flatten();
    if let Some(other) = layer_types.find(|kind| *kind != "full_attention") {
        return refuse(format!("layer type {other}"));
    }
    Ok(())
}

fn rope(architecture: Architecture, file: &File) -> Result<(f64, Option<Llama3Scaling>), Unusable> {
    let rope = file.rope_parameters.as_ref().or(file.rope_scaling.as_ref());
    let theta = rope
        .and_then(|rope| rope.rope_theta)
        .or(file.rope_theta)
        .unwrap_or(10_000.0);
    let Some(rope) = rope else {
        return Ok((theta, None));
    };
    let kind = rope.rope_type.as_deref().unwrap_or("default");
    match (kind, architecture) {
        ("default", _) => Ok((theta, None)),
        ("llama3", Architecture::Llama) => {
            let fields = (
                rope.factor,
                rope.low_freq_factor,
                rope.high_freq_factor,
                rope.original_max_position_embeddings,
            );
            match fields {
                (Some(factor), Some(low), Some(high), Some(original_context))
                    if factor > 0.0 && low > 0.0 && high > low && original_context > 0 =>
                {
                    let scaling = Llama3Scaling {
                        factor,
                        low_freq_factor: low,
                        high_freq_factor: high,
                        original_context,
                    };
                    Ok((theta, Some(scaling)))
                }
                _ => Err(Unusable::contradiction(
                    "llama3 RoPE scaling lacks a factor or has one out of range".into(),
                )),
            }
        }
        _ => Err(Unusable::unsupported(format!(
            "RoPE scaling {kind} of {}",
            names(architecture).1
        ))),
    }
}
