//! The operator's money at work: reading it, and taking the provider offline and back online.

use assay_client::{Amount, Snapshot};
use tracing::{error, info, warn};

use super::{nonces::Nonces, End, Worker, LOG, SEND_AGAIN};
use crate::{
    chain::Heads,
    deliver::{self, Verdict},
    ledger::{Key, Submission},
    purse::{Fees, Presence, Purse, Switch},
};

/// Blocks between two estimates of the fees, which change slowly.
const FEES: u32 = 10;

/// What is remembered of it between two looks.
#[derive(Default)]
pub(super) struct Funds {
    /// The fees, and the block at which they were estimated.
    fees: Option<(u32, Fees)>,
    /// The extrinsic that is on its way, and the block at which it was last sent.
    switching: Option<(u32, Submission)>,
}

impl Funds {
    /// What the node was told may be lost.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Notes the nonce of a call that is on its way.
    pub(super) fn note_nonce(&self, nonces: &mut Nonces) {
        if let Some((_, submission)) = &self.switching {
            nonces.note(submission.nonce);
        }
    }

    /// What is not paid yet, in planck.
    pub(super) fn due(&self, purse: &Purse) -> u128 {
        match self.switching {
            Some(_) => purse.fees.set_online,
            None => 0,
        }
    }
}

impl Worker {
    pub(super) async fn purse(&mut self, heads: &Heads) -> Result<Purse, End> {
        let best = &heads.best;
        let fees = match self.state.funds.fees {
            Some((at, fees)) if best.number() < at.saturating_add(FEES) => fees,
            _ => {
                let fees = deliver::fees(heads, &self.key).await?;
                self.state.funds.fees = Some((best.number(), fees));
                fees
            }
        };
        let balances = best.balances(self.operator).await?;
        self.metrics.set_operator_balance(balances.free);
        // Fees never take an account's last money.
        let kept = balances.frozen.max(best.existential_deposit()?);
        Ok(Purse::new(fees, balances.free, kept))
    }

    /// Takes the provider offline if the operator runs out of money, and back online when it has
    /// some. What is decided is written down first, so that a worker that was killed between goes
    /// on with it, and never brings a provider online whom a person took offline.
    pub(super) async fn switch(
        &mut self,
        purse: &Purse,
        nonces: &mut Nonces,
        heads: &Heads,
    ) -> Result<(), End> {
        let Heads { best, finalized } = heads;
        if let Some((at, submission)) = self.state.funds.switching.take() {
            let waits =
                nonces.at_best <= submission.nonce && best.number() < submission.valid_until;
            if waits {
                return match best.number() >= at.saturating_add(SEND_AGAIN) {
                    true => self.send_switch(submission, best).await,
                    false => {
                        self.state.funds.switching = Some((at, submission));
                        Ok(())
                    }
                };
            }
        }
        let online = |provider: Option<assay_client::chain::Provider>| {
            provider.is_some_and(|provider| provider.online)
        };
        let presence = Presence {
            online_at_best: online(best.provider(self.provider).await?),
            online_at_finalized: online(finalized.provider(self.provider).await?),
            paused: self.ledger.paused(),
        };
        let open_jobs = self.ledger.active().count();
        let go_online = match purse.switch(open_jobs, presence) {
            Switch::Leave => return Ok(()),
            Switch::Forget => {
                info!(target: LOG, "provider online again");
                return Ok(self.ledger.set_paused(false)?);
            }
            Switch::GoOffline => false,
            Switch::GoOnline => true,
        };
        match go_online {
            true => info!(target: LOG, "the operator has money again; going online"),
            false => {
                self.ledger.set_paused(true)?;
                warn!(
                    target: LOG, "going offline: {}",
                    purse.complaint(&self.operator.to_string(), open_jobs)
                );
            }
        }
        let submission = deliver::sign_set_online(heads, go_online, nonces.take(), &self.key)?;
        self.send_switch(submission, best).await
    }

    async fn send_switch(&mut self, submission: Submission, best: &Snapshot) -> Result<(), End> {
        match deliver::send(best, &submission).await? {
            Verdict::Taken | Verdict::Occupied => {
                self.state.funds.switching = Some((best.number(), submission));
            }
            Verdict::Refused(why) => {
                warn!(target: LOG, %why, "the node did not take the call that goes online or offline");
            }
        }
        Ok(())
    }

    /// What is done about a duty whose delivery cannot be paid for: nothing is computed, and it is
    /// declined if at least that can be paid. Whether it was declined.
    pub(super) fn cannot_pay(
        &mut self,
        key: Key,
        delivery: u128,
        declines: bool,
    ) -> Result<bool, End> {
        self.abandon(&key);
        let operator = self.operator;
        if declines {
            let fee = Amount(delivery);
            let why = format!("operator {operator} cannot pay for a delivery, up to {fee}");
            self.refuse(key, why)?;
        } else if self.state.unpaid.insert(key) {
            error!(
                target: LOG, job = key.job,
                "operator {operator} can pay for no reply; send it ASY before the deadline"
            );
        }
        Ok(declines)
    }
}
