use crate::{mock::*, Error, Event, JobState, Jobs as JobRecords, RefundReason};
use assay_primitives::{Outcome, Price, PPM_ONE};
use frame_support::{assert_noop, assert_ok, weights::Weight};

fn decline(stash: u64, id: u64) -> sp_runtime::DispatchResult {
    Jobs::decline(RuntimeOrigin::signed(operator(stash)), id)
}

#[test]
fn the_draw_pins_the_price_and_releases_what_it_cannot_reach() {
    TestExt::new().execute_with(|| {
        let id = Ask::default().accepted();
        run_to(2);
        assert_eq!(escrow(UMA), MAX_FEE);
        run_to(3);
        let assignment = assignment(id);
        assert_eq!(assignment.provider, PETRA);
        assert_eq!(assignment.price, PRICE);
        assert_eq!(assignment.token_limit, OUTPUT_LIMIT);
        assert_eq!(assignment.worst_case_fee, WORST_CASE);
        assert_eq!((assignment.assigned_at, assignment.deadline), (3, 9));
        assert_eq!(escrow(UMA), WORST_CASE);
        assert_eq!(Jobs::duties(PETRA), vec![id]);
        assert_eq!(
            (provider(PETRA).exposure, provider(PETRA).open_jobs),
            (WORST_CASE, 1)
        );
        System::assert_last_event(
            Event::Assigned {
                job: id,
                provider: PETRA,
                price: PRICE,
                token_limit: OUTPUT_LIMIT,
                deadline: 9,
            }
            .into(),
        );
    });
}

#[test]
fn the_deadline_grows_with_the_tokens() {
    TestExt::new().execute_with(|| {
        let id = Ask {
            prompt: vec![7; 17],
            ..Ask::default()
        }
        .accepted();
        run_to(3);
        // 17 tokens and 16 more: two blocks on top of the five.
        assert_eq!(assignment(id).deadline, 10);
    });
}

#[test]
fn a_small_budget_limits_the_tokens() {
    TestExt::new().execute_with(|| {
        let max_fee = 8 * PRICE.input + 5 * PRICE.output + 102;
        let id = Ask {
            max_fee,
            ..Ask::default()
        }
        .accepted();
        run_to(3);
        assert_eq!(assignment(id).token_limit, 5);
        assert_eq!(escrow(UMA), max_fee - 102);
    });
}

#[test]
fn an_offer_that_cannot_pay_for_the_least_output_is_not_drawn() {
    TestExt::new().providers(&[PETRA, PIUS]).execute_with(|| {
        let dear = Price {
            input: 0,
            output: 5_000,
        };
        set_offer(PIUS, dear, 5);
        let ask = |min_output| Ask {
            min_output,
            ..Ask::default()
        };
        // Pius would take nearly all of it for two tokens.
        let ids: Vec<_> = (0..5).map(|_| ask(3).accepted()).collect();
        run_to(3);
        for id in ids {
            assert_eq!(assignment(id).provider, PETRA);
        }
        assert_ok!(Providers::set_online(
            RuntimeOrigin::signed(operator(PETRA)),
            false
        ));
        let (two, three) = (ask(2).accepted(), ask(3).accepted());
        run_to(5);
        assert_eq!(assignment(two).provider, PIUS);
        assert_eq!(assignment(two).token_limit, 2);
        assert!(matches!(job(three).state, JobState::Waiting { .. }));
    });
}

