//! Random stories, told to the pallet and to a model of its money.

use super::ledger::{Ledger, Provider, NOBODY, STASHES};
use crate::mock::*;
use assay_primitives::{Balance, DrawRequest, EraEnded, Market, Outcome, Price};
use frame_support::assert_ok;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Register {
        stash: u64,
        bond: Balance,
    },
    Deregister {
        stash: u64,
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
    SetOffer {
        stash: u64,
        price: Price,
    },
    RemoveOffer {
        stash: u64,
    },
    EvictOffer {
        by: u64,
        stash: u64,
    },
    Assign {
        stash: u64,
        budget: Balance,
        least: u32,
    },
    Deliver {
        stash: u64,
        percent: Balance,
    },
    Close {
        stash: u64,
    },
    SendBack {
        stash: u64,
        outcome: Outcome,
    },
    Earn {
        stash: u64,
        amount: Balance,
    },
    Compensate {
        stash: u64,
        amount: Balance,
    },
    EarnInChannel {
        stash: u64,
        fee: Balance,
    },
    Freeze {
        stash: u64,
    },
    Thaw {
        stash: u64,
    },
    Slash {
        stash: u64,
        fee: Balance,
        refund: Balance,
        challenger: u64,
    },
    Release {
        stash: u64,
    },
    Burn {
        stash: u64,
        amount: Balance,
    },
    EndEra {
        hours: u64,
    },
    Claim {
        stash: u64,
    },
    Wait {
        blocks: u64,
        idle: bool,
        paused: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let stash = || prop::sample::select(STASHES.to_vec());
    let stash_or_sam = prop::sample::select([&STASHES[..], &[SAM]].concat());
    let amount = || prop_oneof![0..1_000u128, 0..2 * BOND, Just(BOND)];
    let price = (0..2_000u128, 0..100_000u128).prop_map(|(input, output)| Price { input, output });
    // A challenger with nothing at all is paid what makes an account, and no less.
    let challenger = prop::sample::select([&STASHES[..], &[SAM, NOBODY]].concat());
    let outcome = prop::sample::select(vec![Outcome::Declined, Outcome::Missed]);
    prop_oneof![
        4 => (stash(), BOND - 5..3 * BOND)
            .prop_map(|(stash, bond)| Step::Register { stash, bond }),
        2 => stash().prop_map(|stash| Step::Deregister { stash }),
        2 => (stash(), amount()).prop_map(|(stash, amount)| Step::Bond { stash, amount }),
        4 => (stash(), amount()).prop_map(|(stash, amount)| Step::Unbond { stash, amount }),
        2 => stash().prop_map(|stash| Step::Withdraw { stash }),
        3 => (stash(), price).prop_map(|(stash, price)| Step::SetOffer { stash, price }),
        1 => stash().prop_map(|stash| Step::RemoveOffer { stash }),
        2 => (stash_or_sam, stash()).prop_map(|(by, stash)| Step::EvictOffer { by, stash }),
        5 => (stash(), 0..2 * BOND, 1..=16u32)
            .prop_map(|(stash, budget, least)| Step::Assign { stash, budget, least }),
        3 => (stash(), 0..=100u128)
            .prop_map(|(stash, percent)| Step::Deliver { stash, percent }),
        3 => stash().prop_map(|stash| Step::Close { stash }),
        2 => (stash(), outcome).prop_map(|(stash, outcome)| Step::SendBack { stash, outcome }),
        3 => (stash(), amount()).prop_map(|(stash, amount)| Step::Earn { stash, amount }),
        2 => (stash(), amount())
            .prop_map(|(stash, amount)| Step::Compensate { stash, amount }),
        3 => (stash(), 0..5_000u128)
            .prop_map(|(stash, fee)| Step::EarnInChannel { stash, fee }),
        3 => stash().prop_map(|stash| Step::Freeze { stash }),
        3 => stash().prop_map(|stash| Step::Thaw { stash }),
        2 => (stash(), 0..30_000u128, amount(), challenger)
            .prop_map(|(stash, fee, refund, challenger)| {
                Step::Slash { stash, fee, refund, challenger }
            }),
        2 => stash().prop_map(|stash| Step::Release { stash }),
        4 => (stash(), 0..9_000u128).prop_map(|(stash, amount)| Step::Burn { stash, amount }),
        3 => (0..30u64).prop_map(|hours| Step::EndEra { hours }),
        2 => stash().prop_map(|stash| Step::Claim { stash }),
        4 => (1..60u64, any::<bool>(), prop::bool::weighted(0.2))
            .prop_map(|(blocks, idle, paused)| Step::Wait { blocks, idle, paused }),
    ]
}

/// The next eighth of the maturing time, when that is over.
fn due_block(now: u64) -> u64 {
    (now + 40).div_ceil(5) * 5
}

fn apply(ledger: &mut Ledger, step: &Step) {
    let by = RuntimeOrigin::signed;
    let now = System::block_number() - StoodStill::get();
    match *step {
        Step::Register { stash, bond } => {
            let allowed = bond >= BOND && !ledger.providers.contains_key(&stash);
            assert_eq!(register(stash, bond).is_ok(), allowed, "{step:?}");
            if allowed {
                ledger.debit(stash, bond + provider_deposit());
                ledger.providers.insert(
                    stash,
                    Provider {
                        bond,
                        ..Default::default()
                    },
                );
            }
        }
        Step::Deregister { stash } => {
            let allowed = ledger.deregister(stash);
            assert_eq!(
                Providers::deregister(by(stash)).is_ok(),
                allowed,
                "{step:?}"
            );
        }
        Step::Bond { stash, amount } => {
            let provider = ledger.providers.get_mut(&stash);
            let allowed = provider.is_some_and(|provider| {
                let allowed = provider.bond + amount >= BOND;
                provider.bond += if allowed { amount } else { 0 };
                allowed
            });
            assert_eq!(
                Providers::bond_extra(by(stash), amount).is_ok(),
                allowed,
                "{step:?}"
            );
            if allowed {
                ledger.debit(stash, amount);
            }
        }
        Step::Unbond { stash, amount } => {
            let allowed = ledger.unbond(stash, amount, now + 100);
            assert_eq!(
                Providers::unbond(by(stash), amount).is_ok(),
                allowed,
                "{step:?}"
            );
        }
        Step::Withdraw { stash } => {
            let allowed = ledger.withdraw(stash, now);
            assert_eq!(
                Providers::withdraw_unbonded(by(stash)).is_ok(),
                allowed,
                "{step:?}"
            );
        }
        Step::SetOffer { stash, price } => {
            let allowed = ledger.set_offer(stash, price);
            assert_eq!(set_offer(stash, price).is_ok(), allowed, "{step:?}");
        }
        Step::RemoveOffer { stash } => {
            let allowed = ledger.remove_offer(stash);
            let result = Providers::remove_offer(by(stash), listing());
            assert_eq!(result.is_ok(), allowed, "{step:?}");
        }
        Step::EvictOffer { by: caller, stash } => {
            let allowed = ledger.evict_offer(caller, stash);
            let result = Providers::evict_offer(by(caller), listing(), stash);
            assert_eq!(result.is_ok(), allowed, "{step:?}");
        }
        Step::Assign {
            stash,
            budget,
            least,
        } => {
            let wish = DrawRequest {
                budget,
                min_output_tokens: least,
                ..request(Some(&stash), &[], 0)
            };
            let drawn = <Providers as Market<u64, u64>>::draw(&wish);
            let provider = ledger.providers.get_mut(&stash);
            let expected = provider.and_then(|provider| {
                let worst_case = provider.worst_case(budget, least)?;
                provider.open.push(worst_case);
                Some(worst_case)
            });
            assert_eq!(
                drawn.map(|drawn| drawn.worst_case_fee),
                expected,
                "{step:?}"
            );
        }
        Step::Deliver { stash, percent } => {
            let Some(provider) = ledger.providers.get_mut(&stash) else {
                return;
            };
            if let Some(worst_case) = provider.open.pop() {
                let fee = worst_case * percent / 100;
                provider.delivered.push(fee);
                deliver(stash, worst_case, fee);
            }
        }
        Step::Close { stash } => {
            let provider = ledger.providers.get_mut(&stash);
            if let Some(fee) = provider.and_then(|provider| provider.delivered.pop()) {
                close(stash, fee, fee, fee / 20);
            }
        }
        Step::SendBack { stash, outcome } => {
            let provider = ledger.providers.get_mut(&stash);
            if let Some(worst_case) = provider.and_then(|provider| provider.open.pop()) {
                resolve(stash, worst_case, outcome, 0);
            }
        }
        Step::Earn { stash, amount } => {
            let Some(provider) = ledger.providers.get_mut(&stash) else {
                return;
            };
            if amount > 0 {
                provider.maturing.entry(due_block(now)).or_default().0 += amount;
            }
            ledger.issued += amount;
            earn(stash, amount);
        }
        Step::EarnInChannel { stash, fee } => {
            let Some(provider) = ledger.providers.get_mut(&stash) else {
                return;
            };
            let earned = fee / 3;
            if fee > 0 {
                let entry = provider.maturing.entry(due_block(now)).or_default();
                *entry = (entry.0 + earned, entry.1 + fee);
            }
            ledger.issued += earned;
            earn_in_channel(stash, fee, earned);
        }
        Step::Freeze { stash } => {
            if let Some(provider) = ledger.providers.get_mut(&stash) {
                provider.disputes += 1;
                freeze(stash);
            }
        }
        Step::Thaw { stash } => {
            let provider = ledger.providers.get_mut(&stash);
            if let Some(provider) = provider.filter(|provider| provider.disputes > 0) {
                provider.disputes -= 1;
                thaw(stash);
            }
        }
        Step::Slash {
            stash,
            fee,
            refund,
            challenger,
        } => {
            if ledger.providers.contains_key(&stash) {
                let expected = ledger.slash(stash, fee, refund, challenger);
                assert_eq!(slash(stash, fee, refund, challenger), expected, "{step:?}");
            }
        }
        Step::Compensate { stash, amount } => {
            let paid = compensate(stash, UMA, amount).ok();
            assert_eq!(paid, ledger.compensate(stash, amount), "{step:?}");
        }
        Step::Release { stash } => {
            let provider = ledger.providers.get(&stash);
            let allowed = provider.is_some_and(|provider| provider.has_due(now));
            let result = Providers::release_earnings(by(SAM), stash);
            assert_eq!(result.is_ok(), allowed, "{step:?}");
            if allowed {
                ledger.release(stash, now);
            }
        }
        Step::Burn { stash, amount } => {
            ledger.burn(stash, amount, due_block(now));
            burn(stash, amount);
        }
        Step::EndEra { hours } => {
            <Providers as EraEnded>::era_ended(ledger.era, hours * DAY_MILLIS / 24);
            ledger.end_era(hours.into());
        }
        Step::Claim { stash } => {
            let allowed = ledger.reward(stash, due_block(now));
            let result = Providers::claim_reward(by(SAM), stash);
            assert_eq!(result.is_ok(), allowed, "{step:?}");
        }
        Step::Wait {
            blocks,
            idle,
            paused,
        } => {
            IdleWeight::set(if idle {
                frame_support::weights::Weight::MAX
            } else {
                Default::default()
            });
            System::reset_events();
            IsPaused::set(paused);
            run_to(System::block_number() + blocks);
            IsPaused::set(false);
            if idle {
                ledger.release_all(if paused { now } else { now + blocks - 1 });
            }
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
    fn the_money_of_any_story_is_accounted_for(steps in prop::collection::vec(step(), 60)) {
        TestExt::new().execute_with(|| {
            for stash in STASHES {
                assert_ok!(register(stash, BOND));
            }
            let mut ledger = Ledger::new();
            for stash in STASHES {
                let provider = Provider { bond: BOND, ..Default::default() };
                ledger.providers.insert(stash, provider);
            }
            for step in &steps {
                apply(&mut ledger, step);
                ledger.compare();
                check_books();
            }
        });
    }
}
