//! The shapes that are measured, as their makers publish them, and the tensors of a model of such a shape.

use serde_json::{json, Value};

/// A decoder language model whose output projection is its embedding.
pub struct Shape {
    pub name: &'static str,
    pub family: Family,
    pub layers: usize,
    pub hidden: usize,
    pub intermediate: usize,
    pub heads: usize,
    pub kv_heads: usize,
    pub vocabulary: usize,
    pub context: usize,
    pub rotary_base: f64,
    pub epsilon: f64,
    /// Whether the cost of checking an answer has to meet its bar in this shape.
    pub checking: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub enum Family {
    Llama,
    /// Has biases on queries, keys and values.
    Qwen2,
}

pub const REAL: [Shape; 2] = [
    Shape {
        name: "qwen2.5-0.5b",
        family: Family::Qwen2,
        layers: 24,
        hidden: 896,
        intermediate: 4864,
        heads: 14,
        kv_heads: 2,
        vocabulary: 151_936,
        context: 32_768,
        rotary_base: 1e6,
        epsilon: 1e-6,
        checking: false,
    },
    Shape {
        name: "llama-3.2-1b",
        family: Family::Llama,
        layers: 16,
        hidden: 2048,
        intermediate: 8192,
        heads: 32,
        kv_heads: 8,
        vocabulary: 128_256,
        context: 131_072,
        rotary_base: 5e5,
        epsilon: 1e-5,
        checking: true,
    },
];

pub const TINY: [Shape; 2] = [
    Shape {
        name: "tiny-qwen2",
        layers: 2,
        hidden: 128,
        intermediate: 256,
        heads: 4,
        vocabulary: 1024,
        context: 1024,
        ..REAL[0]
    },
    Shape {
        name: "tiny-llama",
        layers: 2,
        hidden: 256,
        intermediate: 512,
        heads: 4,
        kv_heads: 2,
        vocabulary: 1024,
        context: 1024,
        ..REAL[1]
    },
];

/// One tensor of a checkpoint.
pub struct Tensor {
    /// In a Hugging Face checkpoint.
    pub name: String,
    /// In a GGUF file.
    pub gguf: String,
    /// Rows and inputs of a matrix, or the length of a vector.
    pub dimensions: Vec<usize>,
    pub values: Values,
}

/// How the random numbers of a tensor are spread: evenly, around a middle.
pub struct Values {
    pub middle: f32,
    pub spread: f32,
}

impl Family {
    /// As `config.json` and GGUF files call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Qwen2 => "qwen2",
        }
    }
}

impl Shape {
    pub fn head_dim(&self) -> usize {
        self.hidden / self.heads
    }

    /// Keys, or values, of one position in one layer.
    pub fn kv_width(&self) -> usize {
        self.kv_heads * self.head_dim()
    }

    /// Weights of the layers' matrices: one product each for every token.
    pub fn layer_weights(&self) -> usize {
        let attention = 2 * self.hidden * (self.hidden + self.kv_width());
        self.layers * (attention + 3 * self.hidden * self.intermediate)
    }

    /// Weights of the output projection, which only tokens with logits are multiplied with.
    pub fn head_weights(&self) -> usize {
        self.vocabulary * self.hidden
    }

    /// int8 keys and values of so many positions, in bytes.
    pub fn kv_bytes(&self, positions: usize) -> usize {
        2 * self.layers * self.kv_width() * positions
    }

    /// The Hugging Face `config.json`.
    pub fn config(&self) -> Value {
        let mut config = json!({
            "model_type": self.family.name(),
            "num_hidden_layers": self.layers,
            "hidden_size": self.hidden,
            "intermediate_size": self.intermediate,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "vocab_size": self.vocabulary,
            "max_position_embeddings": self.context,
            "rope_theta": self.rotary_base,
            "rms_norm_eps": self.epsilon,
            "tie_word_embeddings": true,
            "hidden_act": "silu",
        });
        if self.family == Family::Llama {
            config["rope_scaling"] = json!({
                "rope_type": "llama3",
                "factor": 32.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 8192,
            });
        }
        config
    }

