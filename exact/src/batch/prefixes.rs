//! Slabs of keys and values that were computed before, by the tokens that they stand for.

use std::{cmp::Reverse, collections::HashMap, sync::Arc};

use crate::{cache::Slab, folder::root::blake2_256};

/// Names all tokens from the beginning to the end of a slab: keys and values depend on every one of
/// them. A chain of hashes, so that a longer prefix needs only its last slab's tokens.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Key([u8; 32]);

impl Key {
    /// The prefix of no tokens.
    pub const EMPTY: Self = Self([0; 32]);

    /// This prefix and the tokens of one more slab.
    pub fn with(&self, tokens: &[u32]) -> Self {
        let tokens = tokens.iter().flat_map(|token| token.to_le_bytes());
        let message: Vec<u8> = self.0.into_iter().chain(tokens).collect();
        Self(blake2_256(&message).0)
    }
}

/// The store. A slab that a cache holds as well costs nothing; the others are *idle*, and those that
/// were not asked for the longest are given up first.
#[derive(Default)]
pub(super) struct Prefixes {
    slabs: HashMap<Key, Kept>,
    /// Counts what was asked.
    clock: u64,
}

struct Kept {
    slab: Arc<Slab>,
    parent: Key,
    /// Slabs before it.
    depth: usize,
    used: u64,
}

impl Kept {
    fn is_idle(&self) -> bool {
        Arc::strong_count(&self.slab) == 1
    }
}

impl Prefixes {
    /// The last slab of a prefix.
    pub fn find(&mut self, key: &Key) -> Option<Arc<Slab>> {
        let used = self.tick();
        let kept = self.slabs.get_mut(key)?;
        kept.used = used;
        Some(kept.slab.clone())
    }

    /// Keeps the last slab of the prefix `key`, which is that of `parent` and `depth` slabs behind the
    /// beginning. If it is there already, that one stays.
    pub fn keep(&mut self, key: Key, parent: Key, depth: usize, slab: &Arc<Slab>) {
        let used = self.tick();
        let kept = self.slabs.entry(key).or_insert_with(|| Kept {
            slab: slab.clone(),
            parent,
            depth,
            used,
        });
        kept.used = used;
    }

    /// How many slabs nobody else holds.
    pub fn idle(&self) -> usize {
        self.slabs.values().filter(|kept| kept.is_idle()).count()
    }

    /// Gives up slabs until at most `idle` are idle. None goes before those behind it, which nobody could
    /// find without it.
    pub fn shrink(&mut self, idle: usize) {
        let kept = self.slabs.iter().filter(|(_, kept)| kept.is_idle());
        let mut order: Vec<_> = kept.map(|(key, kept)| (kept.depth, *key)).collect();
        let surplus = order.len().saturating_sub(idle);
        if surplus == 0 {
            return;
        }
        order.sort_unstable_by_key(|(depth, _)| Reverse(*depth));
        // Whoever asked for a slab has asked for those before it.
        for (_, key) in &order {
            let Some(kept) = self.slabs.get(key) else {
                continue;
            };
            let (parent, used) = (kept.parent, kept.used);
            if let Some(parent) = self.slabs.get_mut(&parent) {
                parent.used = parent.used.max(used);
            }
        }
        // Stable, so that of one age the deepest comes first.
        order.sort_by_key(|(_, key)| self.slabs.get(key).map(|kept| kept.used));
        for (_, key) in order.iter().take(surplus) {
            self.slabs.remove(key);
        }
    }

    fn tick(&mut self) -> u64 {
        self.clock = self.clock.saturating_add(1);
        self.clock
    }

    #[cfg(test)]
    pub fn slabs(&self) -> impl Iterator<Item = &Arc<Slab>> {
        self.slabs.values().map(|kept| &kept.slab)
    }
}
