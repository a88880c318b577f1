//! What the worker tells about itself: `/health` for people and supervisors, `/metrics` for
//! Prometheus.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use axum::{
    extract::State,
    http::{header::CONTENT_TYPE, StatusCode},
    response::{IntoResponse, Response},
    routing::get,
    Json, Router,
};
use prometheus::{
    core::Collector, Encoder, Gauge, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge,
    Opts, Registry, TextEncoder,
};
use serde::Serialize;
use tokio::{net::TcpListener, sync::watch};

/// Planck in one ASY.
const ASY: f64 = 1e12;

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

/// What is counted.
pub struct Metrics {
    registry: Registry,
    pub jobs: IntCounterVec,
    pub prompt_tokens: IntCounter,
    pub output_tokens: IntCounter,
    pub generation_seconds: Histogram,
    pub queue: IntGauge,
    pub open_jobs: IntGauge,
    pub chain_connected: IntGauge,
    pub best_block: IntGauge,
    pub finalized_block: IntGauge,
    operator_balance: Gauge,
    pub disputes_live: IntGauge,
    pub disputes: IntCounterVec,
    pub channels: Arc<ChannelMetrics>,
}

/// What is counted about channels. Amounts are in ASY, over the channels that are not closed.
pub struct ChannelMetrics {
    pub open: IntGauge,
    pub close_pending: IntGauge,
    /// Until the first close that is pending is final; -1 if none is.
    pub blocks_until_deadline: IntGauge,
    pub vouchers: IntCounterVec,
    pub requests: IntCounterVec,
    accepted: Gauge,
    spent: Gauge,
    settled: Gauge,
    unsettled: Gauge,
    pub running: IntGauge,
    pub waiting: IntGauge,
    pub first_token_seconds: Histogram,
}

impl ChannelMetrics {
    fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let int = |name: &str, help: &str| registered(registry, IntGauge::new(name, help)?);
        let gauge = |name: &str, help: &str| registered(registry, Gauge::new(name, help)?);
        let counter = |name: &str, help: &str, label: &str| {
            registered(
                registry,
                IntCounterVec::new(Opts::new(name, help), &[label])?,
            )
        };
        let seconds = HistogramOpts::new(
            "assay_worker_time_to_first_token_seconds",
            "Seconds from the head of a request in a channel to its first token.",
        )
        .buckets(vec![
            0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
        ]);
        let vouchers = counter(
            "assay_worker_vouchers_total",
            "Vouchers by what became of them: accepted, stale, or the code of the refusal.",
            "result",
        )?;
        let requests = counter(
            "assay_worker_requests_total",
            "Requests in channels by what became of them: how the answer ended, or the code of the refusal.",
            "result",
        )?;
        // A series that appears with its first event hides that event from a rate.
        for result in ["accepted", "stale"] {
            vouchers.with_label_values(&[result]);
        }
        for result in ["eos", "length", "caller", "failed"] {
            requests.with_label_values(&[result]);
        }
        let deadline = int(
            "assay_worker_blocks_until_deadline",
            "Blocks until the first pending close of a channel is final; -1 if none is pending.",
        )?;
        deadline.set(-1);
        Ok(Self {
            open: int(
                "assay_worker_channels_open",
                "Channels of this provider that are not closed.",
            )?,
            close_pending: int(
                "assay_worker_channels_closing",
                "Channels whose user has asked for the rest of the deposit.",
            )?,
            blocks_until_deadline: deadline,
            vouchers,
            requests,
            accepted: gauge(
                "assay_worker_channel_accepted_asy",
                "What the last vouchers of the open channels pay in all.",
            )?,
            spent: gauge(
                "assay_worker_channel_spent_asy",
                "What was earned in the open channels.",
            )?,
            settled: gauge(
                "assay_worker_channel_settled_asy",
                "What was settled of that on chain.",
            )?,
            unsettled: gauge(
                "assay_worker_channel_unsettled_asy",
                "What was earned in the open channels and is not settled.",
            )?,
            running: int(
                "assay_worker_requests_running",
                "Requests that the engines work on, jobs included.",
            )?,
            waiting: int(
                "assay_worker_requests_waiting",
                "Requests that wait for an engine, jobs included.",
            )?,
            first_token_seconds: registered(registry, Histogram::with_opts(seconds)?)?,
        })
    }

    /// Shows what the open channels hold, in planck.
    pub fn set_amounts(&self, accepted: u128, spent: u128, settled: u128) {
        self.accepted.set(accepted as f64 / ASY);
        self.spent.set(spent as f64 / ASY);
        self.settled.set(settled as f64 / ASY);
        self.unsettled
            .set(spent.saturating_sub(settled) as f64 / ASY);
    }
}

