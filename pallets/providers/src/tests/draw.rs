//! Who can be drawn, and how often.

use crate::mock::*;
use assay_primitives::{DrawRequest, Eligibility, ListingId, Market, Outcome, Price, PPM_ONE};
use frame_support::assert_ok;
use sp_core::H256;
use std::collections::BTreeMap;

fn eligibility(request: &DrawRequest<u64, u64>, stash: u64) -> Eligibility {
    <Providers as Market<u64, u64>>::eligibility(request, &stash)
}

/// This many times the usual price.
fn times(factor: u128) -> Price {
    Price {
        input: factor * PRICE.input,
        output: factor * PRICE.output,
    }
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
fn a_budget_pays_for_the_least_output_tokens() {
    TestExt::new().provider(PETRA, BOND).execute_with(|| {
        let wish = |budget, min_output_tokens| DrawRequest {
            budget,
            min_output_tokens,
            ..request(None, &[], 0)
        };
        for tokens in [1, 2, 9, 15, 16] {
            let least = PRICE.fee(8, tokens).unwrap();
            let drawn = Providers::choose(&wish(least, tokens)).unwrap();
            assert_eq!((drawn.token_limit, drawn.worst_case_fee), (tokens, least));
            let poor = wish(least - 1, tokens);
            assert_eq!(eligibility(&poor, PETRA), Eligibility::Unaffordable);
            assert_eq!(Providers::choose(&poor), None);
        }
    });
}

#[test]
fn an_offer_takes_part_when_it_was_made_before_the_draw_was_sealed() {
    TestExt::new().provider(PETRA, BOND).execute_with(|| {
        let wish = |sealed_at, named| DrawRequest {
            sealed_at,
            ..request(named, &[], 0)
        };
        assert_eq!(eligibility(&wish(1, None), PETRA), Eligibility::Busy);
        assert_eq!(eligibility(&wish(2, None), PETRA), Eligibility::Eligible);
        // New terms make it a new offer; bonds and jobs do not.
        run_to(5);
        assert_ok!(set_offer(PETRA, PRICE));
        run_to(7);
        assert_ok!(Providers::bond_extra(RuntimeOrigin::signed(PETRA), 5));
        assign(PETRA).unwrap();
        for named in [None, Some(&PETRA)] {
            for sealed_at in [2, 5] {
                let wish = wish(sealed_at, named);
                assert_eq!(eligibility(&wish, PETRA), Eligibility::Busy);
                assert_eq!(Providers::choose(&wish), None);
            }
            assert!(Providers::choose(&wish(6, named)).is_some());
        }
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
        resolve(PETRA, WORST_CASE, Outcome::Declined, 0);
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
        assert_ok!(compensate(PETRA, UMA, 1));
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
fn a_cheaper_offer_is_drawn_more_often_within_bounds() {
    TestExt::new()
        .provider(PETRA, BOND)
        .provider(PIUS, 3 * BOND / 2)
        .execute_with(|| {
            // The larger bond's price is the reference.
            let cases = [
                (2, 2, 1.0),
                (2, 1, 2.0),
                (2, 4, 0.5),
                (1, 0, 4.0),
                (8, 1, 4.0),
                (2, 8, 0.25),
                (2, 16, 0.25),
            ];
            for (pius, petra, factor) in cases {
                assert_ok!(set_offer(PIUS, times(pius)));
                assert_ok!(set_offer(PETRA, times(petra)));
                let expected = 1_000.0 * factor / (factor + 1.5);
                let shares = shares();
                assert!(
                    near(shares[&PETRA], expected as u32),
                    "{petra} against {pius}: {shares:?} is not {expected}"
                );
            }
        });
}

#[test]
fn an_offer_that_is_too_cheap_leaves_the_others_as_they_stand() {
    let ext = TestExt::new()
        .provider(PETRA, BOND)
        .provider(PIUS, BOND)
        .provider(PAVEL, BOND);
    ext.execute_with(|| {
        assert_ok!(set_offer(PIUS, times(2)));
        for price in [Price::default(), times(1)] {
            assert_ok!(set_offer(PAVEL, price));
            let shares = shares();
            let ratio = f64::from(shares[&PETRA]) / f64::from(shares[&PIUS]);
            assert!((1.6..2.4).contains(&ratio), "{price:?}: {shares:?}");
        }
    });
}

#[test]
fn an_excluded_offer_does_not_set_the_reference() {
    let ext = TestExt::new()
        .provider(PETRA, BOND)
        .provider(PIUS, BOND)
        .provider(PAVEL, 9 * BOND);
    ext.execute_with(|| {
        assert_ok!(set_offer(PIUS, times(2)));
        assert_ok!(set_offer(PAVEL, Price::default()));
        let drawn = (0..1_000).filter_map(|seed| {
            let wish = request(None, &[PAVEL], seed);
            Providers::choose(&wish).map(|drawn| drawn.provider)
        });
        let petra = drawn.filter(|stash| *stash == PETRA).count();
        assert!(near(petra as u32, 667), "{petra}");
    });
}

#[test]
fn whoever_goes_leaves_the_draw_of_others_as_it_was() {
    let ext = TestExt::new()
        .provider(PETRA, BOND)
        .provider(PIUS, 2 * BOND)
        .provider(PAVEL, 3 * BOND);
    ext.execute_with(|| {
        for seed in 0..100 {
            let wish = request(None, &[], seed);
            let drawn = Providers::choose(&wish).unwrap();
            for loser in [PETRA, PIUS, PAVEL] {
                if loser == drawn.provider {
                    continue;
                }
                let by = || RuntimeOrigin::signed(loser);
                assert_ok!(Providers::set_online(by(), false));
                assert_eq!(Providers::choose(&wish).as_ref(), Some(&drawn));
                assert_ok!(Providers::set_online(by(), true));
            }
        }
    });
}

#[test]
fn a_draw_depends_on_nothing_but_its_randomness() {
    TestExt::new()
        .provider(PETRA, BOND)
        .provider(PIUS, BOND)
        .execute_with(|| {
            let drawn = |byte| {
                let wish = DrawRequest {
                    randomness: H256::repeat_byte(byte),
                    ..request(None, &[], 0)
                };
                Providers::choose(&wish).unwrap().provider
            };
            let first: Vec<u64> = (0..50).map(drawn).collect();
            run_to(9);
            assert_eq!((0..50).map(drawn).collect::<Vec<_>>(), first);
            assert!(first.contains(&PETRA) && first.contains(&PIUS));
        });
}

#[test]
fn a_provider_that_breaks_its_word_is_drawn_less_often() {
    TestExt::new()
        .provider(PETRA, BOND)
        .provider(PIUS, BOND)
        .execute_with(|| {
            assign(PIUS).unwrap();
            resolve(PIUS, WORST_CASE, Outcome::Missed, 0);
            // Its score is half of what it was.
            assert_eq!(record(PIUS).record.score, PPM_ONE / 4);
            assert!(near(shares()[&PETRA], 667), "{:?}", shares());
        });
}
