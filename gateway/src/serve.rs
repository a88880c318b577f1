//! The gateway's server: OpenAI's interface, and what the gateway says of itself.

use std::{net::SocketAddr, num::NonZeroU16, sync::Arc, time::Duration};

use anyhow::{bail, Context};
use assay_openai::{
    listen::{self, Bounds},
    ApiError, Limits,
};
use axum::{
    extract::{Request, State},
    http::{
        header::{AUTHORIZATION, CONTENT_TYPE},
        StatusCode,
    },
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
    Json, Router,
};
use serde_json::json;
use tokio::{net::TcpListener, sync::watch};

use crate::{backend::Gateway, shop::Shop, status};

/// How long answers that are under way may take once the gateway is asked to end.
const GRACE: Duration = Duration::from_secs(10);

/// What clients can hold of the gateway.
#[derive(Clone, Debug)]
pub struct Room {
    /// Requests for answers at once; another one is told to come again.
    pub requests: usize,
    /// Connections, and how long each may be slow.
    pub bounds: Bounds,
}

impl Room {
    /// For so many requests at once.
    pub fn of(requests: NonZeroU16) -> Self {
        let requests = usize::from(requests.get());
        // Whoever is told to come again, or looks at the pages, needs a connection as well.
        let connections = requests.saturating_mul(2).max(512);
        Self {
            requests,
            bounds: Bounds {
                // Clients keep a connection for their next request, and most let go of it themselves before that.
                head: Duration::from_secs(60),
                connections,
                // All clients of this machine have one address.
                per_address: connections,
                ..Bounds::default()
            },
        }
    }
}

/// Who may listen where: others than this machine only with a key.
pub fn check_address(address: SocketAddr, has_key: bool) -> anyhow::Result<()> {
    if !address.ip().is_loopback() && !has_key {
        bail!(
            "--listen {address} is open to others, who would spend your money; give an --api-key-file, or listen on \
             127.0.0.1"
        );
    }
    Ok(())
}

pub async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("{address} cannot be used; choose another --listen"))
}

/// Serves until `stop` says true, and then for as long as answers take, within bounds.
pub async fn serve(
    listener: TcpListener,
    shop: Arc<Shop>,
    api_key: Option<String>,
    room: Room,
    mut stop: watch::Receiver<bool>,
) {
    let Room { requests, bounds } = room;
    let bounds = Bounds {
        turned_away: Some(shop.metrics.turned_away.clone()),
        ..bounds
    };
    let router = router(shop, api_key, requests);
    let served = listen::serve(listener, None, router, bounds, stop.clone());
    let limit = async move {
        let _ = stop.wait_for(|stop| *stop).await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        () = served => {}
        () = limit => {}
    }
}

fn router(shop: Arc<Shop>, api_key: Option<String>, requests: usize) -> Router {
    let own = Router::new()
        .route("/health", get(health))
        .route("/metrics", get(metrics))
        .route("/status", get(report))
        .with_state(shop.clone());
    let limits = Limits {
        requests: Some(requests),
        ..Limits::default()
    };
    let api = assay_openai::router(Arc::new(Gateway(shop)), limits);
    let all = api.merge(own);
    match api_key {
        Some(key) => all.layer(middleware::from_fn_with_state(Arc::new(key), authorise)),
        None => all,
    }
}

/// Everything but `/health` needs the key.
async fn authorise(State(key): State<Arc<String>>, request: Request, next: Next) -> Response {
    let given = request.headers().get(AUTHORIZATION);
    let given = given.and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    if request.uri().path() != "/health" && !given.is_some_and(|given| same(given, key.as_bytes()))
    {
        let error = ApiError {
            status: StatusCode::UNAUTHORIZED,
            ..ApiError::invalid(
                "the API key is missing or wrong; send it as `Authorization: Bearer KEY`",
            )
            .code("invalid_api_key")
        };
        return error.into_response();
    }
    next.run(request).await
}

/// Compares without telling by the time it takes how much is right.
fn same(given: &[u8], key: &[u8]) -> bool {
    let different = given.iter().zip(key).fold(0u8, |sum, (a, b)| sum | (a ^ b));
    given.len() == key.len() && different == 0
}

async fn health(State(shop): State<Arc<Shop>>) -> Response {
    let trouble = shop.trouble();
    let wrong = trouble.wrong.first().map(|wrong| {
        let found = match trouble.wrong.len() {
            1 => "a wrong answer was found".to_owned(),
            several => format!("{several} wrong answers were found, the first"),
        };
        format!("{found}: {wrong}; see the folder `evidence`, and start anew once that is seen to")
    });
    // What is broken for good is said before what passes.
    let full = shop.store.failure();
    let paused = || {
        let paused = shop.paused();
        (!paused.is_empty()).then(|| paused.join("; "))
    };
    let reason = full
        .or_else(|| shop.chain_problem())
        .or(wrong)
        .or_else(paused);
    let seen = shop.seen();
    let json = json!({
        "status": if reason.is_none() { "ok" } else { "degraded" },
        "reason": reason,
        "finalized_block": seen.facts.finalized,
        "models": seen.models.iter().map(|model| model.id.clone()).collect::<Vec<_>>(),
        "offers": seen.facts.offers.len(),
    });
    let status = match reason {
        None => StatusCode::OK,
        Some(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, Json(json)).into_response()
}

async fn metrics(State(shop): State<Arc<Shop>>) -> Response {
    let is_connected = shop.chain_problem().is_none();
    shop.metrics.chain_connected.set(is_connected.into());
    match shop.metrics.text() {
        Ok(text) => ([(CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response(),
        Err(error) => ApiError::internal(error.to_string()).into_response(),
    }
}

async fn report(State(shop): State<Arc<Shop>>) -> Response {
    match status::report(&*shop.market, &shop.store, &shop.channels).await {
        Ok(report) => Json(report).into_response(),
        Err(error) => ApiError::internal(error.to_string()).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_are_served_with_a_key_only() {
        let open = "0.0.0.0:8080".parse().unwrap();
        let message = check_address(open, false).unwrap_err().to_string();
        assert!(message.contains("--api-key-file"), "{message}");
        assert!(check_address(open, true).is_ok());
        assert!(check_address("[::1]:8080".parse().unwrap(), false).is_ok());
    }

    #[test]
    fn a_key_is_the_same_to_its_last_byte() {
        assert!(same(b"secret", b"secret"));
        for given in [&b"secres"[..], b"secre", b"secrets", b""] {
            assert!(!same(given, b"secret"));
        }
    }
}
