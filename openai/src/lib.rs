//! The interface that OpenAI's clients know, once, for whoever has models: a [`Backend`].
//!
//! [`router`] serves `GET /v1/models` and `/v1/models/{id}`, `POST /v1/chat/completions` and `/v1/completions`, with
//! answers in one piece and as streams. It turns conversations into tokens, checks every field, hands the backend one
//! [`Order`] per choice, and turns the tokens that come back into text, up to a stop string.
//!
//! [`sse`] writes such streams and reads them.

mod answer;
mod backend;
mod body;
mod chat;
mod choice;
mod completions;
mod detokenizer;
mod error;
mod fields;
mod kept;
mod limits;
mod reply;
mod request;
mod router;
mod shape;
pub mod sse;
mod stop;

pub use self::{
    backend::{Backend, Model, ModelText, Order, Piece, Pieces, Token},
    body::read_body,
    error::ApiError,
    limits::Limits,
    router::{method_not_allowed, router},
};
