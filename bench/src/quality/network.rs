//! The decoder of Llama, Qwen2 and Qwen3 in candle's operations, in f32 or with Q8_0 weights, with the
//! logits of every position.
//!
//! candle's own models give the last position's logits only; this is the same network, and a test
//! compares the two. With Q8_0 it is what candle's quantised models do: all matrices are Q8_0 and their
//! products take activations rounded to Q8_0, the embedding is looked up in the Q8_0 table, and norms,
//! attention and the keys and values stay f32.

use anyhow::Result;
use candle_core::{
    quantized::{GgmlDType, QMatMul, QTensor},
    Device, Module, Tensor, D,
};
use candle_nn::{ops, rotary_emb::rope};
use candle_transformers::utils::{build_additive_causal_mask, repeat_kv};

use super::checkpoint::{layer, Checkpoint, Config, EMBEDDING, FINAL_NORM};

/// How matrices are held.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Precision {
    F32,
    Q8_0,
}

/// A model that is ready to run.
pub struct Network {
    config: Config,
    embedding: Tensor,
    layers: Vec<Layer>,
    final_norm: Tensor,
    head: QMatMul,
    /// Cosines and sines: positions × head_dim / 2.
    rotary: (Tensor, Tensor),
}

struct Layer {
    input_norm: Tensor,
    q: Linear,
    k: Linear,
    v: Linear,
    /// Norms of each head's queries and keys (Qwen3).
    head_norms: Option<(Tensor, Tensor)>,
    o: Linear,
    post_norm: Tensor,
    gate: Linear,
    up: Linear,
    down: Linear,
}

struct Linear {
    weight: QMatMul,
    bias: Option<Tensor>,
}

impl Linear {
    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let y = self.weight.forward(x)?;
        match &self.bias {
            Some(bias) => y.broadcast_add(bias),
            None => Ok(y),
        }
    }
}

/// A row of numbers on its way through the network.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Place {
    /// What a layer's first norm reads.
    InputNorm(usize),
    /// What a layer's second norm reads.
    PostNorm(usize),
    FinalNorm,
    /// What a layer's projections give, before head norms and rotation.
    Query(usize),
    Key(usize),
    Value(usize),
}

impl Network {
    pub fn new(checkpoint: &Checkpoint, precision: Precision) -> Result<Self> {
        let config = checkpoint.config.clone();
        let matrix = |name: &str| -> Result<QMatMul> {
            let weight = checkpoint.tensor(name)?;
            Ok(match precision {
                Precision::F32 => QMatMul::Tensor(weight.clone()),
                Precision::Q8_0 => {
                    QMatMul::from_qtensor(QTensor::quantize(weight, GgmlDType::Q8_0)?)?
                }
            })
        };
        let linear = |name: String| -> Result<Linear> {
            let bias = name.replace(".weight", ".bias");
            Ok(Linear {
                weight: matrix(&name)?,
                bias: match checkpoint.has(&bias) {
                    true => Some(checkpoint.tensor(&bias)?.clone()),
                    false => None,
                },
            })
        };
        let vector = |name: String| checkpoint.tensor(&name).cloned();
        let layers = (0..config.num_hidden_layers)
            .map(|index| {
                let q_norm = layer(index, "self_attn.q_norm");
                Ok(Layer {
                    input_norm: vector(layer(index, "input_layernorm"))?,
                    q: linear(layer(index, "self_attn.q_proj"))?,
                    k: linear(layer(index, "self_attn.k_proj"))?,
                    v: linear(layer(index, "self_attn.v_proj"))?,
                    head_norms: match checkpoint.has(&q_norm) {
                        true => Some((vector(q_norm)?, vector(layer(index, "self_attn.k_norm"))?)),
                        false => None,
                    },
                    o: linear(layer(index, "self_attn.o_proj"))?,
                    post_norm: vector(layer(index, "post_attention_layernorm"))?,
                    gate: linear(layer(index, "mlp.gate_proj"))?,
                    up: linear(layer(index, "mlp.up_proj"))?,
                    down: linear(layer(index, "mlp.down_proj"))?,
                })
            })
            .collect::<Result<_>>()?;
        let head = matrix(EMBEDDING)?;
        Ok(Self {
            embedding: match &head {
                QMatMul::QTensor(table) => table.dequantize(&Device::Cpu)?,
                QMatMul::Tensor(table) | QMatMul::TensorF16(table) => table.clone(),
            },
            layers,
            final_norm: vector(FINAL_NORM.into())?,
            head,
            rotary: rotary(&config)?,
            config,
        })
    }

    /// The logits after each token: tokens × vocabulary, row by row.
    pub fn logits(&self, tokens: &[u32]) -> Result<Vec<f64>> {
        let logits = self.forward(tokens, &mut |_, _| ())?;
        let logits = logits.flatten_all()?.to_vec1::<f32>()?;
        Ok(logits.into_iter().map(f64::from).collect())
    }

