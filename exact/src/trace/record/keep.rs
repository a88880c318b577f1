//! What is kept of leaves as they are written: their hashes, or their bytes.

// Leaves' places are below the number of slots, and pieces of a leaf within it.
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]

use blake2b_simd::{
    many::{hash_many, HashManyJob},
    Params,
};

use crate::{
    cpu::Parts,
    number::Scale,
    trace::{Digest, LEAF_BYTES},
};

/// Room for a leaf's bytes; a shorter leaf's are first.
pub(super) type Slot = [u8; LEAF_BYTES];

/// Leaves that are hashed at once: as many as the widest vectors take.
const LANES: usize = blake2b_simd::many::MAX_DEGREE;

/// Leaves as a tree hashes them, behind a byte that is that of leaves, with their lengths.
struct Batch {
    messages: [[u8; 1 + LEAF_BYTES]; LANES],
    lengths: [usize; LANES],
    count: usize,
}

impl Batch {
    fn messages(&self) -> impl Iterator<Item = &[u8]> {
        let messages = self.messages.iter().zip(self.lengths).take(self.count);
        messages.map(|(message, length)| &message[..length])
    }

    /// BLAKE2b-256 of each.
    fn hash(&self, hashes: &mut [Digest]) {
        let mut params = Params::new();
        params.hash_length(size_of::<Digest>());
        let mut jobs = [const { None }; LANES];
        for (job, message) in jobs.iter_mut().zip(self.messages()) {
            *job = Some(HashManyJob::new(&params, message));
        }
        hash_many(jobs.iter_mut().flatten());
        for (hash, job) in hashes.iter_mut().zip(jobs.iter().flatten()) {
            hash.copy_from_slice(job.to_hash().as_bytes());
        }
    }
}

/// Consecutive leaves, from number `first` on; what is written of others is dropped.
pub(super) struct Keep<'a> {
    first: u64,
    count: u64,
    slots: Slots<'a>,
}

enum Slots<'a> {
    Hashes(Parts<'a, Digest>),
    Bytes(Parts<'a, Slot>),
}

impl<'a> Keep<'a> {
    pub fn hashes(first: u64, hashes: &'a mut [Digest]) -> Self {
        Self {
            first,
            count: hashes.len() as u64,
            slots: Slots::Hashes(Parts::new(hashes)),
        }
    }

    pub fn bytes(first: u64, slots: &'a mut [Slot]) -> Self {
        Self {
            first,
            count: slots.len() as u64,
            slots: Slots::Bytes(Parts::new(slots)),
        }
    }

    /// Whether it keeps any of some leaves.
    fn wants(&self, leaf: u64, leaves: usize) -> bool {
        leaf < self.first + self.count && leaf + leaves as u64 > self.first
    }

    /// A row's numbers, or those of whole groups of `width` of them, from leaf number `leaf` on. No two
    /// calls write the same leaf.
    pub fn write<T: Number>(&self, leaf: u64, width: usize, numbers: &[T]) {
        let per_leaf = LEAF_BYTES / T::BYTES;
        let leaves = numbers.len().div_ceil(width) * width.div_ceil(per_leaf);
        if !self.wants(leaf, leaves) {
            return;
        }
        let mut batch = Batch {
            messages: [[0; 1 + LEAF_BYTES]; LANES],
            lengths: [0; LANES],
            count: 0,
        };
        let groups = numbers.chunks(width);
        let pieces = groups.flat_map(|group| group.chunks(per_leaf));
        let wanted = (leaf..)
            .zip(pieces)
            .filter(|(leaf, _)| self.wants(*leaf, 1));
        let mut next = leaf;
        for (leaf, piece) in wanted {
            let message = &mut batch.messages[batch.count];
            let end = 1 + piece.len() * T::BYTES;
            let slots = message[1..end].chunks_exact_mut(T::BYTES);
            for (number, slot) in piece.iter().zip(slots) {
                number.write(slot);
            }
            batch.lengths[batch.count] = end;
            batch.count += 1;
            next = leaf + 1;
            if batch.count == LANES {
                self.put(next, &batch);
                batch.count = 0;
            }
        }
        self.put(next, &batch);
    }

    /// Leaves that are kept, the last of them before number `end`.
    fn put(&self, end: u64, batch: &Batch) {
        if batch.count == 0 {
            return;
        }
        let end = (end - self.first) as usize;
        let places = end - batch.count..end;
        // SAFETY: each leaf is written once, by the thread that has its row.
        unsafe {
            match &self.slots {
                Slots::Hashes(hashes) => batch.hash(hashes.part(places)),
                Slots::Bytes(slots) => {
                    for (slot, message) in slots.part(places).iter_mut().zip(batch.messages()) {
                        let bytes = &message[1..];
                        slot[..bytes.len()].copy_from_slice(bytes);
                    }
                }
            }
        }
    }
}

/// A number as a leaf holds it.
pub(super) trait Number: Copy {
    const BYTES: usize;

    /// Into as many bytes.
    fn write(self, slot: &mut [u8]);
}

macro_rules! numbers {
    ($($type:ty),*) => {$(
        impl Number for $type {
            const BYTES: usize = size_of::<Self>();

            #[inline(always)]
            fn write(self, slot: &mut [u8]) {
                slot.copy_from_slice(&self.to_le_bytes());
            }
        }
    )*};
}

numbers!(i8, u8, i16, i32, u32, i64);

impl Number for Scale {
    const BYTES: usize = 4;

    fn write(self, slot: &mut [u8]) {
        // A trace's exponents are between -200 and 200.
        slot[..2].copy_from_slice(&self.mantissa.to_le_bytes());
        slot[2..].copy_from_slice(&(self.exponent as i16).to_le_bytes());
    }
}
