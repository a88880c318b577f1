//! Everything that an answer is bought with: the market as it was last seen, the channels, and what is
//! known of the providers.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use assay_client::{AccountId32, Amount, Error, H256};
use tokio::sync::watch;

use crate::{
    channels::{Channels, MoneyError, Policy},
    choice::{all_pause, Experience, Offer},
    disputes::Disputes,
    evidence,
    market::{Block, Facts, Market},
    metrics::Metrics,
    models::{self, Folder, Model},
    recheck::{Checker, Suspect, Verdict},
    scoring::Scoring,
    store::{Store, StoreError},
    upstream::Worker,
};

mod node;

/// How often the chain is looked at.
const REFRESH: Duration = Duration::from_secs(3);

/// How answers are bought.
#[derive(Clone, Debug)]
pub struct Terms {
    pub policy: Policy,
    /// The most for a token, of the prompt or of the answer.
    pub max_price: Option<Amount>,
    /// Whether bodies are sealed to the provider.
    pub seal: bool,
    /// The most tokens of an answer whose request names no limit.
    pub max_tokens: u32,
    /// Parts per million of the answers that are checked.
    pub check: u32,
    /// Whether other providers are paid to check what cannot be computed here: they read prompt and answer.
    pub score: bool,
}

/// A provider, and the number and hash of a block.
type Tenure = ([u8; 32], u32, H256);

pub struct Shop {
    pub market: Arc<dyn Market>,
    pub store: Arc<Store>,
    pub channels: Channels,
    pub metrics: Arc<Metrics>,
    pub terms: Terms,
    folders: Vec<Folder>,
    seen: watch::Sender<Seen>,
    experience: Arc<Mutex<Experience>>,
    workers: Mutex<HashMap<[u8; 32], (Offer, Worker)>>,
    /// Who spoke for a provider at recent blocks that are final: all streams beside each other build on the same ones.
    operators: Mutex<HashMap<Tenure, AccountId32>>,
    checker: Checker,
    pub scoring: Scoring,
    trouble: Arc<Mutex<Trouble>>,
}

/// The market as it was last seen.
#[derive(Clone, Default)]
pub struct Seen {
    /// Where the user's node was, and when; none before the first look.
    head: Option<(Block, Instant)>,
    pub facts: Facts,
    pub models: Vec<Model>,
}

/// What `/health` has to say.
#[derive(Clone, Debug, Default)]
pub struct Trouble {
    /// Why the chain was not reached the last time.
    pub chain: Option<String>,
    /// The wrong answers that were found.
    pub wrong: Vec<String>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shop {
    pub fn new(
        market: Arc<dyn Market>,
        store: Arc<Store>,
        folders: Vec<Folder>,
        terms: Terms,
    ) -> anyhow::Result<Arc<Self>> {
        let metrics = Arc::new(Metrics::new()?);
        let trouble = Arc::new(Mutex::new(Trouble::default()));
        let experience = Arc::new(Mutex::new(Experience::default()));
        let checker = {
            let (metrics, trouble) = (metrics.clone(), trouble.clone());
            let experience = experience.clone();
            let data: PathBuf = store.folder().into();
            let disputes = market.challenger().map(Disputes::new);
            Checker::start(terms.check, move |suspect, verdict| {
                let is_news = told(&data, &metrics, &trouble, &experience, &suspect, &verdict);
                let (Some(disputes), Verdict::Wrong { position, .. }, true) =
                    (&disputes, verdict, is_news)
                else {
                    return;
                };
                let file = evidence::path(&data, &evidence::answer_name(&suspect.name));
                disputes.begin(file, suspect.answer, suspect.model.folder, position);
            })?
        };
        metrics.budget(terms.policy.budget);
        Ok(Arc::new(Self {
            channels: Channels::new(market.clone(), store.clone(), terms.policy)?,
            market,
            store,
            metrics,
            terms,
            folders,
            seen: watch::Sender::new(Seen::default()),
            experience,
            workers: Mutex::default(),
            operators: Mutex::default(),
            checker,
            scoring: Scoring::default(),
            trouble,
        }))
    }

    /// Looks at the chain: offers and models, and what became of the channels.
    pub async fn refresh(&self) -> Result<(), MoneyError> {
        let refreshed = self.look().await;
        locked(&self.trouble).chain = refreshed.as_ref().err().map(|error| self.said(error));
        refreshed
    }

    async fn look(&self) -> Result<(), MoneyError> {
        let facts = self.market.facts().await?;
        let meant = self.store.names()?;
        let models = models::listed(&self.folders, &facts, &meant);
        for (name, root) in models::learned(&models, &facts, &meant) {
            self.store.put_name(&name, &root)?;
        }
        let block = self.market.block(0).await?;
        if !block.is_behind() {
            self.channels.retire_unoffered(&facts.offers)?;
        }
        let head = Some((block, Instant::now()));
        self.seen.send_replace(Seen {
            head,
            facts,
            models,
        });
        self.channels.reconcile().await?;
        self.keep_evidence();
        self.count()?;
        Ok(())
    }

    /// Closes channels that are of no more use, for ever. Apart from the rest, because it waits for the chain.
    pub async fn close(self: Arc<Self>) {
        loop {
            if let Err(error) = self.channels.close_retired().await {
                tracing::warn!(target: "assay_gateway", %error, "a channel is not closed yet");
            }
            tokio::time::sleep(REFRESH).await;
        }
    }

    /// Looks at the chain for ever.
    pub async fn watch(self: Arc<Self>) {
        loop {
            if let Err(error) = self.refresh().await {
                tracing::warn!(target: "assay_gateway", %error, "the chain was not reached");
            }
            tokio::time::sleep(REFRESH).await;
        }
    }

    pub fn seen(&self) -> watch::Ref<'_, Seen> {
        self.seen.borrow()
    }

