//! The Llama architecture, for training and for trying the result.

use crate::fused::{AttentionSoftmax, RmsNorm, Rope, SwiGlu};
use anyhow::{bail, Context, Result};
use candle_core::{DType, Device, Tensor, Var};
use rand::{rngs::StdRng, Rng, SeedableRng};
use serde_json::{json, Value};
use std::{collections::BTreeMap, path::Path, sync::Arc};

#[derive(Clone, Debug)]
pub struct Config {
    pub vocabulary: usize,
    pub hidden: usize,
    pub intermediate: usize,
    pub layers: usize,
    pub heads: usize,
    pub kv_heads: usize,
    pub eps: f32,
    pub theta: f32,
    pub positions: usize,
}

impl Config {
    pub fn head_dim(&self) -> usize {
        self.hidden / self.heads
    }

    /// The `config.json` of a Hugging Face folder.
    pub fn to_json(&self, bos: u32, eos: u32) -> Value {
        json!({
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "vocab_size": self.vocabulary,
            "hidden_size": self.hidden,
            "intermediate_size": self.intermediate,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "head_dim": self.head_dim(),
            "hidden_act": "silu",
            "rms_norm_eps": 1e-5,
            "rope_theta": f64::from(self.theta),
            "rope_scaling": null,
            "max_position_embeddings": self.positions,
            "attention_bias": false,
            "mlp_bias": false,
            "attention_dropout": 0.0,
            "initializer_range": 0.02,
            "bos_token_id": bos,
            "eos_token_id": eos,
            "tie_word_embeddings": true,
            "torch_dtype": "bfloat16",
            "use_cache": true
        })
    }

    pub fn from_json(value: &Value) -> Result<Self> {
        let number = |key: &str| {
            value
                .get(key)
                .and_then(Value::as_f64)
                .with_context(|| format!("config.json has no number {key}"))
        };
        let size = |key: &str| number(key).map(|number| number as usize);
        let config = Self {
            vocabulary: size("vocab_size")?,
            hidden: size("hidden_size")?,
            intermediate: size("intermediate_size")?,
            layers: size("num_hidden_layers")?,
            heads: size("num_attention_heads")?,
            kv_heads: size("num_key_value_heads")?,
            eps: number("rms_norm_eps")? as f32,
            theta: number("rope_theta")? as f32,
            positions: size("max_position_embeddings")?,
        };
        let divides = |whole: usize, part: usize| whole.checked_rem(part) == Some(0);
        if !divides(config.heads, config.kv_heads) || !divides(config.hidden, config.heads) {
            bail!(
                "config.json: {} hidden, {} heads and {} key-value heads do not divide",
                config.hidden,
                config.heads,
                config.kv_heads
            );
        }
        Ok(config)
    }

    /// Every tensor with its shape, under its Hugging Face name.
    fn shapes(&self) -> Vec<(String, Vec<usize>)> {
        let (hidden, kv, wide) = (
            self.hidden,
            self.kv_heads * self.head_dim(),
            self.intermediate,
        );
        let mut shapes = vec![
            (
                "model.embed_tokens.weight".to_string(),
                vec![self.vocabulary, hidden],
            ),
            ("model.norm.weight".to_string(), vec![hidden]),
        ];
        for layer in 0..self.layers {
            let tensors = [
                ("input_layernorm", vec![hidden]),
                ("self_attn.q_proj", vec![hidden, hidden]),
                ("self_attn.k_proj", vec![kv, hidden]),
                ("self_attn.v_proj", vec![kv, hidden]),
                ("self_attn.o_proj", vec![hidden, hidden]),
                ("post_attention_layernorm", vec![hidden]),
                ("mlp.gate_proj", vec![wide, hidden]),
                ("mlp.up_proj", vec![wide, hidden]),
                ("mlp.down_proj", vec![hidden, wide]),
            ];
            shapes.extend(
                tensors.map(|(name, shape)| (format!("model.layers.{layer}.{name}.weight"), shape)),
            );
        }
        shapes
    }
}

/// Several rows of packed dialogues.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    pub rows: usize,
    pub positions: usize,
    /// Row by row, `rows * positions` tokens.
    pub ids: Vec<u32>,
    /// For each token, the position in its row where its dialogue starts.
    pub starts: Arc<Vec<u32>>,
    /// The places, as indices into `ids`, whose next token is wanted.
    pub places: Vec<u32>,
}

/// The weights by name. They share storage with the optimiser's variables.
#[derive(Clone)]
pub struct Model {
    pub config: Config,
    weights: BTreeMap<String, Tensor>,
}

impl Model {
    /// Fresh variables. Projections back into the residual stream start smaller, so that depth does
    /// not make its variance grow.
    pub fn init(config: Config, seed: u64) -> Result<(Self, BTreeMap<String, Var>)> {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut vars = BTreeMap::new();
        for (name, shape) in config.shapes() {
            let count: usize = shape.iter().product();
            let data: Vec<f32> = if shape.len() == 1 {
                vec![1.0; count]
            } else {
                let deep = name.contains("o_proj") || name.contains("down_proj");
                let deviation = if deep {
                    0.04 / (2.0 * config.layers as f32).sqrt()
                } else {
                    0.04
                };
                // A uniform distribution of half-width w has the deviation w / sqrt(3).
                let width = deviation * 3f32.sqrt();
                (0..count)
                    .map(|_| rng.random_range(-width..width))
                    .collect()
            };
            vars.insert(
                name,
                Var::from_tensor(&Tensor::from_vec(data, shape, &Device::Cpu)?)?,
            );
        }
        let weights = vars
            .iter()
            .map(|(name, var)| (name.clone(), var.as_tensor().clone()))
            .collect();
        Ok((Self { config, weights }, vars))
    }

