//! A dispute as the chain keeps it, and the moves in it: the types of `pallet-disputes`, by the same
//! names.

use assay_exact::trace::{Layout, Opening, Part, Proof, Target};
use assay_primitives::{Claim, Receipt, RequestHeader, SignedHeader, VoucherSignature};
use subxt::utils::{AccountId32, H256};

/// Number of a dispute.
pub type DisputeId = u64;

/// What the chain says of a dispute that is not over.
#[derive(Clone, PartialEq, Debug)]
pub struct Dispute {
    pub id: DisputeId,
    pub claim: Claim,
    /// The provider's stash.
    pub provider: AccountId32,
    pub challenger: AccountId32,
    /// Plays the challenger's moves too.
    pub delegate: Option<AccountId32>,
    pub receipt: Receipt,
    pub question: Question,
    /// What the challenger has at stake, in planck.
    pub bond: u128,
    pub stage: Stage,
    pub moves: u32,
    /// What the next move has to name.
    pub state: H256,
    /// The clock's last reading at which the next move is in time; none while the dispute waits.
    pub deadline: Option<u32>,
}

impl Dispute {
    /// Whose turn it is; nobody's while the dispute waits.
    pub fn turn(&self) -> Option<Side> {
        self.deadline.map(|_| self.stage.side())
    }

    /// Whether this account plays the challenger's moves.
    pub fn is_challenger(&self, account: &AccountId32) -> bool {
        self.challenger == *account || self.delegate == Some(*account)
    }

    /// Place of the disputed token in the answer, from 0; none if it is about the request.
    pub fn position(&self) -> Option<u32> {
        match &self.question {
            Question::Header => None,
            Question::Token { position, .. } => Some(*position),
        }
    }
}

/// Those who move.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    Provider,
    Challenger,
}

/// What a dispute is about.
#[derive(Clone, PartialEq, Debug)]
// One in memory at a time; a box would only complicate it.
#[allow(clippy::large_enum_variant)]
pub enum Question {
    /// Whether the user asked this at all.
    Header,
    /// Whether the output token at `position` follows.
    Token {
        position: u32,
        header: RequestHeader<AccountId32>,
        /// The draw's randomness for a job, zero in a channel.
        randomness: H256,
    },
}

/// What comes next in a dispute.
#[derive(Clone, PartialEq, Debug)]
pub enum Stage {
    /// The provider answers the question.
    Answer,
    /// The challenger chooses a node of this level, of which the first is number `first`.
    Nodes {
        level: u32,
        first: u64,
        nodes: Vec<H256>,
    },
    /// The provider reveals what lies under this node.
    Node { level: u32, index: u64 },
    /// The challenger chooses an element of these leaves, of which the first is number `first`.
    Leaves { first: u64, leaves: Vec<Vec<u8>> },
    /// The provider proves this step.
    Step(Step),
    /// The challenger chooses one of these parts of a step.
    Parts { step: Step, parts: Vec<i64> },
}

impl Stage {
    /// Whose turn it is, once the clock runs.
    pub fn side(&self) -> Side {
        match self {
            Self::Answer | Self::Node { .. } | Self::Step(_) => Side::Provider,
            Self::Nodes { .. } | Self::Leaves { .. } | Self::Parts { .. } => Side::Challenger,
        }
    }

    /// What is waited for, for a sentence.
    pub fn describe(&self) -> &'static str {
        match self {
            Self::Answer => "the provider has to answer",
            Self::Nodes { .. } => "the challenger has to choose a hash",
            Self::Node { .. } => "the provider has to reveal what is below a hash",
            Self::Leaves { .. } => "the challenger has to choose a number",
            Self::Step(_) => "the provider has to prove a step",
            Self::Parts { .. } => "the challenger has to choose a part of a step",
        }
    }
}

/// A number of the trace, or a part of one, whose step is judged.
#[derive(Clone, PartialEq, Debug)]
pub struct Step {
    /// Leaf of the trace.
    pub leaf: u64,
    /// Element of the leaf.
    pub element: u32,
    /// What the leaf says it is.
    pub value: i64,
    /// The parts that were chosen, and what the provider said of each.
    pub parts: Vec<Part>,
}

impl Step {
    /// The same for the judge; none if the trace has no such leaf or element.
    pub fn target(&self, layout: &Layout) -> Option<Target> {
        Some(Target {
            cell: layout.cell(self.leaf, self.element)?,
            value: self.value,
            parts: self.parts.clone(),
        })
    }
}

/// A move, without the dispute and the state that it is for.
#[derive(Clone, PartialEq, Debug)]
// One at a time; a box would only complicate it.
#[allow(clippy::large_enum_variant)]
pub enum Move {
    /// The request that the user signed.
    Header(SignedHeader<AccountId32>),
    /// The trace's first nodes.
    Trace {
        /// The user's under the header; for a job there is none.
        signature: Option<VoucherSignature>,
        nodes: Vec<H256>,
        /// The trace's last leaf.
        last: Opening,
        /// The leaf of the output with the token.
        token: Opening,
    },
    Nodes(Vec<H256>),
    Leaves(Vec<Vec<u8>>),
    Prove(Proof),
    Choose(Choice),
}

/// A challenger's move: the first that is wrong of what was revealed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Choice {
    /// Which of the nodes.
    Node(u32),
    /// Which of the leaves, and which of its elements.
    Element { leaf: u32, element: u32 },
    /// Which of the parts.
    Part(u32),
}

impl Move {
    /// What it does, for a line of a log.
    pub fn describe(&self) -> String {
        match self {
            Self::Header(_) => "shows the signed request".into(),
            Self::Trace { nodes, .. } => format!("answers with {} hashes", nodes.len()),
            Self::Nodes(nodes) => format!("reveals {} hashes", nodes.len()),
            Self::Leaves(leaves) => format!("reveals {} leaves", leaves.len()),
            Self::Prove(proof) if proof.parts.is_empty() => "proves the step".into(),
            Self::Prove(proof) => format!("shows the step's {} parts", proof.parts.len()),
            Self::Choose(Choice::Node(index)) => format!("chooses hash {index}"),
            Self::Choose(Choice::Element { leaf, element }) => {
                format!("chooses number {element} of leaf {leaf}")
            }
            Self::Choose(Choice::Part(index)) => format!("chooses part {index}"),
        }
    }
}
