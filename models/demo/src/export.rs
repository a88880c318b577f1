//! The Hugging Face folder, and the loss curve beside it.

use crate::{
    model::Model,
    tokenizer::{Vocabulary, BOS, CHAT_TEMPLATE, END},
    train::Record,
};
use anyhow::{anyhow, Context, Result};
use candle_core::DType;
use serde_json::{json, Value};
use std::{collections::HashMap, fmt::Write, fs, path::Path};

pub fn write_folder(folder: &Path, model: &Model, vocabulary: &Vocabulary) -> Result<()> {
    fs::create_dir_all(folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let json = |name: &str, value: &Value| -> Result<()> {
        let path = folder.join(name);
        fs::write(&path, serde_json::to_string_pretty(value)? + "\n")
            .with_context(|| format!("cannot write {}", path.display()))
    };
    json(
        "config.json",
        &model.config.to_json(vocabulary.bos, vocabulary.end),
    )?;
    json(
        "generation_config.json",
        &json!({"bos_token_id": vocabulary.bos, "eos_token_id": [vocabulary.end], "do_sample": false, "max_new_tokens": 192}),
    )?;
    json(
        "tokenizer_config.json",
        &json!({
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": BOS,
            "eos_token": END,
            "pad_token": END,
            "add_bos_token": false,
            "add_eos_token": false,
            "clean_up_tokenization_spaces": false,
            "model_max_length": model.config.positions,
            "chat_template": CHAT_TEMPLATE
        }),
    )?;
    vocabulary
        .tokenizer()
        .save(folder.join("tokenizer.json"), true)
        .map_err(|error| anyhow!("cannot write tokenizer.json: {error}"))?;
    let mut tensors = Vec::new();
    for (name, tensor) in model.weights() {
        tensors.push((name.clone(), tensor.detach().to_dtype(DType::BF16)?));
    }
    // Readers in Python ask for this note.
    let note = HashMap::from([("format".to_string(), "pt".to_string())]);
    let path = folder.join("model.safetensors");
    let bytes =
        safetensors::serialize(tensors, Some(note)).context("cannot lay out the weights")?;
    fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

pub fn write_loss(path: &Path, records: &[Record]) -> Result<()> {
    let mut text = String::from("step,tokens,loss,learning_rate\n");
    for record in records {
        writeln!(
            text,
            "{},{},{:.6},{:.3e}",
            record.step, record.tokens, record.loss, record.learning_rate
        )?;
    }
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    let picture = path.with_extension("svg");
    fs::write(&picture, curve(records))
        .with_context(|| format!("cannot write {}", picture.display()))
}

/// The loss over the steps, the loss on a logarithmic scale, each point the mean of its
/// neighbourhood.
fn curve(records: &[Record]) -> String {
    const WIDTH: f32 = 640.0;
    const HEIGHT: f32 = 240.0;
    let (top, bottom) = (8f32.ln(), 0.05f32.ln());
    let y = |loss: f32| (top - loss.clamp(0.05, 8.0).ln()) / (top - bottom) * HEIGHT;
    let size = records.len().div_ceil(200).max(1);
    let points = records.chunks(size).enumerate().map(|(index, chunk)| {
        let mean = chunk.iter().map(|record| record.loss).sum::<f32>() / chunk.len() as f32;
        format!(
            "{:.1},{:.1}",
            (index * size) as f32 / records.len().max(1) as f32 * WIDTH,
            y(mean)
        )
    });
    let points = points.collect::<Vec<_>>().join(" ");
    let lines: String = [8.0, 4.0, 2.0, 1.0, 0.5, 0.2, 0.1, 0.05]
        .iter()
        .map(|loss| {
            let y = y(*loss);
            format!("<path d=\"M0 {y:.1}H{WIDTH}\" stroke=\"#ccc\"/><text x=\"-6\" y=\"{:.1}\" text-anchor=\"end\">{loss}</text>\n", y + 4.0)
        })
        .collect();
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"-48 -16 {} {}\" font-family=\"sans-serif\" font-size=\"11\">\n<rect x=\"-48\" y=\"-16\" width=\"100%\" height=\"100%\" fill=\"white\"/>\n{lines}<polyline points=\"{points}\" fill=\"none\" stroke=\"#1f5fa8\" stroke-width=\"1.5\"/>\n<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{} steps; loss of the answers in nats per token</text>\n</svg>\n",
        WIDTH + 64.0,
        HEIGHT + 48.0,
        WIDTH / 2.0,
        HEIGHT + 22.0,
        records.len(),
    )
}
