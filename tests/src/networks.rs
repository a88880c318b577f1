//! `make network`: a network of four validators, a full node, two workers and users who ask all the time, and one
//! fault after another. Prints what became of them, and writes it to the file that is named; words behind it choose
//! the faults whose descriptions have one of them.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{anyhow, ensure, Context, Result};
use assay_tests::network::{Fault, Ground, Page};
use tokio::signal::unix::{signal, SignalKind};

/// How long the network is watched before anything happens to it.
const STEADY: Duration = Duration::from_secs(45);

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().map(PathBuf::from);
    let words: Vec<String> = arguments.collect();
    let is_chosen = |fault: &Fault| {
        words.is_empty()
            || words
                .iter()
                .any(|word| fault.name().contains(word.as_str()))
    };
    watch_signals()?;
    let start = Instant::now();
    let mut page = Page::default();
    let mut ground = Ground::open().await;
    if let Ok(ground) = &mut ground {
        page.steady = steady(ground).await?;
        println!("network: {}", page.lag());
    }
    for fault in Fault::ALL.into_iter().filter(is_chosen) {
        println!("network: {}", fault.name());
        let outcome = match &mut ground {
            Ok(ground) => ground.endure(fault).await,
            Err(why) => Err(anyhow!("there is no network: {why:#}")),
        };
        ensure!(!assay_tests::stopped(), "stopped");
        let outcome = outcome.map_err(|why| format!("{why:#}"));
        match &outcome {
            Ok(outcome) => println!("network: {outcome}"),
            Err(why) => {
                eprintln!("network: {why}");
                // What a fault left behind is not the next one's.
                drop(ground);
                ground = Ground::open().await;
            }
        }
        page.faults.push((fault, outcome));
    }
    let text = page.text();
    println!("\n{text}\nin {} s", start.elapsed().as_secs());
    if let Some(path) = path {
        let text = format!(
            "# Networks and their faults\n\n\
             Written by `make network`, on one machine ({}): four validators with blocks of a second and epochs of 20,\n\
             a full node, two workers, and users in both halves who ask for an answer every two seconds.\n\
             [network.md](../network.md) says what has to hold after each fault.\n\n{text}",
            system()
        );
        std::fs::write(&path, text).with_context(|| path.display().to_string())?;
    }
    ensure!(page.is_good(), "not all held");
    Ok(())
}

/// The lags of all nodes while users ask and nothing is wrong.
async fn steady(ground: &mut Ground) -> Result<Vec<u32>> {
    let customers = ground.customers()?;
    let start = Instant::now();
    tokio::time::sleep(STEADY).await;
    let lags = ground.network.watch.lags(start);
    customers.stop().await?;
    ground.wait_until_over().await?;
    Ok(lags)
}

/// What decides how soon connections go on behind a cut.
fn system() -> String {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let is_number = |character: &char| character.is_ascii_digit() || *character == '.';
    let number: String = release.chars().take_while(is_number).collect();
    format!("Linux {number}")
}

/// Processes and namespaces are removed by their owners' destructors, which a signal alone would not run.
fn watch_signals() -> Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        assay_tests::stop();
    });
    Ok(())
}
