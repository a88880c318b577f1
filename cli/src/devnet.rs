//! `assay devnet`: a whole Assay on this machine, for trying things out: a chain of one validator, two
//! providers with the demo model, a user with money, and the user's gateway.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command as Program, Stdio},
    time::Duration,
};

use assay_client::{folder::ModelFolder, keys, Amount, Chain};
use clap::{Args, Subcommand};
use serde_json::{json, Value};

use crate::{
    context::{some_amount, Context, Progress},
    failure::Failure,
};

mod processes;

use self::processes::{check_ports, is_well, unusable, Processes, FREED};

const PUBLISHER: &str = "//Charlie";
const PROVIDERS: [&str; 2] = ["//Bob", "//Eve"];
const USER: &str = "//Dave";
/// Who has money to give away on a development chain.
const FAUCET: &str = "//Alice";

const MODEL: &str = "assay-demo";
/// So much that many streams at once need not wait for a top-up.
const DEPOSIT: &str = "20 ASY";
const START: Duration = Duration::from_secs(120);

#[derive(Subcommand)]
pub enum Command {
    /// Start the network, or what is missing of it, and say how to talk to it.
    Up(UpArgs),
    /// Stop the network. Its chain and its files stay, and `up` goes on with them.
    Down(DownArgs),
    /// Give an account money on a development chain.
    Fund {
        /// Who gets it.
        account: String,
        /// How much, such as "100 ASY".
        #[arg(allow_hyphen_values = true, value_parser = some_amount)]
        amount: Amount,
    },
}

#[derive(Args)]
pub struct Place {
    /// Folder of the network: its chain, keys, models and logs.
    #[arg(long, value_name = "DIR", default_value = "assay-devnet")]
    dir: PathBuf,
}

#[derive(Args)]
pub struct UpArgs {
    #[command(flatten)]
    place: Place,

    /// The demo model's floats, of which an exact model is made.
    #[arg(long, value_name = "DIR", default_value = "models/demo/assay-demo")]
    model: PathBuf,

    /// Port of the node.
    #[arg(long, value_name = "PORT", default_value_t = 9944)]
    node_port: u16,

    /// First of the four ports of the workers: to serve and to be watched, twice.
    #[arg(long, value_name = "PORT", default_value_t = 9620)]
    worker_port: u16,

    /// Port of the gateway.
    #[arg(long, value_name = "PORT", default_value_t = 8080)]
    gateway_port: u16,

    /// The most that the gateway may spend, ever. To raise it, stop the network and start it with more.
    #[arg(
        long,
        value_name = "AMOUNT",
        default_value = "100 ASY",
        allow_hyphen_values = true,
        value_parser = some_amount
    )]
    budget: Amount,
}

#[derive(Args)]
pub struct DownArgs {
    #[command(flatten)]
    place: Place,

    /// Remove the folder, chain and all.
    #[arg(long)]
    remove: bool,
}

pub async fn run(context: &Context, command: Command) -> Result<(), Failure> {
    match command {
        Command::Up(args) => up(context, args).await,
        Command::Down(args) => down(context, &args),
        Command::Fund { account, amount } => fund(context, &account, amount),
    }
}

/// A network that comes up.
struct Network<'a> {
    folder: PathBuf,
    programs: PathBuf,
    args: &'a UpArgs,
    progress: Progress,
}

async fn up(context: &Context, args: UpArgs) -> Result<(), Failure> {
    let folder = &args.place.dir;
    let exists = folder.exists();
    fs::create_dir_all(folder).map_err(|error| unusable(folder, &error))?;
    let mut processes = Processes::read(folder)?;
    let kept = processes.alive();
    let network = Network {
        folder: folder
            .canonicalize()
            .map_err(|error| unusable(folder, &error))?,
        programs: programs()?,
        args: &args,
        progress: context.progress(),
    };
    let built = network.check(&processes, exists);
    if let (Err(_), false) = (&built, exists) {
        // A start that cannot succeed leaves nothing behind.
        let _ = fs::remove_dir(folder);
    }
    built?;
    if let Err(failure) = network.start(&mut processes).await {
        processes.stop(&kept)?;
        return Err(failure);
    }
    network.report(context);
    Ok(())
}