    pub fn model(&self, name: &str) -> Option<Model> {
        models::named(&self.seen().models, name).cloned()
    }

    /// The offers for a model.
    pub fn offers(&self, model: &Model) -> Vec<Offer> {
        let offers = self.seen().facts.offers.clone().into_iter();
        offers
            .filter(|offer| model.listing(&offer.listing).is_some())
            .collect()
    }

    pub fn experience(&self) -> MutexGuard<'_, Experience> {
        locked(&self.experience)
    }

    /// For each model all of whose providers pause, until when.
    pub fn paused(&self) -> Vec<String> {
        let models = self.seen().models.clone().into_iter();
        let paused = models.filter_map(|model| {
            let offers = self.offers(&model);
            let next = all_pause(&offers, &self.experience(), Instant::now());
            let (provider, pause) = next?;
            Some(format!(
                "all providers of {} pause, since they failed: {provider} is asked again in {} s; see the log for what \
                 failed",
                model.id,
                pause.as_millis().div_ceil(1000)
            ))
        });
        paused.collect()
    }

    /// A provider's server; its connections are kept while its record on chain stays.
    pub fn worker(&self, offer: &Offer) -> anyhow::Result<Worker> {
        let mut workers = locked(&self.workers);
        if let Some((known, worker)) = workers.get(&offer.provider.0) {
            let same =
                |offer: &Offer| (offer.endpoint.clone(), offer.tls_key_hash, offer.x25519_key);
            if same(known) == same(offer) {
                return Ok(worker.clone());
            }
        }
        let worker = Worker::new(offer, self.terms.seal)?;
        workers.insert(offer.provider.0, (offer.clone(), worker.clone()));
        Ok(worker)
    }

    /// An answer has ended; whether it is one of those to be checked, and is now.
    pub fn consider(&self, suspect: impl FnOnce() -> Suspect) -> bool {
        let drawn = self.checker.is_drawn();
        if drawn {
            self.check(suspect());
        }
        drawn
    }

    /// Checks an answer, if it has any tokens: it is computed again where the model's weights are here, else scored by
    /// another provider. A check that finds no room is left out: the next answer is as good.
    pub fn check(&self, suspect: Suspect) {
        if suspect.answer.output.is_empty() {
            return;
        }
        let has_room = match suspect.model.weights || !self.terms.score {
            true => self.checker.offer(suspect),
            false => self.scoring.offer(suspect),
        };
        if !has_room {
            tracing::debug!(target: "assay_gateway", "no room to check an answer");
        }
    }

    /// Says how an answer turned out that was checked.
    pub fn tell(&self, suspect: &Suspect, verdict: &Verdict) {
        told(
            self.store.folder(),
            &self.metrics,
            &self.trouble,
            &self.experience,
            suspect,
            verdict,
        );
    }

    /// Writes down what channels were given up for, and leaves their providers alone from then on.
    pub fn keep_evidence(&self) {
        for line in self.channels.lines() {
            let provider = AccountId32(line.channel().provider);
            if let Some(kept) = line.take_note() {
                self.experience().caught(provider);
                tracing::warn!(
                    target: "assay_gateway", channel = ?line.id(), %provider, kept = %Amount(kept),
                    "a provider closed a channel for more than its receipts here are over; it is left alone"
                );
            }
            match evidence::of_channel(self.store.folder(), &line) {
                Ok(false) => {}
                Ok(true) => {
                    self.experience().caught(provider);
                    self.metrics.evidence.inc();
                    let caught = line.evidence().map(|evidence| evidence.caught.to_string());
                    tracing::error!(
                        target: "assay_gateway", channel = ?line.id(), %provider,
                        caught = caught.unwrap_or_default(),
                        "a channel is given up, and its provider left alone"
                    );
                }
                Err(error) => {
                    self.experience().caught(provider);
                    tracing::error!(target: "assay_gateway", %error, "evidence cannot be written");
                }
            }
        }
    }

    fn count(&self) -> Result<(), StoreError> {
        let channels = self.store.channels()?;
        let sum = |amount: fn(&crate::store::Channel) -> u128| {
            let amounts = channels.iter().map(|(_, channel)| amount(channel));
            amounts.fold(0, u128::saturating_add)
        };
        self.metrics.money("committed", self.store.committed()?);
        self.metrics
            .money("settled", sum(|channel| channel.settled));
        self.metrics
            .money("refunded", sum(|channel| channel.refunded()));
        Ok(())
    }

    /// Why the chain is not known as it is by now: the last look at it failed, or the node is behind since. None while it
    /// is known.
    pub fn chain_problem(&self) -> Option<String> {
        let unreached = locked(&self.trouble).chain.clone();
        let unreached = unreached.map(|problem| format!("the chain was not reached: {problem}"));
        unreached.or_else(|| self.out_of_step().map(|error| error.to_string()))
    }

    /// What is said of an error; of the node's with where it is, and without the layers that it came through.
    pub fn said(&self, error: &MoneyError) -> String {
        let node = self.market.node();
        let plain = |reason: &str| reason.rsplit("error: ").next().unwrap_or(reason).to_owned();
        match error {
            MoneyError::Chain(Error::Node(reason)) => format!(
                "the node at {node} failed to answer: {}; see that it runs, look at its log, and try again",
                plain(reason)
            ),
            MoneyError::Chain(Error::NotSent { call, reason }) => format!(
                "{call} was not sent, since the node at {node} failed to answer: {}; see that it runs, look at its log, \
                 and try again",
                plain(reason)
            ),
            other => other.to_string(),
        }
    }

    pub fn trouble(&self) -> Trouble {
        locked(&self.trouble).clone()
    }
}

