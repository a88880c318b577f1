//! Receipts, checked.

use assay_primitives::{salted_token_root, Balance, Finish, Side, Task, TokenId};

use super::{
    receipted, receipted_fee,
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
    /// A block of the chain, at which this operator key spoke for the provider. Whether it is as late as the request and
    /// the receipt before, [`Payer::receipt`] looks at.
    Good { operator: AccountId },
    /// A block too long ago, for a receipt that comes as it is signed.
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
    /// Receipts are issued in order, so one that builds on a block long before the one held, or before the request, is bad:
    /// in place of a fresh one it would be paid, and the time to dispute it be over.
    ///
    /// The last receipt of a request that was cut is held also if it is over more tokens than were received, up to the
    /// window; beyond, its tokens must be shown first ([`Taken::TokensMissing`]).
    pub fn receipt(
        &mut self,
        seq: u64,
        signed: SignedReceipt,
        anchor: AnchorView,
        tokens: &[TokenId],
        last: bool,
    ) -> Result<Step<'_, Self, Result<Taken, Caught>>, PayerError> {
        let request = self.requests.get(&seq);
        let request = request.ok_or(PayerError::UnknownRequest(seq))?;
        let paid_ahead = match self.is_old {
            // By vouchers that the backup does not know.
            true => Balance::MAX,
            false => self.cumulative().saturating_sub(self.spent()),
        };
        let bounds = Bounds {
            anchor_age: self.anchor_age,
            paid_ahead,
        };
        let taken = match check(request, &signed, anchor, tokens, last, bounds) {
            Ok(taken) => taken,
            Err(caught) => {
                let exhibit = exhibit(request, Some(signed), tokens);
                return Ok(self.catch(caught, Some(exhibit)));
            }
        };
        let mut next = request.clone();
        if taken == Taken::Held {
            next.receipt = Some(signed);
        }
        next.phase = match taken {
            Taken::Held | Taken::Old if last => Phase::Ended,
            // It had not come to the provider when that said so, and has now.
            Taken::Held if request.receipt.is_none() && request.phase == Phase::Ended => Phase::Cut,
            _ => request.phase,
        };
        let records = match next == *request {
            true => Vec::new(),
            false => vec![Record::Request(next)],
        };
        Ok(Step::new(self, records, Ok(taken)))
    }

    /// Gives the channel up for something that no single receipt shows: a receipt that never came, or a status that
    /// no receipt explains. `seq` and `tokens` say of which request, and what was received of it.
    pub fn give_up(
        &mut self,
        caught: Caught,
        about: Option<(u64, &[TokenId])>,
    ) -> Step<'_, Self, Caught> {
        let exhibit = about.and_then(|(seq, tokens)| {
            let request = self.requests.get(&seq)?;
            Some(exhibit(request, None, tokens))
        });
        let records = self.caught(caught, exhibit);
        Step::new(self, records, caught)
    }

    pub(super) fn catch<T>(
        &mut self,
        caught: Caught,
        request: Option<Exhibit>,
    ) -> Step<'_, Self, Result<T, Caught>> {
        let records = self.caught(caught, request);
        Step::new(self, records, Err(caught))
    }

    /// The first evidence is kept: what follows a fault is its consequence. With an old backup's records there is none.
    fn caught(&self, caught: Caught, request: Option<Exhibit>) -> Vec<Record> {
        let about = request.as_ref().and_then(|one| self.requests.get(&one.seq));
        let live = about.filter(|request| request.phase == Phase::Live);
        let cut = live.map(|request| {
            Record::Request(Request {
                phase: Phase::Cut,
                ..request.clone()
            })
        });
        let evidence = Record::Evidence(Evidence { caught, request });
        let is_first = self.evidence.is_none() && !self.is_old;
        let first = is_first.then_some(evidence);
        cut.into_iter().chain(first).collect()
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

/// What came of a good receipt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Taken {
    /// It is the one that is held now.
    Held,
    /// It says nothing that a held one does not say.
    Old,
    /// It is over more tokens than were received, and more than one window: send the request again for the stored
    /// answer, which is free of charge, and show the receipt again with all its tokens.
    TokensMissing,
}

/// What a receipt is held to beside its request.
struct Bounds {
    /// How many blocks before those that its provider knows of it may build.
    anchor_age: u32,
    /// Planck that the highest voucher pays beyond all receipts held.
    paid_ahead: Balance,
}

fn check(
    request: &Request,
    signed: &SignedReceipt,
    anchor: AnchorView,
    tokens: &[TokenId],
    last: bool,
    bounds: Bounds,
) -> Result<Taken, Caught> {
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
    let is_score = matches!(header.task, Task::Score { .. });
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
        Finish::Eos => length > 0 && !is_score,
        Finish::Caller => true,
        Finish::Mismatch => length < limit && is_score,
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
    let overtaken = request.receipt.as_ref().is_some_and(|held| {
        let before = held.receipt.output_len;
        length < before || (length == before && !last)
    });
    let latest = receipt.anchor.number.saturating_add(bounds.anchor_age);
    if !overtaken && latest < latest_anchor(request) {
        return Err(Caught::StaleAnchor);
    }
    // A score is over no tokens of its own.
    let covered = match is_score {
        true => Some(0),
        false => usize::try_from(length).ok(),
    };
    match covered.and_then(|length| tokens.get(..length)) {
        Some(tokens) => {
            let root = salted_token_root(&request.secret, Side::Output, tokens);
            match root == receipt.output_root {
                true if overtaken => Ok(Taken::Old),
                true => Ok(Taken::Held),
                false => Err(Caught::WrongRoot),
            }
        }
        None if request.receipt.is_some() && length <= receipted(request) => Ok(Taken::Old),
        None if !may_be_unseen(request)
            || receipt.fee.saturating_sub(receipted_fee(request)) > bounds.paid_ahead =>
        {
            Err(Caught::Ahead {
                signed: length,
                sent: u32::try_from(tokens.len()).unwrap_or(u32::MAX),
            })
        }
        None if last && length <= window_end(header, receipted(request)) => Ok(Taken::Held),
        None => Ok(Taken::TokensMissing),
    }
}

/// The latest block that the provider must have known of when it signs the next receipt.
fn latest_anchor(request: &Request) -> u32 {
    let held = request.receipt.as_ref();
    held.map_or(0, |held| held.receipt.anchor.number)
        .max(request.since)
}

/// Whether receipts over tokens that were not received can be missing for an honest reason.
fn may_be_unseen(request: &Request) -> bool {
    match request.phase {
        Phase::Live => false,
        Phase::Cut => true,
        Phase::Ended => request.receipt.is_none(),
    }
}
