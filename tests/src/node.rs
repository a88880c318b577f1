//! A node.

use std::{
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{ensure, Result};
use assay_client::Chain;

use crate::{eventually, free_port, programs, Daemon};

const START: Duration = Duration::from_secs(60);

/// A key for tests, and the network identity that belongs to it.
pub(crate) const BOOTNODE_KEY: &str =
    "0000000000000000000000000000000000000000000000000000000000000001";
const BOOTNODE_ID: &str = "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp";

/// Where a node runs.
#[derive(Clone, Debug)]
pub struct Place {
    /// The address that other nodes find it at.
    pub network: Ipv4Addr,
    /// The address of its RPC, as seen from here.
    pub rpc: Ipv4Addr,
    /// Words in front of its program, as in `ip netns exec NAME`.
    pub under: Vec<String>,
}

impl Place {
    /// This machine's loopback.
    pub fn here() -> Self {
        Self {
            network: Ipv4Addr::LOCALHOST,
            rpc: Ipv4Addr::LOCALHOST,
            under: Vec::new(),
        }
    }

    /// Where a node of this place listens for others.
    pub fn listen_address(&self, port: u16) -> String {
        format!("/ip4/{}/tcp/{port}/ws", self.network)
    }
}

/// A node with its own folder and ports, which it keeps when it is started again.
pub struct Node {
    pub daemon: Daemon,
    pub name: String,
    place: Place,
    base: PathBuf,
    arguments: Vec<String>,
    log: PathBuf,
    rpc_port: u16,
    p2p_port: u16,
    /// Of `/metrics`, on its machine's loopback.
    pub metrics_port: u16,
}

impl Node {
    /// A development chain of one validator.
    pub fn development(folder: &Path) -> Result<Self> {
        Self::start(folder, "node", &["--dev"])
    }

    /// A node called `name` with these arguments besides those for its folder and ports.
    pub fn start(folder: &Path, name: &str, extra: &[&str]) -> Result<Self> {
        let extra: Vec<String> = extra.iter().map(|text| (*text).to_owned()).collect();
        let mut node = Self::launch(folder, name, &Place::here(), free_port()?, &extra)?;
        node.wait_until_up()?;
        Ok(node)
    }

    /// The same somewhere else and at a chosen port for other nodes; it may not answer yet.
    pub fn launch(
        folder: &Path,
        name: &str,
        place: &Place,
        p2p_port: u16,
        extra: &[String],
    ) -> Result<Self> {
        let rpc_port = free_port()?;
        let metrics_port = free_port()?;
        let base = folder.join(name);
        let mut arguments = extra.to_vec();
        arguments.extend([
            format!("--base-path={}", base.display()),
            format!("--rpc-port={rpc_port}"),
            format!("--listen-addr={}", place.listen_address(p2p_port)),
            format!("--prometheus-port={metrics_port}"),
            "--no-telemetry".into(),
        ]);
        if !place.rpc.is_loopback() {
            // Without the second, RPC answers only those who call it by a name of loopback.
            arguments.extend(["--unsafe-rpc-external".into(), "--rpc-cors=all".into()]);
        }
        let log = folder.join(format!("{name}.log"));
        let daemon = Daemon::start_under(&place.under, "assay-node", &arguments, &log)?;
        Ok(Self {
            daemon,
            name: name.into(),
            place: place.clone(),
            base,
            arguments,
            log,
            rpc_port,
            p2p_port,
            metrics_port,
        })
    }

    /// The first of a network: others find it at [`Node::address`].
    pub fn bootnode(folder: &Path, name: &str, extra: &[&str]) -> Result<Self> {
        let key = format!("--node-key={BOOTNODE_KEY}");
        Self::start(folder, name, &[&[key.as_str()][..], extra].concat())
    }

    /// Where other nodes find a [`Node::bootnode`].
    pub fn address(&self) -> String {
        format!(
            "{}/p2p/{BOOTNODE_ID}",
            self.place.listen_address(self.p2p_port)
        )
    }

    pub fn url(&self) -> String {
        format!("ws://{}:{}", self.place.rpc, self.rpc_port)
    }

    pub fn wait_until_up(&mut self) -> Result<()> {
        let address = (self.place.rpc, self.rpc_port);
        eventually("the node answers", START, || {
            self.daemon.check_alive()?;
            Ok(std::net::TcpStream::connect(address).ok())
        })?;
        Ok(())
    }

    /// `kill -9`, and start again on the same folder and ports.
    pub fn restart(&mut self) -> Result<()> {
        self.daemon.kill()?;
        self.start_again(&[], &[])
    }

    /// Start again what has ended, this once by way of the command `under` and with these arguments besides.
    pub fn start_again(&mut self, under: &[String], extra: &[&str]) -> Result<()> {
        let under = [&self.place.under[..], under].concat();
        let extra = extra.iter().map(|text| (*text).to_owned());
        let arguments: Vec<String> = self.arguments.iter().cloned().chain(extra).collect();
        self.daemon = Daemon::start_under(&under, "assay-node", &arguments, &self.log)?;
        self.wait_until_up()
    }

    /// Deletes the database of `chain`, and not the keys, of a node that has ended.
    pub fn purge(&self, chain: &str) -> Result<()> {
        let output = Command::new(programs()?.join("assay-node"))
            .args(["purge-chain", "-y", chain])
            .arg(format!("--base-path={}", self.base.display()))
            .output()?;
        ensure!(output.status.success(), "purge-chain failed: {output:?}");
        Ok(())
    }

    pub async fn chain(&self) -> Result<Chain> {
        Ok(Chain::connect(&self.url()).await?)
    }
}
