//! Transfers by the thousand.

use std::time::{Duration, Instant};

use anyhow::{ensure, Context, Result};
use assay_client::{
    chain::runtime,
    keys,
    subxt::{
        config::{PolkadotExtrinsicParamsBuilder as Params, RpcConfigFor},
        rpcs::{client::RpcClient, LegacyRpcMethods},
        PolkadotConfig,
    },
    AccountId32, Chain, Keypair, Snapshot,
};
use tokio::task::JoinSet;

type Rpc = LegacyRpcMethods<RpcConfigFor<PolkadotConfig>>;

const PAYEE: &str = "//Alice//flood";
/// Transactions of one sender that wait for the node's answer.
const IN_FLIGHT: usize = 32;
/// What each transfer is known by.
pub const PLANCK_PER_TRANSFER: u128 = 1_000_000_001;
/// Transactions of one account that are in no block yet: a pool keeps 8,192 of all accounts and forgets the others
/// without a word.
const WAITING: usize = 1_500;
/// Of those that are sent again at a time. A pool keeps 819 of all accounts whose nonce is not next, and bans for a while
/// what it has no room for.
const RESENT: usize = 200;
/// How long to wait when there are so many.
const FULL: Duration = Duration::from_millis(200);
/// How long to wait between two looks at what is missing: a few blocks.
const AGAIN: Duration = Duration::from_secs(3);

/// What one account sends.
#[derive(Clone)]
pub struct Signed {
    pub account: AccountId32,
    /// The nonce of the first.
    pub first: u64,
    /// In the order of their nonces.
    pub transactions: Vec<Vec<u8>>,
}

/// `count` transfers of these senders together.
pub async fn sign(chain: &Chain, senders: &[&str], count: u32) -> Result<Vec<Signed>> {
    let payee = keys::account(&keys::load(PAYEE)?);
    let call = runtime::tx()
        .balances()
        .transfer_keep_alive(payee.into(), PLANCK_PER_TRANSFER);
    let at = chain.best().await?;
    let number = senders.len() as u32;
    let mut all = Vec::new();
    for (index, uri) in (0u32..).zip(senders) {
        let key: Keypair = keys::load(uri)?;
        let share = count / number + u32::from(index < count % number);
        let mut transactions = at.client().transactions();
        let account = keys::account(&key);
        let first = transactions.account_nonce(&account).await?;
        let mut signed = Vec::new();
        for nonce in (first..).take(share as usize) {
            let params = Params::new().immortal().nonce(nonce).build();
            signed.push(
                transactions
                    .create_signed(&call, &key, params)
                    .await?
                    .encoded()
                    .to_vec(),
            );
        }
        all.push(Signed {
            account,
            first,
            transactions: signed,
        });
    }
    Ok(all)
}

/// Send from all accounts at once, each over its own connection and a few at a time. The pool puts
/// those that overtake each other back into the order of their nonces.
pub async fn send(url: &str, signed: Vec<Signed>) -> Result<()> {
    let mut senders = JoinSet::new();
    for Signed { transactions, .. } in signed {
        let rpc = Rpc::new(RpcClient::from_insecure_url(url).await?);
        senders.spawn(async move {
            for some in transactions.chunks(IN_FLIGHT) {
                let mut under_way = JoinSet::new();
                for bytes in some {
                    let (rpc, bytes) = (rpc.clone(), bytes.clone());
                    under_way.spawn(async move { rpc.author_submit_extrinsic(&bytes).await });
                }
                while let Some(accepted) = under_way.join_next().await {
                    accepted??;
                }
            }
            anyhow::Ok(())
        });
    }
    while let Some(sent) = senders.join_next().await {
        sent??;
    }
    Ok(())
}

/// Send from all accounts at once until a time is over, of each account no more than the pool keeps beside those of
/// the others, and again what the node has forgotten. Gives those that the node took, and those before them.
pub async fn press(url: &str, signed: Vec<Signed>, until: Instant) -> Result<Vec<Signed>> {
    let chain = Chain::connect(url).await?;
    let mut senders = JoinSet::new();
    for sender in signed {
        let rpc = Rpc::new(RpcClient::from_insecure_url(url).await?);
        senders.spawn(sender.press(chain.clone(), rpc, until));
    }
    let mut all = Vec::new();
    while let Some(sender) = senders.join_next().await {
        all.push(sender??);
    }
    Ok(all)
}

