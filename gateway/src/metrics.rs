//! What is counted, for Prometheus.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use assay_primitives::Balance;
use prometheus::{
    core::Collector, CounterVec, Encoder, Gauge, GaugeVec, Histogram, HistogramOpts, IntCounter,
    IntCounterVec, IntGauge, Opts, Registry, TextEncoder,
};

use crate::store::Spending;

/// Planck in one ASY.
const ASY: f64 = 1e12;

/// How an answer that was re-checked turned out.
pub const VERDICTS: [&str; 4] = ["right", "wrong", "contradicted", "unknown"];

pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    tokens: IntCounterVec,
    spent: CounterVec,
    /// The same in planck, by model: sums of fractions would drift.
    fees: Mutex<HashMap<String, Balance>>,
    money: GaugeVec,
    pub failovers: IntCounter,
    pub evidence: IntCounter,
    pub checks: IntCounterVec,
    first_token_seconds: Histogram,
    pub chain_connected: IntGauge,
    pub running: IntGauge,
    /// Connections for which there was no place.
    pub turned_away: IntCounter,
    budget: Gauge,
}

impl Metrics {
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let counters = |name: &str, help: &str, labels: &[&str]| {
            registered(
                &registry,
                IntCounterVec::new(Opts::new(name, help), labels)?,
            )
        };
        let gauge = |name: &str, help: &str| registered(&registry, IntGauge::new(name, help)?);
        let checks = counters(
            "assay_gateway_checks_total",
            "Answers that were checked, by verdict.",
            &["verdict"],
        )?;
        // A series that appears with its first event hides that event from a rate.
        for verdict in VERDICTS {
            checks.with_label_values(&[verdict]);
        }
        let seconds = HistogramOpts::new(
            "assay_gateway_first_token_seconds",
            "Seconds from a request to its first token.",
        )
        .buckets(vec![0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0]);
        let spent = Opts::new("assay_gateway_spent_asy_total", "Fees of answers, in ASY.");
        let money = Opts::new("assay_gateway_asy", "Where the money is, in ASY.");
        let budget = Gauge::new(
            "assay_gateway_budget_asy",
            "The most that may be spent, in ASY.",
        )?;
        Ok(Self {
            requests: counters(
                "assay_gateway_requests_total",
                "Requests of clients by how they ended: answered, refused, failed, or abandoned by their client before \
                 anything was bought.",
                &["model", "outcome"],
            )?,
            tokens: counters(
                "assay_gateway_tokens_total",
                "Tokens that were paid for.",
                &["model", "side"],
            )?,
            spent: registered(&registry, CounterVec::new(spent, &["model"])?)?,
            fees: Mutex::default(),
            money: registered(&registry, GaugeVec::new(money, &["where"])?)?,
            failovers: registered(
                &registry,
                IntCounter::new(
                    "assay_gateway_failovers_total",
                    "Answers that another provider had to go on with.",
                )?,
            )?,
            evidence: registered(
                &registry,
                IntCounter::new(
                    "assay_gateway_evidence_total",
                    "Wrongs of providers that were written down.",
                )?,
            )?,
            checks,
            first_token_seconds: registered(&registry, Histogram::with_opts(seconds)?)?,
            chain_connected: gauge(
                "assay_gateway_chain_connected",
                "1 while the node answers and knows what the chain is by now, else 0.",
            )?,
            running: gauge("assay_gateway_requests_running", "Answers under way.")?,
            turned_away: registered(
                &registry,
                IntCounter::new(
                    "assay_gateway_connections_turned_away_total",
                    "Connections of clients for which there was no place.",
                )?,
            )?,
            budget: registered(&registry, budget)?,
            registry,
        })
    }

    pub fn request(&self, model: &str, outcome: &str) {
        self.requests.with_label_values(&[model, outcome]).inc();
    }

    pub fn bought(&self, model: &str, cost: &Spending) {
        let tokens = |side| self.tokens.with_label_values(&[model, side]);
        tokens("prompt").inc_by(cost.prompt_tokens);
        tokens("output").inc_by(cost.output_tokens);
        let mut fees = self.fees.lock().unwrap_or_else(PoisonError::into_inner);
        let sum = fees.entry(model.to_owned()).or_default();
        *sum = sum.saturating_add(cost.fees);
        let spent = self.spent.with_label_values(&[model]);
        spent.reset();
        spent.inc_by(asy(*sum));
    }

    pub fn first_token(&self, latency: Duration) {
        self.first_token_seconds.observe(latency.as_secs_f64());
    }

    /// How much money is where.
    pub fn money(&self, place: &str, amount: Balance) {
        self.money.with_label_values(&[place]).set(asy(amount));
    }

    pub fn budget(&self, amount: Balance) {
        self.budget.set(asy(amount));
    }

    /// In Prometheus' text format.
    pub fn text(&self) -> Result<Vec<u8>, prometheus::Error> {
        // Nobody shall see a sum while it is set anew.
        let _sums = self.fees.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

fn asy(amount: Balance) -> f64 {
    amount as f64 / ASY
}

fn registered<C: Collector + Clone + 'static>(
    registry: &Registry,
    collector: C,
) -> Result<C, prometheus::Error> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_spent_is_told_to_the_planck() {
        let metrics = Metrics::new().unwrap();
        let cost = Spending {
            fees: 70_000_000_000,
            ..Spending::default()
        };
        for _ in 0..216 {
            metrics.bought("demo", &cost);
        }
        let text = String::from_utf8(metrics.text().unwrap()).unwrap();
        let series = "assay_gateway_spent_asy_total{model=\"demo\"} 15.12\n";
        assert!(text.contains(series), "{text}");
    }
}
