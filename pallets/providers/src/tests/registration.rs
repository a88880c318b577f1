use crate::{
    mock::*, Error, Event, HoldReason, OperatorHistory, OperatorRange, Operators, Parameters,
};
use assay_primitives::{Market, ProviderRewards};
use frame_support::{assert_noop, assert_ok};
use sp_runtime::{DispatchError, DispatchResult, Permill, TokenError};

fn rotate(stash: u64, operator: u64) -> DispatchResult {
    Providers::rotate_operator(RuntimeOrigin::signed(stash), operator)
}

fn deregister(stash: u64) -> DispatchResult {
    Providers::deregister(RuntimeOrigin::signed(stash))
}

fn operator_at(stash: u64, block: u64) -> Option<u64> {
    <Providers as Market<u64, u64>>::operator_at(&stash, block)
}

#[test]
fn registering_bonds_money_and_names_an_operator() {
    TestExt::new().execute_with(|| {
        assert_ok!(register(PETRA, BOND));
        assert_eq!(held(HoldReason::Bond, PETRA), BOND);
        assert_eq!(held(HoldReason::ProviderDeposit, PETRA), provider_deposit());
        assert_eq!(free(PETRA), ENDOWMENT - BOND - provider_deposit());
        let record = record(PETRA);
        assert!(record.online);
        assert_eq!(
            (record.operator, record.info.clone()),
            (operator(PETRA), info())
        );
        assert_eq!(record.registered_at, 1);
        assert_eq!(Operators::<Test>::get(operator(PETRA)), Some(PETRA));
        System::assert_last_event(
            Event::Registered {
                provider: PETRA,
                operator: operator(PETRA),
                bond: BOND,
            }
            .into(),
        );
        assert_eq!(Providers::provider(PETRA), Some(record));
        assert_eq!(
            Providers::provider_of_operator(operator(PETRA)),
            Some(PETRA)
        );
        assert_eq!(
            <Providers as Market<u64, u64>>::provider_of(&operator(PETRA)),
            Some(PETRA)
        );
        assert_eq!(<Providers as Market<u64, u64>>::provider_of(&PETRA), None);
    });
}

#[test]
fn registering_fails_twice_with_a_taken_operator_or_too_small_a_bond() {
    TestExt::new().execute_with(|| {
        assert_noop!(register(PETRA, BOND - 1), Error::<Test>::BondTooSmall);
        assert_ok!(register(PETRA, BOND));
        assert_noop!(register(PETRA, BOND), Error::<Test>::AlreadyRegistered);
        let by = RuntimeOrigin::signed(PIUS);
        assert_noop!(
            Providers::register(by, operator(PETRA), info(), BOND),
            Error::<Test>::OperatorTaken
        );
    });
}

#[test]
fn registering_fails_without_the_money() {
    TestExt::new().execute_with(|| {
        assert_noop!(register(PETRA, ENDOWMENT), TokenError::FundsUnavailable);
        assert_noop!(register(77, BOND), TokenError::FundsUnavailable);
    });
}

#[test]
fn a_provider_may_say_anew_how_it_is_reached() {
    TestExt::new().execute_with(|| {
        let update = |stash, info| Providers::update_info(RuntimeOrigin::signed(stash), info);
        assert_noop!(update(PETRA, info()), Error::<Test>::UnknownProvider);
        assert_ok!(register(PETRA, BOND));
        let changed = crate::ProviderInfo {
            x25519_key: [9; 32],
            ..info()
        };
        assert_ok!(update(PETRA, changed.clone()));
        assert_eq!(record(PETRA).info, changed);
        System::assert_last_event(Event::InfoUpdated { provider: PETRA }.into());
    });
}

#[test]
fn every_operator_key_keeps_the_blocks_in_which_it_was_valid() {
    TestExt::new().provider(PETRA, BOND).execute_with(|| {
        run_to(5);
        assert_ok!(rotate(PETRA, 77));
        System::assert_last_event(
            Event::OperatorRotated {
                provider: PETRA,
                operator: 77,
            }
            .into(),
        );
        assert_eq!(Operators::<Test>::get(operator(PETRA)), None);
        assert_eq!(Operators::<Test>::get(77), Some(PETRA));
        run_to(9);
        assert_ok!(rotate(PETRA, operator(PETRA)));
        let valid: Vec<_> = [0, 1, 4, 5, 8, 9, 1_000]
            .map(|b| operator_at(PETRA, b))
            .into();
        let (first, second) = (Some(operator(PETRA)), Some(77));
        assert_eq!(
            valid,
            vec![None, first, first, second, second, first, first]
        );
        assert_eq!(operator_at(PIUS, 5), None);
    });
}

