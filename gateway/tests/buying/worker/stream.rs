//! An answer, token by token, with its receipts.

use std::{convert::Infallible, sync::Arc, time::Duration};

use assay_channel::{seal::Sealer, wire, SignedReceipt};
use assay_openai::sse;
use assay_primitives::{ChannelId, Finish, TokenId};
use axum::body::Bytes;
use serde_json::json;
use tokio::sync::mpsc;

use super::{Manner, Worker};

/// How often a provider that stalls thinks of going on.
const STALL: Duration = Duration::from_millis(100);

pub struct Stream {
    pub sender: mpsc::Sender<Result<Bytes, Infallible>>,
    pub sealer: Option<Sealer>,
    pub worker: Arc<Worker>,
    pub id: ChannelId,
    pub seq: u64,
    pub secret: [u8; 32],
}

impl Stream {
    async fn send(&mut self, bytes: Bytes) -> bool {
        let bytes = match &mut self.sealer {
            Some(sealer) => sealer.push(&bytes).into(),
            None => bytes,
        };
        self.sender.send(Ok(bytes)).await.is_ok()
    }

    async fn say(&mut self, tokens: &[TokenId], receipt: Option<SignedReceipt>) -> bool {
        let parts = wire::ChunkParts {
            tokens: tokens.to_vec(),
            receipt,
        };
        // The text is a lie, always: nobody may believe it.
        let choice = json!({ "index": 0, "text": "nonsense", "assay": parts });
        self.send(sse::data(&json!({ "choices": [choice] }))).await
    }

    pub async fn replay(mut self, receipt: SignedReceipt) {
        let tokens = self.worker.given.lock().unwrap()[&(self.id, self.seq)].clone();
        self.say(&tokens, Some(receipt)).await;
        self.end().await;
    }

    fn keep(&self, tokens: &[TokenId]) {
        let mut given = self.worker.given.lock().unwrap();
        given.insert((self.id, self.seq), tokens.to_vec());
    }

    async fn end(&mut self) {
        self.send(sse::done()).await;
        if let Some(sealer) = self.sealer.take() {
            let _ = self.sender.send(Ok(sealer.finish(&[]).into())).await;
        }
    }

    pub async fn score(mut self, tokens: Vec<TokenId>, answer_at: usize) {
        let worker = self.worker.clone();
        let first = worker.sign(self.id, self.seq, &self.secret, &[], None);
        let told = self.say(&[], Some(first)).await;
        let is_right = |place: &usize| (worker.rule)(&tokens[..*place]) == tokens[*place];
        let mut right = (answer_at..tokens.len()).take_while(is_right).count() as u32;
        let length = (tokens.len() - answer_at) as u32;
        let cuts = matches!(worker.manner(), Manner::Cuts(_));
        if worker.manner() == Manner::Lies {
            right = if right == length { 2 } else { length };
        }
        let finish = match (cuts || !told, right == length) {
            (true, _) => Finish::Caller,
            (false, true) => Finish::Length,
            (false, false) => Finish::Mismatch,
        };
        if finish != Finish::Caller {
            let made = worker.with(self.id, |payee| {
                payee.made(self.seq, right).unwrap();
                Ok(())
            });
            made.unwrap();
        }
        let last = worker.sign(self.id, self.seq, &self.secret, &[], Some(finish));
        if finish != Finish::Caller && self.say(&[], Some(last)).await {
            self.end().await;
        }
    }

    pub async fn answer(mut self, prompt: Vec<TokenId>, limit: u32) {
        let mut tokens: Vec<TokenId> = Vec::new();
        let mut seen = prompt;
        let worker = self.worker.clone();
        loop {
            let length = tokens.len() as u32;
            let ends = length == limit;
            let due = worker.with(self.id, |payee| Ok(payee.due(self.seq)));
            if due.unwrap_or(false) || ends {
                let finish = ends.then_some(Finish::Length);
                let receipt = worker.sign(self.id, self.seq, &self.secret, &tokens, finish);
                let kept_back = match worker.manner() {
                    Manner::SignsNothing | Manner::Backdates(0) => true,
                    Manner::SignsNoMore => length > 0,
                    _ => false,
                };
                if ends {
                    self.keep(&tokens);
                }
                let told = kept_back || self.say(&[], Some(receipt)).await;
                match (ends, told) {
                    (true, true) => return self.end().await,
                    (true, false) => return,
                    (false, true) => {}
                    (false, false) => break,
                }
            }
            match worker.manner() {
                Manner::Cuts(after)
                | Manner::Dies(after)
                | Manner::LiesAndDies { dies: after, .. }
                | Manner::Backdates(after)
                | Manner::BehindAProxy(after)
                | Manner::Denies(after)
                    if length >= after =>
                {
                    break
                }
                Manner::Stalls(after) if length >= after => {
                    tokio::select! {
                        () = self.sender.closed() => break,
                        () = tokio::time::sleep(STALL) => continue,
                    }
                }
                _ => {}
            }
            // Money before work.
            let paid = worker.paid.notified();
            let allowed = worker.with(self.id, |payee| Ok(payee.allow(self.seq)));
            if allowed.unwrap_or(0) <= length {
                if tokio::time::timeout(Duration::from_secs(3), paid)
                    .await
                    .is_err()
                {
                    break;
                }
                continue;
            }
            let mut token = (worker.rule)(&seen);
            if worker.manner().lie() == Some(length) {
                token ^= 1;
            }
            let made = worker.with(self.id, |payee| {
                payee.made(self.seq, 1).unwrap();
                Ok(())
            });
            made.unwrap();
            tokens.push(token);
            seen.push(token);
            if let Manner::RunsAhead(after) | Manner::LiesAndHides(after) = worker.manner() {
                if tokens.len() as u32 == after + 10 {
                    if worker.manner() == Manner::RunsAhead(after) {
                        self.sender.closed().await;
                    }
                    break;
                }
                if tokens.len() as u32 > after {
                    continue;
                }
            }
            if !self.say(&[token], None).await {
                break;
            }
        }
        self.keep(&tokens);
        // The client is gone, or the provider: what was made is signed for.
        worker.sign(
            self.id,
            self.seq,
            &self.secret,
            &tokens,
            Some(Finish::Caller),
        );
    }
}
