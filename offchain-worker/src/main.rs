//! `assay-worker`: the daemon beside a provider's node. It finds the jobs that the chain has
//! assigned to the provider, answers them with the provider's models, and delivers each answer
//! once, with a receipt that the provider's bond stands behind. With `--serve` it also sells answers
//! token by token to clients that pay through channels.

use std::{io::IsTerminal, process::ExitCode, thread::available_parallelism, time::Duration};

use anyhow::Context;
use tokio::{
    runtime::{Builder, Runtime},
    signal::unix::{signal, SignalKind},
    sync::watch,
};
use tracing_subscriber::EnvFilter;

mod chain;
#[cfg(test)]
#[path = "../../cuda/tests/common/mod.rs"]
mod common;
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
mod tools;
mod worker;

use self::{
    config::{Config, LogFormat},
    engine::Alarm,
    ledger::Ledger,
    tls::Keys,
    tools::Task,
};

/// Cores for each thread that serves: every further one wakes for a part of what one could do in a turn, and takes
/// its turns from the engine.
const CORES_PER_THREAD: usize = 8;

/// How long an answer that nobody will wait for may keep the process from ending.
const GRACE: Duration = Duration::from_secs(3);

fn main() -> ExitCode {
    let config = match Task::parse() {
        Task::Serve(config) => *config,
        Task::Tool(tool) => {
            return match tool.run() {
                Ok(code) => code,
                Err(error) => fail(&error),
            }
        }
    };
    start_log(config.log_format);
    let runtime = match runtime() {
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

/// What serves: few threads beside the engine's, which are as many as there are cores.
fn runtime() -> std::io::Result<Runtime> {
    let cores = available_parallelism()?.get();
    Builder::new_multi_thread()
        .worker_threads((cores / CORES_PER_THREAD).max(1))
        .enable_all()
        .build()
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
    let alarm = Alarm::new(signals.clone());
    let mut asked = signals.subscribe();
    let ready = tokio::select! {
        ready = start::prepare(config, alarm.clone(), signals.subscribe()) => ready?,
        _ = asked.wait_for(|signals| *signals > 0) => return Ok(()),
    };
    let (worker, chain) = ready;
    worker.run(chain).await?;
    match alarm.cause() {
        None => Ok(()),
        Some(cause) => anyhow::bail!("{cause}"),
    }
}

/// Counts how often the process was asked to end.
fn signals() -> anyhow::Result<watch::Sender<u32>> {
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let counted = watch::Sender::new(0u32);
    let sender = counted.clone();
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
    Ok(counted)
}
