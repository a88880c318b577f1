use crate::{mock::*, Error, Event, Role, Slashed, UnbondingChunk};
use frame_support::{assert_noop, assert_ok};
use sp_runtime::Perbill;
use sp_staking::offence::{Offence, OffenceDetails, OnOffenceHandler};

/// What the handler is told when Vera alone offends in this session, with this fraction, is carried out.
fn offend(fraction: Perbill, session: u32) {
    let details = OffenceDetails {
        offender: (VERA, ()),
        reporters: vec![SAM],
    };
    <Validators as OnOffenceHandler<_, _, _>>::on_offence(&[details], &[fraction], session);
    carry_out_all();
}

/// Who is slashed in the next block.
fn next_slashed() -> Vec<u64> {
    System::reset_events();
    run_to(System::block_number() + 1);
    let events = System::events().into_iter();
    let slashed = events.filter_map(|record| match record.event {
        RuntimeEvent::Validators(Event::Slashed { validator, .. }) => Some(validator),
        _ => None,
    });
    slashed.collect()
}

#[test]
fn an_offender_is_out_at_once_and_pays_in_the_next_block() {
    TestExt::new().execute_with(|| {
        assert!(hear_of(vec![SAM], VERA, 0, 1));
        assert_eq!(disabled(), vec![VERA]);
        assert_eq!(bond(VERA).unwrap().role, Role::Idle);
        assert_eq!((held(VERA), free(SAM)), (BOND, ENDOWMENT));
        // Whoever it is: nobody can tell cheaply whose money is meant.
        assert_noop!(withdraw(VITO), Error::<Test>::SlashesDue);
        assert_eq!(next_slashed(), vec![VERA]);
        assert_eq!(held(VERA), BOND * 7 / 16);
        assert_noop!(withdraw(VITO), Error::<Test>::NothingToWithdraw);
    });
}

/// Two votes of all in one round: each report makes those before dearer.
#[test]
fn many_offenders_at_once_are_slashed_once_each_and_a_few_a_block() {
    let all: Vec<u64> = (1..=8).collect();
    TestExt::of(&all).seats(8).execute_with(|| {
        let issuance = Balances::total_issuance();
        for offender in &all {
            assert!(hear_of(vec![SAM], *offender, 0, 1));
        }
        let blocks: Vec<_> = (0..4).map(|_| next_slashed()).collect();
        assert!(blocks.iter().all(|slashed| slashed.len() == 2));
        let mut slashed = blocks.concat();
        slashed.sort();
        assert_eq!(slashed, all);
        assert!(all.iter().all(|offender| bond(*offender).is_none()));
        assert_eq!(free(SAM), ENDOWMENT + 8 * BOND / 10);
        assert_eq!(free(TREASURY), EXISTENTIAL_DEPOSIT + 8 * BOND * 9 / 10);
        assert_eq!(Balances::total_issuance(), issuance);
        assert!(next_slashed().is_empty());
    });
}

#[test]
fn what_a_session_still_costs_keeps_it_from_being_forgotten() {
    let all: Vec<u64> = (1..=8).collect();
    TestExt::of(&all).seats(8).execute_with(|| {
        // The last block in which the first session is known.
        run_to_session(6);
        run_to(System::block_number() + SESSION_BLOCKS - 1);
        for offender in &all {
            assert!(hear_of(vec![SAM], *offender, 0, 1));
        }
        let known = || crate::EraOfSession::<Test>::contains_key(0);
        run_to_session(7);
        assert!(known() && Validators::slashes_are_due());
        run_to_session(8);
        assert!(!known());
        assert!(all.iter().all(|offender| held(*offender) == 0));
    });
}

fn chunk(amount: u128, due: u32) -> UnbondingChunk {
    UnbondingChunk { amount, due }
}

/// (3k / n)², at most all.
#[test]
fn trap_5_one_of_four_costs_more_than_half() {
    let fraction = |offenders, validators| {
        let offence = Equivocation {
            session: 0,
            validators,
            offender: VERA,
            slot: 1,
        };
        offence.slash_fraction(offenders)
    };
    assert_eq!(fraction(1, 3), Perbill::one());
    assert_eq!(fraction(1, 4), Perbill::from_parts(562_500_000));
    assert_eq!(fraction(2, 4), Perbill::one());
    assert_eq!(fraction(1, 10), Perbill::from_percent(9));
}

