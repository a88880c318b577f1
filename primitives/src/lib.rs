//! What every layer of Assay agrees on: ids, model shapes, sampling, prices, request headers,
//! receipts, token trees, and the small traits through which one pallet asks another for a service.
//!
//! Nothing here decides anything: the rules live in the pallets, the arithmetic in the engines.

#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

pub mod channel;
pub mod dispute;
pub mod fees;
mod hashing;
pub mod market;
pub mod model;
pub mod receipt;
pub mod rewards;
pub mod tree;

pub use channel::{
    channel_id, ChannelId, SignedHeader, SignedVoucher, Voucher, VoucherKey, VoucherSignature,
    RECEIPT_TOKENS, WINDOW_TOKENS,
};
pub use dispute::{ClaimFacts, Claims, Conviction, Request, Slashed, Stake};
pub use fees::{Dues, Fees, Settlement};
pub use hashing::blake2_256;
pub use market::{
    Assignment, Balance, DrawRequest, Eligibility, Listing, Market, ModelCatalogue, Outcome, Price,
    ProviderTerms,
};
pub use model::{
    Architecture, ModelParts, ModelSpec, Profile, Rotary, RotaryScaling, SpecError, MAX_STOP_TOKENS,
};
pub use receipt::{
    seed, Anchor, Claim, Finish, Receipt, RequestHeader, Sampling, SamplingError, Task,
    FORMAT_VERSION, PPM_ONE,
};
pub use rewards::{Emission, EraEnded, EraIndex, ProviderRewards, RewardPool, ValidatorRewards};
pub use tree::{salted_token_root, token_root, Side, LEAF_TOKENS};

/// Position of a token in a model's vocabulary.
pub type TokenId = u32;

/// Number of a job, counted from zero over the life of the chain and never used twice.
pub type JobId = u64;

/// Hash that names a model's shape, tokenizer, template, tables and weights.
pub type ModelRoot = sp_core::H256;

/// Hash of a model root, its publisher and the royalty: what offers and jobs name.
pub type ListingId = sp_core::H256;
