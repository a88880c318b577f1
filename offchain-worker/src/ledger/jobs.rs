//! One record for each duty.
//!
//! A duty is known by its job *and* its sampling seed. The seed covers the request header and the
//! draw's randomness, so an answer that was computed for one side of a fork is never taken for the
//! other, and a record of a chain that was wiped never meets a job of the next.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use assay_primitives::{JobId, Receipt, TokenId};
use codec::{Decode, DecodeAll, Encode};
use redb::{ReadableTable, TableDefinition};
use subxt::utils::H256;

use super::{channels, ChannelLedger, LedgerError, Owner, Store, META};

const DUTIES: TableDefinition<&[u8], &[u8]> = TableDefinition::new("duties");
const PAUSED: &str = "paused";

/// Finished records that are kept: their receipts are what a later dispute is about.
const FINISHED_KEPT: usize = 10_000;

/// Names a duty.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode)]
pub struct Key {
    pub job: JobId,
    pub seed: [u8; 32],
}

impl Key {
    /// Big-endian, so that the table is in the order of job ids.
    fn bytes(&self) -> Vec<u8> {
        [self.job.to_be_bytes().as_slice(), &self.seed].concat()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (job, seed) = bytes.split_first_chunk::<8>()?;
        Some(Self {
            job: JobId::from_be_bytes(*job),
            seed: seed.try_into().ok()?,
        })
    }
}

/// An answer, and the operator's signature over its receipt.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Answer {
    pub receipt: Receipt,
    /// The operator that signed it.
    pub signer: [u8; 32],
    /// sr25519, over the receipt's signing payload.
    pub signature: [u8; 64],
    pub output: Vec<TokenId>,
}

/// What the chain is told about a job.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
// One in memory at a time; a box would only complicate its encoding.
#[allow(clippy::large_enum_variant)]
pub enum Reply {
    #[codec(index = 0)]
    Answer(Answer),
    #[codec(index = 1)]
    Refusal { reason: String },
}

/// The extrinsic that carries a reply. Its bytes are kept, so that sending it again can never make
/// a second one of it.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Submission {
    /// The operator that sends it; the nonce is this account's.
    pub signer: [u8; 32],
    pub nonce: u64,
    pub hash: H256,
    /// Hashes of those that this one replaced, with the same nonce: any one of them may be the one
    /// that a block takes.
    pub replaced: Vec<H256>,
    /// The last block that may include it.
    pub valid_until: u32,
    pub extrinsic: Vec<u8>,
}

impl Submission {
    /// Whether an extrinsic is this one, or one that it replaced.
    pub fn covers(&self, hash: H256) -> bool {
        self.hash == hash || self.replaced.contains(&hash)
    }
}

/// How a duty ended, by finalised blocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub enum Outcome {
    #[codec(index = 0)]
    Delivered,
    #[codec(index = 1)]
    Declined,
    /// The job went elsewhere: its deadline passed, or a fork took the assignment away.
    #[codec(index = 2)]
    Lost,
}

impl Outcome {
    pub fn label(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Declined => "declined",
            Self::Lost => "lost",
        }
    }
}

/// How far a duty has come.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub enum Stage {
    /// Assigned to us; nothing is computed yet.
    #[codec(index = 0)]
    Seen,
    /// The reply is known and nothing was sent.
    #[codec(index = 1)]
    Ready(Reply),
    /// The extrinsic is signed and may have been sent.
    #[codec(index = 2)]
    Submitted(Reply, Submission),
    /// A best block held the reply.
    #[codec(index = 3)]
    InBlock(Reply, Submission),
    /// A finalised block settled it.
    #[codec(index = 4)]
    Finished(Outcome, Option<Receipt>),
}

/// The record of a duty.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Entry {
    /// The best block at which the duty was found.
    pub seen_at: u32,
    /// The last block at which a reply is of use.
    pub deadline: u32,
    /// Extrinsics with a nonce of their own that were signed for this duty.
    pub attempts: u32,
    pub stage: Stage,
}

impl Entry {
    pub fn new(seen_at: u32, deadline: u32) -> Self {
        Self {
            seen_at,
            deadline,
            attempts: 0,
            stage: Stage::Seen,
        }
    }

    pub fn reply(&self) -> Option<&Reply> {
        match &self.stage {
            Stage::Ready(reply) | Stage::Submitted(reply, _) | Stage::InBlock(reply, _) => {
                Some(reply)
            }
            Stage::Seen | Stage::Finished(..) => None,
        }
    }

    pub fn answer(&self) -> Option<&Answer> {
        match self.reply()? {
            Reply::Answer(answer) => Some(answer),
            Reply::Refusal { .. } => None,
        }
    }

