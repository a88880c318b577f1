use crate::{mock::*, Agenda, Error, Event, JobState, Jobs as JobRecords, Outputs, Parameters};
use assay_primitives::{Claim, ClaimFacts, Claims, Finish, ModelCatalogue, Request};
use frame_support::{assert_noop, assert_ok, dispatch::Pays, weights::Weight};

/// Eight tokens in and five out.
const FEE: u128 = 603;

fn is_settled(id: u64) -> bool {
    matches!(job(id).state, JobState::Settled { .. })
}

/// The usual job, answered in block 4: its window ends in block 14.
fn answered() -> u64 {
    let id = assigned();
    answer(id, 5);
    assert_eq!(System::block_number(), 4);
    id
}

#[test]
fn what_a_delivered_job_says_is_what_the_referee_judges() {
    TestExt::new().execute_with(|| {
        let id = assigned();
        assert_eq!(facts(id), None);
        run_to(4);
        let assignment = assignment(id);
        let answer = Answer::to(id, stopped(5), Finish::Eos);
        let receipt = answer.receipt.clone();
        assert_ok!(answer.deliver(operator(PETRA)));
        let JobState::Delivered(_, delivery) = job(id).state else {
            panic!("job {id} is not delivered");
        };
        let ClaimFacts {
            user,
            provider,
            epoch,
            listing,
            request,
            paid,
            backing,
            disputes,
        } = facts(id).unwrap();
        assert_eq!((user, provider, epoch), (UMA, PETRA, 1));
        assert_eq!((paid, backing, disputes), (0, FEE, 0));
        assert_eq!(listing, crate::mock::listing());
        let Request::Known {
            header,
            randomness,
            receipt: hash,
            window_end,
        } = request
        else {
            panic!("the request of job {id} is not known");
        };
        assert_eq!(header.hash(), receipt.header);
        assert_eq!(randomness, assignment.randomness);
        assert_eq!(hash, delivery.receipt_hash);
        // The job is settled before anybody can speak in the block after that.
        assert_eq!(window_end, 13);
        run_to(13);
        assert_eq!(crate::mock::window_end(id), 13);
        run_to(14);
        assert!(is_settled(id));
        assert_eq!(facts(id), None);
        assert_eq!(facts(9), None);
    });
}

#[test]
fn other_claims_are_not_jobs() {
    TestExt::new().execute_with(|| {
        let claim = Claim::Channel {
            id: Default::default(),
            seq: 0,
        };
        assert_eq!(<Jobs as Claims<u64, u64>>::facts(&claim), None);
        let freeze = <Jobs as Claims<u64, u64>>::freeze;
        let void = <Jobs as Claims<u64, u64>>::void;
        assert_noop!(freeze(&claim), Error::<Test>::NotDelivered);
        assert_noop!(void(&claim, 1), Error::<Test>::NotDelivered);
        <Jobs as Claims<u64, u64>>::thaw(&claim);
        <Jobs as Claims<u64, u64>>::note_refund(&claim, 1);
        let id = assigned();
        for claim in [Claim::Job(id), Claim::Job(7)] {
            assert_noop!(freeze(&claim), Error::<Test>::NotDelivered);
            assert_noop!(void(&claim, 1), Error::<Test>::NotDelivered);
        }
    });
}

#[test]
fn a_disputed_job_waits_and_its_window_stands_still() {
    TestExt::new().execute_with(|| {
        let id = answered();
        run_to(6);
        freeze(id);
        // Eight blocks were left, the present one among them.
        for block in [6, 14, 100] {
            run_to(block);
            assert_eq!(window_end(id), block + 7);
            assert_noop!(
                Jobs::finalize(RuntimeOrigin::signed(SAM), id),
                Error::<Test>::NotDue
            );
            assert_eq!(Agenda::<Test>::iter().count(), 0);
            assert_eq!(escrow(UMA), FEE);
            check_books();
        }
        freeze(id);
        run_to(110);
        thaw(id);
        run_to(120);
        assert_eq!(window_end(id), 127);
        thaw(id);
        assert_eq!(window_end(id), 127);
        run_to(127);
        assert!(!is_settled(id));
        run_to(128);
        assert!(is_settled(id));
        assert_eq!(provider(PETRA).record.earned, 561);
    });
}

#[test]
fn a_window_is_open_for_some_blocks_after_a_dispute() {
    TestExt::new().execute_with(|| {
        let id = answered();
        run_to(13);
        freeze(id);
        assert_eq!(window_end(id), 13);
        run_to(40);
        assert_eq!(window_end(id), 40);
        thaw(id);
        assert_eq!(window_end(id), 44);
        // Another dispute, which ends at once, does not shorten that.
        freeze(id);
        thaw(id);
        run_to(44);
        assert!(!is_settled(id));
        run_to(45);
        assert!(is_settled(id));
    });
}

#[test]
fn a_dispute_may_begin_where_the_agenda_is_late() {
    TestExt::new().execute_with(|| {
        let id = answered();
        MaxAgendaWeight::set(Weight::zero());
        run_to(20);
        // The window is over all the same.
        assert_eq!(window_end(id), 13);
        freeze(id);
        MaxAgendaWeight::set(Weight::MAX);
        run_to(25);
        assert!(!is_settled(id));
        thaw(id);
        run_to(30);
        assert!(is_settled(id));
    });
}

