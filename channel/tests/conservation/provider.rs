//! The provider of the world, and what comes to it.

use assay_channel::{
    record::{PayeeRecord, PayerRecord},
    PaymentError, SignedHeader, SignedReceipt,
};
use assay_primitives::{Anchor, Finish, SignedVoucher, RECEIPT_TOKENS};
use sp_core::H256;

use crate::{
    disk::Crashed,
    world::{
        output_root, pick, remove, seq, sign, token, Chunk, Serving, Stream, ToPayee, ToPayer,
        World, PRICE,
    },
};

impl World {
    pub fn drop_message(&mut self, which: u8, to_payee: bool) {
        match to_payee {
            true => drop(remove(&mut self.to_payee, which)),
            false => drop(remove(&mut self.to_payer, which)),
        }
    }

    pub fn double(&mut self, which: u8) {
        let place = usize::from(which).checked_rem(self.to_payee.len());
        if let Some(message) = place.and_then(|place| self.to_payee.get(place)) {
            self.to_payee.push_back(message.clone());
        }
    }

    pub fn deliver_to_payee(&mut self, which: u8) {
        let Some(message) = remove(&mut self.to_payee, which) else {
            return;
        };
        match message {
            ToPayee::Voucher(voucher) => match self.payee.take_voucher(&voucher) {
                Ok(step) => {
                    if self.payee_disk.commit(step).is_err() {
                        self.restart_payee();
                    }
                }
                Err(refusal) => self.check_honest_refusal(&refusal),
            },
            ToPayee::Get(seq, held) => {
                let stored = self.payee.stored(seq).ok();
                self.to_payer.push_back(ToPayer::Stored(seq, held, stored));
            }
            ToPayee::Status => {
                let status = self.payee.status();
                self.to_payer.push_back(ToPayer::Status(status));
            }
            ToPayee::Request(headers, voucher) => self.admit(&headers, &voucher),
        }
    }

    pub fn admit(&mut self, headers: &[SignedHeader], voucher: &SignedVoucher) {
        let step = match self.payee.admit(voucher, headers, &PRICE) {
            Ok(step) => step,
            Err(PaymentError::StillRunning(_)) => return,
            Err(refusal) => {
                self.check_honest_refusal(&refusal);
                let status = self.payee.status();
                let seqs = headers.iter().map(seq).collect();
                self.to_payer.push_back(ToPayer::Refused(seqs, status));
                return;
            }
        };
        let admissions = match self.payee_disk.commit(step) {
            Ok(admissions) => admissions,
            Err(Crashed) => return self.restart_payee(),
        };
        for (admission, header) in admissions.into_iter().zip(headers) {
            let seq = admission.seq;
            let mut stream = Stream::default();
            match admission.answered {
                None => {
                    let serving = Serving {
                        tokens: Vec::new(),
                        sent: 0,
                        limit: header.header.token_limit,
                    };
                    self.serving.insert(seq, serving);
                }
                Some(receipt) => {
                    let length = receipt.receipt.output_len as usize;
                    stream.chunks.push_back(Chunk {
                        tokens: self.answers[&seq][..length].to_vec(),
                        receipt: Some(receipt),
                        last: true,
                    });
                    stream.closed = true;
                }
            }
            // Nobody listens to the second copy of a message.
            if self.client.get(&seq).is_some_and(Vec::is_empty) {
                self.streams.entry(seq).or_insert(stream);
            }
        }
    }

    pub fn check_honest_refusal(&self, refusal: &PaymentError) {
        use PaymentError::*;
        let explained = match refusal {
            Insufficient { .. } | UsedSeq(_) | ChannelClosing(_) | ChannelClosed(_) => true,
            // The provider sees a top-up later than the user.
            ExceedsDeposit { .. } => self.payee.facts().deposit < self.chain.deposit,
            _ => false,
        };
        assert!(explained, "an honest user is refused: {refusal}");
    }

    /// Signs and stores the next receipt, and only then hands it out.
    pub fn issue(&mut self, seq: u64, finish: Option<Finish>) -> Option<SignedReceipt> {
        let tokens = self.serving[&seq].tokens.clone();
        let anchor = Anchor {
            number: self.block,
            hash: H256::repeat_byte(5),
        };
        let root = output_root(&tokens);
        let draft = self.payee.draft(seq, anchor, root, finish).unwrap();
        let signature = sign(&draft.receipt);
        let step = self.payee.issue(draft, signature).unwrap();
        // In the same transaction as the record.
        let before = self.answers.insert(seq, tokens);
        match self.payee_disk.commit(step) {
            Ok(receipt) => Some(receipt),
            Err(Crashed) => {
                let written = self.payee_disk.history.get(&PayeeRecord::request_key(seq));
                let length = match written {
                    Some(PayeeRecord::Request(request)) => {
                        request.receipt.as_ref().map_or(0, |r| r.receipt.output_len)
                    }
                    _ => 0,
                };
                if let Some(before) = before {
                    if before.len() == length as usize {
                        self.answers.insert(seq, before);
                    }
                }
                self.restart_payee();
                None
            }
        }
    }

