//! The books: the payee's end of each channel, and the requests that are being answered in it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    mem,
    time::{Duration, Instant},
};

use assay_channel::{
    record::PayeeRecord, wire::StoredReceipt, Admission, ChannelState, ChannelStatus, Facts,
    Misuse, Payee, PaymentError, Persistent, Settlement, SettlementPolicy, SignedReceipt, Step,
    Terms,
};
use assay_client::{chain::stretched, Keypair};
use assay_openai::ApiError;
use assay_primitives::{
    salted_token_root, Anchor, ChannelId, Finish, ListingId, Price, Side, SignedVoucher, TokenId,
};
use axum::http::StatusCode;
use sp_runtime::MultiSignature;
use tokio::sync::watch;

use super::payment::{refusal, Payment};
use crate::ledger::{Change, ChannelLedger, Evidence, LedgerError, RequestKey};

/// What a finalised block says about this provider's channels.
#[derive(Clone, Debug)]
pub struct View {
    pub block: Anchor,
    /// How old the block is, by its own time and this machine's clock.
    pub age: Duration,
    /// How long a slot lasts. Each has a block, so the chain makes no more of them in a time than it has slots.
    pub slot: Duration,
    /// Blocks from it to the best one.
    pub behind: u32,
    /// All channels that the chain has a record of, those that are closed included.
    pub channels: Vec<(Terms, Facts)>,
    pub offers: BTreeMap<ListingId, Offer>,
    /// Blocks after its anchor in which a receipt may be disputed.
    pub dispute_blocks: u32,
    /// With more blocks than these behind it a receipt's anchor is a cheat's to every gateway.
    pub anchor_age: u32,
}

impl View {
    /// For how much longer something may be sold on the strength of it; none if it is not the chain of now: the node is
    /// catching up, alone, or back with an old database. What a channel holds may have been paid out since, and a
    /// receipt that is anchored at so old a block is refused.
    pub fn sells_for(&self) -> Option<Duration> {
        let most = self.most_behind();
        let oldest = stretched(BLIND, self.slot).min(self.slot.saturating_mul(most));
        let left = oldest.checked_sub(self.age)?;
        (self.behind <= most).then_some(left)
    }

    /// With more blocks than these behind the finalised one nothing is sold, nor when the chain may have made so many
    /// since.
    fn most_behind(&self) -> u32 {
        self.anchor_age / 2
    }

    /// For how much longer answers that were sold may end with receipts over it. The last quarter of the age is for the
    /// last receipt on its way to a client that reads slowly.
    fn signs_for(&self) -> Duration {
        let oldest = self.slot.saturating_mul(self.anchor_age) / 4 * 3;
        oldest.saturating_sub(self.age)
    }
}

/// What the provider sells a listing for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Offer {
    pub price: Price,
    /// The most tokens of prompt and answer together.
    pub context: u32,
}

/// A request that is being answered.
struct Live {
    secret: [u8; 32],
    output: Vec<TokenId>,
    /// Receipts with tokens so far.
    parts: u32,
    /// Output tokens that are paid for.
    paid: watch::Sender<u32>,
}

/// What an answer begins with.
#[derive(Debug)]
pub struct Begun {
    /// The receipt before prefill.
    pub receipt: SignedReceipt,
    /// How many output tokens are paid for, as vouchers come.
    pub paid: watch::Receiver<u32>,
}

/// The channels in numbers, for the metrics. Amounts are of those that are not closed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Summary {
    pub open: usize,
    pub closing: usize,
    /// The block at which the first pending close is final.
    pub deadline: Option<u32>,
    pub accepted: u128,
    pub spent: u128,
    pub settled: u128,
    /// Requests that are being answered.
    pub live: usize,
}

/// When the last finalised block is so old at slots of 6 s, or as many slots old where they are longer, nothing more is
/// sold: the channel may be gone.
const BLIND: Duration = Duration::from_secs(180);

/// Why nothing was signed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unsigned {
    /// The channel was closed on chain, and the chain has no record of it any more.
    Closed(ChannelId),
    /// The last block that was seen is too old to build on.
    ChainLost,
    Misuse(Misuse),
}

impl From<Misuse> for Unsigned {
    fn from(misuse: Misuse) -> Self {
        Self::Misuse(misuse)
    }
}

/// No header has this price.
const NOT_FOR_SALE: Price = Price {
    input: u128::MAX,
    output: u128::MAX,
};

