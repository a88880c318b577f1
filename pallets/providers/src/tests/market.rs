use crate::{mock::*, Event, Offers};
use assay_primitives::{
    Assignment, DrawRequest, Eligibility, ListingId, Market, Outcome, Price, PPM_ONE,
};
use frame_support::assert_ok;
use std::collections::BTreeMap;

fn eligibility(request: &DrawRequest<u64>, stash: u64) -> Eligibility {
    <Providers as Market<u64, u64>>::eligibility(request, &stash)
}

fn resolve(stash: u64, outcome: Outcome) {
    <Providers as Market<u64, u64>>::resolve(&stash, &obligation(WORST_CASE), outcome);
}

fn close(stash: u64, earned: u128) {
    <Providers as Market<u64, u64>>::close(&stash, &obligation(WORST_CASE), earned);
}

/// How often each provider would be drawn in a thousand.
fn shares() -> BTreeMap<u64, u32> {
    let mut shares = BTreeMap::new();
    for seed in 0..1_000 {
        if let Some(assignment) = Providers::choose(&request(None, &[], seed)) {
            *shares.entry(assignment.provider).or_default() += 1;
        }
    }
    shares
}

fn near(share: u32, expected: u32) -> bool {
    share.abs_diff(expected) < 50
}

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
fn eligibility_says_why_not() {
    TestExt::new().provider(PETRA, BOND).execute_with(|| {
        let wish = || request(None, &[], 0);
        assert_eq!(eligibility(&wish(), PETRA), Eligibility::Eligible);
        assert_eq!(eligibility(&wish(), PIUS), Eligibility::NoOffer);
        let elsewhere = DrawRequest {
            listing: ListingId::zero(),
            ..wish()
        };
        assert_eq!(eligibility(&elsewhere, PETRA), Eligibility::NoOffer);
        let long = DrawRequest {
            prompt_len: 33,
            ..wish()
        };
        assert_eq!(eligibility(&long, PETRA), Eligibility::Context);
        let fits = DrawRequest {
            prompt_len: 32,
            ..wish()
        };
        assert_eq!(eligibility(&fits, PETRA), Eligibility::Eligible);
        let least = 8 * PRICE.input + PRICE.output;
        let poor = DrawRequest {
            budget: least - 1,
            ..wish()
        };
        assert_eq!(eligibility(&poor, PETRA), Eligibility::Unaffordable);
        let enough = DrawRequest {
            budget: least,
            ..wish()
        };
        assert_eq!(eligibility(&enough, PETRA), Eligibility::Eligible);
        assert_ok!(Providers::set_online(RuntimeOrigin::signed(PETRA), false));
        assert_eq!(eligibility(&wish(), PETRA), Eligibility::Offline);
        assert_eq!(Providers::choose(&wish()), None);
    });
}

#[test]
fn a_provider_is_busy_when_its_capacity_is_used_up() {
    TestExt::new().provider(PETRA, BOND).execute_with(|| {
        for _ in 0..3 {
            assert!(assign(PETRA).is_some());
        }
        assert_eq!(
            eligibility(&request(None, &[], 0), PETRA),
            Eligibility::Busy
        );
        assert_eq!(assign(PETRA), None);
        resolve(PETRA, Outcome::Declined);
        assert!(assign(PETRA).is_some());
    });
}

#[test]
fn a_provider_is_busy_when_its_bond_is_used_up() {
    TestExt::new().provider(PETRA, BOND).execute_with(|| {
        let draw = |budget| {
            let wish = DrawRequest {
                budget,
                ..request(None, &[], 0)
            };
            <Providers as Market<u64, u64>>::draw(&wish).map(|drawn| drawn.worst_case_fee)
        };
        assert_ok!(set_offer(
            PETRA,
            Price {
                input: 0,
                output: 3 * BOND / 16
            }
        ));
        assert_eq!(draw(3 * BOND), Some(3 * BOND));
        assert_eq!(draw(3 * BOND), None);
        // A smaller one still fits, to the last planck of four times the bond.
        assert_ok!(set_offer(
            PETRA,
            Price {
                input: 0,
                output: BOND / 16
            }
        ));
        assert_eq!(draw(BOND), Some(BOND));
        assert_ok!(set_offer(PETRA, Price::default()));
        assert_eq!(draw(0), None);
    });
}

#[test]
fn a_provider_with_less_than_the_least_bond_gets_nothing() {
    TestExt::new().provider(PETRA, BOND).execute_with(|| {
        assert_ok!(<Providers as Market<u64, u64>>::compensate(&PETRA, &UMA, 1));
        assert_eq!(
            eligibility(&request(None, &[], 0), PETRA),
            Eligibility::Busy
        );
        assert_eq!(assign(PETRA), None);
    });
}

