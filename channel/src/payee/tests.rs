use assay_primitives::{Claim, Finish, Price, SignedVoucher, Task};
use codec::{Decode, Encode};
use sp_core::H256;

use super::*;
use crate::{fixture::*, Header, SignedHeader, VoucherPair};

fn voucher(cumulative: u128) -> SignedVoucher {
    pair().sign_voucher(terms().genesis, terms().channel, cumulative)
}

fn header(seq: u64, change: impl Fn(&mut Header)) -> SignedHeader {
    let mut header = payer()
        .order(&[ask(&[1, 2, 3], 100)])
        .unwrap()
        .persisted()
        .headers
        .remove(0)
        .header;
    header.claim = Claim::Channel {
        id: terms().channel,
        seq,
    };
    change(&mut header);
    pair().sign_header(header)
}

/// Three prompt tokens at 2 and a window of 64 at 10.
const FIRST: u128 = 6 + 640;

fn admitted(payee: &mut Payee, seq: u64, cumulative: u128) {
    let admissions = payee
        .admit(&voucher(cumulative), &[header(seq, |_| ())], &PRICE)
        .unwrap()
        .persisted();
    assert_eq!(admissions.len(), 1);
    assert_eq!(admissions[0].answered, None);
}

/// Makes tokens until the answer has `to` of them, with a receipt whenever one is due.
fn make(payee: &mut Payee, seq: u64, from: u32, to: u32) {
    let mut tokens: Vec<u32> = (0..from).collect();
    for token in from..=to {
        if payee.due(seq) {
            issue(payee, seq, &tokens, None);
        }
        if token < to {
            assert!(payee.allow(seq) > token, "token {token} is not paid");
            payee.made(seq, 1).unwrap();
            tokens.push(token);
        }
    }
}

#[test]
fn a_request_is_paid_served_receipted_and_settled() {
    let mut payee = payee();
    admitted(&mut payee, 0, FIRST);
    assert_eq!(payee.spent(), 0);
    assert_eq!(payee.allow(0), 64);
    make(&mut payee, 0, 0, 64);
    assert_eq!(payee.spent(), FIRST);
    assert_eq!(payee.allow(0), 64);
    payee
        .take_voucher(&voucher(FIRST + 320))
        .unwrap()
        .persisted();
    assert_eq!(payee.allow(0), 96);
    payee.made(0, 6).unwrap();
    let tokens: Vec<u32> = (0..70).collect();
    let last = issue(&mut payee, 0, &tokens, Some(Finish::Eos));
    assert_eq!(last.receipt.fee, 706);
    assert_eq!(payee.live().count(), 0);
    let settlement = payee.settlement().unwrap();
    assert_eq!(settlement.amount, 706);
    assert_eq!(settlement.voucher.cumulative, FIRST + 320);
    payee.observe(open(706)).persisted();
    assert_eq!(payee.settlement(), None);
}

// ---- the order of events

#[test]
fn a_step_that_is_dropped_never_happened() {
    let mut payee = payee();
    drop(payee.take_voucher(&voucher(50)).unwrap());
    assert_eq!(payee.status().accepted, 0);
    let step = payee.admit(&voucher(FIRST), &[header(0, |_| ())], &PRICE);
    assert_eq!(step.unwrap().records(), [Record::Voucher(voucher(FIRST))]);
    assert_eq!(payee.live().count(), 0);
    assert_eq!(payee.status().accepted, 0);
    admitted(&mut payee, 0, FIRST);
    let draft = payee.draft(0, ANCHOR, root(&[]), None).unwrap();
    let signature = sign(&draft.receipt);
    drop(payee.issue(draft, signature).unwrap());
    assert_eq!(payee.spent(), 0);
    assert!(payee.due(0));
}

#[test]
fn no_token_before_the_first_receipt_and_none_that_is_not_paid() {
    let mut payee = payee();
    assert_eq!(payee.made(0, 1), Err(Misuse::NotLive(0)));
    admitted(&mut payee, 0, FIRST);
    payee.allow(0);
    assert_eq!(payee.made(0, 1), Err(Misuse::BeforeReceipt(0)));
    issue(&mut payee, 0, &[], None);
    assert_eq!(
        payee.made(0, 65),
        Err(Misuse::Unpaid {
            seq: 0,
            made: 65,
            allowed: 64
        })
    );
    payee.made(0, 64).unwrap();
}

