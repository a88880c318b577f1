//! What the gateway must not forget: its channels with their keys, what was signed in them, the answers
//! with their receipts, and what was spent on what. Everything is on disk before anybody else sees it.

mod backup;
mod file;
mod records;

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
};

use assay_channel::record::PayerRecord;
use assay_primitives::{Balance, ChannelId, ModelRoot};
use codec::{Decode, DecodeAll, Encode};
use redb::{
    Database, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction,
};
use tokio::sync::watch;

pub use self::records::{Channel, Fragment, Opening, Owner, Spending, Stage, TopUp, RESTORED};

type Table = TableDefinition<'static, &'static [u8], &'static [u8]>;

const META: Table = TableDefinition::new("meta");
const OPENINGS: Table = TableDefinition::new("openings");
const CHANNELS: Table = TableDefinition::new("channels");
/// What a channel's `Payer` consists of, under the channel's id and the record's key.
const RECORDS: Table = TableDefinition::new("records");
/// Answers with their receipts, as the JSON that `assay verify` reads, under channel and number.
const ANSWERS: Table = TableDefinition::new("answers");
/// The keys of answers, in the order in which they came.
const ORDER: Table = TableDefinition::new("order");
const SPENDING: Table = TableDefinition::new("spending");
/// What was sent with requests whose books are open, so that they can be sent again.
const BODIES: Table = TableDefinition::new("bodies");
/// What came of answers that broke off, as long as their bodies are kept.
const FRAGMENTS: Table = TableDefinition::new("fragments");
/// Roots of models, by hashes of the names that meant them first.
const NAMES: Table = TableDefinition::new("names");
/// In the order of a backup, to which new ones are only added.
const TABLES: [Table; 10] = [
    META, OPENINGS, CHANNELS, RECORDS, ANSWERS, ORDER, SPENDING, BODIES, FRAGMENTS, NAMES,
];

const OWNER: &[u8] = b"owner";

/// Requests that are deleted with one write.
const FORGOTTEN: usize = 1_000;

/// Answers that are kept; the oldest go first.
const ANSWERS_KEPT: u64 = 10_000;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("{}: {problem}; {next}", path.display())]
    File {
        path: PathBuf,
        problem: String,
        /// What can be done.
        next: &'static str,
    },
    #[error("{} is in use by another gateway; stop that one first, or choose another --data", .0.display())]
    Locked(PathBuf),
    #[error("{} belongs to another account or another chain; choose another --data", .0.display())]
    Foreign(PathBuf),
    #[error("{} is there already; restore into a --data that is empty", .0.display())]
    Exists(PathBuf),
    #[error(
        "{} is empty, so what it held is lost, or a first start of an older version was cut: remove it, and restore a backup \
         with `assay gateway restore FILE`, or begin anew if there never was money in it; what is left in old channels comes \
         back without the file, by `assay channel close CHANNEL` for each that `assay channel list` shows",
        .0.display()
    )]
    Empty(PathBuf),
    #[error("{} exists already; name a new file", .0.display())]
    BackupExists(PathBuf),
    #[error("{} is no backup of a gateway", .0.display())]
    NoBackup(PathBuf),
    #[error("{} is damaged or cut short, its checksum does not match; take another copy of the backup", .0.display())]
    Damaged(PathBuf),
    #[error(
        "the gateway's store cannot be used: {0}; see that its disk is in order and has room, and start the gateway again"
    )]
    Database(String),
    /// The disk has failed, and the store is of no more use to this process.
    #[error("{0}")]
    Failed(String),
    #[error(
        "{} cannot be opened: {problem}; if its disk is in order, the file is damaged or no gateway's store: restore a backup \
         into another --data, or begin there anew; what is left in the old channels comes back without the file, by \
         `assay channel close CHANNEL` for each that `assay channel list` shows",
        path.display()
    )]
    Unreadable { path: PathBuf, problem: String },
    #[error(
        "{} has a record of {what} that this version cannot read; use the version that wrote it, or begin with another \
         --data: what is left in the old channels comes back without the file, by `assay channel close CHANNEL` for each \
         that `assay channel list` shows",
        path.display()
    )]
    Record { path: PathBuf, what: &'static str },
}

