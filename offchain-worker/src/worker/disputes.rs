//! Disputes against the provider: found in storage at every best block, and answered before anything else.
//!
//! Moves follow the best blocks. Each fits one state of its dispute, so that one which a fork took back is
//! made again, and the chain refuses what is out of date.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use assay_client::{
    dispute::{computed, Dispute, DisputeId, Move, MoveCall, Play, Side, Study, Trial},
    Amount, Chain, Snapshot, H256,
};
use assay_primitives::Claim;
use tokio::task::{JoinError, JoinSet};
use tracing::{error, info, warn};

use self::sent::{Sent, Step};
use super::{nonces::Nonces, End, Worker, LOG};
use crate::{
    chain::{receipt_hash, Heads},
    deliver,
    disputes::{defence, Defence, DefenceError},
};

mod end;
mod sent;

/// Transactions that may fail on chain for one move that the chain, asked before, would have taken.
const MAX_FAILURES: u32 = 3;
/// Blocks before what could not be found or computed is tried again.
const RETRY: u32 = 5;

/// What is remembered of them between two looks.
#[derive(Default)]
pub(super) struct Disputes {
    cases: BTreeMap<DisputeId, Case>,
    /// Traces, by receipt and place of the token: disputes over the same token share one.
    studies: HashMap<(H256, u32), Arc<Study>>,
    plays: JoinSet<Played>,
    /// Why a dispute is not answered.
    pub(super) complaint: Option<String>,
}

/// A dispute that was seen.
struct Case {
    claim: Claim,
    about: Option<(H256, u32)>,
    found_at: u32,
    /// The state that what follows is about.
    state: H256,
    reply: Reply,
    sent: Option<Sent>,
    /// Transactions that failed in blocks.
    failures: u32,
}

/// How far the next move is.
// There are as many as disputes that live.
#[allow(clippy::large_enum_variant)]
enum Reply {
    Unknown,
    Computing,
    Ready(Move),
    /// It is tried again at this block.
    Failed(u32),
    /// The chain takes no such move at this state, now or later.
    Refused,
}

/// What came of the search for a move.
pub(super) struct Played {
    id: DisputeId,
    state: H256,
    play: Result<Play, String>,
}

impl Disputes {
    /// What the node was told may be lost, so it is told again.
    pub(super) fn forget(&mut self) {
        let sent = self.cases.values_mut();
        for sent in sent.filter_map(|case| case.sent.as_mut()) {
            sent.forget();
        }
    }

    /// Notes the nonces of moves that are on their way.
    pub(super) fn note_nonces(&self, nonces: &mut Nonces) {
        let sent = self.cases.values().filter_map(|case| case.sent.as_ref());
        for sent in sent {
            nonces.note(sent.nonce());
        }
    }

    /// How many are not over.
    pub(super) fn live(&self) -> usize {
        self.cases.len()
    }

    /// The next move that was found.
    pub(super) async fn next(&mut self) -> Option<Result<Played, JoinError>> {
        self.plays.join_next().await
    }

    pub(super) fn note(&mut self, played: Result<Played, JoinError>, head: u32) {
        let played = match played {
            Ok(played) => played,
            Err(error) => {
                error!(target: LOG, %error, "the search for a move failed; report this");
                return;
            }
        };
        let Some(case) = self.cases.get_mut(&played.id) else {
            return;
        };
        if case.state != played.state {
            return;
        }
        case.reply = match played.play {
            Ok(Play::Move(made)) => Reply::Ready(made),
            Ok(Play::Wait | Play::NothingWrong) => Reply::Unknown,
            Err(why) => {
                error!(
                    target: LOG, dispute = played.id, %why,
                    "no move was found; the dispute is lost if none is made in time"
                );
                self.complaint = Some(unanswered(played.id, &why));
                Reply::Failed(head.saturating_add(RETRY))
            }
        };
    }
}

fn unanswered(id: DisputeId, why: &str) -> String {
    format!("dispute {id} is not answered: {why}")
}

