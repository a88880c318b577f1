use crate::{mock::*, Accounts, Error, Event, HoldReason, ListingAccount, ListingStatus, Listings};
use assay_primitives::{ListingId, ModelCatalogue, ModelParts, ModelSpec};
use frame_support::{assert_noop, assert_ok};
use sp_runtime::{DispatchError, TokenError};

fn unknown() -> ListingId {
    ListingId::repeat_byte(0xee)
}

#[test]
fn registering_lists_the_model_for_a_deposit() {
    TestExt::new().execute_with(|| {
        let (id, result) = register(PAULA, parts(3), percent(2));
        assert_ok!(result);
        let record = Listings::<Test>::get(id).unwrap();
        assert_eq!(record.publisher, PAULA);
        assert_eq!(record.parts, parts(3));
        assert_eq!(record.royalty, percent(2));
        assert_eq!(record.status, ListingStatus::Active);
        assert_eq!(Accounts::<Test>::get(id), Some(ListingAccount::default()));
        assert_eq!(held(HoldReason::ListingDeposit, PAULA), listing_deposit());
        assert_eq!(free(PAULA), ENDOWMENT - listing_deposit());
        System::assert_last_event(
            Event::Registered {
                listing: id,
                root: parts(3).root(),
                publisher: PAULA,
                royalty: percent(2),
            }
            .into(),
        );
        assert_eq!(Models::listing(id), Some(record));
        assert_eq!(Models::account(id), Some(ListingAccount::default()));
        assert_eq!(Models::listings_of(PAULA), vec![id]);
        assert!(Models::listings_of(PEDRO).is_empty());
    });
}

#[test]
fn nobody_can_squat_on_a_model() {
    TestExt::new().execute_with(|| {
        let (first, result) = register(PAULA, parts(3), percent(2));
        assert_ok!(result);
        let (second, result) = register(PEDRO, parts(3), percent(2));
        assert_ok!(result);
        let (third, result) = register(PAULA, parts(3), percent(0));
        assert_ok!(result);
        assert!(first != second && first != third);
        assert_noop!(
            register(PAULA, parts(3), percent(2)).1,
            Error::<Test>::AlreadyRegistered
        );
    });
}

#[test]
fn registering_fails_when_the_shape_contradicts_itself() {
    TestExt::new().execute_with(|| {
        let with = |spec: ModelSpec| register(PAULA, ModelParts { spec, ..parts(3) }, percent(2)).1;
        assert_noop!(
            with(ModelSpec {
                layers: 0,
                ..spec()
            }),
            Error::<Test>::DimensionOutOfBounds
        );
        assert_noop!(
            with(ModelSpec {
                kv_heads: 3,
                ..spec()
            }),
            Error::<Test>::HeadsDoNotDivide
        );
        let stop_tokens = vec![1024].try_into().unwrap();
        assert_noop!(
            with(ModelSpec {
                stop_tokens,
                ..spec()
            }),
            Error::<Test>::InvalidStopTokens
        );
    });
}

#[test]
fn a_royalty_may_reach_the_cap_and_no_more() {
    TestExt::new().execute_with(|| {
        assert_noop!(
            register(PAULA, parts(3), percent(21)).1,
            Error::<Test>::RoyaltyTooHigh
        );
        assert_ok!(register(PAULA, parts(3), percent(20)).1);
    });
}

#[test]
fn registering_fails_without_money_for_the_deposit() {
    TestExt::new()
        .endow(PAULA, EXISTENTIAL_DEPOSIT + 5)
        .execute_with(|| {
            assert_noop!(
                register(PAULA, parts(3), percent(2)).1,
                TokenError::FundsUnavailable
            );
        });
}

#[test]
fn only_the_publisher_retires_a_listing_and_only_once() {
    TestExt::new().execute_with(|| {
        let id = listed();
        let by = RuntimeOrigin::signed;
        assert_noop!(
            Models::retire(by(PAULA), unknown()),
            Error::<Test>::UnknownListing
        );
        assert_noop!(Models::retire(by(SAM), id), Error::<Test>::NotPublisher);
        assert_ok!(Models::retire(by(PAULA), id));
        System::assert_last_event(Event::Retired { listing: id }.into());
        assert_eq!(
            Listings::<Test>::get(id).unwrap().status,
            ListingStatus::Retired
        );
        assert_noop!(
            Models::retire(by(PAULA), id),
            Error::<Test>::ListingNotActive
        );
    });
}

#[test]
fn the_freeze_origin_freezes_active_and_retired_listings() {
    TestExt::new().execute_with(|| {
        let id = listed();
        assert_noop!(
            Models::freeze(RuntimeOrigin::signed(PAULA), id),
            DispatchError::BadOrigin
        );
        assert_noop!(
            Models::freeze(RuntimeOrigin::root(), unknown()),
            Error::<Test>::UnknownListing
        );
        assert_ok!(Models::retire(RuntimeOrigin::signed(PAULA), id));
        assert_ok!(Models::freeze(RuntimeOrigin::root(), id));
        System::assert_last_event(Event::Frozen { listing: id }.into());
        assert_noop!(
            Models::freeze(RuntimeOrigin::root(), id),
            Error::<Test>::ListingNotActive
        );
        assert_noop!(
            Models::retire(RuntimeOrigin::signed(PAULA), id),
            Error::<Test>::ListingNotActive
        );
    });
}

#[test]
fn a_retired_listing_is_dropped_when_nothing_uses_it_and_the_deposit_returns() {
    TestExt::new().execute_with(|| {
        let id = listed();
        let drop = |id| Models::drop_retired(RuntimeOrigin::signed(SAM), id);
        assert_noop!(drop(unknown()), Error::<Test>::UnknownListing);
        assert_noop!(drop(id), Error::<Test>::ListingActive);

        assert_ok!(Models::acquire(&id));
        assert_ok!(Models::retire(RuntimeOrigin::signed(PAULA), id));
        assert_noop!(drop(id), Error::<Test>::ListingInUse);
        Models::release(&id);

        pay_royalty(id, 700);
        assert_noop!(drop(id), Error::<Test>::PotNotEmpty);
        assert_ok!(Models::claim_royalties(RuntimeOrigin::signed(SAM), id));

        let info = drop(id).unwrap();
        assert_eq!(info.pays_fee, frame_support::dispatch::Pays::No);
        System::assert_last_event(Event::Dropped { listing: id }.into());
        assert!(!Listings::<Test>::contains_key(id) && !Accounts::<Test>::contains_key(id));
        assert_eq!(free(PAULA), ENDOWMENT + 700);
        assert_noop!(drop(id), Error::<Test>::UnknownListing);
        assert_ok!(register(PAULA, parts(3), percent(2)).1);
    });
}

#[test]
fn a_frozen_listing_is_dropped_as_a_retired_one() {
    TestExt::new().execute_with(|| {
        let id = listed();
        assert_ok!(Models::freeze(RuntimeOrigin::root(), id));
        assert_ok!(Models::drop_retired(RuntimeOrigin::signed(SAM), id));
        assert_eq!(free(PAULA), ENDOWMENT);
    });
}

#[test]
fn calls_need_a_signature() {
    TestExt::new().execute_with(|| {
        let id = listed();
        let nobody = RuntimeOrigin::none;
        assert_noop!(Models::retire(nobody(), id), DispatchError::BadOrigin);
        assert_noop!(
            Models::claim_royalties(nobody(), id),
            DispatchError::BadOrigin
        );
        assert_noop!(Models::drop_retired(nobody(), id), DispatchError::BadOrigin);
    });
}
