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
    eventually,
    http::{self, Heard},
    Book, Gateway, Provider, Scene, Worker,
};

/// The two providers, and what a token costs with them: prompt and answer, in thousandths of an ASY.
const PROVIDERS: [(&str, u32, u32); 2] = [("//Bob", 1, 3), ("//Eve", 1, 4)];
const MILLI_ASY: u128 = 1_000_000_000;
/// Reason of the hold for what channels can still pay.
const DEPOSIT: &str = "Channels::Deposit";
/// Far longer than it takes until a block is final and looked at.
const SIGHT: Duration = Duration::from_secs(60);
/// Far more than the windows of a development chain.
const CLOSING: Duration = Duration::from_secs(90);

pub struct Marketplace {
    pub scene: Scene,
    pub servers: Vec<Server>,
    pub book: Book,
}

/// A provider and its worker.
pub struct Server {
    pub name: String,
    pub provider: Provider,
    pub worker: Worker,
}

/// Planck that there are and that accounts have, holds included, and what is in the book already.
pub struct Balances {
    snapshot: Snapshot,
    issuance: u128,
    minted: u128,
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
            servers.push(Server {
                name,
                provider,
                worker,
            });
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
        let model = &self.scene.model;
        let gateway = Gateway::start(folder, "gateway", user, model, budget, extra)?;
        eventually("the gateway sees all offers", SIGHT, || {
            let offers = gateway.models()?[0]["assay"]["offers"].as_u64();
            Ok((offers == Some(self.servers.len() as u64)).then_some(()))
        })?;
        Ok(gateway)
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
            issuance: snapshot.total_issuance().await?,
            minted: self.book.minted,
            snapshot,
            totals,
            fees: self.book.fees.clone(),
        })
    }

    /// Ask for all the user's channels to be closed.
    pub async fn request_close(&self) -> Result<()> {
        for (id, channel) in self.channels().await? {
            if matches!(channel.state, ChannelState::Open) {
                let id = format!("{id:?}");
                self.scene.user.json(&["channel", "close", &id])?;
            }
        }
        Ok(())
    }

    /// Wait until all the user's channels are closed.
    pub async fn wait_closed(&mut self) -> Result<()> {
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
        closed.unwrap_or_else(|_| Err(anyhow::anyhow!("channels are stuck")))?;
        self.book.catch_up(&self.scene.chain).await?;
        Ok(())
    }

    /// Each channel was claimed what its user's gateway has receipts for, give or take `slack` planck, and
    /// never more than the user signed.
    pub fn check_claims(&self, books: &GatewayBooks, slack: u128) -> Result<()> {
        for (id, entry) in &self.book.channels {
            let line = books.channels.get(id);
            let line = line.with_context(|| format!("the gateway does not know {id:?}"))?;
            let settled = entry.settled();
            ensure!(
                settled <= line.signed && settled.abs_diff(line.spent) <= slack,
                "{id:?}: settled {settled}, but {line:?}, and {slack} are forgiven"
            );
        }
        Ok(())
    }

    /// Nothing came or went but what channels, fees and the minting say, since `before`, when there was no channel yet; and
    /// every planck is in an account.
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
                entry.refund == Some(entry.deposit - entry.settled() - entry.returned),
                "{id}: {entry:?}"
            );
        }
        self.check_issuance(before, &after).await?;
        let holds = after.snapshot.balances(user).await?.holds;
        ensure!(
            holds
                .iter()
                .all(|(reason, amount)| reason != DEPOSIT || *amount == 0),
            "money of closed channels is still held: {holds:?}"
        );
        self.scene.check_money().await
    }

    /// All money is more by what was minted, and less by the burned part of what closed channels settled; and that is as
    /// large as the chain's parameters say.
    async fn check_issuance(&self, before: &Balances, after: &Balances) -> Result<()> {
        let parameters = after.snapshot.job_parameters().await?;
        let share = |amount: u128, parts: u32| amount * u128::from(parts) / 1_000_000;
        let mut burned = 0;
        for (id, entry) in &self.book.channels {
            for one in &entry.settlements {
                let protocol = share(one.fee, parameters.protocol_fee.0);
                ensure!(
                    one.burned == share(protocol, parameters.burned_share.0)
                        && one.treasury + one.burned == protocol
                        && one.provider + one.royalty + protocol == one.fee,
                    "{id:?}: a fee of {} is divided into {one:?}",
                    one.fee
                );
            }
            burned += entry.burned();
        }
        let minted = after.minted - before.minted;
        ensure!(
            before.issuance + minted == after.issuance + burned,
            "there were {} planck and are {}, but {minted} were minted and {burned} burned",
            before.issuance,
            after.issuance
        );
        Ok(())
    }
}

/// What a gateway says of its money.
#[derive(Debug)]
pub struct GatewayBooks {
    pub channels: BTreeMap<H256, Line>,
    /// Tokens of answers that it has receipts for.
    pub output_tokens: u64,
}

/// One channel's planck.
#[derive(Debug)]
pub struct Line {
    /// By its receipts.
    pub spent: u128,
    /// By its last voucher.
    pub signed: u128,
    /// Requests whose last receipt is not here.
    pub open_requests: u64,
}

impl GatewayBooks {
    /// Whether every request has its last receipt.
    pub fn is_settled(&self) -> bool {
        self.channels.values().all(|line| line.open_requests == 0)
    }
}

impl Gateway {
    pub fn books(&self) -> Result<GatewayBooks> {
        let page = http::get(self.port, "/status")?;
        let status: Value = serde_json::from_str(&page.body)?;
        let mut channels = BTreeMap::new();
        for channel in status["channels"].as_array().context("channels")? {
            let planck = |field: &str| {
                let digits = channel[field].as_str().and_then(|text| text.parse().ok());
                digits.with_context(|| format!("no {field} in {channel}"))
            };
            let id = serde_json::from_value(channel["channel"].clone())?;
            let line = Line {
                spent: planck("spent")?,
                signed: planck("signed")?,
                open_requests: channel["open_requests"].as_u64().unwrap_or_default(),
            };
            channels.insert(id, line);
        }
        let spending = status["spending"].as_array().into_iter().flatten();
        Ok(GatewayBooks {
            channels,
            output_tokens: spending
                .filter_map(|one| one["output_tokens"].as_u64())
                .sum(),
        })
    }

    /// The list of its models.
    pub fn models(&self) -> Result<Value> {
        let page = http::get(self.port, "/v1/models")?;
        let mut listed: Value = serde_json::from_str(&page.body)?;
        Ok(listed["data"].take())
    }

    /// The name of the model that it sells.
    pub fn model(&self) -> Result<String> {
        let models = self.models()?;
        let id = models[0]["id"].as_str().map(str::to_owned);
        id.with_context(|| format!("no name in {models}"))
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

/// The most that an answer of so many tokens can cost, in planck.
pub fn highest_fee(prompt: u64, output: u64) -> u128 {
    let fees = PROVIDERS.map(|(_, input_price, output_price)| {
        u128::from(prompt) * u128::from(input_price) + u128::from(output) * u128::from(output_price)
    });
    fees.into_iter().max().unwrap_or_default() * MILLI_ASY
}
