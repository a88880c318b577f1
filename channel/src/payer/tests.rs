use assay_primitives::{Finish, Price, Receipt, Task, TokenId};
use codec::{Decode, Encode};
use sp_core::H256;

use super::*;
use crate::{fixture::*, ChannelStatus, SignedReceipt, ANCHOR_AGE};

const FIRST: Balance = 6 + 640;

fn ordered() -> (Payer, Receipt) {
    let mut payer = payer();
    let order = payer.order(&[ask(&[1, 2, 3], 100)]).unwrap().persisted();
    let receipt = Receipt {
        header: order.headers[0].header.hash(),
        anchor: ANCHOR,
        output_len: 0,
        output_root: root(&[]),
        finish: Finish::Caller,
        fee: 6,
    };
    (payer, receipt)
}

fn over(receipt: &Receipt, tokens: &[TokenId]) -> Receipt {
    Receipt {
        output_len: tokens.len() as u32,
        output_root: root(tokens),
        fee: 6 + 10 * tokens.len() as Balance,
        ..receipt.clone()
    }
}

fn signed(receipt: Receipt) -> SignedReceipt {
    SignedReceipt {
        signature: sign(&receipt),
        receipt,
    }
}

fn tokens(count: u32) -> Vec<TokenId> {
    (0..count).collect()
}

fn take(
    payer: &mut Payer,
    receipt: Receipt,
    tokens: &[TokenId],
    last: bool,
) -> Result<Taken, Caught> {
    let step = payer.receipt(0, signed(receipt), good(), tokens, last);
    step.unwrap().persisted()
}

#[test]
fn vouchers_stay_one_window_ahead_of_receipts() {
    let (mut payer, receipt) = ordered();
    assert_eq!(payer.highest().unwrap().cumulative, FIRST);
    assert_eq!(payer.spent(), 0);
    take(&mut payer, receipt.clone(), &[], false).unwrap();
    assert!(payer.voucher().is_none());
    let some = tokens(32);
    take(&mut payer, over(&receipt, &some), &some, false).unwrap();
    let voucher = payer.voucher().unwrap().persisted();
    assert_eq!(voucher.cumulative, 6 + 960);
    assert!(voucher.is_signed(terms().genesis, &terms().voucher_key));
    assert!(payer.voucher().is_none());
    // Near the token limit the window is shorter.
    let more = tokens(64);
    take(&mut payer, over(&receipt, &more), &more, false).unwrap();
    assert_eq!(payer.voucher().unwrap().persisted().cumulative, 1_006);
    let all = tokens(70);
    take(&mut payer, over(&receipt, &all), &all, true).unwrap();
    assert_eq!(payer.spent(), 706);
    assert!(payer.voucher().is_none());
    // What was paid ahead is used by the next request.
    let order = payer.order(&[ask(&[1], 20)]).unwrap().persisted();
    assert_eq!(order.seqs, [1]);
    assert_eq!(order.voucher.cumulative, 1_006);
    let order = payer.order(&[ask(&[1], 64)]).unwrap().persisted();
    assert_eq!(order.voucher.cumulative, 706 + 202 + 642);
}

#[test]
fn several_choices_are_ordered_under_one_voucher() {
    let mut payer = payer();
    let order = payer.order(&[ask(&[1], 1), ask(&[1], 1)]).unwrap();
    assert_eq!(order.records().len(), 3);
    let order = order.persisted();
    assert_eq!(order.seqs, [0, 1]);
    assert_eq!(order.voucher.cumulative, 24);
    assert!(order
        .headers
        .iter()
        .all(|h| h.is_signed(&terms().voucher_key)));
}

