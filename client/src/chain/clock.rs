//! How old a block is, and what a time comes to on a chain of longer slots.

use std::time::{Duration, UNIX_EPOCH};

use super::{runtime, Snapshot};
use crate::Error;

/// The slot that times are chosen for.
const SLOT: Duration = Duration::from_secs(6);

impl Snapshot {
    /// How old the block is. The time in it is its author's; one that seems to come from the future is new.
    pub async fn age(&self) -> Result<Duration, Error> {
        let made = self.get_or_default(runtime::storage().timestamp().now(), ());
        let made = Duration::from_millis(made.await?);
        let now = UNIX_EPOCH.elapsed().unwrap_or_default();
        Ok(now.saturating_sub(made))
    }

    /// How long a slot lasts: chosen with the chain's first block.
    pub async fn slot(&self) -> Result<Duration, Error> {
        let millis = self.get_or_default(runtime::storage().timing().slot_millis(), ());
        Ok(Duration::from_millis(millis.await?))
    }
}

/// As many slots as `time` has of 6 s, and no less than `time`. Blocks come and are missed slot by slot, so where slots
/// are long, a node in step is without a new block for longer.
pub fn stretched(time: Duration, slot: Duration) -> Duration {
    let slots = time.as_millis() / SLOT.as_millis();
    let slots = u32::try_from(slots).unwrap_or(u32::MAX);
    slot.saturating_mul(slots).max(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_the_same_number_of_slots_where_they_are_longer() {
        for (slot, thirty, three_minutes) in [
            (500, 30_000, 180_000),
            (6_000, 30_000, 180_000),
            (6_001, 30_005, 180_030),
            (30_000, 150_000, 900_000),
            (60_000, 300_000, 1_800_000),
        ] {
            let stretch = |seconds| {
                let time = Duration::from_secs(seconds);
                stretched(time, Duration::from_millis(slot)).as_millis()
            };
            assert_eq!(
                (stretch(30), stretch(180)),
                (thirty, three_minutes),
                "{slot}"
            );
        }
        assert_eq!(stretched(Duration::MAX, Duration::MAX), Duration::MAX);
    }
}
