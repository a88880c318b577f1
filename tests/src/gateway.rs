//! A gateway.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Result;

use crate::{eventually, free_port, http, Assay, Daemon};

const START: Duration = Duration::from_secs(60);

/// A gateway with its own folder and port, which it keeps when it is started again.
pub struct Gateway {
    pub daemon: Daemon,
    arguments: Vec<String>,
    log: PathBuf,
    pub port: u16,
    /// Where it keeps voucher keys, receipts and evidence.
    pub data: PathBuf,
}

impl Gateway {
    /// A gateway that buys answers of this model with the money of a user, at most `budget` of it.
    pub fn start(
        folder: &Path,
        name: &str,
        user: &Assay,
        model: &Path,
        budget: &str,
        extra: &[&str],
    ) -> Result<Self> {
        let port = free_port()?;
        let data = folder.join(name);
        let mut arguments = user.words(&[
            "gateway",
            &format!("--model-dir={}", model.display()),
            &format!("--budget={budget}"),
            &format!("--listen=127.0.0.1:{port}"),
            &format!("--data={}", data.display()),
        ]);
        arguments.extend(extra.iter().map(|text| (*text).to_owned()));
        let log = folder.join(format!("{name}.log"));
        let daemon = Daemon::start("assay", &arguments, &log)?;
        let mut gateway = Self {
            daemon,
            arguments,
            log,
            port,
            data,
        };
        gateway.wait_until_up()?;
        Ok(gateway)
    }

    /// Start again after [`Daemon::kill`], with the same folder.
    pub fn start_again(&mut self) -> Result<()> {
        self.daemon = Daemon::start("assay", &self.arguments, &self.log)?;
        self.wait_until_up()
    }

    fn wait_until_up(&mut self) -> Result<()> {
        let port = self.port;
        eventually("the gateway answers", START, || {
            self.daemon.check_alive()?;
            Ok(http::get(port, "/health").ok().map(drop))
        })
    }
}
