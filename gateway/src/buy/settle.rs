//! What follows a request: vouchers on their way, the last receipt, the books.

use std::{sync::Arc, time::Duration};

use assay_channel::SignedReceipt;
use assay_client::{answer::Answer, AccountId32};
use tokio::{sync::Notify, task::JoinHandle};

use super::{
    purchase::Purchase,
    request::{Ran, Request},
};
use crate::{
    books::{self, Fetched, Replayed, RESEND, SHORT_REPLAY},
    bought::Asked,
    channels::Line,
    models::Model,
    shop::Shop,
    store::{Fragment, Spending, StoreError},
    upstream::Worker,
};

/// Pauses before the attempts to fetch the last receipt of a request that broke off.
const FETCH: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(2),
    Duration::from_secs(5),
];

/// A good receipt, and the operator that signed it.
pub type Signed = (SignedReceipt, AccountId32);

/// How long that may take where the answer goes on with another provider.
const FETCHED: Duration = Duration::from_secs(8);

/// How often the last receipt is asked for before an answer goes on elsewhere.
fn attempts(ran: &Ran) -> usize {
    match ran {
        // What fails here fails for that as well.
        Ran::Ours(_) => 0,
        _ => 3,
    }
}

/// Pays beside the answer's stream. Ends with it.
pub struct Paying {
    due: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Paying {
    pub fn start(worker: Worker, line: Arc<Line>) -> Self {
        let due = Arc::new(Notify::new());
        let told = due.clone();
        let task = tokio::spawn(async move {
            loop {
                told.notified().await;
                while let Err(error) = books::pay(&worker, &line).await {
                    tracing::warn!(target: "assay_gateway", %error, "a voucher was not taken");
                    tokio::time::sleep(RESEND).await;
                }
            }
        });
        Self { due, task }
    }

    /// A receipt came: the next window is to be paid.
    pub fn go_on(&self) {
        self.due.notify_one();
    }
}

impl Drop for Paying {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Request<'_> {
    /// After the stream, however it ended: the last receipt, and what the answer cost. With the answer as far as it can be
    /// told by now.
    pub async fn settle(&mut self, purchase: &Purchase, ran: Ran) -> (Ran, Option<Answer>) {
        let before = self.signed();
        let ran = match ran {
            // Its last receipt came with the stream, or there is nothing to be said to it any more.
            over @ (Ran::Finished(_) | Ran::Caught(_)) => over,
            Ran::Stopped => match self.close_books(&purchase.shop, FETCH.len()).await {
                Ok(()) => Ran::Stopped,
                Err(ran) => ran,
            },
            broken => {
                let closed = self.close_books(&purchase.shop, attempts(&broken));
                // Where it goes on elsewhere a client waits; what is open then is seen to later.
                match tokio::time::timeout(FETCHED, closed).await {
                    Ok(Ok(())) | Err(_) => broken,
                    Ok(Err(ran)) => ran,
                }
            }
        };
        let kept = self.keep(&purchase.shop, &purchase.model, before);
        let answer = kept.unwrap_or_else(|error| {
            tracing::error!(target: "assay_gateway", %error, "an answer cannot be kept");
            None
        });
        (ran, answer)
    }

