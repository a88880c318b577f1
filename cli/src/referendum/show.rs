//! `assay referendum list` and `status`.

use assay_client::{
    chain::{Bounded, Described, Referendum, ReferendumInfo, Track},
    primitives::blake2_256,
    Amount, Snapshot, H256,
};
use serde_json::{json, Value};

use super::{
    parameters::{self, Difference},
    propose, refund,
};
use crate::{context::Context, failure::Failure, records};

/// The state of one whose call is to be made, or has been.
const APPROVED: &str = "Approved";

/// A referendum as it is shown.
struct Seen {
    index: u32,
    state: &'static str,
    over: Option<Over>,
    open: Option<Open>,
}

/// One that is over.
struct Over {
    /// The block in which it ended.
    block: u32,
    /// The block in which its call is due; none if it is done, or will never be.
    due: Option<u32>,
    /// Planck of deposits that can come back.
    deposits: u128,
}

/// One that can still be decided.
struct Open {
    track: String,
    hash: H256,
    /// None if nobody has put the call on chain.
    call: Option<Described>,
    /// The parameters that the call would change as things are now; none if it is not about any.
    differences: Option<Vec<Difference>>,
    ayes: u128,
    nays: u128,
    support: u128,
    has_deposit: bool,
    /// What comes next, and the block by which it does at the latest.
    next: String,
}

pub async fn list(context: &Context, all: bool) -> Result<(), Failure> {
    let snapshot = context.chain().await?.best().await?;
    let mut seen = Vec::new();
    for index in 0..snapshot.referendum_count().await? {
        if let Some(referendum) = snapshot.referendum(index).await? {
            let one = look(&snapshot, index, referendum).await?;
            if all || one.open.is_some() {
                seen.push(one);
            }
        }
    }
    let json = json!(seen.iter().map(json_of).collect::<Vec<_>>());
    context.show(json, || match seen.is_empty() {
        true => "no referendum is open; propose one with `assay referendum propose`".into(),
        false => seen.iter().map(text_of).collect::<Vec<_>>().join("\n"),
    });
    Ok(())
}

pub async fn status(context: &Context, index: u32) -> Result<(), Failure> {
    let snapshot = context.chain().await?.best().await?;
    show(context, &snapshot, index).await
}

pub async fn show(context: &Context, snapshot: &Snapshot, index: u32) -> Result<(), Failure> {
    let referendum = snapshot.referendum(index).await?;
    let referendum = referendum.ok_or_else(|| propose::unknown(index))?;
    let seen = look(snapshot, index, referendum).await?;
    context.show(json_of(&seen), || text_of(&seen));
    Ok(())
}

async fn look(snapshot: &Snapshot, index: u32, referendum: Referendum) -> Result<Seen, Failure> {
    let (state, block) = match &referendum {
        ReferendumInfo::Ongoing(_) => return look_open(snapshot, index, &referendum).await,
        ReferendumInfo::Approved(block, ..) => (APPROVED, *block),
        ReferendumInfo::Rejected(block, ..) => ("Rejected", *block),
        ReferendumInfo::Cancelled(block, ..) => ("Cancelled", *block),
        ReferendumInfo::TimedOut(block, ..) => ("TimedOut", *block),
        ReferendumInfo::Killed(block) => ("Killed", *block),
    };
    let deposits = refund::deposits(&referendum).unwrap_or_default();
    Ok(Seen {
        index,
        state,
        over: Some(Over {
            block,
            due: snapshot.enactment(index).await?,
            deposits: deposits.sum(),
        }),
        open: None,
    })
}

async fn look_open(
    snapshot: &Snapshot,
    index: u32,
    referendum: &Referendum,
) -> Result<Seen, Failure> {
    let track = propose::track_of(snapshot, index, referendum)?;
    let ReferendumInfo::Ongoing(status) = referendum else {
        return Err(propose::unknown(index));
    };
    let (hash, call) = match &status.proposal {
        Bounded::Inline(bytes) => (blake2_256(&bytes.0).into(), Some(bytes.0.clone())),
        Bounded::Lookup { hash, len } => (*hash, snapshot.preimage(*hash, *len).await?),
        Bounded::Legacy { hash, .. } => (*hash, None),
        // A variant that only the generated type has.
        Bounded::__Ignore(_) => (H256::zero(), None),
    };
    let call = call.map(|bytes| (described(snapshot, &bytes), bytes));
    let differences = match &call {
        Some((call, bytes)) => parameters::proposed(snapshot, &call.name, bytes).await?,
        None => None,
    };
    let has_deposit = status.decision_deposit.is_some();
    let since = status.deciding.as_ref().map(|deciding| deciding.since);
    let confirming = status
        .deciding
        .as_ref()
        .and_then(|deciding| deciding.confirming);
    let (state, next) = next(
        &track,
        index,
        status.submitted,
        has_deposit,
        since,
        confirming,
    );
    Ok(Seen {
        index,
        state,
        over: None,
        open: Some(Open {
            hash,
            call: call.map(|(call, _)| call),
            differences,
            ayes: status.tally.ayes,
            nays: status.tally.nays,
            support: status.tally.support,
            has_deposit,
            track: track.name,
            next,
        }),
    })
}

/// Anybody may propose any bytes: those that are no call must not hide the rest.
fn described(snapshot: &Snapshot, call: &[u8]) -> Described {
    snapshot.describe_call(call).unwrap_or_else(|_| Described {
        name: "no call of this runtime".into(),
        arguments: format!("({} bytes)", call.len()),
    })
}

