//! Model folders small enough to compute by hand, with weights from a fixed random stream.

use std::{collections::HashMap, fs, path::Path};

use assay_primitives::Architecture;
use candle_core::{safetensors, DType, Device, Tensor};
use rand_chacha::{
    rand_core::{RngCore, SeedableRng},
    ChaCha20Rng,
};
use serde_json::{json, Map, Value};
use tempfile::TempDir;

const LAYERS: usize = 2;
const HIDDEN: usize = 32;
const INTERMEDIATE: usize = 48;
const VOCABULARY: usize = 64;

#[derive(Clone, Debug)]
pub struct TinyModel {
    pub architecture: Architecture,
    pub dtype: DType,
    pub shards: usize,
    pub tied: bool,
    pub attention_bias: bool,
    pub rope_scaling: Option<Value>,
    pub context: usize,
    pub heads: usize,
    pub kv_heads: usize,
    /// Whether one weight is not a number.
    pub poison: bool,
}

impl TinyModel {
    pub fn new(architecture: Architecture) -> Self {
        Self {
            architecture,
            dtype: DType::F32,
            shards: 1,
            tied: false,
            attention_bias: false,
            rope_scaling: None,
            context: 48,
            heads: 4,
            kv_heads: 2,
            poison: false,
        }
    }

