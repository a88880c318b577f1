use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use assay_channel::{
    record::PayerRecord, window_end, AnchorView, Ask, Caught, ChannelState, ChannelStatus,
    Evidence, Facts, Order, Payer, Phase, Recovery, SignedHeader, SignedReceipt, Taken,
};
use assay_primitives::{Balance, ChannelId, SignedVoucher, TokenId, VoucherKey};

use serde_json::Value;
use tokio::sync::watch;

use super::{locked, MoneyError, LIFETIME};
use crate::{
    choice::Offer,
    market::{OnChain, State},
    store::{Channel, Stage, Store, StoreError},
};

/// One channel: what the chain says of it, and what was signed in it. Whatever changes is on disk before
/// anybody else can learn of it.
pub struct Line {
    id: ChannelId,
    store: Arc<Store>,
    inner: Mutex<Inner>,
    /// What its provider was caught at while the channel is looked after here.
    caught: watch::Sender<Option<Caught>>,
    /// Held while a voucher is on its way, so that the next one says all that has come due meanwhile.
    pub paying: tokio::sync::Mutex<()>,
}

struct Inner {
    channel: Channel,
    payer: Payer,
    /// The highest voucher that the provider has said since the start that it has.
    arrived: Balance,
    /// Requests whose stream is being read here.
    streaming: HashSet<u64>,
    /// The finalized block of the last view of the chain.
    viewed_at: u32,
    /// Whether it was seen closing, as its user wished, or closed before the start: its provider closes without a window.
    was_closing: bool,
    /// Whether what its provider kept is taken note of.
    is_noted: bool,
    /// When it was of use last, or this process began to look after it.
    offered_at: Instant,
    /// Until which finalized block it is not known how a call to close it has ended.
    closing_until: Option<u32>,
}

impl Inner {
    /// Planck that its provider has kept by closing it, of which it has shown no receipt and will not by itself.
    fn kept(&self) -> Balance {
        let closed_it = self.channel.stage == Stage::Closed && !self.was_closing;
        match closed_it && !self.is_noted && self.streaming.is_empty() {
            true => self.payer.unexplained(),
            false => 0,
        }
    }
}

impl Inner {
    fn is_usable(&self) -> bool {
        let channel = &self.channel;
        let in_use = channel.stage == Stage::Open && channel.retired.is_none();
        in_use && self.payer.evidence().is_none()
    }

    fn reserved(&self) -> Balance {
        let open = self.payer.requests().map(|request| {
            let header = &request.header.header;
            let receipt = request.receipt.as_ref().map(|signed| &signed.receipt);
            let receipted = receipt.map_or(0, |receipt| receipt.output_len);
            let most = match request.phase {
                Phase::Live => header.token_limit,
                Phase::Cut => window_end(header, receipted),
                Phase::Ended => return 0,
            };
            let fee = header.fee(most).unwrap_or(Balance::MAX);
            fee.saturating_sub(receipt.map_or(0, |receipt| receipt.fee))
        });
        open.fold(self.payer.spent(), Balance::saturating_add)
    }

    fn signed(&self) -> Balance {
        let highest = self.payer.highest();
        highest.map_or(0, |voucher| voucher.cumulative)
    }

    fn free(&self) -> Balance {
        self.payer.facts().deposit.saturating_sub(self.reserved())
    }
}

