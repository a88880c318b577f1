//! Vouchers that one core verifies in a second.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use assay_channel::VoucherPair;
use assay_client::H256;

use crate::report::{Bar, Page};

const GENESIS: H256 = H256::repeat_byte(1);
const CHANNEL: H256 = H256::repeat_byte(2);
const LONG_ENOUGH: Duration = Duration::from_secs(1);
const DEMANDED: f64 = 10_000.0;

pub fn measure(page: &mut Page) {
    page.add("## Vouchers verified per second and core\n");
    let seed = [3; 32];
    let pairs = [
        ("sr25519", VoucherPair::sr25519(&seed)),
        ("ed25519", VoucherPair::ed25519(&seed)),
    ];
    let mut rows = Vec::new();
    for (name, pair) in pairs {
        let rate = rate(&pair);
        rows.push(vec![name.to_owned(), format!("{rate:.0}")]);
        page.bar(Bar {
            demand: format!("{name}: at least {DEMANDED:.0} vouchers/s and core"),
            measured: format!("{rate:.0}"),
            met: rate >= DEMANDED,
        });
    }
    page.table(&["key", "vouchers/s"], &rows);
}

fn rate(pair: &VoucherPair) -> f64 {
    let vouchers: Vec<_> = (0..256)
        .map(|amount| pair.sign_voucher(GENESIS, CHANNEL, amount))
        .collect();
    let key = pair.public();
    let began = Instant::now();
    let mut verified = 0.0;
    while began.elapsed() < LONG_ENOUGH {
        for voucher in &vouchers {
            assert!(black_box(voucher).is_signed(GENESIS, &key));
            verified += 1.0;
        }
    }
    verified / began.elapsed().as_secs_f64()
}
