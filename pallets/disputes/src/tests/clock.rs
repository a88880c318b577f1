use super::forged::disputed;
use crate::{mock::*, Clock, Error, Event, Parameters};
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
        let ticks = |weight: Weight, bytes: u32| {
            let before = Clock::<Test>::get();
            System::set_block_consumed_resources(weight, bytes as usize);
            Disputes::tick();
            Clock::<Test>::get() - before
        };
        assert_eq!(ticks(max / 2, length / 2), 1);
        assert_eq!(ticks(max / 100 * 89, 0), 1);
        assert_eq!(ticks(max / 100 * 92, 0), 0);
        assert_eq!(ticks(Weight::zero(), length / 100 * 89), 1);
        assert_eq!(ticks(Weight::zero(), length / 100 * 92), 0);
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
