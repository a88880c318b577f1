//! SentencePiece's BPE: tokens are made of characters, bytes stand in for those that are no token, and
//! a space is written as `▁`.
//!
//! A file has no merges but a score for each token: of two neighbours, those are merged whose token has
//! the highest score. Hugging Face's tokenizers want pairs in order instead.

use core::cmp::Reverse;
use std::collections::BTreeMap;

use super::{merge, needed, Kind, Parts, Tokens};
use crate::import::ImportError;

const UNKNOWN: &str = "tokenizer.ggml.unknown_token_id";

/// Longest token that is cut into pairs, in bytes; training stops at 16 characters.
const LONGEST: usize = 256;

/// More pairs than the largest vocabularies have.
const MAX_MERGES: usize = 1 << 22;

/// Keys that would change the normalisation.
const CHARACTER_MAP: &str = "tokenizer.ggml.precompiled_charsmap";
const FEWER_BLANKS: &str = "tokenizer.ggml.remove_extra_whitespaces";

const REPLACE: &str = r#"{"type":"Replace","pattern":{"String":" "},"content":"▁"}"#;
const PREPEND_AND_REPLACE: &str = r#"{"type":"Sequence","normalizers":[{"type":"Prepend","prepend":"▁"},{"type":"Replace","pattern":{"String":" "},"content":"▁"}]}"#;
const DECODER: &str = r#"{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"▁"},"content":" "},{"type":"ByteFallback"},{"type":"Fuse"}]}"#;
const DECODER_AND_STRIP: &str = r#"{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"▁"},"content":" "},{"type":"ByteFallback"},{"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]}"#;

pub(super) fn parts(tokens: &Tokens<'_, '_>) -> Result<Parts, ImportError> {
    let metadata = tokens.metadata;
    let fewer_blanks = metadata.flag(FEWER_BLANKS)?.unwrap_or(false);
    if fewer_blanks || metadata.keys_below(CHARACTER_MAP).next().is_some() {
        return Err(tokens.refuse("has a tokenizer with a normaliser of its own"));
    }
    let prefix = metadata.flag("tokenizer.ggml.add_space_prefix")?;
    let prefix = prefix.unwrap_or(true);
    let unknown = match metadata.u32(UNKNOWN)? {
        Some(id) => tokens.text(id),
        None => {
            let mut used = tokens.used();
            used.find(|(_, _, kind)| *kind == Kind::Unknown)
                .map(|(_, text, _)| text)
        }
    };
    Ok(Parts {
        normalizer: if prefix { PREPEND_AND_REPLACE } else { REPLACE },
        pre_tokenizer: "null",
        decoder: if prefix { DECODER_AND_STRIP } else { DECODER },
        begins: true,
        unknown: unknown.map(Into::into),
        byte_fallback: true,
        ignore_merges: false,
        merges: merges(tokens)?,
    })
}

/// A pair of tokens that makes a third; ordered as they are merged.
#[derive(PartialEq, PartialOrd)]
struct Pair {
    score: Reverse<f64>,
    /// Characters of the left token, then of the right one: more of them first.
    characters: Reverse<(usize, usize)>,
    made: u32,
    left: u32,
    right: u32,
}

fn merges(tokens: &Tokens<'_, '_>) -> Result<Vec<String>, ImportError> {
    let key = "tokenizer.ggml.scores";
    let metadata = tokens.metadata;
    let scores = needed(metadata, key, metadata.numbers(key, tokens.texts.len())?)?;
    if scores.len() != tokens.texts.len() || scores.iter().any(|score| score.is_nan()) {
        return Err(tokens.refuse("has not a score for every token"));
    }
    let normal: BTreeMap<&str, u32> = tokens
        .used()
        .filter(|(_, _, kind)| *kind == Kind::Normal)
        .map(|(id, text, _)| (text, id))
        .collect();
    let mut pairs = Vec::new();
    for (text, made) in &normal {
        if text.len() > LONGEST {
            return Err(tokens.refuse(format!("has a token of {} bytes", text.len())));
        }
        let score = scores.get(*made as usize).copied().unwrap_or_default();
        for (place, _) in text.char_indices().skip(1) {
            let (left, right) = text.split_at(place);
            let (Some(left_id), Some(right_id)) = (normal.get(left), normal.get(right)) else {
                continue;
            };
            pairs.push(Pair {
                score: Reverse(score),
                characters: Reverse((left.chars().count(), right.chars().count())),
                made: *made,
                left: *left_id,
                right: *right_id,
            });
        }
        if pairs.len() > MAX_MERGES {
            return Err(tokens.refuse("has a tokenizer with too many merges"));
        }
    }
    // No score is NaN, so that they are ordered.
    pairs.sort_by(|a, b| a.partial_cmp(b).unwrap_or(core::cmp::Ordering::Equal));
    let text = |id| tokens.text(id).unwrap_or_default();
    Ok(pairs
        .iter()
        .map(|pair| merge(text(pair.left), text(pair.right)))
        .collect())
}
