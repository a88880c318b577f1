//! From text to tokens and back, with the files whose hashes are on the chain.

use std::path::{Path, PathBuf};

use assay_client::{
    folder::{self, SpecialTokens},
    H256,
};
use assay_primitives::{ModelParts, TokenId};
use minijinja::{context, syntax::SyntaxConfig, Environment, ErrorKind, Value};
use minijinja_contrib::pycompat;
use tokenizers::Tokenizer;

use crate::failure::Failure;

pub struct Text {
    folder: PathBuf,
    tokenizer: Tokenizer,
    tokenizer_hash: H256,
    template: String,
    special: SpecialTokens,
}

impl Text {
    /// Open the tokenizer and the template in `folder`.
    pub fn open(folder: &Path) -> Result<Self, Failure> {
        let bytes = folder::tokenizer(folder)?;
        let tokenizer_hash = folder::hash(&bytes);
        let tokenizer = Tokenizer::from_bytes(bytes).map_err(|error| {
            Failure::Usage(format!(
                "{}: tokenizer.json is not a tokenizer: {error}; ask the model's publisher",
                folder.display()
            ))
        })?;
        Ok(Self {
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
    pub fn check(&self, parts: &ModelParts) -> Result<(), Failure> {
        for (what, found, listed) in self.hashes(parts) {
            check(what, &self.folder, found, listed)?;
        }
        Ok(())
    }

    /// Tokens of a prompt in the model's chat format.
    pub fn chat(&self, system: Option<&str>, prompt: &str) -> Result<Vec<TokenId>, Failure> {
        if self.template.is_empty() {
            return self.raw(prompt);
        }
        let text = render(&self.template, system, prompt, &self.special).map_err(|error| {
            Failure::Usage(format!(
                "the chat template cannot be filled in: {error}; try --raw"
            ))
        })?;
        // The template has put in the special tokens itself.
        self.encode(&text, false)
    }

    /// Tokens of a text as it stands.
    pub fn raw(&self, text: &str) -> Result<Vec<TokenId>, Failure> {
        self.encode(text, true)
    }

    fn encode(&self, text: &str, special: bool) -> Result<Vec<TokenId>, Failure> {
        let encoding = self.tokenizer.encode(text, special).map_err(|error| {
            Failure::Usage(format!(
                "the prompt cannot be tokenised: {error}; write it differently"
            ))
        })?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The text of one token, special ones included.
    pub fn token(&self, token: TokenId) -> String {
        let text = self.tokenizer.decode(&[token], false);
        text.unwrap_or_else(|_| "no text".into())
    }

    /// The text of an answer, without the stop token that ended it.
    pub fn answer(&self, output: &[TokenId], stop_tokens: &[TokenId]) -> Result<String, Failure> {
        let output = match output.split_last() {
            Some((last, rest)) if stop_tokens.contains(last) => rest,
            _ => output,
        };
        self.tokenizer.decode(output, true).map_err(|error| {
            Failure::Request(format!(
                "the answer's tokens have no text: {error}; see --output json"
            ))
        })
    }
}

fn check(what: &str, folder: &Path, found: H256, listed: H256) -> Result<(), Failure> {
    if found == listed {
        return Ok(());
    }
    Err(Failure::Usage(format!(
        "{}: the hash of the {what} is {found:?}, the listing names {listed:?}; take the folder from \
         the listing's URI or choose another --model",
        folder.display()
    )))
}

/// Fill in a chat template as its authors expect: Jinja with Python's methods, the block options
/// of the Hugging Face library, and `raise_exception`.
fn render(
    template: &str,
    system: Option<&str>,
    prompt: &str,
    special: &SpecialTokens,
) -> Result<String, String> {
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
    let message = |role: &str, content: &str| context! { role => role, content => content };
    let mut messages: Vec<Value> = Vec::new();
    messages.extend(system.map(|system| message("system", system)));
    messages.push(message("user", prompt));
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
        render(template, Some("Be brief."), " Hello ", &special())
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
        assert_eq!(render(template, None, "x", &special()).unwrap(), "");
    }

    #[test]
    fn a_broken_template_is_an_error() {
        for template in ["{% for %}", "{{ missing.field }}", "{{ nothing() }}"] {
            assert!(rendered(template).is_err(), "{template}");
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