#[test]
fn a_receipt_is_due_before_prefill_and_after_each_thirty_two_tokens() {
    let mut payee = payee();
    admitted(&mut payee, 0, FIRST);
    payee.allow(0);
    assert!(payee.due(0));
    issue(&mut payee, 0, &[], None);
    assert!(!payee.due(0));
    payee.made(0, 31).unwrap();
    assert!(!payee.due(0));
    payee.made(0, 1).unwrap();
    assert!(payee.due(0));
}

#[test]
fn an_older_draft_is_not_issued_after_a_newer_receipt() {
    let mut payee = payee();
    admitted(&mut payee, 0, FIRST);
    payee.allow(0);
    let old = payee.draft(0, ANCHOR, root(&[]), None).unwrap();
    issue(&mut payee, 0, &[], None);
    payee.made(0, 2).unwrap();
    issue(&mut payee, 0, &[1, 2], None);
    let signature = sign(&old.receipt);
    let issued = payee.issue(old, signature).map(drop);
    assert_eq!(issued, Err(Misuse::OutOfOrder(0)));
}

// ---- one ledger for all requests of a channel

/// lotus#2128: requests in parallel needed lanes of their own, of which there were few.
#[test]
fn parallel_requests_share_one_ledger_and_nothing_is_promised_twice() {
    let mut payee = payee();
    admitted(&mut payee, 0, FIRST);
    assert_eq!(payee.allow(0), 64);
    // All of the voucher is promised to request 0.
    let refusal = payee.admit(&voucher(FIRST), &[header(1, |_| ())], &PRICE);
    let owed = PaymentError::Insufficient {
        accepted: FIRST,
        required: 2 * FIRST,
    };
    assert_eq!(refusal.map(drop), Err(owed));
    // The least that will do is the prompt and one token.
    let step = payee.admit(&voucher(FIRST + 15), &[header(1, |_| ())], &PRICE);
    assert!(step.is_err());
    admitted(&mut payee, 1, FIRST + 6 + 30);
    assert_eq!((payee.allow(0), payee.allow(1)), (64, 3));
    // What request 0 does not use is free for the other when it ends.
    issue(&mut payee, 0, &[], None);
    payee.made(0, 10).unwrap();
    let tokens: Vec<u32> = (0..10).collect();
    issue(&mut payee, 0, &tokens, Some(Finish::Caller));
    assert_eq!(payee.allow(1), 57);
    assert!(payee.spent() + 6 + 570 <= payee.status().accepted);
}

#[test]
fn the_window_bounds_what_one_request_takes_of_a_large_voucher() {
    let mut payee = payee();
    admitted(&mut payee, 0, 100_000);
    assert_eq!(payee.allow(0), 64);
    make(&mut payee, 0, 0, 32);
    assert_eq!(payee.allow(0), 96);
    make(&mut payee, 0, 32, 64);
    assert_eq!(payee.allow(0), 100);
}

#[test]
fn one_order_for_several_choices_is_taken_whole_or_not_at_all() {
    let mut payee = payee();
    let two = [header(0, |_| ()), header(1, |_| ())];
    assert!(payee.admit(&voucher(31), &two, &PRICE).is_err());
    let bad = [header(0, |_| ()), header(1, |h| h.provider = [9; 32])];
    let refused = payee.admit(&voucher(9_000), &bad, &PRICE).map(drop);
    assert_eq!(refused, Err(PaymentError::WrongProvider));
    let same = [header(0, |_| ()), header(0, |_| ())];
    let refused = payee.admit(&voucher(9_000), &same, &PRICE).map(drop);
    assert_eq!(refused, Err(PaymentError::UsedSeq(0)));
    let taken = payee.admit(&voucher(32), &two, &PRICE).unwrap().persisted();
    assert_eq!(taken.iter().map(|a| a.seq).collect::<Vec<_>>(), [0, 1]);
    assert_eq!((payee.allow(0), payee.allow(1)), (1, 1));
}

