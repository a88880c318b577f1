//! What the gateway asks of the chain, and tells it: facts at one finalized block, channels, money.

use std::time::Duration;

use assay_client::{chain::stretched, AccountId32, Chain, Error, Keypair, H256};
use assay_primitives::{Balance, ChannelId, ListingId, ModelParts, VoucherKey};
use futures::future::BoxFuture;

use crate::choice::Offer;

mod chain;

pub use self::chain::ChainMarket;

/// How long a node in step may be without a new block at slots of 6 s; as many slots where they are longer.
const SILENCE: Duration = Duration::from_secs(30);

/// The market at one finalized block.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    pub finalized: u32,
    /// For how many blocks after its anchor a receipt may be disputed, pauses aside.
    pub challenge_blocks: u32,
    /// The listings that may be bought.
    pub listings: Vec<Listed>,
    /// The offers for them whose providers can be reached.
    pub offers: Vec<Offer>,
}

/// A model as the chain lists it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listed {
    pub id: ListingId,
    pub parts: ModelParts,
    pub publisher: AccountId32,
    /// Parts per million.
    pub royalty: u32,
}

/// A channel as the chain has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OnChain {
    pub provider: AccountId32,
    pub listing: ListingId,
    /// The registration of the provider that it is with.
    pub epoch: u32,
    /// Whether the provider is still in that registration; if not, it can settle no more.
    pub current: bool,
    pub voucher_key: VoucherKey,
    /// All that was ever put in, in planck.
    pub deposit: Balance,
    /// What the provider has got of it.
    pub settled: Balance,
    pub state: State,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    Open,
    /// From this block on anybody may finalize it.
    Closing(u32),
    Closed,
}

/// A place in the chain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Block {
    pub best: u32,
    /// How long ago the best one was made.
    pub age: Duration,
    /// How long a slot lasts.
    pub slot: Duration,
    pub finalized: u32,
    /// Of the best chain's block that was asked for, if it is there.
    pub hash: Option<H256>,
}

impl Block {
    /// How old the best one may become at a node that is in step.
    pub fn patience(&self) -> Duration {
        stretched(SILENCE, self.slot)
    }

    /// Whether the node does not know what the chain is by now: it is still in sync, or has lost its peers.
    pub fn is_behind(&self) -> bool {
        self.age > self.patience()
    }
}

/// Who takes wrong answers to the chain: the user.
#[derive(Clone)]
pub struct Challenger {
    pub chain: Chain,
    pub key: Keypair,
}

/// The number of the last finalized block, and something as of it.
pub type Finalized<'a, T> = BoxFuture<'a, Result<(u32, T), Error>>;

/// The chain, with the user's key.
pub trait Market: Send + Sync + 'static {
    fn genesis(&self) -> H256;

    /// Where the user's node is.
    fn node(&self) -> &str;

    /// The user's account.
    fn account(&self) -> AccountId32;

    /// Who takes wrong answers to the chain; none if nobody is to.
    fn challenger(&self) -> Option<Challenger> {
        None
    }

    fn facts(&self) -> BoxFuture<'_, Result<Facts, Error>>;

    /// A channel; none if it is not there, or no more.
    fn channel(&self, id: ChannelId) -> Finalized<'_, Option<OnChain>>;

    /// The user's channels.
    fn channels(&self) -> Finalized<'_, Vec<(ChannelId, OnChain)>>;

    /// Open a channel, and wait until it is final.
    fn open(
        &self,
        provider: AccountId32,
        listing: ListingId,
        voucher_key: VoucherKey,
        deposit: Balance,
    ) -> BoxFuture<'_, Result<ChannelId, Error>>;

    /// Add to a channel's deposit, and wait until that is final.
    fn top_up(&self, id: ChannelId, amount: Balance) -> BoxFuture<'_, Result<(), Error>>;

    /// Begin to close a channel.
    fn request_close(&self, id: ChannelId) -> BoxFuture<'_, Result<(), Error>>;

    /// End a channel whose window is over, and get back what was not spent.
    fn finalize(&self, id: ChannelId) -> BoxFuture<'_, Result<(), Error>>;

    /// The least deposit of a channel, in planck.
    fn min_deposit(&self) -> BoxFuture<'_, Result<Balance, Error>>;

    /// For how many blocks after its anchor a receipt may be disputed.
    fn dispute_blocks(&self) -> BoxFuture<'_, Result<u32, Error>>;

    /// What is free in the wallet, in planck.
    fn wallet(&self) -> BoxFuture<'_, Result<Balance, Error>>;

    /// How far the chain is, and what it has at a height.
    fn block(&self, number: u32) -> BoxFuture<'_, Result<Block, Error>>;

    /// The operator key that spoke for a provider at a block.
    fn operator_at(
        &self,
        provider: AccountId32,
        block: u32,
    ) -> BoxFuture<'_, Result<Option<AccountId32>, Error>>;
}
