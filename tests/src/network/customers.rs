//! Users who ask for one answer after another.

use std::{
    path::Path,
    sync::{
        atomic::{AtomicBool, Ordering},
        Arc,
    },
    time::Duration,
};

use anyhow::{Context, Result};
use assay_client::{
    chain::{runtime, Wait},
    keys,
    primitives::{ListingId, Sampling, TokenId},
    subxt::config::PolkadotExtrinsicParamsBuilder as Params,
    text::{Message, Text},
    Chain,
};
use tokio::task::JoinSet;

use crate::transfers::Signed;

const QUESTION: &str = "What is Assay?";
const OUTPUT_TOKENS: u32 = 16;
/// More than any offer asks for an answer of this length.
const MAX_FEE: u128 = 1_000_000_000_000;
/// Between two jobs of one user.
const PAUSE: Duration = Duration::from_secs(2);
/// How long a user waits for a submission before the next.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is asked.
#[derive(Clone)]
pub struct Request {
    listing: ListingId,
    prompt: Vec<TokenId>,
}

impl Request {
    /// A question to the model of this folder, which is the chain's only listing.
    pub async fn new(chain: &Chain, model: &Path) -> Result<Self> {
        let listings = chain.best().await?.listings().await?;
        let (listing, _) = listings.first().context("a listing")?;
        let prompt = Text::open(model)?.chat(&[Message::new("user", QUESTION)])?;
        Ok(Self {
            listing: *listing,
            prompt,
        })
    }

    fn call(&self) -> impl assay_client::subxt::transactions::Payload {
        runtime::tx().jobs().submit(
            self.listing,
            runtime::runtime_types::bounded_collections::bounded_vec::BoundedVec(
                self.prompt.clone(),
            ),
            Sampling::GREEDY.into(),
            OUTPUT_TOKENS,
            OUTPUT_TOKENS,
            MAX_FEE,
            None,
        )
    }

    /// `count` jobs of the user with this key, ready to be sent in the order of their nonces.
    pub async fn sign(&self, chain: &Chain, key: &str, count: usize) -> Result<Signed> {
        let key = keys::load(key)?;
        let at = chain.best().await?;
        let mut transactions = at.client().transactions();
        let account = keys::account(&key);
        let first = transactions.account_nonce(&account).await?;
        let call = self.call();
        let mut signed = Vec::new();
        for nonce in (first..).take(count) {
            let params = Params::new().immortal().nonce(nonce).build();
            let one = transactions.create_signed(&call, &key, params).await?;
            signed.push(one.encoded().to_vec());
        }
        Ok(Signed {
            account,
            first,
            transactions: signed,
        })
    }
}

/// Users at work, until they are asked to stop or dropped.
pub struct Customers {
    stop: Arc<AtomicBool>,
    tasks: JoinSet<u32>,
}

impl Customers {
    /// Users with these keys, each with a node of its own at this address.
    pub fn start(request: &Request, users: &[(&str, String)]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        for (key, url) in users {
            let (request, stop) = (request.clone(), stop.clone());
            let (key, url) = ((*key).to_owned(), url.clone());
            tasks.spawn(async move {
                let (mut seen, mut chain) = (0, None);
                while !stop.load(Ordering::Relaxed) {
                    // Whatever goes wrong in a network that is hurt is a reason to ask again.
                    match ask(&request, &key, &url, &mut chain).await {
                        Ok(()) => seen += 1,
                        Err(_) => chain = None,
                    }
                    tokio::time::sleep(PAUSE).await;
                }
                seen
            });
        }
        Self { stop, tasks }
    }

    /// How many jobs each saw in a block, in any order.
    pub async fn stop(mut self) -> Result<Vec<u32>> {
        self.stop.store(true, Ordering::Relaxed);
        let mut seen = Vec::new();
        while let Some(one) = self.tasks.join_next().await {
            seen.push(one?);
        }
        Ok(seen)
    }
}

/// A job through a connection that is made anew when there is none.
async fn ask(request: &Request, key: &str, url: &str, chain: &mut Option<Chain>) -> Result<()> {
    if chain.is_none() {
        *chain = Some(Chain::connect(url).await?);
    }
    let chain = chain.as_ref().context("a connection")?;
    chain
        .submit(&request.call(), &keys::load(key)?, Wait::InBlock, PATIENCE)
        .await?;
    Ok(())
}
