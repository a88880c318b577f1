//! The sixteen barriers of a block.

use crate::{fault::Cause, lanes::WARP};

const BARRIERS: usize = 16;

#[derive(Clone, Copy, Default)]
struct Barrier {
    /// Warps that have come, and those of them that wait.
    arrived: u32,
    waiting: u32,
    /// When each came.
    times: [u32; WARP],
    /// Warps that must come; 0 while nobody has.
    expected: u32,
    /// Whether it is for the whole block.
    whole: bool,
    /// Predicates that were true, of those that came with one.
    count: u32,
    threads: u32,
}

/// What a reduction over a barrier gives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Reduced {
    pub count: u32,
    pub threads: u32,
}

/// A barrier that all have come to.
pub(super) struct Complete {
    pub arrived: u32,
    pub waiting: u32,
    pub times: [u32; WARP],
    pub result: Reduced,
}

/// One warp's arrival.
pub(super) struct Arrival {
    pub warp: usize,
    pub barrier: u64,
    /// Threads that must come; `None` for the whole block.
    pub threads: Option<u64>,
    pub waits: bool,
    pub time: u32,
    /// Lanes, and those whose predicate is true.
    pub lanes: u32,
    pub holds: u32,
}

pub(super) struct Barriers {
    of: [Barrier; BARRIERS],
    warps: u32,
}

impl Barriers {
    pub fn new(warps: u32) -> Self {
        Self {
            of: [Barrier::default(); BARRIERS],
            warps,
        }
    }

    pub fn arrive(&mut self, arrival: &Arrival) -> Result<(), Cause> {
        let number = arrival.barrier.min(u64::from(u32::MAX)) as u32;
        let barrier = self
            .of
            .get_mut(number as usize)
            .ok_or(Cause::NoBarrier { barrier: number })?;
        let expected = match arrival.threads {
            None => self.warps,
            Some(threads) => {
                let warps = threads / WARP as u64;
                if threads % WARP as u64 != 0 || warps == 0 || warps > u64::from(self.warps) {
                    return Err(Cause::BarrierThreads {
                        barrier: number,
                        threads: threads as u32,
                    });
                }
                warps as u32
            }
        };
        let own = 1 << arrival.warp;
        if (barrier.expected != 0 && barrier.expected != expected) || barrier.arrived & own != 0 {
            return Err(Cause::BarrierDisagreement { barrier: number });
        }
        barrier.expected = expected;
        barrier.whole = arrival.threads.is_none();
        barrier.arrived |= own;
        barrier.waiting |= if arrival.waits { own } else { 0 };
        barrier.times[arrival.warp] = arrival.time;
        barrier.count += arrival.holds.count_ones();
        barrier.threads += arrival.lanes.count_ones();
        Ok(())
    }

    /// A barrier that has all its warps, which is then as it was before.
    pub fn complete(&mut self) -> Option<Complete> {
        let full = |barrier: &&mut Barrier| {
            barrier.expected != 0 && barrier.arrived.count_ones() == barrier.expected
        };
        let barrier = core::mem::take(self.of.iter_mut().find(full)?);
        Some(Complete {
            arrived: barrier.arrived,
            waiting: barrier.waiting,
            times: barrier.times,
            result: Reduced {
                count: barrier.count,
                threads: barrier.threads,
            },
        })
    }

    /// Threads that have come, threads that must, and whether it is for the whole block.
    pub fn state(&self, barrier: u32) -> (u32, u32, bool) {
        let barrier = &self.of[barrier as usize % BARRIERS];
        let threads = |warps: u32| warps * WARP as u32;
        (
            threads(barrier.arrived.count_ones()),
            threads(barrier.expected),
            barrier.whole,
        )
    }
}
