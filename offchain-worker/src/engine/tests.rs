//! Whole models through the whole path: tiny ones with random weights, written to disk as real
//! ones are, opened, checked, loaded and run.

use std::{fs, path::Path};

use assay_client::folder::{ModelFolder, ModelWeights};
use assay_primitives::{Architecture, ModelSpec, Profile, PPM_ONE};
use candle_core::DType;
use serde_json::json;

use self::tiny::TinyModel;
use super::{sampling::argmax, *};

mod exact;
mod naive;
mod tiny;

const ARCHITECTURES: [Architecture; 3] = [
    Architecture::Llama,
    Architecture::Qwen2,
    Architecture::Qwen3,
];
const DTYPES: [DType; 3] = [DType::F32, DType::F16, DType::BF16];
const PROMPT: [u32; 7] = [5, 17, 40, 2, 33, 17, 9];

fn load(folder: &Path) -> CandleEngine {
    load_opened(ModelFolder::open(folder).unwrap()).unwrap()
}

fn load_opened(folder: ModelFolder) -> Result<CandleEngine, EngineError> {
    let path = folder.path().to_owned();
    match folder.into_weights() {
        ModelWeights::Float(weights) => CandleEngine::load(&path, &weights),
        ModelWeights::Exact(_) => panic!("{}: it holds floats", path.display()),
    }
}

fn request(sampling: Sampling, max_output_tokens: u32) -> GenerateRequest {
    GenerateRequest {
        prompt: PROMPT.to_vec(),
        sampling,
        max_output_tokens,
        stop_tokens: vec![],
        logprobs: None,
        scored: None,
    }
}

/// A whole answer.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Answer {
    tokens: Vec<u32>,
    finish: Finish,
}

/// The answer of an engine that works at nothing else.
fn try_generate(engine: &mut dyn Engine, request: &GenerateRequest) -> Result<Answer, EngineError> {
    let mut session = engine.start(Box::new(|| {}))?;
    assert!(session.admit(3, request)?);
    session.allow(3, u32::MAX);
    let mut tokens = Vec::new();
    loop {
        for (id, progress) in session.step().expect("the request has credit") {
            assert_eq!(id, 3);
            match progress {
                Progress::Token(token) => tokens.push(token.id),
                Progress::Failed(error) => return Err(error),
                Progress::Scored(_) => panic!("nothing is scored"),
                Progress::End(finish) => {
                    assert!(session.step().is_none());
                    return Ok(Answer { tokens, finish });
                }
            }
        }
    }
}

fn generate(engine: &mut dyn Engine, request: &GenerateRequest) -> Answer {
    try_generate(engine, request).unwrap()
}

/// The one line with which opening the folder fails.
fn refusal(folder: &Path) -> String {
    let message = match ModelFolder::open(folder) {
        Ok(_) => panic!("the folder was accepted"),
        Err(error) => error.to_string(),
    };
    assert!(!message.contains('\n'), "{message}");
    assert!(
        message.starts_with(&folder.display().to_string()),
        "{message}"
    );
    message
}

fn assert_refused(folder: &Path, parts: &[&str]) {
    let message = refusal(folder);
    for part in parts {
        assert!(message.contains(part), "no {part:?} in: {message}");
    }
}

/// Changes one field of the folder's config.json.
fn configure(folder: &Path, field: &str, value: serde_json::Value) {
    let path = folder.join("config.json");
    let mut config: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    config[field] = value;
    fs::write(path, config.to_string()).unwrap();
}

#[test]
fn an_engine_can_move_to_a_blocking_thread() {
    fn assert_send<T: Send + 'static>() {}
    assert_send::<CandleEngine>();
    assert_send::<Box<dyn Engine>>();
}

#[test]
fn every_architecture_type_and_layout_answers_the_same_way_twice() {
    for architecture in ARCHITECTURES {
        for dtype in DTYPES {
            let single = TinyModel {
                dtype,
                ..TinyModel::new(architecture)
            };
            let sharded = TinyModel {
                shards: 3,
                ..single.clone()
            };
            let first = generate(
                &mut load(single.write().path()),
                &request(Sampling::GREEDY, 12),
            );
            let mut engine = load(sharded.write().path());
            assert_eq!(generate(&mut engine, &request(Sampling::GREEDY, 12)), first);
            assert_eq!(generate(&mut engine, &request(Sampling::GREEDY, 12)), first);
            assert_eq!(first.tokens.len(), 12);
            assert_eq!(first.finish, Finish::Length);
        }
    }
}