/// The state of an open referendum, and what it waits for.
fn next(
    track: &Track,
    index: u32,
    submitted: u32,
    has_deposit: bool,
    since: Option<u32>,
    confirming: Option<u32>,
) -> (&'static str, String) {
    match (since, confirming) {
        (_, Some(until)) => (
            "Confirming",
            format!(
                "is approved in block {until} if it keeps its majority, and done at least {} blocks later",
                track.min_enactment_period
            ),
        ),
        (Some(since), None) => (
            "Deciding",
            format!(
                "has no sufficient majority yet, and until block {} to find one",
                since.saturating_add(track.decision_period)
            ),
        ),
        (None, None) if !has_deposit => (
            "Preparing",
            format!(
                "waits for a deposit of {}: `assay referendum deposit {index}`",
                Amount(track.decision_deposit)
            ),
        ),
        (None, None) => (
            "Preparing",
            format!(
                "is decided from block {} on, when its track has room",
                submitted.saturating_add(track.prepare_period)
            ),
        ),
    }
}

fn json_of(seen: &Seen) -> Value {
    let open = seen.open.as_ref();
    let over = seen.over.as_ref();
    json!({
        "referendum": seen.index,
        "state": seen.state,
        "ended": over.map(|over| over.block),
        "due": over.and_then(|over| over.due),
        "deposits": over.map(|over| Amount(over.deposits)),
        "track": open.map(|open| &open.track),
        "hash": open.map(|open| records::hash(&open.hash)),
        "call": open.and_then(|open| open.call.as_ref()).map(|call| &call.name),
        "arguments": open.and_then(|open| open.call.as_ref()).map(|call| &call.arguments),
        "changes": open
            .and_then(|open| open.differences.as_deref())
            .map(|all| all.iter().map(Difference::json).collect::<Vec<_>>()),
        "ayes": open.map(|open| Amount(open.ayes)),
        "nays": open.map(|open| Amount(open.nays)),
        "support": open.map(|open| Amount(open.support)),
        "decision_deposit": open.map(|open| open.has_deposit),
        "next": open.map(|open| &open.next),
    })
}

fn text_of(seen: &Seen) -> String {
    let Seen { index, state, .. } = seen;
    let Some(open) = &seen.open else {
        let over = seen.over.as_ref();
        return format!(
            "referendum {index}: {state}{}",
            over.map_or_else(String::new, |over| text_of_end(state, over))
        );
    };
    let call = match (&open.call, open.differences.as_deref()) {
        (Some(call), Some(differences)) => format!(
            "would call {}\n    {}",
            call.name,
            parameters::describe(differences).join("\n    ")
        ),
        (Some(call), None) => format!("would call {} {}", call.name, call.arguments),
        (None, _) => format!(
            "would call what nobody has put on chain, of hash {:?}",
            open.hash
        ),
    };
    format!(
        "referendum {index} ({}): {state}\n  {call}\n  {} for it, {} against it, by conviction; {} support it\n  \
         {}",
        open.track,
        Amount(open.ayes),
        Amount(open.nays),
        Amount(open.support),
        open.next
    )
}

fn text_of_end(state: &str, over: &Over) -> String {
    let mut text = format!(" in block {}", over.block);
    if let Some(due) = over.due {
        text.push_str(&format!(", and done in block {due}"));
    } else if state == APPROVED {
        text.push_str(
            ", and its call has been made, which may have failed: `assay referendum parameters` shows what holds now, \
             and `payout` pays what the treasury is to give",
        );
    }
    if over.deposits > 0 {
        text.push_str(&format!(
            "; deposits of {} wait for `assay referendum refund`",
            Amount(over.deposits)
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_says_when_it_is_done_and_what_comes_back() {
        let over = |state, due, deposits| {
            let seen = Seen {
                index: 3,
                state,
                over: Some(Over {
                    block: 40,
                    due,
                    deposits,
                }),
                open: None,
            };
            text_of(&seen)
        };
        assert_eq!(
            over("Rejected", None, 0),
            "referendum 3: Rejected in block 40"
        );
        let made = over(APPROVED, None, 0);
        assert!(
            made.starts_with("referendum 3: Approved in block 40, and its call has been made")
                && made.contains("assay referendum parameters"),
            "{made}"
        );
        assert_eq!(
            over(APPROVED, Some(52), 110_000_000_000_000),
            "referendum 3: Approved in block 40, and done in block 52; deposits of 110 ASY wait for `assay \
             referendum refund`"
        );
    }

    #[test]
    fn each_state_says_what_it_waits_for() {
        let track = Track {
            id: 0,
            name: "root".into(),
            decision_deposit: 5_000_000_000_000,
            prepare_period: 10,
            decision_period: 100,
            confirm_period: 20,
            min_enactment_period: 7,
        };
        let state = |deposit, since, confirming| next(&track, 3, 50, deposit, since, confirming);
        let (name, text) = state(false, None, None);
        assert!(
            name == "Preparing" && text.contains("5 ASY: `assay referendum deposit 3`"),
            "{text}"
        );
        let (name, text) = state(true, None, None);
        assert!(
            name == "Preparing" && text.contains("from block 60"),
            "{text}"
        );
        let (name, text) = state(true, Some(60), None);
        assert!(
            name == "Deciding" && text.contains("until block 160"),
            "{text}"
        );
        let (name, text) = state(true, Some(60), Some(90));
        assert!(
            name == "Confirming" && text.contains("block 90") && text.contains("7 blocks"),
            "{text}"
        );
    }
}
