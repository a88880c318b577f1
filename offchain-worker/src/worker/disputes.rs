//! Disputes against the provider: found in storage at every best block, and answered before anything else.
//!
//! Moves follow the best blocks. Each fits one state of its dispute, so that one which a fork took back is
//! made again, and the chain refuses what is out of date.

use std::collections::BTreeMap;

use assay_client::{
    dispute::{Dispute, DisputeId, MoveCall, Play, Side, Trial},
    Amount, Chain, Snapshot, H256,
};
use tokio::task::{JoinError, JoinSet};
use tracing::{error, info, warn};

use self::{
    case::{Case, Reply},
    sent::{Sent, Step},
    studies::{about, urgency, Room, Studies},
};
use super::{nonces::Nonces, End, Worker, LOG};
use crate::{chain::Heads, deliver};

mod case;
mod end;
mod search;
mod sent;
mod studies;

/// Transactions that may fail on chain for one move that the chain, asked before, would have taken.
const MAX_FAILURES: u32 = 3;
/// Blocks before what could not be found or computed is tried again, and before the chain is asked again that refused.
const RETRY: u32 = 5;

/// What is remembered of them between two looks.
#[derive(Default)]
pub(super) struct Disputes {
    cases: BTreeMap<DisputeId, Case>,
    /// Disputes over the same token share one.
    studies: Studies,
    plays: JoinSet<Played>,
    /// Why a dispute is not answered.
    pub(super) complaint: Option<String>,
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
        let mut disputes = best.disputes_of_provider(self.provider).await?;
        disputes.sort_by_key(urgency);
        self.end_cases(chain, &disputes, heads).await?;
        let (_, is_paused) = best.paused_blocks().await?;
        let clock = best.dispute_clock().await?;
        let left = blocks_until_move(&disputes, clock).map_or(-1, i64::from);
        self.metrics.blocks_until_move.set(left);
        let room = match disputes.is_empty() {
            true => 0,
            false => best.dispute_parameters().await?.live_disputes,
        };
        let room = Room::of(&disputes, room);
        for dispute in &disputes {
            self.find_case(dispute, best);
            if dispute.turn() != Some(Side::Provider) || is_paused {
                continue;
            }
            if !may_move(dispute, clock, best).await? {
                continue;
            }
            let id = dispute.id;
            let lacks_reply = |case: &Case| case.lacks_reply(best.number());
            let own = &self.state.disputes;
            let waits = about(dispute).is_some_and(|about| own.studies.waits(&about, &room));
            if own.cases.get(&id).is_some_and(lacks_reply) && !waits {
                self.prepare(dispute, &room, best).await?;
            }
            let Some(case) = self.state.disputes.cases.get_mut(&id) else {
                continue;
            };
            let Reply::Ready(made) = &case.reply else {
                continue;
            };
            if !case.may_ask(best.number()) {
                continue;
            }
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
                if case.refuse(&why, best.number()) {
                    error!(
                        target: LOG, dispute = id, %why,
                        "the chain would not take the move with which the provider {what}; it is not sent, and asked \
                         about again every {RETRY} blocks"
                    );
                }
                self.state.disputes.complaint = Some(unanswered(id, &why));
                continue;
            }
            if case.refusal.take().is_some() {
                self.state.disputes.complaint = None;
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
        self.anticipate(&disputes, &room, best).await?;
        self.metrics.disputes_live.set(disputes.len() as i64);
        self.hold_new_work();
        Ok(())
    }

    /// Nothing new is begun while a move is computed: a dispute that is lost costs more than any answer earns.
    pub(super) fn hold_new_work(&mut self) {
        self.models.hold(!self.state.disputes.plays.is_empty());
    }

    fn find_case(&mut self, dispute: &Dispute, best: &Snapshot) {
        let cases = &mut self.state.disputes.cases;
        let case = cases.entry(dispute.id).or_insert_with(|| {
            self.metrics.disputes.with_label_values(&["opened"]).inc();
            warn!(
                target: LOG, dispute = dispute.id, claim = ?dispute.claim,
                token = ?dispute.position().map(|position| position.saturating_add(1)),
                challenger = %dispute.challenger, bond = %Amount(dispute.bond),
                "an answer is disputed; it is defended by this worker as long as it runs"
            );
            Case::new(dispute, best.number())
        });
        if case.go_on(dispute.state) {
            self.state.disputes.complaint = None;
        }
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