#[test]
fn the_spec_says_what_the_files_say() {
    let model = TinyModel {
        tied: true,
        ..TinyModel::new(Architecture::Qwen3)
    };
    let folder = model.write();
    fs::write(
        folder.path().join("generation_config.json"),
        r#"{"eos_token_id": [7, 1]}"#,
    )
    .unwrap();
    let opened = ModelFolder::open(folder.path()).unwrap();
    let expected = ModelSpec {
        architecture: Architecture::Qwen3,
        profile: Profile::Unverified,
        layers: 2,
        hidden: 32,
        intermediate: 48,
        heads: 4,
        kv_heads: 2,
        head_dim: 12,
        vocabulary: 64,
        context: 48,
        stop_tokens: vec![1, 3, 7].try_into().unwrap(),
        tied_embeddings: true,
    };
    assert_eq!(opened.spec(), &expected);
}

#[test]
fn logits_equal_those_of_plain_loops() {
    let llama3 = json!({
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 16,
    });
    let mut models = Vec::new();
    for architecture in ARCHITECTURES {
        let model = TinyModel::new(architecture);
        models.push(TinyModel {
            tied: true,
            ..model.clone()
        });
        models.extend(DTYPES.map(|dtype| TinyModel {
            dtype,
            ..model.clone()
        }));
    }
    let llama = TinyModel::new(Architecture::Llama);
    models.push(TinyModel {
        rope_scaling: Some(llama3),
        ..llama
    });
    let qwen3 = TinyModel::new(Architecture::Qwen3);
    models.push(TinyModel {
        attention_bias: true,
        ..qwen3
    });

    for model in models {
        let folder = model.write();
        let mut engine = load(folder.path());
        for length in [1, 2, PROMPT.len()] {
            let prompt = &PROMPT[..length];
            let expected = naive::logits(folder.path(), prompt);
            let found = engine.prefill(prompt).unwrap();
            assert_eq!(found.len(), expected.len());
            let widest = expected
                .iter()
                .fold(0f32, |widest, logit| widest.max(logit.abs()));
            assert!(
                widest > 0.5,
                "the logits of {model:?} say too little: {widest}"
            );
            for (found, expected) in found.iter().zip(&expected) {
                assert!(
                    (found - expected).abs() < 2e-4,
                    "{model:?}: {found} {expected}"
                );
            }
        }
    }
}

#[test]
fn decoding_with_the_cache_equals_prefilling_every_prefix() {
    for architecture in ARCHITECTURES {
        let mut engine = load(TinyModel::new(architecture).write().path());
        let tokens = generate(&mut engine, &request(Sampling::GREEDY, 30)).tokens;
        let mut prefix = PROMPT.to_vec();
        for token in tokens {
            assert_eq!(
                argmax(&engine.prefill(&prefix).unwrap()),
                Ok(token),
                "{architecture:?}"
            );
            prefix.push(token);
        }
    }
}

/// Each token by the definition of docs/format.md §5 over logits of its own prefill.
#[test]
fn a_repetition_penalty_counts_prompt_and_answer() {
    let penalised = Sampling {
        penalty: 1_700_000,
        ..Sampling::GREEDY
    };
    for architecture in ARCHITECTURES {
        let mut engine = load(TinyModel::new(architecture).write().path());
        let tokens = generate(&mut engine, &request(penalised, 30)).tokens;
        let free = generate(&mut engine, &request(Sampling::GREEDY, 30)).tokens;
        assert_ne!(tokens, free, "{architecture:?}");
        let mut before = PROMPT.to_vec();
        for token in tokens {
            let mut logits = engine.prefill(&before).unwrap();
            for (id, logit) in (0u32..).zip(&mut logits) {
                match before.contains(&id) {
                    true if *logit > 0.0 => *logit /= 1.7,
                    true => *logit *= 1.7,
                    false => {}
                }
            }
            assert_eq!(argmax(&logits), Ok(token), "{architecture:?}");
            before.push(token);
        }
    }
}

