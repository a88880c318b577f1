//! The networks against candle's own models, and the copies against the demo.

use std::{io::Cursor, path::PathBuf};

use candle_core::{
    quantized::{
        gguf_file::{self, Content, Value as Entry},
        GgmlDType, QTensor,
    },
    DType, Device, Tensor,
};
use candle_nn::VarBuilder;
use candle_transformers::models::{llama, quantized_qwen2, qwen2, qwen3};
use serde_json::{json, Value};

use super::{
    bars,
    checkpoint::{layer, Checkpoint, EMBEDDING, FINAL_NORM},
    largest,
    network::{Network, Place, Precision},
    score::Scores,
    stress::Stress,
    text::{Part, Row},
    CHANCE,
};
use crate::report::Page;

/// Dialogues in the demo's tokens need no tokenizer to be run.
const TOKENS: [u32; 12] = [0, 1, 1257, 15, 304, 351, 286, 2, 700, 44, 3, 1];

fn demo() -> Checkpoint {
    let folder = PathBuf::from("../models/demo/assay-demo");
    Checkpoint::read(&folder).unwrap()
}

fn text() -> Vec<Row> {
    vec![Row {
        tokens: TOKENS.to_vec(),
        parts: vec![Part::Prompt; TOKENS.len()],
    }]
}

/// The last position's logits of candle's own model for the checkpoint's architecture.
fn candles(checkpoint: &Checkpoint) -> Vec<f32> {
    let folder = tempfile::tempdir().unwrap();
    checkpoint.write(folder.path()).unwrap();
    let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    let tensors =
        candle_core::safetensors::load_buffer(&read("model.safetensors"), &Device::Cpu).unwrap();
    let weights = VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu);
    let mut config: Value = serde_json::from_slice(&read("config.json")).unwrap();
    // Keys that candle's readers of Qwen ask for.
    let object = config.as_object_mut().unwrap();
    object.insert("sliding_window".into(), json!(512));
    object.insert("max_window_layers".into(), json!(4));
    object.insert("use_sliding_window".into(), json!(false));
    let input = Tensor::new(&TOKENS, &Device::Cpu)
        .unwrap()
        .unsqueeze(0)
        .unwrap();
    let logits = match checkpoint.config.model_type.as_str() {
        "llama" => {
            let config: llama::LlamaConfig = serde_json::from_value(config).unwrap();
            let config = config.into_config(false);
            let mut cache = llama::Cache::new(true, DType::F32, &config, &Device::Cpu).unwrap();
            let model = llama::Llama::load(weights, &config).unwrap();
            model.forward(&input, 0, &mut cache)
        }
        "qwen2" => {
            let config: qwen2::Config = serde_json::from_value(config).unwrap();
            let mut model = qwen2::ModelForCausalLM::new(&config, weights).unwrap();
            model.forward(&input, 0)
        }
        "qwen3" => {
            let config: qwen3::Config = serde_json::from_value(config).unwrap();
            let mut model = qwen3::ModelForCausalLM::new(&config, weights).unwrap();
            model.forward(&input, 0)
        }
        other => panic!("{other}"),
    };
    logits.unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

fn logits(checkpoint: &Checkpoint, precision: Precision) -> Vec<f64> {
    let network = Network::new(checkpoint, precision).unwrap();
    network.logits(&TOKENS).unwrap()
}

/// The largest difference, and the largest of the first.
fn difference(one: &[f64], other: &[f64]) -> (f64, f64) {
    assert_eq!(one.len(), other.len());
    let differences = one.iter().zip(other).map(|(a, b)| (a - b).abs());
    let size = one.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
    (differences.fold(0.0, f64::max), size)
}

#[test]
fn the_network_is_candles_own_in_each_architecture() {
    let (demo, text) = (demo(), text());
    let stress = Stress::new(&demo, &text).unwrap();
    for checkpoint in [
        demo.clone(),
        stress.biases(10.0).unwrap(),
        stress.head_norms(10.0).unwrap(),
        stress.scaled_rotation(2_048, 8),
    ] {
        let own = logits(&checkpoint, Precision::F32);
        let last = &own[own.len() - checkpoint.config.vocab_size..];
        let candles: Vec<f64> = candles(&checkpoint).into_iter().map(f64::from).collect();
        let (difference, size) = difference(last, &candles);
        let name = &checkpoint.config.model_type;
        assert!(difference < 1e-4 * size, "{name}: {difference} of {size}");
    }
}

