use crate::{mock::*, Due, Error, Event, HoldReason, Parameters};
use assay_primitives::{Balance, Conviction, DrawRequest, Market, Slashed, Stake, PPM_ONE};
use frame_support::{
    assert_noop, assert_ok,
    traits::{fungible::Inspect, Hooks},
};
use sp_runtime::Permill;

/// Somebody without an account.
const NOBODY: u64 = 77;

fn of(stash: u64) -> RuntimeOrigin {
    RuntimeOrigin::signed(stash)
}

fn maturing(stash: u64) -> Balance {
    held(HoldReason::Maturing, stash)
}

fn bonded(stash: u64) -> Balance {
    held(HoldReason::Bond, stash)
}

#[test]
fn a_provider_is_known_by_stash_and_operator_and_its_first_block() {
    TestExt::new().execute_with(|| {
        run_to(7);
        assert_ok!(register(PETRA, BOND));
        let provider_of = <Providers as Stake<u64, u64>>::provider_of;
        let epoch = <Providers as Stake<u64, u64>>::epoch;
        assert_eq!(provider_of(&PETRA), Some(PETRA));
        assert_eq!(provider_of(&operator(PETRA)), Some(PETRA));
        assert_eq!(provider_of(&SAM), None);
        assert_eq!((epoch(&PETRA), epoch(&operator(PETRA))), (Some(7), None));
        // Nobody takes a stash its name by having it as an operator.
        let info = crate::mock::info();
        assert_ok!(Providers::register(of(PIUS), PAVEL, info, BOND));
        assert_ok!(register(PAVEL, BOND));
        assert_eq!(provider_of(&PAVEL), Some(PAVEL));
    });
}

#[test]
fn a_disputed_provider_gets_nothing_out_until_the_last_dispute_is_over() {
    TestExt::new().provider(PETRA, BOND).execute_with(|| {
        earn(PETRA, 700);
        earn_in_channel(PETRA, 90, 80);
        assert_ok!(Providers::remove_offer(of(PETRA), listing()));
        assert_ok!(Providers::unbond(of(PETRA), BOND));
        let before = free(PETRA);
        freeze(PETRA);
        freeze(PETRA);
        assert_eq!(record(PETRA).disputes, 2);
        run_to(200);
        for disputes in [2, 1] {
            assert_eq!(record(PETRA).disputes, disputes);
            assert_noop!(
                Providers::release_earnings(of(SAM), PETRA),
                Error::<Test>::Disputed
            );
            assert_noop!(
                Providers::withdraw_unbonded(of(PETRA)),
                Error::<Test>::Disputed
            );
            assert_eq!((free(PETRA), maturing(PETRA)), (before, 780));
            assert_eq!(record(PETRA).channel_exposure, 90);
            check_books();
            thaw(PETRA);
        }
        assert_ok!(Providers::withdraw_unbonded(of(PETRA)));
        run_to(201);
        assert_eq!((free(PETRA), maturing(PETRA)), (before + BOND + 780, 0));
        assert_eq!(record(PETRA).channel_exposure, 0);
        assert_ok!(Providers::deregister(of(PETRA)));
    });
}

#[test]
fn what_a_dispute_held_is_looked_at_even_after_the_blocks_own_releases() {
    TestExt::new().provider(PETRA, BOND).execute_with(|| {
        earn(PETRA, 700);
        freeze(PETRA);
        run_to(99);
        // The hook of block 99 is done, and the dispute ends after it.
        Providers::on_idle(99, IdleWeight::get());
        thaw(PETRA);
        check_books();
        run_to(101);
        assert_eq!(maturing(PETRA), 0);
    });
}

#[test]
fn a_provider_cannot_leave_before_the_dispute_is_over() {
    TestExt::new().execute_with(|| {
        assert_ok!(register(PETRA, BOND));
        assert_ok!(Providers::unbond(of(PETRA), BOND));
        run_to(101);
        assert_ok!(Providers::withdraw_unbonded(of(PETRA)));
        freeze(PETRA);
        assert_noop!(Providers::deregister(of(PETRA)), Error::<Test>::Disputed);
        thaw(PETRA);
        assert_ok!(Providers::deregister(of(PETRA)));
        let freeze = <Providers as Stake<u64, u64>>::freeze;
        assert_noop!(freeze(&PETRA), Error::<Test>::UnknownProvider);
    });
}

