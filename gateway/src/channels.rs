//! The user's channels: opened and topped up within the budget, one for each provider and listing, and
//! closed when they are of no more use.

use std::{
    collections::HashMap,
    future::Future,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use assay_channel::{Ask, ChannelState, Facts, Order, Payer, SignedHeader, Terms, VoucherPair};
use assay_client::{chain::era, AccountId32, Amount, Error};
use assay_primitives::{Balance, ChannelId, ListingId};
use futures::FutureExt;
use serde_json::Value;

use crate::{
    choice::Offer,
    market::{Market, OnChain},
    store::{self, Channel, Opening, Stage, Store, StoreError, TopUp},
};

mod close;
mod error;
mod line;
mod queue;
mod unknown;

use self::queue::Queue;
pub use self::{error::MoneyError, line::Line};

/// Blocks after which a transaction that was sent can be in none any more, while finality does not lag.
const LIFETIME: u32 = 128;
/// A quarter of it: for so many blocks behind the best one a transaction is made to wait, at least.
const SHORTEST: u32 = LIFETIME / 4;

/// How much may be spent.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// The most that may be in channels and spent, ever, by this store.
    pub budget: Balance,
    /// What a channel is opened with, and topped up by.
    pub step: Balance,
    /// How long a provider may have no offer for a channel's listing until what is left in the channel is fetched back.
    pub unoffered: Duration,
}

impl Default for Policy {
    /// Nothing may be spent.
    fn default() -> Self {
        Self {
            budget: 0,
            step: 0,
            unoffered: Duration::from_secs(3_600),
        }
    }
}

/// A provider and what it sells.
type Place = ([u8; 32], ListingId);

