//! A score of an answer, bought of another provider than the one that answered.

use std::{future::pending, sync::Arc, time::Instant};

use assay_channel::{Ask, SignedHeader};
use assay_client::{answer::Answer, AccountId32, H256};
use assay_primitives::{salted_token_root, Balance, Finish, Price, Side, Task, TokenId};
use serde_json::{json, Value};

use super::request::{Ran, Request};
use crate::{
    choice::{rank, Need, Offer},
    models::Model,
    shop::Shop,
    upstream::Chunk,
};

/// How often the last receipt of a score that broke off is asked for now; what stays open is looked after later.
const ATTEMPTS: usize = 3;

/// The score of the first provider that gives one, the best first, or of the one that is named; why there is none.
pub async fn buy(
    shop: &Arc<Shop>,
    model: &Model,
    answer: &Answer,
    by: Option<AccountId32>,
) -> Result<Answer, String> {
    let tokens = [&answer.prompt[..], &answer.output].concat();
    let mut asked = vec![answer.header.provider];
    let (mut failed, mut reach) = (None, None);
    while let Some(offer) = choose(shop, model, tokens.len(), &asked, by, reach) {
        asked.push(offer.provider);
        let asked_at = Instant::now();
        match ask(shop, model, &offer, answer, &tokens).await {
            Ok(score) => {
                shop.experience().succeeded(offer.provider);
                return Ok(score);
            }
            Err(Ran::Ours(error)) if error.is_of_channel() => failed = Some(error.to_string()),
            // Another one may have enough in its channel, or need less.
            Err(Ran::Ours(error)) if error.is_short() => {
                let left = shop.channels.reach(&error);
                let left = left.map_err(|error| error.to_string())?;
                reach = Some(reach.map_or(left, |least: Balance| least.min(left)));
                failed = Some(error.to_string());
            }
            Err(Ran::Ours(error)) => return Err(error.to_string()),
            Err(Ran::Busy(pause)) => {
                let now = Instant::now();
                shop.experience().busy(offer.provider, now, pause);
                failed = Some(format!("{} is busy", offer.provider));
            }
            Err(Ran::Caught(sentence)) => {
                shop.keep_evidence();
                failed = Some(sentence);
            }
            Err(Ran::Failed(sentence)) => {
                let now = Instant::now();
                shop.experience().failed(offer.provider, asked_at, now);
                failed = Some(sentence);
            }
            Err(Ran::Finished(_) | Ran::Stopped) => {}
        }
    }
    Err(failed.unwrap_or_else(|| match by {
        None => "nobody else offers the model, so that nobody can score it".into(),
        Some(by) => format!(
            "{by} cannot be asked: no offer of its for the model is for {} tokens at this price, or it cannot be \
             reached; `assay model show` says who offers it",
            tokens.len()
        ),
    }))
}

/// The best of those who can be asked. Once somebody could not be paid, those alone who can be with what is free in their
/// channels and `reach`.
fn choose(
    shop: &Shop,
    model: &Model,
    tokens: usize,
    excluded: &[AccountId32],
    by: Option<AccountId32>,
    reach: Option<Balance>,
) -> Option<Offer> {
    let need = Need {
        prompt_len: u32::try_from(tokens).ok()?,
        token_limit: 0,
        max_price: shop.terms.max_price,
        sealed: shop.terms.seal,
    };
    let mut offers = shop.offers(model);
    offers.retain(|offer| by.is_none_or(|by| offer.provider == by));
    if let Some(reach) = reach {
        let fee = |offer: &Offer| offer.price.fee(need.prompt_len, need.token_limit);
        let purse = |offer: &Offer| shop.channels.purse(offer, reach);
        offers.retain(|offer| fee(offer).is_some_and(|fee| fee <= purse(offer)));
    }
    let has_channel = |offer: &Offer| shop.channels.usable(offer).is_some();
    let experience = shop.experience();
    let ranked = rank(
        &offers,
        &need,
        &experience,
        Instant::now(),
        has_channel,
        excluded,
    );
    ranked.first().map(|offer| (*offer).clone())
}

