//! Room for what clients hold before they have paid for it: the bodies of their requests, and answers that they are given
//! again. How much the worker holds together, and how much of one channel's.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use assay_openai::ApiError;
use assay_primitives::ChannelId;
use axum::{
    body::{Body, Bytes, HttpBody},
    response::Response,
    BoxError,
};
use futures::{stream, StreamExt};
use tokio::{sync::mpsc, time::timeout};

/// Bytes in all.
const ALL: usize = 128 << 20;

/// A request counts for at least so many bytes: its head takes room as well.
const LEAST: usize = 64 << 10;

/// Bytes of an answer that go out together. HTTP/2 takes over two such parts, however little of them the client takes.
const PART: usize = 4 << 10;

/// When to come again.
const FULL: Duration = Duration::from_secs(1);

/// The room that there is.
#[derive(Clone)]
pub struct Room {
    bytes: usize,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Default)]
struct Taken {
    bytes: usize,
    by: HashMap<ChannelId, usize>,
}

/// What a request holds of it.
pub struct Held {
    room: Room,
    channel: ChannelId,
    bytes: usize,
}

impl Default for Room {
    fn default() -> Self {
        Self::new(ALL)
    }
}

impl Room {
    /// For so many bytes in all.
    pub fn new(bytes: usize) -> Self {
        Self {
            bytes,
            taken: Arc::default(),
        }
    }

    /// Takes room for a request of which nothing but the head has come: what it says of its body is no reason to keep
    /// others out.
    pub fn take(&self, channel: ChannelId) -> Result<Held, ApiError> {
        let mut held = Held {
            room: self.clone(),
            channel,
            bytes: 0,
        };
        held.grow(LEAST)?;
        Ok(held)
    }