fn down(context: &Context, args: &DownArgs) -> Result<(), Failure> {
    let folder = &args.place.dir;
    if !folder.exists() {
        return Err(Failure::Usage(format!(
            "{} does not exist; name the network's folder with --dir",
            folder.display()
        )));
    }
    let stopped = Processes::read(folder)?.stop(&[])?;
    if args.remove {
        fs::remove_dir_all(folder).map_err(|error| unusable(folder, &error))?;
    }
    let json = json!({ "stopped": stopped, "removed": args.remove });
    context.show(json, || match stopped.is_empty() {
        true => "nothing ran".into(),
        false => format!("stopped {}", stopped.join(", ")),
    });
    Ok(())
}

/// Money of an account that only development chains have.
fn fund(context: &Context, account: &str, amount: Amount) -> Result<(), Failure> {
    keys::parse_account(account)?;
    let program = programs()?.join("assay");
    let planck = format!("{} planck", amount.0);
    let arguments = ["transfer", account, &planck, "--key", FAUCET];
    let json = typed(&program, context.url(), &arguments).map_err(|failure| match failure {
        Failure::Request(problem) => Failure::Request(format!(
            "{problem}; only a development chain gives {FAUCET} money"
        )),
        other => other,
    })?;
    context.show(json, || format!("{amount} went to {account}"));
    Ok(())
}

/// Where the programs of this build are.
fn programs() -> Result<PathBuf, Failure> {
    let this = std::env::current_exe().ok();
    let folder = this.as_deref().and_then(Path::parent);
    folder.map(Path::to_owned).ok_or_else(|| {
        Failure::Usage("the folder of this program cannot be told; start it by its path".into())
    })
}

/// What `assay` says as JSON to these arguments.
fn typed(program: &Path, chain: &str, arguments: &[&str]) -> Result<Value, Failure> {
    let output = Program::new(program)
        .args(arguments)
        .args(["--chain", chain, "--output", "json"])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| unusable(program, &error))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let line = said.lines().last().unwrap_or("it failed");
        let line = line.strip_prefix("assay: ").unwrap_or(line);
        return Err(Failure::Request(format!(
            "assay {}: {line}",
            arguments.join(" ")
        )));
    }
    Ok(serde_json::from_slice(&output.stdout).unwrap_or_default())
}

