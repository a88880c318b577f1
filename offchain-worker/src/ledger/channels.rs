//! What was promised and served in each payment channel: vouchers and headers before any work, receipts
//! before they are sent, and what a dispute about them would need.

use std::{collections::BTreeMap, sync::Arc};

use assay_channel::record::{PayeeRecord, PayeeRequest, RecordKey};
use assay_primitives::{ChannelId, TokenId};
use codec::{Decode, DecodeAll, Encode};
use redb::{ReadTransaction, ReadableTable, TableDefinition, WriteTransaction};

use super::{LedgerError, Store, META};

/// [`PayeeRecord`] by channel and its own key.
const RECORDS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("channels");
/// [`Evidence`] in parts, by [`RequestKey`] and number of the part: secret and prompt first, then the tokens
/// of each receipt.
const EVIDENCE: TableDefinition<&[u8], &[u8]> = TableDefinition::new("evidence");

/// The row of [`META`] that has the newest finalised block that was seen.
const SEEN: &str = "seen";

/// Names a request of a channel.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RequestKey {
    pub channel: ChannelId,
    pub seq: u64,
}

impl RequestKey {
    /// Big-endian, so that requests and parts are in order.
    fn part(&self, number: u32) -> Vec<u8> {
        let (channel, seq) = (self.channel.as_bytes(), self.seq.to_be_bytes());
        [channel, &seq, &number.to_be_bytes()].concat()
    }
}

/// What opens the roots of a request's header and receipts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Evidence {
    pub secret: [u8; 32],
    pub prompt: Vec<TokenId>,
    /// The tokens of the last receipt.
    pub output: Vec<TokenId>,
}

/// A change of the channels' part of the ledger.
#[derive(Clone, PartialEq, Eq, Debug)]
// A few at a time; a box would only complicate it.
#[allow(clippy::large_enum_variant)]
pub enum Change {
    Record(ChannelId, PayeeRecord),
    /// What a request is about.
    Prompt {
        key: RequestKey,
        secret: [u8; 32],
        prompt: Vec<TokenId>,
    },
    /// The tokens that a receipt has beyond those of the one before; parts count from one.
    Output {
        key: RequestKey,
        part: u32,
        tokens: Vec<TokenId>,
    },
    /// The requests of a channel below this number.
    ForgetBelow(RequestKey),
    /// All about a channel.
    Forget(ChannelId),
    /// This is the newest finalised block.
    Seen(u32),
}

/// The part of the ledger that is about channels.
pub struct ChannelLedger {
    store: Arc<Store>,
}

/// Makes the tables, so that reading an empty ledger is no special case.
pub(super) fn create(store: &Store, write: &WriteTransaction) -> Result<(), LedgerError> {
    for table in [RECORDS, EVIDENCE] {
        write.open_table(table).map_err(|e| store.corrupt(e))?;
    }
    Ok(())
}

fn row(channel: &ChannelId, key: &RecordKey) -> Vec<u8> {
    [channel.as_bytes(), key.as_slice()].concat()
}

impl ChannelLedger {
    pub(super) fn new(store: Arc<Store>) -> Self {
        Self { store }
    }

    /// Makes all of these changes, or none of them. When this returns, they are on disk.
    pub fn apply(&self, changes: &[Change]) -> Result<(), LedgerError> {
        let store = &self.store;
        store.write(|write| {
            let open = |table| write.open_table(table).map_err(|e| store.corrupt(e));
            let (mut records, mut evidence) = (open(RECORDS)?, open(EVIDENCE)?);
            let mut meta = write.open_table(META).map_err(|e| store.corrupt(e))?;
            for change in changes {
                match change {
                    Change::Record(channel, record) => records
                        .insert(
                            row(channel, &record.key()).as_slice(),
                            record.encode().as_slice(),
                        )
                        .map(drop),
                    Change::Prompt {
                        key,
                        secret,
                        prompt,
                    } => evidence
                        .insert(key.part(0).as_slice(), (secret, prompt).encode().as_slice())
                        .map(drop),
                    Change::Output { key, part, tokens } => evidence
                        .insert(key.part(*part).as_slice(), tokens.encode().as_slice())
                        .map(drop),
                    Change::ForgetBelow(key) => {
                        let row = |seq| row(&key.channel, &PayeeRecord::request_key(seq));
                        let (first, end) = (row(0), row(key.seq));
                        records
                            .retain_in(first.as_slice()..end.as_slice(), |_, _| false)
                            .map_err(|e| store.storage(e))?;
                        let (first, end) = (RequestKey { seq: 0, ..*key }.part(0), key.part(0));
                        evidence.retain_in(first.as_slice()..end.as_slice(), |_, _| false)
                    }
                    Change::Forget(channel) => {
                        let (first, last) = (row(channel, &[0; 9]), row(channel, &[u8::MAX; 9]));
                        records
                            .retain_in(first.as_slice()..=last.as_slice(), |_, _| false)
                            .map_err(|e| store.storage(e))?;
                        let part = |seq, part| {
                            RequestKey {
                                channel: *channel,
                                seq,
                            }
                            .part(part)
                        };
                        let (first, last) = (part(0, 0), part(u64::MAX, u32::MAX));
                        evidence.retain_in(first.as_slice()..=last.as_slice(), |_, _| false)
                    }
                    Change::Seen(block) => meta.insert(SEEN, block.encode().as_slice()).map(drop),
                }
                .map_err(|e| store.storage(e))?;
            }
            Ok(())
        })
    }