/// The author of block 2 knows what block 3 will draw, and chooses what is in block 2.
#[test]
fn offers_made_when_the_randomness_is_known_are_not_in_the_draw() {
    TestExt::new().providers(&[]).execute_with(|| {
        let id = Ask::default().accepted();
        register_provider(PETRA, BOND);
        set_offer(PETRA, PRICE, 5);
        let late = Ask {
            user: URS,
            ..Ask::default()
        };
        run_to(2);
        register_provider(PIUS, BOND);
        set_offer(PIUS, PRICE, 5);
        let next = late.accepted();
        run_to(3);
        assert_eq!(assignment(id).provider, PETRA);
        assert_ok!(Providers::set_online(
            RuntimeOrigin::signed(operator(PETRA)),
            false
        ));
        run_to(4);
        assert_eq!(assignment(next).provider, PIUS);
        // New terms are a new offer.
        let last = Ask::default().accepted();
        run_to(5);
        let dearer = Price {
            output: PRICE.output + 1,
            ..PRICE
        };
        set_offer(PIUS, dearer, 5);
        run_to(6);
        System::assert_has_event(
            Event::NobodyEligible {
                job: last,
                draws: 1,
            }
            .into(),
        );
        run_to(8);
        assert_eq!(assignment(last).price, dearer);
    });
}

#[test]
fn a_new_price_is_for_new_jobs_alone() {
    TestExt::new().execute_with(|| {
        let id = assigned();
        let dearer = Price {
            input: 100,
            output: 1_000,
        };
        set_offer(PETRA, dearer, 5);
        let next = Ask {
            max_fee: 1_000_000,
            user: URS,
            ..Ask::default()
        }
        .accepted();
        run_to(5);
        assert_eq!(assignment(id).price, PRICE);
        assert_eq!(assignment(next).price, dearer);
        answer(id, 4);
        assert_eq!(escrow(UMA), 8 * PRICE.input + 4 * PRICE.output);
    });
}

#[test]
fn declining_costs_score_but_no_bond() {
    TestExt::new().providers(&[PETRA, PIUS]).execute_with(|| {
        let id = assigned();
        let first = assignment(id).provider;
        let second = if first == PETRA { PIUS } else { PETRA };
        assert_ok!(decline(first, id));
        System::assert_has_event(
            Event::SentBack {
                job: id,
                provider: first,
                outcome: Outcome::Declined,
                compensation: 0,
            }
            .into(),
        );
        let record = provider(first);
        assert_eq!(
            (record.exposure, record.open_jobs, record.bond),
            (0, 0, BOND)
        );
        assert_eq!(record.record.declined, 1);
        assert_eq!(record.record.score, PPM_ONE / 2 - PPM_ONE / 2 / 16);
        assert!(Jobs::duties(first).is_empty());
        assert_eq!(job(id).state, JobState::Waiting { draw_at: 5 });
        assert_eq!(job(id).excluded.to_vec(), vec![first]);
        // Another provider may be dearer, so the whole budget is needed again.
        assert_eq!(escrow(UMA), MAX_FEE);
        run_to(5);
        assert_eq!(assignment(id).provider, second);
    });
}

#[test]
fn nobody_is_drawn_for_the_same_job_twice() {
    TestExt::new()
        .providers(&[PETRA, PIUS, PAVEL])
        .execute_with(|| {
            let ids: Vec<_> = (0..5).map(|_| Ask::default().accepted()).collect();
            for round in 1..=3 {
                run_to(2 * round + 1);
                for id in &ids {
                    let drawn = assignment(*id).provider;
                    assert!(
                        !job(*id).excluded.contains(&drawn),
                        "job {id} in round {round}"
                    );
                    assert_ok!(decline(drawn, *id));
                }
            }
            for id in ids {
                assert_eq!(job(id).excluded.len(), 3);
                assert!(matches!(job(id).state, JobState::Refunded { .. }));
            }
            assert_eq!(escrow(UMA), 0);
        });
}

#[test]
fn only_the_operator_of_the_assigned_provider_may_decline_and_only_in_time() {
    TestExt::new().execute_with(|| {
        assert_noop!(decline(PETRA, 0), Error::<Test>::UnknownJob);
        let id = Ask::default().accepted();
        assert_noop!(decline(PETRA, id), Error::<Test>::NotAssigned);
        run_to(3);
        assert_noop!(decline(PIUS, id), Error::<Test>::NotYourJob);
        assert_noop!(
            Jobs::decline(RuntimeOrigin::signed(PETRA), id),
            Error::<Test>::NotYourJob
        );
        // The chain is too busy to notice that the deadline has passed.
        MaxAgendaWeight::set(Weight::zero());
        run_to(10);
        assert_noop!(decline(PETRA, id), Error::<Test>::DeadlinePassed);
    });
}

