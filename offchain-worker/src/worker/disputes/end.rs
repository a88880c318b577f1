//! How disputes ended.

use std::collections::HashSet;

use assay_client::{
    dispute::{Dispute, DisputeId, Ending, Verdict},
    Amount, Chain,
};
use tracing::{error, info, warn};

use super::super::{End, Worker, LOG};
use crate::chain::Heads;

impl Worker {
    /// Tells how the disputes ended that no best and no finalised block has any more.
    pub(super) async fn end_cases(
        &mut self,
        chain: &Chain,
        live: &[Dispute],
        Heads { best, finalized }: &Heads,
    ) -> Result<(), End> {
        let live: HashSet<DisputeId> = live.iter().map(|dispute| dispute.id).collect();
        let cases = &self.state.disputes.cases;
        let gone = cases.iter().filter(|(id, _)| !live.contains(id));
        let gone: Vec<_> = gone
            .map(|(id, case)| (*id, case.claim, case.found_at))
            .collect();
        for (id, claim, found_at) in gone {
            let is_final = finalized.number() >= found_at && finalized.dispute(id).await?.is_none();
            if !is_final {
                continue;
            }
            let ending = chain.ending(best, Some(id), claim, found_at).await?;
            self.state.disputes.cases.remove(&id);
            let convicted = match &ending {
                Some(ending) => matches!(
                    ending.dispute,
                    Some((_, Verdict::Convicted | Verdict::Superseded))
                ),
                None => finalized.is_convicted(claim).await?,
            };
            self.tell_end(id, convicted, ending);
        }
        let disputes = &mut self.state.disputes;
        let about: HashSet<_> = disputes
            .cases
            .values()
            .filter_map(|case| case.about)
            .collect();
        disputes.studies.retain(|study, _| about.contains(study));
        if disputes.cases.is_empty() {
            disputes.complaint = None;
        }
        Ok(())
    }

    fn tell_end(&self, dispute: DisputeId, convicted: bool, ending: Option<Ending>) {
        let outcome = if convicted { "lost" } else { "won" };
        self.metrics.disputes.with_label_values(&[outcome]).inc();
        let block = ending.as_ref().map(|ending| ending.block);
        let verdict = ending.as_ref().and_then(|ending| ending.dispute.clone());
        match (&verdict, convicted) {
            (_, true) => {
                let slashed = ending
                    .and_then(|ending| ending.conviction)
                    .map_or(0, |money| {
                        let Some(sum) = money.refund.checked_add(money.reward) else {
                            return u128::MAX;
                        };
                        sum.saturating_add(money.burned)
                    });
                error!(
                    target: LOG, dispute, block, slashed = %Amount(slashed),
                    "dispute lost: the provider is convicted of a false answer; see that this machine \
                     computes right before it sells more"
                );
            }
            (Some((_, Verdict::ModelBroken)), false) => warn!(
                target: LOG, dispute, block,
                "dispute over: the model's numbers break the format, and nobody is to blame"
            ),
            (_, false) => {
                let got = ending.map_or(0, |ending| ending.compensation);
                info!(
                    target: LOG, dispute, block, compensation = %Amount(got),
                    "dispute won: the challenger pays"
                );
            }
        }
    }
}
