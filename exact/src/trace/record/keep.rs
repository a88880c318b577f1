//! What is kept of leaves as they are written: their hashes, or their bytes.

// Leaves' places are below the number of slots, and pieces of a leaf within it.
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]

use crate::{
    cpu::Parts,
    number::Scale,
    trace::{Digest, LEAF_BYTES},
};
use assay_primitives::blake2_256;

/// Room for a leaf's bytes; a shorter leaf's are first.
pub(super) type Slot = [u8; LEAF_BYTES];

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
    pub fn write<T: Number>(&self, mut leaf: u64, width: usize, numbers: &[T]) {
        let per_leaf = LEAF_BYTES / T::BYTES;
        let leaves = numbers.len().div_ceil(width) * width.div_ceil(per_leaf);
        if !self.wants(leaf, leaves) {
            return;
        }
        // The first byte is that of leaves in a tree.
        let mut message = [0; 1 + LEAF_BYTES];
        for group in numbers.chunks(width) {
            for piece in group.chunks(per_leaf) {
                let end = 1 + piece.len() * T::BYTES;
                let slots = message[1..end].chunks_exact_mut(T::BYTES);
                for (number, slot) in piece.iter().zip(slots) {
                    number.write(slot);
                }
                self.put(leaf, &message[..end]);
                leaf += 1;
            }
        }
    }

    fn put(&self, leaf: u64, message: &[u8]) {
        if !self.wants(leaf, 1) {
            return;
        }
        let slot = (leaf - self.first) as usize;
        // SAFETY: each leaf is written once, by the thread that has its row.
        unsafe {
            match &self.slots {
                Slots::Hashes(hashes) => hashes.part(slot..slot + 1)[0] = blake2_256(message),
                Slots::Bytes(slots) => {
                    let bytes = &message[1..];
                    slots.part(slot..slot + 1)[0][..bytes.len()].copy_from_slice(bytes);
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
