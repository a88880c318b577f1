//! One choice: the pieces of its answer as text.

use std::{sync::Arc, time::Duration};

use assay_primitives::{Finish, TokenId};
use futures::{
    stream::{self, BoxStream},
    StreamExt,
};
use serde_json::Value;
use tokio::{
    sync::Notify,
    time::{timeout_at, Instant},
};

use crate::{
    detokenizer::Detokenizer,
    stop::{Shown, StopStrings},
    ApiError, ModelText, Piece, Pieces, Token,
};

/// Why a choice's text ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinishReason {
    /// At a stop token or a stop string.
    Stop,
    /// At the token limit, or because the backend ends it.
    Length,
}

impl FinishReason {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
        }
    }
}

/// What a step adds to a choice.
#[derive(Debug)]
pub struct Delta {
    pub choice: u32,
    /// Empty while the text is withheld.
    pub text: String,
    /// Tokens that the step took.
    pub tokens: usize,
    /// Those of the step's tokens that are text.
    pub logprobs: Vec<Logprob>,
    pub assay: Option<Value>,
    /// Stands in the last one.
    pub finish: Option<FinishReason>,
}

/// A token with its log-probability.
#[derive(Debug)]
pub struct Logprob {
    pub token: String,
    pub logprob: f32,
    pub top: Vec<(String, f32)>,
    /// Characters of the choice's text before it.
    pub offset: usize,
}

/// A choice on its way.
pub struct Choice {
    index: u32,
    pieces: Pieces,
    enough: Arc<Notify>,
    farewell: Duration,
    model: Arc<ModelText>,
    /// None for a client that takes tokens alone.
    detokenizer: Option<Detokenizer>,
    stops: StopStrings,
    /// Characters of the text so far, with those that are withheld.
    characters: usize,
    /// Set once a stop string is complete: until then the backend may say how it ends.
    leaving: Option<Instant>,
}

impl Choice {
    /// With text up to one of the `stop` strings, or without text.
    pub fn new(
        index: u32,
        pieces: Pieces,
        enough: Arc<Notify>,
        farewell: Duration,
        model: Arc<ModelText>,
        stop: Option<Vec<String>>,
    ) -> Self {
        let detokenizer = stop.as_ref().map(|_| Detokenizer::new(model.clone()));
        Self {
            index,
            pieces,
            enough,
            farewell,
            detokenizer,
            model,
            stops: StopStrings::new(stop.unwrap_or_default()),
            characters: 0,
            leaving: None,
        }
    }

    /// The steps up to the one with the reason why it ends, or an error.
    pub fn deltas(self) -> BoxStream<'static, Result<Delta, ApiError>> {
        let steps = stream::unfold(Some(self), |choice| async {
            let mut choice = choice?;
            let delta = choice.step().await;
            let goes_on = delta.as_ref().is_ok_and(|delta| delta.finish.is_none());
            Some((delta, goes_on.then_some(choice)))
        });
        steps.boxed()
    }

    async fn step(&mut self) -> Result<Delta, ApiError> {
        let piece = match self.leaving {
            None => self.pieces.next().await,
            Some(at) => match timeout_at(at, self.pieces.next()).await {
                Ok(Some(Ok(piece))) => Some(Ok(piece)),
                // The text is whole, and the answer with it.
                Ok(Some(Err(_)) | None) | Err(_) => {
                    return Ok(self.delta(Some(FinishReason::Stop), None))
                }
            },
        };
        match piece {
            Some(Ok(Piece::Tokens { tokens, assay })) => self.tokens(tokens, assay),
            Some(Ok(Piece::End { finish, assay })) => self.end(finish, assay),
            Some(Err(error)) => Err(error),
            None => Err(ApiError::internal(
                "the answer broke off; ask again, and tell the operator if it happens often",
            )),
        }
    }

    fn delta(&self, finish: Option<FinishReason>, assay: Option<Value>) -> Delta {
        Delta {
            choice: self.index,
            text: String::new(),
            tokens: 0,
            logprobs: Vec::new(),
            assay,
            finish,
        }
    }

    fn tokens(&mut self, tokens: Vec<Token>, assay: Option<Value>) -> Result<Delta, ApiError> {
        let mut delta = self.delta(None, assay);
        delta.tokens = tokens.len();
        for token in tokens {
            if self.leaving.is_some() {
                break;
            }
            delta.logprobs.extend(self.logprob(&token));
            if let Some(detokenizer) = &mut self.detokenizer {
                let text = detokenizer.push(token.id)?;
                self.show(&text, &mut delta);
            }
        }
        Ok(delta)
    }

    fn end(&mut self, finish: Finish, assay: Option<Value>) -> Result<Delta, ApiError> {
        let mut delta = self.delta(None, assay);
        if let (None, Some(detokenizer)) = (self.leaving, &mut self.detokenizer) {
            let rest = detokenizer.finish()?;
            self.show(&rest, &mut delta);
        }
        if self.leaving.is_none() {
            delta.text.push_str(&self.stops.finish());
        }
        delta.finish = Some(match finish {
            Finish::Eos => FinishReason::Stop,
            _ if self.leaving.is_some() => FinishReason::Stop,
            Finish::Length | Finish::Caller | Finish::Mismatch => FinishReason::Length,
        });
        Ok(delta)
    }

    /// Adds what may be shown of the text that follows.
    fn show(&mut self, text: &str, delta: &mut Delta) {
        self.characters += text.chars().count();
        match self.stops.push(text) {
            Shown::Text(text) => delta.text.push_str(&text),
            Shown::Last(text) => {
                delta.text.push_str(&text);
                self.leaving = Some(Instant::now() + self.farewell);
                self.enough.notify_one();
            }
        }
    }

    fn logprob(&self, token: &Token) -> Option<Logprob> {
        if self.model.is_unseen(token.id) {
            return None;
        }
        let text = |token: TokenId| self.model.text.token(token);
        let top = token.top.iter();
        Some(Logprob {
            token: text(token.id),
            logprob: token.logprob?,
            top: top
                .map(|(token, logprob)| (text(*token), *logprob))
                .collect(),
            offset: self.characters,
        })
    }
}

#[cfg(test)]
mod tests;
