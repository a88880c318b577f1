//! A validator whose clock is off, by way of libfaketime.

use std::{
    path::PathBuf,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{ensure, Context, Result};
use assay_client::{chain::runtime, Chain};

use super::{timed, Ground, Healed};

const VICTIM: &str = "bob";
/// How far the clock is ahead.
pub(super) const AHEAD: Duration = Duration::from_secs(20);
const WRONG: Duration = Duration::from_secs(25);
/// Its own blocks are soon overtaken by those of the others.
const LOOK: Duration = Duration::from_millis(300);

impl Ground {
    pub(super) async fn set_ahead(&mut self) -> Result<Healed> {
        let library = library()?;
        let under = [
            "env".to_owned(),
            format!("LD_PRELOAD={}", library.display()),
            format!("FAKETIME=+{}s", AHEAD.as_secs()),
            "FAKETIME_DONT_FAKE_MONOTONIC=1".to_owned(),
        ];
        let victim = self.validator(VICTIM)?;
        let (lasted, ()) = timed(async {
            victim.daemon.end()?;
            victim.start_again(&under, &[])?;
            let wrong = Instant::now() + WRONG;
            let mut is_ahead = false;
            while Instant::now() < wrong {
                is_ahead |= ahead(&victim.url()).await.is_ok_and(|by| by > AHEAD / 2);
                tokio::time::sleep(LOOK).await;
            }
            ensure!(is_ahead, "{VICTIM} made no block in the time to come");
            victim.daemon.end()?;
            // It has signed blocks of slots that are still to come, and must not sign others of the same slots.
            victim.start_again(&[], &[])
        })
        .await?;
        Ok(Healed::of(lasted, VICTIM))
    }
}

/// How far the time of a node's best block is ahead of the true one.
async fn ahead(url: &str) -> Result<Duration> {
    let best = Chain::connect(url).await?.best().await?;
    let address = runtime::storage().timestamp().now();
    let told = best.client().storage().fetch(address, ()).await?.decode()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(Duration::from_millis(told).saturating_sub(now))
}

/// Where `scripts/network` has put the library.
fn library() -> Result<PathBuf> {
    let folder = match std::env::var_os("ASSAY_NETWORK_DIR") {
        Some(folder) => PathBuf::from(folder),
        None => {
            let home = std::env::var_os("HOME").context("HOME is not set")?;
            PathBuf::from(home).join(".cache/assay/network")
        }
    };
    let path = folder.join("libfaketime.so.1");
    path.exists()
        .then_some(path)
        .context("libfaketime is not here: run scripts/network")
}
