//! Networks of four validators and a full node that are started, traded on, hurt and watched from here.

mod audit;
mod customers;
mod faults;
mod halves;
mod page;
mod watch;

pub use audit::{Audit, Block, Turns};
pub use customers::{Customers, Request};
pub use faults::{Fault, Ground, Outcome};
pub use halves::Halves;
pub use page::Page;
pub use watch::{percentile, Sample, Watch};

use std::{
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use anyhow::{anyhow, ensure, Context, Result};
use assay_client::{keys, AccountId32};

use crate::{demo_source, free_port, programs, Node, Place, Scene, Worker};

/// Slots of an epoch.
const EPOCH: u64 = 20;
/// The names of the validators, which are those of the well-known keys that they have.
pub const VALIDATORS: [&str; 4] = ["alice", "bob", "charlie", "dave"];
/// A full node that keeps the state of every block.
const OBSERVER: &str = "observer";
/// A second node with keys of a validator.
const TWIN: &str = "twin";
/// Who sells: stash, and price of a token of prompt and of answer in thousandths of an ASY.
const PROVIDERS: [(&str, u32, u32); 2] = [("//Bob", 1, 3), ("//Eve", 1, 4)];
/// Jobs that a provider takes at once.
const CAPACITY: u32 = 16;
/// Far longer than nodes need to find each other.
const START: Duration = Duration::from_secs(90);

pub struct Network {
    /// The market, as the full node shows it.
    pub scene: Scene,
    /// In the order of [`VALIDATORS`].
    pub validators: Vec<Node>,
    /// The validators in their order, and then the full node.
    pub watch: Watch,
    /// One behind the full node, one behind the last validator.
    pub workers: Vec<Worker>,
    /// The specification of the chain, as an argument of its nodes.
    chain: String,
    /// Where other nodes find these.
    addresses: Vec<String>,
}

/// Where a node will be found.
struct Seat {
    name: &'static str,
    place: Place,
    port: u16,
    key: PathBuf,
    identity: String,
}

impl Network {
    /// All nodes on loopback.
    pub async fn here() -> Result<Self> {
        Self::start([(); 5].map(|()| Place::here())).await
    }

    /// Four validators at the first places and a full node at the last, once blocks become final; the shipped model
    /// is listed.
    pub async fn start(places: [Place; 5]) -> Result<Self> {
        let mut folder = tempfile::tempdir()?;
        if std::env::var_os("ASSAY_KEEP").is_some() {
            folder.disable_cleanup(true);
            eprintln!("logs and stores stay in {}", folder.path().display());
        }
        let spec = folder.path().join("spec.json");
        export_spec(&spec)?;
        let chain = format!("--chain={}", spec.display());
        let names = VALIDATORS.into_iter().chain([OBSERVER]);
        let seats = names
            .zip(places)
            .map(|(name, place)| Seat::take(folder.path(), name, place));
        let seats = seats.collect::<Result<Vec<_>>>()?;

        let addresses: Vec<String> = seats.iter().map(Seat::address).collect();
        let mut nodes = Vec::new();
        for seat in &seats {
            let own = match seat.name {
                OBSERVER => "--state-pruning=archive".into(),
                name => format!("--{name}"),
            };
            nodes.push(seat.launch(folder.path(), &chain, &addresses, own)?);
        }
        for node in &mut nodes {
            node.wait_until_up()?;
        }
        let watch = Watch::start(nodes.iter().map(Node::url).collect());
        watch.wait_until_well(START).await?;
        let observer = nodes.pop().context("the full node is the last")?;
        Ok(Self {
            scene: Scene::on(observer, folder, &demo_source()?).await?,
            validators: nodes,
            watch,
            workers: Vec::new(),
            chain,
            addresses,
        })
    }

    /// Another node with the session keys of this validator, which nobody should ever start.
    pub fn twin(&self, name: &str) -> Result<Node> {
        let folder = self.scene.folder();
        let seat = Seat::take(folder, TWIN, Place::here())?;
        let mut node = seat.launch(folder, &self.chain, &self.addresses, format!("--{name}"))?;
        node.wait_until_up()?;
        Ok(node)
    }

    /// The same with its key for votes alone: this one makes no blocks.
    pub fn voting_twin(&self, name: &str) -> Result<Node> {
        let folder = self.scene.folder();
        let output = Command::new(programs()?.join("assay-node"))
            .args(["key", "insert", "--key-type=gran", "--scheme=ed25519"])
            .arg(&self.chain)
            .arg(format!("--base-path={}", folder.join(TWIN).display()))
            .arg(format!("--suri={}", seed(name)))
            .output()?;
        ensure!(output.status.success(), "no key for votes: {output:?}");
        let seat = Seat::take(folder, TWIN, Place::here())?;
        let mut node = seat.launch(folder, &self.chain, &self.addresses, "--validator".into())?;
        node.wait_until_up()?;
        Ok(node)
    }

    /// Two providers with a worker each, that see the chain through different nodes.
    pub fn open(&mut self) -> Result<()> {
        let last = self.validators.last().context("there are validators")?;
        let urls = [self.scene.node.url(), last.url()];
        let scene = &self.scene;
        // Each of them waits for the chain several times.
        let opened = thread::scope(|scope| {
            let opening = PROVIDERS.iter().zip(&urls).enumerate();
            let opening = opening.map(|(index, (terms, url))| {
                scope.spawn(move || open(scene, terms, &format!("worker{index}"), url))
            });
            let opening: Vec<_> = opening.collect();
            let joined = opening.into_iter().map(|thread| thread.join());
            joined.collect::<Vec<_>>()
        });
        for worker in opened {
            let worker = worker.map_err(|_| anyhow!("a provider's thread ended"))?;
            self.workers.push(worker?);
        }
        Ok(())
    }
}

/// A provider at these terms, and its worker.
fn open(scene: &Scene, terms: &(&str, u32, u32), name: &str, url: &str) -> Result<Worker> {
    let (key, input, output) = *terms;
    let provider = scene.provider(key, input, output)?;
    provider.assay.json(&[
        "provider",
        "offer",
        &format!("--input-price={input} mASY"),
        &format!("--output-price={output} mASY"),
        &format!("--capacity={CAPACITY}"),
    ])?;
    let model = [scene.model.as_path()];
    Worker::start(scene.folder(), name, url, &provider.operator, &model, &[])
}

impl Seat {
    fn take(folder: &Path, name: &'static str, place: Place) -> Result<Self> {
        let key = folder.join(format!("{name}.key"));
        let output = Command::new(programs()?.join("assay-node"))
            .args(["key", "generate-node-key", "--file"])
            .arg(&key)
            .output()?;
        ensure!(output.status.success(), "no network key: {output:?}");
        Ok(Self {
            name,
            place,
            port: free_port()?,
            key,
            identity: String::from_utf8(output.stderr)?.trim().to_owned(),
        })
    }

    /// Starts a node here that knows the others' addresses and has this argument besides.
    fn launch(&self, folder: &Path, chain: &str, others: &[String], own: String) -> Result<Node> {
        let mut arguments = vec![
            chain.to_owned(),
            own,
            format!("--node-key-file={}", self.key.display()),
            "--rpc-methods=unsafe".into(),
            // Networks of one machine have the same keys and the same genesis.
            "--no-mdns".into(),
        ];
        let address = self.address();
        let others = others.iter().filter(|other| **other != address);
        arguments.extend(others.map(|other| format!("--bootnodes={other}")));
        Node::launch(folder, self.name, &self.place, self.port, &arguments)
    }

    fn address(&self) -> String {
        let address = self.place.listen_address(self.port);
        format!("{address}/p2p/{}", self.identity)
    }
}

/// The account of a well-known validator.
pub fn stash(name: &str) -> Result<AccountId32> {
    let uri = format!("{}//stash", seed(name));
    Ok(keys::account(&keys::load(&uri)?))
}

/// What the session keys of a well-known validator are made of.
fn seed(name: &str) -> String {
    let (first, rest) = name.split_at(1);
    format!("//{}{rest}", first.to_uppercase())
}

/// Writes the specification of the chain of four validators.
fn export_spec(path: &Path) -> Result<()> {
    let output = Command::new(programs()?.join("assay-node"))
        .args(["export-chain-spec", "--chain=local", "--raw", "--output"])
        .arg(path)
        .output()?;
    ensure!(output.status.success(), "no specification: {output:?}");
    Ok(())
}
