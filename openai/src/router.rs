use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::{Path, Request, State},
    http::{
        header::{CACHE_CONTROL, CONTENT_TYPE},
        HeaderName, HeaderValue, Method, StatusCode, Uri,
    },
    response::{IntoResponse, Response},
    routing::{get, post},
    Json, Router,
};
use futures::{Stream, StreamExt};
use serde_json::Value;

use crate::{
    answer::{answer, Reply},
    body::{check_json, read_body},
    kept::{request_hash, KeptAnswers, Key},
    shape::Endpoint,
    ApiError, Backend, Model,
};

/// What one client may take.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The most bytes of a request's body.
    pub body_bytes: usize,
    /// How long a body may take to arrive.
    pub body_timeout: Duration,
    /// The most choices of one request.
    pub choices: u32,
    /// A stream that says nothing for this long says that it is alive.
    pub keep_alive: Duration,
    /// How long a backend may take to end an answer whose text is complete.
    pub farewell: Duration,
    /// The most answers that are kept for requests with an `Idempotency-Key`; zero ignores such keys.
    pub kept_answers: usize,
    /// The most bytes of all kept answers.
    pub kept_bytes: usize,
    /// How long an answer is kept.
    pub kept_for: Duration,
    /// How long an answer with an `Idempotency-Key` goes on when nobody reads it any more.
    pub abandoned_for: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 4 << 20,
            body_timeout: Duration::from_secs(30),
            choices: 8,
            keep_alive: Duration::from_secs(10),
            farewell: Duration::from_secs(10),
            kept_answers: 1024,
            kept_bytes: 64 << 20,
            kept_for: Duration::from_secs(600),
            abandoned_for: Duration::from_secs(30),
        }
    }
}

/// Everything under `/v1` that clients of OpenAI's interface ask for, and errors in their shape for what is not there.
///
/// It has a fallback, so that a router to merge with must have none.
pub fn router<B: Backend>(backend: Arc<B>, limits: Limits) -> Router {
    let server = Server {
        backend,
        kept: Arc::new(KeptAnswers::new(limits.clone())),
        limits: Arc::new(limits),
    };
    let [chat, completions] = [Endpoint::Chat, Endpoint::Completions].map(|endpoint| {
        post(move |State(server): State<Server<B>>, request| server.complete(endpoint, request))
    });
    Router::new()
        .route("/v1/models", get(models::<B>))
        .route("/v1/models/{*id}", get(model::<B>))
        .route(Endpoint::Chat.path(), chat)
        .route(Endpoint::Completions.path(), completions)
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(server)
}

struct Server<B> {
    backend: Arc<B>,
    limits: Arc<Limits>,
    kept: Arc<KeptAnswers>,
}

// Derived, it would want a backend that can be cloned.
impl<B> Clone for Server<B> {
    fn clone(&self) -> Self {
        Self {
            backend: self.backend.clone(),
            limits: self.limits.clone(),
            kept: self.kept.clone(),
        }
    }
}

impl<B: Backend> Server<B> {
    async fn complete(self, endpoint: Endpoint, request: Request) -> Result<Response, ApiError> {
        let (parts, body) = request.into_parts();
        check_json(&parts.headers)?;
        let key = Key::read(&parts.headers)?.filter(|_| self.limits.kept_answers > 0);
        let body = read_body(&parts.headers, body, &self.limits).await?;
        let hash = request_hash(endpoint.path(), &body);
        let Self {
            backend,
            limits,
            kept,
        } = self;
        let make = async move {
            let parts = Arc::new(parts);
            answer(backend.as_ref(), &limits, endpoint, parts, &body).await
        };
        match key {
            Some(key) => kept.answer(key, hash, make).await,
            None => Ok(match make.await? {
                Reply::Whole(value) => json(value.to_string()),
                Reply::Stream(events) => event_stream(events),
            }),
        }
    }
}

/// A response with JSON that is text already.
pub fn json(body: impl Into<Body>) -> Response {
    ([(CONTENT_TYPE, "application/json")], body.into()).into_response()
}

/// A response with events that reach the client as they come.
pub fn event_stream(events: impl Stream<Item = Bytes> + Send + 'static) -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        // Proxies would collect them.
        (
            HeaderName::from_static("x-accel-buffering"),
            HeaderValue::from_static("no"),
        ),
    ];
    let body = Body::from_stream(events.map(Ok::<_, Infallible>));
    (headers, body).into_response()
}

/// The 405 for routes that are merged with [`router`]'s.
pub async fn method_not_allowed(method: Method, uri: Uri) -> ApiError {
    let message = format!(
        "{} does not take {method}; use the other of GET and POST",
        uri.path()
    );
    ApiError {
        status: StatusCode::METHOD_NOT_ALLOWED,
        ..ApiError::invalid(message).code("method_not_allowed")
    }
}

async fn not_found(uri: Uri) -> ApiError {
    let message = format!(
        "there is nothing at {}; see /v1/models, /v1/chat/completions and /v1/completions",
        uri.path()
    );
    ApiError {
        status: StatusCode::NOT_FOUND,
        ..ApiError::invalid(message).code("not_found")
    }
}

async fn models<B: Backend>(State(server): State<Server<B>>) -> Result<Json<Value>, ApiError> {
    let models = server.backend.models().await?;
    let data: Vec<Value> = models.iter().map(listed).collect();
    Ok(Json(serde_json::json!({ "object": "list", "data": data })))
}

async fn model<B: Backend>(
    State(server): State<Server<B>>,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let models = server.backend.models().await?;
    let found = models.iter().find(|model| model.id == id);
    found
        .map(|model| Json(listed(model)))
        .ok_or_else(|| ApiError::model_not_found(&id))
}

fn listed(model: &Model) -> Value {
    let mut value = serde_json::json!(model);
    value["object"] = "model".into();
    value
}
