use crate::{mock::*, Bonds, Error, Event, Role, UnbondingChunk};
use frame_support::{assert_noop, assert_ok};
use sp_runtime::{DispatchError, Permill, TokenError};

fn bond_by(who: u64, amount: u128) -> sp_runtime::DispatchResult {
    Validators::bond(RuntimeOrigin::signed(who), amount)
}

fn chunk(amount: u128, due: u32) -> UnbondingChunk {
    UnbondingChunk { amount, due }
}

#[test]
fn a_bond_is_on_hold_and_stands_for_nothing_at_first() {
    TestExt::new().execute_with(|| {
        assert_ok!(bond_by(NORA, LITTLE));
        System::assert_last_event(
            Event::Bonded {
                who: NORA,
                amount: LITTLE,
            }
            .into(),
        );
        assert_eq!(held(NORA), LITTLE);
        assert_eq!(free(NORA), ENDOWMENT - LITTLE);
        assert_eq!(bond(NORA).unwrap().role, Role::Idle);
        assert_noop!(bond_by(NORA, LITTLE), Error::<Test>::AlreadyBonded);
        assert_noop!(bond_by(NED, LITTLE - 1), Error::<Test>::BondTooSmall);
        assert_noop!(bond_by(NED, ENDOWMENT + 1), TokenError::FundsUnavailable);
    });
}

#[test]
fn more_is_bonded_by_whom_has_a_bond() {
    TestExt::new().execute_with(|| {
        let extra = |who, amount| Validators::bond_extra(RuntimeOrigin::signed(who), amount);
        assert_noop!(extra(NORA, LITTLE), Error::<Test>::NotBonded);
        assert_ok!(bond_by(NORA, LITTLE));
        assert_ok!(extra(NORA, 5));
        assert_eq!(held(NORA), LITTLE + 5);
        assert_noop!(extra(NORA, u128::MAX), Error::<Test>::Overflow);
        assert_ok!(unbond(NORA, LITTLE + 5));
        // What is bonded anew is enough by itself.
        assert_noop!(extra(NORA, LITTLE - 1), Error::<Test>::BondTooSmall);
        assert_ok!(extra(NORA, LITTLE));
        assert_eq!(held(NORA), 2 * LITTLE + 5);
    });
}

#[test]
fn unbonding_more_than_is_bonded_has_an_error_of_its_own() {
    TestExt::new().execute_with(|| {
        assert_noop!(unbond(NORA, 1), Error::<Test>::NotBonded);
        assert_ok!(bond_by(NORA, 2 * LITTLE));
        assert_noop!(
            unbond(NORA, 2 * LITTLE + 1),
            Error::<Test>::InsufficientBond
        );
        assert_noop!(unbond(NORA, 0), Error::<Test>::NothingToUnbond);
        assert_noop!(unbond(NORA, LITTLE + 1), Error::<Test>::BondTooSmall);
        assert_ok!(unbond(NORA, LITTLE));
        // What is unbonding cannot be unbonded again.
        assert_noop!(unbond(NORA, LITTLE + 1), Error::<Test>::InsufficientBond);
        assert_ok!(unbond(NORA, LITTLE));
    });
}

#[test]
fn what_stands_for_something_stays_large_enough() {
    TestExt::new().execute_with(|| {
        assert_noop!(unbond(VERA, 1), Error::<Test>::BondNeeded);
        assert_noop!(unbond(VERA, BOND), Error::<Test>::BondNeeded);
        assert_ok!(nominate(NORA, LITTLE + 1, VERA));
        assert_noop!(unbond(NORA, 2), Error::<Test>::BondNeeded);
        assert_ok!(unbond(NORA, 1));
        assert_ok!(chill(VERA));
        assert_ok!(unbond(VERA, BOND));
    });
}

/// Era 0 has the sessions 0 to 2. Money unbonded in it can be withdrawn `bonding_sessions` after it,
/// when not even its last session can be reported any more.
#[test]
fn trap_6_money_answers_until_the_last_session_it_stood_for_cannot_be_reported() {
    TestExt::new().execute_with(|| {
        assert_ok!(chill(VERA));
        assert_ok!(unbond(VERA, BOND / 4));
        System::assert_last_event(
            Event::Unbonded {
                who: VERA,
                amount: BOND / 4,
                due: 9,
            }
            .into(),
        );
        // In session 2, the next era is planned already.
        run_to_session(2);
        let set = crate::Elected::<Test>::get();
        assert_eq!(set.to_vec(), vec![VITO, VIGO, VANJA]);
        assert_ok!(unbond(VERA, BOND / 4 - 1));
        assert_ok!(unbond(VERA, 1));
        assert_eq!(
            bond(VERA).unwrap().unbonding.to_vec(),
            vec![chunk(BOND / 4, 9), chunk(BOND / 4, 12)]
        );
        run_to_session(8);
        assert_noop!(withdraw(VERA), Error::<Test>::NothingToWithdraw);
        // The last session of era 0 is still known, and is not when the money goes.
        assert!(crate::EraOfSession::<Test>::contains_key(2));
        assert!(Historical::historical_root(2).is_some());
        run_to_session(9);
        assert!(!crate::EraOfSession::<Test>::contains_key(2));
        assert!(Historical::historical_root(2).is_none());
        assert!(Historical::historical_root(3).is_some());
        assert_ok!(withdraw(VERA));
        System::assert_last_event(
            Event::Withdrawn {
                who: VERA,
                amount: BOND / 4,
            }
            .into(),
        );
        assert_eq!(held(VERA), BOND - BOND / 4);
        run_to_session(12);
        assert_ok!(unbond(VERA, BOND / 2));
        assert_ok!(withdraw(VERA));
        assert_eq!(
            bond(VERA).unwrap().unbonding.to_vec(),
            vec![chunk(BOND / 2, 21)]
        );
        run_to_session(21);
        assert_ok!(withdraw(VERA));
        assert_eq!(bond(VERA), None);
        assert_eq!(free(VERA), ENDOWMENT);
    });
}

