//! How disputes ended.

use std::collections::HashSet;

use assay_client::{
    dispute::{Dispute, DisputeId, Ending, Verdict},
    Amount, Chain, Snapshot,
};
use tracing::{error, info, warn};

use super::super::{End, Worker, LOG};
use crate::chain::Heads;

impl Worker {
    /// Tells how the disputes ended that no best and no finalised block has any more, and drops what they left.
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
        self.forget_studies(best).await?;
        let disputes = &mut self.state.disputes;
        if disputes.cases.is_empty() {
            disputes.complaint = None;
        }
        Ok(())
    }

    /// Drops the traces of tokens that nobody disputes nor can dispute again.
    async fn forget_studies(&mut self, best: &Snapshot) -> Result<(), End> {
        let disputes = &mut self.state.disputes;
        let cases = disputes.cases.values();
        let disputed: HashSet<_> = cases.filter_map(|case| case.about).collect();
        for token in disputes.studies.tokens() {
            let (receipt, position) = token;
            if !disputed.contains(&token) && !best.has_trace(receipt, position).await? {
                disputes.studies.forget(&token);
            }
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
