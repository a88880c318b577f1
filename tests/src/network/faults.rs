//! What a network survives, one fault after another, while users ask for answers all the time.

mod clock;
mod cut;
mod flood;
mod one;
mod proposals;

use std::{
    future::Future,
    time::{Duration, Instant},
};

use anyhow::{bail, ensure, Context, Result};
use assay_client::H256;

use super::{stash, Audit, Customers, Halves, Network, Request, Turns, EPOCH};
use crate::{
    transfers::{self, Signed},
    Node, Place,
};

/// How long all nodes may take until they are together again.
const MINUTE: Duration = Duration::from_secs(60);
/// How long jobs may take until they are over when all is well: draw, answer, window, finality, and one missed deadline.
const JOBS: Duration = Duration::from_secs(90);
/// How long finality may pause where three of four validators are left: rounds in which the one that is gone was to
/// propose wait for it.
const PAUSE: Duration = Duration::from_secs(10);
/// Slots that a validator may miss when it was started again: until it has met the others and has their blocks.
const RETURN: u64 = 10;
/// Turns of its own in which a validator is looked at: no slot missed of none would say nothing.
const TURNS: usize = 3;
/// The users, who ask through the full node and through the last validator.
const USERS: [&str; 2] = ["//Dave", "//Ferdie"];

/// What happens to a network.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    Killed,
    Upgraded,
    Paused,
    Rotated,
    Cut,
    Forked,
    Ahead,
    Purged,
    Flooded,
}

impl Fault {
    pub const ALL: [Self; 9] = [
        Self::Killed,
        Self::Upgraded,
        Self::Paused,
        Self::Rotated,
        Self::Cut,
        Self::Forked,
        Self::Ahead,
        Self::Purged,
        Self::Flooded,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Killed => "a validator killed and started again",
            Self::Upgraded => {
                "a validator ended and started again with the same data, as for another binary"
            }
            Self::Paused => "a validator stopped for three sessions (`SIGSTOP`)",
            Self::Rotated => "a validator with new session keys",
            Self::Cut => "half of the validators cut off from the others",
            Self::Forked => "a fork under transfers on both sides",
            Self::Ahead => "a validator whose clock is ahead by 20 s",
            Self::Purged => "a validator without its database, back by warp sync",
            Self::Flooded => "blocks full of transfers, with jobs and a dispute in them",
        }
    }

    /// The slot behind which a validator misses none of its own, if there is such a rule: it misses those while it is
    /// away, and no others. `before` is the slot of the head before the fault, `after` that of the head behind it.
    fn misses_none_since(self, before: u64, after: u64) -> Option<u64> {
        match self {
            Self::Killed | Self::Upgraded => Some(after + RETURN),
            // It was never away.
            Self::Rotated => Some(before),
            _ => None,
        }
    }

    /// Whether too few validators are left to finalise.
    fn stops_finality(self) -> bool {
        matches!(self, Self::Cut | Self::Forked)
    }
}

/// What became of a fault.
pub struct Outcome {
    pub fault: Fault,
    /// From the first thing that went wrong until the last was put right.
    pub lasted: Duration,
    /// The longest time without a block becoming final.
    pub standstill: Duration,
    /// From then until all nodes were together again.
    pub recovered: Duration,
    /// Jobs that were over at the end.
    pub jobs: usize,
    pub note: String,
}

/// A network and all that it is held against.
pub struct Ground {
    pub network: Network,
    pub audit: Audit,
    pub request: Request,
    halves: Result<Halves, String>,
}

/// What a fault leaves: the head when it was over, and what there is to tell.
struct Healed {
    lasted: Duration,
    note: String,
    /// A validator that has to make blocks again.
    author: Option<&'static str>,
    /// Blocks that halves made without each other.
    forks: Option<[Fork; 2]>,
    /// What the senders of a fork have to have in the chain.
    transfers: Option<Vec<Signed>>,
}

impl Healed {
    fn lasting(lasted: Duration) -> Self {
        Self {
            lasted,
            note: String::new(),
            author: None,
            forks: None,
            transfers: None,
        }
    }
}

/// Numbers and hashes.
type Fork = Vec<(u32, H256)>;

impl Ground {
    /// A network in two halves, or on loopback where there are no namespaces, with workers that serve.
    pub async fn open() -> Result<Self> {
        Self::of(Halves::open().map_err(|error| format!("{error:#}"))).await
    }

    /// The same on loopback.
    pub async fn here() -> Result<Self> {
        Self::of(Err("they were not asked for".into())).await
    }

    async fn of(halves: Result<Halves, String>) -> Result<Self> {
        let places = match &halves {
            Ok(halves) => [0, 0, 1, 1, 0].map(|half| halves.place(half)),
            Err(_) => [(); 5].map(|()| Place::here()),
        };
        let mut network = Network::start(places).await?;
        network.open()?;
        let request = Request::new(&network.scene.chain, &network.scene.model).await?;
        Ok(Self {
            network,
            audit: Audit::default(),
            request,
            halves,
        })
    }

