//! Blocks full of transfers, while jobs and a dispute have deadlines.

use std::{
    collections::HashMap,
    fs,
    ops::Range,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{ensure, Context, Result};
use assay_client::chain::JobState;
use tokio::task::JoinSet;

use super::{proposals::proposals, Ground, Healed, MINUTE};
use crate::{
    transfers::{self, Signed},
    Assay, Node,
};

const FLOOD: Duration = Duration::from_secs(25);
/// One for each validator. A node that hears of transactions from another gets them in any order, and its pool keeps
/// few whose nonce is not next.
const SENDERS: [&str; 4] = [
    "//Alice//stash",
    "//Bob//stash",
    "//Charlie//stash",
    "//Ferdie//stash",
];
/// More than they can send meanwhile.
const TRANSFERS: u32 = 30_000;
const BUYER: &str = "//Eve//stash";
const JOBS: usize = 100;
/// Who disputes an answer that is right.
const CHALLENGER: &str = "//Alice";
const TOKEN: &str = "3";
/// Full blocks behind which jobs and the dispute have to be open.
const JUDGED: usize = 3;

/// What was in the blocks of some slots.
#[derive(Default, Debug)]
struct Load {
    blocks: usize,
    /// Those into which more would have gone.
    full: usize,
    /// Those of them behind which jobs and a dispute were open.
    judged: usize,
    transfers: u32,
    /// In one of them.
    most: u32,
    /// Jobs that were paid from the first of these slots on, and the slots until the last of them was.
    paid: u32,
    paid_slots: u64,
}

impl Ground {
    pub(super) async fn flood(&mut self) -> Result<Healed> {
        let model = self.network.scene.model_dir();
        let (chain, url) = (&self.network.scene.chain, self.network.scene.node.url());
        let transfers = transfers::sign(chain, &SENDERS, TRANSFERS).await?;
        let jobs = self.request.sign(chain, BUYER, JOBS).await?;
        let challenger = self.network.scene.publisher.with_key(CHALLENGER);
        let receipt = self.receipt(&challenger).await?;
        let head = self.network.scene.chain.best().await?.number();

        let start = Instant::now();
        let until = start + FLOOD;
        let first = slot_now()? + 1;
        let open = [
            "dispute", "open", &receipt, "--model", &model, "--at", TOKEN,
        ];
        let open = [&open[..], &["--yes"]].concat();
        let open: Vec<String> = open.into_iter().map(str::to_owned).collect();
        let dispute = tokio::task::spawn_blocking(move || {
            challenger.run(&open.iter().map(String::as_str).collect::<Vec<_>>())
        });
        let validators = self.network.validators.iter().map(Node::url);
        let mut pressing = JoinSet::new();
        for (url, sender) in validators.zip(transfers) {
            pressing.spawn(async move { transfers::press(&url, vec![sender], until).await });
        }
        let asked = transfers::press(&url, vec![jobs], until).await?;
        let mut taken = Vec::new();
        while let Some(one) = pressing.join_next().await {
            taken.extend(one??);
        }
        let lasted = start.elapsed();
        let asked: usize = asked.iter().map(|one| one.transactions.len()).sum();
        ensure!(asked == JOBS, "the node took {asked} jobs");
        let ended = dispute.await??;
        let said = format!("{}{}", ended.stdout, ended.stderr);
        ensure!(
            said.contains("the provider is right, and the bond is lost"),
            "the dispute ended with {ended:?}"
        );
        self.wait_until_over().await?;
        let again = transfers::see_in(&self.urls(), &taken, MINUTE).await?;
        self.wait_for_flood(head, &taken).await?;

        // Those that are wholly in the flood, which began and ended within a slot.
        let slots = FLOOD.as_secs() - 1;
        let load = self.load(head, first..first + slots)?;
        ensure!(
            load.full * 2 >= load.blocks && load.judged >= JUDGED,
            "too few blocks were full: {load:?}"
        );
        ensure!(
            load.paid as usize >= JOBS,
            "too few jobs were paid: {load:?}"
        );
        let note = format!(
            "in {slots} slots {} blocks, {} of them full, {} of these with jobs and a dispute open; {:.0} transfers/s, at most {} in a block; of {} jobs in the same pool the last was paid {} s after the flood began, {:.1} jobs/s; taken again {again} times; the dispute was decided in time",
            load.blocks,
            load.full,
            load.judged,
            f64::from(load.transfers) / slots as f64,
            load.most,
            load.paid,
            load.paid_slots,
            f64::from(load.paid) / load.paid_slots as f64,
        );
        Ok(Healed {
            note,
            ..Healed::lasting(lasted)
        })
    }

    /// What the blocks of these slots held.
    fn load(&self, head: u32, slots: Range<u64>) -> Result<Load> {
        let mut ends = HashMap::new();
        for validator in &self.network.validators {
            ends.extend(proposals(&validator.daemon.log()?));
        }
        let mut load = Load::default();
        for block in self.audit.blocks(head) {
            // Jobs are paid some blocks behind their delivery, most of them when the flood is over.
            if block.paid > 0 && block.slot >= slots.start {
                load.paid += block.paid;
                load.paid_slots = load.paid_slots.max(block.slot + 1 - slots.start);
            }
            if !slots.contains(&block.slot) {
                continue;
            }
            let is_full = ends.get(&format!("{:?}", block.hash));
            let is_full = is_full.with_context(|| {
                format!("no validator says how it ended block {}", block.number)
            })?;
            // The first block of an epoch has no room for transactions: no flood has filled it.
            let is_full = *is_full && block.transfers > 0;
            let is_judged = block.jobs > 0 && block.disputes > 0;
            load.blocks += 1;
            load.full += usize::from(is_full);
            load.judged += usize::from(is_full && is_judged);
            load.transfers += block.transfers;
            load.most = load.most.max(block.transfers);
        }
        Ok(load)
    }

    /// Wait until all that a node took is in blocks behind `head`, and the blocks have as many transfers as the senders'
    /// nonces say. (Of those that a node refused some come in all the same: another had heard of them.)
    async fn wait_for_flood(&mut self, head: u32, taken: &[Signed]) -> Result<()> {
        let least: usize = taken.iter().map(|one| one.transactions.len()).sum();
        let start = Instant::now();
        loop {
            let finalized = self.network.scene.chain.finalized().await?;
            let mut included = 0;
            for sender in taken {
                included += sender.included(&finalized).await?;
            }
            self.audit.catch_up(&self.network.scene.chain).await?;
            let blocks = self.audit.blocks(head).iter();
            let transfers: usize = blocks.map(|block| block.transfers as usize).sum();
            if transfers == included && transfers >= least {
                return Ok(());
            }
            ensure!(
                start.elapsed() < MINUTE,
                "{transfers} transfers are in blocks, {included} by the senders' nonces, and nodes took {least}"
            );
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// A file with the receipt of a job of this user that was just delivered.
    async fn receipt(&self, user: &Assay) -> Result<String> {
        let scene = &self.network.scene;
        let model = scene.model_dir();
        let submit = ["job", "submit", "What is a bond?", "--model-dir", &model];
        let job = user.json(&[&submit[..], &["--max-tokens=24"]].concat())?["job"].as_u64();
        let job = job.context("a job has a number")?;
        scene
            .wait_for(job, "delivered", |record| {
                matches!(record.state, JobState::Delivered(..)).then_some(())
            })
            .await?;
        let record = user.json(&["job", "status", &job.to_string()])?;
        let file = scene.folder().join("disputed.json");
        fs::write(&file, record["receipt"].to_string())?;
        Ok(file.display().to_string())
    }
}

/// The slot of now: it begins with the second.
fn slot_now() -> Result<u64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(now.as_secs())
}
