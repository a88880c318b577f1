use crate::{mock::*, Elected, KeysStay, Offenders};
use codec::Encode;
use frame_support::{
    assert_ok,
    traits::{Contains, KeyOwnerProofSystem},
};
use pallet_session::{historical, SessionManager};
use sp_runtime::{testing::UintAuthorityId, traits::Convert, KeyTypeId};
use sp_session::MembershipProof;

const DUMMY: KeyTypeId = sp_core::crypto::key_types::DUMMY;

fn key(number: u64) -> (KeyTypeId, Vec<u8>) {
    (DUMMY, UintAuthorityId(number).encode())
}

fn prove(number: u64) -> MembershipProof {
    Validators::prove(key(number)).unwrap()
}

fn owner(number: u64, proof: &MembershipProof) -> Option<u64> {
    Validators::check_proof(key(number), proof.clone()).map(|(who, ())| who)
}

/// For a set that is not returned, the root of the session before would be copied.
#[test]
fn trap_1_every_session_has_a_set_and_a_root_of_its_own_keys() {
    TestExt::new().execute_with(|| {
        let new = <Validators as SessionManager<u64>>::new_session;
        assert!(Historical::historical_root(0).is_some());
        assert_eq!(
            Historical::historical_root(0),
            Historical::historical_root(1)
        );
        // In the middle of an era, with the set as it was but another key in it.
        assert_ok!(set_keys(VERA, 101));
        run_to_session(1);
        assert_eq!(
            Elected::<Test>::get().to_vec(),
            vec![VERA, VITO, VIGO, VANJA]
        );
        assert_ne!(
            Historical::historical_root(1),
            Historical::historical_root(2)
        );
        assert_eq!(new(2).unwrap(), Elected::<Test>::get().into_inner());
        run_to_session(2);
        let proof = prove(101);
        run_to_session(4);
        assert_eq!(owner(101, &proof), Some(VERA));
    });
}

/// What changes in one session is planned in the next and holds from the one after that.
#[test]
fn trap_3_a_change_takes_effect_two_sessions_later() {
    let every = |parameters: &mut crate::Parameters| parameters.sessions_per_era = 1;
    TestExt::new().parameters(every).seats(8).execute_with(|| {
        run_to_session(4);
        assert_ok!(validate(NORA, BOND));
        run_to_session(5);
        assert!(!Session::validators().contains(&NORA));
        assert!(Session::queued_keys().iter().any(|(who, _)| *who == NORA));
        run_to_session(6);
        assert!(Session::validators().contains(&NORA));
    });
}

/// The session pallet enables everybody at each change of sessions. An offender that is elected
/// already would make blocks again.
#[test]
fn trap_3_an_offender_stays_disabled_as_long_as_it_is_in_the_set() {
    TestExt::new().seats(8).execute_with(|| {
        run_to_session(2);
        // Era 1 is planned with Vera in it.
        assert!(report(VERA, 2, 1));
        for session in 2..6 {
            run_to_session(session);
            assert!(Session::validators().contains(&VERA));
            assert_eq!(disabled(), vec![VERA], "session {session}");
        }
        run_to_session(6);
        assert_eq!(Session::validators(), vec![VITO, VIGO, VANJA]);
        assert!(disabled().is_empty());
        assert_eq!(Offenders::<Test>::iter().count(), 0);
    });
}

#[test]
fn trap_3_who_is_elected_anew_may_make_blocks() {
    TestExt::new().execute_with(|| {
        assert!(report(VERA, 0, 1));
        assert_ok!(Validators::bond_extra(RuntimeOrigin::signed(VERA), BOND));
        assert_ok!(Validators::validate(
            RuntimeOrigin::signed(VERA),
            Default::default()
        ));
        run_to_session(2);
        assert_eq!(disabled(), vec![VERA]);
        run_to_session(3);
        assert!(Session::validators().contains(&VERA));
        assert!(disabled().is_empty());
    });
}

#[test]
fn trap_3_an_offender_that_stays_below_the_floor_stays_disabled() {
    let floor = |parameters: &mut crate::Parameters| parameters.min_validators = 4;
    TestExt::new().parameters(floor).execute_with(|| {
        assert!(report(VERA, 0, 1));
        run_to_session(10);
        assert!(Session::validators().contains(&VERA));
        assert_eq!(disabled(), vec![VERA]);
        assert_ok!(validate(NORA, BOND));
        run_to_session(12);
        assert_eq!(Session::validators(), vec![VITO, VIGO, VANJA, NORA]);
        assert!(disabled().is_empty());
    });
}

/// BABE's pallet panics on a block of a disabled author, so no more may be disabled than the chain can
/// do without: of n, a third of n - 1.
#[test]
fn trap_4_nobody_is_disabled_where_everybody_is_needed() {
    TestExt::of(&[VERA, VITO, VIGO]).execute_with(|| {
        assert!(report(VERA, 0, 1));
        assert!(disabled().is_empty());
        run_to_session(1);
        assert!(disabled().is_empty());
    });
    TestExt::new().execute_with(|| {
        assert!(report(VERA, 0, 1));
        assert!(report(VITO, 0, 2));
        // The same severity: the later takes the place of the one before.
        assert_eq!(disabled().len(), 1);
        run_to_session(1);
        assert_eq!(disabled().len(), 1);
    });
}

