//! A validator, from nothing to its first reward and out again.

use std::time::Duration;

use anyhow::{ensure, Context, Result};
use assay_tests::{eventually, http, Assay, Node};
use serde_json::Value;

use crate::{account, check_issuance, metrics::value, planck, refusal, specification, PATIENCE};

/// Some eras of a development chain.
const ERAS: Duration = Duration::from_secs(300);
/// Sessions for which a bond answers: few, so that a test sees the end of one.
const BONDING_SESSIONS: u32 = 4;
/// Planck.
const KEY_DEPOSIT: u128 = 100_000_000_000;
/// Long enough for a block with room for transactions, short enough for a test.
const EPOCH_SLOTS: u32 = 12;

/// A node of a development chain with Alice's keys, and one that was only now started for somebody else.
struct Validators {
    alice: Node,
    newcomer: Node,
    _folder: tempfile::TempDir,
}

impl Validators {
    /// On a development chain whose epochs are short, so that an era is over in half a minute.
    fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let chain = specification(folder.path(), "dev", |patch| {
            patch["timing"]["epochSlots"] = EPOCH_SLOTS.into();
            patch["validators"]["parameters"]["bonding_sessions"] = BONDING_SESSIONS.into();
        })?;
        let alice = Node::bootnode(folder.path(), "alice", &[&chain, "--alice"])?;
        let bootnodes = format!("--bootnodes={}", alice.address());
        let identity = "--unsafe-force-node-key-generation";
        let arguments = [chain.as_str(), "--validator", identity, &bootnodes];
        let newcomer = Node::start(folder.path(), "newcomer", &arguments)?;
        Ok(Self {
            alice,
            newcomer,
            _folder: folder,
        })
    }
}

