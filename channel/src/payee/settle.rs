//! What to claim on chain, and when.

use assay_primitives::{Balance, SignedVoucher};

use super::Payee;
use crate::terms::ChannelState;

/// A claim on chain: what `settle` and `close` take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settlement {
    pub voucher: SignedVoucher,
    /// Planck since the channel was opened: what was spent, which the voucher contains.
    pub amount: Balance,
}

/// When a provider claims by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SettlementPolicy {
    /// Planck not yet claimed.
    pub threshold: Balance,
    /// Blocks since the earliest receipt that is not yet claimed.
    pub age_blocks: u32,
}

impl Payee {
    /// Planck that receipts on disk have earned and the chain has not paid.
    pub fn unsettled(&self) -> Balance {
        self.spent().saturating_sub(self.facts.settled)
    }

    /// What can be claimed now: what was spent, never the voucher's ceiling.
    pub fn settlement(&self) -> Option<Settlement> {
        let voucher = self.voucher?;
        let amount = self.spent().min(voucher.cumulative);
        let possible = self.facts.state != ChannelState::Closed && amount > self.facts.settled;
        possible.then_some(Settlement { voucher, amount })
    }

    /// What is to be claimed at block `now`: at once if the channel is being closed, else by `policy`.
    pub fn settlement_due(&self, now: u32, policy: &SettlementPolicy) -> Option<Settlement> {
        let settlement = self.settlement()?;
        let closing = matches!(self.facts.state, ChannelState::Closing { .. });
        let age = self.unsettled_since.map(|since| now.saturating_sub(since));
        let due = closing
            || self.unsettled() >= policy.threshold
            || age.is_some_and(|age| age >= policy.age_blocks);
        due.then_some(settlement)
    }

    /// The highest voucher, for a watchtower.
    pub fn voucher(&self) -> Option<&SignedVoucher> {
        self.voucher.as_ref()
    }
}
