//! The families, the element types and the ways to split a checkpoint.

use std::fs;

use assay_exact::folder::Folder;
use safetensors::Dtype;
use serde_json::json;

use crate::{
    logits,
    tiny::{import, Tiny},
};

#[test]
fn every_family_imports_verifies_and_runs() {
    for family in ["llama", "mistral", "qwen2", "qwen3"] {
        for tied in [false, true] {
            let (target, imported) = Tiny::new(family, tied).import().unwrap();
            let folder = Folder::open(target.path().join("model")).unwrap();
            assert_eq!(folder.verify().unwrap(), imported.root);
            assert_eq!(folder.model().head.is_none(), tied);
            let logits = logits(&folder, &[1, 2, 39]).unwrap();
            assert_eq!(logits.len(), 3 * 40);
            assert!(logits.iter().any(|logit| *logit != 0));
        }
    }
}

/// What every machine must make of the tiny checkpoints.
#[test]
fn roots_are_pinned() {
    for (family, tied, expected) in [
        (
            "llama",
            true,
            "0x31b90085a843d7c0534d5b82e9a2af2b3717fbe4ea95686f60e2bcd3b4e28746",
        ),
        (
            "llama",
            false,
            "0xec7435db71e1ae52516a1f8fe20af7b62d58f86e8e218c801f0eb466b1dcbd17",
        ),
        (
            "qwen2",
            true,
            "0xca3e3434903a8eb2c4a86001057d35cc0f62e8434dbf1962de60b18d8c5371f2",
        ),
        (
            "qwen2",
            false,
            "0x5a7462f510f0d605307538b58cf22e3cb03f795a7998acf28d967229feaef270",
        ),
        (
            "qwen3",
            true,
            "0xb7101b9b435ab2602daeddf0a1936223f979443876f700cb8b18a9e925eb73ef",
        ),
        (
            "qwen3",
            false,
            "0x1df00709d78c0779f433a0b8eab0441a3b5e0146d2105e399752d1e38467e437",
        ),
    ] {
        let (_, imported) = Tiny::new(family, tied).import().unwrap();
        let found = format!("{:?}", imported.weights_root);
        assert_eq!(found, expected, "{family}, tied: {tied}");
    }
}

/// The tiny checkpoints' numbers fit every element type exactly.
#[test]
fn element_types_do_not_matter() {
    for family in ["llama", "qwen2", "qwen3"] {
        let tiny = Tiny::new(family, false);
        let root = |dtype| import(|folder| tiny.write(folder, dtype)).unwrap().1.root;
        assert_eq!(root(Dtype::BF16), root(Dtype::F32));
        assert_eq!(root(Dtype::BF16), root(Dtype::F16));
    }
}

fn write_shards(tiny: &Tiny, folder: &std::path::Path, shards: &[(&str, Vec<&str>)]) {
    tiny.write_rest(folder);
    let mut weight_map = serde_json::Map::new();
    for (file, names) in shards {
        fs::write(folder.join(file), tiny.safetensors(names, Dtype::BF16)).unwrap();
        for name in names {
            weight_map.insert((*name).to_owned(), json!(file));
        }
    }
    fs::write(
        folder.join("model.safetensors.index.json"),
        json!({ "weight_map": weight_map }).to_string(),
    )
    .unwrap();
}

#[test]
fn shards_give_the_same_root_as_one_file() {
    let tiny = Tiny::new("llama", false);
    let names: Vec<&str> = tiny.tensors.keys().map(String::as_str).collect();
    let (first, second) = names.split_at(9);
    let split = import(|folder| {
        let shards = [
            ("b.safetensors", first.to_vec()),
            ("a.safetensors", second.to_vec()),
        ];
        write_shards(&tiny, folder, &shards);
    });
    assert_eq!(split.unwrap().1, tiny.import().unwrap().1);
}

#[test]
fn a_tensor_in_two_shards_is_refused() {
    let tiny = Tiny::new("llama", true);
    let names: Vec<&str> = tiny.tensors.keys().map(String::as_str).collect();
    let error = import(|folder| {
        let shards = [
            ("a.safetensors", names.clone()),
            ("b.safetensors", names[..1].to_vec()),
        ];
        write_shards(&tiny, folder, &shards);
        let index = format!(
            r#"{{"weight_map": {{"x": "a.safetensors", "{}": "b.safetensors"}}}}"#,
            names[0]
        );
        fs::write(folder.join("model.safetensors.index.json"), index).unwrap();
    })
    .expect_err("refused");
    assert!(error.to_string().contains(names[0]), "{error}");
}

#[test]
fn an_index_cannot_lead_out_of_the_folder() {
    for name in ["../secret", "/etc/passwd", "..", "", "a/b"] {
        let error = import(|folder| {
            Tiny::new("llama", true).write_rest(folder);
            let index = json!({ "weight_map": { "x": name } }).to_string();
            fs::write(folder.join("model.safetensors.index.json"), index).unwrap();
        })
        .expect_err("refused");
        assert!(error.to_string().contains("names the file"), "{error}");
    }
}
