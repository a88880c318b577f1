//! What the gateway must not forget: its channels with their keys, what was signed in them, the answers
//! with their receipts, and what was spent on what. Everything is on disk before anybody else sees it.

use std::{
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use assay_channel::record::PayerRecord;
use assay_client::H256;
use assay_primitives::{blake2_256, Balance, ChannelId, ListingId};
use codec::{Decode, DecodeAll, Encode};
use redb::{
    Database, DatabaseError, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition,
};

const FILE: &str = "gateway.redb";

type Table = TableDefinition<'static, &'static [u8], &'static [u8]>;

const META: Table = TableDefinition::new("meta");
const OPENINGS: Table = TableDefinition::new("openings");
const CHANNELS: Table = TableDefinition::new("channels");
/// What a channel's `Payer` consists of, under the channel's id and the record's key.
const RECORDS: Table = TableDefinition::new("records");
/// Answers with their receipts, as the JSON that `assay verify` reads, under channel and number.
const ANSWERS: Table = TableDefinition::new("answers");
const SPENDING: Table = TableDefinition::new("spending");
/// What was sent with requests whose books are open, so that they can be sent again.
const BODIES: Table = TableDefinition::new("bodies");
/// Key and value.
type Row = (Vec<u8>, Vec<u8>);

const TABLES: [Table; 7] = [META, OPENINGS, CHANNELS, RECORDS, ANSWERS, SPENDING, BODIES];

const OWNER: &[u8] = b"owner";

/// Answers that are kept; the oldest go first.
const ANSWERS_KEPT: usize = 10_000;

/// What a backup begins with. Its tables follow, and last the BLAKE2b-256 hash of all before it.
const BACKUP: &[u8] = b"assay gateway backup v1\n";

/// Why a channel that comes from a backup is used no more.
pub const RESTORED: &str = "it was restored from a backup";

/// Whose store this is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Owner {
    pub genesis: H256,
    pub account: [u8; 32],
}

/// A channel that is asked for and not seen yet. Its deposit counts against the budget from the moment
/// before it is sent.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Opening {
    /// Of the voucher key, sr25519.
    pub seed: [u8; 32],
    pub provider: [u8; 32],
    pub epoch: u32,
    pub listing: ListingId,
    /// The model that is bought through it, by the name that clients give it.
    pub model: String,
    pub deposit: Balance,
    /// The finalized block before it was sent.
    pub since: u32,
    /// It comes from a backup, and what was signed since is not known.
    pub restored: bool,
}

/// A channel.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Channel {
    /// Of the voucher key, sr25519.
    pub seed: [u8; 32],
    pub provider: [u8; 32],
    pub epoch: u32,
    pub listing: ListingId,
    /// The model that is bought through it, by the name that clients give it.
    pub model: String,
    /// All that is in it for sure, in planck.
    pub deposit: Balance,
    /// What is on its way into it.
    pub top_up: Option<TopUp>,
    /// What the provider has got of it on chain.
    pub settled: Balance,
    pub stage: Stage,
    /// Why nothing more is bought through it; none while it may be.
    pub retired: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct TopUp {
    pub amount: Balance,
    /// The finalized block before it was sent.
    pub since: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub enum Stage {
    Open,
    /// From this block on the rest can be had back.
    Closing(u32),
    /// The rest came back.
    Closed,
}

impl Channel {
    /// What it takes of the budget: what is or may be in it, less what came back.
    pub fn committed(&self) -> Balance {
        let coming = self.top_up.as_ref().map_or(0, |top_up| top_up.amount);
        match self.stage {
            Stage::Closed => self.settled,
            Stage::Open | Stage::Closing(_) => self.deposit.saturating_add(coming),
        }
    }

    /// Whether it comes from a backup, so that what was signed since is not known.
    pub fn is_restored(&self) -> bool {
        self.retired.as_deref() == Some(RESTORED)
    }

    /// What came back, in planck.
    pub fn refunded(&self) -> Balance {
        match self.stage {
            Stage::Closed => self.deposit.saturating_sub(self.settled),
            Stage::Open | Stage::Closing(_) => 0,
        }
    }
}

/// What was bought of a model.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Encode, Decode)]
pub struct Spending {
    pub requests: u64,
    pub prompt_tokens: u64,
    pub output_tokens: u64,
    /// Planck.
    pub fees: Balance,
}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("{}: {problem}; check the path and its permissions", path.display())]
    File { path: PathBuf, problem: String },
    #[error("{} is in use by another gateway; stop that one first, or choose another --data", .0.display())]
    Locked(PathBuf),
    #[error("{} belongs to another account or another chain; choose another --data", .0.display())]
    Foreign(PathBuf),
    #[error("{} is there already; restore into a --data that is empty", .0.display())]
    Exists(PathBuf),
    #[error("{} exists already; name a new file", .0.display())]
    BackupExists(PathBuf),
    #[error("{} is no backup of a gateway", .0.display())]
    NoBackup(PathBuf),
    #[error("{} is damaged or cut short, its checksum does not match; take another copy of the backup", .0.display())]
    Damaged(PathBuf),
    #[error("the gateway's store cannot be used: {0}; look at the disk")]
    Database(String),
    #[error("the gateway's store has a record of {0} that it cannot read; restore a backup")]
    Record(&'static str),
}

