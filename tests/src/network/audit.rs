//! Everything that a chain finalized, read again to see whether it adds up.

use std::collections::BTreeMap;

use anyhow::{ensure, Context, Result};
use assay_client::{
    chain::{runtime, Settlement},
    primitives::blake2_256,
    AccountId32, Chain, H256,
};
use codec::Encode;
use runtime::{
    balances::events as balances, jobs::events as jobs,
    runtime_types::sp_runtime::generic::digest::DigestItem,
};

use super::EPOCH;
use crate::transfers::PLANCK_PER_TRANSFER;

/// What BABE calls itself in a block's digest.
const BABE: [u8; 4] = *b"BABE";

/// What was read up to some block.
#[derive(Default)]
pub struct Audit {
    /// The number of the next block to read.
    next: u32,
    /// Planck at genesis.
    start: u128,
    /// Planck that came and went, by the events of balances.
    minted: u128,
    burned: u128,
    jobs: BTreeMap<u64, Story>,
    /// Disputes that are open.
    disputes: u32,
    /// From the first on.
    blocks: Vec<Block>,
    /// The session that was read last.
    session: Session,
    offences: u32,
}

/// Who may make blocks, and when.
#[derive(Clone, Default)]
struct Session {
    validators: Vec<AccountId32>,
    randomness: [u8; 32],
    /// Its first slot.
    start: u64,
}

impl Session {
    /// Whose block a slot has that nobody won: `sc_consensus_babe`'s `secondary_slot_author`.
    fn in_turn(&self, slot: u64) -> Option<AccountId32> {
        let hash = blake2_256(&(self.randomness, slot).encode());
        let count = self.validators.len() as u64;
        let index = hash.into_iter().try_fold(0, |rest: u64, byte| {
            ((rest << 8) + u64::from(byte)).checked_rem(count)
        });
        self.validators.get(index? as usize).copied()
    }
}

/// How often what happened to a job.
#[derive(Default, Debug)]
struct Story {
    submitted: u32,
    delivered: u32,
    ended: u32,
    paid: Option<Settlement>,
}

/// A block, who made it, and how much is in it.
#[derive(Clone, Debug)]
pub struct Block {
    pub number: u32,
    pub hash: H256,
    pub slot: u64,
    /// The validator's account.
    pub author: AccountId32,
    /// The slots before it that have no block, and whose they were.
    pub missed: Vec<(u64, AccountId32)>,
    /// Those of a flood.
    pub transfers: u32,
    /// Jobs that were paid in it.
    pub paid: u32,
    /// Jobs that were not over behind it.
    pub jobs: usize,
    /// Disputes that were not over behind it.
    pub disputes: u32,
}

/// What became of a validator's own slots: those in which it made a block, and those of nobody's that were its turn.
#[derive(Default, Debug)]
pub struct Turns {
    pub made: usize,
    /// The slots.
    pub missed: Vec<u64>,
    /// Slots that others missed.
    pub others: usize,
}

impl Turns {
    /// Of a validator behind a slot, by these blocks.
    pub fn of(who: AccountId32, blocks: &[Block], slot: u64) -> Self {
        let made = blocks.iter().filter(|block| block.author == who);
        let missed = blocks.iter().flat_map(|block| block.missed.clone());
        let missed = missed.filter(|(missed, _)| *missed > slot);
        let (own, others): (Vec<_>, Vec<_>) = missed.partition(|(_, of)| *of == who);
        Self {
            made: made.filter(|block| block.slot > slot).count(),
            missed: own.into_iter().map(|(slot, _)| slot).collect(),
            others: others.len(),
        }
    }

    /// Those that were seen.
    pub fn seen(&self) -> usize {
        self.made + self.missed.len()
    }
}

impl Audit {
    /// Reads what was finalized since the last time. The node must have the state of all these blocks.
    pub async fn catch_up(&mut self, chain: &Chain) -> Result<()> {
        let last = chain.finalized().await?;
        while self.next <= last.number() {
            self.read(chain, self.next).await?;
            self.next += 1;
        }
        Ok(())
    }

