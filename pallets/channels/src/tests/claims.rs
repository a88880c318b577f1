use crate::{mock::*, ChannelState, Error, Event};
use assay_primitives::{ChannelId, Claim, ClaimFacts, Claims, Request};
use frame_support::{assert_noop, assert_ok};
use sp_core::H256;

fn answer(id: ChannelId, seq: u64) -> Claim {
    Claim::Channel { id, seq }
}

fn dispute(id: ChannelId) {
    assert_ok!(Channels::freeze(&answer(id, 3)));
}

fn end_dispute(id: ChannelId) {
    Channels::thaw(&answer(id, 3));
}

fn refundable(id: ChannelId) -> Option<u128> {
    let record = crate::Channels::<Test>::get(id)?;
    Some(record.refundable() + record.unsettled())
}

fn close(id: ChannelId) {
    assert_ok!(Channels::close(RuntimeOrigin::signed(PETRA), id, None));
}

fn is_kept(id: ChannelId) -> bool {
    Channels::channel(id).is_some()
}

#[test]
fn what_a_channel_says_of_its_answers() {
    TestExt::new().execute_with(|| {
        run_to(4);
        let id = open(URS, PIUS, DEPOSIT);
        assert_ok!(settle(id, 700));
        let facts = ClaimFacts {
            user: URS,
            provider: PIUS,
            epoch: 1,
            listing: listing(),
            request: Request::SignedBy(key_of(URS)),
            paid: 700,
            backing: DEPOSIT,
            disputes: 0,
        };
        // The chain knows nothing of one answer.
        for seq in [0, 1, u64::MAX] {
            assert_eq!(Channels::facts(&answer(id, seq)), Some(facts.clone()));
        }
        assert_eq!(Channels::facts(&answer(H256::zero(), 0)), None);
        assert_eq!(Channels::facts(&Claim::Job(0)), None);
    });
}

#[test]
fn what_is_not_there_is_not_disputed() {
    TestExt::new().execute_with(|| {
        for claim in [answer(H256::zero(), 0), Claim::Job(0)] {
            let unknown = Error::<Test>::UnknownChannel;
            assert_noop!(Channels::freeze(&claim), unknown);
            assert_noop!(Channels::void(&claim, 5), Error::<Test>::UnknownChannel);
        }
    });
}

#[test]
fn a_channel_gives_back_no_more_than_was_put_in() {
    TestExt::new().execute_with(|| {
        let id = opened();
        assert_eq!(refundable(id), Some(DEPOSIT));
        assert_ok!(settle(id, 1_000));
        dispute(id);
        dispute(id);
        // The provider has the price: it is given back from its stake, and nothing is on hold for it.
        let uma = (free(UMA), in_channels(UMA));
        Channels::note_refund(&answer(id, 3), 800);
        assert_ok!(Channels::void(&answer(id, 3), 0), 0);
        assert_eq!((free(UMA), in_channels(UMA)), uma);
        end_dispute(id);
        assert_eq!(refundable(id), Some(DEPOSIT - 800));
        Channels::note_refund(&answer(id, 4), 200);
        end_dispute(id);
        assert_eq!(refundable(id), Some(DEPOSIT - 1_000));
        assert_ok!(settle(id, 1_050));
        assert_eq!(refundable(id), Some(DEPOSIT - 1_000));
        // Of a closed channel only the stake is left.
        close(id);
        assert_eq!(refundable(id), Some(50));
        // What an answer can have cost is as before: who is accused can close.
        let facts = Channels::facts(&answer(id, 3)).unwrap();
        assert_eq!((facts.paid, facts.backing), (50, DEPOSIT - 1_000));
        assert_ok!(Channels::void(&answer(id, 5), 50), 0);
    });
}

#[test]
fn a_voucher_pays_nothing_for_an_answer_that_was_convicted_before() {
    TestExt::new().execute_with(|| {
        let id = opened();
        assert_ok!(settle(id, 1_000));
        // The voucher is over 1,000 for one answer, 700 for the wrong one, and 300 for a third.
        dispute(id);
        let (uma, petra) = (free(UMA), maturing(PETRA));
        let held = in_channels(UMA);
        Channels::note_refund(&answer(id, 3), 1_000);
        assert_ok!(Channels::void(&answer(id, 3), 700), 700);
        end_dispute(id);
        System::assert_last_event(
            Event::Voided {
                channel: id,
                user: UMA,
                returned: 700,
            }
            .into(),
        );
        assert_eq!((free(UMA), in_channels(UMA)), (uma + 700, held - 700));
        assert_eq!((channel(id).settled, channel(id).refunded), (1_700, 1_700));
        check_books();
        assert_noop!(settle(id, 1_700), Error::<Test>::NothingToSettle);
        assert_ok!(settle(id, 2_000));
        assert_eq!(maturing(PETRA) - petra, 279, "of 300");
        // Nor is more than the deposit ever given back.
        dispute(id);
        let rest = DEPOSIT - 2_000;
        assert_ok!(Channels::void(&answer(id, 6), DEPOSIT), rest);
        end_dispute(id);
        check_books();
        close(id);
        check_books();
    });
}

