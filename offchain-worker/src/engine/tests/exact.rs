//! The exact engine, over folders that are imported from the same tiny models.

mod gpu;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use assay_client::folder::{ModelFolder, ModelWeights};
use assay_exact::{
    answer::{self, check},
    cpu::Cpu,
    folder::Folder,
    import,
    kernel::Backend,
};
use assay_primitives::{Architecture, PPM_ONE};
use tempfile::TempDir;

use super::{
    generate, request, tiny::TinyModel, try_generate, Engine, EngineError, ExactEngine, Finish,
    GenerateRequest, Places, Progress, Sampling, ARCHITECTURES, PROMPT,
};

const PLACES: Places = Places {
    requests: 3,
    cache: 1 << 20,
};

/// The path of a model folder that lives as long as what comes with it.
fn imported(architecture: Architecture) -> (TempDir, PathBuf) {
    let source = TinyModel::new(architecture).write();
    let path = source.path().join("exact");
    import::huggingface(source.path(), &path, |_| {}).unwrap();
    (source, path)
}

fn load(path: &Path, cpu: Arc<Cpu>) -> ExactEngine {
    match ModelFolder::open(path).unwrap().into_weights() {
        ModelWeights::Exact(folder) => ExactEngine::load(folder, cpu, None, PLACES).unwrap(),
        ModelWeights::Float(_) => panic!("an import is exact"),
    }
}

fn portable() -> Arc<Cpu> {
    Arc::new(Cpu::new(Backend::Portable, 1).unwrap())
}

fn answer_of(engine: &mut ExactEngine, request: &GenerateRequest) -> Vec<u32> {
    generate(engine, request).tokens
}

/// Every field of a request reaches the arithmetic: the answer is right by the checker's own reading of them, and
/// each of them changes it.
#[test]
fn answers_are_those_that_a_checker_expects() {
    let warm = Sampling {
        temperature: PPM_ONE,
        top_k: 40,
        top_p: 950_000,
        min_p: 20_000,
        penalty: 1_200_000,
        seed: [7; 32],
    };
    for architecture in ARCHITECTURES {
        let (_source, path) = imported(architecture);
        let mut engine = load(&path, Arc::new(Cpu::detect()));
        for sampling in [Sampling::GREEDY, warm] {
            let request = request(sampling, 24);
            let tokens = answer_of(&mut engine, &request);
            assert_eq!(answer_of(&mut engine, &request), tokens);

            let (cpu, folder) = (portable(), Folder::open(&path).unwrap());
            let model = folder.model();
            let judge = assay_exact::Engine::new(&model, &cpu).unwrap();
            let asked = answer::Request {
                prompt: &PROMPT,
                settings: assay_exact::sampling::Settings {
                    temperature: sampling.temperature,
                    top_k: sampling.top_k,
                    top_p: sampling.top_p,
                    min_p: sampling.min_p,
                    penalty: sampling.penalty,
                },
                seed: sampling.seed,
                stop_tokens: &[],
                limit: 24,
            };
            let wrong = check(&judge, &asked, &tokens, &mut |_| {}).unwrap();
            assert!(wrong.is_none(), "{architecture:?} {sampling:?}: {wrong:?}");
        }
    }
    let (_source, path) = imported(Architecture::Llama);
    let mut engine = load(&path, portable());
    let first = answer_of(&mut engine, &request(warm, 40));
    let changes: [fn(&mut Sampling); 6] = [
        |s| s.temperature = 3 * PPM_ONE,
        |s| s.top_k = 2,
        |s| s.top_p = 100_000,
        |s| s.min_p = 900_000,
        |s| s.penalty = 3_000_000,
        |s| s.seed = [8; 32],
    ];
    for (index, change) in changes.into_iter().enumerate() {
        let mut other = warm;
        change(&mut other);
        assert_ne!(
            answer_of(&mut engine, &request(other, 40)),
            first,
            "{index}"
        );
    }
}