    async fn read(&mut self, chain: &Chain, number: u32) -> Result<()> {
        let hash = chain.block_hash(number).await?;
        let hash = hash.with_context(|| format!("block {number} is not there"))?;
        let at = chain.at(hash).await?;
        if number == 0 {
            self.start = at.total_issuance().await?;
            return Ok(());
        }
        let mut rotated = self.session.validators.is_empty();
        let (mut transfers, mut paid) = (0, 0);
        let events = at.client().events().fetch().await?;
        for event in events.iter() {
            let event = event?;
            macro_rules! fields {
                ($type:ty) => {
                    event.decode_fields_unchecked_as::<$type>()?
                };
            }
            match (event.pallet_name(), event.event_name()) {
                ("Balances", "Minted") => self.minted += fields!(balances::Minted).amount,
                ("Balances", "Issued") => self.minted += fields!(balances::Issued).amount,
                ("Balances", "Burned") => self.burned += fields!(balances::Burned).amount,
                ("Balances", "BurnedHeld") => self.burned += fields!(balances::BurnedHeld).amount,
                ("Balances", "Rescinded") => self.burned += fields!(balances::Rescinded).amount,
                ("Balances", "Transfer") => {
                    let amount = fields!(balances::Transfer).amount;
                    transfers += u32::from(amount == PLANCK_PER_TRANSFER);
                }
                ("Jobs", "Submitted") => self.job(fields!(jobs::Submitted).job).submitted += 1,
                ("Jobs", "Delivered") => self.job(fields!(jobs::Delivered).job).delivered += 1,
                ("Jobs", "Settled") => {
                    paid += 1;
                    let settled = fields!(jobs::Settled);
                    let story = self.job(settled.job);
                    story.ended += 1;
                    story.paid = Some(settled.settlement);
                }
                ("Jobs", "Refunded") => self.job(fields!(jobs::Refunded).job).ended += 1,
                ("Jobs", "Slashed") => self.job(fields!(jobs::Slashed).job).ended += 1,
                ("Disputes", "Opened") => self.disputes += 1,
                ("Disputes", "Ended") => {
                    self.disputes = self.disputes.checked_sub(1).context("a dispute began")?;
                }
                ("Session", "NewSession") => rotated = true,
                ("Offences", "Offence") => self.offences += 1,
                _ => {}
            }
        }
        let storage = at.client().storage();
        let of = runtime::storage();
        // A block that begins a session is made by one of the set of the session that it begins.
        let before = self.session.clone();
        if rotated {
            let validators = storage.fetch(of.session().validators(), ()).await?;
            let randomness = storage.fetch(of.babe().randomness(), ()).await?;
            let epoch = storage.fetch(of.babe().epoch_index(), ()).await?;
            let genesis = storage.fetch(of.babe().genesis_slot(), ()).await?;
            self.session = Session {
                validators: validators.decode()?,
                randomness: randomness.decode()?,
                start: genesis.decode()?.0 + epoch.decode()? * EPOCH,
            };
        }
        let digest = storage.fetch(of.system().digest(), ()).await?.decode()?;
        let claim = digest.logs.iter().find_map(|item| match item {
            DigestItem::PreRuntime(BABE, bytes) => claim(bytes),
            _ => None,
        });
        let claim = claim.with_context(|| format!("block {number} has no author"))?;
        let Claim { index, slot, won } = claim;
        let author = self.session.validators.get(index as usize);
        let author = *author.with_context(|| format!("block {number} is of validator {index}"))?;
        ensure!(
            won || self.session.in_turn(slot) == Some(author),
            "block {number} is of a validator whose turn it was not"
        );
        let last = self.blocks.last().map_or(slot, |block| block.slot + 1);
        let missed = (last..slot).filter_map(|slot| {
            let session = match slot < self.session.start {
                true => &before,
                false => &self.session,
            };
            Some((slot, session.in_turn(slot)?))
        });
        let missed = missed.collect();
        let (jobs, over) = self.jobs();
        self.blocks.push(Block {
            number,
            hash,
            slot,
            author,
            missed,
            transfers,
            paid,
            jobs: jobs - over,
            disputes: self.disputes,
        });
        Ok(())
    }

    fn job(&mut self, id: u64) -> &mut Story {
        self.jobs.entry(id).or_default()
    }