    /// One turn of the engine for one request: a receipt if one is due, then some tokens.
    pub fn work(&mut self, which: u8, tokens: u32, eos: bool) {
        if let Some(seq) = pick(&self.serving, which) {
            self.work_on(seq, tokens, eos);
        }
    }

    pub fn work_on(&mut self, seq: u64, tokens: u32, eos: bool) -> Option<()> {
        let mut receipt = None;
        if self.payee.due(seq) {
            receipt = Some(self.issue(seq, None)?);
        }
        let listening = self.streams.get(&seq).is_some_and(|stream| !stream.closed);
        let allowed = self.payee.allow(seq);
        let serving = self.serving.get_mut(&seq)?;
        let made = serving.tokens.len() as u32;
        let until_due = RECEIPT_TOKENS - made % RECEIPT_TOKENS;
        let count = match listening {
            true => tokens.min(allowed.saturating_sub(made)).min(until_due),
            false => 0,
        };
        self.payee.made(seq, count).unwrap();
        for place in made..made + count {
            serving.tokens.push(token(seq, place as usize));
        }
        let most = self.made.entry(seq).or_default();
        *most = (*most).max(made + count);
        let finish = match () {
            () if !listening => Some(Finish::Caller),
            () if made + count == serving.limit => Some(Finish::Length),
            () if eos && count > 0 => Some(Finish::Eos),
            () => None,
        };
        if finish.is_some() || self.payee.due(seq) {
            receipt = Some(self.issue(seq, finish)?);
        }
        self.send(seq, receipt, finish.is_some());
        Some(())
    }

    pub fn send(&mut self, seq: u64, receipt: Option<SignedReceipt>, last: bool) {
        let Some(serving) = self.serving.get_mut(&seq) else {
            return;
        };
        let tokens = serving.tokens[serving.sent..].to_vec();
        serving.sent = serving.tokens.len();
        if let Some(stream) = self.streams.get_mut(&seq) {
            stream.chunks.push_back(Chunk {
                tokens,
                receipt,
                last,
            });
            stream.closed |= last;
        }
        if last {
            self.serving.remove(&seq);
        }
    }

    /// The provider has waited long enough for a voucher.
    pub fn end_starved(&mut self, which: u8) {
        let Some(seq) = pick(&self.serving, which) else {
            return;
        };
        if let Some(receipt) = self.issue(seq, Some(Finish::Caller)) {
            self.send(seq, Some(receipt), true);
        }
    }

    pub fn forget(&mut self, payee: bool, anchored_before: u32) {
        let before = anchored_before.min(self.block);
        if payee {
            // Also what the user was away too long to fetch.
            match self.payee_disk.commit(self.payee.forget(before)) {
                Ok(kept) => self
                    .payee_disk
                    .delete_below(PayeeRecord::request_key(0), PayeeRecord::request_key(kept)),
                Err(Crashed) => self.restart_payee(),
            }
        } else {
            // Nothing is on its way for as long as a window, and nobody forgets what was not asked for once more.
            let open = self
                .payer
                .requests()
                .filter(|request| request.receipt.is_none());
            let open: Vec<u64> = open.map(|request| request.seq).collect();
            let is_late = |message: &ToPayee| match message {
                ToPayee::Request(headers, _) => headers.iter().any(|h| open.contains(&seq(h))),
                _ => false,
            };
            let is_served = |seq: &u64| {
                let stored = self.payee.stored(*seq);
                stored.is_ok_and(|stored| !stored.ended || stored.receipt.is_some())
            };
            if self.to_payee.iter().any(is_late) || open.iter().any(is_served) {
                return;
            }
            match self.payer_disk.commit(self.payer.forget(before)) {
                Ok(kept) => self
                    .payer_disk
                    .delete_below(PayerRecord::request_key(0), PayerRecord::request_key(kept)),
                Err(Crashed) => self.restart_payer(),
            }
        }
    }
}
