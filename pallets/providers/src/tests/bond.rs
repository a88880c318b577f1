use crate::{mock::*, Error, Event, HoldReason, UnbondingChunk};
use assay_primitives::{Balance, Market, Price};
use frame_support::{assert_noop, assert_ok};
use sp_runtime::{DispatchResult, Permill, TokenError};

fn unbond(amount: Balance) -> DispatchResult {
    Providers::unbond(RuntimeOrigin::signed(PETRA), amount)
}

fn withdraw() -> DispatchResult {
    Providers::withdraw_unbonded(RuntimeOrigin::signed(PETRA))
}

#[test]
fn money_may_be_added_to_a_bond() {
    TestExt::new().provider(PETRA, BOND).execute_with(|| {
        let extra = |who, amount| Providers::bond_extra(RuntimeOrigin::signed(who), amount);
        assert_noop!(extra(SAM, 1), Error::<Test>::UnknownProvider);
        assert_noop!(extra(PETRA, ENDOWMENT), TokenError::FundsUnavailable);
        assert_noop!(extra(PETRA, Balance::MAX), Error::<Test>::Overflow);
        let before = free(PETRA);
        assert_ok!(extra(PETRA, 5));
        System::assert_last_event(
            Event::Bonded {
                provider: PETRA,
                amount: 5,
            }
            .into(),
        );
        assert_eq!((record(PETRA).bond, free(PETRA)), (BOND + 5, before - 5));
    });
}

#[test]
fn a_bond_that_fell_below_the_least_is_filled_up_at_once_or_not_at_all() {
    TestExt::new().provider(PETRA, BOND).execute_with(|| {
        assert_ok!(compensate(PETRA, UMA, 300));
        let extra = |amount| Providers::bond_extra(RuntimeOrigin::signed(PETRA), amount);
        assert_noop!(extra(299), Error::<Test>::BondTooSmall);
        assert_ok!(extra(300));
    });
}

#[test]
fn unbonded_money_still_answers_and_is_then_withdrawn() {
    TestExt::new().provider(PETRA, 2 * BOND).execute_with(|| {
        let before = free(PETRA);
        assert_noop!(withdraw(), Error::<Test>::NothingToWithdraw);
        assert_ok!(unbond(BOND));
        System::assert_last_event(
            Event::Unbonded {
                provider: PETRA,
                amount: BOND,
                due: 101,
            }
            .into(),
        );
        assert_eq!(record(PETRA).bond, BOND);
        assert_eq!(held(HoldReason::Bond, PETRA), 2 * BOND);
        run_to(100);
        assert_noop!(withdraw(), Error::<Test>::NothingToWithdraw);
        run_to(101);
        assert_ok!(withdraw());
        System::assert_last_event(
            Event::Withdrawn {
                provider: PETRA,
                amount: BOND,
            }
            .into(),
        );
        assert_eq!(free(PETRA), before + BOND);
        assert_eq!(held(HoldReason::Bond, PETRA), BOND);
        assert_noop!(withdraw(), Error::<Test>::NothingToWithdraw);
    });
}

#[test]
fn withdrawing_takes_what_is_due_and_leaves_the_rest() {
    TestExt::new().provider(PETRA, BOND + 100).execute_with(|| {
        for (block, amount) in [(1, 10), (1, 5), (3, 20), (9, 30)] {
            run_to(block);
            assert_ok!(unbond(amount));
        }
        let chunk = |amount, due| UnbondingChunk { amount, due };
        assert_eq!(
            record(PETRA).unbonding.to_vec(),
            vec![chunk(15, 101), chunk(20, 103), chunk(30, 109)]
        );
        run_to(103);
        assert_ok!(withdraw());
        assert_eq!(record(PETRA).unbonding.to_vec(), vec![chunk(30, 109)]);
        assert_eq!(held(HoldReason::Bond, PETRA), BOND + 65);
    });
}

#[test]
fn strangers_have_nothing_to_unbond_or_withdraw() {
    TestExt::new().execute_with(|| {
        assert_noop!(unbond(1), Error::<Test>::UnknownProvider);
        assert_noop!(withdraw(), Error::<Test>::UnknownProvider);
    });
}

#[test]
fn what_stays_bonded_is_nothing_or_at_least_the_least_bond() {
    TestExt::new().provider(PETRA, 2 * BOND).execute_with(|| {
        assert_noop!(unbond(2 * BOND + 1), Error::<Test>::BondTooSmall);
        assert_noop!(unbond(BOND + 1), Error::<Test>::BondTooSmall);
        assert_noop!(unbond(2 * BOND - 1), Error::<Test>::BondTooSmall);
        assert_ok!(unbond(2 * BOND));
    });
}