/// Any of redb's errors.
fn broken(error: impl Into<redb::Error>) -> StoreError {
    StoreError::Database(error.into().to_string())
}

pub struct Store {
    database: Database,
    folder: PathBuf,
}

impl Store {
    /// Opens the store in `folder`, which is made if it is not there: for this user alone, since it holds
    /// keys. Another owner's is refused.
    pub fn open(folder: &Path, owner: &Owner) -> Result<Self, StoreError> {
        let store = Self::open_any(folder)?;
        match store.owner()? {
            Some(found) if found == *owner => {}
            Some(_) => return Err(StoreError::Foreign(folder.into())),
            None => store.put(META, OWNER, &owner.encode())?,
        }
        Ok(store)
    }

    fn open_any(folder: &Path) -> Result<Self, StoreError> {
        let unusable = |path: &Path, error: std::io::Error| StoreError::File {
            path: path.into(),
            problem: error.to_string(),
        };
        if !folder.exists() {
            let made = fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder);
            made.map_err(|error| unusable(folder, error))?;
        }
        let path = folder.join(FILE);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path);
        let file = file.map_err(|error| unusable(&path, error))?;
        let private = fs::Permissions::from_mode(0o600);
        file.set_permissions(private)
            .map_err(|error| unusable(&path, error))?;
        drop(file);
        let database = Database::create(&path).map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => StoreError::Locked(folder.into()),
            other => broken(other),
        })?;
        let write = database.begin_write().map_err(broken)?;
        for table in TABLES {
            write.open_table(table).map_err(broken)?;
        }
        write.commit().map_err(broken)?;
        Ok(Self {
            database,
            folder: folder.into(),
        })
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whose it is; none of one that was just made.
    fn owner(&self) -> Result<Option<Owner>, StoreError> {
        let read = self.read()?;
        let table = read.open_table(META).map_err(broken)?;
        let owner = table.get(OWNER).map_err(broken)?;
        owner
            .map(|bytes| decode("the owner", bytes.value()))
            .transpose()
    }

    fn read(&self) -> Result<ReadTransaction, StoreError> {
        self.database.begin_read().map_err(broken)
    }

    fn put(&self, table: Table, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        let write = self.database.begin_write().map_err(broken)?;
        write
            .open_table(table)
            .map_err(broken)?
            .insert(key, value)
            .map_err(broken)?;
        write.commit().map_err(broken)
    }

    fn value(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let read = self.read()?;
        let table = read.open_table(table).map_err(broken)?;
        let value = table.get(key).map_err(broken)?;
        Ok(value.map(|bytes| bytes.value().to_vec()))
    }

    fn all<T>(
        &self,
        table: Table,
        read: impl Fn(&[u8], &[u8]) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let transaction = self.read()?;
        let table = transaction.open_table(table).map_err(broken)?;
        let entries = table.iter().map_err(broken)?;
        entries
            .map(|entry| {
                let (key, value) = entry.map_err(broken)?;
                read(key.value(), value.value())
            })
            .collect()
    }

    /// Channels that are asked for and not seen yet.
    pub fn openings(&self) -> Result<Vec<Opening>, StoreError> {
        self.all(OPENINGS, |_, value| decode("an opening", value))
    }

    /// About to ask for a channel.
    pub fn put_opening(&self, opening: &Opening) -> Result<(), StoreError> {
        self.put(OPENINGS, &opening.seed, &opening.encode())
    }

    /// It did not come about, and cannot any more.
    pub fn drop_opening(&self, seed: &[u8; 32]) -> Result<(), StoreError> {
        let write = self.database.begin_write().map_err(broken)?;
        write
            .open_table(OPENINGS)
            .map_err(broken)?
            .remove(&seed[..])
            .map_err(broken)?;
        write.commit().map_err(broken)
    }

    pub fn channels(&self) -> Result<Vec<(ChannelId, Channel)>, StoreError> {
        self.all(CHANNELS, |key, value| {
            let id = decode("a channel's id", key)?;
            Ok((id, decode("a channel", value)?))
        })
    }

    /// Writes a channel down. It takes the place of the opening with the same key.
    pub fn put_channel(&self, id: &ChannelId, channel: &Channel) -> Result<(), StoreError> {
        let write = self.database.begin_write().map_err(broken)?;
        write
            .open_table(CHANNELS)
            .map_err(broken)?
            .insert(&id.0[..], &channel.encode()[..])
            .map_err(broken)?;
        write
            .open_table(OPENINGS)
            .map_err(broken)?
            .remove(&channel.seed[..])
            .map_err(broken)?;
        write.commit().map_err(broken)
    }

    /// What a channel's payer consists of.
    pub fn records(&self, id: &ChannelId) -> Result<Vec<PayerRecord>, StoreError> {
        let read = self.read()?;
        let table = read.open_table(RECORDS).map_err(broken)?;
        let all = table.range(&id.0[..]..).map_err(broken)?;
        let mut records = Vec::new();
        for entry in all {
            let (key, value) = entry.map_err(broken)?;
            if !key.value().starts_with(&id.0) {
                break;
            }
            records.push(decode("a channel's payments", value.value())?);
        }
        Ok(records)
    }

    /// Writes records of a channel's payer, all or none.
    pub fn put_records(&self, id: &ChannelId, records: &[PayerRecord]) -> Result<(), StoreError> {
        if records.is_empty() {
            return Ok(());
        }
        let write = self.database.begin_write().map_err(broken)?;
        {
            let mut table = write.open_table(RECORDS).map_err(broken)?;
            for record in records {
                let key = [&id.0[..], &record.key()[..]].concat();
                let encoded = record.encode();
                table.insert(&key[..], &encoded[..]).map_err(broken)?;
            }
        }
        write.commit().map_err(broken)
    }

    /// Keeps an answer, the JSON of its receipt (nothing where its tokens are not all there), and counts
    /// what it cost. Counted once, however often it is put.
    pub fn put_answer(
        &self,
        id: &ChannelId,
        seq: u64,
        model: &str,
        answer: &[u8],
        cost: &Spending,
    ) -> Result<(), StoreError> {
        let key = answer_key(id, seq);
        let write = self.database.begin_write().map_err(broken)?;
        write
            .open_table(BODIES)
            .map_err(broken)?
            .remove(&key[..])
            .map_err(broken)?;
        {
            let mut answers = write.open_table(ANSWERS).map_err(broken)?;
            let known = answers.insert(&key[..], answer).map_err(broken)?.is_some();
            if !known {
                let mut spending = write.open_table(SPENDING).map_err(broken)?;
                let before = match spending.get(model.as_bytes()).map_err(broken)? {
                    Some(bytes) => decode("the spending", bytes.value())?,
                    None => Spending::default(),
                };
                let after = before.plus(cost).encode();
                spending
                    .insert(model.as_bytes(), &after[..])
                    .map_err(broken)?;
            }
            let mut count = redb::ReadableTableMetadata::len(&answers).map_err(broken)?;
            while count > ANSWERS_KEPT as u64 {
                answers.pop_first().map_err(broken)?;
                count = count.saturating_sub(1);
            }
        }
        write.commit().map_err(broken)
    }

    /// About to send a request with this body. [`put_answer`](Self::put_answer) drops it.
    pub fn put_body(&self, id: &ChannelId, seq: u64, body: &[u8]) -> Result<(), StoreError> {
        self.put(BODIES, &answer_key(id, seq), body)
    }

    /// The body of a request whose books are open.
    pub fn body(&self, id: &ChannelId, seq: u64) -> Result<Option<Vec<u8>>, StoreError> {
        self.value(BODIES, &answer_key(id, seq))
    }

    /// The JSON of an answer's receipt.
    pub fn answer(&self, id: &ChannelId, seq: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let answer = self.value(ANSWERS, &answer_key(id, seq))?;
        Ok(answer.filter(|json| !json.is_empty()))
    }

    /// What was bought, by model.
    pub fn spending(&self) -> Result<Vec<(String, Spending)>, StoreError> {
        self.all(SPENDING, |key, value| {
            let model = String::from_utf8_lossy(key).into_owned();
            Ok((model, decode("the spending", value)?))
        })
    }

    /// What the channels take of the budget, those included that are only asked for.
    pub fn committed(&self) -> Result<Balance, StoreError> {
        let channels = self.channels()?.into_iter();
        let channels = channels.map(|(_, channel)| channel.committed());
        let openings = self.openings()?.into_iter().map(|opening| opening.deposit);
        Ok(channels.chain(openings).fold(0, Balance::saturating_add))
    }

    /// Writes everything, keys included, into a new file that only this user can read.
    pub fn backup(folder: &Path, to: &Path) -> Result<(), StoreError> {
        let unusable = |error: std::io::Error| match error.kind() {
            ErrorKind::AlreadyExists => StoreError::BackupExists(to.into()),
            _ => StoreError::File {
                path: to.into(),
                problem: error.to_string(),
            },
        };
        if !folder.join(FILE).exists() {
            return Err(StoreError::File {
                path: folder.into(),
                problem: "holds no gateway's store".into(),
            });
        }
        let store = Self::open_any(folder)?;
        let tables: Result<Vec<Vec<Row>>, StoreError> = TABLES
            .into_iter()
            .map(|table| store.all(table, |key, value| Ok((key.to_vec(), value.to_vec()))))
            .collect();
        let mut content = [BACKUP, &tables?.encode()].concat();
        content.extend(blake2_256(&content));
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(to)
            .map_err(unusable)?;
        file.write_all(&content)
            .and_then(|()| file.sync_all())
            .map_err(unusable)
    }

    /// Makes the store in `folder`, where none may be, from a backup. What was signed since the backup is
    /// not in it, so nothing more is bought through its channels: they can be closed, and what is left in
    /// them comes back.
    pub fn restore(folder: &Path, from: &Path) -> Result<(), StoreError> {
        let mut content = Vec::new();
        let read = File::open(from).and_then(|mut file| file.read_to_end(&mut content));
        read.map_err(|error| StoreError::File {
            path: from.into(),
            problem: error.to_string(),
        })?;
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
        if tables.len() != TABLES.len() {
            return Err(no_backup());
        }
        match fs::metadata(folder.join(FILE)) {
            Ok(_) => return Err(StoreError::Exists(folder.join(FILE))),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => {
                return Err(StoreError::File {
                    path: folder.into(),
                    problem: error.to_string(),
                })
            }
        }
        let store = Self::open_any(folder)?;
        let write = store.database.begin_write().map_err(broken)?;
        for (table, entries) in TABLES.into_iter().zip(&tables) {
            let mut table = write.open_table(table).map_err(broken)?;
            for (key, value) in entries {
                table.insert(&key[..], &value[..]).map_err(broken)?;
            }
        }
        write.commit().map_err(broken)?;
        for (id, channel) in store.channels()? {
            let retired = Some(RESTORED.to_owned());
            store.put_channel(&id, &Channel { retired, ..channel })?;
        }
        for opening in store.openings()? {
            store.put_opening(&Opening {
                restored: true,
                ..opening
            })?;
        }
        Ok(())
    }
}

impl Spending {
    fn plus(&self, more: &Self) -> Self {
        Self {
            requests: self.requests.saturating_add(more.requests),
            prompt_tokens: self.prompt_tokens.saturating_add(more.prompt_tokens),
            output_tokens: self.output_tokens.saturating_add(more.output_tokens),
            fees: self.fees.saturating_add(more.fees),
        }
    }
}

fn answer_key(id: &ChannelId, seq: u64) -> Vec<u8> {
    [&id.0[..], &seq.to_be_bytes()].concat()
}

fn decode<T: Decode>(what: &'static str, bytes: &[u8]) -> Result<T, StoreError> {
    T::decode_all(&mut &bytes[..]).map_err(|_| StoreError::Record(what))
}

#[cfg(test)]
mod tests;
