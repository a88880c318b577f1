//! Where the money is, and what it was spent on.

use assay_channel::record::PayerRecord;
use assay_client::{AccountId32, Amount, H256};
use serde::Serialize;

use crate::{
    channels::Channels,
    evidence,
    market::{Market, OnChain, State},
    store::{Channel, Stage, Store},
};

/// All amounts are planck, as strings.
#[derive(Debug, Serialize)]
pub struct Report {
    pub account: String,
    /// What is free in the wallet; none if the chain cannot be reached.
    pub wallet: Option<Amount>,
    /// What channels take of the budget: what is in them, and what they have cost.
    pub committed: Amount,
    pub channels: Vec<ChannelReport>,
    /// The account's channels on chain that the store does not know; their money counts in no budget.
    pub unknown: Vec<UnknownReport>,
    /// Deposits of channels that are asked for and not seen yet.
    pub coming: Vec<Amount>,
    pub spending: Vec<SpendingReport>,
    /// Names of the files in the folder `evidence`.
    pub evidence: Vec<String>,
}

#[derive(Debug, Serialize)]
pub struct ChannelReport {
    pub channel: H256,
    pub provider: String,
    pub listing: H256,
    pub model: String,
    /// `open`, `closing` or `closed`.
    pub state: &'static str,
    /// The block from which on the rest of a closing channel comes back.
    pub finalize_at: Option<u32>,
    pub deposit: Amount,
    /// On its way into it.
    pub coming: Amount,
    /// What receipts say that it has cost.
    pub spent: Amount,
    /// What vouchers allow the provider to take.
    pub signed: Amount,
    /// What the provider has taken on chain, by the last look at it.
    pub settled: Amount,
    /// The most that it can have taken; none where `settled` is all. The chain had forgotten the closed channel before it
    /// was looked at.
    pub settled_at_most: Option<Amount>,
    /// What came back: where `settled_at_most` is there, at least.
    pub refunded: Amount,
    /// Answers under way, or whose last receipt is missing.
    pub open_requests: usize,
    /// Requests whose receipts are kept: until they are paid on chain and cannot be disputed.
    pub kept_requests: usize,
    /// Why nothing more is bought through it.
    pub retired: Option<String>,
}

#[derive(Debug, Serialize)]
pub struct UnknownReport {
    pub channel: H256,
    pub provider: String,
    pub listing: H256,
    /// `open` or `closing`.
    pub state: &'static str,
    /// The block from which on the rest of a closing channel comes back.
    pub finalize_at: Option<u32>,
    pub deposit: Amount,
    /// What the provider has taken on chain.
    pub settled: Amount,
    /// What has the rest back, with the account's key alone; none if that is on its way.
    pub close_with: Option<String>,
}

#[derive(Debug, Serialize)]
pub struct SpendingReport {
    pub model: String,
    pub requests: u64,
    pub prompt_tokens: u64,
    pub output_tokens: u64,
    pub fees: Amount,
}

/// What is in the store, and in the wallet.
pub async fn report(
    market: &dyn Market,
    store: &Store,
    channels: &Channels,
) -> anyhow::Result<Report> {
    let mut reports = Vec::new();
    let lines = channels.lines();
    for (id, channel) in store.channels()? {
        let line = lines.iter().find(|line| line.id() == id);
        let payments = match line {
            Some(line) => Payments {
                spent: line.spent(),
                signed: line.signed(),
                open_requests: line.open_requests(),
                kept_requests: line.kept_requests(),
            },
            None => Payments::of_closed(&channel, &store.records(&id)?),
        };
        reports.push(channel_report(id, &channel, &payments));
    }
    let spending = store.spending()?.into_iter();
    Ok(Report {
        account: market.account().to_string(),
        wallet: market.wallet().await.ok().map(Amount),
        committed: Amount(store.committed()?),
        channels: reports,
        unknown: channels.unknown().into_iter().map(unknown_report).collect(),
        coming: store
            .openings()?
            .iter()
            .map(|opening| Amount(opening.deposit))
            .collect(),
        spending: spending
            .map(|(model, spending)| SpendingReport {
                model,
                requests: spending.requests,
                prompt_tokens: spending.prompt_tokens,
                output_tokens: spending.output_tokens,
                fees: Amount(spending.fees),
            })
            .collect(),
        evidence: evidence::names(store.folder())?,
    })
}

fn unknown_report((id, channel): (H256, OnChain)) -> UnknownReport {
    let (state, finalize_at) = match channel.state {
        State::Open => ("open", None),
        State::Closing(block) => ("closing", Some(block)),
        State::Closed => ("closed", None),
    };
    UnknownReport {
        channel: id,
        provider: channel.provider.to_string(),
        listing: channel.listing,
        state,
        finalize_at,
        deposit: Amount(channel.deposit),
        settled: Amount(channel.settled),
        close_with: (channel.state == State::Open).then(|| format!("assay channel close {id:?}")),
    }
}

/// What was signed and received in a channel.
struct Payments {
    spent: u128,
    signed: u128,
    open_requests: usize,
    kept_requests: usize,
}

impl Payments {
    fn of_closed(channel: &Channel, records: &[PayerRecord]) -> Self {
        let mut payments = Self {
            spent: match channel.stage {
                Stage::Gone { spent, .. } => spent,
                Stage::Open | Stage::Closing(_) | Stage::Closed => channel.settled,
            },
            signed: 0,
            open_requests: 0,
            kept_requests: 0,
        };
        for record in records {
            match record {
                PayerRecord::Voucher(voucher) => payments.signed = voucher.cumulative,
                PayerRecord::Request(_) => {
                    payments.kept_requests = payments.kept_requests.saturating_add(1);
                }
                PayerRecord::Floor(_) | PayerRecord::Evidence(_) | PayerRecord::Doubted(_) => {}
            }
        }
        payments
    }
}

fn channel_report(id: H256, channel: &Channel, payments: &Payments) -> ChannelReport {
    let (state, finalize_at) = match channel.stage {
        Stage::Open => ("open", None),
        Stage::Closing(block) => ("closing", Some(block)),
        Stage::Closed | Stage::Gone { .. } => ("closed", None),
    };
    let coming = channel.top_up.as_ref().map_or(0, |top_up| top_up.amount);
    ChannelReport {
        channel: id,
        provider: AccountId32(channel.provider).to_string(),
        listing: channel.listing,
        model: channel.model.clone(),
        state,
        finalize_at,
        deposit: Amount(channel.deposit),
        coming: Amount(coming),
        spent: Amount(payments.spent),
        signed: Amount(payments.signed),
        settled: Amount(channel.settled),
        settled_at_most: channel.settled_at_most().map(Amount),
        refunded: Amount(channel.refunded()),
        open_requests: payments.open_requests,
        kept_requests: payments.kept_requests,
        retired: channel.retired.clone(),
    }
}
