//! What is not OpenAI's: payment in front of it, and the pages about channels.

use std::sync::Arc;

use assay_channel::{seal::Binding, wire::StoredReceipt, ChannelStatus, PaymentError};
use assay_openai::{
    check_json, event_stream, listen::Bounds, method_not_allowed, read_body, read_body_into,
    ApiError,
};
use assay_primitives::{ChannelId, SignedVoucher};
use axum::{
    extract::{Path, Request, State},
    http::{
        header::{CONTENT_LENGTH, CONTENT_TYPE},
        request::Parts,
        HeaderMap, HeaderName, Method,
    },
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
    Json, Router,
};
use tokio::time::{timeout_at, Instant};

use super::{
    books::Books,
    payment::{self, refusal, Payment},
    score, sealed,
    shop::Shop,
    ticket::{gone, Choice, Ticket, Tickets},
};
use crate::ledger::RequestKey;

/// Refusals that a block which the client knows and the worker does not may take back: an opening, a
/// top-up.
const BEHIND: [&str; 3] = [
    "channel_not_found",
    "amount_exceeds_deposit",
    "channel_closing",
];

/// What is paid for.
const PAID: [&str; 3] = ["/v1/completions", "/v1/chat/completions", score::PATH];

/// The longest head that is read: the headers of all choices and a voucher are half of it.
const HEAD: usize = 16 << 10;

/// What a peer may hold of the server.
pub fn bounds() -> Bounds {
    Bounds {
        head_bytes: HEAD,
        ..Bounds::default()
    }
}

/// Everything that the server answers.
pub fn router(shop: Arc<Shop>) -> Router {
    let openai = assay_openai::router(shop.clone(), shop.limits.clone());
    Router::new()
        .route("/v1/channels/{id}", get(show_channel))
        .route("/v1/channels/{id}/voucher", post(take_voucher))
        .route("/v1/channels/{id}/receipts/{seq}", get(show_receipt))
        .route(score::PATH, post(score_answer))
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(shop.clone())
        .merge(openai)
        .layer(middleware::from_fn_with_state(shop, pay))
}

/// Takes the payment of a request before its body, which only then is worth reading.
async fn pay(State(shop): State<Arc<Shop>>, request: Request, next: Next) -> Response {
    let is_paid = request.method() == Method::POST && PAID.contains(&request.uri().path());
    if !is_paid {
        return next.run(request).await;
    }
    match paid(&shop, request, next).await {
        Ok(response) => response,
        Err(error) => {
            let code = error.code.as_deref().unwrap_or("other");
            let requests = &shop.metrics.channels.requests;
            requests.with_label_values(&[code]).inc();
            error.into_response()
        }
    }
}

async fn paid(shop: &Arc<Shop>, request: Request, next: Next) -> Result<Response, ApiError> {
    shop.check_open()?;
    let payment = Payment::read(request.headers())?;
    let encapsulated = sealed::encapsulated(request.headers())?;
    let channel = payment.voucher.channel;
    let (mut parts, body) = request.into_parts();
    let_go_of_head(&mut parts);
    let tickets = admit(shop, payment).await?;
    let limits = match &encapsulated {
        Some(_) => sealed::limits(&shop.limits),
        None => shop.limits.clone(),
    };
    let mut held = shop.room.take(channel)?;
    let hold = |bytes| held.grow(bytes);
    let body = read_body_into(&parts.headers, body, &limits, hold).await?;
    parts.extensions.insert(tickets);
    let Some(encapsulated) = encapsulated else {
        let request = Request::from_parts(parts, body.into());
        return Ok(held.until_taken(next.run(request).await, shop.voucher_wait));
    };
    let binding = Binding {
        channel,
        ..shop.binding
    };
    let (plain, sealer) = sealed::open(&mut parts, &body, &encapsulated, &shop.seal_key, &binding)?;
    drop(body);
    let request = Request::from_parts(parts, plain.into());
    let response = held.until_taken(next.run(request).await, shop.voucher_wait);
    Ok(sealed::seal(response, &sealer))
}

/// Of a head nothing is needed any more but what says how the body is to be read, and whoever waits holds it.
fn let_go_of_head(head: &mut Parts) {
    let is_needed = |name: &HeaderName| [CONTENT_LENGTH, CONTENT_TYPE].contains(name);
    let kept = head.headers.iter().filter(|(name, _)| is_needed(name));
    head.headers = kept
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
}

/// Puts voucher and headers on disk, and makes tickets of them.
async fn admit(shop: &Shop, payment: Payment) -> Result<Tickets, ApiError> {
    let counted = (
        shop.cashier().clone(),
        shop.metrics.channels.clone(),
        shop.busy(),
    );
    // The tickets are made where the requests are admitted: a client that goes away in between leaves
    // tickets that are dropped, and no request that is live for ever.
    in_step(shop, move |books| {
        let (admissions, context) = books.admit(&payment)?;
        let headers = payment.headers.iter().cloned();
        let choices = headers.zip(admissions).map(|(header, admission)| {
            let key = RequestKey {
                channel: payment.voucher.channel,
                seq: admission.seq,
            };
            match admission.answered {
                Some(receipt) => Choice::Answered {
                    key,
                    header,
                    receipt,
                },
                None => Choice::New(Ticket::new(
                    counted.clone(),
                    key,
                    admission.hash,
                    header,
                    context,
                )),
            }
        });
        Ok(Tickets::new(choices))
    })
    .await
}

