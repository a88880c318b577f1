//! Receipts, checked.

use assay_primitives::{salted_token_root, Finish, Side, TokenId};

use super::{
    receipted,
    record::{Record, Request},
    Caught, Evidence, Exhibit, Payer, PayerError, Phase,
};
use crate::{
    step::Step,
    terms::{fee, window_end},
    AccountId, SignedReceipt,
};

/// What the user's own view of the chain says of a receipt's anchor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AnchorView {
    /// A recent block, at which this operator key spoke for the provider.
    Good { operator: AccountId },
    /// A block too long ago.
    Stale,
    /// A block that cannot be there yet.
    Future,
    /// The chain has another block at this height.
    Foreign,
}

impl Payer {
    /// A receipt came for request `seq`. `tokens` are all output tokens received so far; `last` says that no further
    /// receipt follows. A good one is held, and pays the next window if the request is live. A bad one is kept as
    /// evidence and the channel given up.
    ///
    /// A receipt of a cut request may be longer than what was received, as far as vouchers had paid ahead.
    pub fn receipt(
        &mut self,
        seq: u64,
        signed: SignedReceipt,
        anchor: AnchorView,
        tokens: &[TokenId],
        last: bool,
    ) -> Result<Step<'_, Self, Result<(), Caught>>, PayerError> {
        let request = self.requests.get(&seq);
        let request = request.ok_or(PayerError::UnknownRequest(seq))?;
        if let Err(caught) = check(request, &signed, anchor, tokens, last) {
            let exhibit = exhibit(request, Some(signed), tokens);
            return Ok(self.catch(caught, Some(exhibit)));
        }
        // One that was overtaken by a longer one says nothing new.
        let longer = request.receipt.is_none() || signed.receipt.output_len >= receipted(request);
        let phase = match last {
            true => Phase::Ended,
            false => request.phase,
        };
        let next = Request {
            receipt: match longer {
                true => Some(signed),
                false => request.receipt.clone(),
            },
            phase,
            ..request.clone()
        };
        let records = match next == *request {
            true => Vec::new(),
            false => vec![Record::Request(next)],
        };
        Ok(Step::new(self, records, Ok(())))
    }

    /// Gives the channel up for something that no single receipt shows: a receipt that never came, or a status that
    /// no receipt explains. `seq` and `tokens` say of which request, and what was received of it.
    pub fn give_up(
        &mut self,
        caught: Caught,
        about: Option<(u64, &[TokenId])>,
    ) -> Step<'_, Self, Result<(), Caught>> {
        let exhibit = about.and_then(|(seq, tokens)| {
            let request = self.requests.get(&seq)?;
            Some(exhibit(request, None, tokens))
        });
        self.catch(caught, exhibit)
    }

    /// The first evidence is kept: what follows a fault is its consequence.
    pub(super) fn catch(
        &mut self,
        caught: Caught,
        request: Option<Exhibit>,
    ) -> Step<'_, Self, Result<(), Caught>> {
        let mut records = Vec::new();
        let live = request
            .as_ref()
            .and_then(|exhibit| self.requests.get(&exhibit.seq));
        if let Some(live) = live.filter(|live| live.phase == Phase::Live) {
            records.push(Record::Request(Request {
                phase: Phase::Cut,
                ..live.clone()
            }));
        }
        if self.evidence.is_none() {
            records.push(Record::Evidence(Evidence { caught, request }));
        }
        Step::new(self, records, Err(caught))
    }
}

fn exhibit(request: &Request, offending: Option<SignedReceipt>, tokens: &[TokenId]) -> Exhibit {
    Exhibit {
        seq: request.seq,
        header: request.header.clone(),
        secret: request.secret,
        held: request.receipt.clone(),
        offending,
        tokens: tokens.to_vec(),
    }
}

fn check(
    request: &Request,
    signed: &SignedReceipt,
    anchor: AnchorView,
    tokens: &[TokenId],
    last: bool,
) -> Result<(), Caught> {
    let (header, receipt) = (&request.header.header, &signed.receipt);
    if receipt.header != header.hash() {
        return Err(Caught::OtherRequest);
    }
    let operator = match anchor {
        AnchorView::Good { operator } => operator,
        AnchorView::Stale => return Err(Caught::StaleAnchor),
        AnchorView::Future => return Err(Caught::FutureAnchor),
        AnchorView::Foreign => return Err(Caught::ForeignAnchor),
    };
    if !signed.is_signed(&operator) {
        return Err(Caught::Forged);
    }
    let (length, limit) = (receipt.output_len, header.token_limit);
    if length > limit {
        let signed = length;
        return Err(Caught::TooLong { signed, limit });
    }
    let right = fee(header, length);
    if receipt.fee != right {
        let asked = receipt.fee;
        return Err(Caught::WrongFee { asked, right });
    }
    let finish_fits = match receipt.finish {
        Finish::Length => length == limit,
        Finish::Eos => length > 0,
        Finish::Caller => true,
    };
    if !finish_fits {
        return Err(Caught::WrongFinish);
    }
    if let Some(held) = &request.receipt {
        let before = held.receipt.output_len;
        if before == length && held.receipt.output_root != receipt.output_root {
            return Err(Caught::Equivocation(length));
        }
        if last && length < before {
            let last = length;
            return Err(Caught::Shrinking { before, last });
        }
    }
    let covered = usize::try_from(length).ok();
    match covered.and_then(|length| tokens.get(..length)) {
        Some(tokens) => {
            let root = salted_token_root(&request.secret, Side::Output, tokens);
            match root == receipt.output_root {
                true => Ok(()),
                false => Err(Caught::WrongRoot),
            }
        }
        None if request.phase != Phase::Live && length <= window_end(limit, receipted(request)) => {
            Ok(())
        }
        None => Err(Caught::Ahead {
            signed: length,
            sent: u32::try_from(tokens.len()).unwrap_or(u32::MAX),
        }),
    }
}
