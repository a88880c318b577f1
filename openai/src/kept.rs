//! Answers kept for requests with an `Idempotency-Key`: the same request again gets the same answer, and nothing is
//! computed or paid twice.
//!
//! Such an answer is made by a task of its own and recorded; whoever asks for it reads the record from its beginning,
//! while it is made and later. Errors are not kept, so that one can try again.

use std::{
    collections::HashMap,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use assay_client::{folder::hash, H256};
use axum::{
    body::Bytes,
    http::{header::AUTHORIZATION, HeaderMap, StatusCode},
};
use futures::{stream, StreamExt};
use tokio::{
    sync::watch,
    time::{sleep, Instant},
};

use crate::{reply::Reply, sse, ApiError, Limits};

const HEADER: &str = "idempotency-key";
const MAX_KEY_BYTES: usize = 255;

/// When to come again while too many answers are made.
const BUSY: Duration = Duration::from_secs(5);

/// A client's key: under which of its requests it wants no second answer.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key(H256);

impl Key {
    /// The key in a request's headers. It is that client's own: another one's credentials make it another key.
    pub fn read(headers: &HeaderMap) -> Result<Option<Self>, ApiError> {
        let Some(key) = headers.get(HEADER) else {
            return Ok(None);
        };
        let key = key.as_bytes();
        if key.is_empty() || key.len() > MAX_KEY_BYTES {
            return Err(ApiError::invalid(format!(
                "the Idempotency-Key must have 1 to {MAX_KEY_BYTES} bytes; send a random one"
            ))
            .code("invalid_idempotency_key"));
        }
        let client = headers.get(AUTHORIZATION).map(|value| value.as_bytes());
        let client = hash(client.unwrap_or_default());
        Ok(Some(Self(hash(&[client.as_bytes(), key].concat()))))
    }
}

/// The hash of a request that a key stands for.
pub fn request_hash(path: &str, body: &[u8]) -> H256 {
    hash(&[path.as_bytes(), &[0], body].concat())
}

pub struct KeptAnswers {
    limits: Limits,
    entries: Mutex<HashMap<Key, Entry>>,
}

struct Entry {
    request: H256,
    record: Arc<watch::Sender<Record>>,
    /// Set when the answer is whole.
    kept: Option<Kept>,
}

struct Kept {
    since: Instant,
    bytes: usize,
}

/// An answer as far as it has been made.
#[derive(Default)]
struct Record {
    /// Set before the first part.
    begun: Option<Result<Kind, ApiError>>,
    parts: Vec<Bytes>,
    ended: bool,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Whole,
    Stream,
}

impl KeptAnswers {
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            entries: Mutex::default(),
        }
    }

    /// The answer to the request of this hash under `key`: the one that is kept or being made, or else the one that
    /// `make` makes.
    pub async fn answer(
        self: &Arc<Self>,
        key: Key,
        request: H256,
        make: impl Future<Output = Result<Reply, ApiError>> + Send + 'static,
    ) -> Result<Reply, ApiError> {
        let reader = {
            let mut entries = self.entries();
            entries.retain(|_, entry| !self.is_old(entry));
            match entries.get(&key) {
                Some(entry) if entry.request == request => entry.record.subscribe(),
                Some(_) => return Err(another_request()),
                None => {
                    let most = self.limits.kept_answers.saturating_sub(1);
                    self.make_room(&mut entries, most)?;
                    let (record, reader) = watch::channel(Record::default());
                    let record = Arc::new(record);
                    let entry = Entry {
                        request,
                        record: record.clone(),
                        kept: None,
                    };
                    entries.insert(key, entry);
                    let making = Making {
                        answers: self.clone(),
                        key,
                        record,
                    };
                    tokio::spawn(making.run(make));
                    reader
                }
            }
        };
        respond(reader).await
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<Key, Entry>> {
        // Every change of the map is whole before anything can panic.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_old(&self, entry: &Entry) -> bool {
        let kept = entry.kept.as_ref();
        kept.is_some_and(|kept| kept.since.elapsed() >= self.limits.kept_for)
    }

    /// Forgets the oldest of the whole answers until there are no more than `most` answers, within the limit of bytes.
    fn make_room(&self, entries: &mut HashMap<Key, Entry>, most: usize) -> Result<(), ApiError> {
        loop {
            let whole = entries.iter().filter_map(|(key, entry)| {
                let kept = entry.kept.as_ref()?;
                Some((*key, kept.since, kept.bytes))
            });
            let whole: Vec<_> = whole.collect();
            let bytes: usize = whole.iter().map(|(_, _, bytes)| bytes).sum();
            if bytes <= self.limits.kept_bytes && entries.len() <= most {
                return Ok(());
            }
            match whole.iter().min_by_key(|(_, since, _)| *since) {
                Some((oldest, _, _)) => entries.remove(oldest),
                None => return Err(too_many()),
            };
        }
    }
}

