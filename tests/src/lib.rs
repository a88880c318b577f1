//! Real processes for tests and for the demo: nodes, workers and the `assay` command, each in its
//! own folder and on its own loopback ports, and all gone when their owner is, also after a panic.

mod daemon;
mod market;
mod node;
mod scene;
mod worker;

pub use daemon::{eventually, free_port, programs, stop, stopped, Daemon};
pub use market::{Assay, Outcome};
pub use node::Node;
pub use scene::{Provider, Scene};
pub use worker::Worker;

use std::path::PathBuf;

/// The shipped model.
pub fn demo_model() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../models/demo/assay-demo")
}
