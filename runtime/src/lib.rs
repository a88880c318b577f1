//! The Assay runtime: which pallets make up the chain, and how each is configured.
//!
//! No logic lives here except what belongs to no pallet: the lengths of slots and epochs ([`timing`]), and
//! the origins and periods of referenda ([`governance`]).

#![cfg_attr(not(feature = "std"), no_std)]
#![recursion_limit = "256"]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

extern crate alloc;

#[cfg(feature = "std")]
include!(concat!(env!("OUT_DIR"), "/wasm_binary.rs"));

pub mod apis;
#[cfg(feature = "runtime-benchmarks")]
mod benchmarks;
pub mod configs;
pub mod figures;
pub mod genesis_config_presets;
pub mod governance;
mod migrations;
#[cfg(test)]
mod tests;
pub mod timing;
mod version;
mod weights;

use alloc::vec::Vec;
use pallet_session::historical as session_historical;
use sp_runtime::{
    generic, impl_opaque_keys,
    traits::{BlakeTwo256, IdentifyAccount, Verify},
    MultiAddress, MultiSignature,
};

pub use apis::RuntimeApi;
pub use configs::{treasury_account, EXISTENTIAL_DEPOSIT};
pub use version::VERSION;

/// Signature of a transaction: sr25519, ed25519 or ECDSA.
pub type Signature = MultiSignature;
/// 32-byte account id, shown to people as an SS58 address.
pub type AccountId = <<Signature as Verify>::Signer as IdentifyAccount>::AccountId;
/// How a call names an account.
pub type Address = MultiAddress<AccountId, ()>;
/// Amount of tokens in planck: 10^12 planck are one ASY.
pub type Balance = u128;
/// Number of transactions an account has sent.
pub type Nonce = u32;
/// Block number.
pub type BlockNumber = u32;
/// Block and state hash.
pub type Hash = sp_core::H256;
/// Milliseconds since the Unix epoch, and durations in milliseconds.
pub type Moment = u64;
/// Block header.
pub type Header = generic::Header<BlockNumber, BlakeTwo256>;
/// Block.
pub type Block = generic::Block<Header, UncheckedExtrinsic>;

/// Number of planck in one ASY.
pub const ASY: Balance = 1_000_000_000_000;
/// A thousandth of one ASY, in planck.
pub const MILLI_ASY: Balance = 1_000_000_000;
/// A millionth of one ASY, in planck.
pub const MICRO_ASY: Balance = 1_000_000;
/// Decimal places of the token.
pub const TOKEN_DECIMALS: u8 = 12;
/// Symbol of the token.
pub const TOKEN_SYMBOL: &str = "ASY";
/// Prefix of this chain's SS58 addresses: 42, the one that no network owns.
pub const SS58_PREFIX: u8 = 42;

/// What a transaction carries besides its call. `AuthorizeCall` is first because it turns the
/// origin of an authorised call into one that the others accept.
pub type TxExtension = (
    frame_system::AuthorizeCall<Runtime>,
    frame_system::CheckNonZeroSender<Runtime>,
    frame_system::CheckSpecVersion<Runtime>,
    frame_system::CheckTxVersion<Runtime>,
    frame_system::CheckGenesis<Runtime>,
    frame_system::CheckEra<Runtime>,
    frame_system::CheckNonce<Runtime>,
    frame_system::CheckWeight<Runtime>,
    pallet_transaction_payment::ChargeTransactionPayment<Runtime>,
    frame_metadata_hash_extension::CheckMetadataHash<Runtime>,
    frame_system::WeightReclaim<Runtime>,
);

/// Transaction as it travels.
pub type UncheckedExtrinsic =
    generic::UncheckedExtrinsic<Address, RuntimeCall, Signature, TxExtension>;

/// Runs blocks: hooks, inherents and transactions.
pub type Executive = frame_executive::Executive<
    Runtime,
    Block,
    frame_system::ChainContext<Runtime>,
    Runtime,
    AllPalletsWithSystem,
