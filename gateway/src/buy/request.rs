use std::{sync::Arc, time::Duration};

use assay_channel::{Caught, SignedHeader};
use assay_client::{AccountId32, Amount};
use assay_primitives::{ChannelId, Finish, TokenId};
use serde_json::{json, Value};

use crate::{
    channels::{Line, MoneyError},
    choice::Offer,
    upstream::Worker,
};

/// How it went.
pub enum Ran {
    /// The answer is complete.
    Finished(Finish),
    /// The client has had enough.
    Stopped,
    Busy(Duration),
    Failed(String),
    Caught(String),
    NoMoney(MoneyError),
}

/// What a provider did for an answer.
pub struct Leg {
    pub offer: Offer,
    pub channel: ChannelId,
    pub seq: u64,
    /// Tokens that its last receipt is over, shown or not.
    pub tokens: u32,
    /// What that receipt says, in planck.
    pub fee: u128,
}

impl Leg {
    pub fn to_json(&self) -> Value {
        json!({
            "provider": self.offer.provider.to_string(),
            "channel": self.channel,
            "seq": self.seq,
            "tokens": self.tokens,
            "fee": Amount(self.fee),
        })
    }
}

/// A request under way.
pub struct Request<'a> {
    pub worker: Worker,
    pub line: Arc<Line>,
    pub offer: &'a Offer,
    pub seq: u64,
    pub header: SignedHeader,
    pub secret: [u8; 32],
    pub prompt: Vec<TokenId>,
    /// The tokens that it has brought; after a stop, with those that were made meanwhile.
    pub tokens: Vec<TokenId>,
    /// The operator that signed the last good receipt.
    pub signer: Option<AccountId32>,
}

impl Request<'_> {
    pub fn give_up(&self, caught: Caught, about: Option<(u64, &[TokenId])>) -> Ran {
        match self.line.give_up(caught, about) {
            Ok(()) => self.caught(&caught),
            Err(error) => Ran::NoMoney(error.into()),
        }
    }

    pub fn caught(&self, caught: &Caught) -> Ran {
        Ran::Caught(format!("{}: {caught}", self.offer.provider))
    }
}
