//! What callers and the thread say to each other, and what both look at.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use assay_primitives::ChannelId;
use tokio::sync::mpsc as events;

use crate::engine::{EngineError, Finish, GenerateRequest, RequestId, Token, Use};

/// The shortest and the longest time after which a caller is told to try again.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Whose request it is. The first class is served first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// A job on the chain.
    Job,
    /// A caller who waits for the tokens.
    Stream,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// No machine could answer this request with this model.
    #[error("{0}")]
    Request(String),
    /// This machine failed.
    #[error("{0}")]
    Machine(String),
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        match error.is_request() {
            true => Self::Request(error.to_string()),
            false => Self::Machine(error.to_string()),
        }
    }
}

/// What happens to a request, in this order: it starts once, and ends, is scored or fails once.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// It has left the queue.
    Started,
    Token(Token),
    End(Finish),
    /// So many tokens of the scored answer are right, from its first on.
    Scored(u32),
    Failed(Failure),
}

impl Event {
    /// Whether nothing follows it.
    pub fn is_last(&self) -> bool {
        matches!(self, Self::End(_) | Self::Scored(_) | Self::Failed(_))
    }
}

/// What the thread is told.
pub(super) enum Message {
    Submit {
        id: RequestId,
        class: Class,
        payer: Option<ChannelId>,
        request: GenerateRequest,
        events: events::UnboundedSender<Event>,
    },
    Allow(RequestId, u32),
    Cancel(RequestId),
    /// Nobody is let in, or those who wait are again.
    Hold(bool),
    /// A step has something to do again.
    Wake,
    Stop,
}

/// What callers see of the thread's work.
#[derive(Default)]
pub(super) struct Desk(Mutex<State>);

#[derive(Default)]
pub(super) struct State {
    /// By class.
    pub waiting: [usize; 2],
    /// Of them, those that a channel pays for.
    waiting_of: HashMap<ChannelId, usize>,
    pub running: usize,
    pub usage: Use,
    /// Of an answer, weighted towards the latest ones.
    pub seconds: f64,
}

impl Desk {
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes a place in the queue of a class, which has so many. A channel may always have one, and has more only as long as
    /// it leaves as many free: to wait costs it almost nothing. The error is how many are in the way.
    pub fn enter(
        &mut self,
        class: Class,
        payer: Option<ChannelId>,
        places: usize,
    ) -> Result<(), usize> {
        let waiting = self.waiting[class as usize];
        let free = places.checked_sub(waiting.saturating_add(1));
        let free = free.ok_or(waiting)?;
        if let Some(payer) = payer {
            let here = self.waiting_of.entry(payer).or_default();
            if *here > 0 && *here >= free {
                return Err(*here);
            }
            *here = here.saturating_add(1);
        }
        self.waiting[class as usize] = waiting.saturating_add(1);
        Ok(())
    }

    /// Gives that place back.
    pub fn leave(&mut self, class: Class, payer: Option<ChannelId>) {
        let waiting = &mut self.waiting[class as usize];
        *waiting = waiting.saturating_sub(1);
        let Some(payer) = payer else {
            return;
        };
        if let Some(here) = self.waiting_of.get_mut(&payer) {
            *here = here.saturating_sub(1);
            if *here == 0 {
                self.waiting_of.remove(&payer);
            }
        }
    }

    pub fn retry_after(&self) -> Duration {
        let ahead = self.waiting.iter().sum::<usize>() as f64;
        let seconds = self.seconds * ahead / self.usage.places.max(1) as f64;
        Duration::from_secs(seconds.ceil().clamp(0.0, 1e6) as u64).clamp(RETRY.0, RETRY.1)
    }
}
