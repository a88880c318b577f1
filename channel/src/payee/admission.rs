//! Vouchers and requests, taken or refused.

use assay_primitives::{Price, SignedVoucher, Task, VoucherKey, VoucherSignature, FORMAT_VERSION};
use sp_core::H256;

use super::{
    record::{Record, Request},
    Payee,
};
use crate::{
    step::Step,
    terms::{fee, seq_of, window_end, ChannelState},
    wire::SignedReceipt,
    Header, PaymentError, SignedHeader,
};

/// How a header was taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Admission {
    pub seq: u64,
    /// Hash of the header; the sampling seed comes from it.
    pub hash: H256,
    /// The request was answered before: this is the last receipt, and the answer up to there is to be given again,
    /// free of charge. None: it is live now.
    pub answered: Option<SignedReceipt>,
}

impl Payee {
    /// Takes a voucher. One that is not higher than what was accepted changes nothing.
    pub fn take_voucher(
        &mut self,
        voucher: &SignedVoucher,
    ) -> Result<Step<'_, Self, ()>, PaymentError> {
        self.authorise(voucher)?;
        let raised = self.raise(voucher)?;
        Ok(Step::new(self, raised.into_iter().collect(), ()))
    }

    /// Whether whoever shows `voucher` may see the channel's state and receipts: any voucher that its key signed.
    pub fn authorise(&self, voucher: &SignedVoucher) -> Result<(), PaymentError> {
        const WHAT: &str = "voucher";
        if voucher.channel != self.terms.channel {
            return Err(PaymentError::WrongChannel {
                named: voucher.channel,
                channel: self.terms.channel,
            });
        }
        // Repeats are common and need no second look.
        if self.voucher.as_ref() == Some(voucher) {
            return Ok(());
        }
        self.check_kind(WHAT, &voucher.signature)?;
        match voucher.is_signed(self.terms.genesis, &self.terms.voucher_key) {
            true => Ok(()),
            false => Err(PaymentError::InvalidSignature { what: WHAT }),
        }
    }

    fn check_kind(
        &self,
        what: &'static str,
        signature: &VoucherSignature,
    ) -> Result<(), PaymentError> {
        match (&self.terms.voucher_key, signature) {
            (VoucherKey::Sr25519(_), VoucherSignature::Sr25519(_))
            | (VoucherKey::Ed25519(_), VoucherSignature::Ed25519(_)) => Ok(()),
            _ => Err(PaymentError::SignerMismatch { what }),
        }
    }

    /// The record of a voucher whose signature is right, if it is higher than the last.
    fn raise(&self, voucher: &SignedVoucher) -> Result<Option<Record>, PaymentError> {
        if voucher.cumulative <= self.accepted() {
            return Ok(None);
        }
        self.check_open()?;
        if voucher.cumulative > self.facts.deposit {
            return Err(PaymentError::ExceedsDeposit {
                cumulative: voucher.cumulative,
                deposit: self.facts.deposit,
            });
        }
        Ok(Some(Record::Voucher(*voucher)))
    }

    fn check_open(&self) -> Result<(), PaymentError> {
        match self.facts.state {
            ChannelState::Open => Ok(()),
            ChannelState::Closing { .. } => Err(PaymentError::ChannelClosing(self.terms.channel)),
            ChannelState::Closed => Err(PaymentError::ChannelClosed(self.terms.channel)),
        }
    }

    /// Takes requests, one per choice, and the voucher that pays for them: all of it or nothing. `offer` is the
    /// provider's price now. The effect has one [`Admission`] for each header.
    ///
    /// The voucher must pay for the prompt and at least one output token of each.
    pub fn admit(
        &mut self,
        voucher: &SignedVoucher,
        headers: &[SignedHeader],
        offer: &Price,
    ) -> Result<Step<'_, Self, Vec<Admission>>, PaymentError> {
        self.authorise(voucher)?;
        let mut admissions = Vec::with_capacity(headers.len());
        let mut begun: Vec<Record> = Vec::new();
        let (mut least, mut window) = (self.promised(), self.promised());
        for signed in headers {
            let (admission, is_new) = self.look_at(signed)?;
            let twice = admissions
                .iter()
                .any(|other: &Admission| other.seq == admission.seq);
            if twice {
                return Err(PaymentError::UsedSeq(admission.seq));
            }
            if is_new {
                check_offer(&signed.header, offer)?;
                let header = &signed.header;
                least = least.saturating_add(fee(header, 1));
                window = window.saturating_add(fee(header, window_end(header, 0)));
                begun.push(Record::Request(Request {
                    seq: admission.seq,
                    header: signed.clone(),
                    receipt: None,
                    ended: false,
                }));
            }
            admissions.push(admission);
        }
        // A repeat costs nothing, so neither the channel's state nor its money matters.
        let mut raised = None;
        if !begun.is_empty() {
            self.check_open()?;
            raised = self.raise(voucher)?;
            let accepted = self.accepted().max(voucher.cumulative);
            if accepted < least {
                return Err(PaymentError::Insufficient {
                    accepted,
                    required: window,
                });
            }
        }
        let step = Step::new(self, raised.into_iter().collect(), admissions);
        Ok(step.in_memory(begun))
    }

    /// Whether the header is for this channel and signed, and whether its number is new.
    fn look_at(&self, signed: &SignedHeader) -> Result<(Admission, bool), PaymentError> {
        const WHAT: &str = "request";
        let (header, terms) = (&signed.header, &self.terms);
        if header.version != FORMAT_VERSION {
            return Err(PaymentError::UnknownVersion(header.version));
        }
        let (channel, seq) = seq_of(header).ok_or(PaymentError::NotOfAChannel)?;
        if header.genesis != terms.genesis {
            return Err(PaymentError::WrongChain(header.genesis));
        }
        if channel != terms.channel {
            return Err(PaymentError::WrongChannel {
                named: channel,
                channel: terms.channel,
            });
        }
        if header.provider != terms.provider {
            return Err(PaymentError::WrongProvider);
        }
        if header.listing != terms.listing {
            return Err(PaymentError::WrongListing {
                named: header.listing,
                listing: terms.listing,
            });
        }
        self.check_kind(WHAT, &signed.signature)?;
        if !signed.is_signed(&terms.voucher_key) {
            return Err(PaymentError::InvalidSignature { what: WHAT });
        }
        let hash = header.hash();
        let admission = |answered| Admission {
            seq,
            hash,
            answered,
        };
        if seq < self.floor.seq {
            return Err(PaymentError::UsedSeq(seq));
        }
        match self.requests.get(&seq) {
            None => Ok((admission(None), true)),
            Some(entry) if entry.hash != hash => Err(PaymentError::UsedSeq(seq)),
            Some(_) if self.live.contains_key(&seq) => Err(PaymentError::StillRunning(seq)),
            Some(entry) => Ok((admission(entry.request.receipt.clone()), false)),
        }
    }
}

/// Whether the header can be served at this price.
fn check_offer(header: &Header, offer: &Price) -> Result<(), PaymentError> {
    if header.prompt_len == 0 || header.token_limit == 0 {
        return Err(PaymentError::Empty);
    }
    if let Task::Score { answer_at, .. } = header.task {
        let answer = header.prompt_len.checked_sub(answer_at);
        let fits = answer.is_some_and(|answer| header.token_limit <= answer);
        if answer_at == 0 || !fits || header.output_price != 0 {
            return Err(PaymentError::NoScore);
        }
    }
    header.sampling.validate().map_err(PaymentError::Sampling)?;
    let is_score = matches!(header.task, Task::Score { .. });
    if header.input_price < offer.input || (header.output_price < offer.output && !is_score) {
        return Err(PaymentError::PriceTooLow {
            input: offer.input,
            output: offer.output,
        });
    }
    header
        .fee(header.token_limit)
        .map(drop)
        .ok_or(PaymentError::FeeOverflow {
            prompt_len: header.prompt_len,
            token_limit: header.token_limit,
        })
}
