//! Receipts that did not come with their stream: asked for afterwards, also after a crash, so that books
//! here and there agree.

use std::{sync::Arc, time::Duration};

use assay_channel::{wire::ChannelStatus, AnchorView, Caught, Recovery, SignedReceipt, Taken};
use assay_client::AccountId32;
use assay_primitives::{Task, TokenId, RECEIPT_TOKENS};

use crate::{
    channels::{Line, MoneyError},
    choice::Offer,
    shop::Shop,
    store::StoreError,
    upstream::{Chunk, Failed, Worker},
};

mod mended;

use self::mended::mend_request;

/// How often requests that were cut are looked at.
const EVERY: Duration = Duration::from_secs(15);
/// The pause before something is sent again.
pub const RESEND: Duration = Duration::from_secs(1);
/// How long an answer may take that is given again, where nobody waits for it.
const REPLAY: Duration = Duration::from_secs(60);
/// And where a client does.
pub const SHORT_REPLAY: Duration = Duration::from_secs(5);
/// Until receipts that a provider has signed are here, and paid for.
const UNDER_WAY: Duration = Duration::from_millis(250);

/// Why a channel is of no more use in which a receipt was forgotten.
const FORGOTTEN: &str = "its provider has forgotten a receipt that is missing here";

/// What a provider says of a request.
pub enum Fetched {
    /// It may still sign more, or cannot be asked.
    Open,
    /// No further receipt follows. The operator that signed the last one, if it came now.
    Ended(Option<AccountId32>),
    /// It has forgotten the request, whose last receipt may be over more than the one held. The channel is retired.
    Forgotten,
    Caught(Caught),
}

/// Asks for the last receipt of a request of which `tokens` are here.
pub async fn fetch(
    shop: &Shop,
    worker: &Worker,
    line: &Line,
    seq: u64,
    tokens: &[TokenId],
) -> Result<Fetched, MoneyError> {
    let was_held = line.held(seq).is_some();
    let stored = match worker.receipt(seq, &line.proof()).await {
        Ok(stored) => stored,
        // Any other 404 may be somebody's in between.
        Err(Failed::Refused { code, .. }) if code == "unknown_seq" => {
            return no_receipt(shop, line, seq, was_held).await;
        }
        Err(_) => return Ok(Fetched::Open),
    };
    let Some(signed) = stored.receipt else {
        return match stored.ended {
            true => no_receipt(shop, line, seq, was_held).await,
            false => Ok(Fetched::Open),
        };
    };
    let view = anchor(shop, line, &signed).await?;
    let operator = match view {
        AnchorView::Good { operator } => Some(AccountId32(operator)),
        _ => None,
    };
    let age = shop.anchor_age();
    let taken = line.receipt(seq, signed, view, age, tokens, stored.ended)?;
    Ok(match taken {
        Ok(Taken::Held | Taken::Old) if stored.ended => Fetched::Ended(operator),
        Ok(Taken::TokensMissing) if stored.ended => {
            match replay(shop, worker, line, seq, REPLAY).await? {
                Replayed::Whole(_) => Fetched::Ended(operator),
                Replayed::Broken => Fetched::Open,
                Replayed::Caught(caught) => Fetched::Caught(caught),
            }
        }
        Ok(_) => Fetched::Open,
        Err(caught) => Fetched::Caught(caught),
    })
}

/// The provider has no receipt of the request. Where one is held, there may have been a last one, which it forgets when
/// nobody can dispute it any more: for somebody who was away for so long, it comes never. What it claims for that is not
/// held against it, and nothing more is bought in the channel, whose sums cannot meet again.
async fn no_receipt(
    shop: &Shop,
    line: &Line,
    seq: u64,
    was_held: bool,
) -> Result<Fetched, MoneyError> {
    let held = match line.held(seq) {
        Some(held) if line.is_open(seq) => held,
        _ => {
            line.ended(seq)?;
            return Ok(Fetched::Ended(None));
        }
    };
    if !was_held {
        // It has come while its provider was asked.
        return Ok(Fetched::Open);
    }
    if shop.must_be_kept(held.receipt.anchor.number).await? {
        // No proof of anything, as a lost disk does the same; but whoever asks it again may lose a window again.
        let provider = AccountId32(line.channel().provider);
        shop.experience().caught(provider);
        tracing::warn!(
            target: "assay_gateway", channel = ?line.id(), seq, %provider,
            "a provider says that it does not know a request for which its receipt is here; it is left alone"
        );
    }
    line.retire(FORGOTTEN)?;
    Ok(Fetched::Forgotten)
}

/// What the chain says of the anchor of a receipt that may have been signed long ago. That it was not signed long before
/// the request, or the receipt held, the payer looks at.
async fn anchor(
    shop: &Shop,
    line: &Line,
    signed: &SignedReceipt,
) -> Result<AnchorView, MoneyError> {
    let provider = AccountId32(line.channel().provider);
    shop.anchor(provider, signed.receipt.anchor, u32::MAX).await
}

