//! `assay devnet` as somebody meets it who has just built Assay: what it prints is typed as it stands.

use std::{
    env,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{ensure, Context, Result};
use assay_client::{keys, Chain};
use assay_tests::{free_port, programs, repository, Assay, Clients, Outcome};

const QUESTION: &str = "What is Assay?";
/// An account that has nothing.
const NEWCOMER: &str = "//Newcomer";

/// A network in its folder, that ends with the test.
struct Devnet {
    assay: Assay,
    folder: PathBuf,
    ports: [u16; 6],
}

impl Devnet {
    fn new(folder: &Path) -> Result<Self> {
        let (node, gateway) = (free_port()?, free_port()?);
        let workers = four_ports()?;
        Ok(Self {
            assay: Assay::new(&format!("ws://127.0.0.1:{node}"), "//Dave"),
            folder: folder.join("network"),
            ports: [
                node,
                gateway,
                workers,
                workers + 1,
                workers + 2,
                workers + 3,
            ],
        })
    }

    fn up(&self) -> Result<String> {
        let model = repository()?.join("models/demo/assay-demo");
        let [node, gateway, worker, ..] = self.ports;
        let outcome = self.assay.run(&[
            "devnet",
            "up",
            &format!("--dir={}", self.folder.display()),
            &format!("--model={}", model.display()),
            &format!("--node-port={node}"),
            &format!("--worker-port={worker}"),
            &format!("--gateway-port={gateway}"),
        ])?;
        good(outcome)
    }

    fn down(&self, extra: &[&str]) -> Result<Outcome> {
        let dir = format!("--dir={}", self.folder.display());
        self.assay.run(&[&["devnet", "down", &dir], extra].concat())
    }
}

impl Drop for Devnet {
    fn drop(&mut self) {
        let _ = self.down(&["--remove"]);
    }
}

/// The first of four ports in a row that nobody listens on.
fn four_ports() -> Result<u16> {
    loop {
        let first = free_port()?;
        let mut others = (1..4).map(|next| TcpListener::bind((Ipv4Addr::LOCALHOST, first + next)));
        if others.all(|bound| bound.is_ok()) {
            // Nobody in this process is given them a second time.
            for _ in 1..4 {
                free_port()?;
            }
            return Ok(first);
        }
    }
}

fn good(outcome: Outcome) -> Result<String> {
    ensure!(
        outcome.code == 0,
        "it ended with {}: {}",
        outcome.code,
        outcome.stderr
    );
    Ok(outcome.stdout)
}

/// What a terminal says to this line, with the programs of this build at hand.
fn typed(line: &str) -> Result<String> {
    let path = env::var("PATH").context("PATH is not set")?;
    let path = format!("{}:{path}", programs()?.display());
    said(Command::new("sh").args(["-c", line]).env("PATH", path))
}

fn said(command: &mut Command) -> Result<String> {
    let output = command.output()?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {stderr}");
    Ok(String::from_utf8(output.stdout)?)
}

/// The rest of the line of `text` that begins so.
fn line<'a>(text: &'a str, begin: &str) -> Result<&'a str> {
    let found = text.lines().find_map(|line| line.strip_prefix(begin));
    let found = found.with_context(|| format!("no line begins with {begin:?} in:\n{text}"))?;
    Ok(found.trim())
}

#[tokio::test]
async fn what_a_new_network_says_can_be_typed_as_it_stands() -> Result<()> {
    let clients = Clients::find()?;
    let folder = tempfile::tempdir()?;
    let devnet = Devnet::new(folder.path())?;
    let told = devnet.up()?;

    let curl = format!("curl {}", line(&told, "curl ")?);
    let answer: serde_json::Value = serde_json::from_str(&typed(&curl)?)?;
    let content = answer["choices"][0]["message"]["content"].as_str();
    ensure!(
        curl.contains(QUESTION) && content.is_some_and(|text| text.starts_with("Assay is")),
        "{curl}\n{answer}"
    );
    if let Some(clients) = &clients {
        let begin = told.find("from openai import").context("no Python")?;
        let script = told[begin..].split("\n\n").next().unwrap_or_default();
        let answer = said(&mut clients.python(script))?;
        ensure!(answer.contains("Assay"), "{script}\n{answer:?}");
    }
    let money = typed(line(&told, "where the money is:")?)?;
    ensure!(money.contains("ASY"), "{money}");
    let channels = typed(line(&told, "the user's channels:")?)?;
    ensure!(channels.contains("channel 0x"), "{channels}");
    let provider = typed(line(&told, "a provider:")?)?;
    ensure!(
        provider.contains("endpoint https://127.0.0.1:"),
        "{provider}"
    );

    // A newcomer gets money to begin with.
    let account = keys::account(&keys::load(NEWCOMER)?);
    let fund = ["devnet", "fund", &account.to_string(), "7 ASY"];
    good(devnet.assay.run(&fund)?)?;
    let chain = Chain::connect(&format!("ws://127.0.0.1:{}", devnet.ports[0])).await?;
    let has = chain.best().await?.balances(account).await?.free;
    ensure!(has == 7_000_000_000_000, "{has}");

    // Up again finds all of it running, and down ends all of it.
    ensure!(
        devnet.up()? == told,
        "it says something else the second time"
    );
    let stopped = typed(line(&told, "to stop:")?)?;
    ensure!(
        stopped.trim() == "stopped gateway, worker-2, worker-1, node",
        "{stopped}"
    );
    for port in devnet.ports {
        TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .with_context(|| format!("port {port} is still taken"))?;
    }
    ensure!(good(devnet.down(&[])?)?.trim() == "nothing ran");
    good(devnet.down(&["--remove"])?)?;
    ensure!(!devnet.folder.exists(), "the folder is still there");
    Ok(())
}
