//! `assay`: the command of users, providers and publishers.
//!
//! Answers go to standard output, everything said on the way to standard error. It exits with 0
//! when the request succeeded, 1 when it failed, 2 when it was asked wrongly, 3 when the chain
//! cannot be reached or is another one.

mod balance;
mod channel;
mod context;
mod devnet;
mod dispute;
mod doctor;
mod failure;
mod funds;
mod gateway;
mod job;
mod judge;
mod listing;
mod model;
mod offers;
mod provider;
mod receipt;
mod records;
mod referendum;
mod request;
mod run;
mod transfer;
mod validator;
mod verify;
mod watch;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::{
    context::{Context, Globals},
    failure::Failure,
};

/// Buy and sell LLM inference on an Assay chain.
#[derive(Parser)]
#[command(name = "assay", version, propagate_version = true)]
struct Cli {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Ask a model, and wait for the answer and its settlement.
    Run(run::Args),
    /// Submit jobs and look after them.
    #[command(subcommand)]
    Job(job::Command),
    /// Open payment channels, look after them, and settle what they owe.
    #[command(subcommand)]
    Channel(channel::Command),
    /// Compute an answer again, or pay another provider to, and say whether every token is right.
    Verify(verify::Args),
    /// Take a false answer to the chain, which convicts its provider.
    #[command(subcommand)]
    Dispute(dispute::Command),
    /// Make exact models, list models, and collect their royalties.
    #[command(subcommand)]
    Model(model::Command),
    /// Sell inference.
    #[command(subcommand)]
    Provider(provider::Command),
    /// Secure the chain, or back who does, and be paid for it.
    #[command(subcommand)]
    Validator(validator::Command),
    /// Decide with other holders of ASY what becomes of the chain.
    #[command(subcommand)]
    Referendum(referendum::Command),
    /// Serve official OpenAI clients on this machine, with answers bought from providers.
    Gateway(Box<gateway::Args>),
    /// Start and stop a whole network on this machine.
    #[command(subcommand)]
    Devnet(devnet::Command),
    /// Show what accounts own, hold and have locked up.
    Balance(balance::Args),
    /// Send ASY to another account.
    Transfer(transfer::Args),
    /// Check node, key and market, and say what to do about each problem.
    Doctor,
}

/// With one thread beside this one: what a gateway does for all its streams is less than what threads cost that take
/// turns at it.
#[tokio::main(worker_threads = 1)]
async fn main() -> ExitCode {
    let Cli { globals, command } = Cli::parse();
    match dispatch(&Context::new(globals), command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("assay: {failure}");
            failure.exit_code()
        }
    }
}

async fn dispatch(context: &Context, command: Command) -> Result<(), Failure> {
    match command {
        Command::Run(args) => run::run(context, args).await,
        Command::Job(command) => job::run(context, command).await,
        Command::Channel(command) => channel::run(context, command).await,
        Command::Verify(args) => verify::run(context, args).await,
        Command::Dispute(command) => dispute::run(context, command).await,
        Command::Model(command) => model::run(context, command).await,
        Command::Provider(command) => provider::run(context, command).await,
        Command::Validator(command) => validator::run(context, command).await,
        Command::Referendum(command) => referendum::run(context, command).await,
        Command::Gateway(args) => gateway::run(context, *args).await,
        Command::Devnet(command) => devnet::run(context, command).await,
        Command::Balance(args) => balance::run(context, args).await,
        Command::Transfer(args) => transfer::run(context, args).await,
        Command::Doctor => doctor::run(context).await,
    }
}
