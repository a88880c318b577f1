//! A warp: its registers, its local memory, and how its lanes go through the code.

use super::{
    barrier::Reduced,
    block::{Common, Ended},
    copies::Copies,
    group::{Caller, Frame, Group, Groups},
    launch::{Setup, Start},
};
use crate::{
    fault::{Cause, Stop},
    instruction::{Address, Condition, Operation, Predicate, Reduction, Value, ALWAYS},
    lanes::{in_mask, Lanes, WARP},
    parse::operand::Special,
};

/// Calls inside each other, at most.
const DEPTH: usize = 256;

pub(super) struct Warp {
    pub index: usize,
    pub values: Vec<Lanes>,
    pub predicates: Vec<u32>,
    /// The carry of each lane.
    pub carry: u32,
    pub local: [Vec<u8>; WARP],
    pub copies: Copies,
    pub groups: Groups,
    /// Lanes that the block has, and those of them that have not ended.
    pub all: u32,
    pub live: u32,
    position: [u32; 3],
    /// The barrier that it waits at, and what wants its result.
    waiting: Option<(u32, Reduction)>,
}

/// Why a warp's turn is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pause {
    Turn,
    /// It came to a barrier, and waits there or not.
    Arrived,
    Ended,
}

/// How an instruction ends.
pub(super) enum Next {
    /// The one behind it comes.
    Forward,
    /// The place is set already.
    Jumped,
    /// Other lanes must come here first; `missing` have not.
    Blocked {
        missing: u32,
    },
    Arrived,
}

impl Warp {
    pub fn new(index: usize, common: &Common<'_>) -> Self {
        let setup = common.setup;
        let lanes = (setup.threads - (index * WARP) as u32).min(WARP as u32);
        let all = u32::MAX >> (WARP as u32 - lanes);
        let function = setup.kernel.frame as u32;
        let frame = Frame {
            function,
            ..Frame::default()
        };
        let at = setup.module.frames[setup.kernel.frame].entry;
        let group = Group {
            at,
            lanes: all,
            frame,
            ..Group::default()
        };
        let mut warp = Self {
            index,
            values: Vec::new(),
            predicates: Vec::new(),
            carry: 0,
            local: core::array::from_fn(|_| Vec::new()),
            copies: Copies::default(),
            groups: Groups::new(group),
            all,
            live: all,
            position: common.position,
            waiting: None,
        };
        warp.fill(setup, frame, all);
        warp
    }

    pub fn ended(&self) -> bool {
        self.live == 0
    }

    pub fn waits(&self) -> bool {
        self.waiting.is_some()
    }

    pub fn barrier(&self) -> Option<u32> {
        self.waiting.map(|(barrier, _)| barrier)
    }

    pub fn wait(&mut self, barrier: u32, reduction: Reduction) {
        self.waiting = Some((barrier, reduction));
    }

    /// The barrier that it waits at is complete.
    pub fn release(&mut self, reduced: Reduced) {
        let lanes = self.groups.current.lanes;
        match self.waiting.take() {
            Some((_, Reduction::Count(to))) => {
                self.write(to, lanes, &[reduced.count.into(); WARP]);
            }
            Some((_, Reduction::And(to))) => {
                self.write_predicate(to, lanes, holds(reduced.count == reduced.threads))
            }
            Some((_, Reduction::Or(to))) => {
                self.write_predicate(to, lanes, holds(reduced.count > 0))
            }
            Some((_, Reduction::None)) | None => {}
        }
    }

    /// Makes room for a frame, and fills its registers.
    fn fill(&mut self, setup: &Setup<'_>, frame: Frame, lanes: u32) {
        let function = &setup.module.frames[frame.function as usize];
        grow(&mut self.values, frame.values + function.values, [0; WARP]);
        grow(
            &mut self.predicates,
            frame.predicates + function.predicates,
            0,
        );
        for lane in in_mask(lanes) {
            grow(&mut self.local[lane], frame.local + function.local, 0);
        }
        self.predicates[frame.predicate(ALWAYS)] |= lanes;
        for &(register, start) in &setup.filled[frame.function as usize] {
            let values = match start {
                Start::Value(value) => [value; WARP],
                Start::Local(offset) => [u64::from(frame.local) + offset; WARP],
                Start::Special(special) => self.special(setup, special),
            };
            let register = &mut self.values[frame.value(register)];
            in_mask(lanes).for_each(|lane| register[lane] = values[lane]);
        }
    }

