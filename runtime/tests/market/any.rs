//! Any calls in any order.

use std::sync::atomic::{AtomicU64, Ordering};

use proptest::{collection::vec, prelude::*};

use crate::{
    blocks::{block, development, dispatch, open_market, Effect},
    plans::{block_plan, BlockPlan},
};

/// Unless `PROPTEST_CASES` says otherwise.
const DEFAULT_CASES: u32 = 128;

/// How many jobs and vouchers were settled.
fn play(plan: Vec<BlockPlan>) -> [u64; 2] {
    open_market();
    let (mut jobs, mut vouchers) = (0, 0);
    let mut note = |effect: Effect| {
        jobs += effect.settled;
        vouchers += effect.vouchers;
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
    for _ in 0..30 {
        note(block(true, || {}));
    }
    [jobs, vouchers]
}

#[test]
fn any_calls_in_any_order_leave_the_books_in_order() {
    let config = ProptestConfig {
        cases: DEFAULT_CASES,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let (jobs, vouchers) = (AtomicU64::new(0), AtomicU64::new(0));
    proptest!(config, |(plan in vec(block_plan(), 20..60))| {
        let settled = development().execute_with(|| play(plan));
        jobs.fetch_add(settled[0], Ordering::Relaxed);
        vouchers.fetch_add(settled[1], Ordering::Relaxed);
    });
    // Chance does settle both, or this test would look at a part of the market only.
    let (jobs, vouchers) = (jobs.into_inner(), vouchers.into_inner());
    println!("{jobs} jobs and {vouchers} vouchers were settled in all");
    assert!(jobs > 0 && vouchers > 0, "{jobs} jobs, {vouchers} vouchers");
}
