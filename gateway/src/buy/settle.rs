//! What follows a request: vouchers on their way, the last receipt, the books.

use std::{sync::Arc, time::Duration};

use assay_channel::Caught;
use assay_client::{
    answer::{Answer, ListedModel, Origin},
    AccountId32, SignedReceipt, H256,
};
use assay_primitives::{Task, RECEIPT_TOKENS};
use codec::Encode;
use tokio::{sync::Notify, task::JoinHandle};

use super::{
    purchase::Purchase,
    request::{Ran, Request},
};
use crate::{
    books::{self, Fetched, Replayed, RESEND},
    channels::Line,
    models::Model,
    shop::Shop,
    store::Spending,
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
/// How long the rest of an answer may take that was ended: the client waits for what it cost.
const REPLAY: Duration = Duration::from_secs(5);

/// How often the last receipt is asked for now. Where the answer has to go on elsewhere, the client waits;
/// what stays open is looked after later.
fn attempts(ran: &Ran) -> usize {
    match ran {
        Ran::Stopped => FETCH.len(),
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
    /// After the stream, however it ended: the last receipt, and what the answer cost. With the answer, if it is known
    /// by now.
    pub async fn settle(&mut self, purchase: &Purchase, ran: Ran) -> (Ran, Option<Answer>) {
        let ran = match ran {
            // Its last receipt came with the stream, or there is nothing to be said to it any more.
            over @ (Ran::Finished(_) | Ran::Caught(_)) => over,
            broken => match self.close_books(&purchase.shop, attempts(&broken)).await {
                Ok(()) => broken,
                Err(ran) => ran,
            },
        };
        let kept = self.keep(&purchase.shop, &purchase.model);
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
                    self.check_withheld()?;
                    return self.complete(shop).await;
                }
            }
        }
        // It cannot be reached; what it may claim stays reserved until it can.
        Ok(())
    }

    /// A provider that dies between two receipts has given tokens for nothing. One that has not signed
    /// when it should have has not died.
    fn check_withheld(&self) -> Result<(), Ran> {
        let held = self.line.held(self.seq);
        let receipted = held.as_ref().map_or(0, |signed| signed.receipt.output_len);
        let sent = self.tokens.len() as u32;
        let before_the_first = held.is_none() && sent > 0;
        if before_the_first || sent > receipted.saturating_add(RECEIPT_TOKENS) {
            let caught = Caught::Withheld { sent, receipted };
            return Err(self.give_up(caught, Some((self.seq, &self.tokens))));
        }
        Ok(())
    }

    /// What was made while the answer was being ended is paid for: it is kept with the receipt, which
    /// nobody could check without it.
    async fn complete(&mut self, shop: &Shop) -> Result<(), Ran> {
        if self.header.header.task != Task::Generate {
            return Ok(());
        }
        let held = self.line.held(self.seq);
        let receipted = held.map_or(0, |signed| signed.receipt.output_len);
        if receipted as usize <= self.tokens.len() {
            return Ok(());
        }
        let replayed = books::replay(shop, &self.worker, &self.line, self.seq, REPLAY).await;
        let replayed = match replayed.map_err(Ran::Ours)? {
            Replayed::Whole(tokens) if tokens.len() < receipted as usize => Replayed::Broken,
            other => other,
        };
        match replayed {
            Replayed::Whole(tokens) if tokens.starts_with(&self.tokens) => self.tokens = tokens,
            // It has signed for others than it sent.
            Replayed::Whole(_) => {
                let about = Some((self.seq, &self.tokens[..]));
                return Err(self.give_up(Caught::WrongRoot, about));
            }
            Replayed::Broken => tracing::warn!(
                target: "assay_gateway", provider = %self.offer.provider, seq = self.seq,
                "the end of a stopped answer did not come; its receipt is kept without the tokens"
            ),
            Replayed::Caught(caught) => return Err(self.caught(&caught)),
        }
        Ok(())
    }

    /// Writes down what was bought, if that is known by now.
    pub fn keep(&self, shop: &Shop, model: &Model) -> anyhow::Result<Option<Answer>> {
        // What it costs in the end is not known yet.
        if self.line.is_open(self.seq) && self.line.evidence().is_none() {
            return Ok(None);
        }
        let Some(signed) = self.line.held(self.seq) else {
            return Ok(None);
        };
        let cost = Spending::of(&self.header.header, &signed.receipt);
        shop.metrics.bought(&model.id, &cost);
        let answer = self.answer(model, &signed);
        let json = answer.as_ref().map(|answer| answer.to_json().to_string());
        let json = json.unwrap_or_default();
        let id = self.line.id();
        shop.store
            .put_answer(&id, self.seq, &model.id, json.as_bytes(), &cost)?;
        Ok(answer)
    }

    /// The answer as far as the last receipt goes; none if its tokens are not all there.
    fn answer(&self, model: &Model, signed: &assay_channel::SignedReceipt) -> Option<Answer> {
        let header = &self.header.header;
        let listed = model.listing(&header.listing)?;
        let (prompt, output) = match header.task {
            Task::Generate => {
                let output = self.tokens.get(..signed.receipt.output_len as usize)?;
                (&self.prompt[..], output)
            }
            Task::Score { answer_at, .. } => self.prompt.split_at_checked(answer_at as usize)?,
        };
        // Who signed was checked when the receipt was taken.
        let operator = self.signer?;
        Some(Answer {
            header: header.clone().map_account(AccountId32),
            origin: Origin::Channel {
                secret: H256(self.secret),
                key: self.line.voucher_key(),
                signature: self.header.signature,
            },
            seed: header.seed(&header.hash(), &H256::zero()),
            model: ListedModel {
                root: model.root,
                publisher: listed.publisher,
                royalty: listed.royalty,
                profile: if model.exact { "exact" } else { "unverified" }.into(),
                stop_tokens: model.text.stop_tokens.clone(),
            },
            prompt: prompt.to_vec(),
            output: output.to_vec(),
            signed: SignedReceipt {
                receipt: signed.receipt.clone(),
                operator,
                signature: signed.signature.encode(),
            },
        })
    }
}
