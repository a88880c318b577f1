//! A worker.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Result;

use crate::{demo_model, free_port, Daemon};

const START: Duration = Duration::from_secs(60);

/// A worker with its own ledger and port, which it keeps when it is started again.
pub struct Worker {
    pub daemon: Daemon,
    arguments: Vec<String>,
    log: PathBuf,
    pub http_port: u16,
}

impl Worker {
    /// A worker of the demo model for the provider whose operator has the key `operator`.
    pub fn start(folder: &Path, name: &str, chain: &str, operator: &str) -> Result<Self> {
        let http_port = free_port()?;
        let arguments = vec![
            format!("--chain={chain}"),
            format!("--operator-key={operator}"),
            format!("--model={}", demo_model().display()),
            format!("--ledger={}", folder.join(format!("{name}.redb")).display()),
            format!("--http=127.0.0.1:{http_port}"),
        ];
        let log = folder.join(format!("{name}.log"));
        let daemon = Daemon::start("assay-worker", &arguments, &log)?;
        let mut worker = Self {
            daemon,
            arguments,
            log,
            http_port,
        };
        worker.wait_until_serving(0)?;
        Ok(worker)
    }

    fn wait_until_serving(&mut self, from: usize) -> Result<()> {
        self.daemon.wait_for_log("serving", from, START)
    }

    /// Start again after [`Daemon::kill`], with the same ledger.
    pub fn start_again(&mut self) -> Result<()> {
        let from = self.daemon.log()?.len();
        self.daemon = Daemon::start("assay-worker", &self.arguments, &self.log)?;
        self.wait_until_serving(from)
    }
}
