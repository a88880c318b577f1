//! The steps that a duty goes through: each changes the ledger first and tells the world after.

use assay_client::{Chain, Snapshot};
use tokio::task::JoinError;
use tracing::{error, info, warn};

use super::{Answered, End, Generating, Sent, Worker, LOG};
use crate::{
    chain::{self, Duty, Heads},
    deliver::{self, Verdict},
    duties::View,
    engine::{GenerateRequest, Sampling},
    generate::{Class, Failure, Generated},
    ledger::{Entry, Key, Outcome, Reply, Stage, Submission},
};

impl Worker {
    /// Gives a duty to the engine, or refuses it. Whether it was refused.
    pub(super) async fn generate(&mut self, duty: &Duty, best: &Snapshot) -> Result<bool, End> {
        if self.state.generating.contains_key(&duty.key) {
            return Ok(false);
        }
        let Some(served) = self.models.find(best, duty.listing).await? else {
            self.refuse(
                duty.key,
                format!("listing {:?} is not served here", duty.listing),
            )?;
            return Ok(true);
        };
        let Some(prompt) = best.prompt(duty.key.job).await? else {
            return Ok(false);
        };
        let request = GenerateRequest {
            prompt,
            sampling: Sampling {
                temperature: duty.sampling.temperature,
                top_k: duty.sampling.top_k,
                top_p: duty.sampling.top_p,
                min_p: duty.sampling.min_p,
                penalty: duty.sampling.penalty,
                seed: duty.key.seed,
            },
            max_output_tokens: duty.token_limit,
            stop_tokens: served.stop_tokens,
            logprobs: None,
            scored: None,
        };
        if let Err(error) = request.admit(&served.spec) {
            self.refuse(duty.key, error.to_string())?;
            return Ok(true);
        }
        // A full queue is no fault: the duty is still on the chain at the next block.
        let Ok(generation) = served.generator.submit(request, Class::Job) else {
            return Ok(false);
        };
        let key = duty.key;
        let task = self.state.answers.spawn(async move {
            let started = || info!(target: LOG, job = key.job, "generating");
            let result = generation.whole(started).await;
            Answered { key, result }
        });
        let duty = duty.clone();
        self.state.generating.insert(key, Generating { duty, task });
        Ok(false)
    }

    /// Ends the generation of an answer that nobody wants any more.
    pub(super) fn abandon(&mut self, key: &Key) {
        if let Some(generating) = self.state.generating.remove(key) {
            generating.task.abort();
            info!(target: LOG, job = key.job, "generation abandoned");
        }
    }

    pub(super) fn note_answered(
        &mut self,
        answered: Result<Answered, JoinError>,
    ) -> Result<(), End> {
        let Answered { key, result } = match answered {
            Ok(answered) => answered,
            // One that was abandoned.
            Err(error) if error.is_cancelled() => return Ok(()),
            Err(error) => return Err(End::Fatal(error.into())),
        };
        match self.state.generating.remove(&key) {
            Some(Generating { duty, .. }) => self.note_answer(&duty, result),
            None => Ok(()),
        }
    }

    fn note_answer(&mut self, duty: &Duty, result: Result<Generated, Failure>) -> Result<(), End> {
        let key = duty.key;
        let generated = match result {
            Ok(generated) => generated,
            Err(Failure::Request(why)) => return self.refuse(key, why),
            Err(Failure::Machine(why)) => {
                error!(target: LOG, job = key.job, %why, "this machine failed to answer");
                return self.refuse(key, format!("this machine failed: {why}"));
            }
        };
        let seconds = generated.took.as_secs_f64();
        self.metrics.generation_seconds.observe(seconds);
        self.metrics.prompt_tokens.inc_by(duty.prompt_len.into());
        self.metrics
            .output_tokens
            .inc_by(generated.tokens.len() as u64);
        // The job was found at a head, so there has been one.
        let Some(anchor) = self.state.head else {
            return Ok(());
        };
        let answer = match deliver::answer(duty, generated, anchor, &self.key) {
            Ok(answer) => answer,
            Err(why) => return self.refuse(key, why),
        };
        // A job that was lost and settled meanwhile has no record to go on with.
        let Some(entry) = self.ledger.get(&key).cloned() else {
            return Ok(());
        };
        if entry.stage != Stage::Seen {
            return Ok(());
        }
        let (output_tokens, fee) = (answer.receipt.output_len, answer.receipt.fee);
        let finish = answer.receipt.finish;
        self.ledger.put(
            key,
            Entry {
                stage: Stage::Ready(Reply::Answer(answer)),
                ..entry
            },
        )?;
        info!(target: LOG, job = key.job, output_tokens, ?finish, fee, seconds, "answer ready");
        Ok(())
    }

    /// Decides to decline.
    pub(super) fn refuse(&mut self, key: Key, why: String) -> Result<(), End> {
        let Some(entry) = self.ledger.get(&key).cloned() else {
            return Ok(());
        };
        warn!(target: LOG, job = key.job, %why, "declined");
        let stage = Stage::Ready(Reply::Refusal { reason: why });
        self.ledger.put(
            key,
            Entry {
                stage,
                attempts: 0,
                ..entry
            },
        )?;
        Ok(())
    }

