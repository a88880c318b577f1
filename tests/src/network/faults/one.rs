//! Faults of a single validator.

use std::time::{Duration, Instant};

use anyhow::{ensure, Result};
use assay_client::chain::runtime;

use super::{timed, Ground, Healed, MINUTE};

const VICTIM: &str = "charlie";
/// How long a validator is away when it is killed.
const AWAY: Duration = Duration::from_secs(15);
/// Three sessions.
const STOPPED: Duration = Duration::from_secs(60);
/// How long new session keys may take until they make blocks: the rest of this session and the next one, and what it
/// takes to become final.
const ROTATION: Duration = Duration::from_secs(90);

impl Ground {
    pub(super) async fn kill(&mut self) -> Result<Healed> {
        let victim = self.validator(VICTIM)?;
        let (lasted, ()) = timed(async {
            victim.daemon.kill()?;
            tokio::time::sleep(AWAY).await;
            victim.start_again(&[], &[])
        })
        .await?;
        Ok(Healed::of(lasted, VICTIM))
    }

    pub(super) async fn upgrade(&mut self) -> Result<Healed> {
        let victim = self.validator(VICTIM)?;
        let (lasted, ()) = timed(async {
            victim.daemon.end()?;
            victim.start_again(&[], &[])
        })
        .await?;
        Ok(Healed::of(lasted, VICTIM))
    }

    pub(super) async fn pause(&mut self) -> Result<Healed> {
        let victim = self.validator(VICTIM)?;
        let (lasted, ()) = timed(async {
            victim.daemon.signal("-STOP")?;
            tokio::time::sleep(STOPPED).await;
            victim.daemon.signal("-CONT")
        })
        .await?;
        Ok(Healed::of(lasted, VICTIM))
    }

    /// As the guide for validators says: one command, and then to wait.
    pub(super) async fn rotate(&mut self) -> Result<Healed> {
        let url = self.validator(VICTIM)?.url();
        let (lasted, ()) = timed(async {
            let before = self.babe_keys().await?;
            let owner = crate::Assay::new(&url, "//Charlie//stash");
            owner.json(&["validator", "rotate-keys"])?;
            let start = Instant::now();
            while self.babe_keys().await? == before {
                ensure!(
                    start.elapsed() < ROTATION,
                    "the new keys are not in use after {} s",
                    ROTATION.as_secs()
                );
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            Ok(())
        })
        .await?;
        Ok(Healed::of(lasted, VICTIM))
    }

    /// The keys that make blocks, as of the last finalized block.
    async fn babe_keys(&self) -> Result<Vec<Vec<u8>>> {
        let snapshot = self.network.scene.chain.finalized().await?;
        let storage = snapshot.client().storage();
        let address = runtime::storage().babe().authorities();
        let authorities = storage.fetch(address, ()).await?.decode()?;
        let keys = authorities.0.iter().map(|(key, _)| key.0.to_vec());
        Ok(keys.collect())
    }

    pub(super) async fn purge(&mut self) -> Result<Healed> {
        let chain = self.network.chain.clone();
        let victim = self.validator(VICTIM)?;
        let (lasted, ()) = timed(async {
            victim.daemon.end()?;
            victim.purge(&chain)?;
            victim.start_again(&[], &["--sync=warp"])?;
            let synced = "Warp sync is complete";
            victim.daemon.wait_for_log(synced, 0, MINUTE)
        })
        .await?;
        Ok(Healed::of(lasted, VICTIM))
    }
}

impl Healed {
    /// Of a validator that has to make blocks again.
    pub(super) fn of(lasted: Duration, author: &'static str) -> Self {
        Self {
            author: Some(author),
            ..Self::lasting(lasted)
        }
    }
}
