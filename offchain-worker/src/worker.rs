//! The worker's one loop: it looks at the chain block by block, asks [`duties::decide`] what is to
//! be done, and does it. All state that matters is in the ledger and on the chain; what is held
//! here can be lost at any moment.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
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
use tracing::{error, info, warn};

use crate::{
    chain::{self, Duty},
    deliver,
    duties::{self, Action, Standing, View},
    generate::{Failure, Generated},
    http::{Health, Metrics, Status},
    ledger::{Entry, Key, Ledger, LedgerError, Reply},
    models::Models,
    purse::Purse,
};

mod channels;
mod disputes;
mod funds;
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

/// Blocks between two attempts to replace an extrinsic that the node refuses.
const REPLACE: u32 = 2;

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
                // In this order, so that the best block is never behind the finalised one: a
                // delivery that only the latter knows would look like one that failed.
                let finalized = chain.finalized().await?;
                let best = chain.best().await?;
                self.round(chain, &best, &finalized).await
            };
            match timeout(LOOK, round).await {
                Ok(Ok(true)) => {}
                Ok(Ok(false)) => return Ok(()),
                Ok(Err(end)) => return Err(end),
                Err(_) => return Err(End::Lost("the node is too slow to answer".into())),
            }
        }
    }

    /// Finds new duties at `best` and does the next thing about each duty. Whether a decision was
    /// taken that another round can carry out at once.
    async fn round(
        &mut self,
        chain: &Chain,
        best: &Snapshot,
        finalized: &Snapshot,
    ) -> Result<bool, End> {
        self.check_operator(best, finalized).await?;
        self.state.head = Some(chain::anchor(best));
        let nonce_at_best = chain::nonce(best, &self.operator).await?;
        let nonce_at_finalized = chain::nonce(finalized, &self.operator).await?;
        let open = self.find_duties(best).await?;

        let mut views = Vec::new();
        for (key, entry) in self.ledger.active() {
            let nonces = (nonce_at_best, nonce_at_finalized);
            let view = self.view(key, entry, best, finalized, nonces).await?;
            views.push((*key, entry.deadline, view));
        }
        views.sort_by_key(|(key, deadline, _)| (*deadline, key.job));
        let mut nonces: BTreeSet<u64> = views
            .iter()
            .filter(|(_, _, view)| view.at_best != Standing::Elsewhere)
            .filter_map(|(key, _, _)| self.ledger.get(key)?.submission())
            .map(|submission| submission.nonce)
            .collect();
        nonces.extend(self.state.funds.nonce(nonce_at_best));
        nonces.extend(self.state.channels.nonce(nonce_at_best));
        self.defend(
            chain,
            (nonce_at_best, nonce_at_finalized),
            &mut nonces,
            best,
            finalized,
        )
        .await?;
        let purse = self.purse(best).await?;
        self.switch(&purse, nonce_at_best, &mut nonces, best, finalized)
            .await?;
        // What is on its way, and what the duties with an earlier deadline will still cost.
        let mut due = self.state.funds.due(&purse);
        let mut again = false;
        for (key, _, view) in views {
            if view.at_best != Standing::Open {
                self.abandon(&key);
            }
            let Some(entry) = self.ledger.get(&key).cloned() else {
                continue;
            };
            let action = duties::decide(&entry, &view);
            if let Some(duty) = open.get(&key).filter(|_| view.at_best == Standing::Open) {
                let delivery = purse.fees.delivery(duty.token_limit);
                let decided = matches!(entry.reply(), Some(Reply::Refusal { .. }));
                let cost = if decided {
                    purse.fees.decline
                } else {
                    delivery
                };
                if purse.pays(cost, due) {
                    self.state.unpaid.remove(&key);
                } else if matches!(action, Action::Generate | Action::Submit) {
                    let declines = !decided && purse.pays(purse.fees.decline, due);
                    again |= self.cannot_pay(key, delivery, declines)?;
                    continue;
                }
                due = due.saturating_add(cost);
            }
            match action {
                Action::Wait => {}
                Action::Generate => {
                    if let Some(duty) = open.get(&key) {
                        again |= self.generate(duty, best).await?;
                    }
                }
                Action::Submit => {
                    let nonce = duties::next_nonce(nonce_at_best, nonces.iter().copied());
                    nonces.insert(nonce);
                    let entry = Entry {
                        attempts: entry.attempts.saturating_add(1),
                        ..entry
                    };
                    self.submit(key, entry, nonce, &view, best, finalized)
                        .await?;
                }
                Action::Replace { nonce } => {
                    let due = |sent: &Sent| best.number() >= sent.at.saturating_add(REPLACE);
                    if self.state.sent.get(&key).is_none_or(due) {
                        self.submit(key, entry, nonce, &view, best, finalized)
                            .await?;
                    }
                }
                Action::SendAgain => {
                    let due = |sent: &Sent| best.number() >= sent.at.saturating_add(SEND_AGAIN);
                    if let Some(submission) = entry.submission() {
                        if self.state.sent.get(&key).is_none_or(due) {
                            self.send(key, &entry, submission, best).await?;
                        }
                    }
                }
                Action::GiveUp => {
                    error!(target: LOG, job = key.job, "deliveries of this job fail on chain");
                    self.refuse(key, "deliveries of it fail on chain".into())?;
                    again = true;
                }
                Action::NoteInBlock => self.note_in_block(key, entry, best)?,
                Action::Finish(outcome) => {
                    let rival = self.rival(chain, &key, &entry, finalized).await?;
                    self.finish(key, entry, outcome, finalized, rival)?;
                }
            }
        }
        let nonces_of_operator = (nonce_at_best, nonce_at_finalized);
        self.sell(
            (&purse, due),
            nonces_of_operator,
            &mut nonces,
            best,
            finalized,
        )
        .await?;
        let on_their_way: Vec<u64> = nonces.into_iter().collect();
        if let Some(nonce) = duties::gap(nonce_at_best, &on_their_way) {
            warn!(target: LOG, nonce, "a nonce was lost; filling it, since others wait behind it");
            deliver::send(best, &deliver::sign_filler(finalized, nonce, &self.key)?).await?;
        }
        self.report(&purse, best, finalized);
        Ok(again)
    }

    /// An operator that was replaced can deliver nothing, and would keep trying.
    async fn check_operator(&self, best: &Snapshot, finalized: &Snapshot) -> Result<(), End> {
        for snapshot in [best, finalized] {
            if snapshot.provider_of(self.operator).await? == Some(self.provider) {
                return Ok(());
            }
        }
        // The development chain that is started again without its folder has the same genesis.
        let known = best.provider(self.provider).await?.is_some();
        Err(End::Fatal(match known {
            true => anyhow::anyhow!(
                "operator {} speaks for provider {} no more; start again with the key of its present \
                 operator",
                self.operator,
                self.provider
            ),
            false => anyhow::anyhow!(
                "the chain at {} knows no provider {} any more: it was deregistered, the chain was \
                 wiped, or its node is not synced; register it with `assay provider register`, or \
                 wait for the node, and start again",
                self.url,
                self.provider
            ),
        }))
    }

    /// The duties that the chain has for us now; those that are new are written down.
    async fn find_duties(&mut self, best: &Snapshot) -> Result<HashMap<Key, Duty>, End> {
        let mut open = HashMap::new();
        for id in best.duties(self.provider).await? {
            let Some(job) = best.job(id).await? else {
                continue;
            };
            let Some(duty) = Duty::of(self.genesis, id, &job, &self.provider) else {
                continue;
            };
            if !self.ledger.knows(&duty.key)? {
                self.ledger
                    .put(duty.key, Entry::new(best.number(), duty.deadline))?;
                self.metrics.jobs.with_label_values(&["assigned"]).inc();
                info!(
                    target: LOG, job = id, listing = ?duty.listing, prompt_tokens = duty.prompt_len,
                    token_limit = duty.token_limit, deadline = duty.deadline,
                    block = best.number(), "job assigned"
                );
            }
            open.insert(duty.key, duty);
        }
        Ok(open)
    }

    async fn view(
        &self,
        key: &Key,
        entry: &Entry,
        best: &Snapshot,
        finalized: &Snapshot,
        (nonce_at_best, nonce_at_finalized): (u64, u64),
    ) -> Result<View, End> {
        let answer = entry.answer();
        let standing = |job: Option<&assay_client::chain::Job>| {
            chain::standing(self.genesis, &self.provider, key, answer, job)
        };
        let at_best = standing(best.job(key.job).await?.as_ref());
        let at_finalized = match finalized.number() >= entry.seen_at {
            true => standing(finalized.job(key.job).await?.as_ref()),
            false => Standing::Elsewhere,
        };
        let receipt_holds = match (at_best, answer) {
            (Standing::Open, Some(answer)) => {
                answer.signer == self.operator.0
                    && chain::anchor_holds(best, &answer.receipt.anchor).await?
            }
            _ => true,
        };
        Ok(View {
            best: best.number(),
            finalized: finalized.number(),
            at_best,
            at_finalized,
            nonce_at_best,
            nonce_at_finalized,
            receipt_holds,
            refused: self
                .state
                .sent
                .get(key)
                .is_some_and(|sent| sent.refusal.is_some()),
        })
    }

    fn report(&mut self, purse: &Purse, best: &Snapshot, finalized: &Snapshot) {
        let queue = self.state.generating.len();
        let open_jobs = self.ledger.active().count();
        self.metrics.queue.set(queue as i64);
        self.metrics.open_jobs.set(open_jobs as i64);
        self.metrics.best_block.set(best.number().into());
        self.metrics.finalized_block.set(finalized.number().into());
        let poor = purse.is_low(open_jobs) || self.ledger.paused();
        let reason = match poor {
            true => Some(purse.complaint(&self.operator.to_string(), open_jobs)),
            false => {
                let State {
                    rival,
                    channels,
                    disputes,
                    ..
                } = &self.state;
                let complaint = rival.clone().or_else(|| disputes.complaint.clone());
                complaint.or_else(|| channels.complaint.clone())
            }
        };
        let serving = reason.is_none();
        let listings = self.models.listings();
        let engines = self.models.served();
        let engines = engines.map(|(id, served)| (format!("{id:?}"), served.engine.clone()));
        let engines = engines.collect();
        self.health.send_modify(|health| {
            health.status = match serving {
                true => Status::Ok,
                false => Status::Degraded,
            };
            health.reason = reason.clone();
            health.listings = listings;
            health.engines = engines;
            health.best_block = best.number();
            health.finalized_block = finalized.number();
            health.queue = queue;
            health.open_jobs = open_jobs;
        });
        if self.state.serving != Some(serving) {
            self.state.serving = Some(serving);
            match &reason {
                None => info!(target: LOG, "serving"),
                Some(why) => error!(target: LOG, %why, "degraded"),
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