#[test]
fn more_disputes_than_can_be_counted_are_refused() {
    TestExt::new().provider(PETRA, BOND).execute_with(|| {
        let set = |disputes| {
            crate::Providers::<Test>::mutate(PETRA, |provider| {
                provider.as_mut().unwrap().disputes = disputes
            })
        };
        set(u32::MAX);
        let freeze = <Providers as Stake<u64, u64>>::freeze;
        assert_noop!(freeze(&PETRA), Error::<Test>::Overflow);
        set(0);
    });
}

#[test]
fn earnings_that_come_during_a_long_dispute_are_kept_and_come_out_together() {
    TestExt::new()
        .provider(PETRA, BOND)
        .provider(PIUS, BOND)
        .execute_with(|| {
            let before = free(PETRA);
            freeze(PETRA);
            for block in 1..=150 {
                run_to(block);
                earn_in_channel(PETRA, 12, 10);
                earn(PIUS, 10);
                assert!(record(PETRA).earnings.len() <= 16);
                check_books();
            }
            assert_eq!(record(PETRA).earnings.len(), 16);
            assert_eq!(
                (maturing(PETRA), record(PETRA).channel_exposure),
                (1_500, 1_800)
            );
            // Somebody else's were released all the while.
            assert!(record(PIUS).earnings.len() <= 9);
            thaw(PETRA);
            run_to(151);
            // What was earned in the last forty blocks matures on.
            assert_eq!(free(PETRA) - before, 1_100);
            run_to(200);
            assert_eq!(free(PETRA) - before, 1_500);
            assert_eq!(record(PETRA).channel_exposure, 0);
            assert_eq!(Due::<Test>::iter().count(), 0);
        });
}

#[test]
fn earnings_of_a_dispute_that_ends_in_a_pause_come_out_in_the_same_block() {
    TestExt::new().provider(PETRA, BOND).execute_with(|| {
        let before = free(PETRA);
        earn(PETRA, 10);
        freeze(PETRA);
        run_to(45);
        IsPaused::set(true);
        run_to(47);
        assert_eq!(free(PETRA), before);
        thaw(PETRA);
        run_to(48);
        assert_eq!(free(PETRA), before + 10);
        IsPaused::set(false);
        assert_eq!(Due::<Test>::iter().count(), 0);
    });
}

#[test]
fn a_key_is_remembered_as_long_as_a_dispute_may_need_it() {
    TestExt::new().provider(PETRA, BOND).execute_with(|| {
        let operator_at = <Providers as Stake<u64, u64>>::operator_at;
        run_to(5);
        assert_ok!(Providers::rotate_operator(of(PETRA), 101));
        freeze(PETRA);
        run_to(300);
        assert_ok!(Providers::rotate_operator(of(PETRA), 102));
        assert_eq!(operator_at(&PETRA, 4), Some(operator(PETRA)));
        thaw(PETRA);
        assert_ok!(Providers::rotate_operator(of(PETRA), 103));
        assert_eq!(operator_at(&PETRA, 4), None);
        assert_eq!(operator_at(&PETRA, 299), Some(101));
    });
}

#[test]
fn a_pause_keeps_keys_too() {
    TestExt::new().provider(PETRA, BOND).execute_with(|| {
        let operator_at = <Providers as Stake<u64, u64>>::operator_at;
        run_to(5);
        assert_ok!(Providers::rotate_operator(of(PETRA), 101));
        IsPaused::set(true);
        run_to(55);
        IsPaused::set(false);
        run_to(154);
        assert_ok!(Providers::rotate_operator(of(PETRA), 102));
        assert_eq!(operator_at(&PETRA, 4), Some(operator(PETRA)));
        run_to(155);
        assert_ok!(Providers::rotate_operator(of(PETRA), 103));
        assert_eq!(operator_at(&PETRA, 4), None);
    });
}

