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
pub use worker::Worker;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Where the shipped model lies in the repository.
const DEMO: &str = "models/demo/assay-demo";

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

/// The shipped model's floats, of which `assay model import` makes an exact model.
pub fn demo_source() -> Result<PathBuf> {
    Ok(repository()?.join(DEMO))
}

/// The same floats in `folder`, with a model that hardly ever ends an answer by itself.
pub fn endless_source(folder: &Path) -> Result<PathBuf> {
    let source = folder.join("endless-source");
    copy(&demo_source()?, &source)?;
    for name in ["config.json", "generation_config.json"] {
        let path = source.join(name);
        let mut config: serde_json::Value = serde_json::from_slice(&std::fs::read(&path)?)?;
        // The token of a byte that is in no text.
        config["eos_token_id"] = serde_json::json!([192]);
        std::fs::write(&path, config.to_string())?;
    }
    Ok(source)
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
