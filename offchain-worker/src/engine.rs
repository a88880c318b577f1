//! Inference: what the worker asks of anything that turns a prompt into tokens.
//!
//! An [`Engine`] knows tokens and nothing else: no text, no chain, no money. It is synchronous and
//! keeps its caller's thread busy for the whole answer, so the worker runs it on a blocking thread.

use std::{ops::ControlFlow, path::PathBuf};

mod candle;
mod folder;
mod sampling;
#[cfg(test)]
mod tests;

pub use self::{
    candle::CandleEngine,
    sampling::{Sampling, PPM_ONE},
};
pub use assay_client::folder::ModelFolder;
pub use assay_primitives::Architecture;

/// The shape of a loaded model, in the terms in which it is listed on the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineSpec {
    pub architecture: Architecture,
    /// Decoder layers.
    pub layers: u32,
    /// Width of the residual stream.
    pub hidden: u32,
    /// Width of the feed-forward layer.
    pub intermediate: u32,
    /// Query heads.
    pub heads: u32,
    /// Key and value heads; divides `heads`.
    pub kv_heads: u32,
    /// Width of one head.
    pub head_dim: u32,
    /// Number of token ids; every token is smaller than this.
    pub vocabulary: u32,
    /// The most tokens that prompt and answer may have together.
    pub context: u32,
    /// Token ids that end an answer by the model's own files, in ascending order.
    pub stop_tokens: Vec<u32>,
    /// Whether the output projection is the embedding table.
    pub tied_embeddings: bool,
}

/// One prompt, and how to answer it.
#[derive(Clone, Debug)]
pub struct GenerateRequest {
    pub prompt: Vec<u32>,
    pub sampling: Sampling,
    pub max_output_tokens: u32,
    /// The ids that end this answer. The engine adds none of its own: pass
    /// [`EngineSpec::stop_tokens`] where nothing else was agreed.
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
    /// The shape of the model that is loaded.
    fn spec(&self) -> &EngineSpec;

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

    #[error("a top_p of {top_p} parts per million is more than all; use at most {PPM_ONE}")]
    TopP { top_p: u32 },

    #[error(
        "the model's output after {position} tokens holds {found} among its logits; check the \
         weights against their publisher's hashes"
    )]
    Logits { position: usize, found: String },

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
                | Self::TopP { .. }
        )
    }
}

impl EngineSpec {
    /// Whether a model of this shape can answer `request` at all.
    pub fn admit(&self, request: &GenerateRequest) -> Result<(), EngineError> {
        if request.prompt.is_empty() {
            return Err(EngineError::EmptyPrompt);
        }
        let outside = request
            .prompt
            .iter()
            .position(|token| *token >= self.vocabulary);
        if let Some((position, token)) = outside.and_then(|p| Some((p, *request.prompt.get(p)?))) {
            let vocabulary = self.vocabulary;
            return Err(EngineError::OutsideVocabulary {
                token,
                position,
                vocabulary,
            });
        }
        let prompt = request.prompt.len();
        let max_output_tokens = request.max_output_tokens;
        if prompt.saturating_add(max_output_tokens as usize) > self.context as usize {
            return Err(EngineError::Context {
                prompt,
                max_output_tokens,
                context: self.context,
            });
        }
        request.sampling.validate()
    }
}
