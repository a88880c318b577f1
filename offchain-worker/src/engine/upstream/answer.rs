//! One answer: completions, one after the other, until it is whole.

use std::{panic::AssertUnwindSafe, sync::Arc};

use assay_openai::sse::{self, Parser};
use futures::FutureExt;
use serde_json::{json, Value};
use tokio::sync::watch;
use tracing::warn;

use super::{
    super::{EngineError, Finish, GenerateRequest, Progress, Token},
    reply::{self, Ended, Reply},
    server::{Server, REPORT},
};

/// Most bytes of one event of the stream, and of an error's text that is read.
const EVENT: usize = 1 << 20;
const ERROR: usize = 1 << 14;

pub(super) struct Answer {
    server: Arc<Server>,
    request: GenerateRequest,
    credit: watch::Receiver<u32>,
    tokens: Vec<u32>,
}

impl Answer {
    pub fn new(
        server: Arc<Server>,
        request: GenerateRequest,
        credit: watch::Receiver<u32>,
    ) -> Self {
        Self {
            server,
            request,
            credit,
            tokens: Vec::new(),
        }
    }

    /// Tells each token, and then how it ended.
    pub async fn run(mut self, tell: impl Fn(Progress)) {
        let answer = AssertUnwindSafe(self.whole(&tell)).catch_unwind();
        tell(match answer.await {
            Ok(Ok(finish)) => Progress::End(finish),
            Ok(Err(error)) => Progress::Failed(error),
            Err(_) => Progress::Failed(self.server.failed(
                "made the worker panic".into(),
                "report this with the lines above",
            )),
        });
    }

    async fn whole(&mut self, tell: &impl Fn(Progress)) -> Result<Finish, EngineError> {
        loop {
            if let Some(finish) = self.finish() {
                return Ok(finish);
            }
            let until = self.wait().await.min(self.request.max_output_tokens) as usize;
            let before = self.tokens.len();
            let ended = self.complete(until, tell).await?;
            if ended == Ended::Stop && self.tokens.len() < until && self.finish().is_none() {
                // Servers keep the token to themselves at which they stop.
                let stop = self.request.stop_tokens.first().copied();
                self.add(
                    stop.ok_or_else(|| {
                        let problem = "ended an answer that has no stop token";
                        self.server.failed(problem.into(), REPORT)
                    })?,
                    tell,
                )?;
            }
            if self.tokens.len() == before {
                let problem = "ended a completion without a token".into();
                return Err(self.server.failed(problem, REPORT));
            }
        }
    }

    fn finish(&self) -> Option<Finish> {
        let last = self.tokens.last();
        if last.is_some_and(|last| self.request.stop_tokens.contains(last)) {
            return Some(Finish::Eos);
        }
        (self.tokens.len() >= self.request.max_output_tokens as usize).then_some(Finish::Length)
    }

    /// The tokens that the answer may have, once there is another one.
    async fn wait(&mut self) -> u32 {
        let tokens = self.tokens.len();
        let more = self.credit.wait_for(|allowed| *allowed as usize > tokens);
        if let Some(allowed) = more.await.ok().map(|allowed| *allowed) {
            return allowed;
        }
        // The session is gone, and this task about to be.
        std::future::pending().await
    }

    fn add(&mut self, id: u32, tell: &impl Fn(Progress)) -> Result<(), EngineError> {
        let vocabulary = self.server.tokenizer.get_vocab_size(true);
        if id as usize >= vocabulary.max(1) {
            let problem = format!("gave token {id}, which this model does not have");
            return Err(self.server.failed(problem, "see that it serves this model"));
        }
        self.tokens.push(id);
        tell(Progress::Token(Token {
            id,
            logprob: None,
            top: Vec::new(),
        }));
        Ok(())
    }

    /// One completion, until the answer has `until` tokens or the server ends it.
    async fn complete(
        &mut self,
        until: usize,
        tell: &impl Fn(Progress),
    ) -> Result<Ended, EngineError> {
        let mut response = self.ask(until - self.tokens.len()).await?;
        let mut parser = Parser::new(EVENT);
        let mut ended = None;
        let before = self.tokens.len();
        let server = self.server.clone();
        let broken = |error: &dyn std::fmt::Display| {
            let problem = format!("broke off its answer: {error}");
            server.failed(problem, "see its log")
        };
        while let Some(bytes) = response.chunk().await.map_err(|error| broken(&error))? {
            parser.push(&bytes).map_err(|error| broken(&error))?;
            while let Some(event) = parser.next_event() {
                let sse::Event::Data(data) = event else {
                    continue;
                };
                if data == sse::DONE {
                    return ended.ok_or_else(|| broken(&"without a reason"));
                }
                let reply = Reply::parse(&data).map_err(|problem| broken(&problem))?;
                self.check_usage(&reply, before);
                for id in self.ids(&reply)? {
                    if self.tokens.len() >= until || self.finish().is_some() {
                        return Ok(Ended::Length);
                    }
                    self.add(id, tell)?;
                }
                ended = reply.ended.or(ended);
            }
        }
        // Some servers close the connection and say nothing more.
        ended.ok_or_else(|| broken(&"the connection ended"))
    }

