//! Disputes and their ends, as text and as JSON.

use assay_client::{
    dispute::{Dispute, Ending, Question, Side, Verdict},
    AccountId32, Amount,
};
use assay_primitives::Claim;
use serde_json::{json, Value};

fn claim(claim: &Claim) -> String {
    match claim {
        Claim::Job(job) => format!("job {job}"),
        Claim::Channel { id, seq } => format!("request {seq} of channel {id:?}"),
    }
}

fn claim_json(claim: &Claim) -> Value {
    match claim {
        Claim::Job(job) => json!({ "job": job }),
        Claim::Channel { id, seq } => json!({ "channel": { "id": id, "seq": seq } }),
    }
}

/// A dispute in a line.
pub fn dispute(dispute: &Dispute, clock: u32) -> String {
    let what = match &dispute.question {
        Question::Header => "whether it was asked".to_owned(),
        Question::Token { position, .. } => format!("token {}", position.saturating_add(1)),
    };
    let when = match dispute.deadline {
        None => "waits until others with this provider are over".into(),
        Some(deadline) => format!(
            "{}, {} blocks are left for it",
            dispute.stage.describe(),
            deadline.saturating_sub(clock)
        ),
    };
    format!(
        "dispute {}: {} against provider {} for {what} of {}, with a bond of {}; {when}",
        dispute.id,
        dispute.challenger,
        dispute.provider,
        claim(&dispute.claim),
        Amount(dispute.bond),
    )
}

pub fn dispute_json(dispute: &Dispute, clock: u32) -> Value {
    json!({
        "dispute": dispute.id,
        "claim": claim_json(&dispute.claim),
        "provider": dispute.provider.to_string(),
        "challenger": dispute.challenger.to_string(),
        "delegate": dispute.delegate.map(|account| account.to_string()),
        // Counted from 1, as `assay verify` does.
        "token": dispute.position().map(|position| position.saturating_add(1)),
        "bond": Amount(dispute.bond),
        "moves": dispute.moves,
        "turn": dispute.turn().map(|side| match side {
            Side::Provider => "provider",
            Side::Challenger => "challenger",
        }),
        "stage": dispute.stage.describe(),
        "clock": clock,
        "deadline": dispute.deadline,
        "state": dispute.state,
    })
}

fn verdict(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Convicted => "Convicted",
        Verdict::Acquitted => "Acquitted",
        Verdict::Superseded => "Superseded",
        Verdict::ModelBroken => "ModelBroken",
    }
}

/// How a dispute ended, and whether it ended as its challenger wanted.
pub fn ending(ending: &Ending, me: &AccountId32) -> (String, bool) {
    let block = ending.block;
    let what = match &ending.dispute {
        Some((id, _)) => format!("dispute {id} is over since block {block}"),
        None => format!("judged in block {block}"),
    };
    let convicted = ending.conviction.as_ref().map(|money| {
        let user = money.returned.saturating_add(money.refund);
        let whom = match money.challenger == *me {
            true => "you".to_owned(),
            false => money.challenger.to_string(),
        };
        let fault = match &money.fault {
            Some(fault) => format!(" ({fault:?})"),
            None => String::new(),
        };
        format!(
            "the provider {} is convicted{fault}: {} go back to the user, {} to {whom}, {} are burned",
            money.provider,
            Amount(user),
            Amount(money.reward),
            Amount(money.burned)
        )
    });
    let bond = match ending.burned {
        0 => "the bond is back".to_owned(),
        burned => format!(
            "the bond is back but for {} that the queue had added",
            Amount(burned)
        ),
    };
    match (&ending.dispute, convicted) {
        (Some((_, Verdict::Acquitted)), _) => (
            format!(
                "{what}: the provider is right, and the bond is lost: {} of it to the provider, {} burned",
                Amount(ending.compensation),
                Amount(ending.burned)
            ),
            false,
        ),
        (Some((_, Verdict::Superseded)), _) => (
            format!("{what}: another one convicted the provider first; {bond}"),
            true,
        ),
        (Some((_, Verdict::ModelBroken)), _) => (
            format!("{what}: the model's own numbers break the format, nobody is to blame; {bond}"),
            true,
        ),
        (Some((_, Verdict::Convicted)) | None, Some(convicted)) => {
            let bond = match &ending.dispute {
                Some(_) => format!("; {bond}"),
                None => String::new(),
            };
            (format!("{what}: {convicted}{bond}"), true)
        }
        (Some((_, Verdict::Convicted)) | None, None) => {
            (format!("{what}: the provider is convicted"), true)
        }
    }
}

pub fn ending_json(ending: &Ending) -> Value {
    json!({
        "dispute": ending.dispute.as_ref().map(|(id, _)| id),
        "verdict": match &ending.dispute {
            Some((_, found)) => verdict(found),
            None => verdict(&Verdict::Convicted),
        },
        "block": ending.block,
        "compensation": Amount(ending.compensation),
        "burned": Amount(ending.burned),
        "conviction": ending.conviction.as_ref().map(|money| json!({
            "provider": money.provider.to_string(),
            "challenger": money.challenger.to_string(),
            "returned": Amount(money.returned),
            "refund": Amount(money.refund),
            "reward": Amount(money.reward),
            "burned": Amount(money.burned),
            "fault": money.fault.as_ref().map(|fault| format!("{fault:?}")),
        })),
    })
}
