use crate::{mock::*, Candidates, Elected, Event, Exposures, Offenders, Planned, Role};
use assay_primitives::Balance;
use frame_support::assert_ok;
use sp_runtime::Permill;

fn set() -> Vec<u64> {
    Elected::<Test>::get().into_inner()
}

#[test]
fn the_genesis_elects_who_is_bonded_for_the_first_era() {
    TestExt::new().execute_with(|| {
        let era = Planned::<Test>::get().unwrap();
        assert_eq!((era.index, era.start, era.end), (0, 0, 3));
        assert_eq!(set(), vec![VERA, VITO, VIGO, VANJA]);
        assert_eq!(Session::validators(), set());
        assert_eq!(exposure(0, VERA).own, BOND);
        assert_eq!(Validators::active_era(), 0);
    });
}

/// A network tool may write other keys than the genesis has bonds for.
#[test]
fn a_genesis_with_too_few_bonded_keys_begins_with_all_who_have_keys() {
    let story = TestExt::new().with_keys(&[VERA, KARL, SAM]);
    story.execute_with(|| {
        assert_eq!(Session::validators(), vec![VERA, KARL, SAM]);
        assert_eq!(exposure(0, KARL).own, 0);
        assert_eq!(exposure(0, VERA).own, BOND);
        // They stay until enough can be elected.
        run_to_session(6);
        assert_eq!(Session::validators(), vec![VERA, KARL, SAM]);
        assert_ok!(set_keys(VITO, VITO));
        run_to_session(9);
        assert_eq!(Session::validators(), vec![VERA, VITO]);
    });
}

#[test]
fn a_genesis_without_anybody_plans_nothing() {
    let story = TestExt::of(&[]).with_keys(&[]);
    story.execute_with(|| {
        run_to(12);
        assert_eq!(Planned::<Test>::get(), None);
        // A bond stands for nothing yet.
        assert_ok!(validate(NORA, BOND));
        assert_ok!(validate(NED, BOND));
        run_to(15);
        assert_eq!(set(), vec![NORA, NED]);
    });
}

#[test]
#[should_panic(expected = "the genesis parameters contradict each other")]
fn a_genesis_with_contradicting_parameters_is_refused() {
    let _ = TestExt::new()
        .parameters(|parameters| parameters.bonding_sessions = 0)
        .build();
}

#[test]
#[should_panic(expected = "validators.validatorCount is 1")]
fn a_genesis_with_fewer_seats_than_the_floor_is_refused() {
    let _ = TestExt::new().seats(1).build();
}

#[test]
#[should_panic(expected = "1 cannot bond 1000000")]
fn a_genesis_with_a_bond_below_the_least_is_refused() {
    let _ = TestExt::new()
        .parameters(|parameters| parameters.min_validator_bond = BOND + 1)
        .build();
}

#[test]
fn those_with_the_most_behind_them_are_elected() {
    TestExt::new().seats(3).execute_with(|| {
        assert_ok!(validate(6, BOND + 2));
        assert_ok!(nominate(NORA, LITTLE, VANJA));
        assert_ok!(nominate(NED, LITTLE, VIGO));
        run_to_session(3);
        assert_eq!(Session::validators(), vec![VIGO, VANJA, 6]);
        // Vigo's nominator leaves, and of those with equals behind them the smaller account is elected.
        assert_ok!(chill(NED));
        run_to_session(6);
        assert_eq!(Session::validators(), vec![VERA, VANJA, 6]);
    });
}

#[test]
fn a_tie_is_broken_by_account_whoever_came_first() {
    TestExt::of(&[VANJA, VIGO, VITO, VERA])
        .seats(2)
        .execute_with(|| {
            assert_eq!(set(), vec![VERA, VITO]);
            assert_ok!(chill(VERA));
            assert_ok!(Validators::validate(
                RuntimeOrigin::signed(VERA),
                Permill::zero()
            ));
            run_to_session(3);
            assert_eq!(Session::validators(), vec![VERA, VITO]);
        });
}

#[test]
fn who_has_lost_its_keys_or_the_least_bond_is_not_elected() {
    TestExt::new().execute_with(|| {
        // Neither happens by a call; a slash or governance does it.
        pallet_session::NextKeys::<Test>::remove(VERA);
        assert_ok!(Validators::set_parameters(
            RuntimeOrigin::root(),
            crate::Parameters {
                min_validator_bond: BOND + 1,
                ..parameters()
            }
        ));
        for who in [VERA, VITO, VIGO] {
            assert_ok!(Validators::bond_extra(RuntimeOrigin::signed(who), 1));
        }
        run_to_session(2);
        assert_eq!(set(), vec![VITO, VIGO]);
        assert_eq!(
            Validators::standings(),
            vec![(VERA, 0), (VITO, BOND + 1), (VIGO, BOND + 1), (VANJA, 0)]
        );
        pallet_session::NextKeys::<Test>::insert(VERA, keys(VERA));
    });
}

