//! A provider's server that keeps its books as real ones do, answers by a rule instead of a model, and
//! cheats when it is told to.

mod stream;

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{
        atomic::{AtomicU32, Ordering},
        Arc, Mutex,
    },
};

use assay_channel::{
    seal::{self, Binding, SealKey},
    wire::{self, RequestParts},
    ChannelState, Facts, Payee, PaymentError, SignedReceipt, Terms,
};
use assay_client::{AccountId32, H256};
use assay_gateway::{choice::Offer, market::State};
use assay_primitives::{
    salted_token_root, Anchor, ChannelId, Finish, ListingId, Price, Side, Task, TokenId, PPM_ONE,
};
use axum::{
    body::{Body, Bytes},
    extract::{Path, State as Shared},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
    Json, Router,
};
use serde_json::{json, Value};
use sp_core::{sr25519, Pair};
use sp_runtime::MultiSignature;
use tokio::sync::{mpsc, Notify};

use self::stream::Stream;
use crate::chain::{hash_of, Chain, DISPUTE_BLOCKS, GENESIS};

/// How a provider behaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Manner {
    Honest,
    /// Closes the stream after this many tokens of a request.
    Cuts(u32),
    /// The same, and cannot be asked for the last receipt either.
    Dies(u32),
    /// Says nothing more after this many tokens, for as long as anybody listens.
    Stalls(u32),
    /// Never signs anything that the user gets.
    SignsNothing,
    /// Gives the first receipt and none after it.
    SignsNoMore,
    AsksTwice,
    OtherRoot,
    Forges,
    OldAnchor,
    /// Closes the stream after this many tokens, and signs the last receipt, which has to be fetched, as of long ago. After
    /// none, it is the only one that the user gets.
    Backdates(u32),
    /// Builds on a block so many before the last one.
    AnchorsBack(u32),
    /// Serves and signs, and nothing of it comes to the user, now or when it asks again.
    Swallows,
    /// Closes the stream after this many tokens, and says that it does not know the request.
    Denies(u32),
    /// Builds on a block that cannot be there yet.
    FutureAnchor,
    /// Builds on a block of another chain.
    ForeignAnchor,
    SignsAnotherRequest,
    /// Signs tokens that its model does not give; as a scorer, calls the third wrong if none is, and else none.
    Lies,
    /// Signs such a token after `lie` others, closes the stream after `dies`, and cannot be asked for the last receipt.
    LiesAndDies {
        lie: u32,
        dies: u32,
    },
    /// Lies, closes the stream after this many tokens, and signs ten more, which the user does not get when it asks again
    /// either.
    LiesAndHides(u32),
    Busy,
    /// The same, and says that it is for no time.
    BusyForNothing,
    /// Something before it answers for it that knows no receipts, once it has given this many tokens.
    BehindAProxy(u32),
    /// Makes ten tokens after this many that the user gets only when it asks again.
    RunsAhead(u32),
    /// Says that it was paid less than it was, once.
    Forgets,
    /// Takes no voucher, once.
    LosesAVoucher,
    /// Answers in the clear what came sealed.
    Unsealed,
    /// The same, and says that it is sealed.
    FalselySealed,
}

pub struct Worker {
    pub chain: Arc<Chain>,
    pub stash: AccountId32,
    pub listing: ListingId,
    pub price: Price,
    operator: sr25519::Pair,
    seal: SealKey,
    pub manner: Mutex<Manner>,
    /// The most that its node has seen in any channel, if that is behind the chain.
    pub seen_deposit: Mutex<Option<u128>>,
    payees: Mutex<HashMap<ChannelId, Payee>>,
    /// Answers that were given, to be given again.
    given: Mutex<HashMap<(ChannelId, u64), Vec<TokenId>>>,
    paid: Notify,
    /// What a token follows from: prompt and answer so far.
    rule: Rule,
    pub asked: AtomicU32,
    /// Whether every prompt came sealed.
    pub unsealed: AtomicU32,
    /// How often a last receipt was asked for.
    pub fetched: AtomicU32,
}

pub type Rule = Arc<dyn Fn(&[TokenId]) -> TokenId + Send + Sync>;

type Refusal = Box<Response>;

impl Manner {
    /// The place of the token that is not the model's.
    fn lie(self) -> Option<u32> {
        match self {
            Self::Lies | Self::LiesAndHides(_) => Some(2),
            Self::LiesAndDies { lie, .. } => Some(lie),
            _ => None,
        }
    }

