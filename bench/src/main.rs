//! What exact answers cost in quality, and how fast they are, beside the engines that people use; and what it costs
//! to sell them and to dispute them, and what the rewards come to over years.

mod dispute;
mod economics;
mod overhead;
mod quality;
mod report;
mod speed;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(version, about, long_about = None)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure how far exact answers are from float ones, on the demo model and on stressed copies of it.
    Quality(quality::Args),
    /// Measure tokens per second beside llama.cpp and candle, and what share of the machine that is.
    Speed(speed::Args),
    /// Measure what channels, sealing and HTTP cost beside computing an answer.
    Overhead(overhead::Args),
    /// Compute what disputes cost on chain, and measure what a worker needs for one.
    Dispute(dispute::Args),
    /// Simulate what is minted, burned and earned over years.
    Economics(economics::Args),
}

/// Ends with an error, and so with exit code 1, when a bar is missed.
fn main() -> Result<()> {
    match Cli::parse().command {
        Command::Quality(args) => quality::run(args),
        Command::Speed(args) => speed::run(args),
        Command::Overhead(args) => overhead::run(args),
        Command::Dispute(args) => dispute::run(args),
        Command::Economics(args) => economics::run(args),
    }
}
