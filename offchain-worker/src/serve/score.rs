//! Scores: how many tokens of an answer are the model's, by one prefill over prompt and answer.

use std::{pin::pin, sync::Arc};

use assay_channel::{
    wire::{ChunkParts, RequestParts},
    SignedReceipt,
};
use assay_openai::{sse, ApiError};
use assay_primitives::{Finish, TokenId};
use axum::body::Bytes;
use futures::{stream, Stream};
use serde::Deserialize;
use serde_json::json;
use tokio::{
    sync::{mpsc, watch},
    time::{timeout, Duration},
};

use super::{answer::failed, ticket::Ticket};
use crate::{
    generate::{Event, Failure, Generation},
    http::Metrics,
};

pub const PATH: &str = "/v1/score";

/// The body of a request.
#[derive(Deserialize)]
pub struct Asked {
    pub model: String,
    /// The scored prompt, and the answer behind it.
    pub prompt: Vec<TokenId>,
    pub assay: RequestParts,
}

/// The receipt before prefill, and the last one.
pub type Receipts = mpsc::Receiver<Result<SignedReceipt, ApiError>>;

/// The events of the answer's stream: the receipts, and until the last one that it is worked at.
pub fn events(receipts: Receipts, keep_alive: Duration) -> impl Stream<Item = Bytes> {
    stream::unfold(Some(receipts), move |receipts| async move {
        let mut receipts = receipts?;
        Some(match timeout(keep_alive, receipts.recv()).await {
            Err(_) => (sse::keep_alive(), Some(receipts)),
            Ok(Some(Ok(receipt))) => {
                let assay = ChunkParts {
                    tokens: Vec::new(),
                    receipt: Some(receipt),
                };
                let choice = json!({ "index": 0, "assay": assay });
                let event = json!({ "object": "score", "choices": [choice] });
                (sse::data(&event), Some(receipts))
            }
            Ok(Some(Err(error))) => (sse::data(&error.json()), None),
            Ok(None) => (sse::done(), None),
        })
    })
}

/// A score that was given before.
pub fn again(receipt: SignedReceipt) -> Receipts {
    let (told, receipts) = mpsc::channel(1);
    let _ = told.try_send(Ok(receipt));
    receipts
}

/// A score that has begun: its first receipt is on disk, and nothing is computed yet.
pub struct Score {
    pub ticket: Ticket,
    pub generation: Generation,
    pub first: SignedReceipt,
    /// How many tokens of the answer are looked at.
    pub looked_at: u32,
    /// True when the worker can wait for no score any more.
    pub hurry: watch::Receiver<bool>,
    pub metrics: Arc<Metrics>,
}

/// How the computation ended.
enum End {
    Scored(u32),
    /// The client has gone, or the worker has to end or has lost the chain.
    Caller,
    Failed(Failure),
}

impl Score {
    /// Scores, in a task of its own: a client that goes away leaves a score that is to be ended.
    pub fn start(self) -> Receipts {
        let (told, receipts) = mpsc::channel(2);
        tokio::spawn(self.run(told));
        receipts
    }

    async fn run(mut self, told: mpsc::Sender<Result<SignedReceipt, ApiError>>) {
        let end = match told.send(Ok(self.first.clone())).await {
            Ok(()) => self.compute(&told).await,
            Err(_) => End::Caller,
        };
        let (right, finish, result) = match end {
            End::Scored(right) if right < self.looked_at => (right, Finish::Mismatch, "mismatch"),
            End::Scored(right) => (right, Finish::Length, "length"),
            End::Caller => (0, Finish::Caller, "caller"),
            End::Failed(_) => (0, Finish::Caller, "failed"),
        };
        let metrics = &self.metrics;
        metrics.channels.requests.with_label_values(&[result]).inc();
        let receipt = self.ticket.score(right, finish).await;
        let last = match (end, receipt) {
            (End::Failed(failure), Ok(receipt)) => Err(failed(&failure).assay(json!(ChunkParts {
                tokens: Vec::new(),
                receipt: Some(receipt),
            }))),
            (_, receipt) => receipt,
        };
        if last.is_ok() {
            let prompt = self.ticket.header.header.prompt_len;
            metrics.prompt_tokens.inc_by(prompt.into());
        }
        // A client that has gone asks for its receipt later.
        let _ = told.send(last).await;
    }

    async fn compute(&mut self, told: &mpsc::Sender<Result<SignedReceipt, ApiError>>) -> End {
        self.generation.allow(1);
        let mut lost = pin!(self.ticket.chain_lost());
        loop {
            let event = tokio::select! {
                biased;
                event = self.generation.next() => event,
                () = told.closed() => return End::Caller,
                _ = self.hurry.wait_for(|hurry| *hurry) => return End::Caller,
                () = &mut lost => return End::Caller,
            };
            match event {
                Some(Event::Started) => {}
                Some(Event::Scored(right)) => return End::Scored(right),
                Some(Event::Failed(failure)) => return End::Failed(failure),
                Some(Event::Token(_) | Event::End(_)) | None => {
                    let why = "the engine made an answer where one was to be scored; report this";
                    return End::Failed(Failure::Machine(why.into()));
                }
            }
        }
    }
}
