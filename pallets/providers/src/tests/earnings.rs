use crate::{mock::*, Due, Earnings, Error, Event, HoldReason, MaturingCursor, WeightInfo};
use assay_primitives::Market;
use frame_support::{
    assert_noop, assert_ok,
    dispatch::{DispatchResultWithPostInfo, Pays},
    traits::{fungible::Mutate, Hooks},
    weights::Weight,
};
use sp_runtime::TokenError;

fn release(stash: u64) -> DispatchResultWithPostInfo {
    Providers::release_earnings(RuntimeOrigin::signed(SAM), stash)
}

/// What the hook takes besides the releases is less than one release.
fn room_for_releases(releases: u64) -> Weight {
    let release = <() as WeightInfo>::release_earnings();
    let database = <Test as frame_system::Config>::DbWeight::get();
    release
        .saturating_mul(releases)
        .saturating_add(database.reads_writes(60, 1))
}

#[test]
fn earnings_are_held_and_then_released_by_the_chain() {
    TestExt::new().provider(PETRA, BOND).execute_with(|| {
        let before = free(PETRA);
        earn(PETRA, 700);
        System::assert_last_event(
            Event::EarningsHeld {
                provider: PETRA,
                amount: 700,
                due: 45,
            }
            .into(),
        );
        assert_eq!(
            (free(PETRA), held(HoldReason::Maturing, PETRA)),
            (before, 700)
        );
        assert_eq!(record(PETRA).maturing, 700);
        run_to(45);
        assert_eq!(free(PETRA), before);
        run_to(46);
        System::assert_has_event(
            Event::EarningsReleased {
                provider: PETRA,
                amount: 700,
            }
            .into(),
        );
        assert_eq!(
            (free(PETRA), held(HoldReason::Maturing, PETRA)),
            (before + 700, 0)
        );
        assert_eq!(record(PETRA).maturing, 0);
    });
}

#[test]
fn earnings_of_an_eighth_of_the_period_are_due_together() {
    TestExt::new().provider(PETRA, BOND).execute_with(|| {
        for block in 1..=6 {
            run_to(block);
            earn(PETRA, 10);
        }
        let mut maturing = Providers::maturing(PETRA);
        maturing.sort();
        // Never earlier than forty blocks after they were earned.
        assert_eq!(maturing, vec![(45, 50), (50, 10)]);
        assert_eq!(Due::<Test>::iter().count(), 2);
    });
}

#[test]
fn nothing_earned_is_nothing_held() {
    TestExt::new().provider(PETRA, BOND).execute_with(|| {
        earn(PETRA, 0);
        assert_eq!(Due::<Test>::iter().count(), 0);
    });
}

#[test]
fn earnings_fail_to_mature_when_they_are_not_there_or_do_not_fit() {
    TestExt::new().provider(PETRA, BOND).execute_with(|| {
        let mature = |stash, amount| <Providers as Market<u64, u64>>::mature(&stash, amount);
        assert_noop!(mature(PIUS, 1), Error::<Test>::UnknownProvider);
        assert_noop!(mature(PETRA, 2 * ENDOWMENT), TokenError::FundsUnavailable);
        let set = |amount| {
            crate::Providers::<Test>::mutate(PETRA, |provider| {
                provider.as_mut().unwrap().maturing = amount
            })
        };
        set(u128::MAX);
        assert_noop!(mature(PETRA, 1), Error::<Test>::Overflow);
        set(0);
    });
}

#[test]
fn anyone_may_release_what_is_due_when_blocks_are_full() {
    TestExt::new().provider(PETRA, BOND).execute_with(|| {
        IdleWeight::set(Weight::zero());
        let before = free(PETRA);
        earn(PETRA, 700);
        run_to(44);
        assert_noop!(release(PETRA), Error::<Test>::NotMatured);
        run_to(60);
        earn(PETRA, 1);
        assert_eq!(free(PETRA), before);
        assert_noop!(release(PIUS), Error::<Test>::UnknownProvider);
        assert_eq!(release(PETRA).unwrap().pays_fee, Pays::No);
        System::assert_last_event(
            Event::EarningsReleased {
                provider: PETRA,
                amount: 700,
            }
            .into(),
        );
        assert_eq!(free(PETRA), before + 700);
        assert_noop!(release(PETRA), Error::<Test>::NotMatured);
        assert_eq!(record(PETRA).maturing, 1);
    });
}

#[test]
fn what_an_idle_block_has_no_room_for_is_released_in_the_next() {
    let stashes = [PETRA, PIUS, PAVEL];
    let ext = stashes
        .into_iter()
        .fold(TestExt::new(), |ext, stash| ext.provider(stash, BOND));
    ext.execute_with(|| {
        for stash in stashes {
            earn(stash, 10);
        }
        run_to(45);
        IdleWeight::set(room_for_releases(2));
        for (block, left) in [(46, 1), (47, 0)] {
            run_to(block);
            assert_eq!(Due::<Test>::iter().count(), left, "before block {block}");
            check_books();
        }
        assert_eq!(MaturingCursor::<Test>::get(), 46);
    });
}

#[test]
fn a_chain_without_idle_blocks_catches_up_later() {
    TestExt::new().provider(PETRA, BOND).execute_with(|| {
        IdleWeight::set(Weight::zero());
        for block in [1, 10, 20, 30] {
            run_to(block);
            earn(PETRA, 10);
        }
        run_to(200);
        assert_eq!(record(PETRA).maturing, 40);
        IdleWeight::set(Weight::MAX);
        run_to(201);
        assert_eq!(record(PETRA).maturing, 0);
        // And goes on as before.
        earn(PETRA, 10);
        run_to(250);
        assert_eq!(record(PETRA).maturing, 0);
    });
}

