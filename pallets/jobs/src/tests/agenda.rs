use crate::{
    mock::*, Agenda, AgendaCursor, Error, Event, JobState, Parameters, Randomness, WeightInfo,
};
use frame_support::{assert_noop, assert_ok, dispatch::Pays, traits::Hooks, weights::Weight};
use proptest::prelude::*;
use sp_core::H256;
use sp_runtime::{
    traits::{BlakeTwo256, Hash},
    DispatchError,
};

fn finalize(id: u64) -> frame_support::dispatch::DispatchResultWithPostInfo {
    Jobs::finalize(RuntimeOrigin::signed(SAM), id)
}

fn is_assigned(id: &u64) -> bool {
    matches!(job(*id).state, JobState::Assigned(_))
}

/// Room for this many draws among this many offers in a block, and not for one more.
fn room_for_draws(draws: u64, offers: u32) {
    let database = <Test as frame_system::Config>::DbWeight::get();
    let per_block = database.reads_writes(2, 2);
    let per_draw = <() as WeightInfo>::draw(offers).saturating_add(database.reads(1));
    MaxAgendaWeight::set(per_block.saturating_add(per_draw.saturating_mul(draws)));
}

/// What the draws of a job, the first of which is number one, ought to take from the randomness of
/// their block.
fn seed(id: u64, draws: u8, draw_at: u64) -> H256 {
    BlakeTwo256::hash_of(&(randomness_of(draw_at), id, draws, job(id).prompt_root))
}

#[test]
fn what_a_full_block_leaves_is_done_in_the_next() {
    TestExt::new().execute_with(|| {
        let ids: Vec<_> = (0..5).map(|_| Ask::default().accepted()).collect();
        room_for_draws(2, 1);
        for (block, done) in [(3, 2), (4, 4), (5, 5)] {
            run_to(block);
            let assigned = ids.iter().filter(|id| is_assigned(id)).count();
            assert_eq!(assigned, done, "block {block}");
            check_books();
        }
        // Every block between has been worked through.
        assert_eq!(AgendaCursor::<Test>::get(), 6);
    });
}

#[test]
fn the_agenda_takes_no_more_weight_than_it_may() {
    TestExt::new().execute_with(|| {
        for _ in 0..5 {
            Ask::default().accepted();
        }
        room_for_draws(2, 1);
        run_to(2);
        System::set_block_number(3);
        let used = Jobs::on_initialize(3);
        assert!(used.all_lte(MaxAgendaWeight::get()));
        assert!(used.all_gte(<() as WeightInfo>::draw(1).saturating_mul(2)));
    });
}

#[test]
fn a_draw_takes_the_room_of_the_offers_that_it_looks_at() {
    let providers = [PETRA, PIUS, PAVEL];
    let drawn = |named, draws, offers| {
        TestExt::new().providers(&providers).execute_with(|| {
            let ask = || Ask {
                provider: named,
                ..Ask::default()
            };
            let ids: Vec<_> = (0..5).map(|_| ask().accepted()).collect();
            room_for_draws(draws, offers);
            run_to(3);
            ids.iter().filter(|id| is_assigned(id)).count()
        })
    };
    assert_eq!(drawn(None, 3, 3), 3);
    assert!(drawn(None, 3, 1) < 3);
    assert_eq!(drawn(Some(PIUS), 3, 1), 3);
}

#[test]
fn nothing_is_pinned_by_a_block_that_does_its_own_agenda() {
    TestExt::new().execute_with(|| {
        let id = Ask::default().accepted();
        for block in 2..=3 {
            run_to(block);
            assert_eq!(Randomness::<Test>::iter().count(), 0, "block {block}");
        }
        assert_eq!(assignment(id).randomness, seed(id, 1, 3));
    });
}