/// Asks the cashier, and again when it has seen more of the chain if that may change the answer: clients
/// look at the chain themselves, and are often a moment ahead.
async fn in_step<T: Send + 'static>(
    shop: &Shop,
    question: impl Fn(&mut Books) -> Result<T, ApiError> + Clone + Send + 'static,
) -> Result<T, ApiError> {
    let mut seen = shop.cashier().seen();
    let deadline = Instant::now() + shop.chain_wait;
    loop {
        seen.borrow_and_update();
        let question = question.clone();
        let answer = shop.cashier().ask(move |books| question(books)).await;
        let answer = answer.map_err(gone)?;
        let behind = answer.as_ref().is_err_and(|error| {
            let code = error.code.as_deref().unwrap_or_default();
            BEHIND.contains(&code)
        });
        if !behind || !matches!(timeout_at(deadline, seen.changed()).await, Ok(Ok(()))) {
            return answer;
        }
    }
}

/// Scores what the payment's header is for. The answer is a stream, so that its reader knows at once that the
/// request is charged, and until the end that it is worked at.
async fn score_answer(
    State(shop): State<Arc<Shop>>,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    check_json(&parts.headers)?;
    let body = read_body(&parts.headers, body, &shop.limits).await?;
    let asked = serde_json::from_slice(&body).map_err(|error| {
        ApiError::invalid(format!(
            "the body asks for no score: {error}; send model, prompt and assay.secret"
        ))
    })?;
    let receipts = shop.score(parts.extensions.get::<Tickets>(), asked).await?;
    Ok(event_stream(score::events(
        receipts,
        shop.limits.keep_alive,
    )))
}

async fn take_voucher(
    State(shop): State<Arc<Shop>>,
    Path(id): Path<String>,
    head: HeaderMap,
) -> Result<Json<ChannelStatus>, ApiError> {
    let vouchers = &shop.metrics.channels.vouchers;
    let taken = async {
        let voucher = voucher_for(&id, &head)?;
        drop(head);
        in_step(&shop, move |books| books.take_voucher(&voucher)).await
    };
    match taken.await {
        Ok((status, raised)) => {
            let result = if raised { "accepted" } else { "stale" };
            vouchers.with_label_values(&[result]).inc();
            Ok(Json(status))
        }
        Err(error) => {
            let code = error.code.as_deref().unwrap_or("other");
            vouchers.with_label_values(&[code]).inc();
            Err(error)
        }
    }
}

async fn show_channel(
    State(shop): State<Arc<Shop>>,
    Path(id): Path<String>,
    head: HeaderMap,
) -> Result<Json<ChannelStatus>, ApiError> {
    let voucher = voucher_for(&id, &head)?;
    let status = shop.cashier().ask(move |books| books.status(&voucher));
    Ok(Json(status.await.map_err(gone)??))
}

async fn show_receipt(
    State(shop): State<Arc<Shop>>,
    Path((id, seq)): Path<(String, String)>,
    head: HeaderMap,
) -> Result<Json<StoredReceipt>, ApiError> {
    let voucher = voucher_for(&id, &head)?;
    let seq = seq.parse().map_err(|_| {
        ApiError::invalid(format!("{seq:?} is not the number of a request"))
            .code("unknown_seq")
            .param("seq")
    })?;
    let stored = shop.cashier().ask(move |books| books.stored(&voucher, seq));
    Ok(Json(stored.await.map_err(gone)??))
}

/// The voucher in the head, which must be of the channel in the path.
fn voucher_for(id: &str, head: &HeaderMap) -> Result<SignedVoucher, ApiError> {
    let named = id
        .strip_prefix("0x")
        .filter(|digits| digits.len() == 64)
        .and_then(|digits| digits.parse::<ChannelId>().ok());
    let named = named.ok_or_else(|| {
        ApiError::invalid(format!(
            "{id:?} is not a channel's id; write 0x and 64 digits"
        ))
        .code("channel_not_found")
        .param("id")
    })?;
    let voucher = payment::voucher(head)?;
    match voucher.channel == named {
        true => Ok(voucher),
        false => Err(refusal(
            &PaymentError::WrongChannel {
                named: voucher.channel,
                channel: named,
            },
            None,
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_holds_no_head() {
        let request = Request::post("/v1/completions")
            .header(CONTENT_TYPE, "application/json")
            .header(CONTENT_LENGTH, 5)
            .header("assay-voucher", "much")
            .header("x-more", "still more");
        let (mut head, ()) = request.body(()).unwrap().into_parts();
        let_go_of_head(&mut head);
        assert_eq!(head.headers[CONTENT_TYPE], "application/json");
        assert_eq!(head.headers[CONTENT_LENGTH], "5");
        assert_eq!(head.headers.len(), 2);
    }
}