#[test]
fn an_offender_is_slashed_chilled_and_disabled_and_its_reporter_rewarded() {
    TestExt::new().execute_with(|| {
        let issuance = Balances::total_issuance();
        assert!(report(VERA, 0, 1));
        let slash = BOND * 9 / 16;
        assert_eq!(held(VERA), BOND - slash);
        assert_eq!(free(VERA), ENDOWMENT - BOND);
        assert_eq!(free(SAM), ENDOWMENT + slash / 10);
        assert_eq!(free(TREASURY), EXISTENTIAL_DEPOSIT + slash - slash / 10);
        assert_eq!(Balances::total_issuance(), issuance);
        assert_eq!(bond(VERA).unwrap().role, Role::Idle);
        assert_eq!(disabled(), vec![VERA]);
        System::assert_has_event(Event::Chilled { who: VERA }.into());
        System::assert_has_event(
            Event::Slashed {
                validator: VERA,
                session: 0,
                fraction: Perbill::from_parts(562_500_000),
                amount: slash,
                reward: slash / 10,
            }
            .into(),
        );
        // The same report again is none.
        assert!(!report(VERA, 0, 1));
        assert_eq!(held(VERA), BOND - slash);
        // With what is left, she cannot stand for election.
        assert_noop!(
            Validators::validate(RuntimeOrigin::signed(VERA), Default::default()),
            Error::<Test>::BondTooSmall
        );
        run_to_session(3);
        assert_eq!(Session::validators(), vec![VITO, VIGO, VANJA]);
    });
}

/// When a second offender of the same slot is reported, the first comes again with a larger fraction.
#[test]
fn trap_4a_concurrent_offenders_are_slashed_by_the_increment() {
    TestExt::new().execute_with(|| {
        assert!(report(VERA, 0, 1));
        let first = BOND * 9 / 16;
        assert_eq!(held(VERA), BOND - first);
        let reporter = free(SAM);
        assert!(report_by(vec![NINA], VITO, 0, 1));
        // Both have lost all, once; each part has paid the one who reported that offender.
        assert_eq!((held(VERA), held(VITO)), (0, 0));
        assert_eq!((bond(VERA), bond(VITO)), (None, None));
        assert_eq!(free(SAM), reporter + (BOND - first) / 10);
        assert_eq!(free(NINA), ENDOWMENT + BOND / 10);
        assert_eq!(Slashed::<Test>::get(0, VERA), Some(Perbill::one()));
    });
}

#[test]
fn trap_4a_of_several_offences_in_a_session_the_worst_counts() {
    TestExt::new().execute_with(|| {
        let percent = Perbill::from_percent;
        offend(percent(10), 0);
        assert_eq!(held(VERA), BOND * 90 / 100);
        offend(percent(10), 0);
        offend(percent(4), 0);
        assert_eq!(held(VERA), BOND * 90 / 100);
        offend(percent(25), 0);
        assert_eq!(held(VERA), BOND * 75 / 100);
        // Another session has offences of its own, of the same exposure.
        run_to_session(1);
        offend(percent(10), 1);
        assert_eq!(held(VERA), BOND * 65 / 100);
    });
}

#[test]
fn an_offence_that_was_punished_does_not_chill_again() {
    TestExt::new().execute_with(|| {
        offend(Perbill::from_percent(10), 0);
        assert_ok!(Validators::bond_extra(RuntimeOrigin::signed(VERA), BOND));
        let validate = || Validators::validate(RuntimeOrigin::signed(VERA), Default::default());
        assert_ok!(validate());
        // Another was found to have done the same.
        offend(Perbill::from_percent(40), 0);
        assert!(matches!(bond(VERA).unwrap().role, Role::Validator { .. }));
        run_to_session(1);
        offend(Perbill::from_percent(40), 1);
        assert_eq!(bond(VERA).unwrap().role, Role::Idle);
    });
}

#[test]
fn a_sentence_is_as_grave_as_the_worst_offence_and_none_outside_the_set() {
    TestExt::new().execute_with(|| {
        let severity = || crate::Offenders::<Test>::get(VERA).map(|sentence| sentence.severity);
        offend(Perbill::from_percent(50), 0);
        run_to_session(1);
        offend(Perbill::from_percent(10), 1);
        assert_eq!(severity(), Some(Perbill::from_percent(50)));
        run_to_session(3);
        assert!(!Session::validators().contains(&VERA));
        offend(Perbill::from_percent(60), 1);
        assert_eq!(severity(), None);
        assert_eq!(disabled().len(), 0);
    });
}

#[test]
fn an_offence_that_costs_nothing_chills_all_the_same() {
    TestExt::new().execute_with(|| {
        offend(Perbill::zero(), 0);
        assert_eq!(held(VERA), BOND);
        assert_eq!(bond(VERA).unwrap().role, Role::Idle);
        assert_eq!(disabled(), vec![VERA]);
    });
}

