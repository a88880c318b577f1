//! A float model as a Hugging Face folder holds it: `config.json` and named tensors.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{bail, Context, Result};
use candle_core::{DType, Device, Tensor};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What this benchmark reads or changes of `config.json`; the rest is carried along.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Config {
    pub model_type: String,
    pub architectures: Vec<String>,
    pub num_hidden_layers: usize,
    pub hidden_size: usize,
    pub intermediate_size: usize,
    pub num_attention_heads: usize,
    pub num_key_value_heads: usize,
    pub head_dim: usize,
    pub vocab_size: usize,
    pub max_position_embeddings: usize,
    pub rms_norm_eps: f64,
    pub rope_theta: f64,
    pub rope_scaling: Option<Scaling>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// Llama 3's scaling of the rotary embedding.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Scaling {
    pub rope_type: String,
    pub factor: f64,
    pub low_freq_factor: f64,
    pub high_freq_factor: f64,
    pub original_max_position_embeddings: usize,
}

impl Config {
    /// Query heads that share a key-value head.
    pub fn group(&self) -> usize {
        self.num_attention_heads / self.num_key_value_heads
    }

    /// Names another architecture.
    pub fn be(&mut self, model_type: &str, class: &str) {
        self.model_type = model_type.into();
        self.architectures = vec![class.into()];
    }
}

/// The tensors are f32, by their Hugging Face names.
#[derive(Clone)]
pub struct Checkpoint {
    pub config: Config,
    tensors: BTreeMap<String, Tensor>,
    /// The files that do not concern the weights, by name.
    others: BTreeMap<&'static str, Vec<u8>>,
}

const CONFIG: &str = "config.json";
const WEIGHTS: &str = "model.safetensors";
const OTHERS: [&str; 3] = [
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
];

impl Checkpoint {
    pub fn read(folder: &Path) -> Result<Self> {
        let path = |name: &str| folder.join(name);
        let read = |name: &str| {
            fs::read(path(name)).with_context(|| format!("cannot read {}", path(name).display()))
        };
        let config: Config = serde_json::from_slice(&read(CONFIG)?)
            .with_context(|| format!("{} is not a model's", path(CONFIG).display()))?;
        let loaded = candle_core::safetensors::load(path(WEIGHTS), &Device::Cpu)
            .with_context(|| format!("cannot read {}", path(WEIGHTS).display()))?;
        let mut tensors = BTreeMap::new();
        for (name, tensor) in loaded {
            tensors.insert(name, tensor.to_dtype(DType::F32)?);
        }
        let mut others = BTreeMap::new();
        for name in OTHERS {
            others.insert(name, read(name)?);
        }
        if tensors.contains_key("lm_head.weight") {
            bail!(
                "{} has an lm_head: only models with tied embeddings are measured",
                path(WEIGHTS).display()
            );
        }
        Ok(Self {
            config,
            tensors,
            others,
        })
    }

    /// Makes the folder.
    pub fn write(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder)?;
        fs::write(
            folder.join(CONFIG),
            serde_json::to_vec_pretty(&self.config)?,
        )?;
        for (name, bytes) in &self.others {
            fs::write(folder.join(name), bytes)?;
        }
        let bytes = safetensors::serialize(self.tensors.iter(), None)?;
        fs::write(folder.join(WEIGHTS), bytes)?;
        Ok(())
    }

    pub fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    pub fn tensor(&self, name: &str) -> Result<&Tensor> {
        self.tensors
            .get(name)
            .with_context(|| format!("the model has no tensor {name}"))
    }

    pub fn insert(&mut self, name: String, values: Vec<f32>) -> Result<()> {
        let tensor = Tensor::new(values, &Device::Cpu)?;
        self.tensors.insert(name, tensor);
        Ok(())
    }

    /// Multiplies each row of a matrix, or each element of a vector, by its factor.
    pub fn scale_rows(&mut self, name: &str, factors: &[f32]) -> Result<()> {
        let tensor = self.tensor(name)?;
        let factors = Tensor::new(factors, &Device::Cpu)?;
        let factors = match tensor.rank() {
            1 => factors,
            _ => factors.unsqueeze(1)?,
        };
        let scaled = tensor.broadcast_mul(&factors)?;
        self.tensors.insert(name.into(), scaled);
        Ok(())
    }

    /// Multiplies each column of a matrix by its factor.
    pub fn scale_columns(&mut self, name: &str, factors: &[f32]) -> Result<()> {
        let scaled = self
            .tensor(name)?
            .broadcast_mul(&Tensor::new(factors, &Device::Cpu)?)?;
        self.tensors.insert(name.into(), scaled);
        Ok(())
    }
}

/// The name of a tensor of one layer, such as `layer(0, "mlp.up_proj")`.
pub fn layer(index: usize, part: &str) -> String {
    format!("model.layers.{index}.{part}.weight")
}

pub const EMBEDDING: &str = "model.embed_tokens.weight";
pub const FINAL_NORM: &str = "model.norm.weight";