/// An empty set would stop the chain, and a small one would give it to whoever is left.
#[test]
fn trap_2_the_set_stays_when_fewer_than_the_floor_could_be_elected() {
    TestExt::of(&[VERA, VITO, VIGO]).execute_with(|| {
        for who in [VERA, VITO] {
            assert_ok!(chill(who));
        }
        assert_ok!(nominate(NORA, LITTLE, VIGO));
        run_to_session(2);
        let kept = Event::EraPlanned {
            era: 1,
            start: 3,
            validators: 3,
            elected: false,
        };
        System::assert_has_event(kept.into());
        assert_eq!(set(), vec![VERA, VITO, VIGO]);
        // What stands behind them is what stands behind them now.
        assert_eq!(exposure(1, VERA).own, BOND);
        assert_eq!(exposure(1, VIGO).total(), BOND + LITTLE);
        assert_ok!(unbond(VERA, BOND));
        run_to_session(6);
        assert_eq!(Session::validators(), vec![VERA, VITO, VIGO]);
        assert_eq!(exposure(2, VERA).own, 0);
        assert_ok!(validate(6, BOND));
        run_to_session(9);
        assert_eq!(Session::validators(), vec![VIGO, 6]);
    });
}

#[test]
fn a_set_that_stays_keeps_its_commissions() {
    TestExt::of(&[VERA, VITO]).execute_with(|| {
        let commission = Permill::from_percent(9);
        assert_ok!(Validators::validate(
            RuntimeOrigin::signed(VERA),
            commission
        ));
        run_to_session(3);
        assert_eq!(exposure(1, VERA).commission, commission);
        assert_ok!(chill(VERA));
        run_to_session(9);
        assert_eq!(exposure(3, VERA).commission, commission);
        assert_eq!(exposure(3, VITO).commission, Permill::zero());
    });
}

#[test]
fn an_exposure_is_what_stood_behind_a_validator_when_it_was_elected() {
    TestExt::new().execute_with(|| {
        assert_ok!(nominate(NORA, 2 * LITTLE, VERA));
        assert_eq!(exposure(0, VERA).total(), BOND);
        run_to_session(2);
        let before = exposure(1, VERA);
        assert_eq!(before.own, BOND);
        assert_eq!(before.nominators.len(), 1);
        assert_eq!(before.total(), BOND + 2 * LITTLE);
        assert_ok!(unbond(NORA, LITTLE));
        assert_ok!(Validators::bond_extra(RuntimeOrigin::signed(VERA), 3));
        assert_eq!(exposure(1, VERA), before);
        run_to_session(5);
        assert_eq!(exposure(2, VERA).own, BOND + 3);
        assert_eq!(exposure(2, VERA).total(), BOND + 3 + LITTLE);
    });
}

#[test]
fn an_era_lasts_as_long_as_was_set_when_it_was_planned() {
    TestExt::new().execute_with(|| {
        let new = crate::Parameters {
            sessions_per_era: 1,
            ..parameters()
        };
        assert_ok!(Validators::set_parameters(RuntimeOrigin::root(), new));
        run_to_session(2);
        let starts = |session: u32| crate::EraOfSession::<Test>::get(session);
        assert_eq!(
            [0, 1, 2, 3].map(starts),
            [Some(0), Some(0), Some(0), Some(1)]
        );
        assert_eq!(Validators::active_era(), 0);
        run_to_session(4);
        assert_eq!([3, 4, 5].map(starts), [Some(1), Some(2), Some(3)]);
        System::assert_has_event(Event::EraStarted { era: 2 }.into());
        assert_eq!(Validators::active_era(), 2);
        assert_eq!(Validators::planned_era().unwrap().index, 3);
    });
}

#[test]
fn an_election_is_seen_before_it_is_held() {
    TestExt::new().seats(2).execute_with(|| {
        assert_ok!(nominate(NORA, LITTLE, VANJA));
        assert_eq!(Validators::next_elected(), vec![VERA, VANJA]);
        assert_eq!(set(), vec![VERA, VITO]);
        run_to_session(2);
        assert_eq!(set(), vec![VERA, VANJA]);
    });
}

/// No money, however placed, elects more than there are seats for, and nothing of an era is left when
/// its last session has been forgotten.
#[test]
fn eras_come_and_go() {
    TestExt::new().seats(3).execute_with(|| {
        let bonded: Balance = 8 * BOND;
        assert_ok!(validate(6, bonded));
        for session in 1..40 {
            run_to_session(session);
            check_books();
            assert!(set().len() == 3 && Exposures::<Test>::iter().count() <= 5 * 4);
        }
        assert_eq!(Validators::active_era(), 13);
        assert!(EndedEras::get().into_iter().eq(0..13));
        assert!(matches!(bond(6).unwrap().role, Role::Validator { .. }));
        assert_eq!(Candidates::<Test>::get().len(), 5);
        assert_eq!(Offenders::<Test>::iter().count(), 0);
    });
}