impl StoreError {
    /// What the system says of a file.
    fn file(path: &Path, error: &io::Error) -> Self {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        Self::File {
            path: path.into(),
            problem: error.to_string(),
            next: match error.kind() {
                StorageFull | QuotaExceeded | FileTooLarge => "make room, and try again",
                _ => PATH,
            },
        }
    }
}

/// What to do about most files that cannot be used.
const PATH: &str = "check the path and its permissions";

/// Any of redb's errors.
fn broken(error: impl Into<redb::Error>) -> StoreError {
    StoreError::Database(error.into().to_string())
}

pub struct Store {
    database: Database,
    folder: PathBuf,
    /// The database's file in it.
    path: PathBuf,
    /// How many answers are kept.
    answers: u64,
    /// Why nothing can be read or written any more until the file is opened again.
    failure: watch::Sender<Option<String>>,
}

impl Store {
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Why the store is of no more use to this process, with its file; none as long as it is.
    pub fn failure(&self) -> Option<String> {
        self.failure.borrow().clone()
    }

    /// Until the store is of no more use to this process.
    pub(crate) async fn failed(&self) {
        let mut failure = self.failure.subscribe();
        let _ = failure.wait_for(Option::is_some).await;
    }

    /// An error of redb's, at the beginning or the end of what is done. After one of the disk it does nothing more with a
    /// file: what is there is whole, and whoever opens it again goes on from it.
    fn broken(&self, error: impl Into<redb::Error>) -> StoreError {
        let error = error.into();
        let why = match &error {
            redb::Error::Io(_) => error.to_string(),
            // Its own words are for whoever writes programs.
            redb::Error::PreviousIo => {
                "an earlier read or write failed, as on a full disk, and the log may say more"
                    .into()
            }
            _ => return broken(error),
        };
        self.failure.send_if_modified(|failure| {
            let is_first = failure.is_none();
            if is_first {
                let path = self.path.display();
                tracing::error!(
                    target: "assay_gateway", file = %path, %error,
                    "the store cannot be used any more, so the gateway ends"
                );
                *failure = Some(format!(
                    "{path} cannot be used: {why}; see that its disk is in order and has room, and start the \
                     gateway again: nothing is lost that was paid for"
                ));
            }
            is_first
        });
        StoreError::Failed(self.failure().unwrap_or(why))
    }

    fn decode<T: Decode>(&self, what: &'static str, bytes: &[u8]) -> Result<T, StoreError> {
        let unreadable = |_| StoreError::Record {
            path: self.path.clone(),
            what,
        };
        T::decode_all(&mut &bytes[..]).map_err(unreadable)
    }

    fn read(&self) -> Result<ReadTransaction, StoreError> {
        self.database
            .begin_read()
            .map_err(|error| self.broken(error))
    }

    fn begin_write(&self) -> Result<WriteTransaction, StoreError> {
        let begun = self.database.begin_write();
        begun.map_err(|error| self.broken(error))
    }

    fn commit(&self, write: WriteTransaction) -> Result<(), StoreError> {
        write.commit().map_err(|error| self.broken(error))
    }

    fn put(&self, table: Table, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        let write = self.begin_write()?;
        write
            .open_table(table)
            .map_err(broken)?
            .insert(key, value)
            .map_err(broken)?;
        self.commit(write)
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
        self.all(OPENINGS, |_, value| self.decode("an opening", value))
    }

    /// About to ask for a channel.
    pub fn put_opening(&self, opening: &Opening) -> Result<(), StoreError> {
        self.put(OPENINGS, &opening.seed, &opening.encode())
    }

    /// It did not come about, and cannot any more.
    pub fn drop_opening(&self, seed: &[u8; 32]) -> Result<(), StoreError> {
        let write = self.begin_write()?;
        write
            .open_table(OPENINGS)
            .map_err(broken)?
            .remove(&seed[..])
            .map_err(broken)?;
        self.commit(write)
    }

    pub fn channels(&self) -> Result<Vec<(ChannelId, Channel)>, StoreError> {
        self.all(CHANNELS, |key, value| {
            let id = self.decode("a channel's id", key)?;
            Ok((id, self.decode("a channel", value)?))
        })
    }

