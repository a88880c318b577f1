//! The provider's end of a channel.

mod admission;
mod receipts;
pub mod record;
mod settle;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use assay_primitives::{Balance, SignedVoucher, Task};
use sp_core::H256;

use self::record::{Record, Request};
pub use self::{
    admission::Admission,
    receipts::{Draft, Misuse},
    settle::{Settlement, SettlementPolicy},
};
use crate::{
    step::{Persistent, Step},
    terms::{fee, window_end, ChannelState, Facts, Floor, Terms},
    wire::{ChannelStatus, Owed, StoredReceipt},
    Header, PaymentError, SignedHeader,
};

/// What stands for the anchors of receipts below a floor, which nobody knows after a restart: they are old.
const FORGOTTEN: u32 = 0;

/// The provider's end of one channel.
#[derive(Clone, Debug)]
pub struct Payee {
    terms: Terms,
    facts: Facts,
    voucher: Option<SignedVoucher>,
    floor: Floor,
    /// Those that have a receipt, and those that are live.
    requests: BTreeMap<u64, Entry>,
    /// The floor's, and the fees of the last receipts of all requests above it.
    spent: Balance,
    /// What is being answered now.
    live: BTreeMap<u64, Live>,
    /// The earliest anchor of a receipt that may not have been settled; [`FORGOTTEN`] if nobody knows it any more.
    unsettled_since: Option<u32>,
}

#[derive(Clone, Debug)]
struct Entry {
    request: Request,
    hash: H256,
}

impl Entry {
    fn header(&self) -> &Header {
        &self.request.header.header
    }

    fn receipted(&self) -> u32 {
        let receipt = self.request.receipt.as_ref();
        receipt.map_or(0, |signed| signed.receipt.output_len)
    }

    /// The block that its last receipt builds on.
    fn anchored(&self) -> Option<u32> {
        let receipt = self.request.receipt.as_ref();
        receipt.map(|signed| signed.receipt.anchor.number)
    }

    fn fee(&self) -> Balance {
        let receipt = self.request.receipt.as_ref();
        receipt.map_or(0, |signed| signed.receipt.fee)
    }
}

/// Output tokens of a request that is being answered.
#[derive(Clone, Copy, Debug)]
struct Live {
    made: u32,
    /// What was promised to be paid for; money that no other request gets.
    allowed: u32,
}

impl Payee {
    /// From what is on disk: nothing for a new channel. Requests that were live are ended at their last receipt.
    /// Until the first [`observe`](Self::observe) nothing is sold.
    pub fn restore(terms: Terms, records: impl IntoIterator<Item = Record>) -> Self {
        let mut payee = Self {
            terms,
            facts: Facts {
                deposit: 0,
                settled: 0,
                state: ChannelState::Closed,
            },
            voucher: None,
            floor: Floor::default(),
            requests: BTreeMap::new(),
            spent: 0,
            live: BTreeMap::new(),
            unsettled_since: None,
        };
        let mut records: Vec<Record> = records.into_iter().collect();
        // The floor first: rows below it may have outlived it.
        records.sort_by_key(Record::key);
        for record in records {
            payee.apply(record);
        }
        payee.live.clear();
        payee.requests.retain(|_, entry| {
            entry.request.ended = true;
            entry.request.receipt.is_some()
        });
        // The floor has no anchors. Until the chain is seen to have paid it, it may be owed, and is claimed by its age.
        if payee.floor.spent > 0 {
            payee.unsettled_since = Some(FORGOTTEN);
        }
        payee
    }

