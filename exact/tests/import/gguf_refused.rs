//! GGUF files that are not imported, and what the error names.

use std::fs;

use crate::{
    gguf::import_gguf,
    gguf_file::{GgufFile, Numbers, Value},
    tiny::{import_from, Size, Tiny},
};

fn assert_names(error: &str, names: &[&str]) {
    for name in names {
        assert!(error.contains(name), "{name} is not in: {error}");
    }
    assert!(!error.contains('\n'), "{error:?}");
}

fn assert_refused(change: impl FnOnce(&mut GgufFile), names: &[&str]) {
    let mut file = GgufFile::of(&Tiny::new("llama", false), "llama", Numbers::F16);
    change(&mut file);
    let error = import_gguf(&file).expect_err(names[0]).to_string();
    assert_names(&error, names);
}

#[test]
fn what_the_format_lacks_is_refused_by_name() {
    let text = |text: &str| Value::Text(text.into());
    for (key, value, named) in [
        ("general.architecture", text("gemma3"), "gemma3"),
        ("llama.expert_count", Value::U32(8), "expert_count = 8"),
        ("llama.attention.sliding_window", Value::U32(299), "= 299"),
        ("llama.attention.causal", Value::Flag(false), "causal"),
        (
            "llama.attention.value_length",
            Value::U32(8),
            "value_length = 8",
        ),
        (
            "llama.rope.dimension_count",
            Value::U32(4),
            "dimension_count = 4",
        ),
        ("llama.rope.scaling.type", text("yarn"), "yarn"),
        ("llama.rope.scaling.factor", Value::F32(4.0), "factor = 4"),
        (
            "llama.rope.scale_linear",
            Value::F32(2.0),
            "scale_linear = 2",
        ),
        ("llama.rope.freq_base", Value::F32(1e-7), "freq_base"),
        ("llama.rope.freq_base", Value::F32(0.5), "RotaryBase"),
        ("llama.rope.freq_base", Value::F32(f32::NAN), "freq_base"),
        ("llama.logit_scale", Value::F32(0.5), "llama.logit_scale"),
        (
            "llama.attention.layer_norm_rms_epsilon",
            Value::F32(0.0),
            "Epsilon",
        ),
        (
            "llama.attention.layer_norm_rms_epsilon",
            Value::F32(f32::NAN),
            "Epsilon",
        ),
        ("llama.attention.head_count", Value::U32(0), "Heads"),
        (
            "llama.attention.key_length",
            Value::U32(70_000),
            "key_length = 70000",
        ),
        ("llama.block_count", Value::U32(0), "Layers"),
        ("llama.context_length", Value::U32(1 << 21), "Context"),
        (
            "tokenizer.ggml.eos_token_id",
            Value::U32(40),
            "stop token 40",
        ),
        ("split.count", Value::U32(2), "merge its parts"),
    ] {
        assert_refused(
            |file| {
                file.key(key, value);
            },
            &[named],
        );
    }
}

#[test]
fn keys_of_another_type_or_missing_are_named() {
    for key in [
        "general.architecture",
        "llama.block_count",
        "llama.context_length",
        "llama.embedding_length",
        "llama.feed_forward_length",
        "llama.attention.head_count",
        "llama.attention.layer_norm_rms_epsilon",
    ] {
        assert_refused(
            |file| {
                file.without_key(key);
            },
            &[key],
        );
        for value in [
            Value::I32(-1),
            Value::Flag(true),
            Value::I32s(vec![1]),
            Value::U64(u64::MAX),
        ] {
            assert_refused(
                |file| {
                    file.key(key, value);
                },
                &[key],
            );
        }
    }
}

#[test]
fn versions_and_byte_orders_are_named() {
    assert_refused(|file| file.version = 1, &["version 1", "version 3"]);
    assert_refused(|file| file.version = 4, &["version 4"]);
    assert_refused(
        |file| file.version = 3u32.swap_bytes(),
        &["big-endian", "little-endian"],
    );
}

#[test]
fn other_element_types_are_named() {
    for (kind, named) in [
        (2, "Q4_0"),
        (12, "Q4_K"),
        (4, "type 4"),
        (1000, "type 1000"),
    ] {
        assert_refused(
            |file| file.tensor("blk.1.ffn_up.weight").kind = kind,
            &["blk.1.ffn_up.weight", named],
        );
    }
    // 16 numbers are no block.
    assert_refused(
        |file| file.tensor("blk.1.ffn_up.weight").kind = 8,
        &["blk.1.ffn_up.weight"],
    );
}