    fn special(&self, setup: &Setup<'_>, special: Special) -> Lanes {
        let first = (self.index * WARP) as u32;
        core::array::from_fn(|lane| {
            let lane = lane as u32;
            let below = (1u32 << lane) - 1;
            let value = match special {
                Special::Thread(axis) => setup.thread(first + lane)[axis],
                Special::Threads(axis) => setup.block[axis],
                Special::Block(axis) => self.position[axis],
                Special::Blocks(axis) => setup.grid[axis],
                Special::Lane => lane,
                Special::Warp => self.index as u32,
                Special::Warps => setup.threads.div_ceil(WARP as u32),
                Special::LanesEqual => 1 << lane,
                Special::LanesBelow => below,
                Special::LanesBelowOrEqual => below | 1 << lane,
                Special::LanesAboveOrEqual => !below,
                Special::LanesAbove => !below & !(1 << lane),
                Special::DynamicShared => setup.dynamic_shared,
                Special::TotalShared => setup.shared,
                Special::Zero => 0,
                Special::One => 1,
            };
            value.into()
        })
    }

    pub fn value(&self, register: Value) -> &Lanes {
        &self.values[self.groups.current.frame.value(register)]
    }

    pub fn write(&mut self, register: Value, lanes: u32, from: &Lanes) {
        let to = &mut self.values[self.groups.current.frame.value(register)];
        if lanes == u32::MAX {
            *to = *from;
        } else {
            in_mask(lanes).for_each(|lane| to[lane] = from[lane]);
        }
    }

    pub fn write_predicate(&mut self, register: Predicate, lanes: u32, from: u32) {
        let to = &mut self.predicates[self.groups.current.frame.predicate(register)];
        *to = *to & !lanes | from & lanes;
    }

    /// Lanes in which a condition holds.
    pub fn holds(&self, condition: Condition) -> u32 {
        let predicate = self.predicates[self.groups.current.frame.predicate(condition.predicate)];
        if condition.negated {
            !predicate
        } else {
            predicate
        }
    }

    /// Runs so many instructions, or until a barrier or the end.
    pub fn run(&mut self, common: &mut Common<'_>, turn: u64) -> Result<Pause, Ended> {
        let module = common.setup.module;
        let limit = common.setup.limit;
        if common.counts.total() > limit {
            return Err(self.ended_by(common.setup, 0, Cause::Endless(limit)));
        }
        for _ in 0..turn {
            if self.groups.meets() && !self.groups.regroup() {
                return Err(self.ended_by(common.setup, 0, Cause::MissingLanes { missing: 0 }));
            }
            let group = &self.groups.current;
            let instruction = &module.code[group.at as usize];
            common.counts.count(instruction.class);
            let guard = Condition {
                predicate: instruction.guard,
                negated: instruction.negated,
            };
            let lanes = group.lanes & self.holds(guard);
            let next = self.step(common, &instruction.operation, lanes);
            match next.map_err(|stop| self.stopped(common.setup, &stop))? {
                Next::Forward => self.groups.current.at += 1,
                Next::Jumped => {}
                Next::Blocked { missing } => {
                    self.groups.current.blocked = true;
                    if !self.groups.regroup() {
                        let lane = self.groups.current.lanes.trailing_zeros();
                        return Err(self.ended_by(
                            common.setup,
                            lane,
                            Cause::MissingLanes { missing },
                        ));
                    }
                }
                Next::Arrived => {
                    self.groups.current.at += 1;
                    return Ok(Pause::Arrived);
                }
            }
            if self.live == 0 {
                return Ok(Pause::Ended);
            }
        }
        Ok(Pause::Turn)
    }

    fn stopped(&self, setup: &Setup<'_>, stop: &Stop) -> Ended {
        self.ended_by(setup, stop.lane, stop.cause.clone())
    }

    pub fn ended_by(&self, setup: &Setup<'_>, lane: u32, cause: Cause) -> Ended {
        // A warp that waits is behind its barrier already.
        let at = self.groups.current.at - u32::from(self.waits());
        Ended {
            thread: (self.index * WARP) as u32 + lane.min(WARP as u32 - 1),
            line: setup
                .module
                .code
                .get(at as usize)
                .map_or(0, |instruction| instruction.line),
            cause,
        }
    }

    /// The lanes of a branch part from the others, if there are any.
    pub fn branch(&mut self, lanes: u32, target: Address) -> Next {
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
    pub fn branch_index(
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
    pub fn call(
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
    pub fn back(&mut self, setup: &Setup<'_>, lanes: u32) -> Next {
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
    pub fn end(&mut self, lanes: u32) -> Next {
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

/// All lanes, or none.
pub(super) fn holds(condition: bool) -> u32 {
    if condition {
        u32::MAX
    } else {
        0
    }
}

fn grow<T: Clone>(file: &mut Vec<T>, length: u32, value: T) {
    if file.len() < length as usize {
        file.resize(length as usize, value);
    }
}
