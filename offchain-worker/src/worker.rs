//! The worker's one loop: it looks at the chain block by block, asks [`decide`] what is to be done,
//! and does it. All state that matters is in the ledger and on the chain; what is held
//! here can be lost at any moment.
//!
//! [`decide`]: crate::duties::decide

use std::{
    collections::{HashMap, HashSet},
    convert::Infallible,
    sync::Arc,
    time::Duration,
};

use assay_client::{chain::NewBlocks, AccountId32, Chain, Keypair, Snapshot};
use assay_exact::Cpu;
use assay_primitives::Anchor;
use tokio::{
    sync::watch,
    task::{AbortHandle, JoinSet},
    time::{sleep, timeout},
};
use tracing::{info, warn};

use crate::{
    chain::{Duty, Heads},
    generate::{Failure, Generated},
    http::{Health, Metrics, Status},
    ledger::{Key, Ledger, LedgerError},
    models::Models,
};

mod channels;
mod disputes;
mod funds;
mod nonces;
mod round;
mod steps;

pub use self::channels::Sales;
use self::{channels::Channels, disputes::Disputes, funds::Funds};

/// The target of the lines that tell what happens to each job.
const LOG: &str = "assay_worker";

/// The shortest and the longest pause before the node is tried again.
const RECONNECT: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(3));

/// How long a look at the chain may take before the connection counts as lost.
const LOOK: Duration = Duration::from_secs(60);

/// Without a new block for this long, the chain is looked at all the same: a connection can die
/// without a word.
const QUIET: Duration = Duration::from_secs(20);

/// Blocks after which an extrinsic that is in no block yet is sent once more.
const SEND_AGAIN: u32 = 6;

/// Everything that the loop works with.
pub struct Worker {
    pub url: String,
    pub key: Keypair,
    pub operator: AccountId32,
    /// The provider's stash.
    pub provider: AccountId32,
    pub genesis: assay_client::H256,
    pub ledger: Ledger,
    pub models: Models,
    /// What exact models and traces are computed on.
    pub cpu: Arc<Cpu>,
    /// None if jobs alone are answered.
    pub sales: Option<Sales>,
    pub metrics: Arc<Metrics>,
    pub health: watch::Sender<Health>,
    pub stop: watch::Receiver<bool>,
    pub state: State,
}

/// What is forgotten when the process ends.
#[derive(Default)]
pub struct State {
    /// Answers that are computed or wait for it.
    generating: HashMap<Key, Generating>,
    /// The tasks that wait for these answers.
    answers: JoinSet<Answered>,
    /// What this session's node was last told about a duty.
    sent: HashMap<Key, Sent>,
    /// The best block that was last looked at.
    head: Option<Anchor>,
    funds: Funds,
    channels: Channels,
    disputes: Disputes,
    /// Duties that nothing can be said about for want of money.
    unpaid: HashSet<Key>,
    /// What another worker of this operator did, which nobody can have wanted.
    rival: Option<String>,
    /// Whether all was well when that was last said.
    serving: Option<bool>,
}

struct Generating {
    duty: Duty,
    task: AbortHandle,
}

/// What became of a duty's generation.
struct Answered {
    key: Key,
    result: Result<Generated, Failure>,
}

/// The fate of an extrinsic at the node's pool.
struct Sent {
    /// The best block at that time.
    at: u32,
    /// Its runtime's version: no other takes what was signed for this one.
    spec_version: u32,
    /// Why the node would not have it.
    refusal: Option<String>,
}

/// Why a session with the node is over.
enum End {
    Stopped,
    /// The node does not answer; another session may.
    Lost(String),
    /// The worker cannot go on.
    Fatal(anyhow::Error),
}

impl From<assay_client::Error> for End {
    fn from(error: assay_client::Error) -> Self {
        match error {
            assay_client::Error::Incompatible => Self::Fatal(error.into()),
            other => Self::Lost(other.to_string()),
        }
    }
}

impl From<LedgerError> for End {
    fn from(error: LedgerError) -> Self {
        Self::Fatal(error.into())
    }
}