#[test]
fn deposit_and_budget_bound_every_voucher() {
    let mut payer = payer();
    payer.set_budget(FIRST);
    let refused = payer.order(&[ask(&[1, 2, 3], 100), ask(&[1], 1)]);
    let short = PayerError::Short {
        needed: FIRST + 12,
        limit: FIRST,
    };
    assert_eq!(refused.map(drop), Err(short));
    let order = payer.order(&[ask(&[1, 2, 3], 100)]).unwrap().persisted();
    let receipt = Receipt {
        header: order.headers[0].header.hash(),
        ..ordered().1
    };
    let some = tokens(32);
    take(&mut payer, over(&receipt, &some), &some, false).unwrap();
    assert!(payer.voucher().is_none());
    assert_eq!(payer.shortfall(), 320);
    payer.set_budget(FIRST + 100);
    assert_eq!(payer.voucher().unwrap().persisted().cumulative, FIRST + 100);
    payer.set_budget(Balance::MAX);
    assert_eq!(payer.voucher().unwrap().persisted().cumulative, FIRST + 320);
    let mut poor = Payer::restore(terms(), pair(), Balance::MAX, []);
    let facts = Facts {
        deposit: FIRST - 1,
        ..open(0)
    };
    poor.observe(facts).persisted().unwrap();
    assert!(poor.order(&[ask(&[1, 2, 3], 100)]).is_err());
}

// ---- after a crash

fn reload(rows: &[Record]) -> Payer {
    let mut disk = BTreeMap::new();
    for row in rows {
        disk.insert(row.key(), row.encode());
    }
    let rows = disk
        .values()
        .map(|row| Record::decode(&mut &row[..]).unwrap());
    let mut payer = Payer::restore(terms(), pair(), Balance::MAX, rows);
    payer.observe(open(0)).persisted().unwrap();
    payer
}

#[test]
fn a_number_is_never_used_again_and_the_highest_voucher_is_known() {
    let mut payer = payer();
    let step = payer.order(&[ask(&[1, 2, 3], 100)]).unwrap();
    let rows = step.records().to_vec();
    step.persisted();
    let mut again = reload(&rows);
    assert_eq!(again.highest().unwrap().cumulative, FIRST);
    assert_eq!(again.request(0).unwrap().phase, Phase::Cut);
    // Nothing more is paid ahead for what was cut.
    assert!(again.voucher().is_none());
    let order = again.order(&[ask(&[1, 2, 3], 100)]).unwrap().persisted();
    assert_eq!(order.seqs, [1]);
    assert_eq!(order.voucher.cumulative, FIRST);
}

#[test]
fn numbers_stay_used_when_their_requests_are_forgotten() {
    let (mut payer, receipt) = ordered();
    assert_eq!(payer.forget(1_000).persisted(), 0);
    take(&mut payer, receipt, &[], true).unwrap();
    assert_eq!(payer.forget(1_000).persisted(), 0, "it is not claimed");
    payer.observe(open(5)).persisted().unwrap();
    assert_eq!(payer.forget(1_000).persisted(), 0, "not all of it");
    payer.observe(open(6)).persisted().unwrap();
    assert_eq!(payer.forget(ANCHOR.number).persisted(), 0);
    let step = payer.forget(ANCHOR.number + 1);
    let rows = step.records().to_vec();
    assert_eq!(step.persisted(), 1);
    assert_eq!(payer.spent(), 6);
    assert_eq!(payer.requests().count(), 0);
    let mut again = reload(&rows);
    assert_eq!(again.spent(), 6);
    let order = again.order(&[ask(&[1], 1)]).unwrap().persisted();
    assert_eq!(order.seqs, [1]);
}

#[test]
fn after_a_cut_the_last_receipt_may_be_one_window_ahead_of_the_tokens() {
    let (mut payer, receipt) = ordered();
    let some = tokens(32);
    take(&mut payer, over(&receipt, &some), &some, false).unwrap();
    payer.voucher().unwrap().persisted();
    payer.cut(0).unwrap().persisted();
    // A running one says that the provider has not noticed yet.
    let ahead = over(&receipt, &tokens(96));
    let running = take(&mut payer, ahead.clone(), &some, false);
    assert_eq!(running, Ok(Taken::TokensMissing));
    assert_eq!(payer.spent(), 326);
    assert_eq!(
        take(&mut payer, ahead.clone(), &some, true),
        Ok(Taken::Held)
    );
    assert_eq!(payer.spent(), 966);
    assert_eq!(payer.request(0).unwrap().phase, Phase::Ended);
    // The same again is no news; a longer one is too late.
    assert_eq!(take(&mut payer, ahead, &some, true), Ok(Taken::Old));
    let caught = take(&mut payer, over(&receipt, &tokens(97)), &some, true);
    let ahead = Caught::Ahead {
        signed: 97,
        sent: 32,
    };
    assert_eq!(caught, Err(ahead));
}

