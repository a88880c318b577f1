//! A request to one provider: asked until it is taken, and its receipts.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use assay_channel::{AnchorView, Caught, SignedHeader, SignedReceipt};
use assay_client::{AccountId32, Amount, Error};
use assay_primitives::{ChannelId, Finish, TokenId};
use serde_json::{json, Value};

use crate::{
    books,
    channels::{Line, MoneyError},
    choice::Offer,
    shop::Shop,
    upstream::{Answer, Failed, Worker},
};

/// How often a refused request is put right and sent again.
const ATTEMPTS: u32 = 12;
/// How long a provider may take to see a channel or a top-up that is final for us.
const UNSEEN: Duration = Duration::from_secs(45);

/// How it went.
pub enum Ran {
    /// The answer is complete.
    Finished(Finish),
    /// The client has had enough.
    Stopped,
    Busy(Duration),
    Failed(String),
    Caught(String),
    /// Nothing that the provider has to do with: our money, our node, our disk.
    Ours(MoneyError),
}

impl Ran {
    /// Nothing could be ordered of this provider. What the chain refuses for other reasons than money, it refuses for
    /// the provider's.
    pub fn unordered(provider: AccountId32, error: MoneyError) -> Self {
        match error {
            MoneyError::Left => Self::Stopped,
            MoneyError::Chain(error @ Error::Dispatch { .. }) => {
                Self::Failed(format!("{provider}: {error}"))
            }
            ours => Self::Ours(ours),
        }
    }
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
    /// The tokens that it has brought; after a stop, with those that were made meanwhile. A score brings none.
    pub tokens: Vec<TokenId>,
    /// The operator that signed the last good receipt.
    pub signer: Option<AccountId32>,
}

impl Request<'_> {
    /// Sends the request, and puts right what the provider says is wrong with channel or voucher.
    pub async fn ask(&mut self, shop: &Arc<Shop>, body: &Value) -> Result<Answer, Ran> {
        let start = Instant::now();
        let mut attempt = 0u32;
        loop {
            // Books that were brought together may allow a higher one.
            let raised = self.line.voucher();
            let raised = raised.map_err(|error| Ran::Ours(error.into()))?;
            let voucher = raised.unwrap_or_else(|| self.line.proof());
            let asked = self.worker.ask(&self.header, &voucher, body);
            let failed = match asked.await {
                Ok(answer) => {
                    self.line.arrived(&voucher);
                    return Ok(answer);
                }
                Err(failed) => failed,
            };
            let Failed::Payment { code, owed, .. } = &failed else {
                return Err(self.failed(&failed));
            };
            attempt = attempt.saturating_add(1);
            let is_behind = match (code.as_str(), owed) {
                ("channel_not_found", _) => true,
                ("amount_exceeds_deposit", Some(owed)) => {
                    owed.channel.deposit < self.line.channel().deposit
                }
                _ => false,
            };
            if is_behind && start.elapsed() < UNSEEN {
                // Its node may not have the block yet that made the channel, or a top-up, final for us.
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
            let known = match (code.as_str(), owed) {
                ("insufficient_voucher" | "amount_exceeds_deposit", Some(owed)) => owed,
                _ => return Err(self.refused(code, &failed)),
            };
            if attempt >= ATTEMPTS {
                return Err(self.failed(&failed));
            }
            let (worker, line, seq) = (&self.worker, &self.line, self.seq);
            let recovered = books::recovered(shop, worker, line, seq, &known.channel);
            if !recovered.await.map_err(Ran::Ours)? {
                return Err(self.failed(&failed));
            }
        }
    }

    /// A refusal that another attempt does not change.
    fn refused(&self, code: &str, failed: &Failed) -> Ran {
        match self.line.refused(code) {
            Ok(()) => self.failed(failed),
            Err(error) => Ran::Ours(error.into()),
        }
    }

    pub fn failed(&self, failed: &Failed) -> Ran {
        let provider = self.offer.provider;
        match failed {
            Failed::Busy(pause) => Ran::Busy(*pause),
            other => Ran::Failed(format!("{provider}: {other}")),
        }
    }

    /// A receipt came, over the tokens that are here.
    pub async fn take(
        &mut self,
        shop: &Shop,
        signed: SignedReceipt,
        last: bool,
    ) -> Result<(), Ran> {
        let anchor = signed.receipt.anchor;
        let age = shop.anchor_age();
        let view = shop.anchor(self.offer.provider, anchor, age).await;
        let view = view.map_err(Ran::Ours)?;
        let taken = self
            .line
            .receipt(self.seq, signed, view, age, &self.tokens, last);
        match taken {
            Ok(Ok(_)) => {
                if let AnchorView::Good { operator } = view {
                    self.signer = Some(AccountId32(operator));
                }
                Ok(())
            }
            Ok(Err(caught)) => Err(self.caught(&caught)),
            Err(error) => Err(Ran::Ours(error)),
        }
    }

    pub fn give_up(&self, caught: Caught, about: Option<(u64, &[TokenId])>) -> Ran {
        match self.line.give_up(caught, about) {
            Ok(()) => self.caught(&caught),
            Err(error) => Ran::Ours(error.into()),
        }
    }

    pub fn caught(&self, caught: &Caught) -> Ran {
        Ran::Caught(format!("{}: {caught}", self.offer.provider))
    }
}
