//! Four validators: their network answers users; one that loses one of them goes on, and one that loses two makes
//! blocks but is not fooled into finalising them.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{ensure, Result};
use assay_client::Chain;
use assay_tests::{network::Ground, Node};

const PATIENCE: Duration = Duration::from_secs(90);

async fn finalized(chain: &Chain) -> Result<u32> {
    Ok(chain.finalized().await?.number())
}

async fn wait_until_finalized(chain: &Chain, number: u32) -> Result<()> {
    let wait = async {
        while finalized(chain).await? < number {
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        Ok(())
    };
    tokio::time::timeout(PATIENCE, wait)
        .await
        .unwrap_or_else(|_| Err(anyhow::anyhow!("block {number} is not finalized")))
}

#[tokio::test]
async fn of_four_validators_three_finalise_and_two_do_not() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let local = ["--chain=local", "--validator", "--no-mdns"];
    let alice = Node::bootnode(folder.path(), "alice", &[&local[..], &["--alice"]].concat())?;
    let bootnodes = format!("--bootnodes={}", alice.address());
    let mut others = Vec::new();
    for name in ["bob", "charlie", "dave"] {
        let key = format!("--{name}");
        // A real validator keeps one network identity; here nobody has met it before.
        let new_identity = "--unsafe-force-node-key-generation";
        let arguments = [
            &local[..],
            &[key.as_str(), bootnodes.as_str(), new_identity],
        ]
        .concat();
        others.push(Node::start(folder.path(), name, &arguments)?);
    }
    let chain = alice.chain().await?;
    wait_until_finalized(&chain, 3).await?;

    others.pop();
    let with_three = finalized(&chain).await? + 5;
    wait_until_finalized(&chain, with_three).await?;

    others.pop();
    // Votes that were under way when the node died may still count.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let stuck = finalized(&chain).await?;
    let best = chain.best().await?.number();
    tokio::time::sleep(Duration::from_secs(15)).await;
    ensure!(
        finalized(&chain).await? == stuck,
        "two of four validators finalised a block"
    );
    ensure!(
        chain.best().await?.number() > best,
        "two of four validators made no block"
    );
    Ok(())
}

/// A full node besides, two workers behind different nodes, and a user behind each of these.
#[tokio::test(flavor = "multi_thread")]
async fn a_network_answers_its_users() -> Result<()> {
    let mut ground = Ground::here().await?;
    let customers = ground.customers()?;
    tokio::time::sleep(Duration::from_secs(6)).await;
    let seen: u32 = customers.stop().await?.iter().sum();
    ensure!(seen >= 2, "{seen} jobs got into a block");
    let (jobs, _) = ground.wait_until_over().await?;
    ensure!(
        ground.audit.paid() == jobs && jobs >= seen as usize,
        "{} of {jobs} jobs are paid, of which users saw {seen}",
        ground.audit.paid()
    );
    // Each validator makes blocks, and the full node none.
    let blocks = ground.audit.blocks(0);
    let authors: BTreeSet<_> = blocks.iter().map(|block| block.author).collect();
    ensure!(authors.len() == 4, "{authors:?}");
    Ok(())
}
