use crate::{
    mock::*, Error, Event, HoldReason, JobState, Jobs as JobRecords, NextJobId, Prompts, WeightInfo,
};
use assay_primitives::{ListingId, Price, Sampling, PPM_ONE};
use frame_support::{assert_noop, assert_ok, dispatch::GetDispatchInfo, weights::Weight};
use sp_runtime::{DispatchError, TokenError};

#[test]
fn submitting_holds_the_fee_and_a_deposit_until_the_draw() {
    TestExt::new().execute_with(|| {
        let id = Ask::default().accepted();
        assert_eq!(id, 0);
        assert_eq!(NextJobId::<Test>::get(), 1);
        let record = job(id);
        assert_eq!(record.state, JobState::Waiting { draw_at: 3 });
        assert_eq!(
            (record.escrow, record.max_fee, record.draws),
            (MAX_FEE, MAX_FEE, 0)
        );
        assert_eq!(Prompts::<Test>::get(id).unwrap().to_vec(), PROMPT.to_vec());
        assert_eq!(escrow(UMA), MAX_FEE);
        let deposit = held(HoldReason::JobDeposit, UMA);
        assert!(deposit > 1_000);
        assert_eq!(free(UMA), ENDOWMENT - MAX_FEE - deposit);
        System::assert_last_event(
            Event::Submitted {
                job: id,
                user: UMA,
                listing: listing(),
                max_fee: MAX_FEE,
            }
            .into(),
        );
        assert_eq!(Jobs::job(id), Some(record));
        assert_eq!(Jobs::output(id), None);
        assert_eq!(Ask::default().accepted(), 1);
    });
}

#[test]
fn submitting_fails_when_the_listing_is_unknown_or_retired() {
    TestExt::new().execute_with(|| {
        let ask = || Ask {
            listing: ListingId::zero(),
            ..Ask::default()
        };
        assert_noop!(ask().submit(), Error::<Test>::UnknownListing);
        assert_ok!(Models::retire(RuntimeOrigin::signed(PAULA), listing()));
        assert_noop!(Ask::default().submit(), Error::<Test>::ListingNotActive);
    });
}

#[test]
fn submitting_fails_when_the_sampling_is_out_of_range() {
    TestExt::new().execute_with(|| {
        let with = |sampling| {
            Ask {
                sampling,
                ..Ask::default()
            }
            .submit()
        };
        let hot = Sampling {
            temperature: 10 * PPM_ONE + 1,
            ..Sampling::GREEDY
        };
        assert_noop!(with(hot), Error::<Test>::TemperatureTooHigh);
        let cold = Sampling {
            temperature: PPM_ONE / 1_000 - 1,
            ..Sampling::GREEDY
        };
        assert_noop!(with(cold), Error::<Test>::TemperatureTooLow);
        let none = Sampling {
            top_p: 0,
            ..Sampling::GREEDY
        };
        assert_noop!(with(none), Error::<Test>::InvalidTopP);
        let more_than_all = Sampling {
            min_p: PPM_ONE + 1,
            ..Sampling::GREEDY
        };
        assert_noop!(with(more_than_all), Error::<Test>::InvalidMinP);
        for penalty in [0, PPM_ONE / 2 - 1, 4 * PPM_ONE + 1] {
            let sampling = Sampling {
                penalty,
                ..Sampling::GREEDY
            };
            assert_noop!(with(sampling), Error::<Test>::InvalidPenalty);
        }
    });
}

#[test]
fn a_job_keeps_all_of_its_sampling() {
    TestExt::new().execute_with(|| {
        let sampling = Sampling {
            temperature: PPM_ONE / 1_000,
            top_k: 40,
            top_p: 1,
            min_p: PPM_ONE,
            penalty: 4 * PPM_ONE,
            nonce: 7,
        };
        let id = Ask {
            sampling,
            ..Ask::default()
        }
        .accepted();
        assert_eq!(job(id).sampling, sampling);
    });
}

#[test]
fn submitting_fails_when_the_prompt_is_empty_or_outside_the_vocabulary() {
    TestExt::new().execute_with(|| {
        let with = |prompt| {
            Ask {
                prompt,
                ..Ask::default()
            }
            .submit()
        };
        assert_noop!(with(vec![]), Error::<Test>::EmptyPrompt);
        assert_noop!(with(vec![5, 1024]), Error::<Test>::TokenOutsideVocabulary);
        assert_ok!(with(vec![0, 1023]));
    });
}

