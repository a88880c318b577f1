//! A request's way to its answer.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use assay_primitives::TokenId;
use axum::{body::Bytes, http::request::Parts};
use futures::{
    stream::{self, BoxStream, FuturesUnordered, SelectAll},
    Stream, StreamExt, TryStreamExt,
};
use serde_json::Value;
use tokio::sync::Notify;

use crate::{
    chat,
    choice::{Choice, Delta},
    completions,
    fields::Fields,
    reply::Reply,
    request::{Prompt, Prompts, Request},
    shape::{Collected, Endpoint, Shape, Usage},
    sse, ApiError, Backend, Limits, ModelText, Order,
};

/// The steps of all choices, as they come.
type Deltas = SelectAll<BoxStream<'static, Result<Delta, ApiError>>>;

/// Answers the request in `body`. An answer in one piece takes until it is complete; a stream begins at once.
pub async fn answer<B: Backend>(
    backend: &B,
    limits: &Limits,
    endpoint: Endpoint,
    parts: Arc<Parts>,
    body: &[u8],
) -> Result<Reply, ApiError> {
    let fields = Fields::parse(body, limits)?;
    let request = match endpoint {
        Endpoint::Chat => chat::read(&fields, limits)?,
        Endpoint::Completions => completions::read(&fields, limits)?,
    };
    drop(fields);
    let model = backend.text(&request.model).await?;
    let Request {
        prompts, stop, n, ..
    } = request;
    let text = request.detokenize.then_some(stop);
    let param = prompts.param();
    let prompts = tokenise(model.clone(), prompts).await?;
    let prompts = prompts.ok_or_else(|| {
        let count = format!("more than {}", model.context);
        too_long(&count, request.max_tokens, &model, param)
    })?;
    for prompt in &prompts {
        check_length(prompt, request.max_tokens, &model, param)?;
    }
    let usage = Usage {
        prompt: prompts.iter().map(Vec::len).sum(),
        completion: 0,
    };
    let choices = n.saturating_mul(u32::try_from(prompts.len()).unwrap_or(u32::MAX));
    let each = prompts
        .into_iter()
        .flat_map(|prompt| std::iter::repeat_n(prompt, n as usize));
    let orders = (0u32..).zip(each).map(|(choice, prompt)| {
        let enough = Arc::new(Notify::new());
        let mut sampling = request.sampling;
        sampling.nonce = sampling.nonce.wrapping_add(choice.into());
        let order = Order {
            model: request.model.clone(),
            prompt,
            sampling,
            max_tokens: request.max_tokens,
            logprobs: request.logprobs,
            choice,
            choices,
            assay: request.assay.clone(),
            parts: parts.clone(),
            enough: enough.clone(),
        };
        let (model, text) = (model.clone(), text.clone());
        async move {
            let pieces = backend.generate(order).await?;
            let choice = Choice::new(choice, pieces, enough, limits.farewell, model, text);
            Ok::<_, ApiError>(choice.deltas())
        }
    });
    // The first that is refused ends them all, also those before it that are not asked for yet.
    let orders: FuturesUnordered<_> = orders.collect();
    let choices: Vec<_> = orders.try_collect().await?;
    let running = Running {
        shape: Shape::new(endpoint, request.model),
        choices: choices.len(),
        deltas: stream::select_all(choices),
        usage,
        logprobs: request.logprobs.is_some(),
    };
    if request.stream {
        let events = running.events(request.include_usage, limits.keep_alive);
        Ok(Reply::Stream(events.boxed()))
    } else {
        Ok(Reply::Whole(running.whole().await?.to_string().into()))
    }
}

