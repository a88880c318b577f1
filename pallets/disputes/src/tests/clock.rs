use super::forged::disputed;
use crate::{mock::*, Choice, Clock, EarlierPauses, Error, Event, Parameters, MAX_PAUSES};
use frame_support::{
    assert_noop, assert_ok, dispatch::DispatchClass, traits::Get, weights::Weight,
};
use frame_system::limits::BlockLength;
use sp_runtime::DispatchError::BadOrigin;

#[test]
fn the_clock_counts_blocks_with_room() {
    TestExt::new().execute_with(|| {
        let start = Clock::<Test>::get();
        pass(3);
        assert_eq!(Clock::<Test>::get(), start + 3);
        BlocksAreFull::set(true);
        pass(4);
        assert_eq!(Clock::<Test>::get(), start + 3);
        BlocksAreFull::set(false);
        pass(1);
        assert_eq!(Clock::<Test>::get(), start + 4);
    });
}

#[test]
fn a_block_is_full_by_weight_or_by_length() {
    TestExt::new().execute_with(|| {
        let max = block_weights().max_block;
        let length = <() as Get<BlockLength>>::get();
        let length = *length.max.get(DispatchClass::Operational);
        let ticks = |[normal, operational]: [u64; 2], bytes: u32| {
            let before = Clock::<Test>::get();
            System::set_block_consumed_resources(Weight::zero(), (length / 100 * bytes) as usize);
            fill(max / 100 * normal, max / 100 * operational);
            Disputes::tick();
            Clock::<Test>::get() - before
        };
        assert_eq!(ticks([50, 0], 50), 1);
        assert_eq!(ticks([0, 89], 0), 1);
        assert_eq!(ticks([0, 92], 0), 0);
        assert_eq!(ticks([65, 24], 0), 1);
        assert_eq!(ticks([75, 24], 0), 0);
        // A quarter is for operational transactions alone, whatever else there is in the block.
        assert_eq!(ticks([75, 22], 0), 1);
        assert_eq!(ticks([0, 0], 89), 1);
        assert_eq!(ticks([0, 0], 92), 0);
        let (_, number, _) = disputed(0);
        // Nobody is late because blocks are full.
        BlocksAreFull::set(true);
        pass(50);
        assert!(!is_over(number));
    });
}

#[test]
fn a_pause_stops_every_clock_and_nothing_is_judged() {
    TestExt::new().execute_with(|| {
        let (given, number, forged) = disputed(7);
        let deadline = dispute(number).deadline.unwrap();
        let clock = Clock::<Test>::get();
        let maturing = provider(PIUS).maturing;
        assert_noop!(
            Disputes::pause(RuntimeOrigin::signed(CARL), true),
            BadOrigin
        );
        assert_noop!(
            Disputes::pause(RuntimeOrigin::root(), false),
            Error::<Test>::NothingToChange
        );
        assert_ok!(Disputes::pause(RuntimeOrigin::root(), true));
        System::assert_last_event(Event::Paused.into());
        assert_noop!(
            Disputes::pause(RuntimeOrigin::root(), true),
            Error::<Test>::NothingToChange
        );
        pass(100);
        assert_eq!(Clock::<Test>::get(), clock);
        assert_eq!(Disputes::stood_still(), 100);
        assert!(!is_over(number));
        assert_eq!(provider(PIUS).maturing, maturing);
        let shown = forged.answer(&given, 7);
        assert_noop!(answer(PETRA, number, shown.clone()), Error::<Test>::Paused);
        assert_noop!(
            Disputes::timeout(RuntimeOrigin::signed(SAM), number),
            Error::<Test>::Paused
        );
        commit(CORA, &given.claim);
        pass(1);
        assert_noop!(
            given.accuse(CORA, crate::Evidence::Face),
            Error::<Test>::Paused
        );
        assert_ok!(Disputes::pause(RuntimeOrigin::root(), false));
        System::assert_last_event(Event::Resumed.into());
        assert_eq!(dispute(number).deadline, Some(deadline));
        assert_ok!(answer(PETRA, number, shown));
        pass(3);
        assert_eq!(Disputes::stood_still(), 101);
        assert_ok!(Disputes::pause(RuntimeOrigin::root(), true));
        pass(2);
        assert_eq!(Disputes::stood_still(), 103);
        assert_ok!(Disputes::pause(RuntimeOrigin::root(), false));
    });
}

#[test]
fn an_agenda_without_weight_waits_and_goes_on_where_it_was() {
    TestExt::new().execute_with(|| {
        let (_, number, _) = disputed(7);
        MaxAgendaWeight::set(Weight::zero());
        pass(40);
        assert!(!is_over(number));
        MaxAgendaWeight::set(EnoughWeight::get());
        pass(1);
        assert!(is_over(number));
    });
}