#[test]
fn nothing_comes_nearer_during_a_pause() {
    TestExt::new().provider(PETRA, BOND).execute_with(|| {
        let before = free(PETRA);
        earn(PETRA, 700);
        assert_ok!(Providers::unbond(of(PETRA), BOND));
        run_to(20);
        IsPaused::set(true);
        run_to(520);
        let matured_at = <Providers as Market<u64, u64>>::matured_at;
        assert_eq!(matured_at(), 560);
        assert_noop!(
            Providers::release_earnings(of(SAM), PETRA),
            Error::<Test>::NotMatured
        );
        assert_noop!(
            Providers::withdraw_unbonded(of(PETRA)),
            Error::<Test>::NothingToWithdraw
        );
        IsPaused::set(false);
        run_to(545);
        assert_eq!(free(PETRA), before);
        run_to(546);
        assert_eq!(free(PETRA), before + 700);
        run_to(600);
        assert_noop!(
            Providers::withdraw_unbonded(of(PETRA)),
            Error::<Test>::NothingToWithdraw
        );
        run_to(601);
        assert_ok!(Providers::withdraw_unbonded(of(PETRA)));
    });
}

#[test]
fn a_conviction_takes_the_slash_and_all_that_matures() {
    TestExt::new().provider(PETRA, BOND).execute_with(|| {
        earn(PETRA, 700);
        earn_in_channel(PETRA, 2_090, 80);
        run_to(10);
        earn(PETRA, 5);
        let issuance = Balances::total_issuance();
        let (petra, uma, sam) = (free(PETRA), free(UMA), free(SAM));
        // Sixty times the fee is more than a tenth of the bond.
        let slashed = slash(PETRA, 2_000, 1_985, SAM);
        let sum = 120_000 + 785;
        let expected = Slashed {
            refund: 1_985,
            reward: (sum - 1_985) * 4 / 10,
            burned: (sum - 1_985) * 6 / 10,
        };
        assert_eq!(slashed, expected);
        System::assert_last_event(
            Event::Slashed {
                provider: PETRA,
                bond: 120_000,
                earnings: 785,
                refund: expected.refund,
                reward: expected.reward,
                burned: expected.burned,
            }
            .into(),
        );
        assert_eq!(free(UMA), uma + expected.refund);
        assert_eq!(free(SAM), sam + expected.reward);
        assert_eq!(Balances::total_issuance(), issuance - expected.burned);
        assert_eq!(free(PETRA), petra);
        assert_eq!((bonded(PETRA), maturing(PETRA)), (BOND - 120_000, 0));
        let provider = record(PETRA);
        assert_eq!(provider.bond, BOND - 120_000);
        assert!(!provider.online);
        // For what others paid in channels it answers on.
        assert_eq!((provider.maturing, provider.channel_exposure), (0, 105));
        check_books();
        assert_eq!((provider.record.score, provider.record.convicted), (0, 1));
        assert_eq!(provider.offers, 1);
        // What was due before is not missed, and what comes later matures as ever.
        run_to(60);
        earn(PETRA, 7);
        run_to(120);
        assert_eq!(free(PETRA), petra + 7);
        let provider = record(PETRA);
        assert_eq!((provider.maturing, provider.channel_exposure), (0, 0));
    });
}

#[test]
fn what_has_matured_comes_back_to_nobody() {
    TestExt::new().provider(PETRA, BOND).execute_with(|| {
        earn_in_channel(PETRA, 5_000, 4_000);
        run_to(200);
        assert_eq!(record(PETRA).channel_exposure, 0);
        // The stake is not for a friend that has been paying long since.
        let slashed = slash(PETRA, BOND, 5_000, SAM);
        let expected = Slashed {
            refund: 0,
            reward: BOND * 4 / 10,
            burned: BOND * 6 / 10,
        };
        assert_eq!(slashed, expected);
    });
}

/// A friend who has a part of what it pays, as the publisher of what is served, would have the stake back as refunds.
#[test]
fn half_of_what_is_taken_is_burned_whatever_the_user_has_paid() {
    for fee in [1, BOND / 4, BOND, 4 * BOND, 40 * BOND] {
        TestExt::new().provider(PETRA, BOND).execute_with(|| {
            let earned = fee - fee / 4;
            earn_in_channel(PETRA, fee, earned);
            let taken = BOND.min((60 * fee).max(BOND / 10)) + earned;
            let Slashed {
                refund,
                reward,
                burned,
            } = slash(PETRA, fee, fee, SAM);
            assert_eq!(refund + reward + burned, taken);
            assert_eq!(refund, fee.min(taken / 2));
            assert_eq!(reward, ((taken - refund) * 4 / 10).min(taken / 2 - refund));
            assert_eq!(record(PETRA).channel_exposure, fee - refund);
            check_books();
        });
    }
}

