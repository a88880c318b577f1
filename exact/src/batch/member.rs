//! One request of a batch.

use super::{
    prefixes::{Key, Prefixes},
    Event,
};
use crate::{
    answer::{self, Finish, Request, ANSWER_PIECE},
    cache::{Cache, SLAB},
    engine::{Choice, Logits, Sequence},
    sampling::Settings,
};

pub(super) struct Member {
    /// Prompt and answer so far; of a score, all that has to be read. The cache holds the first of them; those behind
    /// it are pending.
    seen: Vec<u32>,
    prompt: usize,
    settings: Settings,
    seed: [u8; 32],
    stop_tokens: Vec<u32>,
    limit: u32,
    /// The answer that is scored, up to a token that the model does not have: that one is wrong anyway.
    scored: Option<Vec<u32>>,
    /// Whether its tokens come with their logits.
    shows_logits: bool,
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
            scored: None,
            shows_logits: false,
            cache,
            allowed: 0,
            prefix: Key::EMPTY,
            shown: 0,
        }
    }

    /// One that scores `answer`.
    pub fn score(request: &Request, answer: &[u32], vocabulary: u32, cache: Cache) -> Self {
        let known = answer.iter().take_while(|token| **token < vocabulary);
        let known: Vec<u32> = known.copied().collect();
        let mut member = Self::new(request, cache);
        let read = known.split_last().map(|(_, read)| read);
        member.seen.extend(read.unwrap_or_default());
        member.scored = Some(known);
        member
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
        match self.scored {
            None => answer::finish(&self.request(), self.answer()),
            Some(_) => None,
        }
    }

    /// The model's token behind the first `seen`, with the logits that it was chosen by; what follows of it.
    pub fn push(&mut self, token: u32, seen: usize, logits: Vec<i32>) -> Vec<Event> {
        let Some(scored) = &self.scored else {
            self.seen.push(token);
            let logits = match self.shows_logits {
                true => logits,
                false => Vec::new(),
            };
            let end = self.finish().map(Event::End);
            return [Some(Event::Token { token, logits }), end]
                .into_iter()
                .flatten()
                .collect();
        };
        let place = seen.saturating_sub(self.prompt);
        let right = match scored.get(place) == Some(&token) {
            true => place.saturating_add(1),
            false => place,
        };
        let is_over = right == place || right == scored.len();
        is_over
            .then_some(Event::Scored(right))
            .into_iter()
            .collect()
    }

    /// Slabs that it takes at worst: the last token of an answer is never read.
    pub fn reserve(&self) -> usize {
        let positions = self.prompt.saturating_add(self.limit as usize);
        positions.saturating_sub(1).div_ceil(SLAB)
    }

    pub fn show_logits(&mut self) {
        self.shows_logits = true;
    }

    pub fn allow(&mut self, tokens: u32) {
        self.allowed = self.allowed.max(tokens);
    }

    /// A score has all of it or none.
    pub fn has_credit(&self) -> bool {
        match self.scored {
            None => self.answer().len() < self.allowed as usize,
            Some(_) => self.allowed > 0,
        }
    }

    /// Tokens that are not in the cache yet.
    pub fn pending(&self) -> usize {
        self.seen.len().saturating_sub(self.cache.positions())
    }

    /// The first token whose logits choose.
    fn first_choice(&self) -> usize {
        let read = match self.scored {
            None => self.seen.len(),
            Some(_) => self.prompt,
        };
        read.saturating_sub(1)
    }

    /// How many pending tokens may be run together, of at most `most`: a score's logits are all held.
    pub fn piece(&self, most: usize) -> usize {
        let (read, first) = (self.cache.positions(), self.first_choice());
        let pending = self.pending().min(most);
        match self.scored {
            None => pending,
            Some(_) if read < first => pending.min(first.saturating_sub(read)),
            Some(_) => pending.min(ANSWER_PIECE),
        }
    }

    /// Tokens in the cache.
    pub fn read(&self) -> usize {
        self.cache.positions()
    }

    /// The next `tokens` pending ones, of one [piece](Self::piece). Logits are asked for where they choose,
    /// or what they choose where nobody wants to see them.
    pub fn sequence(&mut self, tokens: usize) -> (Sequence<'_>, Option<Choice<'_>>) {
        let (first, choice) = (self.cache.positions(), self.first_choice());
        let end = first.saturating_add(tokens);
        let sequence = Sequence {
            logits: match self.scored {
                _ if end <= choice => Logits::None,
                None => Logits::Last,
                Some(_) => Logits::All,
            },
            tokens: self.seen.get(first..end).unwrap_or_default(),
            cache: &mut self.cache,
        };
        let choice = Choice {
            seen: &self.seen,
            settings: self.settings,
            seed: self.seed,
        };
        (sequence, (!self.shows_logits).then_some(choice))
    }

    /// Puts slabs of the store behind a cache that ends at a slab's border, and leaves all tokens to be
    /// run whose logits choose. Gives the positions that were taken.
    pub fn take_prefix(&mut self, prefixes: &mut Prefixes) -> u64 {
        let (before, first) = (self.cache.positions(), self.first_choice());
        while self.cache.positions() == self.shown.saturating_mul(SLAB)
            && self.cache.positions().saturating_add(SLAB) <= first
        {
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
