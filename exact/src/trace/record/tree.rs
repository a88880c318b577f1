//! A tree whose lowest levels may be left out.

// Counts of nodes are below those of leaves, which are far below 2^63.
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]

use crate::{
    cpu::{Cpu, Parts},
    trace::opening::{fold, Digest},
};
use assay_primitives::blake2_256;

/// Nodes that one thread takes at a time.
const SHARE: usize = 16;

/// The nodes of a level and of those above it.
pub(super) struct Kept {
    lowest: u32,
    levels: Vec<Vec<Digest>>,
}

impl Kept {
    /// From all nodes of level `lowest`, of which there is at least one.
    pub fn new(lowest: u32, nodes: Vec<Digest>) -> Self {
        let mut levels = vec![nodes];
        while let Some(level) = levels.last().filter(|level| level.len() > 1) {
            levels.push(level.chunks(2).map(folded).collect());
        }
        Self { lowest, levels }
    }

    pub fn lowest(&self) -> u32 {
        self.lowest
    }

    pub fn root(&self) -> Digest {
        self.levels[self.levels.len() - 1][0]
    }

    /// Node number `index` of a level that is kept; none if the tree has none there.
    pub fn node(&self, level: u32, index: u64) -> Option<Digest> {
        let level = level.checked_sub(self.lowest)?;
        let level = self.levels.get(level as usize)?;
        level.get(usize::try_from(index).ok()?).copied()
    }
}

/// The node above some nodes of one level, at least one.
pub(super) fn folded(nodes: &[Digest]) -> Digest {
    fold(nodes, blake2_256).unwrap_or_default()
}

/// The nodes above, on all threads, each over the next `width` of `below`.
pub(super) fn fold_each(cpu: &Cpu, below: &[Digest], width: usize, above: &mut [Digest]) {
    each(cpu, above, |index| {
        let end = below.len().min((index + 1) * width);
        folded(&below[index * width..end])
    });
}

/// Fills a list on all threads.
pub(super) fn each(cpu: &Cpu, list: &mut [Digest], make: impl Fn(usize) -> Digest + Sync) {
    let count = list.len();
    let list = Parts::new(list);
    let unit = |_: &mut (), unit: usize| {
        let nodes = unit * SHARE..count.min((unit + 1) * SHARE);
        // SAFETY: each unit has its own nodes.
        let out = unsafe { list.part(nodes.clone()) };
        for (slot, index) in out.iter_mut().zip(nodes) {
            *slot = make(index);
        }
        Ok::<_, ()>(())
    };
    let _ = cpu.each(count.div_ceil(SHARE), || (), unit);
}
