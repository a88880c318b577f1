//! `assay referendum refund` and `forget`: deposits come back to who put them down.

use assay_client::{
    chain::{runtime, Bounded, Referendum, ReferendumInfo},
    subxt::transactions::Payload,
    AccountId32, Amount, Chain, Snapshot, H256,
};
use serde_json::json;

use super::propose;
use crate::{context::Context, failure::Failure, records};

/// A deposit that can come back: whose, and planck.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Deposit {
    pub who: AccountId32,
    pub amount: u128,
}

/// What can come back for a referendum that is over.
#[derive(Default)]
pub struct Deposits {
    pub submission: Option<Deposit>,
    pub decision: Option<Deposit>,
    /// The proposal's, if it stays on hold for ever.
    pub kept: Option<Deposit>,
}

impl Deposits {
    pub fn sum(&self) -> u128 {
        let both = self.submission.iter().chain(&self.decision);
        both.fold(0, |sum, deposit| sum.saturating_add(deposit.amount))
    }
}

/// None while the referendum is open. The deposit of a proposal that was rejected, or on which nobody decided in
/// time, stays on hold for ever; of one that was killed the treasury has both.
pub fn deposits(referendum: &Referendum) -> Option<Deposits> {
    let (submission, decision, kept) = match referendum {
        ReferendumInfo::Ongoing(_) => return None,
        ReferendumInfo::Approved(_, submission, decision)
        | ReferendumInfo::Cancelled(_, submission, decision) => {
            (submission.as_ref(), decision.as_ref(), None)
        }
        ReferendumInfo::Rejected(_, submission, decision)
        | ReferendumInfo::TimedOut(_, submission, decision) => {
            (None, decision.as_ref(), submission.as_ref())
        }
        ReferendumInfo::Killed(_) => (None, None, None),
    };
    let read = |deposit: &runtime::runtime_types::pallet_referenda::types::Deposit<_, _>| Deposit {
        who: deposit.who,
        amount: deposit.amount,
    };
    Some(Deposits {
        submission: submission.map(read),
        decision: decision.map(read),
        kept: kept.map(read),
    })
}

pub async fn run(context: &Context, index: u32) -> Result<(), Failure> {
    let chain = context.chain().await?;
    let referendum = chain.best().await?.referendum(index).await?;
    let referendum = referendum.ok_or_else(|| propose::unknown(index))?;
    let found = deposits(&referendum).ok_or_else(|| {
        Failure::Request(format!(
            "referendum {index} is not over; deposits come back when it is, and `assay referendum status \
             {index}` says when"
        ))
    })?;
    if found.sum() == 0 {
        return Err(Failure::Request(format!(
            "no deposit of referendum {index} can come back{}; `assay balance` shows what an account has on hold",
            found.kept.map_or_else(String::new, |kept| format!(": {}", describe_kept(&kept)))
        )));
    }
    let calls = runtime::tx().referenda();
    let mut back = Vec::new();
    if let Some(deposit) = found.decision {
        send(context, &chain, &calls.refund_decision_deposit(index)).await?;
        back.push(deposit);
    }
    if let Some(deposit) = found.submission {
        send(context, &chain, &calls.refund_submission_deposit(index)).await?;
        back.push(deposit);
    }
    let json = json!({
        "referendum": index,
        "refunded": back.iter().map(|deposit| json!({
            "account": records::account(&deposit.who),
            "amount": Amount(deposit.amount),
        })).collect::<Vec<_>>(),
        "kept": found.kept.map(|deposit| Amount(deposit.amount)),
    });
    context.show(json, || {
        let each = back
            .iter()
            .map(|deposit| format!("{} went back to {}", Amount(deposit.amount), deposit.who));
        let kept = found.kept.iter().map(describe_kept);
        each.chain(kept).collect::<Vec<_>>().join("\n")
    });
    Ok(())
}

