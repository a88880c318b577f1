//! Text of tokens as they come.

use std::sync::Arc;

use assay_primitives::TokenId;

use crate::{ApiError, ModelText};

/// Stands in a text for bytes that are no character, or none yet.
const REPLACEMENT: char = '\u{fffd}';

/// So many tokens may wait for the rest of a character, of which none has more than four bytes, before bytes that will
/// never be one are shown as such.
const MOST_WAITING: usize = 8;

/// Tokens that may hold the beginning of a character whose rest has not come.
const BEGINNING: usize = 4;

/// Turns tokens into text, a part as soon as nothing that follows can change it. The parts together are the text of
/// the tokens together, which is not that of each token by itself: a character may need several tokens, and a space
/// may be shown only after another token.
pub struct Detokenizer {
    model: Arc<ModelText>,
    /// The last tokens: those without text so far, after some that give them their context.
    window: Vec<TokenId>,
    /// How many of the window's tokens are context.
    context: usize,
    /// The part of the window's text that has been returned.
    shown: String,
}

impl Detokenizer {
    pub fn new(model: Arc<ModelText>) -> Self {
        Self {
            model,
            window: Vec::new(),
            context: 0,
            shown: String::new(),
        }
    }

    /// The text that is certain with the next token.
    pub fn push(&mut self, token: TokenId) -> Result<String, ApiError> {
        if self.model.is_unseen(token) {
            return Ok(String::new());
        }
        self.window.push(token);
        let text = self.decode(&self.window)?;
        let waiting = self.window.len() - self.context;
        let is_whole = !text.ends_with(REPLACEMENT) && text.len() > self.shown.len();
        if !is_whole && waiting <= MOST_WAITING {
            return Ok(String::new());
        }
        let fresh = self.fresh(&text, settled(&text))?;
        let past = match is_whole {
            true => self.context,
            false => self.window.len() - BEGINNING,
        };
        self.window.drain(..past);
        self.context = self.window.len();
        let text = self.decode(&self.window)?;
        self.shown = match is_whole {
            true => text,
            false => settled(&text).into(),
        };
        Ok(fresh)
    }

    /// The rest of the text. No token follows.
    pub fn finish(&mut self) -> Result<String, ApiError> {
        let text = self.decode(&self.window)?;
        let rest = self.fresh(&text, &text)?;
        self.shown = text;
        Ok(rest)
    }

    /// What of `settled`, a part of the window's `text`, has not been returned.
    fn fresh(&self, text: &str, settled: &str) -> Result<String, ApiError> {
        if let Some(fresh) = settled.strip_prefix(&self.shown) {
            return Ok(fresh.into());
        }
        if text.starts_with(&self.shown) {
            return Ok(String::new());
        }
        // Some tokenizers show bytes otherwise when more of them follow; what was returned stays.
        self.decode(self.window.get(self.context..).unwrap_or_default())
    }

    fn decode(&self, tokens: &[TokenId]) -> Result<String, ApiError> {
        let text = self.model.text.decode(tokens);
        text.map_err(|error| ApiError::internal(error.to_string()))
    }
}

/// The part of `text` that nothing that follows can change.
fn settled(text: &str) -> &str {
    text.strip_suffix(REPLACEMENT).unwrap_or(text)
}
