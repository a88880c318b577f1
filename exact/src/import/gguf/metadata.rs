//! The keys of a GGUF file and their values.

use std::{collections::BTreeMap, path::Path};

use super::{
    super::ImportError,
    value::{Reader, Value},
};

/// All keys of a file.
pub(super) struct Metadata<'a> {
    path: &'a Path,
    entries: BTreeMap<&'a str, Value<'a>>,
}

impl<'a> Metadata<'a> {
    pub fn new(path: &'a Path, entries: BTreeMap<&'a str, Value<'a>>) -> Self {
        Self { path, entries }
    }

    /// The file.
    pub fn path(&self) -> &'a Path {
        self.path
    }

    /// Keys that begin with `prefix`, without it.
    pub fn keys_below<'s>(&'s self, prefix: &'s str) -> impl Iterator<Item = &'a str> + 's {
        self.entries
            .keys()
            .filter_map(move |key| key.strip_prefix(prefix))
    }

    fn optional<T>(
        &self,
        key: &str,
        kind: &str,
        read: impl FnOnce(Value<'a>) -> Option<T>,
    ) -> Result<Option<T>, ImportError> {
        let wrong = || ImportError::malformed(self.path, format!("has no {kind} under {key}"));
        match self.entries.get(key) {
            None => Ok(None),
            Some(value) => read(*value).map(Some).ok_or_else(wrong),
        }
    }

    pub fn integer(&self, key: &str) -> Result<Option<i128>, ImportError> {
        self.optional(key, "integer", |value| match value {
            Value::Integer(integer) => Some(integer),
            _ => None,
        })
    }

    pub fn number(&self, key: &str) -> Result<Option<f64>, ImportError> {
        self.optional(key, "number", |value| match value {
            Value::Float(number) => Some(number),
            _ => None,
        })
    }

    pub fn flag(&self, key: &str) -> Result<Option<bool>, ImportError> {
        self.optional(key, "flag", |value| match value {
            Value::Flag(flag) => Some(flag),
            _ => None,
        })
    }

    pub fn text(&self, key: &str) -> Result<Option<&'a str>, ImportError> {
        self.optional(key, "text", |value| match value {
            Value::Text(text) => Some(text),
            _ => None,
        })
    }

    /// An integer below 2^32; none if the key is not there.
    pub fn u32(&self, key: &str) -> Result<Option<u32>, ImportError> {
        let wide = self.integer(key)?;
        let narrow = |integer| {
            u32::try_from(integer)
                .map_err(|_| ImportError::malformed(self.path, format!("has {key} = {integer}")))
        };
        wide.map(narrow).transpose()
    }

    /// What a key must say.
    pub fn required<T>(&self, key: &str, value: Option<T>) -> Result<T, ImportError> {
        value.ok_or_else(|| ImportError::malformed(self.path, format!("has no {key}")))
    }

    fn array<T>(
        &self,
        key: &str,
        most: usize,
        kind: &str,
        read: impl Fn(Value<'a>) -> Option<T>,
    ) -> Result<Option<Vec<T>>, ImportError> {
        self.optional(key, &format!("list of at most {most} {kind}"), |value| {
            let Value::Array { kind, bytes } = value else {
                return None;
            };
            let mut reader = Reader { rest: bytes };
            let mut elements = Vec::new();
            while !reader.rest.is_empty() && elements.len() < most {
                elements.push(read(reader.value(kind).ok()?)?);
            }
            reader.rest.is_empty().then_some(elements)
        })
    }

    pub fn texts(&self, key: &str, most: usize) -> Result<Option<Vec<&'a str>>, ImportError> {
        self.array(key, most, "texts", |value| match value {
            Value::Text(text) => Some(text),
            _ => None,
        })
    }

    pub fn integers(&self, key: &str, most: usize) -> Result<Option<Vec<i128>>, ImportError> {
        self.array(key, most, "integers", |value| match value {
            Value::Integer(integer) => Some(integer),
            _ => None,
        })
    }

    pub fn numbers(&self, key: &str, most: usize) -> Result<Option<Vec<f64>>, ImportError> {
        self.array(key, most, "numbers", |value| match value {
            Value::Float(number) => Some(number),
            _ => None,
        })
    }
}
