//! One answer, bought: of the best provider, and where that fails, of the next one from where the first
//! left off.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use assay_client::{AccountId32, Error};
use assay_openai::{ApiError, Order, Piece, Pieces};
use assay_primitives::{Balance, Finish};
use serde_json::json;
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    channels::MoneyError,
    choice::{next_try, rank, Need, Offer},
    models::Model,
    shop::Shop,
};

pub mod check;
mod leg;
mod purchase;
mod request;
mod score;
mod settle;
mod shown;

use self::{
    purchase::Purchase,
    request::{Leg, Ran},
};

/// How long an answer waits for a provider that can go on with it.
const PATIENCE: Duration = Duration::from_secs(60);
/// When a client may come again that could not be served for a fault of ours.
const RETRY: Duration = Duration::from_secs(5);

/// Begins to buy. The pieces come when the first provider has taken the request; dropping them cancels.
pub async fn begin(shop: Arc<Shop>, model: Model, order: Order) -> Result<Pieces, ApiError> {
    let prompt_len = order.prompt.len() as u32;
    let room = model.text.context.saturating_sub(prompt_len);
    let limit = match order.max_tokens {
        Some(asked) => asked,
        // Whoever names no number takes what somebody has room for.
        None => {
            let offers = shop.offers(&model).into_iter();
            let rooms = offers.map(|offer| offer.context.saturating_sub(prompt_len));
            let most = rooms.max().filter(|most| *most > 0);
            shop.terms.max_tokens.min(most.unwrap_or(u32::MAX))
        }
    };
    let limit = limit.min(room);
    // Small: a client that does not read holds the provider up, and is paid for no more than that.
    let (pieces, receiver) = mpsc::channel(16);
    let (begun, has_begun) = oneshot::channel();
    let (stop, stopped) = watch::channel(false);
    let shown = shown::until_stop(receiver, order.enough.clone(), stop);
    let purchase = Purchase {
        at_most: order.max_tokens.is_none(),
        limit,
        output: Vec::new(),
        pieces,
        stopped,
        begun: Some(begun),
        shop,
        model,
        order,
    };
    tokio::spawn(purchase.run());
    match has_begun.await {
        Ok(begun) => begun.map(|()| shown),
        Err(_) => Err(ApiError::internal(
            "the purchase broke off; look at the gateway's log",
        )),
    }
}

/// Who was asked in vain for an answer, since it waited last.
#[derive(Default)]
struct Tried {
    failed: Vec<AccountId32>,
    last_failure: Option<String>,
    /// Who could not be paid, and why: that the wallet has too little, or else why the first of those could not.
    short: Vec<AccountId32>,
    unpaid: Option<MoneyError>,
    /// Whether a part of the answer is bought, since nobody who can be asked now can be paid for all of it.
    fewer: bool,
    /// Whether money is on its way into somebody's channel, or its books are being brought together.
    is_pending: bool,
}

impl Tried {
    /// Whether the wallet has too little to put anything into a channel.
    fn is_poor(&self) -> bool {
        self.unpaid.as_ref().is_some_and(MoneyError::is_of_wallet)
    }
}

impl Purchase {
    async fn run(mut self) {
        let (shop, model) = (self.shop.clone(), self.model.id.clone());
        shop.metrics.running.inc();
        let mut legs = Vec::new();
        let ended = self.buy(&mut legs).await;
        shop.metrics.running.dec();
        let is_bought = !self.output.is_empty() || legs.iter().any(|leg| leg.fee > 0);
        let outcome = match &ended {
            Ok(Piece::End {
                finish: Finish::Caller,
                ..
            }) if !is_bought => "abandoned",
            Ok(_) => "answered",
            Err(error) if error.status.is_client_error() => "refused",
            Err(_) => "failed",
        };
        shop.metrics.request(&model, outcome);
        if ended.is_ok() {
            self.begin();
        }
        let Self {
            order,
            pieces,
            begun,
            ..
        } = self;
        // And its place among the requests at once: whoever has the end of an answer may ask again.
        drop(order);
        match (ended, begun) {
            (Err(error), Some(begun)) => drop(begun.send(Err(error))),
            (end, _) => drop(pieces.send(end).await),
        }
    }

