//! What the worker tells about itself: `/health` for people and supervisors, `/metrics` for
//! Prometheus.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use assay_openai::listen::{self, Bounds};
use axum::{
    extract::State,
    http::{header::CONTENT_TYPE, StatusCode},
    response::{IntoResponse, Response},
    routing::get,
    Json, Router,
};
use serde::Serialize;
use tokio::{net::TcpListener, sync::watch};

mod metrics;

pub use self::metrics::{ChannelMetrics, Metrics};

/// How the worker is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Models are being read.
    #[default]
    Starting,
    /// Jobs are answered.
    Ok,
    /// Jobs are not answered, or not as they should be; [`Health::reason`] says why.
    Degraded,
    /// The process is about to end.
    Stopping,
}

/// What `/health` says.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Health {
    pub status: Status,
    /// Why the worker is degraded, and what to do.
    pub reason: Option<String>,
    /// SS58 address of the provider's stash.
    pub provider: String,
    /// SS58 address of the operator.
    pub operator: String,
    /// Ids of the listings that are served.
    pub listings: Vec<String>,
    /// What answers for each listing.
    pub engines: BTreeMap<String, String>,
    /// The best block that was looked at.
    pub best_block: u32,
    pub finalized_block: u32,
    /// Answers that are computed or wait for it.
    pub queue: usize,
    /// Duties that no finalised block has settled.
    pub open_jobs: usize,
    /// Where clients with channels are served; none if they are not.
    pub serve: Option<Serving>,
}

/// The server of clients with channels.
#[derive(Clone, Debug, Serialize)]
pub struct Serving {
    /// The address that is listened at.
    pub address: SocketAddr,
    /// SHA-256 of the TLS public key, zero for plain http.
    pub tls_key_hash: String,
    pub x25519_key: String,
    /// Channels that are not closed.
    pub channels: usize,
    /// Answers under way.
    pub requests: usize,
}

/// What both pages are made of.
#[derive(Clone)]
struct Pages {
    metrics: Arc<Metrics>,
    health: watch::Receiver<Health>,
}

/// Takes the address, so that one that is in use is found before anything else is done.
pub async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        anyhow::anyhow!(
            "cannot serve /health and /metrics at {address}: {error}; name another address with \
             --http"
        )
    })
}

/// Serves the pages until `stop` is true.
pub async fn serve(
    listener: TcpListener,
    metrics: Arc<Metrics>,
    health: watch::Receiver<Health>,
    stop: watch::Receiver<bool>,
) {
    let router = router(Pages { metrics, health });
    listen::serve(listener, None, router, Bounds::default(), stop).await;
}

fn router(pages: Pages) -> Router {
    Router::new()
        .route("/health", get(show_health))
        .route("/metrics", get(show_metrics))
        .with_state(pages)
}

async fn show_health(State(pages): State<Pages>) -> Response {
    let health = pages.health.borrow().clone();
    let code = match health.status {
        Status::Ok => StatusCode::OK,
        Status::Starting | Status::Degraded | Status::Stopping => StatusCode::SERVICE_UNAVAILABLE,
    };
    (code, Json(health)).into_response()
}

async fn show_metrics(State(pages): State<Pages>) -> Response {
    match pages.metrics.page() {
        Ok((kind, text)) => ([(CONTENT_TYPE, kind)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::{Read, Write},
        net::TcpStream,
    };

    async fn page(address: SocketAddr, path: &'static str) -> String {
        let ask = move || {
            let mut stream = TcpStream::connect(address).unwrap();
            write!(
                stream,
                "GET {path} HTTP/1.1\r\nHost: worker\r\nConnection: close\r\n\r\n"
            )
            .unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        };
        tokio::task::spawn_blocking(ask).await.unwrap()
    }

    #[tokio::test]
    async fn pages_say_how_the_worker_is() {
        let listener = bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let metrics = Arc::new(Metrics::new().unwrap());
        let (health, health_seen) = watch::channel(Health::default());
        let (stop, stop_seen) = watch::channel(false);
        let server = tokio::spawn(serve(listener, metrics.clone(), health_seen, stop_seen));

        assert!(page(address, "/health").await.starts_with("HTTP/1.1 503"));
        health.send_modify(|health| {
            health.status = Status::Ok;
            health.best_block = 12;
        });
        let answer = page(address, "/health").await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains(r#""status":"ok""#));
        assert!(answer.contains(r#""best_block":12"#), "{answer}");

        metrics.jobs.with_label_values(&["delivered"]).inc();
        metrics.set_operator_balance(1_500_000_000_000);
        let answer = page(address, "/metrics").await;
        assert!(
            answer.contains(r#"assay_worker_jobs_total{outcome="delivered"} 1"#),
            "{answer}"
        );
        assert!(
            answer.contains("assay_worker_operator_balance_asy 1.5"),
            "{answer}"
        );

        stop.send(true).unwrap();
        server.await.unwrap();
    }

    #[tokio::test]
    async fn an_address_in_use_is_named() {
        let taken = bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let address = taken.local_addr().unwrap();
        let error = bind(address).await.unwrap_err().to_string();
        assert!(
            error.contains(&address.to_string()) && error.contains("--http"),
            "{error}"
        );
    }
}