#[test]
fn nominators_lose_the_same_share_of_what_they_exposed() {
    TestExt::new().execute_with(|| {
        assert_ok!(nominate(NORA, 16 * LITTLE, VERA));
        assert_ok!(nominate(NED, 32 * LITTLE, VITO));
        run_to_session(3);
        assert_ok!(Validators::bond_extra(RuntimeOrigin::signed(NORA), LITTLE));
        assert!(report(VERA, 3, 1));
        assert_eq!(held(VERA), BOND * 7 / 16);
        assert_eq!(held(NORA), 8 * LITTLE);
        assert_eq!(held(NED), 32 * LITTLE);
        let (own, others) = (BOND * 9 / 16, 9 * LITTLE);
        assert_eq!(free(SAM), ENDOWMENT + own / 10);
        assert_eq!(
            free(TREASURY) - EXISTENTIAL_DEPOSIT,
            own - own / 10 + others
        );
        System::assert_has_event(
            Event::Slashed {
                validator: VERA,
                session: 3,
                fraction: Perbill::from_parts(562_500_000),
                amount: own + others,
                reward: own / 10,
            }
            .into(),
        );
        // She still backs Vera, with what is left.
        let list = crate::Nominators::<Test>::get(VERA);
        assert_eq!(list[0].amount, 8 * LITTLE);
    });
}

/// Else one could bond little, be backed with much, and report itself.
#[test]
fn who_reports_itself_loses_however_much_others_lose() {
    TestExt::new().execute_with(|| {
        for nominator in [NORA, NED, NINA] {
            assert_ok!(nominate(nominator, 50 * BOND, VERA));
        }
        run_to_session(3);
        let share = |parameters: &mut crate::Parameters| {
            parameters.reporter_share = sp_runtime::Permill::from_percent(50);
        };
        crate::Params::<Test>::mutate(share);
        let owned = || free(VERA) + held(VERA);
        let before = owned();
        assert!(report_by(vec![VERA], VERA, 3, 1));
        assert_eq!(owned(), before - BOND * 9 / 32);
    });
}

#[test]
fn money_that_moved_or_left_since_is_slashed_too() {
    TestExt::new().execute_with(|| {
        assert_ok!(nominate(NORA, 16 * LITTLE, VERA));
        run_to_session(3);
        let by = || RuntimeOrigin::signed(NORA);
        assert_ok!(Validators::nominate(by(), VITO));
        assert_ok!(unbond(NORA, 14 * LITTLE));
        assert_ok!(chill(VERA));
        assert_ok!(unbond(VERA, BOND));
        run_to_session(5);
        assert!(report(VERA, 3, 1));
        // First what is active, then what leaves.
        assert_eq!(bond(NORA).unwrap().amount, 0);
        assert_eq!(bond(NORA).unwrap().role, Role::Idle);
        assert_eq!(
            bond(NORA).unwrap().unbonding.to_vec(),
            vec![chunk(7 * LITTLE, 12)]
        );
        assert_eq!(
            bond(VERA).unwrap().unbonding.to_vec(),
            vec![chunk(BOND * 7 / 16, 12)]
        );
        assert_eq!(crate::Nominators::<Test>::get(VITO).len(), 0);
        run_to_session(12);
        assert_ok!(withdraw(VERA));
        assert_eq!(free(VERA), ENDOWMENT - BOND * 9 / 16);
    });
}

#[test]
fn what_was_withdrawn_is_not_slashed_and_nothing_else_is() {
    TestExt::new().execute_with(|| {
        assert_ok!(nominate(NORA, LITTLE, VERA));
        // Not exposed before the next election.
        assert!(report(VERA, 0, 1));
        assert_eq!(held(NORA), LITTLE);
        assert_eq!(free(NORA), ENDOWMENT - LITTLE);
    });
}

#[test]
fn reporters_share_equally_and_who_has_no_account_gets_nothing() {
    TestExt::new().execute_with(|| {
        let slash = BOND * 9 / 16;
        let issuance = Balances::total_issuance();
        assert!(report_by(vec![SAM, NINA, NED], VERA, 0, 1));
        let each = slash / 10 / 3;
        assert_eq!([SAM, NINA, NED].map(free), [ENDOWMENT + each; 3]);
        assert_eq!(free(TREASURY), EXISTENTIAL_DEPOSIT + slash - 3 * each);
        let treasury = free(TREASURY);
        assert!(report_by(vec![], VITO, 0, 2));
        assert_eq!(free(TREASURY), treasury + slash);
        assert_eq!(Balances::total_issuance(), issuance);
        // A hundredth of a thousandth is less than an account may hold.
        let tiny = |parameters: &mut crate::Parameters| {
            parameters.reporter_share = sp_runtime::Permill::from_parts(100);
        };
        crate::Params::<Test>::mutate(tiny);
        let treasury = free(TREASURY);
        assert!(report_by(vec![NOBODY], VIGO, 0, 3));
        assert_eq!(free(NOBODY), 0);
        assert_eq!(free(TREASURY), treasury + slash);
    });
}

#[test]
fn who_was_not_in_the_set_cannot_have_offended() {
    TestExt::new().execute_with(|| {
        assert_ok!(validate(NORA, BOND));
        assert!(report(NORA, 0, 1));
        assert!(report(KARL, 0, 1));
        assert_eq!(held(NORA), BOND);
        assert!(matches!(bond(NORA).unwrap().role, Role::Validator { .. }));
        // Nor can one in a session that is not planned.
        assert!(report(VERA, 9, 1));
        assert_eq!(held(VERA), BOND);
    });
}