/// A member that is not identified would be missing from the root of the present session, and every
/// proof of it would count too many.
#[test]
fn trap_4b_chilled_and_slashed_members_are_still_identified() {
    TestExt::new().execute_with(|| {
        assert_ok!(chill(VERA));
        assert!(report(VITO, 0, 1));
        assert_eq!(crate::IdentifiedByAccount::convert(VERA), Some(()));
        let proof = prove(VIGO);
        assert_eq!(proof.validator_count, 4);
        for number in [VERA, VITO, VIGO, VANJA] {
            assert_eq!(owner(number, &prove(number)), Some(number));
        }
        run_to_session(1);
        assert_eq!(owner(VIGO, &proof), Some(VIGO));
    });
}

/// A validator sets new keys and equivocates with those it works with: nobody could prove by the session
/// pallet alone that they are its.
#[test]
fn trap_4c_new_keys_do_not_hide_whose_the_old_ones_were() {
    TestExt::new().execute_with(|| {
        let early = prove(VITO);
        assert_ok!(set_keys(VERA, 101));
        let late = prove(VERA);
        let useless = Historical::prove(key(VERA)).unwrap();
        for session in 0..3 {
            run_to_session(session);
            assert_eq!(owner(VITO, &early), Some(VITO), "session {session}");
            assert_eq!(owner(VERA, &late), Some(VERA), "session {session}");
            assert_eq!(Historical::check_proof(key(VERA), useless.clone()), None);
        }
        // The new keys are those of the session after next, and no earlier one's.
        assert_eq!(owner(101, &prove(101)), Some(VERA));
        assert_eq!(owner(VERA, &prove(VERA)), None);
        assert_eq!(owner(101, &late), None);
        // Looking changes nothing.
        assert_eq!(Session::load_keys(&VERA), Some(keys(101)));
    });
}

#[test]
fn a_forged_proof_of_membership_is_refused() {
    TestExt::new().execute_with(|| {
        let proof = prove(VERA);
        assert_eq!(owner(VERA, &proof), Some(VERA));
        // Of a key that nobody has, of another session, with another count, without a part.
        assert_eq!(owner(1_000, &proof), None);
        let changed = |change: fn(&mut MembershipProof)| {
            let mut proof = prove(VERA);
            change(&mut proof);
            owner(VERA, &proof)
        };
        assert_eq!(changed(|proof| proof.session = 7), None);
        assert_eq!(changed(|proof| proof.validator_count = 3), None);
        assert_eq!(changed(|proof| proof.trie_nodes.clear()), None);
        assert_eq!(
            changed(|proof| {
                let node = proof.trie_nodes.last_mut().unwrap();
                let byte = node.last_mut().unwrap();
                *byte ^= 1;
            }),
            None
        );
    });
}

#[test]
fn a_report_of_an_old_session_is_refused() {
    TestExt::new().execute_with(|| {
        let proof = prove(VERA);
        run_to_session(6);
        assert_eq!(owner(VERA, &proof), Some(VERA));
        run_to_session(7);
        assert_eq!(owner(VERA, &proof), None);
        // Nor would anything be slashed for it.
        let before = held(VERA);
        assert!(report(VERA, 0, 1));
        assert_eq!(held(VERA), before);
        assert!(matches!(
            bond(VERA).unwrap().role,
            crate::Role::Validator { .. }
        ));
        let (from, _) = historical::StoredRange::<Test>::get().unwrap();
        assert_eq!(from, 1);
        assert!(report(VERA, 1, 2));
        assert!(held(VERA) < before);
    });
}

#[test]
fn a_shorter_memory_is_caught_up_with_a_few_sessions_at_a_time() {
    TestExt::new().execute_with(|| {
        run_to_session(6);
        let new = crate::Parameters {
            bonding_sessions: 1,
            ..parameters()
        };
        assert_ok!(Validators::set_parameters(RuntimeOrigin::root(), new));
        run_to_session(7);
        let from = || historical::StoredRange::<Test>::get().unwrap().0;
        assert_eq!(from(), 4);
        check_books();
        run_to_session(8);
        assert_eq!(from(), 7);
        check_books();
    });
}

#[test]
fn only_the_session_pallets_purge_is_filtered() {
    type Filter = KeysStay<Test>;
    let purge = RuntimeCall::Session(pallet_session::Call::purge_keys {});
    assert!(!Filter::contains(&purge));
    let set = RuntimeCall::Session(pallet_session::Call::set_keys {
        keys: keys(1),
        proof: Vec::new(),
    });
    assert!(Filter::contains(&set));
    let ours = RuntimeCall::Validators(crate::Call::purge_keys {});
    assert!(Filter::contains(&ours));
}
