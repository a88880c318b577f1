//! `tokenizer.json` of a GGUF file's tokens (format page §6.4).
//!
//! The file's hash is a part of the model root, so it has one spelling: the members in the order
//! below, without blanks, tokens in the order of their ids.

mod byte_level;
mod sentencepiece;

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::{super::ImportError, metadata::Metadata};

/// What to do about a tokenizer that is not converted.
const INSTEAD: &str = "put the model's tokenizer.json beside the file";

/// The text of `tokenizer.json` for a model of `vocabulary` tokens.
pub(super) fn json(metadata: &Metadata<'_>, vocabulary: u32) -> Result<String, ImportError> {
    let tokens = Tokens::read(metadata, vocabulary as usize)?;
    let model = metadata.text("tokenizer.ggml.model")?;
    let parts = match needed(metadata, "tokenizer.ggml.model", model)? {
        "gpt2" => byte_level::parts(&tokens)?,
        "llama" => sentencepiece::parts(&tokens)?,
        other => return Err(tokens.refuse(format!("has a tokenizer of the kind {other:?}"))),
    };
    Ok(parts.json(&tokens, post_processor(&tokens, parts.begins)?))
}

/// What a tokenizer cannot do without.
fn needed<T>(metadata: &Metadata<'_>, key: &str, value: Option<T>) -> Result<T, ImportError> {
    let missing = || ImportError::unclear(metadata.path(), format!("has no {key}"), INSTEAD);
    value.ok_or_else(missing)
}

/// The text of `tokenizer_config.json`: the names of the special tokens that chat templates use.
pub(super) fn special_tokens(
    metadata: &Metadata<'_>,
    vocabulary: u32,
) -> Result<String, ImportError> {
    let tokens = metadata.texts("tokenizer.ggml.tokens", vocabulary as usize)?;
    let mut members = Vec::new();
    for name in ["bos_token", "eos_token"] {
        let id = metadata.u32(&format!("tokenizer.ggml.{name}_id"))?;
        let text = id.and_then(|id| tokens.as_ref()?.get(usize::try_from(id).ok()?));
        members.extend(text.map(|text| format!("\"{name}\":{}", quoted(text))));
    }
    Ok(format!("{{{}}}", members.join(",")))
}

/// Types of tokens that matter here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// Made by merging, or one character.
    Normal,
    Unknown,
    /// Never made from text but by their names.
    Control,
    /// Found in the text as they are, before all others.
    UserDefined,
    /// There for the number's sake.
    Unused,
    /// One byte of a character that is no token.
    Byte,
}

/// All tokens, by id.
struct Tokens<'m, 'a> {
    metadata: &'m Metadata<'a>,
    texts: Vec<&'a str>,
    kinds: Vec<Kind>,
    ids: BTreeMap<&'a str, u32>,
}

impl<'m, 'a> Tokens<'m, 'a> {
    fn read(metadata: &'m Metadata<'a>, vocabulary: usize) -> Result<Self, ImportError> {
        let key = "tokenizer.ggml.tokens";
        let texts = needed(metadata, key, metadata.texts(key, vocabulary)?)?;
        let key = "tokenizer.ggml.token_type";
        let kinds = needed(metadata, key, metadata.integers(key, vocabulary)?)?;
        let wrong = |what: String| ImportError::malformed(metadata.path(), what);
        if kinds.len() != texts.len() {
            let (kinds, texts) = (kinds.len(), texts.len());
            return Err(wrong(format!("has {texts} tokens and types of {kinds}")));
        }
        let kind = |number| match number {
            1 => Ok(Kind::Normal),
            2 => Ok(Kind::Unknown),
            3 => Ok(Kind::Control),
            4 => Ok(Kind::UserDefined),
            5 => Ok(Kind::Unused),
            6 => Ok(Kind::Byte),
            other => Err(wrong(format!("has a token of the unknown type {other}"))),
        };
        let kinds: Vec<Kind> = kinds.into_iter().map(kind).collect::<Result<_, _>>()?;
        let mut tokens = Self {
            metadata,
            texts,
            kinds,
            ids: BTreeMap::new(),
        };
        let used: Vec<(u32, &str, Kind)> = tokens.used().collect();
        for (id, text, _) in used {
            if tokens.ids.insert(text, id).is_some() {
                return Err(tokens.refuse(format!("has the token {text:?} twice")));
            }
        }
        Ok(tokens)
    }

    /// Id, text and kind of the tokens that stand for something.
    fn used(&self) -> impl Iterator<Item = (u32, &'a str, Kind)> + '_ {
        (0u32..)
            .zip(self.texts.iter().zip(&self.kinds))
            .filter(|(_, (_, kind))| **kind != Kind::Unused)
            .map(|(id, (text, kind))| (id, *text, *kind))
    }

    fn text(&self, id: u32) -> Option<&'a str> {
        self.texts.get(usize::try_from(id).ok()?).copied()
    }

