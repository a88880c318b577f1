//! Answers that are computed again from their tokens after they have been paid: one at a time, on one thread, so that
//! nothing else of the machine notices.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::mpsc::{sync_channel, SyncSender, TrySendError},
    thread,
};

use assay_client::{
    answer::Answer,
    folder::{ModelFolder, ModelWeights},
};
use assay_exact::{
    answer::{check, Request, Wrong},
    cpu::Cpu,
    kernel::Backend,
    Engine,
};
use assay_primitives::{Claim, PPM_ONE};

use crate::models::Model;

/// Answers that may wait. A check that finds no room is left out: the next answer is as good.
const WAITING: usize = 64;

/// An answer, and the model that it should be of.
pub struct Suspect {
    pub answer: Answer,
    pub model: Model,
    /// Where it is written down.
    pub name: String,
}

impl Suspect {
    pub fn new(answer: Answer, model: Model) -> Self {
        let name = match answer.header.claim {
            Claim::Job(job) => format!("job-{job}"),
            Claim::Channel { id, seq } => format!("{id:?}-{seq}"),
        };
        Self {
            answer,
            model,
            name,
        }
    }
}

/// How an answer turned out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    Right,
    /// Another token than the model's, or a part that contradicts another; what is wrong.
    Wrong {
        what: String,
        /// Place of the first wrong token, from 0, if that is what is wrong.
        position: Option<u32>,
    },
    /// Another provider calls one of its tokens wrong: one of the two lies. What it says, and its score.
    Contradicted {
        what: String,
        score: Box<Answer>,
    },
    /// It cannot be computed here; why.
    Unknown(String),
}

/// Takes answers to be checked. Cheap to clone; the thread ends with the last of them.
#[derive(Clone)]
pub struct Checker {
    queue: SyncSender<Suspect>,
    /// Parts per million of the answers.
    share: u32,
}

impl Checker {
    /// Checks `share` parts per million of the answers, and says of each how it turned out.
    pub fn start(
        share: u32,
        mut said: impl FnMut(Suspect, Verdict) + Send + 'static,
    ) -> std::io::Result<Self> {
        let (queue, suspects) = sync_channel::<Suspect>(WAITING);
        thread::Builder::new()
            .name("recheck".into())
            .spawn(move || {
                let mut models = Models::default();
                for suspect in suspects {
                    let verdict = models.judge(&suspect);
                    said(suspect, verdict);
                }
            })?;
        Ok(Self { queue, share })
    }

    /// Whether the answer that has just ended is one to check: nobody can tell before.
    pub fn is_drawn(&self) -> bool {
        rand::random_range(0..PPM_ONE) < self.share
    }

    /// Whether there was room for it.
    pub fn offer(&self, suspect: Suspect) -> bool {
        match self.queue.try_send(suspect) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
        }
    }
}

/// The folders that have been opened, and held against their roots, or why they are of no use.
#[derive(Default)]
struct Models(HashMap<PathBuf, Result<ModelFolder, String>>);

impl Models {
    fn judge(&mut self, suspect: &Suspect) -> Verdict {
        let Suspect { answer, model, .. } = suspect;
        let folder = &model.folder;
        if let Err(sentence) = answer.check() {
            return Verdict::Wrong {
                what: sentence,
                position: None,
            };
        }
        let opened = self.0.entry(folder.clone()).or_insert_with(|| {
            let model = ModelFolder::open(folder).map_err(|error| error.to_string())?;
            // Every byte is read once.
            model.parts().map_err(|error| error.to_string())?;
            Ok(model)
        });
        let weights = match opened {
            Ok(model) => match model.weights() {
                ModelWeights::Exact(weights) => weights,
                ModelWeights::Float(_) => {
                    let path = folder.display();
                    return Verdict::Unknown(format!("{path} holds floats, which prove nothing"));
                }
            },
            Err(problem) => return Verdict::Unknown(problem.clone()),
        };
        if weights.parts().root() != answer.model.root {
            let path = folder.display();
            return Verdict::Unknown(format!("{path} is another model than the answer's"));
        }
        let failed = |error: &dyn std::fmt::Display| Verdict::Unknown(error.to_string());
        let cpu = match Cpu::new(Backend::best(), 1) {
            Ok(cpu) => cpu,
            Err(error) => return failed(&error),
        };
        let engine = match Engine::of(weights, &cpu) {
            Ok(engine) => engine,
            Err(error) => return failed(&error),
        };
        let parts = weights.parts();
        let request = Request {
            stop_tokens: &parts.spec.stop_tokens,
            ..answer.request()
        };
        match check(&engine, &request, &answer.output, &mut |_| {}) {
            Ok(None) => Verdict::Right,
            Ok(Some(wrong)) => Verdict::Wrong {
                what: sentence(&wrong, answer.output.len()),
                position: wrong.found.and_then(|_| u32::try_from(wrong.index).ok()),
            },
            Err(error) => failed(&error),
        }
    }
}

/// Which token of so many is the first wrong one, counted from one, and what it should have been.
fn sentence(wrong: &Wrong, tokens: usize) -> String {
    let number = wrong.index.saturating_add(1);
    match (wrong.found, wrong.expected) {
        (Some(found), Some(expected)) => format!(
            "token {number} of {tokens} is the first wrong one: it is {found}, and the model gives {expected}"
        ),
        (None, Some(expected)) => {
            format!("the answer ends too early: after its {tokens} tokens the model gives {expected}")
        }
        (Some(found), None) => format!(
            "token {number} of {tokens} is the first wrong one: it is {found}, and the model's answer ends before it"
        ),
        (None, None) => format!("token {number} of {tokens} is the first wrong one"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_token_is_told_in_words() {
        let said = |found, expected| {
            let wrong = Wrong {
                index: 4,
                found,
                expected,
            };
            sentence(&wrong, 39)
        };
        let both = said(Some(1186), Some(260));
        assert!(both.starts_with("token 5 of 39"), "{both}");
        assert!(
            both.ends_with("it is 1186, and the model gives 260"),
            "{both}"
        );
        assert!(said(None, Some(260)).contains("too early"));
        assert!(said(Some(1186), None).ends_with("ends before it"));
    }
}
