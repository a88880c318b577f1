//! Rows on disk, and deaths between writing them and showing what follows.

use std::collections::BTreeMap;

use assay_channel::{
    record::{PayeeRecord, PayerRecord, RecordKey},
    Persistent, Step,
};
use codec::{Decode, Encode};

/// Where a process dies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Crash {
    BeforeWriting,
    /// The rows are on disk, and nothing of it was shown.
    AfterWriting,
}

#[derive(Debug)]
pub struct Crashed;

pub trait Row: Encode + Decode + Clone {
    fn key(&self) -> RecordKey;
}

impl Row for PayeeRecord {
    fn key(&self) -> RecordKey {
        self.key()
    }
}

impl Row for PayerRecord {
    fn key(&self) -> RecordKey {
        self.key()
    }
}

/// Rows as bytes, and the next crash.
pub struct Disk<R> {
    rows: BTreeMap<RecordKey, Vec<u8>>,
    /// Every request that was ever written, also when it is forgotten.
    pub history: BTreeMap<RecordKey, R>,
    pub crash: Option<Crash>,
}

impl<R: Row> Disk<R> {
    pub fn new() -> Self {
        Self {
            rows: BTreeMap::new(),
            history: BTreeMap::new(),
            crash: None,
        }
    }

    pub fn write(&mut self, records: &[R]) {
        for record in records {
            self.rows.insert(record.key(), record.encode());
            self.history.insert(record.key(), record.clone());
        }
    }

    pub fn read(&self) -> Vec<R> {
        let rows = self.rows.values();
        rows.map(|row| R::decode(&mut &row[..]).unwrap()).collect()
    }

    /// Deletes the rows of requests below `seq`.
    pub fn delete_below(&mut self, first: RecordKey, kept: RecordKey) {
        self.rows.retain(|key, _| *key < first || *key >= kept);
    }

    pub fn commit<S: Persistent<Record = R>, E>(&mut self, step: Step<S, E>) -> Result<E, Crashed> {
        if step.records().is_empty() {
            return Ok(step.persisted());
        }
        match self.crash.take() {
            Some(Crash::BeforeWriting) => Err(Crashed),
            Some(Crash::AfterWriting) => {
                self.write(step.records());
                Err(Crashed)
            }
            None => {
                self.write(step.records());
                Ok(step.persisted())
            }
        }
    }
}
