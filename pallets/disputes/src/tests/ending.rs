use super::forged::{at_a_step, disputed};
use crate::{mock::*, Answer, Convictions, Dockets, Error, Event, Evidence, Traces, Verdict};
use assay_primitives::{Balance, Claim, Claims, Finish, Request};
use frame_support::{assert_err, assert_noop, assert_ok, dispatch::Pays};
use sp_runtime::Permill;

/// A slash of at least this many fees, and the reward's share of what is left after the refund.
const MULTIPLE: Balance = 60;
const REWARD: Permill = Permill::from_percent(40);

/// Let whoever has to move be late; returns the block.
fn let_pass(number: u64) {
    while !is_over(number) {
        pass(1);
    }
}

#[test]
fn a_provider_that_is_late_is_convicted() {
    TestExt::new().execute_with(|| {
        let (given, number, _) = disputed(7);
        let bond = dispute(number).bond;
        let (maturing, stake) = (provider(PETRA).maturing, provider(PETRA).bond);
        assert!(maturing > 0);
        let issuance = pallet_balances::Pallet::<Test>::total_issuance();
        let (uma, carl) = (free(UMA), free(CARL));
        let_pass(number);

        let fee = given.receipt.fee;
        let sum = fee * MULTIPLE + maturing;
        let reward = REWARD.mul_floor(sum - fee);
        assert_eq!(provider(PETRA).bond, stake - fee * MULTIPLE);
        assert_eq!(provider(PETRA).maturing, 0);
        assert_eq!(free(UMA), uma + fee, "the user's fee, first of all");
        assert_eq!(free(CARL), carl + bond + reward);
        assert_eq!(bond_of(CARL), 0);
        let burned = issuance - pallet_balances::Pallet::<Test>::total_issuance();
        assert_eq!(burned, sum - fee - reward);
        assert!(Convictions::<Test>::contains_key(given.claim));
        assert_eq!(provider(PETRA).disputes, 0);
        assert!(!Dockets::<Test>::contains_key(PETRA));
        // What the channel refunds is what was paid, once.
        let facts = Channels::facts(&given.claim).unwrap();
        assert_eq!(facts.backing, DEPOSIT - fee);
        System::assert_has_event(
            Event::Convicted {
                claim: given.claim,
                provider: PETRA,
                challenger: CARL,
                returned: 0,
                slashed: assay_primitives::Slashed {
                    refund: fee,
                    reward,
                    burned,
                },
                fault: None,
            }
            .into(),
        );
    });
}

#[test]
fn what_was_not_paid_yet_is_given_back_from_the_deposit_and_never_earned() {
    TestExt::new().execute_with(|| {
        let id = channel(1_000);
        let given = Given::in_channel(id, 0, vec![10; 40]);
        pass(1);
        let number = given.dispute(CARL, 0);
        let fee = given.receipt.fee;
        assert!(fee > 1_000);
        let uma = free(UMA);
        let_pass(number);
        assert_eq!(free(UMA), uma + fee);
        let kept = Channels::channel(id).unwrap();
        assert_eq!((kept.settled, kept.refunded), (fee, fee));
        let told = System::events().into_iter().any(|record| {
            matches!(
                record.event,
                RuntimeEvent::Disputes(Event::Convicted { returned, slashed, .. })
                    if (returned, slashed.refund) == (fee - 1_000, 1_000)
            )
        });
        assert!(told);
        // The voucher over that answer and another pays for the other.
        let maturing = provider(PETRA).maturing;
        settle(id, fee + 1_000).unwrap();
        assert_eq!(provider(PETRA).maturing, maturing + 930);
    });
}

#[test]
fn a_challenger_that_is_late_pays_the_provider_and_the_rest_is_burned() {
    TestExt::new().execute_with(|| {
        let (given, number, forged) = disputed(7);
        answer(PETRA, number, forged.answer(&given, 7)).unwrap();
        let bond = dispute(number).bond;
        let (petra, carl) = (free(PETRA), free(CARL));
        let issuance = pallet_balances::Pallet::<Test>::total_issuance();
        let_pass(number);
        // A fixed sum, and what the leaves added to the bond.
        let compensation = 20_000 + (bond - 50_000);
        assert_eq!(free(PETRA), petra + compensation);
        assert_eq!((free(CARL), bond_of(CARL)), (carl, 0));
        let burned = 30_000;
        assert_eq!(
            pallet_balances::Pallet::<Test>::total_issuance(),
            issuance - burned
        );
        System::assert_has_event(
            Event::Ended {
                dispute: number,
                verdict: Verdict::Acquitted,
                compensation,
                burned,
            }
            .into(),
        );
        assert!(!Convictions::<Test>::contains_key(given.claim));
        assert_eq!(provider(PETRA).disputes, 0);

        // A lost challenge does not make the receipt unchallengeable.
        let again = given.dispute(CORA, 7);
        assert!(Traces::<Test>::iter().count() == 1 && !is_over(again));
    });
}