/// Long prompts take a while, which nobody else shall wait for. None if one is so long that nobody needs to know how long.
async fn tokenise(
    model: Arc<ModelText>,
    prompts: Prompts,
) -> Result<Option<Vec<Vec<TokenId>>>, ApiError> {
    let param = prompts.param();
    let work = move || {
        let (text, most) = (&model.text, model.context as usize);
        let mut all = Vec::new();
        match prompts {
            Prompts::Chat(messages) => match text.chat_within(&messages, most)? {
                Some(tokens) => all.push(tokens),
                None => return Ok(None),
            },
            Prompts::Plain(prompts) => {
                for prompt in prompts {
                    let tokens = match prompt {
                        Prompt::Text(prompt) => text.raw_within(&prompt, most)?,
                        Prompt::Tokens(tokens) => Some(tokens),
                    };
                    match tokens {
                        Some(tokens) => all.push(tokens),
                        None => return Ok(None),
                    }
                }
            }
        }
        Ok(Some(all))
    };
    let tokens = tokio::task::spawn_blocking(work).await;
    tokens
        .map_err(|_| ApiError::internal("the prompt could not be tokenised; write it differently"))?
        .map_err(|error: assay_client::Error| ApiError::invalid(error.to_string()).param(param))
}

fn check_length(
    prompt: &[TokenId],
    max_tokens: Option<u32>,
    model: &ModelText,
    param: &str,
) -> Result<(), ApiError> {
    let wrong = |message: String| Err(ApiError::invalid(message).param(param));
    if prompt.is_empty() {
        return wrong(format!("{param} has no tokens; write what to answer"));
    }
    if let Some(token) = prompt.iter().find(|token| **token >= model.vocabulary) {
        return wrong(format!(
            "{param} has the token {token}; the model's tokens are below {}",
            model.vocabulary
        ));
    }
    let wanted = prompt
        .len()
        .saturating_add(max_tokens.unwrap_or(1) as usize);
    if wanted > model.context as usize {
        return Err(too_long(
            &prompt.len().to_string(),
            max_tokens,
            model,
            param,
        ));
    }
    Ok(())
}

/// A prompt of so many tokens does not fit.
fn too_long(count: &str, max_tokens: Option<u32>, model: &ModelText, param: &str) -> ApiError {
    let answer = match max_tokens {
        Some(tokens) => format!("{tokens} of the answer"),
        None => "an answer".into(),
    };
    ApiError::invalid(format!(
        "{count} tokens of {param} and {answer} do not fit into the model's {} tokens; send fewer or ask for fewer",
        model.context
    ))
    .code("context_length_exceeded")
    .param(param)
}

/// An answer whose choices are under way.
struct Running {
    shape: Shape,
    choices: usize,
    deltas: Deltas,
    usage: Usage,
    logprobs: bool,
}

impl Running {
    async fn whole(mut self) -> Result<Value, ApiError> {
        let mut choices: Vec<Collected> = Vec::new();
        choices.resize_with(self.choices, Collected::default);
        while let Some(delta) = self.deltas.next().await {
            let delta = delta?;
            self.usage.completion += delta.tokens;
            if let Some(choice) = choices.get_mut(delta.choice as usize) {
                choice.add(delta);
            }
        }
        Ok(self.shape.whole(&choices, self.usage, self.logprobs))
    }

    /// The events of a stream.
    fn events(self, include_usage: bool, keep_alive: Duration) -> impl Stream<Item = Bytes> {
        let opening = (0..self.choices as u32).filter_map(|choice| self.shape.opening(choice));
        let events = Events {
            ready: opening.map(|chunk| sse::data(&chunk)).collect(),
            running: Some(self),
            include_usage,
            keep_alive,
        };
        stream::unfold(events, |mut events| async {
            let event = events.next().await?;
            Some((event, events))
        })
    }
}

struct Events {
    ready: VecDeque<Bytes>,
    /// None when no more events will be ready.
    running: Option<Running>,
    include_usage: bool,
    keep_alive: Duration,
}

impl Events {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            let running = self.running.as_mut()?;
            match tokio::time::timeout(self.keep_alive, running.deltas.next()).await {
                Err(_) => return Some(sse::keep_alive()),
                Ok(Some(Ok(delta))) => {
                    running.usage.completion += delta.tokens;
                    let chunk = running.shape.chunk(delta, running.logprobs);
                    self.ready.extend(chunk.map(|chunk| sse::data(&chunk)));
                }
                Ok(Some(Err(error))) => {
                    self.ready.push_back(sse::data(&error.json()));
                    self.running = None;
                }
                Ok(None) => {
                    if self.include_usage {
                        let chunk = running.shape.usage_chunk(running.usage);
                        self.ready.push_back(sse::data(&chunk));
                    }
                    self.ready.push_back(sse::done());
                    self.running = None;
                }
            }
        }
    }
}
