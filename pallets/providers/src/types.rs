use assay_primitives::{Balance, EraIndex, Price, ProviderRewards, PPM_ONE};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use frame_support::pallet_prelude::*;
use frame_system::pallet_prelude::BlockNumberFor;
use scale_info::TypeInfo;
use serde::{Deserialize, Serialize};
use sp_core::H256;
use sp_runtime::Permill;

use crate::{maturing::MAX_EARNINGS, Config};

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
pub struct Parameters<BlockNumber> {
    /// The least bond of a provider that may be assigned work, in planck.
    pub min_bond: Balance,
    /// Exposure may reach the bond times this.
    pub exposure_factor: u32,
    /// Blocks that money answers for past work after `unbond`: no fewer than `maturing_blocks`. A
    /// dispute that began in this time holds the money for as long as it lasts.
    pub unbonding_blocks: BlockNumber,
    /// Blocks between settlement and the release of earnings: no fewer than the window in which a
    /// receipt can be disputed.
    pub maturing_blocks: BlockNumber,
    /// The protocol fee of one job that raises the score by a full step, in planck.
    pub full_step_fee: Balance,
    /// The share of a compensation that is burned.
    pub compensation_burned: Permill,
    /// What a wrong answer costs at least, as a multiple of its price.
    pub slash_multiple: u32,
    /// What a wrong answer costs at least, as a share of all that is bonded.
    pub slash_floor: Permill,
    /// The challenger's share of what is left of a slash after the refund; the rest is burned.
    pub reward_share: Permill,
    /// What providers get back of what their settlements burned.
    pub rewards: ProviderRewards,
}

impl<BlockNumber: From<u32>> Default for Parameters<BlockNumber> {
    /// For blocks of six seconds: a week to unbond, a day to mature.
    fn default() -> Self {
        Self {
            min_bond: 100_000_000_000_000,
            exposure_factor: 4,
            unbonding_blocks: 100_800u32.into(),
            maturing_blocks: 14_400u32.into(),
            full_step_fee: 1_000_000_000,
            compensation_burned: Permill::from_percent(50),
            slash_multiple: 60,
            slash_floor: Permill::from_percent(10),
            reward_share: Permill::from_percent(40),
            rewards: ProviderRewards::default(),
        }
    }
}

impl<BlockNumber: PartialOrd + From<u32>> Parameters<BlockNumber> {
    /// Whether the values make sense together: money must answer for as long as earnings mature, and
    /// whoever convicts itself must lose by it.
    pub fn is_valid(&self) -> bool {
        self.min_bond > 0
            && self.exposure_factor > 0
            && self.maturing_blocks > 0u32.into()
            && self.unbonding_blocks >= self.maturing_blocks
            && self.full_step_fee > 0
            && self.slash_multiple > 0
            && self.slash_floor > Permill::zero()
            && self.reward_share <= Permill::from_percent(50)
            && self.rewards.is_valid()
    }
}

/// How to reach a provider.
#[derive(
    Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct ProviderInfo<Endpoint> {
    /// URL of the worker's server; may be empty for a provider of jobs alone.
    pub endpoint: Endpoint,
    /// SHA-256 of the server's TLS public key.
    pub tls_key_hash: H256,
    /// X25519 key that requests are sealed to.
    pub x25519_key: [u8; 32],
}

/// Money that is on its way out and still answers for past work.
#[derive(
    Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct UnbondingChunk<BlockNumber> {
    pub amount: Balance,
    /// The first block at which it may be withdrawn.
    pub due: BlockNumber,
}

/// The blocks in which an operator key speaks for its provider: from `from`, up to and without
/// `until`.
#[derive(
    Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct OperatorRange<AccountId, BlockNumber> {
    pub operator: AccountId,
    pub from: BlockNumber,
    pub until: Option<BlockNumber>,
}

impl<AccountId, BlockNumber: PartialOrd> OperatorRange<AccountId, BlockNumber> {
    pub fn contains(&self, block: &BlockNumber) -> bool {
        *block >= self.from && self.until.as_ref().is_none_or(|until| block < until)
    }
}

/// What a provider has done so far.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct TrackRecord {
    pub assigned: u32,
    pub delivered: u32,
    pub declined: u32,
    pub missed: u32,
    /// Wrong answers that were proven.
    pub convicted: u32,
    /// Planck, after royalty and protocol fee.
    pub earned: Balance,
    /// How well promises were kept, in parts per million.
    pub score: u32,
}

