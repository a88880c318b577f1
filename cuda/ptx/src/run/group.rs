//! The lanes of a warp that are at the same place.
//!
//! Lanes part at branches and meet again: of the groups of a warp the one runs that is deepest in
//! calls, and of those the one whose place in the code is the lowest, so that it catches up.

use crate::instruction::{Address, Value};

/// Where a function's registers and local memory begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Frame {
    pub values: u32,
    pub predicates: u32,
    pub local: u32,
    /// The function.
    pub function: u32,
}

/// What a return goes back to: the call that it comes from, in the caller's frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Caller {
    pub call: Address,
    pub frame: Frame,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Group {
    pub at: Address,
    pub lanes: u32,
    pub frame: Frame,
    pub callers: Vec<Caller>,
    /// It waits for lanes of other groups.
    pub blocked: bool,
}

impl Group {
    /// A part of the lanes, which goes on elsewhere.
    pub fn part(&mut self, lanes: u32, at: Address) -> Self {
        self.lanes &= !lanes;
        Self {
            at,
            lanes,
            frame: self.frame,
            callers: self.callers.clone(),
            blocked: false,
        }
    }

    fn is_with(&self, other: &Self) -> bool {
        self.at == other.at && self.frame == other.frame && self.callers == other.callers
    }
}

/// The groups of a warp.
#[derive(Debug)]
pub(super) struct Groups {
    pub current: Group,
    others: Vec<Group>,
    /// Another group must be looked at when the current one comes here.
    limit: Address,
}

impl Groups {
    pub fn new(current: Group) -> Self {
        Self {
            current,
            others: Vec::new(),
            limit: Address::MAX,
        }
    }

    /// Whether the current group has come to where another one is, or past it.
    pub fn meets(&self) -> bool {
        self.current.at >= self.limit
    }

    pub fn add(&mut self, group: Group) {
        self.others.push(group);
    }

    /// Joins groups that have met, and chooses the one that runs next; false if all are blocked.
    pub fn regroup(&mut self) -> bool {
        let current = core::mem::take(&mut self.current);
        if current.lanes != 0 {
            self.others.push(current);
        }
        let mut index = 0;
        while index < self.others.len() {
            let mut next = index + 1;
            while next < self.others.len() {
                if self.others[index].is_with(&self.others[next]) {
                    let met = self.others.swap_remove(next);
                    self.others[index].lanes |= met.lanes;
                    self.others[index].blocked = false;
                } else {
                    next += 1;
                }
            }
            index += 1;
        }
        let order = |group: &Group| {
            (
                group.blocked,
                core::cmp::Reverse(group.callers.len()),
                group.at,
            )
        };
        let best = (0..self.others.len()).min_by_key(|index| order(&self.others[*index]));
        let Some(best) = best else { return true };
        self.current = self.others.swap_remove(best);
        let depth = self.current.callers.len();
        let beside = self
            .others
            .iter()
            .filter(|other| other.callers.len() == depth);
        self.limit = beside.map(|other| other.at).min().unwrap_or(Address::MAX);
        !self.current.blocked
    }

    /// Lanes have ended: who waited for them looks again.
    pub fn unblock(&mut self) {
        self.others
            .iter_mut()
            .for_each(|other| other.blocked = false);
    }
}

/// A register of the frame.
impl Frame {
    pub fn value(&self, register: Value) -> usize {
        (self.values + register) as usize
    }

    pub fn predicate(&self, register: Value) -> usize {
        (self.predicates + register) as usize
    }
}
