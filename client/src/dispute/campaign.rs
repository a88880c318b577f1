//! The challenger's way from a plan to the end of the dispute. All that it must remember is in the plan's
//! file and on the chain, so that one that was killed goes on where it was.

use std::{collections::HashMap, path::Path, time::Duration};

use assay_exact::trace::Layout;
use subxt::{
    transactions::Payload,
    utils::{AccountId32, H256},
};
use subxt_signer::sr25519::Keypair;
use tokio::time::{sleep, timeout};

use super::{
    calls::{self, MoveCall},
    game::{Dispute, Side},
    news::News,
    plan::{Opened, Plan},
    play::Play,
    refusal::{convicted, refusal},
    storage::{Commitment, Ending},
    study::Study,
    trial::Trial,
};
use crate::{
    answer::Answer,
    chain::{runtime, NewBlocks},
    keys, Chain, Error, Included, Snapshot, Wait,
};

/// How long a transaction may take into a block.
const SUBMIT: Duration = Duration::from_secs(120);
/// Without a new block for this long, the connection counts as lost.
const QUIET: Duration = Duration::from_secs(120);
/// Before a node that failed is asked again.
const PAUSE: Duration = Duration::from_secs(2);
/// Blocks after which a move is made again whose state is still there: a fork took its block away, or the chain
/// refused it, which a node that was behind or on a fork may have said alone.
const AGAIN: u32 = 6;
/// Blocks whose events nodes still have.
const REMEMBERED: u32 = 256;
/// Blocks that the chain has to end a dispute by itself whose deadline is over.
const LATE: u32 = 3;

/// Somebody who disputes an answer, or plays for who does.
pub struct Campaign<'a> {
    pub chain: &'a Chain,
    pub key: &'a Keypair,
    pub answer: &'a Answer,
    /// Another answer, if the charge is that it contradicts this one.
    pub other: Option<&'a Answer>,
    /// The right trace, if the charge is that a token does not follow.
    pub study: Option<&'a Study>,
    /// The file of the answer, beside which the plan's is; none if there is nothing to remember.
    pub file: Option<&'a Path>,
    pub plan: Plan,
    /// End once the dispute is open.
    pub only_open: bool,
}