    async fn ask(&self, tokens: usize) -> Result<reqwest::Response, EngineError> {
        let (response, problem) = self.send(tokens, true).await?;
        match problem {
            None => Ok(response),
            // Strict servers refuse fields that they do not know.
            Some(problem) if problem.contains(reply::IDS) => {
                let (response, problem) = self.send(tokens, false).await?;
                match problem {
                    None => Ok(response),
                    Some(problem) => Err(self.server.refused(&response, &problem)),
                }
            }
            Some(problem) => Err(self.server.refused(&response, &problem)),
        }
    }

    /// The response, and what it says where it is no stream.
    async fn send(
        &self,
        tokens: usize,
        wants_ids: bool,
    ) -> Result<(reqwest::Response, Option<String>), EngineError> {
        let mut request = self.server.http.post(&self.server.url);
        if let Some(key) = &self.server.key {
            request = request.bearer_auth(key);
        }
        let sent = request.json(&self.body(tokens, wants_ids)).send().await;
        let mut response = sent.map_err(|error| {
            let problem = match error.is_timeout() {
                true => "does not answer".into(),
                false => format!("cannot be reached: {}", innermost(&error)),
            };
            let next = "see that it runs and that --upstream names it";
            self.server.failed(problem, next)
        })?;
        if response.status().is_success() {
            return Ok((response, None));
        }
        let mut body = Vec::new();
        while let Ok(Some(bytes)) = response.chunk().await {
            body.extend(bytes);
            if body.len() > ERROR {
                break;
            }
        }
        Ok((response, Some(reply::error(&body))))
    }

    fn body(&self, tokens: usize, wants_ids: bool) -> Value {
        let Self {
            request, server, ..
        } = self;
        let sampling = &request.sampling;
        let share = |parts: u32| f64::from(parts) / 1e6;
        let prompt: Vec<u32> = [&request.prompt[..], &self.tokens].concat();
        let [a, b, c, d, ..] = sampling.seed;
        // Another stream of numbers for each part of the answer.
        let seed = u32::from_le_bytes([a, b, c, d]).wrapping_add(self.tokens.len() as u32);
        let mut body = json!({
            "model": server.model,
            "prompt": prompt,
            "max_tokens": tokens,
            "temperature": share(sampling.temperature),
            "top_p": share(sampling.top_p),
            "seed": seed >> 1,
            "stream": true,
            "stream_options": { "include_usage": true },
        });
        // What not every server knows is sent only where it says something.
        let more = [
            ("top_k", sampling.top_k > 0, json!(sampling.top_k)),
            ("min_p", sampling.min_p > 0, json!(share(sampling.min_p))),
            (
                "repetition_penalty",
                sampling.penalty != 1_000_000,
                json!(share(sampling.penalty)),
            ),
            (reply::IDS, wants_ids, json!(true)),
        ];
        for (name, wanted, value) in more {
            if wanted {
                body[name] = value;
            }
        }
        body
    }

    /// The tokens of a reply: the server's own, else those of its text.
    fn ids(&self, reply: &Reply) -> Result<Vec<u32>, EngineError> {
        if let Some(ids) = &reply.ids {
            return Ok(ids.clone());
        }
        if reply.text.is_empty() {
            return Ok(Vec::new());
        }
        if !self.server.maps_pieces {
            let problem =
                "gives no token ids, and this model's tokenizer cannot tell them from text \
                           that comes in pieces";
            let next = "use a server that knows return_token_ids, such as vLLM";
            return Err(self.server.failed(problem.into(), next));
        }
        let encoded = self.server.tokenizer.encode(reply.text.as_str(), false);
        let encoded = encoded.map_err(|error| {
            let problem = format!("gave text that has no tokens: {error}");
            self.server.failed(problem, REPORT)
        })?;
        Ok(encoded.get_ids().to_vec())
    }

    /// Another count of tokens than ours means another tokenizer, or another prompt.
    fn check_usage(&self, reply: &Reply, before: usize) {
        let Some((prompt, completion)) = reply.usage else {
            return;
        };
        let ours = (
            (self.request.prompt.len() + before) as u64,
            (self.tokens.len() - before) as u64,
        );
        // The token at which it stops, which we add ourselves, may be among its tokens or not.
        if prompt != ours.0 || completion.abs_diff(ours.1) > 1 {
            warn!(
                target: "assay_worker", url = %self.server.url, prompt_tokens = prompt,
                completion_tokens = completion, our_prompt_tokens = ours.0, our_tokens = ours.1,
                "the upstream server counts other tokens; see that it serves this model's tokenizer"
            );
        }
    }
}

/// What is behind an error, without the address, which is said anyway.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
