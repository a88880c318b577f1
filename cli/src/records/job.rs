//! Jobs, as JSON and in a line, and what became of their draws.

use std::fmt;

use assay_client::{
    chain::{Assignment, Delivery, Job, JobState, RefundReason, SentBack, Settlement},
    AccountId32, Amount,
};
use assay_primitives::Outcome;
use serde_json::{json, Value};

use super::{account, hash};

/// What a job's state holds, whichever it is.
#[derive(Default)]
pub struct StateParts<'a> {
    pub name: &'static str,
    pub assignment: Option<&'a Assignment>,
    pub delivery: Option<&'a Delivery>,
    pub settlement: Option<&'a Settlement>,
}

pub fn state(job: &Job) -> StateParts<'_> {
    match &job.state {
        JobState::Waiting { .. } => StateParts {
            name: "Waiting",
            ..Default::default()
        },
        JobState::Assigned(assignment) => StateParts {
            name: "Assigned",
            assignment: Some(assignment),
            ..Default::default()
        },
        JobState::Delivered(assignment, delivery) => StateParts {
            name: "Delivered",
            assignment: Some(assignment),
            delivery: Some(delivery),
            settlement: None,
        },
        JobState::Settled {
            assignment,
            delivery,
            settlement,
            ..
        } => StateParts {
            name: "Settled",
            assignment: Some(assignment),
            delivery: Some(delivery),
            settlement: Some(settlement),
        },
        JobState::Refunded { .. } => StateParts {
            name: "Refunded",
            ..Default::default()
        },
        JobState::Slashed {
            assignment,
            delivery,
            ..
        } => StateParts {
            name: "Slashed",
            assignment: Some(assignment),
            delivery: Some(delivery),
            settlement: None,
        },
    }
}

/// `sent_back` is how its assignments ended without an answer, where that is known.
pub fn job(id: u64, job: &Job, sent_back: &[SentBack]) -> Value {
    let StateParts {
        name,
        assignment,
        delivery,
        settlement,
    } = state(job);
    let (draw_at, reason, removed_at) = match &job.state {
        JobState::Waiting { draw_at } => (Some(*draw_at), None, None),
        JobState::Settled { removed_at, .. } | JobState::Slashed { removed_at, .. } => {
            (None, None, Some(*removed_at))
        }
        JobState::Refunded { reason, removed_at } => {
            (None, Some(format!("{reason:?}")), Some(*removed_at))
        }
        JobState::Assigned(_) | JobState::Delivered(..) => (None, None, None),
    };
    json!({
        "job": id,
        "user": account(&job.user),
        "listing": hash(&job.listing),
        "prompt_root": hash(&job.prompt_root),
        "prompt_len": job.prompt_len,
        "sampling": job.sampling.0,
        "max_output_tokens": job.max_output_tokens,
        "min_output_tokens": job.min_output_tokens,
        "max_fee": Amount(job.max_fee),
        "named": job.named.as_ref().map(account),
        "excluded": job.excluded.0.iter().map(account).collect::<Vec<_>>(),
        "sent_back": sent_back.iter().map(|ended| json!({
            "provider": account(&ended.provider),
            "outcome": format!("{:?}", ended.outcome),
            "compensation": Amount(ended.compensation),
        })).collect::<Vec<_>>(),
        "draws": job.draws,
        "escrow": Amount(job.escrow),
        "submitted_at": job.submitted_at,
        "state": name,
        "disputes": job.disputes,
        "draw_at": draw_at,
        "assignment": assignment.map(|assignment| json!({
            "provider": account(&assignment.provider),
            "price": {
                "input": Amount(assignment.price.0.input),
                "output": Amount(assignment.price.0.output),
            },
            "token_limit": assignment.token_limit,
            "worst_case_fee": Amount(assignment.worst_case_fee),
            "randomness": hash(&assignment.randomness),
            "assigned_at": assignment.assigned_at,
            "deadline": assignment.deadline,
        })),
        "delivery": delivery.map(|delivery| json!({
            "receipt_hash": hash(&delivery.receipt_hash),
            "output_len": delivery.output_len,
            "output_root": hash(&delivery.output_root),
            "finish": delivery.finish.0,
            "fee": Amount(delivery.fee),
            "delivered_at": delivery.delivered_at,
            "window_end": delivery.window_end,
        })),
        "settlement": settlement.map(|settlement| json!({
            "fee": Amount(settlement.fee),
            "provider": Amount(settlement.provider),
            "royalty": Amount(settlement.royalty),
            "treasury": Amount(settlement.treasury),
            "burned": Amount(settlement.burned),
        })),
        "reason": reason,
        "removed_at": removed_at,
    })
}

