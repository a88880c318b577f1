//! The exact engine, over folders that are imported from the same tiny models.

use std::{
    ops::ControlFlow,
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
    request, tiny::TinyModel, Engine, ExactEngine, Finish, GenerateRequest, Sampling,
    ARCHITECTURES, PROMPT,
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
        ModelWeights::Exact(folder) => ExactEngine::load(folder, cpu).unwrap(),
        ModelWeights::Float(_) => panic!("an import is exact"),
    }
}

fn portable() -> Arc<Cpu> {
    Arc::new(Cpu::new(Backend::Portable, 1).unwrap())
}

fn answer_of(engine: &mut ExactEngine, request: &GenerateRequest) -> Vec<u32> {
    let mut streamed = Vec::new();
    let generation = engine
        .generate(request, &mut |token| {
            streamed.push(token);
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(generation.tokens, streamed);
    generation.tokens
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
    let ended = engine
        .generate(&request(Sampling::GREEDY, 10), &mut |_| {
            ControlFlow::Break(())
        })
        .unwrap();
    assert_eq!(
        (ended.tokens.as_slice(), ended.finish),
        (&whole[..1], Finish::Caller)
    );

    let mut asked = request(Sampling::GREEDY, 10);
    asked.stop_tokens = vec![whole[3]];
    let at = whole.iter().position(|token| *token == whole[3]).unwrap();
    assert_eq!(answer_of(&mut engine, &asked), whole[..=at]);

    // At its last token an answer is not the caller's to end.
    asked.stop_tokens = vec![whole[0]];
    let ended = engine
        .generate(&asked, &mut |_| ControlFlow::Break(()))
        .unwrap();
    assert_eq!(ended.finish, Finish::Eos);

    for (max_output_tokens, fits) in [(0, true), (41, true), (42, false)] {
        let asked = request(Sampling::GREEDY, max_output_tokens);
        let result = engine.generate(&asked, &mut |_| ControlFlow::Continue(()));
        match result {
            Ok(generation) => {
                assert!(fits && generation.tokens.len() == max_output_tokens as usize)
            }
            Err(error) => assert!(!fits && error.is_request(), "{error}"),
        }
    }
}