impl Line {
    pub(super) fn new(id: ChannelId, channel: Channel, payer: Payer, store: Arc<Store>) -> Self {
        Self {
            id,
            store,
            inner: Mutex::new(Inner {
                was_closing: channel.stage != Stage::Open,
                is_noted: false,
                offered_at: Instant::now(),
                closing_until: None,
                channel,
                payer,
                arrived: 0,
                streaming: HashSet::new(),
                viewed_at: 0,
            }),
            caught: watch::Sender::new(None),
            paying: tokio::sync::Mutex::default(),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        locked(&self.inner)
    }

    pub fn id(&self) -> ChannelId {
        self.id
    }

    pub fn channel(&self) -> Channel {
        self.inner().channel.clone()
    }

    pub fn voucher_key(&self) -> VoucherKey {
        self.inner().payer.terms().voucher_key
    }

    /// Whether something may be bought through it.
    pub(super) fn is_usable(&self) -> bool {
        self.inner().is_usable()
    }

    /// Whether the offer can be bought through it.
    pub fn is_for(&self, offer: &Offer) -> bool {
        let inner = self.inner();
        let channel = &inner.channel;
        inner.is_usable()
            && channel.provider == offer.provider.0
            && channel.epoch == offer.epoch
            && channel.listing == offer.listing
    }

    /// What is in it for sure, and no request under way may cost.
    pub fn free(&self) -> Balance {
        self.inner().free()
    }

    /// What the receipts held say that it has cost.
    pub fn spent(&self) -> Balance {
        self.inner().payer.spent()
    }

    /// The most that was ever signed away.
    pub fn signed(&self) -> Balance {
        self.inner().signed()
    }

    /// What the channel's requests may cost at most: those under way to their limits.
    pub fn reserved(&self) -> Balance {
        self.inner().reserved()
    }

    /// Changes what is known of the channel, on disk first.
    pub fn change(&self, change: impl FnOnce(&mut Channel)) -> Result<(), StoreError> {
        let mut inner = self.inner();
        let mut channel = inner.channel.clone();
        change(&mut channel);
        self.store.put_channel(&self.id, &channel)?;
        inner.channel = channel;
        Ok(())
    }

    /// Nothing more is bought through it; the first reason stays.
    pub fn retire(&self, why: &str) -> Result<(), StoreError> {
        self.change(|channel| {
            channel.retired.get_or_insert_with(|| why.to_owned());
        })
    }

    /// How long nobody can have bought through it: it is not offered now, and no answer is under way.
    pub(super) fn unoffered_for(&self, is_offered: bool) -> Duration {
        let is_used = is_offered || self.open_requests() > 0;
        let mut inner = self.inner();
        if is_used {
            inner.offered_at = Instant::now();
        }
        inner.offered_at.elapsed()
    }

    /// Whether a call to close it may still be on its way in this finalized block.
    pub(super) fn may_be_closing(&self, finalized: u32) -> bool {
        let until = self.inner().closing_until;
        until.is_some_and(|until| finalized <= until)
    }

    /// How such a call has ended is not known; until this finalized block it may yet get through.
    pub(super) fn close_later(&self, until: u32) {
        self.inner().closing_until = Some(until);
    }

    /// Its provider refuses it with this code. A channel that nothing was ever bought through, its node may not have seen
    /// yet: another one would be no better.
    pub fn refused(&self, code: &str) -> Result<(), StoreError> {
        let is_known = {
            let inner = self.inner();
            inner.arrived > 0 || inner.payer.spent() > 0
        };
        match code {
            "channel_closed" | "channel_closing" | "used_seq" => {}
            "channel_not_found" if is_known => {}
            _ => return Ok(()),
        }
        self.retire(&format!("its provider refuses it: {code}"))
    }

    /// Orders an answer, if the channel is in use and all that it may cost is free in it. `body` is what is to be sent with the signed
    /// header; it is kept until the request's books are closed. The request streams until [`Self::stream_over`].
    pub(super) fn order(
        &self,
        ask: &Ask,
        body: impl Fn(&SignedHeader) -> Value,
    ) -> Result<Option<Order>, MoneyError> {
        let fee = ask.price.fee(ask.prompt_len, ask.token_limit);
        let fee = fee.ok_or(MoneyError::Overflow)?;
        let mut inner = self.inner();
        if !inner.is_usable() || fee > inner.free() {
            return Ok(None);
        }
        let step = inner.payer.order(std::slice::from_ref(ask))?;
        let bodies = step.records().iter().filter_map(|record| match record {
            PayerRecord::Request(request) => Some((request.seq, body(&request.header).to_string())),
            _ => None,
        });
        let bodies: Vec<_> = bodies.collect();
        self.store.put_order(&self.id, step.records(), &bodies)?;
        let order = step.persisted();
        // From the first moment: whoever else mends the books must not ask the provider for what it was not sent yet.
        inner.streaming.extend(&order.seqs);
        Ok(Some(order))
    }

    /// Takes over what the chain says of the channel in this finalized block, unless a later one has been looked at. After
    /// a start the node may be behind the last one: what was put in or taken stays so.
    pub(super) fn take_over(
        &self,
        found: Option<OnChain>,
        finalized: u32,
    ) -> Result<(), StoreError> {
        let observed = {
            let mut inner = self.inner();
            if finalized < inner.viewed_at {
                return Ok(());
            }
            inner.viewed_at = finalized;
            let before = &inner.channel;
            let early = finalized <= before.since.saturating_add(LIFETIME);
            if found.is_none() && (early || before.stage.is_closed()) {
                // A node that is not in step yet knows nothing of channels that are there; the record of one that is
                // closed goes.
                return Ok(());
            }
            let mut now = before.clone();
            let claimed = found.as_ref().map_or(0, |found| found.settled);
            let claimed = claimed.max(before.settled);
            now.settled = claimed;
            match &found {
                Some(found) => {
                    now.deposit = before.deposit.max(found.deposit);
                    now.stage = match found.state {
                        State::Open => Stage::Open,
                        State::Closing(block) => Stage::Closing(block),
                        State::Closed => Stage::Closed,
                    };
                }
                // Its record is gone, so what it cost in the end is not known: at most what was signed, or all that was in
                // it where that is not known either. The budget counts that, and nobody is blamed for it.
                None => {
                    let most = match before.is_restored() {
                        true => before.committed(),
                        false => inner.signed().min(before.deposit),
                    };
                    now.stage = Stage::Gone {
                        at_most: claimed.max(most),
                        spent: inner.payer.spent(),
                    };
                }
            }
            if let Some(top_up) = &before.top_up {
                let arrived = now.deposit >= before.deposit.saturating_add(top_up.amount);
                if arrived || finalized > top_up.since.saturating_add(LIFETIME) {
                    now.top_up = None;
                }
            }
            let current = found.is_none_or(|found| found.current);
            if !current && now.retired.is_none() {
                now.retired = Some("its provider has left".into());
            }
            if now != *before {
                self.store.put_channel(&self.id, &now)?;
            }
            inner.was_closing |= matches!(now.stage, Stage::Closing(_));
            let facts = Facts {
                deposit: now.deposit,
                settled: claimed,
                state: match now.stage {
                    _ if !current => ChannelState::Closed,
                    Stage::Open => ChannelState::Open,
                    Stage::Closing(finalize_at) => ChannelState::Closing { finalize_at },
                    // Its provider closed it, and had what was paid ahead still to serve for.
                    Stage::Closed if !inner.was_closing => ChannelState::Closed,
                    // Its user did, or nobody saw who.
                    Stage::Closed | Stage::Gone { .. } => ChannelState::Closing {
                        finalize_at: finalized,
                    },
                },
            };
            inner.channel = now;
            let step = inner.payer.observe(facts);
            self.store.put_records(&self.id, step.records())?;
            step.persisted()
        };
        // What it shows of a wrong is written down with the channel.
        self.unless_caught(observed).map(drop)
    }

    /// What the chain says; if it shows a wrong, the channel is retired.
    pub fn observe(&self, facts: Facts) -> Result<Result<(), Caught>, StoreError> {
        let observed = {
            let mut inner = self.inner();
            let step = inner.payer.observe(facts);
            self.store.put_records(&self.id, step.records())?;
            step.persisted()
        };
        self.unless_caught(observed)
    }

    /// A receipt came: see [`Payer::receipt`]. It may build so many blocks before those that its provider knows of.
    pub fn receipt(
        &self,
        seq: u64,
        signed: SignedReceipt,
        anchor: AnchorView,
        anchor_age: u32,
        tokens: &[TokenId],
        last: bool,
    ) -> Result<Result<Taken, Caught>, MoneyError> {
        let checked = {
            let mut inner = self.inner();
            inner.payer.set_anchor_age(anchor_age);
            let step = inner.payer.receipt(seq, signed, anchor, tokens, last)?;
            self.store.put_records(&self.id, step.records())?;
            step.persisted()
        };
        Ok(self.unless_caught(checked)?)
    }

    /// Gives the channel up for what no receipt shows.
    pub fn give_up(
        &self,
        caught: Caught,
        about: Option<(u64, &[TokenId])>,
    ) -> Result<(), StoreError> {
        let given_up = {
            let mut inner = self.inner();
            let step = inner.payer.give_up(caught, about);
            self.store.put_records(&self.id, step.records())?;
            step.persisted()
        };
        self.end_streams(given_up)
    }

    fn unless_caught<T>(&self, found: Result<T, Caught>) -> Result<Result<T, Caught>, StoreError> {
        if let Err(caught) = &found {
            self.end_streams(*caught)?;
        }
        Ok(found)
    }

    /// Nothing is signed any more, so that no stream of the channel gets further than what is paid by now.
    fn end_streams(&self, caught: Caught) -> Result<(), StoreError> {
        self.retire(&caught.to_string())?;
        self.caught.send_replace(Some(caught));
        Ok(())
    }

    /// Until the channel is given up, for whatever its provider was caught at.
    pub async fn given_up(&self) -> Caught {
        let mut caught = self.caught.subscribe();
        let found = caught.wait_for(Option::is_some).await;
        let found = found.ok().and_then(|found| *found);
        match found {
            Some(caught) => caught,
            // The sender is the channel's own.
            None => std::future::pending().await,
        }
    }

    /// The next voucher to send, if there is one.
    pub fn voucher(&self) -> Result<Option<SignedVoucher>, StoreError> {
        let mut inner = self.inner();
        let Some(step) = inner.payer.voucher() else {
            return Ok(None);
        };
        self.store.put_records(&self.id, step.records())?;
        Ok(Some(step.persisted()))
    }

    /// The highest voucher, unless the provider has it.
    pub fn unsent(&self) -> Result<Option<SignedVoucher>, StoreError> {
        self.voucher()?;
        let inner = self.inner();
        let highest = inner.payer.highest().copied();
        let given_up = inner.payer.evidence().is_some();
        Ok(highest.filter(|voucher| voucher.cumulative > inner.arrived && !given_up))
    }

    /// The provider has taken this voucher.
    pub fn arrived(&self, voucher: &SignedVoucher) {
        let mut inner = self.inner();
        inner.arrived = inner.arrived.max(voucher.cumulative);
    }

    /// Nothing more is paid ahead for this request.
    pub fn cut(&self, seq: u64) -> Result<(), MoneyError> {
        let mut inner = self.inner();
        let step = inner.payer.cut(seq)?;
        self.store.put_records(&self.id, step.records())?;
        step.persisted();
        Ok(())
    }

    /// No receipt follows the one that is held, or the provider has none.
    pub fn ended(&self, seq: u64) -> Result<(), MoneyError> {
        let mut inner = self.inner();
        let step = inner.payer.ended(seq)?;
        self.store.put_records(&self.id, step.records())?;
        step.persisted();
        Ok(())
    }

    /// Forgets requests that are paid on chain and whose receipts were anchored before this block; see
    /// [`Payer::forget`].
    pub fn forget(&self, anchored_before: u32) -> Result<(), StoreError> {
        let below = {
            let mut inner = self.inner();
            let step = inner.payer.forget(anchored_before);
            self.store.put_records(&self.id, step.records())?;
            step.persisted()
        };
        self.store.forget_requests(&self.id, below)
    }

    /// Requests without a receipt that would be forgotten; see [`Payer::doubtful`].
    pub fn doubtful(&self, anchored_before: u32) -> Vec<u64> {
        self.inner().payer.doubtful(anchored_before)
    }

    pub fn recover(&self, status: &ChannelStatus) -> Recovery {
        self.inner().payer.recover(status)
    }

    /// The voucher that shows that the channel is ours: the highest one.
    pub fn proof(&self) -> SignedVoucher {
        self.inner().payer.proof()
    }

    /// The last good receipt of a request.
    pub fn held(&self, seq: u64) -> Option<SignedReceipt> {
        self.inner().payer.request(seq)?.receipt.clone()
    }

    /// What was sent with a request whose books are open.
    pub fn kept_body(&self, seq: u64) -> Result<Option<Value>, StoreError> {
        let body = self.store.body(&self.id, seq)?;
        Ok(body.and_then(|body| serde_json::from_slice(&body).ok()))
    }

    pub fn header(&self, seq: u64) -> Option<SignedHeader> {
        let inner = self.inner();
        inner
            .payer
            .request(seq)
            .map(|request| request.header.clone())
    }

    /// Whether a request is under way, or its last receipt may be missing.
    pub fn is_open(&self, seq: u64) -> bool {
        let inner = self.inner();
        let request = inner.payer.request(seq);
        request.is_some_and(|request| request.phase != Phase::Ended)
    }

    /// A request and its last good receipt.
    pub fn request(&self, seq: u64) -> Option<(SignedHeader, SignedReceipt)> {
        let inner = self.inner();
        let request = inner.payer.request(seq)?;
        Some((request.header.clone(), request.receipt.clone()?))
    }

    /// Whether a request's stream is being read here; its reader has the tokens.
    pub fn is_streaming(&self, seq: u64) -> bool {
        self.inner().streaming.contains(&seq)
    }

    /// Its stream has ended, and what follows from that is done.
    pub fn stream_over(&self, seq: u64) {
        self.inner().streaming.remove(&seq);
    }

    /// The requests that are cut, and whose last receipt may be missing.
    pub fn cut_requests(&self) -> Vec<u64> {
        let inner = self.inner();
        let cut = inner.payer.requests();
        cut.filter(|request| request.phase == Phase::Cut)
            .map(|request| request.seq)
            .collect()
    }

    /// Whether a closed channel has more to it: an answer is under way or its last receipt is missing, or there is
    /// something to be noted of its provider.
    pub(super) fn is_unfinished(&self) -> bool {
        let is_open = self.open_requests() > 0;
        is_open || self.evidence().is_some() || self.inner().kept() > 0
    }

    /// Planck that its provider has kept by closing it, of which it shows no receipt; said once.
    pub fn take_note(&self) -> Option<Balance> {
        let mut inner = self.inner();
        let kept = inner.kept();
        inner.is_noted |= kept > 0;
        (kept > 0).then_some(kept)
    }

    /// Requests under way, or whose last receipt is missing.
    pub fn open_requests(&self) -> usize {
        let inner = self.inner();
        let requests = inner.payer.requests();
        requests
            .filter(|request| request.phase != Phase::Ended)
            .count()
    }

    /// Requests that are not forgotten.
    pub fn kept_requests(&self) -> usize {
        self.inner().payer.requests().count()
    }

    pub fn evidence(&self) -> Option<Evidence> {
        self.inner().payer.evidence().cloned()
    }
}
