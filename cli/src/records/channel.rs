//! Channels, as JSON and in a line.

use assay_client::{
    chain::{Channel, ChannelState},
    Amount,
};
use assay_primitives::{ChannelId, VoucherKey};
use serde_json::{json, Value};

use super::{account, hash};

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
