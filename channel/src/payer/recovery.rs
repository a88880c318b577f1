//! Streams that broke off, and books that differ.

use assay_primitives::SignedVoucher;

use super::{
    is_settled,
    record::{Record, Request},
    Caught, Payer, PayerError, Phase,
};
use crate::{step::Step, wire::ChannelStatus};

/// What to do when the provider's books and the user's differ.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Recovery {
    /// The books agree, or differ by what is under way. Try again in a moment; give up if it stays so.
    InStep,
    /// The provider lost the highest voucher, or never got it: send it again.
    Resend(SignedVoucher),
    /// The provider has receipts that are missing here: fetch those of these requests, give each to
    /// [`Payer::receipt`], and tell [`Payer::ended`] of those of which the provider has none. Then ask again. If none of
    /// them is known to it, it has forgotten what is missing, as with [`Self::Forgotten`].
    Fetch(Vec<u64>),
    /// What is missing here may be the receipts of requests that both sides have forgotten. Buy nothing more in this
    /// channel, and close it: its sums never meet again, and that is nobody's fault.
    Forgotten,
    /// No receipt explains what the provider says: [`Payer::give_up`].
    GiveUp(Caught),
}

impl Payer {
    /// The stream of a request broke off, or was cancelled, before its last receipt: nothing more is paid ahead.
    pub fn cut(&mut self, seq: u64) -> Result<Step<'_, Self, ()>, PayerError> {
        self.set_phase(seq, Phase::Cut)
    }

    /// No receipt follows the one that is held; or none is held, and the provider does not know the request or ended
    /// it without one. Where one is held and the provider knows nothing of the request, it has forgotten it, and its last
    /// receipt may be over more: leave that request cut, so that nobody is blamed for what it came to.
    pub fn ended(&mut self, seq: u64) -> Result<Step<'_, Self, ()>, PayerError> {
        self.set_phase(seq, Phase::Ended)
    }

    fn set_phase(&mut self, seq: u64, phase: Phase) -> Result<Step<'_, Self, ()>, PayerError> {
        let request = self.requests.get(&seq);
        let request = request.ok_or(PayerError::UnknownRequest(seq))?;
        let over = request.phase == Phase::Ended || request.phase == phase;
        let record = (!over).then(|| {
            Record::Request(Request {
                phase,
                ..request.clone()
            })
        });
        Ok(Step::new(self, record.into_iter().collect(), ()))
    }

    /// What to do about a status that came with a refusal, or was asked for after a break.
    pub fn recover(&self, status: &ChannelStatus) -> Recovery {
        if status.spent > self.spent() {
            let open = self.requests.values().filter(|r| !is_settled(r));
            let open: Vec<u64> = open.map(|request| request.seq).collect();
            return match open.is_empty() {
                false => Recovery::Fetch(open),
                true if self.is_old => Recovery::InStep,
                true if status.spent <= self.spent().saturating_add(self.doubted) => {
                    Recovery::Forgotten
                }
                true => Recovery::GiveUp(Caught::Overclaimed {
                    claimed: status.spent,
                    receipted: self.spent(),
                }),
            };
        }
        match self.voucher {
            Some(voucher) if status.accepted < voucher.cumulative => Recovery::Resend(voucher),
            _ => Recovery::InStep,
        }
    }
}
