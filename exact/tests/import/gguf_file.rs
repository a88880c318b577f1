//! A GGUF file, to be changed and written. It knows nothing of the reader: names, orders and blocks are
//! those of llama.cpp's converter.

use serde_json::Value as Json;

use crate::tiny::{f16, Tiny};

#[derive(Clone, Debug)]
pub struct GgufFile {
    pub version: u32,
    pub keys: Vec<(String, Value)>,
    pub tensors: Vec<GgufTensor>,
    /// On which tensors begin; not the key that says so.
    pub alignment: usize,
}

#[derive(Clone, Debug)]
pub enum Value {
    U32(u32),
    I32(i32),
    F32(f32),
    Flag(bool),
    Text(String),
    U64(u64),
    /// An array of texts, of i32 or of f32.
    Texts(Vec<String>),
    I32s(Vec<i32>),
    F32s(Vec<f32>),
    /// A type's number and the bytes.
    Raw(u32, Vec<u8>),
}

#[derive(Clone, Debug)]
pub struct GgufTensor {
    pub name: String,
    /// Innermost first.
    pub dimensions: Vec<u64>,
    pub kind: u32,
    pub bytes: Vec<u8>,
    /// Where it says that it lies, if that is not where it does.
    pub offset: Option<u64>,
}

/// How the matrices' numbers are written; vectors are F32.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Numbers {
    F32,
    F16,
    Bf16,
    Q8_0,
}

impl GgufFile {
    /// The model as llama.cpp's converter writes it, without a tokenizer.
    pub fn of(tiny: &Tiny, architecture: &str, numbers: Numbers) -> Self {
        let config = &tiny.config;
        let integer = |key: &str| config[key].as_u64().unwrap() as u32;
        let number = |key: &str| config[key].as_f64().unwrap() as f32;
        let key = |name: &str| format!("{architecture}.{name}");
        let head_dim = integer("head_dim");
        let mut file = Self {
            version: 3,
            keys: vec![
                (
                    "general.architecture".into(),
                    Value::Text(architecture.into()),
                ),
                ("general.file_type".into(), Value::U32(1)),
                (key("block_count"), Value::U32(integer("num_hidden_layers"))),
                (
                    key("context_length"),
                    Value::U32(integer("max_position_embeddings")),
                ),
                (key("embedding_length"), Value::U32(integer("hidden_size"))),
                (
                    key("feed_forward_length"),
                    Value::U32(integer("intermediate_size")),
                ),
                (
                    key("attention.head_count"),
                    Value::U32(integer("num_attention_heads")),
                ),
                (
                    key("attention.head_count_kv"),
                    Value::U32(integer("num_key_value_heads")),
                ),
                (key("attention.key_length"), Value::U32(head_dim)),
                (key("attention.value_length"), Value::U32(head_dim)),
                (key("rope.dimension_count"), Value::U32(head_dim)),
                (key("rope.freq_base"), Value::F32(number("rope_theta"))),
                (
                    key("attention.layer_norm_rms_epsilon"),
                    Value::F32(number("rms_norm_eps")),
                ),
                (
                    "tokenizer.ggml.eos_token_id".into(),
                    Value::U32(integer("eos_token_id")),
                ),
                (
                    "tokenizer.chat_template".into(),
                    Value::Text("{{ messages }}".into()),
                ),
            ],
            tensors: Vec::new(),
            alignment: 32,
        };
        for (name, (shape, elements)) in &tiny.tensors {
            let heads = match architecture {
                "llama" if name.contains(".q_proj.") => Some(integer("num_attention_heads")),
                "llama" if name.contains(".k_proj.") => Some(integer("num_key_value_heads")),
                _ => None,
            };
            let numbers = if shape.len() == 1 {
                Numbers::F32
            } else {
                numbers
            };
            let inputs = if shape.len() == 1 { 1 } else { shape[1] };
            let mut rows: Vec<Vec<u8>> = elements
                .chunks(inputs)
                .map(|row| encoded(row, numbers))
                .collect();
            if let Some(heads) = heads {
                rows = interleaved(&rows, heads as usize);
            }
            file.tensors.push(GgufTensor {
                name: renamed(name),
                dimensions: shape.iter().rev().map(|size| *size as u64).collect(),
                kind: kind(numbers),
                bytes: rows.concat(),
                offset: None,
            });
        }
        file.llama3_factors(config);
        file
    }

