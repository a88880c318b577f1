//! The chain's figures in the node's `/metrics`: gauges of what there is at a finalised block, and
//! counters of what finalised blocks brought since this node started.
//!
//! What there is takes a walk over the records. It runs beside the node's work and never takes more
//! than a tenth of a core, so that on a large chain the figures are older and the node is not slower.

mod shown;

use std::{
    iter,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use assay_runtime::{
    figures::{Figure, FiguresApi},
    Hash,
};
use futures::StreamExt;
use sc_client_api::{BlockchainEvents, FinalityNotification};
use sp_api::{ApiError, ProvideRuntimeApi};
use sp_consensus::SyncOracle;
use sp_consensus_babe::KEY_TYPE as BABE;
use sp_keystore::KeystorePtr;
use substrate_prometheus_endpoint::Registry;

use crate::parts::FullClient;
use shown::Shown;

/// From one walk's end to the next one's begin, at least.
const PAUSE: Duration = Duration::from_secs(5);

/// A page is followed by a rest of so many times what it took.
const REST: u32 = 9;

/// Finalised at once in more than so many, blocks were fetched from others, and long ago.
const MOST_BLOCKS: usize = 1_000;

/// Shows figures until the node ends. One that runs into an error goes on with the next block.
pub async fn run(
    registry: Registry,
    client: Arc<FullClient>,
    keystore: KeystorePtr,
    sync: Arc<dyn SyncOracle + Send + Sync>,
) {
    let mut shown = Shown::new(registry);
    let mut finalised = client.finality_notification_stream();
    let mut walked: Option<Instant> = None;
    while let Some(notification) = finalised.next().await {
        if sync.is_major_syncing() {
            continue;
        }
        if let Err(error) = count(&client, &notification, &mut shown) {
            tracing::debug!(target: "figures", "no counters of block {:?}: {error}", notification.hash);
        }
        if walked.is_some_and(|end| end.elapsed() < PAUSE) {
            continue;
        }
        // The notification keeps the block's state from being pruned.
        match walk(&client, notification.hash, &keystore) {
            Ok(figures) => shown.replace(&figures),
            Err(error) => {
                tracing::debug!(target: "figures", "no gauges of block {:?}: {error}", notification.hash)
            }
        }
        walked = Some(Instant::now());
    }
}

type Block = assay_runtime::opaque::Block;

fn count(
    client: &FullClient,
    notification: &FinalityNotification<Block>,
    shown: &mut Shown,
) -> Result<(), ApiError> {
    if notification.tree_route.len() >= MOST_BLOCKS {
        return Ok(());
    }
    let blocks = notification.tree_route.iter();
    for hash in blocks.chain(iter::once(&notification.hash)) {
        shown.add(&client.runtime_api().brought(*hash)?);
    }
    Ok(())
}

fn walk(client: &FullClient, hash: Hash, keystore: &KeystorePtr) -> Result<Vec<Figure>, ApiError> {
    let mut figures = Vec::new();
    for key in keystore.sr25519_public_keys(BABE) {
        figures = client.runtime_api().validator(hash, key.0.to_vec())?;
        // A rotated key stays in the keystore, and one of them all is registered.
        if !figures.is_empty() {
            break;
        }
    }
    let mut next = None;
    loop {
        let start = Instant::now();
        let (page, following) = client.runtime_api().present(hash, next)?;
        figures.extend(page);
        next = following;
        if next.is_none() {
            return Ok(figures);
        }
        // The thread is this task's own.
        thread::sleep(start.elapsed().saturating_mul(REST));
    }
}
