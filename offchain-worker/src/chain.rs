//! What the worker reads from the chain: how a job stands with it, and what a duty consists of.

use std::collections::BTreeMap;

use assay_channel::{anchor_age, ChannelState, Facts, Terms};
use assay_client::{
    chain::{self, job_header, runtime, Assignment, Channel, Delivery, Job, JobState},
    folder, AccountId32, Chain, Error, Snapshot, H256,
};
use assay_primitives::{seed, Anchor, JobId, ListingId, Price, Receipt, Sampling};
use codec::Decode;

use crate::{
    duties::Standing,
    ledger::{Answer, Key},
    serve::{Offer, View},
};

/// The two ends of the chain that the worker looks at.
pub struct Heads {
    /// What the next block stands on.
    pub best: Snapshot,
    /// What no fork takes back.
    pub finalized: Snapshot,
}

impl Heads {
    pub async fn of(chain: &Chain) -> Result<Self, Error> {
        // In this order, so that the best block is never behind the finalised one: a delivery that
        // only the latter knows would look like one that failed.
        let finalized = chain.finalized().await?;
        let best = chain.best().await?;
        Ok(Self { best, finalized })
    }
}

/// A job that is assigned to us.
#[derive(Clone, Debug)]
pub struct Duty {
    pub key: Key,
    /// Hash of the request header.
    pub header: H256,
    pub listing: ListingId,
    pub prompt_len: u32,
    pub sampling: Sampling,
    pub token_limit: u32,
    pub price: Price,
    /// The last block at which the answer may be delivered.
    pub deadline: u32,
}

impl Duty {
    /// The duty that `job` is for `provider`; `None` if it is none.
    pub fn of(genesis: H256, id: JobId, job: &Job, provider: &AccountId32) -> Option<Self> {
        let JobState::Assigned(assignment) = &job.state else {
            return None;
        };
        if assignment.provider != *provider {
            return None;
        }
        let header = job_header(genesis, id, job, assignment).hash();
        Some(Self {
            key: Key {
                job: id,
                seed: seed(&header, &assignment.randomness),
            },
            header,
            listing: job.listing,
            prompt_len: job.prompt_len,
            sampling: job.sampling.0,
            token_limit: assignment.token_limit,
            price: assignment.price.0,
            deadline: assignment.deadline,
        })
    }
}

/// How a job stands with the duty `key`, whose answer, if there is one already, is `answer`.
pub fn standing(
    genesis: H256,
    provider: &AccountId32,
    key: &Key,
    answer: Option<&Answer>,
    job: Option<&Job>,
) -> Standing {
    let Some(job) = job else {
        return Standing::Elsewhere;
    };
    if Duty::of(genesis, key.job, job, provider).is_some_and(|duty| duty.key == *key) {
        return Standing::Open;
    }
    match delivered(job) {
        Some((assignment, delivery))
            if assignment.provider == *provider
                && answer.is_some_and(|a| delivery.receipt_hash == receipt_hash(&a.receipt)) =>
        {
            Standing::Answered
        }
        _ => Standing::Elsewhere,
    }
}

fn delivered(job: &Job) -> Option<(&Assignment, &Delivery)> {
    match &job.state {
        JobState::Delivered(assignment, delivery)
        | JobState::Settled {
            assignment,
            delivery,
            ..
        }
        | JobState::Slashed {
            assignment,
            delivery,
            ..
        } => Some((assignment, delivery)),
        JobState::Waiting { .. } | JobState::Assigned(_) | JobState::Refunded { .. } => None,
    }
}

/// What the chain keeps of a receipt.
pub fn receipt_hash(receipt: &Receipt) -> H256 {
    folder::hash(&receipt.signing_payload())
}

/// The block of a snapshot, for a receipt to build on.
pub fn anchor(snapshot: &Snapshot) -> Anchor {
    Anchor {
        number: snapshot.number(),
        hash: snapshot.hash(),
    }
}

/// Whether `anchor` is a block of the chain that `best` is the head of, and one that it still
/// knows: the same question that the chain asks on delivery.
pub async fn anchor_holds(best: &Snapshot, anchor: &Anchor) -> Result<bool, Error> {
    if anchor.number == best.number() {
        return Ok(anchor.hash == best.hash());
    }
    let address = runtime::storage().system().block_hash();
    let found = best
        .client()
        .storage()
        .try_fetch(address, (anchor.number,))
        .await;
    let found = found
        .map_err(Error::node)?
        .map(|value| value.decode())
        .transpose()
        .map_err(Error::node)?;
    Ok(found == Some(anchor.hash))
}

