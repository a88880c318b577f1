use crate::{
    mock::*, Backing, EraProgress, EraRewards, EraStatus, Error, Event, Exposures, Points, Unpaid,
    ValidatorStatus, WeightInfo,
};
use assay_primitives::{Balance, EraIndex};
use frame_support::{
    assert_noop, assert_ok,
    dispatch::{DispatchClass, DispatchResultWithPostInfo, Pays},
    traits::{fungible::Mutate, tokens::Preservation},
};
use proptest::prelude::*;
use sp_runtime::{DispatchError, Permill};
use std::collections::BTreeMap;

const YEAR_MILLIS: Balance = 31_557_600_000;

/// Somebody makes the next blocks.
fn make_blocks(author: u64, blocks: u64) {
    Author::set(Some(author));
    run_to(System::block_number() + blocks);
    Author::set(None);
}

/// Go on to the first block of the next era, without any of an author's.
fn end_era() {
    let era = Validators::active_era();
    while Validators::active_era() == era {
        run_to(System::block_number() + 1);
    }
}

/// Validators' part of somebody's transaction fees.
fn pay_fees(amount: Balance) {
    let pot = Validators::pot_account();
    Balances::transfer(&SAM, &pot, amount, Preservation::Preserve).unwrap();
}

fn payout(validator: u64, era: EraIndex) -> DispatchResultWithPostInfo {
    Validators::payout(RuntimeOrigin::signed(SAM), validator, era)
}

/// A fortieth of all money in a year.
fn emission(issuance: Balance, millis: Balance) -> Balance {
    issuance / 40 * millis / YEAR_MILLIS
}

#[test]
fn a_pot_is_the_fees_and_what_is_minted_divided_by_blocks() {
    TestExt::new().execute_with(|| {
        let issued = Balances::total_issuance();
        make_blocks(VERA, 6);
        let weight = System::block_weight();
        let expected = <() as WeightInfo>::note_points();
        assert!(weight.get(DispatchClass::Mandatory).all_gte(expected));
        make_blocks(VITO, 3);
        pay_fees(1_000);
        let started = EraProgress::<Test>::get().started;
        // The first block has the time of none before it.
        assert_eq!(started, 6_000);
        assert_eq!(
            Validators::era(),
            EraStatus {
                era: 0,
                started,
                points: 9,
                pot: 1_000,
                emission: emission(issued, 9 * 6_000),
            }
        );
        assert_noop!(payout(VERA, 0), Error::<Test>::EraNotOver);
        end_era();
        // The time of an era is that of the last block before the next.
        let millis = u128::from((System::block_number() - 1) * 6_000 - started);
        let minted = emission(issued, millis);
        assert!(minted > 0);
        assert_eq!(Balances::total_issuance(), issued + minted);
        let pot = 1_000 + minted;
        System::assert_has_event(
            Event::EraRewarded {
                era: 0,
                points: 9,
                minted,
                pot,
            }
            .into(),
        );
        let [vera, vito] = [pot * 6 / 9, pot * 3 / 9];
        assert_eq!(Validators::rewards(VERA).unpaid, vec![(0, vera)]);
        assert_eq!(Validators::payees(VERA, 0), vec![(VERA, vera)]);

        let had = [VERA, VITO].map(free);
        assert_eq!(payout(VERA, 0).unwrap().pays_fee, Pays::No);
        System::assert_last_event(
            Event::RewardPaid {
                validator: VERA,
                era: 0,
                own: vera,
                nominators: 0,
            }
            .into(),
        );
        assert_ok!(payout(VITO, 0));
        assert_eq!([VERA, VITO].map(free), [had[0] + vera, had[1] + vito]);
        assert_eq!(Unpaid::<Test>::get(), pot - vera - vito);
        assert_eq!(Balances::total_issuance(), issued + minted);
    });
}

