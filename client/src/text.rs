//! From text to tokens and back, with the files whose hashes are on the chain.

use std::{
    borrow::Cow,
    collections::HashSet,
    path::{Path, PathBuf},
};

use assay_primitives::{ModelParts, TokenId};
use minijinja::{context, syntax::SyntaxConfig, Environment, ErrorKind, Value};
use minijinja_contrib::pycompat;
use subxt::utils::H256;
use tokenizers::{models::ModelWrapper, pre_tokenizers::byte_level::ByteLevel, Model, Tokenizer};

use crate::{
    error::one_line,
    folder::{self, SpecialTokens},
    Error,
};

/// The tokenizer and the chat template of a model folder.
pub struct Text {
    folder: PathBuf,
    tokenizer: Tokenizer,
    tokenizer_hash: H256,
    template: String,
    special: SpecialTokens,
    /// Tokens that mean something to the model and are no text.
    unseen: HashSet<TokenId>,
    /// The most bytes of a text that one token stands for; none where that is not known.
    token_bytes: Option<usize>,
}

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// `system`, `user` or `assistant`.
    pub role: String,
    pub content: String,
}

impl Message {
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Self {
            role: role.into(),
            content: content.into(),
        }
    }
}

impl Text {
    /// Open the tokenizer and the template in `folder`.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        let bytes = folder::tokenizer(folder)?;
        let tokenizer_hash = folder::hash(&bytes);
        let tokenizer = Tokenizer::from_bytes(bytes).map_err(|error| {
            let problem = format!("tokenizer.json is not a tokenizer: {error}");
            Error::file(folder, problem, "ask the model's publisher")
        })?;
        let added = tokenizer.get_added_tokens_decoder().into_iter();
        let unseen = added.filter(|(_, token)| token.special);
        Ok(Self {
            unseen: unseen.map(|(id, _)| id).collect(),
            token_bytes: token_bytes(&tokenizer),
            folder: folder.into(),
            tokenizer,
            tokenizer_hash,
            template: folder::template(folder)?,
            special: folder::special_tokens(folder)?,
        })
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Each file with its hash and the listed one.
    fn hashes(&self, parts: &ModelParts) -> [(&'static str, H256, H256); 2] {
        let template = folder::hash(self.template.as_bytes());
        [
            ("tokenizer.json", self.tokenizer_hash, parts.tokenizer),
            ("chat template", template, parts.template),
        ]
    }

    /// Whether these are the listing's files.
    pub fn fits(&self, parts: &ModelParts) -> bool {
        let mut hashes = self.hashes(parts).into_iter();
        hashes.all(|(_, found, listed)| found == listed)
    }

    /// That these are the listing's files, or which is not.
    pub fn check(&self, parts: &ModelParts) -> Result<(), Error> {
        for (what, found, listed) in self.hashes(parts) {
            check(what, &self.folder, found, listed)?;
        }
        Ok(())
    }

    /// Tokens of a conversation in the model's chat format, up to where the answer begins. A model without a
    /// format reads the last message as it stands.
    pub fn chat(&self, messages: &[Message]) -> Result<Vec<TokenId>, Error> {
        let (text, special) = self.written(messages)?;
        self.encode(&text, special)
    }

    /// The same; none where they are surely more than `most`, which takes no time to tell.
    pub fn chat_within(
        &self,
        messages: &[Message],
        most: usize,
    ) -> Result<Option<Vec<TokenId>>, Error> {
        let (text, special) = self.written(messages)?;
        self.within(&text, special, most)
    }

    /// A conversation in the model's chat format, and whether special tokens are to be put in.
    fn written<'a>(&self, messages: &'a [Message]) -> Result<(Cow<'a, str>, bool), Error> {
        if self.template.is_empty() {
            let last = messages.last().map(|message| message.content.as_str());
            return Ok((last.unwrap_or_default().into(), true));
        }
        let text = render(&self.template, messages, &self.special)
            .map_err(|reason| Error::Template(one_line(&reason)))?;
        // The template has put in the special tokens itself.
        Ok((text.into(), false))
    }

    /// Tokens of a text as it stands.
    pub fn raw(&self, text: &str) -> Result<Vec<TokenId>, Error> {
        self.encode(text, true)
    }

    /// The same; none where they are surely more than `most`, which takes no time to tell.
    pub fn raw_within(&self, text: &str, most: usize) -> Result<Option<Vec<TokenId>>, Error> {
        self.within(text, true, most)
    }

    fn within(
        &self,
        text: &str,
        special: bool,
        most: usize,
    ) -> Result<Option<Vec<TokenId>>, Error> {
        let room = self.token_bytes.map(|bytes| bytes.saturating_mul(most));
        if room.is_some_and(|room| text.len() > room) {
            return Ok(None);
        }
        self.encode(text, special).map(Some)
    }

