//! Disk before effect.

/// Where a record stands among those of its channel; a record replaces the one with the same key. In the order
/// of the bytes all requests follow one another by `seq`.
pub type RecordKey = [u8; 9];

/// The key of a record: its kind, and for a request the number, big-endian.
pub(crate) fn key(kind: u8, seq: u64) -> RecordKey {
    let mut key = [kind; 9];
    if let Some(tail) = key.get_mut(1..) {
        tail.copy_from_slice(&seq.to_be_bytes());
    }
    key
}

/// One end of a channel: a fold over its records.
pub trait Persistent {
    type Record;

    /// Takes over what `record` says. Not for callers: [`Step::persisted`] and `restore` call it.
    #[doc(hidden)]
    fn apply(&mut self, record: Self::Record);
}

/// A change that has been decided and has not happened yet.
///
/// Write [`records`](Self::records), in one transaction, and when they are on disk call
/// [`persisted`](Self::persisted): it makes the change and hands out what may be shown. Dropping the step leaves
/// everything as it was. While it lives, its end of the channel is borrowed, so no other change comes between.
#[must_use = "nothing has happened until the records are on disk and `persisted` is called"]
pub struct Step<'a, S: Persistent, E> {
    state: &'a mut S,
    records: Vec<S::Record>,
    /// What a restart may forget.
    in_memory: Vec<S::Record>,
    effect: E,
}

impl<'a, S: Persistent, E> Step<'a, S, E> {
    pub(crate) fn new(state: &'a mut S, records: Vec<S::Record>, effect: E) -> Self {
        Self {
            state,
            records,
            in_memory: Vec::new(),
            effect,
        }
    }

    /// With changes that are not for the disk.
    pub(crate) fn in_memory(self, in_memory: Vec<S::Record>) -> Self {
        Self { in_memory, ..self }
    }

    /// What to write. Empty if nothing changes, and then nothing need be written.
    pub fn records(&self) -> &[S::Record] {
        &self.records
    }

    /// Makes the change, whose records are on disk now.
    pub fn persisted(self) -> E {
        for record in self.records.into_iter().chain(self.in_memory) {
            self.state.apply(record);
        }
        self.effect
    }
}
