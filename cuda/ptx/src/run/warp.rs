//! A warp: its registers, its local memory, where its lanes are, and what it waits for.

use super::{
    barrier::Reduced,
    common::Common,
    group::{Frame, Group, Groups},
    pending::Pending,
    setup::{Setup, Start},
};
use crate::{
    fault::{Cause, Ended},
    filled::Special,
    instruction::{Condition, Predicate, Reduction, Value, ALWAYS},
    lanes::{in_mask, Lanes, WARP},
};

pub(super) struct Warp {
    pub index: usize,
    pub values: Vec<Lanes>,
    pub predicates: Vec<u32>,
    /// The carry of each lane.
    pub carry: u32,
    pub local: [Vec<u8>; WARP],
    pub copies: Pending,
    pub groups: Groups,
    /// Lanes that the block has, and those of them that have not ended.
    pub all: u32,
    pub live: u32,
    position: [u32; 3],
    /// The barrier that it waits at, and what wants its result.
    waiting: Option<(u32, Reduction)>,
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
            copies: Pending::default(),
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
    pub fn fill(&mut self, setup: &Setup<'_>, frame: Frame, lanes: u32) {
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
                Start::Local(offset) => [u64::from(frame.local).wrapping_add(offset); WARP],
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

    /// What the block ends by, if this lane is to blame.
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
