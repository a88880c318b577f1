//! One answer, bought: of the best provider, and where that fails, of the next one from where the first
//! left off.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use assay_client::AccountId32;
use assay_openai::{ApiError, Order, Piece, Pieces};
use assay_primitives::Finish;
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
    let limit = order.max_tokens.unwrap_or(shop.terms.max_tokens).min(room);
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

impl Purchase {
    async fn run(mut self) {
        let (shop, model) = (self.shop.clone(), self.model.id.clone());
        shop.metrics.running.inc();
        let ended = self.buy().await;
        shop.metrics.running.dec();
        let outcome = match &ended {
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
    async fn buy(&mut self) -> Result<Piece, ApiError> {
        let mut failed: Vec<AccountId32> = Vec::new();
        let mut last_failure = None;
        let mut legs: Vec<Leg> = Vec::new();
        // Since when it waits for a provider.
        let mut start = Instant::now();
        loop {
            if self.pieces.is_closed() || *self.stopped.borrow() {
                return Ok(self.end(Finish::Caller, &legs));
            }
            let offer = match self.choose(&failed) {
                Some(offer) => offer,
                None => {
                    self.wait(start, &failed, &last_failure).await?;
                    // Whoever has failed may have recovered.
                    failed.clear();
                    continue;
                }
            };
            let before = self.output.len();
            let (ran, leg) = leg::run(self, &offer).await;
            let had_tokens = self.output.len() > before;
            legs.extend(leg);
            if had_tokens {
                start = Instant::now();
            }
            match ran {
                Ran::Finished(finish) => {
                    self.shop.experience().succeeded(offer.provider);
                    return Ok(self.end(finish, &legs));
                }
                Ran::Stopped => return Ok(self.end(Finish::Caller, &legs)),
                Ran::Ours(error) if error.is_of_channel() => {
                    failed.push(offer.provider);
                    last_failure = Some(error.to_string());
                }
                Ran::Ours(error) => return Err(ours(&error)),
                Ran::Busy(pause) => {
                    let now = Instant::now();
                    self.shop.experience().busy(offer.provider, now, pause);
                    last_failure = Some(format!("{} is busy", offer.provider));
                }
                Ran::Caught(sentence) => {
                    self.shop.keep_evidence();
                    self.note_failure(&offer, &sentence, had_tokens);
                    last_failure = Some(sentence);
                }
                Ran::Failed(sentence) => {
                    let now = Instant::now();
                    self.shop.experience().failed(offer.provider, now, None);
                    self.note_failure(&offer, &sentence, had_tokens);
                    failed.push(offer.provider);
                    last_failure = Some(sentence);
                }
            }
            // What came may have been all: a provider that broke off after the last token.
            if let Some(finish) = self.finish() {
                return Ok(self.end(finish, &legs));
            }
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

    fn choose(&self, failed: &[AccountId32]) -> Option<Offer> {
        let offers = self.shop.offers(&self.model);
        let has_channel = |offer: &Offer| self.shop.channels.usable(offer).is_some();
        let experience = self.shop.experience();
        let ranked = rank(
            &offers,
            &self.need(),
            &experience,
            Instant::now(),
            has_channel,
            failed,
        );
        ranked.first().map(|offer| (*offer).clone())
    }

    /// Waits until a provider that pauses may be asked again, or says why nobody can be.
    async fn wait(
        &self,
        start: Instant,
        failed: &[AccountId32],
        last_failure: &Option<String>,
    ) -> Result<(), ApiError> {
        let offers = self.shop.offers(&self.model);
        let need = self.need();
        let pause = next_try(&offers, &need, &self.shop.experience(), Instant::now());
        let Some(pause) = pause else {
            let why = match last_failure {
                Some(failure) => one_line(failure),
                None => self.nobody(&offers, &need),
            };
            return Err(ApiError::unavailable(why).code("no_provider"));
        };
        let waited = start.elapsed();
        // Before the first token the client may as well decide itself; after it, a pause is better.
        let patience = match (self.output.is_empty(), failed.is_empty()) {
            (true, true) => Duration::from_secs(5),
            (true, false) => Duration::ZERO,
            (false, _) => PATIENCE,
        };
        if waited.saturating_add(pause) > patience {
            let why = last_failure.as_deref().unwrap_or("all providers pause");
            let message = format!("no provider can take the request now: {}", one_line(why));
            return Err(ApiError {
                retry_after: Some(pause),
                ..ApiError::unavailable(message).code("no_provider")
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
}

/// What the client is told of a fault that no other provider would mend.
fn ours(error: &MoneyError) -> ApiError {
    let message = one_line(&error.to_string());
    match error {
        MoneyError::Budget { .. } | MoneyError::Wallet { .. } => ApiError {
            status: axum::http::StatusCode::PAYMENT_REQUIRED,
            should_retry: Some(false),
            ..ApiError::invalid(message).code("insufficient_funds")
        },
        MoneyError::Overflow => ApiError::invalid(message),
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

fn one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}
