//! What a provider answers with, and what a conviction takes of it.

use anyhow::{ensure, Context, Result};
use assay_client::{AccountId32, Snapshot};

use super::ledger::Conviction;

/// What a conviction takes of a bond (docs/dispute.md, section 3): so many times the answer's fee, or one part of so many,
/// whichever is more.
const FEES: u128 = 60;
const PART: u128 = 10;
/// What of a slash, less what the user gets, is the challenger's, in percent.
const REWARD: u128 = 40;

/// In planck.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stake {
    /// What is being unbonded included.
    pub bonded: u128,
    pub maturing: u128,
    /// Disputes that are not over.
    pub disputes: u32,
}

impl Stake {
    pub async fn at(snapshot: &Snapshot, stash: AccountId32) -> Result<Self> {
        let record = snapshot.provider(stash).await?;
        let record = record.context("the provider is registered")?;
        let unbonding = record.unbonding.0.iter().map(|chunk| chunk.amount);
        Ok(Self {
            bonded: record.bond + unbonding.sum::<u128>(),
            maturing: record.maturing,
            disputes: record.disputes,
        })
    }

    /// What is left of this behind a conviction over an answer with this fee. An error if the conviction took another sum, or
    /// gave another part of it to somebody.
    pub fn convicted(&self, fee: u128, conviction: &Conviction) -> Result<Self> {
        let slash = (FEES * fee).max(self.bonded.div_ceil(PART));
        let slash = slash.min(self.bonded);
        let taken = slash + self.maturing;
        let back = conviction.returned + conviction.refund;
        let reward = (taken - conviction.refund) * REWARD / 100;
        ensure!(
            conviction.slashed() == taken && back == fee && conviction.reward == reward,
            "of {self:?} for a fee of {fee}, {taken} and of it {reward}: {conviction:?}"
        );
        Ok(Self {
            bonded: self.bonded - slash,
            maturing: 0,
            disputes: 0,
        })
    }
}
