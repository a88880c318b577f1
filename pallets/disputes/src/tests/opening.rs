use super::forged::Forged;
use crate::{
    mock::*, Convictions, Dockets, Error, Event, Evidence, Fault, Question, Stage, Traces,
};
use assay_primitives::{Claim, Finish, ModelCatalogue, Profile};
use frame_support::{assert_noop, assert_ok};
use sp_core::H256;
use sp_runtime::{testing::TestSignature, TokenError};

const BASE_BOND: u128 = 50_000;

fn given() -> Given {
    let given = Given::in_channel(channel(10_000), 0, (10..50).collect());
    pass(1);
    given
}

/// Committed to, by Carl.
fn committed() -> Given {
    let given = given();
    commit(CARL, &given.claim);
    pass(1);
    given
}

#[test]
fn a_receipt_of_a_channel_is_disputed() {
    TestExt::new().execute_with(|| {
        let given = given();
        let number = given.dispute(CARL, 7);
        let record = dispute(number);
        assert_eq!(record.stage, Stage::Answer);
        assert_eq!((record.provider, record.challenger), (PETRA, CARL));
        let leaves = Forged::of(&given, 7).count();
        assert_eq!(
            record.question,
            Question::Token {
                position: 7,
                header: given.header.clone(),
                randomness: H256::zero(),
                leaves,
            }
        );
        let blocks = leaves.div_ceil(1_000);
        assert!(blocks > 1);
        assert_eq!(record.bond, BASE_BOND + 100 * u128::from(blocks));
        assert_eq!(bond_of(CARL), record.bond);
        // A move, and one block more for each thousand leaves.
        let clock = crate::Clock::<Test>::get();
        assert_eq!(record.deadline, Some(clock + 5 + blocks));
        let live = Dockets::<Test>::get(PETRA).live.into_iter();
        let live: Vec<_> = live.map(|live| live.dispute).collect();
        assert_eq!(live, [number]);
        assert_eq!(provider(PETRA).disputes, 1);
        System::assert_has_event(
            Event::Opened {
                dispute: number,
                claim: given.claim,
                provider: PETRA,
                challenger: CARL,
                bond: record.bond,
            }
            .into(),
        );
    });
}

#[test]
fn a_delivered_job_is_disputed_and_waits_for_the_end() {
    TestExt::new().execute_with(|| {
        let given = job(vec![10, 11, STOP], Finish::Eos);
        let number = given.dispute(UMA, 2);
        let Question::Token { randomness, .. } = dispute(number).question else {
            panic!("it is over a token")
        };
        assert_eq!(randomness, given.randomness);
        assert_ne!(randomness, H256::zero());
        let other = given.clone().with_receipt(|receipt| receipt.fee += 1);
        commit(CARL, &given.claim);
        pass(1);
        assert_noop!(other.open(CARL, 2), Error::<Test>::OtherReceipt);
        assert_noop!(given.open(CARL, None), Error::<Test>::JobIsChecked);
        assert_noop!(given.open(CARL, 3), Error::<Test>::PositionOutOfBounds);
    });
}

#[test]
fn a_statement_must_be_the_providers_for_this_claim() {
    TestExt::new().execute_with(|| {
        let given = committed();
        let open = |given: &Given| given.open(CARL, 0);

        let other = Given {
            signer: operator(PIUS),
            ..given.clone()
        };
        assert_noop!(open(&other), Error::<Test>::InvalidSignature);
        let mut statement = given.statement();
        statement.signature = Some(TestSignature(operator(PETRA), vec![1]));
        let by = || RuntimeOrigin::signed(CARL);
        assert_noop!(
            Disputes::open(by(), given.claim, statement.clone(), Some(0), SALT, None),
            Error::<Test>::InvalidSignature
        );
        statement.signature = None;
        assert_noop!(
            Disputes::open(by(), given.claim, statement, Some(0), SALT, None),
            Error::<Test>::SignatureMissing
        );
        let mut statement = given.statement();
        statement.header = None;
        assert_noop!(
            Disputes::open(by(), given.claim, statement.clone(), Some(0), SALT, None),
            Error::<Test>::HeaderMissing
        );
        statement.header = Some(given.header.clone());
        statement.header.as_mut().unwrap().token_limit += 1;
        assert_noop!(
            Disputes::open(by(), given.claim, statement, Some(0), SALT, None),
            Error::<Test>::WrongHeader
        );
        let version = given.clone().with_header(|header| header.version = 2);
        assert_noop!(open(&version), Error::<Test>::UnknownVersion);
        let changes: [fn(&mut assay_primitives::RequestHeader<u64>); 3] = [
            |header| header.genesis = H256::zero(),
            |header| header.provider = PIUS,
            |header| header.listing = H256::zero(),
        ];
        for change in changes {
            let other = given.clone().with_header(change);
            assert_noop!(open(&other), Error::<Test>::HeaderContradictsClaim);
        }
        assert_noop!(given.open(CARL, 40), Error::<Test>::PositionOutOfBounds);
        let settings = given
            .clone()
            .with_header(|header| header.sampling.temperature = 1);
        assert_noop!(open(&settings), Error::<Test>::NoTrace);
        let nothing = given.clone().with_header(|header| header.prompt_len = 0);
        assert_noop!(open(&nothing), Error::<Test>::NoTrace);
        assert_ok!(given.open(CARL, 39));
    });
}