#[test]
fn nobody_needs_more_withdrawals_at_once_than_there_can_be() {
    let often = |parameters: &mut crate::Parameters| {
        parameters.sessions_per_era = 1;
        parameters.bonding_sessions = 28;
    };
    TestExt::new().parameters(often).execute_with(|| {
        assert_ok!(bond_by(NORA, 100 * LITTLE));
        for session in 1..60 {
            run_to_session(session);
            let _ = withdraw(NORA);
            assert_ok!(unbond(NORA, 1));
        }
        assert_eq!(bond(NORA).unwrap().unbonding.len(), 30);
        // What is due has to be withdrawn first.
        run_to_session(60);
        assert_noop!(unbond(NORA, 1), Error::<Test>::TooManyUnbondingChunks);
    });
}

#[test]
fn strangers_have_nothing_to_withdraw_or_chill() {
    TestExt::new().execute_with(|| {
        assert_noop!(withdraw(SAM), Error::<Test>::NotBonded);
        assert_noop!(chill(SAM), Error::<Test>::NotBonded);
        assert_ok!(bond_by(SAM, LITTLE));
        assert_noop!(withdraw(SAM), Error::<Test>::NothingToWithdraw);
        assert_noop!(chill(SAM), Error::<Test>::AlreadyIdle);
    });
}

#[test]
fn validating_takes_a_bond_and_keys() {
    TestExt::new().execute_with(|| {
        let validate = || Validators::validate(RuntimeOrigin::signed(NORA), Permill::zero());
        assert_noop!(validate(), Error::<Test>::NotBonded);
        assert_ok!(bond_by(NORA, BOND - 1));
        assert_noop!(validate(), Error::<Test>::BondTooSmall);
        assert_ok!(Validators::bond_extra(RuntimeOrigin::signed(NORA), 1));
        assert_noop!(validate(), Error::<Test>::NoSessionKeys);
        assert_ok!(set_keys(NORA, NORA));
        assert_ok!(validate());
        assert_eq!(
            crate::Candidates::<Test>::get().to_vec(),
            vec![VERA, VITO, VIGO, VANJA, NORA]
        );
        assert_ok!(chill(NORA));
        assert_eq!(
            crate::Candidates::<Test>::get().to_vec(),
            vec![VERA, VITO, VIGO, VANJA]
        );
    });
}

#[test]
fn session_keys_without_proof_are_refused() {
    TestExt::new().execute_with(|| {
        let set = |proof| Session::set_keys(RuntimeOrigin::signed(NORA), keys(NORA), proof);
        let refused = pallet_session::Error::<Test>::InvalidProof;
        assert_noop!(set(Vec::new()), refused);
        // What another account has proven, and a proof for other keys.
        let refused = pallet_session::Error::<Test>::InvalidProof;
        assert_noop!(set(keys_proof(NED, NORA)), refused);
        let refused = pallet_session::Error::<Test>::InvalidProof;
        assert_noop!(set(keys_proof(NORA, NED)), refused);
        assert_ok!(set(keys_proof(NORA, NORA)));
        // Another's keys are taken, whoever can sign with them.
        let refused = pallet_session::Error::<Test>::DuplicatedKey;
        assert_noop!(set_keys(NED, VERA), refused);
    });
}

/// The deposit for keys is on hold, and their account cannot be emptied.
#[test]
fn trap_9_keys_take_a_deposit_from_an_account_that_exists() {
    TestExt::new().execute_with(|| {
        let refused = pallet_session::Error::<Test>::NoAccount;
        assert_noop!(set_keys(NOBODY, NOBODY), refused);
        assert_ok!(set_keys(NORA, NORA));
        assert_eq!(free(NORA), ENDOWMENT - KEY_DEPOSIT);
        assert!(!System::can_dec_provider(&NORA));
    });
}

