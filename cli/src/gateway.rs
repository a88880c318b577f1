//! `assay gateway`: official OpenAI clients, answers from providers of the market, paid from channels of
//! the user's own.

use std::{
    fs,
    io::{ErrorKind, IsTerminal},
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
};

use assay_client::{Amount, Chain};
use assay_gateway::{
    channels::MoneyError, ChainMarket, Channels, Config, Policy, Store, StoreError, Terms,
};
use assay_primitives::Balance;
use clap::{Args as ClapArgs, Subcommand};
use serde_json::{json, Value};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    signal::unix::{signal, SignalKind},
    sync::watch,
};
use tracing_subscriber::EnvFilter;

use crate::{
    context::{decimal, some_amount, Context},
    failure::Failure,
};

#[derive(ClapArgs)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    serve: ServeArgs,
}

#[derive(Subcommand)]
enum Command {
    /// Show where the money is: wallet, channels, refunds, and spending by model.
    Status(Place),
    /// Begin to close all channels, and end those whose window is over. The gateway must not be running.
    Close(Place),
    /// Show an answer's receipt, which `assay verify` reads.
    Receipt {
        /// Channel and number of the request, as in the field `assay` of an answer.
        #[arg(value_name = "CHANNEL/SEQ")]
        request: String,
        #[command(flatten)]
        place: Place,
    },
    /// Write everything, keys included, into a new file. The gateway must not be running.
    Backup {
        /// The new file. Whoever reads it can spend what is in the channels.
        file: PathBuf,
        #[command(flatten)]
        place: Place,
    },
    /// Make a data folder from a backup. Its channels are only closed, since what was signed after the
    /// backup is not in it.
    Restore {
        /// A file that `assay gateway backup` wrote.
        file: PathBuf,
        #[command(flatten)]
        place: Place,
    },
}

#[derive(ClapArgs)]
struct Place {
    /// Folder of the gateway's store, keys and evidence.
    #[arg(long, value_name = "DIR", default_value = "assay-gateway")]
    data: PathBuf,

    /// File with the key that clients have to send.
    #[arg(long, value_name = "FILE")]
    api_key_file: Option<PathBuf>,
}

#[derive(ClapArgs)]
struct ServeArgs {
    /// Folder of a model that can be asked: of an exact one, or only its tokenizer and chat template. May
    /// be given several times; clients know each by the folder's name.
    #[arg(long, value_name = "DIR", env = "ASSAY_MODEL_DIR")]
    model_dir: Vec<PathBuf>,

    /// The most that may be in channels and spent, ever, with this data folder, such as "10 ASY".
    #[arg(long, value_name = "AMOUNT", allow_hyphen_values = true, value_parser = some_amount)]
    budget: Option<Amount>,

    /// What a channel is opened with, and topped up by.
    #[arg(long, value_name = "AMOUNT", default_value = "1 ASY", allow_hyphen_values = true, value_parser = some_amount)]
    deposit: Amount,

    /// The most for a token, of the prompt or of the answer [default: whatever is asked].
    #[arg(long, value_name = "AMOUNT", allow_hyphen_values = true)]
    max_price: Option<Amount>,

    /// The most tokens of an answer whose request names no limit.
    #[arg(long, value_name = "N", default_value_t = 1024)]
    max_tokens: u32,

    /// How many of the answers are computed again here, in percent. Needs the model's weights.
    #[arg(long, value_name = "PERCENT", default_value = "5", value_parser = share)]
    check: u32,

    /// Send prompts without sealing them to the provider.
    #[arg(long)]
    no_seal: bool,

    /// Address at which clients are served; others than this machine's need an --api-key-file.
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,

    #[command(flatten)]
    place: Place,
}

/// A percentage in parts per million.
fn share(text: &str) -> Result<u32, String> {
    match decimal(text.trim_end_matches('%').trim_end(), 4)? {
        share @ ..=1_000_000 => Ok(share),
        _ => Err("more than all cannot be checked; give 0 to 100".into()),
    }
}

pub async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    match args.command {
        None => serve(context, args.serve).await,
        Some(Command::Status(place)) => status(context, &place).await,
        Some(Command::Close(place)) => close(context, &place).await,
        Some(Command::Receipt { request, place }) => receipt(context, &request, &place).await,
        Some(Command::Backup { file, place }) => {
            Store::backup(&place.data, &file).map_err(of_store)?;
            let json = json!({ "file": file });
            context.show(json, || {
                let file = file.display();
                format!(
                    "{file} holds everything, keys included: keep it where nobody else reads it"
                )
            });
            Ok(())
        }
        Some(Command::Restore { file, place }) => {
            Store::restore(&place.data, &file).map_err(of_store)?;
            let json = json!({ "data": place.data });
            context.show(json, || {
                format!(
                    "{} is restored; the gateway closes its channels when it runs, and opens others",
                    place.data.display()
                )
            });
            Ok(())
        }
    }
}

