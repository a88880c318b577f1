use alloc::vec::Vec;

use assay_primitives::{Balance, EraIndex, ValidatorRewards};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use frame_support::{pallet_prelude::*, traits::fungible};
use scale_info::TypeInfo;
use serde::{Deserialize, Serialize};
use sp_runtime::{Perbill, Permill};
use sp_staking::SessionIndex;

use crate::Config;

/// The longest era: one that was planned cannot be shortened any more.
pub const MAX_SESSIONS_PER_ERA: SessionIndex = 168;

/// What governance may set.
#[derive(
    Clone,
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
pub struct Parameters {
    /// The least bond of a validator, in planck.
    pub min_validator_bond: Balance,
    /// The least bond of anybody else, in planck.
    pub min_nominator_bond: Balance,
    /// An election that finds fewer changes nothing.
    pub min_validators: u32,
    /// Sessions from one election to the next.
    pub sessions_per_era: SessionIndex,
    /// Sessions for which an offence can be reported, and for which money answers after the last
    /// session that it could have stood for.
    pub bonding_sessions: SessionIndex,
    /// The share of what an offender itself loses that goes to who reported it.
    pub reporter_share: Permill,
    /// What validators earn.
    pub rewards: ValidatorRewards,
}

impl Default for Parameters {
    /// For sessions of an hour: four elections a day, a week to unbond.
    fn default() -> Self {
        Self {
            min_validator_bond: 1_000_000_000_000_000,
            min_nominator_bond: 10_000_000_000_000,
            min_validators: 4,
            sessions_per_era: 6,
            bonding_sessions: 168,
            reporter_share: Permill::from_percent(10),
            rewards: ValidatorRewards::default(),
        }
    }
}

impl Parameters {
    /// Whether the values make sense together: nobody may need more than `max_chunks` withdrawals at
    /// once, and who reports itself must lose by it.
    pub fn is_valid(&self, max_chunks: u32) -> bool {
        let chunks = self
            .bonding_sessions
            .checked_div(self.sessions_per_era)
            .map(|eras| eras.saturating_add(2));
        self.min_nominator_bond > 0
            && self.min_validator_bond >= self.min_nominator_bond
            && self.min_validators > 0
            && self.sessions_per_era <= MAX_SESSIONS_PER_ERA
            && self.bonding_sessions > 0
            && chunks.is_some_and(|chunks| chunks <= max_chunks)
            && self.reporter_share <= Permill::from_percent(50)
            && self.rewards.is_valid()
    }
}

/// Money that leaves a bond and still answers for what was done with it.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct UnbondingChunk {
    /// Planck.
    pub amount: Balance,
    /// The first session in which it may be withdrawn.
    pub due: SessionIndex,
}

/// What an account does with its bond.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub enum Role<AccountId> {
    Idle,
    /// Stands for election.
    Validator {
        /// The validator's share of its reward, before the rest is divided by backing.
        commission: Permill,
    },
    /// Backs one validator.
    Nominator {
        validator: AccountId,
    },
}

/// What an account has bonded.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct BondRecord<AccountId, Chunks> {
    /// Active bond, in planck.
    pub amount: Balance,
    pub unbonding: Chunks,
    pub role: Role<AccountId>,
}

impl<AccountId, Max: Get<u32>> BondRecord<AccountId, BoundedVec<UnbondingChunk, Max>> {
    /// All that answers, active or unbonding, in planck.
    pub fn held(&self) -> Balance {
        self.unbonding
            .iter()
            .fold(self.amount, |sum, chunk| sum.saturating_add(chunk.amount))
    }

    /// Take `amount`, or as much as there is: from the active bond, then from what began to leave
    /// earliest. Returns what was taken.
    pub(crate) fn take(&mut self, amount: Balance) -> Balance {
        let mut missing = amount;
        let unbonding = self.unbonding.iter_mut().map(|chunk| &mut chunk.amount);
        for part in core::iter::once(&mut self.amount).chain(unbonding) {
            let taken = missing.min(*part);
            *part = part.saturating_sub(taken);
            missing = missing.saturating_sub(taken);
        }
        self.unbonding.retain(|chunk| chunk.amount > 0);
        amount.saturating_sub(missing)
    }
}