async fn ask(
    shop: &Arc<Shop>,
    model: &Model,
    offer: &Offer,
    answer: &Answer,
    tokens: &[TokenId],
) -> Result<Answer, Ran> {
    let failed =
        |error: &dyn std::fmt::Display| Ran::Failed(format!("{}: {error}", offer.provider));
    let worker = shop.worker(offer).map_err(|error| failed(&error))?;
    shop.in_step(false).await.map_err(Ran::Ours)?;
    let secret: [u8; 32] = rand::random();
    let ask = Ask {
        secret,
        prompt_root: salted_token_root(&secret, Side::Prompt, tokens),
        prompt_len: tokens.len() as u32,
        task: Task::Score {
            seed: H256(answer.seed),
            answer_at: answer.prompt.len() as u32,
        },
        sampling: answer.header.sampling,
        token_limit: answer.output.len() as u32,
        price: Price {
            output: 0,
            ..offer.price
        },
        since: shop.seen().facts.finalized,
    };
    let body = |header: &SignedHeader| body(header, tokens, &secret);
    let ordered = shop
        .channels
        .order(offer, &model.id, ask, None, pending(), body)
        .await;
    let (line, order) = match ordered {
        Ok(ordered) => ordered,
        Err(error) => return Err(Ran::unordered(offer.provider, error)),
    };
    let (Some(header), Some(seq)) = (order.headers.into_iter().next(), order.seqs.first()) else {
        return Err(failed(&"nothing was ordered"));
    };
    let mut request = Request {
        worker,
        line,
        offer,
        seq: *seq,
        header,
        secret,
        prompt: tokens.to_vec(),
        tokens: Vec::new(),
        signer: None,
    };
    let scored = request.score(shop).await;
    let score = request.keep(shop, model, None);
    request.line.stream_over(request.seq);
    scored?;
    match score {
        Ok(Some(score)) => Ok(score),
        Ok(None) => Err(failed(&"its score cannot be told")),
        Err(error) => Err(failed(&error)),
    }
}

impl Request<'_> {
    /// Reads the score to its end, or closes its books where it broke off.
    async fn score(&mut self, shop: &Arc<Shop>) -> Result<(), Ran> {
        let ran = match self.read_score(shop).await {
            Ok(()) => return Ok(()),
            Err(caught @ Ran::Caught(_)) => return Err(caught),
            Err(ran) => ran,
        };
        self.close_books(shop, ATTEMPTS).await?;
        // Perhaps it was only its end that did not come.
        match self.is_scored() {
            true => Ok(()),
            false => Err(ran),
        }
    }

    async fn read_score(&mut self, shop: &Arc<Shop>) -> Result<(), Ran> {
        let body = body(&self.header, &self.prompt, &self.secret);
        let mut answer = self.ask(shop, &body).await?;
        loop {
            let chunk = answer.next().await;
            match chunk.map_err(|lost| self.failed(&lost))? {
                Chunk::Tokens(parts, _) => {
                    if let Some(receipt) = parts.receipt {
                        let last = receipt.receipt.finish != Finish::Caller;
                        self.take(shop, receipt, last).await?;
                    }
                }
                Chunk::Done if self.is_scored() => return Ok(()),
                Chunk::Done => {
                    let provider = self.offer.provider;
                    return Err(Ran::Failed(format!("{provider}: it ended without a score")));
                }
            }
        }
    }

    fn is_scored(&self) -> bool {
        let finish = self.line.held(self.seq).map(|signed| signed.receipt.finish);
        matches!(finish, Some(Finish::Length | Finish::Mismatch))
    }
}

/// What is sent with a signed header.
fn body(header: &SignedHeader, tokens: &[TokenId], secret: &[u8; 32]) -> Value {
    json!({
        "model": header.header.listing,
        "prompt": tokens,
        "assay": { "secret": format!("0x{}", hex::encode(secret)) },
    })
}