async fn serve(context: &Context, args: ServeArgs) -> Result<(), Failure> {
    if args.model_dir.is_empty() {
        let next = "name a model's folder with --model-dir";
        return Err(Failure::Usage(format!("there is nothing to ask; {next}")));
    }
    let Some(Amount(budget)) = args.budget else {
        let next = "say with --budget how much may be spent, such as \"10 ASY\"";
        return Err(Failure::Usage(format!("no budget is given; {next}")));
    };
    let key = context.key()?;
    let api_key = api_key(&args.place)?;
    let usage = |error: anyhow::Error| Failure::Usage(one_line(&format!("{error:#}")));
    assay_gateway::check_address(args.listen, api_key.is_some()).map_err(usage)?;
    start_log();
    let chain = Chain::connect_for_long(context.url()).await?;
    let config = Config {
        listen: args.listen,
        api_key,
        data: args.place.data,
        model_dirs: args.model_dir,
        terms: Terms {
            policy: Policy {
                budget,
                step: args.deposit.0,
            },
            max_price: args.max_price,
            seal: !args.no_seal,
            max_tokens: args.max_tokens,
            check: args.check,
        },
    };
    let stop = stop_signal()?;
    let market = Arc::new(ChainMarket::new(chain, key));
    let progress = context.progress();
    let served = assay_gateway::run(market, config, stop, |address| {
        progress.say(&format!("serving http://{address}/v1 to OpenAI clients"));
    });
    served.await.map_err(usage)
}

