//! When a worker claims by itself what a channel owes: when it is much, and when it has waited for long.

use std::time::Duration;

use anyhow::{ensure, Context, Result};
use assay_client::{
    chain::{Channel, ChannelState},
    H256,
};
use assay_tests::{endless_source, Gateway, Marketplace, Server};
use tokio::time::{sleep, timeout};

/// Tokens of an answer: one is less than the threshold, two are more.
const TOKENS: u32 = 40;
const THRESHOLD: &str = "--settle-threshold=200 mASY";
const THRESHOLD_PLANCK: u128 = 200_000_000_000;
/// Blocks.
const AGE: u32 = 12;
/// Blocks in which a worker would have claimed, and its claim been finalized.
const SOON: u32 = 8;
/// What never comes.
const MUCH: &str = "--settle-threshold=1000 ASY";
const LONG: &str = "--settle-age=1000000";
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(200);

#[tokio::test]
async fn a_worker_claims_what_is_much_and_what_is_old() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let floats = endless_source(folder.path())?;
    let mut market = Marketplace::of_one(&floats, &[THRESHOLD, LONG]).await?;
    // Dearer, so that nobody asks it while the first one is there.
    let provider = market.scene.provider("//Eve", 2, 6)?;
    let name = "patient".to_owned();
    let age = format!("--settle-age={AGE}");
    let worker = market.scene.server(&provider, &name, &[MUCH, &age])?;
    market.servers.push(Server {
        name,
        provider,
        worker,
    });
    let gateway = market.gateway("20 ASY", &["--deposit=5 ASY"])?;

    // By threshold: one answer waits, and the second brings the claim of both.
    let by_sum = buy(&market, &gateway, 0).await?;
    let owed = spent(&gateway, &by_sum)?;
    ensure!(0 < owed && owed < THRESHOLD_PLANCK, "{owed} after one");
    let start = market.scene.chain.finalized().await?.number();
    while market.scene.chain.finalized().await?.number() < start + SOON {
        sleep(PAUSE).await;
    }
    ensure!(channel(&market, &by_sum).await?.settled == 0, "too early");
    ensure!(buy(&market, &gateway, 0).await? == by_sum);
    let owed = spent(&gateway, &by_sum)?;
    let claimed = first_claim(&market, &by_sum).await?.1.settled;
    ensure!(
        (THRESHOLD_PLANCK..=owed).contains(&claimed),
        "{claimed} is claimed of {owed}"
    );

    // By age, of the other one, which would wait for a thousand times as much.
    market.servers[0].worker.daemon.kill()?;
    let by_age = buy(&market, &gateway, 1).await?;
    let opened = channel(&market, &by_age).await?.opened_at;
    let (block, paid) = first_claim(&market, &by_age).await?;
    ensure!(
        block > opened + AGE,
        "claimed in block {block} of a channel that was opened in {opened}"
    );
    ensure!(paid.settled == spent(&gateway, &by_age)?, "{paid:?}");

    // One claim each, of channels that nobody asked to close.
    market.book.catch_up(&market.scene.chain).await?;
    for id in [by_sum, by_age] {
        let open = channel(&market, &id).await?.state;
        ensure!(matches!(open, ChannelState::Open), "{open:?}");
        let entry = market.book.channels.get(&id).context("a channel")?;
        ensure!(entry.settlements.len() == 1, "{entry:?}");
    }

    // An offer may go while its worker is away. What was earned is claimed all the same.
    ensure!(buy(&market, &gateway, 1).await? == by_age);
    let seller = &mut market.servers[1];
    seller.worker.daemon.kill()?;
    seller.provider.assay.json(&["provider", "unoffer"])?;
    seller.worker.start_again()?;
    let owed = spent(&gateway, &by_age)?;
    ensure!(owed > paid.settled, "nothing is owed");
    let claimed = async {
        while channel(&market, &by_age).await?.settled < owed {
            sleep(PAUSE).await;
        }
        anyhow::Ok(())
    };
    let claimed = timeout(PATIENCE, claimed).await;
    claimed.context("it is not claimed without an offer")??;
    market.scene.check_money().await
}

/// Buys an answer, and gives the channel to the server of this number, which was paid for it.
async fn buy(market: &Marketplace, gateway: &Gateway, server: usize) -> Result<H256> {
    let heard = gateway.ask(&gateway.model()?, "Once upon a time", TOKENS, |_| Ok(()))?;
    // Whoever could not be reached stands before the one that answered.
    let bought = heard.bought.last().context("bought from nobody")?;
    let (id, _) = bought.split_once('/').context("CHANNEL/SEQ")?;
    let id = id.parse()?;
    let seller = market.servers[server].provider.stash;
    ensure!(channel(market, &id).await?.provider == seller, "{bought}");
    Ok(id)
}

/// Planck of a channel that the gateway has receipts for.
fn spent(gateway: &Gateway, id: &H256) -> Result<u128> {
    let books = gateway.books()?;
    let line = books.channels.get(id);
    Ok(line.context("the gateway knows its channels")?.spent)
}

async fn channel(market: &Marketplace, id: &H256) -> Result<Channel> {
    let channel = market.scene.chain.finalized().await?.channel(*id).await?;
    channel.context("the channel is there")
}

/// The first block in which anything of a channel is settled, and the channel there.
async fn first_claim(market: &Marketplace, id: &H256) -> Result<(u32, Channel)> {
    let chain = &market.scene.chain;
    let wait = async {
        loop {
            let at = chain.finalized().await?;
            let found = at.channel(*id).await?.context("the channel is there")?;
            if found.settled > 0 {
                return anyhow::Ok((at.number(), found));
            }
            sleep(PAUSE).await;
        }
    };
    let claimed = timeout(PATIENCE, wait).await;
    let mut first = claimed.context("nothing is ever claimed")??;
    // Several blocks may have been finalized at once.
    loop {
        let hash = chain.block_hash(first.0 - 1).await?.context("a block")?;
        match chain.at(hash).await?.channel(*id).await? {
            Some(before) if before.settled > 0 => first = (first.0 - 1, before),
            _ => return Ok(first),
        }
    }
}