    pub fn submission(&self) -> Option<&Submission> {
        match &self.stage {
            Stage::Submitted(_, submission) | Stage::InBlock(_, submission) => Some(submission),
            Stage::Seen | Stage::Ready(_) | Stage::Finished(..) => None,
        }
    }
}

/// The ledger of one provider on one chain.
pub struct Ledger {
    store: Arc<Store>,
    /// The unfinished records, by what they are about.
    active: BTreeMap<Key, Entry>,
    /// What the finished records are about.
    finished: BTreeSet<Key>,
    paused: bool,
}

impl Ledger {
    /// Makes sure that the folder of `path` is there: a ledger in a folder that was mistyped would
    /// know nothing of what was promised.
    pub fn check_folder(path: &Path) -> Result<(), LedgerError> {
        match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() && !folder.is_dir() => {
                Err(LedgerError::NoFolder {
                    path: path.into(),
                    folder: folder.display().to_string(),
                })
            }
            _ => Ok(()),
        }
    }

    /// Whether there is a ledger at `path`, if only one that cannot be opened.
    pub fn is_there(path: &Path) -> Result<bool, LedgerError> {
        super::is_there(path)
    }

    /// Opens the ledger at `path`, which is made if it is not there.
    pub fn open(path: &Path, owner: &Owner) -> Result<Self, LedgerError> {
        let store = Store::open(path, owner)?;
        store.write(|write| {
            write.open_table(DUTIES).map_err(|e| store.corrupt(e))?;
            channels::create(&store, write)
        })?;
        let mut ledger = Self {
            store,
            active: BTreeMap::new(),
            finished: BTreeSet::new(),
            paused: false,
        };
        ledger.load()?;
        Ok(ledger)
    }

    /// The part of the same file that is about channels.
    pub fn channels(&self) -> ChannelLedger {
        ChannelLedger::new(self.store.clone())
    }

    /// Reads the unfinished records, and drops the oldest finished ones beyond what is kept.
    fn load(&mut self) -> Result<(), LedgerError> {
        let mut finished = BTreeSet::new();
        let mut active = BTreeMap::new();
        let read = self.store.read()?;
        let duties = read.open_table(DUTIES).map_err(|e| self.store.corrupt(e))?;
        for row in duties.iter().map_err(|e| self.store.storage(e))? {
            let (key, value) = row.map_err(|e| self.store.storage(e))?;
            let key = Key::from_bytes(key.value())
                .ok_or_else(|| self.store.corrupt("a key of the wrong length"))?;
            let entry = Entry::decode_all(&mut value.value()).map_err(|_| {
                self.store
                    .corrupt(format!("the record of job {} is damaged", key.job))
            })?;
            match entry.stage {
                Stage::Finished(..) => {
                    finished.insert(key);
                }
                _ => {
                    active.insert(key, entry);
                }
            }
        }
        drop(duties);
        let meta = read.open_table(META).map_err(|e| self.store.corrupt(e))?;
        let paused = meta
            .get(PAUSED)
            .map_err(|e| self.store.storage(e))?
            .is_some();
        self.paused = paused;
        self.active = active;
        let surplus = surplus(&mut finished);
        self.finished = finished;
        if !surplus.is_empty() {
            self.store.write(|write| {
                let mut duties = write
                    .open_table(DUTIES)
                    .map_err(|e| self.store.corrupt(e))?;
                for key in &surplus {
                    duties
                        .remove(key.bytes().as_slice())
                        .map_err(|e| self.store.storage(e))?;
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Goes back to before the signing of each extrinsic that another operator signed: since the
    /// operator was replaced, the chain takes none of them any more.
    pub fn take_over(&mut self, operator: &[u8; 32]) -> Result<(), LedgerError> {
        let foreign = |entry: &Entry| entry.submission().is_some_and(|s| s.signer != *operator);
        let entries: Vec<(Key, Entry)> = self
            .active
            .iter()
            .filter(|(_, entry)| foreign(entry))
            .filter_map(|(key, entry)| {
                let stage = Stage::Ready(entry.reply()?.clone());
                Some((
                    *key,
                    Entry {
                        stage,
                        ..entry.clone()
                    },
                ))
            })
            .collect();
        entries
            .into_iter()
            .try_for_each(|(key, entry)| self.put(key, entry))
    }

    /// The unfinished records, in the order of job ids.
    pub fn active(&self) -> impl Iterator<Item = (&Key, &Entry)> {
        self.active.iter()
    }

    pub fn get(&self, key: &Key) -> Option<&Entry> {
        self.active.get(key)
    }

    /// Whether there is any record of this duty, finished ones included.
    pub fn knows(&self, key: &Key) -> Result<bool, LedgerError> {
        if self.active.contains_key(key) {
            return Ok(true);
        }
        let read = self.store.read()?;
        let duties = read.open_table(DUTIES).map_err(|e| self.store.corrupt(e))?;
        let found = duties
            .get(key.bytes().as_slice())
            .map_err(|e| self.store.storage(e))?;
        Ok(found.is_some())
    }

    /// Whether there is a record of another duty for this job.
    pub fn knows_another(&self, key: &Key) -> Result<bool, LedgerError> {
        let read = self.store.read()?;
        let duties = read.open_table(DUTIES).map_err(|e| self.store.corrupt(e))?;
        let bound = |seed| Key { job: key.job, seed }.bytes();
        let (first, last) = (bound([0; 32]), bound([u8::MAX; 32]));
        let rows = duties
            .range(first.as_slice()..=last.as_slice())
            .map_err(|e| self.store.storage(e))?;
        for row in rows {
            let (other, _) = row.map_err(|e| self.store.storage(e))?;
            if other.value() != key.bytes() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether the worker took its provider offline, and is to take it back online.
    pub fn paused(&self) -> bool {
        self.paused
    }

    pub fn set_paused(&mut self, paused: bool) -> Result<(), LedgerError> {
        self.store.write(|write| {
            let mut meta = write.open_table(META).map_err(|e| self.store.corrupt(e))?;
            match paused {
                true => meta.insert(PAUSED, [].as_slice()).map(drop),
                false => meta.remove(PAUSED).map(drop),
            }
            .map_err(|e| self.store.storage(e))
        })?;
        self.paused = paused;
        Ok(())
    }

    /// Writes a record. When this returns, it is on disk. With one that is finished the oldest of them goes, once there
    /// are more than are kept.
    pub fn put(&mut self, key: Key, entry: Entry) -> Result<(), LedgerError> {
        let is_finished = matches!(entry.stage, Stage::Finished(..));
        if is_finished {
            self.finished.insert(key);
        }
        let surplus = surplus(&mut self.finished);
        self.store.write(|write| {
            let mut duties = write
                .open_table(DUTIES)
                .map_err(|e| self.store.corrupt(e))?;
            duties
                .insert(key.bytes().as_slice(), entry.encode().as_slice())
                .map_err(|e| self.store.storage(e))?;
            for key in &surplus {
                duties
                    .remove(key.bytes().as_slice())
                    .map_err(|e| self.store.storage(e))?;
            }
            Ok(())
        })?;
        match is_finished {
            true => self.active.remove(&key),
            false => self.active.insert(key, entry),
        };
        Ok(())
    }
}

/// Takes out the oldest beyond what is kept.
fn surplus(finished: &mut BTreeSet<Key>) -> Vec<Key> {
    let surplus = finished.len().saturating_sub(FINISHED_KEPT);
    (0..surplus).filter_map(|_| finished.pop_first()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_finished_records_are_kept_than_that_also_while_it_runs() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.redb");
        let owner = Owner {
            genesis: H256::repeat_byte(9),
            provider: [1; 32],
        };
        let key = |job| Key { job, seed: [7; 32] };
        let finished = || Entry {
            stage: Stage::Finished(Outcome::Declined, None),
            ..Entry::new(5, 15)
        };
        let ledger = Ledger::open(&path, &owner).unwrap();
        // All at once, since each is a write to the disk otherwise.
        ledger
            .store
            .write(|write| {
                let mut duties = write.open_table(DUTIES).unwrap();
                for job in 0..FINISHED_KEPT as JobId {
                    let (key, entry) = (key(job).bytes(), finished().encode());
                    duties.insert(key.as_slice(), entry.as_slice()).unwrap();
                }
                Ok(())
            })
            .unwrap();
        drop(ledger);

        let mut ledger = Ledger::open(&path, &owner).unwrap();
        let next = FINISHED_KEPT as JobId;
        assert!(ledger.knows(&key(0)).unwrap());
        for job in [next, next + 1] {
            ledger.put(key(job), Entry::new(5, 15)).unwrap();
        }
        assert!(ledger.knows(&key(0)).unwrap());
        for job in [next, next + 1, next + 1] {
            ledger.put(key(job), finished()).unwrap();
        }
        let known = [0, 1, 2, next, next + 1].map(|job| ledger.knows(&key(job)).unwrap());
        assert_eq!(known, [false, false, true, true, true]);
        drop(ledger);
        let ledger = Ledger::open(&path, &owner).unwrap();
        assert_eq!(ledger.finished.len(), FINISHED_KEPT);
    }
}
