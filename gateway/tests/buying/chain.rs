//! A chain in memory: what the gateway asks of one, and what a provider does to it.

use std::{
    collections::BTreeMap,
    sync::{
        atomic::{AtomicBool, AtomicU32, Ordering},
        Mutex, MutexGuard,
    },
    time::Duration,
};

use assay_client::{AccountId32, Error, H256};
use assay_gateway::{
    choice::Offer,
    market::{Block, Facts, Finalized, Listed, OnChain, State},
    Challenger, Market,
};
use assay_primitives::{channel_id, Balance, ChannelId, ListingId, VoucherKey};
use futures::future::BoxFuture;

pub const GENESIS: H256 = H256::repeat_byte(7);
const USER: AccountId32 = AccountId32([1; 32]);
const MIN_DEPOSIT: Balance = 10;
pub const DISPUTE_BLOCKS: u32 = 20;
const SLOT: Duration = Duration::from_secs(6);
/// Where the user's node is.
pub const NODE: &str = "ws://node:9944";

/// What goes wrong with the next transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mishap {
    /// It gets through, and nobody says so.
    Unsaid,
    /// It is lost, and nobody says so.
    Lost,
    /// The chain refuses it.
    Refused,
    /// The node does not take it, since the account cannot pay its fee.
    Poor,
    /// The node is away, so that nothing is sent.
    Away,
}

#[derive(Default)]
pub struct Chain {
    pub listings: Mutex<Vec<Listed>>,
    looked: AtomicU32,
    pub offers: Mutex<Vec<Offer>>,
    pub operators: Mutex<BTreeMap<[u8; 32], AccountId32>>,
    channels: Mutex<BTreeMap<ChannelId, OnChain>>,
    mishap: Mutex<Option<Mishap>>,
    best: AtomicU32,
    /// Blocks that are not final yet.
    pub lag: AtomicU32,
    /// The first block that the node has.
    pub first: AtomicU32,
    /// Blocks of the chain that the user's node does not know of: then the last one that it knows is as old as they are.
    pub missing: AtomicU32,
    /// How long a slot lasts, half of which is over.
    pub slot: Mutex<Duration>,
    /// Who takes wrong answers to the chain.
    pub challenger: Mutex<Option<Challenger>>,
    /// What the user had before the first deposit.
    pub funds: Mutex<Balance>,
    /// Deposits of all channels, ever.
    deposited: Mutex<Balance>,
    pub top_ups: AtomicU32,
    /// Whether the node is away for whoever only looks.
    pub is_away: AtomicBool,
    /// Whether it says nothing to them.
    pub is_silent: AtomicBool,
    /// Whoever holds it holds up top-ups and closes.
    pub crowd: tokio::sync::Mutex<()>,
    /// Whoever holds it holds up the word that a channel is open.
    pub word: tokio::sync::Mutex<()>,
    /// Whoever holds it holds up what was seen of all channels.
    pub sight: tokio::sync::Mutex<()>,
    /// Whether anybody was held up so.
    pub is_held_up: AtomicBool,
    /// Whoever holds it holds up the look into the wallet.
    pub purse: tokio::sync::Mutex<()>,
}

pub fn hash_of(number: u32) -> H256 {
    H256::from_low_u64_be(u64::from(number) + 1)
}

impl Chain {
    pub fn new() -> Self {
        let chain = Self::default();
        chain.advance(1_000);
        *chain.funds.lock().unwrap() = 1_000_000_000;
        *chain.slot.lock().unwrap() = SLOT;
        chain
    }

    pub fn advance(&self, blocks: u32) {
        self.best.fetch_add(blocks, Ordering::SeqCst);
    }

    pub fn number(&self) -> u32 {
        self.best.load(Ordering::SeqCst)
    }

    /// How often it was looked at.
    pub fn looks(&self) -> u32 {
        self.looked.load(Ordering::SeqCst)
    }

    pub fn finalized(&self) -> u32 {
        self.number() - self.lag.load(Ordering::SeqCst)
    }

    /// What the user's node takes for the last block.
    fn best_seen(&self) -> u32 {
        self.number() - self.missing.load(Ordering::SeqCst)
    }

    fn finalized_seen(&self) -> u32 {
        self.best_seen() - self.lag.load(Ordering::SeqCst)
    }

    pub fn suffer(&self, mishap: Mishap) {
        *self.mishap.lock().unwrap() = Some(mishap);
    }

    pub fn all(&self) -> MutexGuard<'_, BTreeMap<ChannelId, OnChain>> {
        self.channels.lock().unwrap()
    }

    pub fn deposited(&self) -> Balance {
        *self.deposited.lock().unwrap()
    }

    fn free(&self) -> Balance {
        let funds = *self.funds.lock().unwrap();
        funds.saturating_sub(self.deposited())
    }

    fn pay(&self, deposit: Balance) -> Result<(), Error> {
        if deposit > self.free() {
            return Err(Error::Dispatch {
                call: "a call".into(),
                error: "FundsUnavailable".into(),
                reason: "funds are unavailable".into(),
            });
        }
        *self.deposited.lock().unwrap() += deposit;
        Ok(())
    }

    fn send(&self, call: impl FnOnce() -> Result<(), Error>) -> Result<(), Error> {
        let lost = || Error::Timeout {
            call: "a call".into(),
            seconds: 1,
        };
        match self.mishap.lock().unwrap().take() {
            None => call(),
            Some(Mishap::Unsaid) => call().and(Err(lost())),
            Some(Mishap::Lost) => Err(lost()),
            Some(Mishap::Refused) => Err(Error::Dispatch {
                call: "a call".into(),
                error: "Channels::NotOnline".into(),
                reason: "the provider is offline".into(),
            }),
            Some(Mishap::Poor) => Err(Error::NotAccepted {
                call: "a call".into(),
                reason: "the account cannot pay".into(),
                is_funds: true,
                is_overtaken: false,
            }),
            Some(Mishap::Away) => Err(Error::NotSent {
                call: "a call".into(),
                reason: "the connection is lost".into(),
            }),
        }
    }
}