impl Campaign<'_> {
    /// Goes on until the end is final, or for one that is only to open until that is seen; then there is no
    /// ending. An error is one that trying again does not remove.
    pub async fn run(
        mut self,
        tell: &mut (dyn FnMut(News) + Send),
    ) -> Result<Option<Ending>, Error> {
        let mut blocks: Option<NewBlocks> = None;
        let mut made = Made::default();
        loop {
            let looked = match self.chain.best().await {
                Ok(best) => self.look(&best, &mut made, tell).await,
                Err(error) => Err(error),
            };
            match looked {
                Ok(Some(ending)) => {
                    self.plan.over = true;
                    self.remember()?;
                    return Ok(Some(ending));
                }
                Ok(None) if self.only_open && self.plan.opened.is_some() => return Ok(None),
                Ok(None) => {}
                Err(error) if is_passing(&error) => {
                    tell(News::Trouble(error.to_string()));
                    sleep(PAUSE).await;
                    blocks = None;
                    continue;
                }
                Err(error) => return Err(error),
            }
            blocks = self.next(blocks).await;
        }
    }

    /// Waits for a new block; none if the connection is to be made anew.
    async fn next(&self, blocks: Option<NewBlocks>) -> Option<NewBlocks> {
        let mut blocks = match blocks {
            Some(blocks) => blocks,
            None => match self.chain.best_blocks().await {
                Ok(blocks) => blocks,
                Err(_) => {
                    sleep(PAUSE).await;
                    return None;
                }
            },
        };
        match timeout(QUIET, blocks.next()).await {
            Ok(Ok(_)) => Some(blocks),
            Ok(Err(_)) | Err(_) => None,
        }
    }

    fn remember(&self) -> Result<(), Error> {
        match self.file {
            Some(file) => self.plan.write(file),
            None => Ok(()),
        }
    }

    fn me(&self) -> AccountId32 {
        keys::account(self.key)
    }

    /// Does what follows from a block. How it ended, if it is over.
    async fn look(
        &mut self,
        best: &Snapshot,
        made: &mut Made,
        tell: &mut (dyn FnMut(News) + Send),
    ) -> Result<Option<Ending>, Error> {
        if let Some(dispute) = self.find(best).await? {
            let opened = Some(Opened {
                dispute: dispute.id,
                block: best.number(),
            });
            if self.plan.opened.map(|opened| opened.dispute) != Some(dispute.id) {
                self.plan.opened = opened;
                self.remember()?;
                tell(News::Opened {
                    dispute: dispute.id,
                    bond: dispute.bond,
                });
            }
            self.play(best, dispute, made, tell).await?;
            return Ok(None);
        }
        let claim = self.answer.header.claim;
        let hash =
            assay_primitives::dispute::commitment(&claim, &self.plan.challenger, &self.plan.salt);
        let commitment = best.commitment(self.plan.challenger, hash).await?;
        match (commitment, self.plan.opened) {
            (Some(made), _) if made.made_at <= best.number() => {
                if self.compute(tell).await? {
                    return Ok(None);
                }
                self.open(best, &made).await
            }
            (Some(_), _) => Ok(None),
            (None, Some(opened)) => self.ending(best, opened, tell).await,
            (None, None) => {
                if let Some(opened) = self.find_opened(best).await? {
                    self.plan.opened = Some(opened);
                    self.remember()?;
                    return self.ending(best, opened, tell).await;
                }
                if best.is_convicted(claim).await? {
                    // It may be that this was the accusation, just before a restart.
                    let from = best.number().saturating_sub(REMEMBERED);
                    let ending = self.chain.ending(best, None, claim, from);
                    if let Some(ending) = ending.await?.filter(|_| !self.plan.charge.is_dispute()) {
                        return Ok(Some(ending));
                    }
                    return Err(Error::Dispute(convicted(self.answer)));
                }
                self.check_key()?;
                let genesis = self.chain.genesis_hash();
                let charge = &self.plan.charge;
                // A commitment to it would be lost money.
                let why = refusal(best, genesis, charge, self.answer, self.other).await?;
                if let Some(why) = why {
                    self.plan.over = true;
                    self.remember()?;
                    return Err(Error::Dispute(why));
                }
                if self.compute(tell).await? {
                    return Ok(None);
                }
                let commit = calls::commit(&claim, &self.plan.challenger, &self.plan.salt);
                let made = self.submit_ahead(Some(best), &commit, Wait::InBlock).await;
                // What was sent before a restart got there first.
                if !is(&made, &["AlreadyCommitted"]) {
                    made?;
                }
                tell(News::Committed);
                Ok(None)
            }
        }
    }

    /// The dispute, if it is on the chain.
    async fn find(&self, best: &Snapshot) -> Result<Option<Dispute>, Error> {
        if !self.plan.charge.is_dispute() {
            return Ok(None);
        }
        let provider = self.answer.header.provider;
        let disputes = best.disputes_of_provider(provider).await?;
        Ok(disputes
            .into_iter()
            .filter(|dispute| {
                dispute.claim == self.answer.header.claim
                    && dispute.challenger == self.plan.challenger
                    && dispute.receipt == self.answer.signed.receipt
                    && dispute.position() == self.plan.charge.position()
            })
            .max_by_key(|dispute| dispute.id))
    }

    /// Waits for the trace, so that none of the moves has to: whoever is late loses. Whether that took its time, so
    /// that another block may be the best one.
    async fn compute(&self, tell: &mut (dyn FnMut(News) + Send)) -> Result<bool, Error> {
        let (Some(study), Some(position)) = (self.study, self.plan.charge.position()) else {
            return Ok(false);
        };
        let takes_time = study.is_computing();
        if takes_time {
            tell(News::Computing { position });
        }
        study.ready().await.map_err(Error::Dispute)?;
        Ok(takes_time)
    }

    /// The dispute, if it was opened and nobody here saw that before it was over.
    async fn find_opened(&self, best: &Snapshot) -> Result<Option<Opened>, Error> {
        let Some(from) = self.plan.sent.filter(|_| self.plan.charge.is_dispute()) else {
            return Ok(None);
        };
        let claim = self.answer.header.claim;
        let opened = self.chain.opened(best, claim, self.plan.challenger, from);
        Ok(opened
            .await?
            .map(|(dispute, block)| Opened { dispute, block }))
    }

    fn check_key(&self) -> Result<(), Error> {
        match self.me() == self.plan.challenger {
            true => Ok(()),
            false => Err(Error::Dispute(format!(
                "the dispute is not open yet, and only {} can open it; give its key",
                self.plan.challenger
            ))),
        }
    }

    /// Opens the dispute, or accuses. How it ended, if that was all.
    async fn open(&mut self, best: &Snapshot, made: &Commitment) -> Result<Option<Ending>, Error> {
        self.check_key()?;
        // On the block of the commitment itself it would be too early, and in the next it is not.
        let on_trial = (made.made_at < best.number()).then_some(best);
        let Plan {
            charge,
            delegate,
            salt,
            ..
        } = self.plan.clone();
        let claim = self.answer.header.claim;
        self.plan.sent = Some(best.number());
        self.remember()?;
        let made = if charge.is_dispute() {
            let open = calls::open(self.answer, charge.position(), salt, delegate);
            self.submit_ahead(on_trial, &open, Wait::InBlock).await
        } else {
            let evidence = charge.evidence(self.answer, self.other)?;
            let accuse = calls::accuse(self.answer, evidence, salt);
            self.submit_ahead(on_trial, &accuse, Wait::Finalized).await
        };
        // It was sent before a restart, its block was of a fork, or the commitment waits to be dropped.
        let passing = [
            "NotCommitted",
            "CommitmentTooNew",
            "CommitmentExpired",
            // No provider is accused while governance has stopped the clocks.
            "Paused",
            // A place comes free with each dispute that ends.
            "QueueFull",
        ];
        if is(&made, &passing) {
            return Ok(None);
        }
        let made = made?;
        match charge.is_dispute() {
            true => Ok(None),
            false => made.block.ending(None, claim).await,
        }
    }

    async fn play(
        &self,
        best: &Snapshot,
        dispute: Dispute,
        made: &mut Made,
        tell: &mut (dyn FnMut(News) + Send),
    ) -> Result<(), Error> {
        let clock = best.dispute_clock().await?;
        let left = dispute
            .deadline
            .map(|deadline| deadline.saturating_sub(clock));
        let late = dispute
            .deadline
            .is_some_and(|deadline| clock > deadline.saturating_add(LATE));
        if late || best.is_convicted(dispute.claim).await? {
            let timeout = runtime::tx().disputes().timeout(dispute.id);
            // Whoever is first; the chain does it by itself, too.
            let _ = self.submit(Some(best), &timeout, Wait::InBlock).await;
            return Ok(());
        }
        let (_, is_paused) = best.paused_blocks().await?;
        if is_paused {
            let what = "governance has stopped all clocks";
            tell(News::Waiting { what, left });
            return Ok(());
        }
        let mine = dispute.turn() == Some(Side::Challenger) && dispute.is_challenger(&self.me());
        let what = dispute.stage.describe();
        let study = match self.study {
            Some(study) if mine => study,
            _ => {
                tell(News::Waiting { what, left });
                return Ok(());
            }
        };
        let (id, state) = (dispute.id, dispute.state);
        if made.is_made(state, best.number()) {
            return Ok(());
        }
        self.compute(tell).await?;
        let play = study.play(Side::Challenger, dispute.stage.clone(), None);
        match play.await.map_err(Error::Dispute)? {
            Play::Wait => {}
            Play::NothingWrong => tell(News::NothingWrong),
            Play::Move(next) => {
                let what = next.describe();
                let call = MoveCall::new(&dispute, next);
                // The trace took its time, so that this is not the best block any more.
                let now = self.chain.best().await?;
                match self.submit(Some(&now), &call, Wait::InBlock).await {
                    Ok(_) => tell(News::Moved { dispute: id, what }),
                    // The next look sees what happened.
                    made if is(&made, &["StateChanged", "UnknownDispute", "Paused"]) => {}
                    Err(error) => tell(match error.dispatch_error() {
                        Some(_) => News::Refused(error.to_string()),
                        None => News::Trouble(error.to_string()),
                    }),
                }
            }
        }
        made.note(state, best.number());
        Ok(())
    }

    /// How a dispute ended that is gone from the best block; none until that is final, or if only a fork had it.
    async fn ending(
        &mut self,
        best: &Snapshot,
        opened: Opened,
        tell: &mut (dyn FnMut(News) + Send),
    ) -> Result<Option<Ending>, Error> {
        let finalized = self.chain.finalized().await?;
        if finalized.number() < opened.block || finalized.dispute(opened.dispute).await?.is_some() {
            tell(News::NotFinal {
                block: opened.block.max(best.number()),
            });
            return Ok(None);
        }
        let claim = self.answer.header.claim;
        let id = Some(opened.dispute);
        let found = self.chain.ending(best, id, claim, opened.block).await?;
        if found.is_some() {
            return Ok(found);
        }
        if let Some(hash) = self.chain.block_hash(opened.block).await? {
            let seen = match self.chain.at(hash).await {
                Ok(block) => block.dispute(opened.dispute).await,
                Err(error) => Err(error),
            };
            if let Ok(None) = seen {
                self.plan.opened = None;
                self.remember()?;
                return Ok(None);
            }
        }
        Err(Error::Dispute(format!(
            "dispute {} is over, and the node does not know any more how: the provider {} convicted of {}",
            opened.dispute,
            match finalized.is_convicted(claim).await? {
                true => "was",
                false => "was not",
            },
            self.answer.claim()
        )))
    }

    /// Sends a move, if it is taken on trial behind a block; else the error is the chain's.
    async fn submit<C: Payload>(
        &self,
        on_trial: Option<&Snapshot>,
        call: &C,
        wait: Wait,
    ) -> Result<Included, Error> {
        self.try_on(on_trial, call).await?;
        self.chain.submit(call, self.key, wait, SUBMIT).await
    }

    /// The same with what leads to a dispute. It waits for a place among everybody's transactions, while the
    /// time to dispute runs.
    async fn submit_ahead<C: Payload>(
        &self,
        on_trial: Option<&Snapshot>,
        call: &C,
        wait: Wait,
    ) -> Result<Included, Error> {
        self.try_on(on_trial, call).await?;
        self.chain.submit_ahead(call, self.key, wait, SUBMIT).await
    }

    async fn try_on<C: Payload>(&self, block: Option<&Snapshot>, call: &C) -> Result<(), Error> {
        let Some(block) = block else {
            return Ok(());
        };
        match block.trial(call, self.key).await? {
            Trial::Refused(error) => Err(error),
            Trial::Taken | Trial::Unknown => Ok(()),
        }
    }
}

