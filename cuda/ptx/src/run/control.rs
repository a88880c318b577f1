//! Branches, calls and ends.

use super::{
    group::{Caller, Frame, Group},
    setup::Setup,
    warp::{Next, Warp},
};
use crate::{
    fault::{Cause, Stop},
    instruction::{Address, Operation, Value},
    lanes::in_mask,
};

/// Calls inside each other, at most.
const DEPTH: usize = 256;

impl Warp {
    /// The lanes of a branch part from the others, if there are any.
    pub(super) fn branch(&mut self, lanes: u32, target: Address) -> Next {
        let current = &mut self.groups.current;
        if lanes == current.lanes {
            current.at = target;
            return Next::Jumped;
        }
        if lanes == 0 {
            return Next::Forward;
        }
        let away = current.part(lanes, target);
        current.at += 1;
        self.regroup_with(away);
        Next::Jumped
    }

    /// Each lane goes to the target that its index says.
    pub(super) fn branch_index(
        &mut self,
        lanes: u32,
        index: Value,
        targets: &[Address],
    ) -> Result<Next, Stop> {
        let indices = *self.value(index);
        let current = &mut self.groups.current;
        let mut left = lanes;
        let mut parts = Vec::new();
        while left != 0 {
            let lane = left.trailing_zeros();
            let index = indices[lane as usize];
            let unknown = Cause::BranchIndex {
                index,
                targets: targets.len(),
            };
            let target = *targets.get(index as usize).ok_or(unknown.at(lane))?;
            let same = in_mask(left)
                .filter(|lane| indices[*lane] == index)
                .fold(0, |mask, lane| mask | 1 << lane);
            parts.push(current.part(same, target));
            left &= !same;
        }
        current.at += 1;
        parts.into_iter().for_each(|part| self.groups.add(part));
        self.groups.regroup();
        Ok(Next::Jumped)
    }

    fn regroup_with(&mut self, away: Group) {
        self.groups.add(away);
        // One that just came is not blocked, so one can run.
        self.groups.regroup();
    }

    /// Lanes go into a function.
    pub(super) fn call(
        &mut self,
        setup: &Setup<'_>,
        lanes: u32,
        function: u32,
        arguments: &[(u32, u32, u32)],
    ) -> Result<Next, Stop> {
        if lanes == 0 {
            return Ok(Next::Forward);
        }
        let current = &mut self.groups.current;
        if current.callers.len() >= DEPTH {
            return Err(Cause::Calls.at(lanes.trailing_zeros()));
        }
        let caller = Caller {
            call: current.at,
            frame: current.frame,
        };
        let own = &setup.module.frames[current.frame.function as usize];
        let frame = Frame {
            values: current.frame.values + own.values,
            predicates: current.frame.predicates + own.predicates,
            local: current.frame.local + own.local,
            function,
        };
        let mut inside = current.part(lanes, setup.module.frames[function as usize].entry);
        inside.callers.push(caller);
        inside.frame = frame;
        current.at += 1;
        self.fill(setup, frame, lanes);
        self.pass(lanes, arguments, caller.frame.local, frame.local);
        self.regroup_with(inside);
        Ok(Next::Jumped)
    }

    /// Lanes leave a function, or end.
    pub(super) fn back(&mut self, setup: &Setup<'_>, lanes: u32) -> Next {
        if lanes == 0 {
            return Next::Forward;
        }
        let current = &mut self.groups.current;
        let Some(&caller) = current.callers.last() else {
            return self.end(lanes);
        };
        let inside = current.frame;
        let mut outside = current.part(lanes, caller.call + 1);
        outside.callers.pop();
        outside.frame = caller.frame;
        current.at += 1;
        if let Operation::Call { results, .. } = &setup.module.code[caller.call as usize].operation
        {
            let back: Vec<_> = results
                .iter()
                .map(|&(own, formal, bytes)| (formal, own, bytes))
                .collect();
            self.pass(lanes, &back, inside.local, caller.frame.local);
        }
        self.regroup_with(outside);
        Next::Jumped
    }

    /// Copies bytes of local memory from one frame to another.
    fn pass(&mut self, lanes: u32, what: &[(u32, u32, u32)], from: u32, to: u32) {
        for lane in in_mask(lanes) {
            for &(own, other, bytes) in what {
                let start = (from + own) as usize;
                self.local[lane].copy_within(start..start + bytes as usize, (to + other) as usize);
            }
        }
    }

    /// Lanes end.
    pub(super) fn end(&mut self, lanes: u32) -> Next {
        if lanes == 0 {
            return Next::Forward;
        }
        self.live &= !lanes;
        let current = &mut self.groups.current;
        current.lanes &= !lanes;
        current.at += 1;
        self.groups.unblock();
        self.groups.regroup();
        Next::Jumped
    }
}
