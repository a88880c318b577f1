use assay_exact::trace::levels;
use assay_primitives::{
    blake2_256, Balance, Claim, Receipt, RequestHeader, SignedHeader, TokenId, VoucherSignature,
};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use frame_support::pallet_prelude::*;
use frame_system::pallet_prelude::BlockNumberFor;
use scale_info::TypeInfo;
use sp_core::H256;
use sp_runtime::traits::{Saturating, UniqueSaturatedInto};

use crate::{Config, Parameters};

/// Number of a dispute and of the commitment that it began with: the lower was committed to earlier.
pub type DisputeId = u64;

/// Where a dispute stands among those over its claim: the block it was opened in, then its number, both
/// big-endian. The lower is rewarded.
pub type Rank = ([u8; 4], [u8; 8]);

/// The most disputes of one provider whose clocks may run at once.
pub const MAX_LIVE: u32 = 16;
/// The most disputes against one provider that may wait.
pub const MAX_WAITING: u32 = 64;
/// Pauses before the last that are remembered.
pub const MAX_PAUSES: u32 = 8;
/// Bytes of a proof.
pub const MAX_PROOF_BYTES: u32 = 12 * 1024;
/// Parts of one reduction.
pub const MAX_PARTS: u32 = 257;
/// Levels of parts.
pub const MAX_DEPTH: u32 = 2;
/// Bytes of a leaf of any tree: of a trace, or of tokens with their salt.
pub const MAX_LEAF_BYTES: u32 = 256;
/// Hashes on the way from a leaf to its root.
pub const MAX_SIBLINGS: u32 = 64;

/// "I know something about this claim": what a dispute needs a block ahead, and does not say what.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct CommitmentRecord<BlockNumber> {
    /// What the dispute will be called.
    pub number: DisputeId,
    pub made_at: BlockNumber,
    /// The clock's reading at which it is dropped.
    pub expires_at: BlockNumber,
    /// Planck on hold.
    pub deposit: Balance,
}

/// What a provider stated, as the chain is shown it.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct Statement<AccountId, Signature> {
    pub receipt: Receipt,
    /// The operator's over the receipt. A job's receipt needs none: it was delivered.
    pub signature: Option<Signature>,
    /// The request that the receipt answers. A job's is known.
    pub header: Option<RequestHeader<AccountId>>,
}

/// Something that shows a receipt of a channel to be false without a game.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub enum Evidence<Signature> {
    /// Receipt and header alone: the chain finds what is wrong with them.
    Face,
    /// A token of the output that cannot stand where it does.
    Token { position: u32, opening: LeafOpening },
    /// Another receipt of the same request, with another token at one place.
    Twice {
        other: Receipt,
        signature: Signature,
        position: u32,
        opening: LeafOpening,
        other_opening: LeafOpening,
    },
}

/// What is false about a receipt that can be seen without a game.
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
pub enum Fault {
    /// The header names another chain, provider or listing than the channel.
    OtherRequest,
    /// The fee is not the price of the tokens.
    WrongFee,
    /// It speaks of more output tokens than the header allows.
    TooLong,
    /// It ended for its length before the limit.
    TooShort,
    /// Prompt and answer are longer than the model's context.
    ContextExceeded,
    /// The anchor is not a block of this chain.
    WrongAnchor,
    /// It says that a stop token ended it, and another token did.
    NoStopToken,
    /// A stop token has tokens behind it.
    PastStopToken,
    /// A token that the model does not have.
    UnknownToken,
    /// One place of one answer has two tokens.
    Equivocation,
    /// It ended as nothing ends that was asked: an answer with a mismatch, a score with a stop token.
    WrongFinish,
}

/// One leaf of a tree, and the hashes that are missing on the way to its root, from the leaf up.
#[derive(
    Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct LeafOpening {
    pub bytes: LeafBytes,
    pub siblings: BoundedVec<H256, ConstU32<MAX_SIBLINGS>>,
}