#[tokio::test]
async fn somebody_becomes_a_validator_is_paid_and_leaves() -> Result<()> {
    let mut validators = Validators::start()?;
    // Commands about keys go to the validator's own node.
    let eve = Assay::new(&validators.newcomer.url(), "//Eve");
    let ferdie = Assay::new(&validators.alice.url(), "//Ferdie");
    eventually("the new node has the chain", PATIENCE, || {
        let checks = eve.run(&["--output", "json", "doctor"])?;
        let checks: Value = serde_json::from_str(&checks.stdout).unwrap_or_default();
        let checks = checks.as_array().cloned().unwrap_or_default();
        let blocks = checks.iter().find(|check| check["check"] == "blocks");
        Ok(blocks
            .is_some_and(|check| check["ok"] == true)
            .then_some(()))
    })?;

    // Each step says what is missing for it.
    refusal(&eve, &["validator", "status"], "assay validator bond")?;
    refusal(&eve, &["validator", "validate"], "nothing is bonded")?;
    refusal(&eve, &["validator", "bond", "1 planck"], "below the least")?;
    let bonded = eve.json(&["validator", "bond", "5000 ASY"])?;
    ensure!(
        planck(&bonded["bond"])? == 5_000_000_000_000_000,
        "{bonded}"
    );
    refusal(
        &eve,
        &["validator", "validate"],
        "assay validator rotate-keys",
    )?;
    let keys = eve.json(&["validator", "rotate-keys"])?;
    let stands = eve.json(&["validator", "validate", "--commission", "10"])?;
    ensure!(
        stands["role"] == "Validator"
            && stands["commission"] == 100_000
            && stands["session_keys"] == keys["session_keys"]
            && stands["node_has_keys"] == true,
        "{stands}"
    );
    // What is not named stays, and a share is no more than the whole.
    ensure!(eve.json(&["validator", "validate"])?["commission"] == 100_000);
    let more = ["validator", "validate", "--commission", "100.1"];
    ensure!(eve.run(&more)?.code == 2);
    refusal(
        &eve,
        &["validator", "nominate", "//Eve"],
        "behind it already",
    )?;
    // Another node says that the keys are not there.
    let elsewhere = Assay::new(&validators.alice.url(), "//Eve");
    ensure!(elsewhere.json(&["validator", "status"])?["node_has_keys"] == false);

    let eve_account = stands["account"].as_str().context("an account")?.to_owned();
    refusal(
        &ferdie,
        &["validator", "nominate", &eve_account],
        "nothing is bonded",
    )?;
    ferdie.json(&["validator", "bond", "5000 ASY"])?;
    refusal(
        &ferdie,
        &["validator", "nominate", "//Dave"],
        "assay validator list",
    )?;
    let backs = ferdie.json(&["validator", "nominate", &eve_account])?;
    ensure!(backs["validator"] == eve_account.as_str(), "{backs}");

    let status = eventually("the new validator is paid for", ERAS, || {
        let status = eve.json(&["validator", "status"])?;
        let has_earned = status["unpaid"]
            .as_array()
            .is_some_and(|eras| !eras.is_empty());
        Ok(has_earned.then_some(status))
    })?;
    ensure!(
        status["active"] == true && status["elected"] == true,
        "{status}"
    );
    let nominators = status["nominators"].as_array().context("nominators")?;
    ensure!(nominators.len() == 1 && planck(&nominators[0]["amount"])? == 5_000_000_000_000_000);
    let page = http::get(validators.newcomer.metrics_port, "/metrics")?.body;
    ensure!(value(&page, "assay_own_active", "") == Some(1.0), "{page}");
    ensure!(value(&page, "assay_own_bond_asy", "") == Some(5_000.0));
    ensure!(value(&page, "assay_own_commission_ratio", "") == Some(0.1));

    // Anybody may pay; validator and nominator get what is told.
    let before = planck(&account(&ferdie, "//Ferdie")?["free"])?;
    let somebody = Assay::new(&validators.alice.url(), "//Dave");
    let mut to_nominators = 0;
    // The first era may have been elected before anybody backed it.
    eventually("the nominator is paid for", ERAS, || {
        let paid = somebody.run(&["--output", "json", "validator", "payout", &eve_account])?;
        if paid.code != 0 {
            let nothing = paid.stderr.contains("nothing is to be paid");
            ensure!(nothing, "{paid:?}");
            return Ok(None);
        }
        let paid: Value = serde_json::from_str(&paid.stdout)?;
        for era in paid["paid"].as_array().context("eras")? {
            to_nominators += planck(&era["nominators"])?;
            ensure!(planck(&era["own"])? > 0, "{paid}");
        }
        Ok((to_nominators > 0).then_some(()))
    })?;
    ensure!(planck(&account(&ferdie, "//Ferdie")?["free"])? == before + to_nominators);
    let again = somebody.run(&["validator", "payout", &eve_account, "--era", "0"])?;
    ensure!(
        again.code == 1 && again.stderr.contains("nothing is to be paid"),
        "{again:?}"
    );

    // And out again.
    refusal(
        &eve,
        &["validator", "unbond", "5000 ASY"],
        "validator chill",
    )?;
    refusal(&eve, &["validator", "purge-keys"], "unbond")?;
    ensure!(eve.json(&["validator", "chill"])?["role"] == "Idle");
    let leaving = eve.json(&["validator", "unbond", "5000 ASY"])?;
    ensure!(planck(&leaving["bond"])? == 0, "{leaving}");
    // A block that was taken back brings its transactions back a moment later.
    eventually("the bond begins to leave", PATIENCE, || {
        let early = eve.run(&["validator", "withdraw"])?;
        let told = early.stderr.contains("nothing is due before session");
        Ok((early.code != 0 && told).then_some(()))
    })?;

    let leaving = eve.json(&["validator", "status"])?;
    let due = leaving["unbonding"][0]["due"].as_u64().context("due")?;

    // To the end, whatever becomes of the node meanwhile.
    validators.newcomer.restart()?;
    eventually("the bond is due", ERAS, || {
        let status = eve.json(&["validator", "status"])?;
        Ok((status["session"].as_u64() >= Some(due)).then_some(()))
    })?;
    let left = eve.json(&["validator", "withdraw"])?;
    ensure!(left["bond"].is_null() && left["active"] == false, "{left}");
    let before = account(&eve, "//Eve")?;
    ensure!(
        before["holds"][0]["reason"] == "Session::Keys" && before["holds"][1].is_null(),
        "{before}"
    );
    eve.json(&["validator", "purge-keys"])?;
    let after = account(&eve, "//Eve")?;
    ensure!(
        after["holds"][0].is_null() && after["reserved"] == "0",
        "{after}"
    );
    let fee = planck(&before["total"])? - planck(&after["total"])?;
    ensure!(fee < KEY_DEPOSIT, "leaving costs {fee}");
    refusal(
        &eve,
        &["validator", "status"],
        "has no bond and no session keys",
    )?;
    refusal(&eve, &["validator", "purge-keys"], "nothing to remove")?;
    // Whoever backed it has a bond that backs nobody who is elected, and takes it elsewhere.
    ensure!(
        ferdie.json(&["validator", "chill"])?["role"] == "Idle",
        "a nominator leaves"
    );
    check_issuance(&ferdie)
}