#[test]
fn submitting_fails_when_the_answer_would_be_too_long() {
    TestExt::new().execute_with(|| {
        let with = |output_limit, length| {
            let prompt = vec![7; length];
            Ask {
                prompt,
                output_limit,
                ..Ask::default()
            }
            .submit()
        };
        assert_noop!(with(0, 8), Error::<Test>::OutputLimitOutOfBounds);
        assert_noop!(with(65, 8), Error::<Test>::OutputLimitOutOfBounds);
        assert_noop!(with(64, 33), Error::<Test>::ContextExceeded);
        assert_ok!(with(64, 32));
    });
}

#[test]
fn submitting_fails_when_the_least_output_is_none_or_above_the_limit() {
    TestExt::new().execute_with(|| {
        let with = |min_output| {
            Ask {
                min_output,
                ..Ask::default()
            }
            .submit()
        };
        assert_noop!(with(0), Error::<Test>::MinOutputOutOfBounds);
        assert_noop!(with(OUTPUT_LIMIT + 1), Error::<Test>::MinOutputOutOfBounds);
        assert_ok!(with(OUTPUT_LIMIT));
        assert_eq!(job(0).min_output_tokens, OUTPUT_LIMIT);
    });
}

#[test]
fn submitting_fails_without_the_money() {
    TestExt::new().execute_with(|| {
        let with = |max_fee| {
            Ask {
                max_fee,
                ..Ask::default()
            }
            .submit()
        };
        assert_noop!(with(ENDOWMENT), TokenError::FundsUnavailable);
        let nobody = Ask {
            user: 77,
            ..Ask::default()
        };
        assert_noop!(nobody.submit(), TokenError::FundsUnavailable);
    });
}

#[test]
fn submitting_fails_when_there_are_no_more_ids() {
    TestExt::new().execute_with(|| {
        NextJobId::<Test>::put(u64::MAX);
        assert_noop!(Ask::default().submit(), Error::<Test>::Overflow);
    });
}

#[test]
fn submitting_to_a_named_provider_fails_when_it_could_never_answer() {
    TestExt::new().execute_with(|| {
        let named = || Ask {
            provider: Some(PETRA),
            ..Ask::default()
        };
        let stranger = Ask {
            provider: Some(PIUS),
            ..Ask::default()
        };
        assert_noop!(stranger.submit(), Error::<Test>::ProviderHasNoOffer);
        let long = Ask {
            output_limit: 41,
            ..named()
        };
        assert_noop!(long.submit(), Error::<Test>::ProviderContextTooShort);
        let poor = Ask {
            max_fee: 8 * PRICE.input + PRICE.output - 1,
            ..named()
        };
        assert_noop!(poor.submit(), Error::<Test>::MaxFeeTooLow);
        let short = |max_fee| Ask {
            min_output: 5,
            max_fee,
            ..named()
        };
        let enough = 8 * PRICE.input + 5 * PRICE.output;
        assert_noop!(short(enough - 1).submit(), Error::<Test>::MaxFeeTooLow);
        assert_ok!(short(enough).submit());
        assert_ok!(Providers::set_online(RuntimeOrigin::signed(PETRA), false));
        assert_noop!(named().submit(), Error::<Test>::ProviderOffline);
    });
}

#[test]
fn a_named_provider_that_is_busy_may_be_free_when_the_draw_comes() {
    TestExt::new().execute_with(|| {
        set_offer(PETRA, PRICE, 1);
        let first = assigned();
        let second = Ask {
            provider: Some(PETRA),
            ..Ask::default()
        }
        .accepted();
        answer(first, 5);
        run_to(5);
        assert_eq!(assignment(second).provider, PETRA);
    });
}

#[test]
fn an_offer_made_in_the_block_of_the_submission_can_be_named() {
    TestExt::new().providers(&[]).execute_with(|| {
        register_provider(PETRA, BOND);
        set_offer(PETRA, PRICE, 1);
        let id = Ask {
            provider: Some(PETRA),
            ..Ask::default()
        }
        .accepted();
        run_to(3);
        assert_eq!(assignment(id).provider, PETRA);
    });
}

/// The weight that a submission is charged, beside that of the call itself.
fn charged(ask: Ask) -> Weight {
    let submission = <() as WeightInfo>::submit(ask.prompt.len() as u32);
    let charged = ask.submit().unwrap();
    charged.checked_sub(&submission).unwrap()
}