    /// Signs an extrinsic for the entry's reply, writes it down, and only then sends it.
    pub(super) async fn submit(
        &mut self,
        key: Key,
        entry: Entry,
        nonce: u64,
        view: &View,
        heads: &Heads,
    ) -> Result<(), End> {
        let best = &heads.best;
        let Some(reply) = entry.reply().cloned() else {
            return Ok(());
        };
        let reply = match reply {
            Reply::Answer(answer) if !view.receipt_holds => {
                info!(
                    target: LOG, job = key.job,
                    "receipt signed again; a fork removed its block, or the operator is a new one"
                );
                Reply::Answer(deliver::reanchored(&answer, chain::anchor(best), &self.key))
            }
            other => other,
        };
        let mut submission = deliver::sign(heads, key.job, &reply, nonce, &self.key)?;
        if let Some(last) = entry.submission().filter(|last| last.nonce == nonce) {
            submission.replaced = last.replaced.clone();
            submission.replaced.push(last.hash);
        }
        let stage = Stage::Submitted(reply, submission.clone());
        let entry = Entry { stage, ..entry };
        self.ledger.put(key, entry.clone())?;
        self.send(key, &entry, &submission, best).await
    }

    pub(super) async fn send(
        &mut self,
        key: Key,
        entry: &Entry,
        submission: &Submission,
        best: &Snapshot,
    ) -> Result<(), End> {
        let refusal = match deliver::send(best, submission).await? {
            Verdict::Taken => {
                info!(
                    target: LOG, job = key.job, extrinsic = ?submission.hash,
                    nonce = submission.nonce, "{} submitted", what(entry)
                );
                None
            }
            Verdict::Occupied => None,
            Verdict::Refused(why) => {
                let before = self
                    .state
                    .sent
                    .get(&key)
                    .and_then(|sent| sent.refusal.as_ref());
                if before != Some(&why) {
                    warn!(
                        target: LOG, job = key.job, nonce = submission.nonce, %why,
                        "the node did not take the {}", what(entry)
                    );
                }
                Some(why)
            }
        };
        self.state.sent.insert(
            key,
            Sent {
                at: best.number(),
                spec_version: best.spec_version(),
                refusal,
            },
        );
        Ok(())
    }

    pub(super) fn note_in_block(
        &mut self,
        key: Key,
        entry: Entry,
        best: &Snapshot,
    ) -> Result<(), End> {
        info!(target: LOG, job = key.job, block = best.number(), "{} in block", what(&entry));
        if let Stage::Submitted(reply, submission) = entry.stage {
            self.ledger.put(
                key,
                Entry {
                    stage: Stage::InBlock(reply, submission),
                    ..entry
                },
            )?;
        }
        Ok(())
    }

    pub(super) fn finish(
        &mut self,
        key: Key,
        entry: Entry,
        outcome: Outcome,
        finalized: &Snapshot,
        rival: Option<String>,
    ) -> Result<(), End> {
        let block = finalized.number();
        let receipt = entry.answer().map(|answer| answer.receipt.clone());
        match (outcome, &receipt) {
            (Outcome::Delivered, Some(receipt)) => {
                info!(target: LOG, job = key.job, block, fee = receipt.fee, "delivery finalized");
            }
            (Outcome::Delivered, None) | (Outcome::Declined, _) => {
                info!(target: LOG, job = key.job, block, "{} finalized", what(&entry));
            }
            (Outcome::Lost, _) => {
                let why = match &rival {
                    Some(_) => "another worker of this operator answered it",
                    None => self.why_lost(&key, &entry, block),
                };
                warn!(target: LOG, job = key.job, block, deadline = entry.deadline, %why, "job lost");
            }
        }
        if let Some(what) = rival {
            error!(target: LOG, job = key.job, "{what}");
            self.state.rival = Some(what);
        }
        let kept = receipt.filter(|_| outcome == Outcome::Delivered);
        self.ledger.put(
            key,
            Entry {
                stage: Stage::Finished(outcome, kept),
                ..entry
            },
        )?;
        self.state.sent.remove(&key);
        self.state.unpaid.remove(&key);
        self.metrics
            .jobs
            .with_label_values(&[outcome.label()])
            .inc();
        Ok(())
    }

    /// Why a job was lost, as far as that is known when `block` is finalised.
    fn why_lost(&self, key: &Key, entry: &Entry, block: u32) -> &str {
        let refusal = self
            .state
            .sent
            .get(key)
            .and_then(|sent| sent.refusal.as_ref());
        match (&entry.stage, refusal) {
            _ if self.state.unpaid.contains(key) => {
                "the operator could not pay the fee of any reply"
            }
            (_, Some(refusal)) => refusal.as_str(),
            _ if block <= entry.deadline => "a fork took it away",
            (Stage::Seen, _) => "no answer was ready at the deadline",
            (Stage::Ready(_), _) => "the answer was ready too late",
            _ => "no block took the reply until the deadline",
        }
    }

    /// What another worker of this operator did about a duty that is settled, with the next step;
    /// `None` if nobody else did anything.
    pub(super) async fn rival(
        &self,
        chain: &Chain,
        key: &Key,
        entry: &Entry,
        finalized: &Snapshot,
    ) -> Result<Option<String>, End> {
        let Some(job) = finalized.job(key.job).await? else {
            return Ok(None);
        };
        let known = |hash| entry.submission().is_some_and(|sent| sent.covers(hash));
        let answers = !matches!(entry.reply(), Some(Reply::Refusal { .. }));
        let deed = if chain::delivered_by_another(chain, key.job, &job, &self.operator, known).await
        {
            "delivered"
        } else if answers
            && chain::declined(&job, &self.provider, finalized.number(), entry.deadline)
            && !self.ledger.knows_another(key)?
        {
            "declined"
        } else {
            return Ok(None);
        };
        Ok(Some(format!(
            "job {} was {deed} for provider {} by another than this worker: another one runs with \
             the key of operator {} and its own ledger, or this ledger is an old copy; stop one of \
             the two, or give each worker a provider of its own, and start this one again",
            key.job, self.provider, self.operator
        )))
    }
}

/// What an entry's extrinsic does, in the words of the log.
fn what(entry: &Entry) -> &'static str {
    match entry.reply() {
        Some(Reply::Refusal { .. }) => "decline",
        _ => "delivery",
    }
}