#[test]
fn a_draw_that_had_to_wait_uses_the_randomness_of_its_own_block() {
    TestExt::new().execute_with(|| {
        MaxAgendaWeight::set(Weight::zero());
        let ids = [Ask::default().accepted(), Ask::default().accepted()];
        run_to(8);
        let pinned: Vec<_> = (2..=8).map(|block| (block, randomness_of(block))).collect();
        let mut kept: Vec<_> = Randomness::<Test>::iter().collect();
        kept.sort();
        assert_eq!(kept, pinned);
        assert_ok!(finalize(ids[0]));
        assert_eq!(assignment(ids[0]).assigned_at, 8);
        assert_eq!(assignment(ids[0]).randomness, seed(ids[0], 1, 3));
        MaxAgendaWeight::set(Weight::MAX);
        run_to(9);
        assert_eq!(assignment(ids[1]).assigned_at, 9);
        assert_eq!(assignment(ids[1]).randomness, seed(ids[1], 1, 3));
        assert_eq!(Randomness::<Test>::iter().count(), 0);
    });
}

#[test]
fn a_draw_whose_block_had_no_randomness_does_not_take_anothers() {
    TestExt::new().execute_with(|| {
        MaxAgendaWeight::set(Weight::zero());
        let id = Ask::default().accepted();
        HasRandomness::set(false);
        run_to(3);
        HasRandomness::set(true);
        MaxAgendaWeight::set(Weight::MAX);
        run_to(4);
        System::assert_has_event(Event::NobodyEligible { job: id, draws: 1 }.into());
        assert_eq!(job(id).state, JobState::Waiting { draw_at: 6 });
        run_to(6);
        assert_eq!(assignment(id).randomness, seed(id, 2, 6));
    });
}

/// In a block: the jobs that are submitted, the draws that it has room for, and whether its author
/// gives randomness.
fn busy_block() -> impl Strategy<Value = (usize, u64, bool)> {
    (0..3usize, 0..4u64, prop::bool::weighted(0.9))
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn however_busy_the_chain_every_draw_uses_the_randomness_of_its_block(
        blocks in prop::collection::vec(busy_block(), 1..30),
    ) {
        // No deadline is missed, so Petra can take every job.
        TestExt::new().parameters(|p| p.base_deadline_blocks = 100).execute_with(|| {
            set_offer(PETRA, PRICE, 100);
            let mut waiting = std::collections::BTreeMap::<u64, u64>::new();
            let mut gave = std::collections::BTreeSet::<u64>::new();
            let quiet = std::iter::repeat_n((0, 100, true), 10);
            for (jobs, room, gives) in blocks.into_iter().chain(quiet) {
                for _ in 0..jobs {
                    Ask::default().accepted();
                }
                for (id, record) in crate::Jobs::<Test>::iter() {
                    if let JobState::Waiting { draw_at } = record.state {
                        waiting.insert(id, draw_at);
                    }
                }
                room_for_draws(room, 1);
                HasRandomness::set(gives);
                let now = System::block_number() + 1;
                if gives {
                    gave.insert(now);
                }
                run_to(now);
                check_books();
                for (id, draw_at) in std::mem::take(&mut waiting) {
                    match job(id).state {
                        JobState::Assigned(assignment) => {
                            let draws = job(id).draws;
                            assert_eq!(assignment.randomness, seed(id, draws, draw_at));
                        }
                        JobState::Waiting { draw_at: next } if next == draw_at => {}
                        _ => assert!(!gave.contains(&draw_at), "job {id} at {draw_at}"),
                    }
                }
            }
            assert_eq!(Randomness::<Test>::iter().count(), 0);
            assert!(crate::Jobs::<Test>::iter_values().all(|job| job.state.due() > System::block_number()));
        });
    }
}

#[test]
fn anyone_may_take_a_step_that_the_chain_had_no_room_for() {
    TestExt::new().execute_with(|| {
        MaxAgendaWeight::set(Weight::zero());
        let id = Ask::default().accepted();
        run_to(2);
        assert_noop!(finalize(id), Error::<Test>::NotDue);
        run_to(4);
        assert!(!is_assigned(&id));
        let info = finalize(id).unwrap();
        assert_eq!(info.pays_fee, Pays::No);
        assert_eq!(assignment(id).assigned_at, 4);
        answer(id, 5);
        assert_noop!(finalize(id), Error::<Test>::NotDue);
        run_to(40);
        assert_ok!(finalize(id));
        assert!(matches!(job(id).state, JobState::Settled { .. }));
        assert_noop!(finalize(id), Error::<Test>::NotDue);
        run_to(60);
        assert_ok!(finalize(id));
        assert_noop!(finalize(id), Error::<Test>::UnknownJob);
        assert_eq!(Agenda::<Test>::iter().count(), 0);
    });
}