#[test]
fn free_output_is_served_without_money_beyond_the_prompt() {
    let mut payee = payee();
    let free = Price {
        input: 2,
        output: 0,
    };
    let header = header(0, |h| h.output_price = 0);
    payee
        .admit(&voucher(6), &[header], &free)
        .unwrap()
        .persisted();
    assert_eq!(payee.allow(0), 64);
}

// ---- after a crash

/// Through the bytes on disk, and back.
fn reload(records: &[Record]) -> Payee {
    let mut rows = std::collections::BTreeMap::new();
    for record in records {
        rows.insert(record.key(), record.encode());
    }
    let records = rows
        .values()
        .map(|row| Record::decode(&mut &row[..]).unwrap());
    Payee::restore(terms(), records)
}

#[test]
fn an_interrupted_request_ends_at_its_last_receipt() {
    let mut payee = payee();
    let mut disk = Vec::new();
    let step = payee
        .admit(&voucher(FIRST), &[header(0, |_| ())], &PRICE)
        .unwrap();
    disk.extend_from_slice(step.records());
    step.persisted();
    payee.allow(0);
    for tokens in [0u32, 32] {
        let output: Vec<u32> = (0..tokens).collect();
        let draft = payee.draft(0, ANCHOR, root(&output), None).unwrap();
        let signature = sign(&draft.receipt);
        let step = payee.issue(draft, signature).unwrap();
        disk.extend_from_slice(step.records());
        step.persisted();
        payee.made(0, 32).unwrap();
    }
    let mut again = reload(&disk);
    assert_eq!(again.allow(0), 0);
    let fresh = again.admit(&voucher(9_000), &[header(7, |_| ())], &PRICE);
    assert!(matches!(
        fresh.map(drop),
        Err(PaymentError::ChannelClosed(_))
    ));
    again.observe(open(0)).persisted();
    assert_eq!(again.live().count(), 0);
    assert_eq!(again.spent(), 6 + 320);
    assert_eq!(again.settlement().unwrap().amount, 6 + 320);
    let stored = again.stored(0).unwrap();
    assert!(stored.ended);
    assert_eq!(stored.receipt.unwrap().receipt.output_len, 32);
    // The same header again gets that answer, and pays nothing.
    let step = again.admit(&voucher(FIRST), &[header(0, |_| ())], &PRICE);
    let step = step.unwrap();
    assert!(step.records().is_empty());
    let answered = step.persisted().remove(0).answered.unwrap();
    assert_eq!(answered.receipt.output_len, 32);
    assert_eq!(again.spent(), 6 + 320);
}

#[test]
fn a_request_without_a_receipt_begins_anew() {
    let mut payee = payee();
    let step = payee
        .admit(&voucher(FIRST), &[header(0, |_| ())], &PRICE)
        .unwrap();
    let mut disk = step.records().to_vec();
    step.persisted();
    // A row that has none is as good as no row.
    disk.push(Record::Request(Request {
        seq: 0,
        header: header(0, |_| ()),
        receipt: None,
        ended: false,
    }));
    let mut again = reload(&disk);
    again.observe(open(0)).persisted();
    assert_eq!(again.spent(), 0);
    assert_eq!(again.stored(0), Err(PaymentError::UnknownSeq(0)));
    admitted(&mut again, 0, FIRST);
    assert_eq!(again.allow(0), 64);
}

/// Whoever asks and never lets an answer begin pays nothing, so it must not cost the provider anything either.
#[test]
fn requests_that_end_before_their_first_receipt_take_no_room() {
    let mut payee = payee();
    let mut disk = std::collections::BTreeMap::new();
    for seq in 0..100 {
        let two = [header(2 * seq, |_| ()), header(2 * seq + 1, |_| ())];
        let step = payee.admit(&voucher(2 * FIRST), &two, &PRICE).unwrap();
        for record in step.records() {
            disk.insert(record.key(), record.clone());
        }
        step.persisted();
        for seq in [2 * seq, 2 * seq + 1] {
            let other = payee.admit(
                &voucher(9_000),
                &[header(seq, |h| h.token_limit = 5)],
                &PRICE,
            );
            assert_eq!(other.map(drop), Err(PaymentError::UsedSeq(seq)));
            let step = payee.interrupt(seq).unwrap();
            assert!(step.records().is_empty());
            step.persisted();
        }
    }
    let rows: Vec<_> = disk.into_values().collect();
    assert_eq!(rows, [Record::Voucher(voucher(2 * FIRST))]);
    assert!(payee.requests.is_empty() && payee.live.is_empty());
    assert_eq!((payee.spent(), payee.promised()), (0, 0));
}

