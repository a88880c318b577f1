//! What the worker must not forget, in one file: on disk before anything that follows from it leaves
//! the machine.
//!
//! * [`Ledger`] has one record for each duty: a job that the chain assigned.
//! * [`ChannelLedger`] has what was promised and served in each payment channel.

use std::{
    io::ErrorKind,
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

/// The file behind both ledgers.
struct Store {
    path: PathBuf,
    database: Database,
}

impl Store {
    /// Opens the file at `path`, which is made if it is not there.
    fn open(path: &Path, owner: &Owner) -> Result<Arc<Self>, LedgerError> {
        let storage = |error: &dyn std::fmt::Display| LedgerError::Storage {
            path: path.into(),
            problem: error.to_string(),
        };
        Ledger::check_folder(path)?;
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
        let store = Self {
            path: path.into(),
            database,
        };
        store.claim(owner)?;
        Ok(Arc::new(store))
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
