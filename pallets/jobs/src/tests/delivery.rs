use crate::{mock::*, Error, Event, JobState, Outputs};
use assay_primitives::{Finish, Outcome, Price};
use frame_support::{assert_noop, assert_ok, weights::Weight};
use sp_core::H256;
use sp_runtime::traits::{BlakeTwo256, Hash};

/// The usual job, assigned to Petra in block 3; it is block 4 now.
fn ready() -> u64 {
    let id = assigned();
    run_to(4);
    id
}

fn good(id: u64) -> Answer {
    Answer::to(id, stopped(5), Finish::Eos)
}

const PETRAS_OPERATOR: u64 = PETRA + 1;

#[test]
fn an_answer_is_kept_and_what_it_did_not_cost_is_released() {
    TestExt::new().execute_with(|| {
        let id = ready();
        let answer = good(id);
        let receipt = answer.receipt.clone();
        let assignment = assignment(id);
        let before = free(UMA);
        assert_ok!(answer.deliver(PETRAS_OPERATOR));
        let fee = 8 * PRICE.input + 5 * PRICE.output;
        assert_eq!(receipt.fee, fee);
        assert_eq!(escrow(UMA), fee);
        assert_eq!(free(UMA), before + WORST_CASE - fee);
        assert_eq!(Outputs::<Test>::get(id).unwrap().to_vec(), stopped(5));
        assert_eq!(Jobs::output(id), Some(stopped(5)));
        assert!(Jobs::duties(PETRA).is_empty());
        let JobState::Delivered(kept, delivery) = job(id).state else {
            panic!("not delivered")
        };
        assert_eq!(kept, assignment);
        assert_eq!(
            delivery.receipt_hash,
            BlakeTwo256::hash(&receipt.signing_payload())
        );
        assert_eq!((delivery.delivered_at, delivery.window_end), (4, 14));
        assert_eq!((delivery.output_len, delivery.fee), (5, fee));
        System::assert_last_event(
            Event::Delivered {
                job: id,
                provider: PETRA,
                output_len: 5,
                fee,
                window_end: 14,
            }
            .into(),
        );
        // The bond answers for the fee until the window is over.
        assert_eq!(
            (provider(PETRA).exposure, provider(PETRA).open_jobs),
            (fee, 1)
        );
        assert_eq!(provider(PETRA).record.delivered, 1);
        System::assert_has_event(
            pallet_providers::Event::Resolved {
                provider: PETRA,
                outcome: Outcome::Delivered,
                score: provider(PETRA).record.score,
            }
            .into(),
        );
    });
}

#[test]
fn an_answer_may_come_in_the_block_of_the_deadline() {
    TestExt::new().execute_with(|| {
        let id = ready();
        run_to(9);
        assert_ok!(good(id).deliver(PETRAS_OPERATOR));
        run_to(10);
        assert_eq!(provider(PETRA).bond, BOND);
    });
}

#[test]
fn an_answer_after_the_deadline_fails_even_if_the_chain_has_not_noticed() {
    TestExt::new().execute_with(|| {
        let id = ready();
        MaxAgendaWeight::set(Weight::zero());
        run_to(10);
        assert_noop!(
            good(id).deliver(PETRAS_OPERATOR),
            Error::<Test>::DeadlinePassed
        );
    });
}

#[test]
fn delivering_fails_when_the_job_is_not_assigned_to_the_caller() {
    TestExt::new().execute_with(|| {
        let id = ready();
        let unknown = Answer { id: 7, ..good(id) };
        assert_noop!(unknown.deliver(PETRAS_OPERATOR), Error::<Test>::UnknownJob);
        assert_noop!(good(id).deliver(SAM), Error::<Test>::NotYourJob);
        assert_noop!(good(id).deliver(PETRA), Error::<Test>::NotYourJob);
        register_provider(PIUS, BOND);
        assert_noop!(good(id).deliver(operator(PIUS)), Error::<Test>::NotYourJob);
        let again = good(id);
        assert_ok!(good(id).deliver(PETRAS_OPERATOR));
        assert_noop!(again.deliver(PETRAS_OPERATOR), Error::<Test>::NotAssigned);
    });
}

#[test]
fn a_receipt_for_another_request_is_refused() {
    TestExt::new().execute_with(|| {
        let other = Ask {
            max_fee: MAX_FEE - 1,
            ..Ask::default()
        }
        .accepted();
        let id = ready();
        let mut answer = good(id);
        answer.receipt.header = good(other).receipt.header;
        assert_noop!(answer.deliver(PETRAS_OPERATOR), Error::<Test>::WrongHeader);
    });
}

#[test]
fn the_anchor_must_be_a_block_of_this_chain_since_the_assignment() {
    TestExt::new().execute_with(|| {
        let id = ready();
        run_to(6);
        let refused = |answer: Answer| {
            assert_noop!(
                answer.deliver(PETRAS_OPERATOR),
                Error::<Test>::InvalidAnchor
            );
        };
        refused(good(id).anchored_at(2));
        refused(good(id).anchored_at(6));
        let mut forked = good(id);
        forked.receipt.anchor.hash = H256::repeat_byte(9);
        refused(forked);
        frame_system::BlockHash::<Test>::remove(4);
        refused(good(id).anchored_at(4));
        assert_ok!(good(id).anchored_at(3).deliver(PETRAS_OPERATOR));
    });
}

