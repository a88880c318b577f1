//! A node.

use std::{path::Path, time::Duration};

use anyhow::Result;
use assay_client::Chain;

use crate::{eventually, free_port, Daemon};

const START: Duration = Duration::from_secs(60);

/// A key for tests, and the network identity that belongs to it.
const BOOTNODE_KEY: &str = "0000000000000000000000000000000000000000000000000000000000000001";
const BOOTNODE_ID: &str = "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp";

fn listen_address(port: u16) -> String {
    format!("/ip4/127.0.0.1/tcp/{port}/ws")
}

/// A node with its own folder and ports, which it keeps when it is started again.
pub struct Node {
    pub daemon: Daemon,
    arguments: Vec<String>,
    log: std::path::PathBuf,
    rpc_port: u16,
    p2p_port: u16,
}

impl Node {
    /// A development chain of one validator.
    pub fn development(folder: &Path) -> Result<Self> {
        Self::start(folder, "node", &["--dev"])
    }

    /// A node called `name` with these arguments besides those for its folder and ports.
    pub fn start(folder: &Path, name: &str, extra: &[&str]) -> Result<Self> {
        let rpc_port = free_port()?;
        let p2p_port = free_port()?;
        let base = folder.join(name);
        let mut arguments: Vec<String> = extra.iter().map(|text| (*text).to_owned()).collect();
        arguments.extend([
            format!("--base-path={}", base.display()),
            format!("--rpc-port={rpc_port}"),
            format!("--listen-addr={}", listen_address(p2p_port)),
            "--no-prometheus".into(),
            "--no-telemetry".into(),
        ]);
        let log = folder.join(format!("{name}.log"));
        let daemon = Daemon::start("assay-node", &arguments, &log)?;
        let mut node = Self {
            daemon,
            arguments,
            log,
            rpc_port,
            p2p_port,
        };
        node.wait_until_up()?;
        Ok(node)
    }

    /// The first of a network: others find it at [`Node::address`].
    pub fn bootnode(folder: &Path, name: &str, extra: &[&str]) -> Result<Self> {
        let key = format!("--node-key={BOOTNODE_KEY}");
        Self::start(folder, name, &[&[key.as_str()][..], extra].concat())
    }

    /// Where other nodes find a [`Node::bootnode`].
    pub fn address(&self) -> String {
        format!("{}/p2p/{BOOTNODE_ID}", listen_address(self.p2p_port))
    }

    pub fn url(&self) -> String {
        format!("ws://127.0.0.1:{}", self.rpc_port)
    }

    fn wait_until_up(&mut self) -> Result<()> {
        let port = self.rpc_port;
        eventually("the node answers", START, || {
            self.daemon.check_alive()?;
            Ok(std::net::TcpStream::connect(("127.0.0.1", port)).ok())
        })?;
        Ok(())
    }

    /// `kill -9`, and start again on the same folder and ports.
    pub fn restart(&mut self) -> Result<()> {
        self.daemon.kill()?;
        self.daemon = Daemon::start("assay-node", &self.arguments, &self.log)?;
        self.wait_until_up()
    }

    pub async fn chain(&self) -> Result<Chain> {
        Ok(Chain::connect(&self.url()).await?)
    }
}
