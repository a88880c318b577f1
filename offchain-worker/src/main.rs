//! `assay-worker`: the daemon beside a provider's node. It finds the jobs that the chain has
//! assigned to the provider, answers them with the provider's models, and delivers each answer
//! once, with a receipt that the provider's bond stands behind. With `--serve` it also sells answers
//! token by token to clients that pay through channels.

use std::{io::IsTerminal, process::ExitCode, time::Duration};

use anyhow::Context;
use clap::Parser;
use tokio::{
    signal::unix::{signal, SignalKind},
    sync::watch,
};
use tracing_subscriber::EnvFilter;

mod chain;
mod config;
mod deliver;
mod disputes;
mod duties;
mod engine;
mod generate;
mod http;
mod ledger;
mod models;
mod purse;
mod serve;
mod start;
mod tls;
mod worker;

use self::{
    config::{Config, LogFormat},
    ledger::Ledger,
    tls::Keys,
};

/// How long an answer that nobody will wait for may keep the process from ending.
const GRACE: Duration = Duration::from_secs(3);

fn main() -> ExitCode {
    let config = Config::parse();
    start_log(config.log_format);
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    let result = runtime.block_on(run(config));
    runtime.shutdown_timeout(GRACE);
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

/// Says on one line what went wrong.
fn fail(error: &anyhow::Error) -> ExitCode {
    let line = format!("{error:#}")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    eprintln!("assay-worker: {line}");
    ExitCode::FAILURE
}

fn start_log(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new("warn,assay_worker=info"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
}

async fn run(config: Config) -> anyhow::Result<()> {
    if config.serve.print_keys {
        Ledger::check_folder(&config.ledger)?;
        let keys = Keys::open(&config.serve, &config.ledger)?;
        println!("{}", serde_json::to_string(&keys.announced())?);
        return Ok(());
    }
    let signals = signals()?;
    let mut asked = signals.clone();
    let ready = tokio::select! {
        ready = start::prepare(config, signals) => ready?,
        _ = asked.wait_for(|signals| *signals > 0) => return Ok(()),
    };
    let (worker, chain) = ready;
    worker.run(chain).await
}

/// Counts how often the process was asked to end.
fn signals() -> anyhow::Result<watch::Receiver<u32>> {
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let (sender, receiver) = watch::channel(0u32);
    tokio::spawn(async move {
        // Kept for ever, so that nobody mistakes its end for the signal.
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            sender.send_modify(|signals| *signals = signals.saturating_add(1));
        }
    });
    Ok(receiver)
}
