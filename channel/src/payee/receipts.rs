//! Tokens made, and the receipts over them.

use assay_primitives::{Anchor, Finish, Receipt, RECEIPT_TOKENS};
use sp_core::H256;
use sp_runtime::MultiSignature;

use super::{
    record::{Record, Request},
    Entry, Live, Payee,
};
use crate::{step::Step, terms::fee, wire::SignedReceipt};

/// A receipt to be signed by the operator key; then [`Payee::issue`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Draft {
    pub seq: u64,
    pub receipt: Receipt,
    ended: bool,
}

/// A call that the order of events forbids: an error of the program, not of the user.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Misuse {
    #[error("request {0} is not being answered")]
    NotLive(u64),
    #[error("request {0} has no receipt yet, so no token of it may be made")]
    BeforeReceipt(u64),
    #[error("{made} tokens of request {seq} were made and vouchers pay for {allowed}")]
    Unpaid { seq: u64, made: u32, allowed: u32 },
    #[error("the receipt of request {0} is older than one that was issued")]
    OutOfOrder(u64),
}

impl Payee {
    fn live_entry(&self, seq: u64) -> Result<(&Entry, Live), Misuse> {
        let found = self.requests.get(&seq).zip(self.live.get(&seq).copied());
        found.ok_or(Misuse::NotLive(seq))
    }

    /// `tokens` more output tokens were made.
    pub fn made(&mut self, seq: u64, tokens: u32) -> Result<(), Misuse> {
        let (entry, mut live) = self.live_entry(seq)?;
        if entry.request.receipt.is_none() {
            return Err(Misuse::BeforeReceipt(seq));
        }
        live.made = live.made.saturating_add(tokens);
        if live.made > live.allowed {
            return Err(Misuse::Unpaid {
                seq,
                made: live.made,
                allowed: live.allowed,
            });
        }
        self.live.insert(seq, live);
        Ok(())
    }

    /// Whether a receipt is to be issued before anything else is done for this request.
    pub fn due(&self, seq: u64) -> bool {
        self.live_entry(seq).is_ok_and(|(entry, live)| {
            let open = live.made.saturating_sub(entry.receipted());
            entry.request.receipt.is_none() || open >= RECEIPT_TOKENS
        })
    }

    /// The receipt over all tokens made so far. `output_root` is their salted root, `anchor` a recent block;
    /// `finish` is none for a running receipt, which another one follows.
    pub fn draft(
        &self,
        seq: u64,
        anchor: Anchor,
        output_root: H256,
        finish: Option<Finish>,
    ) -> Result<Draft, Misuse> {
        let (entry, live) = self.live_entry(seq)?;
        let receipt = Receipt {
            header: entry.hash,
            anchor,
            output_len: live.made,
            output_root,
            finish: finish.unwrap_or(Finish::Caller),
            fee: fee(entry.header(), live.made),
        };
        Ok(Draft {
            seq,
            receipt,
            ended: finish.is_some(),
        })
    }

    /// Issues a signed receipt; the effect is what may be sent. With the final one the request ends, and what it
    /// was promised beyond it is free for others.
    pub fn issue(
        &mut self,
        draft: Draft,
        signature: MultiSignature,
    ) -> Result<Step<'_, Self, SignedReceipt>, Misuse> {
        let Draft {
            seq,
            receipt,
            ended,
        } = draft;
        let (entry, live) = self.live_entry(seq)?;
        let fits = (entry.receipted()..=live.made).contains(&receipt.output_len);
        if !fits || receipt.header != entry.hash {
            return Err(Misuse::OutOfOrder(seq));
        }
        let signed = SignedReceipt { receipt, signature };
        let record = Request {
            receipt: Some(signed.clone()),
            ended,
            ..entry.request.clone()
        };
        Ok(Step::new(self, vec![Record::Request(record)], signed))
    }

    /// Ends a live request at its last receipt, without a further one: before the first one it costs nothing, and
    /// is as if it had never come.
    pub fn interrupt(&mut self, seq: u64) -> Result<Step<'_, Self, ()>, Misuse> {
        let (entry, _) = self.live_entry(seq)?;
        let has_receipt = entry.request.receipt.is_some();
        let record = vec![Record::Request(Request {
            ended: true,
            ..entry.request.clone()
        })];
        Ok(match has_receipt {
            true => Step::new(self, record, ()),
            false => Step::new(self, Vec::new(), ()).in_memory(record),
        })
    }
}
