//! Two machines with one validator's keys: what the guide for validators warns of, on real networks.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{ensure, Context, Result};
use assay_client::{
    chain::runtime::{self, runtime_types::pallet_validators::types::Role},
    AccountId32, Chain, Snapshot, H256,
};
use assay_tests::network::{stash, Network, VALIDATORS};
use runtime::{
    offences::events::Offence,
    runtime_types::sp_runtime::generic::digest::DigestItem,
    validators::events::{Chilled, Slashed},
};
use tokio::sync::{Mutex, MutexGuard};

const CULPRIT: &str = "alice";
/// Who finds out where only two are left to vote.
const WITNESS: usize = 1;
/// Those that are not there when a round must not end.
const ABSENT: std::ops::Range<usize> = 2..4;
/// Until there is a slot for which both make a block, and the report of it is final.
const CAUGHT: Duration = Duration::from_secs(180);
/// Final blocks of a session, with about as many rounds.
const AMID: u32 = 6;
/// Blocks that are not final when finality has stopped, in any case: rounds that go on leave two or three.
const STUCK: u32 = 7;
/// Until blocks pile up, half of the slots of which have none; and until a new node has all of them and votes.
const VOTED: Duration = Duration::from_secs(90);
/// Two eras of two sessions.
const ELECTION: Duration = Duration::from_secs(120);
/// Kinds of offences, and the pallets to which they are reported.
const KINDS: [(&[u8; 16], &str); 2] = [
    (b"babe:equivocatio", "Babe"),
    (b"grandpa:equivoca", "Grandpa"),
];
const BILLION: u128 = 1_000_000_000;

/// What a validator has at stake.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Stake {
    bond: u128,
    held: u128,
    is_validator: bool,
}

async fn stake(snapshot: &Snapshot, who: AccountId32) -> Result<Stake> {
    let address = runtime::storage().validators().bonds();
    let storage = snapshot.client().storage();
    // None is left of one that was slashed whole.
    let bond = storage.try_fetch(address, (who,)).await?;
    let bond = bond.map(|bond| bond.decode()).transpose()?;
    let holds = snapshot.balances(who).await?.holds;
    let mut held = holds
        .iter()
        .filter(|(reason, _)| reason == "Validators::Bond");
    Ok(Stake {
        bond: bond.as_ref().map_or(0, |bond| bond.amount),
        held: held.next().map_or(0, |(_, amount)| *amount),
        is_validator: bond.is_some_and(|bond| matches!(bond.role, Role::Validator { .. })),
    })
}

async fn stakes(snapshot: &Snapshot) -> Result<BTreeMap<&'static str, Stake>> {
    let mut stakes = BTreeMap::new();
    for name in VALIDATORS {
        stakes.insert(name, stake(snapshot, stash(name)?).await?);
    }
    Ok(stakes)
}

/// The accounts of the validators of the session, and those of them that may not make blocks.
async fn session(snapshot: &Snapshot) -> Result<(Vec<AccountId32>, Vec<AccountId32>)> {
    let storage = snapshot.client().storage();
    let of = runtime::storage();
    let validators = storage
        .fetch(of.session().validators(), ())
        .await?
        .decode()?;
    let disabled = storage
        .fetch(of.session().disabled_validators(), ())
        .await?
        .decode()?;
    let disabled = disabled
        .iter()
        .filter_map(|(index, _)| validators.get(*index as usize).copied());
    let disabled = disabled.collect();
    Ok((validators, disabled))
}

/// Who made a block: its digest has the place in the session's set, behind a byte that says how it was drawn.
async fn author(at: &Snapshot) -> Result<AccountId32> {
    let address = runtime::storage().system().digest();
    let storage = at.client().storage();
    let digest = storage.fetch(address, ()).await?.decode()?;
    let index = digest.logs.iter().find_map(|item| match item {
        DigestItem::PreRuntime([b'B', b'A', b'B', b'E'], claim) => claim.get(1..5),
        _ => None,
    });
    let index = u32::from_le_bytes(index.context("a block has an author")?.try_into()?);
    let (validators, _) = session(at).await?;
    let author = validators.get(index as usize);
    author.copied().context("the author is a validator")
}

/// Two networks beside each other are more than two cores carry in real time.
static ALONE: Mutex<()> = Mutex::const_new(());

/// A network, and what its validators had before one of them did wrong.
struct Trial {
    network: Network,
    chain: Chain,
    culprit: AccountId32,
    /// The number of the last final block then.
    start: u32,
    at_stake: BTreeMap<&'static str, Stake>,
    /// Let go of when the network is gone.
    _alone: MutexGuard<'static, ()>,
}