/// What came when an answer was asked for again.
pub enum Replayed {
    /// The tokens of its last receipt, all of them.
    Whole(Vec<TokenId>),
    Broken,
    Caught(Caught),
}

/// Asks for the answer again, which is free of charge: the receipt is over more tokens than came. It was made already, so
/// whoever does not give it within `patience` does not give it.
pub async fn replay(
    shop: &Shop,
    worker: &Worker,
    line: &Line,
    seq: u64,
    patience: Duration,
) -> Result<Replayed, MoneyError> {
    let replayed = tokio::time::timeout(patience, ask_again(shop, worker, line, seq)).await;
    replayed.unwrap_or(Ok(Replayed::Broken))
}

async fn ask_again(
    shop: &Shop,
    worker: &Worker,
    line: &Line,
    seq: u64,
) -> Result<Replayed, MoneyError> {
    let (Some(header), Some(body)) = (line.header(seq), line.kept_body(seq)?) else {
        return Ok(Replayed::Broken);
    };
    let Ok(mut answer) = worker.ask(&header, &line.proof(), &body).await else {
        return Ok(Replayed::Broken);
    };
    let (mut tokens, mut receipt) = (Vec::new(), None);
    loop {
        match answer.next().await {
            Ok(Chunk::Tokens(parts, _)) => {
                tokens.extend(parts.tokens);
                receipt = parts.receipt.or(receipt);
            }
            Ok(Chunk::Done) => break,
            Err(_) => return Ok(Replayed::Broken),
        }
        if tokens.len() > header.header.token_limit as usize {
            return Ok(Replayed::Broken);
        }
    }
    let Some(signed) = receipt else {
        return Ok(Replayed::Broken);
    };
    let view = anchor(shop, line, &signed).await?;
    let age = shop.anchor_age();
    Ok(match line.receipt(seq, signed, view, age, &tokens, true)? {
        Ok(Taken::Held | Taken::Old) => Replayed::Whole(tokens),
        Ok(Taken::TokensMissing) => Replayed::Broken,
        Err(caught) => Replayed::Caught(caught),
    })
}

/// All the tokens of a request's last receipt, of which these `came`. What was made while the answer was being ended is
/// paid for, and nobody could check the receipt without it.
pub async fn complete(
    shop: &Shop,
    worker: &Worker,
    line: &Line,
    seq: u64,
    came: &[TokenId],
    patience: Duration,
) -> Result<Replayed, MoneyError> {
    let receipted = match line.request(seq) {
        Some((header, signed)) if header.header.task == Task::Generate => signed.receipt.output_len,
        _ => 0,
    };
    if receipted as usize <= came.len() {
        return Ok(Replayed::Whole(came.to_vec()));
    }
    Ok(match replay(shop, worker, line, seq, patience).await? {
        Replayed::Whole(tokens) if tokens.len() < receipted as usize => Replayed::Broken,
        // It has signed for others than it sent.
        Replayed::Whole(tokens) if !tokens.starts_with(came) => {
            line.give_up(Caught::WrongRoot, Some((seq, came)))?;
            Replayed::Caught(Caught::WrongRoot)
        }
        other => other,
    })
}

/// A provider that dies between two receipts has given tokens for nothing. One that has not signed when it should have
/// has not died. `held` is its last receipt, and these tokens `came`.
pub fn withheld(held: Option<&SignedReceipt>, came: &[TokenId]) -> Option<Caught> {
    let receipted = held.map_or(0, |signed| signed.receipt.output_len);
    let sent = came.len() as u32;
    let before_the_first = held.is_none() && sent > 0;
    let is_withheld = before_the_first || sent > receipted.saturating_add(RECEIPT_TOKENS);
    is_withheld.then_some(Caught::Withheld { sent, receipted })
}

/// Whether the books could be brought together after a provider refused the request `seq` for what it says of the
/// channel, so that asking again makes sense.
pub async fn recovered(
    shop: &Arc<Shop>,
    worker: &Worker,
    line: &Line,
    seq: u64,
    status: &ChannelStatus,
) -> Result<bool, MoneyError> {
    Ok(match line.recover(status) {
        Recovery::InStep => {
            tokio::time::sleep(RESEND).await;
            true
        }
        Recovery::Resend(voucher) => worker.pay(&voucher).await.is_ok(),
        Recovery::Fetch(seqs) => {
            let others: Vec<_> = seqs.into_iter().filter(|other| *other != seq).collect();
            // Its tokens are gone with the process that received them, or its own end looks after it.
            let is_lost = |other: &u64| !line.is_streaming(*other);
            let lost: Vec<_> = others.iter().copied().filter(is_lost).collect();
            let mut is_all = lost.len() == others.len();
            if lost.is_empty() {
                // The receipts of the streams beside this one are on their way.
                tokio::time::sleep(UNDER_WAY).await;
            }
            for seq in lost {
                match mend_request(shop, worker, line, seq, SHORT_REPLAY).await? {
                    Fetched::Ended(_) => {}
                    // It may still be at it.
                    Fetched::Open => {
                        is_all = false;
                        tokio::time::sleep(RESEND).await;
                    }
                    Fetched::Forgotten | Fetched::Caught(_) => return Ok(false),
                }
            }
            let explains_it = !matches!(line.recover(status), Recovery::Fetch(_));
            if is_all && !explains_it {
                // It has told of all that it may mean.
                line.retire(FORGOTTEN)?;
            }
            explains_it || !is_all
        }
        Recovery::Forgotten => {
            line.retire(FORGOTTEN)?;
            false
        }
        Recovery::GiveUp(caught) => {
            line.give_up(caught, None)?;
            false
        }
    })
}