/// The moves that were made, by the state that each is for: the best block at that time.
#[derive(Default)]
struct Made {
    moves: HashMap<H256, u32>,
    latest: H256,
}

impl Made {
    /// Whether the move at this state is made, and it is too early to make it again.
    fn is_made(&mut self, state: H256, best: u32) -> bool {
        let Some(block) = self.moves.get_mut(&state) else {
            return false;
        };
        if self.latest != state {
            // A fork took it back, and the node still has it: it comes again by itself.
            self.latest = state;
            *block = best;
        }
        best < block.saturating_add(AGAIN)
    }

    fn note(&mut self, state: H256, block: u32) {
        self.latest = state;
        self.moves.insert(state, block);
    }
}

/// Whether it is one of these errors of the pallet.
fn is<T>(result: &Result<T, Error>, names: &[&str]) -> bool {
    let error = result.as_ref().err().and_then(Error::dispatch_error);
    let name = error.and_then(|error| error.strip_prefix("Disputes::"));
    name.is_some_and(|name| names.contains(&name))
}

/// Whether trying again may help.
fn is_passing(error: &Error) -> bool {
    match error {
        Error::Incompatible | Error::WrongChain { .. } | Error::Url { .. } => false,
        Error::NotAccepted { is_funds, .. } => !is_funds,
        Error::Timeout { .. } | Error::Lost { .. } => true,
        other => other.is_chain(),
    }
}

/// The leaves of the trace that a dispute over a token of an answer is about; none if it has no trace.
pub fn leaves(answer: &Answer, shape: &assay_exact::Shape, position: u32) -> Option<u64> {
    let layout = Layout::of(shape, &answer.header, position);
    Some(layout.ok()?.leaves())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_move_is_made_again_when_it_had_its_time_and_its_state_is_still_there() {
        let [first, second] = [1, 2].map(H256::repeat_byte);
        let mut made = Made::default();
        assert!(!made.is_made(first, 10));
        made.note(first, 10);
        assert!(made.is_made(first, 10 + AGAIN - 1));
        assert!(!made.is_made(first, 10 + AGAIN));
        made.note(second, 20);
        // The branch with the second state is gone: what is for the first is in the node's pool again.
        assert!(made.is_made(first, 40));
        assert!(made.is_made(first, 40 + AGAIN - 1));
        assert!(!made.is_made(first, 40 + AGAIN));
    }
}
