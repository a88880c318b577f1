//! Copies that were begun and not waited for.

use crate::lanes::{in_mask, WARP};

/// A copy of one lane.
pub(super) struct Copy {
    pub lane: u8,
    pub bytes: u8,
    pub to: u64,
    pub data: [u8; 16],
}

/// The copies of a warp that were not waited for.
#[derive(Default)]
pub(super) struct Pending {
    /// Each with the lane's group that it belongs to.
    copies: Vec<(u32, Copy)>,
    /// Groups that each lane has ended.
    groups: [u32; WARP],
}

impl Pending {
    /// A copy begins, in the group that its lane has not ended yet.
    pub fn begin(&mut self, copy: Copy) {
        let group = self.groups[copy.lane as usize];
        self.copies.push((group, copy));
    }

    /// The lanes end their groups.
    pub fn commit(&mut self, lanes: u32) {
        in_mask(lanes).for_each(|lane| self.groups[lane] += 1);
    }

    /// Hands over the copies of all groups of these lanes but the last `left`, or all their copies.
    pub fn end(&mut self, lanes: u32, left: Option<u32>, mut ended: impl FnMut(&Copy)) {
        let groups = &self.groups;
        self.copies.retain(|(group, copy)| {
            let lane = copy.lane as usize;
            let waited = lanes >> lane & 1 == 1
                && left.is_none_or(|left| group.saturating_add(left) < groups[lane]);
            if waited {
                ended(copy);
            }
            !waited
        });
    }
}
