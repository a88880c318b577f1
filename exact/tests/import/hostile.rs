//! Broken and hostile files: an error of one line, and never a panic.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use assay_exact::folder::Folder;
use proptest::prelude::*;
use safetensors::Dtype;
use tempfile::TempDir;

use crate::{
    damage::{
        assert_one_line, cases, copy, damage, hostile_number, json_damage, Damage, JsonDamage,
    },
    gguf_file::{GgufFile, Numbers, Value},
    logits, memory,
    tiny::{import, import_from, Tiny},
};

/// The most that opening or importing one of the tiny models holds at once, in bytes: most of it is
/// the writer's buffer. A count that is believed before its bytes are there is far above it.
const MEMORY: usize = 4 << 20;

/// A good model folder.
fn model() -> PathBuf {
    static MODEL: OnceLock<TempDir> = OnceLock::new();
    let folder = MODEL.get_or_init(|| Tiny::new("qwen3", false).import().unwrap().0);
    folder.path().join("model")
}

/// A good Hugging Face folder, with its weights in two files.
fn source() -> PathBuf {
    static SOURCE: OnceLock<TempDir> = OnceLock::new();
    let folder = SOURCE.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let tiny = Tiny::new("qwen2", true);
        tiny.write_rest(path);
        fs::write(
            path.join("generation_config.json"),
            r#"{"eos_token_id": [3, 7]}"#,
        )
        .unwrap();
        let names: Vec<&str> = tiny.tensors.keys().map(String::as_str).collect();
        let (first, second) = names.split_at(9);
        let mut places = serde_json::Map::new();
        for (file, names) in [("a.safetensors", first), ("b.safetensors", second)] {
            fs::write(path.join(file), tiny.safetensors(names, Dtype::F32)).unwrap();
            places.extend(names.iter().map(|name| ((*name).into(), file.into())));
        }
        let index = serde_json::json!({ "metadata": {}, "weight_map": places });
        fs::write(path.join("model.safetensors.index.json"), index.to_string()).unwrap();
        folder
    });
    folder.path().into()
}

/// A good GGUF file with a tokenizer of its own.
fn gguf(sentencepiece: bool) -> GgufFile {
    let mut file = GgufFile::of(&Tiny::new("llama", false), "llama", Numbers::Bf16);
    let texts = |texts: &[&str]| Value::Texts(texts.iter().map(|text| (*text).into()).collect());
    let model = if sentencepiece { "llama" } else { "gpt2" };
    file.key("tokenizer.ggml.model", Value::Text(model.into()))
        .key("tokenizer.ggml.pre", Value::Text("llama-bpe".into()))
        .key(
            "tokenizer.ggml.tokens",
            texts(&["<unk>", "<s>", "</s>", "a", "b", "ab", "abab", "\u{2581}"]),
        )
        .key(
            "tokenizer.ggml.token_type",
            Value::I32s(vec![2, 3, 3, 1, 1, 1, 1, 4]),
        )
        .key("tokenizer.ggml.bos_token_id", Value::U32(1))
        .key("tokenizer.ggml.add_eos_token", Value::Flag(true));
    if sentencepiece {
        let scores = (0..8).map(|id| -id as f32).collect();
        file.key("tokenizer.ggml.scores", Value::F32s(scores));
    } else {
        file.key("tokenizer.ggml.merges", texts(&["a b", "ab ab"]));
    }
    file
}

/// Whatever was imported is a sound model; whatever was not, has one line of error and little memory.
fn assert_sound_or_refused(name: &str, write: impl FnOnce(&Path)) {
    let (result, bytes) = memory::peak(|| import_from(name, write));
    assert!(bytes <= MEMORY, "{bytes} bytes");
    match result {
        Err(error) => assert_one_line(&error.to_string()),
        Ok((target, imported)) => {
            let folder = Folder::open(target.path().join("model")).unwrap();
            assert_eq!(folder.verify().unwrap(), imported.root);
        }
    }
}

/// Change a file of a folder.
fn change(path: &Path, change: impl FnOnce(Vec<u8>) -> Vec<u8>) {
    let bytes = change(fs::read(path).unwrap());
    fs::write(path, bytes).unwrap();
}

fn damaged(damage: &Damage, mut bytes: Vec<u8>) -> Vec<u8> {
    damage.apply(&mut bytes);
    bytes
}