/// An answer was checked. False if it is known already that something is wrong with it: what broke off is checked before
/// and after its last receipt is here.
fn told(
    data: &std::path::Path,
    metrics: &Metrics,
    trouble: &Mutex<Trouble>,
    experience: &Mutex<Experience>,
    suspect: &Suspect,
    verdict: &Verdict,
) -> bool {
    let Suspect { name, answer, .. } = suspect;
    let mut is_news = true;
    let written = |evidence: std::io::Result<bool>| match evidence {
        Ok(true) => {
            metrics.evidence.inc();
            true
        }
        Ok(false) => false,
        Err(error) => {
            tracing::error!(target: "assay_gateway", %error, "evidence cannot be written");
            true
        }
    };
    let label = match verdict {
        Verdict::Right => {
            tracing::debug!(target: "assay_gateway", answer = %name, "checked: every token is right");
            "right"
        }
        Verdict::Unknown(reason) => {
            tracing::warn!(target: "assay_gateway", answer = %name, %reason, "cannot be checked");
            "unknown"
        }
        Verdict::Wrong {
            what: wrong,
            position,
        } => {
            locked(experience).caught(answer.header.provider);
            is_news = written(evidence::of_answer(data, name, answer, wrong, *position));
            if is_news {
                tracing::error!(
                    target: "assay_gateway", answer = %name, provider = %answer.header.provider, %wrong,
                    "computed again: the answer is WRONG"
                );
                locked(trouble).wrong.push(format!("{name}: {wrong}"));
            }
            "wrong"
        }
        Verdict::Contradicted { what, score } => {
            let answer = evidence::of_answer(data, name, answer, what, None);
            is_news = written(answer.and_then(|_| evidence::of_score(data, name, score, what)));
            if is_news {
                tracing::error!(
                    target: "assay_gateway", answer = %name, %what,
                    "answer and score contradict each other, so one of the two providers lies: whoever has the weights \
                     finds out which with `assay verify`, and takes it to the chain with `assay dispute open`; the \
                     receipts of both are in the folder of evidence"
                );
                locked(trouble).wrong.push(format!("{name}: {what}"));
            }
            "contradicted"
        }
    };
    metrics.checks.with_label_values(&[label]).inc();
    is_news
}