/// A nominator and what it adds to its validator's own bond.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Backing<AccountId> {
    pub nominator: AccountId,
    /// Planck.
    pub amount: Balance,
}

/// What stood behind a validator in an era: what an offence in it costs, and what its reward is
/// divided by.
#[derive(Clone, PartialEq, Eq, Debug, Default, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Exposure<Backings> {
    /// The validator's own bond, in planck.
    pub own: Balance,
    pub nominators: Backings,
    pub commission: Permill,
}

impl<AccountId, Max: Get<u32>> Exposure<BoundedVec<Backing<AccountId>, Max>> {
    /// The validator's and its nominators' money together, in planck.
    pub fn total(&self) -> Balance {
        self.nominators
            .iter()
            .fold(self.own, |sum, backing| sum.saturating_add(backing.amount))
    }
}

/// Sessions with the same validators.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Era {
    pub index: EraIndex,
    /// Its first session.
    pub start: SessionIndex,
    /// The first session after it.
    pub end: SessionIndex,
}

/// What keeps an offender disabled, session after session.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Sentence {
    pub severity: Perbill,
    /// The last era of the set that it was in when it was reported.
    pub era: EraIndex,
}

/// A slash that was decided and is not carried out.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, TypeInfo)]
pub struct Warrant<AccountId> {
    /// What was taken before for offences in that session, as a share of the exposure.
    pub taken: Perbill,
    /// Of the first offence of those that it is for.
    pub reporters: Vec<AccountId>,
}

pub type CurrencyOf<T> = <T as Config>::Currency;
pub type CreditOf<T> = fungible::Credit<<T as frame_system::Config>::AccountId, CurrencyOf<T>>;
pub type UnbondingOf<T> = BoundedVec<UnbondingChunk, <T as Config>::MaxUnbondingChunks>;
pub type BondRecordOf<T> = BondRecord<<T as frame_system::Config>::AccountId, UnbondingOf<T>>;
pub type BackingsOf<T> =
    BoundedVec<Backing<<T as frame_system::Config>::AccountId>, <T as Config>::MaxNominators>;
pub type ExposureOf<T> = Exposure<BackingsOf<T>>;

#[cfg(test)]
mod tests {
    use super::*;
    use frame_support::traits::ConstU32;

    fn record() -> BondRecord<u64, BoundedVec<UnbondingChunk, ConstU32<4>>> {
        let chunk = |amount, due| UnbondingChunk { amount, due };
        BondRecord {
            amount: 10,
            unbonding: vec![chunk(5, 7), chunk(6, 9)].try_into().unwrap(),
            role: Role::Idle,
        }
    }

    #[test]
    fn money_is_taken_from_the_active_bond_and_then_from_what_leaves_first() {
        let left = |amount| {
            let mut record = record();
            let taken = record.take(amount);
            let chunks: Vec<_> = record.unbonding.iter().map(|chunk| chunk.amount).collect();
            assert_eq!(record.held(), 21 - taken);
            (taken, record.amount, chunks)
        };
        assert_eq!(left(0), (0, 10, vec![5, 6]));
        assert_eq!(left(9), (9, 1, vec![5, 6]));
        assert_eq!(left(12), (12, 0, vec![3, 6]));
        assert_eq!(left(16), (16, 0, vec![5]));
        assert_eq!(left(22), (21, 0, vec![]));
    }

    #[test]
    fn parameters_must_make_sense_together() {
        let good = Parameters::default();
        assert!(good.is_valid(32));
        // 168 sessions are 28 eras, and one more has begun when the first is over.
        assert!(good.is_valid(30) && !good.is_valid(29));
        let bad: [fn(&mut Parameters); 8] = [
            |parameters| parameters.min_nominator_bond = 0,
            |parameters| parameters.min_validator_bond = parameters.min_nominator_bond - 1,
            |parameters| parameters.min_validators = 0,
            |parameters| parameters.sessions_per_era = 0,
            |parameters| parameters.sessions_per_era = 5,
            |parameters| parameters.sessions_per_era = 169,
            |parameters| parameters.bonding_sessions = 0,
            |parameters| parameters.reporter_share = Permill::from_parts(500_001),
        ];
        for (case, spoil) in bad.into_iter().enumerate() {
            let mut parameters = Parameters::default();
            spoil(&mut parameters);
            assert!(!parameters.is_valid(32), "case {case}");
        }
    }
}
