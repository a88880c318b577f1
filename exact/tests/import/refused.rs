//! Checkpoints that are not imported, and what the error names.

use std::fs;

use assay_exact::import::huggingface;
use safetensors::Dtype;

use crate::tiny::{import, Tiny};

const UP: &str = "model.layers.1.mlp.up_proj.weight";

fn error_of(change: impl FnOnce(&mut Tiny)) -> String {
    let mut tiny = Tiny::new("llama", true);
    change(&mut tiny);
    tiny.import().expect_err("refused").to_string()
}

fn assert_names(error: &str, names: &[&str]) {
    for name in names {
        assert!(error.contains(name), "{name} is not in: {error}");
    }
    assert!(!error.contains('\n'), "{error:?}");
}

#[test]
fn numbers_that_are_not_finite_are_named_with_their_place() {
    for (bad, name) in [
        (f32::NAN, "NaN"),
        (f32::INFINITY, "inf"),
        (f32::NEG_INFINITY, "-inf"),
    ] {
        let error = error_of(|tiny| tiny.tensor(UP).1[37] = bad);
        assert_names(&error, &[UP, "index 37", name]);
        let error = error_of(|tiny| tiny.tensor("model.norm.weight").1[5] = bad);
        assert_names(&error, &["model.norm.weight", "index 5", name]);
    }
}

#[test]
fn tensors_must_be_those_of_the_shape() {
    let error = error_of(|tiny| {
        tiny.tensors.remove(UP);
    });
    assert_names(&error, &[UP, "missing"]);
    let error = error_of(|tiny| tiny.tensor(UP).0 = vec![16, 24]);
    assert_names(&error, &[UP, "[16, 24]", "[24, 16]"]);
    let bias = "model.layers.0.self_attn.o_proj.bias";
    let error = error_of(|tiny| {
        tiny.tensors.insert(bias.into(), (vec![16], vec![0.0; 16]));
    });
    assert_names(&error, &[bias]);
    let error = error_of(|tiny| tiny.config["tie_word_embeddings"] = false.into());
    assert_names(&error, &["lm_head.weight", "missing"]);
}

#[test]
fn a_redundant_head_and_old_frequencies_are_passed_over() {
    let mut tiny = Tiny::new("llama", true);
    let root = tiny.import().unwrap().1.root;
    let embedding = tiny.tensor("model.embed_tokens.weight").clone();
    tiny.tensors.insert("lm_head.weight".into(), embedding);
    tiny.tensors.insert(
        "model.layers.0.self_attn.rotary_emb.inv_freq".into(),
        (vec![3], vec![1.0; 3]),
    );
    assert_eq!(tiny.import().unwrap().1.root, root);
}

#[test]
fn weights_beyond_the_scales_are_refused() {
    let error = error_of(|tiny| {
        let (shape, elements) = tiny.tensor("model.embed_tokens.weight");
        // Alike in all columns of a row, so that no equalisation helps.
        for element in &mut elements[2 * shape[1]..3 * shape[1]] {
            *element = 1e30;
        }
    });
    assert_names(&error, &["model.embed_tokens.weight", "row 2", "too large"]);
    let error = error_of(|tiny| tiny.tensor("model.norm.weight").1.fill(1e30));
    assert_names(&error, &["model.norm.weight"]);
}

#[test]
fn other_element_types_are_named() {
    let error = import(|folder| {
        let tiny = Tiny::new("llama", true);
        tiny.write(folder, Dtype::F32);
        let path = folder.join("model.safetensors");
        let text = fs::read(&path).unwrap();
        let changed = text.windows(3).position(|three| three == b"F32").unwrap();
        let mut text = text;
        text[changed] = b'I';
        fs::write(path, text).unwrap();
    })
    .expect_err("refused");
    assert_names(&error.to_string(), &["I32", "tensor"]);
}

#[test]
fn a_checkpoint_of_another_length_is_refused() {
    let change = |change: fn(&mut Vec<u8>)| {
        let error = import(|folder| {
            Tiny::new("llama", true).write(folder, Dtype::BF16);
            let path = folder.join("model.safetensors");
            let mut bytes = fs::read(&path).unwrap();
            change(&mut bytes);
            fs::write(path, bytes).unwrap();
        })
        .expect_err("refused");
        assert_names(
            &error.to_string(),
            &["model.safetensors", "header promises"],
        );
    };
    change(|bytes| bytes.truncate(bytes.len() - 1));
    change(|bytes| bytes.push(0));
}

#[test]
fn missing_files_are_named() {
    for file in ["config.json", "model.safetensors", "tokenizer.json"] {
        let error = import(|folder| {
            Tiny::new("llama", true).write(folder, Dtype::BF16);
            fs::remove_file(folder.join(file)).unwrap();
        })
        .expect_err("refused");
        assert_names(&error.to_string(), &[file, "missing"]);
    }
}

#[test]
fn a_target_that_exists_is_left_alone() {
    let source = tempfile::tempdir().unwrap();
    Tiny::new("llama", true).write(source.path(), Dtype::BF16);
    let target = tempfile::tempdir().unwrap();
    let error = huggingface(source.path(), target.path(), |_| {}).expect_err("refused");
    assert_names(&error.to_string(), &["exists already"]);
    assert_eq!(fs::read_dir(target.path()).unwrap().count(), 0);
}
