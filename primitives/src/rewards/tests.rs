use super::*;
use crate::Settlement;

const ASY: Balance = 1_000_000_000_000;
const HOUR: u64 = 3_600_000;

/// Numbers near all edges.
const AMOUNTS: [Balance; 12] = [
    0,
    1,
    2,
    3,
    9,
    10,
    11,
    999_999,
    1_000_001,
    7_777_777 * ASY + 7,
    Balance::MAX / 2,
    Balance::MAX,
];

fn emission(percent: u32, max_per_era: Balance) -> Emission {
    Emission {
        yearly_rate: Permill::from_percent(percent),
        max_per_era,
        max_era_millis: 24 * HOUR,
    }
}

#[test]
fn the_eras_of_a_year_mint_the_yearly_rate() {
    let emission = emission(2, Balance::MAX);
    let issuance = 1_000_000_000 * ASY;
    let era = emission.of_era(issuance, 6 * HOUR);
    // 365.25 days have 1,461 eras of six hours.
    assert_eq!(era, 20_000_000 * ASY / 1_461);
    assert_eq!(emission.of_era(issuance, 0), 0);
    assert_eq!(emission.of_era(0, 6 * HOUR), 0);
}

#[test]
fn an_era_mints_no_more_than_its_cap() {
    let emission = emission(10, 1_000 * ASY);
    let below = emission.of_era(100_000_000 * ASY, HOUR / 2);
    assert!(below > 0 && below < 1_000 * ASY);
    assert_eq!(emission.of_era(100_000_000 * ASY, HOUR), 1_000 * ASY);
    assert_eq!(emission.of_era(Balance::MAX, u64::MAX), 1_000 * ASY);
}

#[test]
fn a_chain_that_stood_still_for_a_year_mints_for_a_day() {
    let emission = emission(10, Balance::MAX);
    let issuance = 1_000_000_000 * ASY;
    let day = emission.of_era(issuance, 24 * HOUR);
    assert_eq!(emission.of_era(issuance, YEAR_MILLIS), day);
    assert_eq!(emission.of_era(issuance, u64::MAX), day);
    assert!(emission.of_era(issuance, 24 * HOUR - 1) < day);
}

#[test]
fn an_emission_has_bounds_that_no_parameter_passes() {
    assert!(ValidatorRewards::default().is_valid());
    assert!(ProviderRewards::default().is_valid());
    assert!(emission(10, Balance::MAX).is_valid());
    assert!(!emission(11, 0).is_valid());
    let week = Emission {
        max_era_millis: Emission::MAX_ERA_MILLIS,
        ..emission(1, 0)
    };
    assert!(week.is_valid());
    assert!(!Emission {
        max_era_millis: Emission::MAX_ERA_MILLIS + 1,
        ..week
    }
    .is_valid());
    let generous = |percent| ProviderRewards {
        return_share: Permill::from_percent(percent),
        ..Default::default()
    };
    assert!(generous(90).is_valid());
    assert!(!generous(91).is_valid());
}

#[test]
fn a_portion_is_rounded_down_and_never_above_the_whole() {
    assert_eq!(portion(10, 1, 3), 3);
    assert_eq!(portion(10, 2, 3), 6);
    assert_eq!(portion(10, 3, 3), 10);
    assert_eq!(portion(10, 0, 0), 0);
    assert_eq!(
        portion(Balance::MAX, Balance::MAX - 1, Balance::MAX),
        Balance::MAX - 1
    );
    for amount in AMOUNTS {
        for whole in AMOUNTS {
            for part in AMOUNTS.into_iter().filter(|part| *part <= whole) {
                assert!(portion(amount, part, whole) <= amount);
            }
        }
    }
}

#[test]
fn validators_have_four_fifths_of_a_fee_and_the_treasury_the_remainder() {
    let rewards = ValidatorRewards::default();
    assert_eq!(
        [0, 1, 2, 1_004].map(|fee| rewards.of_fee(fee)),
        [0, 0, 1, 803]
    );
}

