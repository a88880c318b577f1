//! What the worker counts.

use std::sync::Arc;

use prometheus::{
    core::Collector, Encoder, Gauge, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge,
    Opts, Registry, TextEncoder,
};

/// Planck in one ASY.
const ASY: f64 = 1e12;

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
    pub blocks_until_move: IntGauge,
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
    /// Connections for which there was no place.
    pub turned_away: IntCounter,
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
            turned_away: registered(
                registry,
                IntCounter::new(
                    "assay_worker_connections_turned_away_total",
                    "Connections of clients with channels for which there was no place.",
                )?,
            )?,
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
        let blocks_until_move = gauge(
            "assay_worker_blocks_until_move",
            "Blocks until this provider's next move in a dispute is due; -1 if none is.",
        )?;
        blocks_until_move.set(-1);
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
            blocks_until_move,
            disputes,
            channels: Arc::new(ChannelMetrics::new(&registry)?),
            registry,
        })
    }

    /// The page that Prometheus reads, and the type of its content.
    pub(super) fn page(&self) -> Result<(String, Vec<u8>), prometheus::Error> {
        let encoder = TextEncoder::new();
        let mut text = Vec::new();
        encoder.encode(&self.registry.gather(), &mut text)?;
        Ok((encoder.format_type().to_owned(), text))
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