/// The books of all channels.
pub struct Books {
    ledger: ChannelLedger,
    operator: Keypair,
    view: Option<View>,
    /// When the view is too old to sell by; none if it always was.
    sells_until: Option<Instant>,
    /// The newest block that was seen, also by a worker before this one.
    newest: u32,
    channels: BTreeMap<ChannelId, Payee>,
    /// What the disk has of channels that the chain was not asked about yet.
    stored: BTreeMap<ChannelId, Vec<PayeeRecord>>,
    live: HashMap<RequestKey, Live>,
    /// What is not on disk yet.
    changes: Vec<Change>,
    /// Channels in which something may be paid for now that was not.
    touched: BTreeSet<ChannelId>,
    /// Until when receipts may build on the last view; none before the first.
    seen: watch::Sender<Option<Instant>>,
}

impl Books {
    pub fn open(ledger: ChannelLedger, operator: Keypair) -> Result<Self, LedgerError> {
        let stored = ledger.records()?;
        Ok(Self {
            newest: ledger.seen()?,
            ledger,
            operator,
            view: None,
            sells_until: None,
            channels: BTreeMap::new(),
            stored,
            live: HashMap::new(),
            changes: Vec::new(),
            touched: BTreeSet::new(),
            seen: watch::channel(None).0,
        })
    }

    /// Changes with each view: until when receipts may build on it.
    pub fn seen(&self) -> watch::Receiver<Option<Instant>> {
        self.seen.subscribe()
    }

    /// Puts everything that has changed on disk, and then lets the requests go on that are paid for now.
    pub(super) fn write(&mut self) -> Result<(), LedgerError> {
        let changes = mem::take(&mut self.changes);
        if !changes.is_empty() {
            self.ledger.apply(&changes)?;
        }
        for channel in mem::take(&mut self.touched) {
            let Some(payee) = self.channels.get_mut(&channel) else {
                continue;
            };
            for seq in payee.live().collect::<Vec<_>>() {
                if let Some(live) = self.live.get(&RequestKey { channel, seq }) {
                    let paid = payee.allow(seq);
                    live.paid
                        .send_if_modified(|now| mem::replace(now, paid) != paid);
                }
            }
        }
        Ok(())
    }

    /// Takes over what a finalised block says. False if it is older than one that was seen: a node that is not in
    /// step yet knows nothing of channels that are there, so nothing is forgotten for its sake. Where these books have
    /// seen a newer one themselves, it tells them nothing.
    pub fn observe(&mut self, view: View) -> bool {
        let is_newest = view.block.number >= self.newest;
        let seen = self.view.as_ref().map_or(0, |seen| seen.block.number);
        if view.block.number < seen {
            return false;
        }
        if view.block.number > self.newest {
            self.newest = view.block.number;
            self.changes.push(Change::Seen(self.newest));
        }
        let mut known = BTreeSet::new();
        for (terms, facts) in &view.channels {
            let id = terms.channel;
            known.insert(id);
            let stored = &mut self.stored;
            let payee = self
                .channels
                .entry(id)
                .or_insert_with(|| Payee::restore(*terms, stored.remove(&id).unwrap_or_default()));
            note(&mut self.changes, id, payee.observe(*facts));
            let floor = payee.forget(view.block.number.saturating_sub(view.dispute_blocks));
            let forgets = !floor.records().is_empty();
            let seq = note(&mut self.changes, id, floor);
            if forgets {
                let key = RequestKey { channel: id, seq };
                self.changes.push(Change::ForgetBelow(key));
            }
            self.touched.insert(id);
        }
        let mut gone: Vec<ChannelId> = Vec::new();
        if is_newest {
            gone.extend(self.stored.keys());
            for (id, payee) in &mut self.channels {
                if known.contains(id) {
                    continue;
                }
                let facts = *payee.facts();
                if facts.state != ChannelState::Closed {
                    // It was closed, and its record dropped, while nobody here looked.
                    let state = ChannelState::Closed;
                    let closed = payee.observe(Facts { state, ..facts });
                    note(&mut self.changes, *id, closed);
                    self.touched.insert(*id);
                    // What is being answered may end with a receipt until the next block.
                    if payee.live().next().is_some() {
                        continue;
                    }
                }
                gone.push(*id);
            }
        }
        for id in gone {
            self.stored.remove(&id);
            self.channels.remove(&id);
            // What is still under way ends now: nobody can be paid for it.
            self.live.retain(|key, _| key.channel != id);
            self.changes.push(Change::Forget(id));
        }
        let now = Instant::now();
        let left = view.sells_for();
        self.sells_until = left.and_then(|left| now.checked_add(left));
        self.seen.send_replace(now.checked_add(view.signs_for()));
        self.view = Some(view);
        is_newest
    }

    fn view(&self) -> Result<&View, ApiError> {
        self.view.as_ref().ok_or_else(|| {
            ApiError::unavailable("the worker has not seen a finalised block yet; try again soon")
        })
    }

    fn payee(&mut self, channel: ChannelId) -> Result<&mut Payee, ApiError> {
        self.view()?;
        let payee = self.channels.get_mut(&channel);
        payee.ok_or_else(|| refusal(&PaymentError::UnknownChannel(channel), None))
    }

