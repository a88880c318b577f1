//! What a provider can be caught at, and what proves it.

use assay_primitives::{Balance, TokenId};
use codec::{Decode, Encode};

use crate::{SignedHeader, SignedReceipt};

/// What was wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, thiserror::Error)]
pub enum Caught {
    #[error("the receipt is not signed by the operator that was the provider's at its anchor")]
    #[codec(index = 0)]
    Forged,
    #[error("the receipt is for another request")]
    #[codec(index = 1)]
    OtherRequest,
    #[error("the receipt's anchor is too old")]
    #[codec(index = 2)]
    StaleAnchor,
    #[error("the receipt's anchor is in the future")]
    #[codec(index = 3)]
    FutureAnchor,
    #[error("the receipt's anchor is no block of this chain")]
    #[codec(index = 4)]
    ForeignAnchor,
    #[error("the receipt's fee is {asked} planck and its tokens cost {right}")]
    #[codec(index = 5)]
    WrongFee { asked: Balance, right: Balance },
    #[error("the receipt is over other tokens than those sent")]
    #[codec(index = 6)]
    WrongRoot,
    #[error("the receipt is over {signed} tokens and {sent} were sent")]
    #[codec(index = 7)]
    Ahead { signed: u32, sent: u32 },
    #[error("the receipt is over {signed} tokens and the limit is {limit}")]
    #[codec(index = 8)]
    TooLong { signed: u32, limit: u32 },
    #[error("the receipt's reason to finish is not the one that its length gives")]
    #[codec(index = 9)]
    WrongFinish,
    #[error("the last receipt is over {last} tokens and one before it over {before}")]
    #[codec(index = 10)]
    Shrinking { before: u32, last: u32 },
    #[error("two receipts over {0} tokens differ in them")]
    #[codec(index = 11)]
    Equivocation(u32),
    #[error("{sent} tokens were sent and the receipts are over {receipted}")]
    #[codec(index = 12)]
    Withheld { sent: u32, receipted: u32 },
    #[error("somebody claimed {claimed} planck, and the receipts explain {receipted}")]
    #[codec(index = 13)]
    Overclaimed {
        claimed: Balance,
        receipted: Balance,
    },
}

/// All that shows it, in one place.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Evidence {
    pub caught: Caught,
    /// The request that it is about; none if it is about the channel as a whole.
    pub request: Option<Exhibit>,
}

/// A request as both sides left it.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Exhibit {
    pub seq: u64,
    pub header: SignedHeader,
    /// What the token roots are salted with.
    pub secret: [u8; 32],
    /// The last good receipt.
    pub held: Option<SignedReceipt>,
    /// The bad one.
    pub offending: Option<SignedReceipt>,
    /// The output tokens that were sent.
    pub tokens: Vec<TokenId>,
}
