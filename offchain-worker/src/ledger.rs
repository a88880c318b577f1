//! What the worker must not forget, in one file: on disk before anything that follows from it leaves
//! the machine.
//!
//! * [`Ledger`] has one record for each duty: a job that the chain assigned.
//! * [`ChannelLedger`] has what was promised and served in each payment channel.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::ErrorKind,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use codec::{Decode, Encode};
use redb::{
    Database, DatabaseError, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition,
    WriteTransaction,
};
use subxt::utils::H256;

mod channels;
mod jobs;
#[cfg(test)]
mod tests;

pub use self::{
    channels::{Change, ChannelLedger, Evidence, RequestKey},
    jobs::{Answer, Entry, Key, Ledger, Outcome, Reply, Stage, Submission},
};

const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");
const OWNER: &str = "owner";

/// Prompts and answers are nobody's but its owner's.
const MODE: u32 = 0o600;

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
    #[error(
        "ledger {}: it is empty, so what it held is lost, vouchers that nobody has claimed and what disputes are answered \
         with, or a first start of an older version was cut; restore it from a backup, or remove it to begin anew, and claim \
         what the file of --vouchers still has with `assay channel watch`",
        .0.display()
    )]
    Empty(PathBuf),
    #[error(
        "ledger {}: it is a link to a file that is not there; mount the disk that has the file, or name another one with \
         --ledger",
        .0.display()
    )]
    Away(PathBuf),
}

/// Whether anything has this name, if only a link to a disk that is not there.
fn is_there(path: &Path) -> Result<bool, LedgerError> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(unusable(path, redb::StorageError::Io(error).into())),
    }
}

/// Why there is no database at `path`.
fn unusable(path: &Path, error: DatabaseError) -> LedgerError {
    match error {
        DatabaseError::DatabaseAlreadyOpen => LedgerError::Locked(path.into()),
        DatabaseError::Storage(redb::StorageError::Io(error))
            if error.kind() != ErrorKind::InvalidData =>
        {
            LedgerError::Storage {
                path: path.into(),
                problem: error.to_string(),
            }
        }
        other => LedgerError::Corrupt {
            path: path.into(),
            problem: other.to_string(),
        },
    }
}

/// The file behind both ledgers.
struct Store {
    path: PathBuf,
    database: Database,
}

impl Store {
    /// Opens the file at `path`, which is made if it is not there.
    fn open(path: &Path, owner: &Owner) -> Result<Arc<Self>, LedgerError> {
        Ledger::check_folder(path)?;
        let made = match is_there(path)? {
            true => None,
            false => Self::make(path, owner)?,
        };
        let store = match made {
            Some(store) => store,
            None => Self::open_file(path, owner)?,
        };
        store.keep_private()?;
        Ok(Arc::new(store))
    }

    /// Opens the file that is there. One that has nothing in it held what was promised once, and is not taken for a new one.
    fn open_file(path: &Path, owner: &Owner) -> Result<Self, LedgerError> {
        let found = fs::metadata(path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => LedgerError::Away(path.into()),
            _ => unusable(path, redb::StorageError::Io(error).into()),
        })?;
        if found.len() == 0 {
            return Err(LedgerError::Empty(path.into()));
        }
        let database = Database::open(path).map_err(|error| unusable(path, error))?;
        let store = Self {
            path: path.into(),
            database,
        };
        store.claim(owner)?;
        Ok(store)
    }

    /// Makes the file, none if another process was faster. It is made under another name, so that it is there whole
    /// or not at all: on a full disk what is left of it would be taken for a broken ledger later.
    fn make(path: &Path, owner: &Owner) -> Result<Option<Self>, LedgerError> {
        let storage = |error: std::io::Error| unusable(path, redb::StorageError::Io(error).into());
        let mut name = path.as_os_str().to_owned();
        name.push(".new");
        let draft = PathBuf::from(name);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(MODE)
            .open(&draft)
            .map_err(storage)?;
        // Whoever makes one at this moment holds the lock, and holds it on under the file's own name.
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => LedgerError::Locked(path.into()),
            TryLockError::Error(error) => storage(error),
        })?;
        let made = match is_there(path) {
            Ok(true) => Ok(None),
            Ok(false) => Self::make_as(&draft, file, path, owner).map(Some),
            Err(error) => Err(error),
        };
        if !matches!(made, Ok(Some(_))) {
            let _ = fs::remove_file(&draft);
        }
        made
    }

    /// Makes the file as this draft, then gives it its name.
    fn make_as(draft: &Path, file: File, path: &Path, owner: &Owner) -> Result<Self, LedgerError> {
        let storage = |error: std::io::Error| unusable(path, redb::StorageError::Io(error).into());
        // What a process left that was killed.
        file.set_len(0).map_err(storage)?;
        let database = redb::Builder::new()
            .create_file(file)
            .map_err(|error| unusable(path, error))?;
        let store = Self {
            path: path.into(),
            database,
        };
        store.claim(owner)?;
        fs::rename(draft, path).map_err(storage)?;
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let folder = File::open(folder).and_then(|folder| folder.sync_all());
        folder.map_err(storage)?;
        Ok(store)
    }

    /// Makes sure that nobody else can read the file: once all could.
    fn keep_private(&self) -> Result<(), LedgerError> {
        let found = fs::metadata(&self.path).map_err(|e| self.storage(e))?;
        if found.permissions().mode() & 0o777 == MODE {
            return Ok(());
        }
        let private = fs::Permissions::from_mode(MODE);
        fs::set_permissions(&self.path, private).map_err(|e| self.storage(e))
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

    fn read(&self) -> Result<ReadTransaction, LedgerError> {
        self.database.begin_read().map_err(|e| self.storage(e))
    }

    /// Changes the file by `change`, all of it or nothing. When this returns, it is on disk.
    fn write(
        &self,
        change: impl FnOnce(&WriteTransaction) -> Result<(), LedgerError>,
    ) -> Result<(), LedgerError> {
        let write = self.database.begin_write().map_err(|e| self.storage(e))?;
        change(&write)?;
        write.commit().map_err(|e| self.storage(e))
    }

    /// Makes sure that the file is `owner`'s; a new one becomes it.
    fn claim(&self, owner: &Owner) -> Result<(), LedgerError> {
        self.write(|write| {
            let mut meta = write.open_table(META).map_err(|e| self.corrupt(e))?;
            let found = meta
                .get(OWNER)
                .map_err(|e| self.storage(e))?
                .map(|value| value.value().to_vec());
            match found {
                None => meta
                    .insert(OWNER, owner.encode().as_slice())
                    .map(drop)
                    .map_err(|e| self.storage(e)),
                Some(found) if found == owner.encode() => Ok(()),
                Some(_) => Err(LedgerError::Foreign(self.path.clone())),
            }
        })
    }
}
