//! A trace in a thread of its own: it is costly to make and large, so that all the moves of a dispute are
//! found with one.

use std::{
    path::PathBuf,
    sync::{mpsc, Arc},
    thread,
};

use assay_exact::{folder::Folder, Cpu, Engine};
use assay_primitives::VoucherSignature;
use tokio::sync::{oneshot, watch};

use super::{
    computed::Computed,
    exhibit::Exhibit,
    game::{Side, Stage},
    play::{self, Play},
    witness::Witness,
};

/// Shows a witness to whoever asks, for as long as it asks. The error is a sentence that says why there is none.
pub type Show = Box<dyn FnOnce(&mut dyn FnMut(&mut dyn Witness)) -> Result<(), String> + Send>;

/// The honest witness: computed with the model in `folder`.
pub fn computed(folder: PathBuf, cpu: Arc<Cpu>, exhibit: Exhibit) -> Show {
    Box::new(move |show| {
        let folder = Folder::open(&folder).map_err(|error| error.to_string())?;
        let engine = Engine::of(&folder, &cpu).map_err(|error| error.to_string())?;
        let mut witness = Computed::new(&engine, exhibit)?;
        show(&mut witness);
        Ok(())
    })
}

struct Question {
    side: Side,
    stage: Stage,
    signature: Option<VoucherSignature>,
    reply: oneshot::Sender<Result<Play, String>>,
}

/// What is said of a thread that ended before its time.
const GONE: &str = "the thread that computes the trace ended; report this";

/// A witness at work. Its thread ends with it.
pub struct Study {
    questions: mpsc::Sender<Question>,
    /// None while it is computed; then the witness, or why there is none.
    outcome: watch::Receiver<Option<Result<(), String>>>,
}

impl Study {
    /// Begins to compute.
    pub fn start(show: Show) -> Result<Self, String> {
        let (questions, asked) = mpsc::channel::<Question>();
        let (computed, outcome) = watch::channel(None);
        let run = move || {
            let answer = |question: Question, witness: &mut dyn Witness| {
                let Question {
                    side,
                    stage,
                    signature,
                    reply,
                } = question;
                let play = match side {
                    Side::Provider => play::provider(&stage, witness, signature),
                    Side::Challenger => play::challenger(&stage, witness),
                };
                // Who does not wait any more asks again.
                let _ = reply.send(play);
            };
            let shown = show(&mut |witness| {
                computed.send_replace(Some(Ok(())));
                for question in &asked {
                    answer(question, witness);
                }
            });
            if let Err(why) = shown {
                computed.send_replace(Some(Err(why.clone())));
                for question in asked {
                    let _ = question.reply.send(Err(why.clone()));
                }
            }
        };
        let thread = thread::Builder::new().name("dispute".into()).spawn(run);
        thread.map_err(|error| format!("cannot start a thread: {error}"))?;
        Ok(Self { questions, outcome })
    }

    /// Whether the trace is not there yet, and nothing failed.
    pub fn is_computing(&self) -> bool {
        self.outcome.borrow().is_none() && self.outcome.has_changed().is_ok()
    }

    /// Whether there will be no trace.
    pub fn has_failed(&self) -> bool {
        match &*self.outcome.borrow() {
            Some(outcome) => outcome.is_err(),
            None => self.outcome.has_changed().is_err(),
        }
    }

    /// Waits for the trace; the error says why there is none.
    pub async fn ready(&self) -> Result<(), String> {
        let mut outcome = self.outcome.clone();
        let outcome = outcome
            .wait_for(Option::is_some)
            .await
            .map_err(|_| GONE)?
            .clone();
        outcome.unwrap_or(Ok(()))
    }

    /// The next move of a side. Waits for the trace, the first time.
    pub async fn play(
        &self,
        side: Side,
        stage: Stage,
        signature: Option<VoucherSignature>,
    ) -> Result<Play, String> {
        let (reply, play) = oneshot::channel();
        let question = Question {
            side,
            stage,
            signature,
            reply,
        };
        self.questions.send(question).map_err(|_| GONE.to_owned())?;
        play.await.map_err(|_| GONE.to_owned())?
    }
}
