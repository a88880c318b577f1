//! A model folder that was changed.

use std::fs;

use assay_exact::folder::{Folder, FolderError};

use crate::tiny::Tiny;

#[test]
fn importing_twice_gives_the_same_bytes_and_root() {
    let tiny = Tiny::new("qwen2", false);
    let (first, a) = tiny.import().unwrap();
    let (second, b) = tiny.import().unwrap();
    assert_eq!(a, b);
    for file in [
        "manifest.json",
        "weights.bin",
        "tokenizer.json",
        "chat_template.jinja",
    ] {
        let read = |folder: &tempfile::TempDir| fs::read(folder.path().join("model").join(file));
        assert_eq!(read(&first).unwrap(), read(&second).unwrap(), "{file}");
    }
}

#[test]
fn the_root_depends_on_everything() {
    let tiny = Tiny::new("llama", false);
    let root = |change: fn(&mut Tiny)| {
        let mut tiny = tiny.clone();
        change(&mut tiny);
        tiny.import().unwrap().1.root
    };
    let roots = [
        root(|_| {}),
        root(|tiny| tiny.tensor("model.layers.1.mlp.up_proj.weight").1[7] += 0.5),
        root(|tiny| tiny.tensor("model.norm.weight").1[3] += 0.5),
        root(|tiny| tiny.config["eos_token_id"] = 8.into()),
        root(|tiny| tiny.config["rope_theta"] = 20_000.into()),
        root(|tiny| tiny.config["rms_norm_eps"] = 1e-5.into()),
        root(|tiny| tiny.config["max_position_embeddings"] = 299.into()),
    ];
    for (index, root) in roots.iter().enumerate() {
        assert!(!roots[..index].contains(root), "change {index}");
    }
}

/// Where the tables end, about, in a tiny model's weights.
const TABLES: usize = 15_000;

/// Every changed byte of the weights is found, and the tensor that has it is named: along the file the
/// names are those of the manifest, in its order, none left out.
#[test]
fn a_changed_byte_of_the_weights_is_found_in_its_tensor() {
    let (target, _) = Tiny::new("qwen3", false).import().unwrap();
    let path = target.path().join("model");
    let weights = path.join("weights.bin");
    let good = fs::read(&weights).unwrap();
    let names: Vec<String> = Folder::open(&path)
        .unwrap()
        .manifest()
        .tensors
        .iter()
        .map(|tensor| tensor.name.clone())
        .collect();
    let mut found = Vec::new();
    // The tables are the longest tensors here, the columns' exponents the shortest, with 16 bytes.
    let places = (0..TABLES)
        .step_by(401)
        .chain((TABLES..good.len()).step_by(11));
    for index in places {
        let mut bad = good.clone();
        // The lowest bit keeps small parameters in their ranges, but for the tables' ends.
        bad[index] ^= 1;
        fs::write(&weights, &bad).unwrap();
        match Folder::open(&path) {
            Err(FolderError::Model(_)) => {}
            Err(error) => panic!("byte {index}: {error}"),
            Ok(folder) => match folder.verify() {
                Err(FolderError::Changed(name)) => found.push(name),
                Err(FolderError::Padding(_)) => {}
                other => panic!("byte {index}: {other:?}"),
            },
        }
    }
    found.dedup();
    assert_eq!(found, names);
}

#[test]
fn a_changed_byte_of_the_manifest_is_found() {
    let (target, _) = Tiny::new("llama", true).import().unwrap();
    let path = target.path().join("model");
    let manifest = path.join("manifest.json");
    let good = fs::read(&manifest).unwrap();
    for index in 0..good.len() {
        // Another case for letters: hexadecimal digits mean the same in both.
        let mask = if good[index].is_ascii_alphabetic() {
            0x20
        } else {
            1
        };
        let mut bad = good.clone();
        bad[index] ^= mask;
        fs::write(&manifest, &bad).unwrap();
        let found = Folder::open(&path).and_then(|folder| folder.verify());
        let error = found.expect_err("changed").to_string();
        assert!(!error.contains('\n'), "{error}");
    }
    for bad in [&good[..good.len() - 1], &[&good[..], b" "].concat()] {
        fs::write(&manifest, bad).unwrap();
        assert!(Folder::open(&path).is_err());
    }
}

#[test]
fn files_of_another_model_are_found() {
    let tiny = Tiny::new("llama", true);
    let (target, _) = tiny.import().unwrap();
    let path = target.path().join("model");
    let mut other = tiny.clone();
    other.tensor("model.layers.1.mlp.up_proj.weight").1[7] += 2.0;
    let (other, _) = other.import().unwrap();
    let other = other.path().join("model");

    fs::copy(other.join("weights.bin"), path.join("weights.bin")).unwrap();
    let error = Folder::open(&path)
        .unwrap()
        .verify()
        .unwrap_err()
        .to_string();
    assert!(error.contains("layers.1.up.weights"), "{error}");

    for file in ["tokenizer.json", "chat_template.jinja"] {
        let good = fs::read(other.join(file)).unwrap();
        fs::write(other.join(file), "another").unwrap();
        let error = Folder::open(&other).unwrap().verify().unwrap_err();
        assert!(error.to_string().contains(file), "{error}");
        fs::remove_file(other.join(file)).unwrap();
        let error = Folder::open(&other).unwrap().verify().unwrap_err();
        assert!(error.to_string().contains(file), "{error}");
        fs::write(other.join(file), good).unwrap();
    }
    assert!(Folder::open(&other).unwrap().verify().is_ok());
}

#[test]
fn tensors_are_aligned() {
    let (target, _) = Tiny::new("qwen3", false).import().unwrap();
    let folder = Folder::open(target.path().join("model")).unwrap();
    let model = folder.model();
    let mut addresses = vec![
        model.embedding.high.weights.as_ptr(),
        model.embedding.low.as_ptr(),
        model.head.unwrap().weights.as_ptr(),
    ];
    for layer in &model.layers {
        for matrix in [
            layer.q, layer.k, layer.v, layer.o, layer.gate, layer.up, layer.down,
        ] {
            addresses.push(matrix.weights.as_ptr());
        }
    }
    for address in addresses {
        assert_eq!(address.addr() % 64, 0);
    }
}