/// What happens goes to standard error, as much as RUST_LOG says.
fn start_log() {
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new("warn,assay_gateway=info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
}

fn api_key(place: &Place) -> Result<Option<String>, Failure> {
    let Some(path) = &place.api_key_file else {
        return Ok(None);
    };
    let problem = |problem: String| Failure::Usage(format!("{}: {problem}", path.display()));
    let content = fs::read_to_string(path)
        .map_err(|error| problem(format!("cannot be read: {error}; check the path")))?;
    match content.trim() {
        "" => Err(problem("holds no key; write one line, the key".into())),
        key => Ok(Some(key.to_owned())),
    }
}

/// Becomes true when the process is asked to end.
fn stop_signal() -> Result<watch::Receiver<bool>, Failure> {
    let deaf = |error| Failure::Usage(format!("cannot listen for signals: {error}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(deaf)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(deaf)?;
    let (sender, receiver) = watch::channel(false);
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        sender.send_replace(true);
        // Kept, so that nobody mistakes its end for the signal.
        sender.closed().await;
    });
    Ok(receiver)
}

/// The store of a gateway that does not run, and the user's market.
async fn open(context: &Context, place: &Place) -> Result<Opened, Failure> {
    if !place.data.exists() {
        return Err(Failure::Usage(format!(
            "{} does not exist; name the gateway's folder with --data",
            place.data.display()
        )));
    }
    let key = context.key()?;
    let market = Arc::new(ChainMarket::new(context.chain().await?, key));
    let store = assay_gateway::open_store(&place.data, &*market);
    let store = match store {
        Ok(store) => Arc::new(store),
        Err(StoreError::Locked(_)) => return Ok(Opened::Running),
        Err(error) => return Err(of_store(error)),
    };
    let policy = Policy { budget: 0, step: 0 };
    let channels = Channels::new(market.clone(), store.clone(), policy).map_err(of_store)?;
    channels.reconcile().await.map_err(of_money)?;
    Ok(Opened::Here(market, store, channels))
}

enum Opened {
    Here(Arc<ChainMarket>, Arc<Store>, Channels),
    Running,
}

async fn status(context: &Context, place: &Place) -> Result<(), Failure> {
    let asked = match assay_gateway::address(&place.data) {
        Some(address) => ask(place, address, "/status").await?,
        None => None,
    };
    let report = match asked {
        Some(report) => report,
        None => read(context, place).await?,
    };
    context.show(report.clone(), || text(&report));
    Ok(())
}

/// The report of a gateway that does not run.
async fn read(context: &Context, place: &Place) -> Result<Value, Failure> {
    match open(context, place).await? {
        Opened::Here(market, store, channels) => {
            let report = assay_gateway::status::report(&*market, &store, &channels).await;
            let report = report.map_err(|error| Failure::Request(one_line(&error.to_string())))?;
            Ok(serde_json::to_value(report).unwrap_or_default())
        }
        Opened::Running => Err(Failure::Request(format!(
            "{} is in use, and the gateway that uses it does not serve yet; try again",
            place.data.display()
        ))),
    }
}

async fn close(context: &Context, place: &Place) -> Result<(), Failure> {
    let Opened::Here(_, _, channels) = open(context, place).await? else {
        return Err(of_store(StoreError::Locked(place.data.clone())));
    };
    let (closing, ended) = channels.close_all().await.map_err(of_money)?;
    let json = json!({ "closing": closing, "ended": ended });
    context.show(json, || closed(closing, ended));
    Ok(())
}

fn closed(closing: usize, ended: usize) -> String {
    let begin = match closing {
        1 => "1 channel begins".to_owned(),
        closing => format!("{closing} channels begin"),
    };
    let were = if ended == 1 { "was" } else { "were" };
    format!(
        "{begin} to close and {ended} {were} ended; see `assay gateway status` for when the money is back"
    )
}

async fn receipt(context: &Context, request: &str, place: &Place) -> Result<(), Failure> {
    let no_request = || {
        Failure::Usage(format!(
            "{request:?} names no request; write CHANNEL/SEQ, as in the field `assay` of an answer"
        ))
    };
    let (channel, seq) = request.split_once('/').ok_or_else(no_request)?;
    let channel = channel.parse().map_err(|_| no_request())?;
    let seq = seq.parse().map_err(|_| no_request())?;
    let Opened::Here(_, store, _) = open(context, place).await? else {
        return Err(of_store(StoreError::Locked(place.data.clone())));
    };
    let answer = store.answer(&channel, seq).map_err(of_store)?;
    let answer = answer.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
    let answer = answer.ok_or_else(|| {
        Failure::Request(format!(
            "the receipt of {request} is not kept with its tokens; see `assay gateway status`"
        ))
    })?;
    context.print_json(&answer);
    Ok(())
}

/// What the running gateway says; nothing if none listens at the address, since one that was killed
/// leaves it behind.
async fn ask(place: &Place, address: SocketAddr, path: &str) -> Result<Option<Value>, Failure> {
    let failed = |problem: &dyn std::fmt::Display| {
        Failure::Request(format!(
            "the gateway at {address} does not say: {problem}; if it wants a key, give --api-key-file"
        ))
    };
    let key = api_key(place)?;
    let key = key.map(|key| format!("Authorization: Bearer {key}\r\n"));
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\n{}Connection: close\r\n\r\n",
        key.unwrap_or_default()
    );
    let said = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut said = String::new();
        stream.read_to_string(&mut said).await?;
        Ok::<_, std::io::Error>(said)
    };
    let said = match said.await {
        Ok(said) => said,
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => return Ok(None),
        Err(error) => return Err(failed(&error)),
    };
    let (head, body) = said.split_once("\r\n\r\n").unwrap_or_default();
    if !head.starts_with("HTTP/1.1 200") {
        return Err(failed(&head.lines().next().unwrap_or("nothing")));
    }
    let said = serde_json::from_str(body).map_err(|error| failed(&error))?;
    Ok(Some(said))
}

fn of_store(error: StoreError) -> Failure {
    Failure::Usage(match error {
        StoreError::Locked(folder) => format!(
            "the gateway is running with {}; stop it first",
            folder.display()
        ),
        other => one_line(&other.to_string()),
    })
}

fn of_money(error: MoneyError) -> Failure {
    match error {
        MoneyError::Chain(error) => error.into(),
        other => Failure::Request(one_line(&other.to_string())),
    }
}

