//! What both endpoints are asked in the same words.

use assay_client::text::Message;
use assay_primitives::{Sampling, SamplingError, TokenId, PPM_ONE};
use serde_json::{Map, Value};

use crate::{
    fields::{must_be, Fields},
    ApiError, Limits,
};

/// The most likeliest tokens to show for each token; the same for both endpoints, since whoever serves chats may buy
/// completions.
pub const MAX_TOP_LOGPROBS: u8 = 20;

/// The longest name of a model: each chunk of an answer says it again.
const MAX_MODEL_BYTES: usize = 512;
/// The most bytes of the field `assay`, of which each choice has a copy.
const MAX_ASSAY_BYTES: usize = 4096;
const MAX_STOPS: usize = 4;
const MAX_STOP_BYTES: usize = 512;

/// A request whose fields are in range.
#[derive(Debug)]
pub struct Request {
    pub model: String,
    pub prompts: Prompts,
    /// For the first choice.
    pub sampling: Sampling,
    pub max_tokens: Option<u32>,
    pub stop: Vec<String>,
    /// Whether the client wants text; else tokens alone, in the `assay` objects.
    pub detokenize: bool,
    /// Choices for each prompt.
    pub n: u32,
    pub logprobs: Option<u8>,
    pub stream: bool,
    pub include_usage: bool,
    pub assay: Option<Value>,
}

/// What is to be answered. Never empty.
#[derive(Debug)]
pub enum Prompts {
    Chat(Vec<Message>),
    Plain(Vec<Prompt>),
}

#[derive(Debug)]
pub enum Prompt {
    Text(String),
    Tokens(Vec<TokenId>),
}

impl Prompts {
    /// The field that they came in.
    pub fn param(&self) -> &'static str {
        match self {
            Self::Chat(_) => "messages",
            Self::Plain(_) => "prompt",
        }
    }

    /// How many answers of one kind there will be.
    fn count(&self) -> usize {
        match self {
            Self::Chat(_) => 1,
            Self::Plain(prompts) => prompts.len(),
        }
    }
}

impl Request {
    /// Reads what both endpoints have in common.
    pub fn read(
        fields: &Fields,
        prompts: Prompts,
        max_tokens: Option<u32>,
        logprobs: Option<u8>,
        limits: &Limits,
    ) -> Result<Self, ApiError> {
        let model = fields.text("model")?.ok_or_else(|| {
            ApiError::invalid("model is missing; GET /v1/models lists those that there are")
                .param("model")
        })?;
        if model.len() > MAX_MODEL_BYTES {
            return Err(ApiError::model_not_found(model));
        }
        for penalty in ["presence_penalty", "frequency_penalty"] {
            fields.refuse(penalty, |value| value.as_f64() == Some(0.0))?;
        }
        fields.refuse("logit_bias", is_empty)?;
        let n = fields.whole("n", 1..=limits.choices)?.unwrap_or(1);
        let prompt_count = prompts.count();
        if prompt_count.saturating_mul(n as usize) > limits.choices as usize {
            return Err(ApiError::invalid(format!(
                "{prompt_count} prompts with {n} choices each are more than {} answers; ask for fewer at a time",
                limits.choices
            ))
            .param(prompts.param()));
        }
        let stop = stop(fields)?;
        let detokenize = fields.flag("detokenize")?.unwrap_or(true);
        if !detokenize && !stop.is_empty() {
            let next = "leave it out where detokenize is false";
            return Err(ApiError::unsupported("stop", next));
        }
        let assay = fields.value("assay");
        if assay.is_some_and(|assay| size(assay) > MAX_ASSAY_BYTES) {
            let what = format!("an object of at most {MAX_ASSAY_BYTES} bytes");
            return Err(must_be("assay", &what));
        }
        let options = fields.object("stream_options")?;
        let include_usage = options.and_then(|options| options.get("include_usage"));
        Ok(Self {
            model: model.into(),
            prompts,
            sampling: sampling(fields)?,
            max_tokens,
            stop,
            detokenize,
            n,
            logprobs,
            stream: fields.flag("stream")?.unwrap_or_default(),
            include_usage: include_usage == Some(&Value::Bool(true)),
            assay: fields.object("assay")?.cloned().map(Value::Object),
        })
    }
}

/// Bytes that a value takes, about.
fn size(value: &Value) -> usize {
    let inside = match value {
        Value::String(text) => text.len(),
        Value::Array(list) => list.iter().map(size).sum(),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| name.len().saturating_add(size(value)))
            .sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    };
    inside.saturating_add(size_of::<Value>())
}

/// Whether a list or an object has nothing in it.
pub fn is_empty(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty) || value.as_object().is_some_and(Map::is_empty)
}

/// The limit of an answer in tokens that a field names.
pub fn token_limit(fields: &Fields, name: &str) -> Result<Option<u32>, ApiError> {
    fields.whole(name, 1..=u32::MAX)
}

fn sampling(fields: &Fields) -> Result<Sampling, ApiError> {
    // Some clients say -1 where they mean all.
    let top_k = fields.whole("top_k", -1..=i64::from(u32::MAX))?;
    let sampling = Sampling {
        temperature: parts_per_million(fields, "temperature")?.unwrap_or(PPM_ONE),
        top_k: top_k.and_then(|k| k.try_into().ok()).unwrap_or(0),
        top_p: parts_per_million(fields, "top_p")?.unwrap_or(PPM_ONE),
        min_p: parts_per_million(fields, "min_p")?.unwrap_or(0),
        penalty: parts_per_million(fields, "repetition_penalty")?.unwrap_or(PPM_ONE),
        nonce: match fields.whole("seed", i128::from(i64::MIN)..=i128::from(u64::MAX))? {
            // The low bits, so that a negative seed is one of its own.
            Some(seed) => seed as u64,
            None => rand::random(),
        },
    };
    sampling.validate().map_err(out_of_range)?;
    Ok(sampling)
}

/// What is far out of any range becomes the largest number, which is out of each.
fn parts_per_million(fields: &Fields, name: &str) -> Result<Option<u32>, ApiError> {
    let parts = |number: f64| match (number * f64::from(PPM_ONE)).round() {
        negative if negative < 0.0 => u32::MAX,
        parts => parts as u32,
    };
    Ok(fields.number(name)?.map(parts))
}

fn out_of_range(error: SamplingError) -> ApiError {
    let (param, range) = match error {
        SamplingError::TemperatureTooHigh | SamplingError::TemperatureTooLow => {
            ("temperature", "0, or from 0.001 to 10")
        }
        SamplingError::TopP => ("top_p", "above 0 and at most 1"),
        SamplingError::MinP => ("min_p", "from 0 to 1"),
        SamplingError::Penalty => ("repetition_penalty", "from 0.5 to 4"),
    };
    must_be(param, range)
}

fn stop(fields: &Fields) -> Result<Vec<String>, ApiError> {
    let strings = match fields.value("stop") {
        None => return Ok(Vec::new()),
        Some(Value::String(one)) => Some(vec![one.clone()]),
        Some(Value::Array(many)) => many
            .iter()
            .map(|one| one.as_str().map(str::to_owned))
            .collect(),
        Some(_) => None,
    };
    let fits = |stop: &String| !stop.is_empty() && stop.len() <= MAX_STOP_BYTES;
    strings
        .filter(|strings| strings.len() <= MAX_STOPS && strings.iter().all(fits))
        .ok_or_else(|| {
            let what =
                format!("a string of 1 to {MAX_STOP_BYTES} bytes, or a list of up to {MAX_STOPS}");
            must_be("stop", &what)
        })
}
