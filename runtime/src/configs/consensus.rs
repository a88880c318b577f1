//! BABE makes blocks, GRANDPA finalises them, and pallet-session tells both who the validators are.

use super::{
    governance::ParametersOrigin,
    money::{RewardPotId, TreasuryAccount},
};
use crate::{
    timing, weights, AccountId, Babe, Balance, Balances, Moment, Offences, Providers, Runtime,
    RuntimeEvent, RuntimeHoldReason, Session, SessionKeys, Timestamp, Validators, ASY,
};
use frame_support::{
    parameter_types,
    traits::{tokens::imbalance::ResolveTo, ConstU32, Get},
};
use pallet_validators::BondingSessions;
use sp_consensus_babe::{AllowedSlots, BabeEpochConfiguration};
use sp_runtime::traits::{ConvertInto, OpaqueKeys};

/// A quarter of the slots have one or more primary authors; a secondary author, who also proves
/// its randomness, fills each of the others. So every slot has a block.
pub const BABE_GENESIS_EPOCH_CONFIG: BabeEpochConfiguration = BabeEpochConfiguration {
    c: (1, 4),
    allowed_slots: AllowedSlots::PrimaryAndSecondaryVRFSlots,
};

parameter_types! {
    pub const MaxAuthorities: u32 = 100;
    /// Of one validator.
    pub const MaxNominators: u32 = 64;
    /// What storing session keys costs an account until it removes them.
    pub const KeyDeposit: Balance = ASY / 10;
}

/// A set of GRANDPA's lasts a session at least. The present one can be reported, and those of `bonding_sessions`
/// before; and a report of a set asks when the one before it ended.
pub struct KeptSetIds;

impl Get<u64> for KeptSetIds {
    fn get() -> u64 {
        u64::from(BondingSessions::<Runtime>::get()).saturating_add(2)
    }
}

pub type ReportLongevity = timing::SessionsInSlots<Runtime, BondingSessions<Runtime>>;

impl pallet_timestamp::Config for Runtime {
    type Moment = Moment;
    type OnTimestampSet = Babe;
    type MinimumPeriod = timing::MinimumPeriod<Runtime>;
    type WeightInfo = weights::pallet_timestamp::WeightInfo<Runtime>;
}

impl pallet_babe::Config for Runtime {
    type EpochDuration = timing::EpochDuration<Runtime>;
    type ExpectedBlockTime = timing::SlotDuration<Runtime>;
    type EpochChangeTrigger = pallet_babe::ExternalTrigger;
    type DisabledValidators = Session;
    type WeightInfo = ();
    type MaxAuthorities = MaxAuthorities;
    type MaxNominators = MaxNominators;
    type KeyOwnerProof = sp_session::MembershipProof;
    type EquivocationReportSystem =
        pallet_babe::EquivocationReportSystem<Self, Offences, Validators, ReportLongevity>;
}

impl pallet_grandpa::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type WeightInfo = ();
    type MaxAuthorities = MaxAuthorities;
    type MaxNominators = MaxNominators;
    type MaxSetIdSessionEntries = KeptSetIds;
    type KeyOwnerProof = sp_session::MembershipProof;
    type EquivocationReportSystem =
        pallet_grandpa::EquivocationReportSystem<Self, Offences, Validators, ReportLongevity>;
}

impl pallet_session::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type ValidatorId = AccountId;
    type ValidatorIdOf = ConvertInto;
    type ShouldEndSession = Babe;
    type NextSessionRotation = Babe;
    type SessionManager = pallet_session::historical::NoteHistoricalRoot<Self, Validators>;
    type SessionHandler = <SessionKeys as OpaqueKeys>::KeyTypeIdProviders;
    type Keys = SessionKeys;
    type DisablingStrategy = pallet_session::disabling::UpToLimitWithReEnablingDisablingStrategy;
    type WeightInfo = pallet_session::weights::SubstrateWeight<Runtime>;
    type Currency = Balances;
    type KeyDeposit = KeyDeposit;
}

impl pallet_session::historical::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type FullIdentification = ();
    type FullIdentificationOf = pallet_validators::IdentifiedByAccount;
}

impl pallet_offences::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type IdentificationTuple = pallet_session::historical::IdentificationTuple<Self>;
    type OnOffenceHandler = Validators;
}

// Lets validators find each other's addresses by their keys.
impl pallet_authority_discovery::Config for Runtime {
    type MaxAuthorities = MaxAuthorities;
}

impl pallet_authorship::Config for Runtime {
    type FindAuthor = pallet_session::FindAccountFromAuthorIndex<Self, Babe>;
    type EventHandler = Validators;
}

impl pallet_validators::Config for Runtime {
    type Currency = Balances;
    type RuntimeHoldReason = RuntimeHoldReason;
    type OnSlash = ResolveTo<TreasuryAccount, Balances>;
    type AdminOrigin = ParametersOrigin;
    type MaxValidators = MaxAuthorities;
    type MaxCandidates = ConstU32<400>;
    type MaxNominators = MaxNominators;
    type MaxSlashes = ConstU32<16>;
    type MaxUnbondingChunks = ConstU32<32>;
    type Time = Timestamp;
    type RewardPot = RewardPotId;
    type EraEnded = Providers;
    type WeightInfo = ();
}
