//! What the provider's end has on disk.

use assay_primitives::SignedVoucher;
use codec::{Decode, Encode};

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
    /// None until the first one, which comes before prefill: until then the request is in memory alone, so that no
    /// request that costs nothing takes room on the disk.
    pub receipt: Option<SignedReceipt>,
    /// No further receipt follows. A request that is not ended when its record is read back was interrupted,
    /// and has ended there.
    pub ended: bool,
}

/// One row on disk. It replaces the row of the same channel with the same [`key`](Self::key).
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
// Short-lived; a box would only complicate it.
#[allow(clippy::large_enum_variant)]
pub enum Record {
    /// The highest voucher.
    #[codec(index = 0)]
    Voucher(SignedVoucher),
    /// Rows of requests below its number are of no more use.
    #[codec(index = 1)]
    Floor(Floor),
    #[codec(index = 2)]
    Request(Request),
}

impl Record {
    pub fn key(&self) -> RecordKey {
        match self {
            Self::Voucher(_) => key(0, 0),
            Self::Floor(_) => key(1, 0),
            Self::Request(request) => Self::request_key(request.seq),
        }
    }

    /// The key of a request's row.
    pub fn request_key(seq: u64) -> RecordKey {
        key(2, seq)
    }
}
