//! A validator that was started again with a clock that was set back.

use std::{fs, time::Duration};

use anyhow::{ensure, Context, Result};
use assay_client::{chain::runtime, Chain};
use assay_tests::Node;
use tokio::time::{sleep, timeout};

use crate::{specification, PATIENCE};

const SLOT_MILLIS: u64 = 500;
/// How many slots its clock was ahead by: longer than a node takes to start on a busy machine.
const AHEAD: u64 = 60;

#[tokio::test]
async fn no_slot_is_signed_twice_by_whoever_starts_again() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let specified = specification(folder.path(), "dev", |patch| {
        patch["timing"]["slotMillis"] = SLOT_MILLIS.into();
    })?;
    let identity = "--unsafe-force-node-key-generation";
    let mut node = Node::start(folder.path(), "node", &[&specified, "--alice", identity])?;
    let chain = node.chain().await?;
    wait_beyond(&chain, 2).await?;
    let made = slot(&chain).await?;
    node.daemon.kill()?;
    let chains = fs::read_dir(folder.path().join("node/chains"))?.next();
    let file = chains
        .context("the chain's folder")??
        .path()
        .join("last-slot");
    let last: u64 = fs::read_to_string(&file)?.trim().parse()?;
    ensure!(
        (made..=made + 4).contains(&last),
        "made {made}, and written down is {last}"
    );

    // As if it had signed with its clock ahead: the clock is right now, which is the same as set back.
    let signed = last + AHEAD;
    fs::write(&file, format!("{signed:020}\n"))?;
    let said = node.daemon.log()?.len();
    node.start_again(&[], &[])?;
    let refused = format!("is not after slot {signed}, in which this node may have signed a block");
    node.daemon.wait_for_log(&refused, said, PATIENCE)?;
    let chain = node.chain().await?;
    let before = chain.best().await?.number();
    wait_beyond(&chain, before).await?;
    let next = slot(&chain).await?;
    ensure!(
        next > signed,
        "a block in slot {next}, and {signed} may have one"
    );

    // It goes with the keys, not with the database.
    node.daemon.end()?;
    let written = fs::read_to_string(&file)?;
    node.purge(&specified)?;
    ensure!(
        fs::read_to_string(&file).is_ok_and(|left| left == written),
        "purge-chain took the last slot with it"
    );
    let database = file.with_file_name("paritydb");
    ensure!(!database.exists(), "{} is left", database.display());
    Ok(())
}

async fn wait_beyond(chain: &Chain, number: u32) -> Result<()> {
    let waiting = async {
        while chain.best().await?.number() <= number {
            sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    };
    let waited = timeout(PATIENCE, waiting).await;
    waited.with_context(|| format!("no block after block {number}"))?
}

/// The slot of the best block.
async fn slot(chain: &Chain) -> Result<u64> {
    let best = chain.best().await?;
    let address = runtime::storage().timestamp().now();
    let told = best.client().storage().fetch(address, ()).await?;
    Ok(told.decode()? / SLOT_MILLIS)
}
