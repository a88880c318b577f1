//! How many transfers a second a development chain takes when it is flooded with them.

use std::time::{Duration, Instant};

use anyhow::{bail, ensure, Context, Result};
use assay_client::{chain::runtime, Chain};
use assay_tests::{transfers, Node};

const DEFAULT_TRANSFERS: u32 = 12_000;
const SENDERS: [&str; 6] = [
    "//Alice",
    "//Bob",
    "//Charlie",
    "//Dave",
    "//Eve",
    "//Ferdie",
];
/// How long the chain may take without another transfer in a block.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the blocks of the flood held.
#[derive(Default)]
struct Seen {
    transfers: u32,
    blocks: u32,
    /// The fullest block: its number, transfers, and share of the block's weight.
    fullest: (u64, u32, f64),
}

#[tokio::main]
async fn main() -> Result<()> {
    let count = match std::env::args().nth(1) {
        Some(text) => text
            .parse()
            .with_context(|| format!("{text:?} is no number of transfers"))?,
        None => DEFAULT_TRANSFERS,
    };
    let folder = tempfile::tempdir()?;
    // A tenth of the pool is for transactions whose nonce is not next, which most of a flood are for
    // a moment; beyond that the node forgets them without a word.
    let pool = format!("--pool-limit={}", count.saturating_mul(20).max(8_192));
    let node = Node::start(folder.path(), "node", &["--dev", &pool])?;
    let chain = node.chain().await?;

    let signed = transfers::sign(&chain, &SENDERS, count).await?;
    let first = u64::from(chain.best().await?.number()) + 1;
    let start = Instant::now();
    let watch = tokio::spawn(watch(chain.clone(), first, count));
    transfers::send(&node.url(), signed).await?;
    let sent = start.elapsed();
    let seen = watch.await??;
    let took = start.elapsed();

    let (number, transfers, share) = seen.fullest;
    println!("measured on this machine, in this run: one development node, blocks of a second");
    println!(
        "  {count} transfers from {} accounts, sent in {:.1} s",
        SENDERS.len(),
        sent.as_secs_f64()
    );
    println!(
        "  {:.0} transfers/s: {:.1} s from the first sent to the last in a block, {} blocks with transfers",
        f64::from(count) / took.as_secs_f64(),
        took.as_secs_f64(),
        seen.blocks,
    );
    println!(
        "  fullest block: {number}, {transfers} transfers, {:.1} % of a block's weight",
        share * 100.0
    );
    Ok(())
}

/// Look at every block from `next` on until it has seen `count` transfers.
async fn watch(chain: Chain, mut next: u64, count: u32) -> Result<Seen> {
    let most = {
        let limits = runtime::constants().system().block_weights();
        chain
            .best()
            .await?
            .client()
            .constants()
            .entry(limits)?
            .max_block
            .ref_time
    };
    let mut seen = Seen::default();
    let mut last = Instant::now();
    while seen.transfers < count {
        let best = u64::from(chain.best().await?.number());
        if best < next {
            ensure!(
                last.elapsed() < PATIENCE,
                "only {} of {count} got into blocks",
                seen.transfers
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        }
        let at = chain.api().at_block(next).await?;
        let mut transfers = 0;
        for extrinsic in at.extrinsics().fetch().await?.iter() {
            let extrinsic = extrinsic?;
            transfers += u32::from(extrinsic.pallet_name() == "Balances");
        }
        let weight = at
            .storage()
            .fetch(runtime::storage().system().block_weight(), ())
            .await?
            .decode()?;
        let used = [&weight.normal, &weight.operational, &weight.mandatory]
            .into_iter()
            .fold(0u64, |sum, class| sum.saturating_add(class.ref_time));
        if most == 0 {
            bail!("the chain says that its blocks have no room");
        }
        if transfers > 0 {
            seen.transfers += transfers;
            seen.blocks += 1;
            last = Instant::now();
            let share = used as f64 / most as f64;
            if share > seen.fullest.2 {
                seen.fullest = (next, transfers, share);
            }
        }
        next += 1;
    }
    Ok(seen)
}