/// While several requests are live the provider may use for one what was meant for another, and not know that the
/// first was cut.
#[test]
fn beyond_one_window_the_tokens_themselves_are_asked_for() {
    let (mut payer, receipt) = ordered();
    payer.order(&[ask(&[1], 100)]).unwrap().persisted();
    payer.cut(0).unwrap().persisted();
    let all = tokens(70);
    let long = over(&receipt, &all);
    let taken = take(&mut payer, long.clone(), &[], true);
    assert_eq!(taken, Ok(Taken::TokensMissing));
    assert_eq!(
        (payer.spent(), payer.request(0).unwrap().phase),
        (0, Phase::Cut)
    );
    assert_eq!(take(&mut payer, long, &all, true), Ok(Taken::Held));
    assert_eq!(
        (payer.spent(), payer.request(0).unwrap().phase),
        (706, Phase::Ended)
    );
}

#[test]
fn after_a_cut_more_than_was_paid_is_a_fault() {
    let (mut payer, receipt) = ordered();
    payer.cut(0).unwrap().persisted();
    let caught = take(&mut payer, over(&receipt, &tokens(65)), &[], true);
    assert_eq!(
        caught,
        Err(Caught::Ahead {
            signed: 65,
            sent: 0
        })
    );
}

// ---- recovery

fn status(accepted: Balance, spent: Balance) -> ChannelStatus {
    ChannelStatus {
        deposit: DEPOSIT,
        settled: 0,
        accepted,
        spent,
    }
}

/// mppx#200: an underfunded channel is recovered, and never by paying above the rule.
#[test]
fn differences_are_resolved_by_receipts_alone() {
    let (mut payer, receipt) = ordered();
    assert_eq!(payer.recover(&status(FIRST, 0)), Recovery::InStep);
    let resend = Recovery::Resend(*payer.highest().unwrap());
    assert_eq!(payer.recover(&status(FIRST - 1, 0)), resend);
    assert_eq!(payer.recover(&status(FIRST, 6)), Recovery::Fetch(vec![0]));
    payer.cut(0).unwrap().persisted();
    assert_eq!(payer.recover(&status(FIRST, 36)), Recovery::Fetch(vec![0]));
    take(&mut payer, over(&receipt, &[5, 6, 7]), &[5, 6], true).unwrap();
    assert_eq!(payer.recover(&status(FIRST, 36)), Recovery::InStep);
    let caught = Caught::Overclaimed {
        claimed: 37,
        receipted: 36,
    };
    assert_eq!(payer.recover(&status(FIRST, 37)), Recovery::GiveUp(caught));
}

#[test]
fn a_request_that_the_provider_does_not_know_is_over() {
    let (mut payer, receipt) = ordered();
    payer.ended(0).unwrap().persisted();
    assert_eq!(payer.recover(&status(FIRST, 0)), Recovery::InStep);
    assert_eq!(payer.forget(1_000).persisted(), 0);
    // It may have come late.
    assert_eq!(payer.recover(&status(FIRST, 26)), Recovery::Fetch(vec![0]));
    take(&mut payer, over(&receipt, &[1, 2]), &[], true).unwrap();
    assert_eq!(payer.recover(&status(FIRST, 26)), Recovery::InStep);
    payer.observe(open(26)).persisted().unwrap();
    assert_eq!(payer.forget(1_000).persisted(), 1);
}

