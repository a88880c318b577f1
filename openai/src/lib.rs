//! The interface that OpenAI's clients know, once, for whoever has models: a [`Backend`].
//!
//! [`router`] serves `GET /v1/models` and `/v1/models/{id}`, `POST /v1/chat/completions` and `/v1/completions`, with
//! answers in one piece and as streams. It turns conversations into tokens, checks every field, hands the backend one
//! [`Order`] per choice, and turns the tokens that come back into text, up to a stop string.
//!
//! * What is asked of a model goes on by the names of OpenAI's fields, and by `top_k`, `min_p` and
//!   `repetition_penalty`. What nobody here does (tools, JSON formats, penalties by frequency, images) is refused by its
//!   name; fields that are not known are ignored.
//! * A field is refused with the error that official clients expect: its name in `param`, a `code`, and
//!   `x-should-retry: false` where the same request can never succeed.
//! * What the backend adds for clients of Assay stands in the field `assay` of a choice or an error: [`Piece`].
//! * A request with an `Idempotency-Key` that comes again gets the answer of the first time, also while that one is
//!   being made; a key stands for one request of one client, and errors are not kept.
//! * A client that leaves cancels its answer.
//!
//! [`sse`] writes streams and reads them. [`listen`] takes the connections, and bounds what a peer can hold.

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
pub mod listen;
mod reply;
mod request;
mod router;
mod shape;
pub mod sse;
mod stop;

pub use self::{
    backend::{Backend, Model, ModelText, Order, Piece, Pieces, Token},
    body::{check_json, read_body, read_body_into},
    error::ApiError,
    limits::Limits,
    reply::event_stream,
    router::{method_not_allowed, router},
};
