//! The fields of a request, each with its name in every error.

use std::{fmt::Display, ops::RangeInclusive};

use serde_json::{Map, Value};

use crate::{ApiError, Limits};

/// Objects, lists and names in a body. Each takes up to hundreds of bytes, however few it has in the text.
const MAX_NODES: usize = 1 << 15;

/// A JSON object. A field that is null counts as one that is not there.
pub struct Fields(Map<String, Value>);

impl Fields {
    pub fn parse(body: &[u8], limits: &Limits) -> Result<Self, ApiError> {
        let (nodes, commas) = count(body);
        if nodes > MAX_NODES {
            return Err(ApiError::invalid(format!(
                "the body has {nodes} objects, lists and names, and the most are {MAX_NODES}; send fewer"
            )));
        }
        let most = limits.prompt_ids.map(|ids| ids.saturating_add(MAX_NODES));
        if let Some(most) = most.filter(|most| commas > *most) {
            return Err(ApiError::invalid(format!(
                "the body has {commas} values beside others, and the most are {most}; send a shorter prompt, or fewer"
            )));
        }
        match serde_json::from_slice(body) {
            Ok(Value::Object(fields)) => Ok(Self(fields)),
            Ok(_) => Err(ApiError::invalid(
                "the body is not a JSON object; send one with the request's fields",
            )),
            Err(error) => Err(ApiError::invalid(format!(
                "the body is not JSON: {error}; send a JSON object with the request's fields"
            ))),
        }
    }

    pub fn value(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    pub fn text(&self, name: &str) -> Result<Option<&str>, ApiError> {
        self.typed(name, "a string", Value::as_str)
    }

    pub fn flag(&self, name: &str) -> Result<Option<bool>, ApiError> {
        self.typed(name, "true or false", Value::as_bool)
    }

    pub fn object(&self, name: &str) -> Result<Option<&Map<String, Value>>, ApiError> {
        self.typed(name, "an object", Value::as_object)
    }

    pub fn number(&self, name: &str) -> Result<Option<f64>, ApiError> {
        self.typed(name, "a number", Value::as_f64)
    }

    pub fn whole<T: TryFrom<i128> + Copy + Into<i128> + Display>(
        &self,
        name: &str,
        range: RangeInclusive<T>,
    ) -> Result<Option<T>, ApiError> {
        let Some(value) = self.value(name) else {
            return Ok(None);
        };
        let (first, last) = (*range.start(), *range.end());
        let number = whole(value).filter(|number| (first.into()..=last.into()).contains(number));
        match number.and_then(|number| T::try_from(number).ok()) {
            Some(number) => Ok(Some(number)),
            None => {
                let what = format!("a whole number from {first} to {last}");
                Err(must_be(name, &what))
            }
        }
    }

    /// That the field asks for nothing that nobody here does: it is not there, or as `harmless` has it.
    pub fn refuse(&self, name: &str, harmless: fn(&Value) -> bool) -> Result<(), ApiError> {
        match self.value(name) {
            Some(value) if !harmless(value) => Err(ApiError::unsupported(name, "leave it out")),
            _ => Ok(()),
        }
    }

    fn typed<'a, T>(
        &'a self,
        name: &str,
        what: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, ApiError> {
        let value = self.value(name);
        let read = value.map(|value| read(value).ok_or_else(|| must_be(name, what)));
        read.transpose()
    }
}

/// Objects, lists and names of a JSON text, and the commas between what is in them, by the characters outside of its
/// strings.
fn count(json: &[u8]) -> (usize, usize) {
    let (mut nodes, mut commas) = (0usize, 0usize);
    let (mut in_string, mut is_escaped) = (false, false);
    for byte in json {
        match (in_string, byte) {
            (true, _) if is_escaped => is_escaped = false,
            (true, b'\\') => is_escaped = true,
            (_, b'"') => in_string = !in_string,
            (false, b'{' | b'[' | b':') => nodes = nodes.saturating_add(1),
            (false, b',') => commas = commas.saturating_add(1),
            _ => {}
        }
    }
    (nodes, commas)
}

/// An integer as JSON has it.
pub fn whole(value: &Value) -> Option<i128> {
    let signed = value.as_i64().map(i128::from);
    signed.or_else(|| value.as_u64().map(i128::from))
}

/// The error for a field of another type or out of its range.
pub fn must_be(param: impl Into<String>, what: &str) -> ApiError {
    let param = param.into();
    ApiError::invalid(format!("{param} must be {what}")).param(param)
}
