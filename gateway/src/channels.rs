//! The user's channels: opened and topped up within the budget, one for each provider and listing, and
//! closed when they are of no more use.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use assay_channel::{
    Ask, Facts as ChannelFacts, Order, Payer, PayerError, SignedHeader, Terms, VoucherPair,
};
use assay_client::{Amount, Error};
use assay_primitives::{Balance, ChannelId, ListingId};
use serde_json::Value;

use crate::{
    choice::Offer,
    market::{Market, OnChain, State},
    store::{self, Channel, Opening, Stage, Store, StoreError, TopUp},
};

mod line;
mod queue;

pub use self::line::Line;
use self::queue::Queue;

/// Blocks after which a transaction that was sent can be in none any more.
const LIFETIME: u32 = 128;

#[derive(Debug, thiserror::Error)]
pub enum MoneyError {
    #[error(
        "this takes {} more in channels, and {} of the budget of {} are left; raise --budget, or ask for fewer tokens",
        Amount(*.needed), Amount(*.left), Amount(*.budget)
    )]
    Budget {
        needed: Balance,
        left: Balance,
        budget: Balance,
    },
    #[error("{0}")]
    Chain(#[from] Error),
    #[error("{0}")]
    Store(#[from] StoreError),
    #[error("{0}")]
    Payer(#[from] PayerError),
    #[error("the fee does not fit; ask for fewer tokens")]
    Overflow,
}

/// How much may be spent.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// The most that may be in channels and spent, ever, by this store.
    pub budget: Balance,
    /// What a channel is opened with, and topped up by.
    pub step: Balance,
}

/// A provider and what it sells.
type Place = ([u8; 32], ListingId);

pub struct Channels {
    market: Arc<dyn Market>,
    store: Arc<Store>,
    policy: Policy,
    lines: Mutex<HashMap<ChannelId, Arc<Line>>>,
    queues: Mutex<HashMap<Place, Arc<Queue>>>,
    /// Held while the budget is read and taken from.
    till: Mutex<()>,
}

/// Nothing here is left half done by a panic elsewhere.
fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Channels {
    /// With the channels that the store knows. Until [`reconcile`](Self::reconcile) nothing is bought.
    pub fn new(
        market: Arc<dyn Market>,
        store: Arc<Store>,
        policy: Policy,
    ) -> Result<Self, StoreError> {
        let channels = Self {
            market,
            store,
            policy,
            lines: Mutex::default(),
            queues: Mutex::default(),
            till: Mutex::default(),
        };
        for (id, channel) in channels.store.channels()? {
            if channel.stage != Stage::Closed {
                channels.add(id, channel)?;
            }
        }
        Ok(channels)
    }

    fn add(&self, id: ChannelId, channel: Channel) -> Result<Arc<Line>, StoreError> {
        let pair = VoucherPair::sr25519(&channel.seed);
        let terms = Terms {
            genesis: self.market.genesis(),
            channel: id,
            provider: channel.provider,
            listing: channel.listing,
            voucher_key: pair.public(),
        };
        let records = self.store.records(&id)?;
        let payer = match channel.is_restored() {
            true => Payer::restore_old(terms, pair, records),
            false => Payer::restore(terms, pair, Balance::MAX, records),
        };
        let line = Arc::new(Line::new(id, channel, payer, self.store.clone()));
        locked(&self.lines).insert(id, line.clone());
        Ok(line)
    }

    pub fn policy(&self) -> Policy {
        self.policy
    }

    /// All channels that are not closed.
    pub fn lines(&self) -> Vec<Arc<Line>> {
        locked(&self.lines).values().cloned().collect()
    }

    /// The channel through which the offer can be bought.
    pub fn usable(&self, offer: &Offer) -> Option<Arc<Line>> {
        locked(&self.lines)
            .values()
            .find(|line| line.is_for(offer))
            .cloned()
    }

    /// Orders an answer of `offer`, through a channel that is opened or topped up if need be. Where the
    /// budget does not reach for all the tokens, `at_most` says whether fewer will do: then the limit is
    /// what it reaches for. `body` is what is to be sent with the signed header.
    pub async fn order(
        &self,
        offer: &Offer,
        model: &str,
        mut ask: Ask,
        at_most: bool,
        body: impl Fn(&SignedHeader) -> Value,
    ) -> Result<(Arc<Line>, Order), MoneyError> {
        // Who needs no more money in the channel does not wait for those who do.
        if let Some(line) = self.usable(offer) {
            if let Some(order) = line.order(&ask, &body)? {
                return Ok((line, order));
            }
        }
        let queue = {
            let mut queues = locked(&self.queues);
            let queue = queues.entry((offer.provider.0, offer.listing));
            queue.or_default().clone()
        };
        let fee = ask.price.fee(ask.prompt_len, ask.token_limit);
        let waiting = queue.join(fee.ok_or(MoneyError::Overflow)?);
        let _turn = waiting.turn().await;
        loop {
            let line = self.usable(offer);
            let free = line.as_ref().map_or(0, |line| line.free());
            let missing = self.missing(&mut ask, free, at_most)?;
            let wanted = waiting.wanted().saturating_sub(free);
            let line = match line {
                Some(line) if missing == 0 => line,
                Some(line) => {
                    self.top_up(&line, missing, wanted).await?;
                    line
                }
                None => self.open(offer, model, missing, wanted).await?,
            };
            if let Some(order) = line.order(&ask, &body)? {
                return Ok((line, order));
            }
            // Somebody who did not wait has taken what was put in.
        }
    }

    /// What has to be put into a channel with so much free in it. Where the budget does not reach for it, `at_most`
    /// lowers the limit.
    fn missing(&self, ask: &mut Ask, free: Balance, at_most: bool) -> Result<Balance, MoneyError> {
        let fee = ask.price.fee(ask.prompt_len, ask.token_limit);
        let fee = fee.ok_or(MoneyError::Overflow)?;
        let reach = free.saturating_add(self.left()?);
        if fee > reach && at_most {
            let affordable = ask.price.affordable(reach, ask.prompt_len, ask.token_limit);
            if let Some(limit) = affordable {
                ask.token_limit = limit;
                let fee = ask.price.fee(ask.prompt_len, limit);
                return Ok(fee.ok_or(MoneyError::Overflow)?.saturating_sub(free));
            }
        }
        Ok(fee.saturating_sub(free))
    }

    /// What is left of the budget.
    pub fn left(&self) -> Result<Balance, StoreError> {
        let committed = self.store.committed()?;
        Ok(self.policy.budget.saturating_sub(committed))
    }

    /// What to put into a channel that needs `needed` more, and could use `wanted`: that or a whole step, if the budget
    /// has it.
    fn portion(&self, needed: Balance, wanted: Balance) -> Result<Balance, MoneyError> {
        let left = self.left()?;
        let short = MoneyError::Budget {
            needed,
            left,
            budget: self.policy.budget,
        };
        match needed <= left {
            true => Ok(needed.max(wanted).max(self.policy.step).min(left)),
            false => Err(short),
        }
    }

    async fn open(
        &self,
        offer: &Offer,
        model: &str,
        needed: Balance,
        wanted: Balance,
    ) -> Result<Arc<Line>, MoneyError> {
        let least = self.market.min_deposit().await?;
        let since = self.market.block(0).await?.finalized;
        let opening = {
            let _till = locked(&self.till);
            let opening = Opening {
                seed: rand::random(),
                provider: offer.provider.0,
                epoch: offer.epoch,
                listing: offer.listing,
                model: model.to_owned(),
                deposit: self.portion(needed.max(least), wanted)?,
                since,
                restored: false,
            };
            // Should this process end here or below, the channel is found again by its key.
            self.store.put_opening(&opening)?;
            opening
        };
        let key = VoucherPair::sr25519(&opening.seed).public();
        let opened = self
            .market
            .open(offer.provider, offer.listing, key, opening.deposit)
            .await;
        let id = match opened {
            Ok(id) => id,
            Err(error) => {
                if is_final(&error) {
                    self.store.drop_opening(&opening.seed)?;
                }
                return Err(error.into());
            }
        };
        tracing::info!(
            target: "assay_gateway", channel = ?id, provider = %offer.provider,
            deposit = %Amount(opening.deposit), "channel opened"
        );
        let line = self.adopt(id, &opening)?;
        let facts = ChannelFacts {
            deposit: opening.deposit,
            settled: 0,
            state: assay_channel::ChannelState::Open,
        };
        // Of nothing nobody can have taken too much.
        let _ = line.observe(facts)?;
        Ok(line)
    }

    /// The channel that was asked for is there.
    fn adopt(&self, id: ChannelId, opening: &Opening) -> Result<Arc<Line>, StoreError> {
        let channel = Channel {
            seed: opening.seed,
            provider: opening.provider,
            epoch: opening.epoch,
            listing: opening.listing,
            model: opening.model.clone(),
            deposit: opening.deposit,
            top_up: None,
            settled: 0,
            stage: Stage::Open,
            since: opening.since,
            retired: opening.restored.then(|| store::RESTORED.to_owned()),
        };
        self.store.put_channel(&id, &channel)?;
        self.add(id, channel)
    }

    async fn top_up(
        &self,
        line: &Line,
        needed: Balance,
        wanted: Balance,
    ) -> Result<(), MoneyError> {
        let since = self.market.block(0).await?.finalized;
        let amount = {
            let _till = locked(&self.till);
            if line.channel().top_up.is_some() {
                // How the last one ended is not known yet; a second one would be out of control.
                return Err(Error::Timeout {
                    call: "Channels.top_up".into(),
                    seconds: 0,
                }
                .into());
            }
            let amount = self.portion(needed, wanted)?;
            line.change(|channel| channel.top_up = Some(TopUp { amount, since }))?;
            amount
        };
        match self.market.top_up(line.id(), amount).await {
            Ok(()) => {
                tracing::info!(
                    target: "assay_gateway", channel = ?line.id(), amount = %Amount(amount),
                    "channel topped up"
                );
                self.refresh(line).await
            }
            Err(error) => {
                if is_final(&error) {
                    line.change(|channel| channel.top_up = None)?;
                }
                Err(error.into())
            }
        }
    }

    /// Takes over what the chain says of one channel.
    async fn refresh(&self, line: &Line) -> Result<(), MoneyError> {
        let finalized = self.market.block(0).await?.finalized;
        let on_chain = self.market.channel(line.id()).await?;
        self.take_over(line, on_chain, finalized)?;
        Ok(())
    }

    /// Takes over what the chain says of all channels, and looks for those that were asked for.
    pub async fn reconcile(&self) -> Result<(), MoneyError> {
        let finalized = self.market.block(0).await?.finalized;
        let on_chain: HashMap<ChannelId, OnChain> =
            self.market.channels().await?.into_iter().collect();
        for opening in self.store.openings()? {
            let key = VoucherPair::sr25519(&opening.seed).public();
            let found = on_chain
                .iter()
                .find(|(_, channel)| channel.voucher_key == key);
            match found {
                Some((id, _)) => drop(self.adopt(*id, &opening)?),
                None if finalized > opening.since.saturating_add(LIFETIME) => {
                    self.store.drop_opening(&opening.seed)?;
                }
                None => {}
            }
        }
        for line in self.lines() {
            let found = on_chain.get(&line.id()).cloned();
            self.take_over(&line, found, finalized)?;
        }
        Ok(())
    }

    /// Begins to close the channels that are of no more use.
    pub async fn close_retired(&self) -> Result<(), MoneyError> {
        for line in self.lines() {
            let channel = line.channel();
            if channel.stage == Stage::Open && channel.retired.is_some() {
                self.request_close(&line).await?;
            }
        }
        Ok(())
    }

    async fn request_close(&self, line: &Line) -> Result<(), MoneyError> {
        let asked = self.market.request_close(line.id()).await;
        self.unless_done(line, asked, |stage| stage != Stage::Open)
            .await
    }

    async fn finalize(&self, line: &Line) -> Result<(), MoneyError> {
        let asked = self.market.finalize(line.id()).await;
        self.unless_done(line, asked, |stage| stage == Stage::Closed)
            .await
    }

    /// A step that the chain refuses because somebody else has taken it is taken.
    async fn unless_done(
        &self,
        line: &Line,
        asked: Result<(), Error>,
        is_done: impl Fn(Stage) -> bool,
    ) -> Result<(), MoneyError> {
        match asked {
            Ok(()) => self.refresh(line).await,
            Err(error) if is_final(&error) => {
                self.refresh(line).await?;
                match is_done(line.channel().stage) {
                    true => Ok(()),
                    false => Err(error.into()),
                }
            }
            Err(error) => Err(error.into()),
        }
    }

    fn take_over(
        &self,
        line: &Line,
        found: Option<OnChain>,
        finalized: u32,
    ) -> Result<(), StoreError> {
        let before = line.channel();
        if found.is_none() && finalized <= before.since.saturating_add(LIFETIME) {
            // A node that is not in step yet knows nothing of channels that are there.
            return Ok(());
        }
        let mut now = before.clone();
        let state = match &found {
            Some(found) => {
                now.deposit = found.deposit;
                now.settled = found.settled;
                match found.state {
                    State::Open => Stage::Open,
                    State::Closing(block) => Stage::Closing(block),
                    State::Closed => Stage::Closed,
                }
            }
            // Its record is gone, so what it cost in the end is not known: at most what was signed.
            None => {
                now.settled = before.settled.max(line.signed().min(before.deposit));
                Stage::Closed
            }
        };
        now.stage = state;
        if let Some(top_up) = &before.top_up {
            let arrived = now.deposit >= before.deposit.saturating_add(top_up.amount);
            if arrived || finalized > top_up.since.saturating_add(LIFETIME) {
                now.top_up = None;
            }
        }
        let current = found.as_ref().is_none_or(|found| found.current);
        if !current && now.retired.is_none() {
            now.retired = Some("its provider has left".into());
        }
        if now != before {
            line.change(|channel| *channel = now.clone())?;
        }
        let facts = ChannelFacts {
            deposit: now.deposit,
            settled: now.settled,
            state: match now.stage {
                _ if !current => assay_channel::ChannelState::Closed,
                Stage::Open => assay_channel::ChannelState::Open,
                Stage::Closing(finalize_at) => assay_channel::ChannelState::Closing { finalize_at },
                Stage::Closed => assay_channel::ChannelState::Closed,
            },
        };
        // What it shows of a wrong is written down with the channel.
        let _ = line.observe(facts)?;
        if now.stage == Stage::Closed {
            locked(&self.lines).remove(&line.id());
        }
        Ok(())
    }

    /// Forgets the requests of closed channels whose receipts were all anchored before this block: nothing can be
    /// claimed for them any more, or disputed.
    pub fn forget_closed(&self, anchored_before: u32) -> Result<(), StoreError> {
        for (id, channel) in self.store.channels()? {
            if channel.stage == Stage::Closed {
                let below = self.store.anchored_before(&id, anchored_before)?;
                self.store.forget_requests(&id, below)?;
            }
        }
        Ok(())
    }

    /// Begins to close every channel that is open, and ends those whose window is over; how many of each.
    pub async fn close_all(&self) -> Result<(usize, usize), MoneyError> {
        let finalized = self.market.block(0).await?.finalized;
        let (mut closing, mut ended) = (0usize, 0usize);
        for line in self.lines() {
            match line.channel().stage {
                Stage::Open => {
                    self.request_close(&line).await?;
                    closing = closing.saturating_add(1);
                }
                Stage::Closing(block) if finalized >= block => {
                    self.finalize(&line).await?;
                    ended = ended.saturating_add(1);
                }
                Stage::Closing(_) | Stage::Closed => {}
            }
        }
        Ok((closing, ended))
    }
}

/// Whether what was sent is in no block and will be in none: the chain refused it.
fn is_final(error: &Error) -> bool {
    matches!(error, Error::Dispatch { .. } | Error::NotAccepted { .. })
}