#[test]
fn a_ledger_from_an_old_backup_does_not_sell_settled_money_again() {
    let mut payee = Payee::restore(terms(), []);
    let step = payee.observe(open(5_000));
    let disk = step.records().to_vec();
    assert_eq!(disk.len(), 1);
    step.persisted();
    assert_eq!(payee.spent(), 5_000);
    let refused = payee.admit(&voucher(FIRST), &[header(0, |_| ())], &PRICE);
    assert!(matches!(
        refused.map(drop),
        Err(PaymentError::Insufficient { required, .. }) if required == 5_000 + FIRST
    ));
    admitted(&mut payee, 0, 5_000 + FIRST);
    issue(&mut payee, 0, &[], Some(Finish::Caller));
    assert_eq!(payee.settlement().unwrap().amount, 5_006);
    assert_eq!(reload(&disk).spent(), 5_000);
}

/// A voucher that was claimed is on chain, where any rival finds it and settles the rest.
#[test]
fn what_a_stranger_claims_of_a_voucher_is_served_for_and_asked_of_nobody_again() {
    let mut payee = payee();
    admitted(&mut payee, 0, FIRST);
    payee.allow(0);
    issue(&mut payee, 0, &[], Some(Finish::Caller));
    let spent = payee.spent();
    let step = payee.observe(open(FIRST));
    assert!(step.records().is_empty());
    step.persisted();
    assert_eq!((payee.spent(), payee.status().spent), (spent, spent));
    assert_eq!((payee.unsettled(), payee.settlement()), (0, None));
    // The next request needs what it would have needed without.
    admitted(&mut payee, 1, spent + FIRST);
    payee.allow(1);
    issue(&mut payee, 1, &[], Some(Finish::Caller));
    assert_eq!(payee.spent(), 2 * spent);
}

#[test]
fn what_is_forgotten_stays_in_the_sum_and_its_numbers_stay_used() {
    let mut payee = payee();
    let mut disk = Vec::new();
    for seq in 0..3 {
        admitted(&mut payee, seq, (seq as u128 + 1) * FIRST);
        let last = seq == 2;
        issue(&mut payee, seq, &[], (!last).then_some(Finish::Caller));
        let (header, receipt) = (header(seq, |_| ()), payee.stored(seq).unwrap().receipt);
        disk.push(Record::Request(Request {
            seq,
            header,
            receipt,
            ended: !last,
        }));
    }
    assert_eq!(payee.forget(ANCHOR.number).persisted(), 0);
    let step = payee.forget(ANCHOR.number + 1);
    disk.extend_from_slice(step.records());
    // The live one stays.
    assert_eq!(step.persisted(), 2);
    assert_eq!(payee.spent(), 18);
    assert_eq!(payee.stored(0), Err(PaymentError::UnknownSeq(0)));
    let again = payee.admit(&voucher(9_000), &[header(0, |_| ())], &PRICE);
    assert_eq!(again.map(drop), Err(PaymentError::UsedSeq(0)));
    // Rows that outlived the floor are not counted twice.
    assert_eq!(reload(&disk).spent(), 18);
}

/// The floor has no anchors, and what is owed of it is still claimed.
#[test]
fn what_is_forgotten_and_not_settled_is_claimed_by_its_age_after_a_crash() {
    let policy = SettlementPolicy {
        threshold: DEPOSIT,
        age_blocks: 50,
    };
    let floor = Floor { seq: 3, spent: 18 };
    let mut disk = vec![Record::Voucher(voucher(9_000)), Record::Floor(floor)];
    let mut again = reload(&disk);
    again.observe(open(17)).persisted();
    let due = again.settlement_due(ANCHOR.number, &policy).unwrap();
    assert_eq!(due.amount, 18);
    // What is earned when that is paid has an age of its own, and keeps it.
    again.observe(open(18)).persisted();
    admitted(&mut again, 3, 9_000);
    let receipt = issue(&mut again, 3, &[], Some(Finish::Caller));
    disk.push(Record::Request(Request {
        seq: 3,
        header: header(3, |_| ()),
        receipt: Some(receipt),
        ended: true,
    }));
    for mut payee in [again, reload(&disk)] {
        payee.observe(open(18)).persisted();
        let due = |now| payee.settlement_due(now, &policy);
        assert_eq!(due(ANCHOR.number + 49), None);
        assert_eq!(due(ANCHOR.number + 50).unwrap().amount, 24);
    }
}

