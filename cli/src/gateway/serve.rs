//! The gateway, running.

use std::{
    io::IsTerminal,
    net::SocketAddr,
    num::{NonZeroU16, NonZeroU32},
    path::PathBuf,
    sync::Arc,
};

use assay_client::{Amount, Chain};
use assay_gateway::{ChainMarket, Config, Policy, Room, Terms};
use tokio::{
    signal::unix::{signal, SignalKind},
    sync::watch,
};
use tracing_subscriber::EnvFilter;

use super::{api_key, Place};
use crate::{
    context::{decimal, some_amount, Context},
    failure::{one_line, Failure},
};

#[derive(clap::Args)]
pub struct Args {
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
    #[arg(long, value_name = "N", default_value = "1024")]
    max_tokens: NonZeroU32,

    /// How many of the answers are checked, in percent: computed again where the model's weights are in its folder.
    #[arg(long, value_name = "PERCENT", default_value = "5", value_parser = share)]
    check: u32,

    /// Pay another provider to score the answers that are to be checked and cannot be computed here. It reads their
    /// prompts, so that this is done without being asked only with --no-seal.
    #[arg(long)]
    score: bool,

    /// Dispute answers that were computed again and found wrong, with the user's key: a bond is held outside the
    /// budget, and comes back with a reward when the provider is convicted.
    #[arg(long)]
    dispute: bool,

    /// Send prompts without sealing them to the provider.
    #[arg(long)]
    no_seal: bool,

    /// Address at which clients are served; others than this machine's need an --api-key-file.
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,

    /// The most requests that are answered at once; further ones are told to come again.
    #[arg(long, value_name = "N", default_value = "128")]
    max_requests: NonZeroU16,

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
                ..Policy::default()
            },
            max_price: args.max_price,
            seal: !args.no_seal,
            max_tokens: args.max_tokens.get(),
            check: args.check,
            score: args.score || args.no_seal,
        },
        room: Room::of(args.max_requests),
    };
    let stop = stop_signal()?;
    let market = Arc::new(ChainMarket::new(chain, key).disputing(args.dispute));
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

#[cfg(test)]
mod tests {
    use clap::Args as _;

    use super::*;

    #[test]
    fn an_answer_of_no_tokens_is_no_limit() {
        let command = Args::augment_args(clap::Command::new("gateway"));
        let given = |tokens| {
            let given = ["gateway", "--max-tokens", tokens];
            command.clone().try_get_matches_from(given)
        };
        assert!(given("1").is_ok());
        let refused = given("0").unwrap_err().to_string();
        assert!(refused.contains("--max-tokens"), "{refused}");
    }

    #[test]
    fn a_share_is_a_percentage() {
        assert_eq!(share("5"), Ok(50_000));
        assert_eq!(share("0.5%"), Ok(5_000));
        assert_eq!(share("100 %"), Ok(1_000_000));
        for text in ["101", "-1", "%", ""] {
            assert!(share(text).is_err(), "{text}");
        }
    }
}
