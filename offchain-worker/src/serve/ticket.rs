//! A request that was admitted: dropped, it ends at its last receipt, and before the first one that costs
//! its user nothing.

use std::{
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use assay_channel::{PaymentError, SignedHeader, SignedReceipt};
use assay_client::H256;
use assay_openai::ApiError;
use assay_primitives::{ChannelId, Finish, TokenId};
use tokio::sync::watch;

use super::{
    books::{chain_lost, Begun, Unsigned},
    cashier::{Cashier, Gone},
    payment::refusal,
};
use crate::{http::ChannelMetrics, ledger::RequestKey};

/// The admitted choices of a request, taken one by one.
#[derive(Clone)]
pub struct Tickets(Arc<Mutex<Vec<Option<Choice>>>>);

/// What was signed for a choice, and how it was admitted.
pub enum Choice {
    /// To be answered.
    New(Ticket),
    /// Answered before: the receipt of then.
    Answered {
        key: RequestKey,
        header: SignedHeader,
        receipt: SignedReceipt,
    },
}

impl Tickets {
    pub fn new(choices: impl IntoIterator<Item = Choice>) -> Self {
        let choices = choices.into_iter().map(Some).collect();
        Self(Arc::new(Mutex::new(choices)))
    }

    /// How many choices were signed for.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// The choice with this number, once.
    pub fn take(&self, choice: u32) -> Option<Choice> {
        let choice = usize::try_from(choice).ok()?;
        self.lock().get_mut(choice)?.take()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Option<Choice>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A live request.
pub struct Ticket {
    cashier: Cashier,
    metrics: Arc<ChannelMetrics>,
    key: RequestKey,
    /// The most tokens of prompt and answer together.
    pub context: u32,
    /// Hash of the header.
    pub hash: H256,
    pub header: SignedHeader,
    began: Instant,
    has_token: bool,
    ended: bool,
    /// One of the answers that the worker waits for when it ends.
    _busy: Busy,
}

impl Ticket {
    pub fn new(
        (cashier, metrics, busy): (Cashier, Arc<ChannelMetrics>, Busy),
        key: RequestKey,
        hash: H256,
        header: SignedHeader,
        context: u32,
    ) -> Self {
        Self {
            cashier,
            metrics,
            key,
            hash,
            header,
            context,
            began: Instant::now(),
            has_token: false,
            ended: false,
            _busy: busy,
        }
    }

    /// Who pays.
    pub fn channel(&self) -> ChannelId {
        self.key.channel
    }

    /// Puts prompt and first receipt on disk.
    pub async fn begin(&self, secret: [u8; 32], prompt: Vec<TokenId>) -> Result<Begun, ApiError> {
        let key = self.key;
        let begun = self
            .cashier
            .ask(move |books| books.begin(key, secret, prompt))
            .await;
        begun.map_err(gone)?.map_err(unsigned)
    }

    /// Ends when no receipt of it may be signed any more, for want of a block to build on.
    pub fn chain_lost(&self) -> impl Future<Output = ()> + Send + 'static {
        self.cashier.chain_lost()
    }

    /// The receipt over these tokens and those before; with a `finish` it is the last.
    pub async fn receipt(
        &mut self,
        tokens: Vec<TokenId>,
        finish: Option<Finish>,
    ) -> Result<SignedReceipt, ApiError> {
        let key = self.key;
        let receipt = self
            .cashier
            .ask(move |books| books.receipt(key, tokens, finish))
            .await;
        let receipt = receipt.map_err(gone)?.map_err(unsigned)?;
        self.ended = finish.is_some();
        Ok(receipt)
    }

    /// The last receipt of a score: so many tokens of the answer are right.
    pub async fn score(&mut self, right: u32, finish: Finish) -> Result<SignedReceipt, ApiError> {
        let key = self.key;
        let receipt = self
            .cashier
            .ask(move |books| books.score(key, right, finish))
            .await;
        let receipt = receipt.map_err(gone)?.map_err(unsigned)?;
        self.ended = true;
        Ok(receipt)
    }

    /// The first one counts for the time that a client waited.
    pub fn note_token(&mut self) {
        if !self.has_token {
            self.has_token = true;
            let seconds = self.began.elapsed().as_secs_f64();
            self.metrics.first_token_seconds.observe(seconds);
        }
    }
}

/// What a client is told when the cashier has gone.
pub fn gone(gone: Gone) -> ApiError {
    ApiError::unavailable(gone.to_string())
}

fn unsigned(why: Unsigned) -> ApiError {
    match why {
        Unsigned::Closed(channel) => {
            tracing::info!(target: "assay_worker", ?channel, "closed on chain while something was answered in it");
            refusal(&PaymentError::ChannelClosed(channel), None)
        }
        Unsigned::ChainLost => chain_lost(),
        Unsigned::Misuse(misuse) => {
            tracing::error!(target: "assay_worker", %misuse, "the order of a channel's events was broken; report this");
            ApiError::internal(format!("the worker broke its own order: {misuse}"))
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.ended {
            let key = self.key;
            self.cashier.tell(move |books| books.interrupt(key));
        }
    }
}

/// Counts itself, and each of its clones, among the answers under way.
pub struct Busy(Arc<watch::Sender<usize>>);

impl Busy {
    pub fn new(count: &Arc<watch::Sender<usize>>) -> Self {
        count.send_modify(|count| *count = count.saturating_add(1));
        Self(count.clone())
    }
}

impl Clone for Busy {
    fn clone(&self) -> Self {
        Self::new(&self.0)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}
