use crate::{mock::*, Convictions, Error, Event, Evidence, EvidenceOf, Fault};
use assay_primitives::{Finish, Receipt, RequestHeader};
use frame_support::{assert_noop, assert_ok};
use sp_core::H256;

/// Petra's answer, right on its face, that Carl has committed to.
fn given(output: Vec<u32>, finish: Finish) -> Given {
    let given = Given::in_channel(channel(10_000), 0, output)
        .with_receipt(|receipt| receipt.finish = finish);
    commit(CARL, &given.claim);
    pass(1);
    given
}

fn fault_of(given: &Given, evidence: EvidenceOf<Test>) -> Option<Fault> {
    let stake = provider(PETRA).bond;
    assert_ok!(given.accuse(CARL, evidence));
    assert!(Convictions::<Test>::contains_key(given.claim));
    assert!(provider(PETRA).bond < stake);
    let fault = System::events()
        .into_iter()
        .rev()
        .find_map(|record| match record.event {
            RuntimeEvent::Disputes(Event::Convicted { fault, .. }) => Some(fault),
            _ => None,
        });
    fault.unwrap()
}

#[test]
fn a_receipt_with_nothing_wrong_on_its_face_convicts_nobody() {
    TestExt::new().execute_with(|| {
        for (length, finish) in [
            (LIMIT, Finish::Length),
            (LIMIT, Finish::Caller),
            (0, Finish::Caller),
            (7, Finish::Caller),
        ] {
            let given = given(vec![10; length as usize], finish);
            assert_noop!(given.accuse(CARL, Evidence::Face), Error::<Test>::NoFault);
        }
        let mut output = vec![10; 7];
        output.push(STOP);
        let given = given(output, Finish::Eos);
        assert_noop!(given.accuse(CARL, Evidence::Face), Error::<Test>::NoFault);
        for position in 0..8 {
            let opening = given.open_token(position);
            assert_noop!(
                given.accuse(CARL, Evidence::Token { position, opening }),
                Error::<Test>::NoFault
            );
        }
    });
}

type Change = (Fault, fn(&mut RequestHeader<u64>), fn(&mut Receipt));

#[test]
fn what_contradicts_itself_the_channel_or_the_chain_convicts() {
    let cases: [Change; 12] = [
        (
            Fault::OtherRequest,
            |header| header.genesis = H256::zero(),
            |_| (),
        ),
        (Fault::OtherRequest, |header| header.provider = PIUS, |_| ()),
        (
            Fault::OtherRequest,
            |header| header.listing = H256::zero(),
            |_| (),
        ),
        (Fault::WrongFee, |_| (), |receipt| receipt.fee += 1),
        (Fault::WrongFee, |_| (), |receipt| receipt.fee -= 1),
        (
            Fault::WrongFee,
            |header| header.output_price = u128::MAX,
            |_| (),
        ),
        (Fault::TooLong, |header| header.token_limit = 6, |_| ()),
        (
            Fault::TooShort,
            |_| (),
            |receipt| receipt.finish = Finish::Length,
        ),
        (
            Fault::WrongAnchor,
            |_| (),
            |receipt| receipt.anchor.hash = H256::zero(),
        ),
        (
            Fault::WrongAnchor,
            |_| (),
            |receipt| receipt.anchor.number += 1_000,
        ),
        (
            Fault::ContextExceeded,
            |header| header.prompt_len = CONTEXT - 6,
            |receipt| receipt.fee = PRICE.fee(CONTEXT - 6, 7).unwrap(),
        ),
        (
            Fault::NoStopToken,
            |_| (),
            |receipt| {
                receipt.output_len = 0;
                receipt.finish = Finish::Eos;
                receipt.fee = PRICE.fee(PROMPT.len() as u32, 0).unwrap();
            },
        ),
    ];
    for (index, (fault, header, receipt)) in cases.into_iter().enumerate() {
        TestExt::new().execute_with(|| {
            let given = given(vec![10; 7], Finish::Caller)
                .with_header(header)
                .with_receipt(receipt);
            assert_eq!(
                fault_of(&given, Evidence::Face),
                Some(fault),
                "case {index}"
            );
        });
    }
}

#[test]
fn a_context_that_is_just_full_is_no_fault() {
    TestExt::new().execute_with(|| {
        let given = given(vec![10; 7], Finish::Caller)
            .with_header(|header| header.prompt_len = CONTEXT - 7)
            .with_receipt(|receipt| receipt.fee = PRICE.fee(CONTEXT - 7, 7).unwrap());
        assert_noop!(given.accuse(CARL, Evidence::Face), Error::<Test>::NoFault);
    });
}