#[test]
fn a_key_that_was_replaced_in_its_first_block_was_never_valid() {
    TestExt::new().provider(PETRA, BOND).execute_with(|| {
        run_to(5);
        assert_ok!(rotate(PETRA, 77));
        assert_ok!(rotate(PETRA, 78));
        assert_eq!(operator_at(PETRA, 4), Some(operator(PETRA)));
        assert_eq!(operator_at(PETRA, 5), Some(78));
    });
}

#[test]
fn rotating_fails_for_strangers_and_to_a_taken_key() {
    TestExt::new()
        .provider(PETRA, BOND)
        .provider(PIUS, BOND)
        .execute_with(|| {
            assert_noop!(rotate(SAM, 77), Error::<Test>::UnknownProvider);
            assert_noop!(rotate(PETRA, operator(PIUS)), Error::<Test>::OperatorTaken);
            assert_noop!(rotate(PETRA, operator(PETRA)), Error::<Test>::OperatorTaken);
        });
}

#[test]
fn old_keys_are_remembered_as_long_as_money_unbonds_and_then_make_room() {
    TestExt::new().provider(PETRA, BOND).execute_with(|| {
        for (block, key) in [(2, 71), (3, 72), (4, 73)] {
            run_to(block);
            assert_ok!(rotate(PETRA, key));
        }
        assert_noop!(rotate(PETRA, 74), Error::<Test>::TooManyRotations);
        run_to(101);
        assert_noop!(rotate(PETRA, 74), Error::<Test>::TooManyRotations);
        run_to(102);
        assert_ok!(rotate(PETRA, 74));
        let history = OperatorHistory::<Test>::get(PETRA);
        assert_eq!(history.len(), 4);
        assert_eq!(
            history[0],
            OperatorRange {
                operator: 71,
                from: 2,
                until: Some(3)
            }
        );
    });
}

#[test]
fn the_stash_or_its_operator_goes_on_and_offline() {
    TestExt::new().provider(PETRA, BOND).execute_with(|| {
        let set = |who, online| Providers::set_online(RuntimeOrigin::signed(who), online);
        assert_noop!(set(SAM, false), Error::<Test>::UnknownProvider);
        assert_ok!(set(PETRA, false));
        assert!(!record(PETRA).online);
        assert_ok!(set(operator(PETRA), true));
        assert!(record(PETRA).online);
        System::assert_last_event(
            Event::OnlineSet {
                provider: PETRA,
                online: true,
            }
            .into(),
        );
    });
}

#[test]
fn nobody_takes_a_stash_its_voice_by_naming_it_as_an_operator() {
    TestExt::new().provider(PETRA, BOND).execute_with(|| {
        assert_ok!(Providers::register(
            RuntimeOrigin::signed(PIUS),
            PETRA,
            info(),
            BOND
        ));
        assert_ok!(Providers::set_online(RuntimeOrigin::signed(PETRA), false));
        assert!(!record(PETRA).online && record(PIUS).online);
    });
}

#[test]
fn leaving_returns_everything_and_frees_the_operator_key() {
    TestExt::new().execute_with(|| {
        assert_noop!(deregister(PETRA), Error::<Test>::UnknownProvider);
        assert_ok!(register(PETRA, BOND));
        let by = || RuntimeOrigin::signed(PETRA);
        assert_noop!(deregister(PETRA), Error::<Test>::BondRemains);
        assert_ok!(Providers::unbond(by(), BOND));
        assert_noop!(deregister(PETRA), Error::<Test>::BondRemains);
        run_to(101);
        assert_ok!(Providers::withdraw_unbonded(by()));
        assert_ok!(deregister(PETRA));
        System::assert_last_event(Event::Deregistered { provider: PETRA }.into());
        assert_eq!(free(PETRA), ENDOWMENT);
        assert_eq!(Providers::provider(PETRA), None);
        assert!(OperatorHistory::<Test>::get(PETRA).is_empty());
        let stash = RuntimeOrigin::signed(PIUS);
        assert_ok!(Providers::register(stash, operator(PETRA), info(), BOND));
    });
}

