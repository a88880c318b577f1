//! Whether an answer is the model's: its parts held against each other, and every token computed again.

use std::{num::NonZeroUsize, path::PathBuf, time::Instant};

use assay_client::{
    answer::Answer,
    folder::{ModelFolder, ModelWeights},
    Text,
};
use assay_exact::{
    answer::{check, Wrong},
    cpu::Cpu,
    folder::Folder,
    kernel::Backend,
    Engine,
};
use assay_primitives::{ModelRoot, Task, TokenId};
use clap::Args as ClapArgs;
use serde_json::{json, Value};

use crate::{context::Progress, failure::Failure, records};

/// What an answer is computed with.
#[derive(ClapArgs)]
pub struct Machine {
    /// Folder of the exact model that the answer is of.
    #[arg(long, value_name = "DIR", env = "ASSAY_MODEL_DIR")]
    pub model: PathBuf,

    /// Threads that compute [default: one for each core].
    #[arg(long, value_name = "N", env = "ASSAY_THREADS")]
    pub threads: Option<NonZeroUsize>,
}

impl Machine {
    pub fn cpu(&self) -> Result<Cpu, Failure> {
        match self.threads {
            None => Ok(Cpu::detect()),
            Some(threads) => Cpu::new(Backend::best(), threads.get())
                .map_err(|error| Failure::Usage(error.to_string())),
        }
    }
}

/// What became of the question. Its JSON has one shape whatever it is.
pub enum Verdict {
    /// Every token is the model's.
    Right { seconds: f64 },
    /// A part of the receipt contradicts another one, or the chain.
    Contradiction(String),
    /// The model gives another token.
    Wrong {
        sentence: String,
        first: Value,
        wrong: Wrong,
    },
    /// It cannot be told: asked with another model, or of one whose numbers are not exact.
    Unknown(String),
}

/// Whether every token is the model's.
pub fn judge(answer: &Answer, args: &Machine, progress: &Progress) -> Result<Verdict, Failure> {
    if let Err(sentence) = answer.check() {
        return Ok(Verdict::Contradiction(sentence));
    }
    progress.say(&format!(
        "the receipt of {} fits together: prompt, output, request, seed, fee and signature",
        answer.claim()
    ));
    let folder = ModelFolder::open(&args.model)?;
    let path = args.model.display();
    progress.wait("reading the model");
    if let Some(sentence) = mismatch(answer, &folder)? {
        return Ok(Verdict::Unknown(sentence));
    }
    let ModelWeights::Exact(weights) = folder.weights() else {
        return Ok(Verdict::Unknown(format!(
            "nobody can verify {}: its model is unverified, which means that it is computed with floats, and two honest \
             machines may give different tokens; ask an exact model next time (`assay model list`)",
            answer.claim()
        )));
    };
    let stop_tokens = &folder.spec().stop_tokens;
    if stop_tokens[..] != answer.model.stop_tokens[..] {
        return Ok(Verdict::Contradiction(format!(
            "the stop tokens are not the model's, which has {:?}",
            &stop_tokens[..]
        )));
    }
    progress.say(&format!(
        "{path} is the model of listing {:?}, to the last byte",
        answer.header.listing
    ));
    compute(answer, weights, args, progress)
}

/// Why a folder, of which every byte is read, is not the answer's model.
pub fn mismatch(answer: &Answer, folder: &ModelFolder) -> Result<Option<String>, Failure> {
    Ok(another(answer, folder, folder.parts()?.root()))
}

/// The same of an exact folder by the root that it names, without reading it; others name none.
pub fn names_another(answer: &Answer, folder: &ModelFolder) -> Option<String> {
    match folder.weights() {
        ModelWeights::Exact(exact) => another(answer, folder, exact.root()),
        ModelWeights::Float(_) => None,
    }
}

fn another(answer: &Answer, folder: &ModelFolder, root: ModelRoot) -> Option<String> {
    (root != answer.model.root).then(|| {
        format!(
            "{} is another model: its root is {root:?}, and listing {:?} has {:?}; {}",
            folder.path().display(),
            answer.header.listing,
            answer.model.root,
            where_to_look(answer, folder)
        )
    })
}

