//! A model of a few thousand random weights, to be changed and written as a Hugging Face folder.

use std::{collections::BTreeMap, fs, path::Path};

use assay_exact::import::{self, ImportError, Imported};
use safetensors::{tensor::TensorView, Dtype};
use serde_json::{json, Value};
use tempfile::TempDir;

/// A tensor's shape and elements.
pub type Elements = (Vec<usize>, Vec<f32>);

#[derive(Clone)]
pub struct Tiny {
    pub config: Value,
    pub tensors: BTreeMap<String, Elements>,
}

/// What the models differ in.
#[derive(Clone, Copy)]
pub struct Size {
    pub hidden: usize,
    pub ff: usize,
    pub head_dim: usize,
    pub vocabulary: usize,
}

impl Size {
    /// Nothing is a multiple of a register or a block.
    pub const ODD: Self = Self {
        hidden: 16,
        ff: 24,
        head_dim: 6,
        vocabulary: 40,
    };
    /// Rows are whole blocks of 32.
    pub const BLOCKS: Self = Self {
        hidden: 32,
        ff: 64,
        head_dim: 64,
        vocabulary: 40,
    };
}

const HEADS: usize = 4;
const KV_HEADS: usize = 2;
const LAYERS: usize = 2;

impl Tiny {
    /// A model of a family (`model_type`), with a few columns far above the rest, as real ones have.
    pub fn new(family: &str, tied: bool) -> Self {
        Self::sized(family, tied, Size::ODD)
    }

    pub fn sized(family: &str, tied: bool, size: Size) -> Self {
        let Size {
            hidden,
            ff,
            head_dim,
            vocabulary,
        } = size;
        let mut tiny = Self {
            config: json!({
                "model_type": family, "num_hidden_layers": LAYERS, "hidden_size": hidden,
                "intermediate_size": ff, "num_attention_heads": HEADS,
                "num_key_value_heads": KV_HEADS, "head_dim": head_dim, "vocab_size": vocabulary,
                "max_position_embeddings": 300, "rms_norm_eps": 1e-6, "rope_theta": 10000.0,
                "eos_token_id": 7, "tie_word_embeddings": tied, "hidden_act": "silu"
            }),
            tensors: BTreeMap::new(),
        };
        let mut random = Random(1);
        let (query, kv) = (HEADS * head_dim, KV_HEADS * head_dim);
        let mut add = |name: String, shape: &[usize], around: f32| {
            let inputs = *shape.last().unwrap();
            let elements = (0..shape.iter().product())
                .map(|index: usize| {
                    let column = index % inputs;
                    let outlier = if column % 11 == 5 { 48.0 } else { 1.0 };
                    bf16(around + random.next() * outlier)
                })
                .collect();
            tiny.tensors.insert(name, (shape.to_vec(), elements));
        };
        add(
            "model.embed_tokens.weight".into(),
            &[vocabulary, hidden],
            0.0,
        );
        add("model.norm.weight".into(), &[hidden], 1.0);
        if !tied {
            add("lm_head.weight".into(), &[vocabulary, hidden], 0.0);
        }
        for layer in 0..LAYERS {
            let mut add = |name: &str, shape: &[usize], around| {
                add(format!("model.layers.{layer}.{name}"), shape, around)
            };
            add("input_layernorm.weight", &[hidden], 1.0);
            add("post_attention_layernorm.weight", &[hidden], 1.0);
            add("self_attn.q_proj.weight", &[query, hidden], 0.0);
            add("self_attn.k_proj.weight", &[kv, hidden], 0.0);
            add("self_attn.v_proj.weight", &[kv, hidden], 0.0);
            add("self_attn.o_proj.weight", &[hidden, query], 0.0);
            add("mlp.gate_proj.weight", &[ff, hidden], 0.0);
            add("mlp.up_proj.weight", &[ff, hidden], 0.0);
            add("mlp.down_proj.weight", &[hidden, ff], 0.0);
            if family == "qwen2" {
                add("self_attn.q_proj.bias", &[query], 0.0);
                add("self_attn.k_proj.bias", &[kv], 0.0);
                add("self_attn.v_proj.bias", &[kv], 0.0);
            }
            if family == "qwen3" {
                add("self_attn.q_norm.weight", &[head_dim], 1.0);
                add("self_attn.k_norm.weight", &[head_dim], 1.0);
            }
        }
        if family == "qwen2" {
            // Qwen2's keys: a bias far above what the weights add to it.
            tiny.tensor("model.layers.0.self_attn.k_proj.bias").1[3] = 49_152.0;
        }
        tiny
    }