pub struct Channels {
    market: Arc<dyn Market>,
    store: Arc<Store>,
    policy: Policy,
    lines: Mutex<HashMap<ChannelId, Arc<Line>>>,
    queues: Mutex<HashMap<Place, Arc<Queue>>>,
    /// The account's channels that the store does not know.
    unknown: Mutex<Vec<(ChannelId, OnChain)>>,
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
            unknown: Mutex::default(),
            till: Mutex::default(),
        };
        for (id, channel) in channels.store.channels()? {
            let is_closed = channel.stage.is_closed();
            let line = channels.line(id, channel)?;
            if !is_closed || line.is_unfinished() {
                locked(&channels.lines).insert(id, line);
            }
        }
        Ok(channels)
    }

    fn line(&self, id: ChannelId, channel: Channel) -> Result<Arc<Line>, StoreError> {
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
        let line = Line::new(id, channel, payer, self.store.clone());
        Ok(Arc::new(line))
    }

    pub fn policy(&self) -> Policy {
        self.policy
    }

    /// All channels that are not closed, and those that are closed and not done with.
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

    /// What can still be put into a channel, where it was too little for one. Of an account that has not a deposit nothing
    /// is tried again: a transaction that fails costs its fee.
    pub fn reach(&self, unpaid: &MoneyError) -> Result<Balance, StoreError> {
        match unpaid {
            MoneyError::Budget { .. } => self.left(),
            _ => Ok(0),
        }
    }

    /// What there is for the offer: what is free in its channel, and so much more.
    pub fn purse(&self, offer: &Offer, reach: Balance) -> Balance {
        let line = self.usable(offer);
        reach.saturating_add(line.map_or(0, |line| line.free()))
    }

    /// Orders an answer of `offer`, through a channel that is opened or topped up if need be. Where `fewer` is given, fewer
    /// tokens than are asked for will do: as many as what is free in the channel pays for, and so much more, as far as the
    /// budget reaches. Nothing is ordered any more for whoever has `left`; what is on its way into the channel by then
    /// gets there. `body` is what is to be sent with the signed header.
    pub async fn order(
        &self,
        offer: &Offer,
        model: &str,
        mut ask: Ask,
        fewer: Option<Balance>,
        left: impl Future<Output = ()>,
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
        let mut left = pin!(left);
        let _turn = tokio::select! {
            biased;
            () = &mut left => return Err(MoneyError::Left),
            turn = waiting.turn() => turn,
        };
        loop {
            let line = self.usable(offer);
            let free = line.as_ref().map_or(0, |line| line.free());
            let missing = self.missing(&mut ask, free, fewer)?;
            let wanted = waiting.wanted().saturating_sub(free);
            let line = match line {
                Some(line) if missing == 0 => line,
                Some(line) => {
                    self.top_up(&line, missing, wanted).await?;
                    line
                }
                None => self.open(offer, model, missing, wanted).await?,
            };
            // A transaction takes its time.
            if left.as_mut().now_or_never().is_some() {
                return Err(MoneyError::Left);
            }
            if let Some(order) = line.order(&ask, &body)? {
                return Ok((line, order));
            }
            // Somebody who did not wait has taken what was put in.
        }
    }

    /// What has to be put into a channel with so much free in it. Where that is more than `fewer` and the budget, the limit
    /// is lowered.
    fn missing(
        &self,
        ask: &mut Ask,
        free: Balance,
        fewer: Option<Balance>,
    ) -> Result<Balance, MoneyError> {
        let fee = ask.price.fee(ask.prompt_len, ask.token_limit);
        let fee = fee.ok_or(MoneyError::Overflow)?;
        if let Some(most) = fewer {
            let purse = free.saturating_add(most.min(self.left()?));
            let affordable = ask.price.affordable(purse, ask.prompt_len, ask.token_limit);
            if let Some(limit) = affordable.filter(|_| fee > purse) {
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
    /// has it. The wallet, in which `free` is free, must have it too: a transaction that fails costs its fee.
    fn portion(
        &self,
        needed: Balance,
        wanted: Balance,
        free: Balance,
    ) -> Result<Balance, MoneyError> {
        let left = self.left()?;
        if needed > left {
            return Err(MoneyError::Budget {
                needed,
                left,
                budget: self.policy.budget,
            });
        }
        let portion = needed.max(wanted).max(self.policy.step).min(left);
        match portion <= free {
            true => Ok(portion),
            false => Err(self.poor(portion, free)),
        }
    }

    fn poor(&self, needed: Balance, free: Balance) -> MoneyError {
        MoneyError::Wallet {
            account: self.market.account(),
            needed,
            free,
        }
    }

    /// Why a transaction did not put `needed` into a channel, when `free` was free in the wallet.
    fn unpaid(&self, error: Error, needed: Balance, free: Balance) -> MoneyError {
        match error.is_funds() {
            true => self.poor(needed, free),
            false => error.into(),
        }
    }

    /// [`LIFETIME`] blocks after this one, what is sent now can be in no block any more. Where finality lags, transactions
    /// live longer; twice as long as now, since it may move on before this one is signed.
    async fn since(&self) -> Result<u32, MoneyError> {
        let block = self.market.block(0).await?;
        let longest = era(SHORTEST, block.best, block.finalized).saturating_mul(2);
        let late = longest.saturating_sub(LIFETIME);
        Ok(block.finalized.saturating_add(late))
    }

    async fn open(
        &self,
        offer: &Offer,
        model: &str,
        needed: Balance,
        wanted: Balance,
    ) -> Result<Arc<Line>, MoneyError> {
        let least = self.market.min_deposit().await?;
        let free = self.market.wallet().await?;
        let since = self.since().await?;
        let opening = {
            let _till = locked(&self.till);
            let mut openings = self.store.openings()?.into_iter();
            if let Some(other) = openings.find(|other| other.is_for(offer)) {
                // How it ended is not known yet; a second one would be out of control.
                return Err(MoneyError::Pending {
                    provider: offer.provider,
                    amount: other.deposit,
                    until: other.since.saturating_add(LIFETIME),
                });
            }
            let opening = Opening {
                seed: rand::random(),
                provider: offer.provider.0,
                epoch: offer.epoch,
                listing: offer.listing,
                model: model.to_owned(),
                deposit: self.portion(needed.max(least), wanted, free)?,
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
                if error.is_final() {
                    self.store.drop_opening(&opening.seed)?;
                }
                return Err(self.unpaid(error, opening.deposit, free));
            }
        };
        tracing::info!(
            target: "assay_gateway", channel = ?id, provider = %offer.provider,
            deposit = %Amount(opening.deposit), "channel opened"
        );
        Ok(self.adopt(id, &opening)?)
    }

    /// The channel that was asked for is there. Whoever opened it and whoever looks at the chain may both see it first.
    fn adopt(&self, id: ChannelId, opening: &Opening) -> Result<Arc<Line>, StoreError> {
        let mut lines = locked(&self.lines);
        if let Some(line) = lines.get(&id) {
            return Ok(line.clone());
        }
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
        let line = self.line(id, channel)?;
        let facts = Facts {
            deposit: opening.deposit,
            settled: 0,
            state: ChannelState::Open,
        };
        // Of nothing nobody can have taken too much.
        let _ = line.observe(facts)?;
        lines.insert(id, line.clone());
        Ok(line)
    }

    async fn top_up(
        &self,
        line: &Line,
        needed: Balance,
        wanted: Balance,
    ) -> Result<(), MoneyError> {
        let free = self.market.wallet().await?;
        let since = self.since().await?;
        let amount = {
            let _till = locked(&self.till);
            if !line.is_usable() {
                // It was given up meanwhile, and a top-up would open it again.
                return Ok(());
            }
            let channel = line.channel();
            if let Some(top_up) = channel.top_up {
                // How it ended is not known yet; a second one would be out of control.
                return Err(MoneyError::Pending {
                    provider: AccountId32(channel.provider),
                    amount: top_up.amount,
                    until: top_up.since.saturating_add(LIFETIME),
                });
            }
            let amount = self.portion(needed, wanted, free)?;
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
                if error.is_final() {
                    line.change(|channel| channel.top_up = None)?;
                }
                Err(self.unpaid(error, amount, free))
            }
        }
    }

    /// Takes over what the chain says of one channel.
    async fn refresh(&self, line: &Line) -> Result<(), MoneyError> {
        let (finalized, on_chain) = self.market.channel(line.id()).await?;
        self.take_over(line, on_chain, finalized)?;
        Ok(())
    }

    /// Takes over what the chain says of all channels, and looks for those that were asked for.
    pub async fn reconcile(&self) -> Result<(), MoneyError> {
        let (finalized, on_chain) = self.market.channels().await?;
        let on_chain: HashMap<ChannelId, OnChain> = on_chain.into_iter().collect();
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
        self.note_unknown(&on_chain)?;
        for line in self.lines() {
            let found = on_chain.get(&line.id()).cloned();
            self.take_over(&line, found, finalized)?;
        }
        Ok(())
    }

    fn take_over(
        &self,
        line: &Line,
        found: Option<OnChain>,
        finalized: u32,
    ) -> Result<(), StoreError> {
        line.take_over(found, finalized)?;
        // Its provider may close it in the middle of an answer, and what that comes to is looked at like any other.
        if line.channel().stage.is_closed() && !line.is_unfinished() {
            locked(&self.lines).remove(&line.id());
        }
        Ok(())
    }

    /// Gives up the channels of providers that have had none of these offers for them for long: the money is of more use
    /// elsewhere, and the budget may be at its end.
    pub fn retire_unoffered(&self, offers: &[Offer]) -> Result<(), StoreError> {
        for line in self.lines() {
            let is_offered = offers.iter().any(|offer| line.is_for(offer));
            if line.is_usable() && line.unoffered_for(is_offered) >= self.policy.unoffered {
                line.retire("its provider has offered its model no more for a while")?;
            }
        }
        Ok(())
    }

    /// Forgets the requests of closed channels whose receipts were all anchored before this block: nothing can be
    /// claimed for them any more, or disputed.
    pub fn forget_closed(&self, anchored_before: u32) -> Result<(), StoreError> {
        for (id, channel) in self.store.channels()? {
            if channel.stage.is_closed() {
                let below = self.store.anchored_before(&id, anchored_before)?;
                self.store.forget_requests(&id, below)?;
            }
        }
        Ok(())
    }
}
