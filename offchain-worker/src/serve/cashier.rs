//! The cashier: one thread that has the books of all channels. Whoever wants something of a channel asks
//! it, and is answered when everything that the answer rests on is on disk.
//!
//! Questions that wait together are answered together, with one write to the disk: many streams cost
//! hardly more than one. If that write fails, none of them is answered and the thread ends, so what is in
//! memory is never ahead of the disk for anybody who could see it.

use std::{
    future::{pending, Future},
    sync::{Arc, OnceLock},
    thread,
    time::Instant,
};

use assay_client::Keypair;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::sleep_until,
};

use super::books::Books;
use crate::ledger::{ChannelLedger, LedgerError};

/// Questions that are answered with one write.
const TOGETHER: usize = 64;

type Answer = Box<dyn FnOnce() + Send>;
type Question = Box<dyn FnOnce(&mut Books) -> Answer + Send>;

/// The way to the cashier.
#[derive(Clone)]
pub struct Cashier {
    questions: mpsc::UnboundedSender<Question>,
    failure: Arc<OnceLock<String>>,
    seen: watch::Receiver<Option<Instant>>,
}

/// The cashier's thread has ended.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}; restart the worker")]
pub struct Gone(String);

impl Cashier {
    /// Opens the books, and starts the thread. It ends with the last of its callers.
    pub fn start(ledger: ChannelLedger, operator: Keypair) -> Result<Self, LedgerError> {
        let books = Books::open(ledger, operator)?;
        let views = books.seen();
        let (questions, asked) = mpsc::unbounded_channel();
        let failure = Arc::<OnceLock<String>>::default();
        let seen = failure.clone();
        thread::spawn(move || {
            if let Err(error) = work(books, asked) {
                tracing::error!(target: "assay_worker", %error, "nothing more is sold");
                let _ = seen.set(error.to_string());
            }
        });
        Ok(Self {
            questions,
            failure,
            seen: views,
        })
    }

    /// Changes when the books have seen another finalised block.
    pub fn seen(&self) -> watch::Receiver<Option<Instant>> {
        self.seen.clone()
    }

    /// Ends when the books have seen no block for so long that receipts may build on the last one no more.
    pub fn chain_lost(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut seen = self.seen.clone();
        async move {
            loop {
                let until = *seen.borrow_and_update();
                tokio::select! {
                    () = wait_until(until) => return,
                    // A thread that is gone is found by whoever asks it.
                    changed = seen.changed() => if changed.is_err() { return pending().await },
                }
            }
        }
    }

    /// Asks, and waits for the answer.
    pub async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Books) -> T + Send + 'static,
    ) -> Result<T, Gone> {
        let (sender, answer) = oneshot::channel();
        self.send(Box::new(move |books| {
            let answer = question(books);
            Box::new(move || drop(sender.send(answer)))
        }));
        answer.await.map_err(|_| self.gone())
    }

    /// Tells, and does not wait.
    pub fn tell(&self, news: impl FnOnce(&mut Books) + Send + 'static) {
        self.send(Box::new(move |books| {
            news(books);
            Box::new(|| {})
        }));
    }

    /// A thread that is gone is found by whoever waits for its answer.
    fn send(&self, question: Question) {
        let _ = self.questions.send(question);
    }

    fn gone(&self) -> Gone {
        let failed = self.failure.get().cloned();
        Gone(failed.unwrap_or_else(|| "the thread that has the channels' books ended".into()))
    }
}

async fn wait_until(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until.into()).await,
        None => pending().await,
    }
}

fn work(mut books: Books, mut asked: mpsc::UnboundedReceiver<Question>) -> Result<(), LedgerError> {
    while let Some(question) = asked.blocking_recv() {
        let mut answers = vec![question(&mut books)];
        while answers.len() < TOGETHER {
            match asked.try_recv() {
                Ok(question) => answers.push(question(&mut books)),
                Err(_) => break,
            }
        }
        books.write()?;
        answers.into_iter().for_each(|answer| answer());
    }
    Ok(())
}
