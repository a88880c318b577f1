//! A validator whose clock is off, by way of libfaketime.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result};

use super::{timed, Ground, Healed};

const VICTIM: &str = "bob";
/// How far the clock is ahead.
const AHEAD: Duration = Duration::from_secs(20);
const WRONG: Duration = Duration::from_secs(25);

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
            tokio::time::sleep(WRONG).await;
            victim.daemon.end()?;
            // It has signed blocks of slots that are still to come: whoever comes back before they are over signs a
            // second block of the same slot, and loses its stake.
            tokio::time::sleep(AHEAD).await;
            victim.start_again(&[], &[])
        })
        .await?;
        Ok(Healed::of(lasted, VICTIM))
    }
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