#[test]
fn who_has_no_receipt_is_asked_for_before_it_is_forgotten() {
    let (mut payer, first) = ordered();
    let order = payer.order(&[ask(&[1, 2, 3], 100)]).unwrap().persisted();
    payer.ended(0).unwrap().persisted();
    assert_eq!(payer.doubtful(1_000), [0; 0], "nothing takes it along");
    let header = order.headers[0].header.hash();
    let receipt = Receipt { header, ..first };
    payer
        .receipt(1, signed(receipt), good(), &[], true)
        .unwrap()
        .persisted()
        .unwrap();
    assert_eq!(payer.doubtful(1_000), [0; 0], "it is not claimed");
    payer.observe(open(6)).persisted().unwrap();
    assert_eq!(payer.doubtful(ANCHOR.number), [0; 0]);
    assert_eq!(payer.doubtful(ANCHOR.number + 1), [0]);
    assert_eq!(payer.forget(ANCHOR.number + 1).persisted(), 2);
    assert_eq!(payer.spent(), 6);
}

/// Its provider forgets as well, and what it claims for it may be on the chain long after.
#[test]
fn a_request_that_was_forgotten_without_a_receipt_may_have_cost_its_limit() {
    let (mut payer, first) = ordered();
    let order = payer.order(&[ask(&[1, 2, 3], 100)]).unwrap().persisted();
    payer.ended(0).unwrap().persisted();
    let header = order.headers[0].header.hash();
    let receipt = signed(Receipt { header, ..first });
    let taken = payer.receipt(1, receipt, good(), &[], true).unwrap();
    taken.persisted().unwrap();
    payer.observe(open(6)).persisted().unwrap();
    let step = payer.forget(ANCHOR.number + 1);
    let rows = step.records().to_vec();
    assert_eq!(step.persisted(), 2);
    let mut again = Payer::restore(terms(), pair(), u128::MAX, rows);
    again.observe(open(6)).persisted().unwrap();
    for mut payer in [payer, again] {
        let limit = 6 + 1_006;
        assert_eq!(payer.recover(&status(2 * FIRST, 6)), Recovery::InStep);
        let missing = payer.recover(&status(2 * FIRST, limit));
        assert_eq!(missing, Recovery::Forgotten);
        assert_eq!(payer.observe(open(limit)).persisted(), Ok(()));
        let caught = Caught::Overclaimed {
            claimed: limit + 1,
            receipted: 6,
        };
        let more = payer.recover(&status(2 * FIRST, limit + 1));
        assert_eq!(more, Recovery::GiveUp(caught));
        let closed = Facts {
            state: ChannelState::Closed,
            ..open(limit + 1)
        };
        assert_eq!(payer.observe(closed).persisted(), Err(caught));
    }
}

#[test]
fn a_request_that_came_late_is_open_until_its_last_receipt() {
    let (mut payer, receipt) = ordered();
    payer.ended(0).unwrap().persisted();
    take(&mut payer, receipt.clone(), &[], false).unwrap();
    assert_eq!(payer.request(0).unwrap().phase, Phase::Cut);
    assert_eq!(payer.recover(&status(FIRST, 26)), Recovery::Fetch(vec![0]));
    take(&mut payer, over(&receipt, &[1, 2]), &[1, 2], true).unwrap();
    assert_eq!(payer.request(0).unwrap().phase, Phase::Ended);
}

/// mppx#467: a client kept a channel that was gone.
#[test]
fn nothing_is_bought_under_a_channel_that_is_closing_or_closed() {
    let (mut payer, receipt) = ordered();
    let some = tokens(32);
    take(&mut payer, over(&receipt, &some), &some, false).unwrap();
    for state in [
        ChannelState::Closing { finalize_at: 9 },
        ChannelState::Closed,
    ] {
        payer
            .observe(Facts { state, ..open(0) })
            .persisted()
            .unwrap();
        assert!(payer.voucher().is_none());
        let refused = payer.order(&[ask(&[1], 1)]).map(drop);
        assert_eq!(refused, Err(PayerError::NotOpen));
    }
    payer.observe(open(0)).persisted().unwrap();
    assert!(payer.voucher().is_some());
}

// ---- a provider that cheats