#[test]
fn stop_tokens_end_answers_and_nothing_else_does_so_by_itself() {
    let token = |given: &Given, position| Evidence::Token {
        position,
        opening: given.open_token(position),
    };
    TestExt::new().execute_with(|| {
        let given = given(vec![10; 35], Finish::Eos);
        let wrong = token(&given, 33);
        assert_noop!(given.accuse(CARL, wrong), Error::<Test>::NoFault);
        assert_eq!(
            fault_of(&given, token(&given, 34)),
            Some(Fault::NoStopToken)
        );
    });
    TestExt::new().execute_with(|| {
        let mut output = vec![10; 35];
        output[32] = STOP;
        let given = given(output, Finish::Caller);
        assert_eq!(
            fault_of(&given, token(&given, 32)),
            Some(Fault::PastStopToken)
        );
    });
    // At the end it may stand whatever the finish says: the caller may have ended it there.
    TestExt::new().execute_with(|| {
        let mut output = vec![10; 35];
        output[34] = STOP;
        let given = given(output, Finish::Caller);
        assert_noop!(
            given.accuse(CARL, token(&given, 34)),
            Error::<Test>::NoFault
        );
    });
    TestExt::new().execute_with(|| {
        let given = given(vec![VOCABULARY; 3], Finish::Caller);
        assert_eq!(
            fault_of(&given, token(&given, 1)),
            Some(Fault::UnknownToken)
        );
    });
}

#[test]
fn a_token_must_be_opened_as_it_was_given() {
    TestExt::new().execute_with(|| {
        let given = given(vec![10; 35], Finish::Eos);
        let accuse = |position, opening| given.accuse(CARL, Evidence::Token { position, opening });
        let good = given.open_token(34);
        let mut bad = good.clone();
        bad.bytes[33] ^= 1;
        assert_noop!(accuse(34, bad), Error::<Test>::WrongHash);
        let mut bad = good.clone();
        bad.siblings[0] = H256::zero();
        assert_noop!(accuse(34, bad), Error::<Test>::WrongHash);
        assert_noop!(accuse(3, good.clone()), Error::<Test>::WrongHash);
        assert_noop!(accuse(35, good), Error::<Test>::PositionOutOfBounds);
    });
}

#[test]
fn two_tokens_at_one_place_of_one_answer_convict() {
    let story = |change: fn(&mut Given), expected: Result<Fault, Error<Test>>| {
        TestExt::new().execute_with(|| {
            let given = given(vec![10; 35], Finish::Caller);
            let mut output = vec![10; 20];
            output[4] = 11;
            let claim = given.claim;
            let assay_primitives::Claim::Channel { id, .. } = claim else {
                unreachable!()
            };
            let mut other = Given::in_channel(id, 0, output);
            change(&mut other);
            let position = 4;
            let evidence = Evidence::Twice {
                other: other.receipt.clone(),
                signature: other.signature(),
                position,
                opening: given.open_token(position),
                other_opening: other.open_token(position),
            };
            match expected {
                Ok(fault) => assert_eq!(fault_of(&given, evidence), Some(fault)),
                Err(error) => {
                    assert_noop!(given.accuse(CARL, evidence), error);
                }
            }
        });
    };
    story(|_| (), Ok(Fault::Equivocation));
    story(
        |other| {
            let same = Given::in_channel(
                match other.claim {
                    assay_primitives::Claim::Channel { id, .. } => id,
                    assay_primitives::Claim::Job(_) => unreachable!(),
                },
                0,
                vec![10; 20],
            );
            *other = same;
        },
        Err(Error::NoFault),
    );
    // Two requests under one number are the user's fault.
    story(
        |other| *other = other.clone().with_header(|h| h.sampling.nonce = 5),
        Err(Error::WrongHeader),
    );
    story(
        |other| other.signer = operator(PIUS),
        Err(Error::InvalidSignature),
    );
}

#[test]
fn accusations_are_for_channels_and_need_a_commitment_and_a_header() {
    TestExt::new().execute_with(|| {
        let given = job(vec![10, STOP], Finish::Eos);
        commit(CARL, &given.claim);
        pass(1);
        assert_noop!(
            given.accuse(CARL, Evidence::Face),
            Error::<Test>::JobIsChecked
        );
        let given = Given::in_channel(channel(10_000), 0, vec![10; 4])
            .with_receipt(|receipt| receipt.fee = 0);
        pass(1);
        assert_noop!(
            given.accuse(CARL, Evidence::Face),
            Error::<Test>::NotCommitted
        );
        commit(CARL, &given.claim);
        pass(1);
        let mut statement = given.statement();
        statement.header = None;
        let by = || RuntimeOrigin::signed(CARL);
        assert_noop!(
            Disputes::accuse(by(), given.claim, statement, Evidence::Face, SALT),
            Error::<Test>::HeaderMissing
        );
        // A later commitment than that of a dispute is not rewarded.
        let number = given.dispute(CORA, 0);
        let cora = free(CORA) + bond_of(CORA);
        let carl = free(CARL) + 1_000;
        assert!(number > 0);
        commit(SAM, &given.claim);
        pass(1);
        let sam = free(SAM) + 1_000;
        assert_ok!(given.accuse(SAM, Evidence::Face));
        assert_eq!(free(SAM), sam);
        assert!(free(CORA) + bond_of(CORA) > cora);
        assert!(carl > 0);
        assert_noop!(
            given.accuse(CARL, Evidence::Face),
            Error::<Test>::AlreadyConvicted
        );
        assert_ok!(Disputes::timeout(RuntimeOrigin::signed(SAM), number));
    });
}
