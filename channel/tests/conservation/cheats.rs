//! A user that lies: every lie is refused, and changes nothing.

use assay_channel::{record::PayeeRecord, ChannelState, Facts, Payer, PaymentError, VoucherPair};
use sp_core::H256;

use crate::world::{ask, pair, terms, World, PRICE};

impl World {
    pub fn cheat(&mut self, kind: u8, which: u8) {
        let (genesis, channel) = (terms().genesis, terms().channel);
        let thief = VoucherPair::ed25519(&[9; 32]);
        let known = self.payee.facts().deposit;
        let before = (self.payee.status(), self.payee.live().collect::<Vec<_>>());
        let fresh = 1_000_000 + u64::from(which);
        let header = |seq: u64, pair: &VoucherPair| {
            let mut other = Payer::restore(terms(), pair.clone(), u128::MAX, []);
            let open = Facts {
                deposit: u128::MAX,
                settled: 0,
                state: ChannelState::Open,
            };
            other.observe(open).persisted().unwrap();
            let order = other.order(&[ask(1, 199, self.block)]).unwrap().persisted();
            let mut header = order.headers[0].header.clone();
            header.claim = assay_primitives::Claim::Channel { id: channel, seq };
            pair.sign_header(header)
        };
        let vouchers = match kind % 6 {
            0 => thief.sign_voucher(genesis, channel, known),
            1 => pair().sign_voucher(H256::zero(), channel, known),
            2 => pair().sign_voucher(genesis, H256::zero(), known),
            3 => pair().sign_voucher(genesis, channel, known + 1),
            _ => self.payer.proof(),
        };
        match kind % 6 {
            0..=3 => assert!(self.payee.take_voucher(&vouchers).is_err()),
            4 => {
                // A number that was used, and money that is there.
                let used = self.payee_disk.history.keys().next_back();
                if let Some(PayeeRecord::Request(request)) =
                    used.and_then(|key| self.payee_disk.history.get(key))
                {
                    let again = header(request.seq, &pair());
                    if again.header.hash() != request.header.header.hash() {
                        let refused = self.payee.admit(&vouchers, &[again], &PRICE);
                        assert_eq!(refused.map(drop), Err(PaymentError::UsedSeq(request.seq)));
                    }
                }
            }
            _ => {
                let forged = header(fresh, &thief);
                assert!(self.payee.admit(&vouchers, &[forged], &PRICE).is_err());
            }
        }
        let after = (self.payee.status(), self.payee.live().collect::<Vec<_>>());
        assert_eq!(after, before, "a refused message changed something");
    }
}