#[test]
fn the_header_must_name_the_claim_that_is_disputed() {
    TestExt::new().execute_with(|| {
        let given = given();
        let Claim::Channel { id, .. } = given.claim else {
            unreachable!()
        };
        let mut other = given.clone();
        other.claim = Claim::Channel { id, seq: 9 };
        commit(CARL, &other.claim);
        pass(1);
        assert_noop!(other.open(CARL, 0), Error::<Test>::WrongHeader);
        // Of a channel that is not there.
        other.claim = Claim::Channel {
            id: H256::zero(),
            seq: 0,
        };
        commit(CARL, &other.claim);
        pass(1);
        assert_noop!(other.open(CARL, 0), Error::<Test>::UnknownClaim);
    });
}

#[test]
fn a_window_closes_with_its_last_block_and_stands_still_in_a_pause() {
    TestExt::new().execute_with(|| {
        let given = given();
        let anchor = u64::from(given.receipt.anchor.number);
        run_to(anchor + 28);
        commit(CARL, &given.claim);
        commit(CORA, &given.claim);
        run_to(anchor + 31);
        assert_noop!(given.open(CARL, 0), Error::<Test>::WindowClosed);
        run_to(anchor + 33);

        let given = Given::in_channel(channel(10_000), 0, vec![10; 4]);
        let anchor = u64::from(given.receipt.anchor.number);
        run_to(anchor + 29);
        assert_ok!(Disputes::pause(RuntimeOrigin::root(), true));
        commit(CARL, &given.claim);
        pass(3);
        assert_ok!(given.open(CARL, 0));
        assert_ok!(Disputes::pause(RuntimeOrigin::root(), false));
        commit(CORA, &given.claim);
        pass(1);
        // The window's end is three blocks later than it was.
        assert_eq!(System::block_number(), anchor + 33);
        assert_ok!(given.open(CORA, 0));
        commit(SAM, &given.claim);
        pass(1);
        assert_noop!(given.open(SAM, 0), Error::<Test>::WindowClosed);
    });
}

#[test]
fn whether_the_user_asked_at_all_is_a_question_of_channels() {
    TestExt::new().execute_with(|| {
        let given = committed();
        let by = RuntimeOrigin::signed(CARL);
        let statement = given.statement();
        assert_ok!(Disputes::open(by, given.claim, statement, None, SALT, None));
        assert_eq!(dispute(0).question, Question::Header);
        assert_eq!(dispute(0).bond, BASE_BOND);
    });
}

#[test]
fn a_bond_needs_money_and_a_convicted_claim_is_closed() {
    TestExt::new().execute_with(|| {
        let given = given();
        pallet_balances::Pallet::<Test>::force_set_balance(RuntimeOrigin::root(), SAM, 20_000)
            .unwrap();
        commit(SAM, &given.claim);
        commit(CARL, &given.claim);
        pass(1);
        assert_noop!(given.open(SAM, 0), TokenError::FundsUnavailable);
        crate::Convictions::<Test>::insert(given.claim, 0);
        assert_noop!(given.open(CARL, 0), Error::<Test>::AlreadyConvicted);
        crate::Convictions::<Test>::remove(given.claim);
        assert_ok!(given.open(CARL, 0));
    });
}

#[test]
fn only_exact_answers_have_traces() {
    let mut parts = parts();
    parts.spec.profile = Profile::Unverified;
    parts.tables = H256::zero();
    TestExt::new().model(parts).execute_with(|| {
        let given = committed();
        assert_noop!(given.open(CARL, 0), Error::<Test>::NotExact);
        assert_ok!(given.open(CARL, None));
        assert!(<Models as ModelCatalogue<u64>>::listing(&listing()).is_some());
    });
}

/// What is false without any computing is not the model's.
#[test]
fn a_receipt_of_any_model_convicts_by_its_face() {
    let mut parts = parts();
    parts.spec.profile = Profile::Unverified;
    parts.tables = H256::zero();
    TestExt::new().model(parts).execute_with(|| {
        let given = committed();
        assert_noop!(given.accuse(CARL, Evidence::Face), Error::<Test>::NoFault);
        let given = given.with_receipt(|receipt| receipt.fee += 1);
        assert_ok!(given.accuse(CARL, Evidence::Face));
        assert!(Convictions::<Test>::contains_key(given.claim));
        let mut events = System::events().into_iter();
        let fault = events.find_map(|record| match record.event {
            RuntimeEvent::Disputes(Event::Convicted { fault, .. }) => fault,
            _ => None,
        });
        assert_eq!(fault, Some(Fault::WrongFee));
    });
}

#[test]
fn a_second_dispute_over_a_token_begins_where_the_first_was_answered() {
    TestExt::new().execute_with(|| {
        let (given, number, forged) = super::forged::disputed(3);
        answer(operator(PETRA), number, forged.answer(&given, 3)).unwrap();
        let hash = Disputes::hash_of(&given.receipt);
        assert_eq!(Traces::<Test>::get(hash, 3).unwrap().root, forged.root());
        let second = given.dispute(CORA, 3);
        assert_eq!(stage(second), stage(number));
        assert_ne!(dispute(second).state, dispute(number).state);
        // Another token is another trace.
        let third = given.dispute(CARL, 4);
        assert_eq!(stage(third), Stage::Answer);
    });
}
