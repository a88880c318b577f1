use assay_primitives::{
    fees::{BURNED_SHARE, PROTOCOL_FEE},
    Assignment, Balance, Finish, ListingId, Price, RequestHeader, Sampling, Settlement, TokenId,
};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use frame_support::pallet_prelude::*;
use frame_system::pallet_prelude::BlockNumberFor;
use scale_info::TypeInfo;
use serde::{Deserialize, Serialize};
use sp_core::H256;
use sp_runtime::{
    traits::{One, Saturating},
    Permill,
};

use crate::Config;

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
    /// Blocks between delivery and settlement, in which the receipt can be challenged.
    pub challenge_blocks: BlockNumber,
    /// Blocks that the record of a job that is over stays readable.
    pub retention_blocks: BlockNumber,
    /// Blocks that any assignment has, however short.
    pub base_deadline_blocks: BlockNumber,
    /// Tokens, of prompt and limit together, for which an assignment has one more block.
    pub tokens_per_deadline_block: u32,
    /// Draws, those without any eligible provider included, before the user is refunded.
    pub max_draws: u8,
    /// The protocol's share of each fee.
    pub protocol_fee: Permill,
    /// The share of the protocol fee that is burned; the rest goes to the treasury.
    pub burned_share: Permill,
    /// What a missed deadline costs the provider, as a share of the worst-case fee.
    pub missed_penalty: Permill,
    /// What a missed deadline costs at least, in planck, but never more than the worst-case fee.
    pub min_missed_penalty: Balance,
}

impl<BlockNumber: From<u32>> Default for Parameters<BlockNumber> {
    /// For blocks of six seconds: an hour to challenge, a day to read, a minute to answer.
    fn default() -> Self {
        Self {
            challenge_blocks: 600u32.into(),
            retention_blocks: 14_400u32.into(),
            base_deadline_blocks: 10u32.into(),
            tokens_per_deadline_block: 32,
            max_draws: 4,
            protocol_fee: PROTOCOL_FEE,
            burned_share: BURNED_SHARE,
            missed_penalty: Permill::from_percent(20),
            min_missed_penalty: 100_000_000_000,
        }
    }
}

impl<BlockNumber: PartialOrd + From<u32>> Parameters<BlockNumber> {
    /// Whether every job still reaches its end.
    pub fn is_valid(&self) -> bool {
        self.challenge_blocks > 0u32.into()
            && self.retention_blocks > 0u32.into()
            && self.base_deadline_blocks > 0u32.into()
            && self.tokens_per_deadline_block > 0
            && self.max_draws > 0
    }
}

/// A job's assignment: prices and limit are pinned until it ends.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct AssignmentRecord<AccountId, BlockNumber> {
    /// The provider's stash.
    pub provider: AccountId,
    /// Planck per token.
    pub price: Price,
    /// The most output tokens.
    pub token_limit: u32,
    /// The fee at the token limit.
    pub worst_case_fee: Balance,
    /// The draw's randomness, for the sampling seed.
    pub randomness: H256,
    pub assigned_at: BlockNumber,
    /// The last block at which the answer may be delivered.
    pub deadline: BlockNumber,
}

impl<AccountId, BlockNumber> AssignmentRecord<AccountId, BlockNumber> {
    pub fn new(
        assignment: Assignment<AccountId>,
        randomness: H256,
        assigned_at: BlockNumber,
        deadline: BlockNumber,
    ) -> Self {
        let Assignment {
            provider,
            price,
            token_limit,
            worst_case_fee,
        } = assignment;
        Self {
            provider,
            price,
            token_limit,
            worst_case_fee,
            randomness,
            assigned_at,
            deadline,
        }
    }
}

/// An answer that was delivered.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct DeliveryRecord<BlockNumber> {
    /// Hash of the receipt's signing payload.
    pub receipt_hash: H256,
    pub output_len: u32,
    pub output_root: H256,
    pub finish: Finish,
    /// Planck.
    pub fee: Balance,
    pub delivered_at: BlockNumber,
    /// The block at which the job is settled, unless a dispute or a pause of the referee makes its
    /// window stand still before.
    pub window_end: BlockNumber,
    /// Blocks of the window that were left when the disputes that are live began.
    pub window_left: BlockNumber,
    /// The blocks in which the referee was paused before those that `window_end` takes into account.
    pub stood_still: BlockNumber,
}

/// Why a user got the whole escrow back.
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
)]
pub enum RefundReason {
    /// The user cancelled before an assignment.
    Cancelled,
    /// Every draw was used up without an answer.
    Exhausted,
}

