use crate::{mock::*, AgendaCursor, ChannelState, Error, Event, Parameters, WeightInfo};
use assay_primitives::ChannelId;
use frame_support::{assert_noop, assert_ok, traits::Hooks, weights::Weight};
use sp_runtime::DispatchError;

/// Room for this many refunds in a block that has one agenda to look at, and not for one more.
fn room_for_refunds(refunds: u64) {
    let database = <Test as frame_system::Config>::DbWeight::get();
    let refund = <() as WeightInfo>::finalize().saturating_add(database.reads(2));
    let cursor = database.reads_writes(2, 1);
    MaxAgendaWeight::set(cursor.saturating_add(refund.saturating_mul(refunds)));
}

fn closed(ids: &[ChannelId]) -> usize {
    ids.iter().filter(|id| channel(**id).is_closed()).count()
}

#[test]
fn what_a_full_block_leaves_is_done_in_the_next() {
    TestExt::new().execute_with(|| {
        let ids: Vec<_> = (0..5).map(|_| opened()).collect();
        ids.iter().for_each(|id| request_close(*id));
        run_to(11);
        for done in [2, 4, 5] {
            room_for_refunds(2);
            run_to(System::block_number() + 1);
            assert_eq!(closed(&ids), done);
            check_books();
        }
        MaxAgendaWeight::set(Weight::MAX);
        run_to(20);
        assert_eq!(AgendaCursor::<Test>::get(), 20);
    });
}

#[test]
fn the_agenda_takes_no_more_than_there_is_room_for() {
    TestExt::new().execute_with(|| {
        let ids: Vec<_> = (0..3).map(|_| opened()).collect();
        ids.iter().for_each(|id| request_close(*id));
        run_to(11);
        let refund = <() as WeightInfo>::finalize();
        // The block has less room than the agenda may take.
        let limit = refund.saturating_mul(2);
        let used = Channels::on_idle(11, limit);
        assert!(used.all_lte(limit));
        assert_eq!(closed(&ids), 1);
        // And the agenda may take less than the block has room for.
        room_for_refunds(1);
        let used = Channels::on_idle(11, Weight::MAX);
        assert!(used.all_lte(MaxAgendaWeight::get()) && used.all_gte(refund));
        assert_eq!(closed(&ids), 2);
        assert_eq!(Channels::on_idle(11, Weight::zero()), Weight::zero());
    });
}

#[test]
fn a_chain_that_was_busy_catches_up() {
    TestExt::new().execute_with(|| {
        let id = opened();
        request_close(id);
        MaxAgendaWeight::set(Weight::zero());
        run_to(80);
        assert!(matches!(channel(id).state, ChannelState::Closing { .. }));
        MaxAgendaWeight::set(Weight::MAX);
        run_to(81);
        assert_eq!(channel(id).state, ChannelState::Closed { remove_at: 100 });
        run_to(101);
        assert_eq!(Channels::channel(id), None);
    });
}

#[test]
fn the_agenda_has_room_for_its_heaviest_step() {
    TestExt::new().execute_with(|| {
        let database = <Test as frame_system::Config>::DbWeight::get();
        let heaviest = <() as WeightInfo>::heaviest_step();
        let least = database.reads_writes(4, 1).saturating_add(heaviest);
        let id = opened();
        request_close(id);
        run_to(11);
        // The agenda of the block before is looked at first.
        AgendaCursor::<Test>::put(10);
        MaxAgendaWeight::set(least);
        Channels::integrity_test();
        run_to(12);
        assert_eq!(closed(&[id]), 1);
        MaxAgendaWeight::set(least.saturating_sub(Weight::from_parts(1, 0)));
        assert!(std::panic::catch_unwind(Channels::integrity_test).is_err());
    });
}

#[test]
fn the_admin_sets_parameters_that_leave_providers_time() {
    TestExt::new().execute_with(|| {
        let set = |parameters| Channels::set_parameters(RuntimeOrigin::root(), parameters);
        assert_noop!(
            Channels::set_parameters(RuntimeOrigin::signed(SAM), parameters()),
            DispatchError::BadOrigin
        );
        let broken: [fn(&mut Parameters<u64>); 3] = [
            |p| p.close_window_blocks = 0,
            |p| p.retention_blocks = 0,
            |p| p.min_deposit = 0,
        ];
        for change in broken {
            let mut changed = parameters();
            change(&mut changed);
            assert_noop!(set(changed), Error::<Test>::InvalidParameters);
        }
        let pending = opened();
        request_close(pending);
        let changed = Parameters {
            close_window_blocks: 3,
            retention_blocks: 50,
            min_deposit: 5,
        };
        assert_ok!(set(changed.clone()));
        System::assert_last_event(Event::ParametersSet.into());
        assert_eq!(crate::Params::<Test>::get(), changed);
        // A window that has begun keeps its length.
        assert_eq!(
            channel(pending).state,
            ChannelState::Closing { finalize_at: 11 }
        );
        let id = open(UMA, PETRA, 5);
        request_close(id);
        run_to(5);
        assert_eq!(channel(id).state, ChannelState::Closed { remove_at: 54 });
    });
}
