//! The bytes of leaves that were asked for last.

// Windows are within the layout's leaves.
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]

use std::collections::VecDeque;

use super::{
    keep::{Keep, Slot},
    Trace, TraceError,
};
use crate::trace::LEAF_BYTES;

/// Windows that are held.
const HELD: usize = 8;

/// Pieces of a trace.
pub(super) struct Windows {
    /// Leaves of each.
    size: u64,
    /// The latest is last.
    held: VecDeque<Window>,
}

/// All leaves from number `number · size` to the next window.
struct Window {
    number: u64,
    leaves: Vec<Slot>,
}

impl Windows {
    pub fn new(size: u64) -> Self {
        Self {
            size,
            held: VecDeque::new(),
        }
    }

    #[cfg(test)]
    pub fn held(&self) -> usize {
        self.held.len()
    }
}

impl Trace<'_, '_> {
    /// A leaf of the trace, whose positions are computed again if it was not among the latest.
    pub(super) fn leaf(&mut self, index: u64) -> Result<&[u8], TraceError> {
        let leaf = self.layout().leaf(index).ok_or(TraceError::Place)?;
        let bytes = leaf.elements as usize * leaf.place.row.element().bytes();
        let (number, slot) = (index / self.windows.size, index % self.windows.size);
        let held = &mut self.windows.held;
        let known = held.iter().position(|window| window.number == number);
        let window = match known.and_then(|place| held.remove(place)) {
            Some(window) => window,
            None => self.window(number)?,
        };
        let held = &mut self.windows.held;
        if held.len() == HELD {
            held.pop_front();
        }
        held.push_back(window);
        Ok(&held[held.len() - 1].leaves[slot as usize][..bytes])
    }

    fn window(&self, number: u64) -> Result<Window, TraceError> {
        let first = number * self.windows.size;
        let end = self.layout().leaves().min(first + self.windows.size);
        let position = |leaf| {
            let leaf = self.layout().leaf(leaf).ok_or(TraceError::Place)?;
            Ok::<_, TraceError>(leaf.place.position)
        };
        let (from, to) = (position(first)?, position(end - 1)?);
        let mut leaves = vec![[0; LEAF_BYTES]; (end - first) as usize];
        let mut cache = self.cache.clone();
        cache.truncate(from as usize);
        let keep = Keep::bytes(first, &mut leaves);
        self.run.compute(&mut cache, from..to + 1, &keep)?;
        Ok(Window { number, leaves })
    }
}