fn caught_at(
    change: impl Fn(&Receipt, &mut Payer) -> (Receipt, Vec<TokenId>, bool),
) -> (Caught, Payer) {
    let (mut payer, receipt) = ordered();
    let highest = payer.highest().copied();
    let (bad, tokens, last) = change(&receipt, &mut payer);
    let step = payer
        .receipt(0, signed(bad), good(), &tokens, last)
        .unwrap();
    let rows = step.records().to_vec();
    let caught = step.persisted().unwrap_err();
    // Kept, also over a restart; nothing more is paid or bought.
    let kept = |payer: &Payer| payer.evidence().map(|evidence| evidence.caught);
    assert_eq!(kept(&payer), Some(caught));
    assert_eq!(kept(&reload(&rows)), Some(caught));
    assert!(payer.voucher().is_none());
    let refused = payer.order(&[ask(&[1], 1)]).map(drop);
    assert_eq!(refused, Err(PayerError::GivenUp(caught)));
    let exhibit = payer.evidence().unwrap().request.as_ref().unwrap();
    assert_eq!((exhibit.seq, exhibit.tokens.len()), (0, tokens.len()));
    assert!(exhibit.offending.is_some());
    assert_eq!(payer.highest().copied(), highest);
    (caught, payer)
}

#[test]
fn each_bad_receipt_is_caught_and_kept() {
    let caught = |change: &dyn Fn(&Receipt) -> (Receipt, Vec<TokenId>)| {
        caught_at(|receipt, _| {
            let (receipt, tokens) = change(receipt);
            (receipt, tokens, false)
        })
        .0
    };
    let other = |r: &Receipt| Receipt {
        header: H256::zero(),
        ..r.clone()
    };
    assert_eq!(caught(&|r| (other(r), vec![])), Caught::OtherRequest);
    let dear = |r: &Receipt| Receipt {
        fee: 7,
        ..r.clone()
    };
    let wrong = Caught::WrongFee { asked: 7, right: 6 };
    assert_eq!(caught(&|r| (dear(r), vec![])), wrong);
    let text = |r: &Receipt| (over(r, &[1, 2, 3]), vec![1, 2, 4]);
    assert_eq!(caught(&text), Caught::WrongRoot);
    let ahead = |r: &Receipt| (over(r, &[1, 2, 3]), vec![1, 2]);
    assert_eq!(caught(&ahead), Caught::Ahead { signed: 3, sent: 2 });
    let long = |r: &Receipt| (over(r, &tokens(101)), tokens(101));
    let limit = Caught::TooLong {
        signed: 101,
        limit: 100,
    };
    assert_eq!(caught(&long), limit);
    for finish in [Finish::Length, Finish::Eos] {
        let ended = |r: &Receipt| Receipt {
            finish,
            ..r.clone()
        };
        assert_eq!(caught(&|r| (ended(r), vec![])), Caught::WrongFinish);
    }
}

#[test]
fn receipts_that_contradict_each_other_are_caught() {
    let (caught, payer) = caught_at(|receipt, payer| {
        take(payer, over(receipt, &[1, 2]), &[1, 2], false).unwrap();
        (over(receipt, &[1, 3]), vec![1, 3], false)
    });
    assert_eq!(caught, Caught::Equivocation(2));
    let exhibit = payer.evidence().unwrap().request.clone().unwrap();
    assert_eq!(exhibit.held.unwrap().receipt.output_len, 2);
    let (caught, _) = caught_at(|receipt, payer| {
        take(payer, over(receipt, &[1, 2]), &[1, 2], false).unwrap();
        (over(receipt, &[1]), vec![1, 2], true)
    });
    assert_eq!(caught, Caught::Shrinking { before: 2, last: 1 });
}

#[test]
fn a_receipt_that_was_overtaken_changes_nothing() {
    let (mut payer, receipt) = ordered();
    take(&mut payer, over(&receipt, &[1, 2]), &[1, 2], false).unwrap();
    take(&mut payer, over(&receipt, &[1]), &[1, 2], false).unwrap();
    assert_eq!(payer.spent(), 26);
}

