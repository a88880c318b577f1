use crate::{mock::*, Agenda, AgendaCursor, Error, Event, JobState, Parameters, WeightInfo};
use frame_support::{assert_noop, assert_ok, dispatch::Pays, traits::Hooks, weights::Weight};
use sp_runtime::DispatchError;

fn finalize(id: u64) -> frame_support::dispatch::DispatchResultWithPostInfo {
    Jobs::finalize(RuntimeOrigin::signed(SAM), id)
}

fn is_assigned(id: &u64) -> bool {
    matches!(job(*id).state, JobState::Assigned(_))
}

/// Room for this many draws in a block, and not for one more.
fn room_for_draws(draws: u64) {
    let database = <Test as frame_system::Config>::DbWeight::get();
    let per_block = database.reads_writes(3, 1);
    let per_draw = <() as WeightInfo>::draw().saturating_add(database.reads(1));
    MaxAgendaWeight::set(per_block.saturating_add(per_draw.saturating_mul(draws)));
}

#[test]
fn what_a_full_block_leaves_is_done_in_the_next() {
    TestExt::new().execute_with(|| {
        let ids: Vec<_> = (0..5).map(|_| Ask::default().accepted()).collect();
        room_for_draws(2);
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
        room_for_draws(2);
        run_to(2);
        System::set_block_number(3);
        let used = Jobs::on_initialize(3);
        assert!(used.all_lte(MaxAgendaWeight::get()));
        assert!(used.all_gte(<() as WeightInfo>::draw().saturating_mul(2)));
    });
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
        room_for_draws(1);
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
        let broken: [fn(&mut Parameters<u64>); 6] = [
            |p| p.challenge_blocks = 0,
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
#[should_panic(expected = "the agenda must be able to take its heaviest step")]
fn an_agenda_without_room_for_the_heaviest_step_is_refused() {
    MaxAgendaWeight::set(<() as WeightInfo>::heaviest_step());
    Jobs::integrity_test();
}
