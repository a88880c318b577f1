//! `assay referendum`: what the holders of ASY decide, upgrades of the chain included.

mod kind;
mod parameters;
mod payout;
mod propose;
mod refund;
mod show;
mod treasury;
mod vote;
mod wasm;

use clap::Subcommand;

use crate::{context::Context, failure::Failure};

#[derive(Subcommand)]
pub enum Command {
    /// Show the referenda that are open.
    List {
        /// Those that are over too.
        #[arg(long)]
        all: bool,
    },
    /// Show one: what it would do, how the votes stand, and what comes next.
    Status {
        /// Its number.
        referendum: u32,
    },
    /// Show the parameters as referenda have set them, each as `propose --set` takes it.
    Parameters {
        /// Of one pallet alone, such as jobs.
        pallet: Option<String>,
    },
    /// Propose a new runtime, new parameters, money of the treasury, or any call.
    Propose(propose::Args),
    /// Put down the deposit without which nothing is decided. It comes back.
    Deposit {
        /// Number of the referendum.
        referendum: u32,
    },
    /// Vote, or change a vote. What is voted with stays yours, and can be voted with again elsewhere.
    Vote(vote::Args),
    /// Take a vote back, and free what it has locked as far as it is free.
    Unvote {
        /// Number of the referendum.
        referendum: u32,
    },
    /// Free what votes that were taken back had locked, as far as it is free by now.
    Unlock,
    /// Have the deposits of a referendum that is over paid back to who put them down. Anybody may.
    Refund {
        /// Number of the referendum.
        referendum: u32,
    },
    /// Take your calls off the chain that no open referendum is about; their deposits return.
    Forget,
    /// Have the treasury pay what referenda have given, as far as its money goes. Anybody may.
    Payout,
}

pub async fn run(context: &Context, command: Command) -> Result<(), Failure> {
    match command {
        Command::List { all } => show::list(context, all).await,
        Command::Status { referendum } => show::status(context, referendum).await,
        Command::Parameters { pallet } => parameters::show(context, pallet.as_deref()).await,
        Command::Propose(args) => propose::run(context, args).await,
        Command::Deposit { referendum } => propose::deposit(context, referendum).await,
        Command::Vote(args) => vote::run(context, args).await,
        Command::Unvote { referendum } => vote::unvote(context, referendum).await,
        Command::Unlock => vote::unlock(context).await,
        Command::Refund { referendum } => refund::run(context, referendum).await,
        Command::Forget => refund::forget(context).await,
        Command::Payout => payout::run(context).await,
    }
}
