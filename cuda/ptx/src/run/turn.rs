//! A warp's turn: its instructions, one after another.

use super::{
    common::Common,
    setup::Setup,
    warp::{Next, Warp},
};
use crate::{
    fault::{Cause, Ended, Stop},
    instruction::Condition,
};

/// Why a warp's turn is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pause {
    Turn,
    /// It came to a barrier, and waits there or not.
    Arrived,
    Ended,
}

impl Warp {
    /// Runs so many instructions, or until a barrier or the end.
    pub(super) fn run(&mut self, common: &mut Common<'_>, turn: u64) -> Result<Pause, Ended> {
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
}
