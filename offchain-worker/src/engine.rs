//! Inference: what the worker asks of anything that turns prompts into tokens.
//!
//! An [`Engine`] knows tokens and nothing else: no text, no chain, no money. It is a loaded model;
//! a [`Session`] is that model at work, step by step, on one thread.

use std::path::PathBuf;

use assay_primitives::{ModelSpec, Profile, SamplingError};

mod candle;
mod exact;
mod folder;
mod gpu;
mod logprobs;
mod sampling;
#[cfg(test)]
mod tests;
mod upstream;

pub use self::{
    candle::CandleEngine,
    exact::{ExactEngine, Places},
    gpu::{Alarm, Gpu},
    sampling::Sampling,
    upstream::{Upstream, UpstreamEngine},
};

/// One prompt, and how to answer it.
#[derive(Clone, Debug)]
pub struct GenerateRequest {
    pub prompt: Vec<u32>,
    pub sampling: Sampling,
    pub max_output_tokens: u32,
    /// The ids that end this answer. The engine adds none of its own: pass
    /// [`ModelSpec::stop_tokens`] where nothing else was agreed.
    pub stop_tokens: Vec<u32>,
    /// Log-probabilities are wanted: of each token, and of this many of the likeliest at its place.
    pub logprobs: Option<u8>,
    /// This answer is to be scored, and none made. Stop tokens end nothing then.
    pub scored: Option<Vec<u32>>,
}

/// A token of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    pub id: u32,
    /// Natural logarithm of its probability before penalty, temperature and cuts, if that was asked
    /// for. It is for display: computed in floats, and nothing depends on it.
    pub logprob: Option<f32>,
    /// The likeliest tokens at this place in falling order, as many as were asked for.
    pub top: Vec<(u32, f32)>,
}

/// Why an answer ended. Where both reasons meet at one token, the first counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// The last token is a stop token.
    Eos,
    /// The answer has `max_output_tokens` tokens.
    Length,
}

/// Names a request in a session.
pub type RequestId = u64;

/// What a step says about a request. After an end, a score or an error the request has left the session.
#[derive(Debug)]
pub enum Progress {
    Token(Token),
    End(Finish),
    /// So many tokens of the scored answer are right, from its first on.
    Scored(u32),
    Failed(EngineError),
}

/// How much a session takes on, and how much of that is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Use {
    /// Requests that it works at together, at most.
    pub places: usize,
    /// Bytes of keys and values that requests have reserved or that are kept for others, and the most
    /// that there may be; zero where nobody counts them.
    pub cache: usize,
    pub cache_limit: usize,
}

/// Tells the thread of a session that a step has something to do again.
pub type Wake = Box<dyn Fn() + Send + Sync>;

/// A model that is loaded.
pub trait Engine: Send {
    /// Which engine this is and what it runs on, for the log.
    fn describe(&self) -> String;

    /// Whether its tokens come with their log-probabilities where a request wants them.
    fn gives_logprobs(&self) -> bool;

    /// Begins without requests. After a panic a session is dropped, and the next one is as good as
    /// the first.
    fn start(&mut self, wake: Wake) -> Result<Box<dyn Session + '_>, EngineError>;
}

/// A loaded model at work. Answers do not depend on what else it works at, nor on what it worked at
/// before.
pub trait Session {
    /// Takes a request in, without credit. False if there is no room for it now; the error says why
    /// there will never be an answer.
    fn admit(&mut self, id: RequestId, request: &GenerateRequest) -> Result<bool, EngineError>;

    /// Lets an answer have `tokens` tokens in all. Nothing is computed for a request that was allowed
    /// none, not even of its prompt. One allows a whole score.
    fn allow(&mut self, id: RequestId, tokens: u32);

    /// Ends a request; nothing more is said about it.
    fn cancel(&mut self, id: RequestId);

    /// Goes on with every request that has credit, for about as long as one token takes. None if
    /// nothing is to be done before the next call of another function, or of [`Wake`].
    fn step(&mut self) -> Option<Vec<(RequestId, Progress)>>;

    fn usage(&self) -> Use;
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

    #[error("the model is not exact, so that its answers cannot be scored; ask for a score of an exact model's")]
    NotExact,

    #[error(
        "the model's output after {position} tokens holds {found} among its logits; check the \
         weights against their publisher's hashes"
    )]
    Logits { position: usize, found: String },

    #[error(
        "one request of the model's whole context of {context} tokens takes {needed} bytes of keys and \
         values, and there are {given}; give --cache-memory at least {needed}"
    )]
    CacheMemory {
        context: u32,
        needed: usize,
        given: usize,
    },

    #[error("the server at {url} {problem}; {next}")]
    Upstream {
        url: String,
        problem: String,
        next: &'static str,
    },

    /// What the models are computed on.
    #[error("{0}")]
    Device(String),

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
                | Self::NotExact
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
        if self.scored.is_some() && spec.profile == Profile::Unverified {
            return Err(EngineError::NotExact);
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