#[test]
fn nobody_is_paid_twice_or_for_nothing() {
    TestExt::new().execute_with(|| {
        make_blocks(VERA, 2);
        pay_fees(500);
        end_era();
        assert_ok!(payout(VERA, 0));
        assert_noop!(payout(VERA, 0), Error::<Test>::NothingToPay);
        assert_noop!(payout(VITO, 0), Error::<Test>::NothingToPay);
        assert_noop!(payout(NOBODY, 0), Error::<Test>::NothingToPay);
        assert_noop!(payout(VERA, 1), Error::<Test>::EraNotOver);
        assert_noop!(
            Validators::payout(RuntimeOrigin::none(), VERA, 0),
            DispatchError::BadOrigin
        );
        let none = ValidatorStatus {
            points: 0,
            expected: 0,
            unpaid: vec![],
        };
        assert_eq!(Validators::rewards(VERA), none);
        assert_eq!(Validators::payees(VERA, 0), vec![]);
    });
}

#[test]
fn a_validator_has_its_commission_and_the_rest_goes_by_what_each_staked() {
    TestExt::new().execute_with(|| {
        let by = RuntimeOrigin::signed(VERA);
        assert_ok!(Validators::validate(by, Permill::from_percent(10)));
        assert_ok!(nominate(NORA, BOND / 2, VERA));
        assert_ok!(nominate(NED, BOND / 4, VERA));
        end_era();
        end_era();
        let era = Validators::active_era();
        let exposure = exposure(era, VERA);
        assert_eq!((exposure.own, exposure.nominators.len()), (BOND, 2));

        make_blocks(VERA, 1);
        pay_fees(100_003);
        end_era();
        let pot = EraRewards::<Test>::get(era).unwrap().pot;
        // What is left after the tenth, in sevenths.
        let shared = pot - pot.div_ceil(10);
        let [nora, ned] = [shared * 2 / 7, shared / 7];
        let vera = pot - nora - ned;
        let mut payees = Validators::payees(VERA, era);
        payees.sort();
        assert_eq!(payees, vec![(VERA, vera), (NORA, nora), (NED, ned)]);
        let had = [VERA, NORA, NED].map(free);
        let weight = payout(VERA, era).unwrap().actual_weight.unwrap();
        assert_eq!(weight, <() as WeightInfo>::payout(2));
        assert_eq!(
            [VERA, NORA, NED].map(free),
            [had[0] + vera, had[1] + nora, had[2] + ned]
        );
        System::assert_last_event(
            Event::RewardPaid {
                validator: VERA,
                era,
                own: vera,
                nominators: nora + ned,
            }
            .into(),
        );
        // Not a planck of this pot is left.
        assert_eq!(EraRewards::<Test>::get(era).unwrap().unpaid, 0);
    });
}

#[test]
fn what_cannot_be_paid_is_in_the_next_pot() {
    TestExt::new().execute_with(|| {
        make_blocks(VERA, 1);
        pay_fees(10);
        end_era();
        let pot = EraRewards::<Test>::get(0).unwrap().pot;
        Exposures::<Test>::mutate(0, VERA, |exposure| {
            let backing = Backing {
                nominator: NOBODY,
                amount: BOND,
            };
            exposure
                .as_mut()
                .unwrap()
                .nominators
                .try_push(backing)
                .unwrap();
        });
        assert!(pot / 2 < EXISTENTIAL_DEPOSIT);
        let so_far = Validators::pot_so_far();
        assert_ok!(payout(VERA, 0));
        assert_eq!(free(NOBODY), 0);
        assert_eq!(Validators::pot_so_far(), so_far + pot / 2);
        assert_eq!(Unpaid::<Test>::get(), 0);
        Exposures::<Test>::mutate(0, VERA, |exposure| {
            exposure.as_mut().unwrap().nominators.clear();
        });
    });
}

#[test]
fn who_was_at_fault_gets_nothing_and_the_others_no_more() {
    TestExt::new().execute_with(|| {
        make_blocks(VERA, 1);
        make_blocks(VITO, 1);
        pay_fees(1_000);
        assert!(report(VERA, 0, 1));
        System::assert_has_event(
            Event::PointsForfeited {
                validator: VERA,
                era: 0,
                points: 1,
            }
            .into(),
        );
        end_era();
        let pot = EraRewards::<Test>::get(0).unwrap().pot;
        assert_noop!(payout(VERA, 0), Error::<Test>::NothingToPay);
        let had = free(VITO);
        assert_ok!(payout(VITO, 0));
        assert_eq!(free(VITO), had + pot / 2);
    });
}