    /// Takes the voucher and the headers of a request, all of it or nothing. An admission that has no
    /// answer yet is to be begun or interrupted. With them comes the most tokens that prompt and answer
    /// may have together.
    pub fn admit(&mut self, payment: &Payment) -> Result<(Vec<Admission>, u32), ApiError> {
        let channel = payment.voucher.channel;
        self.view()?;
        if self.sells_until.is_none_or(|until| Instant::now() > until) {
            return Err(chain_lost());
        }
        let listing = self.payee(channel)?.terms().listing;
        let offer = self.offer(&listing);
        // A repeat is answered whatever is offered now.
        let price = offer.map_or(NOT_FOR_SALE, |offer| offer.price);
        let Some(payee) = self.channels.get_mut(&channel) else {
            return Err(refusal(&PaymentError::UnknownChannel(channel), None));
        };
        match payee.admit(&payment.voucher, &payment.headers, &price) {
            Ok(step) => {
                let admissions = note(&mut self.changes, channel, step);
                self.touched.insert(channel);
                Ok((admissions, offer.map_or(0, |offer| offer.context)))
            }
            Err(PaymentError::PriceTooLow { .. }) if offer.is_none() => Err(ApiError {
                status: StatusCode::GONE,
                should_retry: Some(false),
                ..ApiError::invalid(format!(
                    "listing {listing:?} is not offered by this provider any more; choose another"
                ))
                .code("not_offered")
            }),
            Err(error) => Err(refusal(&error, standing(payee, &payment.voucher))),
        }
    }

    /// The terms of an open offer.
    pub fn offer(&self, listing: &ListingId) -> Option<Offer> {
        self.view.as_ref()?.offers.get(listing).copied()
    }

    /// Begins the answer to an admitted request, with the receipt that comes before prefill.
    pub fn begin(
        &mut self,
        key: RequestKey,
        secret: [u8; 32],
        prompt: Vec<TokenId>,
    ) -> Result<Begun, Unsigned> {
        // Its body may have taken a while.
        if self
            .seen
            .borrow()
            .is_none_or(|until| Instant::now() > until)
        {
            return Err(Unsigned::ChainLost);
        }
        let (paid, seen) = watch::channel(0);
        self.live.insert(
            key,
            Live {
                secret,
                output: Vec::new(),
                parts: 0,
                paid,
            },
        );
        self.changes.push(Change::Prompt {
            key,
            secret,
            prompt,
        });
        let receipt = self.receipt(key, Vec::new(), None)?;
        Ok(Begun {
            receipt,
            paid: seen,
        })
    }

    /// Signs the last receipt of a score: so many tokens of the answer are right.
    pub fn score(
        &mut self,
        key: RequestKey,
        right: u32,
        finish: Finish,
    ) -> Result<SignedReceipt, Unsigned> {
        let payee = self.channels.get_mut(&key.channel);
        payee
            .ok_or(Unsigned::Closed(key.channel))?
            .made(key.seq, right)?;
        self.receipt(key, Vec::new(), Some(finish))
    }

    /// Signs the receipt over all tokens so far, of which these are new. With a `finish` it is the last.
    pub fn receipt(
        &mut self,
        key: RequestKey,
        tokens: Vec<TokenId>,
        finish: Option<Finish>,
    ) -> Result<SignedReceipt, Unsigned> {
        let RequestKey { channel, seq } = key;
        let not_live = Misuse::NotLive(seq);
        let payee = self.channels.get_mut(&channel);
        let payee = payee.ok_or(Unsigned::Closed(channel))?;
        let live = self.live.get_mut(&key).ok_or(not_live)?;
        let block = self.view.as_ref().ok_or(not_live)?.block;
        if !tokens.is_empty() {
            payee.made(seq, u32::try_from(tokens.len()).unwrap_or(u32::MAX))?;
            live.output.extend(&tokens);
            live.parts = live.parts.saturating_add(1);
            let part = live.parts;
            self.changes.push(Change::Output { key, part, tokens });
        }
        let root = salted_token_root(&live.secret, Side::Output, &live.output);
        let draft = payee.draft(seq, block, root, finish)?;
        let signature = self.operator.sign(&draft.receipt.signing_payload()).0;
        let step = payee.issue(draft, MultiSignature::Sr25519(signature.into()))?;
        let receipt = note(&mut self.changes, channel, step);
        if finish.is_some() {
            self.live.remove(&key);
        }
        self.touched.insert(channel);
        Ok(receipt)
    }

