//! Any calls in any order.

use std::sync::atomic::{AtomicU64, Ordering};

use proptest::{collection::vec, prelude::*};

use crate::{
    blocks::{block, development, dispatch, open_market, Effect},
    plans::{block_plan, BlockPlan},
};

/// Unless `PROPTEST_CASES` says otherwise.
const DEFAULT_CASES: u32 = 128;

/// How many there were of each: settled jobs, settled vouchers, convictions, acquittals.
fn play(plan: Vec<BlockPlan>) -> [u64; 4] {
    open_market();
    let mut counts = [0; 4];
    let mut note = |effect: Effect| {
        let of_block = [
            effect.settled,
            effect.vouchers,
            effect.convictions,
            effect.acquittals,
        ];
        for (count, more) in counts.iter_mut().zip(of_block) {
            *count += more;
        }
    };
    for (author_gives_randomness, transactions) in plan {
        note(block(author_gives_randomness, || {
            for (who, act) in transactions {
                if let Some((sender, call)) = act.call(&who.to_account_id()) {
                    // Refusals are part of the game; they must leave no trace.
                    let _ = dispatch(&sender, call);
                }
            }
        }));
    }
    // Beyond every deadline, window and release, though not beyond the records' removal.
    for _ in 0..45 {
        note(block(true, || {}));
    }
    counts
}

#[test]
fn any_calls_in_any_order_leave_the_books_in_order() {
    let config = ProptestConfig {
        cases: DEFAULT_CASES,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let all = [const { AtomicU64::new(0) }; 4];
    proptest!(config, |(plan in vec(block_plan(), 20..60))| {
        let counts = development().execute_with(|| play(plan));
        for (sum, count) in all.iter().zip(counts) {
            sum.fetch_add(count, Ordering::Relaxed);
        }
    });
    // Chance does bring about each, or this test would look at a part of the market only.
    let [jobs, vouchers, convictions, acquittals] = all.map(AtomicU64::into_inner);
    let said = format!(
        "{jobs} jobs and {vouchers} vouchers settled, {convictions} convictions, {acquittals} acquittals"
    );
    println!("{said}");
    assert!(
        jobs > 0 && vouchers > 0 && convictions > 0 && acquittals > 0,
        "{said}"
    );
}