impl Metrics {
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let jobs = Opts::new(
            "assay_worker_jobs_total",
            "Jobs by how they ended for this worker.",
        );
        let jobs = registered(&registry, IntCounterVec::new(jobs, &["outcome"])?)?;
        // A series that appears with its first event hides that event from a rate.
        for outcome in ["assigned", "delivered", "declined", "lost"] {
            jobs.with_label_values(&[outcome]);
        }
        let disputes = Opts::new(
            "assay_worker_disputes_total",
            "Disputes with this provider: opened, and how they ended.",
        );
        let disputes = registered(&registry, IntCounterVec::new(disputes, &["outcome"])?)?;
        for outcome in ["opened", "won", "lost"] {
            disputes.with_label_values(&[outcome]);
        }
        let seconds = HistogramOpts::new(
            "assay_worker_generation_seconds",
            "Seconds that the engine took for an answer.",
        )
        .buckets(vec![
            0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 180.0, 600.0,
        ]);
        let counter = |name: &str, help: &str| registered(&registry, IntCounter::new(name, help)?);
        let gauge = |name: &str, help: &str| registered(&registry, IntGauge::new(name, help)?);
        Ok(Self {
            jobs,
            prompt_tokens: counter(
                "assay_worker_prompt_tokens_total",
                "Prompt tokens of the answers that were computed.",
            )?,
            output_tokens: counter(
                "assay_worker_output_tokens_total",
                "Output tokens of the answers that were computed.",
            )?,
            generation_seconds: registered(&registry, Histogram::with_opts(seconds)?)?,
            queue: gauge(
                "assay_worker_queue_depth",
                "Answers that are computed or wait for it.",
            )?,
            open_jobs: gauge(
                "assay_worker_open_jobs",
                "Jobs that no finalised block has settled.",
            )?,
            chain_connected: gauge(
                "assay_worker_chain_connected",
                "1 while the node answers, else 0.",
            )?,
            best_block: gauge(
                "assay_worker_best_block",
                "The best block that was looked at.",
            )?,
            finalized_block: gauge(
                "assay_worker_finalized_block",
                "The last finalised block that was looked at.",
            )?,
            operator_balance: registered(
                &registry,
                Gauge::new(
                    "assay_worker_operator_balance_asy",
                    "Free balance of the operator, which pays the fees of deliveries.",
                )?,
            )?,
            disputes_live: gauge(
                "assay_worker_disputes",
                "Disputes with this provider that are not over.",
            )?,
            disputes,
            channels: Arc::new(ChannelMetrics::new(&registry)?),
            registry,
        })
    }

    /// Shows a balance in planck.
    pub fn set_operator_balance(&self, planck: u128) {
        self.operator_balance.set(planck as f64 / ASY);
    }
}

fn registered<C: Collector + Clone + 'static>(
    registry: &Registry,
    collector: C,
) -> Result<C, prometheus::Error> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
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
    mut stop: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let router = router(Pages { metrics, health });
    axum::serve(listener, router)
        .with_graceful_shutdown(async move {
            let _ = stop.wait_for(|stop| *stop).await;
        })
        .await
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
    let encoder = TextEncoder::new();
    let mut text = Vec::new();
    match encoder.encode(&pages.metrics.registry.gather(), &mut text) {
        Ok(()) => ([(CONTENT_TYPE, encoder.format_type().to_owned())], text).into_response(),
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
        server.await.unwrap().unwrap();
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
