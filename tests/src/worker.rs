//! A worker.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::{eventually, free_port, http, programs, Daemon};

const START: Duration = Duration::from_secs(60);

/// A worker with its own ledger and port, which it keeps when it is started again.
pub struct Worker {
    pub daemon: Daemon,
    arguments: Vec<String>,
    log: PathBuf,
    pub http_port: u16,
}

impl Worker {
    /// The keys that such a worker's server will have, as the options of `assay provider set-info`.
    pub fn keys(
        folder: &Path,
        name: &str,
        chain: &str,
        operator: &str,
        models: &[&Path],
        extra: &[String],
    ) -> Result<[String; 2]> {
        let arguments = arguments(folder, name, chain, operator, models, extra);
        let output = Command::new(programs()?.join("assay-worker"))
            .args(arguments)
            .arg("--print-keys")
            .output()?;
        let keys: Value = serde_json::from_slice(&output.stdout)
            .with_context(|| format!("no keys in {output:?}"))?;
        let key = |name: &str| {
            let hex = keys[name].as_str();
            hex.with_context(|| format!("no {name} in {keys}"))
        };
        Ok([
            format!("--tls-key-hash={}", key("tls_key_hash")?),
            format!("--x25519-key={}", key("x25519_key")?),
        ])
    }

    /// A worker of these models for the provider whose operator has the key `operator`, with these arguments
    /// besides. One that does not get as far as serving is an error with the end of its log.
    pub fn start(
        folder: &Path,
        name: &str,
        chain: &str,
        operator: &str,
        models: &[&Path],
        extra: &[String],
    ) -> Result<Self> {
        let http_port = free_port()?;
        let mut arguments = arguments(folder, name, chain, operator, models, extra);
        arguments.push(format!("--http=127.0.0.1:{http_port}"));
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
        let page = http::get(self.http_port, "/health")?;
        let body: Value = serde_json::from_str(&page.body)?;
        Ok(match page.status {
            200 => Ok(()),
            _ => Err(body["reason"].as_str().unwrap_or_default().to_owned()),
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

    /// Where clients with channels are served; none if nobody is.
    pub fn url(&self) -> Option<String> {
        let mut words = self.arguments.iter();
        let address = words.find_map(|word| word.strip_prefix("--serve="))?;
        Some(format!("https://{address}"))
    }

    /// Start again after [`Daemon::kill`], with the same ledger.
    pub fn start_again(&mut self) -> Result<()> {
        let from = self.daemon.log()?.len();
        self.daemon = Daemon::start("assay-worker", &self.arguments, &self.log)?;
        self.wait_until_serving(from)
    }
}

fn arguments(
    folder: &Path,
    name: &str,
    chain: &str,
    operator: &str,
    models: &[&Path],
    extra: &[String],
) -> Vec<String> {
    let mut arguments = vec![
        format!("--chain={chain}"),
        format!("--operator-key={operator}"),
        format!("--ledger={}", folder.join(format!("{name}.redb")).display()),
    ];
    let models = models.iter();
    arguments.extend(models.map(|model| format!("--model={}", model.display())));
    arguments.extend_from_slice(extra);
    arguments
}
