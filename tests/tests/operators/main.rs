//! What operators see and type.

mod clock;
mod finality;
mod metrics;
mod referendum;
mod units;
mod validator;
mod wallets;

use std::{fs, path::Path, process::Command, time::Duration};

use anyhow::{ensure, Context, Result};
use assay_tests::{programs, Assay};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(90);

/// Writes a preset with some of its genesis changed, and returns the argument with which a node takes it.
fn specification(folder: &Path, preset: &str, change: impl FnOnce(&mut Value)) -> Result<String> {
    let path = folder.join("chain.json");
    let written = Command::new(programs()?.join("assay-node"))
        .args(["export-chain-spec", "--chain", preset, "--output"])
        .arg(&path)
        .output()?;
    ensure!(written.status.success(), "{written:?}");
    let mut spec: Value = serde_json::from_slice(&fs::read(&path)?)?;
    change(&mut spec["genesis"]["runtimeGenesis"]["patch"]);
    fs::write(&path, spec.to_string())?;
    Ok(format!("--chain={}", path.display()))
}

/// What a command that was asked wrongly says.
fn refusal(assay: &Assay, arguments: &[&str], part: &str) -> Result<()> {
    let outcome = assay.run(arguments)?;
    ensure!(outcome.code != 0, "assay {arguments:?} went through");
    ensure!(
        outcome.stderr.contains(part),
        "assay {arguments:?} says {}",
        outcome.stderr
    );
    ensure!(
        outcome.stderr.trim().lines().count() == 1,
        "{}",
        outcome.stderr
    );
    Ok(())
}

/// An amount of money in JSON, in planck.
fn planck(value: &Value) -> Result<u128> {
    let digits = value
        .as_str()
        .with_context(|| format!("{value} is no amount"))?;
    Ok(digits.parse()?)
}

/// What an account has.
fn account(assay: &Assay, who: &str) -> Result<Value> {
    let json = assay.json(&["balance", who])?;
    Ok(json["accounts"][0].clone())
}

/// What all accounts own is all that there is.
fn check_issuance(assay: &Assay) -> Result<()> {
    let all = assay.json(&["balance", "--all"])?;
    let accounts = all["accounts"].as_array().context("accounts")?;
    let mut sum = 0;
    for account in accounts {
        sum += planck(&account["total"])?;
    }
    ensure!(sum == planck(&all["total_issuance"])?, "{sum}: {all}");
    Ok(())
}
