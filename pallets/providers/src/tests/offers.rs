use crate::{mock::*, Error, Event, HoldReason, Offering, Offers};
use assay_primitives::{ListingId, Market, Price};
use frame_support::{
    assert_noop, assert_ok,
    dispatch::{DispatchResultWithPostInfo, Pays},
};
use sp_runtime::{DispatchResult, TokenError};

fn remove(stash: u64) -> DispatchResult {
    Providers::remove_offer(RuntimeOrigin::signed(stash), listing())
}

fn evict(by: u64, stash: u64) -> DispatchResultWithPostInfo {
    Providers::evict_offer(RuntimeOrigin::signed(by), listing(), stash)
}

fn uses() -> u32 {
    pallet_models::Accounts::<Test>::get(listing())
        .unwrap()
        .uses
}

#[test]
fn an_offer_takes_a_deposit_and_keeps_the_listing() {
    TestExt::new().execute_with(|| {
        assert_ok!(register(PETRA, BOND));
        let before = free(PETRA);
        assert_ok!(offer(PETRA, listing(), PRICE, 96, 3));
        System::assert_last_event(
            Event::OfferSet {
                provider: PETRA,
                listing: listing(),
                price: PRICE,
            }
            .into(),
        );
        assert_eq!(free(PETRA), before - offer_deposit());
        let offer = Offers::<Test>::get(listing(), PETRA).unwrap();
        assert_eq!((offer.price, offer.context, offer.capacity), (PRICE, 96, 3));
        assert_eq!(offer.since, 1);
        assert_eq!(Offering::<Test>::get(listing()).to_vec(), vec![PETRA]);
        assert_eq!((record(PETRA).offers, uses()), (1, 1));
        assert_eq!(Providers::offers(listing()), vec![(PETRA, offer)]);
    });
}

#[test]
fn an_offer_can_be_changed_without_another_deposit() {
    TestExt::new().provider(PETRA, BOND).execute_with(|| {
        let before = free(PETRA);
        let price = Price {
            input: 1,
            output: 2,
        };
        run_to(5);
        assert_ok!(offer(PETRA, listing(), price, 30, 7));
        let changed = Offers::<Test>::get(listing(), PETRA).unwrap();
        assert_eq!(
            (changed.price, changed.context, changed.capacity),
            (price, 30, 7)
        );
        assert_eq!(changed.since, 5);
        assert_eq!((free(PETRA), record(PETRA).offers, uses()), (before, 1, 1));
    });
}

#[test]
fn an_offer_fails_for_strangers_and_for_models_that_are_not_there() {
    TestExt::new().execute_with(|| {
        assert_noop!(set_offer(PETRA, PRICE), Error::<Test>::UnknownProvider);
        assert_ok!(register(PETRA, BOND));
        assert_noop!(
            offer(PETRA, ListingId::zero(), PRICE, 48, 3),
            Error::<Test>::UnknownListing
        );
        assert_ok!(Models::retire(RuntimeOrigin::signed(PAULA), listing()));
        assert_noop!(set_offer(PETRA, PRICE), Error::<Test>::ListingNotActive);
    });
}

#[test]
fn an_offer_of_a_retired_listing_can_be_changed_but_not_made() {
    TestExt::new().provider(PETRA, BOND).execute_with(|| {
        assert_ok!(register(PIUS, BOND));
        assert_ok!(Models::retire(RuntimeOrigin::signed(PAULA), listing()));
        assert_ok!(offer(PETRA, listing(), PRICE, 48, 0));
        assert_eq!(Offers::<Test>::get(listing(), PETRA).unwrap().capacity, 0);
        assert_noop!(set_offer(PIUS, PRICE), Error::<Test>::ListingNotActive);
    });
}

#[test]
fn an_offers_context_is_that_of_the_model_at_most() {
    TestExt::new().execute_with(|| {
        assert_ok!(register(PETRA, BOND));
        for context in [0, 97] {
            assert_noop!(
                offer(PETRA, listing(), PRICE, context, 3),
                Error::<Test>::ContextOutOfBounds
            );
        }
    });
}

#[test]
fn a_price_is_refused_when_its_worst_case_does_not_fit() {
    TestExt::new().execute_with(|| {
        assert_ok!(register(PETRA, BOND));
        let most = u128::MAX / 48;
        for price in [
            Price {
                input: most + 1,
                output: 0,
            },
            Price {
                input: 0,
                output: most + 1,
            },
            Price {
                input: most / 2 + 1,
                output: most / 2 + 1,
            },
        ] {
            assert_noop!(set_offer(PETRA, price), Error::<Test>::PriceTooHigh);
        }
        assert_ok!(set_offer(
            PETRA,
            Price {
                input: most,
                output: 0
            }
        ));
    });
}

