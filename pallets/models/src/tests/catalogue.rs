use crate::{mock::*, Accounts, Error, Event, HoldReason, ListingStatus};
use assay_primitives::{Listing, ListingId, ModelCatalogue};
use frame_support::{
    assert_noop, assert_ok,
    traits::{fungible::Mutate, tokens::Preservation},
};
use sp_runtime::TokenError;

#[test]
fn the_catalogue_tells_what_jobs_need_to_know() {
    TestExt::new().execute_with(|| {
        let id = listed();
        let listing = Listing {
            spec: spec(),
            royalty: percent(2),
            active: true,
        };
        assert_eq!(
            <Models as ModelCatalogue<u64>>::listing(&id),
            Some(listing.clone())
        );
        assert_eq!(
            <Models as ModelCatalogue<u64>>::listing(&ListingId::zero()),
            None
        );
        assert_ok!(Models::retire(RuntimeOrigin::signed(PAULA), id));
        assert_eq!(
            <Models as ModelCatalogue<u64>>::listing(&id),
            Some(Listing {
                active: false,
                ..listing
            })
        );
    });
}

#[test]
fn uses_are_counted() {
    TestExt::new().execute_with(|| {
        let id = listed();
        assert_ok!(Models::acquire(&id));
        assert_ok!(Models::acquire(&id));
        Models::release(&id);
        assert_eq!(Accounts::<Test>::get(id).unwrap().uses, 1);
        assert_noop!(
            Models::acquire(&ListingId::zero()),
            Error::<Test>::UnknownListing
        );
        Accounts::<Test>::mutate(id, |account| account.as_mut().unwrap().uses = u32::MAX);
        assert_noop!(Models::acquire(&id), Error::<Test>::CounterOverflow);
    });
}

#[test]
fn royalties_gather_in_the_pot_and_anyone_may_pay_them_out() {
    TestExt::new().execute_with(|| {
        let id = listed();
        let by_sam = || RuntimeOrigin::signed(SAM);
        assert_noop!(
            Models::claim_royalties(by_sam(), id),
            Error::<Test>::NothingToClaim
        );
        assert_noop!(
            Models::claim_royalties(by_sam(), ListingId::zero()),
            Error::<Test>::UnknownListing
        );
        pay_royalty(id, 40);
        pay_royalty(id, 2);
        assert_eq!(Accounts::<Test>::get(id).unwrap().pot, 42);
        assert_eq!(held(HoldReason::Royalty, Models::account_id()), 42);
        let before = free(PAULA);
        assert_ok!(Models::claim_royalties(by_sam(), id));
        System::assert_last_event(
            Event::RoyaltiesClaimed {
                listing: id,
                publisher: PAULA,
                amount: 42,
            }
            .into(),
        );
        assert_eq!(free(PAULA), before + 42);
        assert_eq!(held(HoldReason::Royalty, Models::account_id()), 0);
    });
}

#[test]
fn a_publisher_who_spends_everything_can_still_be_paid() {
    TestExt::new().execute_with(|| {
        let id = listed();
        pay_royalty(id, 1);
        assert_ok!(Balances::transfer_all(
            RuntimeOrigin::signed(PAULA),
            SAM,
            false
        ));
        assert_ok!(Models::claim_royalties(RuntimeOrigin::signed(SAM), id));
        assert_eq!(free(PAULA), EXISTENTIAL_DEPOSIT + 1);
    });
}

#[test]
fn a_credit_fails_when_the_royalty_account_lacks_the_money() {
    TestExt::new().execute_with(|| {
        let id = listed();
        assert_noop!(
            <Models as ModelCatalogue<u64>>::credit_royalty(&id, 1),
            TokenError::FundsUnavailable
        );
        assert_noop!(
            <Models as ModelCatalogue<u64>>::credit_royalty(&ListingId::zero(), 1),
            Error::<Test>::UnknownListing
        );
    });
}

#[test]
fn a_pot_at_its_bound_takes_no_more() {
    TestExt::new().execute_with(|| {
        let id = listed();
        let pot =
            |value| Accounts::<Test>::mutate(id, |account| account.as_mut().unwrap().pot = value);
        pot(u128::MAX);
        assert_ok!(<Balances as Mutate<u64>>::transfer(
            &SAM,
            &Models::account_id(),
            10,
            Preservation::Preserve
        ));
        assert_noop!(
            <Models as ModelCatalogue<u64>>::credit_royalty(&id, 1),
            Error::<Test>::CounterOverflow
        );
        pot(0);
    });
}

#[test]
fn the_referee_finds_a_models_parts_and_freezes_it_once() {
    TestExt::new().execute_with(|| {
        let id = listed();
        let parts = <Models as ModelCatalogue<u64>>::parts(&id).unwrap();
        assert_eq!(parts.listing_id(&PAULA, percent(2)), id);
        assert_eq!(
            <Models as ModelCatalogue<u64>>::parts(&ListingId::zero()),
            None
        );
        let freeze = |id| <Models as ModelCatalogue<u64>>::freeze(id);
        assert_ok!(freeze(&id));
        assert!(!Models::listing(id).is_some_and(|record| record.status == ListingStatus::Active));
        System::assert_last_event(Event::Frozen { listing: id }.into());
        System::reset_events();
        assert_ok!(freeze(&id));
        assert!(System::events().is_empty());
        assert_noop!(freeze(&ListingId::zero()), Error::<Test>::UnknownListing);
    });
}
