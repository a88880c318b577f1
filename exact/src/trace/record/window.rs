//! The bytes of leaves that were asked for last.

// Windows are within the layout's leaves.
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]

use std::collections::VecDeque;

use super::{
    keep::{Keep, Slot},
    Trace, TraceError,
};
use crate::trace::LEAF_BYTES;

/// Leaves of a window: 4 MiB.
const WINDOW: u64 = 1 << 14;
/// Windows that are held.
const WINDOWS: usize = 8;

/// The latest is last.
#[derive(Default)]
pub(super) struct Windows(VecDeque<Window>);

/// All leaves from number `number · WINDOW` to the next window.
struct Window {
    number: u64,
    leaves: Vec<Slot>,
}

impl Trace<'_, '_> {
    /// A leaf of the trace, whose positions are computed again if it was not among the latest.
    pub(super) fn leaf(&mut self, index: u64) -> Result<&[u8], TraceError> {
        let leaf = self.layout().leaf(index).ok_or(TraceError::Place)?;
        let bytes = leaf.elements as usize * leaf.place.row.element().bytes();
        let windows = &self.windows.0;
        let number = index / WINDOW;
        let known = windows.iter().position(|window| window.number == number);
        let window = match known.and_then(|place| self.windows.0.remove(place)) {
            Some(window) => window,
            None => self.window(number)?,
        };
        let windows = &mut self.windows.0;
        if windows.len() == WINDOWS {
            windows.pop_front();
        }
        windows.push_back(window);
        let slot = (index % WINDOW) as usize;
        Ok(&windows[windows.len() - 1].leaves[slot][..bytes])
    }

    fn window(&self, number: u64) -> Result<Window, TraceError> {
        let first = number * WINDOW;
        let end = self.layout().leaves().min(first + WINDOW);
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
