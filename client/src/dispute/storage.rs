//! Disputes in the chain's storage, and how they ended in its events.

use assay_exact::trace::Part;
use assay_primitives::Claim;
use subxt::utils::{AccountId32, Static, H256};

use super::game::{Dispute, DisputeId, Question, Stage, Step};
use crate::{
    chain::runtime::{self, runtime_types::pallet_disputes::types as records},
    Chain, Error, Snapshot,
};

pub use records::{Fault, Verdict};

pub type Commitment = records::CommitmentRecord<u32>;
pub type Parameters = runtime::disputes::storage::params::Output;

type Record = records::DisputeRecord<AccountId32, u32>;
type Pause = records::Pause<u32>;

/// A provider's disputes.
#[derive(Clone, Debug, Default)]
pub struct Docket {
    /// Their clocks run.
    pub live: Vec<DisputeId>,
    /// They wait for the others to end, the first first.
    pub waiting: Vec<DisputeId>,
}

/// How a dispute, or an accusation, ended.
#[derive(Clone, Debug)]
pub struct Ending {
    /// The block.
    pub block: u32,
    /// None if the provider was accused of what needs no game.
    pub dispute: Option<(DisputeId, Verdict)>,
    /// Planck of the challenger's bond that the provider got, and that were destroyed.
    pub compensation: u128,
    pub burned: u128,
    /// That the provider was convicted just then.
    pub conviction: Option<Conviction>,
}

/// Where a convicted provider's money went.
#[derive(Clone, Debug)]
pub struct Conviction {
    pub provider: AccountId32,
    /// Who was rewarded.
    pub challenger: AccountId32,
    /// Planck that the user got back from the claim itself.
    pub returned: u128,
    /// Planck of the slash: to the user, to the challenger, destroyed.
    pub refund: u128,
    pub reward: u128,
    pub burned: u128,
    /// What was false, if it was seen without a game.
    pub fault: Option<Fault>,
}

impl Snapshot {
    /// A dispute that is not over.
    pub async fn dispute(&self, id: DisputeId) -> Result<Option<Dispute>, Error> {
        let address = runtime::storage().disputes().disputes();
        let record = self.get(address, (id,)).await?;
        Ok(record.map(|record| dispute(id, record)))
    }

    /// All disputes that are not over, the oldest first.
    pub async fn disputes(&self) -> Result<Vec<Dispute>, Error> {
        let storage = self.client().storage();
        let address = runtime::storage().disputes().disputes();
        let mut entries = storage.iter(address, ()).await.map_err(Error::node)?;
        let mut disputes = Vec::new();
        while let Some(entry) = entries.next().await {
            let entry = entry.map_err(Error::node)?;
            let key = entry.key().and_then(|key| key.decode());
            let (id,) = key.map_err(Error::node)?;
            let record = entry.value().decode().map_err(Error::node)?;
            disputes.push(dispute(id, record));
        }
        disputes.sort_by_key(|dispute| dispute.id);
        Ok(disputes)
    }

    /// The numbers of a provider's disputes.
    pub async fn docket(&self, provider: AccountId32) -> Result<Docket, Error> {
        let address = runtime::storage().disputes().dockets();
        let docket = self.get_or_default(address, (provider,)).await?;
        Ok(Docket {
            live: docket.live.0.iter().map(|live| live.dispute).collect(),
            waiting: docket.waiting.0,
        })
    }

    /// The disputes with a provider that are not over, those whose clocks run first.
    pub async fn disputes_of_provider(&self, provider: AccountId32) -> Result<Vec<Dispute>, Error> {
        let Docket { live, waiting } = self.docket(provider).await?;
        let mut disputes = Vec::new();
        for id in live.into_iter().chain(waiting) {
            disputes.extend(self.dispute(id).await?);
        }
        Ok(disputes)
    }

    /// The commitment with this hash that an account made and did not use yet.
    pub async fn commitment(
        &self,
        who: AccountId32,
        hash: H256,
    ) -> Result<Option<Commitment>, Error> {
        let address = runtime::storage().disputes().commitments();
        self.get(address, (who, hash)).await
    }