#[test]
fn anybody_may_say_that_a_move_is_late_and_not_before() {
    TestExt::new().execute_with(|| {
        let (_, number, _) = at_a_step(0);
        MaxAgendaWeight::set(frame_support::weights::Weight::zero());
        let timeout = || Disputes::timeout(RuntimeOrigin::signed(SAM), number);
        assert_noop!(timeout(), Error::<Test>::NotLate);
        pass(5);
        // The last block in which the move is in time.
        assert_noop!(timeout(), Error::<Test>::NotLate);
        assert_noop!(prove(PETRA, number, vec![]), Error::<Test>::InvalidProof);
        pass(1);
        assert_noop!(prove(PETRA, number, vec![]), Error::<Test>::DeadlinePassed);
        assert_eq!(timeout().unwrap().pays_fee, Pays::No);
        assert!(is_over(number));
        assert_noop!(timeout(), Error::<Test>::UnknownDispute);
    });
}

/// Whoever knows of a lie could commit to its claim ahead of all who find it.
#[test]
fn who_opened_first_is_rewarded_whichever_dispute_convicts() {
    TestExt::new().execute_with(|| {
        let given = Given::in_channel(channel(10_000), 0, vec![10; 40]);
        pass(1);
        // Carl has committed first, and his is over first: hers goes on with an answer.
        let carls = commit(CARL, &given.claim);
        pass(1);
        let coras = commit(CORA, &given.claim);
        pass(1);
        assert_ok!(given.open(CORA, 39));
        pass(2);
        assert_ok!(given.open(CARL, None));
        let paid_back = free(CARL) + bond_of(CARL);
        let rewarded = free(CORA) + bond_of(CORA);
        while crate::Clock::<Test>::get() < dispute(coras).deadline.unwrap() {
            pass(1);
        }
        let shown = super::forged::Forged::of(&given, 39).answer(&given, 39);
        assert_ok!(answer(PETRA, coras, shown));
        let_pass(carls);
        assert_eq!(Convictions::<Test>::get(given.claim), Some(coras));
        assert_eq!((free(CARL), bond_of(CARL)), (paid_back, 0));
        assert!(free(CORA) + bond_of(CORA) > rewarded);

        // Cora's own is over nothing any more: no move, the bond back, no second slash.
        let stake = provider(PETRA).bond;
        assert!(!is_over(coras));
        let chosen = choose(CORA, coras, crate::Choice::Node(0));
        assert_noop!(chosen, Error::<Test>::AlreadyConvicted);
        assert_ok!(Disputes::timeout(RuntimeOrigin::signed(SAM), coras));
        assert_eq!(bond_of(CORA), 0);
        assert_eq!(provider(PETRA).bond, stake);
        System::assert_has_event(
            Event::Ended {
                dispute: coras,
                verdict: Verdict::Superseded,
                compensation: 0,
                burned: 0,
            }
            .into(),
        );
        assert_eq!(provider(PETRA).disputes, 0);
    });
}

#[test]
fn in_one_block_the_first_is_who_committed_first() {
    TestExt::new().execute_with(|| {
        let given = Given::in_channel(channel(10_000), 0, vec![10; 40]);
        pass(1);
        let carls = commit(CARL, &given.claim);
        let coras = commit(CORA, &given.claim);
        pass(1);
        assert_ok!(given.open(CORA, None));
        assert_ok!(given.open(CARL, 3));
        let_pass(coras);
        assert_eq!(Convictions::<Test>::get(given.claim), Some(carls));
    });
}

