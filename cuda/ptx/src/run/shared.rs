//! The shared memory of a block, and who may touch which byte of it.
//!
//! Time is counted in barriers. Each byte has the thread that wrote it last and the threads that
//! read it since, with times; a thread may touch what a barrier has ordered before it.

use super::barrier::Complete;
use crate::{
    fault::{Cause, Did},
    lanes::{in_mask, WARP},
};
use core::ops::Range;

/// A thread of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Thread {
    pub warp: u8,
    pub lane: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Never,
    Plain,
    Atomic,
    /// A copy is on its way here.
    InFlight,
}

/// What is known of one byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shadow {
    state: State,
    writer: Thread,
    written: u32,
    read: u32,
    /// Warps that read it since it was written.
    readers: u32,
    /// The lane that read it, or `SEVERAL`.
    reader: u8,
}

/// Stands for more than one lane.
const SEVERAL: u8 = WARP as u8;

const UNTOUCHED: Shadow = Shadow {
    state: State::Never,
    writer: Thread { warp: 0, lane: 0 },
    written: 0,
    read: 0,
    readers: 0,
    reader: 0,
};

/// What a warp knows of the others.
#[derive(Clone)]
struct Knowledge {
    /// Up to when what another warp did is ordered before what this one does.
    warps: [u32; WARP],
    /// The same among its own lanes, by a barrier of all of them.
    lanes: u32,
    /// By barriers of some of them, where there were any.
    some: Option<Box<[[u32; WARP]; WARP]>>,
}

pub(super) struct Shared {
    data: Vec<u8>,
    shadow: Vec<Shadow>,
    time: u32,
    warps: Vec<Knowledge>,
    races: bool,
}

impl Shared {
    pub fn new(bytes: usize, warps: usize, races: bool) -> Self {
        let knowledge = Knowledge {
            warps: [0; WARP],
            lanes: 0,
            some: None,
        };
        Self {
            data: vec![0; bytes],
            shadow: vec![UNTOUCHED; bytes],
            time: 1,
            warps: vec![knowledge; warps],
            races,
        }
    }

    /// The time, after which another one begins.
    pub fn tick(&mut self) -> u32 {
        self.time += 1;
        self.time - 1
    }

    /// What the warps that came to a barrier did before is ordered before what those do that waited at it.
    pub fn block_barrier(&mut self, complete: &Complete) {
        let mut joined = [0; WARP];
        for warp in in_mask(complete.arrived) {
            for (joined, known) in joined.iter_mut().zip(&self.warps[warp].warps) {
                *joined = (*joined).max(*known);
            }
        }
        for warp in in_mask(complete.arrived) {
            joined[warp] = joined[warp].max(complete.times[warp]);
        }
        for warp in in_mask(complete.waiting) {
            self.warps[warp].warps = joined;
            self.warps[warp].lanes = complete.times[warp];
        }
    }

    /// The same among lanes of one warp.
    pub fn warp_barrier(&mut self, warp: usize, mask: u32, all: bool) {
        let known = &mut self.warps[warp];
        if all {
            known.lanes = self.time;
        } else {
            let some = known
                .some
                .get_or_insert_with(|| Box::new([[0; WARP]; WARP]));
            for lane in in_mask(mask) {
                for other in in_mask(mask) {
                    some[lane][other] = self.time;
                }
            }
        }
        self.time += 1;
    }

    /// Whether what another thread did at this time is ordered before what this one does now.
    fn knows(&self, me: Thread, other: Thread, time: u32) -> bool {
        let known = &self.warps[me.warp as usize];
        if me == other {
            return true;
        }
        if me.warp != other.warp {
            return time <= known.warps[other.warp as usize];
        }
        let some = known
            .some
            .as_ref()
            .map_or(0, |some| some[me.lane as usize][other.lane as usize]);
        time <= known.lanes.max(some)
    }

    /// Whether all that read a byte are ordered before this thread; one that is not.
    fn unordered_reader(&self, me: Thread, byte: &Shadow) -> Option<Thread> {
        in_mask(byte.readers).find_map(|warp| {
            let lane = match byte.reader {
                // One of them is another thread than this one.
                SEVERAL if warp == me.warp as usize => (me.lane + 1) % SEVERAL,
                SEVERAL => 0,
                lane => lane,
            };
            let reader = Thread {
                warp: warp as u8,
                lane,
            };
            (!self.knows(me, reader, byte.read)).then_some(reader)
        })
    }

    fn span(&self, address: u64, bytes: usize) -> Result<Range<usize>, Cause> {
        if !address.is_multiple_of(bytes as u64) {
            return Err(Cause::Misaligned {
                address,
                bytes: bytes as u32,
            });
        }
        match address.checked_add(bytes as u64) {
            Some(end) if end <= self.data.len() as u64 => Ok(address as usize..end as usize),
            _ => Err(Cause::Outside {
                space: "shared memory",
                address,
                bytes: bytes as u32,
            }),
        }
    }