    /// Writes the model into a folder that lives as long as what is returned.
    pub fn write(&self) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, content: Value| {
            fs::write(folder.path().join(name), content.to_string()).unwrap();
        };
        write("config.json", self.config());
        write("tokenizer.json", tokenizer());
        self.write_weights(folder.path());
        folder
    }

    /// Qwen3 alone has heads of a width of their own.
    fn head_dim(&self) -> usize {
        if self.architecture == Architecture::Qwen3 {
            12
        } else {
            HIDDEN / self.heads
        }
    }

    fn config(&self) -> Value {
        let (model_type, class) = match self.architecture {
            Architecture::Llama => ("llama", "LlamaForCausalLM"),
            Architecture::Qwen2 => ("qwen2", "Qwen2ForCausalLM"),
            Architecture::Qwen3 => ("qwen3", "Qwen3ForCausalLM"),
        };
        let mut config = json!({
            "model_type": model_type,
            "architectures": [class],
            "num_hidden_layers": LAYERS,
            "hidden_size": HIDDEN,
            "intermediate_size": INTERMEDIATE,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "vocab_size": VOCABULARY,
            "max_position_embeddings": self.context,
            "eos_token_id": 3,
            "tie_word_embeddings": self.tied,
            "hidden_act": "silu",
            "rms_norm_eps": 1e-5,
            "rope_theta": 10000,
            "torch_dtype": "bfloat16",
        });
        match self.architecture {
            Architecture::Llama => config["rope_scaling"] = json!(self.rope_scaling),
            // As in real files, which name a window shorter than the context and do not use it.
            Architecture::Qwen2 => {
                config["sliding_window"] = json!(2);
                config["use_sliding_window"] = json!(false);
            }
            Architecture::Qwen3 => {
                config["head_dim"] = json!(self.head_dim());
                config["attention_bias"] = json!(self.attention_bias);
                config["layer_types"] = json!(["full_attention", "full_attention"]);
            }
        }
        config
    }

    fn write_weights(&self, folder: &Path) {
        let tensors = self.tensors();
        if self.shards == 1 {
            let all: HashMap<String, Tensor> = tensors.into_iter().collect();
            return safetensors::save(&all, folder.join("model.safetensors")).unwrap();
        }
        let mut weight_map = Map::new();
        for shard in 0..self.shards {
            let name = format!("model-{:05}-of-{:05}.safetensors", shard + 1, self.shards);
            let of_shard: HashMap<String, Tensor> = tensors
                .iter()
                .skip(shard)
                .step_by(self.shards)
                .cloned()
                .collect();
            weight_map.extend(of_shard.keys().map(|tensor| (tensor.clone(), json!(name))));
            safetensors::save(&of_shard, folder.join(name)).unwrap();
        }
        let index = json!({"metadata": {"total_size": 1}, "weight_map": weight_map});
        fs::write(
            folder.join("model.safetensors.index.json"),
            index.to_string(),
        )
        .unwrap();
    }

    fn tensors(&self) -> Vec<(String, Tensor)> {
        let query = self.heads * self.head_dim();
        let key = self.kv_heads * self.head_dim();
        let mut shapes = vec![(
            "model.embed_tokens.weight".to_owned(),
            vec![VOCABULARY, HIDDEN],
        )];
        for layer in 0..LAYERS {
            let mut add = |part: &str, shape: &[usize]| {
                shapes.push((format!("model.layers.{layer}.{part}"), shape.to_vec()));
            };
            add("input_layernorm.weight", &[HIDDEN]);
            add("post_attention_layernorm.weight", &[HIDDEN]);
            add("self_attn.q_proj.weight", &[query, HIDDEN]);
            add("self_attn.k_proj.weight", &[key, HIDDEN]);
            add("self_attn.v_proj.weight", &[key, HIDDEN]);
            add("self_attn.o_proj.weight", &[HIDDEN, query]);
            add("mlp.gate_proj.weight", &[INTERMEDIATE, HIDDEN]);
            add("mlp.up_proj.weight", &[INTERMEDIATE, HIDDEN]);
            add("mlp.down_proj.weight", &[HIDDEN, INTERMEDIATE]);
            if self.architecture == Architecture::Qwen2 || self.attention_bias {
                add("self_attn.q_proj.bias", &[query]);
                add("self_attn.k_proj.bias", &[key]);
                add("self_attn.v_proj.bias", &[key]);
            }
            if self.attention_bias {
                add("self_attn.o_proj.bias", &[HIDDEN]);
            }
            if self.architecture == Architecture::Qwen3 {
                add("self_attn.q_norm.weight", &[self.head_dim()]);
                add("self_attn.k_norm.weight", &[self.head_dim()]);
            }
        }
        shapes.push(("model.norm.weight".into(), vec![HIDDEN]));
        if !self.tied {
            shapes.push(("lm_head.weight".into(), vec![VOCABULARY, HIDDEN]));
        }
        let mut stream = ChaCha20Rng::from_seed([42; 32]);
        let random = |(name, shape): (String, Vec<usize>)| {
            let values = self.values(&name, &shape, &mut stream);
            let tensor = Tensor::from_vec(values, shape, &Device::Cpu).unwrap();
            (name, tensor.to_dtype(self.dtype).unwrap())
        };
        shapes.into_iter().map(random).collect()
    }

    /// Norms around one and everything else around zero, wide enough for every part to be felt.
    fn values(&self, name: &str, shape: &[usize], stream: &mut ChaCha20Rng) -> Vec<f32> {
        let (centre, spread) = match shape {
            [_] if name.contains("norm") => (1.0, 0.5),
            [_] => (0.0, 0.5),
            _ => (0.0, 0.4),
        };
        let count = shape.iter().product();
        let mut values: Vec<f32> = (0..count)
            .map(|_| {
                let unit = stream.next_u32() as f32 / u32::MAX as f32;
                centre + spread * (2.0 * unit - 1.0)
            })
            .collect();
        if self.poison && name == "model.layers.0.mlp.up_proj.weight" {
            values[0] = f32::NAN;
        }
        values
    }
}

fn tokenizer() -> Value {
    let vocab: Map<String, Value> = (0..VOCABULARY)
        .map(|id| (format!("w{id}"), json!(id)))
        .collect();
    json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": [],
        "normalizer": null,
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": null,
        "decoder": null,
        "model": {"type": "WordLevel", "vocab": vocab, "unk_token": "w0"},
    })
}
