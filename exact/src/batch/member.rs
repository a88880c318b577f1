//! One request of a batch.

use super::prefixes::{Key, Prefixes};
use crate::{
    answer::{self, Finish, Request},
    cache::{Cache, SLAB},
    engine::{Logits, Sequence},
    sampling::Settings,
};

pub(super) struct Member {
    /// Prompt and answer so far. The cache holds the first of them; those behind it are pending.
    seen: Vec<u32>,
    prompt: usize,
    settings: Settings,
    seed: [u8; 32],
    stop_tokens: Vec<u32>,
    limit: u32,
    cache: Cache,
    /// Tokens that the answer may have.
    allowed: u32,
    /// The prefix of the complete slabs that the store has been shown, and how many these are.
    prefix: Key,
    shown: usize,
}

impl Member {
    pub fn new(request: &Request, cache: Cache) -> Self {
        Self {
            seen: request.prompt.to_vec(),
            prompt: request.prompt.len(),
            settings: request.settings,
            seed: request.seed,
            stop_tokens: request.stop_tokens.to_vec(),
            limit: request.limit,
            cache,
            allowed: 0,
            prefix: Key::EMPTY,
            shown: 0,
        }
    }

    pub fn request(&self) -> Request<'_> {
        Request {
            prompt: self.seen.get(..self.prompt).unwrap_or_default(),
            settings: self.settings,
            seed: self.seed,
            stop_tokens: &self.stop_tokens,
            limit: self.limit,
        }
    }

    /// Prompt and answer so far.
    pub fn seen(&self) -> &[u32] {
        &self.seen
    }

    fn answer(&self) -> &[u32] {
        self.seen.get(self.prompt..).unwrap_or_default()
    }

    /// Why the answer is whole, if it is.
    pub fn finish(&self) -> Option<Finish> {
        answer::finish(&self.request(), self.answer())
    }

    /// The answer's next token; why the answer is whole with it, if it is.
    pub fn push(&mut self, token: u32) -> Option<Finish> {
        self.seen.push(token);
        self.finish()
    }

    /// Slabs that it takes at worst: the last token of an answer is never read.
    pub fn reserve(&self) -> usize {
        let positions = self.prompt.saturating_add(self.limit as usize);
        positions.saturating_sub(1).div_ceil(SLAB)
    }

    pub fn allow(&mut self, tokens: u32) {
        self.allowed = self.allowed.max(tokens);
    }

    pub fn has_credit(&self) -> bool {
        self.answer().len() < self.allowed as usize
    }

    /// Tokens that are not in the cache yet.
    pub fn pending(&self) -> usize {
        self.seen.len().saturating_sub(self.cache.positions())
    }

    /// The next `tokens` pending ones. Logits are asked for if none is left behind them.
    pub fn sequence(&mut self, tokens: usize) -> Sequence<'_> {
        let first = self.cache.positions();
        let end = first.saturating_add(tokens);
        Sequence {
            logits: if end < self.seen.len() {
                Logits::None
            } else {
                Logits::Last
            },
            tokens: self.seen.get(first..end).unwrap_or_default(),
            cache: &mut self.cache,
        }
    }

    /// Puts slabs of the store behind a cache that ends at a slab's border, and leaves at least one
    /// token to be run. Gives the positions that were taken.
    pub fn take_prefix(&mut self, prefixes: &mut Prefixes) -> u64 {
        let before = self.cache.positions();
        while self.cache.positions() == self.shown.saturating_mul(SLAB) && self.pending() > SLAB {
            let Some(key) = self.next_key() else { break };
            let Some(slab) = prefixes.find(&key) else {
                break;
            };
            self.cache.push(slab);
            self.show(key);
        }
        self.cache.positions().saturating_sub(before) as u64
    }

    /// Gives the store the slabs that were completed since the last time.
    pub fn keep_prefix(&mut self, prefixes: &mut Prefixes) {
        while let (Some(slab), Some(key)) = (self.cache.complete(self.shown), self.next_key()) {
            prefixes.keep(key, self.prefix, self.shown, slab);
            self.show(key);
        }
    }

    /// The prefix with one slab more, if its tokens are known.
    fn next_key(&self) -> Option<Key> {
        let first = self.shown.saturating_mul(SLAB);
        let tokens = self.seen.get(first..first.saturating_add(SLAB))?;
        Some(self.prefix.with(tokens))
    }

    fn show(&mut self, key: Key) {
        self.prefix = key;
        self.shown = self.shown.saturating_add(1);
    }

    #[cfg(test)]
    pub fn cache(&self) -> &Cache {
        &self.cache
    }
}
