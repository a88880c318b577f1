//! A random model of a real shape that can be asked in words: its tokenizer has a word for every token.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{ensure, Context, Result};
use assay_tests::{copy, demo_source};
use serde_json::{json, Value};

use crate::speed::{files::write_checkpoint, shape::Shape};

/// Makes the checkpoint in a folder below `scratch`: random weights, and the demo model's tokenizer and chat template
/// with made-up words for the tokens beyond its own.
pub fn create(shape: &Shape, scratch: &Path) -> Result<PathBuf> {
    let folder = scratch.join("checkpoint");
    let weights = scratch.join("weights");
    copy(&demo_source()?, &folder)?;
    write_checkpoint(shape, &shape.tensors(), &weights)?;
    for name in ["config.json", "model.safetensors"] {
        fs::rename(weights.join(name), folder.join(name))?;
    }
    let path = folder.join("tokenizer.json");
    let mut tokenizer: Value = serde_json::from_slice(&fs::read(&path)?)?;
    let words = &mut tokenizer["model"]["vocab"];
    let words = words.as_object_mut().context("a tokenizer has words")?;
    let known = words.len();
    ensure!(known <= shape.vocabulary, "{} is too small", shape.name);
    for token in known..shape.vocabulary {
        words.insert(format!("\u{120}w{token}"), json!(token));
    }
    fs::write(&path, tokenizer.to_string())?;
    Ok(folder)
}
