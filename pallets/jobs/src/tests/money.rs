//! Random stories, told to the pallets and to a model of their money.

use super::ledger::{Job, Ledger, Stage, CAPACITY, STASHES, USERS};
use crate::mock::*;
use assay_primitives::{Balance, Finish, Price};
use frame_support::assert_ok;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Submit {
        user: u64,
        prompt: u32,
        output: u32,
        least: u32,
        max_fee: Balance,
        named: Option<u64>,
    },
    Cancel {
        user: u64,
        job: usize,
    },
    Decline {
        job: usize,
    },
    Deliver {
        job: usize,
        length: u32,
    },
    Finalize {
        job: usize,
    },
    SetOffer {
        stash: u64,
        price: Price,
    },
    SetOnline {
        stash: u64,
        online: bool,
    },
    Bond {
        stash: u64,
        amount: Balance,
    },
    Unbond {
        stash: u64,
        amount: Balance,
    },
    Withdraw {
        stash: u64,
    },
    Claim,
    Freeze {
        job: usize,
    },
    Thaw {
        job: usize,
    },
    Convict {
        job: usize,
    },
    Wait {
        blocks: u64,
        paused: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let user = || prop::sample::select(USERS.to_vec());
    let stash = || prop::sample::select(STASHES.to_vec());
    let job = || 0..usize::MAX;
    // Small amounts and large ones: the largest fees take up a whole bond.
    let amount = || prop_oneof![0..5_000u128, 0..200_000u128, 0..4_000_000u128];
    let least = prop_oneof![3 => Just(1), 1 => 0..32u32];
    let named = prop_oneof![3 => Just(None), 1 => stash().prop_map(Some)];
    let price = (0..2_000u128, prop_oneof![1..2_000u128, 1..200_000u128])
        .prop_map(|(input, output)| Price { input, output });
    prop_oneof![
        8 => (user(), 1..30u32, 1..32u32, least, amount(), named).prop_map(
            |(user, prompt, output, least, max_fee, named)| {
                Step::Submit { user, prompt, output, least, max_fee, named }
            }
        ),
        1 => (user(), job()).prop_map(|(user, job)| Step::Cancel { user, job }),
        2 => job().prop_map(|job| Step::Decline { job }),
        8 => (job(), 1..32u32).prop_map(|(job, length)| Step::Deliver { job, length }),
        1 => job().prop_map(|job| Step::Finalize { job }),
        2 => (stash(), price).prop_map(|(stash, price)| Step::SetOffer { stash, price }),
        1 => (stash(), any::<bool>())
            .prop_map(|(stash, online)| Step::SetOnline { stash, online }),
        2 => (stash(), amount()).prop_map(|(stash, amount)| Step::Bond { stash, amount }),
        2 => (stash(), amount()).prop_map(|(stash, amount)| Step::Unbond { stash, amount }),
        1 => stash().prop_map(|stash| Step::Withdraw { stash }),
        1 => Just(Step::Claim),
        4 => job().prop_map(|job| Step::Freeze { job }),
        4 => job().prop_map(|job| Step::Thaw { job }),
        1 => job().prop_map(|job| Step::Convict { job }),
        10 => (1..9u64, prop::bool::weighted(0.2))
            .prop_map(|(blocks, paused)| Step::Wait { blocks, paused }),
    ]
}

