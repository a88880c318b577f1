//! `assay gateway`: official OpenAI clients, answers from providers of the market, paid from channels of
//! the user's own.

mod serve;
mod status;

use std::{fs, path::PathBuf, sync::Arc};

use assay_gateway::{channels::MoneyError, ChainMarket, Channels, Policy, Store, StoreError};
use clap::Subcommand;
use serde_json::{json, Value};

use crate::{
    context::Context,
    failure::{one_line, Failure},
};

#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    serve: serve::Args,
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

#[derive(clap::Args)]
struct Place {
    /// Folder of the gateway's store, keys and evidence.
    #[arg(long, value_name = "DIR", default_value = "assay-gateway")]
    data: PathBuf,

    /// File with the key that clients have to send.
    #[arg(long, value_name = "FILE")]
    api_key_file: Option<PathBuf>,
}

pub async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    match args.command {
        None => serve::run(context, args.serve).await,
        Some(Command::Status(place)) => status::run(context, &place).await,
        Some(Command::Close(place)) => close(context, &place).await,
        Some(Command::Receipt { request, place }) => receipt(context, &request, &place),
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

/// The store of a gateway that does not run, and the user's market; none if it runs.
async fn open(context: &Context, place: &Place) -> Result<Option<Opened>, Failure> {
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
        Err(StoreError::Locked(_)) => return Ok(None),
        Err(error) => return Err(of_store(error)),
    };
    let policy = Policy::default();
    let channels = Channels::new(market.clone(), store.clone(), policy).map_err(of_store)?;
    channels.reconcile().await.map_err(of_money)?;
    Ok(Some(Opened {
        market,
        store,
        channels,
    }))
}

struct Opened {
    market: Arc<ChainMarket>,
    store: Arc<Store>,
    channels: Channels,
}

async fn close(context: &Context, place: &Place) -> Result<(), Failure> {
    let Some(Opened { channels, .. }) = open(context, place).await? else {
        return Err(of_store(StoreError::Locked(place.data.clone())));
    };
    let (closing, ended) = channels.close_all().await.map_err(of_money)?;
    let unknown = channels.unknown().len();
    let json = json!({ "closing": closing, "ended": ended, "unknown": unknown });
    context.show(json, || closed(closing, ended, unknown));
    Ok(())
}

fn closed(closing: usize, ended: usize, unknown: usize) -> String {
    let begin = match closing {
        1 => "1 channel begins".to_owned(),
        closing => format!("{closing} channels begin"),
    };
    let were = if ended == 1 { "was" } else { "were" };
    let others = match unknown {
        0 => String::new(),
        unknown => format!(
            ", and for how to close the {unknown} of the account that the store does not know"
        ),
    };
    format!(
        "{begin} to close and {ended} {were} ended; see `assay gateway status` for when the money is back{others}"
    )
}

/// It needs neither the key nor the chain: whoever has the folder may read it.
fn receipt(context: &Context, request: &str, place: &Place) -> Result<(), Failure> {
    let no_request = || {
        Failure::Usage(format!(
            "{request:?} names no request; write CHANNEL/SEQ, as in the field `assay` of an answer"
        ))
    };
    let (channel, seq) = request.split_once('/').ok_or_else(no_request)?;
    let channel = channel.parse().map_err(|_| no_request())?;
    let seq = seq.parse().map_err(|_| no_request())?;
    let store = Store::found(&place.data).map_err(of_store)?;
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

#[cfg(test)]
mod tests {
    use clap::Args as _;

    use super::*;

    #[test]
    fn one_channel_is_told_as_one() {
        assert!(closed(1, 0, 0).starts_with("1 channel begins to close and 0 were ended"));
        assert!(closed(2, 1, 0).ends_with("for when the money is back"));
        let told = closed(2, 1, 3);
        assert!(told.starts_with("2 channels begin to close and 1 was ended"));
        assert!(told.ends_with("the 3 of the account that the store does not know"));
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
}