/// Where a job stands.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub enum JobState<AccountId, BlockNumber> {
    /// For its draw, at this block.
    Waiting {
        draw_at: BlockNumber,
    },
    Assigned(AssignmentRecord<AccountId, BlockNumber>),
    Delivered(
        AssignmentRecord<AccountId, BlockNumber>,
        DeliveryRecord<BlockNumber>,
    ),
    /// Paid; the record is kept until `removed_at`.
    Settled {
        assignment: AssignmentRecord<AccountId, BlockNumber>,
        delivery: DeliveryRecord<BlockNumber>,
        settlement: Settlement,
        removed_at: BlockNumber,
    },
    /// Over without an answer; the record is kept until `removed_at`.
    Refunded {
        reason: RefundReason,
        removed_at: BlockNumber,
    },
    /// The answer was proven wrong, and the user refunded; the record is kept until `removed_at`.
    Slashed {
        assignment: AssignmentRecord<AccountId, BlockNumber>,
        delivery: DeliveryRecord<BlockNumber>,
        removed_at: BlockNumber,
    },
}

impl<AccountId, BlockNumber: Copy + Saturating + One> JobState<AccountId, BlockNumber> {
    /// The block of the next step that the chain takes by itself.
    pub fn due(&self) -> BlockNumber {
        match self {
            Self::Waiting { draw_at } => *draw_at,
            // A delivery may still come in the block of the deadline.
            Self::Assigned(assignment) => assignment.deadline.saturating_add(One::one()),
            Self::Delivered(_, delivery) => delivery.window_end,
            Self::Settled { removed_at, .. }
            | Self::Refunded { removed_at, .. }
            | Self::Slashed { removed_at, .. } => *removed_at,
        }
    }
}

/// A job.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct JobRecord<AccountId, BlockNumber, Excluded, Ticket> {
    pub user: AccountId,
    pub listing: ListingId,
    pub prompt_root: H256,
    pub prompt_len: u32,
    pub sampling: Sampling,
    /// Output tokens that the user wants at most.
    pub max_output_tokens: u32,
    /// Output tokens that `max_fee` must pay for.
    pub min_output_tokens: u32,
    /// What the user pays at most, in planck.
    pub max_fee: Balance,
    /// Only this provider will do.
    pub named: Option<AccountId>,
    /// Providers that declined or missed the deadline.
    pub excluded: Excluded,
    /// Draws so far.
    pub draws: u8,
    /// Planck on hold for this job.
    pub escrow: Balance,
    pub state: JobState<AccountId, BlockNumber>,
    /// Live disputes over its answer: while there are any, the chain takes no step.
    pub disputes: u32,
    pub submitted_at: BlockNumber,
    /// The deposit for this record.
    pub ticket: Ticket,
}

impl<AccountId, BlockNumber: Copy + Saturating + One, Excluded, Ticket>
    JobRecord<AccountId, BlockNumber, Excluded, Ticket>
{
    /// The block of the next step that the chain takes by itself; `None` while a dispute is live.
    pub fn due(&self) -> Option<BlockNumber> {
        (self.disputes == 0).then(|| self.state.due())
    }
}

impl<AccountId: Clone, BlockNumber, Excluded, Ticket>
    JobRecord<AccountId, BlockNumber, Excluded, Ticket>
{
    /// The request that an answer under `assignment` answers.
    pub fn header(
        &self,
        genesis: H256,
        id: assay_primitives::JobId,
        assignment: &AssignmentRecord<AccountId, BlockNumber>,
    ) -> RequestHeader<AccountId> {
        RequestHeader {
            version: assay_primitives::FORMAT_VERSION,
            genesis,
            claim: assay_primitives::Claim::Job(id),
            provider: assignment.provider.clone(),
            listing: self.listing,
            prompt_root: self.prompt_root,
            prompt_len: self.prompt_len,
            task: assay_primitives::Task::Generate,
            sampling: self.sampling,
            token_limit: assignment.token_limit,
            input_price: assignment.price.input,
            output_price: assignment.price.output,
        }
    }
}

pub type TokensOf<T> = BoundedVec<TokenId, <T as Config>::MaxTokens>;
pub type ExcludedOf<T> =
    BoundedVec<<T as frame_system::Config>::AccountId, <T as Config>::MaxDraws>;
pub type AssignmentRecordOf<T> =
    AssignmentRecord<<T as frame_system::Config>::AccountId, BlockNumberFor<T>>;
pub type DeliveryRecordOf<T> = DeliveryRecord<BlockNumberFor<T>>;
pub type JobStateOf<T> = JobState<<T as frame_system::Config>::AccountId, BlockNumberFor<T>>;
pub type JobRecordOf<T> = JobRecord<
    <T as frame_system::Config>::AccountId,
    BlockNumberFor<T>,
    ExcludedOf<T>,
    <T as Config>::Consideration,
>;
pub type ParametersOf<T> = Parameters<BlockNumberFor<T>>;
