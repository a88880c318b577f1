//! How each pallet is configured, by subject.

mod consensus;
mod governance;
mod market;
mod money;

pub use consensus::{ReportLongevity, BABE_GENESIS_EPOCH_CONFIG};
pub use governance::{EnsureParameters, EnsureSpender, ParametersOrigin, Tracks};
pub use money::{treasury_account, TreasuryAccount, EXISTENTIAL_DEPOSIT};

use crate::{
    migrations, timing, weights, AccountId, Balance, Block, BlockNumber, Hash,
    MultiBlockMigrations, Nonce, OriginCaller, PalletInfo, Runtime, RuntimeCall, RuntimeEvent,
    RuntimeOrigin, RuntimeTask, UncheckedExtrinsic, SS58_PREFIX, VERSION,
};
use frame_support::{
    derive_impl,
    dispatch::DispatchClass,
    parameter_types,
    weights::{
        constants::{ParityDbWeight, WEIGHT_REF_TIME_PER_SECOND},
        Weight,
    },
};
use frame_system::limits::{BlockLength, BlockWeights};
use sp_runtime::Perbill;
use sp_version::RuntimeVersion;

/// Share of a block that ordinary transactions may fill; the rest is left to operational ones.
const NORMAL_DISPATCH_RATIO: Perbill = Perbill::from_percent(75);
/// Bytes in a block: what the SDK's authors stop at, or a block that is full would count as one that had
/// room for moves in disputes.
const MAX_BLOCK_BYTES: u32 = 4 * 1024 * 1024;

parameter_types! {
    /// A transaction or receipt may anchor itself to a block this far back. At least as long as the
    /// longest window in which a receipt can be disputed, with room to spare.
    pub const BlockHashCount: BlockNumber = 4096;
    pub const Version: RuntimeVersion = VERSION;
    pub const Ss58Prefix: u8 = SS58_PREFIX;
    pub RuntimeBlockWeights: BlockWeights = BlockWeights::with_sensible_defaults(
        Weight::from_parts(2 * WEIGHT_REF_TIME_PER_SECOND, u64::MAX),
        NORMAL_DISPATCH_RATIO,
    );
    pub RuntimeBlockLength: BlockLength = BlockLength::builder()
        .max_length(MAX_BLOCK_BYTES)
        .modify_max_length_for_class(DispatchClass::Normal, |max| *max = NORMAL_DISPATCH_RATIO.mul_floor(*max))
        .build();
}

#[derive_impl(frame_system::config_preludes::SolochainDefaultConfig)]
impl frame_system::Config for Runtime {
    type BaseCallFilter = pallet_validators::KeysStay<Runtime>;
    type Block = Block;
    type BlockHashCount = BlockHashCount;
    type BlockLength = RuntimeBlockLength;
    type BlockWeights = RuntimeBlockWeights;
    type AccountId = AccountId;
    type AccountData = pallet_balances::AccountData<Balance>;
    // The prelude leaves this at zero, which would make storage free.
    type DbWeight = ParityDbWeight;
    type ExtensionsWeightInfo = weights::frame_system_extensions::WeightInfo<Runtime>;
    type Hash = Hash;
    type MultiBlockMigrator = MultiBlockMigrations;
    type Nonce = Nonce;
    type SS58Prefix = Ss58Prefix;
    type SingleBlockMigrations = migrations::SingleBlock;
    type SystemWeightInfo = weights::frame_system::WeightInfo<Runtime>;
    type Version = Version;
}

/// Lets the consensus pallets put their equivocation reports into the node's own pool.
impl<LocalCall> frame_system::offchain::CreateTransactionBase<LocalCall> for Runtime
where
    RuntimeCall: From<LocalCall>,
{
    type Extrinsic = UncheckedExtrinsic;
    type RuntimeCall = RuntimeCall;
}

impl<LocalCall> frame_system::offchain::CreateBare<LocalCall> for Runtime
where
    RuntimeCall: From<LocalCall>,
{
    fn create_bare(call: RuntimeCall) -> UncheckedExtrinsic {
        UncheckedExtrinsic::new_bare(call)
    }
}

impl timing::Config for Runtime {}

impl pallet_utility::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type RuntimeCall = RuntimeCall;
    type PalletsOrigin = OriginCaller;
    type WeightInfo = weights::pallet_utility::WeightInfo<Runtime>;
}

// Only the presets for development give it a key. Without one its calls are root's alone, which may do
// everything anyway.
impl pallet_sudo::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type RuntimeCall = RuntimeCall;
    type WeightInfo = weights::pallet_sudo::WeightInfo<Runtime>;
}