/// Do the step on the chain and in the ledger, and see that they agree on whether it may be done.
fn apply(ledger: &mut Ledger, step: &Step) {
    let by = RuntimeOrigin::signed;
    let pick = |ledger: &Ledger, at: usize| -> Option<(u64, Job)> {
        let count = ledger.jobs.len();
        let (id, job) = ledger.jobs.iter().nth(at.checked_rem(count)?)?;
        Some((*id, job.clone()))
    };
    match *step {
        Step::Submit {
            user,
            prompt,
            output,
            least,
            max_fee,
            named,
        } => {
            let job = Job {
                user,
                prompt_len: prompt,
                output_limit: output,
                min_output: least,
                max_fee,
                named,
                price: Price::default(),
                exposure: 0,
                escrow: max_fee,
                draws: 0,
                excluded: vec![],
                disputes: 0,
                stage: Stage::Waiting {
                    draw_at: ledger.now + 2,
                },
            };
            let ask = Ask {
                user,
                prompt: vec![7; prompt as usize],
                output_limit: output,
                min_output: least,
                max_fee,
                provider: named,
                ..Ask::default()
            };
            assert_eq!(ask.submit().is_ok(), ledger.submit(job), "{step:?}");
        }
        Step::Cancel { user, job } => {
            let Some((id, job)) = pick(ledger, job) else {
                return;
            };
            let allowed = job.user == user && matches!(job.stage, Stage::Waiting { .. });
            assert_eq!(Jobs::cancel(by(user), id).is_ok(), allowed, "{step:?}");
            if allowed {
                ledger.refund(id);
            }
        }
        Step::Decline { job } => {
            let Some((id, job)) = pick(ledger, job) else {
                return;
            };
            match job.stage {
                Stage::Assigned { provider, .. } => {
                    assert_ok!(Jobs::decline(by(operator(provider)), id));
                    ledger.send_back(id, provider);
                }
                _ => assert!(Jobs::decline(by(operator(PETRA)), id).is_err()),
            }
        }
        Step::Deliver { job, length } => {
            let Some((id, job)) = pick(ledger, job) else {
                return;
            };
            let Stage::Assigned {
                provider,
                limit,
                at,
                ..
            } = job.stage
            else {
                return;
            };
            let length = length.min(limit);
            let answer = Answer::to(id, stopped(length as usize), Finish::Eos);
            let allowed = ledger.now > at;
            assert_eq!(
                answer.deliver(operator(provider)).is_ok(),
                allowed,
                "{step:?}"
            );
            if allowed {
                ledger.deliver(id, length);
            }
        }
        Step::Finalize { job } => {
            let Some((id, _)) = pick(ledger, job) else {
                return;
            };
            // The chain has done what was due.
            assert!(Jobs::finalize(by(SAM), id).is_err());
        }
        Step::SetOffer { stash, price } => {
            set_offer(stash, price, CAPACITY);
            let now = ledger.now;
            let provider = ledger.providers.get_mut(&stash).unwrap();
            (provider.price, provider.since) = (price, now);
        }
        Step::SetOnline { stash, online } => {
            assert_ok!(Providers::set_online(by(operator(stash)), online));
            ledger.providers.get_mut(&stash).unwrap().online = online;
        }
        Step::Bond { stash, amount } => {
            let allowed = ledger.providers[&stash].bond + amount >= BOND;
            assert_eq!(
                Providers::bond_extra(by(stash), amount).is_ok(),
                allowed,
                "{step:?}"
            );
            if allowed {
                ledger.debit(stash, amount);
                ledger.providers.get_mut(&stash).unwrap().bond += amount;
            }
        }
        Step::Unbond { stash, amount } => {
            let (exposure, due) = (ledger.exposure(stash), ledger.clock() + 100);
            let idle = ledger.open(stash).next().is_none();
            let provider = ledger.providers.get_mut(&stash).unwrap();
            let last = provider.unbonding.last().map(|(due, _)| *due);
            let allowed = provider.bond.checked_sub(amount).is_some_and(|rest| {
                (rest == 0 || rest >= BOND)
                    && 4 * rest >= exposure
                    && (rest > 0 || idle)
                    && (provider.unbonding.len() < 4 || last == Some(due))
            });
            assert_eq!(
                Providers::unbond(by(stash), amount).is_ok(),
                allowed,
                "{step:?}"
            );
            if allowed {
                provider.bond -= amount;
                match provider.unbonding.last_mut() {
                    Some((at, sum)) if *at == due => *sum += amount,
                    _ => provider.unbonding.push((due, amount)),
                }
            }
        }
        Step::Withdraw { stash } => {
            let now = ledger.clock();
            let provider = ledger.providers.get_mut(&stash).unwrap();
            let disputed = provider.disputes > 0;
            let (due, left): (Vec<_>, Vec<_>) = std::mem::take(&mut provider.unbonding)
                .into_iter()
                .partition(|(at, _)| *at <= now && !disputed);
            provider.unbonding = left;
            let allowed = !due.is_empty();
            assert_eq!(
                Providers::withdraw_unbonded(by(stash)).is_ok(),
                allowed,
                "{step:?}"
            );
            let amount: Balance = due.into_iter().map(|(_, amount)| amount).sum();
            *ledger.free.get_mut(&stash).unwrap() += amount;
        }
        Step::Claim => {
            let allowed = ledger.claim();
            assert_eq!(Models::claim_royalties(by(SAM), listing()).is_ok(), allowed);
        }
        Step::Freeze { job } => {
            let Some((id, job)) = pick(ledger, job) else {
                return;
            };
            let allowed = matches!(job.stage, Stage::Delivered { .. });
            assert_eq!(facts(id).is_some(), allowed, "{step:?}");
            if allowed {
                freeze(id);
                ledger.freeze(id);
            }
        }
        Step::Thaw { job } => {
            if let Some((id, _)) = pick(ledger, job).filter(|(_, job)| job.disputes > 0) {
                thaw(id);
                ledger.thaw(id);
            }
        }
        Step::Convict { job } => {
            let Some((id, job)) = pick(ledger, job) else {
                return;
            };
            if job.disputes > 0 && matches!(job.stage, Stage::Delivered { .. }) {
                assert_eq!(convict(id), ledger.convict(id), "{step:?}");
            }
        }
        Step::Wait { blocks, paused } => {
            IsPaused::set(paused);
            for _ in 0..blocks {
                System::reset_events();
                run_to(ledger.now + 1);
                ledger.advance(paused);
            }
            IsPaused::set(false);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 160,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_money_of_any_story_is_accounted_for(
        steps in prop::collection::vec(step(), 60),
        treasury in prop::sample::select(vec![0, EXISTENTIAL_DEPOSIT]),
    ) {
        let rich = 1_000_000_000_000;
        let ext = TestExt::new()
            .providers(&STASHES)
            .endow(UMA, rich)
            .endow(URS, rich)
            .endow(PETRA, rich)
            .endow(TREASURY, treasury);
        ext.execute_with(|| {
            let mut ledger = Ledger::new();
            for step in &steps {
                apply(&mut ledger, step);
                ledger.compare();
                check_books();
            }
        });
    }
}