/// What to do about a folder of another model. What the receipt says of its model's profile decides nothing: it is
/// bound by no hash.
fn where_to_look(answer: &Answer, folder: &ModelFolder) -> String {
    if answer.model.profile == records::UNVERIFIED {
        return "the receipt calls that model unverified, whose answers nobody can verify".into();
    }
    match folder.weights() {
        ModelWeights::Exact(_) => "take the folder from the listing's URI".into(),
        ModelWeights::Float(_) => format!(
            "this one holds floats: make it exact with `assay model import {}`",
            folder.path().display()
        ),
    }
}

fn compute(
    answer: &Answer,
    weights: &Folder,
    args: &Machine,
    progress: &Progress,
) -> Result<Verdict, Failure> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::Usage(format!(
            "{} cannot be computed here: {error}",
            answer.claim()
        ))
    };
    let cpu = args.cpu()?;
    let engine = Engine::of(weights, &cpu).map_err(|error| failed(&error))?;
    let request = answer.request();
    let total = answer.prompt.len().saturating_add(answer.output.len()) as u64;
    let start = Instant::now();
    let first = check(&engine, &request, answer.checked(), &mut |done| {
        progress.advance(done as u64, total, "tokens");
    });
    let first = first.map_err(|error| failed(&error))?;
    let Some(wrong) = answer.false_at(first) else {
        let seconds = start.elapsed().as_secs_f64();
        return Ok(Verdict::Right { seconds });
    };
    // The verdict stands without the text, some of whose files no root covers.
    let text = Text::open(&args.model).ok();
    let text = |token| text.as_ref().map(|text| text.token(token));
    Ok(Verdict::Wrong {
        sentence: match answer.header.task {
            Task::Generate => sentence(&wrong, answer.output.len(), text),
            Task::Score { .. } => sentence_of_score(&wrong, answer.output.len(), text),
        },
        first: json!({
            "token": wrong.index.saturating_add(1),
            "found": wrong.found,
            "found_text": wrong.found.and_then(text),
            "expected": wrong.expected,
            "expected_text": wrong.expected.and_then(text),
        }),
        wrong,
    })
}

fn show(token: TokenId, text: impl Fn(TokenId) -> Option<String>) -> String {
    match text(token) {
        Some(text) => format!("{text:?} ({token})"),
        None => format!("({token})"),
    }
}

/// What a score says of a token that is not so.
fn sentence_of_score(
    wrong: &Wrong,
    tokens: usize,
    text: impl Fn(TokenId) -> Option<String>,
) -> String {
    let number = wrong.index.saturating_add(1);
    let shown = |token: Option<TokenId>| token.map_or("none".into(), |token| show(token, &text));
    let (found, expected) = (shown(wrong.found), shown(wrong.expected));
    match wrong.found == wrong.expected {
        true => format!(
            "the score calls token {number} of {tokens} wrong, and it is the model's: {found}"
        ),
        false => format!(
            "the score calls token {number} of {tokens} right: it is {found}, and the model gives {expected}"
        ),
    }
}