#[test]
fn a_missed_deadline_can_be_finalized_by_anyone() {
    TestExt::new().execute_with(|| {
        let id = assigned();
        MaxAgendaWeight::set(Weight::zero());
        run_to(9);
        assert_noop!(finalize(id), Error::<Test>::NotDue);
        run_to(10);
        assert_ok!(finalize(id));
        assert_eq!(provider(PETRA).bond, BOND - 500);
    });
}

#[test]
fn a_chain_that_was_busy_catches_up() {
    TestExt::new().execute_with(|| {
        let id = assigned();
        answer(id, 5);
        MaxAgendaWeight::set(Weight::zero());
        run_to(80);
        assert!(matches!(job(id).state, JobState::Delivered(..)));
        MaxAgendaWeight::set(Weight::MAX);
        run_to(81);
        assert!(matches!(
            job(id).state,
            JobState::Settled {
                removed_at: 101,
                ..
            }
        ));
        run_to(101);
        assert_noop!(finalize(id), Error::<Test>::UnknownJob);
    });
}

#[test]
fn a_step_taken_early_in_a_block_is_not_taken_again() {
    TestExt::new().execute_with(|| {
        let first = Ask::default().accepted();
        let second = Ask::default().accepted();
        room_for_draws(1, 1);
        run_to(3);
        let waiting = if is_assigned(&first) { second } else { first };
        assert_ok!(finalize(waiting));
        assert_noop!(finalize(waiting), Error::<Test>::NotDue);
        run_to(4);
        assert_eq!(job(waiting).draws, 1);
    });
}

#[test]
fn the_admin_sets_parameters_that_let_every_job_reach_its_end() {
    TestExt::new().execute_with(|| {
        let set = |parameters| Jobs::set_parameters(RuntimeOrigin::root(), parameters);
        assert_noop!(
            Jobs::set_parameters(RuntimeOrigin::signed(SAM), parameters()),
            DispatchError::BadOrigin
        );
        let broken: [fn(&mut Parameters<u64>); 7] = [
            |p| p.challenge_blocks = 0,
            // Longer than earnings mature.
            |p| p.challenge_blocks = 41,
            |p| p.retention_blocks = 0,
            |p| p.base_deadline_blocks = 0,
            |p| p.tokens_per_deadline_block = 0,
            |p| p.max_draws = 0,
            |p| p.max_draws = 5,
        ];
        for change in broken {
            let mut changed = parameters();
            change(&mut changed);
            assert_noop!(set(changed), Error::<Test>::InvalidParameters);
        }
        let changed = Parameters {
            max_draws: 4,
            challenge_blocks: 40,
            ..parameters()
        };
        assert_ok!(set(changed.clone()));
        assert_eq!(crate::Params::<Test>::get(), changed);
        System::assert_last_event(Event::ParametersSet.into());
    });
}

#[test]
fn fewer_draws_end_jobs_that_have_had_more() {
    TestExt::new().providers(&[]).execute_with(|| {
        let id = Ask::default().accepted();
        run_to(5);
        assert_eq!(job(id).draws, 2);
        let fewer = Parameters {
            max_draws: 1,
            ..parameters()
        };
        assert_ok!(Jobs::set_parameters(RuntimeOrigin::root(), fewer));
        run_to(7);
        assert!(matches!(job(id).state, JobState::Refunded { .. }));
    });
}

#[test]
fn the_least_room_takes_the_heaviest_step_behind_an_agenda_that_is_done() {
    TestExt::new().execute_with(|| {
        let database = <Test as frame_system::Config>::DbWeight::get();
        let heaviest = <() as WeightInfo>::heaviest_step(8);
        let least = database.reads_writes(4, 3).saturating_add(heaviest);
        let id = assigned();
        answer(id, 5);
        run_to(12);
        MaxAgendaWeight::set(Weight::zero());
        run_to(13);
        MaxAgendaWeight::set(least);
        Jobs::integrity_test();
        run_to(14);
        assert!(matches!(job(id).state, JobState::Settled { .. }));
        MaxAgendaWeight::set(least.saturating_sub(Weight::from_parts(1, 0)));
        assert!(std::panic::catch_unwind(Jobs::integrity_test).is_err());
    });
}