#[test]
fn a_window_does_not_pass_during_a_pause() {
    TestExt::new().execute_with(|| {
        let ids = [answered(), Ask::default().accepted()];
        run_to(6);
        answer(ids[1], 5);
        run_to(8);
        IsPaused::set(true);
        for block in [9, 17, 30, 108] {
            run_to(block);
            assert_eq!(ids.map(window_end), [block + 5, block + 8]);
            assert!(!ids.into_iter().any(is_settled));
            check_books();
        }
        IsPaused::set(false);
        run_to(113);
        assert_eq!(ids.map(is_settled), [false, false]);
        run_to(114);
        assert_eq!(ids.map(is_settled), [true, false]);
        run_to(116);
        assert_eq!(ids.map(is_settled), [true, false]);
        run_to(117);
        assert_eq!(ids.map(is_settled), [true, true]);
    });
}

#[test]
fn a_pause_during_a_dispute_counts_once() {
    TestExt::new().execute_with(|| {
        let id = answered();
        run_to(5);
        IsPaused::set(true);
        run_to(8);
        freeze(id);
        run_to(50);
        IsPaused::set(false);
        run_to(60);
        thaw(id);
        // Nine blocks were left when the pause began.
        assert_eq!(window_end(id), 68);
        run_to(69);
        assert!(is_settled(id));
    });
}

#[test]
fn a_finalize_that_comes_too_soon_after_a_pause_moves_the_window() {
    TestExt::new().execute_with(|| {
        let id = answered();
        MaxAgendaWeight::set(Weight::zero());
        run_to(5);
        IsPaused::set(true);
        run_to(8);
        IsPaused::set(false);
        run_to(14);
        assert_eq!(
            Jobs::finalize(RuntimeOrigin::signed(SAM), id)
                .unwrap()
                .pays_fee,
            Pays::No
        );
        assert!(!is_settled(id));
        check_books();
        run_to(16);
        assert_noop!(
            Jobs::finalize(RuntimeOrigin::signed(SAM), id),
            Error::<Test>::NotDue
        );
        run_to(17);
        assert_ok!(Jobs::finalize(RuntimeOrigin::signed(SAM), id));
        assert!(is_settled(id));
    });
}

#[test]
fn a_wrong_answer_is_not_paid() {
    TestExt::new().execute_with(|| {
        let before = free(UMA);
        let id = answered();
        let waiting = free(UMA);
        freeze(id);
        freeze(id);
        run_to(20);
        assert_eq!(convict(id), FEE);
        System::assert_has_event(
            Event::Slashed {
                job: id,
                provider: PETRA,
                user: UMA,
                refund: FEE,
            }
            .into(),
        );
        assert_eq!((free(UMA), escrow(UMA)), (waiting + FEE, 0));
        let record = provider(PETRA);
        assert_eq!((record.exposure, record.open_jobs), (0, 0));
        assert_eq!((record.record.earned, record.record.score), (0, 0));
        let JobState::Slashed {
            assignment,
            delivery,
            removed_at,
        } = job(id).state
        else {
            panic!("job {id} is not slashed");
        };
        assert_eq!(
            (assignment.provider, delivery.fee, removed_at),
            (PETRA, FEE, 40)
        );
        // It is convicted once.
        assert_eq!(facts(id), None);
        let void = <Jobs as Claims<u64, u64>>::void;
        assert_noop!(void(&Claim::Job(id), FEE), Error::<Test>::NotDelivered);
        check_books();
        thaw(id);
        // The other dispute outlasts the record's time.
        run_to(60);
        assert!(Outputs::<Test>::contains_key(id));
        thaw(id);
        run_to(61);
        assert!(!JobRecords::<Test>::contains_key(id) && !Outputs::<Test>::contains_key(id));
        assert_eq!(free(UMA), before);
        assert_eq!(Agenda::<Test>::iter().count(), 0);
    });
}

#[test]
fn the_record_of_a_wrong_answer_stays_readable() {
    TestExt::new().execute_with(|| {
        let id = answered();
        freeze(id);
        convict(id);
        thaw(id);
        run_to(23);
        assert!(Jobs::job(id).is_some() && Jobs::output(id).is_some());
        run_to(24);
        assert!(Jobs::job(id).is_none() && Jobs::output(id).is_none());
        // Nothing keeps the listing any more but its offer.
        assert_ok!(Providers::remove_offer(
            RuntimeOrigin::signed(PETRA),
            listing()
        ));
        assert_ok!(Models::retire(RuntimeOrigin::signed(PAULA), listing()));
        assert_ok!(Models::drop_retired(RuntimeOrigin::signed(SAM), listing()));
        assert!(<Models as ModelCatalogue<u64>>::listing(&listing()).is_none());
    });
}

#[test]
fn other_jobs_of_a_convicted_provider_are_paid_and_mature_anew() {
    TestExt::new().execute_with(|| {
        let id = assigned();
        let other = Ask::default().accepted();
        run_to(5);
        for id in [id, other] {
            answer(id, 5);
        }
        freeze(id);
        convict(id);
        thaw(id);
        run_to(30);
        assert!(is_settled(other));
        let petra = provider(PETRA);
        assert_eq!((petra.maturing, petra.exposure), (561, 0));
        run_to(70);
        assert_eq!(provider(PETRA).maturing, 0);
    });
}

#[test]
fn the_parameters_of_a_window_are_those_of_the_delivery() {
    TestExt::new().execute_with(|| {
        let id = answered();
        freeze(id);
        let shorter = Parameters {
            challenge_blocks: 1,
            ..parameters()
        };
        assert_ok!(Jobs::set_parameters(RuntimeOrigin::root(), shorter));
        thaw(id);
        assert_eq!(window_end(id), 13);
    });
}
