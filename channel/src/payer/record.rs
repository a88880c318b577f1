//! What the user's end has on disk.

use assay_primitives::{Balance, SignedVoucher};
use codec::{Decode, Encode};

use super::{Evidence, Phase};
use crate::{
    step::{key, RecordKey},
    terms::Floor,
    SignedHeader, SignedReceipt,
};

/// A request and the last receipt for it.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Request {
    pub seq: u64,
    pub header: SignedHeader,
    /// What its token roots are salted with.
    pub secret: [u8; 32],
    pub receipt: Option<SignedReceipt>,
    pub phase: Phase,
    /// The last finalized block when it was ordered.
    pub since: u32,
}

/// One row on disk. It replaces the row of the same channel with the same [`key`](Self::key).
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
// Short-lived; a box would only complicate it.
#[allow(clippy::large_enum_variant)]
pub enum Record {
    /// The highest voucher that was signed.
    #[codec(index = 0)]
    Voucher(SignedVoucher),
    /// Rows of requests below its number are of no more use.
    #[codec(index = 1)]
    Floor(Floor),
    #[codec(index = 2)]
    Request(Request),
    /// Why the channel is given up.
    #[codec(index = 3)]
    Evidence(Evidence),
    /// The most that all requests may have cost which were forgotten without a receipt.
    #[codec(index = 4)]
    Doubted(Balance),
}

impl Record {
    pub fn key(&self) -> RecordKey {
        match self {
            Self::Voucher(_) => key(0, 0),
            Self::Floor(_) => key(1, 0),
            Self::Request(request) => Self::request_key(request.seq),
            Self::Evidence(_) => key(3, 0),
            Self::Doubted(_) => key(4, 0),
        }
    }

    /// The key of a request's row.
    pub fn request_key(seq: u64) -> RecordKey {
        key(2, seq)
    }
}
