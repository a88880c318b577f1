//! Real processes for tests and for the demo: nodes, workers and the `assay` command, each in its
//! own folder and on its own loopback ports, and all gone when their owner is, also after a panic.

mod daemon;
mod forgery;
mod market;
mod node;
mod port;
mod scene;
mod worker;

pub use daemon::{eventually, programs, stop, stopped, Daemon};
pub use forgery::forged;
pub use market::{Assay, Outcome};
pub use node::Node;
pub use port::free_port;
pub use scene::{Provider, Scene};
pub use worker::Worker;

use std::path::{Path, PathBuf};

use anyhow::Result;

/// The shipped model's floats, of which `assay model import` makes an exact model.
pub fn demo_source() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../models/demo/assay-demo")
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