>;

/// Types for the node, which handles transactions without decoding them: it must keep working
/// across an upgrade that changes what a transaction looks like.
pub mod opaque {
    use super::*;

    pub use sp_runtime::OpaqueExtrinsic as UncheckedExtrinsic;

    /// Block with opaque transactions.
    pub type Block = generic::Block<Header, UncheckedExtrinsic>;
    /// Block hash.
    pub type Hash = <BlakeTwo256 as sp_runtime::traits::Hash>::Output;
}

impl_opaque_keys! {
    /// Keys that a validator works with. The names are those that network tools fill in.
    pub struct SessionKeys {
        pub babe: Babe,
        pub grandpa: Grandpa,
        pub authority_discovery: AuthorityDiscovery,
    }
}

// The order of the indices is also that of genesis and of the hooks: `Timing` before `Babe`, which needs
// to know the length of an epoch; `Babe` before `Session`, which ends sessions when BABE says so; `Balances` before
// everything that holds money; `Validators`, who have bonds, before `Session`, which asks for them; `Session`
// before `Authorship`, since who made the first block of an epoch is one of its validators.
#[frame_support::runtime]
mod runtime {
    #[runtime::runtime]
    #[runtime::derive(
        RuntimeCall,
        RuntimeEvent,
        RuntimeError,
        RuntimeOrigin,
        RuntimeFreezeReason,
        RuntimeHoldReason,
        RuntimeSlashReason,
        RuntimeLockId,
        RuntimeTask,
        RuntimeViewFunction
    )]
    pub struct Runtime;

    #[runtime::pallet_index(0)]
    pub type System = frame_system;

    #[runtime::pallet_index(1)]
    pub type Timing = timing;

    #[runtime::pallet_index(2)]
    pub type Babe = pallet_babe;

    #[runtime::pallet_index(3)]
    pub type Timestamp = pallet_timestamp;

    #[runtime::pallet_index(4)]
    pub type Offences = pallet_offences;

    #[runtime::pallet_index(5)]
    pub type Balances = pallet_balances;

    #[runtime::pallet_index(6)]
    pub type TransactionPayment = pallet_transaction_payment;

    #[runtime::pallet_index(7)]
    pub type Validators = pallet_validators;

    #[runtime::pallet_index(8)]
    pub type Historical = session_historical;

    #[runtime::pallet_index(9)]
    pub type Session = pallet_session;

    #[runtime::pallet_index(10)]
    pub type Grandpa = pallet_grandpa;

    #[runtime::pallet_index(11)]
    pub type Utility = pallet_utility;

    #[runtime::pallet_index(12)]
    pub type Sudo = pallet_sudo;

    #[runtime::pallet_index(13)]
    pub type Authorship = pallet_authorship;

    #[runtime::pallet_index(14)]
    pub type AuthorityDiscovery = pallet_authority_discovery;

    #[runtime::pallet_index(20)]
    pub type Models = pallet_models;

    #[runtime::pallet_index(21)]
    pub type Providers = pallet_providers;

    #[runtime::pallet_index(22)]
    pub type Jobs = pallet_jobs;

    #[runtime::pallet_index(23)]
    pub type Channels = pallet_channels;

    #[runtime::pallet_index(24)]
    pub type Disputes = pallet_disputes;

    #[runtime::pallet_index(30)]
    pub type Governance = governance;

    #[runtime::pallet_index(31)]
    pub type Preimage = pallet_preimage;

    #[runtime::pallet_index(32)]
    pub type Scheduler = pallet_scheduler;

    #[runtime::pallet_index(33)]
    pub type Referenda = pallet_referenda;

    #[runtime::pallet_index(34)]
    pub type ConvictionVoting = pallet_conviction_voting;

    #[runtime::pallet_index(35)]
    pub type Treasury = pallet_treasury;

    #[runtime::pallet_index(36)]
    pub type MultiBlockMigrations = pallet_migrations;
}