/// What is said of a deposit that does not come back.
fn describe_kept(deposit: &Deposit) -> String {
    format!(
        "the {} that {} put down for the proposal stay on hold for ever, since it was not approved",
        Amount(deposit.amount),
        deposit.who
    )
}

/// Take calls of one's own off the chain that no open referendum is about. One that is approved and not yet
/// done keeps its bytes without the deposit.
pub async fn forget(context: &Context) -> Result<(), Failure> {
    let account = context.account(None)?;
    let chain = context.chain().await?;
    let best = chain.best().await?;
    let needed = needed(&best).await?;
    let mut hashes = best.preimages_of(account).await?;
    hashes.retain(|hash| !needed.contains(hash));
    if hashes.is_empty() {
        return Err(Failure::Request(format!(
            "{account} has no call on chain that could go; those of open referenda stay"
        )));
    }
    let before = held(&best, account).await?;
    for hash in &hashes {
        let call = runtime::tx().preimage().unnote_preimage(*hash);
        send(context, &chain, &call).await?;
    }
    let back = before.saturating_sub(held(&chain.best().await?, account).await?);
    let json = json!({
        "forgotten": hashes.iter().map(records::hash).collect::<Vec<_>>(),
        "refunded": Amount(back),
    });
    context.show(json, || {
        let hashes: Vec<String> = hashes.iter().map(records::hash).collect();
        format!(
            "{} came back to {account} for the calls {}",
            Amount(back),
            hashes.join(", ")
        )
    });
    Ok(())
}

async fn send<C: Payload>(context: &Context, chain: &Chain, call: &C) -> Result<(), Failure> {
    context.submit(chain, call, &[]).await.map(drop)
}

/// The calls that open referenda are about and do not hold themselves.
async fn needed(best: &Snapshot) -> Result<Vec<H256>, Failure> {
    let mut needed = Vec::new();
    for index in 0..best.referendum_count().await? {
        if let Some(ReferendumInfo::Ongoing(status)) = best.referendum(index).await? {
            if let Bounded::Lookup { hash, .. } = status.proposal {
                needed.push(hash);
            }
        }
    }
    Ok(needed)
}

/// What an account has on hold for calls on chain, in planck.
async fn held(best: &Snapshot, account: AccountId32) -> Result<u128, Failure> {
    let holds = best.balances(account).await?.holds;
    let of_calls = holds
        .iter()
        .filter(|(reason, _)| reason.starts_with("Preimage::"));
    Ok(of_calls.fold(0, |sum: u128, (_, amount)| sum.saturating_add(*amount)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use runtime::runtime_types::pallet_referenda::types;

    #[test]
    fn who_is_rejected_loses_the_deposit_of_its_proposal_and_not_the_other() {
        let deposit = |amount| {
            Some(types::Deposit {
                who: AccountId32([7; 32]),
                amount,
            })
        };
        let sum = |referendum| deposits(&referendum).unwrap().sum();
        assert_eq!(
            sum(ReferendumInfo::Approved(9, deposit(1), deposit(20))),
            21
        );
        assert_eq!(sum(ReferendumInfo::Cancelled(9, None, deposit(20))), 20);
        assert_eq!(
            sum(ReferendumInfo::Rejected(9, deposit(1), deposit(20))),
            20
        );
        assert_eq!(sum(ReferendumInfo::TimedOut(9, deposit(1), None)), 0);
        assert_eq!(sum(ReferendumInfo::Killed(9)), 0);

        let kept = |referendum| deposits(&referendum).unwrap().kept;
        let rejected = kept(ReferendumInfo::Rejected(9, deposit(1), deposit(20))).unwrap();
        assert!(describe_kept(&rejected).starts_with("the 1 planck that 5"));
        assert!(kept(ReferendumInfo::TimedOut(9, deposit(1), None)).is_some());
        assert_eq!(
            kept(ReferendumInfo::Approved(9, deposit(1), deposit(20))),
            None
        );
    }
}
