//! An answer under way: tokens out of the engine, receipts over them, money for more.

use std::{future::pending, mem, pin::pin, sync::Arc, time::Duration};

use assay_channel::{wire::ChunkParts, SignedReceipt};
use assay_openai::{ApiError, Piece, Token};
use assay_primitives::{Finish, TokenId, RECEIPT_TOKENS};
use futures::FutureExt;
use serde_json::{json, Value};
use tokio::{
    sync::{
        mpsc::{self, error::TrySendError},
        watch, Notify,
    },
    time::{sleep_until, Instant},
};

use super::ticket::Ticket;
use crate::{
    engine::{self, Token as EngineToken},
    generate::{Event, Failure, Generation, Queue},
    http::Metrics,
};

/// Pieces that wait for a client that reads slowly.
const AHEAD: usize = 16;

/// How often an answer that has waited so long looks whether others have come.
const LOOK: Duration = Duration::from_millis(250);

/// An answer that has begun: its first receipt is on disk, and nothing is computed yet.
pub struct Answer {
    pub ticket: Ticket,
    pub generation: Generation,
    pub first: SignedReceipt,
    /// Output tokens that are paid for.
    pub paid: watch::Receiver<u32>,
    /// Notified when the client has what it wanted.
    pub enough: Arc<Notify>,
    /// Whether each token goes with its log-probability.
    pub logprobs: bool,
    /// How long the client is waited for: for a voucher, or to take what is there.
    pub patience: Duration,
    /// For how much of that, in all between two receipts, while others wait for its place.
    pub crowded: Duration,
    /// True when the worker can wait for no answer any more.
    pub hurry: watch::Receiver<bool>,
    pub metrics: Arc<Metrics>,
}

/// Why there is no further token.
enum End {
    Engine(Finish),
    /// The client has gone, has enough, or has not paid, or the worker has to end or has lost the chain.
    Caller,
    Failed(Failure),
    /// The books could not be kept.
    Broken(ApiError),
}

impl Answer {
    /// Answers, in a task of its own: a client that goes away leaves an answer that is to be ended.
    pub fn start(self) -> mpsc::Receiver<Result<Piece, ApiError>> {
        let (pieces, received) = mpsc::channel(AHEAD);
        tokio::spawn(self.run(pieces));
        received
    }

    async fn run(mut self, pieces: mpsc::Sender<Result<Piece, ApiError>>) {
        let mut open = Vec::new();
        let end = self.serve(&pieces, &mut open).await;
        let Self {
            mut ticket,
            generation,
            patience,
            metrics,
            ..
        } = self;
        // Its place is another one's, however long the client takes for the last piece.
        drop(generation);
        let (finish, result) = match &end {
            End::Engine(Finish::Eos) => (Finish::Eos, "eos"),
            End::Engine(Finish::Length) => (Finish::Length, "length"),
            End::Engine(Finish::Caller | Finish::Mismatch) | End::Caller => {
                (Finish::Caller, "caller")
            }
            End::Failed(_) | End::Broken(_) => (Finish::Caller, "failed"),
        };
        metrics.channels.requests.with_label_values(&[result]).inc();
        let receipt = match &end {
            End::Broken(error) => Err(error.clone()),
            _ => ticket.receipt(open, Some(finish)).await,
        };
        let last = receipt.and_then(|receipt| {
            let output = receipt.receipt.output_len;
            if output > 0 {
                let prompt = ticket.header.header.prompt_len;
                metrics.prompt_tokens.inc_by(prompt.into());
                metrics.output_tokens.inc_by(output.into());
            }
            let assay = parts(&[], Some(receipt), false);
            match end {
                End::Failed(failure) => Err(failed(&failure).assay(assay)),
                _ => Ok(Piece::End {
                    finish,
                    assay: Some(assay),
                }),
            }
        });
        // A client that has gone asks for its receipt later.
        let _ = pieces.send_timeout(last, patience).await;
    }