#[test]
fn tensors_must_be_those_of_the_shape() {
    let up = "blk.1.ffn_up.weight";
    assert_refused(
        |file| file.tensors.retain(|tensor| tensor.name != up),
        &[up, "missing"],
    );
    assert_refused(
        |file| {
            file.tensors
                .retain(|tensor| tensor.name != "token_embd.weight")
        },
        &["token_embd.weight", "missing"],
    );
    assert_refused(
        |file| file.tensor(up).dimensions = vec![24, 16],
        &[up, "[16, 24]", "[24, 16]"],
    );
    assert_refused(
        |file| file.tensor(up).name = "blk.1.ffn_up_exps.weight".into(),
        &[up, "missing"],
    );
    assert_refused(
        |file| {
            let mut more = file.tensor(up).clone();
            more.name = "blk.2.ffn_up.weight".into();
            file.tensors.push(more);
        },
        &["blk.2.ffn_up.weight", "no place"],
    );
    assert_refused(
        |file| {
            let twice = file.tensor(up).clone();
            file.tensors.push(twice);
        },
        &[up, "twice"],
    );
}

#[test]
fn tensors_lie_one_after_the_other_within_the_file() {
    let up = "blk.1.ffn_up.weight";
    for offset in [0, 1, 32, u64::MAX, 1 << 40] {
        assert_refused(
            |file| file.tensor(up).offset = Some(offset),
            &[up, "offset"],
        );
    }
    for dimensions in [
        vec![16, 1 << 40],
        vec![1 << 32, 1 << 32],
        vec![u64::MAX, u64::MAX, u64::MAX, u64::MAX],
    ] {
        assert_refused(|file| file.tensor(up).dimensions = dimensions, &[up]);
    }
    assert_refused(
        |file| file.tensor(up).dimensions = vec![],
        &[up, "0 dimensions"],
    );
    assert_refused(
        |file| file.tensor(up).dimensions = vec![1; 9],
        &[up, "9 dimensions"],
    );
    for alignment in [0u32, 24, 1 << 21] {
        assert_refused(
            |file| {
                file.key("general.alignment", Value::U32(alignment));
            },
            &["alignment"],
        );
    }
    // A file that says another alignment than it has.
    assert_refused(
        |file| {
            file.key("general.alignment", Value::U32(4096));
        },
        &["offset"],
    );
}

#[test]
fn huge_names_are_not_shown() {
    let huge = "x".repeat(300);
    assert_refused(
        |file| file.tensor("output.weight").name = huge.clone(),
        &["name of 300 bytes"],
    );
    assert_refused(
        |file| {
            file.key(&huge, Value::U32(1));
        },
        &["name of 300 bytes"],
    );
}

#[test]
fn keys_are_there_once() {
    assert_refused(
        |file| {
            let again = file.keys[3].clone();
            file.keys.push(again);
        },
        &["llama.context_length", "twice"],
    );
}

#[test]
fn numbers_that_are_not_finite_are_named_with_their_place() {
    let mut file = GgufFile::of(
        &Tiny::sized("llama", true, Size::BLOCKS),
        "llama",
        Numbers::Q8_0,
    );
    // The scale of row 1's second block; rows have two blocks.
    let down = file.tensor("blk.0.ffn_down.weight");
    down.bytes[3 * 34..][..2].copy_from_slice(&[0x00, 0x7c]);
    // Infinity times 0 is NaN.
    down.bytes[3 * 34 + 2] = 0;
    let error = import_gguf(&file).unwrap_err().to_string();
    assert_names(&error, &["blk.0.ffn_down.weight", "index 96", "NaN"]);
}

#[test]
fn what_is_neither_a_folder_nor_a_gguf_file_is_named() {
    for content in [&b""[..], b"GGU", b"\x08\0\0\0\0\0\0\0{}"] {
        let error = import_from("model.safetensors", |folder| {
            fs::write(folder.join("model.safetensors"), content).unwrap();
        });
        let error = error.unwrap_err().to_string();
        assert_names(&error, &["model.safetensors", "neither", "Hugging Face"]);
    }
    let error = import_from("model.gguf", |_| {}).unwrap_err().to_string();
    assert_names(&error, &["model.gguf", "missing"]);
}
