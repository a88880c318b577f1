//! A worker.

use std::{
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::{eventually, free_port, Daemon};

const START: Duration = Duration::from_secs(60);

/// A worker with its own ledger and port, which it keeps when it is started again.
pub struct Worker {
    pub daemon: Daemon,
    arguments: Vec<String>,
    log: PathBuf,
    pub http_port: u16,
}

impl Worker {
    /// A worker of these models for the provider whose operator has the key `operator`. One that does not get
    /// as far as serving is an error with the end of its log.
    pub fn start(
        folder: &Path,
        name: &str,
        chain: &str,
        operator: &str,
        models: &[&Path],
    ) -> Result<Self> {
        let http_port = free_port()?;
        let mut arguments = vec![
            format!("--chain={chain}"),
            format!("--operator-key={operator}"),
            format!("--ledger={}", folder.join(format!("{name}.redb")).display()),
            format!("--http=127.0.0.1:{http_port}"),
        ];
        arguments.extend(
            models
                .iter()
                .map(|model| format!("--model={}", model.display())),
        );
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

    /// What `/health` says: whether all is well, and if not, why.
    pub fn health(&self) -> Result<Result<(), String>> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.http_port))?;
        write!(
            stream,
            "GET /health HTTP/1.1\r\nHost: worker\r\nConnection: close\r\n\r\n"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").context("a page has a body")?;
        let body: Value = serde_json::from_str(body)?;
        Ok(match head.starts_with("HTTP/1.1 200") {
            true => Ok(()),
            false => Err(body["reason"].as_str().unwrap_or_default().to_owned()),
        })
    }

    /// Wait until `/health` gives a reason with `text` in it.
    pub fn wait_until_degraded(&self, text: &str, limit: Duration) -> Result<()> {
        eventually(&format!("/health says {text:?}"), limit, || {
            Ok(self
                .health()?
                .err()
                .filter(|why| why.contains(text))
                .map(drop))
        })
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