#[test]
fn a_listing_has_a_bounded_number_of_offers() {
    let ext = TestExt::new()
        .provider(PETRA, BOND)
        .provider(PIUS, BOND)
        .provider(PAVEL, BOND);
    ext.execute_with(|| {
        assert_ok!(register(PIA, BOND));
        assert_noop!(set_offer(PIA, PRICE), Error::<Test>::TooManyOffers);
        // Those that are there can still be changed; and a place can be given up.
        assert_ok!(set_offer(PIUS, Price::default()));
        assert_ok!(remove(PAVEL));
        assert_ok!(set_offer(PIA, PRICE));
    });
}

#[test]
fn an_offer_fails_without_money_for_the_deposit() {
    TestExt::new().execute_with(|| {
        assert_ok!(register(PETRA, BOND));
        assert_ok!(Balances::transfer_all(
            RuntimeOrigin::signed(PETRA),
            SAM,
            true
        ));
        assert_noop!(set_offer(PETRA, PRICE), TokenError::FundsUnavailable);
        assert_eq!(uses(), 0);
    });
}

#[test]
fn removing_an_offer_returns_the_deposit_and_lets_the_listing_go() {
    TestExt::new()
        .provider(PETRA, BOND)
        .provider(PIUS, BOND)
        .execute_with(|| {
            let before = free(PETRA);
            assert_ok!(remove(PETRA));
            System::assert_last_event(
                Event::OfferRemoved {
                    provider: PETRA,
                    listing: listing(),
                }
                .into(),
            );
            assert_eq!(free(PETRA), before + offer_deposit());
            assert_eq!(Offering::<Test>::get(listing()).to_vec(), vec![PIUS]);
            assert_eq!((record(PETRA).offers, uses()), (0, 1));
            assert_noop!(remove(PETRA), Error::<Test>::UnknownOffer);
            assert_noop!(remove(SAM), Error::<Test>::UnknownProvider);
            assert_ok!(remove(PIUS));
            assert!(!Offering::<Test>::contains_key(listing()));
        });
}

#[test]
fn an_offer_with_open_jobs_stays() {
    TestExt::new().provider(PETRA, BOND).execute_with(|| {
        let worst = assign(PETRA).unwrap().worst_case_fee;
        assert_noop!(remove(PETRA), Error::<Test>::OfferBusy);
        deliver(PETRA, worst, worst);
        assert_ok!(remove(PETRA));
    });
}

#[test]
fn an_offer_of_a_retired_listing_can_be_removed() {
    TestExt::new().provider(PETRA, BOND).execute_with(|| {
        assert_ok!(Models::retire(RuntimeOrigin::signed(PAULA), listing()));
        let drop = || Models::drop_retired(RuntimeOrigin::signed(SAM), listing());
        assert_noop!(drop(), pallet_models::Error::<Test>::ListingInUse);
        assert_ok!(remove(PETRA));
        assert_ok!(drop());
    });
}

#[test]
fn one_provider_may_serve_several_listings() {
    TestExt::new().provider(PETRA, BOND).execute_with(|| {
        let other = list_model(4);
        assert_ok!(offer(PETRA, other, PRICE, 48, 1));
        assert_eq!(record(PETRA).offers, 2);
        assert_eq!(
            held(HoldReason::ProviderDeposit, PETRA),
            provider_deposit() + 2 * offer_deposit()
        );
    });
}

#[test]
fn a_listings_offers_are_counted_as_those_that_a_draw_looks_at() {
    TestExt::new()
        .provider(PETRA, BOND)
        .provider(PIUS, BOND)
        .execute_with(|| {
            let offers = |listing| <Providers as Market<u64, u64>>::offers(&listing);
            assert_eq!(offers(listing()), 2);
            assert_eq!(offers(ListingId::zero()), 0);
            assert_ok!(remove(PIUS));
            assert_eq!(offers(listing()), 1);
            assert_eq!(<Providers as Market<u64, u64>>::max_offers(), 3);
        });
}

