//! Metrics as they are scraped, and the rules and boards made of them.

use std::{collections::BTreeSet, fs, path::PathBuf};

use anyhow::{ensure, Context, Result};
use assay_tests::{eventually, http, repository, Clients, Scene};
use serde_json::Value;

use crate::PATIENCE;

/// A folder of what operators install.
fn ops(folder: &str) -> Result<PathBuf> {
    Ok(repository()?.join("ops").join(folder))
}

/// The series names that a page of `/metrics` shows, and those that Prometheus itself adds.
fn scraped(page: &str) -> BTreeSet<String> {
    let name = |line: &str| {
        let end = line.find(['{', ' ']).unwrap_or(line.len());
        line.get(..end).unwrap_or_default().to_owned()
    };
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    lines.map(name).chain(["up".into()]).collect()
}

/// The value of a series on a page, such as `assay_jobs{state="settled"}`, whatever other labels it has.
pub fn value(page: &str, name: &str, label: &str) -> Option<f64> {
    let mut lines = page.lines().filter(|line| {
        line.strip_prefix(name)
            .is_some_and(|rest| rest.starts_with(['{', ' ']))
            && line.contains(label)
    });
    lines.next()?.rsplit(' ').next()?.parse().ok()
}

/// What looks like a metric's name in an expression.
fn names_in(expression: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    // What stands in quotes is the value of a label.
    for part in expression.split('"').step_by(2) {
        let words = part.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let is_metric = |word: &&str| {
            *word == "up" || word.starts_with("assay_") || word.starts_with("substrate_")
        };
        names.extend(words.filter(is_metric).map(str::to_owned));
    }
    names
}

/// The expressions of all panels and variables of a board.
fn expressions_of(board: &Value, found: &mut Vec<String>) {
    match board {
        Value::Object(fields) => {
            for (name, field) in fields {
                match field.as_str() {
                    Some(expression) if name == "expr" => found.push(expression.into()),
                    // A variable's; that of a data source names a kind of it.
                    Some(query) if name == "query" && query.contains('(') => {
                        found.push(query.into())
                    }
                    _ => expressions_of(field, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| expressions_of(item, found)),
        _ => {}
    }
}

/// The expressions of the rules. A rule's expression stands behind `expr:`, or indented below it.
fn expressions_of_rules(rules: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = rules.lines().peekable();
    while let Some(line) = lines.next() {
        let Some(expression) = line.trim().strip_prefix("expr:") else {
            continue;
        };
        let mut expression = expression.trim().trim_start_matches('>').to_owned();
        let depth = |line: &str| line.len() - line.trim_start().len();
        while let Some(more) = lines.next_if(|next| depth(next) > depth(line)) {
            expression.push_str(more);
        }
        found.push(expression);
    }
    found
}

/// Every metric that a panel or a rule names, with where it is named.
fn named() -> Result<Vec<(String, String)>> {
    let mut expressions = Vec::new();
    for entry in fs::read_dir(ops("grafana")?)? {
        let path = entry?.path();
        let board: Value = serde_json::from_slice(&fs::read(&path)?)
            .with_context(|| format!("{} is no board", path.display()))?;
        let mut found = Vec::new();
        expressions_of(&board, &mut found);
        ensure!(found.len() > 10, "{} has no panels", path.display());
        expressions.extend(
            found
                .into_iter()
                .map(|text| (path.display().to_string(), text)),
        );
    }
    let path = ops("prometheus")?.join("alerts.yml");
    let rules = fs::read_to_string(&path)?;
    let found = expressions_of_rules(&rules);
    ensure!(
        found.len() == rules.matches("- alert:").count(),
        "a rule has no expression"
    );
    expressions.extend(
        found
            .into_iter()
            .map(|text| (path.display().to_string(), text)),
    );
    let mut named = Vec::new();
    for (place, expression) in expressions {
        let names = names_in(&expression);
        ensure!(!names.is_empty(), "{place}: {expression:?} names no metric");
        named.extend(names.into_iter().map(|name| (name, place.clone())));
    }
    Ok(named)
}

#[tokio::test]
async fn every_metric_of_boards_and_rules_is_scraped_from_a_real_node_and_a_real_worker(
) -> Result<()> {
    let scene = Scene::new().await?;
    let provider = scene.provider("//Bob", 1, 3)?;
    let worker = scene.worker(&provider, "worker")?;
    scene.run("What is Assay?", &["--max-fee", "1 ASY"])?;
    let node = |path| http::get(scene.node.metrics_port, path);

    // Gauges are those of a block some seconds ago, counters those of finalised blocks.
    let settled = r#"event="settled""#;
    let page = eventually("the settled job is counted", PATIENCE, || {
        let page = node("/metrics")?.body;
        let counted = value(&page, "assay_jobs_total", settled) >= Some(1.0);
        let shown = value(&page, "assay_jobs", r#"state="settled""#) >= Some(1.0);
        Ok((counted && shown).then_some(page))
    })?;
    let mut scraped_names = scraped(&page);
    scraped_names.extend(scraped(&http::get(worker.http_port, "/metrics")?.body));
    for (name, place) in named()? {
        ensure!(
            scraped_names.contains(&name),
            "{place} names {name}, which nobody shows"
        );
    }

    // And they say what is so.
    let at = |name, label| value(&page, name, label).with_context(|| format!("{name} is shown"));
    let best = scene.chain.best().await?;
    let issuance = best.total_issuance().await? as f64 / 1e12;
    ensure!((at("assay_issuance_asy", "")? - issuance).abs() < issuance / 1e3);
    ensure!(at("assay_providers", r#"state="online""#)? == 1.0);
    ensure!(at("assay_provider_bonds_asy", r#"state="active""#)? == 1_000.0);
    ensure!(at("assay_listings", r#"state="active""#)? == 1.0);
    ensure!(at("assay_jobs_total", r#"event="submitted""#)? == 1.0);
    ensure!(at("assay_jobs_total", r#"event="declined""#)? == 0.0);
    ensure!(at("assay_settled_asy_total", r#"to="provider""#)? > 0.0);
    ensure!(at("assay_transactions_total", "")? >= 5.0);
    ensure!(at("assay_validators", r#"set="active""#)? == 1.0);
    // Alice's keys are in this node's keystore.
    ensure!(at("assay_own_active", "")? == 1.0 && at("assay_own_disabled", "")? == 0.0);
    ensure!(at("assay_own_bond_asy", "")? >= at("assay_validator_min_bond_asy", "")?);
    ensure!(at("assay_own_era_points", "")? <= at("assay_era_points", "")?);
    Ok(())
}

#[test]
fn each_alert_has_a_case_in_which_it_fires_and_promtool_agrees() -> Result<()> {
    let folder = ops("prometheus")?;
    let rules = fs::read_to_string(folder.join("alerts.yml"))?;
    let cases = fs::read_to_string(folder.join("alerts_test.yml"))?;
    for line in rules.lines() {
        if let Some(alert) = line.trim().strip_prefix("- alert: ") {
            ensure!(
                cases.contains(&format!("alertname=\"{alert}\"")),
                "{alert} has no case"
            );
        }
    }
    let Some(clients) = Clients::find()? else {
        return Ok(());
    };
    for arguments in [
        ["check", "rules", "alerts.yml"],
        ["check", "config", "prometheus.yml"],
        ["test", "rules", "alerts_test.yml"],
    ] {
        let output = clients
            .promtool()
            .args(arguments)
            .current_dir(&folder)
            .output()?;
        ensure!(
            output.status.success(),
            "promtool {arguments:?}: {output:?}"
        );
    }
    Ok(())
}