fn one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The report for people. It may come from a gateway of another version, so it is read as JSON.
fn text(report: &Value) -> String {
    let amount = |value: &Value| {
        let planck: Option<Balance> = value.as_str().and_then(|text| text.parse().ok());
        planck.map_or("unknown".into(), |planck| Amount(planck).to_string())
    };
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |name: &str| report[name].as_array().cloned().unwrap_or_default();
    let mut lines = vec![
        format!("account {}", word(&report["account"])),
        format!("  wallet    {}", amount(&report["wallet"])),
        format!(
            "  committed {} of the budget: in channels, or paid from them",
            amount(&report["committed"])
        ),
    ];
    for channel in list("channels") {
        lines.push(format!(
            "channel {} for {} with {}",
            word(&channel["channel"]),
            word(&channel["model"]),
            word(&channel["provider"]),
        ));
        let until = match channel["finalize_at"].as_u64() {
            Some(block) => format!(" until block {block}"),
            None => String::new(),
        };
        lines.push(format!(
            "  {}{until}: {} in it, {} spent, {} signed, {} settled, {} back",
            word(&channel["state"]),
            amount(&channel["deposit"]),
            amount(&channel["spent"]),
            amount(&channel["signed"]),
            amount(&channel["settled"]),
            amount(&channel["refunded"]),
        ));
        if let Some(why) = channel["retired"].as_str() {
            lines.push(format!("  nothing more is bought through it: {why}"));
        }
    }
    for coming in list("coming") {
        lines.push(format!("a channel with {} is on its way", amount(&coming)));
    }
    for model in list("spending") {
        lines.push(format!(
            "{}: {} for {} requests, {} tokens in, {} out",
            word(&model["model"]),
            amount(&model["fees"]),
            model["requests"],
            model["prompt_tokens"],
            model["output_tokens"],
        ));
    }
    for evidence in list("evidence") {
        lines.push(format!("EVIDENCE against a provider: {}", word(&evidence)));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use clap::FromArgMatches;

    use super::*;
    use crate::context::Globals;

    #[test]
    fn a_share_is_a_percentage() {
        assert_eq!(share("5"), Ok(50_000));
        assert_eq!(share("0.5%"), Ok(5_000));
        assert_eq!(share("100 %"), Ok(1_000_000));
        for text in ["101", "-1", "%", ""] {
            assert!(share(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_report_says_where_the_money_is() {
        let report = json!({
            "account": "5G", "wallet": null, "committed": "1500000000000",
            "channels": [{
                "channel": "0x01", "provider": "5P", "model": "demo", "state": "closing", "finalize_at": 9,
                "deposit": "1000000000000", "spent": "2000000000", "signed": "3000000000", "settled": "0",
                "refunded": "0", "retired": "its provider has left",
            }],
            "coming": ["500000000000"],
            "spending": [{ "model": "demo", "requests": 2, "prompt_tokens": 7, "output_tokens": 9, "fees": "2000000000" }],
            "evidence": ["channel-0x01.json"],
        });
        let text = text(&report);
        for part in [
            "wallet    unknown",
            "committed 1.5 ASY of the budget",
            "closing until block 9: 1 ASY in it, 2 mASY spent, 3 mASY signed",
            "its provider has left",
            "500 mASY is on its way",
            "demo: 2 mASY for 2 requests, 7 tokens in, 9 out",
            "EVIDENCE",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn one_channel_is_told_as_one() {
        assert!(closed(1, 0).starts_with("1 channel begins to close and 0 were ended"));
        assert!(closed(2, 1).starts_with("2 channels begin to close and 1 was ended"));
    }

    #[test]
    fn a_folder_in_use_is_told_with_the_way_out() {
        let told = of_store(StoreError::Locked("here".into())).to_string();
        assert_eq!(told, "the gateway is running with here; stop it first");
    }

    #[test]
    fn every_argument_says_what_it_is() {
        let command = Args::augment_args(clap::Command::new("gateway"));
        for name in ["backup", "restore"] {
            let command = command.find_subcommand(name).unwrap();
            for argument in command.get_arguments() {
                assert!(argument.get_help().is_some(), "{name} {argument}");
            }
        }
    }

    fn folder_of(address: SocketAddr) -> (tempfile::TempDir, Place) {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("address"), address.to_string()).unwrap();
        let data = folder.path().to_owned();
        let place = Place {
            data,
            api_key_file: None,
        };
        (folder, place)
    }

    #[tokio::test]
    async fn a_running_gateway_is_asked_without_a_key() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (_folder, place) = folder_of(listener.local_addr().unwrap());
        let none = clap::Command::new("assay").no_binary_name(true);
        let matches = Globals::augment_args(none).get_matches_from(["--chain", "ws://127.0.0.1:1"]);
        let context = Context::new(Globals::from_arg_matches(&matches).unwrap());
        let gateway = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = [0; 4096];
            let length = stream.read(&mut asked).await.unwrap();
            assert!(asked[..length].starts_with(b"GET /status HTTP/1.1"));
            stream
                .write_all(b"HTTP/1.1 200 OK\r\n\r\n{}")
                .await
                .unwrap();
        };
        let asked = async { tokio::join!(status(&context, &place), gateway) };
        let both = tokio::time::timeout(std::time::Duration::from_secs(20), asked).await;
        let (shown, ()) = both.expect("nobody asked the gateway");
        shown.unwrap();
        // One that was killed leaves its address behind; then the store is read, and that takes a key.
        drop(listener);
        let failed = status(&context, &place).await.unwrap_err().to_string();
        assert!(!failed.contains("does not say"), "{failed}");
    }
}