#[test]
fn a_commitment_that_was_used_for_another_claim_does_not_count() {
    TestExt::new().execute_with(|| {
        let id = channel(10_000);
        let given = Given::in_channel(id, 0, vec![10; 40]);
        let other = Given::in_channel(id, 1, vec![10; 40]);
        pass(1);
        other.dispute(CORA, 0);
        let number = given.dispute(CARL, 0);
        let cora = free(CORA) + bond_of(CORA);
        let_pass(number);
        assert!(Convictions::<Test>::contains_key(given.claim));
        // Hers convicts of her own claim at the same time.
        let both = Convictions::<Test>::contains_key(other.claim);
        assert!(both && free(CORA) > cora);
    });
}

#[test]
fn a_convicted_job_gives_the_user_the_whole_fee_back_from_its_escrow() {
    TestExt::new().execute_with(|| {
        let given = job(vec![10, 11, STOP], Finish::Eos);
        let number = given.dispute(CARL, 1);
        let uma = free(UMA);
        // The window's end comes and goes.
        let_pass(number);
        let fee = given.receipt.fee;
        assert_eq!(free(UMA), uma + fee);
        assert!(Convictions::<Test>::contains_key(given.claim));
        assert_eq!(provider(PETRA).exposure, 0);
        let returned = System::events().into_iter().any(|record| {
            matches!(
                record.event,
                RuntimeEvent::Disputes(Event::Convicted { returned, slashed, .. })
                    if returned == fee && slashed.refund == 0
            )
        });
        assert!(returned);
        pass(100);
        assert!(!Convictions::<Test>::contains_key(given.claim));
    });
}

#[test]
fn a_disputed_job_is_not_settled_before_the_end() {
    TestExt::new().execute_with(|| {
        let given = job(vec![10, 11, STOP], Finish::Eos);
        pass(20);
        let number = given.dispute(CARL, 1);
        let forged = super::forged::Forged::of(&given, 1);
        answer(PETRA, number, forged.answer(&given, 1)).unwrap();
        let maturing = provider(PETRA).maturing;
        let_pass(number);
        let Claim::Job(id) = given.claim else {
            unreachable!()
        };
        let settled = || {
            let job = pallet_jobs::Jobs::<Test>::get(id).unwrap();
            matches!(job.state, pallet_jobs::JobState::Settled { .. })
        };
        assert!(!settled());
        pass(31);
        assert!(settled());
        assert!(provider(PETRA).maturing > maturing);
    });
}

fn asked_at_all(given: &Given) -> u64 {
    given.dispute(CARL, None)
}

#[test]
fn a_header_that_the_user_signed_ends_the_question_whether_it_asked() {
    TestExt::new().execute_with(|| {
        let given = Given::in_channel(channel(10_000), 0, vec![10; 4]);
        pass(1);
        let number = asked_at_all(&given);
        let mut forged = given.signed_header();
        forged.signature = user_signature(b"anything");
        assert_noop!(
            answer(PETRA, number, Answer::Header(forged)),
            Error::<Test>::InvalidSignature
        );
        let other = given
            .clone()
            .with_header(|header| header.sampling.nonce = 9);
        assert_noop!(
            answer(PETRA, number, Answer::Header(other.signed_header())),
            Error::<Test>::WrongHeader
        );
        let trace = super::forged::Forged::of(&given, 0).answer(&given, 0);
        assert_noop!(
            answer(PETRA, number, trace),
            Error::<Test>::OtherMoveExpected
        );
        let petra = free(PETRA);
        assert_ok!(answer(PETRA, number, Answer::Header(given.signed_header())));
        assert!(is_over(number));
        assert_eq!(free(PETRA), petra + 20_000);
    });
}

#[test]
fn a_provider_without_a_signed_header_is_convicted() {
    TestExt::new().execute_with(|| {
        let given = Given::in_channel(channel(10_000), 0, vec![10; 4]);
        pass(1);
        let number = asked_at_all(&given);
        let_pass(number);
        assert!(Convictions::<Test>::contains_key(given.claim));
    });
}