    pub fn load(&mut self, me: Thread, address: u64, into: &mut [u8]) -> Result<(), Cause> {
        let span = self.span(address, into.len())?;
        self.each(span.clone(), |shared, address, byte| {
            shared.reads(me, address, byte)
        })?;
        into.copy_from_slice(&self.data[span]);
        Ok(())
    }

    pub fn store(&mut self, me: Thread, address: u64, from: &[u8]) -> Result<(), Cause> {
        let span = self.span(address, from.len())?;
        self.each(span.clone(), |shared, address, byte| {
            shared.writes(me, address, byte, State::Plain)
        })?;
        self.data[span].copy_from_slice(from);
        Ok(())
    }

    /// Replaces what is known of some bytes. Neighbours have mostly been through the same, so that
    /// one answer does for them.
    fn each(
        &mut self,
        span: Range<usize>,
        after: impl Fn(&Self, u64, &Shadow) -> Result<Shadow, Cause>,
    ) -> Result<(), Cause> {
        let mut index = span.start;
        while index < span.end {
            let byte = self.shadow[index];
            let rest = &self.shadow[index..span.end];
            let same = rest.iter().take_while(|other| **other == byte).count();
            let known = after(self, index as u64, &byte)?;
            self.shadow[index..index + same].fill(known);
            index += same;
        }
        Ok(())
    }

    fn reads(&self, me: Thread, address: u64, byte: &Shadow) -> Result<Shadow, Cause> {
        match byte.state {
            State::Never => {
                return Err(Cause::NeverWritten {
                    space: "shared memory",
                    address,
                })
            }
            State::InFlight => return Err(Cause::InFlight { address }),
            _ if !self.races => return Ok(*byte),
            _ if !self.knows(me, byte.writer, byte.written) => {
                return Err(race(address, byte.writer, Did::Wrote))
            }
            _ => {}
        }
        let own = 1 << me.warp;
        let alone = byte.readers == own && byte.reader == me.lane;
        // Whoever comes behind this thread comes behind those too that came before it.
        let (readers, reader, read) = if alone || self.unordered_reader(me, byte).is_none() {
            (own, me.lane, self.time)
        } else {
            (byte.readers | own, SEVERAL, byte.read)
        };
        Ok(Shadow {
            readers,
            reader,
            read,
            ..*byte
        })
    }

    fn writes(
        &self,
        me: Thread,
        address: u64,
        byte: &Shadow,
        state: State,
    ) -> Result<Shadow, Cause> {
        if byte.state == State::InFlight {
            return Err(Cause::InFlight { address });
        }
        if self.races {
            let both_atomic = state == State::Atomic && byte.state == State::Atomic;
            if byte.state != State::Never
                && !both_atomic
                && !self.knows(me, byte.writer, byte.written)
            {
                return Err(race(address, byte.writer, Did::Wrote));
            }
            if let Some(reader) = self.unordered_reader(me, byte) {
                return Err(race(address, reader, Did::Read));
            }
        }
        Ok(Shadow {
            state,
            writer: me,
            written: self.time,
            ..UNTOUCHED
        })
    }

    /// Replaces a value of 4 or 8 bytes, and gives what was there.
    pub fn atomic(
        &mut self,
        me: Thread,
        address: u64,
        bytes: usize,
        of: impl FnOnce(u64) -> u64,
    ) -> Result<u64, Cause> {
        let span = self.span(address, bytes)?;
        self.each(span.clone(), |shared, address, byte| {
            if byte.state == State::Never {
                return Err(Cause::NeverWritten {
                    space: "shared memory",
                    address,
                });
            }
            shared.writes(me, address, byte, State::Atomic)
        })?;
        let mut word = [0; 8];
        word[..bytes].copy_from_slice(&self.data[span.clone()]);
        let before = u64::from_le_bytes(word);
        self.data[span].copy_from_slice(&of(before).to_le_bytes()[..bytes]);
        Ok(before)
    }

    /// A copy to these bytes begins: until it is waited for they belong to it.
    pub fn begin_copy(&mut self, me: Thread, address: u64, bytes: usize) -> Result<(), Cause> {
        let span = self.span(address, bytes)?;
        self.each(span, |shared, address, byte| {
            shared.writes(me, address, byte, State::InFlight)
        })
    }

    /// The thread has waited for its copy.
    pub fn end_copy(&mut self, me: Thread, address: u64, from: &[u8]) {
        let start = address as usize;
        self.data[start..start + from.len()].copy_from_slice(from);
        let arrived = Shadow {
            state: State::Plain,
            writer: me,
            written: self.time,
            ..UNTOUCHED
        };
        self.shadow[start..start + from.len()].fill(arrived);
    }
}

/// The other thread is given by warp and lane; whoever knows the block's shape makes it a position.
fn race(address: u64, other: Thread, did: Did) -> Cause {
    let index = u32::from(other.warp) * WARP as u32 + u32::from(other.lane);
    Cause::SharedRace {
        address,
        other: [index, 0, 0],
        did,
    }
}
