use crate::{mock::*, AgendaCursor, Clock, Commitments, Error, Event, HoldReason};
use assay_primitives::{dispute::commitment, Claim};
use frame_support::{assert_noop, assert_ok};
use sp_core::H256;
use sp_runtime::TokenError;

const DEPOSIT: u128 = 1_000;

fn deposit_of(who: u64) -> u128 {
    held(HoldReason::CommitmentDeposit, who)
}

#[test]
fn a_commitment_is_held_numbered_and_dropped_when_it_is_not_used() {
    TestExt::new().execute_with(|| {
        let hash = commitment(&Claim::Job(1), &CARL, &SALT);
        assert_ok!(Disputes::commit(RuntimeOrigin::signed(CARL), hash));
        System::assert_last_event(
            Event::Committed {
                dispute: 0,
                who: CARL,
            }
            .into(),
        );
        assert_eq!(deposit_of(CARL), DEPOSIT);
        assert_noop!(
            Disputes::commit(RuntimeOrigin::signed(CARL), hash),
            Error::<Test>::AlreadyCommitted
        );
        // Another may make the same one, which does not take it away.
        assert_ok!(Disputes::commit(RuntimeOrigin::signed(CORA), hash));
        assert_eq!(Commitments::<Test>::get(CORA, hash).unwrap().number, 1);
        pass(8);
        assert_eq!(deposit_of(CARL), DEPOSIT);
        pass(2);
        assert_eq!((deposit_of(CARL), deposit_of(CORA)), (0, 0));
        assert_eq!(Commitments::<Test>::iter().count(), 0);
        assert_eq!(free(CARL), ENDOWMENT);
        System::assert_has_event(
            Event::CommitmentExpired {
                dispute: 0,
                who: CARL,
            }
            .into(),
        );
        assert!(AgendaCursor::<Test>::get() > Clock::<Test>::get() - 1);
    });
}

#[test]
fn a_commitment_needs_money() {
    TestExt::new().execute_with(|| {
        assert_noop!(
            Disputes::commit(RuntimeOrigin::signed(77), H256::zero()),
            TokenError::FundsUnavailable
        );
        assert_noop!(
            Disputes::commit(RuntimeOrigin::none(), H256::zero()),
            sp_runtime::DispatchError::BadOrigin
        );
    });
}

#[test]
fn only_a_commitment_of_an_earlier_block_that_is_not_too_old_opens_a_dispute() {
    TestExt::new().execute_with(|| {
        let given = Given::in_channel(channel(10_000), 0, vec![10; 4]);
        pass(1);
        assert_noop!(given.open(CARL, 2), Error::<Test>::NotCommitted);
        commit(CARL, &given.claim);
        assert_noop!(given.open(CARL, 2), Error::<Test>::CommitmentTooNew);
        assert_noop!(given.open(CORA, 2), Error::<Test>::NotCommitted);
        pass(8);
        assert_ok!(given.open(CARL, 2));
        assert_eq!(deposit_of(CARL), 0);
        assert_noop!(given.open(CARL, 2), Error::<Test>::NotCommitted);

        // Full blocks hold the clock up, and not the age of a commitment.
        commit(CORA, &given.claim);
        BlocksAreFull::set(true);
        pass(9);
        assert_noop!(given.open(CORA, 2), Error::<Test>::CommitmentExpired);
        assert_eq!(deposit_of(CORA), DEPOSIT);
        BlocksAreFull::set(false);
        pass(10);
        assert_eq!(deposit_of(CORA), 0);
    });
}
