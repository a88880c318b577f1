//! The user's end of a channel.

mod check;
mod evidence;
mod order;
pub mod record;
mod recovery;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use assay_primitives::{Balance, SignedVoucher};
use codec::{Decode, Encode};

use self::record::{Record, Request};
pub use self::{
    check::{AnchorView, Taken},
    evidence::{Caught, Evidence, Exhibit},
    order::{Ask, Order},
    recovery::Recovery,
};
use crate::{
    step::{Persistent, Step},
    terms::{fee, window_end, ChannelState, Facts, Floor, Terms, ANCHOR_AGE},
    VoucherPair,
};

/// How far a request has come, for the user.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub enum Phase {
    /// Tokens may come; vouchers pay a window ahead.
    #[codec(index = 0)]
    Live,
    /// Nothing more is paid ahead, and the last receipt may be missing.
    #[codec(index = 1)]
    Cut,
    /// The last receipt is held, or there is none.
    #[codec(index = 2)]
    Ended,
}

/// The user's end of one channel.
#[derive(Clone, Debug)]
pub struct Payer {
    terms: Terms,
    pair: VoucherPair,
    /// The most that vouchers may ever say, whatever the deposit.
    budget: Balance,
    facts: Facts,
    voucher: Option<SignedVoucher>,
    floor: Floor,
    /// The most that requests may have cost which were forgotten without a receipt: their provider may have forgotten one.
    doubted: Balance,
    requests: BTreeMap<u64, Request>,
    evidence: Option<Evidence>,
    /// What was signed and received after the records were copied is not among them.
    is_old: bool,
    /// How many blocks before those that its provider knows of a receipt may build.
    anchor_age: u32,
}

/// Why the user's end does not do something.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PayerError {
    #[error("the channel must pay {needed} planck and its deposit and budget reach to {limit}; top it up")]
    Short { needed: Balance, limit: Balance },
    #[error("the channel is closed or being closed; open another")]
    NotOpen,
    #[error("the channel is given up: {0}; open another one, with another provider")]
    GivenUp(Caught),
    #[error("the fee does not fit; ask for fewer tokens")]
    FeeOverflow,
    #[error("request {0} is not one of the channel's, or it is forgotten")]
    UnknownRequest(u64),
}

impl Payer {
    /// From what is on disk: nothing for a new channel. Requests that were live are cut. Until the first
    /// [`observe`](Self::observe) nothing is bought.
    pub fn restore(
        terms: Terms,
        pair: VoucherPair,
        budget: Balance,
        records: impl IntoIterator<Item = Record>,
    ) -> Self {
        let mut payer = Self {
            terms,
            pair,
            budget,
            facts: Facts {
                deposit: 0,
                settled: 0,
                state: ChannelState::Closed,
            },
            voucher: None,
            floor: Floor::default(),
            doubted: 0,
            requests: BTreeMap::new(),
            evidence: None,
            is_old: false,
            anchor_age: ANCHOR_AGE,
        };
        let mut records: Vec<Record> = records.into_iter().collect();
        // The floor first: rows below it may have outlived it.
        records.sort_by_key(Record::key);
        for record in records {
            payer.apply(record);
        }
        for request in payer.requests.values_mut() {
            if request.phase == Phase::Live {
                request.phase = Phase::Cut;
            }
        }
        payer
    }

    /// From an old backup: nothing more is bought or paid. What its records do not explain is their own loss, and
    /// shows nothing of the provider; what the chain has paid counts as spent.
    pub fn restore_old(
        terms: Terms,
        pair: VoucherPair,
        records: impl IntoIterator<Item = Record>,
    ) -> Self {
        Self {
            is_old: true,
            ..Self::restore(terms, pair, 0, records)
        }
    }

