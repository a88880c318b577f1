//! Two places with a link between them that can be taken down: network namespaces.

use std::{net::Ipv4Addr, path::Path, process::Command};

use anyhow::{ensure, Context, Result};

use crate::{repository, Place};

/// The namespaces, and a switch that joins them. They and all their devices are gone with this.
pub struct Halves {
    /// What all names of this process begin with.
    tag: String,
}

/// What operators are told to set, where the system knows this.
const SYSCTL: &str = "ops/sysctl/60-assay.conf";
const KNOWN: &str = "/proc/sys/net/ipv4/tcp_rto_max_ms";
/// Within a half its devices have the same names.
const NETWORK: &str = "net0";
const CONTROL: &str = "rpc0";

impl Halves {
    /// An error says why this machine gives no namespaces.
    pub fn open() -> Result<Self> {
        let halves = Self {
            tag: format!("asy{}", std::process::id()),
        };
        let switch = halves.switch();
        ip(&["link", "add", &switch, "type", "bridge"])?;
        ip(&["link", "set", &switch, "up"])?;
        for half in [0, 1] {
            halves.add(half)?;
        }
        Ok(halves)
    }

    fn add(&self, half: u8) -> Result<()> {
        let (name, port) = (self.namespace(half), self.port(half));
        ip(&["netns", "add", &name])?;
        ip(&["-n", &name, "link", "set", "lo", "up"])?;
        if Path::new(KNOWN).exists() {
            let settings = repository()?.join(SYSCTL);
            let settings = settings.display().to_string();
            ip(&["netns", "exec", &name, "sysctl", "-q", "-p", &settings])?;
        }
        let pair = |here: &str, there: &str| {
            ip(&[
                "link", "add", here, "type", "veth", "peer", "name", there, "netns", &name,
            ])
        };
        pair(&port, NETWORK)?;
        ip(&["link", "set", &port, "master", &self.switch()])?;
        ip(&["link", "set", &port, "up"])?;
        let address = format!("{}/24", network(half));
        ip(&["-n", &name, "addr", "add", &address, "dev", NETWORK])?;
        ip(&["-n", &name, "link", "set", NETWORK, "up"])?;

        // RPC has a link of its own, which stays: nothing goes from half to half over it, since nobody
        // forwards.
        let here = self.control(half);
        pair(&here, CONTROL)?;
        let [near, far] = control(half);
        ip(&["addr", "add", &format!("{near}/30"), "dev", &here])?;
        ip(&["link", "set", &here, "up"])?;
        ip(&[
            "-n",
            &name,
            "addr",
            "add",
            &format!("{far}/30"),
            "dev",
            CONTROL,
        ])?;
        ip(&["-n", &name, "link", "set", CONTROL, "up"])
    }

    /// One of the halves, 0 or 1.
    pub fn place(&self, half: u8) -> Place {
        let under = ["ip", "netns", "exec", &self.namespace(half)];
        Place {
            network: network(half),
            rpc: control(half)[1],
            under: under.map(str::to_owned).to_vec(),
        }
    }

    /// Takes the link between the halves down.
    pub fn cut(&self) -> Result<()> {
        ip(&["link", "set", &self.port(1), "down"])
    }

    /// Brings it up again.
    pub fn join(&self) -> Result<()> {
        ip(&["link", "set", &self.port(1), "up"])
    }

    fn switch(&self) -> String {
        format!("{}s", self.tag)
    }

    fn port(&self, half: u8) -> String {
        format!("{}n{half}", self.tag)
    }

    fn control(&self, half: u8) -> String {
        format!("{}c{half}", self.tag)
    }

    fn namespace(&self, half: u8) -> String {
        format!("{}h{half}", self.tag)
    }
}

impl Drop for Halves {
    fn drop(&mut self) {
        // A namespace outlives its name until its last process has gone; its devices go with the other end of their pair.
        for half in [0, 1] {
            let _ = ip(&["link", "delete", &self.port(half)]);
            let _ = ip(&["link", "delete", &self.control(half)]);
            let _ = ip(&["netns", "delete", &self.namespace(half)]);
        }
        let _ = ip(&["link", "delete", &self.switch()]);
    }
}

/// A half's address on the link between them. No other process sees it.
fn network(half: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 0, half + 1)
}

/// The two ends of the link from here to a half.
fn control(half: u8) -> [Ipv4Addr; 2] {
    let [_, _, high, low] = std::process::id().to_be_bytes();
    // 64 nets of four addresses in the last byte, of which this takes two neighbours.
    let first = (low % 32) * 8 + half * 4;
    [1, 2].map(|end| Ipv4Addr::new(10, 78, high, first + end))
}

fn ip(arguments: &[&str]) -> Result<()> {
    let words = arguments.join(" ");
    let output = Command::new("ip")
        .args(arguments)
        .output()
        .with_context(|| format!("ip {words}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "ip {words}: {}", said.trim());
    Ok(())
}
