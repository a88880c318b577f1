//! Generators: the engines' side. Each loaded model has one, with a thread of its own that owns the
//! engine; callers give it requests and get their tokens as they come.
//!
//! A request waits in a queue of its class until the engine has room for it, jobs before streams: a
//! job has a deadline and a bond behind it, while the caller of a stream was told that the queue is
//! short. Nothing is computed for a request before [`Generation::allow`].

mod desk;
#[cfg(test)]
mod tests;
mod thread;

use std::{
    sync::{
        atomic::{AtomicU64, Ordering},
        mpsc, Arc,
    },
    time::{Duration, Instant},
};

use assay_primitives::ChannelId;
use tokio::sync::mpsc as events;

pub use self::desk::{Class, Event, Failure};
use self::desk::{Desk, Message};
use crate::engine::{Engine, Finish, GenerateRequest, RequestId};

/// The queue is full, or a channel has its share of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{waiting} requests are waiting already; try again in {} s", retry_after.as_secs())]
pub struct Busy {
    /// Requests that are in the way: those of the same class, or those of the same channel.
    pub waiting: usize,
    /// When there may be a place, by the time that answers have taken so far.
    pub retry_after: Duration,
}

/// How much a generator has to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Requests that are worked at, those without credit included.
    pub running: usize,
    /// Requests in the queue.
    pub waiting: usize,
    /// Most requests that are worked at together.
    pub capacity: usize,
    /// Bytes of keys and values that are reserved or kept, and the most there may be; both zero for
    /// an engine that does not count them.
    pub cache: usize,
    pub cache_limit: usize,
}

/// The requests that wait for a place beside one that has its own.
#[derive(Clone)]
pub struct Queue(Arc<Desk>);

impl Queue {
    pub fn is_empty(&self) -> bool {
        self.0.state().waiting.iter().all(|waiting| *waiting == 0)
    }
}

/// A whole answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generated {
    /// Every token in order, the stop token included.
    pub tokens: Vec<u32>,
    pub finish: Finish,
    /// Time since it left the queue.
    pub took: Duration,
}

/// A loaded model's queue and thread. The thread ends with the last clone and the last generation.
#[derive(Clone)]
pub struct Generator {
    inner: Arc<Inner>,
}

struct Inner {
    mailbox: mpsc::Sender<Message>,
    desk: Arc<Desk>,
    /// Most requests of each class that wait.
    queue: usize,
    gives_logprobs: bool,
    ids: AtomicU64,
}

impl Generator {
    /// Starts the engine's thread. At most `queue` requests of each class wait. Must be called within a runtime.
    pub fn new(engine: Box<dyn Engine>, queue: usize) -> std::io::Result<Self> {
        let (mailbox, messages) = mpsc::channel();
        let desk = Arc::<Desk>::default();
        let gives_logprobs = engine.gives_logprobs();
        thread::spawn(engine, mailbox.clone(), messages, desk.clone())?;
        Ok(Self {
            inner: Arc::new(Inner {
                mailbox,
                desk,
                queue,
                gives_logprobs,
                ids: AtomicU64::new(0),
            }),
        })
    }

    /// Puts a request into the queue.
    pub fn submit(&self, request: GenerateRequest, class: Class) -> Result<Generation, Busy> {
        self.enqueue(request, class, None)
    }

    /// Puts a stream that this channel pays for into the queue, of which no channel has more than a share.
    pub fn submit_for(
        &self,
        channel: ChannelId,
        request: GenerateRequest,
    ) -> Result<Generation, Busy> {
        self.enqueue(request, Class::Stream, Some(channel))
    }

    fn enqueue(
        &self,
        request: GenerateRequest,
        class: Class,
        payer: Option<ChannelId>,
    ) -> Result<Generation, Busy> {
        let mut state = self.inner.desk.state();
        let entered = state.enter(class, payer, self.inner.queue);
        entered.map_err(|waiting| Busy {
            waiting,
            retry_after: state.retry_after(),
        })?;
        // Under the lock, so that ids are in the order of the queue.
        let id = self.inner.ids.fetch_add(1, Ordering::Relaxed);
        let (events, received) = events::unbounded_channel();
        let message = Message::Submit {
            id,
            class,
            payer,
            request,
            events,
        };
        // A thread that is gone is found by the generation.
        let _ = self.inner.mailbox.send(message);
        Ok(Generation {
            id,
            events: received,
            inner: self.inner.clone(),
            over: false,
        })
    }

    /// Whether tokens come with their log-probabilities where a request wants them.
    pub fn gives_logprobs(&self) -> bool {
        self.inner.gives_logprobs
    }

    /// Lets nobody in any more who waits, or again. What is worked at goes on.
    pub fn hold(&self, on: bool) {
        let _ = self.inner.mailbox.send(Message::Hold(on));
    }

    pub fn load(&self) -> Load {
        let state = self.inner.desk.state();
        Load {
            running: state.running,
            waiting: state.waiting.iter().sum(),
            capacity: state.usage.places,
            cache: state.usage.cache,
            cache_limit: state.usage.cache_limit,
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let _ = self.mailbox.send(Message::Stop);
    }
}

/// A request that waits or is worked at. Dropping it cancels the request: at the engine's next step
/// nothing is left of it.
pub struct Generation {
    id: RequestId,
    events: events::UnboundedReceiver<Event>,
    inner: Arc<Inner>,
    over: bool,
}

impl Generation {
    /// What happens next; none after the end or a failure. Nothing is lost where the future is dropped.
    pub async fn next(&mut self) -> Option<Event> {
        if self.over {
            return None;
        }
        let event = self.events.recv().await.unwrap_or_else(|| {
            let why = "the engine's thread ended; restart the worker";
            Event::Failed(Failure::Machine(why.into()))
        });
        self.over = event.is_last();
        Some(event)
    }

    /// Those who wait where this request waits or is worked at.
    pub fn queue(&self) -> Queue {
        Queue(self.inner.desk.clone())
    }

    /// Lets the answer have `output_tokens` tokens in all; a lower number than before changes nothing.
    /// Before the first call not even the prompt is read.
    pub fn allow(&self, output_tokens: u32) {
        let message = Message::Allow(self.id, output_tokens);
        let _ = self.inner.mailbox.send(message);
    }

    /// The whole answer, without a bound on what is computed but the request's own. `started` is called
    /// when the request leaves the queue.
    pub async fn whole(mut self, started: impl FnOnce()) -> Result<Generated, Failure> {
        self.allow(u32::MAX);
        let mut start = Instant::now();
        let mut started = Some(started);
        let mut tokens = Vec::new();
        while let Some(event) = self.next().await {
            match event {
                Event::Started => {
                    start = Instant::now();
                    if let Some(started) = started.take() {
                        started();
                    }
                }
                Event::Token(token) => tokens.push(token.id),
                // Of a score there are no tokens.
                Event::Scored(_) => break,
                Event::Failed(failure) => return Err(failure),
                Event::End(finish) => {
                    return Ok(Generated {
                        tokens,
                        finish,
                        took: start.elapsed(),
                    })
                }
            }
        }
        Err(Failure::Machine(
            "the answer has no end; report this".into(),
        ))
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        let _ = self.inner.mailbox.send(Message::Cancel(self.id));
    }
}
