//! A block: its shared memory, its barriers, and whose turn it is.

use super::{
    barrier::Barriers, common::Common, random::Random, setup::Setup, shared::Shared, turn::Pause,
    warp::Warp,
};
use crate::{
    counts::Counts,
    fault::{Cause, Ended},
    lanes::{in_mask, WARP},
    memory::Memory,
};

pub(super) struct Block<'a> {
    common: Common<'a>,
    warps: Vec<Warp>,
}

/// Instructions of a warp's turn where no seed says otherwise: most warps end or wait before.
const TURN: u64 = 10_000;
/// The longest turn where a seed does.
const RANDOM_TURN: u64 = 200;

impl<'a> Block<'a> {
    pub fn new(
        setup: &'a Setup<'a>,
        memory: &'a mut Memory,
        counts: &'a mut Counts,
        position: [u32; 3],
    ) -> Self {
        let warps = (setup.threads as usize).div_ceil(WARP);
        let common = Common {
            setup,
            memory,
            counts,
            shared: Shared::new(setup.shared as usize, warps, setup.races),
            barriers: Barriers::new(warps as u32),
            position,
        };
        let warps = (0..warps).map(|index| Warp::new(index, &common)).collect();
        Self { common, warps }
    }

    /// Runs the block to its end.
    pub fn run(&mut self, random: &mut Random) -> Result<(), Ended> {
        let mut turns: Vec<usize> = (0..self.warps.len()).collect();
        loop {
            random.shuffle(&mut turns);
            let mut ran = false;
            for &index in &turns {
                let warp = &mut self.warps[index];
                if warp.ended() || warp.waits() {
                    continue;
                }
                ran = true;
                let turn = match random.next() {
                    0 => TURN,
                    number => 1 + number % RANDOM_TURN,
                };
                if warp.run(&mut self.common, turn)? == Pause::Arrived {
                    self.release();
                }
            }
            if !ran {
                break;
            }
        }
        match self.warps.iter().find(|warp| warp.waits()) {
            Some(warp) => Err(self.deadlock(warp)),
            None => Ok(()),
        }
    }

    /// Lets warps go on whose barrier has all its threads.
    fn release(&mut self) {
        let Some(complete) = self.common.barriers.complete() else {
            return;
        };
        self.common.shared.block_barrier(&complete);
        for warp in in_mask(complete.waiting) {
            self.warps[warp].release(complete.result);
        }
    }

    fn deadlock(&self, warp: &Warp) -> Ended {
        let barrier = warp.barrier().unwrap_or_default();
        let (arrived, expected, whole) = self.common.barriers.state(barrier);
        let some_ended = self.warps.iter().any(Warp::ended);
        let cause = if whole && some_ended {
            Cause::EndedBeforeBarrier
        } else {
            Cause::Deadlock {
                barrier,
                arrived,
                expected,
            }
        };
        warp.ended_by(self.common.setup, 0, cause)
    }
}