/// What a dispute is about.
// Few are about less than a token.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub enum Question<AccountId> {
    /// Whether the user asked this at all.
    Header,
    /// Whether the output token at `position` follows; of a score, whether what it says of the answer's
    /// token there is true.
    Token {
        position: u32,
        header: RequestHeader<AccountId>,
        /// The draw's randomness for a job, zero in a channel.
        randomness: H256,
        /// Of the trace up to this token.
        leaves: u64,
    },
}

impl<AccountId> Question<AccountId> {
    /// Leaves of the trace that it is about; none if it is about none.
    pub fn leaves(&self) -> u64 {
        match self {
            Self::Header => 0,
            Self::Token { leaves, .. } => *leaves,
        }
    }
}

/// A provider's first move.
#[derive(
    Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub enum Answer<AccountId> {
    /// To whether the user asked this at all.
    Header(SignedHeader<AccountId>),
    /// To whether a token follows.
    Trace {
        /// The user's under the header; for a job there is none.
        signature: Option<VoucherSignature>,
        /// The nodes of the trace's first revealed level.
        nodes: Nodes,
        /// The trace's last leaf, which holds the token.
        last: LeafOpening,
        /// The leaf with the token that is in question: of the output, or of a score's prompt.
        token: LeafOpening,
    },
}

/// What lies under a node that was chosen.
#[derive(
    Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub enum Revelation {
    Nodes(Nodes),
    Leaves(Leaves),
}

/// A challenger's move: the first that is wrong of what was revealed.
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
pub enum Choice {
    /// Which of the nodes.
    Node(u32),
    /// Which of the leaves, and which of its elements.
    Element { leaf: u32, element: u32 },
    /// Which of the parts.
    Part(u32),
}

/// A number of the trace whose step is judged.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct StepRecord {
    /// Leaf of the trace.
    pub leaf: u64,
    /// Element of the leaf.
    pub element: u32,
    /// What the leaf says it is.
    pub value: i64,
    /// The part of it that is disputed, and the part of that part.
    pub parts: BoundedVec<PartRecord, ConstU32<MAX_DEPTH>>,
}

/// A part of a long reduction.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct PartRecord {
    pub index: u32,
    /// What the provider says it is.
    pub value: i64,
}

/// What comes next in a dispute.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub enum Stage {
    /// The provider answers the question.
    Answer,
    /// The challenger chooses a node of this level, of which the first is number `first`.
    Nodes {
        level: u32,
        first: u64,
        nodes: Nodes,
    },
    /// The provider reveals what lies under this node.
    Node { level: u32, index: u64, hash: H256 },
    /// The challenger chooses an element of these leaves, of which the first is number `first`.
    Leaves { first: u64, leaves: Leaves },
    /// The provider proves this step.
    Step(StepRecord),
    /// The challenger chooses one of these parts of a step.
    Parts {
        step: StepRecord,
        parts: BoundedVec<i64, ConstU32<MAX_PARTS>>,
    },
}

/// Who moves.
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
pub enum Side {
    Provider,
    Challenger,
}

impl Stage {
    /// Whose turn it is.
    pub fn side(&self) -> Side {
        match self {
            Self::Answer | Self::Node { .. } | Self::Step(_) => Side::Provider,
            Self::Nodes { .. } | Self::Leaves { .. } | Self::Parts { .. } => Side::Challenger,
        }
    }

