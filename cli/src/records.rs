//! The chain's records as JSON, under the names that they have in the pallets; amounts are strings
//! of planck. And the few that are shown as text.

use assay_client::{
    chain::{Listing, ListingAccount, ListingStatus, Offer, Provider},
    AccountId32, Amount, H256,
};
use assay_primitives::{ModelParts, Profile};
use serde_json::{json, Value};

mod channel;
mod job;

pub use self::{
    channel::{channel, describe_channel, dues},
    job::{after_refund, compensation, describe, is_unpaid, job, state},
};

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
}
