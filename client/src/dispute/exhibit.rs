//! What is disputed, as one who computes it needs it.

use assay_primitives::{Sampling, Task, TokenId};

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