#[test]
fn a_submission_pays_for_its_draws_among_the_offers_and_for_its_end() {
    TestExt::new()
        .providers(&[PETRA, PIUS, PAVEL])
        .execute_with(|| {
            type Weights = ();
            let end = Weights::settle() + Weights::remove();
            let draws = |offers, draws| (Weights::draw(offers) + Weights::miss()) * draws;
            assert_eq!(charged(Ask::default()), draws(3, 3) + end);
            let named = Ask {
                provider: Some(PIUS),
                ..Ask::default()
            };
            assert_eq!(charged(named), draws(1, 3) + end);
            let fewer = crate::Parameters {
                max_draws: 2,
                ..parameters()
            };
            assert_ok!(Jobs::set_parameters(RuntimeOrigin::root(), fewer));
            assert_eq!(charged(Ask::default()), draws(3, 2) + end);
            for stash in [PETRA, PIUS, PAVEL] {
                let by = RuntimeOrigin::signed(stash);
                assert_ok!(Providers::remove_offer(by, listing()));
            }
            // Somebody may offer before the draw.
            assert_eq!(charged(Ask::default()), draws(1, 2) + end);
        });
}

#[test]
fn a_submission_reserves_the_weight_of_a_full_listing_and_the_most_draws() {
    let call = crate::Call::<Test>::submit {
        listing: listing(),
        prompt: PROMPT.to_vec().try_into().unwrap(),
        sampling: Sampling::GREEDY,
        max_output_tokens: 1,
        min_output_tokens: 1,
        max_fee: 0,
        provider: None,
    };
    let reserved = call.get_dispatch_info().call_weight;
    type Weights = ();
    let expected = Weights::submit(8)
        + (Weights::draw(8) + Weights::miss()) * 4
        + Weights::settle()
        + Weights::remove();
    assert_eq!(reserved, expected);
}

#[test]
fn a_job_that_waits_can_be_cancelled_by_its_user() {
    TestExt::new().execute_with(|| {
        let by = RuntimeOrigin::signed;
        assert_noop!(Jobs::cancel(by(UMA), 0), Error::<Test>::UnknownJob);
        let id = Ask::default().accepted();
        assert_noop!(Jobs::cancel(by(URS), id), Error::<Test>::NotUser);
        assert_ok!(Jobs::cancel(by(UMA), id));
        let reason = crate::RefundReason::Cancelled;
        System::assert_last_event(
            Event::Refunded {
                job: id,
                user: UMA,
                amount: MAX_FEE,
                reason,
            }
            .into(),
        );
        assert_eq!(escrow(UMA), 0);
        assert_eq!(
            job(id).state,
            JobState::Refunded {
                reason,
                removed_at: 21
            }
        );
        assert_noop!(Jobs::cancel(by(UMA), id), Error::<Test>::NotWaiting);
        run_to(21);
        assert!(!JobRecords::<Test>::contains_key(id));
        assert_eq!(free(UMA), ENDOWMENT);
    });
}

#[test]
fn a_job_that_is_assigned_cannot_be_cancelled() {
    TestExt::new().execute_with(|| {
        let id = assigned();
        assert_noop!(
            Jobs::cancel(RuntimeOrigin::signed(UMA), id),
            Error::<Test>::NotWaiting
        );
    });
}

#[test]
fn a_job_that_was_sent_back_can_be_cancelled() {
    TestExt::new().execute_with(|| {
        let id = assigned();
        assert_ok!(Jobs::decline(RuntimeOrigin::signed(operator(PETRA)), id));
        assert_ok!(Jobs::cancel(RuntimeOrigin::signed(UMA), id));
        assert_eq!(escrow(UMA), 0);
    });
}

#[test]
fn a_job_may_be_free() {
    TestExt::new().execute_with(|| {
        set_offer(PETRA, Price::default(), 1);
        let id = Ask {
            max_fee: 0,
            ..Ask::default()
        }
        .accepted();
        run_to(3);
        assert_eq!(assignment(id).token_limit, OUTPUT_LIMIT);
        answer(id, 4);
        run_to(14);
        assert!(matches!(job(id).state, JobState::Settled { .. }));
    });
}

#[test]
fn calls_need_a_signature() {
    TestExt::new().execute_with(|| {
        let id = assigned();
        let nobody = RuntimeOrigin::none;
        assert_noop!(Jobs::cancel(nobody(), id), DispatchError::BadOrigin);
        assert_noop!(Jobs::decline(nobody(), id), DispatchError::BadOrigin);
        assert_noop!(Jobs::finalize(nobody(), id), DispatchError::BadOrigin);
        assert_noop!(
            Jobs::submit(
                nobody(),
                listing(),
                Default::default(),
                Sampling::GREEDY,
                1,
                1,
                0,
                None
            ),
            DispatchError::BadOrigin
        );
    });
}
