//! What stands behind the router: whoever has the models.

use std::sync::Arc;

use assay_client::Text;
use assay_primitives::{Finish, Sampling, TokenId};
use axum::http::request::Parts;
use futures::{future::BoxFuture, stream::BoxStream};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::Notify;

use crate::ApiError;

/// Whoever has the models: a worker computes them, a gateway buys from workers.
pub trait Backend: Send + Sync + 'static {
    /// The models that can be asked now.
    fn models(&self) -> BoxFuture<'_, Result<Vec<Model>, ApiError>>;

    /// How the model of this name reads and writes; [`ApiError::model_not_found`] if there is none.
    fn text<'a>(&'a self, model: &'a str) -> BoxFuture<'a, Result<Arc<ModelText>, ApiError>>;

    /// Begins an answer. An error here becomes the response's status; one among the pieces breaks the answer off.
    /// To drop the pieces is to cancel.
    fn generate(&self, order: Order) -> BoxFuture<'_, Result<Pieces, ApiError>>;
}

/// A model in the list of models.
#[derive(Clone, Debug, Serialize)]
pub struct Model {
    /// The name that requests give it.
    pub id: String,
    /// Unix time in seconds.
    pub created: u64,
    pub owned_by: String,
    /// The most tokens that prompt and answer may have together.
    pub context_length: u32,
    /// Whether a wrong token can be proven.
    pub verifiable: bool,
    /// What else is known: the listing, prices in planck.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assay: Option<Value>,
}

/// How a model reads and writes.
pub struct ModelText {
    pub text: Arc<Text>,
    /// Tokens that end an answer and are no part of its text.
    pub stop_tokens: Vec<TokenId>,
    /// The most tokens that prompt and answer may have together.
    pub context: u32,
    /// Every token is below this.
    pub vocabulary: u32,
}

impl ModelText {
    /// Whether the token is no part of any text.
    pub(crate) fn is_unseen(&self, token: TokenId) -> bool {
        self.text.is_special(token) || self.stop_tokens.contains(&token)
    }
}

/// One answer to one prompt: a choice, in OpenAI's words.
pub struct Order {
    pub model: String,
    /// Not empty, within the model's context and vocabulary.
    pub prompt: Vec<TokenId>,
    /// In range. The nonce is the request's `seed`, or else a random number, plus `choice`.
    pub sampling: Sampling,
    /// The most tokens to answer with: at least one, and within the context. None: what the backend likes to give.
    pub max_tokens: Option<u32>,
    /// Each token comes with its log-probability, and those of this many likeliest tokens.
    pub logprobs: Option<u8>,
    /// Which of the request's choices this is, from zero.
    pub choice: u32,
    /// How many choices the request has in all.
    pub choices: u32,
    /// The field `assay` of the request's body.
    pub assay: Option<Value>,
    /// Headers and extensions of the request; with them goes its place among those that are counted by
    /// [`crate::Limits::requests`].
    pub parts: Arc<Parts>,
    /// Notified once the text is complete because of a stop string. The backend then ends the answer with
    /// [`Finish::Caller`] and whatever it has to say with it; if that takes it longer than [`crate::Limits::farewell`],
    /// the pieces are dropped.
    pub enough: Arc<Notify>,
}

pub type Pieces = BoxStream<'static, Result<Piece, ApiError>>;

/// A step of an answer. The last one is `End`.
///
/// `assay` is an object for the client, for which it stands in the choice. A stream has it in the chunk of its piece.
/// An answer in one piece has all of a choice's objects in one: lists are appended to one another, and any other field
/// has the value that came last.
#[derive(Clone, Debug, PartialEq)]
pub enum Piece {
    Tokens {
        tokens: Vec<Token>,
        assay: Option<Value>,
    },
    End {
        finish: Finish,
        assay: Option<Value>,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    pub id: TokenId,
    /// Natural logarithm of its probability, if the order asks for it.
    pub logprob: Option<f32>,
    /// The likeliest tokens, likeliest first.
    pub top: Vec<(TokenId, f32)>,
}

impl From<TokenId> for Token {
    fn from(id: TokenId) -> Self {
        Self {
            id,
            logprob: None,
            top: Vec::new(),
        }
    }
}