#[test]
fn requests_leave_nothing_behind() {
    for architecture in ARCHITECTURES {
        let mut engine = load(TinyModel::new(architecture).write().path());
        let asked = request(Sampling::GREEDY, 10);
        let first = generate(&mut engine, &asked);
        let other = GenerateRequest {
            prompt: vec![60, 61, 62],
            ..asked.clone()
        };
        generate(&mut engine, &other);
        // One that is given up in the middle.
        let mut session = engine.start(Box::new(|| {})).unwrap();
        assert!(session.admit(1, &other).unwrap());
        session.allow(1, 5);
        session.step().unwrap();
        session.cancel(1);
        assert!(session.step().is_none());
        assert!(session.admit(2, &asked).unwrap());
        session.allow(2, 1);
        let told = session.step().unwrap();
        assert!(matches!(&told[0], (2, Progress::Token(token)) if token.id == first.tokens[0]));
        drop(session);
        assert_eq!(generate(&mut engine, &asked), first);
    }
}

/// A long prompt is read in pieces, between which it can be given up; the pieces make no difference to the logits but the
/// rounding of floats.
#[test]
fn a_prompt_is_read_in_pieces_and_can_be_given_up_between_them() {
    for architecture in ARCHITECTURES {
        let model = TinyModel {
            context: 200,
            ..TinyModel::new(architecture)
        };
        let mut engine = load(model.write().path());
        let asked = GenerateRequest {
            prompt: (0..150).map(|place| place * place % 61).collect(),
            ..request(Sampling::GREEDY, 5)
        };
        let mut session = engine.start(Box::new(|| {})).unwrap();
        for (id, steps) in [(1, 1), (2, 2)] {
            assert!(session.admit(id, &asked).unwrap());
            session.allow(id, 5);
            for _ in 0..steps {
                assert_eq!(session.step().unwrap().len(), 0, "{architecture:?}");
            }
            session.cancel(id);
            assert!(session.step().is_none());
        }
        drop(session);
        let tokens = generate(&mut engine, &asked).tokens;
        let mut prefix = asked.prompt.clone();
        for token in tokens {
            let whole = engine.prefill(&prefix).unwrap();
            assert_eq!(argmax(&whole), Ok(token), "{architecture:?}");
            prefix.push(token);
        }
    }
}

#[test]
fn a_seed_fixes_the_answer_and_another_seed_changes_it() {
    let mut engine = load(TinyModel::new(Architecture::Llama).write().path());
    let warm = Sampling {
        temperature: PPM_ONE,
        top_k: 40,
        top_p: 950_000,
        min_p: 10_000,
        penalty: 1_100_000,
        seed: [7; 32],
    };
    let first = generate(&mut engine, &request(warm, 20));
    assert_eq!(generate(&mut engine, &request(warm, 20)), first);
    let other = Sampling {
        seed: [8; 32],
        ..warm
    };
    assert_ne!(generate(&mut engine, &request(other, 20)), first);
    let one = Sampling { top_k: 1, ..warm };
    let greedy = Sampling {
        temperature: 0,
        ..warm
    };
    let greedy = generate(&mut engine, &request(greedy, 20));
    assert_eq!(generate(&mut engine, &request(one, 20)), greedy);
}

#[test]
fn a_stop_token_is_the_last_of_its_answer() {
    let mut engine = load(TinyModel::new(Architecture::Llama).write().path());
    let warm = Sampling {
        temperature: 2 * PPM_ONE,
        ..Sampling::GREEDY
    };
    let free = generate(&mut engine, &request(warm, 20)).tokens;
    let stop = free[6];
    let at = free.iter().position(|token| *token == stop).unwrap();
    let unsaid = (0..64).find(|token| !free.contains(token)).unwrap();
    let mut asked = request(warm, 20);
    asked.stop_tokens = vec![unsaid, stop];
    let stopped = generate(&mut engine, &asked);
    assert_eq!(stopped.tokens, free[..=at]);
    assert_eq!(stopped.finish, Finish::Eos);
    // At the limit the stop token still counts as such.
    asked.max_output_tokens = at as u32 + 1;
    assert_eq!(generate(&mut engine, &asked).finish, Finish::Eos);
}

