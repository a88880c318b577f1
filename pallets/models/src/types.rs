use assay_primitives::{Balance, ListingId, ModelParts};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use frame_support::pallet_prelude::*;
use scale_info::TypeInfo;
use serde::{Deserialize, Serialize};
use sp_runtime::Permill;

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
pub struct Parameters {
    /// The highest royalty with which a model may be listed. Those that are listed keep theirs: it is a
    /// part of their ids, and who offers or uses them agreed to it.
    pub max_royalty: Permill,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            max_royalty: Permill::from_percent(20),
        }
    }
}

/// Whether new offers and jobs may name a listing.
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
pub enum ListingStatus {
    Active,
    /// Withdrawn by its publisher.
    Retired,
    /// Its weights break the numeric format.
    Frozen,
}

/// A model as one publisher lists it. The id of the listing is the hash of `parts`, `publisher`
/// and `royalty`.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct ListingRecord<AccountId, Uri, Ticket> {
    pub publisher: AccountId,
    pub parts: ModelParts,
    /// The publisher's share of each fee.
    pub royalty: Permill,
    /// Where the files can be had; informative.
    pub uri: Uri,
    pub status: ListingStatus,
    /// The deposit for this record.
    pub ticket: Ticket,
}

/// What changes with each use of a listing; apart from the record, which is large.
#[derive(Clone, PartialEq, Eq, Debug, Default, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct ListingAccount {
    /// Offers, unfinished jobs and channels that are not closed, which name the listing.
    pub uses: u32,
    /// Royalties earned and not claimed, in planck.
    pub pot: Balance,
}

pub type UriOf<T> = BoundedVec<u8, <T as Config>::MaxUriLength>;
pub type ListingRecordOf<T> =
    ListingRecord<<T as frame_system::Config>::AccountId, UriOf<T>, <T as Config>::Consideration>;

impl<AccountId: Encode, Uri, Ticket> ListingRecord<AccountId, Uri, Ticket> {
    pub fn id(&self) -> ListingId {
        self.parts.listing_id(&self.publisher, self.royalty)
    }
}