/// The next nonce of an account.
pub async fn nonce(snapshot: &Snapshot, account: &AccountId32) -> Result<u64, Error> {
    snapshot
        .client()
        .transactions()
        .account_nonce(account)
        .await
        .map_err(Error::node)
}

/// Whether `operator` sent the delivery that a finalised job holds, and it is none that `known`
/// knows: another worker has the operator's key, or this one has lost a part of its ledger.
pub async fn delivered_by_another(
    chain: &Chain,
    id: JobId,
    job: &Job,
    operator: &AccountId32,
    known: impl Fn(H256) -> bool,
) -> bool {
    let Some((_, delivery)) = delivered(job) else {
        return false;
    };
    // A block that the node has dropped tells nothing, and that is no reason to stop.
    let Ok(block) = chain.api().at_block(u64::from(delivery.delivered_at)).await else {
        return false;
    };
    let Ok(extrinsics) = block.extrinsics().fetch().await else {
        return false;
    };
    let mut found = extrinsics.iter().flatten().filter(|extrinsic| {
        extrinsic
            .address_bytes()
            .is_some_and(|bytes| bytes.ends_with(&operator.0))
            && (extrinsic.pallet_name(), extrinsic.call_name()) == ("Jobs", "deliver")
            && JobId::decode(&mut extrinsic.call_data_field_bytes()) == Ok(id)
    });
    // A delivery that failed may be in the same block as the one that did not.
    let mut any = false;
    found.all(|extrinsic| {
        any = true;
        !known(extrinsic.hash())
    }) && any
}

/// Whether the chain says that `provider` declined a job in time, although it could still answer.
pub fn declined(job: &Job, provider: &AccountId32, now: u32, deadline: u32) -> bool {
    now <= deadline && job.excluded.0.contains(provider)
}

/// What is sold to channels and what they hold, at the finalised block.
pub async fn view(
    genesis: H256,
    provider: AccountId32,
    listings: &[ListingId],
    Heads { best, finalized }: &Heads,
) -> Result<View, Error> {
    let registered_at = finalized.provider(provider).await?.map(|p| p.registered_at);
    let channels = finalized.channels_of_provider(provider).await?;
    let channels = channels
        .into_iter()
        .map(|(id, channel)| {
            let terms = Terms {
                genesis,
                channel: id,
                provider: provider.0,
                listing: channel.listing,
                voucher_key: channel.voucher_key.0,
            };
            (terms, facts(&channel, registered_at))
        })
        .collect();
    let mut offers = BTreeMap::new();
    for listing in listings {
        let Some(offer) = finalized.offer(*listing, provider).await? else {
            continue;
        };
        let mut price = offer.price.0;
        // Whoever signed with the head of the chain in view, where the price is lower already, is no cheat.
        if let Some(newer) = best.offer(*listing, provider).await? {
            price = Price {
                input: price.input.min(newer.price.0.input),
                output: price.output.min(newer.price.0.output),
            };
        }
        let context = offer.context;
        offers.insert(*listing, Offer { price, context });
    }
    // What is disputed is answered from what would be forgotten.
    let docket = finalized.docket(provider).await?;
    let window = finalized.dispute_parameters().await?.challenge_blocks;
    let dispute_blocks = match docket.live.is_empty() && docket.waiting.is_empty() {
        true => {
            let (paused, _) = finalized.paused_blocks().await?;
            window.saturating_add(paused)
        }
        false => u32::MAX,
    };
    Ok(View {
        block: anchor(finalized),
        age: finalized.age().await?,
        slot: finalized.slot().await?,
        behind: best.number().saturating_sub(finalized.number()),
        channels,
        offers,
        dispute_blocks,
        anchor_age: anchor_age(window),
    })
}

/// A provider that left and came back is another one, which can settle nothing of what was before.
fn facts(channel: &Channel, registered_at: Option<u32>) -> Facts {
    let state = match &channel.state {
        _ if registered_at != Some(channel.epoch) => ChannelState::Closed,
        chain::ChannelState::Open => ChannelState::Open,
        chain::ChannelState::Closing { finalize_at } => ChannelState::Closing {
            finalize_at: *finalize_at,
        },
        chain::ChannelState::Closed { .. } => ChannelState::Closed,
    };
    Facts {
        deposit: channel.deposit,
        settled: channel.settled,
        state,
    }
}
