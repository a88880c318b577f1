//! Two machines with one validator's keys: what the guide for validators warns of, on a real network.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{ensure, Context, Result};
use assay_client::{
    chain::runtime::{self, runtime_types::pallet_validators::types::Role},
    AccountId32, Snapshot,
};
use assay_tests::network::{stash, Network, VALIDATORS};
use runtime::{
    offences::events::Offence,
    runtime_types::sp_runtime::generic::digest::DigestItem,
    validators::events::{Chilled, Slashed},
};

const CULPRIT: &str = "alice";
/// Until there is a slot for which both make a block, and the report of it is final.
const CAUGHT: Duration = Duration::from_secs(180);
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

#[tokio::test(flavor = "multi_thread")]
async fn a_validator_on_two_machines_is_slashed_and_the_others_go_on() -> Result<()> {
    let network = Network::here().await?;
    let (chain, culprit) = (network.scene.chain.clone(), stash(CULPRIT)?);
    let before = chain.finalized().await?;
    let at_stake = stakes(&before).await?;
    let (all, disabled) = session(&before).await?;
    ensure!(
        all.len() == VALIDATORS.len() && disabled.is_empty(),
        "{all:?} {disabled:?}"
    );

    let mut twin = network.twin(CULPRIT)?;
    let mut next = before.number();
    let start = Instant::now();
    let mut reported = BTreeMap::new();
    let (mut slashes, mut chilled) = (Vec::new(), Vec::new());
    let mut seen = before;
    // One is enough: what both do from now on is no different. It is carried out in a block behind the report's. Blocks
    // come first; who makes none any more seldom votes for two, so that votes may be reported and need not.
    while slashes.is_empty() || !reported.contains_key("Babe") {
        ensure!(
            start.elapsed() < CAUGHT,
            "reported were {:?}, and slashed {slashes:?}",
            reported.keys()
        );
        let last = chain.finalized().await?.number();
        for number in next..=last {
            let hash = chain.block_hash(number).await?.context("a final block")?;
            let at = chain.at(hash).await?;
            let events = at.client().events().fetch().await?;
            for offence in events.find::<Offence>() {
                let kind = offence?.kind;
                let known = KINDS.into_iter().find(|(known, _)| **known == kind);
                let (_, pallet) = known.with_context(|| format!("{kind:?}"))?;
                reported.entry(pallet).or_insert(hash);
            }
            for slash in events.find::<Slashed>() {
                slashes.push((number, slash?));
            }
            chilled.extend(events.find::<Chilled>().collect::<Result<Vec<_>, _>>()?);
            seen = at;
        }
        next = last + 1;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    twin.daemon.kill()?;

    // Anybody may report, without an account: what counts is the proof that the keys were the validator's.
    for (pallet, hash) in &reported {
        let at = chain.at(*hash).await?;
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
    let had = at_stake[CULPRIT].bond;
    let mut left = had;
    for (number, slash) in &slashes {
        ensure!(
            slash.validator == culprit
                && u128::from(slash.fraction.0) == fraction
                && slash.amount == left.min(had * fraction / BILLION)
                && slash.reward == slash.amount / 10,
            "{slash:?} of {had}"
        );
        left -= slash.amount;
        // Who made the block with the report has that tenth from the block behind it on, and nobody else anything.
        let at = async |number| {
            let hash = chain.block_hash(number).await?;
            anyhow::Ok(chain.at(hash.context("a final block")?).await?)
        };
        let (report, slashed) = (at(number - 1).await?, at(*number).await?);
        let reporter = author(&report).await?;
        let same_block = slashes.iter().filter(|(other, _)| other == number);
        let reward: u128 = same_block.map(|(_, slash)| slash.reward).sum();
        for name in VALIDATORS {
            let who = stash(name)?;
            let had = report.balances(who).await?.free;
            let has = slashed.balances(who).await?.free;
            let earned = if who == reporter { reward } else { 0 };
            ensure!(has == had + earned, "{name} has {has}, and had {had}");
        }
    }
    let lost: u128 = slashes.iter().map(|(_, slash)| slash.amount).sum();
    ensure!(lost > 0, "a slash of nothing");
    ensure!(
        chilled.iter().map(|event| event.who).eq([culprit]),
        "{chilled:?}"
    );
    let after = stakes(&seen).await?;
    for (name, stake) in &after {
        let had = at_stake[name];
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
    let elected = chain.finalized().await?.number();
    let start = Instant::now();
    while chain.finalized().await?.number() < elected + 5 {
        ensure!(start.elapsed() < CAUGHT, "three validators do not finalise");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    for (name, stake) in stakes(&chain.finalized().await?).await? {
        ensure!(
            name == CULPRIT || stake == at_stake[name],
            "{name} has {stake:?}"
        );
    }
    network.scene.check_money().await
}