    /// Whether a provider was convicted of this claim.
    pub async fn is_convicted(&self, claim: Claim) -> Result<bool, Error> {
        let address = runtime::storage().disputes().convictions();
        let found = self.get(address, (Static(claim),)).await?;
        Ok(found.is_some())
    }

    /// What deadlines are measured with: blocks with room for moves, while no pause lasted.
    pub async fn dispute_clock(&self) -> Result<u32, Error> {
        let address = runtime::storage().disputes().clock();
        self.get_or_default(address, ()).await
    }

    /// Blocks since genesis in which the clocks of disputes stood still, and whether they do now.
    pub async fn paused_blocks(&self) -> Result<(u32, bool), Error> {
        let address = runtime::storage().disputes().last_pause();
        let Some(pause) = self.get(address, ()).await? else {
            return Ok((0, false));
        };
        let until = pause.until.unwrap_or_else(|| self.number());
        let last = until.saturating_sub(pause.since);
        Ok((pause.before.saturating_add(last), pause.until.is_none()))
    }

    /// How many blocks later what waits since `block` is over, because of pauses: what the chain asks of a window.
    pub async fn paused_since(&self, block: u32) -> Result<u32, Error> {
        let (last, earlier) = (
            runtime::storage().disputes().last_pause(),
            runtime::storage().disputes().earlier_pauses(),
        );
        let last = self.get(last, ()).await?;
        let earlier = self.get_or_default(earlier, ()).await?;
        let pauses = earlier.0.iter().chain(&last);
        let blocks = pauses.map(|pause| since(block, pause, self.number()));
        Ok(blocks.fold(0, u32::saturating_add))
    }

    /// Whether the chain keeps the trace with which a provider answered a dispute over this token: for as long as the
    /// receipt can be disputed, and the next dispute over it begins with that trace.
    pub async fn has_trace(&self, receipt: H256, position: u32) -> Result<bool, Error> {
        let address = runtime::storage().disputes().traces();
        let found = self.get(address, (receipt, position)).await?;
        Ok(found.is_some())
    }

    pub async fn dispute_parameters(&self) -> Result<Parameters, Error> {
        let address = runtime::storage().disputes().params();
        self.get_or_default(address, ()).await
    }

    /// The bond that a dispute with this provider over a trace of so many leaves takes now, in planck.
    pub async fn challenge_bond(&self, provider: AccountId32, leaves: u64) -> Result<u128, Error> {
        self.view(runtime::view_functions().disputes().bond(provider, leaves))
            .await
    }

    /// What in this very block ended the dispute `id`, or convicted the provider of `claim`.
    pub async fn ending(
        &self,
        id: Option<DisputeId>,
        claim: Claim,
    ) -> Result<Option<Ending>, Error> {
        use runtime::disputes::events::{Convicted, Ended};
        let events = self.client().events().fetch().await.map_err(Error::node)?;
        let mut conviction = None;
        for event in events.find::<Convicted>() {
            let event = event.map_err(Error::node)?;
            if event.claim.0 == claim {
                conviction = Some(Conviction {
                    provider: event.provider,
                    challenger: event.challenger,
                    returned: event.returned,
                    refund: event.slashed.refund,
                    reward: event.slashed.reward,
                    burned: event.slashed.burned,
                    fault: event.fault,
                });
            }
        }
        let ending = Ending {
            block: self.number(),
            dispute: None,
            compensation: 0,
            burned: 0,
            conviction,
        };
        for event in events.find::<Ended>() {
            let event = event.map_err(Error::node)?;
            if Some(event.dispute) == id {
                return Ok(Some(Ending {
                    dispute: Some((event.dispute, event.verdict)),
                    compensation: event.compensation,
                    burned: event.burned,
                    ..ending
                }));
            }
        }
        let accused = id.is_none() && ending.conviction.is_some();
        Ok(accused.then_some(ending))
    }
}

