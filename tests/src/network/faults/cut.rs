//! Both halves of a network without each other.

use std::time::{Duration, Instant};

use anyhow::{anyhow, ensure, Result};
use assay_client::{
    chain::{runtime, JobState},
    Chain, Snapshot,
};

use super::{timed, Fork, Ground, Healed};
use crate::transfers;

/// More than a session.
const CUT: Duration = Duration::from_secs(30);
const FORK: Duration = Duration::from_secs(12);
/// Who transfers in each half while there is a fork.
const SENDERS: [[&str; 2]; 2] = [
    ["//Alice//stash", "//Bob//stash"],
    ["//Eve//stash", "//Ferdie//stash"],
];
/// Of both senders of a half.
const TRANSFERS: u32 = 4_000;

impl Ground {
    pub(super) async fn cut(&mut self) -> Result<Healed> {
        let (lasted, forks) = timed(self.apart(async |urls| {
            let mut before = Vec::new();
            for url in urls {
                before.push(next_job(&Chain::connect(url).await?.best().await?).await?);
            }
            tokio::time::sleep(CUT).await;
            let mut answered = 0;
            for (url, first) in urls.iter().zip(before) {
                let best = Chain::connect(url).await?.best().await?;
                let (mut drawn, end) = (0, next_job(&best).await?);
                for job in first..end {
                    let state = best.job(job).await?.map(|job| job.state);
                    drawn += u32::from(!matches!(state, Some(JobState::Waiting { .. })));
                    answered += u32::from(matches!(
                        state,
                        Some(JobState::Delivered(..) | JobState::Settled { .. })
                    ));
                }
                ensure!(
                    drawn > 0,
                    "of the jobs from {first} to {end} none is under way at {url}"
                );
            }
            // In the half of the dearer provider they wait first for the other one, until it has missed its deadline.
            ensure!(answered > 0, "no job was answered in either half");
            Ok(())
        }))
        .await?;
        Ok(Healed {
            forks: Some(forks),
            ..Healed::lasting(lasted)
        })
    }

    pub(super) async fn fork(&mut self) -> Result<Healed> {
        let chain = &self.network.scene.chain;
        let mut signed = Vec::new();
        for senders in SENDERS {
            signed.push(transfers::sign(chain, &senders, TRANSFERS).await?);
        }
        let mut taken = Vec::new();
        let (lasted, forks) = timed(self.apart(async |urls| {
            let until = Instant::now() + FORK;
            let [left, right] = urls;
            let (second, first) = (signed.pop().unwrap_or_default(), signed.pop());
            let (left, right) = tokio::try_join!(
                transfers::press(left, first.unwrap_or_default(), until),
                transfers::press(right, second, until)
            )?;
            taken = [left, right].concat();
            // Where they were fast the halves would have made next to nothing without each other.
            tokio::time::sleep_until(until.into()).await;
            Ok(())
        }))
        .await?;
        Ok(Healed {
            forks: Some(forks),
            transfers: Some(taken),
            ..Healed::lasting(lasted)
        })
    }

    /// Takes the link between the halves down while something happens; gives the blocks that each half made alone.
    async fn apart(
        &self,
        meanwhile: impl AsyncFnOnce(&[String; 2]) -> Result<()>,
    ) -> Result<[Fork; 2]> {
        let halves = self.halves.as_ref();
        let halves = halves.map_err(|why| anyhow!("no network namespaces here: {why}"))?;
        let urls = [0, 3].map(|index| self.network.validators[index].url());
        let finalized = self.network.watch.finalized();
        halves.cut()?;
        let done = meanwhile(&urls).await;
        let forks = [
            blocks(&urls[0], finalized).await,
            blocks(&urls[1], finalized).await,
        ];
        halves.join()?;
        done?;
        let [left, right] = forks;
        Ok([left?, right?])
    }

    /// What was taken back when the halves were together again.
    pub(super) async fn judge(&self, forks: &[Fork; 2]) -> Result<String> {
        let chain = &self.network.scene.chain;
        let mut lost = [0, 0];
        for (fork, lost) in forks.iter().zip(&mut lost) {
            for (number, hash) in fork {
                *lost += u32::from(chain.block_hash(*number).await? != Some(*hash));
            }
        }
        let [left, right] = lost;
        let depth = left.max(right);
        ensure!(
            depth > 1 && left.min(right) == 0,
            "{left} blocks of one half were taken back and {right} of the other: no fork"
        );
        Ok(format!("a fork of {depth} blocks was taken back"))
    }
}

/// The number of the next job.
async fn next_job(at: &Snapshot) -> Result<u64> {
    let address = runtime::storage().jobs().next_job_id();
    let next = at.client().storage().try_fetch(address, ()).await?;
    Ok(next.map(|next| next.decode()).transpose()?.unwrap_or(0))
}

/// The blocks of a node's best chain behind block `from`.
async fn blocks(url: &str, from: u32) -> Result<Fork> {
    let chain = Chain::connect(url).await?;
    let best = chain.best().await?.number();
    let mut blocks = Vec::new();
    for number in from + 1..=best {
        if let Some(hash) = chain.block_hash(number).await? {
            blocks.push((number, hash));
        }
    }
    Ok(blocks)
}
