//! Real processes for tests and for the demo: nodes, workers and the `assay` command, each in its
//! own folder and on its own loopback ports, and all gone when their owner is, also after a panic.

mod book;
pub mod cheat;
mod clients;
mod daemon;
mod damage;
mod forgery;
mod gateway;
pub mod http;
mod market;
mod marketplace;
pub mod network;
mod node;
mod port;
mod scene;
mod source;
pub mod transfers;
mod worker;

pub use book::Book;
pub use clients::Clients;
pub use daemon::{eventually, programs, stop, stopped, Daemon};
pub use forgery::forged;
pub use gateway::Gateway;
pub use market::{Assay, Outcome};
pub use marketplace::{highest_fee, GatewayBooks, Line, Marketplace, Server};
pub use node::{Node, Place};
pub use port::free_port;
pub use scene::{Provider, Scene};
pub use source::{demo_source, endless_source, qwen3_source};
pub use worker::Worker;

use source::DEMO;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The repository that this process works in: the first folder with the shipped model, from the working
/// folder upwards.
pub fn repository() -> Result<PathBuf> {
    let here = std::env::current_dir().context("the working folder")?;
    let found = here.ancestors().find(|folder| folder.join(DEMO).is_dir());
    found.map(Path::to_owned).with_context(|| {
        format!(
            "neither {} nor a folder above it has {DEMO}: start this in the repository",
            here.display()
        )
    })
}

/// A copy of a folder of files.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        std::fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}