    /// Llama 3's scaling as the converter writes it: a divisor for each frequency, in f32.
    fn llama3_factors(&mut self, config: &Json) {
        let Some(rope) = config["rope_scaling"].as_object() else {
            return;
        };
        let number = |key: &str| rope[key].as_f64().unwrap() as f32;
        let (factor, low, high) = (
            number("factor"),
            number("low_freq_factor"),
            number("high_freq_factor"),
        );
        let context = number("original_max_position_embeddings");
        let base = config["rope_theta"].as_f64().unwrap() as f32;
        let head_dim = config["head_dim"].as_u64().unwrap();
        let factors: Vec<f32> = (0..head_dim / 2)
            .map(|i| {
                let frequency = 1.0 / base.powf(2.0 * i as f32 / head_dim as f32);
                let length = 2.0 * std::f32::consts::PI / frequency;
                if length < context / high {
                    1.0
                } else if length > context / low {
                    factor
                } else {
                    let smooth = (context / length - low) / (high - low);
                    1.0 / ((1.0 - smooth) / factor + smooth)
                }
            })
            .collect();
        self.tensors.push(GgufTensor {
            name: "rope_freqs.weight".into(),
            dimensions: vec![head_dim / 2],
            kind: 0,
            bytes: encoded(&factors, Numbers::F32),
            offset: None,
        });
    }

    pub fn key(&mut self, name: &str, value: Value) -> &mut Self {
        self.keys.retain(|(key, _)| key != name);
        self.keys.push((name.into(), value));
        self
    }

    pub fn without_key(&mut self, name: &str) -> &mut Self {
        self.keys.retain(|(key, _)| key != name);
        self
    }

    pub fn tensor(&mut self, name: &str) -> &mut GgufTensor {
        let mut all = self.tensors.iter_mut();
        all.find(|tensor| tensor.name == name).unwrap()
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = b"GGUF".to_vec();
        out.extend(self.version.to_le_bytes());
        out.extend((self.tensors.len() as u64).to_le_bytes());
        out.extend((self.keys.len() as u64).to_le_bytes());
        for (key, value) in &self.keys {
            text(&mut out, key);
            value.write(&mut out);
        }
        let mut offset = 0u64;
        for tensor in &self.tensors {
            text(&mut out, &tensor.name);
            out.extend((tensor.dimensions.len() as u32).to_le_bytes());
            for size in &tensor.dimensions {
                out.extend(size.to_le_bytes());
            }
            out.extend(tensor.kind.to_le_bytes());
            out.extend(tensor.offset.unwrap_or(offset).to_le_bytes());
            offset = (offset + tensor.bytes.len() as u64).next_multiple_of(self.alignment as u64);
        }
        for tensor in &self.tensors {
            out.resize(out.len().next_multiple_of(self.alignment), 0);
            out.extend(&tensor.bytes);
        }
        out.resize(out.len().next_multiple_of(self.alignment), 0);
        out
    }
}