#[test]
fn one_conviction_leaves_the_users_of_others_what_they_paid() {
    TestExt::new().provider(PETRA, BOND).execute_with(|| {
        earn_in_channel(PETRA, 60, 50);
        run_to(20);
        earn_in_channel(PETRA, 40, 30);
        for (refund, left) in [(45, 55), (30, 25), (30, 0), (30, 0)] {
            let before = record(PETRA).channel_exposure;
            let slashed = slash(PETRA, 100, refund, SAM);
            assert_eq!(slashed.refund, refund.min(before));
            assert_eq!(record(PETRA).channel_exposure, left);
            check_books();
        }
    });
}

#[test]
fn a_conviction_costs_a_share_of_all_that_is_bonded_at_least() {
    TestExt::new().provider(PETRA, 2 * BOND).execute_with(|| {
        assert_ok!(Providers::unbond(of(PETRA), BOND / 2));
        // A tenth of what is left, whatever of it is unbonding; rounded up.
        slash(PETRA, 1, 0, SAM);
        assert_eq!(bonded(PETRA), 2 * BOND - BOND / 5);
        assert_eq!(record(PETRA).bond, BOND * 3 / 2 - BOND / 5);
        slash(PETRA, 0, 0, SAM);
        assert_eq!(bonded(PETRA), 9 * 9 * BOND / 50);
        let odd = Parameters {
            slash_floor: Permill::from_parts(1),
            ..parameters()
        };
        assert_ok!(Providers::set_parameters(RuntimeOrigin::root(), odd));
        slash(PETRA, 0, 0, SAM);
        assert_eq!(bonded(PETRA), 9 * 9 * BOND / 50 - 2);
    });
}

#[test]
fn a_slash_reaches_what_unbonds_and_no_further() {
    TestExt::new().provider(PETRA, BOND).execute_with(|| {
        let before = free(PETRA);
        earn_in_channel(PETRA, 600, 0);
        assert_ok!(Providers::unbond(of(PETRA), BOND));
        let slashed = slash(PETRA, BOND, 300, SAM);
        assert_eq!(
            slashed,
            Slashed {
                refund: 300,
                reward: (BOND - 300) * 4 / 10,
                burned: (BOND - 300) * 6 / 10,
            }
        );
        assert_eq!(bonded(PETRA), 0);
        assert!(record(PETRA).unbonding.is_empty());
        assert_eq!(free(PETRA), before);
        // Nothing is left to be taken.
        assert_eq!(slash(PETRA, Balance::MAX, 300, SAM), Slashed::default());
        assert_eq!(free(PETRA), before);
    });
}

#[test]
fn the_user_is_refunded_before_the_challenger_is_paid() {
    TestExt::new().provider(PETRA, BOND).execute_with(|| {
        earn_in_channel(PETRA, 4 * BOND, 700);
        let (uma, sam) = (free(UMA), free(SAM));
        // Half of bond and earnings together do not reach.
        let slashed = slash(PETRA, 20_000, 3 * BOND, SAM);
        let half = (BOND + 700) / 2;
        let expected = Slashed {
            refund: half,
            reward: 0,
            burned: half,
        };
        assert_eq!(slashed, expected);
        assert_eq!((free(UMA), free(SAM)), (uma + half, sam));
    });
}