    /// All tensors of a checkpoint.
    pub fn tensors(&self) -> Vec<Tensor> {
        let around = [
            matrix(
                "model.embed_tokens",
                "token_embd",
                self.vocabulary,
                self.hidden,
            ),
            norm("model.norm", "output_norm", self.hidden),
        ];
        let layers = (0..self.layers).flat_map(|layer| self.layer(layer));
        around.into_iter().chain(layers).collect()
    }

    fn layer(&self, layer: usize) -> Vec<Tensor> {
        let (hidden, ff, kv) = (self.hidden, self.intermediate, self.kv_width());
        let matrices = [
            ("self_attn.q_proj", "attn_q", hidden, hidden),
            ("self_attn.k_proj", "attn_k", kv, hidden),
            ("self_attn.v_proj", "attn_v", kv, hidden),
            ("self_attn.o_proj", "attn_output", hidden, hidden),
            ("mlp.gate_proj", "ffn_gate", ff, hidden),
            ("mlp.up_proj", "ffn_up", ff, hidden),
            ("mlp.down_proj", "ffn_down", hidden, ff),
        ];
        let norms = [
            ("input_layernorm", "attn_norm"),
            ("post_attention_layernorm", "ffn_norm"),
        ];
        let here = |name: &str, gguf: &str| {
            (
                format!("model.layers.{layer}.{name}"),
                format!("blk.{layer}.{gguf}"),
            )
        };
        let mut tensors = Vec::new();
        for (name, gguf, rows, inputs) in matrices {
            let biased = matches!(gguf, "attn_q" | "attn_k" | "attn_v");
            let (name, gguf) = here(name, gguf);
            tensors.push(matrix(&name, &gguf, rows, inputs));
            if biased && self.family == Family::Qwen2 {
                tensors.push(bias(&name, &gguf, rows));
            }
        }
        for (name, gguf) in norms {
            let (name, gguf) = here(name, gguf);
            tensors.push(norm(&name, &gguf, hidden));
        }
        tensors
    }
}

/// A matrix that keeps the size of what it is multiplied with.
fn matrix(name: &str, gguf: &str, rows: usize, inputs: usize) -> Tensor {
    Tensor {
        name: format!("{name}.weight"),
        gguf: format!("{gguf}.weight"),
        dimensions: vec![rows, inputs],
        values: Values {
            middle: 0.0,
            // Even numbers up to a have the variance a² / 3.
            spread: (3.0 / inputs as f32).sqrt(),
        },
    }
}

fn norm(name: &str, gguf: &str, length: usize) -> Tensor {
    Tensor {
        name: format!("{name}.weight"),
        gguf: format!("{gguf}.weight"),
        dimensions: vec![length],
        values: Values {
            middle: 1.0,
            spread: 0.25,
        },
    }
}

fn bias(name: &str, gguf: &str, length: usize) -> Tensor {
    Tensor {
        name: format!("{name}.bias"),
        gguf: format!("{gguf}.bias"),
        dimensions: vec![length],
        values: Values {
            middle: 0.0,
            spread: 0.5,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_matrices_have_as_many_weights_as_are_counted() {
        for shape in REAL.iter().chain(&TINY) {
            let tensors = shape.tensors();
            let matrices = tensors.iter().filter(|one| one.dimensions.len() == 2);
            let weights: usize = matrices
                .map(|one| one.dimensions.iter().product::<usize>())
                .sum();
            assert_eq!(weights, shape.layer_weights() + shape.head_weights());
            let biases = tensors.iter().filter(|one| one.name.ends_with(".bias"));
            let expected = match shape.family {
                Family::Llama => 0,
                Family::Qwen2 => 3 * shape.layers,
            };
            assert_eq!(biases.count(), expected);
        }
    }

    /// As their makers count them: 494 million and 1,236 million, norms and biases included.
    #[test]
    fn the_real_shapes_are_as_large_as_they_are_said_to_be() {
        let millions = REAL.each_ref().map(|shape| {
            let tensors = shape.tensors();
            let elements = tensors
                .iter()
                .map(|one| one.dimensions.iter().product::<usize>());
            elements.sum::<usize>() / 1_000_000
        });
        assert_eq!(millions, [494, 1235]);
    }
}