/// A user may sign any number, and the fee of none is counted twice.
#[test]
fn the_request_with_the_last_number_is_never_forgotten() {
    let mut payee = payee();
    for (seq, cumulative) in [(3, FIRST), (u64::MAX, 2 * FIRST)] {
        admitted(&mut payee, seq, cumulative);
        issue(&mut payee, seq, &[], Some(Finish::Caller));
    }
    assert_eq!(payee.spent(), 12);
    for _ in 0..3 {
        assert_eq!(payee.forget(ANCHOR.number + 1).persisted(), 4);
        assert_eq!(payee.spent(), 12);
    }
    assert!(payee.stored(u64::MAX).unwrap().receipt.is_some());
}

#[test]
fn a_request_without_a_receipt_is_forgotten_with_the_next_that_has_one() {
    let mut payee = payee();
    admitted(&mut payee, 0, FIRST);
    payee.interrupt(0).unwrap().persisted();
    assert_eq!(payee.forget(1_000).persisted(), 0);
    // So it may still be sent again.
    admitted(&mut payee, 0, FIRST);
    payee.interrupt(0).unwrap().persisted();
    admitted(&mut payee, 1, FIRST);
    issue(&mut payee, 1, &[], Some(Finish::Caller));
    assert_eq!(payee.forget(ANCHOR.number).persisted(), 0);
    assert_eq!(payee.forget(ANCHOR.number + 1).persisted(), 2);
}

// ---- refusals

#[test]
fn each_bad_header_has_its_own_refusal() {
    use PaymentError::*;
    let refuse = |header: SignedHeader| {
        let mut payee = payee();
        let refusal = payee.admit(&voucher(9_000), &[header], &PRICE).map(drop);
        assert_eq!(payee.status().accepted, 0);
        let refusal = refusal.unwrap_err();
        assert!(!refusal.to_string().contains('\n'));
        refusal
    };
    let with = |change: fn(&mut Header)| refuse(header(0, change));
    assert_eq!(with(|h| h.version = 2), UnknownVersion(2));
    assert_eq!(with(|h| h.claim = Claim::Job(3)), NotOfAChannel);
    let other = H256::repeat_byte(9);
    assert_eq!(
        with(|h| h.genesis = H256::repeat_byte(9)),
        WrongChain(other)
    );
    assert!(matches!(
        with(|h| h.claim = Claim::Channel { id: H256::repeat_byte(9), seq: 0 }),
        WrongChannel { named, .. } if named == other
    ));
    assert_eq!(with(|h| h.provider = [9; 32]), WrongProvider);
    assert!(matches!(
        with(|h| h.listing = H256::zero()),
        WrongListing { .. }
    ));
    assert_eq!(with(|h| h.token_limit = 0), Empty);
    assert_eq!(with(|h| h.prompt_len = 0), Empty);
    assert!(matches!(with(|h| h.sampling.top_p = 0), Sampling(_)));
    assert!(matches!(with(|h| h.input_price = 1), PriceTooLow { .. }));
    assert!(matches!(with(|h| h.output_price = 9), PriceTooLow { .. }));
    let dear = |h: &mut Header| (h.output_price, h.prompt_len) = (u128::MAX / 2, 1);
    assert!(matches!(refuse(header(0, dear)), FeeOverflow { .. }));
    let mut forged = header(0, |_| ());
    forged.header.token_limit = 99;
    assert_eq!(refuse(forged), InvalidSignature { what: "request" });
    let kind = VoucherPair::sr25519(&[1; 32]).sign_header(header(0, |_| ()).header);
    assert_eq!(refuse(kind), SignerMismatch { what: "request" });
    let thief = VoucherPair::ed25519(&[9; 32]).sign_header(header(0, |_| ()).header);
    assert_eq!(refuse(thief), InvalidSignature { what: "request" });
}

