//! How answers look in JSON.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde_json::{json, Map, Value};

use crate::choice::{Delta, Logprob};

/// Stands for the logarithm of zero, which JSON has not.
const IMPOSSIBLE: f32 = -9999.0;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    Chat,
    Completions,
}

impl Endpoint {
    pub fn path(self) -> &'static str {
        match self {
            Self::Chat => "/v1/chat/completions",
            Self::Completions => "/v1/completions",
        }
    }
}

/// What every chunk of an answer says again.
pub struct Shape {
    endpoint: Endpoint,
    id: String,
    created: u64,
    model: String,
}

/// Tokens of an answer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    pub prompt: usize,
    /// Of all choices.
    pub completion: usize,
}

/// A whole choice.
#[derive(Default)]
pub struct Collected {
    pub text: String,
    pub logprobs: Vec<Logprob>,
    pub assay: Option<Value>,
    pub finish: Option<&'static str>,
}

impl Collected {
    pub fn add(&mut self, delta: Delta) {
        self.text.push_str(&delta.text);
        self.logprobs.extend(delta.logprobs);
        if let Some(assay) = delta.assay {
            match &mut self.assay {
                None => self.assay = Some(assay),
                Some(all) => merge(all, assay),
            }
        }
        self.finish = delta.finish.map(|finish| finish.as_str());
    }
}

/// Appends lists to lists; of anything else the later one stays.
fn merge(all: &mut Value, later: Value) {
    match (all, later) {
        (Value::Object(all), Value::Object(later)) => {
            for (name, value) in later {
                match (all.get_mut(&name), value) {
                    (Some(Value::Array(all)), Value::Array(mut later)) => all.append(&mut later),
                    (_, value) => {
                        all.insert(name, value);
                    }
                }
            }
        }
        (all, later) => *all = later,
    }
}

/// A step of one choice. There is one for every token, so that it is written as it is, and not made a [`Value`] of
/// first.
#[derive(Serialize)]
pub struct Chunk<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: [Step; 1],
}

#[derive(Serialize)]
struct Step {
    /// Of a chat.
    #[serde(skip_serializing_if = "Option::is_none")]
    delta: Option<Content>,
    /// Of a completion.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    index: u32,
    logprobs: Value,
    finish_reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    assay: Option<Value>,
}

#[derive(Serialize)]
struct Content {
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<String>,
}

impl Shape {
    pub fn new(endpoint: Endpoint, model: String) -> Self {
        let prefix = match endpoint {
            Endpoint::Chat => "chatcmpl",
            Endpoint::Completions => "cmpl",
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            endpoint,
            id: format!("{prefix}-{:032x}", rand::random::<u128>()),
            created: now.map(|since| since.as_secs()).unwrap_or_default(),
            model,
        }
    }

    /// An answer in one piece.
    pub fn whole(&self, choices: &[Collected], usage: Usage, logprobs: bool) -> Value {
        let choices = (0u32..).zip(choices).map(|(index, choice)| {
            let mut value = match self.endpoint {
                Endpoint::Chat => {
                    let content = &choice.text;
                    json!({ "message": { "role": "assistant", "content": content, "refusal": null } })
                }
                Endpoint::Completions => json!({ "text": choice.text }),
            };
            value["index"] = index.into();
            value["finish_reason"] = choice.finish.into();
            value["logprobs"] = self.logprobs(&choice.logprobs, logprobs);
            if let Some(assay) = &choice.assay {
                value["assay"] = assay.clone();
            }
            value
        });
        let mut value = self.frame(choices.collect(), false);
        value["usage"] = usage.json();
        value
    }

    /// The chunk that begins a choice; only chats have one.
    pub fn opening(&self, choice: u32) -> Option<Value> {
        let chunk = || {
            let delta = json!({ "role": "assistant", "content": "" });
            json!({ "index": choice, "delta": delta, "logprobs": null, "finish_reason": null })
        };
        (self.endpoint == Endpoint::Chat).then(|| self.frame(vec![chunk()], true))
    }