    /// What follows from a choice; none if there is no such thing to choose. `value_in` reads an element
    /// of a leaf with this number and these bytes.
    pub fn chosen(
        self,
        choice: Choice,
        value_in: impl Fn(u64, &[u8], u32) -> Option<i64>,
    ) -> Option<Self> {
        match (self, choice) {
            (
                Self::Nodes {
                    level,
                    first,
                    nodes,
                },
                Choice::Node(index),
            ) => Some(Self::Node {
                level,
                index: first.checked_add(index.into())?,
                hash: *nodes.get(usize::try_from(index).ok()?)?,
            }),
            (Self::Leaves { first, leaves }, Choice::Element { leaf, element }) => {
                let bytes = leaves.get(usize::try_from(leaf).ok()?)?;
                let leaf = first.checked_add(leaf.into())?;
                Some(Self::Step(StepRecord {
                    leaf,
                    element,
                    value: value_in(leaf, bytes, element)?,
                    parts: Default::default(),
                }))
            }
            (Self::Parts { mut step, parts }, Choice::Part(index)) => {
                let value = *parts.get(usize::try_from(index).ok()?)?;
                step.parts.try_push(PartRecord { index, value }).ok()?;
                Some(Self::Step(step))
            }
            _ => None,
        }
    }
}

/// A dispute.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct DisputeRecord<AccountId, BlockNumber> {
    pub claim: Claim,
    /// Stash.
    pub provider: AccountId,
    pub challenger: AccountId,
    /// Plays the challenger's moves too, and cannot touch its money.
    pub delegate: Option<AccountId>,
    pub receipt: Receipt,
    pub question: Question<AccountId>,
    /// The block it was opened in.
    pub opened_at: BlockNumber,
    /// Planck of the challenger on hold.
    pub bond: Balance,
    /// What those that waited added to the bond, in planck, less what a conviction that it is rewarded for has
    /// burned: so much of the bond is lost however it ends.
    pub surcharge: Balance,
    pub stage: Stage,
    pub moves: u32,
    /// What a move must name: a hash of all moves so far.
    pub state: H256,
    /// The state that the last move was for, until another comes for it: that does nothing, and is free.
    pub overtaken: Option<H256>,
    /// The clock's last reading at which the next move is in time; none while the dispute waits.
    pub deadline: Option<BlockNumber>,
}

impl<AccountId: PartialEq, BlockNumber: Saturating + From<u32>>
    DisputeRecord<AccountId, BlockNumber>
{
    /// Go on to `stage`.
    pub fn advance(&mut self, stage: Stage) {
        self.moves = self.moves.saturating_add(1);
        self.overtaken = Some(self.state);
        self.state = blake2_256(&(self.state, &stage).encode()).into();
        self.stage = stage;
    }

    /// Counted blocks that the next move may take. `docket` is the provider's, with this dispute on it.
    pub fn allowance(&self, parameters: &Parameters<BlockNumber>, docket: &Docket) -> BlockNumber
    where
        BlockNumber: Copy,
    {
        // One move of each side, before which it computes the trace; the provider computes that of one dispute
        // after another, and this may be the last of them however short its own is.
        let traces = match (self.moves, self.stage.side()) {
            (0 | 1, Side::Provider) => docket
                .live
                .iter()
                .fold(0, |sum: u32, live| sum.saturating_add(live.trace_blocks)),
            (0 | 1, Side::Challenger) => parameters.blocks_for(self.question.leaves()),
            _ => 0,
        };
        parameters.reply_blocks.saturating_add(traces.into())
    }

    /// Where it stands among those over its claim.
    pub fn rank(&self, number: DisputeId) -> Rank
    where
        BlockNumber: Copy + UniqueSaturatedInto<u32>,
    {
        rank(self.opened_at, number)
    }

    /// Whether `who` may play the challenger's moves.
    pub fn is_challenger(&self, who: &AccountId) -> bool {
        self.challenger == *who || self.delegate.as_ref() == Some(who)
    }
}

/// A dispute whose clock runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Live {
    pub dispute: DisputeId,
    /// Counted blocks that its trace takes.
    pub trace_blocks: u32,
}

/// A provider's disputes.
#[derive(Clone, PartialEq, Eq, Debug, Default, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Docket {
    /// Their clocks run.
    pub live: BoundedVec<Live, ConstU32<MAX_LIVE>>,
    /// They wait for the others to end, the first first.
    pub waiting: BoundedVec<DisputeId, ConstU32<MAX_WAITING>>,
}

