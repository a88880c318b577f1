//! A chain takes a new runtime, with a migration, by the vote of who holds its money, while people buy and sell on it.

use std::{collections::BTreeSet, thread, time::Duration};

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
use assay_tests::{demo_source, Assay, Node, Scene};
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

type Rpc = LegacyRpcMethods<RpcConfigFor<PolkadotConfig>>;

async fn rpc(node: &Node) -> Result<Rpc> {
    Ok(Rpc::new(RpcClient::from_insecure_url(node.url()).await?))
}

async fn spec_version(rpc: &Rpc, at: Option<H256>) -> Result<u32> {
    Ok(rpc.state_get_runtime_version(at).await?.spec_version)
}

/// The jobs in the index that the migration made, as `Upgrade::ByUser` has them.
async fn indexed(rpc: &Rpc) -> Result<BTreeSet<u64>> {
    let prefix = [twox_128(b"Upgrade"), twox_128(b"ByUser")].concat();
    let keys = rpc.state_get_keys_paged(&prefix, 1_000, None, None).await?;
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

/// Everybody buys at once.
fn buy(scene: &Scene) -> Result<Vec<u64>> {
    thread::scope(|scope| {
        let jobs = BUYERS.map(|buyer| {
            let user = scene.user.with_key(buyer);
            let model = scene.model_dir();
            scope.spawn(move || {
                let words = ["job", "submit", "There was", "--model-dir", &model];
                let job = user.json(&[&words[..], &["--max-tokens", "32"]].concat())?;
                job["job"].as_u64().context("it has a number")
            })
        });
        let jobs = jobs.into_iter().map(|job| {
            let job = job.join();
            job.map_err(|_| anyhow::anyhow!("a purchase ended in a panic"))?
        });
        jobs.collect()
    })
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
async fn a_referendum_upgrades_the_chain_under_its_jobs() -> Result<()> {
    let mut folder = tempfile::tempdir()?;
    if std::env::var_os("ASSAY_KEEP").is_some() {
        folder.disable_cleanup(true);
        eprintln!("logs and stores stay in {}", folder.path().display());
    }
    let node = Node::bootnode(folder.path(), "node", &["--dev"])?;
    let bootnodes = format!("--bootnodes={}", node.address());
    let follower = ["--chain=dev", "--no-mdns", bootnodes.as_str()];
    let follower = Node::start(folder.path(), "follower", &follower)?;
    let next = folder.path().join("next.wasm");
    std::fs::write(
        &next,
        assay_upgrade::WASM_BINARY.context("it was not built")?,
    )?;
    let scene = Scene::on(node, folder, &demo_source()?).await?;
    let (chain, rpc) = (&scene.chain, rpc(&scene.node).await?);
    ensure!(
        spec_version(&rpc, None).await? == 1,
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
    let mut jobs = vec![scene.submit("Once upon a time", &[])?];

    let alice = Assay::new(&scene.node.url(), "//Alice");
    let path = next.display().to_string();
    let proposed = alice.json(&["referendum", "propose", "--runtime", &path])?;
    let referendum = proposed["referendum"].as_u64().context("it has a number")?;
    let referendum = u32::try_from(referendum)?;
    vote(&scene.node.url(), referendum)?;
    let approved = wait_until("approval", chain, async || {
        let snapshot = chain.best().await?;
        Ok(match snapshot.referendum(referendum).await? {
            Some(ReferendumInfo::Approved(at, ..)) => Some(at),
            _ => None,
        })
    })
    .await?;
    scene.wait_settled(jobs[0]).await?;

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
    // In a block before the last one they are submitted, in the last one drawn. The block of the enactment has no room,
    // and those of the migration have no transactions.
    wait_until("the last blocks before", chain, async || {
        Ok((chain.best().await?.number() + 3 >= enacted).then_some(()))
    })
    .await?;
    jobs.extend(buy(&scene)?);

    wait_until("the new runtime", chain, async || {
        Ok((spec_version(&rpc, None).await? == 2).then_some(()))
    })
    .await?;
    let mut last = enacted;
    let took = loop {
        let hash = chain.block_hash(last).await?;
        let hash = hash.context("the chain has no block that ends with the new runtime")?;
        if spec_version(&rpc, Some(hash)).await? == 2 {
            break hash;
        }
        last += 1;
    };
    let before = chain.at(took).await?;
    let mut under_way = 0;
    for job in &jobs {
        let record = before.job(*job).await?;
        let record = record.with_context(|| format!("job {job} is gone"))?;
        let is_under_way = matches!(
            record.state,
            JobState::Waiting { .. } | JobState::Assigned(_)
        );
        under_way += usize::from(is_under_way);
    }
    ensure!(
        under_way == BUYERS.len(),
        "{under_way} jobs were under way in block {last}, the last one of the old runtime"
    );

    for job in &jobs {
        scene.wait_settled(*job).await?;
    }
    let (delivered, declined, missed, bond) = provider.record(&chain.best().await?).await?;
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
    ensure!(
        indexed(&rpc).await? == jobs.iter().copied().collect(),
        "the migration did not see every job"
    );

    // Programs that were built for the version before go on, and a new request is answered.
    scene.run("And then", &[])?;
    // So does a node that only watched.
    let watcher = follower.chain().await?;
    wait_until("the other node", &watcher, async || {
        Ok((watcher.finalized().await?.number() > last).then_some(()))
    })
    .await?;
    ensure!(
        watcher.block_hash(last).await? == Some(took),
        "the other node is on another chain"
    );

    // What was put down comes back, and every planck is somewhere.
    let signer = keys::load("//Alice")?;
    let referenda = runtime::tx().referenda();
    let call = referenda.refund_decision_deposit(referendum);
    chain
        .submit(&call, &signer, Wait::InBlock, PATIENCE)
        .await?;
    let call = referenda.refund_submission_deposit(referendum);
    chain
        .submit(&call, &signer, Wait::InBlock, PATIENCE)
        .await?;
    scene.check_money().await
}