    pub fn load(folder: &Path) -> Result<Self> {
        let path = folder.join("config.json");
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}; train the model first", path.display()))?;
        let config = Config::from_json(&serde_json::from_str(&text)?)?;
        let path = folder.join("model.safetensors");
        let tensors = candle_core::safetensors::load(&path, &Device::Cpu)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let mut weights = BTreeMap::new();
        for (name, shape) in config.shapes() {
            let tensor = tensors
                .get(&name)
                .with_context(|| format!("{} has no tensor {name}", path.display()))?;
            if tensor.dims() != shape {
                bail!(
                    "{name} has the shape {:?} instead of {shape:?}",
                    tensor.dims()
                );
            }
            weights.insert(name, tensor.to_dtype(DType::F32)?);
        }
        Ok(Self { config, weights })
    }

    pub fn weights(&self) -> &BTreeMap<String, Tensor> {
        &self.weights
    }

    pub fn parameters(&self) -> usize {
        self.weights.values().map(Tensor::elem_count).sum()
    }

    fn weight(&self, name: &str) -> Result<&Tensor> {
        self.weights
            .get(name)
            .with_context(|| format!("the model has no tensor {name}"))
    }

    fn norm(&self, x: &Tensor, name: &str) -> Result<Tensor> {
        Ok(x.apply_op2(
            self.weight(name)?,
            RmsNorm {
                eps: self.config.eps,
            },
        )?)
    }

    fn linear(&self, x: &Tensor, name: &str) -> Result<Tensor> {
        Ok(x.matmul(&self.weight(name)?.t()?)?)
    }

    /// The logits at the batch's places, [places, vocabulary].
    pub fn logits(&self, batch: &Batch) -> Result<Tensor> {
        let device = &Device::Cpu;
        let embedding = self.weight("model.embed_tokens.weight")?;
        let rope = Rope::new(batch.positions, self.config.head_dim(), self.config.theta);
        let mut x = embedding.index_select(&Tensor::new(batch.ids.as_slice(), device)?, 0)?;
        for layer in 0..self.config.layers {
            let name = |part: &str| format!("model.layers.{layer}.{part}.weight");
            let normed = self.norm(&x, &name("input_layernorm"))?;
            x = (x + self.attention(&normed, batch, &rope, name)?)?;
            let normed = self.norm(&x, &name("post_attention_layernorm"))?;
            let gate = self.linear(&normed, &name("mlp.gate_proj"))?;
            let up = self.linear(&normed, &name("mlp.up_proj"))?;
            x = (x + self.linear(&gate.apply_op2(&up, SwiGlu)?, &name("mlp.down_proj"))?)?;
        }
        let wanted = x.index_select(&Tensor::new(batch.places.as_slice(), device)?, 0)?;
        let normed = self.norm(&wanted, "model.norm.weight")?;
        Ok(normed.matmul(&embedding.t()?)?)
    }

    /// The query heads that share a key head are laid behind one another, so that one product
    /// serves them all and no key is copied.
    fn attention(
        &self,
        x: &Tensor,
        batch: &Batch,
        rope: &Rope,
        name: impl Fn(&str) -> String,
    ) -> Result<Tensor> {
        let (rows, positions, dim) = (batch.rows, batch.positions, self.config.head_dim());
        let (kv, group) = (
            self.config.kv_heads,
            self.config.heads / self.config.kv_heads,
        );
        let heads = |x: Tensor, group: usize| -> Result<Tensor> {
            let x = x
                .reshape((rows, positions, kv, group, dim))?
                .permute((0, 2, 3, 1, 4))?
                .contiguous()?;
            Ok(x.reshape((rows * kv, group * positions, dim))?)
        };
        let q =
            heads(self.linear(x, &name("self_attn.q_proj"))?, group)?.apply_op1(rope.clone())?;
        let k = heads(self.linear(x, &name("self_attn.k_proj"))?, 1)?.apply_op1(rope.clone())?;
        let v = heads(self.linear(x, &name("self_attn.v_proj"))?, 1)?;
        let softmax = AttentionSoftmax {
            scale: (dim as f32).sqrt().recip(),
            positions,
            starts: batch.starts.clone(),
        };
        let weights = q.matmul(&k.t()?)?.apply_op1(softmax)?;
        let mixed = weights
            .matmul(&v)?
            .reshape((rows, kv, group, positions, dim))?
            .permute((0, 3, 1, 2, 4))?
            .contiguous()?;
        self.linear(
            &mixed.reshape((rows * positions, self.config.hidden))?,
            &name("self_attn.o_proj"),
        )
    }

    /// The most likely continuation, up to `end` or `limit` tokens.
    pub fn generate(&self, prompt: &[u32], end: u32, limit: usize) -> Result<Vec<u32>> {
        let mut ids = prompt.to_vec();
        while ids.len() < prompt.len() + limit && ids.len() < self.config.positions {
            let batch = Batch {
                rows: 1,
                positions: ids.len(),
                ids: ids.clone(),
                starts: Arc::new(vec![0; ids.len()]),
                places: vec![ids.len().saturating_sub(1) as u32],
            };
            let next = self.logits(&batch)?.argmax(1)?.to_vec1::<u32>()?;
            match next.first() {
                Some(&token) if token != end => ids.push(token),
                _ => break,
            }
        }
        Ok(ids.split_off(prompt.len()))
    }
}