    /// Bytes that are taken.
    #[cfg(test)]
    pub fn held(&self) -> usize {
        self.taken().bytes
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// Has room for so many bytes in all, if it has not. A channel never has more than it leaves free, and so has whoever
    /// comes next: of channels that take all they get each has a part, and as large a part is left.
    pub fn grow(&mut self, bytes: usize) -> Result<(), ApiError> {
        let more = bytes.saturating_sub(self.bytes);
        if more == 0 {
            return Ok(());
        }
        let mut taken = self.room.taken();
        let here = taken.by.get(&self.channel).copied().unwrap_or_default();
        let here = here.saturating_add(more);
        let all = taken.bytes.saturating_add(more);
        if here > self.room.bytes.saturating_sub(all) {
            return Err(ApiError::busy(
                format!(
                    "there is no room for {more} more bytes beside the {} that the worker has of all requests; come \
                     again in a moment",
                    taken.bytes
                ),
                FULL,
            ));
        }
        taken.by.insert(self.channel, here);
        taken.bytes = all;
        self.bytes = self.bytes.saturating_add(more);
        Ok(())
    }

    /// Has room for an answer in one piece until the client has taken it, has taken no more of it for so long, or has
    /// gone; and no more for any other answer, which has bounds of its own.
    pub fn until_taken(mut self, response: Response, patience: Duration) -> Response {
        let exact = response.body().size_hint().exact();
        let Some(length) = exact.and_then(|length| usize::try_from(length).ok()) else {
            return response;
        };
        self.become_of(length);
        response.map(|body| {
            let (sender, parts) = mpsc::channel(1);
            tokio::spawn(async move {
                let mut pieces = body.into_data_stream();
                while let Some(piece) = pieces.next().await {
                    for part in in_parts(piece) {
                        if sender.send_timeout(part, patience).await.is_err() {
                            return;
                        }
                    }
                }
                // The last one is still to be taken.
                let _ = timeout(patience, sender.closed()).await;
                drop(self);
            });
            let rest = Some(Rest { parts, length });
            Body::from_stream(stream::unfold(rest, |rest| async { rest?.next().await }))
        })
    }

    /// Has room for so many bytes and no more, whoever else has what: they are there, and not to be refused any more.
    fn become_of(&mut self, bytes: usize) {
        let mut taken = self.room.taken();
        let here = taken.by.entry(self.channel).or_default();
        *here = here.saturating_sub(self.bytes).saturating_add(bytes);
        taken.bytes = taken.bytes.saturating_sub(self.bytes).saturating_add(bytes);
        self.bytes = bytes;
    }
}

/// What is still to come of an answer.
struct Rest<E> {
    parts: mpsc::Receiver<Result<Bytes, E>>,
    /// In bytes.
    length: usize,
}

impl<E: Into<BoxError>> Rest<E> {
    async fn next(mut self) -> Option<(Result<Bytes, BoxError>, Option<Self>)> {
        if self.length == 0 {
            return None;
        }
        Some(match self.parts.recv().await {
            Some(Ok(part)) => {
                self.length = self.length.saturating_sub(part.len());
                (Ok(part), Some(self))
            }
            Some(Err(error)) => (Err(error.into()), None),
            None => (Err("the client takes nothing of its answer".into()), None),
        })
    }
}

/// Copies, so that one that waits for a slow client does not keep the others with it.
fn in_parts<E>(piece: Result<Bytes, E>) -> impl Iterator<Item = Result<Bytes, E>> {
    let (bytes, error) = match piece {
        Ok(bytes) => (bytes, None),
        Err(error) => (Bytes::new(), Some(Err(error))),
    };
    let parts = (0..bytes.len()).step_by(PART).map(move |at| {
        let end = at.saturating_add(PART).min(bytes.len());
        Ok(Bytes::copy_from_slice(&bytes.slice(at..end)))
    });
    parts.chain(error)
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut taken = self.room.taken();
        taken.bytes = taken.bytes.saturating_sub(self.bytes);
        if let Some(here) = taken.by.get_mut(&self.channel) {
            *here = here.saturating_sub(self.bytes);
            if *here == 0 {
                taken.by.remove(&self.channel);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    fn take(room: &Room, channel: u8, bytes: usize) -> Result<Held, (u16, Option<Duration>)> {
        let taken = room.take(ChannelId::repeat_byte(channel));
        let grown = taken.and_then(|mut held| held.grow(bytes).map(|()| held));
        grown.map_err(|error| (error.status.as_u16(), error.retry_after))
    }

    const REFUSED: Result<(), (u16, Option<Duration>)> = Err((429, Some(Duration::from_secs(1))));

    /// As much as channels get that take all that they can, one after the other, again and again.
    fn all_of(room: &Room, channels: u8, bytes: usize) -> Vec<Held> {
        let mut held = Vec::new();
        loop {
            let before = held.len();
            held.extend((1..=channels).filter_map(|channel| take(room, channel, bytes).ok()));
            if held.len() == before {
                return held;
            }
        }
    }

    #[test]
    fn a_request_counts_as_what_has_come_of_it() {
        let room = Room::new(16 * MIB);
        let mut held = take(&room, 1, 1).unwrap();
        assert_eq!(room.taken().bytes, LEAST);
        held.grow(LEAST).unwrap();
        assert_eq!(room.taken().bytes, LEAST);
        held.grow(3 * MIB).unwrap();
        held.grow(2 * MIB).unwrap();
        assert_eq!(room.taken().bytes, 3 * MIB);
        // A channel may have half, and what is refused takes nothing.
        assert_eq!(
            held.grow(8 * MIB + 1)
                .map_err(|error| error.status.as_u16()),
            Err(429)
        );
        assert_eq!(take(&room, 1, 5 * MIB + 1).map(drop), REFUSED);
        assert_eq!(room.taken().bytes, 3 * MIB);
        let mut rest = take(&room, 1, 5 * MIB).unwrap();
        assert_eq!(take(&room, 1, 0).map(drop), REFUSED);
        // What it has is its own, also when there is no room for more.
        held.grow(3 * MIB).unwrap();
        rest.become_of(20 * MIB);
        assert_eq!(room.taken().bytes, 23 * MIB);
        assert_eq!(take(&room, 2, 0).map(drop), REFUSED);
        rest.become_of(1);
        assert_eq!(room.taken().bytes, 3 * MIB + 1);
        drop((held, rest));
        assert_eq!(room.taken().bytes, 0);
        assert!(room.taken().by.is_empty());
    }

    #[test]
    fn channels_that_take_all_they_get_leave_as_much_to_another() {
        for (channels, bytes) in [(1, MIB), (4, MIB), (4, LEAST), (50, LEAST)] {
            let room = Room::new(128 * MIB);
            let held = all_of(&room, channels, bytes);
            let part = 128 * MIB / (usize::from(channels) + 1);
            let least = held.iter().map(|held| held.channel).fold(
                HashMap::<_, usize>::new(),
                |mut sum, channel| {
                    *sum.entry(channel).or_default() += bytes;
                    sum
                },
            );
            assert!(least.values().all(|here| here.abs_diff(part) <= 2 * bytes));
            // Another channel gets so much of it at once, and more as they let go.
            assert!(take(&room, 200, part / 2 - bytes).is_ok());
            assert_eq!(take(&room, 1, bytes).map(drop), REFUSED);
        }
    }
}