/// mppx#628 and mppx#495: a voucher of somebody else, or for another chain, was taken.
#[test]
fn each_bad_voucher_has_its_own_refusal() {
    use PaymentError::*;
    let mut payee = payee();
    let mut refuse = |voucher: &SignedVoucher| payee.take_voucher(voucher).map(drop).unwrap_err();
    let (genesis, channel) = (terms().genesis, terms().channel);
    let what = "voucher";
    let other = H256::repeat_byte(9);
    assert!(matches!(
        refuse(&pair().sign_voucher(genesis, other, 5)),
        WrongChannel { named, .. } if named == other
    ));
    assert_eq!(
        refuse(&pair().sign_voucher(other, channel, 5)),
        InvalidSignature { what }
    );
    let mut raised = voucher(5);
    raised.cumulative = 6;
    assert_eq!(refuse(&raised), InvalidSignature { what });
    let kind = VoucherPair::sr25519(&[1; 32]).sign_voucher(genesis, channel, 5);
    assert_eq!(refuse(&kind), SignerMismatch { what });
    assert_eq!(
        refuse(&voucher(DEPOSIT + 1)),
        ExceedsDeposit {
            cumulative: DEPOSIT + 1,
            deposit: DEPOSIT
        }
    );
    assert!(payee.take_voucher(&voucher(DEPOSIT)).is_ok());
}

#[test]
fn a_prompt_is_held_against_the_signed_header() {
    let signed = header(0, |_| ());
    let check = |secret, prompt: &[u32]| crate::check_prompt(&signed.header, &secret, prompt);
    assert_eq!(check(SECRET, &[1, 2, 3]), Ok(()));
    assert_eq!(check(SECRET, &[1, 2, 4]), Err(PaymentError::PromptRoot));
    assert_eq!(check([8; 32], &[1, 2, 3]), Err(PaymentError::PromptRoot));
    assert_eq!(
        check(SECRET, &[1, 2]),
        Err(PaymentError::PromptLength { signed: 3, sent: 2 })
    );
}

// ---- bugs of others

/// mppx#196, mpp-rs#191: the close took what was authorised.
#[test]
fn settling_claims_what_was_spent_and_not_the_ceiling() {
    let mut payee = payee();
    admitted(&mut payee, 0, 500_000);
    payee.allow(0);
    issue(&mut payee, 0, &[], None);
    payee.made(0, 1).unwrap();
    issue(&mut payee, 0, &[4], Some(Finish::Eos));
    let settlement = payee.settlement().unwrap();
    assert_eq!(
        (settlement.amount, settlement.voucher.cumulative),
        (16, 500_000)
    );
}

/// wallet#342: a top-up never helped, because the voucher was clamped to the old deposit.
#[test]
fn a_top_up_is_of_use_at_once() {
    let mut payee = payee();
    let high = voucher(DEPOSIT + 500);
    assert!(payee.take_voucher(&high).is_err());
    let facts = Facts {
        deposit: DEPOSIT + 500,
        ..open(0)
    };
    payee.observe(facts).persisted();
    payee.take_voucher(&high).unwrap().persisted();
    assert_eq!(payee.status().accepted, DEPOSIT + 500);
}

/// pay-kit#283 and mppx#628: a replay was charged again, or taken after settlement.
#[test]
fn replays_are_never_charged() {
    let mut payee = payee();
    admitted(&mut payee, 0, FIRST);
    payee.allow(0);
    let running = payee.admit(&voucher(FIRST), &[header(0, |_| ())], &PRICE);
    assert_eq!(running.map(drop), Err(PaymentError::StillRunning(0)));
    issue(&mut payee, 0, &[], Some(Finish::Caller));
    let spent = payee.spent();
    for cumulative in [FIRST, FIRST - 1, 0] {
        let step = payee.take_voucher(&voucher(cumulative)).unwrap();
        assert!(step.records().is_empty());
        step.persisted();
        assert_eq!(payee.status().accepted, FIRST);
    }
    payee.observe(open(spent)).persisted();
    for _ in 0..2 {
        let step = payee.admit(&voucher(FIRST), &[header(0, |_| ())], &PRICE);
        assert!(step.unwrap().persisted()[0].answered.is_some());
    }
    assert_eq!(payee.spent(), spent);
    assert_eq!(payee.settlement(), None);
}