    /// What a finalised block says. If the chain has paid more than the highest voucher on disk, the records are from an
    /// old backup, and the difference to what they know of is taken into the sum. Up to that voucher anybody may have
    /// claimed: what is beyond the sum is paid ahead, and served for yet.
    pub fn observe(&mut self, facts: Facts) -> Step<'_, Self, ()> {
        self.facts = facts;
        let unknown = match facts.settled > self.accepted() {
            true => facts.settled.saturating_sub(self.spent),
            false => 0,
        };
        let floor = (unknown > 0).then(|| Floor {
            spent: self.floor.spent.saturating_add(unknown),
            ..self.floor
        });
        if facts.settled >= self.spent {
            self.unsettled_since = None;
        } else if facts.settled >= self.floor.spent && self.unsettled_since == Some(FORGOTTEN) {
            // Only what has come since is owed, and that has anchors.
            let receipts = self.requests.values().filter_map(Entry::anchored);
            self.unsettled_since = receipts.min();
        }
        Step::new(self, floor.map(Record::Floor).into_iter().collect(), ())
    }

    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The numbers of the requests that are being answered.
    pub fn live(&self) -> impl Iterator<Item = u64> + '_ {
        self.live.keys().copied()
    }

    pub fn status(&self) -> ChannelStatus {
        ChannelStatus {
            deposit: self.facts.deposit,
            settled: self.facts.settled,
            accepted: self.accepted(),
            spent: self.spent(),
        }
    }

    /// The `assay` object that goes with a refusal.
    pub fn owed(&self, refusal: &PaymentError) -> Owed {
        Owed {
            required: refusal.required(),
            channel: self.status(),
        }
    }

    fn accepted(&self) -> Balance {
        self.voucher.map_or(0, |voucher| voucher.cumulative)
    }

    /// What was earned by receipts on disk, in all.
    pub fn spent(&self) -> Balance {
        self.spent
    }

    /// What vouchers must cover now: what was earned, and what live requests were promised.
    fn promised(&self) -> Balance {
        let open = self.live.iter().filter_map(|(seq, live)| {
            let entry = self.requests.get(seq)?;
            Some(fee(entry.header(), live.allowed).saturating_sub(entry.fee()))
        });
        open.fold(self.spent(), Balance::saturating_add)
    }

    /// How many output tokens of a live request may be computed by now; raised as far as accepted vouchers pay
    /// beyond what was promised to the others, and not beyond the window. The prompt is paid.
    ///
    /// Call it again after a voucher, after each receipt and whenever another request of the channel has ended.
    pub fn allow(&mut self, seq: u64) -> u32 {
        let promised = self.promised();
        let free = self.accepted().saturating_sub(promised);
        let (Some(entry), Some(live)) = (self.requests.get(&seq), self.live.get_mut(&seq)) else {
            return 0;
        };
        if self.facts.state == ChannelState::Closed {
            return live.made;
        }
        // What a closing channel has promised is served, and settled before it is closed.
        if self.facts.state == ChannelState::Open {
            let end = window_end(entry.header(), entry.receipted());
            let wanted = end.saturating_sub(live.allowed);
            let more = entry.header().price().affordable(free, 0, wanted);
            live.allowed = live.allowed.saturating_add(more.unwrap_or(0));
        }
        live.allowed
    }

    /// The last receipt of a request, for a user that lost it.
    pub fn stored(&self, seq: u64) -> Result<StoredReceipt, PaymentError> {
        let entry = self.requests.get(&seq);
        let entry = entry.ok_or(PaymentError::UnknownSeq(seq))?;
        Ok(StoredReceipt {
            receipt: entry.request.receipt.clone(),
            ended: entry.request.ended,
        })
    }

    /// The signed header of a request that is not forgotten.
    pub fn header(&self, seq: u64) -> Option<&SignedHeader> {
        self.requests.get(&seq).map(|entry| &entry.request.header)
    }

    /// Forgets the oldest requests whose receipts were anchored before this block. The effect is the first number
    /// that is kept: rows of requests below it, and what was kept of their answers, can be deleted. The one with the
    /// last number of all is kept, since no number is behind it.
    pub fn forget(&mut self, anchored_before: u32) -> Step<'_, Self, u64> {
        let mut floor = self.floor;
        for (seq, entry) in &self.requests {
            let receipt = entry.request.receipt.as_ref();
            let Some(receipt) = receipt.filter(|_| entry.request.ended) else {
                break;
            };
            let next = seq.checked_add(1);
            let Some(next) = next.filter(|_| receipt.receipt.anchor.number < anchored_before)
            else {
                break;
            };
            floor.seq = next;
            floor.spent = floor.spent.saturating_add(entry.fee());
        }
        let record = (floor != self.floor).then_some(Record::Floor(floor));
        Step::new(self, record.into_iter().collect(), floor.seq)
    }
}

impl Persistent for Payee {
    type Record = Record;

    fn apply(&mut self, record: Record) {
        match record {
            Record::Voucher(voucher) => self.voucher = Some(voucher),
            Record::Floor(floor) => {
                self.floor = floor;
                self.requests = self.requests.split_off(&floor.seq);
                let fees = self.requests.values().map(Entry::fee);
                self.spent = fees.fold(floor.spent, Balance::saturating_add);
            }
            Record::Request(request) if request.seq >= self.floor.seq => self.put(request),
            Record::Request(_) => {}
        }
    }
}

impl Payee {
    fn put(&mut self, request: Request) {
        let seq = request.seq;
        if request.ended && request.receipt.is_none() {
            self.live.remove(&seq);
            self.requests.remove(&seq);
            return;
        }
        match request.ended {
            true => drop(self.live.remove(&seq)),
            false => {
                let header = &request.header.header;
                let begin = Live {
                    made: 0,
                    allowed: match header.task {
                        Task::Generate => 1,
                        // It is paid with its prompt, and comes at once.
                        Task::Score { .. } => header.token_limit,
                    },
                };
                self.live.entry(seq).or_insert(begin);
            }
        }
        let entry = Entry {
            hash: request.header.header.hash(),
            request,
        };
        let before = self.requests.get(&seq).map_or(0, Entry::fee);
        self.spent = self
            .spent
            .saturating_sub(before)
            .saturating_add(entry.fee());
        if let Some(signed) = &entry.request.receipt {
            if self.spent > self.facts.settled {
                let anchor = signed.receipt.anchor.number;
                let since = self.unsettled_since.unwrap_or(anchor);
                self.unsettled_since = Some(since.min(anchor));
            }
        }
        self.requests.insert(seq, entry);
    }
}
