//! What `/v1/chat/completions` is asked.

use assay_client::text::Message;
use serde_json::{Map, Value};

use crate::{
    fields::{must_be, Fields},
    request::{is_empty, token_limit, Prompts, Request, MAX_TOP_LOGPROBS},
    ApiError, Limits,
};

pub fn read(fields: &Fields, limits: &Limits) -> Result<Request, ApiError> {
    for name in ["tools", "functions"] {
        fields.refuse(name, is_empty)?;
    }
    for name in ["tool_choice", "function_call"] {
        fields.refuse(name, |value| value == "none")?;
    }
    fields.refuse("response_format", |format| {
        format.get("type").is_some_and(|kind| kind == "text")
    })?;
    fields.refuse("modalities", |list| {
        let list = list.as_array();
        list.is_some_and(|list| list.iter().all(|one| one == "text"))
    })?;
    for name in ["audio", "web_search_options", "moderation"] {
        fields.refuse(name, |_| false)?;
    }
    let messages = fields
        .value("messages")
        .and_then(Value::as_array)
        .filter(|messages| !messages.is_empty())
        .ok_or_else(|| must_be("messages", "a list of at least one message"))?;
    let messages = messages.iter().enumerate();
    let messages = messages.map(|(index, value)| message(&format!("messages[{index}]"), value));
    let messages = messages.collect::<Result<Vec<_>, _>>()?;
    let max_tokens = max_tokens(fields)?;
    let logprobs = logprobs(fields)?;
    Request::read(
        fields,
        Prompts::Chat(messages),
        max_tokens,
        logprobs,
        limits,
    )
}

/// The newer name of the limit goes before the older one.
fn max_tokens(fields: &Fields) -> Result<Option<u32>, ApiError> {
    let older = token_limit(fields, "max_tokens")?;
    Ok(token_limit(fields, "max_completion_tokens")?.or(older))
}

fn logprobs(fields: &Fields) -> Result<Option<u8>, ApiError> {
    let wanted = fields.flag("logprobs")?.unwrap_or_default();
    let top = fields.whole("top_logprobs", 0..=MAX_TOP_LOGPROBS)?;
    match (wanted, top) {
        (false, None | Some(0)) => Ok(None),
        (false, Some(_)) => Err(must_be(
            "top_logprobs",
            "left out where logprobs is not true",
        )),
        (true, top) => Ok(Some(top.unwrap_or(0))),
    }
}

fn message(param: &str, value: &Value) -> Result<Message, ApiError> {
    let message = value
        .as_object()
        .ok_or_else(|| must_be(param, "an object with role and content"))?;
    let role = match message.get("role").and_then(Value::as_str) {
        Some("system" | "developer") => "system",
        Some("user") => "user",
        Some("assistant") => "assistant",
        Some(other @ ("tool" | "function")) => {
            let next = format!("leave out messages of the role {other}");
            return Err(ApiError::unsupported(format!("{param}.role"), &next));
        }
        _ => {
            let what = "system, developer, user or assistant";
            return Err(must_be(format!("{param}.role"), what));
        }
    };
    for name in ["tool_calls", "function_call", "audio"] {
        let value = message.get(name).unwrap_or(&Value::Null);
        if !value.is_null() && !is_empty(value) {
            return Err(ApiError::unsupported(
                format!("{param}.{name}"),
                "leave it out",
            ));
        }
    }
    let content = content(&format!("{param}.content"), message)?;
    Ok(Message::new(role, content))
}

/// A message's text. Parts stand on lines of their own.
fn content(param: &str, message: &Map<String, Value>) -> Result<String, ApiError> {
    match message.get("content") {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Array(parts)) => {
            let parts = parts.iter().enumerate();
            let texts = parts.map(|(index, value)| part(&format!("{param}[{index}]"), value));
            Ok(texts.collect::<Result<Vec<_>, _>>()?.join("\n"))
        }
        Some(_) => Err(must_be(param, "a string or a list of parts")),
    }
}

fn part<'a>(param: &str, value: &'a Value) -> Result<&'a str, ApiError> {
    let field = |name| value.get(name).and_then(Value::as_str);
    match (field("type"), field("text")) {
        (Some("text"), Some(text)) => Ok(text),
        (Some("text"), None) => Err(must_be(format!("{param}.text"), "a string")),
        (Some(_), _) => {
            let next = "send parts of the type text alone";
            Err(ApiError::unsupported(format!("{param}.type"), next))
        }
        (None, _) => Err(must_be(param, "an object with type and text")),
    }
}