/// Which token is the first wrong one, counted from one, and what it should have been.
fn sentence(wrong: &Wrong, tokens: usize, text: impl Fn(TokenId) -> Option<String>) -> String {
    let number = wrong.index.saturating_add(1);
    let show = |token: TokenId| show(token, &text);
    match (wrong.found, wrong.expected) {
        (Some(found), Some(expected)) => format!(
            "token {number} of {tokens} is the first wrong one: it is {}, and the model gives {}",
            show(found),
            show(expected)
        ),
        (None, Some(expected)) => format!(
            "the answer ends too early: after its {tokens} tokens the model gives {}",
            show(expected)
        ),
        (Some(found), None) => format!(
            "token {number} of {tokens} is the first wrong one: it is {}, and the model's answer ends before it",
            show(found)
        ),
        (None, None) => format!("token {number} of {tokens} is the first wrong one"),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, ops::ControlFlow, path::Path};

    use assay_exact::{
        answer::{generate, Request},
        import,
    };
    use tempfile::TempDir;

    use super::*;
    use crate::receipt::tests::answer_of;

    /// The shipped model, made exact.
    fn exact() -> (TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let model = folder.path().join("model");
        import::huggingface(&floats(), &model, |_| {}).unwrap();
        (folder, model)
    }

    fn floats() -> PathBuf {
        PathBuf::from("../models/demo/assay-demo")
    }

    /// A receipt of what the model in `path` answers, after `change` has seen it.
    fn answered(path: &Path, change: fn(&mut Vec<TokenId>)) -> Answer {
        let folder = ModelFolder::open(path).unwrap();
        let prompt = vec![0, 1, 1257, 15, 304, 351, 286];
        let mut output = vec![5; 10];
        if let ModelWeights::Exact(weights) = folder.weights() {
            let cpu = Cpu::detect();
            let request = Request {
                prompt: &prompt,
                settings: assay_primitives::Sampling::GREEDY.into(),
                seed: [0; 32],
                stop_tokens: &folder.spec().stop_tokens,
                limit: 10,
            };
            let engine = Engine::of(weights, &cpu).unwrap();
            let answer = generate(&engine, &request, &mut |_| ControlFlow::Continue(()));
            output = answer.unwrap().tokens;
        }
        change(&mut output);
        let root = folder.parts().unwrap().root();
        answer_of((root, folder.spec().stop_tokens.to_vec()), prompt, output)
    }

    fn judged(answer: &Answer, model: &Path) -> Verdict {
        let machine = Machine {
            model: model.into(),
            threads: None,
        };
        judge(answer, &machine, &Progress::Silent).unwrap()
    }

    #[test]
    fn the_root_says_what_a_model_is_and_not_the_receipts_profile() {
        let (_folder, model) = exact();
        let mut answer = answered(&model, |_| {});
        for profile in ["exact", records::UNVERIFIED] {
            answer.model.profile = profile.into();
            assert!(matches!(judged(&answer, &model), Verdict::Right { .. }));
        }
        let of_floats = answered(&floats(), |_| {});
        for (answer, model, expected) in [
            (&answer, &floats(), "calls that model unverified"),
            (&of_floats, &floats(), "nobody can verify job 7"),
            (&of_floats, &model, "is another model"),
        ] {
            let Verdict::Unknown(sentence) = judged(answer, model) else {
                panic!("it could be told");
            };
            assert!(sentence.contains(expected), "{sentence}");
        }
    }

    #[test]
    fn a_folder_that_names_another_root_is_told_unread() {
        let (_folder, model) = exact();
        let folder = ModelFolder::open(&model).unwrap();
        let right = answered(&model, |_| {});
        assert_eq!(names_another(&right, &folder), None);
        let sentence = names_another(&answered(&floats(), |_| {}), &folder).unwrap();
        assert!(sentence.contains("is another model"), "{sentence}");
    }

    #[test]
    fn stop_tokens_are_shown_as_numbers() {
        let (_folder, model) = exact();
        let mut answer = answered(&model, |_| {});
        let found = ModelFolder::open(&model)
            .unwrap()
            .spec()
            .stop_tokens
            .to_vec();
        answer.model.stop_tokens.push(4_000);
        let Verdict::Contradiction(sentence) = judged(&answer, &model) else {
            panic!("the stop tokens are another model's");
        };
        assert!(
            sentence.ends_with(&format!("which has {found:?}")),
            "{sentence}"
        );
    }

    #[test]
    fn a_verdict_needs_no_text() {
        let (_folder, model) = exact();
        let lie = answered(&model, |output| output[2] ^= 1);
        let first = |with_text: bool| {
            let Verdict::Wrong {
                sentence, first, ..
            } = judged(&lie, &model)
            else {
                panic!("the lie was not found");
            };
            assert!(sentence.starts_with("token 3 of "), "{sentence}");
            assert_eq!(first["found"], lie.output[2]);
            assert_eq!(first["found_text"].is_string(), with_text, "{first}");
            assert_eq!(first["expected_text"].is_string(), with_text, "{first}");
        };
        first(true);
        fs::write(model.join("tokenizer_config.json"), "{").unwrap();
        first(false);
    }

    #[test]
    fn the_first_wrong_token_is_counted_from_one_and_shown_as_text() {
        let said = |found, expected| {
            let wrong = Wrong {
                index: 4,
                found,
                expected,
            };
            sentence(&wrong, 39, |token| Some(format!(" t{token}")))
        };
        let both = said(Some(8), Some(9));
        assert!(both.starts_with("token 5 of 39"), "{both}");
        assert!(
            both.contains("\" t8\" (8)") && both.ends_with("\" t9\" (9)"),
            "{both}"
        );
        let early = said(None, Some(9));
        assert!(
            early.contains("too early") && early.contains("\" t9\" (9)"),
            "{early}"
        );
        let late = said(Some(8), None);
        assert!(
            late.contains("\" t8\" (8)") && late.contains("ends before it"),
            "{late}"
        );
    }
}