#[test]
fn signature_and_anchor_are_the_operators_and_recent() {
    let (payer, receipt) = ordered();
    let take = |signed: SignedReceipt, anchor| {
        let mut payer = payer.clone();
        let step = payer.receipt(0, signed, anchor, &[], false).unwrap();
        step.persisted()
    };
    let right = signed(receipt.clone());
    assert_eq!(take(right.clone(), good()), Ok(Taken::Held));
    let operator = [9; 32];
    let forged = take(right.clone(), AnchorView::Good { operator });
    assert_eq!(forged, Err(Caught::Forged));
    let mut altered = right.clone();
    altered.receipt.finish = Finish::Caller;
    altered.receipt.anchor.number += 1;
    assert_eq!(take(altered, good()), Err(Caught::Forged));
    for (view, caught) in [
        (AnchorView::Stale, Caught::StaleAnchor),
        (AnchorView::Future, Caught::FutureAnchor),
        (AnchorView::Foreign, Caught::ForeignAnchor),
    ] {
        assert_eq!(take(right.clone(), view), Err(caught));
    }
}

/// A good one when it was signed, or said to be; by now nobody could dispute it.
#[test]
fn a_receipt_from_long_before_the_request_or_the_one_held_is_caught() {
    let some = tokens(32);
    let at = |receipt: &Receipt, tokens: &[TokenId], number: u32| {
        let mut receipt = over(receipt, tokens);
        receipt.anchor.number = number;
        receipt
    };
    // The first one: not long before the request was ordered.
    for last in [false, true] {
        let (mut payer, receipt) = ordered();
        payer.cut(0).unwrap().persisted();
        let since = payer.request(0).unwrap().since;
        let early = at(&receipt, &[], since - ANCHOR_AGE - 1);
        let caught = take(&mut payer, early, &[], last);
        assert_eq!(caught, Err(Caught::StaleAnchor));
        assert_eq!(payer.request(0).unwrap().receipt, None);
        let (mut payer, _) = ordered();
        let early = at(&receipt, &[], since - ANCHOR_AGE);
        assert_eq!(take(&mut payer, early, &[], last), Ok(Taken::Held));
    }
    // The last one, over no more tokens or over some: not long before the one held.
    for count in [32, 40] {
        let (mut payer, receipt) = ordered();
        let held = at(&receipt, &some, 500);
        take(&mut payer, held.clone(), &some, false).unwrap();
        payer.cut(0).unwrap().persisted();
        let all = tokens(count);
        let early = at(&receipt, &all, 500 - ANCHOR_AGE - 1);
        let caught = take(&mut payer, early.clone(), &all, true);
        assert_eq!(caught, Err(Caught::StaleAnchor), "{count}");
        let request = payer.request(0).unwrap();
        assert_eq!(request.receipt.as_ref().unwrap().receipt, held);
        let exhibit = payer.evidence().unwrap().request.clone().unwrap();
        assert_eq!(exhibit.held.unwrap().receipt, held);
        assert_eq!(exhibit.offending.unwrap().receipt, early);

        let (mut payer, _) = ordered();
        take(&mut payer, held, &some, false).unwrap();
        let early = at(&receipt, &all, 500 - ANCHOR_AGE);
        assert_eq!(take(&mut payer, early, &all, true), Ok(Taken::Held));
    }
}

/// What can be disputed for a short time has to be younger.
#[test]
fn how_long_before_the_request_is_too_long_can_be_said() {
    let some = tokens(2);
    for (age, before, expected) in [
        (10, 10, Ok(Taken::Held)),
        (10, 11, Err(Caught::StaleAnchor)),
        (ANCHOR_AGE, 11, Ok(Taken::Held)),
    ] {
        let (mut payer, receipt) = ordered();
        payer.set_anchor_age(age);
        let mut early = over(&receipt, &some);
        early.anchor.number = payer.request(0).unwrap().since - before;
        assert_eq!(take(&mut payer, early, &some, true), expected, "{before}");
    }
}

