//! The same numbers from a GGUF file and from a Hugging Face folder.

use std::{fs, path::Path};

use assay_exact::{
    folder::Folder,
    import::{ImportError, Imported},
};
use safetensors::Dtype;
use serde_json::json;
use tempfile::TempDir;

use crate::{
    gguf_file::{rounded_to_q8_0, GgufFile, Numbers, Value},
    tiny::{import, import_from, Size, Tiny},
};

/// Import a file with the tiny models' tokenizer beside it.
pub fn import_gguf(file: &GgufFile) -> Result<(TempDir, Imported), ImportError> {
    import_from("model.gguf", |folder| write(folder, file))
}

fn write(folder: &Path, file: &GgufFile) {
    fs::write(folder.join("tokenizer.json"), "{}").unwrap();
    fs::write(folder.join("model.gguf"), file.to_bytes()).unwrap();
}

/// GGUF's architecture of a family.
fn architecture(family: &str) -> &str {
    match family {
        "mistral" => "llama",
        other => other,
    }
}

#[test]
fn the_same_numbers_have_the_same_root() {
    for family in ["llama", "mistral", "qwen2", "qwen3"] {
        for tied in [false, true] {
            let tiny = Tiny::new(family, tied);
            let expected = tiny.import().unwrap().1;
            for numbers in [Numbers::F32, Numbers::F16, Numbers::Bf16] {
                let file = GgufFile::of(&tiny, architecture(family), numbers);
                let (target, imported) = import_gguf(&file).unwrap();
                assert_eq!(imported, expected, "{family}, tied: {tied}, {numbers:?}");
                let folder = Folder::open(target.path().join("model")).unwrap();
                assert_eq!(folder.verify().unwrap(), expected.root);
            }
        }
    }
}

/// Under the name of llama, biases are in the order of their rows.
#[test]
fn biases_of_llama_are_put_back_too() {
    let tiny = Tiny::new("qwen2", false);
    let expected = tiny.import().unwrap().1;
    let file = GgufFile::of(&tiny, "llama", Numbers::F32);
    assert_eq!(import_gguf(&file).unwrap().1, expected);
}

#[test]
fn blocks_of_q8_0_are_their_products() {
    for family in ["llama", "qwen2", "qwen3"] {
        let tiny = Tiny::sized(family, false, Size::BLOCKS);
        let rounded = rounded_to_q8_0(&tiny);
        let expected = import(|folder| rounded.write(folder, Dtype::F32))
            .unwrap()
            .1;
        let file = GgufFile::of(&tiny, family, Numbers::Q8_0);
        assert_eq!(import_gguf(&file).unwrap().1, expected);
        assert_ne!(tiny.import().unwrap().1, expected);
    }
}

#[test]
fn the_scaling_of_llama_3_is_found_in_its_factors() {
    for factor in [8.0, 32.0] {
        let mut tiny = Tiny::sized("llama", true, Size::BLOCKS);
        tiny.config["rope_theta"] = json!(500_000.0);
        tiny.config["rope_scaling"] = json!({
            "rope_type": "llama3", "factor": factor, "low_freq_factor": 1.0,
            "high_freq_factor": 4.0, "original_max_position_embeddings": 8192
        });
        let expected = tiny.import().unwrap().1;
        let file = GgufFile::of(&tiny, "llama", Numbers::Bf16);
        assert_eq!(import_gguf(&file).unwrap().1, expected);

        tiny.config["rope_scaling"]["high_freq_factor"] = json!(5.0);
        let file = GgufFile::of(&tiny, "llama", Numbers::Bf16);
        let error = import_gguf(&file).unwrap_err().to_string();
        assert!(error.contains("rope_freqs.weight"), "{error}");
        assert!(error.contains("Hugging Face folder"), "{error}");
    }
}

/// A file may leave out what has a usual value, and say more than is needed.
#[test]
fn keys_have_their_usual_values() {
    let mut tiny = Tiny::new("llama", true);
    tiny.config["num_key_value_heads"] = json!(4);
    for layer in 0..2 {
        for tensor in ["k_proj", "v_proj"] {
            let name = format!("model.layers.{layer}.self_attn.{tensor}.weight");
            let (shape, elements) = tiny.tensor(&name);
            shape[0] *= 2;
            elements.extend(elements.clone());
        }
    }
    let expected = tiny.import().unwrap().1;
    let mut file = GgufFile::of(&tiny, "llama", Numbers::F32);
    file.without_key("llama.attention.head_count_kv")
        .without_key("llama.attention.value_length")
        .without_key("llama.rope.dimension_count")
        .without_key("llama.rope.freq_base")
        .key("llama.attention.sliding_window", Value::U32(300))
        .key("llama.expert_count", Value::U32(0))
        .key("llama.rope.scaling.type", Value::Text("none".into()))
        .key("llama.block_count", Value::U64(2))
        .key("llama.context_length", Value::I32(300))
        .key("general.name", Value::Text("tiny".into()))
        .key("tokenizer.ggml.eot_token_id", Value::U32(7));
    assert_eq!(import_gguf(&file).unwrap().1, expected);
    file.key("tokenizer.ggml.eom_token_id", Value::U32(9));
    let (target, imported) = import_gguf(&file).unwrap();
    assert_eq!(imported.weights_root, expected.weights_root);
    let folder = Folder::open(target.path().join("model")).unwrap();
    assert_eq!(folder.manifest().stop_tokens, [7, 9]);
}

#[test]
fn versions_and_alignments_do_not_matter() {
    let tiny = Tiny::new("qwen3", false);
    let expected = tiny.import().unwrap().1;
    let mut file = GgufFile::of(&tiny, "qwen3", Numbers::F16);
    file.version = 2;
    assert_eq!(import_gguf(&file).unwrap().1, expected);
    for alignment in [1, 8, 64, 4096] {
        file.alignment = alignment;
        file.key("general.alignment", Value::U32(alignment as u32));
        assert_eq!(import_gguf(&file).unwrap().1, expected, "{alignment}");
    }
    // The last tensor may end with the file.
    let mut bytes = file.to_bytes();
    let last = file.tensors.last().unwrap().bytes.len();
    bytes.truncate(bytes.len() - 4096 + last % 4096);
    let imported = import_from("model.gguf", |folder| {
        fs::write(folder.join("tokenizer.json"), "{}").unwrap();
        fs::write(folder.join("model.gguf"), &bytes).unwrap();
    });
    assert_eq!(imported.unwrap().1, expected);
}

#[test]
fn the_publishers_special_tokens_come_first() {
    let tiny = Tiny::new("llama", true);
    let mut file = GgufFile::of(&tiny, "llama", Numbers::F32);
    let tokens = (0..40).map(|i| format!("<{i}>")).collect();
    file.key("tokenizer.ggml.tokens", Value::Texts(tokens))
        .key("tokenizer.ggml.bos_token_id", Value::U32(1));
    let config = |target: TempDir| {
        fs::read_to_string(target.path().join("model/tokenizer_config.json")).unwrap()
    };
    let (target, _) = import_gguf(&file).unwrap();
    assert_eq!(config(target), r#"{"bos_token":"<1>","eos_token":"<7>"}"#);
    let (target, _) = import_from("model.gguf", |folder| {
        write(folder, &file);
        fs::write(folder.join("tokenizer_config.json"), "{ }").unwrap();
    })
    .unwrap();
    assert_eq!(config(target), "{ }");
}