#[test]
fn a_receipt_of_another_claim_is_held_against_nobody_under_this_one() {
    TestExt::new().execute_with(|| {
        let (one, two) = (channel(10_000), channel(10_000));
        let given = Given::in_channel(one, 0, vec![10; 4]);
        // A provider finds what it was asked by the claim: under another there is nothing to show.
        let claims = [
            Claim::Channel { id: two, seq: 0 },
            Claim::Channel { id: one, seq: 9 },
        ];
        for claim in claims {
            commit(CARL, &claim);
        }
        pass(1);
        for claim in claims {
            let open = |header| {
                let mut framed = given.statement();
                framed.header = header;
                let by = RuntimeOrigin::signed(CARL);
                Disputes::open(by, claim, framed, None, SALT, None)
            };
            assert_noop!(open(None), Error::<Test>::HeaderMissing);
            let header = Some(given.header.clone());
            assert_noop!(open(header), Error::<Test>::WrongHeader);
        }
    });
}

/// What its channels paid has matured, so the stake gives nothing back; a voucher must not pay for the answer yet.
#[test]
fn what_the_stake_does_not_give_back_comes_from_the_deposit() {
    TestExt::new().execute_with(|| {
        let id = channel(10_000);
        while provider(PETRA).channel_exposure > 0 {
            pass(1);
        }
        let given = Given::in_channel(id, 0, vec![10; 40]);
        let fee = given.receipt.fee;
        assert!(fee < 10_000);
        pass(1);
        let number = given.dispute(CARL, 0);
        let uma = free(UMA);
        let_pass(number);
        assert_eq!(free(UMA), uma + fee);
        let kept = Channels::channel(id).unwrap();
        assert_eq!((kept.settled, kept.refunded), (10_000 + fee, fee));
        let maturing = provider(PETRA).maturing;
        assert!(settle(id, 10_000 + fee).is_err());
        assert_eq!(provider(PETRA).maturing, maturing);
    });
}

/// A friend's receipt could bill whatever it likes, and leave nothing of the stake for other claims.
#[test]
fn a_slash_counts_no_more_than_was_put_into_the_claim() {
    TestExt::new().execute_with(|| {
        let id = channel(2_000);
        let given = Given::in_channel(id, 0, vec![10; 4]);
        let given = given.with_receipt(|receipt| receipt.fee = u128::MAX);
        pass(1);
        commit(CARL, &given.claim);
        pass(1);
        Providers::bond_extra(RuntimeOrigin::signed(PETRA), 100 * DEPOSIT).unwrap();
        let bond = provider(PETRA).bond;
        assert_ok!(given.accuse(CARL, Evidence::Face));
        let taken = DEPOSIT * MULTIPLE;
        assert!(bond / 10 < taken && taken < bond);
        assert_eq!(provider(PETRA).bond, bond - taken);
    });
}

/// Who is accused before it has settled could close its channel, so that the answer had cost nothing.
#[test]
fn closing_a_channel_makes_no_slash_smaller() {
    TestExt::new().execute_with(|| {
        let id = channel(0);
        let given = Given::in_channel(id, 0, vec![10; 40]);
        let fee = given.receipt.fee;
        pass(1);
        let number = given.dispute(CARL, 0);
        assert_ok!(Channels::close(RuntimeOrigin::signed(PETRA), id, None));
        let bond = provider(PETRA).bond;
        assert!(bond / 10 < fee * MULTIPLE);
        let_pass(number);
        assert_eq!(provider(PETRA).bond, bond - fee * MULTIPLE);
    });
}

/// Whose answer is disputed could have a friend convict it of a cheap receipt for the same request.
#[test]
fn the_dearest_receipt_that_is_disputed_is_what_the_user_gets_back() {
    TestExt::new().execute_with(|| {
        let given = Given::in_channel(channel(10_000), 0, vec![10; 4]);
        let fee = given.receipt.fee;
        assert!(fee > 0);
        let cheap = given.clone().with_receipt(|receipt| receipt.fee = 0);
        pass(1);
        let [carls, _] = [CARL, CORA].map(|who| commit(who, &given.claim));
        pass(1);
        assert_ok!(given.open(CARL, 0));
        let uma = free(UMA);
        let backing = Channels::facts(&given.claim).unwrap().backing;
        assert_ok!(cheap.accuse(CORA, Evidence::Face));
        assert_eq!(Convictions::<Test>::get(given.claim), Some(carls));
        assert_eq!(free(UMA), uma + fee);
        let left = Channels::facts(&given.claim).unwrap().backing;
        assert_eq!(left, backing - fee);
    });
}

