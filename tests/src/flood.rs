//! How many transfers a second a development chain takes when it is flooded with them.

use std::time::{Duration, Instant};

use anyhow::{bail, ensure, Context, Result};
use assay_client::{
    chain::runtime,
    keys,
    subxt::{
        config::{PolkadotExtrinsicParamsBuilder as Params, RpcConfigFor},
        rpcs::{client::RpcClient, LegacyRpcMethods},
        PolkadotConfig,
    },
    Chain, Keypair,
};
use assay_tests::Node;
use tokio::task::JoinSet;

type Rpc = LegacyRpcMethods<RpcConfigFor<PolkadotConfig>>;

const DEFAULT_TRANSFERS: u32 = 12_000;
const SENDERS: [&str; 6] = [
    "//Alice",
    "//Bob",
    "//Charlie",
    "//Dave",
    "//Eve",
    "//Ferdie",
];
const PAYEE: &str = "//Alice//flood";
/// Transactions of one sender that wait for the node's answer.
const IN_FLIGHT: usize = 32;
const PLANCK_PER_TRANSFER: u128 = 1_000_000_000;
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

    let signed = sign_all(&chain, count).await?;
    let first = u64::from(chain.best().await?.number()) + 1;
    let start = Instant::now();
    let watch = tokio::spawn(watch(chain.clone(), first, count));
    send_all(&node.url(), signed).await?;
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

/// The transfers of each sender, in the order of their nonces.
async fn sign_all(chain: &Chain, count: u32) -> Result<Vec<Vec<Vec<u8>>>> {
    let payee = keys::account(&keys::load(PAYEE)?);
    let call = runtime::tx()
        .balances()
        .transfer_keep_alive(payee.into(), PLANCK_PER_TRANSFER);
    let at = chain.best().await?;
    let senders = SENDERS.len() as u32;
    let mut all = Vec::new();
    for (index, uri) in (0u32..).zip(SENDERS) {
        let key: Keypair = keys::load(uri)?;
        let share = count / senders + u32::from(index < count % senders);
        let mut transactions = at.client().transactions();
        let first = transactions.account_nonce(&keys::account(&key)).await?;
        let mut signed = Vec::new();
        for nonce in (first..).take(share as usize) {
            let params = Params::new().immortal().nonce(nonce).build();
            signed.push(
                transactions
                    .create_signed(&call, &key, params)
                    .await?
                    .encoded()
                    .to_vec(),
            );
        }
        all.push(signed);
    }
    Ok(all)
}

/// Send from all accounts at once, each over its own connection and a few at a time. The pool puts
/// those that overtake each other back into the order of their nonces.
async fn send_all(url: &str, signed: Vec<Vec<Vec<u8>>>) -> Result<()> {
    let mut senders = JoinSet::new();
    for transactions in signed {
        let rpc = Rpc::new(RpcClient::from_insecure_url(url).await?);
        senders.spawn(async move {
            for some in transactions.chunks(IN_FLIGHT) {
                let mut under_way = JoinSet::new();
                for bytes in some {
                    let (rpc, bytes) = (rpc.clone(), bytes.clone());
                    under_way.spawn(async move { rpc.author_submit_extrinsic(&bytes).await });
                }
                while let Some(accepted) = under_way.join_next().await {
                    accepted??;
                }
            }
            anyhow::Ok(())
        });
    }
    while let Some(sent) = senders.join_next().await {
        sent??;
    }
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
