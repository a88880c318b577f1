//! The chain's records as JSON, under the names that they have in the pallets; amounts are strings
//! of planck. And the few that are shown as text.

use assay_client::{
    chain::{
        Assignment, Channel, ChannelState, Delivery, Job, JobState, Listing, ListingAccount,
        ListingStatus, Offer, Provider, RefundReason, SentBack, Settlement,
    },
    AccountId32, Amount, H256,
};
use assay_primitives::{ChannelId, ModelParts, Outcome, Profile, VoucherKey};
use serde_json::{json, Value};

pub fn account(account: &AccountId32) -> String {
    account.to_string()
}

pub fn hash(hash: &H256) -> String {
    format!("{hash:?}")
}

pub fn status(status: &ListingStatus) -> &'static str {
    match status {
        ListingStatus::Active => "Active",
        ListingStatus::Retired => "Retired",
        ListingStatus::Frozen => "Frozen",
    }
}

/// What [`profile`] says of a model whose answers nobody can verify.
pub const UNVERIFIED: &str = "unverified";

/// How a model's numbers are computed, in one word.
pub fn profile(profile: &Profile) -> &'static str {
    match profile {
        Profile::Unverified => UNVERIFIED,
        Profile::Exact { .. } => "exact",
    }
}

pub fn parts(parts: &ModelParts) -> Value {
    let spec = &parts.spec;
    json!({
        "spec": {
            "architecture": spec.architecture,
            "profile": spec.profile,
            "layers": spec.layers,
            "hidden": spec.hidden,
            "intermediate": spec.intermediate,
            "heads": spec.heads,
            "kv_heads": spec.kv_heads,
            "head_dim": spec.head_dim,
            "vocabulary": spec.vocabulary,
            "context": spec.context,
            "stop_tokens": spec.stop_tokens.to_vec(),
            "tied_embeddings": spec.tied_embeddings,
        },
        "tokenizer": hash(&parts.tokenizer),
        "template": hash(&parts.template),
        "tables": hash(&parts.tables),
        "weights_root": hash(&parts.weights_root),
    })
}

pub fn listing(id: &H256, record: &Listing, uses: Option<&ListingAccount>) -> Value {
    json!({
        "listing": hash(id),
        "root": hash(&record.parts.0.root()),
        "profile": profile(&record.parts.0.spec.profile),
        "publisher": account(&record.publisher),
        "parts": parts(&record.parts.0),
        "royalty": record.royalty.0,
        "uri": String::from_utf8_lossy(&record.uri.0),
        "status": status(&record.status),
        "uses": uses.map_or(0, |account| account.uses),
        "pot": Amount(uses.map_or(0, |account| account.pot)),
    })
}

/// Parts per million as a percentage.
pub fn percent(ppm: u32) -> String {
    let text = format!("{}.{:04}", ppm / 10_000, ppm % 10_000);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

pub fn offer(stash: &AccountId32, (id, model): (&H256, &Profile), record: &Offer) -> Value {
    json!({
        "provider": account(stash),
        "listing": hash(id),
        "profile": profile(model),
        "price": {
            "input": Amount(record.price.0.input),
            "output": Amount(record.price.0.output),
        },
        "context": record.context,
        "capacity": record.capacity,
        "open_jobs": record.open_jobs,
        "since": record.since,
    })
}

pub fn channel(id: &ChannelId, record: &Channel) -> Value {
    let (kind, key) = match record.voucher_key.0 {
        VoucherKey::Sr25519(key) => ("sr25519", key.0),
        VoucherKey::Ed25519(key) => ("ed25519", key.0),
    };
    let (state, finalize_at, remove_at) = match &record.state {
        ChannelState::Open => ("Open", None, None),
        ChannelState::Closing { finalize_at } => ("Closing", Some(finalize_at), None),
        ChannelState::Closed { remove_at } => ("Closed", None, Some(remove_at)),
    };
    json!({
        "channel": hash(id),
        "user": account(&record.user),
        "provider": account(&record.provider),
        "epoch": record.epoch,
        "listing": hash(&record.listing),
        "voucher_key": { "kind": kind, "key": format!("0x{}", hex::encode(key)) },
        "deposit": Amount(record.deposit),
        "settled": Amount(record.settled),
        "dues": Amount(dues(record)),
        "refunded": Amount(record.refunded),
        "disputes": record.disputes,
        "opened_at": record.opened_at,
        "state": state,
        "finalize_at": finalize_at,
        "remove_at": remove_at,
    })
}

/// What publisher and protocol have of a channel and were not paid yet, in planck.
pub fn dues(channel: &Channel) -> u128 {
    let owed = &channel.dues;
    [owed.royalty, owed.treasury, owed.burned]
        .into_iter()
        .fold(0, u128::saturating_add)
}

/// Where a channel stands, in a line.
pub fn describe_channel(id: &ChannelId, record: &Channel) -> String {
    let rest = Amount(record.deposit.saturating_sub(record.settled));
    let state = match &record.state {
        ChannelState::Open => format!("is open and can still pay {rest}"),
        ChannelState::Closing { finalize_at } => {
            format!("can still pay {rest}, until it closes in block {finalize_at}")
        }
        ChannelState::Closed { remove_at } => format!(
            "is closed, {rest} went back to its user, and its record goes in block {remove_at}"
        ),
    };
    let disputes = match record.disputes {
        0 => String::new(),
        1 => "; 1 dispute over it goes on".into(),
        many => format!("; {many} disputes over it go on"),
    };
    format!(
        "channel {id:?} of {} to {} {state}; {} of {} are settled{disputes}",
        record.user,
        record.provider,
        Amount(record.settled),
        Amount(record.deposit)
    )
}

pub fn provider(
    stash: &AccountId32,
    record: &Provider,
    offers: &[(H256, Profile, Offer)],
) -> Value {
    let unbonding: Vec<Value> = record
        .unbonding
        .0
        .iter()
        .map(|chunk| json!({ "amount": Amount(chunk.amount), "due": chunk.due }))
        .collect();
    json!({
        "provider": account(stash),
        "operator": account(&record.operator),
        "info": {
            "endpoint": String::from_utf8_lossy(&record.info.endpoint.0),
            "tls_key_hash": hash(&record.info.tls_key_hash),
            "x25519_key": format!("0x{}", hex::encode(record.info.x25519_key)),
        },
        "online": record.online,
        "bond": Amount(record.bond),
        "unbonding": unbonding,
        "exposure": Amount(record.exposure),
        "channel_exposure": Amount(record.channel_exposure),
        "open_jobs": record.open_jobs,
        "offers": offers
            .iter()
            .map(|(id, profile, record)| offer(stash, (id, profile), record))
            .collect::<Vec<_>>(),
        "maturing": Amount(record.maturing),
        "disputes": record.disputes,
        "record": {
            "assigned": record.record.assigned,
            "delivered": record.record.delivered,
            "declined": record.record.declined,
            "missed": record.record.missed,
            "convicted": record.record.convicted,
            "earned": Amount(record.record.earned),
            "score": record.record.score,
        },
        "registered_at": record.registered_at,
    })
}

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

impl std::fmt::Display for Past<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
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

    #[test]
    fn percentages_are_exact() {
        for (ppm, text) in [
            (0, "0 %"),
            (25_000, "2.5 %"),
            (1_000_000, "100 %"),
            (1, "0.0001 %"),
        ] {
            assert_eq!(percent(ppm), text);
        }
    }

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
