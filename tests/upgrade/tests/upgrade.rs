//! A network takes a new runtime, with a migration, by the vote of who holds its money, while people buy and sell on it.

use std::{
    collections::{BTreeMap, BTreeSet},
    thread,
    time::{Duration, Instant},
};

use anyhow::{ensure, Context, Result};
use assay_client::{
    chain::{runtime, JobState, ReferendumInfo, Wait},
    keys,
    subxt::{
        config::RpcConfigFor,
        rpcs::{client::RpcClient, LegacyRpcMethods},
        PolkadotConfig,
    },
    Chain, H256,
};
use assay_tests::{
    network::{stash, Audit, Network, Request, VALIDATORS},
    transfers, Assay, Node,
};
use codec::Decode;
use sp_crypto_hashing::twox_128;

/// Eight of twelve accounts with a million each: more than the half that a root referendum needs at first.
const VOTERS: [&str; 8] = [
    "//Alice",
    "//Bob",
    "//Charlie",
    "//Dave",
    "//Eve",
    "//Ferdie",
    "//Alice//stash",
    "//Bob//stash",
];
const PATIENCE: Duration = Duration::from_secs(120);
/// Their jobs are under way when the chain takes the runtime.
const BUYERS: [&str; 3] = ["//Dave", "//Eve", "//Ferdie"];
/// The longest time without a block becoming final. All nodes of this machine compile the new runtime at once.
const PAUSE: Duration = Duration::from_secs(30);

type Rpc = LegacyRpcMethods<RpcConfigFor<PolkadotConfig>>;

async fn rpc(node: &Node) -> Result<Rpc> {
    Ok(Rpc::new(RpcClient::from_insecure_url(node.url()).await?))
}

async fn spec_version(rpc: &Rpc, at: Option<H256>) -> Result<u32> {
    Ok(rpc.state_get_runtime_version(at).await?.spec_version)
}

/// The jobs in the index that the migration made, as `Upgrade::ByUser` has them in a block.
async fn indexed(rpc: &Rpc, at: H256) -> Result<BTreeSet<u64>> {
    let prefix = [twox_128(b"Upgrade"), twox_128(b"ByUser")].concat();
    let keys = rpc
        .state_get_keys_paged(&prefix, 1_000, None, Some(at))
        .await?;
    let jobs = keys.iter().map(|key| {
        // A job's number is the end of its key.
        let number = key.len().checked_sub(8).and_then(|from| key.get(from..));
        Ok(u64::decode(&mut number.context("a key is too short")?)?)
    });
    jobs.collect()
}

/// Everybody votes at once.
fn vote(url: &str, referendum: u32) -> Result<()> {
    let votes = VOTERS.map(|voter| {
        let assay = Assay::new(url, voter);
        thread::spawn(move || {
            let referendum = referendum.to_string();
            let amount = ["--amount", "900000 ASY"];
            let words = ["referendum", "vote", &referendum, "aye"];
            assay.json(&[&words[..], &amount[..]].concat())
        })
    });
    for vote in votes {
        vote.join()
            .map_err(|_| anyhow::anyhow!("a vote ended in a panic"))??;
    }
    Ok(())
}