/// pay-kit#187: a check was skipped on the branch of the replay.
#[test]
fn a_replay_must_be_signed_too() {
    let mut payee = payee();
    admitted(&mut payee, 0, FIRST);
    issue(&mut payee, 0, &[], Some(Finish::Caller));
    let mut forged = header(0, |_| ());
    forged.signature = header(1, |_| ()).signature;
    let refused = payee.admit(&voucher(FIRST), &[forged], &PRICE).map(drop);
    let what = "request";
    assert_eq!(refused, Err(PaymentError::InvalidSignature { what }));
    let mut forged = voucher(0);
    forged.signature = voucher(1).signature;
    let refused = payee.admit(&forged, &[header(0, |_| ())], &PRICE).map(drop);
    let what = "voucher";
    assert_eq!(refused, Err(PaymentError::InvalidSignature { what }));
}

/// mppx#467: a dead channel was used on. It answers 410, and a top-up revives it.
#[test]
fn a_closing_or_closed_channel_sells_nothing_more() {
    let mut payee = payee();
    admitted(&mut payee, 0, FIRST);
    issue(&mut payee, 0, &[], None);
    let closing = Facts {
        state: ChannelState::Closing { finalize_at: 200 },
        ..open(0)
    };
    payee.observe(closing).persisted();
    // No more than what was promised before.
    assert_eq!(payee.allow(0), 1);
    let refused = payee
        .take_voucher(&voucher(FIRST + 1))
        .map(drop)
        .unwrap_err();
    assert_eq!((refused.status(), refused.code()), (410, "channel_closing"));
    let refused = payee.admit(&voucher(9_000), &[header(1, |_| ())], &PRICE);
    assert_eq!(refused.map(drop).unwrap_err().status(), 410);
    let closed = Facts {
        state: ChannelState::Closed,
        ..open(0)
    };
    payee.observe(closed).persisted();
    assert_eq!(payee.allow(0), 0);
    let refused = payee.admit(&voucher(9_000), &[header(1, |_| ())], &PRICE);
    assert_eq!(refused.map(drop).unwrap_err().code(), "channel_closed");
    assert_eq!(payee.settlement(), None);
    payee.observe(open(0)).persisted();
    assert_eq!(payee.allow(0), 64);
}

/// lotus#2448: the receiver must claim by itself when a close is asked for.
#[test]
fn settling_is_due_by_threshold_by_age_and_at_once_when_closing() {
    let policy = SettlementPolicy {
        threshold: 100,
        age_blocks: 50,
    };
    let mut payee = payee();
    assert_eq!(payee.settlement_due(1_000, &policy), None);
    admitted(&mut payee, 0, FIRST);
    payee.allow(0);
    issue(&mut payee, 0, &[], None);
    assert_eq!(payee.settlement_due(ANCHOR.number + 49, &policy), None);
    assert!(payee.settlement_due(ANCHOR.number + 50, &policy).is_some());
    let closing = Facts {
        state: ChannelState::Closing { finalize_at: 200 },
        ..open(0)
    };
    payee.observe(closing).persisted();
    assert!(payee.settlement_due(ANCHOR.number, &policy).is_some());
    payee.observe(open(0)).persisted();
    payee.made(0, 10).unwrap();
    let tokens: Vec<u32> = (0..10).collect();
    issue(&mut payee, 0, &tokens, None);
    let due = payee.settlement_due(ANCHOR.number, &policy).unwrap();
    assert_eq!(due.amount, 106);
    payee.observe(open(106)).persisted();
    assert_eq!(payee.settlement_due(10_000, &policy), None);
}