/// The JSON in front of a safetensors file, damaged; its length is right again.
fn damaged_header(damage: &JsonDamage, bytes: &[u8]) -> Vec<u8> {
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header = damage.apply(&bytes[8..][..length]);
    let mut out = (header.len() as u64).to_le_bytes().to_vec();
    out.extend(header);
    out.extend(&bytes[8 + length..]);
    out
}

/// What a hostile writer of a GGUF file puts where a sound one puts something else.
#[derive(Clone, Debug)]
enum Lie {
    Dimension(usize, usize, u64),
    Dimensions(usize, Vec<u64>),
    Kind(usize, u32),
    Offset(usize, u64),
    /// The name of another tensor.
    Name(usize, usize),
    Drop(usize),
    Repeat(usize),
    /// A key with another value, or the value of another key.
    Key(usize, Value),
    Swap(usize, usize),
    DropKey(usize),
}

impl Lie {
    fn tell(self, file: &mut GgufFile) {
        let tensors = file.tensors.len();
        let keys = file.keys.len();
        match self {
            Self::Dimension(tensor, at, size) => {
                let dimensions = &mut file.tensors[tensor % tensors].dimensions;
                let count = dimensions.len();
                dimensions[at % count] = size;
            }
            Self::Dimensions(tensor, sizes) => file.tensors[tensor % tensors].dimensions = sizes,
            Self::Kind(tensor, kind) => file.tensors[tensor % tensors].kind = kind,
            Self::Offset(tensor, offset) => file.tensors[tensor % tensors].offset = Some(offset),
            Self::Name(tensor, other) => {
                file.tensors[tensor % tensors].name = file.tensors[other % tensors].name.clone();
            }
            Self::Drop(tensor) => drop(file.tensors.remove(tensor % tensors)),
            Self::Repeat(tensor) => file.tensors.push(file.tensors[tensor % tensors].clone()),
            Self::Key(key, value) => file.keys[key % keys].1 = value,
            Self::Swap(key, other) => {
                file.keys[key % keys].1 = file.keys[other % keys].1.clone();
            }
            Self::DropKey(key) => drop(file.keys.remove(key % keys)),
        }
    }
}