impl Worker {
    /// Works until it is told to stop. An error is one that only a person can remove.
    pub async fn run(mut self, chain: Chain) -> anyhow::Result<()> {
        let mut next = Some(chain);
        let mut pause = RECONNECT.0;
        let mut connected = false;
        loop {
            let mut stop = self.stop.clone();
            // What is cut short here goes on from the ledger, as after a crash.
            let end = tokio::select! {
                end = self.session(next.take(), &mut connected) => end,
                () = stopped(&mut stop) => End::Stopped,
            };
            let why = match end {
                End::Stopped => break,
                End::Fatal(error) => return Err(error),
                End::Lost(why) => why,
            };
            if connected {
                warn!(target: LOG, url = %self.url, %why, "chain lost; trying again");
                connected = false;
                pause = RECONNECT.0;
                self.metrics.chain_connected.set(0);
                self.health.send_modify(|health| {
                    health.status = Status::Degraded;
                    health.reason = Some(format!("chain lost: {why}"));
                });
            }
            match self.rest(pause).await {
                Ok(()) => pause = pause.saturating_mul(2).min(RECONNECT.1),
                Err(End::Fatal(error)) => return Err(error),
                Err(_) => break,
            }
        }
        self.health
            .send_modify(|health| health.status = Status::Stopping);
        // Dropping the tasks cancels what they wait for.
        self.state.answers.abort_all();
        let disputes = self.state.disputes.live();
        if disputes > 0 {
            warn!(
                target: LOG, disputes,
                "stopped with disputes that are not over: start again soon, or they are lost on time"
            );
        }
        info!(
            target: LOG, open_jobs = self.ledger.active().count(),
            "stopped; open jobs go on from the ledger at the next start"
        );
        Ok(())
    }

    /// Waits before the next connection; answers that are ready meanwhile are not lost.
    async fn rest(&mut self, pause: Duration) -> Result<(), End> {
        let pause = sleep(pause);
        tokio::pin!(pause);
        loop {
            tokio::select! {
                () = &mut pause => return Ok(()),
                () = stopped(&mut self.stop) => return Err(End::Stopped),
                Some(answered) = self.state.answers.join_next() => self.note_answered(answered)?,
                Some(played) = self.state.disputes.next() => self.note_played(played),
            }
        }
    }

    fn note_played(&mut self, played: Result<disputes::Played, tokio::task::JoinError>) {
        let head = self.state.head.map_or(0, |head| head.number);
        self.state.disputes.note(played, head);
        self.hold_new_work();
    }

    /// Works over one connection, a new one if `chain` is none, until it ends.
    async fn session(&mut self, chain: Option<Chain>, connected: &mut bool) -> End {
        let chain = match chain {
            Some(chain) => chain,
            None => match Chain::connect(&self.url).await {
                Ok(chain) => chain,
                Err(error) => return error.into(),
            },
        };
        *connected = true;
        info!(target: LOG, url = %self.url, "chain connected");
        self.metrics.chain_connected.set(1);
        match self.follow(&chain).await {
            Ok(never) => match never {},
            Err(end) => end,
        }
    }

    async fn follow(&mut self, chain: &Chain) -> Result<Infallible, End> {
        if chain.genesis_hash() != self.genesis {
            return Err(End::Fatal(anyhow::anyhow!(
                "the node at {} is now one of another chain (genesis {:?}); start it on the chain of \
                 this worker's ledger, or name another --ledger",
                self.url,
                chain.genesis_hash()
            )));
        }
        // This node's pool may be another one, or empty.
        self.state.sent.clear();
        self.state.funds.forget();
        self.state.channels.forget();
        self.state.disputes.forget();
        let mut blocks = chain.best_blocks().await?;
        // Money in channels follows finalised blocks, and its users see them at once.
        let mut finalized = match self.sales {
            Some(_) => Some(chain.finalized_blocks().await?),
            None => None,
        };
        let (news, mut new_block) = watch::channel(());
        let follower = AbortOnDrop(tokio::spawn(async move {
            loop {
                let next = tokio::select! {
                    next = blocks.next() => next,
                    next = next_of(&mut finalized) => next,
                };
                match next {
                    Ok(_) => {
                        news.send_replace(());
                    }
                    Err(error) => return error.to_string(),
                }
            }
        }));
        loop {
            self.look(chain).await?;
            tokio::select! {
                Some(answered) = self.state.answers.join_next() => self.note_answered(answered)?,
                Some(played) = self.state.disputes.next() => self.note_played(played),
                changed = new_block.changed() => if changed.is_err() {
                    let why = follower.join().await;
                    return Err(End::Lost(why));
                },
                () = sleep(QUIET) => {}
            }
        }
    }

    /// One look at the chain, or several, until nothing more follows from it.
    async fn look(&mut self, chain: &Chain) -> Result<(), End> {
        loop {
            let round = async {
                let heads = Heads::of(chain).await?;
                self.round(chain, &heads).await
            };
            match timeout(LOOK, round).await {
                Ok(Ok(true)) => {}
                Ok(Ok(false)) => return Ok(()),
                Ok(Err(end)) => return Err(end),
                Err(_) => return Err(End::Lost("the node is too slow to answer".into())),
            }
        }
    }
}

async fn next_of(blocks: &mut Option<NewBlocks>) -> Result<Snapshot, assay_client::Error> {
    match blocks {
        Some(blocks) => blocks.next().await,
        None => std::future::pending().await,
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // A sender that is gone can never tell us to stop; neither can it tell us to go on.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// A task that ends with its owner.
struct AbortOnDrop(tokio::task::JoinHandle<String>);

impl AbortOnDrop {
    async fn join(mut self) -> String {
        (&mut self.0)
            .await
            .unwrap_or_else(|error| error.to_string())
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