/// Looks after requests that were cut, for ever: after a crash, or while their provider was away. And lets go of those
/// that nobody can come back to.
pub async fn mend(shop: Arc<Shop>) {
    loop {
        if let Err(error) = mend_all(&shop).await {
            tracing::warn!(target: "assay_gateway", %error, "old requests are not forgotten");
        }
        tokio::time::sleep(EVERY).await;
    }
}

async fn mend_all(shop: &Arc<Shop>) -> Result<(), MoneyError> {
    for line in shop.channels.lines() {
        if let Err(error) = mend_line(shop, &line).await {
            tracing::warn!(target: "assay_gateway", channel = ?line.id(), %error, "books differ");
        }
    }
    let dispute_blocks = shop.market.dispute_blocks().await?;
    let finalized = shop.market.block(0).await?.finalized;
    let undisputed = finalized.saturating_sub(dispute_blocks);
    for line in shop.channels.lines() {
        if let Err(error) = forget(shop, &line, undisputed).await {
            tracing::warn!(
                target: "assay_gateway", channel = ?line.id(), %error,
                "old requests of a channel are not forgotten"
            );
        }
    }
    shop.channels.forget_closed(undisputed)?;
    Ok(())
}

/// Forgets what is over for good in a channel, with receipts from before the block `undisputed`.
async fn forget(shop: &Arc<Shop>, line: &Line, undisputed: u32) -> Result<(), MoneyError> {
    let doubtful = line.doubtful(undisputed);
    if !doubtful.is_empty() {
        let Some(worker) = worker_of(shop, line) else {
            return Ok(());
        };
        for seq in doubtful {
            match mend_request(shop, &worker, line, seq, REPLAY).await? {
                Fetched::Ended(_) => {}
                // Later; what it has to do with the provider's books is seen to where they differ.
                Fetched::Open | Fetched::Forgotten | Fetched::Caught(_) => return Ok(()),
            }
        }
    }
    Ok(line.forget(undisputed)?)
}

/// Whoever serves a channel's provider now; none while it is away.
fn worker_of(shop: &Shop, line: &Line) -> Option<Worker> {
    let channel = line.channel();
    let seen = shop.seen();
    let offer = seen.facts.offers.iter().find(|offer: &&Offer| {
        offer.provider.0 == channel.provider && offer.epoch == channel.epoch
    })?;
    shop.worker(offer).ok()
}

async fn mend_line(shop: &Arc<Shop>, line: &Line) -> Result<(), MoneyError> {
    let mut cut = line.cut_requests();
    for seq in shop.store.with_bodies(&line.id())? {
        // Its last receipt is here, and whoever was to keep the answer did not come to that.
        if !line.is_open(seq) && line.held(seq).is_some() {
            cut.push(seq);
        }
    }
    if cut.is_empty() {
        return Ok(());
    }
    let Some(worker) = worker_of(shop, line) else {
        return Ok(());
    };
    for seq in cut {
        // What a stream has brought, its own end looks after.
        if line.is_streaming(seq) {
            continue;
        }
        match mend_request(shop, &worker, line, seq, REPLAY).await? {
            Fetched::Open | Fetched::Forgotten => {}
            Fetched::Caught(_) => shop.keep_evidence(),
            Fetched::Ended(_) => pay_others(&worker, line).await,
        }
    }
    Ok(())
}

/// Hands over the voucher that the receipts held allow, unless the provider has it. Who comes meanwhile waits, and is
/// mostly paid with the next one: streams beside each other need one voucher together.
pub async fn pay(worker: &Worker, line: &Line) -> Result<(), PayError> {
    let _alone = line.paying.lock().await;
    if let Some(voucher) = line.unsent()? {
        worker.pay(&voucher).await?;
        line.arrived(&voucher);
    }
    Ok(())
}

/// Why a voucher did not arrive.
#[derive(Debug, thiserror::Error)]
pub enum PayError {
    #[error("{0}")]
    Store(#[from] StoreError),
    #[error("{0}")]
    Failed(#[from] Failed),
}

/// Until a request's last receipt came, its tokens beyond the one before were paid from what others of the channel
/// were given: without another voucher these would wait for ever.
pub async fn pay_others(worker: &Worker, line: &Line) {
    if let Err(error) = pay(worker, line).await {
        tracing::warn!(target: "assay_gateway", %error, "a voucher was not taken");
    }
}