impl Network<'_> {
    /// What can be known to be wrong before anything is started. In a folder that `exists` a network was
    /// before, and what was killed of it may hold its ports for a while.
    fn check(&self, processes: &Processes, exists: bool) -> Result<(), Failure> {
        for program in ["assay-node", "assay-worker", "assay"] {
            let path = self.programs.join(program);
            if !path.exists() {
                return Err(Failure::Usage(format!(
                    "{} is missing; build it with `make build`",
                    path.display()
                )));
            }
        }
        if !self.model().exists() && !self.args.model.is_dir() {
            return Err(Failure::Usage(format!(
                "{} is not a folder; name that of the demo model with --model",
                self.args.model.display()
            )));
        }
        let [bob, bob_watch, eve, eve_watch] = self.worker_ports()?;
        let ports = [
            ("node", "node", self.args.node_port),
            ("worker-1", "first worker", bob),
            ("worker-1", "first worker's /health", bob_watch),
            ("worker-2", "second worker", eve),
            ("worker-2", "second worker's /health", eve_watch),
            ("gateway", "gateway", self.args.gateway_port),
        ];
        let needed = ports.iter().filter(|(name, ..)| !processes.runs(name));
        let needed: Vec<_> = needed.map(|(_, what, port)| (*what, *port)).collect();
        let patience = if exists { FREED } else { Duration::ZERO };
        check_ports(&needed, patience)
    }

    /// Says what is started, unless it runs.
    fn say(&self, processes: &Processes, name: &str, what: &str) {
        if !processes.runs(name) {
            self.progress.say(&format!("starting {what}"));
        }
    }

    fn worker_ports(&self) -> Result<[u16; 4], Failure> {
        let first = self.args.worker_port;
        let last = first.checked_add(3).filter(|_| first > 0);
        last.map(|last| [first, first + 1, first + 2, last])
            .ok_or_else(|| {
                let next = "give one from 1 to 65532";
                Failure::Usage(format!(
                    "--worker-port leaves no room for four ports; {next}"
                ))
            })
    }

    fn model(&self) -> PathBuf {
        self.folder.join(MODEL)
    }

    fn url(&self) -> String {
        format!("ws://127.0.0.1:{}", self.args.node_port)
    }

    fn program(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }

    fn assay(&self, arguments: &[&str]) -> Result<Value, Failure> {
        typed(&self.program("assay"), &self.url(), arguments)
    }

    async fn start(&self, processes: &mut Processes) -> Result<(), Failure> {
        let model = self.model();
        if !model.exists() {
            self.progress.say("making the demo model exact");
            let source = self.args.model.display().to_string();
            self.assay(&["model", "import", &source, &model.display().to_string()])?;
        }
        self.say(processes, "node", "a chain of one validator");
        let node = [
            "--dev".to_owned(),
            format!("--base-path={}", self.folder.join("node").display()),
            format!("--rpc-port={}", self.args.node_port),
            "--listen-addr=/ip4/127.0.0.1/tcp/0/ws".into(),
            "--no-prometheus".into(),
            "--no-telemetry".into(),
        ];
        processes.start("node", &self.program("assay-node"), &node)?;
        let port = self.args.node_port;
        processes.wait("node", START, || {
            std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
        })?;
        let chain = Chain::connect(&self.url()).await?;
        self.publish(&chain).await?;
        let [bob, bob_watch, eve, eve_watch] = self.worker_ports()?;
        let ports = [(bob, bob_watch), (eve, eve_watch)];
        for (number, (stash, ports)) in PROVIDERS.into_iter().zip(ports).enumerate() {
            self.provide(processes, &chain, number, stash, ports)
                .await?;
        }
        self.say(processes, "gateway", "the user's gateway");
        let gateway = [
            "gateway".to_owned(),
            format!("--chain={}", self.url()),
            format!("--key={USER}"),
            format!("--model-dir={}", model.display()),
            format!("--budget={} planck", self.args.budget.0),
            format!("--deposit={DEPOSIT}"),
            format!("--listen=127.0.0.1:{}", self.args.gateway_port),
            format!("--data={}", self.folder.join("gateway").display()),
            "--check=100".into(),
        ];
        processes.start("gateway", &self.program("assay"), &gateway)?;
        let port = self.args.gateway_port;
        processes.wait("gateway", START, || is_well(port, "/health"))
    }

    async fn publish(&self, chain: &Chain) -> Result<(), Failure> {
        let root = ModelFolder::open(self.model())?.parts()?.root();
        let listings = chain.best().await?.listings().await?;
        if listings
            .iter()
            .any(|(_, listing)| listing.parts.0.root() == root)
        {
            return Ok(());
        }
        self.progress.say("listing the model");
        let model = self.model().display().to_string();
        self.assay(&[
            "model",
            "register",
            &model,
            "--royalty",
            "2",
            "--key",
            PUBLISHER,
        ])?;
        Ok(())
    }

    /// Registers a provider, with the keys that its worker has made, and starts the worker.
    async fn provide(
        &self,
        processes: &mut Processes,
        chain: &Chain,
        number: usize,
        stash: &str,
        (serve, watch): (u16, u16),
    ) -> Result<(), Failure> {
        let name = format!("worker-{}", number.saturating_add(1));
        self.say(processes, &name, &format!("{name}, of {stash}"));
        let operator = format!("{stash}//operator");
        let account = keys::account(&keys::load(&operator)?);
        let worker = [
            format!("--chain={}", self.url()),
            format!("--operator-key={operator}"),
            format!("--model={}", self.model().display()),
            format!(
                "--ledger={}",
                self.folder.join(format!("{name}.redb")).display()
            ),
            format!("--http=127.0.0.1:{watch}"),
            format!("--serve=127.0.0.1:{serve}"),
        ];
        let snapshot = chain.best().await?;
        let provider = snapshot
            .provider(keys::account(&keys::load(stash)?))
            .await?;
        if provider.is_none() {
            let account = account.to_string();
            let endpoint = format!("https://127.0.0.1:{serve}");
            let register = ["provider", "register", "--bond", "1000 ASY", "--operator"];
            self.assay(&[&register[..], &[&account, "--key", stash]].concat())?;
            // Both providers cost the same, so that either is asked.
            let offer = [
                "provider",
                "offer",
                "--input-price",
                "1 mASY",
                "--output-price",
                "3 mASY",
            ];
            self.assay(&[&offer[..], &["--capacity", "8", "--key", stash]].concat())?;
            self.assay(&["transfer", &account, "10 ASY", "--key", stash])?;
            let (tls_key_hash, x25519_key) = self.worker_keys(&worker)?;
            let info = ["provider", "set-info", "--endpoint", &endpoint];
            let keys = ["--tls-key-hash", &tls_key_hash, "--x25519-key", &x25519_key];
            self.assay(&[&info[..], &keys, &["--key", stash]].concat())?;
        }
        processes.start(&name, &self.program("assay-worker"), &worker)?;
        processes.wait(&name, START, || is_well(watch, "/health"))
    }

    /// The public keys of a worker that has not been started yet.
    fn worker_keys(&self, worker: &[String]) -> Result<(String, String), Failure> {
        let program = self.program("assay-worker");
        let output = Program::new(&program)
            .args(worker)
            .arg("--print-keys")
            .stdin(Stdio::null())
            .output()
            .map_err(|error| unusable(&program, &error))?;
        let keys: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        match (keys["tls_key_hash"].as_str(), keys["x25519_key"].as_str()) {
            (Some(tls), Some(x25519)) => Ok((tls.to_owned(), x25519.to_owned())),
            _ => {
                let said = String::from_utf8_lossy(&output.stderr);
                let line = said.lines().last().unwrap_or("it printed none").to_owned();
                Err(Failure::Request(format!(
                    "the worker's keys cannot be read: {line}"
                )))
            }
        }
    }

    fn report(&self, context: &Context) {
        let gateway = format!("http://127.0.0.1:{}", self.args.gateway_port);
        let folder = self.folder.display();
        let chain = self.url();
        let json = json!({
            "dir": self.folder,
            "chain": chain,
            "gateway": gateway,
            "model": MODEL,
            "user": USER,
            "budget": self.args.budget,
        });
        context.show(json, || {
            format!(
                "A chain, two providers and a gateway run. The demo model is small and knows little but this project.\n\n\
                 {curl}\n\nor from Python (pip install openai):\n\n{python}\n\n\
                 where the money is:  assay gateway status --data {folder}/gateway\n\
                 the user's channels: assay channel list --key {USER} --chain {chain}\n\
                 a provider:          assay provider status --key {provider} --chain {chain}\n\
                 to stop:             assay devnet down --dir {folder}\n\n\
                 The gateway spends {budget} at most. To raise that, stop the network and start it again with --budget \
                 added, such as --budget \"{more}\".",
                provider = PROVIDERS[0],
                budget = self.args.budget,
                more = Amount(self.args.budget.0.saturating_mul(2)),
                curl = curl(&gateway),
                python = python(&gateway),
            )
        });
    }
}