#[test]
fn parameters_must_not_contradict_each_other_or_the_chain() {
    TestExt::new().execute_with(|| {
        let set = |change: &dyn Fn(&mut Parameters<u64>)| {
            let mut parameters = parameters();
            change(&mut parameters);
            Disputes::set_parameters(RuntimeOrigin::root(), parameters)
        };
        assert_ok!(set(&|p| p.base_bond = 99_999));
        assert_eq!(crate::Params::<Test>::get().base_bond, 99_999);
        System::assert_last_event(Event::ParametersSet.into());
        type Change<'a> = &'a dyn Fn(&mut Parameters<u64>);
        let bad: [Change; 9] = [
            &|p| p.challenge_blocks = 0,
            &|p| p.commitment_blocks = 0,
            &|p| p.reply_blocks = 0,
            &|p| p.leaves_per_block = 0,
            &|p| p.commitment_deposit = 0,
            &|p| p.base_bond = 0,
            &|p| p.compensation = p.base_bond + 1,
            &|p| p.live_disputes = 0,
            &|p| p.live_disputes = crate::MAX_LIVE + 1,
        ];
        for change in bad {
            assert_noop!(set(change), Error::<Test>::InvalidParameters);
        }
        // Earnings mature for 40 blocks.
        assert_noop!(
            set(&|p| p.challenge_blocks = 41),
            Error::<Test>::WindowTooLong
        );
        assert_ok!(set(&|p| p.challenge_blocks = 40));
        // Nor is their time made shorter than the window.
        let mature = |blocks| {
            let parameters = pallet_providers::Parameters {
                maturing_blocks: blocks,
                unbonding_blocks: 100_000,
                ..pallet_providers::Params::<Test>::get()
            };
            Providers::set_parameters(RuntimeOrigin::root(), parameters)
        };
        let too_soon = || pallet_providers::Error::<Test>::MaturesTooSoon;
        assert_noop!(mature(39), too_soon());
        assert_ok!(mature(10_000));
        // Block hashes are known for 2,400 blocks.
        let too_long = Error::<Test>::WindowTooLong;
        assert_noop!(set(&|p| p.challenge_blocks = 2_400), too_long);
        assert_ok!(set(&|p| p.challenge_blocks = 2_399));
        assert_noop!(mature(40), too_soon());
        assert_noop!(
            Disputes::set_parameters(RuntimeOrigin::signed(CARL), parameters()),
            BadOrigin
        );
    });
}

/// Counted blocks that the next move of a dispute may still take.
fn left(number: u64) -> u64 {
    dispute(number).deadline.unwrap() - Clock::<Test>::get()
}

#[test]
fn each_side_has_time_for_the_trace_before_its_first_move() {
    TestExt::new().execute_with(|| {
        let (given, number, forged) = disputed(39);
        let trace = forged.count().div_ceil(1_000);
        assert!(trace > 1);
        assert_eq!(left(number), 5 + trace);
        assert_ok!(answer(PETRA, number, forged.answer(&given, 39)));
        assert_eq!(left(number), 5 + trace, "whatever was made up, at once");
        assert_ok!(choose(CARL, number, Choice::Node(1)));
        assert_eq!(left(number), 5);
        forged.reveal(number);
        assert_eq!(left(number), 5);
    });
}

#[test]
fn a_provider_that_has_answered_before_has_time_to_compute_it_again() {
    TestExt::new().execute_with(|| {
        let (given, number, forged) = disputed(39);
        let trace = forged.count().div_ceil(1_000);
        assert_ok!(answer(PETRA, number, forged.answer(&given, 39)));
        let second = given.dispute(CORA, 39);
        assert_eq!(left(second), 5 + trace);
        assert_ok!(choose(CORA, second, Choice::Node(1)));
        assert_eq!(left(second), 5 + 2 * trace, "of two disputes");
        forged.reveal(second);
        assert_eq!(left(second), 5);
        assert_ok!(choose(CORA, second, Choice::Node(0)));
        assert_eq!(left(second), 5);
    });
}

/// Let everything stand still for so many blocks.
fn stand_still(blocks: u64) {
    assert_ok!(Disputes::pause(RuntimeOrigin::root(), true));
    pass(blocks);
    assert_ok!(Disputes::pause(RuntimeOrigin::root(), false));
}

#[test]
fn a_window_is_longer_by_every_pause_in_it() {
    TestExt::new().execute_with(|| {
        stand_still(9);
        pass(5);
        let given = Given::in_channel(channel(10_000), 0, vec![10; 4]);
        let anchor = u64::from(given.receipt.anchor.number);
        pass(3);
        for blocks in [3, 4, 2] {
            stand_still(blocks);
            pass(5);
        }
        run_to(anchor + 30 + 9 - 1);
        commit(CARL, &given.claim);
        commit(CORA, &given.claim);
        pass(1);
        assert_ok!(given.open(CARL, 0));
        pass(1);
        assert_noop!(given.open(CORA, 0), Error::<Test>::WindowClosed);
    });
}

#[test]
fn the_pauses_that_are_remembered_are_the_last() {
    TestExt::new().execute_with(|| {
        let start = System::block_number();
        let count = u64::from(MAX_PAUSES) + 3;
        for _ in 0..count {
            stand_still(2);
            pass(1);
        }
        assert_eq!(EarlierPauses::<Test>::get().len(), MAX_PAUSES as usize);
        assert_eq!(Disputes::stood_still(), 2 * count);
        assert_eq!(
            Disputes::paused_since(start),
            2 * (u64::from(MAX_PAUSES) + 1)
        );
        let last = System::block_number() - 5;
        assert_eq!(Disputes::paused_since(last), 2 + 1);
    });
}
