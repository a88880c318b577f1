//! What a chain's blocks say about channels, fees and new money: the other side of what accounts have.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use assay_client::{
    chain::{runtime, Settlement},
    AccountId32, Chain, Snapshot, H256,
};

/// The events of all blocks up to the one that was read last.
#[derive(Default)]
pub struct Book {
    /// The number of the next block to read.
    next: u32,
    /// Planck of transaction fees, by who paid them.
    pub fees: BTreeMap<AccountId32, u128>,
    /// Planck that were minted.
    pub minted: u128,
    pub channels: BTreeMap<H256, Entry>,
}

/// The money of one channel.
#[derive(Debug)]
pub struct Entry {
    pub user: AccountId32,
    pub provider: AccountId32,
    /// Planck that were put in.
    pub deposit: u128,
    pub settlements: Vec<Settlement>,
    /// Planck that went back for wrong answers before they were settled.
    pub returned: u128,
    /// Planck that went back, once it is closed.
    pub refund: Option<u128>,
}

impl Entry {
    /// Planck that the provider was paid, before shares were taken.
    pub fn settled(&self) -> u128 {
        self.settlements.iter().map(|one| one.fee).sum()
    }

    /// Of this, what was to be burned, once the dues are paid.
    pub fn burned(&self) -> u128 {
        self.settlements.iter().map(|one| one.burned).sum()
    }

    /// Of this, what the provider kept.
    pub fn earned(&self) -> u128 {
        self.settlements.iter().map(|one| one.provider).sum()
    }
}

impl Book {
    /// Reads what was finalized since, and gives the state behind it. Nodes forget the events of old blocks, so
    /// that a long run has to be read meanwhile.
    pub async fn catch_up(&mut self, chain: &Chain) -> Result<Snapshot> {
        let last = chain.finalized().await?;
        while self.next <= last.number() {
            self.read(chain, self.next).await?;
            self.next += 1;
        }
        Ok(last)
    }

    async fn read(&mut self, chain: &Chain, number: u32) -> Result<()> {
        let hash = chain.block_hash(number).await?;
        let hash = hash.with_context(|| format!("block {number} is not there"))?;
        let at = chain.at(hash).await?;
        let events = at.client().events().fetch().await?;
        for paid in events.find::<runtime::transaction_payment::events::TransactionFeePaid>() {
            let paid = paid?;
            *self.fees.entry(paid.who).or_default() += paid.actual_fee;
        }
        for minted in events.find::<runtime::balances::events::Minted>() {
            self.minted += minted?.amount;
        }
        for opened in events.find::<runtime::channels::events::Opened>() {
            let opened = opened?;
            let entry = Entry {
                user: opened.user,
                provider: opened.provider,
                deposit: opened.deposit,
                settlements: Vec::new(),
                returned: 0,
                refund: None,
            };
            self.channels.insert(opened.channel, entry);
        }
        for topped_up in events.find::<runtime::channels::events::ToppedUp>() {
            let topped_up = topped_up?;
            self.entry(topped_up.channel)?.deposit += topped_up.amount;
        }
        for settled in events.find::<runtime::channels::events::Settled>() {
            let settled = settled?;
            let entry = self.entry(settled.channel)?;
            entry.settlements.push(settled.settlement);
        }
        for voided in events.find::<runtime::channels::events::Voided>() {
            let voided = voided?;
            self.entry(voided.channel)?.returned += voided.returned;
        }
        for closed in events.find::<runtime::channels::events::Closed>() {
            let closed = closed?;
            self.entry(closed.channel)?.refund = Some(closed.refund);
        }
        Ok(())
    }

    fn entry(&mut self, channel: H256) -> Result<&mut Entry> {
        let entry = self.channels.get_mut(&channel);
        entry.with_context(|| format!("nobody opened channel {channel}"))
    }

    /// What an account paid in fees, in planck.
    pub fn fees_of(&self, account: &AccountId32) -> u128 {
        self.fees.get(account).copied().unwrap_or_default()
    }
}