    /// Jobs that were submitted, and of these those that are paid or refunded.
    pub fn jobs(&self) -> (usize, usize) {
        let ended = self.jobs.values().filter(|story| story.ended > 0);
        (self.jobs.len(), ended.count())
    }

    /// The jobs that were paid.
    pub fn paid(&self) -> usize {
        let paid = self.jobs.values().filter(|story| story.paid.is_some());
        paid.count()
    }

    /// The jobs that are not over.
    pub fn open(&self) -> Vec<u64> {
        let open = self.jobs.iter().filter(|(_, story)| story.ended == 0);
        open.map(|(id, _)| *id).collect()
    }

    /// The blocks behind number `from`.
    pub fn blocks(&self, from: u32) -> &[Block] {
        let first = self.blocks.partition_point(|block| block.number <= from);
        &self.blocks[first..]
    }

    /// Nothing happened twice, nobody signed two blocks, and every planck came and went by an event.
    pub async fn check(&self, chain: &Chain) -> Result<()> {
        for (id, story) in &self.jobs {
            ensure!(
                story.submitted == 1 && story.delivered <= 1 && story.ended <= 1,
                "job {id}: {story:?}"
            );
            if let Some(paid) = &story.paid {
                let parts = paid.provider + paid.royalty + paid.treasury + paid.burned;
                ensure!(
                    story.delivered == 1 && parts == paid.fee,
                    "job {id}: {story:?}"
                );
            }
        }
        ensure!(self.offences == 0, "{} offences", self.offences);
        let number = self.next.saturating_sub(1);
        let hash = chain.block_hash(number).await?;
        let at = chain.at(hash.context("a block that was read")?).await?;
        let issuance = at.total_issuance().await?;
        ensure!(
            self.start + self.minted == issuance + self.burned,
            "at block {number} there are {issuance} planck, of {} at the start, {} minted and {} burned",
            self.start,
            self.minted,
            self.burned
        );
        Ok(())
    }
}

/// What a block says of its author.
#[derive(Debug, PartialEq)]
struct Claim {
    /// Among the validators.
    index: u32,
    slot: u64,
    /// Or it was its turn.
    won: bool,
}

/// A BABE claim: primary, or secondary with or without a proof.
fn claim(bytes: &[u8]) -> Option<Claim> {
    let (kind, rest) = bytes.split_first()?;
    let index = rest.get(..4)?.try_into().ok()?;
    let slot = rest.get(4..12)?.try_into().ok()?;
    matches!(kind, 1..=3).then(|| Claim {
        index: u32::from_le_bytes(index),
        slot: u64::from_le_bytes(slot),
        won: *kind == 1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_names_authority_and_slot() {
        for kind in 1..=3 {
            let bytes = [&[kind, 2, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0][..], &[9; 96]].concat();
            let expected = Claim {
                index: 2,
                slot: 0x201,
                won: kind == 1,
            };
            assert_eq!(claim(&bytes), Some(expected));
        }
        assert_eq!(claim(&[0; 13]), None);
        assert_eq!(claim(&[1; 12]), None);
        assert_eq!(claim(&[]), None);
    }

    #[test]
    fn turns_are_the_blocks_that_were_made_and_the_slots_that_are_nobodys() {
        let [one, other] = [1, 2].map(|byte| AccountId32([byte; 32]));
        let block = |slot, author, missed: &[(u64, AccountId32)]| Block {
            number: 0,
            hash: H256::zero(),
            slot,
            author,
            missed: missed.to_vec(),
            transfers: 0,
            paid: 0,
            jobs: 0,
            disputes: 0,
        };
        let blocks = [
            block(4, one, &[]),
            block(8, other, &[(5, one), (6, one), (7, other)]),
            block(9, one, &[]),
        ];
        let turns = Turns::of(one, &blocks, 3);
        assert_eq!((turns.made, turns.missed.as_slice()), (2, &[5, 6][..]));
        assert_eq!((turns.others, turns.seen()), (1, 4));
        // A block behind the slot may have missed slots before it.
        let turns = Turns::of(one, &blocks, 5);
        assert_eq!((turns.made, turns.missed.as_slice()), (1, &[6][..]));
        assert_eq!(Turns::of(one, &blocks, 9).seen(), 0);
    }
}