impl Default for TrackRecord {
    fn default() -> Self {
        let score = PPM_ONE / 2;
        Self {
            assigned: 0,
            delivered: 0,
            declined: 0,
            missed: 0,
            convicted: 0,
            earned: 0,
            score,
        }
    }
}

impl TrackRecord {
    const PAID_STEP: u32 = 16;
    const DECLINED_STEP: u32 = 16;
    const MISSED_STEP: u32 = 2;
    /// A provider is not shut out for good because it was slow.
    const LEAST_SCORE: u32 = 10_000;

    pub fn note_delivered(&mut self) {
        self.delivered = self.delivered.saturating_add(1);
    }

    /// An answer was paid. The score rises with what the protocol took, so that raising it with
    /// one's own jobs has a price.
    pub fn note_paid(&mut self, earned: Balance, protocol_fee: Balance, full_step_fee: Balance) {
        self.earned = self.earned.saturating_add(earned);
        let step = PPM_ONE.saturating_sub(self.score) / Self::PAID_STEP;
        let rise = Balance::from(step)
            .saturating_mul(protocol_fee.min(full_step_fee))
            .checked_div(full_step_fee)
            .unwrap_or(0);
        let rise = u32::try_from(rise).unwrap_or(step);
        self.score = self.score.saturating_add(rise).min(PPM_ONE);
    }

    pub fn note_declined(&mut self) {
        self.declined = self.declined.saturating_add(1);
        self.fall(Self::DECLINED_STEP);
    }

    pub fn note_missed(&mut self) {
        self.missed = self.missed.saturating_add(1);
        self.fall(Self::MISSED_STEP);
    }

    /// Nothing is left of the score; only paid answers raise it again.
    pub fn note_convicted(&mut self) {
        self.convicted = self.convicted.saturating_add(1);
        self.score = 0;
    }

    fn fall(&mut self, step: u32) {
        let fall = self.score.checked_div(step).unwrap_or(0);
        let least = self.score.min(Self::LEAST_SCORE);
        self.score = self.score.saturating_sub(fall).max(least);
    }
}

/// Earnings that mature together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Earnings<BlockNumber> {
    /// The block at which they are due for release.
    pub due: BlockNumber,
    /// Planck on hold.
    pub amount: Balance,
    /// Fees of channels, in planck, for which the provider answers until then.
    pub fees: Balance,
}

/// What was burned in an era.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Burn {
    pub era: EraIndex,
    /// Planck.
    pub amount: Balance,
}

/// Where a provider stands with its reward.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, TypeInfo)]
pub struct ProviderReward {
    /// The era that is under way.
    pub era: EraIndex,
    /// Planck that the provider's settlements burned in it so far.
    pub burned: Balance,
    /// Planck that all providers' settlements burned in it so far.
    pub burned_by_all: Balance,
    /// Planck that the provider can claim for an earlier era.
    pub due: Balance,
}

/// A provider.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct ProviderRecord<AccountId, BlockNumber, Info, Chunks, EarningsList, Ticket> {
    pub operator: AccountId,
    pub info: Info,
    /// Whether new jobs may be assigned.
    pub online: bool,
    /// Active bond, in planck.
    pub bond: Balance,
    pub unbonding: Chunks,
    /// Worst-case fees of assigned jobs and fees of delivered ones, in planck.
    pub exposure: Balance,
    /// Assigned and not settled.
    pub open_jobs: u32,
    pub offers: u32,
    /// Earnings that mature, at most one entry for each due block.
    pub earnings: EarningsList,
    /// Their sum, on hold, in planck.
    pub maturing: Balance,
    /// Fees settled from channels whose earnings have not matured, in planck.
    pub channel_exposure: Balance,
    /// Live disputes against it. While there are any, no earnings are released, nothing unbonded is
    /// withdrawn, and it cannot leave.
    pub disputes: u32,
    /// What its settlements burned in the last era in which they burned anything; nothing once that
    /// was rewarded.
    pub burned: Burn,
    pub record: TrackRecord,
    pub registered_at: BlockNumber,
    /// The deposit for this record.
    pub ticket: Ticket,
}

