//! What a chain's blocks say about disputes, fees and what was destroyed.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result};
use assay_client::{
    chain::runtime,
    dispute::{DisputeId, Fault, Verdict},
    primitives::Claim,
    AccountId32, Chain,
};
use tokio::time::sleep;

/// Between two looks at whether a block is final.
const PAUSE: Duration = Duration::from_millis(300);

/// Everything up to the last block that was read.
#[derive(Default)]
pub struct Ledger {
    /// The number of the next block to read.
    next: u32,
    /// Planck that an account paid for transactions, by block.
    pub fees: Vec<(u32, AccountId32, u128)>,
    /// Planck of these that were tips, by account.
    pub tips: BTreeMap<AccountId32, u128>,
    pub games: BTreeMap<DisputeId, Game>,
    pub convictions: Vec<Conviction>,
    /// Planck of royalty and protocol fee that left a user's hold, by block.
    pub dues: Vec<(u32, AccountId32, u128)>,
    /// Planck that were destroyed, by block.
    pub burned: Vec<(u32, u128)>,
    /// Planck that were minted, by block.
    pub minted: Vec<(u32, u128)>,
}

/// One dispute, or one accusation, from its commitment on.
#[derive(Clone, Debug)]
pub struct Game {
    pub who: AccountId32,
    /// None if it was never opened.
    pub provider: Option<AccountId32>,
    /// Transactions that the chain took: commitment, opening and moves.
    pub moves: u32,
    /// Transactions that it refused.
    pub refused: u32,
    /// Of all these transactions.
    pub bytes: usize,
    /// Of the largest.
    pub largest: usize,
    pub first: u32,
    pub last: u32,
    pub verdict: Option<Verdict>,
    /// Planck of the challenger's bond to the provider, and destroyed.
    pub compensation: u128,
    pub burned: u128,
}

/// A conviction, in planck.
#[derive(Clone, Debug)]
pub struct Conviction {
    pub block: u32,
    /// What deadlines are measured with, behind that block.
    pub clock: u32,
    pub claim: Claim,
    pub provider: AccountId32,
    pub challenger: AccountId32,
    pub returned: u128,
    pub refund: u128,
    pub reward: u128,
    pub burned: u128,
    /// What was false, if it was seen without a game.
    pub fault: Option<Fault>,
}

impl Conviction {
    /// What the provider lost.
    pub fn slashed(&self) -> u128 {
        self.refund + self.reward + self.burned
    }
}

impl Ledger {
    /// Reads all up to the present best block, once it is final.
    pub async fn read_all(chain: &Chain) -> Result<Self> {
        let last = chain.best().await?.number();
        let mut ledger = Self::default();
        while ledger.catch_up(chain).await? < last {
            sleep(PAUSE).await;
        }
        Ok(ledger)
    }

    /// Reads what was finalized since.
    pub async fn catch_up(&mut self, chain: &Chain) -> Result<u32> {
        let last = chain.finalized().await?.number();
        while self.next <= last {
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
            self.fees.push((number, paid.who, paid.actual_fee));
            *self.tips.entry(paid.who).or_default() += paid.tip;
        }
        for burned in events.find::<runtime::balances::events::BurnedHeld>() {
            self.burned.push((number, burned?.amount));
        }
        for minted in events.find::<runtime::balances::events::Minted>() {
            self.minted.push((number, minted?.amount));
        }
        for paid in events.find::<runtime::channels::events::DuesPaid>() {
            let paid = paid?;
            let dues = paid.dues;
            let sum = dues.royalty + dues.treasury + dues.burned;
            let channel = at.channel(paid.channel).await?;
            let user = channel.context("a closed channel is kept")?.user;
            self.dues.push((number, user, sum));
        }
        for convicted in events.find::<runtime::disputes::events::Convicted>() {
            let convicted = convicted?;
            self.convictions.push(Conviction {
                block: number,
                clock: at.dispute_clock().await?,
                claim: convicted.claim.0,
                provider: convicted.provider,
                challenger: convicted.challenger,
                returned: convicted.returned,
                refund: convicted.slashed.refund,
                reward: convicted.slashed.reward,
                burned: convicted.slashed.burned,
                fault: convicted.fault,
            });
        }
        self.read_games(&at, number).await?;
        for ended in events.find::<runtime::disputes::events::Ended>() {
            let ended = ended?;
            let game = self.games.get_mut(&ended.dispute).context("a dispute")?;
            game.last = number;
            game.verdict = Some(ended.verdict);
            (game.compensation, game.burned) = (ended.compensation, ended.burned);
        }
        Ok(())
    }

