//! What must hold after every event, by rules that are written down here a second time.

use std::collections::BTreeMap;

use assay_channel::{
    record::{PayeeRecord, PayeeRequest, PayerRecord, PayerRequest},
    Phase,
};
use assay_primitives::{RECEIPT_TOKENS, WINDOW_TOKENS};

use crate::world::{cost, World};

impl World {
    pub fn payee_requests(&self) -> impl Iterator<Item = &PayeeRequest> {
        let rows = self.payee_disk.history.values();
        rows.filter_map(|row| match row {
            PayeeRecord::Request(request) => Some(request),
            _ => None,
        })
    }

    pub fn payer_requests(&self) -> impl Iterator<Item = &PayerRequest> {
        let rows = self.payer_disk.history.values();
        rows.filter_map(|row| match row {
            PayerRecord::Request(request) => Some(request),
            _ => None,
        })
    }

    /// The sum of the fees in the last receipts that the provider ever wrote.
    pub fn earned(&self) -> u128 {
        let receipts = self.payee_requests().filter_map(|r| r.receipt.as_ref());
        receipts.map(|signed| signed.receipt.fee).sum()
    }

    /// Requests whose last receipt the provider has forgotten before it came to the user, and what each cost beyond the
    /// one that did.
    pub fn missed(&self) -> BTreeMap<u64, u128> {
        let held: BTreeMap<u64, u128> = self
            .payer_requests()
            .filter_map(|request| Some((request.seq, request.receipt.as_ref()?.receipt.fee)))
            .collect();
        let forgotten = self.payee_requests().filter_map(|request| {
            let fee = request.receipt.as_ref()?.receipt.fee;
            let missed = fee - held.get(&request.seq).copied().unwrap_or(0);
            let is_missed = missed > 0 && self.payee.stored(request.seq).is_err();
            is_missed.then_some((request.seq, missed))
        });
        forgotten.collect()
    }

    pub fn accepted_on_disk(&self) -> u128 {
        let vouchers = self
            .payee_disk
            .history
            .values()
            .filter_map(|row| match row {
                PayeeRecord::Voucher(voucher) => Some(voucher.cumulative),
                _ => None,
            });
        vouchers.max().unwrap_or(0)
    }

    pub fn signed_on_disk(&self) -> u128 {
        let vouchers = self
            .payer_disk
            .history
            .values()
            .filter_map(|row| match row {
                PayerRecord::Voucher(voucher) => Some(voucher.cumulative),
                _ => None,
            });
        vouchers.max().unwrap_or(0)
    }

    /// The payer's rule.
    pub fn rule(&self) -> u128 {
        let parts = self.payer_requests().map(|request| {
            let receipt = request.receipt.as_ref().map(|signed| &signed.receipt);
            let length = receipt.map_or(0, |receipt| receipt.output_len);
            let limit = request.header.header.token_limit;
            match (request.phase, receipt) {
                (Phase::Live, _) if !self.before.1.contains(&request.seq) => {
                    cost(&request.header, limit.min(length + WINDOW_TOKENS))
                }
                (_, Some(receipt)) => receipt.fee,
                (_, None) => 0,
            }
        });
        parts.sum()
    }

    /// Before an event.
    pub fn begin(&mut self) {
        self.before = (self.signed_on_disk(), self.cut_by_death.clone());
    }

    /// After it.
    pub fn check(&self) {
        let earned = self.earned();
        let (accepted, signed) = (self.accepted_on_disk(), self.signed_on_disk());
        assert_eq!(self.payee.spent(), earned, "the provider's sum");
        assert!(self.chain.settled <= earned, "claimed more than earned");
        assert!(earned <= accepted, "receipts are over what vouchers pay");
        assert!(accepted <= signed, "accepted a voucher that was not signed");
        assert!(signed <= self.chain.deposit, "signed more than the deposit");
        assert_eq!(self.payee.status().accepted, accepted);
        assert!(
            signed == self.before.0 || signed <= self.rule(),
            "a voucher of {signed} is above the rule's {}",
            self.rule()
        );
        assert!(self.payer.evidence().is_none());
        for request in self.payer_requests() {
            let Some(held) = &request.receipt else {
                continue;
            };
            // Whatever the user was shown, the provider has on disk.
            let key = PayeeRecord::request_key(request.seq);
            let Some(PayeeRecord::Request(own)) = self.payee_disk.history.get(&key) else {
                panic!("a receipt of request {} is nowhere", request.seq);
            };
            let own = own.receipt.as_ref().expect("the provider's receipt");
            assert!(own.receipt.output_len >= held.receipt.output_len);
            assert_eq!(own.receipt.header, held.receipt.header);
        }
        let held = self.payer_requests().filter_map(|r| r.receipt.as_ref());
        let held: u128 = held.map(|signed| signed.receipt.fee).sum();
        assert_eq!(self.payer.spent(), held, "the user's sum");
        let mut work = 0;
        for request in self.payee_requests() {
            let Some(receipt) = &request.receipt else {
                continue;
            };
            let length = receipt.receipt.output_len;
            let made = self.made.get(&request.seq).copied().unwrap_or(0);
            let open = made - length;
            // What a crash has lost is paid no more.
            let live = self.serving.contains_key(&request.seq);
            work += cost(&request.header, if live { made } else { length });
            // One increment, and none if the request ended in order.
            let most = if request.ended { 0 } else { RECEIPT_TOKENS };
            assert!(open <= most, "{open} tokens of {} unpaid", request.seq);
        }
        assert!(work <= accepted, "tokens were made that no voucher pays");
    }
}