    fn encode(&self, text: &str, special: bool) -> Result<Vec<TokenId>, Error> {
        let encoding = self
            .tokenizer
            .encode(text, special)
            .map_err(|error| Error::Prompt(one_line(&error.to_string())))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The text of one token, special ones included.
    pub fn token(&self, token: TokenId) -> String {
        let text = self.tokenizer.decode(&[token], false);
        text.unwrap_or_else(|_| "no text".into())
    }

    /// The text of an answer, without the stop token that ended it.
    pub fn answer(&self, output: &[TokenId], stop_tokens: &[TokenId]) -> Result<String, Error> {
        let output = match output.split_last() {
            Some((last, rest)) if stop_tokens.contains(last) => rest,
            _ => output,
        };
        self.decode(output)
    }

    /// The text of tokens, without the special ones.
    pub fn decode(&self, tokens: &[TokenId]) -> Result<String, Error> {
        let text = self.tokenizer.decode(tokens, true);
        text.map_err(|error| Error::Answer(one_line(&error.to_string())))
    }

    /// Whether the token is left out of every text.
    pub fn is_special(&self, token: TokenId) -> bool {
        self.unseen.contains(&token)
    }
}

/// The most bytes of a text that one token stands for. Known where every byte has a token and none is left out: of BPE over
/// bytes, without a normaliser, which may write text shorter, without blanks that a token takes with it, and without a
/// limit to the tokens.
fn token_bytes(tokenizer: &Tokenizer) -> Option<usize> {
    let ModelWrapper::BPE(bpe) = tokenizer.get_model() else {
        return None;
    };
    let is_empty = |text: &Option<String>| text.as_deref().is_none_or(str::is_empty);
    let splits = serde_json::to_value(tokenizer.get_pre_tokenizer()?).ok()?;
    let is_plain = tokenizer.get_normalizer().is_none()
        && tokenizer.get_truncation().is_none()
        && is_empty(&bpe.continuing_subword_prefix)
        && is_empty(&bpe.end_of_word_suffix)
        && has_all_bytes(&splits);
    let mut alphabet = ByteLevel::alphabet().into_iter();
    let has_token = |byte: char| bpe.token_to_id(&byte.to_string()).is_some();
    let added = tokenizer.get_added_tokens_decoder();
    let takes_blanks = added.values().any(|token| token.lstrip || token.rstrip);
    if !is_plain || takes_blanks || !alphabet.all(has_token) {
        return None;
    }
    // Each byte is written as one character.
    tokenizer.get_vocab(true).keys().map(String::len).max()
}

/// Whether this way to split a text, in JSON, makes characters of all its bytes and drops none.
fn has_all_bytes(splits: &serde_json::Value) -> bool {
    let parts = std::slice::from_ref(splits);
    let parts = splits["pretokenizers"]
        .as_array()
        .map_or(parts, Vec::as_slice);
    let is = |part: &serde_json::Value, kind: &str| part["type"] == kind;
    let keeps =
        |part| is(part, "ByteLevel") || (is(part, "Split") && part["behavior"] != "Removed");
    parts.iter().all(keeps) && parts.iter().any(|part| is(part, "ByteLevel"))
}

fn check(what: &str, folder: &Path, found: H256, listed: H256) -> Result<(), Error> {
    if found == listed {
        return Ok(());
    }
    let problem = format!("the hash of the {what} is {found:?}, the listing names {listed:?}");
    let next = "take the folder from the listing's URI or choose another --model";
    Err(Error::file(folder, problem, next))
}

/// Fill in a chat template as its authors expect: Jinja with Python's methods, the block options
/// of the Hugging Face library, and `raise_exception`.
fn render(template: &str, messages: &[Message], special: &SpecialTokens) -> Result<String, String> {
    let mut environment = Environment::new();
    let syntax = SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .build();
    environment.set_syntax(syntax.map_err(|error| error.to_string())?);
    environment.set_unknown_method_callback(pycompat::unknown_method_callback);
    environment.add_function("raise_exception", |message: String| -> Result<Value, _> {
        Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
    });
    let message = |Message { role, content }: &Message| {
        context! { role => role.as_str(), content => content.as_str() }
    };
    let messages: Vec<Value> = messages.iter().map(message).collect();
    let variables = context! {
        messages => messages,
        add_generation_prompt => true,
        bos_token => special.bos_token.as_deref().unwrap_or_default(),
        eos_token => special.eos_token.as_deref().unwrap_or_default(),
    };
    environment
        .render_str(template, variables)
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn special() -> SpecialTokens {
        SpecialTokens {
            bos_token: Some("<s>".into()),
            eos_token: Some("</s>".into()),
        }
    }

    fn rendered(template: &str) -> Result<String, String> {
        let messages = [
            Message::new("system", "Be brief."),
            Message::new("user", " Hello "),
        ];
        render(template, &messages, &special())
    }

    #[test]
    fn messages_special_tokens_and_the_generation_prompt_are_there() {
        let template = "{{ bos_token }}{% for message in messages %}[{{ message['role'] }}]\
                        {{ message.content }}{{ eos_token }}{% endfor %}\
                        {% if add_generation_prompt %}[assistant]{% endif %}";
        assert_eq!(
            rendered(template).unwrap(),
            "<s>[system]Be brief.</s>[user] Hello </s>[assistant]"
        );
    }

    #[test]
    fn blocks_on_lines_of_their_own_leave_no_blanks() {
        let template = "{% for message in messages %}\n  {% if true %}\n{{ message.role }}\n  \
                        {% endif %}\n{% endfor %}\n";
        assert_eq!(rendered(template).unwrap(), "system\nuser\n");
    }

    #[test]
    fn pythons_methods_work() {
        let template =
            "{{ messages[-1].content.strip() }}|{{ messages[0]['content'].split(' ')[0] }}\
                        {% set rest = messages[1:] %}|{{ rest | length }}";
        assert_eq!(rendered(template).unwrap(), "Hello|Be|1");
    }

    #[test]
    fn a_template_may_refuse() {
        let template = "{% if messages[0].role == 'system' %}{{ raise_exception('no system message') }}{% endif %}";
        assert!(rendered(template)
            .unwrap_err()
            .contains("no system message"));
        let alone = [Message::new("user", "x")];
        assert_eq!(render(template, &alone, &special()).unwrap(), "");
    }

    #[test]
    fn a_broken_template_is_an_error() {
        for template in ["{% for %}", "{{ missing.field }}", "{{ nothing() }}"] {
            assert!(rendered(template).is_err(), "{template}");
        }
    }

    /// The demo model's text with this in its tokenizer.
    fn with(change: impl FnOnce(&mut serde_json::Value)) -> Text {
        let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/demo/assay-demo");
        let folder = tempfile::tempdir().unwrap();
        for file in std::fs::read_dir(&demo).unwrap().map(Result::unwrap) {
            let is_text = file.metadata().unwrap().len() < 1 << 20;
            if is_text {
                std::fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
            }
        }
        let path = folder.path().join("tokenizer.json");
        let mut json = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        change(&mut json);
        std::fs::write(&path, json.to_string()).unwrap();
        Text::open(folder.path()).unwrap()
    }

    #[test]
    fn a_text_that_is_surely_too_long_is_not_tokenised() {
        let text = with(|_| {});
        let bytes = text.token_bytes.unwrap();
        // Its longest token, which is text like any other.
        let longest = "<|assistant|>";
        assert_eq!(bytes, longest.len());
        for most in [1, 2, 50] {
            let prompt = longest.repeat(most);
            assert_eq!(text.raw(&prompt).unwrap().len(), most, "as few as can be");
            let within = text.raw_within(&prompt, most).unwrap();
            assert_eq!(within, Some(text.raw(&prompt).unwrap()));
            assert_eq!(text.raw_within(&format!("{prompt}x"), most).unwrap(), None);
        }
        for prompt in [
            "e\u{301} ".repeat(99),
            " \n\t".repeat(99),
            "語🦀\0".repeat(99),
        ] {
            let tokens = text.raw(&prompt).unwrap();
            assert!(tokens.len() * bytes >= prompt.len(), "{prompt:?}");
        }
        let messages = [Message::new("user", "Hello ".repeat(100))];
        let tokens = text.chat(&messages).unwrap();
        let within = |most| text.chat_within(&messages, most).unwrap();
        assert_eq!(within(tokens.len()), Some(tokens.clone()));
        assert_eq!(within(10), None);
    }

    /// Where a token may stand for any length of text, every text is tokenised.
    #[test]
    fn a_tokenizer_that_may_leave_text_out_has_no_such_bound() {
        use serde_json::json;
        let split = |behavior: &str| json!({ "type": "Split", "pattern": { "String": " " }, "behavior": behavior, "invert": false });
        let bytes = json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true });
        let sequence = |parts: Vec<serde_json::Value>| {
            with(move |json| {
                json["pre_tokenizer"] = json!({ "type": "Sequence", "pretokenizers": parts });
            })
        };
        let kept = sequence(vec![split("Isolated"), bytes.clone()]);
        assert!(kept.token_bytes.is_some());
        let others = [
            sequence(vec![split("Removed"), bytes]),
            sequence(vec![split("Isolated")]),
            with(|json| json["normalizer"] = json!({ "type": "NFC" })),
            with(|json| json["added_tokens"][1]["lstrip"] = true.into()),
            with(|json| json["pre_tokenizer"] = json!({ "type": "Whitespace" })),
            with(|json| {
                json["truncation"] = json!({
                    "direction": "Right", "max_length": 9, "strategy": "LongestFirst", "stride": 0
                });
            }),
        ];
        for (number, text) in others.iter().enumerate() {
            assert_eq!(text.token_bytes, None, "{number}");
        }
    }

    #[test]
    fn files_of_another_model_are_refused_with_both_hashes() {
        let (found, listed) = (H256::repeat_byte(1), H256::repeat_byte(2));
        let error = check("tokenizer.json", Path::new("folder"), found, listed).unwrap_err();
        let message = error.to_string();
        assert!(
            message.contains(&format!("{found:?}")) && message.contains(&format!("{listed:?}"))
        );
        assert!(check("tokenizer.json", Path::new("folder"), found, found).is_ok());
    }
}
