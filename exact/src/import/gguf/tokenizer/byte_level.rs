//! Byte-level BPE: tokens are made of bytes, which stand for themselves as printable characters.

use super::{merge, needed, Parts, Tokens};
use crate::import::ImportError;

/// More merges than the largest vocabularies have.
const MAX_MERGES: usize = 1 << 22;

/// How text is cut into words before anything is merged, by the name that GGUF has for it.
struct Cut {
    name: &'static str,
    normalizer: &'static str,
    pre_tokenizer: &'static str,
    ignore_merges: bool,
    begins: bool,
}

const CUTS: [Cut; 3] = [
    Cut {
        name: "gpt-2",
        normalizer: "null",
        pre_tokenizer: r#"{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":true}"#,
        ignore_merges: false,
        begins: false,
    },
    Cut {
        name: "llama-bpe",
        normalizer: "null",
        pre_tokenizer: r#"{"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"Regex":"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"},"behavior":"Isolated","invert":false},{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":false}]}"#,
        ignore_merges: true,
        begins: true,
    },
    Cut {
        name: "qwen2",
        normalizer: r#"{"type":"NFC"}"#,
        pre_tokenizer: r#"{"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"Regex":"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"},"behavior":"Isolated","invert":false},{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":false}]}"#,
        ignore_merges: false,
        begins: false,
    },
];

pub(super) fn parts(tokens: &Tokens<'_, '_>) -> Result<Parts, ImportError> {
    let metadata = tokens.metadata;
    let name = metadata.text("tokenizer.ggml.pre")?;
    let cut = CUTS.iter().find(|cut| Some(cut.name) == name);
    let cut = cut.ok_or_else(|| {
        let name = name.unwrap_or("without a name");
        tokens.refuse(format!("has a tokenizer with the pre-tokenizer {name:?}"))
    })?;
    let key = "tokenizer.ggml.merges";
    let merges = needed(metadata, key, metadata.texts(key, MAX_MERGES)?)?;
    Ok(Parts {
        normalizer: cut.normalizer,
        pre_tokenizer: cut.pre_tokenizer,
        decoder: r#"{"type":"ByteLevel","add_prefix_space":true,"trim_offsets":true,"use_regex":true}"#,
        begins: cut.begins,
        unknown: None,
        byte_fallback: false,
        ignore_merges: cut.ignore_merges,
        merges: merges
            .into_iter()
            .map(|pair| known(tokens, pair))
            .collect::<Result<_, _>>()?,
    })
}

/// A merge as JSON if it makes a token of two tokens.
fn known(tokens: &Tokens<'_, '_>, pair: &str) -> Result<String, ImportError> {
    // A byte-level token has no space: that is one of the bytes that stand as other characters.
    pair.split_once(' ')
        .filter(|(left, right)| {
            let made = [*left, *right].concat();
            let all = [*left, *right, &made];
            all.iter().all(|text| tokens.ids.contains_key(text))
        })
        .map(|(left, right)| merge(left, right))
        .ok_or_else(|| tokens.refuse(format!("has the merge {pair:?}, which makes no token")))
}
