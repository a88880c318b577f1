//! A provider that was built for tests, as one that is disputed.

use std::{
    collections::{hash_map::Entry, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard},
};

use anyhow::{ensure, Context, Result};
use assay_client::{
    answer::{Answer, Origin},
    chain::runtime::{self, runtime_types::bounded_collections::bounded_vec::BoundedVec},
    dispute::{
        without_game, Campaign, Dispute, Exhibit, Move, MoveCall, Plan, Play, Side, Stage, Study,
    },
    keys,
    primitives::{ChannelId, Claim},
    subxt::transactions::Payload,
    Error, Keypair, Snapshot, H256,
};
use assay_exact::trace::{Cell, Layout};

use super::{
    arena::{Listed, People},
    lie::Story,
    list::{Cheat, Manner, Pause},
};

/// Who sold one answer ([`super::sale`]), and stands by it.
pub struct Provider {
    listed: Arc<Listed>,
    people: Arc<People>,
    cheat: Cheat,
    story: Story,
    pub answer: Answer,
    /// Another answer to the same request, for those who give two.
    pub other: Option<Answer>,
    seen: Mutex<Seen>,
}

/// What it saw of the games over its answer.
#[derive(Clone, Copy, Default, Debug)]
struct Seen {
    located: Option<Located>,
    due: Option<Due>,
}

/// A move that a provider has to make.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Due {
    pub pause: Pause,
    /// The last reading of the disputes' clock at which it counts.
    pub deadline: u32,
}

/// The number at which a game ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Located {
    pub cell: Cell,
    /// Parts that were chosen to get there.
    pub parts: usize,
}

fn account(key: &Keypair) -> assay_client::AccountId32 {
    keys::account(key)
}

impl Provider {
    /// Stands by this answer.
    pub fn new(
        listed: Arc<Listed>,
        people: Arc<People>,
        cheat: Cheat,
        story: Story,
        answer: Answer,
    ) -> Self {
        Self {
            listed,
            people,
            cheat,
            story,
            answer,
            other: None,
            seen: Mutex::default(),
        }
    }

    /// Where the games over its answer ended, if any went so far.
    pub fn located(&self) -> Option<Located> {
        self.seen().located
    }

    /// The last move that it had to make, whether or not it made it.
    pub fn due(&self) -> Option<Due> {
        self.seen().due
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(|lock| lock.into_inner())
    }

    /// Plays, for as long as there are blocks.
    pub async fn play(self: Arc<Self>) -> Result<()> {
        let stash = account(&self.people.stash);
        let mut blocks = self.listed.chain.best_blocks().await?;
        let mut studies = HashMap::new();
        let mut made = HashSet::new();
        loop {
            let best = blocks.next().await?;
            for dispute in best.disputes_of_provider(stash).await? {
                if let (Some(Side::Provider), Some(deadline)) = (dispute.turn(), dispute.deadline) {
                    let pause = Pause::of(&dispute.stage);
                    self.seen().due = Some(Due { pause, deadline });
                }
                if made.insert(H256::from_low_u64_be(dispute.id)) {
                    self.accused(&best, &dispute).await?;
                    // Which may have taken long, or ended it.
                    continue;
                }
                if dispute.turn() == Some(Side::Provider) && made.insert(dispute.state) {
                    self.answer(&dispute, &mut studies).await?;
                }
            }
        }
    }

    /// What it does besides when a dispute begins.
    async fn accused(&self, best: &Snapshot, dispute: &Dispute) -> Result<()> {
        let Claim::Channel { id, .. } = dispute.claim else {
            return Ok(());
        };
        match self.cheat.manner {
            Manner::Flees => self.flee(best, id).await?,
            Manner::Overtakes => self.overtake().await?,
            _ => {}
        }
        Ok(())
    }

