use std::{sync::Arc, time::Duration};

use axum::{
    extract::{Path, Request, State},
    http::{Method, StatusCode, Uri},
    response::{IntoResponse, Response},
    routing::{get, post},
    Json, Router,
};
use serde_json::{json, Value};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    answer::answer,
    body::{check_json, read_body},
    kept::{request_hash, KeptAnswers, Key},
    shape::Endpoint,
    ApiError, Backend, Limits, Model,
};

/// A place among the requests at once, of those who wait for the answer and those who make it.
type Place = Option<Arc<OwnedSemaphorePermit>>;

/// When to come again while as many answers are made as may be.
const FULL: Duration = Duration::from_secs(1);

/// Everything under `/v1` that clients of OpenAI's interface ask for, and errors in their shape for what is not there.
///
/// It has a fallback, so that a router to merge with must have none.
pub fn router<B: Backend>(backend: Arc<B>, limits: Limits) -> Router {
    let server = Server {
        backend,
        places: limits.requests.map(|most| Arc::new(Semaphore::new(most))),
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
    /// Those for requests that are not taken.
    places: Option<Arc<Semaphore>>,
    kept: Arc<KeptAnswers>,
}

// Derived, it would want a backend that can be cloned.
impl<B> Clone for Server<B> {
    fn clone(&self) -> Self {
        Self {
            backend: self.backend.clone(),
            limits: self.limits.clone(),
            places: self.places.clone(),
            kept: self.kept.clone(),
        }
    }
}

impl<B: Backend> Server<B> {
    async fn complete(self, endpoint: Endpoint, request: Request) -> Result<Response, ApiError> {
        let (mut parts, body) = request.into_parts();
        check_json(&parts.headers)?;
        let key = Key::read(&parts.headers)?.filter(|_| self.limits.kept_answers > 0);
        // Before the body, which is what takes room.
        let place = self.place()?;
        parts.extensions.insert(place.clone());
        let body = read_body(&parts.headers, body, &self.limits).await?;
        let hash = request_hash(endpoint.path(), &body);
        let Self {
            backend,
            limits,
            kept,
            ..
        } = self;
        let make = async move {
            let parts = Arc::new(parts);
            let reply = answer(backend.as_ref(), &limits, endpoint, parts, &body).await?;
            Ok(reply.holding(place))
        };
        let reply = match key {
            Some(key) => kept.answer(key, hash, make).await?,
            None => make.await?,
        };
        Ok(reply.into_response())
    }

    /// A place among the requests at once, if those are counted.
    fn place(&self) -> Result<Place, ApiError> {
        let take = |places: &Arc<Semaphore>| places.clone().try_acquire_owned().map(Arc::new);
        self.places.as_ref().map(take).transpose().map_err(|_| {
            let message = "as many answers as may be are being made; come again in a moment";
            ApiError::busy(message, FULL)
        })
    }
}

/// The 405 for routes that are merged with [`router`]'s.
pub async fn method_not_allowed(method: Method, uri: Uri) -> ApiError {
    let next = match method {
        Method::GET | Method::HEAD => "use POST",
        Method::POST => "use GET",
        _ => "use the method that the header `allow` of this answer names",
    };
    let message = format!("{} does not take {method}; {next}", uri.path());
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
    Ok(Json(json!({ "object": "list", "data": data })))
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
    let mut value = json!(model);
    value["object"] = "model".into();
    value
}