/// A note of it would be kept as long as the channel, and cost nothing.
#[test]
fn a_provider_that_has_nothing_left_is_not_convicted_again_for_nothing() {
    TestExt::new().execute_with(|| {
        let id = channel(10_000);
        let convict = |seq, fee| {
            let given = Given::in_channel(id, seq, vec![10; 4]);
            let given = given.with_receipt(|receipt| receipt.fee = fee);
            pass(1);
            commit(CARL, &given.claim);
            pass(1);
            given.accuse(CARL, Evidence::Face)
        };
        assert_ok!(convict(0, BOND));
        assert_eq!(provider(PETRA).bond, 0);
        assert_err!(convict(1, 0), Error::<Test>::NothingToTake);
    });
}

#[test]
fn a_trace_is_forgotten_when_its_receipt_cannot_be_disputed_any_more() {
    TestExt::new().execute_with(|| {
        let (given, number, forged) = disputed(7);
        answer(PETRA, number, forged.answer(&given, 7)).unwrap();
        let_pass(number);
        assert_eq!(Traces::<Test>::iter().count(), 1);
        pass(70);
        assert_eq!(Traces::<Test>::iter().count(), 0);
    });
}

#[test]
fn a_conviction_is_noted_as_long_as_the_claim_is() {
    TestExt::new().execute_with(|| {
        let (given, number, _) = disputed(7);
        let_pass(number);
        pass(100);
        assert!(Convictions::<Test>::contains_key(given.claim));
        commit(CORA, &given.claim);
        let later = Given::in_channel(
            match given.claim {
                Claim::Channel { id, .. } => id,
                Claim::Job(_) => unreachable!(),
            },
            0,
            vec![11; 3],
        );
        pass(1);
        assert_noop!(later.open(CORA, 0), Error::<Test>::AlreadyConvicted);
        let Claim::Channel { id, .. } = given.claim else {
            unreachable!()
        };
        Channels::close(RuntimeOrigin::signed(PETRA), id, None).unwrap();
        pass(200);
        assert!(Channels::facts(&given.claim).is_none());
        assert!(!Convictions::<Test>::contains_key(given.claim));
    });
}

#[test]
fn a_provider_that_is_disputed_keeps_its_stake_and_cannot_leave() {
    TestExt::new().execute_with(|| {
        let (given, number, forged) = disputed(7);
        answer(PETRA, number, forged.answer(&given, 7)).unwrap();
        let by = || RuntimeOrigin::signed(PETRA);
        Providers::remove_offer(by(), listing()).unwrap();
        let maturing = provider(PETRA).maturing;
        for _ in 0..12 {
            pass(4);
            match crate::Disputes::<Test>::get(number) {
                Some(record) if record.stage.side() == crate::Side::Challenger => {
                    let _ = choose(CARL, number, crate::Choice::Node(0));
                }
                Some(_) if matches!(stage(number), crate::Stage::Node { .. }) => {
                    let crate::Stage::Node { level, index, .. } = stage(number) else {
                        unreachable!()
                    };
                    let _ = reveal(PETRA, number, forged.below(level, index));
                }
                _ => {}
            }
            if !is_over(number) {
                assert_eq!(provider(PETRA).maturing, maturing);
                assert!(Providers::deregister(by()).is_err());
            }
        }
    });
}

#[test]
fn a_provider_that_left_and_came_back_is_another() {
    TestExt::new().execute_with(|| {
        let given = Given::in_channel(channel(0), 0, vec![10; 4]);
        pass(1);
        let by = || RuntimeOrigin::signed(PETRA);
        commit(CARL, &given.claim);
        Providers::remove_offer(by(), listing()).unwrap();
        Providers::unbond(by(), BOND).unwrap();
        pass(100);
        Providers::withdraw_unbonded(by()).unwrap();
        Providers::deregister(by()).unwrap();
        let Claim::Channel { id, .. } = given.claim else {
            unreachable!()
        };
        let later = Given::in_channel(id, 0, vec![10; 4]);
        commit(CARL, &later.claim);
        pass(1);
        assert_noop!(later.open(CARL, 0), Error::<Test>::ProviderGone);
        register_provider(PETRA);
        assert_noop!(later.open(CARL, 0), Error::<Test>::ProviderGone);
        let facts = Channels::facts(&given.claim);
        assert!(matches!(
            facts.map(|facts| facts.request),
            None | Some(Request::SignedBy(_))
        ));
    });
}
