//! Room for the bodies of requests: how much of them the worker holds together, and how much of one channel's.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use assay_openai::ApiError;
use assay_primitives::ChannelId;
use axum::http::{header::CONTENT_LENGTH, HeaderMap};

/// Bytes of all bodies.
const ALL: usize = 128 << 20;

/// Each channel has so large a part of it, so that nobody takes it all with one voucher.
const SHARE: usize = 4;

/// A request counts for at least so many bytes: its head takes room as well.
const LEAST: usize = 64 << 10;

/// When to come again.
const FULL: Duration = Duration::from_secs(1);

/// The room that there is.
#[derive(Clone)]
pub struct Room {
    bytes: usize,
    held: Arc<Mutex<HashMap<ChannelId, usize>>>,
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
            held: Arc::default(),
        }
    }

    /// Takes room for a body of at most `limit` bytes before it is read: as much as its head says, or all that it may have.
    pub fn take(
        &self,
        channel: ChannelId,
        head: &HeaderMap,
        limit: usize,
    ) -> Result<Held, ApiError> {
        let announced = head
            .get(CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
        let bytes = announced.unwrap_or(limit).min(limit).max(LEAST);
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let all = held
            .values()
            .fold(bytes, |sum, held| sum.saturating_add(*held));
        let here = held.entry(channel).or_default();
        if all > self.bytes || here.saturating_add(bytes) > self.bytes / SHARE {
            let whose = match all > self.bytes {
                true => "all channels",
                false => "this channel",
            };
            if *here == 0 {
                held.remove(&channel);
            }
            return Err(ApiError::busy(
                format!(
                    "the worker has no room for another request of {bytes} bytes beside those of {whose}; come again \
                     in a moment, and say the body's length"
                ),
                FULL,
            ));
        }
        *here = here.saturating_add(bytes);
        Ok(Held {
            room: self.clone(),
            channel,
            bytes,
        })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut held = self
            .room
            .held
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(here) = held.get_mut(&self.channel) {
            *here = here.saturating_sub(self.bytes);
            if *here == 0 {
                held.remove(&self.channel);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The head of a body that says its length, or does not.
    fn head(length: Option<usize>) -> HeaderMap {
        let length = length.map(|length| (CONTENT_LENGTH, length.into()));
        length.into_iter().collect()
    }

    #[test]
    fn all_channels_and_each_have_so_much_room_and_no_more() {
        const MIB: usize = 1 << 20;
        let room = Room::new(16 * MIB);
        let take = |channel, length| {
            let taken = room.take(ChannelId::repeat_byte(channel), &head(length), 3 * MIB);
            taken.map_err(|error| (error.status.as_u16(), error.retry_after))
        };
        let refused = Err((429, Some(Duration::from_secs(1))));
        let mut held = Vec::new();
        for channel in 1..=3 {
            // Whoever does not say how long its body is has the longest one, and so has whoever says too much.
            held.push(
                take(
                    channel,
                    [None, Some(usize::MAX), Some(3 * MIB)][channel as usize - 1],
                )
                .unwrap(),
            );
            assert_eq!(take(channel, Some(MIB + 1)).map(drop), refused);
            held.push(take(channel, Some(MIB)).unwrap());
            // A body of no bytes takes room as well.
            assert_eq!(take(channel, Some(0)).map(drop), refused);
        }
        for _ in 0..4 * MIB / LEAST {
            held.push(take(4, Some(1)).unwrap());
        }
        assert_eq!(take(5, Some(0)).map(drop), refused);
        assert_eq!(room.held.lock().unwrap().len(), 4);
        // What is over makes room.
        held.pop();
        take(5, Some(0)).unwrap();
        drop(held);
        assert!(room.held.lock().unwrap().is_empty());
    }
}