#[test]
fn only_the_operator_key_makes_a_receipt() {
    TestExt::new().execute_with(|| {
        let id = ready();
        for signer in [PETRA, SAM, operator(PIUS)] {
            let forged = Answer { signer, ..good(id) };
            assert_noop!(
                forged.deliver(PETRAS_OPERATOR),
                Error::<Test>::InvalidSignature
            );
        }
    });
}

#[test]
fn a_receipt_is_judged_by_the_key_that_was_valid_at_its_anchor() {
    TestExt::new().execute_with(|| {
        let id = ready();
        let (old, new) = (PETRAS_OPERATOR, 77);
        run_to(5);
        assert_ok!(Providers::rotate_operator(
            RuntimeOrigin::signed(PETRA),
            new
        ));
        run_to(7);
        assert_noop!(
            good(id).anchored_at(4).deliver(old),
            Error::<Test>::NotYourJob
        );
        let by_new = |anchor| {
            Answer {
                signer: new,
                ..good(id)
            }
            .anchored_at(anchor)
        };
        let by_old = |anchor| {
            Answer {
                signer: old,
                ..good(id)
            }
            .anchored_at(anchor)
        };
        assert_noop!(by_new(4).deliver(new), Error::<Test>::InvalidSignature);
        assert_noop!(by_old(5).deliver(new), Error::<Test>::InvalidSignature);
        // The old key's receipt still counts; the new key hands it in.
        assert_ok!(by_old(4).deliver(new));
    });
}

#[test]
fn a_new_operator_key_may_answer_from_its_block_on() {
    TestExt::new().execute_with(|| {
        let id = ready();
        run_to(5);
        assert_ok!(Providers::rotate_operator(RuntimeOrigin::signed(PETRA), 77));
        run_to(6);
        let answer = Answer {
            signer: 77,
            ..good(id)
        }
        .anchored_at(5);
        assert_ok!(answer.deliver(77));
    });
}

#[test]
fn the_output_has_at_least_one_token_and_at_most_the_limit() {
    TestExt::new().execute_with(|| {
        let id = ready();
        let none = Answer::to(id, vec![], Finish::Eos);
        assert_noop!(
            none.deliver(PETRAS_OPERATOR),
            Error::<Test>::OutputLengthOutOfBounds
        );
        let long = Answer::to(id, stopped(17), Finish::Eos);
        assert_noop!(
            long.deliver(PETRAS_OPERATOR),
            Error::<Test>::OutputLengthOutOfBounds
        );
        let outside = Answer::to(id, vec![1024, STOP], Finish::Eos);
        assert_noop!(
            outside.deliver(PETRAS_OPERATOR),
            Error::<Test>::TokenOutsideVocabulary
        );
    });
}

#[test]
fn the_receipt_must_describe_the_output() {
    TestExt::new().execute_with(|| {
        let id = ready();
        let mut answer = good(id);
        answer.output[0] = 41;
        assert_noop!(
            answer.deliver(PETRAS_OPERATOR),
            Error::<Test>::OutputMismatch
        );
        let mut answer = good(id);
        answer.receipt.output_len = 4;
        assert_noop!(
            answer.deliver(PETRAS_OPERATOR),
            Error::<Test>::OutputMismatch
        );
        for fee in [good(id).receipt.fee - 1, good(id).receipt.fee + 1, 0] {
            let mut answer = good(id);
            answer.receipt.fee = fee;
            assert_noop!(answer.deliver(PETRAS_OPERATOR), Error::<Test>::WrongFee);
        }
    });
}

#[test]
fn the_finish_must_say_the_truth_about_the_output() {
    TestExt::new().execute_with(|| {
        let id = ready();
        let refused = |output, finish| {
            let answer = Answer::to(id, output, finish);
            assert_noop!(
                answer.deliver(PETRAS_OPERATOR),
                Error::<Test>::InvalidFinish
            );
        };
        // An end without a stop token, and with one in the middle.
        refused(vec![40; 5], Finish::Eos);
        refused(vec![40, STOP, 40, STOP], Finish::Eos);
        // The limit, short of it; and a stop token at it.
        refused(vec![40; 15], Finish::Length);
        refused(stopped(16), Finish::Length);
        refused(stopped(5), Finish::Length);
        // A job is never the caller's to end.
        refused(vec![40; 5], Finish::Caller);
        refused(stopped(5), Finish::Caller);
        let full = Answer::to(id, vec![40; 16], Finish::Length);
        assert_ok!(full.deliver(PETRAS_OPERATOR));
        assert_eq!(escrow(UMA), WORST_CASE);
    });
}

#[test]
fn the_last_token_of_the_limit_may_be_the_stop() {
    TestExt::new().execute_with(|| {
        let id = ready();
        assert_ok!(Answer::to(id, stopped(16), Finish::Eos).deliver(PETRAS_OPERATOR));
    });
}

#[test]
fn an_answer_to_a_retired_listing_still_counts() {
    TestExt::new().execute_with(|| {
        let id = ready();
        set_offer(
            PETRA,
            Price {
                input: 1,
                output: 1,
            },
            0,
        );
        assert_ok!(Models::retire(RuntimeOrigin::signed(PAULA), listing()));
        assert_ok!(good(id).deliver(PETRAS_OPERATOR));
        run_to(14);
        assert!(matches!(job(id).state, JobState::Settled { .. }));
    });
}