    /// The logits, tokens × vocabulary; `look` is shown the rows at each place, one for each token.
    pub fn forward(&self, tokens: &[u32], look: &mut dyn FnMut(Place, &Tensor)) -> Result<Tensor> {
        let norm =
            |x: &Tensor, gamma: &Tensor| ops::rms_norm(x, gamma, self.config.rms_norm_eps as f32);
        let mut x = self
            .embedding
            .index_select(&Tensor::new(tokens, &Device::Cpu)?, 0)?;
        for (index, layer) in self.layers.iter().enumerate() {
            look(Place::InputNorm(index), &x);
            let y = norm(&x, &layer.input_norm)?;
            x = (x + self.attention(index, layer, &y, look)?)?;
            look(Place::PostNorm(index), &x);
            let y = norm(&x, &layer.post_norm)?;
            let z = (ops::silu(&layer.gate.forward(&y)?)? * layer.up.forward(&y)?)?;
            x = (x + layer.down.forward(&z)?)?;
        }
        look(Place::FinalNorm, &x);
        Ok(self.head.forward(&norm(&x, &self.final_norm)?)?)
    }

    fn attention(
        &self,
        index: usize,
        layer: &Layer,
        y: &Tensor,
        look: &mut dyn FnMut(Place, &Tensor),
    ) -> Result<Tensor> {
        let config = &self.config;
        let (tokens, head_dim) = (y.dim(0)?, config.head_dim);
        let (q, k, v) = (
            layer.q.forward(y)?,
            layer.k.forward(y)?,
            layer.v.forward(y)?,
        );
        look(Place::Query(index), &q);
        look(Place::Key(index), &k);
        look(Place::Value(index), &v);
        // 1 × heads × tokens × head_dim
        let heads = |x: Tensor, heads: usize| {
            x.reshape((1, tokens, heads, head_dim))?
                .transpose(1, 2)?
                .contiguous()
        };
        let mut q = heads(q, config.num_attention_heads)?;
        let mut k = heads(k, config.num_key_value_heads)?;
        let v = heads(v, config.num_key_value_heads)?;
        if let Some((q_norm, k_norm)) = &layer.head_norms {
            let eps = config.rms_norm_eps as f32;
            q = ops::rms_norm(&q, q_norm, eps)?;
            k = ops::rms_norm(&k, k_norm, eps)?;
        }
        let (cos, sin) = &self.rotary;
        let (cos, sin) = (cos.narrow(0, 0, tokens)?, sin.narrow(0, 0, tokens)?);
        let q = rope(&q, &cos, &sin)?;
        let k = repeat_kv(rope(&k, &cos, &sin)?, config.group())?;
        let v = repeat_kv(v, config.group())?;
        let scores = (q.matmul(&k.transpose(D::Minus2, D::Minus1)?)? / (head_dim as f64).sqrt())?;
        let mask = build_additive_causal_mask(tokens, 0, None, &Device::Cpu, scores.dtype())?;
        let weights = ops::softmax_last_dim(&scores.broadcast_add(&mask)?)?;
        let mixed = weights
            .matmul(&v)?
            .transpose(1, 2)?
            .reshape((tokens, config.num_attention_heads * head_dim))?;
        Ok(layer.o.forward(&mixed)?)
    }
}

/// The rotary tables, with Llama 3's scaling (transformers, `modeling_rope_utils`), in f64 and then
/// rounded: f32 angles lose four digits over two thousand positions.
fn rotary(config: &Config) -> Result<(Tensor, Tensor)> {
    let half = config.head_dim / 2;
    let frequencies: Vec<f64> = (0..half)
        .map(|pair| {
            let plain = config.rope_theta.powf(-(pair as f64) / half as f64);
            let Some(scaling) = &config.rope_scaling else {
                return plain;
            };
            let original = scaling.original_max_position_embeddings as f64;
            let turns = original * plain / std::f64::consts::TAU;
            let (low, high) = (scaling.low_freq_factor, scaling.high_freq_factor);
            let kept = ((turns - low) / (high - low)).clamp(0.0, 1.0);
            plain * (kept + (1.0 - kept) / scaling.factor)
        })
        .collect();
    let table = |function: fn(f64) -> f64| {
        let entries: Vec<f32> = (0..config.max_position_embeddings)
            .flat_map(|position| frequencies.iter().map(move |w| (position, w)))
            .map(|(position, frequency)| function(position as f64 * frequency) as f32)
            .collect();
        Tensor::from_vec(
            entries,
            (config.max_position_embeddings, half),
            &Device::Cpu,
        )
    };
    Ok((table(f64::cos)?, table(f64::sin)?))
}