/// Where a job stands, in one line.
pub fn describe(id: u64, job: &Job, sent_back: &[SentBack]) -> String {
    match &job.state {
        JobState::Waiting { draw_at } => {
            let past = Past::of(job, sent_back).to_string();
            let again = match past.as_str() {
                "" => String::new(),
                past => format!("; {past}"),
            };
            format!("job {id} waits for its draw in block {draw_at}{again}")
        }
        JobState::Assigned(assignment) => format!(
            "job {id} is assigned to {}: at most {} tokens for {}, due by block {}",
            assignment.provider,
            assignment.token_limit,
            Amount(assignment.worst_case_fee),
            assignment.deadline,
        ),
        JobState::Delivered(assignment, delivery) => {
            let next = match job.disputes {
                0 => format!("it is settled in block {}", delivery.window_end),
                1 => "it waits for the dispute over it".into(),
                disputes => format!("it waits for the {disputes} disputes over it"),
            };
            format!(
                "job {id} was delivered by {} in block {}: {} tokens for {}; {next}",
                assignment.provider,
                delivery.delivered_at,
                delivery.output_len,
                Amount(delivery.fee),
            )
        }
        JobState::Settled { settlement, .. } => format!(
            "job {id} is settled: {} paid, of it {} to the provider, {} royalty, {} to the treasury, {} burned",
            Amount(settlement.fee),
            Amount(settlement.provider),
            Amount(settlement.royalty),
            Amount(settlement.treasury),
            Amount(settlement.burned),
        ),
        JobState::Refunded { reason, .. } => {
            let past = Past::of(job, sent_back);
            format!("job {id} was refunded whole: {}", past.refund(reason))
        }
        JobState::Slashed {
            assignment,
            delivery,
            ..
        } => format!(
            "job {id} was answered wrongly by {}, which was proven: {} went back to its user, and the provider was slashed",
            assignment.provider,
            Amount(delivery.fee),
        ),
    }
}

/// Whether the job is over without an answer that counts, so that its user has paid nothing.
pub fn is_unpaid(job: &Job) -> bool {
    matches!(
        job.state,
        JobState::Refunded { .. } | JobState::Slashed { .. }
    )
}

/// What to do about a job that was refunded, or whose answer was proven wrong.
pub fn after_refund(job: &Job) -> &'static str {
    match &job.state {
        JobState::Refunded {
            reason: RefundReason::Cancelled,
            ..
        } => "ask again whenever you like",
        JobState::Slashed { .. } => "ask again with another provider",
        _ if job.named.is_some() => "ask again with another --provider, or with none",
        _ if job.excluded.0.is_empty() => {
            "ask again later, with a higher --max-fee or a lower --min-tokens"
        }
        _ => "ask again, or choose a --provider with a good record (`assay provider status`)",
    }
}

/// What the user got from the bonds of providers that missed the deadline.
pub fn compensation(sent_back: &[SentBack]) -> Amount {
    let paid = sent_back.iter().map(|ended| ended.compensation);
    Amount(paid.fold(0, u128::saturating_add))
}

/// The draws of a job that brought no answer.
struct Past<'a> {
    named: Option<&'a AccountId32>,
    /// Providers that were drawn and gave no answer.
    failed: &'a [AccountId32],
    draws: u8,
    sent_back: &'a [SentBack],
}

