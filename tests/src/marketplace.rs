//! A chain with two providers whose workers sell through channels, a user with a gateway, and books of all that
//! money.

use std::{collections::BTreeMap, path::Path, time::Duration};

use anyhow::{ensure, Context, Result};
use assay_client::{
    chain::{Channel, ChannelState},
    keys, AccountId32, Snapshot, H256,
};
use serde_json::{json, Value};

use crate::{
    http::{self, Heard},
    Book, Gateway, Provider, Scene, Worker,
};

/// The two providers, and what a token costs with them: prompt and answer, in thousandths of an ASY.
const PROVIDERS: [(&str, u32, u32); 2] = [("//Bob", 1, 3), ("//Eve", 1, 4)];
const MILLI_ASY: u128 = 1_000_000_000;
/// Reason of the hold for what channels can still pay.
const DEPOSIT: &str = "Channels::Deposit";
/// Far more than the windows of a development chain.
const CLOSING: Duration = Duration::from_secs(90);

pub struct Marketplace {
    pub scene: Scene,
    pub servers: Vec<Server>,
    pub book: Book,
}

/// A provider and its worker.
pub struct Server {
    pub provider: Provider,
    pub worker: Worker,
}

/// Planck that accounts have, holds included, and those of their fees that are in the book already.
pub struct Balances {
    snapshot: Snapshot,
    totals: BTreeMap<AccountId32, u128>,
    fees: BTreeMap<AccountId32, u128>,
}

impl Marketplace {
    /// With the model of these floats, and workers that get these arguments.
    pub async fn open(floats: &Path, worker: &[&str]) -> Result<Self> {
        Self::with(&PROVIDERS, floats, worker).await
    }

    /// The same with the first provider alone.
    pub async fn of_one(floats: &Path, worker: &[&str]) -> Result<Self> {
        Self::with(&PROVIDERS[..1], floats, worker).await
    }

    async fn with(providers: &[(&str, u32, u32)], floats: &Path, worker: &[&str]) -> Result<Self> {
        let scene = Scene::of(floats).await?;
        let mut servers = Vec::new();
        for (key, input, output) in providers {
            let provider = scene.provider(key, *input, *output)?;
            let name = format!("worker{}", servers.len());
            let worker = scene.server(&provider, &name, worker)?;
            servers.push(Server { provider, worker });
        }
        Ok(Self {
            scene,
            servers,
            book: Book::default(),
        })
    }

    /// A gateway of the user, that may spend so much.
    pub fn gateway(&self, budget: &str, extra: &[&str]) -> Result<Gateway> {
        let (folder, user) = (self.scene.folder(), &self.scene.user);
        Gateway::start(folder, "gateway", user, &self.scene.model, budget, extra)
    }

    pub fn user(&self) -> Result<AccountId32> {
        Ok(keys::account(&keys::load(self.scene.user.key())?))
    }

    /// The user's channels, oldest first, as of the last finalized block.
    pub async fn channels(&self) -> Result<Vec<(H256, Channel)>> {
        let snapshot = self.scene.chain.finalized().await?;
        Ok(snapshot.channels_of_user(self.user()?).await?)
    }

    /// What everybody has who pays or is paid here.
    pub async fn balances(&mut self) -> Result<Balances> {
        let snapshot = self.book.catch_up(&self.scene.chain).await?;
        let mut accounts = vec![self.user()?];
        for server in &self.servers {
            let operator = keys::load(&server.provider.operator)?;
            accounts.extend([server.provider.stash, keys::account(&operator)]);
        }
        let mut totals = BTreeMap::new();
        for account in accounts {
            let balances = snapshot.balances(account).await?;
            totals.insert(account, balances.free + balances.reserved);
        }
        Ok(Balances {
            snapshot,
            totals,
            fees: self.book.fees.clone(),
        })
    }

    /// Ask for all the user's channels to be closed, and wait until they are.
    pub async fn close_all(&mut self) -> Result<()> {
        for (id, channel) in self.channels().await? {
            if matches!(channel.state, ChannelState::Open) {
                let id = format!("{id:?}");
                self.scene.user.json(&["channel", "request-close", &id])?;
            }
        }
        let closing = async {
            loop {
                let channels = self.channels().await?;
                let is_closed =
                    |channel: &Channel| matches!(channel.state, ChannelState::Closed { .. });
                if channels.iter().all(|(_, channel)| is_closed(channel)) {
                    return anyhow::Ok(());
                }
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        };
        let closed = tokio::time::timeout(CLOSING, closing).await;
        closed.unwrap_or_else(|_| Err(anyhow::anyhow!("channels are stuck")))
    }

    /// Nothing came or went but what channels and fees say, since `before`; and every planck is in an account.
    pub async fn check_balances(&mut self, before: &Balances) -> Result<()> {
        let after = self.balances().await?;
        let user = self.user()?;
        for (account, had) in &before.totals {
            let has = after.totals.get(account).context("the same accounts")?;
            let fee = |balances: &Balances| balances.fees.get(account).copied().unwrap_or_default();
            let fees = fee(&after) - fee(before);
            let channels = self.book.channels.values();
            let paid: u128 = channels
                .clone()
                .filter(|entry| entry.user == *account)
                .map(|entry| entry.settled())
                .sum();
            let earned: u128 = channels
                .filter(|entry| entry.provider == *account)
                .map(|entry| entry.earned())
                .sum();
            ensure!(
                had + earned == has + paid + fees,
                "{account} had {had} and has {has}, but earned {earned} and paid {paid} and fees of {fees}"
            );
        }
        for (id, entry) in &self.book.channels {
            ensure!(
                entry.refund == Some(entry.deposit - entry.settled()),
                "{id}: {entry:?}"
            );
        }
        let holds = after.snapshot.balances(user).await?.holds;
        ensure!(
            holds
                .iter()
                .all(|(reason, amount)| reason != DEPOSIT || *amount == 0),
            "money of closed channels is still held: {holds:?}"
        );
        self.scene.check_money().await
    }
}

impl Gateway {
    /// The name of the model that it sells.
    pub fn model(&self) -> Result<String> {
        let page = http::get(self.port, "/v1/models")?;
        let listed: Value = serde_json::from_str(&page.body)?;
        let id = listed["data"][0]["id"].as_str();
        id.map(str::to_owned)
            .with_context(|| format!("no model in {page:?}"))
    }

    /// The likeliest answer, heard as a stream.
    pub fn ask(
        &self,
        model: &str,
        prompt: &str,
        max_tokens: u32,
        each: impl FnMut(&Heard) -> Result<()>,
    ) -> Result<Heard> {
        let request = json!({
            "model": model,
            "prompt": prompt,
            "max_tokens": max_tokens,
            "temperature": 0,
        });
        http::listen(self.port, request, each)
    }
}

/// What an answer costs with a provider, in planck.
pub fn fee(server: &Server, prompt: u64, output: u64) -> u128 {
    let price = PROVIDERS
        .iter()
        .find(|(key, ..)| *key == server.provider.assay.key());
    let (_, input_price, output_price) = price.copied().unwrap_or_default();
    let milli = u128::from(prompt) * u128::from(input_price)
        + u128::from(output) * u128::from(output_price);
    milli * MILLI_ASY
}