/// The last position's logits of candle's quantised Qwen2, which reads a GGUF of the checkpoint.
fn candles_quantised(checkpoint: &Checkpoint) -> Vec<f64> {
    let config = &checkpoint.config;
    let count = |count: usize| Entry::U32(count as u32);
    let metadata = [
        (
            "qwen2.attention.head_count",
            count(config.num_attention_heads),
        ),
        (
            "qwen2.attention.head_count_kv",
            count(config.num_key_value_heads),
        ),
        ("qwen2.embedding_length", count(config.hidden_size)),
        (
            "qwen2.context_length",
            count(config.max_position_embeddings),
        ),
        ("qwen2.block_count", count(config.num_hidden_layers)),
        (
            "qwen2.attention.layer_norm_rms_epsilon",
            Entry::F32(config.rms_norm_eps as f32),
        ),
        ("qwen2.rope.freq_base", Entry::F32(config.rope_theta as f32)),
    ];
    let mut names = vec![
        ("token_embd.weight".to_string(), EMBEDDING.to_string()),
        ("output_norm.weight".into(), FINAL_NORM.into()),
    ];
    for index in 0..config.num_hidden_layers {
        for (theirs, ours) in [
            ("attn_norm", "input_layernorm"),
            ("attn_q", "self_attn.q_proj"),
            ("attn_k", "self_attn.k_proj"),
            ("attn_v", "self_attn.v_proj"),
            ("attn_output", "self_attn.o_proj"),
            ("ffn_norm", "post_attention_layernorm"),
            ("ffn_gate", "mlp.gate_proj"),
            ("ffn_up", "mlp.up_proj"),
            ("ffn_down", "mlp.down_proj"),
        ] {
            let (theirs, ours) = (format!("blk.{index}.{theirs}.weight"), layer(index, ours));
            let [their_bias, our_bias] =
                [&theirs, &ours].map(|name| name.replace(".weight", ".bias"));
            if checkpoint.has(&our_bias) {
                names.push((their_bias, our_bias));
            }
            names.push((theirs, ours));
        }
    }
    let tensors: Vec<_> = names
        .iter()
        .map(|(theirs, ours)| {
            let tensor = checkpoint.tensor(ours).unwrap();
            let kind = match tensor.rank() {
                1 => GgmlDType::F32,
                _ => GgmlDType::Q8_0,
            };
            (theirs.as_str(), QTensor::quantize(tensor, kind).unwrap())
        })
        .collect();
    let metadata: Vec<_> = metadata
        .iter()
        .map(|(name, entry)| (*name, entry))
        .collect();
    let tensors: Vec<_> = tensors
        .iter()
        .map(|(name, tensor)| (*name, tensor))
        .collect();
    let mut file = Cursor::new(Vec::new());
    gguf_file::write(&mut file, &metadata, &tensors).unwrap();
    file.set_position(0);
    let content = Content::read(&mut file).unwrap();
    let mut model =
        quantized_qwen2::ModelWeights::from_gguf(content, &mut file, &Device::Cpu).unwrap();
    let input = Tensor::new(&TOKENS, &Device::Cpu)
        .unwrap()
        .unsqueeze(0)
        .unwrap();
    let logits = model.forward(&input, 0).unwrap().flatten_all().unwrap();
    let logits: Vec<f32> = logits.to_vec1().unwrap();
    logits.into_iter().map(f64::from).collect()
}

#[test]
fn the_q8_0_network_is_candles_own() {
    let (demo, text) = (demo(), text());
    let copy = Stress::new(&demo, &text).unwrap().biases(10.0).unwrap();
    let own = logits(&copy, Precision::Q8_0);
    let last = &own[own.len() - copy.config.vocab_size..];
    let (difference, size) = difference(last, &candles_quantised(&copy));
    assert!(difference < 1e-4 * size, "{difference} of {size}");
}

#[test]
fn q8_0_is_close_to_f32_and_not_equal() {
    let demo = demo();
    let (difference, size) = difference(
        &logits(&demo, Precision::F32),
        &logits(&demo, Precision::Q8_0),
    );
    assert!(difference > 1e-3 * size, "{difference} of {size}");
    assert!(difference < 0.05 * size, "{difference} of {size}");
}