impl Chain {
    /// The latest dispute over a claim that an account opened, and its block, between the block `from` and `best`. An
    /// error if the node has not all of them any more.
    pub async fn opened(
        &self,
        best: &Snapshot,
        claim: Claim,
        challenger: AccountId32,
        from: u32,
    ) -> Result<Option<(DisputeId, u32)>, Error> {
        for number in (from..=best.number()).rev() {
            let Some(hash) = self.block_hash(number).await? else {
                continue;
            };
            let forgotten = |_| {
                Error::Dispute(format!(
                    "the node has the events of block {number} no more, and they may say how this dispute began; ask an \
                     archive node with --chain"
                ))
            };
            let block = self.at(hash).await.map_err(forgotten)?;
            let events = block.client().events().fetch().await;
            let events = events.map_err(Error::node).map_err(forgotten)?;
            for event in events.find::<runtime::disputes::events::Opened>() {
                let event = event.map_err(Error::node)?;
                if event.claim.0 == claim && event.challenger == challenger {
                    return Ok(Some((event.dispute, number)));
                }
            }
        }
        Ok(None)
    }

    /// How a dispute ended that is not in the storage of `best` any more, as far back as the node has the
    /// states of its blocks, but not before the block `from`.
    pub async fn ending(
        &self,
        best: &Snapshot,
        id: Option<DisputeId>,
        claim: Claim,
        from: u32,
    ) -> Result<Option<Ending>, Error> {
        for number in (from..=best.number()).rev() {
            let Some(hash) = self.block_hash(number).await? else {
                return Ok(None);
            };
            let Ok(block) = self.at(hash).await else {
                return Ok(None);
            };
            match block.ending(id, claim).await {
                Ok(None) => {}
                Ok(found) => return Ok(found),
                Err(_) => return Ok(None),
            }
        }
        Ok(None)
    }
}

fn dispute(id: DisputeId, record: Record) -> Dispute {
    Dispute {
        id,
        claim: record.claim.0,
        provider: record.provider,
        challenger: record.challenger,
        delegate: record.delegate,
        receipt: record.receipt.0,
        question: match record.question {
            records::Question::Token {
                position,
                header,
                randomness,
                ..
            } => Question::Token {
                position,
                header: header.0,
                randomness,
            },
            // The generated type has a variant beside this, of which there are no values.
            _ => Question::Header,
        },
        bond: record.bond,
        stage: stage(record.stage),
        moves: record.moves,
        state: record.state,
        deadline: record.deadline,
    }
}

fn stage(stage: records::Stage) -> Stage {
    match stage {
        records::Stage::Answer => Stage::Answer,
        records::Stage::Nodes {
            level,
            first,
            nodes,
        } => Stage::Nodes {
            level,
            first,
            nodes: nodes.0,
        },
        records::Stage::Node { level, index, .. } => Stage::Node { level, index },
        records::Stage::Leaves { first, leaves } => Stage::Leaves {
            first,
            leaves: leaves.0.into_iter().map(|leaf| leaf.0).collect(),
        },
        records::Stage::Step(record) => Stage::Step(step(record)),
        records::Stage::Parts {
            step: record,
            parts,
        } => Stage::Parts {
            step: step(record),
            parts: parts.0,
        },
    }
}

fn step(record: records::StepRecord) -> Step {
    let part = |part: &records::PartRecord| Part {
        index: part.index,
        value: part.value,
    };
    Step {
        leaf: record.leaf,
        element: record.element,
        value: record.value,
        parts: record.parts.0.iter().map(part).collect(),
    }
}

/// Blocks of a pause behind `block`, as of the block `now`.
fn since(block: u32, pause: &Pause, now: u32) -> u32 {
    let until = pause.until.unwrap_or(now);
    until.saturating_sub(pause.since.max(block))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_makes_a_window_longer_by_what_it_took_of_it() {
        let pause = |until| Pause {
            before: 500,
            since: 100,
            until,
        };
        for (block, until, longer) in [
            (90, Some(130), 30),
            (110, Some(130), 20),
            // It was over before the window began.
            (130, Some(130), 0),
            (1_000, Some(130), 0),
            // It lasts.
            (90, None, 50),
            (120, None, 30),
        ] {
            assert_eq!(
                since(block, &pause(until), 150),
                longer,
                "{block} {until:?}"
            );
        }
    }
}