    /// The chunk of a step, if it has anything to say.
    pub fn chunk(&self, delta: Delta, logprobs: bool) -> Option<Chunk<'_>> {
        let is_silent = delta.text.is_empty()
            && delta.logprobs.is_empty()
            && delta.assay.is_none()
            && delta.finish.is_none();
        if is_silent {
            return None;
        }
        let logprobs = logprobs && !delta.logprobs.is_empty();
        let logprobs = self.logprobs(&delta.logprobs, logprobs);
        let (content, text) = match self.endpoint {
            Endpoint::Chat => {
                // The last chunk of a chat has no content, unless text was withheld until then.
                let has_content = delta.finish.is_none() || !delta.text.is_empty();
                let content = has_content.then_some(delta.text);
                (Some(Content { content }), None)
            }
            Endpoint::Completions => (None, Some(delta.text)),
        };
        Some(Chunk {
            id: &self.id,
            object: self.object(true),
            created: self.created,
            model: &self.model,
            choices: [Step {
                delta: content,
                text,
                index: delta.choice,
                logprobs,
                finish_reason: delta.finish.map(|finish| finish.as_str()),
                assay: delta.assay,
            }],
        })
    }

    /// The chunk with the usage, which is the last.
    pub fn usage_chunk(&self, usage: Usage) -> Value {
        let mut value = self.frame(Vec::new(), true);
        value["usage"] = usage.json();
        value
    }

    fn object(&self, is_chunk: bool) -> &'static str {
        match (self.endpoint, is_chunk) {
            (Endpoint::Chat, true) => "chat.completion.chunk",
            (Endpoint::Chat, false) => "chat.completion",
            (Endpoint::Completions, _) => "text_completion",
        }
    }

    fn frame(&self, choices: Vec<Value>, is_chunk: bool) -> Value {
        json!({
            "id": self.id,
            "object": self.object(is_chunk),
            "created": self.created,
            "model": self.model,
            "choices": choices,
        })
    }

    fn logprobs(&self, logprobs: &[Logprob], wanted: bool) -> Value {
        match self.endpoint {
            _ if !wanted => Value::Null,
            Endpoint::Chat => {
                let content: Vec<Value> = logprobs.iter().map(of_chat).collect();
                json!({ "content": content, "refusal": null })
            }
            Endpoint::Completions => of_completions(logprobs),
        }
    }
}

impl Usage {
    fn json(self) -> Value {
        json!({
            "prompt_tokens": self.prompt,
            "completion_tokens": self.completion,
            "total_tokens": self.prompt + self.completion,
        })
    }
}

fn of_chat(token: &Logprob) -> Value {
    let entry = |text: &str, logprob: f32| {
        // A part of a character has no text to give the bytes of.
        let bytes = (!text.contains('\u{fffd}')).then_some(text.as_bytes());
        json!({ "token": text, "logprob": finite(logprob), "bytes": bytes })
    };
    let mut value = entry(&token.token, token.logprob);
    let top = token.top.iter();
    value["top_logprobs"] = top.map(|(text, logprob)| entry(text, *logprob)).collect();
    value
}

fn of_completions(tokens: &[Logprob]) -> Value {
    let top = |token: &Logprob| {
        let mut top = Map::new();
        // Parts of characters look alike; the likeliest stands for them.
        for (text, logprob) in &token.top {
            top.entry(text.as_str()).or_insert(finite(*logprob).into());
        }
        top
    };
    let each = |value: fn(&Logprob) -> Value| tokens.iter().map(value).collect::<Vec<_>>();
    json!({
        "tokens": each(|token| token.token.as_str().into()),
        "token_logprobs": each(|token| finite(token.logprob).into()),
        "top_logprobs": tokens.iter().map(top).collect::<Vec<_>>(),
        "text_offset": each(|token| token.offset.into()),
    })
}

fn finite(logprob: f32) -> f32 {
    logprob.clamp(IMPOSSIBLE, 0.0)
}