    pub fn tensor(&mut self, name: &str) -> &mut Elements {
        self.tensors.get_mut(name).unwrap()
    }

    /// Write everything but the weights.
    pub fn write_rest(&self, folder: &Path) {
        fs::write(folder.join("config.json"), self.config.to_string()).unwrap();
        fs::write(folder.join("tokenizer.json"), "{}").unwrap();
        fs::write(
            folder.join("tokenizer_config.json"),
            r#"{"chat_template": "{{ messages }}"}"#,
        )
        .unwrap();
    }

    /// Write the folder, with all weights in one file.
    pub fn write(&self, folder: &Path, dtype: Dtype) {
        self.write_rest(folder);
        let all: Vec<&str> = self.tensors.keys().map(String::as_str).collect();
        fs::write(
            folder.join("model.safetensors"),
            self.safetensors(&all, dtype),
        )
        .unwrap();
    }

    /// A safetensors file of some of the tensors.
    pub fn safetensors(&self, names: &[&str], dtype: Dtype) -> Vec<u8> {
        let bytes = |x: &f32| match dtype {
            Dtype::BF16 => (x.to_bits() >> 16).to_le_bytes()[..2].to_vec(),
            Dtype::F16 => f16(*x).to_le_bytes().to_vec(),
            _ => x.to_le_bytes().to_vec(),
        };
        let data: Vec<(&str, Vec<u8>)> = names
            .iter()
            .map(|name| {
                (
                    *name,
                    self.tensors[*name].1.iter().flat_map(bytes).collect(),
                )
            })
            .collect();
        let views = data.iter().map(|(name, data)| {
            let shape = self.tensors[*name].0.clone();
            (*name, TensorView::new(dtype, shape, data).unwrap())
        });
        safetensors::serialize(views, None).unwrap()
    }

    /// Import it into a new folder.
    pub fn import(&self) -> Result<(TempDir, Imported), ImportError> {
        import(|source| self.write(source, Dtype::BF16))
    }
}

/// Import what `write` puts into a folder. The model is under `model` in the folder that comes back.
pub fn import(write: impl FnOnce(&Path)) -> Result<(TempDir, Imported), ImportError> {
    import_from("", write)
}

/// As [`import`], of the file `name` in the folder, or of the folder itself if it has none.
pub fn import_from(
    name: &str,
    write: impl FnOnce(&Path),
) -> Result<(TempDir, Imported), ImportError> {
    let source = tempfile::tempdir().unwrap();
    write(source.path());
    let target = tempfile::tempdir().unwrap();
    let result = import::model(
        &source.path().join(name),
        &target.path().join("model"),
        import::FRACTION_BITS,
        |_| {},
    );
    match result {
        Ok(imported) => Ok((target, imported)),
        Err(error) => {
            let left = fs::read_dir(target.path()).unwrap().count();
            assert_eq!(left, 0, "{error} and something is left");
            Err(error)
        }
    }
}

/// Rounded towards zero, so that every element type holds it.
fn bf16(x: f32) -> f32 {
    f32::from_bits(x.to_bits() & 0xffff_0000)
}

/// For the numbers of this file: 8 significant bits and a size of normal halves, or 0.
pub fn f16(x: f32) -> u16 {
    let (sign, size) = ((x.to_bits() >> 16 & 0x8000) as u16, x.abs());
    if size < f32::powi(2.0, -14) {
        return sign | (size * f32::powi(2.0, 24)) as u16;
    }
    sign | ((size.to_bits() >> 13) - (112 << 10)) as u16
}

/// SplitMix64.
struct Random(u64);

impl Random {
    /// In (-1, 1), a multiple of 2^-16.
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z >> 48) as f32 - 32768.0) / 32768.0
    }
}