/// Wait until all are in the chain of the first node, each sender for itself as its wallet does: what the nodes do not
/// know any more is sent to them again. A pool that is full, and one that takes a fork back, forgets, and who still has
/// it tells nobody twice. Gives how often a node took one again.
pub async fn see_in(urls: &[String], signed: &[Signed], limit: Duration) -> Result<usize> {
    let chain = Chain::connect(urls.first().context("no node")?).await?;
    let end = Instant::now() + limit;
    let mut wallets = JoinSet::new();
    for sender in signed {
        let mut nodes = Vec::new();
        for url in urls {
            let rpc = Rpc::new(RpcClient::from_insecure_url(url).await?);
            nodes.push((url.clone(), rpc));
        }
        wallets.spawn(sender.clone().see_in(chain.clone(), nodes, end));
    }
    let mut again = 0;
    while let Some(wallet) = wallets.join_next().await {
        again += wallet??;
    }
    Ok(again)
}

impl Signed {
    async fn press(mut self, chain: Chain, rpc: Rpc, until: Instant) -> Result<Self> {
        let mut taken = 0;
        while Instant::now() < until {
            // A node that is at its limits looks at blocks whose state is gone already.
            let Ok((included, next)) = self.progress(&chain, &rpc).await else {
                tokio::time::sleep(FULL).await;
                continue;
            };
            taken = taken.max(next);
            let end = self.transactions.len().min(next + IN_FLIGHT);
            let some = self.transactions.get(next..end).unwrap_or_default();
            if some.is_empty() && included == self.transactions.len() {
                break;
            }
            if some.is_empty() || next >= included + WAITING {
                tokio::time::sleep(FULL).await;
                continue;
            }
            let mut under_way = JoinSet::new();
            for (index, bytes) in (next..).zip(some) {
                let (rpc, bytes) = (rpc.clone(), bytes.clone());
                under_way.spawn(async move {
                    let answer = rpc.author_submit_extrinsic(&bytes).await;
                    answer.map(|_| index)
                });
            }
            let mut refused = false;
            while let Some(answer) = under_way.join_next().await {
                match answer? {
                    Ok(index) => taken = taken.max(index + 1),
                    Err(_) => refused = true,
                }
            }
            if refused {
                tokio::time::sleep(FULL).await;
            }
        }
        self.transactions.truncate(taken);
        Ok(self)
    }

    /// How many are in the chain, and how many the node has behind one another: it would take the next one, be that
    /// new or forgotten.
    async fn progress(&self, chain: &Chain, rpc: &Rpc) -> Result<(usize, usize)> {
        let included = self.included(&chain.best().await?).await?;
        let next = rpc.system_account_next_index(&self.account).await?;
        Ok((included, next.saturating_sub(self.first).try_into()?))
    }

    /// Sends again what is missing until nothing is; gives how often a node took one.
    async fn see_in(self, chain: Chain, nodes: Vec<(String, Rpc)>, end: Instant) -> Result<usize> {
        let mut again = 0;
        let mut answers = Vec::new();
        loop {
            let included = self.included(&chain.best().await?).await?;
            let missing = self.transactions.get(included..).unwrap_or_default();
            if missing.is_empty() {
                return Ok(again);
            }
            ensure!(
                Instant::now() < end,
                "{} of {} transfers of {} are not in the chain; of the first that was missing before, the nodes said: {}",
                missing.len(),
                self.transactions.len(),
                self.account,
                answers.join("; ")
            );
            answers.clear();
            for (url, rpc) in &nodes {
                for (place, bytes) in missing.iter().take(RESENT).enumerate() {
                    // A node refuses what it has, and what came into a block meanwhile.
                    let answer = rpc.author_submit_extrinsic(bytes).await;
                    again += usize::from(answer.is_ok());
                    if place == 0 {
                        let answer = match answer {
                            Ok(_) => "taken".to_owned(),
                            Err(error) => error.to_string(),
                        };
                        answers.push(format!("{url}: {answer}"));
                    }
                }
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// How many are in the chain up to this block.
    pub async fn included(&self, at: &Snapshot) -> Result<usize> {
        let transactions = at.client().transactions();
        let nonce = transactions.account_nonce(&self.account).await?;
        Ok(nonce.saturating_sub(self.first).try_into()?)
    }
}