#[test]
fn declining_in_the_block_of_the_deadline_is_in_time() {
    TestExt::new().execute_with(|| {
        let id = assigned();
        run_to(9);
        assert_ok!(decline(PETRA, id));
        assert_eq!(provider(PETRA).bond, BOND);
    });
}

#[test]
fn a_missed_deadline_is_paid_to_the_user_from_the_bond() {
    TestExt::new()
        .parameters(|p| p.min_missed_penalty = 10)
        .execute_with(|| {
            let id = assigned();
            run_to(9);
            let (before, issuance) = (free(UMA), Balances::total_issuance());
            run_to(10);
            // A fifth of the worst case, rounded down; half of it is burned, rounded down too.
            let penalty = WORST_CASE / 5;
            let paid = penalty - penalty / 2;
            assert_ne!(paid, penalty / 2);
            let record = provider(PETRA);
            assert_eq!(record.bond, BOND - penalty);
            assert_eq!(
                (record.exposure, record.open_jobs, record.record.missed),
                (0, 0, 1)
            );
            assert_eq!(record.record.score, PPM_ONE / 4);
            System::assert_has_event(
                Event::SentBack {
                    job: id,
                    provider: PETRA,
                    outcome: Outcome::Missed,
                    compensation: paid,
                }
                .into(),
            );
            assert_eq!(free(UMA), before + paid - (MAX_FEE - WORST_CASE));
            assert_eq!(Balances::total_issuance(), issuance - penalty / 2);
            assert_eq!(job(id).state, JobState::Waiting { draw_at: 12 });
        });
}

#[test]
fn a_missed_deadline_costs_at_least_the_least_penalty() {
    TestExt::new().execute_with(|| {
        assigned();
        run_to(10);
        assert_eq!(provider(PETRA).bond, BOND - 500);
    });
}

/// Otherwise a user could earn by asking for what cannot be delivered in time.
#[test]
fn a_missed_deadline_costs_at_most_the_worst_case_fee() {
    TestExt::new()
        .parameters(|p| p.min_missed_penalty = 4_000_000)
        .execute_with(|| {
            assigned();
            run_to(9);
            let before = free(UMA);
            run_to(10);
            assert_eq!(provider(PETRA).bond, BOND - WORST_CASE);
            assert_eq!(free(UMA), before + WORST_CASE / 2 - (MAX_FEE - WORST_CASE));
        });
}

#[test]
fn without_anybody_eligible_the_job_is_drawn_again_and_then_refunded() {
    TestExt::new().providers(&[]).execute_with(|| {
        let id = Ask::default().accepted();
        System::reset_events();
        run_to(3);
        System::assert_has_event(Event::NobodyEligible { job: id, draws: 1 }.into());
        assert_eq!(job(id).state, JobState::Waiting { draw_at: 5 });
        run_to(5);
        assert_eq!(job(id).state, JobState::Waiting { draw_at: 7 });
        assert_eq!(escrow(UMA), MAX_FEE);
        // Nothing was missing.
        let held_again = |record: &frame_system::EventRecord<RuntimeEvent, _>| {
            let held = &record.event;
            matches!(
                held,
                RuntimeEvent::Balances(pallet_balances::Event::Held { .. })
            )
        };
        assert!(!System::events().iter().any(held_again));
        run_to(7);
        let reason = RefundReason::Exhausted;
        assert_eq!(
            job(id).state,
            JobState::Refunded {
                reason,
                removed_at: 27
            }
        );
        System::assert_last_event(
            Event::Refunded {
                job: id,
                user: UMA,
                amount: MAX_FEE,
                reason,
            }
            .into(),
        );
        assert_eq!(escrow(UMA), 0);
        run_to(27);
        assert!(!JobRecords::<Test>::contains_key(id));
        assert_eq!(free(UMA), ENDOWMENT);
    });
}

