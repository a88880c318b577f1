//! What the worker must not forget: one record for each duty, on disk before anything that follows
//! from it leaves the machine.
//!
//! A duty is known by its job *and* its sampling seed. The seed covers the request header and the
//! draw's randomness, so an answer that was computed for one side of a fork is never taken for the
//! other, and a record of a chain that was wiped never meets a job of the next.

use std::{
    collections::BTreeMap,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use assay_primitives::{JobId, Receipt, TokenId};
use codec::{Decode, DecodeAll, Encode};
use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition};
use subxt::utils::H256;

const DUTIES: TableDefinition<&[u8], &[u8]> = TableDefinition::new("duties");
const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");
const OWNER: &str = "owner";
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

/// Whose duties a ledger holds.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Owner {
    pub genesis: H256,
    pub provider: [u8; 32],
}

/// Why the ledger cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    #[error(
        "ledger {}: another process has it open; stop that worker or name another file with \
         --ledger",
        .0.display()
    )]
    Locked(PathBuf),
    #[error(
        "ledger {}: it belongs to another provider or another chain; name another file with \
         --ledger",
        .0.display()
    )]
    Foreign(PathBuf),
    #[error(
        "ledger {}: it is not a ledger of this version ({problem}); restore it from a backup or \
         name another file with --ledger",
        path.display()
    )]
    Corrupt { path: PathBuf, problem: String },
    #[error(
        "ledger {}: {problem}; check the free space and the permissions of its folder",
        path.display()
    )]
    Storage { path: PathBuf, problem: String },
    #[error(
        "ledger {}: there is no folder {folder}; make it with `mkdir -p {folder}`, or name another \
         file with --ledger",
        path.display()
    )]
    NoFolder { path: PathBuf, folder: String },
}

/// The ledger of one provider on one chain.
pub struct Ledger {
    path: PathBuf,
    database: Database,
    /// The unfinished records, by what they are about.
    active: BTreeMap<Key, Entry>,
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

