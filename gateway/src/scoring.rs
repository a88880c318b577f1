//! Answers that wait to be scored by another provider. Whoever finds one to check puts it here, and whoever buys takes it
//! out: an answer that is mended comes out of a purchase itself, and does not begin the next one.

use std::sync::Arc;

use tokio::sync::{mpsc, Mutex, OwnedSemaphorePermit, Semaphore};

use crate::recheck::Suspect;

/// The most scores that are bought at the same time.
const SCORES: usize = 4;

/// An answer, and its place until its score is here.
pub type Waiting = (Suspect, OwnedSemaphorePermit);

pub struct Scoring {
    places: Arc<Semaphore>,
    sender: mpsc::Sender<Waiting>,
    waiting: Mutex<mpsc::Receiver<Waiting>>,
}

impl Default for Scoring {
    fn default() -> Self {
        let (sender, waiting) = mpsc::channel(SCORES);
        Self {
            places: Arc::new(Semaphore::new(SCORES)),
            sender,
            waiting: Mutex::new(waiting),
        }
    }
}

impl Scoring {
    /// Whether there was room for it.
    pub fn offer(&self, suspect: Suspect) -> bool {
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            return false;
        };
        self.sender.try_send((suspect, place)).is_ok()
    }

    /// The next answer to be scored.
    pub async fn next(&self) -> Option<Waiting> {
        self.waiting.lock().await.recv().await
    }
}
