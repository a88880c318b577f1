//! One look at the chain: the duties that it shows, and the next thing about each.

use std::collections::HashMap;

use assay_client::{Chain, Snapshot};
use tracing::{error, info, warn};

use super::{nonces::Nonces, End, Sent, State, Worker, LOG, SEND_AGAIN};
use crate::{
    chain::{self, Duty, Heads},
    deliver,
    duties::{self, Action, Standing, View},
    http::Status,
    ledger::{Entry, Key, Reply},
    purse::Purse,
};

/// Blocks between two attempts to replace an extrinsic that the node refuses.
pub(super) const REPLACE: u32 = 2;

impl Worker {
    /// Finds new duties at the best block and does the next thing about each duty. Whether a decision was
    /// taken that another round can carry out at once.
    pub(super) async fn round(&mut self, chain: &Chain, heads: &Heads) -> Result<bool, End> {
        let best = &heads.best;
        self.check_operator(heads).await?;
        self.state.head = Some(chain::anchor(best));
        let mut nonces = Nonces::new(
            chain::nonce(best, &self.operator).await?,
            chain::nonce(&heads.finalized, &self.operator).await?,
        );
        let open = self.find_duties(best).await?;

        let mut views = Vec::new();
        for (key, entry) in self.ledger.active() {
            let view = self.view(key, entry, &nonces, heads).await?;
            if view.at_best != Standing::Elsewhere {
                if let Some(submission) = entry.submission() {
                    nonces.note(submission.nonce);
                }
            }
            views.push((*key, entry.deadline, view));
        }
        views.sort_by_key(|(key, deadline, _)| (*deadline, key.job));
        self.state.funds.note_nonce(&mut nonces);
        self.state.channels.note_nonce(&mut nonces);
        self.state.disputes.note_nonces(&mut nonces);
        self.defend(chain, &mut nonces, heads).await?;
        let purse = self.purse(heads).await?;
        self.switch(&purse, &mut nonces, heads).await?;
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
                    let nonce = nonces.take();
                    let entry = Entry {
                        attempts: entry.attempts.saturating_add(1),
                        ..entry
                    };
                    self.submit(key, entry, nonce, &view, heads).await?;
                }
                Action::Replace { nonce } => {
                    let due = |sent: &Sent| best.number() >= sent.at.saturating_add(REPLACE);
                    if self.state.sent.get(&key).is_none_or(due) {
                        self.submit(key, entry, nonce, &view, heads).await?;
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
                    let finalized = &heads.finalized;
                    let rival = self.rival(chain, &key, &entry, finalized).await?;
                    self.finish(key, entry, outcome, finalized, rival)?;
                }
            }
        }
        self.sell((&purse, due), &mut nonces, heads).await?;
        if let Some(nonce) = nonces.gap() {
            warn!(target: LOG, nonce, "a nonce was lost; filling it, since others wait behind it");
            deliver::send(best, &deliver::sign_filler(heads, nonce, &self.key)?).await?;
        }
        self.report(&purse, heads);
        Ok(again)
    }

    /// An operator that was replaced can deliver nothing, and would keep trying.
    async fn check_operator(&self, heads: &Heads) -> Result<(), End> {
        for snapshot in [&heads.best, &heads.finalized] {
            if snapshot.provider_of(self.operator).await? == Some(self.provider) {
                return Ok(());
            }
        }
        // The development chain that is started again without its folder has the same genesis.
        let known = heads.best.provider(self.provider).await?.is_some();
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
        nonces: &Nonces,
        Heads { best, finalized }: &Heads,
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
            nonce_at_best: nonces.at_best,
            nonce_at_finalized: nonces.at_finalized,
            receipt_holds,
            refused: self.state.sent.get(key).is_some_and(|sent| {
                sent.refusal.is_some() || sent.spec_version != best.spec_version()
            }),
        })
    }

    fn report(&mut self, purse: &Purse, Heads { best, finalized }: &Heads) {
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