/// It may have been on its way for as long as it likes.
#[test]
fn a_running_receipt_takes_no_last_ones_place() {
    let (mut payer, receipt) = ordered();
    let some = tokens(32);
    let running = over(&receipt, &some);
    let mut end = running.clone();
    end.anchor.number = 500;
    take(&mut payer, end.clone(), &some, true).unwrap();
    assert_eq!(take(&mut payer, running, &some, false), Ok(Taken::Old));
    let request = payer.request(0).unwrap();
    assert_eq!(request.receipt.as_ref().unwrap().receipt, end);
    assert!(payer.evidence().is_none());
}

#[test]
fn a_withheld_receipt_is_kept_with_the_tokens() {
    let (mut payer, _) = ordered();
    let got = tokens(64);
    let caught = Caught::Withheld {
        sent: 64,
        receipted: 0,
    };
    assert_eq!(payer.give_up(caught, Some((0, &got))).persisted(), caught);
    let exhibit = payer.evidence().unwrap().request.clone().unwrap();
    assert_eq!(exhibit.tokens, got);
    assert_eq!(payer.request(0).unwrap().phase, Phase::Cut);
    // The first fault is the one that is kept.
    payer.give_up(Caught::Forged, None).persisted();
    assert_eq!(payer.evidence().unwrap().caught, caught);
}

/// Anybody may claim what a voucher reaches for, once it is on chain: what that says of the provider shows when the
/// channel is closed, which only the provider does without a window.
#[test]
fn the_ceiling_claimed_on_chain_is_paid_ahead_until_the_channel_is_closed() {
    let (mut payer, receipt) = ordered();
    let some = tokens(5);
    take(&mut payer, over(&receipt, &some), &some, true).unwrap();
    payer.observe(open(56)).persisted().unwrap();
    payer.observe(open(FIRST)).persisted().unwrap();
    let closing = ChannelState::Closing { finalize_at: 9 };
    for (claimed, state) in [(FIRST, ChannelState::Closed), (FIRST + 1, closing)] {
        let rows = [Record::Voucher(*payer.highest().unwrap())];
        let rows = rows
            .into_iter()
            .chain(payer.requests().cloned().map(Record::Request));
        let mut payer = Payer::restore(terms(), pair(), u128::MAX, rows);
        let facts = |settled, state| Facts {
            state,
            ..open(settled)
        };
        payer.observe(facts(FIRST, closing)).persisted().unwrap();
        let caught = payer
            .observe(facts(claimed, state))
            .persisted()
            .unwrap_err();
        let overclaimed = Caught::Overclaimed {
            claimed,
            receipted: 56,
        };
        assert_eq!(caught, overclaimed);
        assert_eq!(payer.evidence().unwrap().caught, overclaimed);
    }
    // What is bought next is paid with it, and not once more.
    let order = payer.order(&[ask(&[1, 2, 3], 100)]).unwrap().persisted();
    assert_eq!(order.voucher.cumulative, 56 + FIRST);
}

/// Three answers, of which the backup has one with its receipt and one without.
#[test]
fn what_an_old_backup_lacks_is_no_fault_of_the_provider() {
    let (mut payer, receipt) = ordered();
    let some = tokens(5);
    let step = payer.receipt(0, signed(over(&receipt, &some)), good(), &some, true);
    let step = step.unwrap();
    let mut rows = step.records().to_vec();
    step.persisted().unwrap();
    let order = payer.order(&[ask(&[1, 2, 3], 100)]).unwrap();
    rows.extend(order.records().to_vec());
    let header = order.persisted().headers[0].header.hash();
    let old = || Payer::restore_old(terms(), pair(), rows.clone());

    // The third, and the end of the second, were paid after the backup.
    for settled in [56 + 1_006 + 1, 9_999] {
        let mut old = old();
        old.observe(open(0)).persisted().unwrap();
        assert_eq!(old.spent(), 56);
        let step = old.observe(open(settled));
        assert!(step.records().is_empty());
        assert_eq!(step.persisted(), Ok(()));
        assert_eq!(old.spent(), settled);
        assert!(old.evidence().is_none());
        assert!(old.voucher().is_none());
        let refused = old.order(&[ask(&[1], 1)]).map(drop);
        assert_eq!(refused, Err(PayerError::NotOpen));

        let second = Receipt {
            header,
            ..receipt.clone()
        };
        let long = signed(over(&second, &tokens(90)));
        let mut take = |tokens: &[TokenId]| {
            let step = old.receipt(1, long.clone(), good(), tokens, true);
            step.unwrap().persisted()
        };
        assert_eq!(take(&[]), Ok(Taken::TokensMissing));
        assert_eq!(take(&tokens(90)), Ok(Taken::Held));
        assert_eq!(old.spent(), settled, "counted once");
        let status = status(settled + 7, settled + 7);
        assert_eq!(old.recover(&status), Recovery::InStep);
    }
    // Nor does it judge anything else.
    let mut old = old();
    let forged = AnchorView::Good { operator: [9; 32] };
    let step = old.receipt(1, signed(receipt), forged, &[], true).unwrap();
    assert!(step.persisted().is_err());
    assert!(old.evidence().is_none());
}

