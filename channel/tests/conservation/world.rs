//! A user, a provider, a chain and a network between them, in which everything that can fail does.
//!
//! What must hold is checked after every event, against books that are kept from the rows on disk by rules
//! written down here a second time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use assay_channel::{
    record::{PayeeRecord, PayerRecord},
    wire::StoredReceipt,
    AnchorView, Ask, ChannelState, ChannelStatus, Facts, Payee, Payer, Phase, SettlementPolicy,
    SignedHeader, SignedReceipt, Terms, VoucherPair,
};
use assay_primitives::{
    salted_token_root, Price, Sampling, Side, SignedVoucher, Task, TokenId, RECEIPT_TOKENS,
};
use sp_core::{sr25519, Pair, H256};
use sp_runtime::MultiSignature;

use crate::disk::{Crash, Crashed, Disk};

pub const PRICE: Price = Price {
    input: 3,
    output: 10,
};
pub const PARALLEL: usize = 8;
pub const CLOSE_WINDOW: u32 = 20;
const SECRET: [u8; 32] = [7; 32];

pub fn pair() -> VoucherPair {
    VoucherPair::ed25519(&[1; 32])
}

pub fn terms() -> Terms {
    Terms {
        genesis: H256::repeat_byte(0x11),
        channel: H256::repeat_byte(0x22),
        provider: [0x33; 32],
        listing: H256::repeat_byte(0x44),
        voucher_key: pair().public(),
    }
}

pub fn operator() -> sr25519::Pair {
    sr25519::Pair::from_seed(&[2; 32])
}

pub fn good() -> AnchorView {
    AnchorView::Good {
        operator: operator().public().0,
    }
}

pub fn sign(receipt: &assay_primitives::Receipt) -> MultiSignature {
    MultiSignature::Sr25519(operator().sign(&receipt.signing_payload()))
}

/// The model: what stands at a place of a request's answer.
pub fn token(seq: u64, place: usize) -> TokenId {
    (seq as u32).wrapping_mul(31).wrapping_add(place as u32)
}

pub fn ask(prompt_len: u32, token_limit: u32, since: u32) -> Ask {
    let prompt: Vec<TokenId> = (0..prompt_len).collect();
    Ask {
        secret: SECRET,
        prompt_root: salted_token_root(&SECRET, Side::Prompt, &prompt),
        prompt_len,
        task: Task::Generate,
        sampling: Sampling::GREEDY,
        token_limit,
        price: PRICE,
        since,
    }
}

pub fn output_root(tokens: &[TokenId]) -> H256 {
    salted_token_root(&SECRET, Side::Output, tokens)
}

pub fn cost(header: &SignedHeader, output_len: u32) -> u128 {
    let header = &header.header;
    u128::from(header.prompt_len) * PRICE.input + u128::from(output_len) * PRICE.output
}

/// To the provider, over connections of their own: lost, doubled and overtaken at will.
#[derive(Clone, Debug)]
pub enum ToPayee {
    Request(Vec<SignedHeader>, SignedVoucher),
    Voucher(SignedVoucher),
    /// For the last receipt of a request; whether one was held then.
    Get(u64, bool),
    Status,
}

/// To the user, other than streams.
#[derive(Clone, Debug)]
pub enum ToPayer {
    Refused(Vec<u64>, ChannelStatus),
    /// What a [`ToPayee::Get`] was answered.
    Stored(u64, bool, Option<StoredReceipt>),
    Status(ChannelStatus),
}

#[derive(Clone, Debug)]
pub struct Chunk {
    pub tokens: Vec<TokenId>,
    pub receipt: Option<SignedReceipt>,
    pub last: bool,
}

/// An answer that is on its way: in order, and it can break off anywhere.
#[derive(Default)]
pub struct Stream {
    pub chunks: VecDeque<Chunk>,
    pub closed: bool,
}

/// A request in the provider's process.
pub struct Serving {
    pub tokens: Vec<TokenId>,
    pub sent: usize,
    pub limit: u32,
}

pub struct World {
    pub payer: Payer,
    pub payee: Payee,
    pub payer_disk: Disk<PayerRecord>,
    pub payee_disk: Disk<PayeeRecord>,
    /// What the provider keeps of answers, to give them again.
    pub answers: BTreeMap<u64, Vec<TokenId>>,
    pub serving: BTreeMap<u64, Serving>,
    pub streams: BTreeMap<u64, Stream>,
    /// Requests whose connection the user's process holds, and the tokens that came.
    pub client: BTreeMap<u64, Vec<TokenId>>,
    pub to_payee: VecDeque<ToPayee>,
    pub to_payer: VecDeque<ToPayer>,
    pub chain: Facts,
    pub block: u32,
    /// The user has noticed that a receipt which it misses is forgotten: it buys nothing more.
    pub retired: bool,
    /// Requests that were live when the user's process died.
    pub cut_by_death: BTreeSet<u64>,
    /// The most tokens that were ever computed of each.
    pub made: BTreeMap<u64, u32>,
    /// Before the event: the highest voucher, and `cut_by_death`.
    pub before: (u128, BTreeSet<u64>),
}

pub fn pick<K: Copy, V>(map: &BTreeMap<K, V>, which: u8) -> Option<K> {
    let place = usize::from(which).checked_rem(map.len())?;
    map.keys().nth(place).copied()
}

