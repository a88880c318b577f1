use crate::{
    mock::*, Accounts, Error, Event, HoldReason, ListingAccount, ListingStatus, Listings,
    Parameters, Params,
};
use assay_primitives::{ListingId, ModelCatalogue, ModelParts, ModelSpec, Profile};
use frame_support::{assert_noop, assert_ok};
use sp_core::H256;
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
fn an_exact_model_is_listed_with_all_its_numbers() {
    TestExt::new().execute_with(|| {
        let parts = Exact::new().parts();
        let (id, result) = register(PAULA, parts.clone(), percent(2));
        assert_ok!(result);
        assert_eq!(Listings::<Test>::get(id).unwrap().parts, parts);
        // The profile is a part of the model: the same files in floats are another listing.
        let floats = ModelParts {
            spec: spec(),
            tables: H256::zero(),
            ..parts
        };
        let (other, result) = register(PAULA, floats, percent(2));
        assert_ok!(result);
        assert_ne!(id, other);
    });
}

#[test]
fn registering_fails_when_an_exact_model_is_outside_the_format() {
    TestExt::new().execute_with(|| {
        let with = |change: fn(&mut Exact)| {
            let mut exact = Exact::new();
            change(&mut exact);
            register(PAULA, exact.parts(), percent(2)).1
        };
        let fraction_bits: [fn(&mut Exact); 2] =
            [|e| e.fraction_bits = 7, |e| e.fraction_bits = 21];
        for change in fraction_bits {
            assert_noop!(with(change), Error::<Test>::FractionBitsOutOfBounds);
        }
        let epsilons: [fn(&mut Exact); 2] = [|e| e.eps40 = 0, |e| e.eps40 = (1 << 30) + 1];
        for change in epsilons {
            assert_noop!(with(change), Error::<Test>::EpsilonOutOfBounds);
        }
        let bases: [fn(&mut Exact); 2] = [|e| e.base = 999_999, |e| e.base = (1_000_000 << 40) + 1];
        for change in bases {
            assert_noop!(with(change), Error::<Test>::RotaryBaseOutOfBounds);
        }
        let scalings: [fn(&mut Exact); 5] = [
            |e| e.scaling.factor = 0,
            |e| e.scaling.low = 0,
            |e| e.scaling.low = e.scaling.high,
            |e| e.scaling.high = u64::MAX,
            |e| e.scaling.original_context = 0,
        ];
        for change in scalings {
            assert_noop!(with(change), Error::<Test>::InvalidRotaryScaling);
        }
    });
}

#[test]
fn the_bounds_of_exact_models_are_tighter() {
    TestExt::new().execute_with(|| {
        let changes: [fn(&mut ModelSpec); 5] = [
            |spec| spec.hidden = (1 << 14) + 1,
            |spec| spec.intermediate = (1 << 16) + 1,
            |spec| spec.context = (1 << 20) + 1,
            |spec| (spec.heads, spec.head_dim) = (2, 514),
            |spec| (spec.heads, spec.head_dim) = (130, 512),
        ];
        for change in changes {
            let mut exact = Exact::new().parts();
            change(&mut exact.spec);
            let floats = ModelParts {
                spec: ModelSpec {
                    profile: Profile::Unverified,
                    ..exact.spec.clone()
                },
                tables: H256::zero(),
                ..exact.clone()
            };
            assert_noop!(
                register(PAULA, exact, percent(2)).1,
                Error::<Test>::DimensionOutOfBounds
            );
            assert_ok!(register(PAULA, floats, percent(2)).1);
        }
        let mut odd = Exact::new().parts();
        odd.spec.head_dim = 31;
        assert_noop!(
            register(PAULA, odd, percent(2)).1,
            Error::<Test>::HeadsDoNotDivide
        );
    });
}

#[test]
fn registering_fails_when_tables_and_profile_disagree() {
    TestExt::new().execute_with(|| {
        let with = |parts, tables| register(PAULA, ModelParts { tables, ..parts }, percent(2)).1;
        assert_noop!(
            with(parts(3), H256::repeat_byte(4)),
            Error::<Test>::TablesContradictProfile
        );
        assert_noop!(
            with(Exact::new().parts(), H256::zero()),
            Error::<Test>::TablesContradictProfile
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
fn governance_sets_the_cap_of_new_listings_and_old_ones_keep_their_royalties() {
    TestExt::new().execute_with(|| {
        let set = |max_royalty| {
            let max_royalty = percent(max_royalty);
            Models::set_parameters(RuntimeOrigin::root(), Parameters { max_royalty })
        };
        assert_noop!(
            Models::set_parameters(RuntimeOrigin::signed(PAULA), Parameters::default()),
            DispatchError::BadOrigin
        );
        // The runtime allows 30 %.
        assert_noop!(set(31), Error::<Test>::InvalidParameters);
        assert_ok!(set(30));
        System::assert_last_event(Event::ParametersSet.into());
        let (dear, result) = register(PAULA, parts(3), percent(30));
        assert_ok!(result);

        assert_ok!(set(5));
        assert_noop!(
            register(PAULA, parts(4), percent(6)).1,
            Error::<Test>::RoyaltyTooHigh
        );
        assert_ok!(register(PAULA, parts(4), percent(5)).1);
        assert_eq!(Models::listing(dear).unwrap().royalty, percent(30));
        pay_royalty(dear, 700);
        assert_ok!(Models::claim_royalties(RuntimeOrigin::signed(SAM), dear));

        assert_ok!(set(0));
        assert_ok!(register(PAULA, parts(5), percent(0)).1);
    });
}

/// So is a chain that began before there were parameters.
#[test]
fn the_cap_that_nobody_has_set_is_a_fifth() {
    TestExt::new().execute_with(|| {
        Params::<Test>::kill();
        assert_eq!(Params::<Test>::get().max_royalty, percent(20));
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