    /// Serves until there is an end. `open` has the tokens that were served and no receipt speaks of yet.
    async fn serve(
        &mut self,
        pieces: &mpsc::Sender<Result<Piece, ApiError>>,
        open: &mut Vec<TokenId>,
    ) -> End {
        let mut patience = Patience {
            whole: self.patience,
            crowded: self.crowded,
            queue: self.generation.queue(),
        };
        let mut lost = pin!(self.ticket.chain_lost());
        let first = parts(&[], Some(self.first.clone()), self.logprobs);
        if !send(pieces, Vec::new(), first, &mut patience).await {
            return End::Caller;
        }
        let (mut made, mut allowed) = (0u32, 0u32);
        let mut unpaid = None;
        loop {
            let paid = *self.paid.borrow_and_update();
            if paid > allowed {
                self.generation.allow(paid);
                allowed = paid;
            }
            // An answer that is all paid for waits for the engine alone.
            match made >= paid {
                true => drop(unpaid.get_or_insert_with(Instant::now)),
                false => patience.spend(unpaid.take()),
            }
            let event = tokio::select! {
                // Tokens that are there need no look at anything else: no more of them are paid for than one window.
                biased;
                event = self.generation.next() => event,
                changed = self.paid.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return End::Caller,
                },
                () = pieces.closed() => return End::Caller,
                () = self.enough.notified() => return End::Caller,
                () = patience.end(unpaid) => return End::Caller,
                _ = self.hurry.wait_for(|hurry| *hurry) => return End::Caller,
                () = &mut lost => return End::Caller,
            };
            let mut event = match event {
                Some(event) => event,
                None => return End::Caller,
            };
            // What is ready goes out together, up to the next receipt.
            let mut tokens = Vec::new();
            let end = loop {
                match event {
                    Event::Started => {}
                    Event::Token(token) => {
                        made = made.saturating_add(1);
                        self.ticket.note_token();
                        open.push(token.id);
                        tokens.push(token);
                    }
                    Event::End(engine::Finish::Eos) => break Some(End::Engine(Finish::Eos)),
                    Event::End(engine::Finish::Length) => break Some(End::Engine(Finish::Length)),
                    Event::Scored(_) => break Some(End::Caller),
                    Event::Failed(failure) => break Some(End::Failed(failure)),
                }
                if open.len() >= RECEIPT_TOKENS as usize {
                    break None;
                }
                match self.generation.next().now_or_never() {
                    Some(Some(next)) => event = next,
                    Some(None) | None => break None,
                }
            };
            let receipt = match open.len() >= RECEIPT_TOKENS as usize {
                true => match self.ticket.receipt(mem::take(open), None).await {
                    Ok(receipt) => {
                        patience.crowded = self.crowded;
                        Some(receipt)
                    }
                    Err(error) => return End::Broken(error),
                },
                false => None,
            };
            if !tokens.is_empty() {
                let assay = parts(&tokens, receipt, self.logprobs);
                if !send(pieces, tokens, assay, &mut patience).await {
                    return End::Caller;
                }
            }
            if let Some(end) = end {
                return end;
            }
        }
    }
}

/// Whether the client took it.
async fn send(
    pieces: &mpsc::Sender<Result<Piece, ApiError>>,
    tokens: Vec<EngineToken>,
    assay: Value,
    patience: &mut Patience,
) -> bool {
    let piece = Piece::Tokens {
        tokens: tokens.into_iter().map(shown).collect(),
        assay: Some(assay),
    };
    let piece = match pieces.try_send(Ok(piece)) {
        Ok(()) => return true,
        Err(TrySendError::Closed(_)) => return false,
        Err(TrySendError::Full(piece)) => piece,
    };
    let since = Some(Instant::now());
    let sent = tokio::select! {
        biased;
        sent = pieces.send(piece) => sent.is_ok(),
        () = patience.end(since) => false,
    };
    patience.spend(since);
    sent
}

/// How long a client is waited for.
struct Patience {
    /// Where nobody else waits.
    whole: Duration,
    /// What is left, until the next receipt, where somebody does.
    crowded: Duration,
    /// Those who wait for a place.
    queue: Queue,
}

impl Patience {
    /// Ends when a client that has been waited for since then is waited for no more.
    async fn end(&self, since: Option<Instant>) {
        let Some(since) = since else {
            return pending().await;
        };
        let last = since + self.whole;
        sleep_until(last.min(since + self.crowded)).await;
        while self.queue.is_empty() && Instant::now() < last {
            sleep_until(last.min(Instant::now() + LOOK)).await;
        }
    }

    /// The client was waited for since then, if it was.
    fn spend(&mut self, since: Option<Instant>) {
        let spent = since.map_or(Duration::ZERO, |since| since.elapsed());
        self.crowded = self.crowded.saturating_sub(spent);
    }
}

fn shown(token: EngineToken) -> Token {
    Token {
        id: token.id,
        logprob: token.logprob,
        top: token.top,
    }
}

/// The `assay` object of a chunk. Log-probabilities go by ids in it, since texts of tokens are not unique.
fn parts(tokens: &[EngineToken], receipt: Option<SignedReceipt>, logprobs: bool) -> Value {
    let mut value = json!(ChunkParts {
        tokens: tokens.iter().map(|token| token.id).collect(),
        receipt,
    });
    if logprobs {
        let one = |token: &EngineToken| json!({ "logprob": token.logprob, "top": token.top });
        value["logprobs"] = tokens.iter().map(one).collect();
    }
    value
}

/// The pieces of an answer that was given before, each made when the one before it is taken: it costs nothing, so it may
/// wait for its reader, and so may many.
pub fn again(
    tokens: Vec<TokenId>,
    receipt: SignedReceipt,
) -> impl Iterator<Item = Result<Piece, ApiError>> {
    const PART: usize = RECEIPT_TOKENS as usize;
    let end = Piece::End {
        finish: receipt.receipt.finish,
        assay: Some(json!(ChunkParts {
            tokens: Vec::new(),
            receipt: Some(receipt)
        })),
    };
    let parts = (0..tokens.len()).step_by(PART).map(move |at| {
        let part: Vec<TokenId> = tokens.iter().skip(at).take(PART).copied().collect();
        let assay = json!(ChunkParts {
            tokens: part.clone(),
            receipt: None
        });
        Piece::Tokens {
            tokens: part.into_iter().map(Token::from).collect(),
            assay: Some(assay),
        }
    });
    parts.chain([end]).map(Ok)
}

/// What a client is told of a failure.
pub fn failed(failure: &Failure) -> ApiError {
    match failure {
        Failure::Request(why) => ApiError::invalid(why.clone()),
        Failure::Machine(why) => {
            tracing::error!(target: "assay_worker", %why, "this machine failed to answer");
            ApiError::internal("the engine failed; the answer ends at its last receipt")
                .code("engine_failed")
        }
    }
}