    /// It goes, and takes along what the chain lets it take: nothing. Its bond is unbonded, which is slashed as well.
    async fn flee(&self, best: &Snapshot, channel: ChannelId) -> Result<()> {
        let (listed, stash) = (&self.listed, &self.people.stash);
        let record = best.provider(account(stash)).await?;
        let bond = record.context("a provider")?.bond;
        let (providers, channels) = (runtime::tx().providers(), runtime::tx().channels());
        listed
            .send(&providers.remove_offer(listed.listing), stash)
            .await?;
        listed.send(&providers.unbond(bond), stash).await?;
        listed.send(&channels.close(channel, None), stash).await?;
        let withdraw = providers.withdraw_unbonded();
        self.refused(&withdraw, "Providers::Disputed").await?;
        let release = providers.release_earnings(account(stash));
        self.refused(&release, "Providers::Disputed").await?;
        let deregister = providers.deregister();
        self.refused(&deregister, "Providers::EarningsRemain")
            .await?;

        let now = listed.chain.best().await?.provider(account(stash)).await?;
        let now = now.context("it is still a provider")?;
        let unbonding: u128 = now.unbonding.0.iter().map(|chunk| chunk.amount).sum();
        ensure!(
            now.offers == 0 && now.disputes == 1 && now.bond == 0 && unbonding == bond,
            "it has fled: {now:?}"
        );
        Ok(())
    }

    /// Sends a call, which the chain has to refuse for this reason.
    async fn refused<C: Payload>(&self, call: &C, reason: &str) -> Result<()> {
        let sent = self.listed.send(call, &self.people.stash).await;
        let error = sent.err().context("what is to be refused was taken")?;
        let said = error
            .downcast_ref::<Error>()
            .and_then(Error::dispatch_error);
        ensure!(said == Some(reason), "not {reason}: {error:#}");
        Ok(())
    }

    /// Its friend shows, at once, something of which it is guilty too.
    async fn overtake(&self) -> Result<()> {
        let chain = &self.listed.chain;
        let other = self.other.as_ref();
        let charge = without_game(chain, &self.answer, other).await?;
        let friend = &self.people.friend;
        let charge = charge.context("two answers to one request")?;
        let plan = Plan::new(chain.genesis_hash(), account(friend), charge, None);
        let campaign = Campaign {
            chain,
            key: friend,
            answer: &self.answer,
            other,
            study: None,
            file: None,
            plan,
            only_open: false,
        };
        campaign.run(&mut |_| {}).await?;
        Ok(())
    }

    /// Its move.
    async fn answer(&self, dispute: &Dispute, studies: &mut HashMap<u32, Study>) -> Result<()> {
        let Some(position) = dispute.position() else {
            // It has no header that the user signed.
            return Ok(());
        };
        if let Stage::Step(step) = &dispute.stage {
            let layout = Layout::of(&self.listed.shape, &self.answer.header, position);
            let layout = layout.map_err(|error| anyhow::anyhow!("{error:?}"))?;
            let cell = layout.cell(step.leaf, step.element).context("a number")?;
            self.seen().located = Some(Located {
                cell,
                parts: step.parts.len(),
            });
        }
        if self.cheat.manner == Manner::Silent(Pause::of(&dispute.stage)) {
            return Ok(());
        }
        let study = match studies.entry(position) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let show = self.story.clone().show(
                    self.listed.folder.clone(),
                    self.listed.cpu.clone(),
                    Exhibit::of(&self.answer, position),
                    self.cheat.manner.fits_parts(),
                );
                let study = Study::start(show).map_err(anyhow::Error::msg)?;
                entry.insert(study)
            }
        };
        let signature = match &self.answer.origin {
            Origin::Channel { signature, .. } => Some(*signature),
            Origin::Job { .. } => None,
        };
        let play = study.play(Side::Provider, dispute.stage.clone(), signature);
        let Play::Move(made) = play.await.map_err(anyhow::Error::msg)? else {
            return Ok(());
        };
        match (self.cheat.manner, made) {
            (Manner::Malformed(malformation), Move::Prove(proof)) => {
                for bytes in malformation.of(&proof) {
                    let calls = runtime::tx().disputes();
                    let prove = calls.prove(dispute.id, dispute.state, BoundedVec(bytes));
                    // Each of them is refused, and costs its fee.
                    let refused = self.listed.send(&prove, &self.people.stash).await;
                    ensure!(refused.is_err(), "a malformed proof was taken");
                }
                Ok(())
            }
            (_, made) => {
                let call = MoveCall::new(dispute, made);
                let sent = self.listed.send(&call, &self.people.stash).await;
                // Somebody else may have convicted it meanwhile.
                let best = self.listed.chain.best().await?;
                if sent.is_err() && best.is_convicted(dispute.claim).await? {
                    return Ok(());
                }
                sent?;
                Ok(())
            }
        }
    }
}