#[test]
fn copies_are_the_function_that_they_should_be() {
    let (demo, text) = (demo(), text());
    let stress = Stress::new(&demo, &text).unwrap();
    let own = logits(&demo, Precision::F32);
    let from_demo = |checkpoint: &Checkpoint| {
        let (difference, size) = difference(&own, &logits(checkpoint, Precision::F32));
        difference / size
    };
    for copy in [
        stress.norm_outputs(100.0),
        stress.values(100.0),
        stress.feed_forward(100.0),
        // With nothing enlarged, all that is left is how sizes are brought back.
        stress.residual(1.0),
    ] {
        let difference = from_demo(&copy.unwrap());
        assert!(difference < 1e-4, "{difference}");
    }
    for copy in [
        stress.residual(100.0),
        stress.head_norms(100.0),
        stress.biases(100.0),
        Ok(stress.scaled_rotation(2_048, 8)),
    ] {
        let difference = from_demo(&copy.unwrap());
        assert!((0.01..2.0).contains(&difference), "{difference}");
    }
    // The factor moves between queries and keys and changes nothing else.
    let [one, hundred] = [1.0, 100.0].map(|factor| stress.head_norms(factor).unwrap());
    let (difference, size) = difference(
        &logits(&one, Precision::F32),
        &logits(&hundred, Precision::F32),
    );
    assert!(difference < 1e-4 * size, "{difference} of {size}");
}

#[test]
fn a_residual_copy_reads_rows_of_the_demos_size() {
    let (demo, text) = (demo(), text());
    let copy = Stress::new(&demo, &text).unwrap().residual(100.0).unwrap();
    let size = |checkpoint: &Checkpoint, at: Place| {
        let network = Network::new(checkpoint, Precision::F32).unwrap();
        let mut squares = 0.0;
        network
            .forward(&TOKENS, &mut |place, rows| {
                if place == at {
                    squares = rows.sqr().unwrap().mean_all().unwrap().to_scalar().unwrap();
                }
            })
            .unwrap();
        f32::sqrt(squares)
    };
    // What is read off the norm of a residual whose columns are large.
    let growth = size(&copy, Place::Query(0)) / size(&demo, Place::Query(0));
    assert!((0.5..2.0).contains(&growth), "{growth}");
    let growth = size(&copy, Place::InputNorm(0)) / size(&demo, Place::InputNorm(0));
    assert!((5.0..50.0).contains(&growth), "{growth}");
}

/// Scores in which exact and Q8_0 give `exact` and `q8` for probabilities of two tokens, f32 a half.
fn scores(exact: [f64; 2], q8: [f64; 2]) -> Scores {
    let row = Row {
        tokens: vec![0, 0],
        parts: vec![Part::Passed, Part::Answer],
    };
    let [float, exact, q8] = [[0.6, 0.4], exact, q8].map(|pair| [pair, pair].concat());
    let [float, exact, q8] = [float, exact, q8].map(|all| all.into_iter().map(f64::ln).collect());
    let all: [Vec<f64>; 3] = [float, exact, q8];
    let mut scores = Scores::default();
    for _ in 0..9 {
        scores.add(&row, 2, [&all[0], &all[1], &all[2]]);
    }
    scores
}

#[test]
fn a_missed_bar_is_an_error_that_names_it() {
    let good = scores([0.6, 0.4], [0.6, 0.4]);
    let flipped = scores([0.4, 0.6], [0.6, 0.4]);
    let verdict = |demo: &Scores, copy: &Scores| {
        let mut page = Page::new("test");
        bars(&mut page, &[("demo", demo.clone()), ("copy", copy.clone())]);
        page.finish(None).map_err(|error| error.to_string())
    };
    assert_eq!(verdict(&good, &good), Ok(()));
    let error = verdict(&flipped, &good).unwrap_err();
    assert!(
        error.starts_with("3 of 5 bars missed: demo: perplexity"),
        "{error}"
    );
    let error = verdict(&good, &flipped).unwrap_err();
    assert!(
        error.starts_with("2 of 5 bars missed: stressed: perplexity"),
        "{error}"
    );
    // Nine flips that Q8_0 does not have are three standard errors.
    let bar = largest(
        "top-1".into(),
        &[("copy", flipped)],
        CHANCE,
        |score| score.worse_by(),
        |value| format!("{value:+.1}"),
    );
    assert_eq!((bar.measured.as_str(), bar.met), ("copy: +3.0", false));
    assert!(
        !largest(
            "x".into(),
            &[("copy", good)],
            1.0,
            |_| f64::NAN,
            |_| String::new()
        )
        .met
    );
}
