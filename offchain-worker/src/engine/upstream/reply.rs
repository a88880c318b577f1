//! What the server says.

use serde::Deserialize;

/// The field with which vLLM is asked for token ids.
pub(super) const IDS: &str = "return_token_ids";

/// Most characters of the server's own words in an error.
const WORDS: usize = 300;

/// Why a completion ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Stop,
    Length,
}

/// One event of the stream.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Reply {
    pub text: String,
    /// Token ids, from servers that give them.
    pub ids: Option<Vec<u32>>,
    pub ended: Option<Ended>,
    /// Tokens of prompt and completion.
    pub usage: Option<(u64, u64)>,
}

#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Vec<Choice>,
    usage: Option<Usage>,
    error: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    text: String,
    token_ids: Option<Vec<u32>>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Usage {
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: u64,
}

impl Reply {
    pub fn parse(data: &str) -> Result<Self, String> {
        let chunk: Chunk = serde_json::from_str(data)
            .map_err(|error| format!("it sent something else than a completion: {error}"))?;
        if chunk.error.is_some() {
            return Err(error(data.as_bytes()));
        }
        let usage = chunk.usage;
        let mut reply = Self {
            usage: usage.map(|usage| (usage.prompt_tokens, usage.completion_tokens)),
            ..Self::default()
        };
        let Some(choice) = chunk.choices.into_iter().next() else {
            return Ok(reply);
        };
        reply.text = choice.text;
        reply.ids = choice.token_ids;
        reply.ended = match choice.finish_reason.as_deref() {
            None => None,
            Some("stop") => Some(Ended::Stop),
            Some("length") => Some(Ended::Length),
            Some(other) => return Err(format!("it ended for a reason of its own, {other:?}")),
        };
        Ok(reply)
    }
}

/// The message of an error in OpenAI's shape, or what else is there, on one line.
pub(super) fn error(body: &[u8]) -> String {
    let value = serde_json::from_slice::<serde_json::Value>(body).unwrap_or_default();
    let message = ["/error/message", "/message", "/detail", "/error"]
        .iter()
        .find_map(|path| value.pointer(path)?.as_str().map(str::to_owned));
    let message = message.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned());
    let words: Vec<&str> = message.split_whitespace().collect();
    words.join(" ").chars().take(WORDS).collect()
}
