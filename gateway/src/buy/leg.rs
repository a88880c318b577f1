//! The part of an answer that comes from one provider.

use std::{pin::pin, time::Instant};

use assay_channel::{Ask, Caught, SignedHeader, SignedReceipt};
use assay_openai::{Piece, Token};
use assay_primitives::{
    salted_token_root, Balance, Finish, Sampling, Side, Task, TokenId, PPM_ONE,
};
use serde_json::{json, Value};

use super::{
    purchase::Purchase,
    request::{Leg, Ran, Request},
    settle::Paying,
};
use crate::{
    choice::Offer,
    recheck::Suspect,
    upstream::{Chunk, Logprob},
};

/// Buys as much of the rest of the answer as this provider gives. Where `fewer` is given, it is ordered as far as that pays
/// for it, beside what is free in the channel.
pub async fn run(
    purchase: &mut Purchase,
    offer: &Offer,
    fewer: Option<Balance>,
) -> (Ran, Option<Leg>) {
    let worker = match purchase.shop.worker(offer) {
        Ok(worker) => worker,
        Err(error) => return (Ran::Failed(format!("{}: {error}", offer.provider)), None),
    };
    // Whoever has seen a part of the answer waits for the rest; others are told at once, and may come again.
    let in_step = purchase.shop.in_step(!purchase.output.is_empty());
    let in_step = tokio::select! {
        biased;
        () = purchase.enough() => return (Ran::Stopped, None),
        in_step = in_step => in_step,
    };
    if let Err(error) = in_step {
        return (Ran::Ours(error), None);
    }
    let prompt = [&purchase.order.prompt[..], &purchase.output].concat();
    let secret: [u8; 32] = rand::random();
    let need = purchase.need();
    let ask = Ask {
        secret,
        prompt_root: salted_token_root(&secret, Side::Prompt, &prompt),
        prompt_len: need.prompt_len,
        task: Task::Generate,
        sampling: purchase.order.sampling,
        token_limit: need.token_limit,
        price: offer.price,
        since: purchase.shop.seen().facts.finalized,
    };
    let body = |header: &SignedHeader| body(header, &prompt, &secret, purchase.order.logprobs);
    let model = &purchase.model.id;
    let channels = &purchase.shop.channels;
    let ordered = channels
        .order(offer, model, ask, fewer, purchase.enough(), body)
        .await;
    let (line, order) = match ordered {
        Ok(ordered) => ordered,
        Err(error) => return (Ran::unordered(offer.provider, error), None),
    };
    let (Some(header), Some(seq)) = (order.headers.into_iter().next(), order.seqs.first()) else {
        return (Ran::Failed("nothing was ordered".into()), None);
    };
    // Where the money was short, the answer is as long as it reaches for.
    let output = purchase.output.len() as u32;
    purchase.limit = output.saturating_add(header.header.token_limit);
    let mut request = Request {
        worker,
        line,
        offer,
        seq: *seq,
        header,
        secret,
        prompt,
        tokens: Vec::new(),
        signer: None,
    };
    let ran = request.run(purchase).await;
    let (ran, answer) = request.settle(purchase, ran).await;
    let answer = answer.filter(|_| purchase.model.exact);
    // Of an answer that breaks off, what it is paid for by now: the rest may never come.
    let drawn = answer.is_some_and(|answer| {
        purchase
            .shop
            .consider(|| Suspect::new(answer, purchase.model.clone()))
    });
    if let Err(error) = request.keep_fragment(&purchase.shop, drawn) {
        tracing::error!(target: "assay_gateway", %error, "what came of an answer cannot be kept");
    }
    request.line.stream_over(request.seq);
    let held = request.line.held(request.seq).map(|signed| signed.receipt);
    let leg = Leg {
        offer: offer.clone(),
        channel: request.line.id(),
        seq: request.seq,
        tokens: held.as_ref().map_or(0, |receipt| receipt.output_len),
        fee: held.map_or(0, |receipt| receipt.fee),
    };
    (ran, Some(leg))
}

