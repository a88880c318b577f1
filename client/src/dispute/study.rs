//! A trace in a thread of its own: it is costly to make and large, so that all the moves of a dispute are
//! found with one.

use std::{
    path::PathBuf,
    sync::{mpsc, Arc},
    thread,
};

use assay_exact::{folder::Folder, Cpu, Engine};
use assay_primitives::{Sampling, Task, TokenId, VoucherSignature};
use tokio::sync::oneshot;

use super::{
    computed::Computed,
    game::{Side, Stage},
    play::{self, Play},
    witness::Witness,
};
use crate::answer::Answer;

/// Everything that a trace follows from, but the model's numbers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Exhibit {
    pub sampling: Sampling,
    pub seed: [u8; 32],
    pub prompt: Vec<TokenId>,
    /// The tokens of the receipt that is disputed, all of them; of a score, those of the answer that it
    /// is about.
    pub output: Vec<TokenId>,
    /// What salts both token roots, in a channel.
    pub secret: Option<[u8; 32]>,
    /// Whether the receipt is a score, whose request has both as its prompt.
    pub scored: bool,
    /// Place of the disputed token in the output, from 0.
    pub position: u32,
}

impl Exhibit {
    /// The token at `position` of an answer.
    pub fn of(answer: &Answer, position: u32) -> Self {
        Self {
            sampling: answer.header.sampling,
            seed: answer.seed,
            prompt: answer.prompt.clone(),
            output: answer.output.clone(),
            secret: answer.secret(),
            scored: matches!(answer.header.task, Task::Score { .. }),
            position,
        }
    }
}

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

/// A witness at work. Its thread ends with it.
pub struct Study {
    questions: mpsc::Sender<Question>,
}

impl Study {
    /// Begins to compute.
    pub fn start(show: Show) -> Result<Self, String> {
        let (questions, asked) = mpsc::channel::<Question>();
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
                for question in &asked {
                    answer(question, witness);
                }
            });
            if let Err(why) = shown {
                for question in asked {
                    let _ = question.reply.send(Err(why.clone()));
                }
            }
        };
        let thread = thread::Builder::new().name("dispute".into()).spawn(run);
        thread.map_err(|error| format!("cannot start a thread: {error}"))?;
        Ok(Self { questions })
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
        let gone = "the thread that computes the trace ended; report this";
        self.questions.send(question).map_err(|_| gone.to_owned())?;
        play.await.map_err(|_| gone.to_owned())?
    }
}
