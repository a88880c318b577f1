//! What `/v1/completions` is asked.

use assay_primitives::TokenId;
use serde_json::Value;

use crate::{
    fields::{must_be, whole, Fields},
    request::{token_limit, Prompt, Prompts, Request, MAX_TOP_LOGPROBS},
    ApiError, Limits,
};

/// The limit where none is named, as everybody has it for this endpoint.
const DEFAULT_MAX_TOKENS: u32 = 16;

pub fn read(fields: &Fields, limits: &Limits) -> Result<Request, ApiError> {
    fields.refuse("echo", |value| value == false)?;
    fields.refuse("suffix", |value| value == "")?;
    fields.refuse("best_of", |value| value == 1)?;
    let prompts = prompts(fields.value("prompt"))?;
    let max_tokens = token_limit(fields, "max_tokens")?.unwrap_or(DEFAULT_MAX_TOKENS);
    let logprobs = fields.whole("logprobs", 0..=MAX_TOP_LOGPROBS)?;
    Request::read(
        fields,
        Prompts::Plain(prompts),
        Some(max_tokens),
        logprobs,
        limits,
    )
}

fn prompts(value: Option<&Value>) -> Result<Vec<Prompt>, ApiError> {
    let prompts = match value {
        Some(Value::String(text)) => Some(vec![Prompt::Text(text.clone())]),
        Some(Value::Array(list)) => match list.first() {
            Some(Value::Number(_)) => tokens(list).map(|tokens| vec![tokens]),
            Some(_) => list.iter().map(prompt).collect(),
            None => None,
        },
        _ => None,
    };
    prompts.ok_or_else(|| {
        must_be(
            "prompt",
            "a string, a list of token ids, or a list of either",
        )
    })
}

fn prompt(value: &Value) -> Option<Prompt> {
    match value {
        Value::String(text) => Some(Prompt::Text(text.clone())),
        Value::Array(list) => tokens(list),
        _ => None,
    }
}

fn tokens(list: &[Value]) -> Option<Prompt> {
    let tokens = list
        .iter()
        .map(|value| TokenId::try_from(whole(value)?).ok());
    Some(Prompt::Tokens(tokens.collect::<Option<_>>()?))
}