    /// Opens the ledger at `path`, which is made if it is not there.
    pub fn open(path: &Path, owner: &Owner) -> Result<Self, LedgerError> {
        let storage = |error: &dyn std::fmt::Display| LedgerError::Storage {
            path: path.into(),
            problem: error.to_string(),
        };
        Self::check_folder(path)?;
        let database = Database::create(path).map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => LedgerError::Locked(path.into()),
            DatabaseError::Storage(redb::StorageError::Io(error))
                if error.kind() != ErrorKind::InvalidData =>
            {
                storage(&error)
            }
            other => LedgerError::Corrupt {
                path: path.into(),
                problem: other.to_string(),
            },
        })?;
        let mut ledger = Self {
            path: path.into(),
            database,
            active: BTreeMap::new(),
            paused: false,
        };
        ledger.claim(owner)?;
        ledger.load()?;
        Ok(ledger)
    }

    fn storage(&self, error: impl std::fmt::Display) -> LedgerError {
        LedgerError::Storage {
            path: self.path.clone(),
            problem: error.to_string(),
        }
    }

    fn corrupt(&self, problem: impl std::fmt::Display) -> LedgerError {
        LedgerError::Corrupt {
            path: self.path.clone(),
            problem: problem.to_string(),
        }
    }

    /// Makes sure that the ledger is `owner`'s; a new one becomes it.
    fn claim(&self, owner: &Owner) -> Result<(), LedgerError> {
        let write = self.database.begin_write().map_err(|e| self.storage(e))?;
        let found = {
            let mut meta = write.open_table(META).map_err(|e| self.corrupt(e))?;
            write.open_table(DUTIES).map_err(|e| self.corrupt(e))?;
            let found = meta
                .get(OWNER)
                .map_err(|e| self.storage(e))?
                .map(|value| value.value().to_vec());
            if found.is_none() {
                meta.insert(OWNER, owner.encode().as_slice())
                    .map_err(|e| self.storage(e))?;
            }
            found
        };
        if found.is_some_and(|found| found != owner.encode()) {
            return Err(LedgerError::Foreign(self.path.clone()));
        }
        write.commit().map_err(|e| self.storage(e))
    }

    /// Reads the unfinished records, and drops the oldest finished ones beyond what is kept.
    fn load(&mut self) -> Result<(), LedgerError> {
        let mut finished = Vec::new();
        let mut active = BTreeMap::new();
        let read = self.database.begin_read().map_err(|e| self.storage(e))?;
        let duties = read.open_table(DUTIES).map_err(|e| self.corrupt(e))?;
        for row in duties.iter().map_err(|e| self.storage(e))? {
            let (key, value) = row.map_err(|e| self.storage(e))?;
            let key = Key::from_bytes(key.value())
                .ok_or_else(|| self.corrupt("a key of the wrong length"))?;
            let entry = Entry::decode_all(&mut value.value())
                .map_err(|_| self.corrupt(format!("the record of job {} is damaged", key.job)))?;
            match entry.stage {
                Stage::Finished(..) => finished.push(key),
                _ => {
                    active.insert(key, entry);
                }
            }
        }
        drop(duties);
        let meta = read.open_table(META).map_err(|e| self.corrupt(e))?;
        let paused = meta.get(PAUSED).map_err(|e| self.storage(e))?.is_some();
        self.paused = paused;
        self.active = active;
        let surplus = finished.len().saturating_sub(FINISHED_KEPT);
        if surplus > 0 {
            let write = self.database.begin_write().map_err(|e| self.storage(e))?;
            {
                let mut duties = write.open_table(DUTIES).map_err(|e| self.corrupt(e))?;
                for key in finished.iter().take(surplus) {
                    duties
                        .remove(key.bytes().as_slice())
                        .map_err(|e| self.storage(e))?;
                }
            }
            write.commit().map_err(|e| self.storage(e))?;
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
        let read = self.database.begin_read().map_err(|e| self.storage(e))?;
        let duties = read.open_table(DUTIES).map_err(|e| self.corrupt(e))?;
        let found = duties
            .get(key.bytes().as_slice())
            .map_err(|e| self.storage(e))?;
        Ok(found.is_some())
    }

    /// Whether there is a record of another duty for this job.
    pub fn knows_another(&self, key: &Key) -> Result<bool, LedgerError> {
        let read = self.database.begin_read().map_err(|e| self.storage(e))?;
        let duties = read.open_table(DUTIES).map_err(|e| self.corrupt(e))?;
        let bound = |seed| Key { job: key.job, seed }.bytes();
        let (first, last) = (bound([0; 32]), bound([u8::MAX; 32]));
        let rows = duties
            .range(first.as_slice()..=last.as_slice())
            .map_err(|e| self.storage(e))?;
        for row in rows {
            let (other, _) = row.map_err(|e| self.storage(e))?;
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
        let write = self.database.begin_write().map_err(|e| self.storage(e))?;
        {
            let mut meta = write.open_table(META).map_err(|e| self.corrupt(e))?;
            match paused {
                true => meta.insert(PAUSED, [].as_slice()).map(drop),
                false => meta.remove(PAUSED).map(drop),
            }
            .map_err(|e| self.storage(e))?;
        }
        write.commit().map_err(|e| self.storage(e))?;
        self.paused = paused;
        Ok(())
    }

    /// Writes a record. When this returns, it is on disk.
    pub fn put(&mut self, key: Key, entry: Entry) -> Result<(), LedgerError> {
        let write = self.database.begin_write().map_err(|e| self.storage(e))?;
        {
            let mut duties = write.open_table(DUTIES).map_err(|e| self.corrupt(e))?;
            duties
                .insert(key.bytes().as_slice(), entry.encode().as_slice())
                .map_err(|e| self.storage(e))?;
        }
        write.commit().map_err(|e| self.storage(e))?;
        match entry.stage {
            Stage::Finished(..) => self.active.remove(&key),
            _ => self.active.insert(key, entry),
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use assay_primitives::{Anchor, Finish};
    use std::fs;

    fn owner(provider: u8) -> Owner {
        Owner {
            genesis: H256::repeat_byte(9),
            provider: [provider; 32],
        }
    }

    fn key(job: JobId) -> Key {
        Key { job, seed: [7; 32] }
    }

    fn receipt() -> Receipt {
        Receipt {
            header: H256::repeat_byte(1),
            anchor: Anchor {
                number: 5,
                hash: H256::repeat_byte(2),
            },
            output_len: 2,
            output_root: H256::repeat_byte(3),
            finish: Finish::Eos,
            fee: 11,
        }
    }

    fn stages() -> Vec<Stage> {
        let answer = Answer {
            receipt: receipt(),
            signer: [1; 32],
            signature: [4; 64],
            output: vec![8, 1],
        };
        let reply = Reply::Answer(answer);
        let submission = Submission {
            signer: [1; 32],
            nonce: 3,
            hash: H256::repeat_byte(6),
            replaced: vec![H256::repeat_byte(5)],
            valid_until: 70,
            extrinsic: vec![1, 2, 3],
        };
        vec![
            Stage::Seen,
            Stage::Ready(Reply::Refusal {
                reason: "no such model here".into(),
            }),
            Stage::Ready(reply.clone()),
            Stage::Submitted(reply.clone(), submission.clone()),
            Stage::InBlock(reply, submission),
        ]
    }

    #[test]
    fn every_stage_survives_reopening() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.redb");
        let entries: Vec<(Key, Entry)> = stages()
            .into_iter()
            .enumerate()
            .map(|(job, stage)| {
                (
                    key(job as JobId),
                    Entry {
                        stage,
                        attempts: 2,
                        ..Entry::new(5, 15)
                    },
                )
            })
            .collect();
        let mut ledger = Ledger::open(&path, &owner(1)).unwrap();
        for (key, entry) in entries.clone() {
            ledger.put(key, entry).unwrap();
        }
        drop(ledger);

        let ledger = Ledger::open(&path, &owner(1)).unwrap();
        let found: Vec<(Key, Entry)> = ledger
            .active()
            .map(|(key, entry)| (*key, entry.clone()))
            .collect();
        assert_eq!(found, entries);
    }

    #[test]
    fn a_finished_duty_is_known_but_not_active() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.redb");
        let mut ledger = Ledger::open(&path, &owner(1)).unwrap();
        ledger.put(key(1), Entry::new(5, 15)).unwrap();
        let stage = Stage::Finished(Outcome::Delivered, Some(receipt()));
        ledger
            .put(
                key(1),
                Entry {
                    stage,
                    ..Entry::new(5, 15)
                },
            )
            .unwrap();
        assert_eq!(ledger.active().count(), 0);
        drop(ledger);

        let ledger = Ledger::open(&path, &owner(1)).unwrap();
        assert_eq!(ledger.active().count(), 0);
        assert!(ledger.knows(&key(1)).unwrap());
        assert!(!ledger.knows(&key(2)).unwrap());
        assert!(!ledger
            .knows(&Key {
                job: 1,
                seed: [8; 32]
            })
            .unwrap());
    }

    #[test]
    fn other_duties_of_the_same_job_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::open(&folder.path().join("l"), &owner(1)).unwrap();
        let other = Key {
            seed: [255; 32],
            ..key(1)
        };
        ledger.put(key(1), Entry::new(5, 15)).unwrap();
        ledger.put(key(2), Entry::new(5, 15)).unwrap();
        assert!(!ledger.knows_another(&key(1)).unwrap());
        assert!(ledger.knows_another(&other).unwrap());
        ledger.put(other, Entry::new(6, 16)).unwrap();
        assert!(ledger.knows_another(&key(1)).unwrap());
        assert!(!ledger.knows_another(&key(2)).unwrap());
    }

    #[test]
    fn a_pause_survives_reopening() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.redb");
        for paused in [false, true, false] {
            let mut ledger = Ledger::open(&path, &owner(1)).unwrap();
            ledger.set_paused(paused).unwrap();
            drop(ledger);
            assert_eq!(Ledger::open(&path, &owner(1)).unwrap().paused(), paused);
        }
    }

    #[test]
    fn folders_are_not_made() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("mistyped");
        let error = Ledger::open(&missing.join("ledger.redb"), &owner(1)).err();
        let error = error.unwrap().to_string();
        let next = format!("`mkdir -p {}`", missing.display());
        assert!(error.contains(&next) && !error.contains('\n'), "{error}");
        assert!(!missing.exists());
    }

    #[test]
    fn a_new_operator_signs_anew_what_the_old_one_sent() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.redb");
        let mut ledger = Ledger::open(&path, &owner(1)).unwrap();
        for (job, stage) in stages().into_iter().enumerate() {
            ledger
                .put(
                    key(job as JobId),
                    Entry {
                        stage,
                        ..Entry::new(5, 15)
                    },
                )
                .unwrap();
        }
        let before: Vec<Entry> = ledger.active().map(|(_, entry)| entry.clone()).collect();
        ledger.take_over(&[1; 32]).unwrap();
        assert!(ledger.active().map(|(_, entry)| entry).eq(&before));
        ledger.take_over(&[2; 32]).unwrap();
        for ((_, after), before) in ledger.active().zip(&before) {
            assert_eq!(after.submission(), None);
            assert_eq!(after.reply(), before.reply());
        }
    }

    #[test]
    fn a_ledger_in_use_or_of_somebody_else_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.redb");
        let open = Ledger::open(&path, &owner(1)).unwrap();
        assert!(matches!(
            Ledger::open(&path, &owner(1)),
            Err(LedgerError::Locked(_))
        ));
        drop(open);
        assert!(matches!(
            Ledger::open(&path, &owner(2)),
            Err(LedgerError::Foreign(_))
        ));
        assert!(Ledger::open(&path, &owner(1)).is_ok());
    }

    #[test]
    fn a_file_that_is_no_ledger_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.txt");
        let text = b"not a database, but somebody's notes\n".repeat(1000);
        fs::write(&path, &text).unwrap();
        let error = Ledger::open(&path, &owner(1)).err().unwrap().to_string();
        assert!(
            error.contains("notes.txt") && !error.contains('\n'),
            "{error}"
        );
        assert_eq!(fs::read(&path).unwrap(), text);
    }
}