#[test]
fn an_offence_costs_the_reward_of_its_era_when_that_is_over_too() {
    TestExt::new().execute_with(|| {
        make_blocks(VERA, 1);
        end_era();
        make_blocks(VERA, 1);
        assert!(report(VERA, 0, 1));
        assert_noop!(payout(VERA, 0), Error::<Test>::NothingToPay);
        assert_eq!(Points::<Test>::get(Validators::active_era(), VERA), 1);
    });
}

#[test]
fn what_nobody_asks_for_in_time_is_in_the_pot_of_the_era_under_way() {
    TestExt::new().execute_with(|| {
        make_blocks(VERA, 1);
        pay_fees(700);
        end_era();
        let pot = EraRewards::<Test>::get(0).unwrap().pot;
        assert_eq!((Unpaid::<Test>::get(), Validators::pot_so_far()), (pot, 0));
        while Exposures::<Test>::contains_key(0, VERA) {
            assert!(EraRewards::<Test>::contains_key(0));
            run_to(System::block_number() + 1);
        }
        System::assert_has_event(
            Event::EraExpired {
                era: 0,
                unpaid: pot,
            }
            .into(),
        );
        assert_noop!(payout(VERA, 0), Error::<Test>::NothingToPay);
        assert_eq!(Points::<Test>::iter().count(), 0);
        assert_eq!((Unpaid::<Test>::get(), Validators::pot_so_far()), (0, pot));

        make_blocks(VITO, 1);
        let era = Validators::active_era();
        end_era();
        assert!(EraRewards::<Test>::get(era).unwrap().pot > pot);
    });
}

#[test]
fn without_a_block_nothing_is_minted_and_the_fees_wait() {
    TestExt::new().execute_with(|| {
        let issued = Balances::total_issuance();
        pay_fees(300);
        end_era();
        assert_eq!(Balances::total_issuance(), issued);
        assert_eq!(EraRewards::<Test>::iter().count(), 0);
        assert_eq!(Validators::pot_so_far(), 300);
    });
}

#[test]
fn a_chain_that_stood_still_for_a_year_mints_for_a_day() {
    TestExt::new().execute_with(|| {
        make_blocks(VERA, 1);
        run_to(3 * SESSION_BLOCKS - 1);
        let issued = Balances::total_issuance();
        Timestamp::set_timestamp(YEAR_MILLIS as u64);
        end_era();
        let minted = Balances::total_issuance() - issued;
        assert_eq!(minted, emission(issued, 24 * 3_600_000));
        assert_eq!(EraProgress::<Test>::get().started, YEAR_MILLIS as u64);
    });
}

#[test]
fn an_era_whose_beginning_nobody_knows_mints_nothing() {
    TestExt::new().execute_with(|| {
        make_blocks(VERA, 1);
        EraProgress::<Test>::mutate(|era| era.started = 0);
        let issued = Balances::total_issuance();
        end_era();
        assert_eq!(Balances::total_issuance(), issued);
    });
}

#[test]
fn a_pot_that_genesis_forgot_keeps_the_deposit_of_what_comes_first() {
    TestExt::new().execute_with(|| {
        Balances::set_balance(&Validators::pot_account(), 0);
        let issued = Balances::total_issuance();
        make_blocks(VERA, 1);
        end_era();
        let minted = Balances::total_issuance() - issued;
        let pot = EraRewards::<Test>::get(0).unwrap().pot;
        assert_eq!(pot, minted - EXISTENTIAL_DEPOSIT);
        assert_ok!(payout(VERA, 0));
    });
}