fn curl(gateway: &str) -> String {
    format!(
        "curl -s {gateway}/v1/chat/completions -H 'content-type: application/json' -d '{{\"model\": \"{MODEL}\", \
         \"messages\": [{{\"role\": \"user\", \"content\": \"What is Assay?\"}}], \"max_tokens\": 64, \"temperature\": 0}}'"
    )
}

fn python(gateway: &str) -> String {
    format!(
        "from openai import OpenAI\n\
         client = OpenAI(base_url=\"{gateway}/v1\", api_key=\"none\")\n\
         messages = [{{\"role\": \"user\", \"content\": \"What is Assay?\"}}]\n\
         for chunk in client.chat.completions.create(model=\"{MODEL}\", messages=messages, max_tokens=64, stream=True):\n    \
             print(chunk.choices[0].delta.content or \"\", end=\"\", flush=True)"
    )
}

#[cfg(test)]
mod tests {
    use clap::FromArgMatches;

    use super::*;
    use crate::context::Globals;

    #[test]
    fn money_for_nobody_is_refused_by_the_address() {
        let none = clap::Command::new("assay").no_binary_name(true);
        let matches = Globals::augment_args(none).get_matches_from([""; 0]);
        let context = Context::new(Globals::from_arg_matches(&matches).unwrap());
        let failed = fund(&context, "nonsense", Amount(1)).unwrap_err();
        let (told, address) = (failed.to_string(), keys::parse_account("nonsense"));
        assert_eq!(told, address.unwrap_err().to_string());
    }
}
