//! Figures as Prometheus' metrics. Names come from the runtime, so metrics are made as they come.

use std::collections::{btree_map::Entry, BTreeMap};

use assay_runtime::{
    figures::{Figure, Value},
    ASY,
};
use substrate_prometheus_endpoint::{
    prometheus::core::Collector, CounterVec, GaugeVec, Opts, PrometheusError, Registry, F64,
};

/// What whoever asks for `/metrics` sees.
pub struct Shown {
    registry: Registry,
    gauges: BTreeMap<String, Option<GaugeVec<F64>>>,
    counters: BTreeMap<String, Option<CounterVec<F64>>>,
}

impl Shown {
    pub fn new(registry: Registry) -> Self {
        Self {
            registry,
            gauges: BTreeMap::new(),
            counters: BTreeMap::new(),
        }
    }

    /// Show these gauges and no others. Figures of the same name and label add up.
    pub fn replace(&mut self, figures: &[Figure]) {
        let mut sums: BTreeMap<(&str, Option<&str>), (&Figure, f64)> = BTreeMap::new();
        for figure in figures {
            let of = (figure.name.as_ref(), label_value(figure));
            sums.entry(of).or_insert((figure, 0.0)).1 += number(figure.value);
        }
        // Those that are not told any more disappear; of the others nothing is ever missing.
        for (name, gauge) in self.gauges.iter().filter_map(made) {
            if !sums.keys().any(|(told, _)| *told == name) {
                gauge.reset();
            }
        }
        for ((name, label), (figure, sum)) in sums {
            let gauge = metric(&mut self.gauges, name, || {
                register(
                    GaugeVec::new(opts(figure), &label_names(figure))?,
                    &self.registry,
                )
            });
            let labels: Vec<&str> = label.into_iter().collect();
            if let Some(Ok(gauge)) = gauge.map(|gauge| gauge.get_metric_with_label_values(&labels))
            {
                gauge.set(sum);
            }
        }
    }

    /// Add to counters.
    pub fn add(&mut self, figures: &[Figure]) {
        for figure in figures {
            let counter = metric(&mut self.counters, &figure.name, || {
                register(
                    CounterVec::new(opts(figure), &label_names(figure))?,
                    &self.registry,
                )
            });
            let labels: Vec<&str> = label_value(figure).into_iter().collect();
            let counter = counter.map(|counter| counter.get_metric_with_label_values(&labels));
            if let Some(Ok(counter)) = counter {
                counter.inc_by(number(figure.value));
            }
        }
    }
}

/// The metric of a name; none where Prometheus does not take it, which is said once.
fn metric<'a, M>(
    metrics: &'a mut BTreeMap<String, Option<M>>,
    name: &str,
    make: impl FnOnce() -> Result<M, PrometheusError>,
) -> Option<&'a M> {
    let metric = match metrics.entry(name.to_owned()) {
        Entry::Occupied(entry) => entry.into_mut(),
        Entry::Vacant(entry) => entry.insert(match make() {
            Ok(metric) => Some(metric),
            Err(error) => {
                tracing::warn!(target: "figures", "the chain's figure {name:?} is not shown: {error}");
                None
            }
        }),
    };
    metric.as_ref()
}

fn made<'a, M>((name, metric): (&'a String, &'a Option<M>)) -> Option<(&'a str, &'a M)> {
    metric.as_ref().map(|metric| (name.as_str(), metric))
}

fn register<M: Collector + Clone + 'static>(
    metric: M,
    registry: &Registry,
) -> Result<M, PrometheusError> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn opts(figure: &Figure) -> Opts {
    Opts::new(figure.name.as_ref(), figure.help.as_ref())
}

fn label_names(figure: &Figure) -> Vec<&str> {
    figure.label.iter().map(|(name, _)| name.as_ref()).collect()
}

fn label_value(figure: &Figure) -> Option<&str> {
    figure.label.as_ref().map(|(_, value)| value.as_ref())
}

/// In the unit that the name says: money in ASY, shares of one.
fn number(value: Value) -> f64 {
    match value {
        Value::Number(number) => number as f64,
        Value::Money(planck) => planck as f64 / ASY as f64,
        Value::Share(parts) => f64::from(parts) / 1e6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use substrate_prometheus_endpoint::prometheus::{Encoder, TextEncoder};

    fn figure(name: &'static str, label: Option<&'static str>, value: Value) -> Figure {
        Figure {
            name: name.into(),
            help: "Help.".into(),
            label: label.map(|of| ("state".into(), of.into())),
            value,
        }
    }

    fn page(registry: &Registry) -> String {
        let mut page = Vec::new();
        TextEncoder::new()
            .encode(&registry.gather(), &mut page)
            .unwrap();
        String::from_utf8(page).unwrap()
    }

    #[test]
    fn pages_of_one_walk_add_up_and_the_next_walk_begins_anew() {
        let registry = Registry::new();
        let mut shown = Shown::new(registry.clone());
        let jobs = |number| figure("assay_jobs", Some("waiting"), Value::Number(number));
        shown.replace(&[jobs(500), jobs(3)]);
        assert!(page(&registry).contains(r#"assay_jobs{state="waiting"} 503"#));
        shown.replace(&[jobs(2)]);
        assert!(page(&registry).contains(r#"assay_jobs{state="waiting"} 2"#));
    }

    #[test]
    fn what_blocks_brought_is_added() {
        let registry = Registry::new();
        let mut shown = Shown::new(registry.clone());
        let fees = figure("assay_fees_asy_total", None, Value::Money(ASY / 4));
        for _ in 0..2 {
            shown.add(std::slice::from_ref(&fees));
        }
        assert!(page(&registry).contains("assay_fees_asy_total 0.5"));
    }

    #[test]
    fn money_is_in_asy_and_shares_are_parts_of_one() {
        let registry = Registry::new();
        let mut shown = Shown::new(registry.clone());
        shown.replace(&[
            figure("assay_bond_asy", None, Value::Money(3 * ASY / 2)),
            figure("assay_commission_ratio", None, Value::Share(50_000)),
        ]);
        let page = page(&registry);
        assert!(page.contains("assay_bond_asy 1.5"), "{page}");
        assert!(page.contains("assay_commission_ratio 0.05"), "{page}");
    }

    #[test]
    fn a_gauge_that_is_not_told_any_more_disappears() {
        let registry = Registry::new();
        let mut shown = Shown::new(registry.clone());
        shown.replace(&[figure("assay_own_active", None, Value::Number(1))]);
        assert!(page(&registry).contains("assay_own_active 1"));
        shown.replace(&[]);
        assert!(!page(&registry).contains("assay_own_active 1"));
    }

    /// A later runtime may tell whatever it likes.
    #[test]
    fn a_figure_that_prometheus_does_not_take_stops_no_other() {
        let registry = Registry::new();
        let mut shown = Shown::new(registry.clone());
        shown.replace(&[
            figure("no name", None, Value::Number(1)),
            figure("assay_jobs", None, Value::Number(2)),
            figure("assay_jobs", Some("waiting"), Value::Number(3)),
            figure("assay_era", None, Value::Number(4)),
        ]);
        shown.add(&[figure("assay_jobs", None, Value::Number(5))]);
        let page = page(&registry);
        assert!(
            page.contains("assay_jobs 2") && page.contains("assay_era 4"),
            "{page}"
        );
        assert!(
            !page.contains("no name") && !page.contains("waiting"),
            "{page}"
        );
    }
}