/// Whether it is the time for a move.
async fn may_move(
    dispute: &Dispute,
    clock: u32,
    best: &Snapshot,
) -> Result<bool, assay_client::Error> {
    let in_time = dispute.deadline.is_some_and(|deadline| clock <= deadline);
    Ok(in_time && !best.is_convicted(dispute.claim).await?)
}

/// Blocks until the provider's next move is due, in whichever dispute that is first.
fn blocks_until_move(disputes: &[Dispute], clock: u32) -> Option<u32> {
    let own = disputes
        .iter()
        .filter(|dispute| dispute.turn() == Some(Side::Provider));
    own.filter_map(|dispute| dispute.deadline)
        .map(|deadline| deadline.saturating_sub(clock))
        .min()
}

impl Worker {
    /// Looks at the disputes, and does the next thing about each.
    pub(super) async fn defend(
        &mut self,
        chain: &Chain,
        nonces: &mut Nonces,
        heads: &Heads,
    ) -> Result<(), End> {
        let best = &heads.best;
        let disputes = best.disputes_of_provider(self.provider).await?;
        self.end_cases(chain, &disputes, heads).await?;
        let (_, is_paused) = best.paused_blocks().await?;
        let clock = best.dispute_clock().await?;
        let left = blocks_until_move(&disputes, clock).map_or(-1, i64::from);
        self.metrics.blocks_until_move.set(left);
        for dispute in &disputes {
            self.find_case(dispute, best);
            if dispute.turn() != Some(Side::Provider) || is_paused {
                continue;
            }
            if !may_move(dispute, clock, best).await? {
                continue;
            }
            let id = dispute.id;
            let known = |case: &Case| match case.reply {
                Reply::Unknown => false,
                Reply::Failed(until) => best.number() < until,
                Reply::Computing | Reply::Ready(_) | Reply::Refused => true,
            };
            if !self.state.disputes.cases.get(&id).is_some_and(known) {
                self.prepare(dispute, best).await?;
            }
            let Some(case) = self.state.disputes.cases.get_mut(&id) else {
                continue;
            };
            let Reply::Ready(made) = &case.reply else {
                continue;
            };
            let step = case.sent.as_ref().map(|sent| sent.step(nonces, best));
            let mut replaced = None;
            match step {
                None => {}
                Some(Step::Failed) => {
                    case.failures = case.failures.saturating_add(1);
                    case.sent = None;
                }
                Some(Step::Replace { nonce }) => replaced = Some(nonce),
                Some(Step::SendAgain) => {
                    self.send_move(id, best).await?;
                    continue;
                }
                Some(Step::Wait) => continue,
            }
            let what = made.describe();
            let call = MoveCall::new(dispute, made.clone());
            let refusal = match best.trial(&call, &self.key).await? {
                Trial::Refused(error) => Some(error.to_string()),
                Trial::Taken | Trial::Unknown => (case.failures >= MAX_FAILURES)
                    .then(|| "its transactions fail in blocks".to_owned()),
            };
            if let Some(why) = refusal {
                error!(
                    target: LOG, dispute = id, %why,
                    "the chain would not take the move with which the provider {what}; it is not sent"
                );
                case.reply = Reply::Refused;
                self.state.disputes.complaint = Some(unanswered(id, &why));
                continue;
            }
            let nonce = replaced.unwrap_or_else(|| nonces.take());
            let submission = deliver::sign_call(heads, &call, nonce, &self.key)?;
            info!(
                target: LOG, dispute = id, moves = dispute.moves, nonce,
                extrinsic = ?submission.hash, bytes = submission.extrinsic.len(),
                "dispute: the provider {what}"
            );
            case.sent = Some(Sent::new(submission));
            self.send_move(id, best).await?;
        }
        self.metrics.disputes_live.set(disputes.len() as i64);
        self.hold_new_work();
        Ok(())
    }

    /// Nothing new is begun while a move is computed: a dispute that is lost costs more than any answer earns.
    pub(super) fn hold_new_work(&mut self) {
        self.models.hold(!self.state.disputes.plays.is_empty());
    }

