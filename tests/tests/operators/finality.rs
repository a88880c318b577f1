//! A chain that finalises nothing: half of its validators are not there.

use anyhow::{ensure, Result};
use assay_tests::{eventually, Assay, Node};

use crate::{account, check_issuance, planck, specification, PATIENCE};

/// More than a transaction waits for its block.
const BLOCKS: u64 = 40;

#[tokio::test]
async fn who_sends_something_need_not_wait_for_finality() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let chain = specification(folder.path(), "local", |patch| {
        patch["timing"]["slotMillis"] = 500.into();
    })?;
    let alice = Node::bootnode(folder.path(), "alice", &[&chain, "--alice"])?;
    let bootnodes = format!("--bootnodes={}", alice.address());
    let identity = "--unsafe-force-node-key-generation";
    let arguments = [chain.as_str(), "--bob", identity, &bootnodes];
    let _bob = Node::start(folder.path(), "bob", &arguments)?;
    let eve = Assay::new(&alice.url(), "//Eve");
    eventually("there are blocks", PATIENCE * 2, || {
        let block = eve.json(&["balance"])?["block"].as_u64();
        Ok((block > Some(BLOCKS)).then_some(()))
    })?;
    let finalized = alice.chain().await?.finalized().await?.number();
    ensure!(finalized == 0, "block {finalized} is final");
    let before = planck(&account(&eve, "//Ferdie")?["free"])?;
    eve.json(&["transfer", "//Ferdie", "1 ASY"])?;
    let after = planck(&account(&eve, "//Ferdie")?["free"])?;
    ensure!(after == before + 1_000_000_000_000, "{before} {after}");
    check_issuance(&eve)
}
