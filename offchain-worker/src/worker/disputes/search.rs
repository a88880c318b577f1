//! The search for the next move, and for the trace that it is found with.

use std::sync::Arc;

use assay_client::{
    dispute::{computed, Dispute, Exhibit, Side, Study},
    Snapshot, H256,
};
use tracing::{error, info};

use super::{
    super::{End, Worker, LOG},
    case::Reply,
    studies::{about, About, Room},
    unanswered, Played, RETRY,
};
use crate::disputes::{defence, Defence, DefenceError};

impl Worker {
    /// Finds the move that is due, or begins to search for it.
    pub(super) async fn prepare(
        &mut self,
        dispute: &Dispute,
        room: &Room,
        best: &Snapshot,
    ) -> Result<(), End> {
        let id = dispute.id;
        let reply = match defence(best, &self.ledger.channels(), dispute).await {
            Ok(Defence::Move(made)) => Ok(Reply::Ready(made)),
            Ok(Defence::Trace {
                exhibit,
                listing,
                signature,
            }) => {
                let about = (about(dispute), room);
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
            Err(why) => Err(missing(why)?),
        };
        let reply = reply.unwrap_or_else(|why| self.cannot_answer(dispute, &why, best));
        if let Some(case) = self.state.disputes.cases.get_mut(&id) {
            case.reply = reply;
        }
        Ok(())
    }

    /// Begins to compute the trace that is needed first of those that are not there, unless one is computed already: no
    /// move is to wait for it, also where the challenger moves first, or the dispute waits for others.
    pub(super) async fn anticipate(
        &mut self,
        disputes: &[Dispute],
        room: &Room,
        best: &Snapshot,
    ) -> Result<(), End> {
        for dispute in disputes {
            let own = &self.state.disputes;
            let case = own.cases.get(&dispute.id);
            let (Some(about), Some(case)) = (about(dispute), case) else {
                continue;
            };
            if own.studies.is_computing() || !own.studies.has_room(&about, room) {
                return Ok(());
            }
            let is_known = own.studies.has(&about) || !case.lacks_reply(best.number());
            if is_known || best.is_convicted(dispute.claim).await? {
                continue;
            }
            let begun = match defence(best, &self.ledger.channels(), dispute).await {
                Ok(Defence::Move(_)) => continue,
                Ok(Defence::Trace {
                    exhibit, listing, ..
                }) => {
                    let about = (Some(about), room);
                    self.study(about, exhibit, listing, best).await?.map(drop)
                }
                Err(why) => Err(missing(why)?),
            };
            if let Err(why) = begun {
                let reply = self.cannot_answer(dispute, &why, best);
                if let Some(case) = self.state.disputes.cases.get_mut(&dispute.id) {
                    case.reply = reply;
                }
            }
        }
        Ok(())
    }

    fn cannot_answer(&mut self, dispute: &Dispute, why: &str, best: &Snapshot) -> Reply {
        error!(
            target: LOG, dispute = dispute.id, %why,
            "the dispute cannot be answered, and is lost if that lasts"
        );
        self.state.disputes.complaint = Some(unanswered(dispute.id, why));
        Reply::Failed(best.number().saturating_add(RETRY))
    }

    /// The trace of a token; the inner error says why there is none.
    async fn study(
        &mut self,
        (about, room): (Option<About>, &Room),
        exhibit: Exhibit,
        listing: H256,
        best: &Snapshot,
    ) -> Result<Result<Arc<Study>, String>, End> {
        let Some(about) = about else {
            return Ok(Err("it is about no token".into()));
        };
        if let Some(study) = self.state.disputes.studies.take(&about) {
            return Ok(Ok(study));
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
            let studies = &mut self.state.disputes.studies;
            studies.insert(about, study.clone(), room);
            study
        }))
    }
}

/// What is missing for an answer, if it is not the chain or the ledger that failed.
fn missing(why: DefenceError) -> Result<String, End> {
    match why {
        DefenceError::Chain(error) => Err(error.into()),
        DefenceError::Ledger(error) => Err(error.into()),
        DefenceError::Missing(why) => Ok(why),
    }
}
