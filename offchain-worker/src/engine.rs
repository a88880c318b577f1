//! Inference: what the worker asks of anything that turns a prompt into tokens.
//!
//! An [`Engine`] knows tokens and nothing else: no text, no chain, no money. It is synchronous and
//! keeps its caller's thread busy for the whole answer, so the worker runs it on a blocking thread.

use std::{ops::ControlFlow, path::PathBuf};

use assay_primitives::{ModelSpec, SamplingError};

mod candle;
mod exact;
mod folder;
mod sampling;
#[cfg(test)]
mod tests;

pub use self::{candle::CandleEngine, exact::ExactEngine, sampling::Sampling};

/// One prompt, and how to answer it.
#[derive(Clone, Debug)]
pub struct GenerateRequest {
    pub prompt: Vec<u32>,
    pub sampling: Sampling,
    pub max_output_tokens: u32,
    /// The ids that end this answer. The engine adds none of its own: pass
    /// [`ModelSpec::stop_tokens`] where nothing else was agreed.
    pub stop_tokens: Vec<u32>,
}

/// Why an answer ended. Where several reasons meet at one token, the first in this order counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// The last token is a stop token.
    Eos,
    /// The answer has `max_output_tokens` tokens.
    Length,
    /// The caller's callback asked to stop.
    Caller,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generation {
    /// Every token in order, the stop token included.
    pub tokens: Vec<u32>,
    pub finish: Finish,
}

/// A model that is loaded and answers one request at a time.
pub trait Engine: Send {
    /// Which engine this is and what it runs on, for the log.
    fn describe(&self) -> String;

    /// Answers `request`, calling `on_token` with each token as soon as it is known. The callback
    /// ends the answer by returning [`ControlFlow::Break`]; it is not asked during prefill.
    ///
    /// No request leaves anything behind that a later one could see, whether it succeeds or fails.
    fn generate(
        &mut self,
        request: &GenerateRequest,
        on_token: &mut dyn FnMut(u32) -> ControlFlow<()>,
    ) -> Result<Generation, EngineError>;
}

/// What can go wrong, each in one line that says what to do next.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A file of the model folder cannot be used.
    #[error("{}: {problem}; {next}", file.display())]
    Model {
        file: PathBuf,
        problem: String,
        next: String,
    },

    /// The same, found while the folder was checked.
    #[error("{0}")]
    Folder(#[from] assay_client::Error),

    #[error("the prompt is empty; send at least one token")]
    EmptyPrompt,

    #[error(
        "token {token} at position {position} of the prompt is outside the vocabulary of \
         {vocabulary}; tokenise with this model's own tokenizer.json"
    )]
    OutsideVocabulary {
        token: u32,
        position: usize,
        vocabulary: u32,
    },

    #[error(
        "a prompt of {prompt} tokens and an answer of up to {max_output_tokens} exceed the context \
         of {context}; shorten the prompt or ask for fewer tokens"
    )]
    Context {
        prompt: usize,
        max_output_tokens: u32,
        context: u32,
    },

    #[error("the sampling is out of range: {0}; ask again within it")]
    Sampling(SamplingError),

    #[error(
        "the model's output after {position} tokens holds {found} among its logits; check the \
         weights against their publisher's hashes"
    )]
    Logits { position: usize, found: String },

    #[error("the exact engine failed: {0}; take the model folder anew, and report this if it comes back")]
    Exact(String),

    #[error("the computation failed after {position} tokens: {problem}; restart the worker, and report this if it comes back")]
    Compute { position: usize, problem: String },
}

impl EngineError {
    /// Whether the request is at fault, so that no other attempt at it on this model can succeed.
    pub fn is_request(&self) -> bool {
        matches!(
            self,
            Self::EmptyPrompt
                | Self::OutsideVocabulary { .. }
                | Self::Context { .. }
                | Self::Sampling(_)
        )
    }
}

impl GenerateRequest {
    /// Whether a model of this shape can answer the request at all.
    pub fn admit(&self, spec: &ModelSpec) -> Result<(), EngineError> {
        if self.prompt.is_empty() {
            return Err(EngineError::EmptyPrompt);
        }
        let vocabulary = spec.vocabulary;
        let outside = (0..)
            .zip(&self.prompt)
            .find(|(_, token)| **token >= vocabulary);
        if let Some((position, token)) = outside {
            return Err(EngineError::OutsideVocabulary {
                token: *token,
                position,
                vocabulary,
            });
        }
        let prompt = self.prompt.len();
        let max_output_tokens = self.max_output_tokens;
        if prompt.saturating_add(max_output_tokens as usize) > spec.context as usize {
            return Err(EngineError::Context {
                prompt,
                max_output_tokens,
                context: spec.context,
            });
        }
        self.sampling.validate()
    }
}