fn another_request() -> ApiError {
    ApiError {
        status: StatusCode::UNPROCESSABLE_ENTITY,
        ..ApiError::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "idempotency_error",
            "this Idempotency-Key stands for another request; take a new key for each request",
        )
        .code("idempotency_key_reused")
    }
}

fn too_many() -> ApiError {
    let message = "too many answers with an Idempotency-Key are being made; come again in a moment";
    ApiError::busy(message, BUSY)
}

/// An answer that is being made.
struct Making {
    answers: Arc<KeptAnswers>,
    key: Key,
    record: Arc<watch::Sender<Record>>,
}

impl Making {
    async fn run(self, make: impl Future<Output = Result<Reply, ApiError>>) {
        tokio::select! {
            () = self.record(make) => {}
            () = self.abandoned() => {}
        }
    }

    async fn record(&self, make: impl Future<Output = Result<Reply, ApiError>>) {
        let begin = |begun| self.record.send_modify(|record| record.begun = Some(begun));
        let add = |part| self.record.send_modify(|record| record.parts.push(part));
        match make.await {
            Err(error) => {
                self.forget();
                begin(Err(error));
            }
            Ok(Reply::Whole(json)) => {
                self.keep(json.len());
                begin(Ok(Kind::Whole));
                add(json);
            }
            Ok(Reply::Stream(mut events)) => {
                begin(Ok(Kind::Stream));
                let mut bytes = 0;
                let mut is_whole = false;
                while let Some(event) = events.next().await {
                    bytes += event.len();
                    is_whole = event == sse::done();
                    add(event);
                }
                if is_whole {
                    self.keep(bytes);
                } else {
                    self.forget();
                }
            }
        }
        self.record.send_modify(|record| record.ended = true);
    }

    /// Returns when nobody has read the record for a while: whoever lost its connection has that long to ask again.
    async fn abandoned(&self) {
        loop {
            self.record.closed().await;
            sleep(self.answers.limits.abandoned_for).await;
            let mut entries = self.answers.entries();
            // Nobody begins to read while the entries are locked.
            if self.record.is_closed() {
                self.remove_from(&mut entries);
                return;
            }
        }
    }

    fn keep(&self, bytes: usize) {
        let mut entries = self.answers.entries();
        if let Some(entry) = entries.get_mut(&self.key) {
            let since = Instant::now();
            entry.kept = Some(Kept { since, bytes });
        }
        // There is room for as many as there are.
        let _ = self.answers.make_room(&mut entries, usize::MAX);
    }

    fn forget(&self) {
        self.remove_from(&mut self.answers.entries());
    }

    /// Removes this answer's entry, and no other that has come in its place.
    fn remove_from(&self, entries: &mut HashMap<Key, Entry>) {
        let own = |entry: &Entry| Arc::ptr_eq(&entry.record, &self.record);
        if entries.get(&self.key).is_some_and(own) {
            entries.remove(&self.key);
        }
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        // Should making it have panicked.
        if !self.record.borrow().ended {
            self.forget();
        }
    }
}

/// Reads a record from its beginning.
async fn respond(mut reader: watch::Receiver<Record>) -> Result<Reply, ApiError> {
    let begun = match reader.wait_for(|record| record.begun.is_some()).await {
        Ok(record) => record.begun.clone(),
        Err(_) => None,
    };
    let broken = || Err(ApiError::internal("the answer broke off; ask again"));
    let kind = begun.unwrap_or_else(broken)?;
    let parts = stream::unfold((reader, 0), |(mut reader, next)| async move {
        let record = reader.wait_for(|record| record.parts.len() > next || record.ended);
        let part = record.await.ok()?.parts.get(next).cloned()?;
        Some((part, (reader, next + 1)))
    });
    Ok(match kind {
        Kind::Stream => Reply::Stream(parts.boxed()),
        Kind::Whole => {
            let parts: Vec<Bytes> = parts.collect().await;
            Reply::Whole(parts.concat().into())
        }
    })
}