fn lie() -> impl Strategy<Value = Lie> {
    let any_place = any::<usize>;
    let value = prop_oneof![
        hostile_number().prop_map(Value::U64),
        hostile_number().prop_map(|number| Value::U32(number as u32)),
        any::<i32>().prop_map(Value::I32),
        any::<f32>().prop_map(Value::F32),
        any::<bool>().prop_map(Value::Flag),
        "\\PC{0,9}".prop_map(Value::Text),
        Just(Value::Text("\u{0}\n\u{1b}[31m".into())),
        Just(Value::Text("qwen2".into())),
        Just(Value::Texts(vec!["a a".into(); 50])),
        proptest::collection::vec("[ab ]{0,3}", 0..12).prop_map(Value::Texts),
        proptest::collection::vec(-1..8i32, 0..12).prop_map(Value::I32s),
        proptest::collection::vec(any::<f32>(), 0..12).prop_map(Value::F32s),
        // An array of any type, with a count that may not be true.
        (
            0..14u32,
            hostile_number(),
            proptest::collection::vec(any::<u8>(), 0..40)
        )
            .prop_map(|(kind, count, bytes)| {
                let head = [&kind.to_le_bytes()[..], &count.to_le_bytes()].concat();
                Value::Raw(9, [head, bytes].concat())
            }),
        (0..14u32, proptest::collection::vec(any::<u8>(), 0..20))
            .prop_map(|(kind, bytes)| Value::Raw(kind, bytes)),
    ];
    prop_oneof![
        1 => (any_place(), any_place(), hostile_number()).prop_map(|(t, at, n)| Lie::Dimension(t, at, n)),
        1 => (any_place(), proptest::collection::vec(hostile_number(), 0..6))
            .prop_map(|(t, sizes)| Lie::Dimensions(t, sizes)),
        1 => (any_place(), prop_oneof![0..40u32, any::<u32>()]).prop_map(|(t, k)| Lie::Kind(t, k)),
        1 => (any_place(), hostile_number()).prop_map(|(t, n)| Lie::Offset(t, n)),
        1 => (any_place(), any_place()).prop_map(|(t, other)| Lie::Name(t, other)),
        1 => any_place().prop_map(Lie::Drop),
        1 => any_place().prop_map(Lie::Repeat),
        4 => (any_place(), value).prop_map(|(key, value)| Lie::Key(key, value)),
        2 => (any_place(), any_place()).prop_map(|(key, other)| Lie::Swap(key, other)),
        1 => any_place().prop_map(Lie::DropKey),
    ]
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn a_damaged_model_folder_never_verifies(
        file in prop_oneof![Just("weights.bin"), Just("manifest.json"), Just("tokenizer.json")],
        damage in damage(200),
    ) {
        let folder = tempfile::tempdir().unwrap();
        copy(&model(), folder.path());
        let path = folder.path().join(file);
        let good = fs::read(&path).unwrap();
        let mut bad = good.clone();
        damage.apply(&mut bad);
        fs::write(&path, &bad).unwrap();
        match Folder::open(folder.path()) {
            Err(error) => assert_one_line(&error.to_string()),
            Ok(opened) => {
                let run = logits(&opened, &[0, 39]);
                prop_assert!(run.is_ok(), "{run:?}");
                match opened.verify() {
                    Err(error) => assert_one_line(&error.to_string()),
                    Ok(_) => prop_assert!(good == bad),
                }
            }
        }
    }

    #[test]
    fn a_damaged_manifest_is_refused(damage in json_damage()) {
        let folder = tempfile::tempdir().unwrap();
        copy(&model(), folder.path());
        let path = folder.path().join("manifest.json");
        let good = fs::read(&path).unwrap();
        let document: serde_json::Value = serde_json::from_slice(&damage.apply(&good)).unwrap();
        // With its blanks in their places: the spelling is looked at last.
        let mut bad = serde_json::to_vec_pretty(&document).unwrap();
        bad.push(b'\n');
        fs::write(&path, &bad).unwrap();
        let (opened, bytes) = memory::peak(|| Folder::open(folder.path()));
        prop_assert!(bytes <= MEMORY, "{bytes} bytes");
        match opened {
            Err(error) => assert_one_line(&error.to_string()),
            Ok(_) => prop_assert!(good == bad),
        }
    }

    #[test]
    fn a_damaged_hugging_face_folder_is_imported_as_it_is_or_refused(
        file in prop_oneof![3 => Just("a.safetensors"), 1 => Just("config.json"),
            1 => Just("model.safetensors.index.json"), 1 => Just("tokenizer_config.json")],
        damage in damage(200),
    ) {
        assert_sound_or_refused("", |folder| {
            copy(&source(), folder);
            change(&folder.join(file), |bytes| damaged(&damage, bytes));
        });
    }

    #[test]
    fn hostile_json_is_imported_as_it_is_or_refused(
        file in prop_oneof![Just("config.json"), Just("generation_config.json"),
            Just("tokenizer_config.json"), Just("model.safetensors.index.json")],
        damage in json_damage(),
    ) {
        assert_sound_or_refused("", |folder| {
            copy(&source(), folder);
            change(&folder.join(file), |bytes| damage.apply(&bytes));
        });
    }

    #[test]
    fn hostile_safetensors_headers_are_imported_as_they_are_or_refused(damage in json_damage()) {
        assert_sound_or_refused("", |folder| {
            copy(&source(), folder);
            change(&folder.join("b.safetensors"), |bytes| damaged_header(&damage, &bytes));
        });
    }

    #[test]
    fn a_damaged_gguf_file_is_imported_as_it_is_or_refused(
        sentencepiece in any::<bool>(),
        damage in damage(2_500),
    ) {
        assert_sound_or_refused("model.gguf", |folder| {
            let bytes = damaged(&damage, gguf(sentencepiece).to_bytes());
            fs::write(folder.join("model.gguf"), bytes).unwrap();
        });
    }

    #[test]
    fn a_gguf_file_that_lies_is_imported_as_it_is_or_refused(
        sentencepiece in any::<bool>(),
        lies in proptest::collection::vec(lie(), 1..3),
    ) {
        let mut file = gguf(sentencepiece);
        for lie in lies {
            lie.tell(&mut file);
        }
        assert_sound_or_refused("model.gguf", |folder| {
            fs::write(folder.join("model.gguf"), file.to_bytes()).unwrap();
        });
    }
}

