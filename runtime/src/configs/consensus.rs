//! BABE makes blocks, GRANDPA finalises them, and pallet-session tells both who the validators are.

use crate::{
    session_manager::{ByAccountAlone, GenesisAuthorities, KeptSessions},
    timing, weights, AccountId, Babe, Balance, Balances, Historical, Moment, Offences, Runtime,
    RuntimeEvent, Session, SessionKeys, ASY,
};
use frame_support::{
    parameter_types,
    traits::{ConstU32, Get},
};
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
    /// What storing session keys costs an account until it removes them.
    pub const KeyDeposit: Balance = ASY / 10;
}

/// `KeptSessions` as the number of entries that GRANDPA keeps.
pub struct KeptSetIds;

impl Get<u64> for KeptSetIds {
    fn get() -> u64 {
        KeptSessions::get().into()
    }
}

type ReportLongevity = timing::SessionsInSlots<Runtime, KeptSessions>;

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
    type MaxNominators = ConstU32<0>;
    type KeyOwnerProof = sp_session::MembershipProof;
    type EquivocationReportSystem =
        pallet_babe::EquivocationReportSystem<Self, Offences, Historical, ReportLongevity>;
}

impl pallet_grandpa::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type WeightInfo = ();
    type MaxAuthorities = MaxAuthorities;
    type MaxNominators = ConstU32<0>;
    type MaxSetIdSessionEntries = KeptSetIds;
    type KeyOwnerProof = sp_session::MembershipProof;
    type EquivocationReportSystem =
        pallet_grandpa::EquivocationReportSystem<Self, Offences, Historical, ReportLongevity>;
}

impl pallet_session::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type ValidatorId = AccountId;
    type ValidatorIdOf = ConvertInto;
    type ShouldEndSession = Babe;
    type NextSessionRotation = Babe;
    type SessionManager = pallet_session::historical::NoteHistoricalRoot<Self, GenesisAuthorities>;
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
    type FullIdentificationOf = ByAccountAlone;
}

// Offences are recorded, but validators have no bond yet that could be slashed.
impl pallet_offences::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type IdentificationTuple = pallet_session::historical::IdentificationTuple<Self>;
    type OnOffenceHandler = ();
}

impl pallet_authorship::Config for Runtime {
    type FindAuthor = pallet_session::FindAccountFromAuthorIndex<Self, Babe>;
    type EventHandler = ();
}
