//! How many vouchers one core verifies in a second, for both kinds of key.

use std::{hint::black_box, time::Instant};

use assay_channel::VoucherPair;
use sp_core::H256;

const BAR: f64 = 10_000.0;
const VOUCHERS: u32 = 2_000;
const ROUNDS: u32 = 5;

fn main() {
    let genesis = H256::repeat_byte(1);
    let channel = H256::repeat_byte(2);
    println!("key       vouchers/s on one core   of {BAR:.0}");
    for (name, pair) in [
        ("sr25519", VoucherPair::sr25519(&[3; 32])),
        ("ed25519", VoucherPair::ed25519(&[3; 32])),
    ] {
        let key = pair.public();
        let vouchers: Vec<_> = (0..VOUCHERS)
            .map(|number| pair.sign_voucher(genesis, channel, number.into()))
            .collect();
        // The best of some rounds: others work on the machine too.
        let best = (0..ROUNDS)
            .map(|_| {
                let start = Instant::now();
                for voucher in &vouchers {
                    assert!(black_box(voucher).is_signed(genesis, &key));
                }
                f64::from(VOUCHERS) / start.elapsed().as_secs_f64()
            })
            .fold(0.0, f64::max);
        println!("{name}   {best:>22.0}   {:.1} times", best / BAR);
    }
}
