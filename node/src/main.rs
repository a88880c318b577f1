//! The Assay node: makes, checks, finalises and serves the blocks of an Assay chain.

use std::{process::ExitCode, thread::sleep, time::Duration};

mod chain_spec;
mod cli;
mod command;
mod discovery;
mod equivocation;
mod error;
mod figures;
mod parts;
mod ports;
mod rpc;
mod service;
mod slots;
mod sync;

/// Longer than the log's thread keeps lines back, so that the error is the last line.
const LOG_DELAY: Duration = Duration::from_millis(100);

fn main() -> ExitCode {
    match command::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            sleep(LOG_DELAY);
            eprintln!("assay-node: {}", error::line(&error));
            ExitCode::FAILURE
        }
    }
}
