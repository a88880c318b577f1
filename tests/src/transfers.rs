//! Transfers by the thousand.

use std::time::{Duration, Instant};

use anyhow::Result;
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
use tokio::task::JoinSet;

type Rpc = LegacyRpcMethods<RpcConfigFor<PolkadotConfig>>;

const PAYEE: &str = "//Alice//flood";
/// Transactions of one sender that wait for the node's answer.
const IN_FLIGHT: usize = 32;
const PLANCK_PER_TRANSFER: u128 = 1_000_000_000;
/// How long to wait when a node's pool is full.
const FULL: Duration = Duration::from_millis(200);

/// `count` transfers of these senders together; of each sender in the order of its nonces.
pub async fn sign(chain: &Chain, senders: &[&str], count: u32) -> Result<Vec<Vec<Vec<u8>>>> {
    let payee = keys::account(&keys::load(PAYEE)?);
    let call = runtime::tx()
        .balances()
        .transfer_keep_alive(payee.into(), PLANCK_PER_TRANSFER);
    let at = chain.best().await?;
    let number = senders.len() as u32;
    let mut all = Vec::new();
    for (index, uri) in (0u32..).zip(senders) {
        let key: Keypair = keys::load(uri)?;
        let share = count / number + u32::from(index < count % number);
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
pub async fn send(url: &str, signed: Vec<Vec<Vec<u8>>>) -> Result<()> {
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

/// The same until a time is over: what a full pool refuses is sent again a moment later. Gives how many the node
/// took.
pub async fn press(url: &str, signed: Vec<Vec<Vec<u8>>>, until: Instant) -> Result<u32> {
    let mut senders = JoinSet::new();
    for transactions in signed {
        let rpc = Rpc::new(RpcClient::from_insecure_url(url).await?);
        senders.spawn(async move {
            let mut taken = 0;
            for bytes in transactions {
                while rpc.author_submit_extrinsic(&bytes).await.is_err() {
                    if Instant::now() >= until {
                        return taken;
                    }
                    tokio::time::sleep(FULL).await;
                }
                taken += 1;
                if Instant::now() >= until {
                    break;
                }
            }
            taken
        });
    }
    let mut all = 0;
    while let Some(taken) = senders.join_next().await {
        all += taken?;
    }
    Ok(all)
}