    /// What a finalised block says. If more was claimed than any receipt could be over, the provider is caught and the
    /// channel given up. While it is not closed, what a voucher reaches for is paid ahead only: anybody may claim that who
    /// has seen the voucher on chain, and the provider still has to serve for it.
    pub fn observe(&mut self, facts: Facts) -> Step<'_, Self, Result<(), Caught>> {
        self.facts = facts;
        let ceiling = self.sum(|request| match is_settled(request) {
            true => receipted_fee(request),
            false => most(request),
        });
        let ceiling = ceiling.saturating_add(self.doubted);
        let ceiling = match facts.state {
            ChannelState::Open | ChannelState::Closing { .. } => ceiling.max(self.cumulative()),
            ChannelState::Closed => ceiling,
        };
        if facts.settled <= ceiling || self.evidence.is_some() || self.is_old {
            return Step::new(self, Vec::new(), Ok(()));
        }
        let caught = Caught::Overclaimed {
            claimed: facts.settled,
            receipted: self.spent(),
        };
        self.catch(caught, None)
    }

    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The most that vouchers may say; lowering it below the highest one takes nothing back.
    pub fn set_budget(&mut self, budget: Balance) {
        self.budget = budget;
    }

    /// How many blocks before the one held, or before its request, a receipt may build; [`ANCHOR_AGE`] unless it is said:
    /// [`anchor_age`](crate::anchor_age) says how many where receipts cannot be disputed for long.
    pub fn set_anchor_age(&mut self, blocks: u32) {
        self.anchor_age = blocks;
    }

    /// The highest voucher that was signed: also the proof with which state and receipts are asked for.
    pub fn highest(&self) -> Option<&SignedVoucher> {
        self.voucher.as_ref()
    }

    /// A voucher for nothing, with which state and receipts can be asked for before the first.
    pub fn proof(&self) -> SignedVoucher {
        self.voucher.unwrap_or_else(|| self.sign(0))
    }

    /// Why the channel is given up, if it is.
    pub fn evidence(&self) -> Option<&Evidence> {
        self.evidence.as_ref()
    }

    /// All requests that are not forgotten.
    pub fn requests(&self) -> impl Iterator<Item = &Request> {
        self.requests.values()
    }

    pub fn request(&self, seq: u64) -> Option<&Request> {
        self.requests.get(&seq)
    }

    /// The sum of the fees in the receipts held; with an old backup's at least what the chain has paid.
    pub fn spent(&self) -> Balance {
        let receipted = self.sum(receipted_fee);
        match self.is_old {
            true => receipted.max(self.facts.settled),
            false => receipted,
        }
    }

    /// Planck that the chain has paid and no receipt here is over, nor can be a request that is forgotten.
    pub fn unexplained(&self) -> Balance {
        let explained = self.spent().saturating_add(self.doubted);
        self.facts.settled.saturating_sub(explained)
    }

    /// The most that a voucher may say now: the fees of receipts held, and for each live request a window of
    /// output beyond its receipt.
    fn rule(&self) -> Balance {
        self.sum(|request| match request.phase {
            Phase::Live => ceiling(request),
            Phase::Cut | Phase::Ended => receipted_fee(request),
        })
    }

    fn sum(&self, part: impl Fn(&Request) -> Balance) -> Balance {
        let parts = self.requests.values().map(part);
        parts.fold(self.floor.spent, Balance::saturating_add)
    }

    fn cumulative(&self) -> Balance {
        self.voucher.map_or(0, |voucher| voucher.cumulative)
    }

    fn limit(&self) -> Balance {
        self.budget.min(self.facts.deposit)
    }

    fn sign(&self, cumulative: Balance) -> SignedVoucher {
        self.pair
            .sign_voucher(self.terms.genesis, self.terms.channel, cumulative)
    }

    fn check_usable(&self) -> Result<(), PayerError> {
        if let Some(evidence) = &self.evidence {
            return Err(PayerError::GivenUp(evidence.caught));
        }
        match self.facts.state {
            // Numbers that seem free may have been used since.
            _ if self.is_old => Err(PayerError::NotOpen),
            ChannelState::Open => Ok(()),
            ChannelState::Closing { .. } | ChannelState::Closed => Err(PayerError::NotOpen),
        }
    }

    fn next_seq(&self) -> u64 {
        let last = self.requests.last_key_value();
        last.map_or(self.floor.seq, |(seq, _)| seq.saturating_add(1))
    }

    /// Forgets the oldest requests that nobody can come back to: the provider has claimed what they cost, and their
    /// receipts were anchored before this block. The effect is the first number that is kept: rows of requests below
    /// it can be deleted.
    pub fn forget(&mut self, anchored_before: u32) -> Step<'_, Self, u64> {
        let floor = self.next_floor(anchored_before);
        let mut records = Vec::new();
        if floor != self.floor {
            let unknown = self.without_receipt(floor.seq).map(most);
            let doubted = unknown.fold(self.doubted, Balance::saturating_add);
            records.push(Record::Floor(floor));
            if doubted != self.doubted {
                records.push(Record::Doubted(doubted));
            }
        }
        Step::new(self, records, floor.seq)
    }

    /// The requests without a receipt that [`forget`](Self::forget) would take along. They may have come to the
    /// provider after it said that it has none: ask once more before.
    pub fn doubtful(&self, anchored_before: u32) -> Vec<u64> {
        let floor = self.next_floor(anchored_before);
        let doubtful = self.without_receipt(floor.seq);
        doubtful.map(|request| request.seq).collect()
    }

    fn without_receipt(&self, below: u64) -> impl Iterator<Item = &Request> {
        let below = self.requests.range(..below).map(|(_, request)| request);
        below.filter(|request| request.receipt.is_none())
    }

    fn next_floor(&self, anchored_before: u32) -> Floor {
        let mut floor = self.floor;
        let mut spent = floor.spent;
        for (seq, request) in &self.requests {
            spent = spent.saturating_add(receipted_fee(request));
            if request.phase != Phase::Ended || spent > self.facts.settled {
                break;
            }
            // One without a receipt goes with the next that has one: until then it may yet reach the provider.
            match &request.receipt {
                Some(signed) if signed.receipt.anchor.number >= anchored_before => break,
                Some(_) => {
                    let seq = seq.saturating_add(1);
                    floor = Floor { seq, spent };
                }
                None => {}
            }
        }
        floor
    }
}

/// Whether no receipt can be missing. A request of which the provider knew nothing may reach it late.
fn is_settled(request: &Request) -> bool {
    request.phase == Phase::Ended && request.receipt.is_some()
}

fn receipted_fee(request: &Request) -> Balance {
    request.receipt.as_ref().map_or(0, |r| r.receipt.fee)
}

/// The fee of a request that goes to its limit.
fn most(request: &Request) -> Balance {
    let header = &request.header.header;
    fee(header, header.token_limit)
}

fn receipted(request: &Request) -> u32 {
    request.receipt.as_ref().map_or(0, |r| r.receipt.output_len)
}

/// The fee of a request up to the end of its window.
fn ceiling(request: &Request) -> Balance {
    let header = &request.header.header;
    fee(header, window_end(header, receipted(request)))
}

impl Persistent for Payer {
    type Record = Record;

    fn apply(&mut self, record: Record) {
        match record {
            Record::Voucher(voucher) => self.voucher = Some(voucher),
            Record::Floor(floor) => {
                self.floor = floor;
                self.requests = self.requests.split_off(&floor.seq);
            }
            Record::Request(request) if request.seq >= self.floor.seq => {
                self.requests.insert(request.seq, request);
            }
            Record::Request(_) => {}
            Record::Evidence(evidence) => self.evidence = Some(evidence),
            Record::Doubted(doubted) => self.doubted = doubted,
        }
    }
}