    fn refuse(&self, what: impl ToString) -> ImportError {
        ImportError::unclear(self.metadata.path(), what, INSTEAD)
    }
}

/// What kinds of tokenizers differ in. The texts are JSON.
struct Parts {
    normalizer: &'static str,
    pre_tokenizer: &'static str,
    decoder: &'static str,
    /// Whether text begins with the token for it, unless the file says otherwise.
    begins: bool,
    unknown: Option<String>,
    byte_fallback: bool,
    ignore_merges: bool,
    /// Pairs of token texts, first merged first.
    merges: Vec<String>,
}

impl Parts {
    fn json(&self, tokens: &Tokens<'_, '_>, post_processor: String) -> String {
        let added = tokens.used().filter_map(|(id, text, kind)| {
            let special = match kind {
                Kind::Control | Kind::Unknown => true,
                Kind::UserDefined => false,
                Kind::Normal | Kind::Byte | Kind::Unused => return None,
            };
            let content = quoted(text);
            Some(format!(
                r#"{{"id":{id},"content":{content},"single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":{special}}}"#
            ))
        });
        let added = list(added);
        let vocabulary = list(
            tokens
                .used()
                .map(|(id, text, _)| format!("{}:{id}", quoted(text))),
        );
        let merges = list(self.merges.iter().cloned());
        let unknown = match &self.unknown {
            Some(text) => quoted(text),
            None => "null".into(),
        };
        let Self {
            normalizer,
            pre_tokenizer,
            decoder,
            byte_fallback,
            ignore_merges,
            ..
        } = self;
        format!(
            r#"{{"version":"1.0","truncation":null,"padding":null,"added_tokens":[{added}],"normalizer":{normalizer},"pre_tokenizer":{pre_tokenizer},"post_processor":{post_processor},"decoder":{decoder},"model":{{"type":"BPE","dropout":null,"unk_token":{unknown},"continuing_subword_prefix":null,"end_of_word_suffix":null,"fuse_unk":{byte_fallback},"byte_fallback":{byte_fallback},"ignore_merges":{ignore_merges},"vocab":{{{vocabulary}}},"merges":[{merges}]}}}}"#
        )
    }
}

/// One merge as JSON.
fn merge(left: &str, right: &str) -> String {
    format!("[{},{}]", quoted(left), quoted(right))
}

/// A JSON string.
fn quoted(text: &str) -> String {
    Json::from(text).to_string()
}

fn list(items: impl Iterator<Item = String>) -> String {
    let mut text = String::new();
    for item in items {
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(&item);
    }
    text
}

/// The JSON of what puts the tokens for begin and end around a text.
fn post_processor(tokens: &Tokens<'_, '_>, begins: bool) -> Result<String, ImportError> {
    let metadata = tokens.metadata;
    let special = |name: &str, default: bool| {
        if !metadata
            .flag(&format!("tokenizer.ggml.add_{name}_token"))?
            .unwrap_or(default)
        {
            return Ok(None);
        }
        let id = metadata.u32(&format!("tokenizer.ggml.{name}_token_id"))?;
        let token = id.and_then(|id| Some((id, tokens.text(id)?)));
        let missing = || tokens.refuse(format!("adds a {name} token and does not say which"));
        token.map(Some).ok_or_else(missing)
    };
    let (begin, end) = (special("bos", begins)?, special("eos", false)?);
    if begin.is_none() && end.is_none() {
        return Ok("null".into());
    }
    let around = |sequence: &str, kind: u8| {
        let special = |token: Option<(u32, &str)>| {
            token.map(|(_, text)| {
                let text = quoted(text);
                format!(r#"{{"SpecialToken":{{"id":{text},"type_id":{kind}}}}}"#)
            })
        };
        let text = format!(r#"{{"Sequence":{{"id":"{sequence}","type_id":{kind}}}}}"#);
        list(
            [special(begin), Some(text), special(end)]
                .into_iter()
                .flatten(),
        )
    };
    let (first, second) = (around("A", 0), around("B", 1));
    let mut named: Vec<(u32, &str)> = begin.into_iter().chain(end).collect();
    named.dedup();
    let named = list(named.into_iter().map(|(id, text)| {
        let text = quoted(text);
        format!(r#"{text}:{{"id":{text},"ids":[{id}],"tokens":[{text}]}}"#)
    }));
    Ok(format!(
        r#"{{"type":"TemplateProcessing","single":[{first}],"pair":[{first},{second}],"special_tokens":{{{named}}}}}"#
    ))
}