    /// Inflicts a fault and holds the network against what it has to survive.
    pub async fn endure(&mut self, fault: Fault) -> Result<Outcome> {
        let (_, over_before) = self.audit.jobs();
        let before = self.network.scene.chain.best().await?.number();
        let start = Instant::now();
        // A flood brings jobs of its own.
        let customers = match fault {
            Fault::Flooded => None,
            _ => Some(self.customers()?),
        };
        let healed = match fault {
            Fault::Killed => self.kill().await,
            Fault::Upgraded => self.upgrade().await,
            Fault::Paused => self.pause().await,
            Fault::Rotated => self.rotate().await,
            Fault::Cut => self.cut().await,
            Fault::Forked => self.fork().await,
            Fault::Ahead => self.set_ahead().await,
            Fault::Purged => self.purge().await,
            Fault::Flooded => self.flood().await,
        }?;
        let head = self.network.scene.chain.best().await?.number();
        let recovered = self.network.watch.wait_until_well(MINUTE).await?;
        let standstill = self.network.watch.standstill(start);
        if let Some(customers) = customers {
            let seen = customers.stop().await?;
            ensure!(
                seen.iter().all(|jobs| *jobs > 0),
                "a user got no job into a block: {seen:?}"
            );
        }
        let allowed = match fault.stops_finality() {
            true => healed.lasted + PAUSE,
            false => PAUSE,
        };
        ensure!(
            standstill <= allowed,
            "nothing became final for {} s",
            standstill.as_secs()
        );
        let (_, jobs) = self.wait_until_over().await?;
        let mut note = healed.note;
        if let Some(forks) = &healed.forks {
            note += &self.judge(forks).await?;
        }
        if let Some(transfers) = &healed.transfers {
            note += &self.see_transfers(transfers).await?;
        }
        if let Some(name) = healed.author {
            let (slots, own) = self.wait_for_author(name, head).await?;
            let late = match fault {
                // It waits for the slots that it has taken already.
                Fault::Ahead => (recovered + clock::AHEAD).as_secs(),
                Fault::Killed | Fault::Upgraded | Fault::Rotated => 0,
                _ => recovered.as_secs(),
            };
            ensure!(
                slots <= EPOCH + late,
                "{name} made no block for {slots} slots"
            );
            let bar = fault.misses_none_since(self.slot(before)?, self.slot(head)?);
            let turns = self.turns(name, bar.unwrap_or(own)).await?;
            ensure!(
                bar.is_none() || turns.missed.is_empty(),
                "{name} missed these slots of its own: {:?}",
                turns.missed
            );
            note += &format!(
                "; made a block again after {slots} slots, missed {} of {} turns",
                turns.missed.len(),
                turns.seen()
            );
            if turns.others > 0 {
                note += &format!(" (others {})", turns.others);
            }
        }
        // It has made blocks again, and voted.
        self.audit.check(&self.network.scene.chain).await?;
        Ok(Outcome {
            fault,
            lasted: healed.lasted,
            standstill,
            recovered,
            jobs: jobs - over_before,
            note: note.trim_start_matches("; ").to_owned(),
        })
    }

    /// Users with a node in each half.
    pub fn customers(&self) -> Result<Customers> {
        let last = self.network.validators.last().context("a validator")?;
        let urls = [self.network.scene.node.url(), last.url()];
        let users: Vec<_> = USERS.into_iter().zip(urls).collect();
        Ok(Customers::start(&self.request, &users))
    }

    /// Wait until no job is open, and nothing is wrong with what was finalized. Gives the jobs, and those that are
    /// over.
    pub async fn wait_until_over(&mut self) -> Result<(usize, usize)> {
        let start = Instant::now();
        loop {
            self.audit.catch_up(&self.network.scene.chain).await?;
            let (jobs, over) = self.audit.jobs();
            if jobs == over {
                self.audit.check(&self.network.scene.chain).await?;
                self.network.scene.check_money().await?;
                return Ok((jobs, over));
            }
            ensure!(
                start.elapsed() < JOBS,
                "{} jobs are stuck: {:?}",
                jobs - over,
                self.audit.open()
            );
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// Slots from block `head` to the first that this validator made behind it, and that block's slot.
    async fn wait_for_author(&mut self, name: &str, head: u32) -> Result<(u64, u64)> {
        let who = stash(name)?;
        let start = Instant::now();
        while start.elapsed() < MINUTE {
            self.audit.catch_up(&self.network.scene.chain).await?;
            let since = self.audit.blocks(head);
            let own = since.iter().find(|block| block.author == who);
            if let (Some(first), Some(own)) = (since.first(), own) {
                return Ok((own.slot - first.slot, own.slot));
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        bail!("{name} makes no blocks")
    }

    /// The slot of a block that was read.
    fn slot(&self, number: u32) -> Result<u64> {
        let block = self.audit.blocks(number.saturating_sub(1)).first();
        Ok(block.context("a block that was read")?.slot)
    }

    /// What became of a validator's own slots behind a slot, once there were a few.
    async fn turns(&mut self, name: &str, slot: u64) -> Result<Turns> {
        let who = stash(name)?;
        let start = Instant::now();
        loop {
            self.audit.catch_up(&self.network.scene.chain).await?;
            let turns = Turns::of(who, self.audit.blocks(0), slot);
            if turns.seen() >= TURNS {
                return Ok(turns);
            }
            ensure!(
                start.elapsed() < MINUTE,
                "{name} had {} turns behind slot {slot}",
                turns.seen()
            );
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// Wait until the transfers are in the chain that remained.
    async fn see_transfers(&self, transfers: &[Signed]) -> Result<String> {
        let again = transfers::see_in(&self.urls(), transfers, MINUTE).await?;
        let all: usize = transfers.iter().map(|one| one.transactions.len()).sum();
        Ok(format!(
            "; {all} transfers of both sides are in the chain once, taken again {again} times"
        ))
    }

    /// Where the validators are asked.
    fn urls(&self) -> Vec<String> {
        self.network.validators.iter().map(Node::url).collect()
    }

    fn validator(&mut self, name: &str) -> Result<&mut Node> {
        let mut all = self.network.validators.iter_mut();
        all.find(|node| node.name == name)
            .with_context(|| format!("no validator is called {name}"))
    }
}

/// How long something takes, and what it gives.
async fn timed<T>(what: impl Future<Output = Result<T>>) -> Result<(Duration, T)> {
    let start = Instant::now();
    let given = what.await?;
    Ok((start.elapsed(), given))
}