#[derive(Clone, Debug)]
enum Step {
    Blocks {
        author: u64,
        blocks: u64,
    },
    /// Transaction fees, or a gift.
    Income {
        amount: Balance,
    },
    EndEra,
    Payout {
        validator: u64,
        era: EraIndex,
    },
    Report {
        validator: u64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let validator = || prop::sample::select(vec![VERA, VITO, VIGO, VANJA]);
    prop_oneof![
        6 => (validator(), 1..6u64).prop_map(|(author, blocks)| Step::Blocks { author, blocks }),
        4 => (0..20_000u128).prop_map(|amount| Step::Income { amount }),
        3 => Just(Step::EndEra),
        6 => (validator(), 0..9u32).prop_map(|(validator, era)| Step::Payout { validator, era }),
        1 => validator().prop_map(|validator| Step::Report { validator }),
    ]
}

/// The pot of an era that is over: its planck, its blocks, and whose they were.
type Pot = (Balance, u128, BTreeMap<u64, u128>);

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// What each validator is paid, against a model that only counts blocks and what came in.
    #[test]
    fn every_planck_of_the_pots_is_accounted_for(steps in prop::collection::vec(step(), 60)) {
        TestExt::new().parameters(|parameters| parameters.bonding_sessions = 84).execute_with(|| {
            let start = Balances::total_issuance();
            let (mut minted, mut came, mut paid): (Balance, Balance, Balance) = (0, 0, 0);
            let mut pots = BTreeMap::<EraIndex, Pot>::new();
            let mut blocks = BTreeMap::<u64, u128>::new();
            let mut lost = BTreeMap::<u64, u128>::new();
            for step in steps {
                let (era, issued) = (Validators::active_era(), Balances::total_issuance());
                match step.clone() {
                    Step::Blocks { author, blocks: number } => {
                        for _ in 0..number {
                            let before = Validators::active_era();
                            let so_far = Validators::pot_so_far();
                            let issued = Balances::total_issuance();
                            make_blocks(author, 1);
                            if Validators::active_era() != before {
                                let new = Balances::total_issuance() - issued;
                                close_era(before, so_far + new, &mut blocks, &mut lost, &mut pots);
                            }
                            // An era's first block counts for it already.
                            *blocks.entry(author).or_default() += 1;
                        }
                    }
                    Step::Income { amount } => {
                        pay_fees(amount);
                        came += amount;
                    }
                    Step::EndEra => {
                        let so_far = Validators::pot_so_far();
                        end_era();
                        let new = Balances::total_issuance() - issued;
                        close_era(era, so_far + new, &mut blocks, &mut lost, &mut pots);
                    }
                    Step::Payout { validator, era: of } => {
                        let had = free(validator);
                        let owed = pots.get_mut(&of).and_then(|(pot, points, of)| {
                            Some(*pot * of.remove(&validator)? / *points)
                        });
                        assert_eq!(payout(validator, of).is_ok(), owed.is_some(), "{step:?}");
                        assert_eq!(free(validator) - had, owed.unwrap_or(0), "{step:?}");
                        paid += owed.unwrap_or(0);
                    }
                    Step::Report { validator } => {
                        let before = Balances::total_issuance();
                        report(validator, Session::current_index(), System::block_number());
                        // Not a second time in a session, nor whoever is in no set any more.
                        if Points::<Test>::get(era, validator) == 0 {
                            let mine = blocks.remove(&validator).unwrap_or(0);
                            *lost.entry(validator).or_default() += mine;
                        }
                        assert_eq!(Balances::total_issuance(), before);
                    }
                }
                minted += Balances::total_issuance() - issued;
                // Whatever came and was not paid is in the pot's account.
                assert_eq!(
                    free(Validators::pot_account()),
                    EXISTENTIAL_DEPOSIT + came + minted - paid
                );
                assert_eq!(Balances::total_issuance(), start + minted);
                check_books();
            }
        });
    }
}

/// The model's era is over: its pot is set apart, to be divided by all blocks, also those of who was at fault.
fn close_era(
    era: EraIndex,
    pot: Balance,
    blocks: &mut BTreeMap<u64, u128>,
    lost: &mut BTreeMap<u64, u128>,
    pots: &mut BTreeMap<EraIndex, Pot>,
) {
    let points = blocks.values().chain(lost.values()).sum();
    if points > 0 {
        assert_eq!(EraRewards::<Test>::get(era).unwrap().pot, pot);
        pots.insert(era, (pot, points, std::mem::take(blocks)));
    }
    blocks.clear();
    lost.clear();
}