// ---- scores

/// A score of three tokens behind a prompt of two, and its first receipt.
fn ordered_score() -> (Payer, Receipt) {
    let mut payer = payer();
    let asked = Ask {
        task: Task::Score {
            seed: H256::zero(),
            answer_at: 2,
        },
        price: Price { output: 0, ..PRICE },
        ..ask(&[1, 2, 3, 4, 5], 3)
    };
    let order = payer.order(&[asked]).unwrap().persisted();
    assert_eq!(order.voucher.cumulative, 10);
    let receipt = Receipt {
        header: order.headers[0].header.hash(),
        anchor: ANCHOR,
        output_len: 0,
        output_root: root(&[]),
        finish: Finish::Caller,
        fee: 10,
    };
    (payer, receipt)
}

#[test]
fn a_score_is_held_without_tokens() {
    for (right, finish) in [
        (3, Finish::Length),
        (2, Finish::Mismatch),
        (0, Finish::Mismatch),
        (0, Finish::Caller),
    ] {
        let (mut payer, receipt) = ordered_score();
        assert_eq!(
            take(&mut payer, receipt.clone(), &[], false),
            Ok(Taken::Held)
        );
        let last = Receipt {
            output_len: right,
            finish,
            ..receipt
        };
        assert_eq!(take(&mut payer, last.clone(), &[], true), Ok(Taken::Held));
        assert_eq!(payer.spent(), 10);
        let request = payer.request(0).unwrap();
        assert_eq!(request.phase, Phase::Ended);
        assert_eq!(request.receipt.as_ref().unwrap().receipt, last);
        assert!(payer.voucher().is_none(), "it is all paid");
    }
}

#[test]
fn what_no_score_says_is_caught() {
    let caught = |change: &dyn Fn(&mut Receipt)| {
        let (mut payer, mut receipt) = ordered_score();
        receipt.finish = Finish::Length;
        receipt.output_len = 3;
        change(&mut receipt);
        take(&mut payer, receipt, &[], true).unwrap_err()
    };
    assert_eq!(caught(&|r| r.finish = Finish::Eos), Caught::WrongFinish);
    assert_eq!(
        caught(&|r| r.finish = Finish::Mismatch),
        Caught::WrongFinish
    );
    assert_eq!(caught(&|r| r.output_len = 2), Caught::WrongFinish);
    assert_eq!(caught(&|r| r.output_root = root(&[3])), Caught::WrongRoot);
    let long = Caught::TooLong {
        signed: 4,
        limit: 3,
    };
    assert_eq!(caught(&|r| r.output_len = 4), long);
    let dear = Caught::WrongFee {
        asked: 40,
        right: 10,
    };
    assert_eq!(caught(&|r| r.fee = 40), dear);
    // And an answer has no mismatch.
    let (mut payer, receipt) = ordered();
    let score = Receipt {
        finish: Finish::Mismatch,
        ..receipt
    };
    assert_eq!(take(&mut payer, score, &[], true), Err(Caught::WrongFinish));
}