impl World {
    pub fn new(deposit: u128) -> Self {
        let chain = Facts {
            deposit,
            settled: 0,
            state: ChannelState::Open,
        };
        let mut world = Self {
            payer: Payer::restore(terms(), pair(), u128::MAX, []),
            payee: Payee::restore(terms(), []),
            payer_disk: Disk::new(),
            payee_disk: Disk::new(),
            answers: BTreeMap::new(),
            serving: BTreeMap::new(),
            streams: BTreeMap::new(),
            client: BTreeMap::new(),
            to_payee: VecDeque::new(),
            to_payer: VecDeque::new(),
            chain,
            block: 100,
            retired: false,
            cut_by_death: BTreeSet::new(),
            made: BTreeMap::new(),
            before: (0, BTreeSet::new()),
        };
        world.see_payee();
        world.see_payer();
        world
    }

    // ---- processes

    pub fn plan_crash(&mut self, payee: bool, crash: Crash) {
        match payee {
            true => self.payee_disk.crash = Some(crash),
            false => self.payer_disk.crash = Some(crash),
        }
    }

    pub fn restart_payee(&mut self) {
        self.payee_disk.crash = None;
        self.payee = Payee::restore(terms(), self.payee_disk.read());
        self.serving.clear();
        for stream in self.streams.values_mut() {
            stream.closed = true;
        }
        self.see_payee();
    }

    pub fn restart_payer(&mut self) {
        self.payer_disk.crash = None;
        let live = self.payer.requests().filter(|r| r.phase == Phase::Live);
        let live: Vec<u64> = live.map(|request| request.seq).collect();
        self.cut_by_death.extend(live);
        for row in self.payer_disk.read() {
            if let PayerRecord::Request(request) = row {
                if request.phase == Phase::Live {
                    self.cut_by_death.insert(request.seq);
                }
            }
        }
        self.payer = Payer::restore(terms(), pair(), u128::MAX, self.payer_disk.read());
        self.client.clear();
        self.streams.clear();
        self.see_payer();
    }

    pub fn see_payee(&mut self) {
        if self
            .payee_disk
            .commit(self.payee.observe(self.chain))
            .is_err()
        {
            self.restart_payee();
        }
    }

    pub fn see_payer(&mut self) {
        match self.payer_disk.commit(self.payer.observe(self.chain)) {
            Ok(verdict) => assert_eq!(verdict, Ok(()), "an honest provider was accused"),
            Err(Crashed) => self.restart_payer(),
        }
    }

    pub fn pass_blocks(&mut self, blocks: u32) {
        self.block += blocks;
        if let ChannelState::Closing { finalize_at } = self.chain.state {
            // A provider that is awake has claimed all before.
            if self.block >= finalize_at {
                self.see_payee();
                // More than PARALLEL, if the user died and ordered again.
                while !self.serving.is_empty() {
                    self.end_starved(0);
                }
                let always = SettlementPolicy {
                    threshold: u128::MAX,
                    age_blocks: u32::MAX,
                };
                let due = self.payee.settlement_due(self.block, &always);
                assert_eq!(due, self.payee.settlement());
                self.settle();
                self.chain.state = ChannelState::Closed;
                self.see_payee();
                assert_eq!(self.payee.settlement(), None);
            }
        }
    }

    pub fn top_up(&mut self, amount: u128) {
        if self.chain.state != ChannelState::Closed {
            self.chain.deposit += amount;
            self.chain.state = ChannelState::Open;
        }
    }

    pub fn request_close(&mut self) {
        if self.chain.state == ChannelState::Open {
            self.chain.state = ChannelState::Closing {
                finalize_at: self.block + CLOSE_WINDOW,
            };
        }
    }

    /// What the pallet checks.
    pub fn settle(&mut self) {
        if self.chain.state == ChannelState::Closed {
            return;
        }
        let Some(claim) = self.payee.settlement() else {
            return;
        };
        let terms = terms();
        assert!(claim.voucher.is_signed(terms.genesis, &terms.voucher_key));
        assert_eq!(claim.voucher.channel, terms.channel);
        assert!(claim.amount <= claim.voucher.cumulative);
        assert!(claim.voucher.cumulative <= self.chain.deposit);
        if claim.amount > self.chain.settled {
            assert_eq!(claim.amount, self.earned(), "claimed is what was receipted");
            self.chain.settled = claim.amount;
        }
    }

    /// Everything works again for a while.
    pub fn calm_down(&mut self) {
        self.payee_disk.crash = None;
        self.payer_disk.crash = None;
        for round in 0..200u8 {
            while !self.to_payee.is_empty() {
                self.deliver_to_payee(0);
            }
            while !self.to_payer.is_empty() {
                self.deliver_to_payer(0);
            }
            self.see_payee();
            self.see_payer();
            for seq in self.serving.keys().copied().collect::<Vec<_>>() {
                self.work_on(seq, RECEIPT_TOKENS, false);
            }
            for which in 0..PARALLEL as u8 {
                self.read(which);
            }
            if round > 40 {
                // Whatever has no stream is dead; whatever stands still is ended.
                let dead = self.client.keys().find(|s| !self.streams.contains_key(s));
                if let Some(seq) = dead.copied() {
                    self.hang_up(seq);
                }
                self.end_starved(round);
            }
            if round > 60 {
                for header in self.unsettled() {
                    self.get(seq(&header));
                }
                if round < 150 {
                    self.repeat(round);
                }
                self.ask_for_status();
            }
        }
        assert!(self.serving.is_empty(), "a request never ends");
        assert!(self.client.is_empty(), "a stream never ends");
        self.to_payee.clear();
        self.to_payer.clear();
    }
}

pub fn remove<T>(queue: &mut VecDeque<T>, which: u8) -> Option<T> {
    let place = usize::from(which).checked_rem(queue.len())?;
    queue.remove(place)
}

pub fn seq(header: &SignedHeader) -> u64 {
    match header.header.claim {
        assay_primitives::Claim::Channel { seq, .. } => seq,
        assay_primitives::Claim::Job(_) => unreachable!("a channel's header"),
    }
}