fn away() -> Error {
    let layers = "Cannot construct OnlineClientAtBlock: Backend error: RPC error: client error: ";
    Error::Node(format!("{layers}the connection is lost"))
}

impl Market for Chain {
    fn genesis(&self) -> H256 {
        GENESIS
    }

    fn node(&self) -> &str {
        NODE
    }

    fn account(&self) -> AccountId32 {
        USER
    }

    fn challenger(&self) -> Option<Challenger> {
        self.challenger.lock().unwrap().clone()
    }

    fn facts(&self) -> BoxFuture<'_, Result<Facts, Error>> {
        self.looked.fetch_add(1, Ordering::SeqCst);
        Box::pin(async {
            Ok(Facts {
                finalized: self.finalized_seen(),
                challenge_blocks: DISPUTE_BLOCKS,
                listings: self.listings.lock().unwrap().clone(),
                offers: self.offers.lock().unwrap().clone(),
            })
        })
    }

    fn channel(&self, id: ChannelId) -> Finalized<'_, Option<OnChain>> {
        Box::pin(async move { Ok((self.finalized_seen(), self.all().get(&id).cloned())) })
    }

    fn channels(&self) -> Finalized<'_, Vec<(ChannelId, OnChain)>> {
        Box::pin(async {
            let seen = (self.finalized_seen(), self.all().clone());
            if self.sight.try_lock().is_err() {
                self.is_held_up.store(true, Ordering::SeqCst);
                drop(self.sight.lock().await);
            }
            Ok((seen.0, seen.1.into_iter().collect()))
        })
    }

    fn open(
        &self,
        provider: AccountId32,
        listing: ListingId,
        voucher_key: VoucherKey,
        deposit: Balance,
    ) -> BoxFuture<'_, Result<ChannelId, Error>> {
        Box::pin(async move {
            let number = self.all().len() as u64;
            let id = channel_id(&GENESIS, number);
            self.send(|| {
                assert!(deposit >= MIN_DEPOSIT);
                self.pay(deposit)?;
                let channel = OnChain {
                    provider,
                    listing,
                    epoch: 1,
                    current: true,
                    voucher_key,
                    deposit,
                    settled: 0,
                    state: State::Open,
                };
                self.all().insert(id, channel);
                Ok(())
            })?;
            drop(self.word.lock().await);
            Ok(id)
        })
    }

    fn top_up(&self, id: ChannelId, amount: Balance) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            drop(self.crowd.lock().await);
            self.top_ups.fetch_add(1, Ordering::SeqCst);
            self.send(|| {
                self.pay(amount)?;
                let mut all = self.all();
                let channel = all.get_mut(&id).unwrap();
                channel.deposit += amount;
                channel.state = State::Open;
                Ok(())
            })
        })
    }

    fn request_close(&self, id: ChannelId) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            drop(self.crowd.lock().await);
            let until = self.number() + 10;
            self.send(|| {
                let mut all = self.all();
                let state = &mut all.get_mut(&id).unwrap().state;
                // Who looked before the last step asks once more.
                if *state != State::Open {
                    return Err(Error::Dispatch {
                        call: "a call".into(),
                        error: "Channels::NotOpen".into(),
                        reason: "the channel is not open".into(),
                    });
                }
                *state = State::Closing(until);
                Ok(())
            })
        })
    }

    fn finalize(&self, id: ChannelId) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            self.send(|| {
                self.all().get_mut(&id).unwrap().state = State::Closed;
                Ok(())
            })
        })
    }

    fn min_deposit(&self) -> BoxFuture<'_, Result<Balance, Error>> {
        Box::pin(async { Ok(MIN_DEPOSIT) })
    }

    fn dispute_blocks(&self) -> BoxFuture<'_, Result<u32, Error>> {
        Box::pin(async { Ok(DISPUTE_BLOCKS) })
    }

    fn wallet(&self) -> BoxFuture<'_, Result<Balance, Error>> {
        Box::pin(async {
            drop(self.purse.lock().await);
            Ok(self.free())
        })
    }

    fn block(&self, number: u32) -> BoxFuture<'_, Result<Block, Error>> {
        Box::pin(async move {
            if self.is_away.load(Ordering::SeqCst) {
                return Err(away());
            }
            if self.is_silent.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            let best = self.best_seen();
            let missing = self.missing.load(Ordering::SeqCst);
            let slot = *self.slot.lock().unwrap();
            Ok(Block {
                best,
                age: slot * missing + slot / 2,
                slot,
                finalized: self.finalized_seen(),
                hash: (self.first.load(Ordering::SeqCst)..=best)
                    .contains(&number)
                    .then(|| hash_of(number)),
            })
        })
    }

    fn operator_at(
        &self,
        provider: AccountId32,
        _: u32,
    ) -> BoxFuture<'_, Result<Option<AccountId32>, Error>> {
        Box::pin(async move { Ok(self.operators.lock().unwrap().get(&provider.0).copied()) })
    }
}