#[test]
fn an_exact_answer_ends_as_any_other() {
    let (_source, path) = imported(Architecture::Qwen2);
    let mut engine = load(&path, portable());
    let whole = answer_of(&mut engine, &request(Sampling::GREEDY, 10));

    let mut asked = request(Sampling::GREEDY, 10);
    asked.stop_tokens = vec![whole[3]];
    let at = whole.iter().position(|token| *token == whole[3]).unwrap();
    assert_eq!(answer_of(&mut engine, &asked), whole[..=at]);

    for (max_output_tokens, fits) in [(0, true), (41, true), (42, false)] {
        let asked = request(Sampling::GREEDY, max_output_tokens);
        match try_generate(&mut engine, &asked) {
            Ok(answer) => assert!(fits && answer.tokens.len() == max_output_tokens as usize),
            Err(error) => assert!(!fits && error.is_request(), "{error}"),
        }
    }
}

/// Together, and with credit that comes bit by bit, everyone gets what he gets alone.
#[test]
fn requests_are_answered_together() {
    let (_source, path) = imported(Architecture::Llama);
    let mut engine = load(&path, portable());
    let asked: Vec<_> = (0..3)
        .map(|seed| {
            let warm = Sampling {
                temperature: PPM_ONE,
                seed: [seed; 32],
                ..Sampling::GREEDY
            };
            let mut asked = request(warm, 30);
            asked.logprobs = (seed == 1).then_some(2);
            asked
        })
        .collect();
    let alone: Vec<_> = asked
        .iter()
        .map(|one| answer_of(&mut engine, one))
        .collect();
    let mut session = engine.start(Box::new(|| {})).unwrap();
    for (id, asked) in (0..).zip(&asked) {
        assert!(session.admit(id, asked).unwrap());
    }
    assert!(!session.admit(9, &asked[0]).unwrap());
    assert!(session.step().is_none());
    let mut told = BTreeMap::<u64, Vec<u32>>::new();
    for round in 1..=30 {
        for id in 0..3 {
            session.allow(id, round);
        }
        let usage = session.usage();
        assert!(usage.cache > 0 && usage.cache <= usage.cache_limit);
        for (id, progress) in session.step().unwrap() {
            match progress {
                Progress::Token(token) => {
                    let asked = if id == 1 { 2 } else { 0 };
                    assert_eq!((token.top.len(), token.logprob.is_some()), (asked, id == 1));
                    told.entry(id).or_default().push(token.id);
                }
                other => assert!(matches!(other, Progress::End(Finish::Length)) && round == 30),
            }
        }
    }
    for (id, alone) in (0..).zip(&alone) {
        assert_eq!(told[&id], *alone);
    }
    assert_eq!(session.usage().places, 3);
}

#[test]
fn memory_that_no_request_fits_in_is_refused_at_the_start() {
    let (_source, path) = imported(Architecture::Llama);
    let ModelWeights::Exact(folder) = ModelFolder::open(&path).unwrap().into_weights() else {
        panic!("an import is exact")
    };
    let places = Places {
        cache: 1000,
        ..PLACES
    };
    let error = ExactEngine::load(folder, portable(), None, places)
        .err()
        .unwrap();
    assert!(matches!(
        error,
        EngineError::CacheMemory { given: 1000, .. }
    ));
    assert!(error.to_string().contains("--cache-memory"), "{error}");
}

#[test]
fn an_answer_is_scored_by_the_settings_that_it_was_made_with() {
    let (_source, path) = imported(Architecture::Llama);
    let mut engine = load(&path, portable());
    let warm = Sampling {
        temperature: PPM_ONE,
        seed: [7; 32],
        ..Sampling::GREEDY
    };
    let asked = request(warm, 20);
    let answer = answer_of(&mut engine, &asked);
    let mut wrong = answer.clone();
    wrong[11] ^= 1;
    for (answer, right) in [(answer, 20), (wrong, 11)] {
        let score = GenerateRequest {
            scored: Some(answer.clone()),
            // It ends nothing here.
            stop_tokens: vec![answer[3]],
            ..asked.clone()
        };
        let mut session = engine.start(Box::new(|| {})).unwrap();
        assert!(session.admit(3, &score).unwrap());
        assert!(session.step().is_none(), "it has no credit");
        session.allow(3, 1);
        let mut told = Vec::new();
        while let Some(progress) = session.step() {
            told.extend(progress);
        }
        let [(3, Progress::Scored(found))] = told[..] else {
            panic!("{told:?}")
        };
        assert_eq!(found, right);
    }
}
