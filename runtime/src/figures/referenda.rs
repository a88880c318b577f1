//! What the holders of ASY decide, and what became of it.

use super::{
    count,
    walk::{start, walk},
    Figure, Kind,
};
use crate::{Runtime, VERSION};
use alloc::vec::Vec;
use frame_support::storage::StoragePrefixedMap;
use pallet_referenda::{Event as ReferendumEvent, ReferendumInfo, ReferendumInfoFor};
use pallet_scheduler::Event as SchedulerEvent;

const RUNTIME: Kind = Kind::new(
    "assay_runtime_version",
    "The spec_version of the rules that the chain follows.",
);
const OPEN: Kind = Kind::new("assay_referenda", "Referenda that are open, by state.");
const REFERENDA: Kind = Kind::new("assay_referenda_total", "What happened to referenda.");
const ENACTMENTS: Kind = Kind::new(
    "assay_enactments_total",
    "Calls of approved referenda that were made, by whether the chain took them.",
);

pub fn overview() -> Figure {
    RUNTIME.number(VERSION.spec_version.into())
}

pub fn records(after: Vec<u8>) -> (Vec<Figure>, Option<Vec<u8>>) {
    type Map = ReferendumInfoFor<Runtime>;
    let [mut preparing, mut deciding, mut confirming] = [0; 3];
    let records = Map::iter_from(start(after, Map::final_prefix()));
    let last = walk(records, |referendum| {
        let ReferendumInfo::Ongoing(status) = referendum else {
            return;
        };
        count(match status.deciding.map(|since| since.confirming) {
            None => &mut preparing,
            Some(None) => &mut deciding,
            Some(Some(_)) => &mut confirming,
        });
    });
    let states = [
        ("preparing", preparing),
        ("deciding", deciding),
        ("confirming", confirming),
    ];
    (OPEN.numbers("state", states).collect(), last)
}

/// What events say of referenda and of what they have decided.
#[derive(Default)]
pub struct Tally {
    submitted: u64,
    approved: u64,
    rejected: u64,
    timed_out: u64,
    cancelled: u64,
    killed: u64,
    taken: u64,
    failed: u64,
}

impl Tally {
    pub fn referendum(&mut self, event: ReferendumEvent<Runtime>) {
        match event {
            ReferendumEvent::Submitted { .. } => count(&mut self.submitted),
            ReferendumEvent::Approved { .. } => count(&mut self.approved),
            ReferendumEvent::Rejected { .. } => count(&mut self.rejected),
            ReferendumEvent::TimedOut { .. } => count(&mut self.timed_out),
            ReferendumEvent::Cancelled { .. } => count(&mut self.cancelled),
            ReferendumEvent::Killed { .. } => count(&mut self.killed),
            _ => {}
        }
    }

    /// What has a name was approved; referenda wake themselves up with tasks that have none.
    pub fn enactment(&mut self, event: SchedulerEvent<Runtime>) {
        match event {
            SchedulerEvent::Dispatched {
                id: Some(_),
                result: Ok(()),
                ..
            } => count(&mut self.taken),
            SchedulerEvent::Dispatched { id: Some(_), .. }
            | SchedulerEvent::CallUnavailable { id: Some(_), .. }
            | SchedulerEvent::PermanentlyOverweight { id: Some(_), .. } => count(&mut self.failed),
            _ => {}
        }
    }

    pub fn figures(&self) -> impl Iterator<Item = Figure> {
        let events = [
            ("submitted", self.submitted),
            ("approved", self.approved),
            ("rejected", self.rejected),
            ("timed_out", self.timed_out),
            ("cancelled", self.cancelled),
            ("killed", self.killed),
        ];
        let results = [("taken", self.taken), ("failed", self.failed)];
        REFERENDA
            .numbers("event", events)
            .chain(ENACTMENTS.numbers("result", results))
    }
}
