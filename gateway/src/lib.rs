//! A gateway of one's own: official OpenAI clients ask it, and it buys the answers from providers, in
//! payment channels of the user's account.
//!
//! * [`market`] is the chain, [`choice`] picks the provider, [`channels`] holds the money within the budget,
//!   [`store`] is what must not be forgotten.
//! * [`buy`] gets one answer, from one provider after the other if need be; [`upstream`] talks to a
//!   provider's server, over [`tls`] whose key is pinned on the chain.
//! * [`recheck`] computes a share of the answers again, or [`buy`] has those scored that wait in [`scoring`]; [`evidence`]
//!   keeps what providers were caught at, and [`disputes`] takes it to the chain.
//! * [`serve`] is what clients see, [`status`] what the user asks.

mod backend;
mod books;
mod bought;
mod buy;
pub mod channels;
pub mod choice;
mod disputes;
mod evidence;
pub mod market;
mod metrics;
mod models;
mod recheck;
mod scoring;
mod serve;
mod shop;
pub mod status;
pub mod store;
mod tls;
mod upstream;

use std::{fs, net::SocketAddr, path::PathBuf, sync::Arc};

use anyhow::Context;
use assay_client::{answer::Answer, AccountId32};
use assay_primitives::Task;
use tokio::sync::watch;

use self::recheck::Suspect;

pub use self::{
    buy::check::Opinion,
    channels::{Channels, Policy},
    market::{ChainMarket, Challenger, Market},
    serve::{check_address, Room},
    shop::Terms,
    status::Report,
    store::{Owner, Store, StoreError},
};

/// In the data folder: where the running gateway listens.
const ADDRESS: &str = "address";

/// How a gateway is set up.
pub struct Config {
    pub listen: SocketAddr,
    /// What clients have to send as their API key.
    pub api_key: Option<String>,
    /// Folder of the store and the evidence.
    pub data: PathBuf,
    /// Folders of the models that can be asked.
    pub model_dirs: Vec<PathBuf>,
    pub terms: Terms,
    pub room: Room,
}

/// The store in `data`, of this account on this chain.
pub fn open_store(data: &std::path::Path, market: &dyn Market) -> Result<Store, StoreError> {
    let owner = Owner {
        genesis: market.genesis(),
        account: market.account().0,
    };
    Store::open(data, &owner)
}

/// Runs a gateway until `stop` says true. `ready` is told once it serves.
pub async fn run(
    market: Arc<dyn Market>,
    config: Config,
    stop: watch::Receiver<bool>,
    ready: impl FnOnce(SocketAddr),
) -> anyhow::Result<()> {
    serve::check_address(config.listen, config.api_key.is_some())?;
    let folders = models::open(&config.model_dirs)?;
    let listener = serve::bind(config.listen).await?;
    let store = Arc::new(open_store(&config.data, &*market)?);
    let challenger = market.challenger();
    let shop = shop::Shop::new(market, store.clone(), folders, config.terms)?;
    if let Some(challenger) = challenger {
        disputes::Disputes::new(challenger).resume(&config.data, &config.model_dirs);
    }
    shop.refresh().await?;
    let address = listener.local_addr().context("the server's address")?;
    let noted = config.data.join(ADDRESS);
    fs::write(&noted, address.to_string())
        .with_context(|| format!("{} cannot be written", noted.display()))?;
    let watching = [
        tokio::spawn(shop.clone().watch()),
        tokio::spawn(shop.clone().close()),
        tokio::spawn(books::mend(shop.clone())),
        tokio::spawn(buy::check::score_all(shop.clone())),
    ];
    ready(address);
    let (end, ends) = watch::channel(false);
    let ending = tokio::spawn(until_end(store.clone(), stop, end));
    serve::serve(listener, shop, config.api_key, config.room, ends).await;
    for task in watching.into_iter().chain([ending]) {
        task.abort();
    }
    // Whoever asks next asks the store.
    let _ = fs::remove_file(noted);
    // Without its store it can do nothing, and a store that has failed can only be opened anew.
    match store.failure() {
        Some(failure) => anyhow::bail!(failure),
        None => Ok(()),
    }
}

/// Says when it is time to end: when `stop` does, or when nothing can be written down any more.
async fn until_end(store: Arc<Store>, mut stop: watch::Receiver<bool>, end: watch::Sender<bool>) {
    tokio::select! {
        _ = stop.wait_for(|stop| *stop) => {}
        () = store.failed() => {}
    }
    end.send_replace(true);
    // Kept, so that nobody mistakes its end for the word.
    end.closed().await;
}

/// Has one provider score an answer of another, without serving anybody. `data` is the folder of a gateway that does not
/// run, or a new one: the channel that is opened stays there. `model` is a folder with at least the model's tokenizer.
pub async fn score(
    market: Arc<dyn Market>,
    data: &std::path::Path,
    model: PathBuf,
    terms: Terms,
    answer: Answer,
    by: AccountId32,
) -> anyhow::Result<Opinion> {
    anyhow::ensure!(
        answer.header.task == Task::Generate && !answer.output.is_empty(),
        "{} has no tokens that could be scored",
        answer.claim()
    );
    anyhow::ensure!(
        answer.header.provider != by,
        "{by} gave the answer itself; name another provider with --by"
    );
    answer.check().map_err(anyhow::Error::msg)?;
    let folders = models::open(&[model])?;
    let store = Arc::new(open_store(data, &*market)?);
    let shop = shop::Shop::new(market, store, folders, terms)?;
    shop.refresh().await?;
    let found = shop
        .seen()
        .models
        .iter()
        .find(|model| model.root == answer.model.root)
        .cloned();
    let model = found.with_context(|| {
        format!(
            "--model has not the text of the answer's model, or nobody lists that any more: its root is {:?}",
            answer.model.root
        )
    })?;
    anyhow::ensure!(
        model.exact,
        "nobody can score {}: its model is unverified, and two honest machines may give different tokens",
        answer.claim()
    );
    // What is mended on the way is checked as by a gateway that serves.
    let scoring = tokio::spawn(buy::check::score_all(shop.clone()));
    let opinion = buy::check::opinion(&shop, Suspect::new(answer, model), by).await;
    scoring.abort();
    // With its end the store is closed, for whoever comes next.
    let _ = scoring.await;
    opinion.map_err(anyhow::Error::msg)
}

/// Where the gateway with this data folder listens, if one runs.
pub fn address(data: &std::path::Path) -> Option<SocketAddr> {
    fs::read_to_string(data.join(ADDRESS)).ok()?.parse().ok()
}