    /// Writes a channel down. It takes the place of the opening with the same key.
    pub fn put_channel(&self, id: &ChannelId, channel: &Channel) -> Result<(), StoreError> {
        let write = self.begin_write()?;
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
        self.commit(write)
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
            records.push(self.decode("a channel's payments", value.value())?);
        }
        Ok(records)
    }

    /// Writes records of a channel's payer, all or none.
    pub fn put_records(&self, id: &ChannelId, records: &[PayerRecord]) -> Result<(), StoreError> {
        self.put_order(id, records, &[])
    }

    /// About to send requests: their records, and by number the bodies that go with them.
    /// [`put_answer`](Self::put_answer) drops a body.
    pub fn put_order(
        &self,
        id: &ChannelId,
        records: &[PayerRecord],
        bodies: &[(u64, String)],
    ) -> Result<(), StoreError> {
        if records.is_empty() && bodies.is_empty() {
            return Ok(());
        }
        let write = self.begin_write()?;
        {
            let mut table = write.open_table(RECORDS).map_err(broken)?;
            for record in records {
                let key = [&id.0[..], &record.key()[..]].concat();
                let encoded = record.encode();
                table.insert(&key[..], &encoded[..]).map_err(broken)?;
            }
        }
        if !bodies.is_empty() {
            let mut table = write.open_table(BODIES).map_err(broken)?;
            for (seq, body) in bodies {
                let key = answer_key(id, *seq);
                table.insert(&key[..], body.as_bytes()).map_err(broken)?;
            }
        }
        self.commit(write)
    }

    /// Deletes what is left of a channel's requests below a number, some of them at a time: their payer has forgotten
    /// them.
    pub fn forget_requests(&self, id: &ChannelId, below: u64) -> Result<(), StoreError> {
        let doomed = {
            let read = self.read()?;
            let doomed = |table: Table, key: fn(&ChannelId, u64) -> Vec<u8>| {
                let table = read.open_table(table).map_err(broken)?;
                let rows = table.range(&key(id, 0)[..]..&key(id, below)[..]);
                let rows = rows.map_err(broken)?.take(FORGOTTEN);
                let keys = rows.map(|row| Ok(row.map_err(broken)?.0.value().to_vec()));
                keys.collect::<Result<Vec<_>, StoreError>>()
            };
            [
                (RECORDS, doomed(RECORDS, request_key)?),
                (BODIES, doomed(BODIES, answer_key)?),
                (FRAGMENTS, doomed(FRAGMENTS, answer_key)?),
            ]
        };
        if doomed.iter().all(|(_, keys)| keys.is_empty()) {
            return Ok(());
        }
        let write = self.begin_write()?;
        for (table, keys) in doomed {
            let mut table = write.open_table(table).map_err(broken)?;
            for key in keys {
                table.remove(&key[..]).map_err(broken)?;
            }
        }
        self.commit(write)
    }

    /// The number below which all receipts of a channel were anchored before this block, as far as
    /// [`forget_requests`](Self::forget_requests) goes at a time.
    pub fn anchored_before(&self, id: &ChannelId, block: u32) -> Result<u64, StoreError> {
        let read = self.read()?;
        let table = read.open_table(RECORDS).map_err(broken)?;
        let rows = table.range(&request_key(id, 0)[..]..=&request_key(id, u64::MAX)[..]);
        let mut below = 0;
        for row in rows.map_err(broken)?.take(FORGOTTEN) {
            let (_, row) = row.map_err(broken)?;
            let record = self.decode("a channel's payments", row.value())?;
            let PayerRecord::Request(request) = record else {
                break;
            };
            let signed = request.receipt.as_ref();
            if signed.is_some_and(|signed| signed.receipt.anchor.number >= block) {
                break;
            }
            below = request.seq.saturating_add(1);
        }
        Ok(below)
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
        let write = self.begin_write()?;
        for table in [BODIES, FRAGMENTS] {
            let mut table = write.open_table(table).map_err(broken)?;
            table.remove(&key[..]).map_err(broken)?;
        }
        {
            let mut answers = write.open_table(ANSWERS).map_err(broken)?;
            let before = answers.get(&key[..]).map_err(broken)?;
            let before = before.map(|before| before.value().to_vec());
            let known = before.is_some();
            // What came with its tokens stays.
            let answer = match before {
                Some(before) if answer.is_empty() => before,
                _ => answer.to_vec(),
            };
            answers.insert(&key[..], &answer[..]).map_err(broken)?;
            if !known {
                let mut spending = write.open_table(SPENDING).map_err(broken)?;
                let before = match spending.get(model.as_bytes()).map_err(broken)? {
                    Some(bytes) => self.decode("the spending", bytes.value())?,
                    None => Spending::default(),
                };
                let after = before.plus(cost).encode();
                spending
                    .insert(model.as_bytes(), &after[..])
                    .map_err(broken)?;
            }
            let mut order = write.open_table(ORDER).map_err(broken)?;
            if !known {
                let last = order.last().map_err(broken)?;
                let last = last.map(|(number, _)| decode_number(number.value()));
                let next = last.map_or(0, |last| last.saturating_add(1));
                order
                    .insert(&next.to_be_bytes()[..], &key[..])
                    .map_err(broken)?;
            }
            let mut count = redb::ReadableTableMetadata::len(&answers).map_err(broken)?;
            while count > self.answers {
                let Some((_, oldest)) = order.pop_first().map_err(broken)? else {
                    break;
                };
                answers.remove(oldest.value()).map_err(broken)?;
                count = count.saturating_sub(1);
            }
        }
        self.commit(write)
    }

    /// The body of a request whose books are open.
    pub fn body(&self, id: &ChannelId, seq: u64) -> Result<Option<Vec<u8>>, StoreError> {
        self.value(BODIES, &answer_key(id, seq))
    }

    /// The requests of a channel whose bodies are kept, since [`put_answer`](Self::put_answer) was not told of them.
    pub fn with_bodies(&self, id: &ChannelId) -> Result<Vec<u64>, StoreError> {
        let read = self.read()?;
        let table = read.open_table(BODIES).map_err(broken)?;
        let rows = table.range(&answer_key(id, 0)[..]..=&answer_key(id, u64::MAX)[..]);
        let seqs = rows.map_err(broken)?.map(|row| {
            let (key, _) = row.map_err(broken)?;
            let seq = key.value().get(id.0.len()..).unwrap_or_default();
            Ok(decode_number(seq))
        });
        seqs.collect()
    }

    /// Keeps what came of an answer that broke off. [`put_answer`](Self::put_answer) drops it.
    pub fn put_fragment(
        &self,
        id: &ChannelId,
        seq: u64,
        fragment: &Fragment,
    ) -> Result<(), StoreError> {
        self.put(FRAGMENTS, &answer_key(id, seq), &fragment.encode())
    }

    /// What came of an answer that broke off.
    pub fn fragment(&self, id: &ChannelId, seq: u64) -> Result<Option<Fragment>, StoreError> {
        let fragment = self.value(FRAGMENTS, &answer_key(id, seq))?;
        let fragment = fragment.map(|bytes| self.decode("a part of an answer", &bytes));
        fragment.transpose()
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
            Ok((model, self.decode("the spending", value)?))
        })
    }

    /// What names of models meant first.
    pub fn names(&self) -> Result<HashMap<[u8; 32], ModelRoot>, StoreError> {
        let names = self.all(NAMES, |key, value| {
            let name = self.decode("a model's name", key)?;
            Ok((name, self.decode("a model's root", value)?))
        });
        Ok(names?.into_iter().collect())
    }

    /// From now on this name means this model.
    pub fn put_name(&self, name: &[u8; 32], root: &ModelRoot) -> Result<(), StoreError> {
        self.put(NAMES, &name[..], &root.encode())
    }

    /// What the channels take of the budget, those included that are only asked for.
    pub fn committed(&self) -> Result<Balance, StoreError> {
        let channels = self.channels()?.into_iter();
        let channels = channels.map(|(_, channel)| channel.committed());
        let openings = self.openings()?.into_iter().map(|opening| opening.deposit);
        Ok(channels.chain(openings).fold(0, Balance::saturating_add))
    }
}

/// A number that was written big-endian.
fn decode_number(bytes: &[u8]) -> u64 {
    bytes.try_into().map_or(0, u64::from_be_bytes)
}

fn request_key(id: &ChannelId, seq: u64) -> Vec<u8> {
    [&id.0[..], &PayerRecord::request_key(seq)[..]].concat()
}

fn answer_key(id: &ChannelId, seq: u64) -> Vec<u8> {
    [&id.0[..], &seq.to_be_bytes()].concat()
}

#[cfg(test)]
mod tests;