    /// The answer's last piece, after all the others were sent.
    async fn buy(&mut self, legs: &mut Vec<Leg>) -> Result<Piece, ApiError> {
        let mut tried = Tried::default();
        let wished = self.limit;
        // Since when it waits for a provider.
        let mut start = Instant::now();
        loop {
            if self.pieces.is_closed() || *self.stopped.borrow() {
                return Ok(self.end(Finish::Caller, legs));
            }
            let offer = match self.choose(&tried)? {
                Some(offer) => offer,
                None if self.at_most && tried.unpaid.is_some() && !tried.fewer => {
                    tried.fewer = true;
                    tried.short.clear();
                    continue;
                }
                None => {
                    self.wait(start, &tried).await?;
                    // Whoever has failed may have recovered.
                    tried = Tried {
                        last_failure: tried.last_failure,
                        ..Tried::default()
                    };
                    continue;
                }
            };
            let fewer = self.reach(&tried)?.filter(|_| tried.fewer);
            let before = self.output.len();
            let asked = Instant::now();
            let (ran, leg) = leg::run(self, &offer, fewer).await;
            let had_tokens = self.output.len() > before;
            legs.extend(leg);
            if had_tokens {
                start = Instant::now();
            }
            match ran {
                Ran::Finished(finish) => {
                    self.shop.experience().succeeded(offer.provider);
                    return Ok(self.end(finish, legs));
                }
                Ran::Stopped => return Ok(self.end(Finish::Caller, legs)),
                Ran::Ours(error) if error.is_of_channel() => {
                    tried.failed.push(offer.provider);
                    tried.last_failure = Some(error.to_string());
                    tried.is_pending = true;
                }
                // The wallet has less than the budget: nothing more gets into a channel, and what is in one may do.
                Ran::Ours(error) if error.is_of_wallet() && !tried.is_poor() => {
                    tried.short.clear();
                    tried.unpaid = Some(error);
                }
                // Another one may have enough in its channel, or need less.
                Ran::Ours(error) if error.is_short() => {
                    tried.short.push(offer.provider);
                    tried.unpaid.get_or_insert(error);
                }
                Ran::Ours(error) => return Err(self.ours(&error)),
                Ran::Busy(pause) => {
                    let now = Instant::now();
                    self.shop.experience().busy(offer.provider, now, pause);
                    tried.last_failure = Some(format!("{} is busy", offer.provider));
                }
                Ran::Caught(sentence) => {
                    self.shop.keep_evidence();
                    self.shop.experience().caught(offer.provider);
                    self.note_failure(&offer, &sentence, had_tokens);
                    tried.last_failure = Some(sentence);
                }
                Ran::Failed(sentence) => {
                    let now = Instant::now();
                    self.shop.experience().failed(offer.provider, asked, now);
                    self.note_failure(&offer, &sentence, had_tokens);
                    tried.failed.push(offer.provider);
                    tried.last_failure = Some(sentence);
                }
            }
            // What came may have been all: a provider that broke off after the last token.
            if let Some(finish) = self.finish() {
                return Ok(self.end(finish, legs));
            }
            // What this one was asked for may have been a part.
            self.limit = wished;
        }
    }

    fn note_failure(&self, offer: &Offer, failure: &str, had_tokens: bool) {
        tracing::warn!(
            target: "assay_gateway", provider = %offer.provider, tokens = self.output.len(), failure,
            "a provider failed"
        );
        if had_tokens {
            self.shop.metrics.failovers.inc();
        }
    }

    /// Whether the answer is complete by its tokens.
    fn finish(&self) -> Option<Finish> {
        let last = self.output.last()?;
        if self.model.text.stop_tokens.contains(last) {
            return Some(Finish::Eos);
        }
        (self.output.len() >= self.limit as usize).then_some(Finish::Length)
    }

    fn choose(&self, tried: &Tried) -> Result<Option<Offer>, ApiError> {
        let mut offers = self.shop.offers(&self.model);
        let reach = self.reach(tried)?;
        if let Some(reach) = reach {
            offers.retain(|offer| self.is_paid_by(offer, reach, tried.fewer));
        }
        let has_channel = |offer: &Offer| self.shop.channels.usable(offer).is_some();
        let experience = self.shop.experience();
        let ranked = rank(
            &offers,
            &self.need(),
            &experience,
            Instant::now(),
            has_channel,
            &[&tried.failed[..], &tried.short].concat(),
        );
        let best = match reach {
            // Of parts the longest, and of those that are as long the best one.
            Some(reach) if tried.fewer => ranked
                .iter()
                .rev()
                .max_by_key(|offer| self.part(offer, reach)),
            _ => ranked.first(),
        };
        Ok(best.map(|offer| (*offer).clone()))
    }

    /// What can still be put into a channel, where somebody could not be paid.
    fn reach(&self, tried: &Tried) -> Result<Option<Balance>, ApiError> {
        let channels = &self.shop.channels;
        let reach = tried.unpaid.as_ref().map(|unpaid| channels.reach(unpaid));
        let reach = reach.transpose();
        reach.map_err(|error| self.ours(&error.into()))
    }

    /// Whether the rest of the answer, or a part of it where `fewer` will do, can be paid with what is free in the offer's
    /// channel, and so much more.
    fn is_paid_by(&self, offer: &Offer, reach: Balance, fewer: bool) -> bool {
        let need = self.need();
        let fee = offer.price.fee(need.prompt_len, need.token_limit);
        let purse = self.shop.channels.purse(offer, reach);
        fee.is_some_and(|fee| fee <= purse) || (fewer && self.part(offer, reach).is_some())
    }

