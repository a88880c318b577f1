//! A request whose last receipt comes when its stream is long over: its answer is counted, kept and checked like any
//! other.

use std::{sync::Arc, time::Duration};

use assay_channel::{wire::RequestParts, AnchorView, SignedHeader, SignedReceipt};
use assay_client::{answer::Answer, AccountId32};
use assay_primitives::{Task, TokenId};
use serde_json::Value;

use super::{anchor, complete, fetch, withheld, Fetched, Replayed};
use crate::{
    bought::Asked,
    channels::{Line, MoneyError},
    models::Model,
    recheck::Suspect,
    shop::Shop,
    store::{Fragment, Spending},
    upstream::Worker,
};

/// Asks for the last receipt of a request that nobody reads any more, and closes its books once that is here. Tokens that
/// did not come are asked for again, for so long.
pub async fn mend_request(
    shop: &Arc<Shop>,
    worker: &Worker,
    line: &Line,
    seq: u64,
    patience: Duration,
) -> Result<Fetched, MoneyError> {
    let (came, drawn) = match shop.store.fragment(&line.id(), seq)? {
        Some(Fragment { tokens, drawn }) => (tokens, Some(drawn)),
        None => (Vec::new(), None),
    };
    let before = line.held(seq);
    let (signer, is_forgotten) = match fetch(shop, worker, line, seq, &came).await? {
        Fetched::Ended(signer) => (signer, false),
        Fetched::Forgotten if line.kept_body(seq)?.is_some() => (None, true),
        other => return Ok(other),
    };
    let Some((header, signed)) = line.request(seq) else {
        return Ok(Fetched::Ended(signer));
    };
    let mut caught = withheld(Some(&signed), &came);
    if let Some(caught) = caught {
        line.give_up(caught, Some((seq, &came)))?;
    }
    let mut tokens = came;
    if caught.is_none() {
        match complete(shop, worker, line, seq, &tokens, patience).await? {
            Replayed::Whole(whole) => tokens = whole,
            Replayed::Broken => tracing::warn!(
                target: "assay_gateway", channel = ?line.id(), seq,
                "the end of an answer that broke off did not come"
            ),
            Replayed::Caught(found) => caught = Some(found),
        }
    }
    let end = End {
        header,
        signed,
        signer,
        before,
        tokens,
    };
    end.keep(shop, line, seq, drawn).await?;
    Ok(match caught {
        Some(caught) => Fetched::Caught(caught),
        None if is_forgotten => Fetched::Forgotten,
        None => Fetched::Ended(signer),
    })
}

/// What there is in the end of a request.
struct End {
    header: SignedHeader,
    signed: SignedReceipt,
    /// The operator that signed it, if it came now.
    signer: Option<AccountId32>,
    /// The receipt that was held before.
    before: Option<SignedReceipt>,
    tokens: Vec<TokenId>,
}

impl End {
    /// Counts what it has cost, and keeps the answer. Whether it is checked was `drawn` when it broke off, unless nobody
    /// was there any more.
    async fn keep(
        &self,
        shop: &Arc<Shop>,
        line: &Line,
        seq: u64,
        drawn: Option<bool>,
    ) -> Result<(), MoneyError> {
        let listing = self.header.header.listing;
        let model = {
            let seen = shop.seen();
            let mut models = seen.models.iter();
            models
                .find(|model| model.listing(&listing).is_some())
                .cloned()
        };
        let answer = match &model {
            Some(model) => self.answer(shop, line, seq, model).await?,
            None => None,
        };
        let json = answer.as_ref().map(|answer| answer.to_json().to_string());
        let json = json.unwrap_or_default();
        let cost = Spending::of(&self.header.header, &self.signed.receipt);
        let name = line.channel().model;
        shop.store
            .put_answer(&line.id(), seq, &name, json.as_bytes(), &cost)?;
        let is_proof = model.as_ref().is_some_and(|model| model.exact)
            && self.header.header.task == Task::Generate;
        let (Some(answer), Some(model), true) = (answer, model, is_proof) else {
            return Ok(());
        };
        let suspect = || Suspect::new(answer, model);
        match drawn {
            Some(true) => shop.check(suspect()),
            Some(false) => {}
            None => {
                shop.consider(suspect);
            }
        }
        Ok(())
    }

    /// The answer as far as the last receipt goes of which all tokens are here.
    async fn answer(
        &self,
        shop: &Shop,
        line: &Line,
        seq: u64,
        model: &Model,
    ) -> Result<Option<Answer>, MoneyError> {
        let Some(mut body) = line.kept_body(seq)? else {
            return Ok(None);
        };
        let mut field = |name| body.get_mut(name).map(Value::take).unwrap_or_default();
        let prompt = serde_json::from_value::<Vec<TokenId>>(field("prompt"));
        let parts = serde_json::from_value::<RequestParts>(field("assay"));
        let (Ok(prompt), Ok(parts)) = (prompt, parts) else {
            return Ok(None);
        };
        let asked = Asked {
            header: &self.header,
            key: line.voucher_key(),
            secret: parts.secret,
            prompt: &prompt,
        };
        for (signed, signer) in [
            (Some(&self.signed), self.signer),
            (self.before.as_ref(), None),
        ] {
            let Some(signed) = signed else {
                continue;
            };
            let signer = match signer {
                Some(signer) => signer,
                // Who signed was checked when the receipt was taken.
                None => match anchor(shop, line, signed).await? {
                    AnchorView::Good { operator } => AccountId32(operator),
                    _ => continue,
                },
            };
            let answer = asked.answer(model, &self.tokens, signed, signer);
            if answer.is_some() {
                return Ok(answer);
            }
        }
        Ok(None)
    }
}