#[test]
fn anyone_evicts_the_offers_of_a_listing_that_is_not_active() {
    TestExt::new()
        .provider(PETRA, BOND)
        .provider(PIUS, BOND)
        .execute_with(|| {
            let before = free(PETRA);
            assert_noop!(evict(SAM, PETRA), Error::<Test>::OfferStands);
            assert_ok!(Models::retire(RuntimeOrigin::signed(PAULA), listing()));
            assert_eq!(evict(SAM, PETRA).unwrap().pays_fee, Pays::No);
            System::assert_last_event(
                Event::OfferEvicted {
                    provider: PETRA,
                    listing: listing(),
                    by: SAM,
                }
                .into(),
            );
            assert_eq!(free(PETRA), before + offer_deposit());
            assert_eq!(Offers::<Test>::get(listing(), PETRA), None);
            assert_eq!(Offering::<Test>::get(listing()).to_vec(), vec![PIUS]);
            assert_eq!((record(PETRA).offers, uses()), (0, 1));
            assert_noop!(evict(SAM, PETRA), Error::<Test>::UnknownOffer);
            assert_noop!(evict(SAM, SAM), Error::<Test>::UnknownOffer);
            // Then the listing can go.
            assert_ok!(evict(SAM, PIUS));
            assert!(!Offering::<Test>::contains_key(listing()));
            let anyone = RuntimeOrigin::signed(SAM);
            assert_ok!(Models::drop_retired(anyone, listing()));
        });
}

#[test]
fn anyone_evicts_the_offers_of_a_provider_below_the_least_bond() {
    TestExt::new().provider(PETRA, BOND + 5).execute_with(|| {
        assert_ok!(compensate(PETRA, UMA, 5));
        assert_noop!(evict(SAM, PETRA), Error::<Test>::OfferStands);
        assert_ok!(compensate(PETRA, UMA, 1));
        assert_eq!(evict(SAM, PETRA).unwrap().pays_fee, Pays::No);
        assert_noop!(remove(PETRA), Error::<Test>::UnknownOffer);
    });
}

#[test]
fn a_larger_bond_makes_room_for_itself_in_a_full_listing() {
    TestExt::new()
        .provider(PETRA, BOND + 7)
        .provider(PIUS, BOND)
        .execute_with(|| {
            assert_ok!(register(PIA, BOND + 7));
            assert_noop!(evict(PIA, PIUS), Error::<Test>::OfferStands);
            assert_ok!(register(PAVEL, BOND));
            assert_ok!(set_offer(PAVEL, PRICE));
            assert_noop!(set_offer(PIA, PRICE), Error::<Test>::TooManyOffers);
            // Not for a bond of the same size, nor for one that is in already, nor for those who
            // are no providers, though they speak for one.
            assert_noop!(evict(PIA, PETRA), Error::<Test>::OfferStands);
            assert_noop!(evict(PETRA, PIUS), Error::<Test>::OfferStands);
            assert_noop!(evict(SAM, PIUS), Error::<Test>::OfferStands);
            assert_noop!(evict(operator(PIA), PIUS), Error::<Test>::OfferStands);
            // An offer elsewhere does not count as a place here.
            assert_ok!(offer(PIA, list_model(4), PRICE, 48, 1));
            assert_eq!(evict(PIA, PIUS).unwrap().pays_fee, Pays::Yes);
            assert_noop!(evict(PIA, PAVEL), Error::<Test>::OfferStands);
            assert_ok!(set_offer(PIA, PRICE));
            assert_noop!(set_offer(PIUS, PRICE), Error::<Test>::TooManyOffers);
        });
}

#[test]
fn a_provider_has_no_need_to_evict_its_own_offer() {
    TestExt::new()
        .provider(PETRA, BOND)
        .provider(PIUS, BOND)
        .provider(PAVEL, BOND)
        .execute_with(|| {
            assert_noop!(evict(PETRA, PETRA), Error::<Test>::OfferStands);
        });
}

#[test]
fn an_offer_with_open_jobs_is_not_evicted() {
    TestExt::new().provider(PETRA, BOND).execute_with(|| {
        assign(PETRA).unwrap();
        assert_noop!(evict(SAM, PETRA), Error::<Test>::OfferStands);
        assert_ok!(Models::retire(RuntimeOrigin::signed(PAULA), listing()));
        assert_noop!(evict(SAM, PETRA), Error::<Test>::OfferBusy);
        // A delivered answer keeps the provider, but not the offer.
        deliver(PETRA, WORST_CASE, 900);
        assert_ok!(evict(SAM, PETRA));
        close(PETRA, 900, 800, 0);
        assert_eq!((record(PETRA).exposure, record(PETRA).open_jobs), (0, 0));
    });
}