    /// The newest finalised block that was seen; zero before the first.
    pub fn seen(&self) -> Result<u32, LedgerError> {
        let store = &self.store;
        let read = store.read()?;
        let meta = read.open_table(META).map_err(|e| store.corrupt(e))?;
        let Some(row) = meta.get(SEEN).map_err(|e| store.storage(e))? else {
            return Ok(0);
        };
        u32::decode_all(&mut row.value())
            .map_err(|_| store.corrupt("the number of the newest block is damaged"))
    }

    /// All records, by channel.
    pub fn records(&self) -> Result<BTreeMap<ChannelId, Vec<PayeeRecord>>, LedgerError> {
        let store = &self.store;
        let read = store.read()?;
        let table = read.open_table(RECORDS).map_err(|e| store.corrupt(e))?;
        let mut records = BTreeMap::<_, Vec<_>>::new();
        for row in table.iter().map_err(|e| store.storage(e))? {
            let (key, record) = row.map_err(|e| store.storage(e))?;
            let channel = key.value().first_chunk::<32>().map(ChannelId::from);
            let channel = channel.ok_or_else(|| store.corrupt("a key of the wrong length"))?;
            let record = PayeeRecord::decode_all(&mut record.value()).map_err(|_| {
                store.corrupt(format!("a record of channel {channel:?} is damaged"))
            })?;
            records.entry(channel).or_default().push(record);
        }
        Ok(records)
    }

    /// A request with the user's signature, and the last receipt for it; none if it is forgotten.
    pub fn request(&self, key: &RequestKey) -> Result<Option<PayeeRequest>, LedgerError> {
        let store = &self.store;
        let read = store.read()?;
        let table = read.open_table(RECORDS).map_err(|e| store.corrupt(e))?;
        let row = row(&key.channel, &PayeeRecord::request_key(key.seq));
        let found = table.get(row.as_slice()).map_err(|e| store.storage(e))?;
        let Some(found) = found else {
            return Ok(None);
        };
        match PayeeRecord::decode_all(&mut found.value()) {
            Ok(PayeeRecord::Request(request)) => Ok(Some(request)),
            _ => Err(store.corrupt(format!(
                "the record of request {} of channel {:?} is damaged",
                key.seq, key.channel
            ))),
        }
    }

    /// What is kept of a request; none if nothing was computed for it, or it is forgotten.
    pub fn evidence(&self, key: &RequestKey) -> Result<Option<Evidence>, LedgerError> {
        let read = self.store.read()?;
        let mut parts = self.parts(&read, key)?.into_iter();
        let Some(first) = parts.next() else {
            return Ok(None);
        };
        let (secret, prompt) = self.decode(key, &first)?;
        let mut output = Vec::new();
        for part in parts {
            output.extend(self.decode::<Vec<TokenId>>(key, &part)?);
        }
        Ok(Some(Evidence {
            secret,
            prompt,
            output,
        }))
    }

    fn parts(&self, read: &ReadTransaction, key: &RequestKey) -> Result<Vec<Vec<u8>>, LedgerError> {
        let store = &self.store;
        let table = read.open_table(EVIDENCE).map_err(|e| store.corrupt(e))?;
        let (first, last) = (key.part(0), key.part(u32::MAX));
        let rows = table
            .range(first.as_slice()..=last.as_slice())
            .map_err(|e| store.storage(e))?;
        rows.map(|row| {
            let (_, part) = row.map_err(|e| store.storage(e))?;
            Ok(part.value().to_vec())
        })
        .collect()
    }

    fn decode<T: Decode>(&self, key: &RequestKey, mut bytes: &[u8]) -> Result<T, LedgerError> {
        T::decode_all(&mut bytes).map_err(|_| {
            let RequestKey { channel, seq } = key;
            let what = format!("what is kept of request {seq} of channel {channel:?} is damaged");
            self.store.corrupt(what)
        })
    }
}