#[test]
fn nobody_leaves_with_jobs_offers_or_earnings_open() {
    TestExt::new().provider(PETRA, BOND).execute_with(|| {
        let worst = assign(PETRA).unwrap().worst_case_fee;
        assert_noop!(deregister(PETRA), Error::<Test>::JobsRemain);
        deliver(PETRA, worst, worst);
        assert_noop!(deregister(PETRA), Error::<Test>::JobsRemain);
        close(PETRA, worst, 0, 0);
        assert_noop!(deregister(PETRA), Error::<Test>::OffersRemain);
        assert_ok!(Providers::remove_offer(
            RuntimeOrigin::signed(PETRA),
            listing()
        ));
        earn(PETRA, 500);
        assert_noop!(deregister(PETRA), Error::<Test>::EarningsRemain);
    });
}

#[test]
fn the_admin_sets_parameters_that_make_sense_together() {
    TestExt::new().execute_with(|| {
        let set = |parameters| Providers::set_parameters(RuntimeOrigin::root(), parameters);
        assert_noop!(
            Providers::set_parameters(RuntimeOrigin::signed(SAM), parameters()),
            DispatchError::BadOrigin
        );
        let broken = [
            Parameters {
                min_bond: 0,
                ..parameters()
            },
            Parameters {
                exposure_factor: 0,
                ..parameters()
            },
            Parameters {
                maturing_blocks: 0,
                ..parameters()
            },
            Parameters {
                unbonding_blocks: 39,
                ..parameters()
            },
            Parameters {
                full_step_fee: 0,
                ..parameters()
            },
            Parameters {
                slash_multiple: 0,
                ..parameters()
            },
            Parameters {
                slash_floor: Permill::zero(),
                ..parameters()
            },
            Parameters {
                reward_share: Permill::from_parts(500_001),
                ..parameters()
            },
            Parameters {
                rewards: ProviderRewards {
                    return_share: Permill::from_parts(900_001),
                    ..parameters().rewards
                },
                ..parameters()
            },
        ];
        for parameters in broken {
            assert_noop!(set(parameters), Error::<Test>::InvalidParameters);
        }
        ChallengeBlocks::set(parameters().maturing_blocks + 1);
        assert_noop!(set(parameters()), Error::<Test>::MaturesTooSoon);
        ChallengeBlocks::set(parameters().maturing_blocks);
        let changed = Parameters {
            unbonding_blocks: 40,
            compensation_burned: Permill::zero(),
            reward_share: Permill::from_percent(50),
            ..parameters()
        };
        assert_ok!(set(changed.clone()));
        assert_eq!(crate::Params::<Test>::get(), changed);
        System::assert_last_event(Event::ParametersSet.into());
    });
}

#[test]
fn calls_need_a_signature() {
    TestExt::new().provider(PETRA, BOND).execute_with(|| {
        let nobody = RuntimeOrigin::none;
        let bad = DispatchError::BadOrigin;
        assert_noop!(Providers::register(nobody(), 77, info(), BOND), bad);
        assert_noop!(Providers::update_info(nobody(), info()), bad);
        assert_noop!(Providers::rotate_operator(nobody(), 77), bad);
        assert_noop!(Providers::bond_extra(nobody(), 1), bad);
        assert_noop!(Providers::unbond(nobody(), 1), bad);
        assert_noop!(Providers::withdraw_unbonded(nobody()), bad);
        assert_noop!(Providers::set_offer(nobody(), listing(), 1, 1, 1, 1), bad);
        assert_noop!(Providers::remove_offer(nobody(), listing()), bad);
        assert_noop!(Providers::set_online(nobody(), true), bad);
        assert_noop!(Providers::deregister(nobody()), bad);
        assert_noop!(Providers::release_earnings(nobody(), PETRA), bad);
        assert_noop!(Providers::evict_offer(nobody(), listing(), PETRA), bad);
    });
}