#[test]
fn an_answer_goes_no_further_than_it_is_allowed() {
    let mut engine = load(TinyModel::new(Architecture::Qwen2).write().path());
    let asked = request(Sampling::GREEDY, 10);
    let whole = generate(&mut engine, &asked).tokens;
    let mut session = engine.start(Box::new(|| {})).unwrap();
    assert!(session.admit(1, &asked).unwrap());
    assert!(!session.admit(2, &asked).unwrap(), "one at a time");
    assert!(session.step().is_none(), "nothing is allowed");
    let mut tokens = Vec::new();
    // A lower number takes nothing back.
    for (allowed, most) in [(1, 1), (3, 3), (2, 3), (10, 10)] {
        session.allow(1, allowed);
        while let Some(told) = session.step() {
            for (_, progress) in told {
                match progress {
                    Progress::Token(token) => tokens.push(token.id),
                    other => assert!(matches!(other, Progress::End(Finish::Length))),
                }
            }
        }
        assert_eq!(tokens, whole[..most]);
    }
    assert_eq!(tokens, whole);
    assert!(session.admit(2, &asked).unwrap());
}

#[test]
fn log_probabilities_are_those_of_the_models_logits() {
    let mut engine = load(TinyModel::new(Architecture::Llama).write().path());
    let mut asked = request(
        Sampling {
            penalty: 3 * PPM_ONE,
            ..Sampling::GREEDY
        },
        1,
    );
    let logits = engine.prefill(&PROMPT).unwrap();
    let expected = logprobs::token(0, logits.into_iter(), Some(64)).top;
    asked.logprobs = Some(5);
    let mut session = engine.start(Box::new(|| {})).unwrap();
    assert!(session.admit(1, &asked).unwrap());
    session.allow(1, 1);
    let told = session.step().unwrap();
    let (_, Progress::Token(token)) = &told[0] else {
        panic!("{told:?}")
    };
    assert_eq!(token.top, expected[..5]);
    let own = expected.iter().find(|(id, _)| *id == token.id).unwrap();
    assert_eq!(token.logprob, Some(own.1));
}

#[test]
fn the_context_is_filled_to_the_last_token_and_not_beyond() {
    for architecture in ARCHITECTURES {
        let mut engine = load(TinyModel::new(architecture).write().path());
        let room = 48 - PROMPT.len() as u32;
        let full = generate(&mut engine, &request(Sampling::GREEDY, room));
        assert_eq!(full.tokens.len(), room as usize);
        let error = try_generate(&mut engine, &request(Sampling::GREEDY, room + 1)).unwrap_err();
        assert!(error.is_request());
        assert!(
            error.to_string().contains("exceed the context of 48"),
            "{error}"
        );
        assert!(try_generate(&mut engine, &request(Sampling::GREEDY, u32::MAX)).is_err());
    }
}

#[test]
fn a_context_shorter_than_the_number_of_heads_loses_nothing() {
    let model = TinyModel {
        context: 3,
        heads: 16,
        kv_heads: 16,
        ..TinyModel::new(Architecture::Llama)
    };
    let mut engine = load(model.write().path());
    let asked = GenerateRequest {
        prompt: vec![5],
        ..request(Sampling::GREEDY, 2)
    };
    let tokens = generate(&mut engine, &asked).tokens;
    assert_eq!(
        argmax(&engine.prefill(&[5, tokens[0]]).unwrap()),
        Ok(tokens[1])
    );
}

#[test]
fn requests_that_make_no_sense_are_refused_before_any_work() {
    let mut engine = load(TinyModel::new(Architecture::Llama).write().path());
    let sound = request(Sampling::GREEDY, 4);
    let top_p = Sampling {
        top_p: PPM_ONE + 1,
        ..Sampling::GREEDY
    };
    let cases = [
        (
            GenerateRequest {
                prompt: vec![],
                ..sound.clone()
            },
            "the prompt is empty",
        ),
        (
            GenerateRequest {
                prompt: vec![1, 64],
                ..sound.clone()
            },
            "token 64 at position 1",
        ),
        (
            GenerateRequest {
                sampling: top_p,
                ..sound.clone()
            },
            "top_p is 0 or above 1",
        ),
        (
            GenerateRequest {
                scored: Some(vec![1]),
                ..sound.clone()
            },
            "the model is not exact",
        ),
    ];
    for (asked, expected) in cases {
        let error = try_generate(&mut engine, &asked).unwrap_err();
        assert!(error.is_request());
        assert!(error.to_string().contains(expected), "{error}");
    }
    let nothing = GenerateRequest {
        max_output_tokens: 0,
        ..sound
    };
    let none = Answer {
        tokens: vec![],
        finish: Finish::Length,
    };
    assert_eq!(generate(&mut engine, &nothing), none);
}