#[test]
fn the_files_to_be_damaged_are_sound() {
    let imported = import(|folder| copy(&source(), folder));
    assert_eq!(imported.unwrap().1.shape.layers, 2);
    for sentencepiece in [false, true] {
        let (result, bytes) = memory::peak(|| {
            import_from("model.gguf", |folder| {
                let bytes = gguf(sentencepiece).to_bytes();
                fs::write(folder.join("model.gguf"), bytes).unwrap();
            })
        });
        assert_eq!(result.unwrap().1.shape.layers, 2);
        assert!(bytes < MEMORY);
    }
}

/// Counts at the very front, where a reader may allocate by them.
#[test]
fn hostile_gguf_counts_are_refused() {
    let good = gguf(false).to_bytes();
    for place in [8, 16] {
        for count in [1 << 16, 1 << 32, 1 << 62, 1 << 63, u64::MAX] {
            let mut bad = good.clone();
            bad[place..place + 8].copy_from_slice(&count.to_le_bytes());
            let (result, bytes) = memory::peak(|| {
                import_from("model.gguf", |folder| {
                    fs::write(folder.join("model.gguf"), &bad).unwrap();
                })
            });
            assert_one_line(&result.unwrap_err().to_string());
            assert!(bytes < MEMORY / 2, "{bytes}");
        }
    }
}

/// Headers that no bit flip finds.
#[test]
fn hostile_headers_are_refused() {
    let tensor = |start: u64, end: u64| {
        format!(
            r#"{{"dtype":"F32","shape":[{}],"data_offsets":[{start},{end}]}}"#,
            (end - start) / 4
        )
    };
    let far = u64::MAX / 8 - 7;
    let chain: Vec<String> = (0..9)
        .map(|i| {
            let size = far / 4 * 4;
            format!(
                r#""t{i}":{{"dtype":"U8","shape":[{size}],"data_offsets":[{},{}]}}"#,
                size.wrapping_mul(i),
                size.wrapping_mul(i + 1)
            )
        })
        .collect();
    let headers = [
        String::new(),
        "{}".into(),
        "[]".into(),
        "{".repeat(100_000),
        format!(r#"{{"a":{}}}"#, tensor(0, 4_000_000_000)),
        format!(r#"{{"a":{}}}"#, tensor(4, 8)),
        format!(r#"{{"a\n\u001b":{}}}"#, tensor(0, 8)),
        format!("{{{}}}", chain.join(",")),
        format!("{{{}}}", chain[..8].join(",")),
        r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296,4],"data_offsets":[0,0]}}"#.into(),
        r#"{"a":{"dtype":"F4","shape":[1],"data_offsets":[0,0]}}"#.into(),
        r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}"#.into(),
    ];
    for header in headers {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.extend([0; 8]);
        let error = import(|folder| {
            Tiny::new("llama", true).write_rest(folder);
            fs::write(folder.join("model.safetensors"), &bytes).unwrap();
        })
        .expect_err("refused");
        assert_one_line(&error.to_string());
    }
    for length in [0u64, 9, 1 << 40, u64::MAX] {
        let error = import(|folder| {
            Tiny::new("llama", true).write_rest(folder);
            fs::write(folder.join("model.safetensors"), length.to_le_bytes()).unwrap();
        })
        .expect_err("refused");
        assert_one_line(&error.to_string());
    }
}

/// The shape in a manifest is not believed before the file has its length.
#[test]
fn a_manifest_of_a_huge_model_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    copy(&model(), folder.path());
    let path = folder.path().join("manifest.json");
    let good = fs::read_to_string(&path).unwrap();
    for (from, to) in [
        (r#""layers": 2"#, r#""layers": 65535"#),
        (r#""vocabulary": 40"#, r#""vocabulary": 4194304"#),
        (r#""context": 300"#, r#""context": 1048576"#),
        (r#""hidden": 16"#, r#""hidden": 4294967295"#),
    ] {
        let bad = good.replace(from, to);
        assert_ne!(bad, good);
        fs::write(&path, bad).unwrap();
        assert_one_line(&Folder::open(folder.path()).err().unwrap().to_string());
    }
}