#[test]
fn commission_goes_first_and_the_validator_takes_the_remainder() {
    let commission = Permill::from_percent(10);
    // 1,000 less 100 of commission, behind which stand 500, 300 and 200.
    let parts = [300, 200].map(|stake| nominator_part(1_000, commission, stake, 1_000));
    assert_eq!(parts, [270, 180]);
    // A tenth of 1,001 is not less than 101.
    assert_eq!(nominator_part(1_001, commission, 1, 1), 900);
    assert_eq!(nominator_part(7, Permill::zero(), 1, 3), 2);
    assert_eq!(nominator_part(7, Permill::one(), 1, 3), 0);
    assert_eq!(nominator_part(7, commission, 1, 0), 0);
}

#[test]
fn nominators_together_never_get_more_than_the_reward() {
    for reward in AMOUNTS {
        for commission in [0, 1, 333_333, 999_999, 1_000_000].map(Permill::from_parts) {
            for stake in AMOUNTS.map(|amount| amount / 4) {
                let total = stake * 4;
                let part = nominator_part(reward, commission, stake, total);
                assert!(part <= reward / 4 + 1);
                let all = part.checked_mul(4).unwrap();
                assert!(all <= reward - commission.mul_floor(reward));
            }
        }
    }
}

#[test]
fn a_pool_is_what_is_returned_but_no_more_than_may_be_minted() {
    let rewards = ProviderRewards {
        return_share: Permill::from_percent(80),
        emission: emission(10, 100 * ASY),
    };
    let issuance = 1_000_000_000 * ASY;
    assert_eq!(rewards.pool(issuance, HOUR, 50 * ASY).amount, 40 * ASY);
    let pool = rewards.pool(issuance, HOUR, 500 * ASY);
    assert_eq!((pool.amount, pool.burned), (100 * ASY, 500 * ASY));
    assert_eq!(pool.part(250 * ASY), 50 * ASY);
    assert_eq!(rewards.pool(issuance, 0, 500 * ASY).amount, 0);
}

#[test]
fn no_provider_gets_more_than_its_own_settlements_burned() {
    for (amount, burned) in AMOUNTS
        .into_iter()
        .flat_map(|amount| AMOUNTS.map(|burned| (amount.min(burned), burned)))
    {
        let pool = RewardPool { amount, burned };
        for own in AMOUNTS.into_iter().filter(|own| *own <= burned) {
            assert!(pool.part(own) <= own);
            let others = pool.part(burned - own);
            assert!(pool.part(own).checked_add(others).unwrap() <= amount);
        }
    }
}

/// A user, the provider that it pays and the publisher whose model it uses are all one. However it
/// cuts the same money into settlements, and whatever others burn in the era, it ends with less.
#[test]
fn whoever_pays_itself_loses_whatever_the_shares_are() {
    let shares = [1, 333_333, 500_000, 999_999, 1_000_000].map(Permill::from_parts);
    let royalty = Permill::from_percent(20);
    for protocol_fee in shares {
        for burned_share in shares {
            for cuts in [1u128, 2, 3, 7, 1_000] {
                for money in [1_000_003u128, 50_000 * ASY, 7 * ASY + 11] {
                    let settlement =
                        Settlement::divide(money / cuts, royalty, protocol_fee, burned_share);
                    let burned = settlement.burned * cuts;
                    for others in [0, burned / 2, 9 * burned + 1] {
                        let rewards = ProviderRewards {
                            return_share: ProviderRewards::MAX_RETURN_SHARE,
                            emission: emission(10, Balance::MAX),
                        };
                        let issuance = 1_000_000_000_000 * ASY;
                        let pool = rewards.pool(issuance, 24 * HOUR, burned + others);
                        let lost = settlement.protocol_fee() * cuts;
                        let gained = pool.part(burned);
                        assert!(
                            gained < lost || (gained == 0 && lost == 0),
                            "{gained} for {lost}: {settlement:?} {cuts} times"
                        );
                        assert!(gained <= burned);
                    }
                }
            }
        }
    }
}
