use std::sync::{Arc, Mutex};

use assay_primitives::Balance;
use tokio::sync::{Mutex as AsyncMutex, MutexGuard};

use super::locked;

/// Those who need money in a channel of one provider and listing. One at a time opens or tops up, which takes
/// blocks; so it does that for all who wait.
#[derive(Default)]
pub struct Queue {
    turn: AsyncMutex<()>,
    wanted: Mutex<Balance>,
}

/// Somebody in a queue, until this is dropped.
pub struct Waiting {
    queue: Arc<Queue>,
    fee: Balance,
}

impl Queue {
    /// Joins the queue, for an answer that may cost so much.
    pub fn join(self: Arc<Self>, fee: Balance) -> Waiting {
        let mut wanted = locked(&self.wanted);
        *wanted = wanted.saturating_add(fee);
        drop(wanted);
        Waiting { queue: self, fee }
    }
}

impl Waiting {
    /// Waits until nobody else opens or tops up.
    pub async fn turn(&self) -> MutexGuard<'_, ()> {
        self.queue.turn.lock().await
    }

    /// What all who wait want together.
    pub fn wanted(&self) -> Balance {
        *locked(&self.queue.wanted)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut wanted = locked(&self.queue.wanted);
        *wanted = wanted.saturating_sub(self.fee);
    }
}
