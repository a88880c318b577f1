//! The Assay node: makes, checks, finalises and serves the blocks of an Assay chain.

mod chain_spec;
mod cli;
mod command;
mod rpc;
mod service;

fn main() -> sc_cli::Result<()> {
    command::run()
}
