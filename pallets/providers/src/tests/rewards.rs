use crate::{
    mock::*, Burn, BurnSoFar, Error, Event, HoldReason, ProviderReward, RewardPools, REWARD_ERAS,
};
use assay_primitives::{Balance, EraEnded, Market, Settlement};
use frame_support::{
    assert_noop, assert_ok,
    dispatch::{DispatchResultWithPostInfo, Pays},
    traits::{
        fungible::{Inspect, Mutate},
        tokens::{Fortitude, Precision, Preservation},
    },
};
use proptest::prelude::*;
use sp_runtime::Permill;

fn claim(stash: u64) -> DispatchResultWithPostInfo {
    Providers::claim_reward(RuntimeOrigin::signed(SAM), stash)
}

fn maturing(stash: u64) -> Balance {
    held(HoldReason::Maturing, stash)
}

#[test]
fn a_provider_gets_back_a_share_of_what_its_settlements_burned() {
    TestExt::new().provider(PETRA, BOND).execute_with(|| {
        burn(PETRA, 700);
        burn(PETRA, 300);
        let reward = ProviderReward {
            era: 0,
            burned: 1_000,
            burned_by_all: 1_000,
            due: 0,
        };
        assert_eq!(Providers::reward(PETRA), Some(reward));
        assert_noop!(claim(PETRA), Error::<Test>::NoReward);

        let (issued, before) = (Balances::total_issuance(), free(PETRA));
        end_era();
        System::assert_last_event(
            Event::EraEnded {
                era: 0,
                burned: 1_000,
                pool: 800,
            }
            .into(),
        );
        // Nothing is minted before it is claimed.
        assert_eq!(Balances::total_issuance(), issued);
        let reward = ProviderReward {
            era: 1,
            burned: 0,
            burned_by_all: 0,
            due: 800,
        };
        assert_eq!(Providers::reward(PETRA), Some(reward));

        assert_eq!(claim(PETRA).unwrap().pays_fee, Pays::No);
        System::assert_last_event(
            Event::Rewarded {
                provider: PETRA,
                era: 0,
                amount: 800,
            }
            .into(),
        );
        assert_eq!(Balances::total_issuance(), issued + 800);
        assert_eq!((free(PETRA), maturing(PETRA)), (before, 800));
        assert_noop!(claim(PETRA), Error::<Test>::NoReward);
        run_to(46);
        assert_eq!((free(PETRA), maturing(PETRA)), (before + 800, 0));
    });
}

#[test]
fn a_settled_job_counts_with_what_it_burned_and_nothing_else() {
    TestExt::new().provider(PETRA, BOND).execute_with(|| {
        assign(PETRA).unwrap();
        deliver(PETRA, WORST_CASE, WORST_CASE);
        let percent = Permill::from_percent;
        let settlement = Settlement::divide(WORST_CASE, percent(10), percent(20), percent(40));
        <Providers as Market<u64, u64>>::close(&PETRA, &settlement);
        let burned = settlement.burned;
        assert!(burned > 0 && burned < settlement.protocol_fee());
        assert_eq!(
            record(PETRA).burned,
            Burn {
                era: 0,
                amount: burned
            }
        );
        // Compensations and slashes burn too, and count for nothing.
        compensate(PETRA, UMA, 1_000).unwrap();
        slash(PETRA, 1_000, 0, SAM);
        assert_eq!(BurnSoFar::<Test>::get().amount, burned);
    });
}

#[test]
fn a_pool_is_divided_by_what_each_burned() {
    let story = TestExt::new().provider(PETRA, BOND).provider(PIUS, BOND);
    story.execute_with(|| {
        burn(PETRA, 30_000);
        burn(PIUS, 10_000);
        burn(PETRA, 1);
        end_era();
        assert_eq!(RewardPools::<Test>::get(0).unwrap().amount, MAX_PER_ERA);
        assert_ok!(claim(PIUS));
        assert_ok!(claim(PETRA));
        // The remainder of a planck is never minted.
        assert_eq!((maturing(PETRA), maturing(PIUS)), (7_500, 2_499));
    });
}

#[test]
fn a_short_era_has_a_small_pool() {
    TestExt::new().provider(PETRA, BOND).execute_with(|| {
        burn(PETRA, 1_000_000);
        // A hundredth of the issuance in a year.
        let yearly = Balances::total_issuance() / 100;
        <Providers as EraEnded>::era_ended(0, DAY_MILLIS / 4);
        let expected = yearly * 4 / (4 * 1_461);
        assert!(expected > 0 && expected < MAX_PER_ERA);
        assert_eq!(RewardPools::<Test>::get(0).unwrap().amount, expected);
        burn(PETRA, 1_000_000);
        <Providers as EraEnded>::era_ended(1, 0);
        assert_eq!(RewardPools::<Test>::get(1), None);
    });
}

#[test]
fn a_settlement_in_a_later_era_pays_the_reward_of_the_era_before() {
    TestExt::new().provider(PETRA, BOND).execute_with(|| {
        burn(PETRA, 1_000);
        end_era();
        end_era();
        burn(PETRA, 10);
        assert_eq!(maturing(PETRA), 800);
        assert_eq!(record(PETRA).burned, Burn { era: 2, amount: 10 });
        burn(PETRA, 5);
        assert_eq!(maturing(PETRA), 800);
        end_era();
        assert_ok!(claim(PETRA));
        assert_eq!(maturing(PETRA), 812);
    });
}

