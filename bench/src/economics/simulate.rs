//! Era by era, what is minted, burned and paid.

use assay_primitives::{
    fees, rewards::nominator_part, rewards::YEAR_MILLIS, Balance, ProviderRewards, Settlement,
    ValidatorRewards,
};
use sp_runtime::Permill;

use super::{
    scenario::{Scenario, BONDED, ERAS_PER_YEAR, GENESIS_ASY},
    ASY,
};

/// Publishers' share of an answer's price.
const ROYALTY: Permill = Permill::from_percent(2);
/// What a validator keeps before its reward is divided.
const COMMISSION: Permill = Permill::from_percent(10);

/// What happened in a year, in planck.
#[derive(Clone, Default)]
pub struct Year {
    /// What there is at its end.
    pub issuance: Balance,
    pub minted_for_validators: Balance,
    pub minted_for_providers: Balance,
    pub burned: Balance,
    /// Income of validators and nominators: fees and what was minted.
    pub validators: Balance,
    /// What a year's bond brought a nominator, as a share of it.
    pub nominator_yield: f64,
    /// Income of honest providers: prices and rewards.
    pub providers: Balance,
    /// Of fees and answers.
    pub treasury: Balance,
    /// What the washer paid itself.
    pub washed: Balance,
    /// What it has more after the year than before.
    pub washer: i128,
    /// By how much, at the worst, a provider's reward was above what its settlements burned.
    pub returned_too_much: Balance,
    /// By how much, at the worst, issuance was not what all accounts own.
    pub unaccounted: Balance,
}

/// The money of the simulated chain.
struct Chain {
    issuance: Balance,
    /// What all accounts own together, counted by what each pays and is paid.
    owned: i128,
}

impl Chain {
    fn mint(&mut self, amount: Balance) {
        self.issuance += amount;
    }

    fn burn(&mut self, amount: Balance) {
        self.issuance -= amount;
    }

    /// Somebody pays, and others are paid.
    fn pay(&mut self, paid: Balance, received: &[Balance]) {
        self.owned += received.iter().sum::<Balance>() as i128 - paid as i128;
    }
}

pub fn run(scenario: &Scenario, years: u32) -> Vec<Year> {
    let start = Balance::from(GENESIS_ASY) * ASY;
    let mut chain = Chain {
        issuance: start,
        owned: start as i128,
    };
    (0..years)
        .map(|year| {
            let mut sum = Year::default();
            for era in 0..ERAS_PER_YEAR {
                let time = f64::from(year) + f64::from(era) / f64::from(ERAS_PER_YEAR);
                live_era(&mut chain, scenario, time, &mut sum);
                let apart = (chain.issuance as i128).abs_diff(chain.owned);
                sum.unaccounted = sum.unaccounted.max(apart);
            }
            sum.issuance = chain.issuance;
            sum
        })
        .collect()
}

/// So much of an amount of ASY a day is an era's.
fn per_era(asy_per_day: f64) -> Balance {
    let eras_per_day = f64::from(ERAS_PER_YEAR) / 365.25;
    (asy_per_day / eras_per_day * ASY as f64) as Balance
}

fn settle(price: Balance, royalty: Permill) -> Settlement {
    Settlement::divide(price, royalty, fees::PROTOCOL_FEE, fees::BURNED_SHARE)
}

fn live_era(chain: &mut Chain, scenario: &Scenario, time: f64, year: &mut Year) {
    let millis = YEAR_MILLIS / u64::from(ERAS_PER_YEAR);
    let bonded = (chain.issuance as f64 * BONDED) as Balance;

    // Answers are paid as they come.
    let honest = settle(per_era((scenario.answers)(time)), ROYALTY);
    // The washer's model is its own, so a royalty would come back to it.
    let washed = settle(per_era((scenario.wash)(time)), Permill::zero());
    for paid in [&honest, &washed] {
        let received = [paid.provider, paid.royalty, paid.treasury];
        chain.pay(paid.fee, &received);
        chain.burn(paid.burned);
    }
    let burned = honest.burned + washed.burned;
    year.burned += burned;
    year.providers += honest.provider;
    year.treasury += honest.treasury + washed.treasury;
    year.washed += washed.fee;
    year.washer -= washed.protocol_fee() as i128;

    // Validators first, then providers, as when an era ends on chain.
    let rewards = ValidatorRewards::default();
    let fee = per_era((scenario.fees)(time));
    let of_fee = rewards.of_fee(fee);
    year.treasury += fee - of_fee;
    let minted = rewards.emission.of_era(chain.issuance, millis);
    chain.mint(minted);
    year.minted_for_validators += minted;
    let pot = of_fee + minted;
    chain.pay(fee, &[fee - of_fee, pot]);
    year.validators += pot;
    // A nominator who is a hundredth of all that is bonded, with validators that are all alike.
    let stake = bonded / 100;
    let part = nominator_part(pot, COMMISSION, stake, bonded);
    year.nominator_yield += part as f64 / stake as f64;

    let pool = ProviderRewards::default().pool(chain.issuance, millis, burned);
    for (own, washes) in [(honest.burned, false), (washed.burned, true)] {
        let reward = pool.part(own);
        chain.mint(reward);
        chain.pay(0, &[reward]);
        year.minted_for_providers += reward;
        year.returned_too_much = year.returned_too_much.max(reward.saturating_sub(own));
        match washes {
            true => year.washer += reward as i128,
            false => year.providers += reward,
        }
    }
}