#[test]
fn weights_that_are_not_numbers_are_an_error() {
    let model = TinyModel {
        poison: true,
        ..TinyModel::new(Architecture::Llama)
    };
    let mut engine = load(model.write().path());
    let asked = request(Sampling::GREEDY, 4);
    let error = try_generate(&mut engine, &asked).unwrap_err();
    assert!(!error.is_request());
    assert!(
        error.to_string().contains("after 7 tokens holds NaN"),
        "{error}"
    );
}

#[test]
fn missing_files_are_named() {
    let missing = |name: &str, shards| {
        let folder = TinyModel {
            shards,
            ..TinyModel::new(Architecture::Llama)
        }
        .write();
        fs::remove_file(folder.path().join(name)).unwrap();
        assert_refused(folder.path(), &[name, "missing", "; "]);
    };
    missing("config.json", 1);
    missing("tokenizer.json", 1);
    missing("model.safetensors", 1);
    missing("model-00002-of-00002.safetensors", 2);
    missing("model.safetensors.index.json", 2);
    assert_refused(Path::new("/nowhere/at/all"), &["is not a folder"]);
}

#[test]
fn weights_cut_off_anywhere_are_refused() {
    let folder = TinyModel::new(Architecture::Llama).write();
    let path = folder.path().join("model.safetensors");
    let whole = fs::read(&path).unwrap();
    for length in [0, 7, 8, 100, whole.len() / 2, whole.len() - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        assert_refused(
            folder.path(),
            &["model.safetensors: is truncated", "download it again"],
        );
    }
    fs::write(&path, [&whole[..], b"x"].concat()).unwrap();
    assert_refused(folder.path(), &["1 bytes after its last tensor"]);
    fs::write(&path, "version https://git-lfs.example/spec/v1").unwrap();
    assert_refused(folder.path(), &["is not a safetensors file"]);
    let mut garbled = whole.clone();
    garbled[8..40].fill(b'!');
    fs::write(&path, &garbled).unwrap();
    assert_refused(folder.path(), &["has a header that is not safetensors'"]);
    fs::write(&path, &whole).unwrap();
    assert!(ModelFolder::open(folder.path()).is_ok());
}

#[test]
fn weights_that_shrink_after_the_check_are_an_error() {
    let folder = TinyModel::new(Architecture::Llama).write();
    let opened = ModelFolder::open(folder.path()).unwrap();
    let path = folder.path().join("model.safetensors");
    fs::OpenOptions::new()
        .write(true)
        .open(path)
        .unwrap()
        .set_len(4_000)
        .unwrap();
    let error = load_opened(opened).err().unwrap().to_string();
    assert!(
        error.contains("model.safetensors: ") && error.contains("cannot be read"),
        "{error}"
    );
}

#[test]
fn unsupported_models_are_named_with_what_is_supported() {
    let folder = TinyModel::new(Architecture::Llama).write();
    configure(
        folder.path(),
        "architectures",
        json!(["LlamaForSequenceClassification"]),
    );
    assert_refused(
        folder.path(),
        &["unsupported architecture LlamaForSequenceClassification"],
    );
    configure(folder.path(), "model_type", json!("gpt2"));
    configure(folder.path(), "architectures", json!(["GPT2LMHeadModel"]));
    assert_refused(
        folder.path(),
        &[
            "config.json: unsupported architecture GPT2LMHeadModel",
            "LlamaForCausalLM, Qwen2",
        ],
    );
    fs::write(folder.path().join("config.json"), "{}").unwrap();
    assert_refused(folder.path(), &["unsupported architecture none"]);
    fs::write(folder.path().join("config.json"), "{").unwrap();
    assert_refused(folder.path(), &["config.json: is not the JSON expected"]);
}

