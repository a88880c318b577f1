//! What an era mints for validators and providers, and how that is divided. The same formulas serve
//! the pallets and the simulation; docs/economics.md has them with their reasons.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use serde::{Deserialize, Serialize};
use sp_runtime::{helpers_128bit::multiply_by_rational_with_rounding, Permill, Rounding};

use crate::Balance;

/// Number of an era, counted from zero over the life of the chain.
pub type EraIndex = u32;

/// A year of 365.25 days, in milliseconds.
pub const YEAR_MILLIS: u64 = 31_557_600_000;

/// ⌊ `amount` × `part` / `whole` ⌋ without overflow on the way; nothing of a `whole` that is zero. No
/// more than `amount` as long as `part` is no more than `whole`.
pub fn portion(amount: Balance, part: Balance, whole: Balance) -> Balance {
    if whole == 0 {
        return 0;
    }
    multiply_by_rational_with_rounding(amount, part, whole, Rounding::Down).unwrap_or(Balance::MAX)
}

/// How much may be minted in an era.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    Debug,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
    Serialize,
    Deserialize,
)]
#[serde(deny_unknown_fields)]
pub struct Emission {
    /// In a year, as a share of the issuance at each era's end.
    pub yearly_rate: Permill,
    /// In one era, in planck, whatever rate and issuance are.
    pub max_per_era: Balance,
    /// The longest time that one era counts for, in milliseconds: a chain that stood still does not
    /// mint for that time.
    pub max_era_millis: u64,
}

impl Emission {
    /// No parameter can raise a rate above this.
    pub const MAX_YEARLY_RATE: Permill = Permill::from_percent(10);
    /// Nor the time that an era counts for above a week.
    pub const MAX_ERA_MILLIS: u64 = 7 * 24 * 3_600_000;

    pub fn is_valid(&self) -> bool {
        self.yearly_rate <= Self::MAX_YEARLY_RATE && self.max_era_millis <= Self::MAX_ERA_MILLIS
    }

    /// The most planck that may be minted for an era that lasted `millis`, when there are `issuance`
    /// planck in all.
    pub fn of_era(&self, issuance: Balance, millis: u64) -> Balance {
        let yearly = self.yearly_rate.mul_floor(issuance);
        let counted = millis.min(self.max_era_millis);
        portion(yearly, counted.into(), YEAR_MILLIS.into()).min(self.max_per_era)
    }
}

/// What validators and those who back them get.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    Debug,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
    Serialize,
    Deserialize,
)]
#[serde(deny_unknown_fields)]
pub struct ValidatorRewards {
    /// Their share of each transaction fee; the treasury has the rest. Tips are wholly theirs.
    pub fee_share: Permill,
    /// What is minted for them besides.
    pub emission: Emission,
}

impl Default for ValidatorRewards {
    /// With half of all money bonded, 2.5 % of the issuance is 5 % of a bond in a year without a fee.
    fn default() -> Self {
        Self {
            fee_share: Permill::from_percent(80),
            emission: Emission {
                yearly_rate: Permill::from_parts(25_000),
                max_per_era: 20_000_000_000_000_000,
                max_era_millis: 24 * 3_600_000,
            },
        }
    }
}

impl ValidatorRewards {
    pub fn is_valid(&self) -> bool {
        self.emission.is_valid()
    }

    /// The validators' part of a fee, in planck. The treasury takes the remainder.
    pub fn of_fee(&self, fee: Balance) -> Balance {
        self.fee_share.mul_floor(fee)
    }
}

/// A nominator's part of what its validator earned, in planck: commission first, then in proportion to
/// what each has staked. Parts are rounded down and the validator takes the remainder.
pub fn nominator_part(
    reward: Balance,
    commission: Permill,
    stake: Balance,
    total_stake: Balance,
) -> Balance {
    let shared = reward.saturating_sub(commission.mul_ceil(reward));
    portion(shared, stake, total_stake)
}

/// What providers get back of what their settlements burned.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    Debug,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
    Serialize,
    Deserialize,
)]
#[serde(deny_unknown_fields)]
pub struct ProviderRewards {
    /// The most of what its own settlements burned that a provider gets back.
    pub return_share: Permill,
    /// What all providers together get at most.
    pub emission: Emission,
}

impl Default for ProviderRewards {
    fn default() -> Self {
        Self {
            return_share: Permill::from_percent(80),
            emission: Emission {
                yearly_rate: Permill::from_parts(25_000),
                max_per_era: 20_000_000_000_000_000,
                max_era_millis: 24 * 3_600_000,
            },
        }
    }
}

impl ProviderRewards {
    /// A tenth of what is burned stays burned, so that whoever pays itself loses by it even where the
    /// treasury has no part of the fee.
    pub const MAX_RETURN_SHARE: Permill = Permill::from_percent(90);

    pub fn is_valid(&self) -> bool {
        self.return_share <= Self::MAX_RETURN_SHARE && self.emission.is_valid()
    }

    /// What all providers together get for an era of `millis` in which their settlements `burned` so
    /// much. Each has the part that its own are of that.
    pub fn pool(&self, issuance: Balance, millis: u64, burned: Balance) -> RewardPool {
        let returned = self.return_share.mul_floor(burned);
        RewardPool {
            amount: returned.min(self.emission.of_era(issuance, millis)),
            burned,
        }
    }
}

/// What providers get for an era, in planck.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    Debug,
    Default,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
)]
pub struct RewardPool {
    /// For all of them; never more than `burned`.
    pub amount: Balance,
    /// By the settlements of all of them.
    pub burned: Balance,
}

impl RewardPool {
    /// What a provider gets whose settlements burned this part: never more than that.
    pub fn part(&self, burned: Balance) -> Balance {
        portion(self.amount, burned, self.burned).min(burned)
    }
}

/// Who does its books by eras.
pub trait EraEnded {
    /// An era is over that lasted `millis`; the next one has begun. It takes bounded work, in a block that
    /// has no room for transactions.
    fn era_ended(ended: EraIndex, millis: u64);
}

impl EraEnded for () {
    fn era_ended(_: EraIndex, _: u64) {}
}

#[cfg(test)]
mod tests;