    /// The request broke off, or was ended here: nothing more is paid ahead, and what the provider signed
    /// last is fetched.
    pub async fn close_books(&mut self, shop: &Shop, attempts: usize) -> Result<(), Ran> {
        self.line.cut(self.seq).map_err(Ran::Ours)?;
        for pause in FETCH.into_iter().take(attempts) {
            tokio::time::sleep(pause).await;
            let (line, seq) = (&self.line, self.seq);
            let fetched = books::fetch(shop, &self.worker, line, seq, &self.tokens);
            match fetched.await.map_err(Ran::Ours)? {
                Fetched::Open => {}
                Fetched::Caught(caught) => return Err(self.caught(&caught)),
                Fetched::Ended(signer) => {
                    self.signer = signer.or(self.signer);
                    books::pay_others(&self.worker, &self.line).await;
                    let held = self.line.held(self.seq);
                    if let Some(caught) = books::withheld(held.as_ref(), &self.tokens) {
                        return Err(self.give_up(caught, Some((self.seq, &self.tokens))));
                    }
                    return self.complete(shop).await;
                }
                Fetched::Forgotten => {
                    let held = self.line.held(self.seq);
                    return match books::withheld(held.as_ref(), &self.tokens) {
                        Some(caught) => Err(self.give_up(caught, Some((self.seq, &self.tokens)))),
                        None => Ok(()),
                    };
                }
            }
        }
        // It cannot be reached; what it may claim stays reserved until it can.
        Ok(())
    }

    /// What was made while the answer was being ended; the client waits for what it cost.
    async fn complete(&mut self, shop: &Shop) -> Result<(), Ran> {
        let (line, seq) = (&self.line, self.seq);
        let completed =
            books::complete(shop, &self.worker, line, seq, &self.tokens, SHORT_REPLAY).await;
        match completed.map_err(Ran::Ours)? {
            Replayed::Whole(tokens) => self.tokens = tokens,
            Replayed::Broken => tracing::warn!(
                target: "assay_gateway", provider = %self.offer.provider, seq = self.seq,
                "the end of a stopped answer did not come; it is kept as far as its receipts before the last go"
            ),
            Replayed::Caught(caught) => return Err(self.caught(&caught)),
        }
        Ok(())
    }

    /// The receipt that is held.
    fn signed(&self) -> Option<Signed> {
        self.line.held(self.seq).zip(self.signer)
    }

    /// Whether it is not known yet what it costs in the end.
    fn is_pending(&self) -> bool {
        self.line.is_open(self.seq) && self.line.evidence().is_none()
    }

    /// Writes down what was bought, if that is known by now: the answer as far as the last receipt goes of which all tokens
    /// are here. `before` is the one that came with them.
    pub fn keep(
        &self,
        shop: &Shop,
        model: &Model,
        before: Option<Signed>,
    ) -> anyhow::Result<Option<Answer>> {
        let last = self.signed();
        let answer = [&last, &before]
            .into_iter()
            .flatten()
            .find_map(|signed| self.answer(model, signed));
        if self.is_pending() {
            return Ok(answer.filter(|_| !self.tokens.is_empty()));
        }
        let Some(signed) = self.line.held(self.seq) else {
            return Ok(None);
        };
        let cost = Spending::of(&self.header.header, &signed.receipt);
        shop.metrics.bought(&model.id, &cost);
        let json = answer.as_ref().map(|answer| answer.to_json().to_string());
        let json = json.unwrap_or_default();
        let id = self.line.id();
        shop.store
            .put_answer(&id, self.seq, &model.id, json.as_bytes(), &cost)?;
        Ok(answer)
    }

    /// The answer as far as this receipt goes; none if its tokens are not all there.
    fn answer(&self, model: &Model, (signed, operator): &Signed) -> Option<Answer> {
        let asked = Asked {
            header: &self.header,
            key: self.line.voucher_key(),
            secret: self.secret,
            prompt: &self.prompt,
        };
        asked.answer(model, &self.tokens, signed, *operator)
    }

    /// Keeps the tokens where the last receipt may be missing: it comes when this request is over, perhaps to another
    /// process. `drawn` says whether the answer is checked.
    pub fn keep_fragment(&self, shop: &Shop, drawn: bool) -> Result<(), StoreError> {
        if !self.is_pending() || self.tokens.is_empty() {
            return Ok(());
        }
        let fragment = Fragment {
            tokens: self.tokens.clone(),
            drawn,
        };
        let id = self.line.id();
        shop.store.put_fragment(&id, self.seq, &fragment)
    }
}