#[test]
#[should_panic(expected = "more of a channel was given back than was settled")]
fn more_than_was_settled_would_not_go_unnoticed() {
    TestExt::new().execute_with(|| {
        let id = opened();
        assert_ok!(settle(id, 1_000));
        Channels::note_refund(&answer(id, 3), 1_001);
    });
}

#[test]
fn a_disputed_channel_goes_on() {
    TestExt::new().execute_with(|| {
        let before = free(UMA);
        let id = opened();
        dispute(id);
        assert_ok!(settle(id, 1_000));
        assert_ok!(Channels::top_up(RuntimeOrigin::signed(UMA), id, 500));
        request_close(id);
        assert_ok!(settle(id, 2_000));
        run_to(12);
        // The user has the rest back, and the record stays.
        assert!(channel(id).is_closed());
        let deposit = held(crate::HoldReason::ChannelDeposit, UMA);
        assert_eq!(free(UMA), before - 2_000 - deposit);
        run_to(100);
        assert_eq!(refundable(id), Some(2_000));
        let due = Channels::finalize(RuntimeOrigin::signed(SAM), id);
        assert_eq!(due.unwrap_err().error, Error::<Test>::NotDue.into());
        end_dispute(id);
        run_to(120);
        assert!(is_kept(id));
        run_to(121);
        assert!(!is_kept(id));
        assert_eq!(free(UMA), before - 2_000);
    });
}

#[test]
fn a_provider_that_closes_the_channel_when_it_is_accused_gains_nothing() {
    TestExt::new().execute_with(|| {
        let id = opened();
        assert_ok!(settle(id, 1_000));
        dispute(id);
        close(id);
        run_to(200);
        assert_eq!(refundable(id), Some(1_000));
        end_dispute(id);
    });
}

#[test]
fn a_closed_channel_is_kept_for_its_disputes_and_a_retention_more() {
    TestExt::new().execute_with(|| {
        let id = opened();
        assert_ok!(settle(id, 1_000));
        close(id);
        assert_eq!(channel(id).state, ChannelState::Closed { remove_at: 21 });
        run_to(20);
        dispute(id);
        check_books();
        run_to(50);
        dispute(id);
        end_dispute(id);
        run_to(90);
        assert!(is_kept(id));
        end_dispute(id);
        assert_eq!(channel(id).state, ChannelState::Closed { remove_at: 110 });
        check_books();
        // Another dispute within the time, that is over at once, does not shorten it.
        run_to(100);
        dispute(id);
        end_dispute(id);
        run_to(120);
        assert!(is_kept(id));
        run_to(121);
        assert!(!is_kept(id));
    });
}

#[test]
fn a_short_dispute_does_not_shorten_the_time_that_a_channel_is_kept() {
    // What was paid matures for longer than the record would be kept.
    TestExt::new().maturing_blocks(40).execute_with(|| {
        let id = opened();
        assert_ok!(settle(id, 1_000));
        close(id);
        let state = channel(id).state;
        dispute(id);
        end_dispute(id);
        assert_eq!(channel(id).state, state);
        run_to(45);
        assert!(is_kept(id));
    });
}

#[test]
fn a_pause_of_the_referee_keeps_closed_channels_for_as_long() {
    TestExt::new().execute_with(|| {
        let id = opened();
        assert_ok!(settle(id, 1_000));
        StoodStill::set(3);
        close(id);
        assert_eq!(channel(id).state, ChannelState::Closed { remove_at: 21 });
        run_to(15);
        StoodStill::set(10);
        run_to(22);
        // Seven blocks of the twenty were none.
        assert_eq!(channel(id).state, ChannelState::Closed { remove_at: 28 });
        check_books();
        StoodStill::set(12);
        run_to(29);
        assert_eq!(channel(id).state, ChannelState::Closed { remove_at: 30 });
        run_to(30);
        assert!(is_kept(id));
        run_to(31);
        assert!(!is_kept(id));
    });
}

#[test]
fn a_pause_during_a_dispute_is_not_counted_again_after_it() {
    TestExt::new().execute_with(|| {
        let id = opened();
        close(id);
        dispute(id);
        run_to(30);
        StoodStill::set(10);
        run_to(40);
        end_dispute(id);
        assert_eq!(channel(id).state, ChannelState::Closed { remove_at: 60 });
        run_to(61);
        assert!(!is_kept(id));
    });
}