#[test]
fn a_job_waits_until_a_provider_is_online_and_has_room() {
    TestExt::new().execute_with(|| {
        set_offer(PETRA, PRICE, 1);
        let first = assigned();
        let second = Ask {
            user: URS,
            ..Ask::default()
        }
        .accepted();
        run_to(5);
        assert!(matches!(job(second).state, JobState::Waiting { .. }));
        assert_ok!(decline(PETRA, first));
        run_to(7);
        assert_eq!(assignment(second).provider, PETRA);
    });
}

#[test]
fn a_bond_carries_jobs_up_to_the_exposure_factor_and_no_more() {
    TestExt::new().execute_with(|| {
        // Four times the bond is two jobs of this price.
        set_offer(
            PETRA,
            Price {
                input: 0,
                output: 2 * BOND / 16,
            },
            5,
        );
        let ask = || Ask {
            max_fee: 2 * BOND,
            ..Ask::default()
        };
        let ids = [ask().accepted(), ask().accepted(), ask().accepted()];
        run_to(3);
        let assigned = ids
            .iter()
            .filter(|id| matches!(job(**id).state, JobState::Assigned(_)));
        assert_eq!(assigned.count(), 2);
        assert_eq!(provider(PETRA).exposure, 4 * BOND);
    });
}

#[test]
fn without_randomness_nobody_is_drawn() {
    TestExt::new().execute_with(|| {
        let id = Ask::default().accepted();
        HasRandomness::set(false);
        run_to(3);
        System::assert_has_event(Event::NobodyEligible { job: id, draws: 1 }.into());
        HasRandomness::set(true);
        run_to(5);
        assert_eq!(assignment(id).provider, PETRA);
    });
}

#[test]
fn a_named_provider_is_the_only_one_that_will_do() {
    TestExt::new()
        .providers(&[PETRA, PIUS, PAVEL])
        .execute_with(|| {
            let id = Ask {
                provider: Some(PAVEL),
                ..Ask::default()
            }
            .accepted();
            run_to(3);
            assert_eq!(assignment(id).provider, PAVEL);
            assert_ok!(decline(PAVEL, id));
            assert!(matches!(
                job(id).state,
                JobState::Refunded {
                    reason: RefundReason::Exhausted,
                    ..
                }
            ));
            assert_eq!(escrow(UMA), 0);
        });
}

#[test]
fn a_user_who_has_spent_the_change_goes_on_with_what_is_on_hold() {
    TestExt::new().providers(&[PETRA, PIUS]).execute_with(|| {
        set_offer(
            PIUS,
            Price {
                input: 11,
                output: 206,
            },
            5,
        );
        assert_ok!(Providers::set_online(RuntimeOrigin::signed(PIUS), false));
        let id = assigned();
        assert_ok!(Balances::transfer_all(
            RuntimeOrigin::signed(UMA),
            SAM,
            false
        ));
        assert_ok!(Providers::set_online(RuntimeOrigin::signed(PIUS), true));
        assert_ok!(decline(PETRA, id));
        assert_eq!(job(id).escrow, WORST_CASE);
        run_to(5);
        let assignment = assignment(id);
        assert_eq!((assignment.provider, assignment.token_limit), (PIUS, 8));
        assert_eq!(escrow(UMA), WORST_CASE);
    });
}

#[test]
fn the_draw_falls_on_everybody_in_time() {
    TestExt::new()
        .providers(&[PETRA, PIUS, PAVEL])
        .execute_with(|| {
            let mut drawn = std::collections::BTreeMap::<u64, u32>::new();
            for _ in 0..60 {
                let id = assigned();
                let stash = assignment(id).provider;
                *drawn.entry(stash).or_default() += 1;
                answer(id, 1);
                run_to(System::block_number() + 10);
            }
            assert_eq!(drawn.len(), 3, "{drawn:?}");
            assert!(drawn.values().all(|count| *count > 5), "{drawn:?}");
        });
}