#[test]
fn a_reward_that_nobody_claims_for_long_is_never_minted() {
    TestExt::new().provider(PETRA, BOND).execute_with(|| {
        burn(PETRA, 1_000);
        for _ in 0..REWARD_ERAS {
            end_era();
        }
        assert_eq!(Providers::reward(PETRA).unwrap().due, 800);
        end_era();
        assert_eq!(RewardPools::<Test>::iter().count(), 0);
        assert_noop!(claim(PETRA), Error::<Test>::NoReward);
        let issued = Balances::total_issuance();
        burn(PETRA, 7);
        assert_eq!(Balances::total_issuance(), issued - 7);
    });
}

#[test]
fn a_conviction_takes_rewards_that_mature_and_those_to_come() {
    TestExt::new().provider(PETRA, BOND).execute_with(|| {
        burn(PETRA, 1_000);
        end_era();
        assert_ok!(claim(PETRA));
        burn(PETRA, 500);
        end_era();
        let issued = Balances::total_issuance();
        slash(PETRA, 0, 0, SAM);
        // The bond's least slash, and the reward that was maturing.
        let taken = BOND / 10 + 800;
        assert_eq!(
            Balances::total_issuance(),
            issued - (taken - taken * 4 / 10)
        );
        assert_eq!(maturing(PETRA), 0);
        assert_noop!(claim(PETRA), Error::<Test>::NoReward);
    });
}

#[test]
fn what_is_burned_for_a_provider_that_left_counts_for_nobody() {
    TestExt::new().provider(PETRA, BOND).execute_with(|| {
        burn(PIUS, 1_000);
        assert_eq!(BurnSoFar::<Test>::get().amount, 0);
        assert_noop!(claim(PIUS), Error::<Test>::UnknownProvider);
        assert_eq!(Providers::reward(PIUS), None);
        assert_noop!(
            Providers::claim_reward(RuntimeOrigin::none(), PETRA),
            sp_runtime::DispatchError::BadOrigin
        );
    });
}

#[test]
fn whoever_leaves_loses_what_it_did_not_claim() {
    TestExt::new().provider(PETRA, BOND).execute_with(|| {
        burn(PETRA, 1_000);
        end_era();
        let by = || RuntimeOrigin::signed(PETRA);
        assert_ok!(Providers::remove_offer(by(), listing()));
        assert_ok!(Providers::unbond(by(), BOND));
        run_to(102);
        assert_ok!(Providers::withdraw_unbonded(by()));
        assert_ok!(Providers::deregister(by()));
        register(PETRA, BOND).unwrap();
        assert_noop!(claim(PETRA), Error::<Test>::NoReward);
    });
}

/// Part of a fee, as jobs and channels pay it out of `user`'s money.
fn settle(user: u64, provider: u64, publisher: u64, treasury: u64, settlement: &Settlement) {
    let pay = |to, amount| {
        Balances::transfer(&user, &to, amount, Preservation::Protect).unwrap();
    };
    pay(publisher, settlement.royalty);
    pay(treasury, settlement.treasury);
    Balances::burn_from(
        &user,
        settlement.burned,
        Preservation::Protect,
        Precision::Exact,
        Fortitude::Polite,
    )
    .unwrap();
    pay(provider, settlement.provider);
    <Providers as Market<u64, u64>>::mature(&provider, settlement.provider).unwrap();
    <Providers as Market<u64, u64>>::note_burned(&provider, settlement.burned);
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 96,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Petra and Uma, who publishes the model too, are one. Whatever they pay each other, in whichever
    /// pieces and eras, beside what honest Pius settles: they never have more than before, and all
    /// that was minted is less than what was burned.
    #[test]
    fn paying_oneself_never_pays(
        protocol_fee in 0..=1_000_000u32,
        burned_share in 0..=1_000_000u32,
        royalty in 0..=200_000u32,
        return_share in 0..=900_000u32,
        payments in prop::collection::vec((0..200_000u128, any::<bool>(), 0..3u8), 1..40),
    ) {
        let story = TestExt::new().provider(PETRA, BOND).provider(PIUS, BOND);
        story.execute_with(|| {
            let mut parameters = parameters();
            parameters.rewards.return_share = Permill::from_parts(return_share);
            parameters.rewards.emission.max_per_era = Balance::MAX;
            assert_ok!(Providers::set_parameters(RuntimeOrigin::root(), parameters));
            let wealth = || [PETRA, UMA].map(|who| Balances::total_balance(&who)).iter().sum::<Balance>();
            let (had, issued) = (wealth(), Balances::total_issuance());
            let mut burned = 0;
            for (fee, honest, eras) in payments {
                let settlement = Settlement::divide(
                    fee,
                    Permill::from_parts(royalty),
                    Permill::from_parts(protocol_fee),
                    Permill::from_parts(burned_share),
                );
                burned += settlement.burned;
                match honest {
                    true => settle(SAM, PIUS, PAULA, PAVEL, &settlement),
                    false => settle(UMA, PETRA, UMA, PAVEL, &settlement),
                }
                for _ in 0..eras {
                    end_era();
                }
                prop_assert!(wealth() <= had);
            }
            end_era();
            let _ = (claim(PETRA), claim(PIUS));
            prop_assert!(wealth() <= had);
            let minted = Balances::total_issuance() - (issued - burned);
            prop_assert!(minted <= Permill::from_parts(return_share).mul_floor(burned));
            Ok::<_, TestCaseError>(())
        })?;
    }
}