    fn find_case(&mut self, dispute: &Dispute, best: &Snapshot) {
        let hash = receipt_hash(&dispute.receipt);
        let cases = &mut self.state.disputes.cases;
        let case = cases.entry(dispute.id).or_insert_with(|| {
            self.metrics.disputes.with_label_values(&["opened"]).inc();
            warn!(
                target: LOG, dispute = dispute.id, claim = ?dispute.claim,
                token = ?dispute.position().map(|position| position.saturating_add(1)),
                challenger = %dispute.challenger, bond = %Amount(dispute.bond),
                "an answer is disputed; it is defended by this worker as long as it runs"
            );
            Case {
                claim: dispute.claim,
                about: dispute.position().map(|position| (hash, position)),
                found_at: best.number(),
                state: dispute.state,
                reply: Reply::Unknown,
                sent: None,
                failures: 0,
            }
        });
        if case.state != dispute.state {
            case.state = dispute.state;
            case.reply = Reply::Unknown;
            case.sent = None;
            case.failures = 0;
            self.state.disputes.complaint = None;
        }
    }

    /// Finds the move, or begins to search for it.
    async fn prepare(&mut self, dispute: &Dispute, best: &Snapshot) -> Result<(), End> {
        let id = dispute.id;
        let reply = match defence(best, &self.ledger.channels(), dispute).await {
            Ok(Defence::Move(made)) => Ok(Reply::Ready(made)),
            Ok(Defence::Trace {
                exhibit,
                listing,
                signature,
            }) => {
                let about = (receipt_hash(&dispute.receipt), exhibit.position);
                match self.study(about, exhibit, listing, best).await? {
                    Ok(study) => {
                        let (state, stage) = (dispute.state, dispute.stage.clone());
                        self.state.disputes.plays.spawn(async move {
                            let play = study.play(Side::Provider, stage, signature).await;
                            Played { id, state, play }
                        });
                        Ok(Reply::Computing)
                    }
                    Err(why) => Err(why),
                }
            }
            Err(DefenceError::Chain(error)) => return Err(error.into()),
            Err(DefenceError::Ledger(error)) => return Err(error.into()),
            Err(DefenceError::Missing(why)) => Err(why),
        };
        let disputes = &mut self.state.disputes;
        let reply = reply.unwrap_or_else(|why| {
            error!(
                target: LOG, dispute = id, %why,
                "the dispute cannot be answered, and is lost if that lasts"
            );
            disputes.complaint = Some(unanswered(id, &why));
            Reply::Failed(best.number().saturating_add(RETRY))
        });
        if let Some(case) = disputes.cases.get_mut(&id) {
            case.reply = reply;
        }
        Ok(())
    }

    /// The trace that a dispute is about; the inner error says why there is none.
    async fn study(
        &mut self,
        about: (H256, u32),
        exhibit: assay_client::dispute::Exhibit,
        listing: H256,
        best: &Snapshot,
    ) -> Result<Result<Arc<Study>, String>, End> {
        if let Some(study) = self.state.disputes.studies.get(&about) {
            return Ok(Ok(study.clone()));
        }
        let Some(served) = self.models.find(best, listing).await? else {
            return Ok(Err(format!(
                "the model of listing {listing:?} is not here; start again with its folder as --model"
            )));
        };
        info!(
            target: LOG, ?listing, prompt_tokens = exhibit.prompt.len(),
            token = exhibit.position.saturating_add(1), "computing the trace of a disputed token"
        );
        let study = Study::start(computed(served.folder, self.cpu.clone(), exhibit));
        Ok(study.map(|study| {
            let study = Arc::new(study);
            self.state.disputes.studies.insert(about, study.clone());
            study
        }))
    }

    /// Sends the move that a case has signed.
    async fn send_move(&mut self, id: DisputeId, best: &Snapshot) -> Result<(), End> {
        let case = self.state.disputes.cases.get_mut(&id);
        let Some(sent) = case.and_then(|case| case.sent.as_mut()) else {
            return Ok(());
        };
        if let Some(why) = sent.send(best).await? {
            warn!(target: LOG, dispute = id, %why, "the node did not take a move");
        }
        Ok(())
    }
}