/// The session pallet's own call would take a validator without keys from its set, and with the keys
/// the proofs of the present session.
#[test]
fn trap_4c_keys_stay_as_long_as_anything_can_be_reported() {
    use frame_support::dispatch::GetDispatchInfo;
    use sp_runtime::traits::Dispatchable;
    TestExt::new().execute_with(|| {
        let by = RuntimeOrigin::signed;
        let call = RuntimeCall::Session(pallet_session::Call::purge_keys {});
        assert!(call
            .get_dispatch_info()
            .call_weight
            .any_gt(Default::default()));
        assert_eq!(
            call.dispatch(by(VERA)).unwrap_err().error,
            frame_system::Error::<Test>::CallFiltered.into()
        );
        let purge = |who| Validators::purge_keys(by(who));
        assert_noop!(purge(VERA), Error::<Test>::BondRemains);
        assert_ok!(chill(VERA));
        assert_ok!(unbond(VERA, BOND));
        run_to_session(8);
        assert!(!Session::validators().contains(&VERA));
        assert_noop!(purge(VERA), Error::<Test>::BondRemains);
        run_to_session(9);
        assert_ok!(withdraw(VERA));
        let before = free(VERA);
        assert_ok!(purge(VERA));
        assert!(!pallet_session::NextKeys::<Test>::contains_key(VERA));
        assert_noop!(purge(VERA), pallet_session::Error::<Test>::NoKeys);
        assert_eq!(free(VERA), before);
        // Keys that never validated, with their deposit.
        assert_ok!(set_keys(NORA, NORA));
        assert_ok!(purge(NORA));
        assert_eq!(free(NORA), ENDOWMENT);
    });
}

/// Below the floor a validator stays in the set though it has no bond any more, and so do its keys.
#[test]
fn trap_4c_keys_of_a_validator_without_a_bond_stay_too() {
    TestExt::of(&[VERA, VITO]).execute_with(|| {
        assert_ok!(chill(VERA));
        assert_ok!(unbond(VERA, BOND));
        run_to_session(9);
        assert_ok!(withdraw(VERA));
        assert_eq!(Bonds::<Test>::get(VERA), None);
        assert!(Session::validators().contains(&VERA));
        let purge = || Validators::purge_keys(RuntimeOrigin::signed(VERA));
        assert_noop!(purge(), Error::<Test>::StillValidating);
        // Another takes her place at the next election, and she goes with the session after.
        assert_ok!(validate(NORA, BOND));
        run_to_session(11);
        assert_eq!(crate::Elected::<Test>::get().to_vec(), vec![VITO, NORA]);
        assert_noop!(purge(), Error::<Test>::StillValidating);
        run_to_session(12);
        assert_ok!(purge());
    });
}

/// Between its election and its first session, too.
#[test]
fn trap_4c_keys_of_who_is_elected_stay_though_its_bond_is_gone() {
    TestExt::new().execute_with(|| {
        assert_ok!(chill(VERA));
        run_to_session(3);
        assert!(!Session::validators().contains(&VERA));
        assert_ok!(Validators::validate(
            RuntimeOrigin::signed(VERA),
            Permill::zero()
        ));
        run_to_session(5);
        assert!(report(VITO, 1, 1) && report(VERA, 1, 1));
        assert_eq!(Bonds::<Test>::get(VERA), None);
        let purge = || Validators::purge_keys(RuntimeOrigin::signed(VERA));
        assert_noop!(purge(), Error::<Test>::StillValidating);
        run_to_session(6);
        assert!(Session::validators().contains(&VERA));
        run_to_session(9);
        assert_ok!(purge());
    });
}

#[test]
fn only_governance_sets_count_and_parameters() {
    TestExt::new().execute_with(|| {
        let set_count = Validators::set_validator_count;
        let by_sam = || RuntimeOrigin::signed(SAM);
        assert_noop!(set_count(by_sam(), 3), DispatchError::BadOrigin);
        let refused = Error::<Test>::CountOutOfBounds;
        assert_noop!(set_count(RuntimeOrigin::root(), 1), refused);
        let refused = Error::<Test>::CountOutOfBounds;
        assert_noop!(set_count(RuntimeOrigin::root(), 9), refused);
        assert_ok!(set_count(RuntimeOrigin::root(), 8));
        System::assert_last_event(Event::ValidatorCountSet { count: 8 }.into());

        let set = Validators::set_parameters;
        assert_noop!(set(by_sam(), parameters()), DispatchError::BadOrigin);
        let mut contradicting = parameters();
        contradicting.sessions_per_era = 0;
        let refused = Error::<Test>::InvalidParameters;
        assert_noop!(set(RuntimeOrigin::root(), contradicting), refused);
        // More than an election looks for could never be enough.
        let mut too_many = parameters();
        too_many.min_validators = 9;
        let refused = Error::<Test>::InvalidParameters;
        assert_noop!(set(RuntimeOrigin::root(), too_many), refused);
        let mut new = parameters();
        new.min_validators = 8;
        assert_ok!(set(RuntimeOrigin::root(), new.clone()));
        assert_eq!(crate::Params::<Test>::get(), new);
    });
}
