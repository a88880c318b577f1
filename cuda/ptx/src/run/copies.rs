//! Copies from global to shared memory that run beside the threads.
//!
//! What a copy brings is read when it begins and seen when it was waited for, never in between: a
//! wait that is missing cannot go unnoticed.

use super::{access::Addresses, common::Common, pending::Copy, shared::Thread, warp::Warp};
use crate::{
    fault::{Cause, Stop},
    instruction::{Place, Value},
    lanes::in_mask,
};

impl Warp {
    pub(super) fn begin_copy(
        &mut self,
        common: &mut Common<'_>,
        lanes: u32,
        to: &Place,
        from: &Place,
        bytes: u8,
        given: Option<Value>,
    ) -> Result<(), Stop> {
        let (mut global, mut shared) = (Addresses::new(), Addresses::new());
        for lane in in_mask(lanes) {
            let given = given.map_or(bytes.into(), |given| self.value(given)[lane]);
            let (to, from) = (self.address(to, lane), self.address(from, lane));
            let mut data = [0; 16];
            let done = copied(common, from, bytes, given, &mut data).and_then(|read| {
                if read {
                    global.add(from);
                    common.counts.global_loaded += given;
                }
                shared.add(to);
                common
                    .shared
                    .begin_copy(self.thread(lane), to, bytes.into())
            });
            done.map_err(|cause| cause.at(lane as u32))?;
            self.copies.begin(Copy {
                lane: lane as u8,
                bytes,
                to,
                data,
            });
        }
        common.counts.global_sectors += global.sectors();
        common.counts.bank_conflicts += shared.conflicts(bytes.into());
        Ok(())
    }

    /// Ends the copies of all groups but the last `left`, or all copies.
    pub(super) fn end_copies(&mut self, common: &mut Common<'_>, lanes: u32, left: Option<u32>) {
        let warp = self.index as u8;
        self.copies.end(lanes, left, |copy| {
            let me = Thread {
                warp,
                lane: copy.lane,
            };
            common
                .shared
                .end_copy(me, copy.to, &copy.data[..copy.bytes.into()]);
        });
    }
}

/// Reads what a copy brings; whether it reads anything.
fn copied(
    common: &mut Common<'_>,
    from: u64,
    bytes: u8,
    given: u64,
    data: &mut [u8; 16],
) -> Result<bool, Cause> {
    if given > bytes.into() {
        return Err(Cause::Disagreement {
            what: "the length of a copy",
        });
    }
    if !from.is_multiple_of(bytes.into()) && given > 0 {
        return Err(Cause::Misaligned {
            address: from,
            bytes: bytes.into(),
        });
    }
    // Byte by byte, since any number of them may be asked for.
    let unit = if given == u64::from(bytes) {
        usize::from(bytes)
    } else {
        1
    };
    for (address, part) in (from..)
        .step_by(unit)
        .zip(data[..given as usize].chunks_mut(unit))
    {
        common.memory.load(address, part)?;
    }
    Ok(given > 0)
}