    /// How many tokens of the rest of the answer can be paid so, if any.
    fn part(&self, offer: &Offer, reach: Balance) -> Option<u32> {
        let need = self.need();
        let purse = self.shop.channels.purse(offer, reach);
        let price = &offer.price;
        price.affordable(purse, need.prompt_len, need.token_limit)
    }

    /// Waits until a provider that pauses may be asked again, or says why nobody can be.
    async fn wait(&self, start: Instant, tried: &Tried) -> Result<(), ApiError> {
        let Tried {
            failed,
            last_failure,
            unpaid,
            fewer,
            is_pending,
            ..
        } = tried;
        let offers = self.shop.offers(&self.model);
        let need = self.need();
        let reach = self.reach(tried)?;
        let can_pay =
            |offer: &Offer| reach.is_none_or(|reach| self.is_paid_by(offer, reach, *fewer));
        let now = Instant::now();
        let next = next_try(&offers, &need, &self.shop.experience(), now, can_pay);
        let Some((provider, pause)) = next else {
            let why = match (last_failure, unpaid) {
                // Where money is on its way into a channel, it is not over.
                (_, Some(error)) if !is_pending => return Err(self.ours(error)),
                (Some(failure), _) => one_line(failure),
                (None, _) => self.nobody(&offers, &need),
            };
            return Err(ApiError::unavailable(why).code("no_provider"));
        };
        let waited = start.elapsed();
        // Before the first token the client may as well decide itself; after it, a pause is better.
        let untried = failed.is_empty() && unpaid.is_none();
        let patience = match (self.output.is_empty(), untried) {
            (true, true) => Duration::from_secs(5),
            (true, false) => Duration::ZERO,
            (false, _) => PATIENCE,
        };
        if waited.saturating_add(pause) > patience {
            let seconds = pause.as_millis().div_ceil(1000);
            let why = match (unpaid, last_failure) {
                (Some(_), _) => format!(
                    "{provider}, which can be paid for it, pauses for {seconds} s more; the budget or the account has too \
                     little for anybody else"
                ),
                (None, Some(failure)) => one_line(failure),
                (None, None) => format!("all providers pause, {provider} for {seconds} s more"),
            };
            return Err(ApiError {
                retry_after: Some(pause),
                ..ApiError::unavailable(format!("no provider can take the request now: {why}"))
                    .code("no_provider")
            });
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = self.enough() => {}
        }
        Ok(())
    }

    /// Why nobody can be asked, now or in a while.
    fn nobody(&self, offers: &[Offer], need: &Need) -> String {
        let name = &self.model.id;
        if offers.is_empty() {
            return format!("nobody that can be reached offers {name:?} now; try again later");
        }
        let experience = self.shop.experience();
        if offers
            .iter()
            .any(|offer| offer.fits(need) && experience.is_caught(&offer.provider))
        {
            return format!(
                "whoever offers {name:?} was caught; see the log and the gateway's folder `evidence`, and start it \
                 again to ask them once more"
            );
        }
        format!(
            "no offer for {name:?} is for {} tokens{}; ask for fewer{}",
            need.prompt_len.saturating_add(need.token_limit),
            match need.max_price {
                Some(price) => format!(" at {price} a token"),
                None => String::new(),
            },
            match need.max_price {
                Some(_) => ", or raise --max-price",
                None => "",
            },
        )
    }

    /// The last piece, with where each part of the answer came from.
    fn end(&self, finish: Finish, legs: &[Leg]) -> Piece {
        let fee = legs
            .iter()
            .fold(0u128, |sum, leg| sum.saturating_add(leg.fee));
        Piece::End {
            finish,
            assay: Some(json!({
                "fee": fee.to_string(),
                "parts": legs.iter().map(Leg::to_json).collect::<Vec<_>>(),
            })),
        }
    }

    /// What the client is told of a fault that no other provider would mend.
    fn ours(&self, error: &MoneyError) -> ApiError {
        let message = one_line(&self.shop.said(error));
        match error {
            MoneyError::Budget { .. } | MoneyError::Wallet { .. } => ApiError {
                status: axum::http::StatusCode::PAYMENT_REQUIRED,
                should_retry: Some(false),
                ..ApiError::invalid(message).code("insufficient_funds")
            },
            MoneyError::Overflow => ApiError::invalid(message),
            MoneyError::Behind { .. } => ApiError {
                retry_after: Some(RETRY),
                ..ApiError::unavailable(message).code("node_behind")
            },
            MoneyError::Chain(
                Error::Node(_) | Error::NotSent { .. } | Error::Unreachable { .. },
            ) => ApiError {
                retry_after: Some(RETRY),
                ..ApiError::unavailable(message).code("node_failed")
            },
            MoneyError::Chain(_)
            | MoneyError::Store(_)
            | MoneyError::Payer(_)
            | MoneyError::Left
            | MoneyError::Pending { .. } => ApiError {
                retry_after: Some(RETRY),
                ..ApiError::unavailable(message)
            },
        }
    }
}

fn one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}
