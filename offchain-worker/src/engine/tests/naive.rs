//! The three architectures once more, as plain loops over `Vec<f32>` that follow the published
//! formulas and share nothing with the engine: no loader, no cache, no candle arithmetic.

use std::{collections::HashMap, fs, path::Path};

use candle_core::{safetensors, DType, Device};
use serde_json::Value;

type Matrix = Vec<Vec<f32>>;

struct Model {
    config: Value,
    tensors: HashMap<String, Vec<f32>>,
}

/// The logits after the last token of `prompt`, from a folder with one safetensors file.
pub fn logits(folder: &Path, prompt: &[u32]) -> Vec<f32> {
    let config = serde_json::from_slice(&fs::read(folder.join("config.json")).unwrap()).unwrap();
    let tensors = safetensors::load(folder.join("model.safetensors"), &Device::Cpu)
        .unwrap()
        .into_iter()
        .map(|(name, tensor)| {
            let flat = tensor.to_dtype(DType::F32).unwrap().flatten_all().unwrap();
            (name, flat.to_vec1().unwrap())
        })
        .collect();
    Model { config, tensors }.forward(prompt)
}

impl Model {
    fn size(&self, field: &str) -> usize {
        self.config[field].as_u64().unwrap() as usize
    }

    fn head_dim(&self) -> usize {
        let own = self.config["head_dim"].as_u64().map(|dim| dim as usize);
        own.unwrap_or(self.size("hidden_size") / self.size("num_attention_heads"))
    }

    fn forward(&self, prompt: &[u32]) -> Vec<f32> {
        let hidden = self.size("hidden_size");
        let embedding = &self.tensors["model.embed_tokens.weight"];
        let mut rows: Matrix = prompt
            .iter()
            .map(|token| embedding[*token as usize * hidden..][..hidden].to_vec())
            .collect();
        for layer in 0..self.size("num_hidden_layers") {
            let prefix = format!("model.layers.{layer}");
            let normed: Matrix = rows
                .iter()
                .map(|r| self.norm(r, &format!("{prefix}.input_layernorm")))
                .collect();
            let attended = self.attention(&normed, &format!("{prefix}.self_attn"));
            for (row, change) in rows.iter_mut().zip(attended) {
                add(row, &change);
                let normed = self.norm(row, &format!("{prefix}.post_attention_layernorm"));
                add(row, &self.feed_forward(&normed, &format!("{prefix}.mlp")));
            }
        }
        let last = self.norm(rows.last().unwrap(), "model.norm");
        let tied = self.config["tie_word_embeddings"] == true;
        self.linear(
            &last,
            if tied {
                "model.embed_tokens"
            } else {
                "lm_head"
            },
        )
    }

    fn norm(&self, row: &[f32], name: &str) -> Vec<f32> {
        let epsilon = self.config["rms_norm_eps"].as_f64().unwrap() as f32;
        let mean = row.iter().map(|x| x * x).sum::<f32>() / row.len() as f32;
        let scale = 1.0 / (mean + epsilon).sqrt();
        let weight = &self.tensors[&format!("{name}.weight")];
        row.iter().zip(weight).map(|(x, w)| x * scale * w).collect()
    }

    fn linear(&self, row: &[f32], name: &str) -> Vec<f32> {
        let weight = &self.tensors[&format!("{name}.weight")];
        let mut out: Vec<f32> = weight
            .chunks(row.len())
            .map(|w| w.iter().zip(row).map(|(w, x)| w * x).sum())
            .collect();
        if let Some(bias) = self.tensors.get(&format!("{name}.bias")) {
            add(&mut out, bias);
        }
        out
    }

    fn feed_forward(&self, row: &[f32], prefix: &str) -> Vec<f32> {
        let gate = self.linear(row, &format!("{prefix}.gate_proj"));
        let up = self.linear(row, &format!("{prefix}.up_proj"));
        let mixed: Vec<f32> = gate
            .iter()
            .zip(up)
            .map(|(g, u)| g / (1.0 + (-g).exp()) * u)
            .collect();
        self.linear(&mixed, &format!("{prefix}.down_proj"))
    }

    fn attention(&self, rows: &[Vec<f32>], prefix: &str) -> Matrix {
        let dim = self.head_dim();
        let group = self.size("num_attention_heads") / self.size("num_key_value_heads");
        let heads = |part: &str, position: usize, row: &[f32]| -> Matrix {
            let projected = self.linear(row, &format!("{prefix}.{part}_proj"));
            let norm = format!("{prefix}.{part}_norm");
            let has_norm = self.tensors.contains_key(&format!("{norm}.weight"));
            let turn = |head: &[f32]| {
                let head = if has_norm {
                    self.norm(head, &norm)
                } else {
                    head.to_vec()
                };
                if part == "v" {
                    head
                } else {
                    self.rotate(&head, position)
                }
            };
            projected.chunks(dim).map(turn).collect()
        };
        let all = |part| -> Vec<Matrix> {
            rows.iter()
                .enumerate()
                .map(|(position, row)| heads(part, position, row))
                .collect()
        };
        let (queries, keys, values) = (all("q"), all("k"), all("v"));
        let mut out = Vec::new();
        for (position, query) in queries.iter().enumerate() {
            let mut row = Vec::new();
            for (head, query) in query.iter().enumerate() {
                let score = |key: &Matrix| {
                    let dot: f32 = query
                        .iter()
                        .zip(&key[head / group])
                        .map(|(q, k)| q * k)
                        .sum();
                    (dot / (dim as f32).sqrt()).exp()
                };
                let scores: Vec<f32> = keys[..=position].iter().map(score).collect();
                let total: f32 = scores.iter().sum();
                for i in 0..dim {
                    let terms = scores
                        .iter()
                        .zip(&values)
                        .map(|(s, v)| s * v[head / group][i]);
                    row.push(terms.sum::<f32>() / total);
                }
            }
            out.push(self.linear(&row, &format!("{prefix}.o_proj")));
        }
        out
    }

    /// Rotary embedding: pairs are half a head apart.
    fn rotate(&self, head: &[f32], position: usize) -> Vec<f32> {
        let half = head.len() / 2;
        let mut out = head.to_vec();
        for i in 0..half {
            let angle = position as f32 * self.frequency(i, half);
            let (a, b) = (head[i], head[i + half]);
            out[i] = a * angle.cos() - b * angle.sin();
            out[i + half] = b * angle.cos() + a * angle.sin();
        }
        out
    }

    fn frequency(&self, pair: usize, half: usize) -> f32 {
        let theta = self.config["rope_theta"].as_f64().unwrap();
        let frequency = theta.powf(-(pair as f64) / half as f64);
        let scaling = &self.config["rope_scaling"];
        let Some(factor) = scaling["factor"].as_f64() else {
            return frequency as f32;
        };
        let field = |name: &str| scaling[name].as_f64().unwrap();
        // How often the pair turns within the context that the model was first trained on.
        let turns =
            field("original_max_position_embeddings") * frequency / (2.0 * std::f64::consts::PI);
        let (low, high) = (field("low_freq_factor"), field("high_freq_factor"));
        let kept = ((turns - low) / (high - low)).clamp(0.0, 1.0);
        (frequency * (kept + (1.0 - kept) / factor)) as f32
    }
}

fn add(row: &mut [f32], change: &[f32]) {
    for (x, c) in row.iter_mut().zip(change) {
        *x += c;
    }
}
