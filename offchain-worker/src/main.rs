//! `assay-worker`: the daemon beside a provider's node. It finds the jobs that the chain has
//! assigned to the provider, answers them with the provider's models, and delivers each answer
//! once, with a receipt that the provider's bond stands behind.

use std::{io::IsTerminal, process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context;
use assay_client::{keys, Chain};
use clap::Parser;
use tokio::{
    signal::unix::{signal, SignalKind},
    sync::watch,
};
use tracing_subscriber::EnvFilter;

mod chain;
mod config;
mod deliver;
mod duties;
mod engine;
mod generate;
mod http;
mod ledger;
mod models;
mod purse;
mod worker;

use self::{
    config::{Config, Device, LogFormat},
    http::{Health, Metrics},
    ledger::{Ledger, Owner},
    models::{Models, Opened, Setup},
    worker::{State, Worker},
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
    let stop = stop_signal()?;
    let mut stopped = stop.clone();
    let ready = tokio::select! {
        ready = prepare(config, stop) => ready?,
        _ = stopped.wait_for(|stop| *stop) => return Ok(()),
    };
    let (worker, chain) = ready;
    worker.run(chain).await
}

/// Everything that can be wrong with the command line, the models and the chain is found here,
/// before the first job is touched.
async fn prepare(config: Config, stop: watch::Receiver<bool>) -> anyhow::Result<(Worker, Chain)> {
    match config.device {
        Device::Cpu => {}
    }
    let setup = Setup {
        cpu: Arc::new(config.cpu()?),
        places: config.places(),
        queue: config.queue.get(),
    };
    let key = keys::load(&config.operator_key).context("--operator-key cannot be used")?;
    let operator = keys::account(&key);
    let listener = http::bind(config.http).await?;

    let chain = Chain::connect(&config.chain).await?;
    let genesis = chain.genesis_hash();
    let best = chain.best().await?;
    let provider = best.provider_of(operator).await?.with_context(|| {
        format!(
            "operator {operator} speaks for no provider on this chain; register one with `assay \
             provider register`, or give the key of its operator"
        )
    })?;
    let owner = Owner {
        genesis,
        provider: provider.0,
    };
    // One that cannot be used is found before the models are read, and a new one is made after, so
    // that a start that fails leaves nothing behind.
    Ledger::check_folder(&config.ledger)?;
    let existing = match config.ledger.exists() {
        true => Some(Ledger::open(&config.ledger, &owner)?),
        false => None,
    };

    let metrics = Arc::new(Metrics::new().context("the metrics contradict each other")?);
    let (health, health_seen) = watch::channel(Health {
        provider: provider.to_string(),
        operator: operator.to_string(),
        ..Health::default()
    });
    tokio::spawn(http::serve(
        listener,
        metrics.clone(),
        health_seen,
        stop.clone(),
    ));

    let folders = config.model.clone();
    let opened = tokio::task::spawn_blocking(move || {
        folders
            .iter()
            .map(|folder| Opened::open(folder))
            .collect::<anyhow::Result<Vec<_>>>()
    });
    let opened = opened.await.context("reading a model failed")??;
    // Hashing may have taken minutes; the listings are those of now.
    let models = Models::load(opened, &setup, &chain.best().await?, provider).await?;

    let mut ledger = match existing {
        Some(ledger) => ledger,
        None => Ledger::open(&config.ledger, &owner)?,
    };
    ledger.take_over(&operator.0)?;

    tracing::info!(
        target: "assay_worker", %provider, %operator, http = %config.http,
        ledger = %config.ledger.display(), version = env!("CARGO_PKG_VERSION"), "started"
    );
    let worker = Worker {
        url: config.chain,
        key,
        operator,
        provider,
        genesis,
        ledger,
        models,
        metrics,
        health,
        stop,
        state: State::default(),
    };
    Ok((worker, chain))
}

/// Becomes true when the process is asked to end.
fn stop_signal() -> anyhow::Result<watch::Receiver<bool>> {
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let (sender, receiver) = watch::channel(false);
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        sender.send_replace(true);
        // Kept, so that nobody mistakes its end for the signal.
        sender.closed().await;
    });
    Ok(receiver)
}