#[test]
fn configurations_that_would_be_computed_wrongly_are_refused() {
    let cases = [
        ("hidden_act", json!("gelu"), "hidden_act gelu"),
        (
            "attention_bias",
            json!(true),
            "attention_bias is not supported",
        ),
        ("mlp_bias", json!(true), "mlp_bias"),
        ("use_sliding_window", json!(true), "use_sliding_window"),
        (
            "layer_types",
            json!(["sliding_attention"]),
            "layer type sliding_attention",
        ),
        (
            "quantization_config",
            json!({"bits": 4}),
            "quantization_config",
        ),
        (
            "rope_scaling",
            json!({"type": "yarn", "factor": 4.0}),
            "RoPE scaling yarn",
        ),
        (
            "rope_scaling",
            json!({"rope_type": "llama3", "factor": 4.0}),
            "lacks a factor",
        ),
        ("num_hidden_layers", json!(0), "num_hidden_layers is zero"),
        (
            "num_hidden_layers",
            json!(4_000_000_000u32),
            "lacks tensor model.layers.2.",
        ),
        (
            "num_hidden_layers",
            json!(1),
            "holds tensor model.layers.1.",
        ),
        ("num_hidden_layers", json!(-1), "is not the JSON expected"),
        ("num_attention_heads", json!(0), "is zero"),
        ("num_attention_heads", json!(5), "does not divide"),
        (
            "num_key_value_heads",
            json!(3),
            "does not divide num_attention_heads 4",
        ),
        (
            "num_key_value_heads",
            json!(1),
            "self_attn.k_proj.weight with shape [16, 32]",
        ),
        ("head_dim", json!(10), "head_dim 10"),
        (
            "hidden_size",
            json!(64),
            "shape [64, 32], but config.json asks for [64, 64]",
        ),
        (
            "vocab_size",
            json!(65),
            "model.embed_tokens.weight with shape [64, 32]",
        ),
        ("vocab_size", json!(63), "tokenizer.json: holds token 63"),
        (
            "max_position_embeddings",
            json!(u32::MAX),
            "max_position_embeddings 4294967295",
        ),
        ("eos_token_id", json!([3, 64]), "names stop token 64"),
        ("rms_norm_eps", json!(-1.0), "out of range"),
    ];
    for (field, value, expected) in cases {
        let folder = TinyModel::new(Architecture::Llama).write();
        configure(folder.path(), field, value);
        assert_refused(folder.path(), &[expected]);
    }
}

#[test]
fn other_files_that_do_not_fit_are_refused() {
    let folder = TinyModel {
        shards: 2,
        ..TinyModel::new(Architecture::Llama)
    }
    .write();
    let write = |name: &str, content: &str| fs::write(folder.path().join(name), content).unwrap();
    write("generation_config.json", "[]");
    assert_refused(
        folder.path(),
        &["generation_config.json: is not the JSON expected"],
    );
    write("generation_config.json", r#"{"eos_token_id": 4000}"#);
    assert_refused(
        folder.path(),
        &["generation_config.json: names stop token 4000"],
    );
    write("generation_config.json", "{}");
    let shard = "model-00001-of-00002.safetensors";
    for (tensor, file, expected) in [
        ("x", "../model.safetensors", "index.json: names the file"),
        ("x", "..", "index.json: names the file"),
        ("x", shard, "00001-of-00002.safetensors: lacks tensor x"),
    ] {
        write(
            "model.safetensors.index.json",
            &json!({"weight_map": {tensor: file}}).to_string(),
        );
        assert_refused(folder.path(), &[expected]);
    }
    write("tokenizer.json", r#"{"version": "1.0"}"#);
    assert_refused(folder.path(), &["tokenizer.json: is not a tokenizer"]);
}

#[test]
fn a_tensor_of_another_type_is_refused() {
    let model = TinyModel {
        dtype: DType::F64,
        ..TinyModel::new(Architecture::Llama)
    };
    assert_refused(
        model.write().path(),
        &["as F64; use weights in BF16, F16 or F32"],
    );
}
