//! What a job means for its provider.

use crate::{mock::*, Event, Offers};
use assay_primitives::{Assignment, Market, Outcome, Price, PPM_ONE};
use frame_support::assert_ok;

#[test]
fn a_draw_books_the_obligation_against_bond_and_capacity() {
    TestExt::new().provider(PETRA, BOND).execute_with(|| {
        let drawn = <Providers as Market<u64, u64>>::draw(&request(None, &[], 1));
        let expected = Assignment {
            provider: PETRA,
            price: PRICE,
            token_limit: 16,
            worst_case_fee: WORST_CASE,
        };
        assert_eq!(drawn, Some(expected));
        let provider = record(PETRA);
        assert_eq!((provider.exposure, provider.open_jobs), (WORST_CASE, 1));
        assert_eq!(provider.record.assigned, 1);
        assert_eq!(Offers::<Test>::get(listing(), PETRA).unwrap().open_jobs, 1);
    });
}

#[test]
fn a_delivered_job_is_answered_for_at_its_fee_until_it_is_closed() {
    TestExt::new().provider(PETRA, BOND).execute_with(|| {
        assign(PETRA).unwrap();
        assign(PETRA).unwrap();
        deliver(PETRA, WORST_CASE, 900);
        System::assert_last_event(
            Event::Resolved {
                provider: PETRA,
                outcome: Outcome::Delivered,
                score: PPM_ONE / 2,
            }
            .into(),
        );
        let provider = record(PETRA);
        assert_eq!(
            (provider.exposure, provider.open_jobs),
            (WORST_CASE + 900, 2)
        );
        assert_eq!(
            Offers::<Test>::get(listing(), PETRA).unwrap().open_jobs,
            1,
            "a free place"
        );
        assert_eq!(provider.record.delivered, 1);
        close(PETRA, 900, 600, 0);
        let provider = record(PETRA);
        assert_eq!((provider.exposure, provider.open_jobs), (WORST_CASE, 1));
        assert_eq!(provider.record.earned, 600);
        assert_eq!(Offers::<Test>::get(listing(), PETRA).unwrap().open_jobs, 1);
    });
}

#[test]
fn a_score_rises_when_the_protocol_is_paid_and_by_no_more_than_a_step() {
    TestExt::new().provider(PETRA, BOND).execute_with(|| {
        let rise = |protocol_fee| {
            assign(PETRA).unwrap();
            let before = record(PETRA).record.score;
            deliver(PETRA, WORST_CASE, 900);
            assert_eq!(record(PETRA).record.score, before);
            close(PETRA, 900, 600, protocol_fee);
            record(PETRA).record.score - before
        };
        let step = |score: u32| (PPM_ONE - score) / 16;
        let mut score = PPM_ONE / 2;
        assert_eq!(rise(0), 0);
        assert_eq!(rise(FULL_STEP_FEE / 5), step(score) / 5);
        score = record(PETRA).record.score;
        assert_eq!(rise(FULL_STEP_FEE), step(score));
        score = record(PETRA).record.score;
        assert_eq!(rise(3 * FULL_STEP_FEE), step(score));
        assert_eq!(record(PETRA).record.delivered, 4);
        assert_eq!(record(PETRA).record.earned, 4 * 600);
    });
}

#[test]
fn a_declined_or_missed_job_gives_the_obligation_back_at_once() {
    TestExt::new().provider(PETRA, BOND).execute_with(|| {
        for outcome in [Outcome::Declined, Outcome::Missed] {
            assign(PETRA).unwrap();
            resolve(PETRA, WORST_CASE, outcome, 0);
            assert_eq!((record(PETRA).exposure, record(PETRA).open_jobs), (0, 0));
            assert_eq!(Offers::<Test>::get(listing(), PETRA).unwrap().open_jobs, 0);
        }
        let provider = record(PETRA).record;
        assert_eq!(
            (provider.assigned, provider.declined, provider.missed),
            (2, 1, 1)
        );
        let declined = PPM_ONE / 2 - PPM_ONE / 2 / 16;
        assert_eq!(provider.score, declined - declined / 2);
    });
}

#[test]
fn a_price_change_leaves_open_obligations_as_they_are() {
    TestExt::new().provider(PETRA, BOND).execute_with(|| {
        let assignment = assign(PETRA).unwrap();
        assert_ok!(set_offer(
            PETRA,
            Price {
                input: 1,
                output: 1
            }
        ));
        assert_eq!(record(PETRA).exposure, assignment.worst_case_fee);
        deliver(PETRA, WORST_CASE, WORST_CASE);
        close(PETRA, WORST_CASE, 0, 0);
        assert_eq!(record(PETRA).exposure, 0);
    });
}