/// go-livepeer#4013: a claim that failed on chain was never made again.
#[test]
fn a_claim_is_due_until_a_finalised_block_has_paid_it() {
    let now = SettlementPolicy {
        threshold: 1,
        age_blocks: 1_000,
    };
    let mut payee = payee();
    admitted(&mut payee, 0, FIRST);
    issue(&mut payee, 0, &[], Some(Finish::Caller));
    for _ in 0..3 {
        assert_eq!(payee.settlement_due(ANCHOR.number, &now).unwrap().amount, 6);
        payee.observe(open(0)).persisted();
    }
    // Somebody else may have claimed a part.
    payee.observe(open(4)).persisted();
    assert_eq!(payee.settlement_due(ANCHOR.number, &now).unwrap().amount, 6);
    payee.observe(open(6)).persisted();
    assert_eq!(payee.settlement_due(ANCHOR.number, &now), None);
}

/// go-livepeer, protocol#657: one deposit was promised to many at once.
#[test]
fn vouchers_never_promise_more_than_the_deposit() {
    let mut payee = payee();
    let facts = Facts {
        deposit: FIRST,
        ..open(0)
    };
    payee.observe(facts).persisted();
    let refused = payee.admit(&voucher(FIRST + 1), &[header(0, |_| ())], &PRICE);
    assert!(matches!(
        refused.map(drop),
        Err(PaymentError::ExceedsDeposit { .. })
    ));
    admitted(&mut payee, 0, FIRST);
    assert_eq!(payee.allow(0), 64);
    assert!(payee
        .admit(&voucher(FIRST), &[header(1, |_| ())], &PRICE)
        .is_err());
}

// ---- scores

/// Of an answer of 200 tokens behind a prompt of 3, all of which cost 2.
fn score(seq: u64, change: impl Fn(&mut Header)) -> SignedHeader {
    header(seq, |header| {
        header.prompt_len = 203;
        header.task = Task::Score {
            seed: H256::zero(),
            answer_at: 3,
        };
        header.token_limit = 200;
        header.output_price = 0;
        change(header);
    })
}

#[test]
fn a_score_is_paid_with_its_prompt_and_comes_at_once() {
    let mut payee = payee();
    let short = payee.admit(&voucher(405), &[score(0, |_| ())], &PRICE);
    assert_eq!(
        short.map(drop).unwrap_err(),
        PaymentError::Insufficient {
            accepted: 405,
            required: 406
        }
    );
    let step = payee.admit(&voucher(406), &[score(0, |_| ())], &PRICE);
    step.unwrap().persisted();
    let first = issue(&mut payee, 0, &[], None);
    assert_eq!((first.receipt.output_len, first.receipt.fee), (0, 406));
    // What was paid is done, whatever becomes of the channel.
    let closing = Facts {
        state: ChannelState::Closing { finalize_at: 200 },
        ..open(0)
    };
    payee.observe(closing).persisted();
    assert_eq!(payee.allow(0), 200);
    payee.made(0, 150).unwrap();
    let last = issue(&mut payee, 0, &[], Some(Finish::Mismatch));
    assert_eq!((last.receipt.output_len, last.receipt.fee), (150, 406));
    assert_eq!(last.receipt.finish, Finish::Mismatch);
    assert_eq!((payee.spent(), payee.live().count()), (406, 0));
    assert_eq!(payee.settlement().unwrap().amount, 406);
}

#[test]
fn what_is_no_score_is_not_sold() {
    let refused = |change: &dyn Fn(&mut Header)| {
        let mut payee = payee();
        let step = payee.admit(&voucher(10_000), &[score(0, change)], &PRICE);
        step.map(drop).unwrap_err()
    };
    let at = |answer_at| Task::Score {
        seed: H256::zero(),
        answer_at,
    };
    assert_eq!(refused(&|h| h.task = at(0)), PaymentError::NoScore);
    assert_eq!(refused(&|h| h.task = at(4)), PaymentError::NoScore);
    assert_eq!(refused(&|h| h.task = at(204)), PaymentError::NoScore);
    assert_eq!(refused(&|h| h.output_price = 10), PaymentError::NoScore);
    assert_eq!(refused(&|h| h.token_limit = 0), PaymentError::Empty);
    let cheap = refused(&|h| h.input_price = 1);
    assert!(matches!(cheap, PaymentError::PriceTooLow { .. }));
    // Fewer tokens of it may be looked at.
    let mut payee = payee();
    let part = score(0, |h| h.token_limit = 7);
    assert!(payee.admit(&voucher(10_000), &[part], &PRICE).is_ok());
}
