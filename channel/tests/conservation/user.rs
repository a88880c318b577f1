//! The user of the world, and what comes to it.

use assay_channel::{ChannelStatus, Phase, Recovery, SignedHeader, SignedReceipt, Taken};
use assay_primitives::TokenId;

use crate::{
    disk::Crashed,
    world::{ask, good, pick, seq, ToPayee, ToPayer, World, PARALLEL},
};

impl World {
    /// The number of the first choice, if it was ordered.
    pub fn order(&mut self, choices: usize, prompt_len: u32, limit: u32) -> Option<u64> {
        if self.client.len() + choices > PARALLEL || self.retired {
            return None;
        }
        let asks = vec![ask(prompt_len, limit, self.block); choices];
        let step = self.payer.order(&asks).ok()?;
        let Ok(order) = self.payer_disk.commit(step) else {
            self.restart_payer();
            return None;
        };
        for seq in &order.seqs {
            assert!(!self.made.contains_key(seq), "number {seq} is used twice");
            self.client.insert(*seq, Vec::new());
        }
        let message = ToPayee::Request(order.headers, order.voucher);
        self.to_payee.push_back(message);
        order.seqs.first().copied()
    }

    /// Reads the next chunk of a stream.
    pub fn read(&mut self, which: u8) {
        let Some(seq) = pick(&self.client, which) else {
            return;
        };
        let Some(stream) = self.streams.get_mut(&seq) else {
            return;
        };
        let Some(chunk) = stream.chunks.pop_front() else {
            if stream.closed {
                self.hang_up(seq);
            }
            return;
        };
        let Some(tokens) = self.client.get_mut(&seq) else {
            return;
        };
        tokens.extend(&chunk.tokens);
        let tokens = tokens.clone();
        if let Some(receipt) = chunk.receipt {
            if self
                .take_receipt(seq, receipt, &tokens, chunk.last)
                .is_none()
            {
                return;
            }
        }
        if chunk.last {
            self.client.remove(&seq);
            self.streams.remove(&seq);
        }
    }

    pub fn take_receipt(
        &mut self,
        seq: u64,
        receipt: SignedReceipt,
        tokens: &[TokenId],
        last: bool,
    ) -> Option<Taken> {
        let step = self
            .payer
            .receipt(seq, receipt, good(), tokens, last)
            .ok()?;
        let taken = match self.payer_disk.commit(step) {
            Ok(verdict) => verdict.expect("an honest provider was accused"),
            Err(Crashed) => {
                self.restart_payer();
                return None;
            }
        };
        self.pay()?;
        Some(taken)
    }

    pub fn pay(&mut self) -> Option<()> {
        if let Some(step) = self.payer.voucher() {
            match self.payer_disk.commit(step) {
                Ok(voucher) => self.to_payee.push_back(ToPayee::Voucher(voucher)),
                Err(Crashed) => {
                    self.restart_payer();
                    return None;
                }
            }
        }
        Some(())
    }

    pub fn hang_up_some(&mut self, which: u8) {
        if let Some(seq) = pick(&self.client, which) {
            self.hang_up(seq);
        }
    }

    pub fn hang_up(&mut self, seq: u64) {
        self.client.remove(&seq);
        self.streams.remove(&seq);
        if let Ok(step) = self.payer.cut(seq) {
            if self.payer_disk.commit(step).is_err() {
                self.restart_payer();
            }
        }
    }

    pub fn unsettled(&self) -> Vec<SignedHeader> {
        let open = self.payer.requests().filter(|request| {
            let settled = request.phase == Phase::Ended && request.receipt.is_some();
            !settled && !self.client.contains_key(&request.seq)
        });
        open.map(|request| request.header.clone()).collect()
    }

    /// Asks for the last receipt of a request that was cut.
    pub fn ask_for_receipt(&mut self, which: u8) {
        let open = self.unsettled();
        let place = usize::from(which).checked_rem(open.len());
        if let Some(header) = place.and_then(|place| open.get(place)) {
            self.get(seq(header));
        }
    }

    pub fn get(&mut self, seq: u64) {
        let request = self.payer.request(seq);
        let held = request.is_some_and(|request| request.receipt.is_some());
        self.to_payee.push_back(ToPayee::Get(seq, held));
    }

    /// A receipt that is missing here comes no more.
    pub fn retire(&mut self) {
        self.retired = true;
        self.request_close();
    }

    /// Sends the same header again.
    pub fn repeat(&mut self, which: u8) {
        let open = self.unsettled();
        let place = usize::from(which).checked_rem(open.len());
        let Some(header) = place.and_then(|place| open.get(place)) else {
            return;
        };
        if self.client.len() < PARALLEL {
            self.client.insert(seq(header), Vec::new());
            let voucher = self.payer.proof();
            let message = ToPayee::Request(vec![header.clone()], voucher);
            self.to_payee.push_back(message);
        }
    }

    pub fn ask_for_status(&mut self) {
        self.to_payee.push_back(ToPayee::Status);
    }

    pub fn recover(&mut self, status: &ChannelStatus) {
        match self.payer.recover(status) {
            Recovery::InStep => {}
            Recovery::Resend(voucher) => self.to_payee.push_back(ToPayee::Voucher(voucher)),
            Recovery::Fetch(seqs) => {
                let seqs = seqs.into_iter().filter(|s| !self.client.contains_key(s));
                for seq in seqs.collect::<Vec<_>>() {
                    self.get(seq);
                }
            }
            Recovery::Forgotten => self.retire(),
            Recovery::GiveUp(caught) => panic!("an honest provider is given up: {caught}"),
        }
    }

    pub fn deliver_to_payer(&mut self, which: u8) {
        let place = usize::from(which).checked_rem(self.to_payer.len());
        let Some(message) = place.and_then(|place| self.to_payer.remove(place)) else {
            return;
        };
        match message {
            ToPayer::Refused(seqs, status) => {
                for seq in seqs {
                    let waiting = self.client.contains_key(&seq);
                    if waiting && !self.streams.contains_key(&seq) {
                        self.hang_up(seq);
                    }
                }
                self.recover(&status);
            }
            ToPayer::Status(status) => self.recover(&status),
            ToPayer::Stored(seq, was_held, stored) => {
                // A newer connection knows better.
                if self.client.contains_key(&seq) {
                    return;
                }
                let Some(request) = self.payer.request(seq) else {
                    return;
                };
                let (is_held, is_cut) = (request.receipt.is_some(), request.phase == Phase::Cut);
                let (receipt, ended) = match stored {
                    Some(stored) => (stored.receipt, stored.ended),
                    None => (None, true),
                };
                match receipt {
                    Some(receipt) => {
                        self.take_receipt(seq, receipt, &[], ended);
                    }
                    None if was_held && is_cut => self.retire(),
                    // With a receipt held by now, this was said before it came.
                    None if ended && !is_held => {
                        let step = self.payer.ended(seq).unwrap();
                        if self.payer_disk.commit(step).is_err() {
                            self.restart_payer();
                        }
                    }
                    None => {}
                }
            }
        }
    }
}
