//! A provider that builds its receipts on a block of long ago, so that the time in which they can be disputed is soon
//! over. Its buyers do not take them.

use std::{fs, time::Duration};

use anyhow::{ensure, Context, Result};
use serde_json::Value;

use crate::{demo_source, eventually, Gateway, Node, Scene};

/// Longer than it takes to sync a few blocks, or until an offer is seen.
const PATIENCE: Duration = Duration::from_secs(90);
/// Blocks after which a gateway calls an anchor old, and a few more.
const OLD: u32 = 70;

/// A worker whose node is left alone sells on; what the gateway says of it then.
pub async fn stale_anchor() -> Result<String> {
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
    let refused = ask();
    ensure!(refused.is_err(), "{refused:?} was bought");
    let caught = eventually("it is written down", PATIENCE, || {
        let folder = gateway.data.join("evidence");
        let Some(entry) = fs::read_dir(folder).into_iter().flatten().next() else {
            return Ok(None);
        };
        let json: Value = serde_json::from_slice(&fs::read(entry?.path())?)?;
        Ok(json["caught"].as_str().map(str::to_owned))
    })?;
    ensure!(caught.contains("anchor is too old"), "{caught}");
    scene.check_money().await.context("money")?;
    Ok(caught)
}
