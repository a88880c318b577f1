//! A store as one file, and the store that is made of it.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use assay_primitives::blake2_256;
use codec::{DecodeAll, Encode};

use super::{broken, file::FILE, Channel, Opening, Store, StoreError, RESTORED, TABLES};

/// Key and value.
type Row = (Vec<u8>, Vec<u8>);

/// What a backup begins with. Its tables follow, and last the BLAKE2b-256 hash of all before it.
pub(super) const BACKUP: &[u8] = b"assay gateway backup v1\n";

impl Store {
    /// Writes everything, keys included, into a new file that only this user can read.
    pub fn backup(folder: &Path, to: &Path) -> Result<(), StoreError> {
        let store = Self::found(folder)?;
        let tables: Result<Vec<Vec<Row>>, StoreError> = TABLES
            .into_iter()
            .map(|table| store.all(table, |key, value| Ok((key.to_vec(), value.to_vec()))))
            .collect();
        let mut content = [BACKUP, &tables?.encode()].concat();
        content.extend(blake2_256(&content));
        write_new(to, |file| file.write_all(&content))
    }

    /// Makes the store in `folder`, where none may be, from a backup. What was signed since the backup is
    /// not in it, so nothing more is bought through its channels: they can be closed, and what is left in
    /// them comes back.
    pub fn restore(folder: &Path, from: &Path) -> Result<(), StoreError> {
        let mut content = Vec::new();
        let read = File::open(from).and_then(|mut file| file.read_to_end(&mut content));
        read.map_err(|error| StoreError::file(from, &error))?;
        let no_backup = || StoreError::NoBackup(from.into());
        if !content.starts_with(BACKUP) {
            return Err(no_backup());
        }
        let damaged = || StoreError::Damaged(from.into());
        let (all, hash) = content.split_last_chunk().ok_or_else(damaged)?;
        let tables = all.strip_prefix(BACKUP).ok_or_else(damaged)?;
        if *hash != blake2_256(all) {
            return Err(damaged());
        }
        let tables: Vec<Vec<Row>> =
            DecodeAll::decode_all(&mut &tables[..]).map_err(|_| no_backup())?;
        // One from before a table was added has fewer.
        if tables.len() > TABLES.len() {
            return Err(no_backup());
        }
        // Until it is whole it is not there under its name: one with channels that are not marked would be bought with.
        let made = Self::make(folder, |store| store.take_old(&tables))?;
        match made {
            Some(_) => Ok(()),
            None => Err(StoreError::Exists(folder.join(FILE))),
        }
    }

    /// Takes over what a backup holds, and marks all channels in it.
    fn take_old(&self, tables: &[Vec<Row>]) -> Result<(), StoreError> {
        let write = self.begin_write()?;
        for (table, entries) in TABLES.into_iter().zip(tables) {
            let mut table = write.open_table(table).map_err(broken)?;
            for (key, value) in entries {
                table.insert(&key[..], &value[..]).map_err(broken)?;
            }
        }
        self.commit(write)?;
        for (id, channel) in self.channels()? {
            let retired = Some(RESTORED.to_owned());
            self.put_channel(&id, &Channel { retired, ..channel })?;
        }
        for opening in self.openings()? {
            self.put_opening(&Opening {
                restored: true,
                ..opening
            })?;
        }
        Ok(())
    }
}

/// Makes a file that only this user can read, and that is not there yet. Where `write` does not get to its end nothing is
/// left of it, so that the same name can be given again.
pub(super) fn write_new(
    to: &Path,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> Result<(), StoreError> {
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(to);
    let mut file = file.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => StoreError::BackupExists(to.into()),
        _ => StoreError::file(to, &error),
    })?;
    let written = write(&mut file).and_then(|()| file.sync_all());
    written.map_err(|error| {
        let _ = fs::remove_file(to);
        StoreError::file(to, &error)
    })
}
