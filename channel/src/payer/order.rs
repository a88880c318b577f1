//! What is bought, and the vouchers that pay for it.

use assay_primitives::{Balance, Claim, Price, Sampling, SignedVoucher, Task, FORMAT_VERSION};
use sp_core::H256;

use super::{
    ceiling,
    record::{Record, Request},
    Payer, PayerError, Phase,
};
use crate::{step::Step, Header, SignedHeader};

/// What to ask for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ask {
    /// 32 random bytes for this request alone.
    pub secret: [u8; 32],
    /// The prompt's root, salted with `secret`.
    pub prompt_root: H256,
    pub prompt_len: u32,
    pub task: Task,
    pub sampling: Sampling,
    /// The most output tokens; of a score, how many of the answer's are looked at.
    pub token_limit: u32,
    /// The provider's offer; for a score without a price of output.
    pub price: Price,
    /// The last finalized block that the user has seen: no receipt builds on one that is much older.
    pub since: u32,
}

/// What to send: one header per choice, and the voucher that pays for all of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Order {
    pub headers: Vec<SignedHeader>,
    /// The number of each header.
    pub seqs: Vec<u64>,
    pub voucher: SignedVoucher,
}

impl Payer {
    /// Orders one answer for each of `asks`: all of them or none.
    pub fn order(&mut self, asks: &[Ask]) -> Result<Step<'_, Self, Order>, PayerError> {
        self.check_usable()?;
        let (mut records, mut headers, mut seqs) = (Vec::new(), Vec::new(), Vec::new());
        let mut needed = self.rule();
        for (seq, ask) in (self.next_seq()..).zip(asks) {
            let header = self.header(seq, ask);
            let most = header.fee(header.token_limit);
            most.ok_or(PayerError::FeeOverflow)?;
            let header = self.pair.sign_header(header);
            let request = Request {
                seq,
                header: header.clone(),
                secret: ask.secret,
                receipt: None,
                phase: Phase::Live,
                since: ask.since,
            };
            needed = needed.saturating_add(ceiling(&request));
            records.push(Record::Request(request));
            headers.push(header);
            seqs.push(seq);
        }
        if needed > self.limit() {
            return Err(PayerError::Short {
                needed,
                limit: self.limit(),
            });
        }
        let voucher = match self.voucher {
            Some(voucher) if voucher.cumulative >= needed => voucher,
            _ => {
                let voucher = self.sign(needed);
                records.push(Record::Voucher(voucher));
                voucher
            }
        };
        let order = Order {
            headers,
            seqs,
            voucher,
        };
        Ok(Step::new(self, records, order))
    }

    fn header(&self, seq: u64, ask: &Ask) -> Header {
        let id = self.terms.channel;
        Header {
            version: FORMAT_VERSION,
            genesis: self.terms.genesis,
            claim: Claim::Channel { id, seq },
            provider: self.terms.provider,
            listing: self.terms.listing,
            prompt_root: ask.prompt_root,
            prompt_len: ask.prompt_len,
            task: ask.task,
            sampling: ask.sampling,
            token_limit: ask.token_limit,
            input_price: ask.price.input,
            output_price: ask.price.output,
        }
    }

    /// The voucher to sign and send now, if the rule gives more than the last one; as far as deposit and budget
    /// reach.
    pub fn voucher(&mut self) -> Option<Step<'_, Self, SignedVoucher>> {
        self.check_usable().ok()?;
        let cumulative = self.rule().min(self.limit());
        if cumulative <= self.cumulative() {
            return None;
        }
        let voucher = self.sign(cumulative);
        Some(Step::new(self, vec![Record::Voucher(voucher)], voucher))
    }

    /// By how much deposit or budget fall short of what live requests need; zero if they do not.
    pub fn shortfall(&self) -> Balance {
        self.rule().saturating_sub(self.limit())
    }
}
