use crate::{mock::*, Backing, Error, Event, Nominators, Role};
use frame_support::{assert_noop, assert_ok};
use sp_runtime::Permill;

fn nominators(validator: u64) -> Vec<(u64, u128)> {
    let list = Nominators::<Test>::get(validator).into_iter();
    list.map(|Backing { nominator, amount }| (nominator, amount))
        .collect()
}

#[test]
fn a_nominator_backs_one_validator_with_its_whole_bond() {
    TestExt::new().execute_with(|| {
        let by = RuntimeOrigin::signed(NORA);
        assert_ok!(nominate(NORA, 3 * LITTLE, VERA));
        System::assert_last_event(
            Event::Nominating {
                who: NORA,
                validator: VERA,
            }
            .into(),
        );
        assert_ok!(Validators::bond_extra(by.clone(), 2));
        assert_ok!(unbond(NORA, LITTLE));
        assert_eq!(nominators(VERA), vec![(NORA, 2 * LITTLE + 2)]);
        // To another, and to nobody.
        assert_ok!(Validators::nominate(by, VITO));
        assert_eq!(nominators(VERA), vec![]);
        assert_eq!(nominators(VITO), vec![(NORA, 2 * LITTLE + 2)]);
        assert_ok!(chill(NORA));
        assert_eq!(nominators(VITO), vec![]);
        assert!(!Nominators::<Test>::contains_key(VITO));
        assert_ok!(unbond(NORA, 2 * LITTLE + 2));
    });
}

#[test]
fn only_who_stands_for_election_can_be_backed() {
    TestExt::new().execute_with(|| {
        assert_noop!(
            Validators::nominate(RuntimeOrigin::signed(NORA), VERA),
            Error::<Test>::NotBonded
        );
        assert_ok!(Validators::bond(RuntimeOrigin::signed(NORA), BOND));
        for other in [NED, NORA, KARL] {
            assert_noop!(
                Validators::nominate(RuntimeOrigin::signed(NORA), other),
                Error::<Test>::NotValidating
            );
        }
        // Nor does a validator back itself.
        assert_noop!(
            Validators::nominate(RuntimeOrigin::signed(VERA), VERA),
            Error::<Test>::NotValidating
        );
        assert_ok!(unbond(NORA, BOND));
        assert_noop!(
            Validators::nominate(RuntimeOrigin::signed(NORA), VERA),
            Error::<Test>::BondTooSmall
        );
    });
}

#[test]
fn one_bond_stands_for_one_thing() {
    TestExt::new().execute_with(|| {
        assert_ok!(Validators::nominate(RuntimeOrigin::signed(VERA), VITO));
        assert_eq!(
            crate::Candidates::<Test>::get().to_vec(),
            vec![VITO, VIGO, VANJA]
        );
        assert_eq!(nominators(VITO), vec![(VERA, BOND)]);
        let commission = Permill::from_percent(3);
        assert_ok!(Validators::validate(
            RuntimeOrigin::signed(VERA),
            commission
        ));
        assert_eq!(nominators(VITO), vec![]);
        assert_eq!(bond(VERA).unwrap().role, Role::Validator { commission });
        let commission = Permill::from_percent(4);
        assert_ok!(Validators::validate(
            RuntimeOrigin::signed(VERA),
            commission
        ));
        System::assert_last_event(
            Event::Validating {
                who: VERA,
                commission,
            }
            .into(),
        );
        assert_eq!(crate::Candidates::<Test>::get().len(), 4);
    });
}

#[test]
fn a_nominator_over_the_cap_takes_the_place_of_a_smaller_one_or_none() {
    TestExt::new().execute_with(|| {
        assert_ok!(nominate(11, 3 * LITTLE, VERA));
        assert_ok!(nominate(12, 2 * LITTLE, VERA));
        assert_ok!(nominate(13, 4 * LITTLE, VERA));
        assert_ok!(Validators::bond(RuntimeOrigin::signed(14), 2 * LITTLE));
        let fourth = || Validators::nominate(RuntimeOrigin::signed(14), VERA);
        assert_noop!(fourth(), Error::<Test>::TooManyNominators);
        assert_ok!(Validators::bond_extra(RuntimeOrigin::signed(14), 1));
        assert_ok!(fourth());
        System::assert_has_event(Event::Displaced { who: 12 }.into());
        assert_eq!(
            nominators(VERA),
            vec![(11, 3 * LITTLE), (13, 4 * LITTLE), (14, 2 * LITTLE + 1)]
        );
        assert_eq!(bond(12).unwrap().role, Role::Idle);
        assert_ok!(unbond(12, 2 * LITTLE));
    });
}

#[test]
fn a_full_list_of_candidates_makes_room_for_who_has_more_behind_it() {
    TestExt::of(&[1, 2, 3, 4, 6, 7, 8, 9]).execute_with(|| {
        assert_ok!(nominate(NORA, LITTLE, 1));
        assert_ok!(Validators::bond(RuntimeOrigin::signed(14), BOND));
        assert_ok!(set_keys(14, 14));
        assert_noop!(
            Validators::validate(RuntimeOrigin::signed(14), Permill::zero()),
            Error::<Test>::TooManyCandidates
        );
        // Of those with the least, the smallest account goes; Nora's validator has more.
        assert_ok!(validate(15, BOND + 1));
        System::assert_has_event(Event::Displaced { who: 2 }.into());
        assert_eq!(
            crate::Candidates::<Test>::get().to_vec(),
            vec![1, 3, 4, 6, 7, 8, 9, 15]
        );
        assert_eq!(bond(2).unwrap().role, Role::Idle);
        // It comes back with its nominators, who have stayed.
        assert_ok!(chill(15));
        assert_ok!(Validators::validate(
            RuntimeOrigin::signed(2),
            Permill::zero()
        ));
    });
}