async fn wait_until<T>(
    what: &str,
    chain: &Chain,
    mut reached: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    let mut blocks = chain.best_blocks().await?;
    let wait = async {
        loop {
            if let Some(found) = reached().await? {
                return Ok(found);
            }
            blocks.next().await?;
        }
    };
    tokio::time::timeout(PATIENCE, wait)
        .await
        .unwrap_or_else(|_| Err(anyhow::anyhow!("{what} did not come")))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_referendum_upgrades_a_network_under_its_jobs() -> Result<()> {
    let network = Network::here().await?;
    let scene = &network.scene;
    let next = scene.folder().join("next.wasm");
    std::fs::write(
        &next,
        assay_upgrade::WASM_BINARY.context("it was not built")?,
    )?;
    let (chain, url) = (&scene.chain, scene.node.url());
    let observer = rpc(&scene.node).await?;
    ensure!(
        spec_version(&observer, None).await? == 1,
        "it has another version already"
    );
    let provider = scene.provider("//Bob", 1, 3)?;
    // All of the jobs at once.
    let prices = ["--input-price", "1 mASY", "--output-price", "3 mASY"];
    let offer = [
        &["provider", "offer"][..],
        &prices[..],
        &["--capacity", "4"],
    ];
    provider.assay.json(&offer.concat())?;
    let worker = scene.worker(&provider, "worker")?;
    scene.wait_online(&provider, true).await?;
    let start = Instant::now();
    let first = scene.submit("Once upon a time", &[])?;

    let alice = Assay::new(&url, "//Alice");
    let path = next.display().to_string();
    let proposed = alice.json(&["referendum", "propose", "--runtime", &path])?;
    let referendum = proposed["referendum"].as_u64().context("it has a number")?;
    let referendum = u32::try_from(referendum)?;
    vote(&url, referendum)?;
    let approved = wait_until("approval", chain, async || {
        let snapshot = chain.best().await?;
        Ok(match snapshot.referendum(referendum).await? {
            Some(ReferendumInfo::Approved(at, ..)) => Some(at),
            _ => None,
        })
    })
    .await?;

    let root = chain
        .best()
        .await?
        .tracks()?
        .into_iter()
        .find(|track| track.id == 0);
    let enacted = approved
        + root
            .context("there is a track of root")?
            .min_enactment_period;
    let request = Request::new(chain, &scene.model).await?;
    let mut purchases = Vec::new();
    for buyer in BUYERS {
        purchases.push(request.sign(chain, buyer, 1).await?);
    }
    // Most are submitted in the block before the last one and drawn in the last one, and one is submitted in that: a fast
    // worker may deliver what was drawn, and who comes late finds no room in the block of the enactment.
    for (ahead, count) in [(3, BUYERS.len() - 1), (2, 1)] {
        wait_until("the last blocks before", chain, async || {
            Ok((chain.best().await?.number() + ahead >= enacted).then_some(()))
        })
        .await?;
        transfers::send(&url, purchases.drain(..count).collect()).await?;
    }
    // Nobody else buys.
    let jobs: Vec<u64> = (first..).take(1 + BUYERS.len()).collect();

    wait_until("the new runtime", chain, async || {
        Ok((chain.finalized().await?.spec_version() == 2).then_some(()))
    })
    .await?;
    let mut last = enacted;
    let took = loop {
        let hash = chain.block_hash(last).await?;
        let hash = hash.context("the chain has no block that ends with the new runtime")?;
        if spec_version(&observer, Some(hash)).await? == 2 {
            break hash;
        }
        last += 1;
    };
    let before = chain.at(took).await?;
    let mut under_way = 0;
    let mut there = BTreeMap::new();
    for job in &jobs {
        let Some(record) = before.job(*job).await? else {
            continue;
        };
        let is_under_way = matches!(
            record.state,
            JobState::Waiting { .. } | JobState::Assigned(_)
        );
        under_way += usize::from(is_under_way);
        there.insert(*job, record.state);
    }
    ensure!(
        under_way > 0,
        "no job was under way in block {last}, the last one of the old runtime: {there:?}"
    );

    for job in &jobs {
        scene.wait_settled(*job).await?;
    }
    let settled = chain.best().await?;
    let (delivered, declined, missed, bond) = provider.record(&settled).await?;
    ensure!(
        (delivered as usize, declined, missed) == (jobs.len(), 0, 0),
        "of {} jobs {delivered} were delivered, {declined} declined, {missed} missed",
        jobs.len()
    );
    ensure!(bond == 1_000_000_000_000_000, "the bond is {bond}");
    // What was signed for the old runtime is signed anew before the node has to refuse it.
    let log = worker.daemon.log()?;
    let refused = log.lines().find(|line| line.contains("did not take"));
    ensure!(refused.is_none(), "{refused:?}");

    // Programs that were built for the version before go on, and a new request is answered.
    scene.run("And then", &[])?;

    // Every validator made its own index of the jobs, and all agree on the block of which this was seen.
    wait_until("finality", chain, async || {
        Ok((chain.finalized().await?.number() >= settled.number()).then_some(()))
    })
    .await?;
    let seen = chain.block_hash(settled.number()).await?;
    let seen = seen.context("a final block")?;
    for node in network.validators.iter().chain([&scene.node]) {
        let (own, rpc) = (node.chain().await?, rpc(node).await?);
        wait_until("finality", &own, async || {
            Ok((own.finalized().await?.number() >= settled.number()).then_some(()))
        })
        .await?;
        ensure!(
            own.block_hash(last).await? == Some(took)
                && own.block_hash(settled.number()).await? == Some(seen),
            "{} is on another chain",
            node.name
        );
        ensure!(
            spec_version(&rpc, Some(seen)).await? == 2,
            "{} has the old runtime",
            node.name
        );
        let indexed = indexed(&rpc, seen).await?;
        ensure!(
            indexed == there.keys().copied().collect(),
            "by {} the migration saw the jobs {indexed:?}",
            node.name
        );
    }
    let paused = network.watch.standstill(start);
    ensure!(
        paused <= PAUSE,
        "nothing became final for {} s",
        paused.as_secs()
    );
    // And each of them makes blocks with the new runtime.
    let everybody: BTreeSet<_> = VALIDATORS.into_iter().map(stash).collect::<Result<_>>()?;
    let mut audit = Audit::default();
    wait_until("a block of each validator", chain, async || {
        audit.catch_up(chain).await?;
        let blocks = audit.blocks(last);
        let authors: BTreeSet<_> = blocks.iter().map(|block| block.author).collect();
        Ok((authors == everybody).then_some(()))
    })
    .await?;

    // What was put down comes back, nothing happened twice, and every planck is somewhere.
    let signer = keys::load("//Alice")?;
    let referenda = runtime::tx().referenda();
    let call = referenda.refund_decision_deposit(referendum);
    chain
        .submit(&call, &signer, Wait::InBlock, PATIENCE)
        .await?;
    let call = referenda.refund_submission_deposit(referendum);
    chain
        .submit(&call, &signer, Wait::Finalized, PATIENCE)
        .await?;
    audit.catch_up(chain).await?;
    audit.check(chain).await?;
    scene.check_money().await
}