#[test]
fn an_entry_that_cannot_be_released_does_not_stop_the_others() {
    TestExt::new()
        .provider(PETRA, BOND)
        .provider(PIUS, BOND)
        .provider(PAVEL, BOND)
        .execute_with(|| {
            IdleWeight::set(Weight::zero());
            for stash in [PETRA, PIUS, PAVEL] {
                earn(stash, 10);
            }
            // More than is on hold: this cannot be released.
            let add = |stash, amount: i128| {
                crate::Providers::<Test>::mutate(stash, |provider| {
                    let entry = &mut provider.as_mut().unwrap().earnings[0];
                    entry.amount = entry.amount.checked_add_signed(amount).unwrap();
                })
            };
            // Entries come in the order of their hashes.
            let first = Due::<Test>::iter_key_prefix(45).next().unwrap();
            add(first, 1);
            // And one of somebody who is not there.
            Due::<Test>::insert(45, SAM, ());
            run_to(50);
            // What cannot happen is shouted out in tests, but when the work is done.
            let hook = || Providers::on_idle(50, Weight::MAX);
            let shout = std::panic::catch_unwind(hook).unwrap_err();
            let shout = shout.downcast_ref::<String>().unwrap();
            assert!(shout.contains("could not be released"), "{shout}");
            for stash in [PETRA, PIUS, PAVEL] {
                let left = if stash == first { 10 } else { 0 };
                assert_eq!(record(stash).maturing, left, "earnings of {stash}");
            }
            assert_eq!(MaturingCursor::<Test>::get(), 50);
            assert_eq!(Due::<Test>::iter().count(), 0);
            add(first, -1);
            assert_ok!(release(first));
        });
}

#[test]
fn the_hook_takes_no_more_weight_than_it_is_given() {
    TestExt::new()
        .provider(PETRA, BOND)
        .provider(PIUS, BOND)
        .execute_with(|| {
            IdleWeight::set(Weight::zero());
            earn(PETRA, 10);
            earn(PIUS, 10);
            run_to(45);
            let limit = room_for_releases(1);
            let used = Providers::on_idle(45, limit);
            assert!(used.all_lte(limit));
            assert_eq!(Due::<Test>::iter().count(), 1);
            assert_eq!(Providers::on_idle(45, Weight::zero()), Weight::zero());
            assert_ok!(release(if record(PETRA).maturing > 0 {
                PETRA
            } else {
                PIUS
            }));
        });
}

#[test]
fn maturing_earnings_do_not_answer_for_a_bond() {
    TestExt::new().provider(PETRA, BOND).execute_with(|| {
        earn(PETRA, 700);
        assert_ok!(compensate(PETRA, UMA, 2 * BOND), 7 * BOND / 10);
        assert_eq!(held(HoldReason::Bond, PETRA), 0);
        assert_eq!(held(HoldReason::Maturing, PETRA), 700);
    });
}

#[test]
fn fees_of_channels_are_answered_for_as_long_as_their_earnings_mature() {
    TestExt::new().provider(PETRA, BOND).execute_with(|| {
        let answer_for = <Providers as Market<u64, u64>>::answer_for;
        assert_ok!(Balances::mint_into(&PETRA, 700));
        assert_ok!(answer_for(&PETRA, 750, 700, 50));
        System::assert_last_event(
            Event::EarningsHeld {
                provider: PETRA,
                amount: 700,
                due: 45,
            }
            .into(),
        );
        assert_eq!(held(HoldReason::Maturing, PETRA), 700);
        assert_noop!(
            answer_for(&PETRA, 1, 2 * ENDOWMENT, 0),
            TokenError::FundsUnavailable
        );
        run_to(3);
        assert_ok!(answer_for(&PETRA, 5, 0, 0));
        assert_ok!(answer_for(&PETRA, 0, 0, 0));
        let of_channels = |stash| record(stash).channel_exposure;
        assert_eq!((of_channels(PETRA), record(PETRA).exposure), (755, 0));
        assert_eq!(record(PETRA).free_bond(BOND, 4), 4 * BOND - 755);
        let together = Earnings {
            due: 45,
            amount: 700,
            fees: 755,
        };
        assert_eq!(record(PETRA).earnings.into_inner(), vec![together]);
        // What only the job's own earnings were is not answered for.
        run_to(6);
        earn(PETRA, 20);
        run_to(46);
        assert_eq!((of_channels(PETRA), record(PETRA).maturing), (0, 20));

        assert_noop!(answer_for(&PIUS, 1, 0, 0), Error::<Test>::UnknownProvider);
        crate::Providers::<Test>::mutate(PETRA, |provider| {
            provider.as_mut().unwrap().channel_exposure = u128::MAX
        });
        assert_noop!(answer_for(&PETRA, 1, 0, 0), Error::<Test>::Overflow);
        crate::Providers::<Test>::mutate(PETRA, |provider| {
            provider.as_mut().unwrap().channel_exposure = 0
        });
    });
}

#[test]
fn a_provider_stays_until_it_answers_for_no_channel() {
    TestExt::new().provider(PETRA, BOND).execute_with(|| {
        let by = || RuntimeOrigin::signed(PETRA);
        assert_ok!(Providers::remove_offer(by(), listing()));
        assert_ok!(Providers::unbond(by(), BOND));
        run_to(101);
        assert_ok!(Providers::withdraw_unbonded(by()));
        // A fee of which nothing was left for the provider.
        assert_ok!(<Providers as Market<u64, u64>>::answer_for(&PETRA, 5, 0, 5));
        assert_noop!(Providers::deregister(by()), Error::<Test>::EarningsRemain);
        run_to(146);
        assert_ok!(Providers::deregister(by()));
    });
}