#[test]
fn who_convicts_itself_loses_half_of_all() {
    for challenger in [PETRA, operator(PETRA)] {
        TestExt::new().provider(PETRA, BOND).execute_with(|| {
            let most = Parameters {
                reward_share: Permill::from_percent(50),
                ..parameters()
            };
            assert_ok!(Providers::set_parameters(RuntimeOrigin::root(), most));
            earn(PETRA, 801);
            earn_in_channel(PETRA, 1, 0);
            let wealth = || -> Balance {
                let operator = Balances::total_balance(&operator(PETRA));
                Balances::total_balance(&PETRA) + operator
            };
            let (before, issuance) = (wealth(), Balances::total_issuance());
            let slashed = slash(PETRA, 10_000, 1, challenger);
            let sum = 600_000 + 801;
            assert_eq!(slashed.reward, sum / 2 - 1);
            assert_eq!(wealth(), before - 1 - slashed.burned);
            assert_eq!(Balances::total_issuance(), issuance - slashed.burned);
            assert!(slashed.burned * 2 >= sum);
        });
    }
}

#[test]
fn a_share_that_cannot_be_paid_is_burned() {
    TestExt::new().execute_with(|| {
        assert_ok!(register(PETRA, BOND));
        let few = Parameters {
            slash_floor: Permill::from_parts(200),
            ..parameters()
        };
        assert_ok!(Providers::set_parameters(RuntimeOrigin::root(), few));
        earn_in_channel(PETRA, 150, 0);
        let issuance = Balances::total_issuance();
        // Eighty planck make no account.
        let slashed = slash(PETRA, 0, 0, NOBODY);
        assert_eq!(
            slashed,
            Slashed {
                burned: 200,
                ..Default::default()
            }
        );
        assert_eq!(Balances::total_issuance(), issuance - 200);
        assert_eq!(Balances::total_balance(&NOBODY), 0);
        // A user that is gone is not paid either; two fifths of all are the challenger's all the same.
        let conviction = |fee, refund| Conviction {
            fee,
            user: NOBODY,
            refund,
            challenger: SAM,
        };
        let slashed = <Providers as Stake<u64, u64>>::slash(&PETRA, &conviction(10, 50)).unwrap();
        assert_eq!(
            slashed,
            Slashed {
                refund: 0,
                reward: 220,
                burned: 380,
            }
        );
        let slashed = <Providers as Stake<u64, u64>>::slash(&PETRA, &conviction(10, 100)).unwrap();
        assert_eq!(
            (slashed.refund, Balances::total_balance(&NOBODY)),
            (100, 100)
        );
        let slash = <Providers as Stake<u64, u64>>::slash;
        assert_noop!(
            slash(&PIUS, &conviction(1, 1)),
            Error::<Test>::UnknownProvider
        );
    });
}

#[test]
fn who_was_convicted_is_drawn_again_when_it_comes_back_but_hardly() {
    TestExt::new()
        .provider(PETRA, 3 * BOND)
        .provider(PIUS, BOND)
        .execute_with(|| {
            slash(PETRA, 0, 0, SAM);
            run_to(3);
            let drawn = |named: Option<&u64>, seed| {
                let request = DrawRequest {
                    budget: 300,
                    ..request(named, &[], seed)
                };
                let drawn = <Providers as Market<u64, u64>>::draw(&request)?;
                resolve(
                    drawn.provider,
                    drawn.worst_case_fee,
                    assay_primitives::Outcome::Delivered,
                    0,
                );
                close(drawn.provider, 0, 0, 0);
                Some(drawn.provider)
            };
            assert_eq!(drawn(Some(&PETRA), 0), None);
            assert_ok!(Providers::set_online(of(PETRA), true));
            assert_eq!(drawn(Some(&PETRA), 0), Some(PETRA));
            for seed in 0..50 {
                assert_eq!(drawn(None, seed), Some(PIUS));
            }
            close(PETRA, 0, 1, FULL_STEP_FEE);
            assert_eq!(record(PETRA).record.score, PPM_ONE / 16);
        });
}

#[test]
fn the_books_tell_when_earnings_would_be_forgotten() {
    TestExt::new().provider(PETRA, BOND).execute_with(|| {
        earn(PETRA, 700);
        freeze(PETRA);
        run_to(50);
        assert_ok!(Providers::do_try_state());
        // A dispute that ended without telling the pallet.
        let set = |disputes| {
            crate::Providers::<Test>::mutate(PETRA, |provider| {
                provider.as_mut().unwrap().disputes = disputes
            })
        };
        set(0);
        assert!(Providers::do_try_state().is_err());
        set(1);
        thaw(PETRA);
    });
}
