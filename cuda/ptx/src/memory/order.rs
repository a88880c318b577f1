//! What blocks of one launch may know of each other.
//!
//! Each block of each launch has a stamp. A block may touch what another one wrote if the two met:
//! the other did an atomic operation behind a fence, and this one a later one at the same address.

use super::written;
use std::collections::HashMap;

pub(super) struct Order {
    /// The stamp that the next launch begins with.
    next: u32,
    /// The stamp of the launch's first block.
    pub first: u32,
    /// The stamp of the block that runs.
    pub own: u32,
    /// Stands for more than one block of this launch.
    pub several: u32,
    /// Whether blocks are told apart.
    pub races: bool,
    /// The block stored something since its last fence.
    pub dirty: bool,
    /// Blocks whose work is ordered before what the running block does, one bit for each.
    known: Vec<u64>,
    /// Addresses of atomics in this launch, with what whoever comes next knows.
    meetings: HashMap<u64, Vec<u64>>,
}

impl Order {
    pub fn new(first: u32) -> Self {
        Self {
            next: first,
            first,
            own: first,
            several: first,
            races: false,
            dirty: false,
            known: Vec::new(),
            meetings: HashMap::new(),
        }
    }

    /// False if there are not enough stamps left.
    pub fn begin(&mut self, blocks: u32, races: bool) -> bool {
        let blocks = if races { blocks } else { 1 };
        let Some(next) = blocks
            .checked_add(1)
            .and_then(|stamps| self.next.checked_add(stamps))
        else {
            return false;
        };
        self.first = self.next;
        self.own = self.first;
        self.several = next - 1;
        self.next = next;
        self.races = races;
        self.meetings.clear();
        true
    }

    pub fn begin_block(&mut self, block: u32) {
        if self.races {
            self.own = self.first + block;
        }
        self.known.clear();
        self.dirty = false;
    }

    /// Whether what has this stamp was done before the launch, by this block, or by one that it met.
    pub fn is_before(&self, stamp: u32) -> bool {
        if stamp < self.first || stamp == self.own {
            return true;
        }
        // What stands for several blocks is no block's, and so not known.
        bit(&self.known, stamp - self.first)
    }

    /// Whether bytes with these writers can be read without further questions.
    pub fn may_read(&self, writers: &[u32]) -> bool {
        let (own, first) = (self.own, self.first);
        every(writers, |writer| {
            (writer == own) | ((writer >= written::BEFORE) & (writer < first))
        })
    }

    /// The same for a write.
    pub fn may_write(&self, writers: &[u32], readers: &[u32]) -> bool {
        let (own, first) = (self.own, self.first);
        every(writers, |writer| {
            (writer == own) | ((writer != written::OUTSIDE) & (writer < first))
        }) & every(readers, |reader| (reader == own) | (reader < first))
    }

    /// The running block has read bytes with these readers.
    pub fn reads(&self, readers: &mut [u32]) {
        let (own, first, several) = (self.own, self.first, self.several);
        for reader in readers {
            *reader = if (*reader == own) | (*reader < first) {
                own
            } else {
                several
            };
        }
    }

    pub fn is_atomic(&self, address: u64) -> bool {
        self.meetings.contains_key(&address)
    }

    /// The running block does an atomic operation.
    pub fn meet(&mut self, address: u64, ordered: bool) {
        if !self.races {
            return;
        }
        let meeting = self.meetings.entry(address).or_default();
        join(&mut self.known, meeting);
        if ordered || !self.dirty {
            join(meeting, &self.known);
            set(meeting, self.own - self.first);
        }
    }
}

/// Whether it holds for every stamp. Nearly always it does, so that to ask for all at once is faster than to stop early.
#[inline(always)]
fn every(stamps: &[u32], holds: impl Fn(u32) -> bool) -> bool {
    #[inline(always)]
    fn all<const N: usize>(stamps: &[u32; N], holds: impl Fn(u32) -> bool) -> bool {
        stamps.iter().fold(true, |all, stamp| all & holds(*stamp))
    }
    match stamps.len() {
        16 => stamps
            .try_into()
            .is_ok_and(|stamps| all::<16>(stamps, holds)),
        4 => stamps
            .try_into()
            .is_ok_and(|stamps| all::<4>(stamps, holds)),
        _ => stamps.iter().all(|stamp| holds(*stamp)),
    }
}

fn bit(set: &[u64], index: u32) -> bool {
    set.get(index as usize / 64)
        .is_some_and(|word| word >> (index % 64) & 1 == 1)
}

fn set(set: &mut Vec<u64>, index: u32) {
    let word = index as usize / 64;
    if set.len() <= word {
        set.resize(word + 1, 0);
    }
    set[word] |= 1 << (index % 64);
}

fn join(into: &mut Vec<u64>, from: &[u64]) {
    if into.len() < from.len() {
        into.resize(from.len(), 0);
    }
    for (to, from) in into.iter_mut().zip(from) {
        *to |= from;
    }
}