/// What final blocks say of an offence.
struct Caught {
    /// The pallets that took a report, and the first block with one.
    reported: BTreeMap<&'static str, H256>,
    /// By the numbers of their blocks.
    slashes: Vec<(u32, Slashed)>,
    chilled: Vec<Chilled>,
    /// The last block that was read.
    last: Snapshot,
}

impl Trial {
    async fn open() -> Result<Self> {
        let alone = ALONE.lock().await;
        let network = Network::here().await?;
        let chain = network.scene.chain.clone();
        let before = chain.finalized().await?;
        let (all, disabled) = session(&before).await?;
        ensure!(
            all.len() == VALIDATORS.len() && disabled.is_empty(),
            "{all:?} {disabled:?}"
        );
        Ok(Self {
            network,
            chain,
            culprit: stash(CULPRIT)?,
            start: before.number(),
            at_stake: stakes(&before).await?,
            _alone: alone,
        })
    }

    async fn at(&self, number: u32) -> Result<Snapshot> {
        let hash = self.chain.block_hash(number).await?;
        Ok(self.chain.at(hash.context("a final block")?).await?)
    }

    /// Reads final blocks until there are a slash and a report to this pallet. A report is carried out in the block
    /// behind its own.
    async fn wait_until_caught(&self, by: &str) -> Result<Caught> {
        let start = Instant::now();
        let mut next = self.start;
        let mut caught = Caught {
            reported: BTreeMap::new(),
            slashes: Vec::new(),
            chilled: Vec::new(),
            last: self.at(next).await?,
        };
        while caught.slashes.is_empty() || !caught.reported.contains_key(by) {
            ensure!(
                start.elapsed() < CAUGHT,
                "reported were {:?}, and slashed {:?}",
                caught.reported.keys(),
                caught.slashes
            );
            let last = self.chain.finalized().await?.number();
            for number in next..=last {
                let at = self.at(number).await?;
                let events = at.client().events().fetch().await?;
                for offence in events.find::<Offence>() {
                    let kind = offence?.kind;
                    let known = KINDS.into_iter().find(|(known, _)| **known == kind);
                    let (_, pallet) = known.with_context(|| format!("{kind:?}"))?;
                    caught.reported.entry(pallet).or_insert(at.hash());
                }
                for slash in events.find::<Slashed>() {
                    caught.slashes.push((number, slash?));
                }
                let chilled = events.find::<Chilled>().collect::<Result<Vec<_>, _>>()?;
                caught.chilled.extend(chilled);
                caught.last = at;
            }
            next = last + 1;
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        Ok(caught)
    }

    /// The culprit alone was reported, slashed, chilled and disabled, and who reported it rewarded.
    async fn check(&self, caught: &Caught) -> Result<()> {
        let culprit = self.culprit;
        // Anybody may report, without an account: what counts is the proof that the keys were the validator's.
        for (pallet, hash) in &caught.reported {
            let at = self.chain.at(*hash).await?;
            let extrinsics = at.client().extrinsics().fetch().await?;
            let mut proofs = 0;
            for extrinsic in extrinsics.iter() {
                let extrinsic = extrinsic?;
                let call = (extrinsic.pallet_name(), extrinsic.call_name());
                proofs += u32::from(call == (*pallet, "report_equivocation_unsigned"));
            }
            ensure!(proofs > 0, "no report to {pallet} is in its block");
            let (_, disabled) = session(&at).await?;
            ensure!(disabled == [culprit], "{disabled:?} may not make blocks");
        }

        // min((3 × 1 / 4)², 1) of what it had bonded, once in each session in which it did so, for as long as there is any.
        let fraction = (3 * BILLION / 4).pow(2) / BILLION;
        let had = self.at_stake[CULPRIT].bond;
        let mut left = had;
        for (number, slash) in &caught.slashes {
            ensure!(
                slash.validator == culprit
                    && u128::from(slash.fraction.0) == fraction
                    && slash.amount == left.min(had * fraction / BILLION)
                    && slash.reward == slash.amount / 10,
                "{slash:?} of {had}"
            );
            left -= slash.amount;
            // Who made the block with the report has that tenth from the block behind it on, and nobody else anything.
            let (report, slashed) = (self.at(number - 1).await?, self.at(*number).await?);
            let reporter = author(&report).await?;
            let same_block = caught.slashes.iter().filter(|(other, _)| other == number);
            let reward: u128 = same_block.map(|(_, slash)| slash.reward).sum();
            for name in VALIDATORS {
                let who = stash(name)?;
                let had = report.balances(who).await?.free;
                let has = slashed.balances(who).await?.free;
                let earned = if who == reporter { reward } else { 0 };
                ensure!(has == had + earned, "{name} has {has}, and had {had}");
            }
        }
        let lost: u128 = caught.slashes.iter().map(|(_, slash)| slash.amount).sum();
        ensure!(lost > 0, "a slash of nothing");
        ensure!(
            caught.chilled.iter().map(|event| event.who).eq([culprit]),
            "{:?}",
            caught.chilled
        );
        let after = stakes(&caught.last).await?;
        for (name, stake) in &after {
            let had = self.at_stake[name];
            let expected = match *name {
                CULPRIT => Stake {
                    bond: had.bond - lost,
                    held: had.held - lost,
                    is_validator: false,
                },
                _ => had,
            };
            ensure!(*stake == expected, "{name} has {stake:?}, not {expected:?}");
        }
        Ok(())
    }

    /// Wait until the session began a while ago: nobody votes beyond the first block of one before that is final, and who
    /// comes late finds its way to the round of the others only when there were a few.
    async fn wait_until_amid_session(&self) -> Result<()> {
        let start = Instant::now();
        loop {
            let finalized = self.chain.finalized().await?.number();
            if let Some(number) = finalized.checked_sub(AMID) {
                let before = self.at(number).await?.session().await?;
                if self.chain.best().await?.session().await? == before {
                    return Ok(());
                }
            }
            ensure!(start.elapsed() < VOTED, "sessions follow each other");
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }

    /// Five more blocks become final.
    async fn wait_until_final(&self) -> Result<()> {
        let now = self.chain.finalized().await?.number();
        let start = Instant::now();
        while self.chain.finalized().await?.number() < now + 5 {
            ensure!(start.elapsed() < CAUGHT, "nothing is final behind {now}");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        Ok(())
    }

    /// Nobody else lost anything, and every planck is somewhere.
    async fn check_others(&self) -> Result<()> {
        for (name, stake) in stakes(&self.chain.finalized().await?).await? {
            ensure!(
                name == CULPRIT || stake == self.at_stake[name],
                "{name} has {stake:?}"
            );
        }
        self.network.scene.check_money().await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_validator_on_two_machines_is_slashed_and_the_others_go_on() -> Result<()> {
    let trial = Trial::open().await?;
    let (chain, culprit) = (&trial.chain, trial.culprit);
    let mut twin = trial.network.twin(CULPRIT)?;
    // One is enough: what both do from now on is no different. Blocks come first; who makes none any more seldom votes
    // for two, so that votes may be reported and need not.
    let caught = trial.wait_until_caught("Babe").await?;
    twin.daemon.kill()?;
    trial.check(&caught).await?;

    // It stays so until the next election is without it; blocks are made and become final meanwhile.
    let start = Instant::now();
    loop {
        let now = chain.finalized().await?;
        let (validators, disabled) = session(&now).await?;
        if !validators.contains(&culprit) {
            ensure!(validators.len() == VALIDATORS.len() - 1, "{validators:?}");
            break;
        }
        ensure!(
            disabled == [culprit],
            "{disabled:?} may not make blocks at {}",
            now.number()
        );
        ensure!(
            start.elapsed() < ELECTION,
            "the validator is still in the set at {}",
            now.number()
        );
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    trial.wait_until_final().await?;
    trial.check_others().await
}

/// Two of four cannot end a round. So the vote of the one that will have a twin stands while blocks are added, and the twin,
/// which comes into the same round, votes for newer ones.
#[tokio::test(flavor = "multi_thread")]
async fn a_validator_that_votes_twice_is_slashed_though_its_twin_makes_no_blocks() -> Result<()> {
    let mut trial = Trial::open().await?;
    trial.wait_until_amid_session().await?;
    for node in &mut trial.network.validators[ABSENT] {
        node.daemon.kill()?;
    }
    let start = Instant::now();
    loop {
        let best = trial.chain.best().await?.number();
        let finalized = trial.chain.finalized().await?.number();
        if best >= finalized + STUCK {
            break;
        }
        ensure!(
            start.elapsed() < VOTED,
            "of {best} blocks {finalized} are final"
        );
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let mut twin = trial.network.voting_twin(CULPRIT)?;
    let witness = &mut trial.network.validators[WITNESS].daemon;
    witness.wait_for_log("Detected prevote equivocation", 0, VOTED)?;
    // Their databases have what they voted before.
    for node in &mut trial.network.validators[ABSENT] {
        node.start_again(&[], &[])?;
    }
    let caught = trial.wait_until_caught("Grandpa").await?;
    twin.daemon.kill()?;
    ensure!(
        caught.reported.len() == 1,
        "{:?} of one that makes no blocks",
        caught.reported
    );
    trial.check(&caught).await?;
    trial.wait_until_final().await?;
    trial.check_others().await
}
