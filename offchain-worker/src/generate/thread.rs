//! The thread that owns an engine: it takes messages, admits requests, and lets the session go on.

use std::{
    collections::{HashMap, VecDeque},
    mem,
    panic::{catch_unwind, AssertUnwindSafe},
    sync::{mpsc, Arc},
    thread,
    time::Instant,
};

use assay_primitives::ChannelId;
use tokio::sync::mpsc as events;

use super::desk::{Class, Desk, Event, Failure, Message};
use crate::engine::{Engine, GenerateRequest, Progress, RequestId, Session};

/// How much the latest answer counts in the time that answers take.
const LATEST: f64 = 0.1;

/// Events on their way to those who wait for them.
type Post = Vec<(events::UnboundedSender<Event>, Event)>;

/// Hands out what the thread gives it, as a task. The thread wakes this one and not everyone who waits: to wake one takes a
/// call of the system, and while the thread did it for the next, the first would be through and asleep again. So the
/// turns of all follow one another, and what they have to say can travel together.
fn courier() -> events::UnboundedSender<Post> {
    let (sender, mut posts) = events::unbounded_channel::<Post>();
    tokio::spawn(async move {
        while let Some(post) = posts.recv().await {
            for (to, event) in post {
                // Who is not interested any more has dropped the generation, which says so in the mailbox.
                let _ = to.send(event);
            }
        }
    });
    sender
}

/// Starts the thread; it ends with [`Message::Stop`]. Must be called within a runtime.
pub(super) fn spawn(
    mut engine: Box<dyn Engine>,
    mailbox: mpsc::Sender<Message>,
    messages: mpsc::Receiver<Message>,
    desk: Arc<Desk>,
) -> std::io::Result<()> {
    let courier = courier();
    let run = move || {
        let mut office = Office {
            messages,
            desk,
            courier,
            post: Vec::new(),
            waiting: Default::default(),
            running: HashMap::new(),
            held: false,
            stopped: false,
        };
        while !office.stopped {
            let mailbox = mailbox.clone();
            let wake = Box::new(move || {
                let _ = mailbox.send(Message::Wake);
            });
            let session = AssertUnwindSafe(|| match engine.start(wake) {
                Ok(mut session) => {
                    office.serve(&mut *session);
                    None
                }
                Err(error) => Some(Failure::from(error)),
            });
            match catch_unwind(session) {
                Ok(None) => {}
                // Whoever waits would get no further.
                Ok(Some(failure)) => {
                    office.fail_running(&failure);
                    office.fail_waiting(&failure);
                    office.send();
                    office.receive(true);
                }
                Err(_) => office.fail_running(&Failure::Machine(
                    "the engine panicked; report this with the lines above".into(),
                )),
            }
            office.send();
        }
    };
    thread::Builder::new().name("generator".into()).spawn(run)?;
    Ok(())
}

/// Everyone who waits or is worked at.
struct Office {
    messages: mpsc::Receiver<Message>,
    desk: Arc<Desk>,
    courier: events::UnboundedSender<Post>,
    /// What is to be said next.
    post: Post,
    /// By class.
    waiting: [VecDeque<Waiting>; 2],
    running: HashMap<RequestId, Running>,
    /// Whether nobody is let in.
    held: bool,
    stopped: bool,
}

struct Waiting {
    id: RequestId,
    payer: Option<ChannelId>,
    request: GenerateRequest,
    allowed: u32,
    events: events::UnboundedSender<Event>,
}

struct Running {
    events: events::UnboundedSender<Event>,
    since: Instant,
}

/// What a session is told about requests that it has.
enum Order {
    Allow(RequestId, u32),
    Cancel(RequestId),
}

impl Office {
    fn serve(&mut self, session: &mut dyn Session) {
        let mut idle = false;
        loop {
            for order in self.receive(idle) {
                match order {
                    Order::Allow(id, tokens) => session.allow(id, tokens),
                    Order::Cancel(id) => session.cancel(id),
                }
            }
            if self.stopped {
                return;
            }
            self.admit(session);
            self.send();
            let told = session.step();
            idle = told.is_none();
            for (id, progress) in told.into_iter().flatten() {
                self.tell(id, progress);
            }
            self.send();
            self.show(session);
        }
    }