impl<'a> Past<'a> {
    fn of(job: &'a Job, sent_back: &'a [SentBack]) -> Self {
        Self {
            named: job.named.as_ref(),
            failed: &job.excluded.0,
            draws: job.draws,
            sent_back,
        }
    }

    /// How one provider's assignment ended.
    fn ending(&self, provider: &AccountId32) -> String {
        let ended = self
            .sent_back
            .iter()
            .find(|ended| ended.provider == *provider);
        match ended.map(|ended| (ended.outcome, ended.compensation)) {
            Some((Outcome::Declined, _)) => format!("{provider} declined"),
            Some((Outcome::Missed, 0)) => format!("{provider} missed its deadline"),
            Some((Outcome::Missed, paid)) => format!(
                "{provider} missed its deadline, and {} of its bond went to the user",
                Amount(paid)
            ),
            _ => format!("{provider} gave no answer"),
        }
    }

    fn refund(&self, reason: &RefundReason) -> String {
        let past = self.to_string();
        match (reason, self.named) {
            (RefundReason::Cancelled, _) if past.is_empty() => "cancelled by its user".into(),
            (RefundReason::Cancelled, _) => format!("cancelled by its user; before, {past}"),
            (RefundReason::Exhausted, Some(named)) if self.failed.contains(named) => {
                format!("the named provider {}", self.ending(named))
            }
            (RefundReason::Exhausted, Some(named)) => format!(
                "the named provider {named} could take it in none of {} draws",
                self.draws
            ),
            (RefundReason::Exhausted, None) => {
                format!("all {} draws are used up: {past}", self.draws)
            }
        }
    }
}

impl fmt::Display for Past<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts: Vec<String> = self.failed.iter().map(|one| self.ending(one)).collect();
        match usize::from(self.draws).saturating_sub(self.failed.len()) {
            0 => {}
            1 => parts.push("1 draw found no provider".into()),
            several => parts.push(format!("{several} draws found no provider")),
        }
        f.write_str(&parts.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(byte: u8, outcome: Outcome, compensation: u128) -> SentBack {
        SentBack {
            provider: AccountId32([byte; 32]),
            outcome,
            compensation,
        }
    }

    /// What is said of a refund after draws of which these failed.
    fn refund(named: Option<u8>, failed: &[SentBack], known: bool, draws: u8) -> String {
        let named = named.map(|byte| AccountId32([byte; 32]));
        let providers: Vec<AccountId32> = failed.iter().map(|ended| ended.provider).collect();
        let past = Past {
            named: named.as_ref(),
            failed: &providers,
            draws,
            sent_back: if known { failed } else { &[] },
        };
        past.refund(&RefundReason::Exhausted)
    }

    #[test]
    fn a_missed_deadline_a_refusal_and_used_up_draws_are_told_apart() {
        let missed = [ended(1, Outcome::Missed, 50_000_000_000)];
        let declined = [ended(1, Outcome::Declined, 0)];
        let provider = AccountId32([1; 32]);
        assert_eq!(
            refund(Some(1), &missed, true, 1),
            format!(
                "the named provider {provider} missed its deadline, and 50 mASY of its bond went \
                 to the user"
            )
        );
        assert_eq!(
            refund(Some(1), &declined, true, 1),
            format!("the named provider {provider} declined")
        );
        assert_eq!(
            refund(Some(1), &declined, false, 1),
            format!("the named provider {provider} gave no answer")
        );
        assert_eq!(
            refund(Some(1), &[], true, 4),
            format!("the named provider {provider} could take it in none of 4 draws")
        );
        assert_eq!(
            refund(None, &[], true, 4),
            "all 4 draws are used up: 4 draws found no provider"
        );
        assert_eq!(
            refund(None, &declined, true, 2),
            format!("all 2 draws are used up: {provider} declined; 1 draw found no provider")
        );
    }

    #[test]
    fn compensations_add_up() {
        let all = [ended(1, Outcome::Missed, 3), ended(2, Outcome::Missed, 4)];
        assert_eq!(compensation(&all), Amount(7));
        assert_eq!(compensation(&[]), Amount(0));
    }
}