    async fn read_games(&mut self, at: &assay_client::Snapshot, number: u32) -> Result<()> {
        use runtime::disputes::events::{Committed, Opened};
        let extrinsics = at.client().extrinsics().fetch().await?;
        for extrinsic in extrinsics.iter() {
            let extrinsic = extrinsic?;
            if extrinsic.pallet_name() != "Disputes" {
                continue;
            }
            let events = extrinsic.events().await?;
            let length = extrinsic.bytes().len();
            let signer = extrinsic.address_bytes().and_then(|bytes| bytes.get(1..));
            let signer = signer.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
            let signer = AccountId32(signer.context("a signed transaction")?);
            let dispute = if let Some(made) = events.find_first::<Committed>() {
                let id = made?.dispute;
                let game = Game {
                    who: signer,
                    provider: None,
                    moves: 0,
                    refused: 0,
                    bytes: 0,
                    largest: 0,
                    first: number,
                    last: number,
                    verdict: None,
                    compensation: 0,
                    burned: 0,
                };
                self.games.insert(id, game);
                Some(id)
            } else if let Some(opened) = events.find_first::<Opened>() {
                let opened = opened?;
                if let Some(game) = self.games.get_mut(&opened.dispute) {
                    game.provider = Some(opened.provider);
                }
                Some(opened.dispute)
            } else if extrinsic.call_name() == "accuse" {
                // Under the last commitment of who accuses.
                let mut games = self.games.iter().rev();
                games
                    .find(|(_, game)| game.who == signer)
                    .map(|(id, _)| *id)
            } else {
                // Moves begin with the dispute's number.
                let fields = extrinsic.call_data_field_bytes();
                let id = fields.get(..8).and_then(|bytes| bytes.try_into().ok());
                id.map(u64::from_le_bytes)
            };
            let game = dispute.and_then(|id| self.games.get_mut(&id));
            if let Some(game) = game {
                let failed = events.has::<runtime::system::events::ExtrinsicFailed>();
                let mut events = events.iter();
                let is_move =
                    events.any(|event| event.is_ok_and(|event| event.pallet_name() == "Disputes"));
                if !failed && !is_move {
                    // Sent again, and not needed: another of its side was first.
                    continue;
                }
                match failed {
                    true => game.refused += 1,
                    false => game.moves += 1,
                }
                game.bytes += length;
                game.largest = game.largest.max(length);
                game.last = number;
            }
        }
        Ok(())
    }

    /// What an account paid for transactions in the blocks behind `from` and up to `to`, in planck.
    pub fn fees_of(&self, account: &AccountId32, from: u32, to: u32) -> u128 {
        sum(&self.fees, account, from, to)
    }

    /// Planck by which all money became more in the blocks behind `from` and up to `to`; negative if it became less.
    pub fn growth(&self, from: u32, to: u32) -> i128 {
        let within = |entries: &[(u32, u128)]| -> i128 {
            let entries = entries.iter();
            let within = entries.filter(|(block, _)| *block > from && *block <= to);
            within.map(|(_, amount)| *amount as i128).sum()
        };
        within(&self.minted) - within(&self.burned)
    }

    /// The same of royalty and protocol fee.
    pub fn dues_of(&self, account: &AccountId32, from: u32, to: u32) -> u128 {
        sum(&self.dues, account, from, to)
    }
}

fn sum(entries: &[(u32, AccountId32, u128)], of: &AccountId32, from: u32, to: u32) -> u128 {
    let entries = entries.iter();
    let of_it = entries.filter(|(block, who, _)| who == of && *block > from && *block <= to);
    of_it.map(|(.., amount)| amount).sum()
}
