//! Broken and hostile files: an error of one line, and never a panic.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use assay_exact::{engine::Logits, folder::Folder, Engine};
use proptest::prelude::*;
use safetensors::Dtype;
use tempfile::TempDir;

use crate::tiny::{import, Tiny};

/// How a file is damaged.
#[derive(Clone, Debug)]
enum Damage {
    Flip(Vec<(usize, u8)>),
    Truncate(usize),
    Extend(Vec<u8>),
    /// A number at a place of eight bytes.
    Number(usize, u64),
}

impl Damage {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let length = bytes.len().max(1);
        match self {
            Self::Flip(flips) => {
                for (place, mask) in flips {
                    bytes[place % length] ^= mask;
                }
            }
            Self::Truncate(place) => bytes.truncate(place % length),
            Self::Extend(more) => bytes.extend(more),
            Self::Number(place, number) => {
                let place = place % length;
                let end = length.min(place + 8);
                bytes[place..end].copy_from_slice(&number.to_le_bytes()[..end - place]);
            }
        }
    }
}

fn damage() -> impl Strategy<Value = Damage> {
    // Half of the damage is near the start, where the headers are.
    let place = || prop_oneof![0..200usize, any::<usize>()];
    prop_oneof![
        proptest::collection::vec((place(), 1..=255u8), 1..4).prop_map(Damage::Flip),
        place().prop_map(Damage::Truncate),
        proptest::collection::vec(any::<u8>(), 1..70).prop_map(Damage::Extend),
        (
            place(),
            prop_oneof![any::<u64>(), Just(u64::MAX), 0..400u64]
        )
            .prop_map(|(place, number)| Damage::Number(place, number)),
    ]
}

fn assert_one_line(error: &str) {
    assert!(
        !error.is_empty() && !error.contains(char::is_control),
        "{error:?}"
    );
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// A good model folder.
fn model() -> PathBuf {
    static MODEL: OnceLock<TempDir> = OnceLock::new();
    let folder = MODEL.get_or_init(|| Tiny::new("qwen3", false).import().unwrap().0);
    folder.path().join("model")
}

/// A good Hugging Face folder.
fn source() -> PathBuf {
    static SOURCE: OnceLock<TempDir> = OnceLock::new();
    let folder = SOURCE.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        Tiny::new("qwen2", true).write(folder.path(), Dtype::F32);
        folder
    });
    folder.path().into()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_damaged_model_folder_never_verifies(
        file in prop_oneof![Just("weights.bin"), Just("manifest.json"), Just("tokenizer.json")],
        damage in damage(),
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
                let model = opened.model();
                let engine = Engine::new(&model).unwrap();
                let run = engine.run(&mut engine.cache(), &[0, 39], Logits::Last);
                prop_assert!(run.is_ok(), "{run:?}");
                match opened.verify() {
                    Err(error) => assert_one_line(&error.to_string()),
                    Ok(_) => prop_assert!(good == bad),
                }
            }
        }
    }

    #[test]
    fn a_damaged_checkpoint_is_imported_as_it_is_or_refused(
        file in prop_oneof![3 => Just("model.safetensors"), 1 => Just("config.json"),
            1 => Just("tokenizer_config.json")],
        damage in damage(),
    ) {
        let result = import(|folder| {
            copy(&source(), folder);
            let path = folder.join(file);
            let mut bytes = fs::read(&path).unwrap();
            damage.apply(&mut bytes);
            fs::write(&path, &bytes).unwrap();
        });
        match result {
            Err(error) => assert_one_line(&error.to_string()),
            Ok((target, imported)) => {
                let folder = Folder::open(target.path().join("model")).unwrap();
                prop_assert_eq!(folder.verify().unwrap(), imported.root);
            }
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