#[test]
fn what_stays_bonded_covers_the_open_jobs() {
    TestExt::new().provider(PETRA, 2 * BOND).execute_with(|| {
        assert_ok!(set_offer(
            PETRA,
            Price {
                input: 0,
                output: 5 * BOND / 16
            }
        ));
        let wanted = assay_primitives::DrawRequest {
            budget: 5 * BOND,
            ..request(Some(&PETRA), &[], 0)
        };
        assert_eq!(
            <Providers as Market<u64, u64>>::draw(&wanted)
                .unwrap()
                .worst_case_fee,
            5 * BOND
        );
        // Four times what would stay is less than five bonds.
        assert_noop!(unbond(BOND), Error::<Test>::BondNeeded);
        assert_ok!(unbond(3 * BOND / 4));
    });
}

#[test]
fn a_bond_stays_while_even_a_free_job_is_open() {
    TestExt::new().provider(PETRA, BOND).execute_with(|| {
        assert_ok!(set_offer(PETRA, Price::default()));
        assert_eq!(assign(PETRA).unwrap().worst_case_fee, 0);
        assert_noop!(unbond(BOND), Error::<Test>::BondNeeded);
        deliver(PETRA, 0, 0);
        assert_noop!(unbond(BOND), Error::<Test>::BondNeeded);
        close(PETRA, 0, 0, 0);
        assert_ok!(unbond(BOND));
    });
}

#[test]
fn only_so_many_withdrawals_are_under_way_at_once() {
    TestExt::new().provider(PETRA, 2 * BOND).execute_with(|| {
        for block in 1..=4 {
            run_to(block);
            assert_ok!(unbond(1));
        }
        assert_ok!(unbond(1));
        run_to(5);
        assert_noop!(unbond(1), Error::<Test>::TooManyUnbondingChunks);
        run_to(101);
        assert_ok!(withdraw());
        assert_ok!(unbond(1));
    });
}

#[test]
fn a_compensation_comes_from_the_bond_first_and_then_from_the_oldest_unbonding_money() {
    TestExt::new().provider(PETRA, 3 * BOND).execute_with(|| {
        for block in [1, 2] {
            run_to(block);
            assert_ok!(unbond(BOND));
        }
        assert_ok!(compensate(PETRA, UMA, BOND + 10), 7 * (BOND + 10) / 10);
        assert_eq!(record(PETRA).bond, 0);
        assert_eq!(
            record(PETRA).unbonding.to_vec(),
            vec![
                UnbondingChunk {
                    amount: BOND - 10,
                    due: 101
                },
                UnbondingChunk {
                    amount: BOND,
                    due: 102
                }
            ]
        );
        // The first chunk is used up, and no more is taken than there is.
        assert_ok!(compensate(PETRA, UMA, BOND), 7 * BOND / 10);
        assert_eq!(record(PETRA).unbonding.len(), 1);
        assert_ok!(compensate(PETRA, UMA, BOND), 7 * (BOND - 10) / 10);
        assert_ok!(compensate(PETRA, UMA, BOND), 0);
        assert_eq!(free(UMA), ENDOWMENT + 7 * 3 * BOND / 10);
        assert_eq!(held(HoldReason::Bond, PETRA), 0);
    });
}

#[test]
fn a_share_of_a_compensation_is_burned_rounded_down() {
    TestExt::new().provider(PETRA, BOND).execute_with(|| {
        let issuance = Balances::total_issuance();
        assert_ok!(compensate(PETRA, UMA, 1_009), 707);
        System::assert_last_event(
            Event::Compensated {
                provider: PETRA,
                beneficiary: UMA,
                amount: 707,
                burned: 302,
            }
            .into(),
        );
        assert_eq!(free(UMA), ENDOWMENT + 707);
        assert_eq!(Balances::total_issuance(), issuance - 302);
        assert_eq!(held(HoldReason::Bond, PETRA), BOND - 1_009);
        for (percent, paid) in [(0, 100), (100, 0)] {
            crate::Params::<Test>::mutate(|parameters| {
                parameters.compensation_burned = Permill::from_percent(percent)
            });
            assert_ok!(compensate(PETRA, UMA, 100), paid);
        }
        assert_eq!(free(UMA), ENDOWMENT + 807);
        assert_eq!(Balances::total_issuance(), issuance - 402);
    });
}

#[test]
fn a_provider_that_compensates_itself_loses_what_is_burned() {
    TestExt::new().provider(PETRA, BOND).execute_with(|| {
        let before = free(PETRA);
        assert_ok!(compensate(PETRA, PETRA, BOND), 7 * BOND / 10);
        assert_eq!(free(PETRA), before + 7 * BOND / 10);
        assert_eq!(held(HoldReason::Bond, PETRA), 0);
    });
}

#[test]
fn compensating_fails_when_the_beneficiary_cannot_be_paid() {
    TestExt::new().provider(PETRA, BOND).execute_with(|| {
        // Less three tenths, one is below the least that an account may hold, the other is just that.
        assert_noop!(compensate(PETRA, 77, 141), TokenError::CannotCreate);
        assert_ok!(compensate(PETRA, 77, 142), EXISTENTIAL_DEPOSIT);
        assert_noop!(compensate(PIUS, UMA, 1), Error::<Test>::UnknownProvider);
    });
}