    /// Ends a request at its last receipt; before the first one it costs nothing.
    pub fn interrupt(&mut self, key: RequestKey) {
        let RequestKey { channel, seq } = key;
        self.live.remove(&key);
        if let Some(payee) = self.channels.get_mut(&channel) {
            // One that has ended already is what is wanted.
            if let Ok(step) = payee.interrupt(seq) {
                note(&mut self.changes, channel, step);
            }
        }
        self.touched.insert(channel);
    }

    /// Takes a voucher. The answer is where the channel stands then, and whether it raised anything.
    pub fn take_voucher(
        &mut self,
        voucher: &SignedVoucher,
    ) -> Result<(ChannelStatus, bool), ApiError> {
        let channel = voucher.channel;
        let before = self.payee(channel)?.status();
        let Some(payee) = self.channels.get_mut(&channel) else {
            return Err(refusal(&PaymentError::UnknownChannel(channel), None));
        };
        match payee.take_voucher(voucher) {
            Ok(step) => note(&mut self.changes, channel, step),
            Err(error) => return Err(refusal(&error, standing(payee, voucher))),
        }
        let after = payee.status();
        self.touched.insert(channel);
        Ok((after, after.accepted > before.accepted))
    }

    /// Where a channel stands, for whoever has a voucher of it.
    pub fn status(&mut self, voucher: &SignedVoucher) -> Result<ChannelStatus, ApiError> {
        let payee = self.payee(voucher.channel)?;
        payee.authorise(voucher).map_err(|e| refusal(&e, None))?;
        Ok(payee.status())
    }

    /// The last receipt of a request, for whoever has a voucher of its channel.
    pub fn stored(&mut self, voucher: &SignedVoucher, seq: u64) -> Result<StoredReceipt, ApiError> {
        let payee = self.payee(voucher.channel)?;
        payee.authorise(voucher).map_err(|e| refusal(&e, None))?;
        payee.stored(seq).map_err(|e| refusal(&e, None))
    }

    /// What a request was about and what was answered.
    pub fn evidence(&self, key: &RequestKey) -> Result<Option<Evidence>, LedgerError> {
        self.ledger.evidence(key)
    }

    /// What is to be claimed on chain, channels that are being closed first; everything if `all`. With each comes the
    /// block at which the close is final, the last one if nobody has asked for it.
    pub fn due(&self, policy: &SettlementPolicy, all: bool) -> Vec<(u32, Settlement)> {
        let now = self.view.as_ref().map_or(0, |view| view.block.number);
        let mut due: Vec<_> = self
            .channels
            .values()
            .filter_map(|payee| {
                let settlement = match all {
                    true => payee.settlement(),
                    false => payee.settlement_due(now, policy),
                };
                let deadline = match payee.facts().state {
                    ChannelState::Closing { finalize_at } => finalize_at,
                    ChannelState::Open | ChannelState::Closed => u32::MAX,
                };
                Some((deadline, settlement?))
            })
            .collect();
        due.sort_by_key(|(deadline, settlement)| (*deadline, settlement.voucher.channel));
        due
    }

    /// The last voucher of each channel that has something to claim, and how much.
    pub fn claims(&self) -> Vec<Settlement> {
        self.channels
            .values()
            .filter_map(Payee::settlement)
            .collect()
    }

    pub fn summary(&self) -> Summary {
        let mut summary = Summary {
            live: self.live.len(),
            ..Summary::default()
        };
        for payee in self.channels.values() {
            match payee.facts().state {
                ChannelState::Open => {}
                ChannelState::Closing { finalize_at } => {
                    summary.closing += 1;
                    let first = summary.deadline.unwrap_or(u32::MAX);
                    summary.deadline = Some(first.min(finalize_at));
                }
                ChannelState::Closed => continue,
            }
            summary.open += 1;
            let status = payee.status();
            summary.accepted = summary.accepted.saturating_add(status.accepted);
            summary.spent = summary.spent.saturating_add(status.spent);
            summary.settled = summary.settled.saturating_add(status.settled);
        }
        summary
    }
}

/// What a client is told while the chain is out of sight.
pub fn chain_lost() -> ApiError {
    ApiError::unavailable(
        "the worker has seen no finalised block of the last minutes, and sells nothing without; ask another provider",
    )
    .code("chain_lost")
}

/// Where a channel stands, for a refusal: whoever did not sign its vouchers is not told.
fn standing(payee: &Payee, voucher: &SignedVoucher) -> Option<ChannelStatus> {
    payee.authorise(voucher).is_ok().then(|| payee.status())
}

/// Makes a change whose records are written before anybody is answered.
fn note<P: Persistent<Record = PayeeRecord>, E>(
    changes: &mut Vec<Change>,
    channel: ChannelId,
    step: Step<P, E>,
) -> E {
    let records = step.records().iter().cloned();
    changes.extend(records.map(|record| Change::Record(channel, record)));
    step.persisted()
}
