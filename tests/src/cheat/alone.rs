//! An honest provider whose node has no news of the chain: receipts that build on a block of long ago can be disputed
//! for a short time only, so that its buyers would take them for a cheat's. It sells nothing until it has news.

use std::{fs, time::Duration};

use anyhow::{bail, ensure, Context, Result};

use crate::{demo_source, eventually, Gateway, Node, Scene};

/// Longer than it takes to sync a few blocks, or until an offer is seen.
const PATIENCE: Duration = Duration::from_secs(90);
/// Blocks after which a gateway would call its anchors old, and a few more.
const OLD: u32 = 70;

/// A worker whose node is left alone sells nothing, and sells again when it has peers. Returns what the client of a
/// gateway is told meanwhile.
pub async fn node_left_alone() -> Result<String> {
    let mut folder = tempfile::tempdir()?;
    if std::env::var_os("ASSAY_KEEP").is_some() {
        folder.disable_cleanup(true);
        eprintln!("logs and stores stay in {}", folder.path().display());
    }
    let node = Node::bootnode(folder.path(), "node", &["--dev"])?;
    let bootnodes = format!("--bootnodes={}", node.address());
    let mut scene = Scene::on(node, folder, &demo_source()?).await?;
    let apart = ["--chain=dev", "--no-mdns", "--reserved-only"];
    let mut behind = Node::start(scene.folder(), "behind", &apart[..2])?;
    behind.daemon.kill()?;
    behind.start_again(&[], &[&bootnodes])?;
    let provider = scene.provider("//Bob", 1, 3)?;
    let last = scene.chain.best().await?.number();
    while behind.chain().await?.best().await?.number() < last {
        tokio::time::sleep(Duration::from_millis(300)).await;
    }

    std::mem::swap(&mut scene.node, &mut behind);
    let server = scene.server(&provider, "worker", &[]);
    std::mem::swap(&mut scene.node, &mut behind);
    let _worker = server?;
    let terms = ["--deposit=4 ASY"];
    let gateway = Gateway::start(
        scene.folder(),
        "gateway",
        &scene.user,
        &scene.model,
        "20 ASY",
        &terms,
    )?;
    let ask = || -> Result<_> { gateway.ask(&gateway.model()?, "Assay is", 8, |_| Ok(())) };
    eventually("an answer is bought", PATIENCE, || Ok(ask().ok()))?;

    behind.daemon.kill()?;
    behind.start_again(&[], &apart[2..])?;
    let stands = behind.chain().await?.best().await?.number();
    while scene.chain.best().await?.number() < stands + OLD {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    ensure!(
        behind.chain().await?.best().await?.number() == stands,
        "the node is not alone"
    );
    let Err(refused) = ask() else {
        bail!("an answer was bought of a worker that has no news of the chain");
    };
    let evidence = gateway.data.join("evidence");
    let blamed = fs::read_dir(evidence).into_iter().flatten().count();
    ensure!(blamed == 0, "an honest worker was blamed {blamed} times");
    scene.check_money().await.context("money")?;

    // It is not given up for that.
    behind.daemon.kill()?;
    behind.start_again(&[], &[&bootnodes])?;
    eventually("it sells again", PATIENCE, || Ok(ask().ok()))?;
    scene.check_money().await.context("money")?;
    Ok(format!("{refused:#}"))
}