#[test]
fn excluded_providers_are_not_drawn_named_or_not() {
    TestExt::new()
        .provider(PETRA, BOND)
        .provider(PIUS, BOND)
        .execute_with(|| {
            for seed in 0..50 {
                let drawn = Providers::choose(&request(None, &[PETRA], seed)).unwrap();
                assert_eq!(drawn.provider, PIUS);
            }
            assert_eq!(Providers::choose(&request(None, &[PETRA, PIUS], 0)), None);
            assert_eq!(Providers::choose(&request(Some(&PETRA), &[PETRA], 0)), None);
            let named = Providers::choose(&request(Some(&PETRA), &[PIUS], 0)).unwrap();
            assert_eq!(named.provider, PETRA);
        });
}

#[test]
fn equal_offers_are_drawn_equally_often() {
    TestExt::new()
        .provider(PETRA, BOND)
        .provider(PIUS, BOND)
        .execute_with(|| {
            let shares = shares();
            assert!(near(shares[&PETRA], 500), "{shares:?}");
            assert_eq!(shares.values().sum::<u32>(), 1_000);
        });
}

#[test]
fn a_larger_free_bond_is_drawn_more_often() {
    TestExt::new()
        .provider(PETRA, BOND)
        .provider(PIUS, 3 * BOND)
        .execute_with(|| {
            let shares = shares();
            assert!(near(shares[&PIUS], 750), "{shares:?}");
        });
}

#[test]
fn a_cheaper_offer_is_drawn_more_often_up_to_four_times() {
    TestExt::new()
        .provider(PETRA, BOND)
        .provider(PIUS, BOND)
        .execute_with(|| {
            assert_ok!(set_offer(
                PIUS,
                Price {
                    input: 2 * PRICE.input,
                    output: 2 * PRICE.output
                }
            ));
            assert!(near(shares()[&PETRA], 667), "{:?}", shares());
            assert_ok!(set_offer(
                PETRA,
                Price {
                    input: 0,
                    output: 1
                }
            ));
            assert!(near(shares()[&PETRA], 800), "{:?}", shares());
        });
}

#[test]
fn a_provider_that_breaks_its_word_is_drawn_less_often() {
    TestExt::new()
        .provider(PETRA, BOND)
        .provider(PIUS, BOND)
        .execute_with(|| {
            assign(PIUS).unwrap();
            resolve(PIUS, Outcome::Missed);
            // Its score is half of what it was.
            assert_eq!(record(PIUS).record.score, PPM_ONE / 4);
            assert!(near(shares()[&PETRA], 667), "{:?}", shares());
        });
}

#[test]
fn a_delivered_job_stays_an_obligation_until_it_is_closed() {
    TestExt::new().provider(PETRA, BOND).execute_with(|| {
        assign(PETRA).unwrap();
        resolve(PETRA, Outcome::Delivered);
        let score = PPM_ONE / 2 + PPM_ONE / 2 / 16;
        System::assert_last_event(
            Event::Resolved {
                provider: PETRA,
                outcome: Outcome::Delivered,
                score,
            }
            .into(),
        );
        let provider = record(PETRA);
        assert_eq!((provider.exposure, provider.open_jobs), (WORST_CASE, 1));
        assert_eq!(
            Offers::<Test>::get(listing(), PETRA).unwrap().open_jobs,
            0,
            "a free place"
        );
        assert_eq!(
            (provider.record.delivered, provider.record.score),
            (1, score)
        );
        close(PETRA, 600);
        let provider = record(PETRA);
        assert_eq!((provider.exposure, provider.open_jobs), (0, 0));
        assert_eq!(provider.record.earned, 600);
        assert_eq!(Offers::<Test>::get(listing(), PETRA).unwrap().open_jobs, 0);
    });
}

#[test]
fn a_declined_or_missed_job_gives_the_obligation_back_at_once() {
    TestExt::new().provider(PETRA, BOND).execute_with(|| {
        for outcome in [Outcome::Declined, Outcome::Missed] {
            assign(PETRA).unwrap();
            resolve(PETRA, outcome);
            assert_eq!((record(PETRA).exposure, record(PETRA).open_jobs), (0, 0));
        }
        let provider = record(PETRA).record;
        assert_eq!(
            (provider.assigned, provider.declined, provider.missed),
            (2, 1, 1)
        );
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
        resolve(PETRA, Outcome::Delivered);
        close(PETRA, 0);
        assert_eq!(record(PETRA).exposure, 0);
    });
}