impl Docket {
    /// All of them, those whose clocks run first.
    pub fn numbers(&self) -> impl Iterator<Item = DisputeId> + '_ {
        let live = self.live.iter().map(|live| live.dispute);
        live.chain(self.waiting.iter().copied())
    }
}

/// The trace that a provider stands by, for as long as its receipt can be disputed.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct TraceRecord {
    pub claim: Claim,
    /// Number of the receipt's anchor.
    pub anchor: u32,
    pub root: H256,
    /// The first revealed level.
    pub nodes: Nodes,
}

/// A time in which no clock ran.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Pause<BlockNumber> {
    /// Blocks of all pauses before this one.
    pub before: BlockNumber,
    pub since: BlockNumber,
    /// None while it lasts.
    pub until: Option<BlockNumber>,
}

/// What the chain does by itself.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub enum Duty<AccountId> {
    /// Drop a commitment that was not used.
    Commitment(AccountId, H256),
    /// End a dispute whose next move is late.
    Dispute(DisputeId),
    /// Drop a trace whose receipt cannot be disputed any more.
    Trace(H256, u32),
    /// Drop the note of a conviction whose claim is gone.
    Conviction(Claim),
}

/// How a dispute ended.
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
pub enum Verdict {
    /// The receipt is false, or the provider did not answer.
    Convicted,
    /// The step is right, or the challenger did not go on.
    Acquitted,
    /// Another dispute convicted the provider of the same claim.
    Superseded,
    /// The model's own numbers break the format: its listing is frozen.
    ModelBroken,
}

pub type LeafBytes = BoundedVec<u8, ConstU32<MAX_LEAF_BYTES>>;
pub type Nodes = BoundedVec<H256, ConstU32<{ levels::MAX_NODES }>>;
pub type Leaves = BoundedVec<LeafBytes, ConstU32<{ levels::MAX_LEAVES }>>;
pub type ProofBytes = BoundedVec<u8, ConstU32<MAX_PROOF_BYTES>>;
pub type HeaderOf<T> = RequestHeader<<T as frame_system::Config>::AccountId>;
pub type StatementOf<T> =
    Statement<<T as frame_system::Config>::AccountId, <T as Config>::Signature>;
pub type EvidenceOf<T> = Evidence<<T as Config>::Signature>;
pub type AnswerOf<T> = Answer<<T as frame_system::Config>::AccountId>;
pub type DutyOf<T> = Duty<<T as frame_system::Config>::AccountId>;
pub type DisputeRecordOf<T> =
    DisputeRecord<<T as frame_system::Config>::AccountId, BlockNumberFor<T>>;
pub type ParametersOf<T> = Parameters<BlockNumberFor<T>>;

/// Where what was opened in this block, under a commitment of this number, stands.
pub fn rank(opened_at: impl UniqueSaturatedInto<u32>, number: DisputeId) -> Rank {
    let opened_at: u32 = opened_at.unique_saturated_into();
    (opened_at.to_be_bytes(), number.to_be_bytes())
}

/// The token at `position` of a list of `length`, in the bytes of its leaf; none if they are no such
/// leaf. A `salted` leaf has its salt before the tokens.
pub fn token_in(leaf: &[u8], position: u32, length: u32, salted: bool) -> Option<TokenId> {
    let per_leaf = u32::try_from(assay_primitives::LEAF_TOKENS).ok()?;
    let (first, place) = (
        position.checked_sub(position.checked_rem(per_leaf)?)?,
        position.checked_rem(per_leaf)?,
    );
    let tokens = length.checked_sub(first)?.min(per_leaf);
    let salt: usize = if salted { 32 } else { 0 };
    let bytes = leaf.get(salt..)?;
    if place >= tokens || bytes.len() != usize::try_from(tokens).ok()?.checked_mul(4)? {
        return None;
    }
    let token = bytes.chunks_exact(4).nth(usize::try_from(place).ok()?)?;
    Some(u32::from_le_bytes(token.try_into().ok()?))
}
