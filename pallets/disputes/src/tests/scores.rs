//! Scores of answers, without a model: what may be disputed of them, and what is false on their face.

use assay_primitives::{Finish, Receipt, RequestHeader, Sampling, Task};
use frame_support::{assert_noop, assert_ok};

use super::forged::Forged;
use crate::{mock::*, Answer, Convictions, Error, Event, Evidence, Fault};

const ANSWER: u32 = 20;

/// Petra's score of an answer of 20 tokens, that Carl has committed to.
fn score(right: u32, finish: Finish) -> Given {
    let answer = Given::asked(channel(10_000), 0, (10..30).collect(), Sampling::GREEDY);
    let score = answer.scored(1, right, finish);
    commit(CARL, &score.claim);
    pass(1);
    score
}

#[test]
fn a_score_is_disputed_where_it_says_something() {
    let cases = [
        // What it says, the last place of which it says something, and why there is no next.
        (
            ANSWER,
            Finish::Length,
            19,
            Error::<Test>::PositionOutOfBounds,
        ),
        (7, Finish::Caller, 6, Error::PositionOutOfBounds),
        (7, Finish::Mismatch, 7, Error::PositionOutOfBounds),
        (0, Finish::Mismatch, 0, Error::PositionOutOfBounds),
        (19, Finish::Mismatch, 19, Error::PositionOutOfBounds),
        // Behind the answer there is no token that could be wrong.
        (ANSWER, Finish::Mismatch, 19, Error::NoTrace),
    ];
    for (right, finish, last, error) in cases {
        TestExt::new().execute_with(|| {
            let score = score(right, finish);
            assert_noop!(score.open(CARL, last + 1), error);
            assert_ok!(score.open(CARL, last));
        });
    }
    TestExt::new().execute_with(|| {
        let answer = Given::in_channel(channel(10_000), 0, (10..30).collect())
            .with_receipt(|receipt| receipt.finish = Finish::Mismatch);
        commit(CARL, &answer.claim);
        pass(1);
        assert_noop!(answer.open(CARL, 20), Error::<Test>::PositionOutOfBounds);
    });
}

/// With `stated` as the last leaf of the trace.
fn answered(score: &Given, position: u32, stated: u32) -> Answer<u64> {
    let mut other = score.clone();
    other.output[position as usize] = stated;
    let Answer::Trace { nodes, last, .. } = Forged::of(&other, position).answer(&other, position)
    else {
        unreachable!()
    };
    Answer::Trace {
        signature: score.signed_header().signature.into(),
        nodes,
        last,
        token: score.open_token(position),
    }
}

#[test]
fn the_trace_must_end_as_the_score_says() {
    TestExt::new().execute_with(|| {
        let score = score(7, Finish::Mismatch);
        let number = score.dispute(CORA, 6);
        let token = score.output[6];
        let refused = answered(&score, 6, token + 1);
        assert_noop!(answer(PETRA, number, refused), Error::<Test>::TokenMismatch);
        assert_ok!(answer(PETRA, number, answered(&score, 6, token)));

        let number = score.dispute(CORA, 7);
        let token = score.output[7];
        let refused = answered(&score, 7, token);
        assert_noop!(answer(PETRA, number, refused), Error::<Test>::TokenMatches);
        assert_ok!(answer(PETRA, number, answered(&score, 7, token + 1)));
    });
}

#[test]
fn the_token_is_opened_where_the_request_has_it() {
    TestExt::new().execute_with(|| {
        let score = score(ANSWER, Finish::Length);
        let number = score.dispute(CORA, 3);
        let own = score.output[3];
        let with = |token| {
            let Answer::Trace {
                signature,
                nodes,
                last,
                ..
            } = answered(&score, 3, own)
            else {
                unreachable!()
            };
            let shown = Answer::Trace {
                signature,
                nodes,
                last,
                token,
            };
            answer(PETRA, number, shown)
        };
        // Of an output it has none.
        let mut answer = score.clone();
        answer.header.task = Task::Generate;
        assert_noop!(with(answer.open_token(3)), Error::<Test>::WrongHash);
        assert_ok!(with(score.open_token(3)));
    });
}

type Change = (Fault, fn(&mut RequestHeader<u64>), fn(&mut Receipt));

#[test]
fn what_no_score_can_say_convicts() {
    let cases: [Change; 9] = [
        (Fault::WrongFee, |_| (), |receipt| receipt.fee += 1),
        (
            Fault::WrongFee,
            |_| (),
            |receipt| receipt.fee += PRICE.output * 7,
        ),
        (
            Fault::WrongFinish,
            |_| (),
            |receipt| receipt.finish = Finish::Eos,
        ),
        (
            Fault::WrongFinish,
            |header| header.task = Task::Generate,
            |_| (),
        ),
        (
            Fault::TooLong,
            |_| (),
            |receipt| {
                receipt.finish = Finish::Caller;
                receipt.output_len = ANSWER + 1;
            },
        ),
        (
            Fault::TooLong,
            |_| (),
            |receipt| receipt.output_len = ANSWER,
        ),
        (
            Fault::TooLong,
            |_| (),
            |receipt| receipt.output_len = u32::MAX,
        ),
        (
            Fault::TooShort,
            |_| (),
            |receipt| receipt.finish = Finish::Length,
        ),
        (
            Fault::ContextExceeded,
            |header| header.prompt_len = CONTEXT + 1,
            |receipt| receipt.fee = PRICE.fee(CONTEXT + 1, 0).unwrap(),
        ),
    ];
    for (index, (fault, header, receipt)) in cases.into_iter().enumerate() {
        TestExt::new().execute_with(|| {
            let score = score(7, Finish::Mismatch)
                .with_header(header)
                .with_receipt(receipt);
            assert_ok!(score.accuse(CARL, Evidence::Face));
            assert!(Convictions::<Test>::contains_key(score.claim));
            let told = System::events().into_iter().any(|record| {
                matches!(
                    record.event,
                    RuntimeEvent::Disputes(Event::Convicted { fault: Some(told), .. }) if told == fault
                )
            });
            assert!(told, "case {index}: {fault:?}");
        });
    }
}

#[test]
fn a_score_with_nothing_wrong_on_its_face_convicts_nobody() {
    for (right, finish) in [
        (ANSWER, Finish::Length),
        (0, Finish::Mismatch),
        (19, Finish::Mismatch),
        (0, Finish::Caller),
    ] {
        TestExt::new().execute_with(|| {
            let score = score(right, finish);
            assert_noop!(score.accuse(CARL, Evidence::Face), Error::<Test>::NoFault);
            // The tokens are the user's, so none of them is the provider's fault.
            let opening = score.open_token(0);
            let token = Evidence::Token {
                position: 0,
                opening,
            };
            let error = match right {
                0 => Error::<Test>::PositionOutOfBounds,
                _ => Error::<Test>::WrongHash,
            };
            assert_noop!(score.accuse(CARL, token), error);
        });
    }
    // The answer is in the request, and takes no more of the context.
    TestExt::new().execute_with(|| {
        let score = score(7, Finish::Mismatch)
            .with_header(|header| header.prompt_len = CONTEXT)
            .with_receipt(|receipt| receipt.fee = PRICE.fee(CONTEXT, 0).unwrap());
        assert_noop!(score.accuse(CARL, Evidence::Face), Error::<Test>::NoFault);
    });
}
