//! The store's file, which gets its name when it is whole: one without what belongs in it held money once, and is never
//! taken for a new one.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::Path,
};

use codec::Encode;
use redb::{Database, ReadableDatabase, TableError};
use tokio::sync::watch;

use super::{Owner, Store, StoreError, ANSWERS_KEPT, META, OWNER, PATH, TABLES};

/// The store's name in its folder.
pub(super) const FILE: &str = "gateway.redb";

/// Its name while it is made.
const DRAFT: &str = "gateway.redb.new";

impl Store {
    /// Opens the store in `folder`, which is made if it is not there: for this user alone, since it holds
    /// keys. Another owner's is refused.
    pub fn open(folder: &Path, owner: &Owner) -> Result<Self, StoreError> {
        let made = match is_there(&folder.join(FILE))? {
            true => None,
            false => Self::make(folder, |store| store.put(META, OWNER, &owner.encode()))?,
        };
        let store = match made {
            Some(store) => store,
            None => Self::open_file(folder)?,
        };
        match store.owner()?.as_ref() == Some(owner) {
            true => Ok(store),
            false => Err(StoreError::Foreign(folder.into())),
        }
    }

    /// The store that is in `folder`, whoever owns it.
    pub fn found(folder: &Path) -> Result<Self, StoreError> {
        if !is_there(&folder.join(FILE))? {
            return Err(StoreError::File {
                path: folder.into(),
                problem: "holds no gateway's store".into(),
                next: PATH,
            });
        }
        Self::open_file(folder)
    }

    /// Makes the store in `folder`, with what `fill` puts into it; none if there is one already. It is made under another
    /// name, so that it is there whole or not at all: what a full disk leaves of it could not be told from one that lost
    /// what it held.
    pub(super) fn make(
        folder: &Path,
        fill: impl FnOnce(&Self) -> Result<(), StoreError>,
    ) -> Result<Option<Self>, StoreError> {
        let private = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        private.map_err(|error| StoreError::file(folder, &error))?;
        let (draft, path) = (folder.join(DRAFT), folder.join(FILE));
        let unusable = |error: io::Error| StoreError::file(&path, &error);
        let mut options = OpenOptions::new();
        let file = open_private(options.create(true).truncate(false), &draft).map_err(unusable)?;
        // Whoever makes one at this moment holds the lock, and holds it on under the file's own name.
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => StoreError::Locked(folder.into()),
            TryLockError::Error(error) => unusable(error),
        })?;
        let held = file.try_clone().map_err(unusable)?;
        let made = match is_there(&path) {
            Ok(false) => Self::make_as(&draft, file, folder, fill).map(Some),
            Ok(true) => Ok(None),
            Err(error) => Err(error),
        };
        if !matches!(made, Ok(Some(_))) {
            let _ = fs::remove_file(&draft);
        }
        // Until here the draft is nobody else's.
        drop(held);
        made
    }

    /// Makes it as this draft, then gives it its name.
    fn make_as(
        draft: &Path,
        file: File,
        folder: &Path,
        fill: impl FnOnce(&Self) -> Result<(), StoreError>,
    ) -> Result<Self, StoreError> {
        let path = folder.join(FILE);
        let unusable = |error: io::Error| StoreError::file(&path, &error);
        // What a process left that was killed.
        file.set_len(0).map_err(unusable)?;
        let database = redb::Builder::new().create_file(file);
        let database = database.map_err(|error| unreadable(folder, error.into()))?;
        let store = Self::of(database, folder)?;
        fill(&store)?;
        fs::rename(draft, &path)
            .and_then(|()| File::open(folder)?.sync_all())
            .map_err(unusable)?;
        Ok(store)
    }

    /// The store whose file is there.
    fn open_file(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join(FILE);
        let unusable = |error: io::Error| StoreError::file(&path, &error);
        let file = open_private(&mut OpenOptions::new(), &path).map_err(unusable)?;
        if file.metadata().map_err(unusable)?.len() == 0 {
            return Err(StoreError::Empty(path));
        }
        drop(file);
        let database = Database::open(&path).map_err(|error| unreadable(folder, error.into()))?;
        match owner_in(&database) {
            Ok(true) => Self::of(database, folder),
            Ok(false) => Err(StoreError::Unreadable {
                path,
                problem: "it does not say whose it is".into(),
            }),
            Err(error) => Err(unreadable(folder, error)),
        }
    }

    fn of(database: Database, folder: &Path) -> Result<Self, StoreError> {
        make_tables(&database).map_err(|error| unreadable(folder, error))?;
        Ok(Self {
            database,
            folder: folder.into(),
            path: folder.join(FILE),
            answers: ANSWERS_KEPT,
            failure: watch::Sender::new(None),
        })
    }

    /// Whose it is.
    fn owner(&self) -> Result<Option<Owner>, StoreError> {
        let owner = self.value(META, OWNER)?;
        let owner = owner.map(|bytes| self.decode("the owner", &bytes));
        owner.transpose()
    }
}

/// Whether anything has this name, if only a link to a disk that is not there.
fn is_there(path: &Path) -> Result<bool, StoreError> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(StoreError::file(path, &error)),
    }
}

/// Opens a file to read and write, which nobody else can from then on.
fn open_private(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let file = options.read(true).write(true).mode(0o600).open(path)?;
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    Ok(file)
}

/// Why the store in this folder cannot be opened, or made.
fn unreadable(folder: &Path, problem: redb::Error) -> StoreError {
    let path = folder.join(FILE);
    match problem {
        redb::Error::DatabaseAlreadyOpen => StoreError::Locked(folder.into()),
        redb::Error::Io(error) if error.raw_os_error().is_some() => StoreError::file(&path, &error),
        other => StoreError::Unreadable {
            path,
            problem: other.to_string(),
        },
    }
}

/// Whether a database is a store that was made whole: whose it is, is written into each.
fn owner_in(database: &Database) -> Result<bool, redb::Error> {
    let read = database.begin_read()?;
    match read.open_table(META) {
        Ok(meta) => Ok(meta.get(OWNER)?.is_some()),
        Err(TableError::TableDoesNotExist(_)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Makes the tables that are not there: one of an older version has fewer.
fn make_tables(database: &Database) -> Result<(), redb::Error> {
    let write = database.begin_write()?;
    for table in TABLES {
        write.open_table(table)?;
    }
    Ok(write.commit()?)
}