impl Request<'_> {
    async fn run(&mut self, purchase: &mut Purchase) -> Ran {
        let asked = Instant::now();
        let logprobs = purchase.order.logprobs;
        let body = body(&self.header, &self.prompt, &self.secret, logprobs);
        let mut enough = pin!(purchase.enough());
        let line = self.line.clone();
        let mut given_up = pin!(line.given_up());
        let answer = tokio::select! {
            biased;
            () = &mut enough => return Ran::Stopped,
            answer = self.ask(&purchase.shop, &body) => answer,
            caught = &mut given_up => return self.caught(&caught),
        };
        let mut answer = match answer {
            Ok(answer) => answer,
            Err(ran) => return ran,
        };
        purchase.begin();
        let paying = Paying::start(self.worker.clone(), self.line.clone());
        let pieces = purchase.pieces.clone();
        loop {
            let chunk = tokio::select! {
                biased;
                () = &mut enough => return Ran::Stopped,
                chunk = answer.next() => chunk,
                // Another of its streams has shown what the provider is: this one would wait in vain for more.
                caught = &mut given_up => return self.caught(&caught),
            };
            let chunk = match chunk {
                Ok(chunk) => chunk,
                Err(failed) => return self.failed(&failed),
            };
            let Chunk::Tokens(parts, logprobs) = chunk else {
                return self.done();
            };
            if self.tokens.is_empty() && !parts.tokens.is_empty() {
                let latency = asked.elapsed();
                purchase.shop.metrics.first_token(latency);
                let mut experience = purchase.shop.experience();
                experience.answered(self.offer.provider, latency);
            }
            if let Err(ran) = self.take_tokens(purchase, &parts.tokens) {
                return ran;
            }
            if let Some(receipt) = parts.receipt {
                let taken = tokio::select! {
                    biased;
                    taken = self.take_receipt(purchase, receipt) => taken,
                    // What it waits for, a node of ours that is away, is nothing to a client that has left.
                    () = &mut enough => return Ran::Stopped,
                };
                if let Err(ran) = taken {
                    return ran;
                }
                paying.go_on();
            }
            if parts.tokens.is_empty() {
                continue;
            }
            if self.signer.is_none() {
                // The first receipt comes before the first token; without it nobody answers for this one.
                let sent = self.tokens.len() as u32;
                let caught = Caught::Withheld { sent, receipted: 0 };
                return self.give_up(caught, Some((self.seq, &self.tokens)));
            }
            purchase.output.extend(&parts.tokens);
            let piece = Piece::Tokens {
                tokens: shown(&parts.tokens, logprobs),
                assay: Some(json!({ "tokens": parts.tokens })),
            };
            if pieces.send(Ok(piece)).await.is_err() {
                return Ran::Stopped;
            }
        }
    }

    fn take_tokens(&mut self, purchase: &Purchase, tokens: &[TokenId]) -> Result<(), Ran> {
        let stops = &purchase.model.text.stop_tokens;
        let over = self.tokens.last().is_some_and(|last| stops.contains(last));
        let inside = tokens.len().saturating_sub(1);
        let stops_inside = tokens
            .iter()
            .take(inside)
            .any(|token| stops.contains(token));
        let known = tokens
            .iter()
            .all(|token| *token < purchase.model.text.vocabulary);
        let length = self.tokens.len().saturating_add(tokens.len());
        let fits = length <= self.header.header.token_limit as usize;
        if !tokens.is_empty() && (over || stops_inside || !known || !fits) {
            return Err(Ran::Failed(format!(
                "{}: it sends tokens that cannot be the answer's",
                self.offer.provider
            )));
        }
        self.tokens.extend(tokens);
        Ok(())
    }

    async fn take_receipt(
        &mut self,
        purchase: &Purchase,
        signed: SignedReceipt,
    ) -> Result<(), Ran> {
        let finish = signed.receipt.finish;
        let stops = &purchase.model.text.stop_tokens;
        let ends_with_stop = self.tokens.last().is_some_and(|last| stops.contains(last));
        let last = finish != Finish::Caller;
        if finish == Finish::Eos && !ends_with_stop {
            let about = Some((self.seq, &self.tokens[..]));
            return Err(self.give_up(Caught::WrongFinish, about));
        }
        self.take(&purchase.shop, signed, last).await
    }

    /// The stream is whole. What its last receipt says is the end.
    fn done(&self) -> Ran {
        let held = self.line.held(self.seq).map(|signed| signed.receipt);
        let finish = held
            .filter(|receipt| receipt.output_len as usize == self.tokens.len())
            .map(|receipt| receipt.finish);
        match finish {
            Some(finish @ (Finish::Eos | Finish::Length)) => Ran::Finished(finish),
            Some(Finish::Caller | Finish::Mismatch) | None => Ran::Failed(format!(
                "{}: it ended the answer after {} tokens",
                self.offer.provider,
                self.tokens.len()
            )),
        }
    }
}

/// What is sent with a signed header.
fn body(
    header: &SignedHeader,
    prompt: &[TokenId],
    secret: &[u8; 32],
    logprobs: Option<u8>,
) -> Value {
    let header = &header.header;
    let Sampling {
        temperature,
        top_k,
        top_p,
        min_p,
        penalty,
        nonce,
    } = header.sampling;
    let decimal = |ppm: u32| f64::from(ppm) / f64::from(PPM_ONE);
    let mut body = json!({
        "model": header.listing,
        "prompt": prompt,
        "max_tokens": header.token_limit,
        "stream": true,
        // The text is made here, of the tokens.
        "detokenize": false,
        "temperature": decimal(temperature),
        "top_k": top_k,
        "top_p": decimal(top_p),
        "min_p": decimal(min_p),
        "repetition_penalty": decimal(penalty),
        "seed": nonce,
        "assay": { "secret": format!("0x{}", hex::encode(secret)) },
    });
    if let Some(logprobs) = logprobs {
        body["logprobs"] = logprobs.into();
    }
    body
}

/// The tokens for the client, with log-probabilities where the provider gave them for each.
fn shown(tokens: &[TokenId], logprobs: Vec<Logprob>) -> Vec<Token> {
    let complete = logprobs.len() == tokens.len();
    let mut logprobs = logprobs.into_iter().filter(|_| complete);
    let shown = tokens.iter().map(|id| match logprobs.next() {
        Some(Logprob { logprob, top }) => Token {
            id: *id,
            logprob: Some(logprob),
            top,
        },
        None => Token::from(*id),
    });
    shown.collect()
}