impl Value {
    fn write(&self, out: &mut Vec<u8>) {
        let array = |out: &mut Vec<u8>, kind: u32, length: usize| {
            out.extend(9u32.to_le_bytes());
            out.extend(kind.to_le_bytes());
            out.extend((length as u64).to_le_bytes());
        };
        let scalar = |out: &mut Vec<u8>, kind: u32, bytes: &[u8]| {
            out.extend(kind.to_le_bytes());
            out.extend(bytes);
        };
        match self {
            Self::U32(value) => scalar(out, 4, &value.to_le_bytes()),
            Self::I32(value) => scalar(out, 5, &value.to_le_bytes()),
            Self::F32(value) => scalar(out, 6, &value.to_le_bytes()),
            Self::Flag(value) => scalar(out, 7, &[u8::from(*value)]),
            Self::U64(value) => scalar(out, 10, &value.to_le_bytes()),
            Self::Raw(kind, bytes) => scalar(out, *kind, bytes),
            Self::Text(value) => {
                out.extend(8u32.to_le_bytes());
                text(out, value);
            }
            Self::Texts(values) => {
                array(out, 8, values.len());
                for value in values {
                    text(out, value);
                }
            }
            Self::I32s(values) => {
                array(out, 5, values.len());
                out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            }
            Self::F32s(values) => {
                array(out, 6, values.len());
                out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            }
        }
    }
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

fn renamed(name: &str) -> String {
    let mut name = name.to_owned();
    for (theirs, ours) in [
        ("model.embed_tokens.", "token_embd."),
        ("lm_head.", "output."),
        ("model.norm.", "output_norm."),
        ("model.layers.", "blk."),
        ("input_layernorm", "attn_norm"),
        ("post_attention_layernorm", "ffn_norm"),
        ("self_attn.q_norm", "attn_q_norm"),
        ("self_attn.k_norm", "attn_k_norm"),
        ("self_attn.q_proj", "attn_q"),
        ("self_attn.k_proj", "attn_k"),
        ("self_attn.v_proj", "attn_v"),
        ("self_attn.o_proj", "attn_output"),
        ("mlp.gate_proj", "ffn_gate"),
        ("mlp.up_proj", "ffn_up"),
        ("mlp.down_proj", "ffn_down"),
    ] {
        name = name.replace(theirs, ours);
    }
    name
}

fn kind(numbers: Numbers) -> u32 {
    match numbers {
        Numbers::F32 => 0,
        Numbers::F16 => 1,
        Numbers::Q8_0 => 8,
        Numbers::Bf16 => 30,
    }
}

/// A head's rows (0, 1, … d/2, d/2 + 1, …) as (0, d/2, 1, d/2 + 1, …).
fn interleaved(rows: &[Vec<u8>], heads: usize) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    for head in rows.chunks(rows.len() / heads) {
        let (first, second) = head.split_at(head.len() / 2);
        for (a, b) in first.iter().zip(second) {
            out.extend([a.clone(), b.clone()]);
        }
    }
    out
}

fn encoded(row: &[f32], numbers: Numbers) -> Vec<u8> {
    match numbers {
        Numbers::F32 => row.iter().flat_map(|x| x.to_le_bytes()).collect(),
        Numbers::F16 => row.iter().flat_map(|x| f16(*x).to_le_bytes()).collect(),
        Numbers::Bf16 => row
            .iter()
            .flat_map(|x| ((x.to_bits() >> 16) as u16).to_le_bytes())
            .collect(),
        Numbers::Q8_0 => row
            .chunks(32)
            .flat_map(|block| {
                let (scale, integers) = q8_0(block);
                let mut bytes = f16(scale).to_le_bytes().to_vec();
                bytes.extend(integers.iter().map(|q| *q as u8));
                bytes
            })
            .collect(),
    }
}

/// The scale, which f16 holds, and the integers of a block.
fn q8_0(block: &[f32]) -> (f32, Vec<i8>) {
    let most = block.iter().fold(0f32, |most, x| most.max(x.abs()));
    // Ten fraction bits.
    let scale = f32::from_bits((most / 127.0).to_bits() & 0xffff_e000);
    let scale = if scale == 0.0 { 1.0 } else { scale };
    let integer = |x: &f32| (x / scale).round().clamp(-128.0, 127.0) as i8;
    (scale, block.iter().map(integer).collect())
}

/// The matrices with the numbers that Q8_0 has for theirs.
pub fn rounded_to_q8_0(tiny: &Tiny) -> Tiny {
    let mut tiny = tiny.clone();
    for (shape, elements) in tiny.tensors.values_mut() {
        if shape.len() == 2 {
            for block in elements.chunks_mut(32) {
                let (scale, integers) = q8_0(block);
                for (x, q) in block.iter_mut().zip(integers) {
                    *x = scale * f32::from(q);
                }
            }
        }
    }
    tiny
}