    /// Takes all messages; waits for one if there is nothing else to do.
    fn receive(&mut self, wait: bool) -> Vec<Order> {
        let mut orders = Vec::new();
        let mut next = match wait {
            true => self.messages.recv().ok(),
            false => self.messages.try_recv().ok(),
        };
        while let Some(message) = next {
            match message {
                Message::Submit {
                    id,
                    class,
                    payer,
                    request,
                    events,
                } => self.waiting[class as usize].push_back(Waiting {
                    id,
                    payer,
                    request,
                    allowed: 0,
                    events,
                }),
                Message::Allow(id, tokens) => match self.find(id) {
                    Some(waiting) => waiting.allowed = waiting.allowed.max(tokens),
                    None => orders.push(Order::Allow(id, tokens)),
                },
                Message::Cancel(id) => {
                    self.keep_waiting(|waiting| waiting.id != id);
                    if self.running.remove(&id).is_some() {
                        orders.push(Order::Cancel(id));
                    }
                }
                Message::Hold(on) => self.held = on,
                Message::Wake => {}
                Message::Stop => self.stopped = true,
            }
            next = self.messages.try_recv().ok();
        }
        orders
    }

    fn find(&mut self, id: RequestId) -> Option<&mut Waiting> {
        let mut waiting = self.waiting.iter_mut().flatten();
        waiting.find(|waiting| waiting.id == id)
    }

    /// Lets those in who find room, in the order of the queue. Nobody overtakes: a large request would
    /// wait for ever.
    fn admit(&mut self, session: &mut dyn Session) {
        if self.held {
            return;
        }
        for class in [Class::Job, Class::Stream] {
            while let Some(first) = self.waiting[class as usize].front() {
                if class == Class::Stream && self.last_place(session) {
                    return;
                }
                let event = match session.admit(first.id, &first.request) {
                    Ok(true) => Event::Started,
                    Ok(false) => return,
                    Err(error) => Event::Failed(error.into()),
                };
                let Some(first) = self.waiting[class as usize].pop_front() else {
                    return;
                };
                self.desk.state().leave(class, first.payer);
                let started = event == Event::Started;
                self.post.push((first.events.clone(), event));
                if started {
                    session.allow(first.id, first.allowed);
                    let running = Running {
                        events: first.events,
                        since: Instant::now(),
                    };
                    self.running.insert(first.id, running);
                }
            }
        }
    }

    /// Whether the one place is left that streams leave to jobs, where there are several.
    fn last_place(&self, session: &dyn Session) -> bool {
        let places = session.usage().places;
        places > 1 && self.running.len() >= places - 1
    }

    fn tell(&mut self, id: RequestId, progress: Progress) {
        let event = match progress {
            Progress::Token(token) => Event::Token(token),
            Progress::End(finish) => Event::End(finish),
            Progress::Scored(right) => Event::Scored(right),
            Progress::Failed(error) => Event::Failed(error.into()),
        };
        let over = event.is_last();
        let ended = over && !matches!(event, Event::Failed(_));
        if let Some(running) = self.running.get(&id) {
            self.post.push((running.events.clone(), event));
        }
        let left = match over {
            true => self.running.remove(&id),
            false => None,
        };
        if let Some(running) = left.filter(|_| ended) {
            let took = running.since.elapsed().as_secs_f64();
            let mut state = self.desk.state();
            state.seconds = match state.seconds > 0.0 {
                true => state.seconds + LATEST * (took - state.seconds),
                false => took,
            };
        }
    }

    fn send(&mut self) {
        if !self.post.is_empty() {
            let _ = self.courier.send(mem::take(&mut self.post));
        }
    }

    fn fail_running(&mut self, failure: &Failure) {
        for (_, running) in self.running.drain() {
            let event = Event::Failed(failure.clone());
            self.post.push((running.events, event));
        }
        self.desk.state().running = 0;
    }

    fn fail_waiting(&mut self, failure: &Failure) {
        let mut post = mem::take(&mut self.post);
        self.keep_waiting(|waiting| {
            let event = Event::Failed(failure.clone());
            post.push((waiting.events.clone(), event));
            false
        });
        self.post = post;
    }

    fn keep_waiting(&mut self, mut keep: impl FnMut(&Waiting) -> bool) {
        let mut state = self.desk.state();
        let classes = [Class::Job, Class::Stream];
        for (class, queue) in classes.into_iter().zip(&mut self.waiting) {
            queue.retain(|waiting| {
                let stays = keep(waiting);
                if !stays {
                    state.leave(class, waiting.payer);
                }
                stays
            });
        }
    }

    /// Shows callers where the session stands.
    fn show(&self, session: &dyn Session) {
        let mut state = self.desk.state();
        state.running = self.running.len();
        state.usage = session.usage();
    }
}