    /// Whether it cannot be asked for a receipt.
    fn is_dead(self) -> bool {
        matches!(
            self,
            Self::Dies(_) | Self::LiesAndDies { .. } | Self::SignsNothing | Self::Swallows
        )
    }
}

impl Worker {
    /// A provider that listens, with an offer on the chain.
    pub async fn start(
        chain: &Arc<Chain>,
        number: u8,
        listing: ListingId,
        price: u128,
        rule: Rule,
    ) -> Arc<Self> {
        let stash = AccountId32([number; 32]);
        let operator = sr25519::Pair::from_seed(&[number; 32]);
        let worker = Arc::new(Self {
            chain: chain.clone(),
            stash,
            listing,
            price: Price {
                input: price,
                output: price,
            },
            seal: SealKey::from_bytes(&[number; 32]).unwrap(),
            manner: Mutex::new(Manner::Honest),
            seen_deposit: Mutex::default(),
            payees: Mutex::default(),
            given: Mutex::default(),
            paid: Notify::new(),
            rule,
            asked: AtomicU32::new(0),
            unsealed: AtomicU32::new(0),
            fetched: AtomicU32::new(0),
            operator,
        });
        let router = Router::new()
            .route("/v1/completions", post(complete))
            .route("/v1/score", post(complete))
            .route("/v1/channels/{id}/voucher", post(voucher))
            .route("/v1/channels/{id}/receipts/{seq}", get(receipt))
            .with_state(worker.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        chain.offers.lock().unwrap().push(Offer {
            provider: stash,
            epoch: 1,
            listing,
            price: worker.price,
            context: 512,
            score: PPM_ONE,
            endpoint,
            tls_key_hash: None,
            x25519_key: Some(worker.seal.public()),
        });
        let account = AccountId32(worker.operator.public().0);
        chain.operators.lock().unwrap().insert(stash.0, account);
        worker
    }

    pub fn behave(&self, manner: Manner) {
        *self.manner.lock().unwrap() = manner;
    }

    pub fn manner(&self) -> Manner {
        *self.manner.lock().unwrap()
    }

    /// What its books say that it has earned.
    pub fn earned(&self) -> u128 {
        let payees = self.payees.lock().unwrap();
        payees.values().map(Payee::spent).sum()
    }

    /// Claims as much as its vouchers reach for, earned or not.
    pub fn claim_everything(&self) {
        for payee in self.payees.lock().unwrap().values() {
            let accepted = payee.status().accepted;
            let id = payee.terms().channel;
            self.chain.all().get_mut(&id).unwrap().settled = accepted;
        }
    }

    /// Forgets what nobody can dispute any more.
    pub fn forget(&self) {
        let before = self.chain.finalized() - DISPUTE_BLOCKS;
        for payee in self.payees.lock().unwrap().values_mut() {
            payee.forget(before).persisted();
        }
    }

    /// Claims what it has earned.
    pub fn claim(&self) {
        for payee in self.payees.lock().unwrap().values() {
            let id = payee.terms().channel;
            self.chain.all().get_mut(&id).unwrap().settled = payee.spent();
        }
    }

    pub fn accepted(&self) -> u128 {
        let payees = self.payees.lock().unwrap();
        payees.values().map(|payee| payee.status().accepted).sum()
    }

    /// Does something with a channel as the chain has it now.
    fn with<T>(
        &self,
        id: ChannelId,
        act: impl FnOnce(&mut Payee) -> Result<T, PaymentError>,
    ) -> Result<T, Refusal> {
        let channel = self.chain.all().get(&id).cloned();
        let channel = channel.filter(|channel| channel.provider == self.stash);
        let Some(channel) = channel else {
            return Err(refuse(&PaymentError::UnknownChannel(id), Value::Null));
        };
        let mut payees = self.payees.lock().unwrap();
        let payee = payees.entry(id).or_insert_with(|| {
            let terms = Terms {
                genesis: GENESIS,
                channel: id,
                provider: self.stash.0,
                listing: channel.listing,
                voucher_key: channel.voucher_key,
            };
            Payee::restore(terms, [])
        });
        let seen = self.seen_deposit.lock().unwrap().unwrap_or(u128::MAX);
        let facts = Facts {
            deposit: channel.deposit.min(seen),
            settled: channel.settled,
            state: match channel.state {
                State::Open => ChannelState::Open,
                State::Closing(finalize_at) => ChannelState::Closing { finalize_at },
                State::Closed => ChannelState::Closed,
            },
        };
        payee.observe(facts).persisted();
        act(payee).map_err(|refusal| {
            let owed = json!(payees[&id].owed(&refusal));
            refuse(&refusal, owed)
        })
    }

    /// The next receipt of a request, as this provider gives it.
    fn sign(
        &self,
        id: ChannelId,
        seq: u64,
        secret: &[u8; 32],
        tokens: &[TokenId],
        finish: Option<Finish>,
    ) -> SignedReceipt {
        let number = self.chain.finalized();
        let root = salted_token_root(secret, Side::Output, tokens);
        let signed = self.with(id, |payee| {
            let number = match (self.manner(), finish) {
                (Manner::Backdates(_), Some(Finish::Caller)) => number - 500,
                _ => number,
            };
            let draft = payee.draft(seq, anchor(number), root, finish).unwrap();
            let payload = draft.receipt.signing_payload();
            let signature = MultiSignature::Sr25519(self.operator.sign(&payload));
            Ok(payee.issue(draft, signature).unwrap().persisted())
        });
        let Ok(mut signed) = signed else {
            panic!("the channel is gone");
        };
        let receipt = &mut signed.receipt;
        let mut operator = &self.operator;
        let stranger = sr25519::Pair::from_seed(&[99; 32]);
        match self.manner() {
            Manner::AsksTwice => receipt.fee *= 2,
            Manner::OtherRoot if receipt.output_len > 0 => receipt.output_root = H256::zero(),
            Manner::OldAnchor => receipt.anchor = anchor(number - 500),
            Manner::AnchorsBack(blocks) => receipt.anchor = anchor(number - blocks),
            Manner::FutureAnchor => receipt.anchor = anchor(number + 500),
            Manner::ForeignAnchor => receipt.anchor.hash = H256::zero(),
            Manner::SignsAnotherRequest => receipt.header = H256::repeat_byte(9),
            Manner::Forges => operator = &stranger,
            _ => return signed,
        }
        let payload = signed.receipt.signing_payload();
        signed.signature = MultiSignature::Sr25519(operator.sign(&payload));
        signed
    }
}

fn anchor(number: u32) -> Anchor {
    Anchor {
        number,
        hash: hash_of(number),
    }
}

fn refuse(refusal: &PaymentError, owed: Value) -> Refusal {
    let status = StatusCode::from_u16(refusal.status()).unwrap();
    let error = json!({ "message": refusal.to_string(), "code": refusal.code(), "assay": owed });
    Box::new((status, Json(json!({ "error": error }))).into_response())
}

fn failing() -> Response {
    (StatusCode::INTERNAL_SERVER_ERROR, "out of order").into_response()
}

fn voucher_of(headers: &HeaderMap) -> assay_primitives::SignedVoucher {
    let value = headers[wire::VOUCHER_HEADER].to_str().unwrap();
    wire::decode_voucher(value).unwrap()
}

async fn voucher(
    Shared(worker): Shared<Arc<Worker>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    let id: ChannelId = id.parse().unwrap();
    if worker.manner() == Manner::LosesAVoucher {
        worker.behave(Manner::Honest);
        return failing();
    }
    let taken = worker.with(id, |payee| {
        payee.take_voucher(&voucher_of(&headers))?.persisted();
        Ok(payee.status())
    });
    worker.paid.notify_waiters();
    match taken {
        Ok(status) => Json(status).into_response(),
        Err(refusal) => *refusal,
    }
}

async fn receipt(
    Shared(worker): Shared<Arc<Worker>>,
    Path((id, seq)): Path<(String, u64)>,
    headers: HeaderMap,
) -> Response {
    worker.fetched.fetch_add(1, Ordering::SeqCst);
    if worker.manner().is_dead() {
        return failing();
    }
    if matches!(worker.manner(), Manner::BehindAProxy(_)) {
        return (StatusCode::NOT_FOUND, "no such page").into_response();
    }
    let no_more = worker.manner() == Manner::SignsNoMore;
    let denies = matches!(worker.manner(), Manner::Denies(_));
    let stored = worker.with(id.parse().unwrap(), |payee| {
        payee.authorise(&voucher_of(&headers))?;
        match denies {
            true => Err(PaymentError::UnknownSeq(seq)),
            false => payee.stored(seq),
        }
    });
    match stored {
        Ok(mut stored) if no_more => {
            stored.receipt = None;
            stored.ended = true;
            Json(stored).into_response()
        }
        Ok(stored) => Json(stored).into_response(),
        Err(refusal) => *refusal,
    }
}

async fn complete(
    Shared(worker): Shared<Arc<Worker>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    worker.asked.fetch_add(1, Ordering::SeqCst);
    let busy = match worker.manner() {
        Manner::Busy => Some("1"),
        Manner::BusyForNothing => Some("0"),
        _ => None,
    };
    if let Some(pause) = busy {
        return (
            StatusCode::TOO_MANY_REQUESTS,
            [("retry-after", pause)],
            "{}",
        )
            .into_response();
    }
    let signed = wire::decode_headers(headers[wire::REQUEST_HEADER].to_str().unwrap()).unwrap();
    let voucher = voucher_of(&headers);
    let id = voucher.channel;
    if worker.manner() == Manner::Forgets {
        worker.behave(Manner::Honest);
        let mut status = worker.with(id, |payee| Ok(payee.status())).unwrap();
        status.accepted = 0;
        let owed = json!(wire::Owed {
            required: Some(voucher.cumulative),
            channel: status,
        });
        let refusal = PaymentError::Insufficient {
            accepted: 0,
            required: voucher.cumulative,
        };
        return *refuse(&refusal, owed);
    }
    let admitted = worker.with(id, |payee| {
        Ok(payee.admit(&voucher, &signed, &worker.price)?.persisted())
    });
    let (seq, again) = match admitted {
        Ok(admitted) => (admitted[0].seq, admitted[0].answered.clone()),
        Err(refusal) => return *refusal,
    };
    let (plain, sealer) = match headers.get(wire::SEAL_HEADER) {
        None => {
            worker.unsealed.fetch_add(1, Ordering::SeqCst);
            (body.to_vec(), None)
        }
        Some(value) => {
            let binding = Binding {
                genesis: GENESIS,
                provider: worker.stash.0,
                channel: id,
            };
            let encapsulated = wire::decode_seal(value.to_str().unwrap()).unwrap();
            let (mut opener, response) =
                seal::open_request(&worker.seal, &binding, &encapsulated).unwrap();
            let plain = opener.push(&body).unwrap();
            opener.finish().unwrap();
            (plain, Some(response.begin(&mut rand::rng()).unwrap()))
        }
    };
    let body: Value = serde_json::from_slice(&plain).unwrap();
    let parts: RequestParts = serde_json::from_value(body["assay"].clone()).unwrap();
    let prompt: Vec<TokenId> = serde_json::from_value(body["prompt"].clone()).unwrap();
    let header = &signed[0].header;
    assay_channel::check_prompt(header, &parts.secret, &prompt).unwrap();
    if header.task == Task::Generate {
        assert_eq!(body["max_tokens"], header.token_limit);
    }
    assert_eq!(body["model"], json!(worker.listing));

    let (sender, receiver) = mpsc::channel::<Result<Bytes, Infallible>>(64);
    let (seal, sealer) = match (sealer, worker.manner()) {
        (None, _) | (_, Manner::Unsealed) => (None, None),
        (Some((seal, _)), Manner::FalselySealed) => (Some(wire::encode_seal(&seal)), None),
        (Some((seal, sealer)), _) => (Some(wire::encode_seal(&seal)), Some(sealer)),
    };
    let stream = Stream {
        sender,
        sealer,
        worker,
        id,
        seq,
        secret: parts.secret,
    };
    let swallows = stream.worker.manner() == Manner::Swallows;
    match again {
        None => match header.task {
            Task::Generate => drop(tokio::spawn(stream.answer(prompt, header.token_limit))),
            Task::Score { answer_at, .. } => {
                drop(tokio::spawn(stream.score(prompt, answer_at as usize)))
            }
        },
        Some(_) if matches!(stream.worker.manner(), Manner::LiesAndHides(_)) => return failing(),
        Some(receipt) => drop(tokio::spawn(stream.replay(receipt))),
    }
    if swallows {
        return failing();
    }
    let events = futures::stream::unfold(receiver, |mut receiver| async {
        Some((receiver.recv().await?, receiver))
    });
    let mut response = Body::from_stream(events).into_response();
    if let Some(seal) = seal {
        response
            .headers_mut()
            .insert(wire::SEAL_HEADER, seal.parse().unwrap());
    }
    response
}