impl<AccountId, BlockNumber, Info, Chunks, EarningsList, Ticket>
    ProviderRecord<AccountId, BlockNumber, Info, Chunks, EarningsList, Ticket>
{
    /// The worst-case fees that may still be assigned.
    pub fn free_bond(&self, min_bond: Balance, exposure_factor: u32) -> Balance {
        if self.bond < min_bond {
            return 0;
        }
        self.bond
            .saturating_mul(exposure_factor.into())
            .saturating_sub(self.exposure)
            .saturating_sub(self.channel_exposure)
    }
}

/// What a provider serves, and for how much.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct OfferRecord<BlockNumber, Ticket> {
    pub price: Price,
    /// The most tokens of prompt and answer together.
    pub context: u32,
    /// The most jobs at once.
    pub capacity: u32,
    /// Assigned and not delivered.
    pub open_jobs: u32,
    /// The block in which the offer was made or last changed.
    pub since: BlockNumber,
    /// The deposit for this record.
    pub ticket: Ticket,
}

pub type EndpointOf<T> = BoundedVec<u8, <T as Config>::MaxEndpointLength>;
pub type ProviderInfoOf<T> = ProviderInfo<EndpointOf<T>>;
pub type UnbondingOf<T> =
    BoundedVec<UnbondingChunk<BlockNumberFor<T>>, <T as Config>::MaxUnbondingChunks>;
pub type EarningsOf<T> = BoundedVec<Earnings<BlockNumberFor<T>>, ConstU32<MAX_EARNINGS>>;
pub type ProviderRecordOf<T> = ProviderRecord<
    <T as frame_system::Config>::AccountId,
    BlockNumberFor<T>,
    ProviderInfoOf<T>,
    UnbondingOf<T>,
    EarningsOf<T>,
    <T as Config>::Consideration,
>;
pub type OfferRecordOf<T> = OfferRecord<BlockNumberFor<T>, <T as Config>::Consideration>;
pub type OperatorHistoryOf<T> = BoundedVec<
    OperatorRange<<T as frame_system::Config>::AccountId, BlockNumberFor<T>>,
    <T as Config>::MaxOperatorRanges,
>;
pub type ParametersOf<T> = Parameters<BlockNumberFor<T>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_rises_slowly_and_falls_fast() {
        let mut record = TrackRecord::default();
        for _ in 0..100 {
            record.note_paid(0, 7, 7);
        }
        assert!(record.score > 990_000 && record.score <= PPM_ONE);
        let good = record.score;
        record.note_declined();
        assert!(record.score > good * 9 / 10);
        record.note_missed();
        assert!(record.score < good / 2);
        for _ in 0..100 {
            record.note_missed();
        }
        assert_eq!(record.score, TrackRecord::LEAST_SCORE);
    }

    #[test]
    fn a_conviction_leaves_no_score_and_only_paid_answers_raise_it() {
        let mut record = TrackRecord::default();
        record.note_convicted();
        assert_eq!((record.convicted, record.score), (1, 0));
        record.note_declined();
        record.note_missed();
        record.note_delivered();
        assert_eq!(record.score, 0);
        record.note_paid(0, 7, 7);
        assert_eq!(record.score, PPM_ONE / 16);
    }

    #[test]
    fn a_score_rises_by_what_the_protocol_took_up_to_a_full_step() {
        const FULL_STEP_FEE: Balance = 1_000;
        let rise = |protocol_fee| {
            let mut record = TrackRecord::default();
            record.note_delivered();
            assert_eq!((record.delivered, record.score), (1, PPM_ONE / 2));
            record.note_paid(5, protocol_fee, FULL_STEP_FEE);
            assert_eq!((record.delivered, record.earned), (1, 5));
            record.score - PPM_ONE / 2
        };
        let full_step = PPM_ONE / 2 / 16;
        assert_eq!(
            [0, 1, 250, 500, 999, 1_000, 1_001, Balance::MAX].map(rise),
            [
                0,
                31,
                full_step / 4,
                full_step / 2,
                full_step * 999 / 1_000,
                full_step,
                full_step,
                full_step
            ]
        );
    }

    #[test]
    fn an_operator_range_ends_before_its_until() {
        let range = OperatorRange {
            operator: 1u64,
            from: 5u32,
            until: Some(8),
        };
        assert_eq!(
            [4, 5, 7, 8].map(|block| range.contains(&block)),
            [false, true, true, false]
        );
        let open = OperatorRange {
            operator: 1u64,
            from: 5u32,
            until: None,
        };
        assert!(open.contains(&u32::MAX));
    }
}
