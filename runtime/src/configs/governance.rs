//! Referenda, what they may do, and how it is done.
//!
//! The weights of these pallets are the SDK's own, of its reference machine, with this chain's database:
//! they are called seldom, and none of them near a limit.

use crate::{
    governance::{self, Hours, Origin, PausedByMigration},
    treasury_account, AccountId, Balance, Balances, BlockNumber, Disputes, OriginCaller, Preimage,
    Referenda, Runtime, RuntimeCall, RuntimeEvent, RuntimeHoldReason, RuntimeOrigin, Scheduler,
    System, Treasury, ASY,
};
use alloc::borrow::Cow;
use frame_support::{
    migrations::{FailedMigrationHandler, FailedMigrationHandling, MigrationStatusHandler},
    parameter_types,
    traits::{
        fungible::Mutate,
        tokens::{Pay, PaymentStatus, Preservation, UnityAssetBalanceConversion},
        AsEnsureOriginWithArg, ConstU128, ConstU32, EitherOf, EnsureOrigin, EqualPrivilegeOnly,
        Get, OriginTrait,
    },
    weights::{constants::WEIGHT_REF_TIME_PER_SECOND, Weight},
    PalletId,
};
use frame_system::{EnsureRoot, EnsureSigned, RawOrigin};
use pallet_referenda::{Curve, Track, TrackInfo};
use sp_runtime::{str_array, traits::IdentityLookup, DispatchError, Perbill, Permill};

use super::{market::Deposit, money::TREASURY_PALLET_ID};

/// What the spenders' track may spend at a time, in planck. No parameter: it divides what this track may do from
/// what takes root, and those who decide on parameters are fewer than that takes.
const SPEND_LIMIT: Balance = 10_000 * ASY;
/// Deposit for proposing a referendum, in planck; lost if nobody pays for its decision in time, or if
/// it is rejected or killed.
const SUBMISSION_DEPOSIT: Balance = 10 * ASY;

/// The number of a track.
type TrackId = u16;

const ROOT: TrackId = 0;
const PARAMETERS: TrackId = 1;
const SPENDER: TrackId = 2;

/// Root, or a referendum on parameters.
pub type ParametersOrigin = EitherOf<EnsureRoot<AccountId>, EnsureParameters>;

/// A referendum on parameters.
pub struct EnsureParameters;

impl EnsureOrigin<RuntimeOrigin> for EnsureParameters {
    type Success = ();

    fn try_origin(origin: RuntimeOrigin) -> Result<(), RuntimeOrigin> {
        match origin.caller() {
            OriginCaller::Governance(Origin::Parameters) => Ok(()),
            _ => Err(origin),
        }
    }

    #[cfg(feature = "runtime-benchmarks")]
    fn try_successful_origin() -> Result<RuntimeOrigin, ()> {
        Ok(Origin::Parameters.into())
    }
}

/// Who may spend from the treasury, and how much at a time, in planck.
pub struct EnsureSpender;

impl EnsureOrigin<RuntimeOrigin> for EnsureSpender {
    type Success = Balance;

    fn try_origin(origin: RuntimeOrigin) -> Result<Balance, RuntimeOrigin> {
        match origin.caller() {
            OriginCaller::system(RawOrigin::Root) => Ok(Balance::MAX),
            OriginCaller::Governance(Origin::Spender) => Ok(SPEND_LIMIT),
            _ => Err(origin),
        }
    }

    #[cfg(feature = "runtime-benchmarks")]
    fn try_successful_origin() -> Result<RuntimeOrigin, ()> {
        Ok(RuntimeOrigin::root())
    }
}

/// The tracks of referenda.
///
/// The sooner a decision is to be, the more must agree: the share of ayes, and the support by all of
/// the issuance, that a referendum needs fall over its decision period. Those of who may do more fall
/// less.
pub struct Tracks;

impl Tracks {
    /// Falls from one share to another over the whole decision period.
    const fn falling(from_percent: u32, to_percent: u32) -> Curve {
        Curve::LinearDecreasing {
            length: Perbill::one(),
            ceil: Perbill::from_percent(from_percent),
            floor: Perbill::from_percent(to_percent),
        }
    }

    /// Everything, a new runtime included. Whoever disagrees has a day to leave.
    fn root() -> TrackInfo<Balance, BlockNumber> {
        TrackInfo {
            name: str_array("root"),
            // What nobody wants is decided for the whole period too: few places would keep others waiting.
            max_deciding: 50,
            decision_deposit: 1_000 * ASY,
            prepare_period: Hours::<Runtime, 2>::get(),
            decision_period: Hours::<Runtime, { 14 * 24 }>::get(),
            confirm_period: Hours::<Runtime, 24>::get(),
            min_enactment_period: Hours::<Runtime, 24>::get(),
            min_approval: Self::falling(80, 60),
            min_support: Self::falling(50, 10),
        }
    }

    /// The parameters of all pallets, and the referee's pause: which must come soon when it is needed.
    fn parameters() -> TrackInfo<Balance, BlockNumber> {
        TrackInfo {
            name: str_array("parameters"),
            max_deciding: 10,
            decision_deposit: 100 * ASY,
            prepare_period: Hours::<Runtime, 1>::get(),
            decision_period: Hours::<Runtime, { 7 * 24 }>::get(),
            confirm_period: Hours::<Runtime, 3>::get(),
            min_enactment_period: Hours::<Runtime, 1>::get(),
            min_approval: Self::falling(80, 50),
            min_support: Self::falling(50, 5),
        }
    }

    /// Money of the treasury, up to a limit.
    fn spender() -> TrackInfo<Balance, BlockNumber> {
        TrackInfo {
            name: str_array("spender"),
            max_deciding: 10,
            decision_deposit: 100 * ASY,
            prepare_period: Hours::<Runtime, 2>::get(),
            decision_period: Hours::<Runtime, { 7 * 24 }>::get(),
            confirm_period: Hours::<Runtime, 12>::get(),
            min_enactment_period: Hours::<Runtime, 12>::get(),
            min_approval: Self::falling(80, 50),
            min_support: Self::falling(25, 2),
        }
    }
}

impl pallet_referenda::TracksInfo<Balance, BlockNumber> for Tracks {
    type Id = TrackId;
    type RuntimeOrigin = OriginCaller;

    fn tracks() -> impl Iterator<Item = Cow<'static, Track<TrackId, Balance, BlockNumber>>> {
        [
            (ROOT, Self::root()),
            (PARAMETERS, Self::parameters()),
            (SPENDER, Self::spender()),
        ]
        .into_iter()
        .map(|(id, info)| Cow::Owned(Track { id, info }))
    }

    fn track_for(origin: &OriginCaller) -> Result<TrackId, ()> {
        match origin {
            OriginCaller::system(RawOrigin::Root) => Ok(ROOT),
            OriginCaller::Governance(Origin::Parameters) => Ok(PARAMETERS),
            OriginCaller::Governance(Origin::Spender) => Ok(SPENDER),
            _ => Err(()),
        }
    }
}

parameter_types! {
    pub const PreimageDeposit: RuntimeHoldReason =
        RuntimeHoldReason::Preimage(pallet_preimage::HoldReason::Preimage);
    pub const TreasuryPalletId: PalletId = TREASURY_PALLET_ID;
    pub const Burn: Permill = Permill::zero();
    /// Half of a block for what is scheduled, so that a block has room for transactions even then.
    pub const MaxScheduledWeight: Weight =
        Weight::from_parts(WEIGHT_REF_TIME_PER_SECOND, u64::MAX);
    /// Half of a block for a step of a migration; there are no transactions in such a block.
    pub const MaxMigrationWeight: Weight =
        Weight::from_parts(WEIGHT_REF_TIME_PER_SECOND, u64::MAX);
}

impl governance::Config for Runtime {
    type AdminOrigin = ParametersOrigin;
    type SpendLimit = ConstU128<SPEND_LIMIT>;
}

impl pallet_preimage::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type WeightInfo = pallet_preimage::weights::SubstrateWeight<Runtime>;
    type Currency = Balances;
    type ManagerOrigin = EnsureRoot<AccountId>;
    type Consideration = Deposit<PreimageDeposit>;
}

impl pallet_scheduler::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type RuntimeOrigin = RuntimeOrigin;
    type PalletsOrigin = OriginCaller;
    type RuntimeCall = RuntimeCall;
    type MaximumWeight = MaxScheduledWeight;
    type ScheduleOrigin = EnsureRoot<AccountId>;
    type OriginPrivilegeCmp = EqualPrivilegeOnly;
    type MaxScheduledPerBlock = ConstU32<64>;
    type WeightInfo = pallet_scheduler::weights::SubstrateWeight<Runtime>;
    type Preimages = Preimage;
    type BlockNumberProvider = System;
}

impl pallet_referenda::Config for Runtime {
    type RuntimeCall = RuntimeCall;
    type RuntimeEvent = RuntimeEvent;
    type WeightInfo = pallet_referenda::weights::SubstrateWeight<Runtime>;
    type Scheduler = Scheduler;
    type Currency = Balances;
    type SubmitOrigin = AsEnsureOriginWithArg<EnsureSigned<AccountId>>;
    type CancelOrigin = EnsureRoot<AccountId>;
    type KillOrigin = EnsureRoot<AccountId>;
    type Slash = Treasury;
    type Votes = Balance;
    type Tally = pallet_conviction_voting::TallyOf<Runtime>;
    type SubmissionDeposit = ConstU128<SUBMISSION_DEPOSIT>;
    type MaxQueued = ConstU32<20>;
    type UndecidingTimeout = Hours<Runtime, { 14 * 24 }>;
    type AlarmInterval = ConstU32<1>;
    type Tracks = Tracks;
    type Preimages = Preimage;
    type BlockNumberProvider = System;
}

// What is held, such as a validator's bond, votes too.
impl pallet_conviction_voting::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type WeightInfo = pallet_conviction_voting::weights::SubstrateWeight<Runtime>;
    type Currency = Balances;
    type Polls = Referenda;
    // The treasury does not vote, so its money counts for nothing.
    type MaxTurnout = frame_support::traits::ActiveIssuanceOf<Balances, AccountId>;
    type MaxVotes = ConstU32<512>;
    type VoteLockingPeriod = Hours<Runtime, { 7 * 24 }>;
    type BlockNumberProvider = System;
    type VotingHooks = ();
}

/// Pays from the treasury's account, which stays: fees below the existential deposit could not be paid into an
/// account that is not there.
pub struct FromTreasury;

impl Pay for FromTreasury {
    type Balance = Balance;
    type Beneficiary = AccountId;
    type AssetKind = ();
    type Id = ();
    type Error = DispatchError;

    fn pay(who: &AccountId, _: (), amount: Balance) -> Result<(), DispatchError> {
        Balances::transfer(&treasury_account(), who, amount, Preservation::Preserve)?;
        Ok(())
    }

    fn check_payment(_: ()) -> PaymentStatus {
        PaymentStatus::Success
    }

    #[cfg(feature = "runtime-benchmarks")]
    fn ensure_successful(_: &AccountId, _: (), amount: Balance) {
        let _ = Balances::mint_into(&treasury_account(), amount);
    }

    #[cfg(feature = "runtime-benchmarks")]
    fn ensure_concluded(_: ()) {}
}

impl pallet_treasury::Config for Runtime {
    type Currency = Balances;
    type RejectOrigin = EnsureRoot<AccountId>;
    type RuntimeEvent = RuntimeEvent;
    type SpendPeriod = Hours<Runtime, 24>;
    type Burn = Burn;
    type PalletId = TreasuryPalletId;
    type BurnDestination = ();
    type WeightInfo = pallet_treasury::weights::SubstrateWeight<Runtime>;
    type SpendFunds = ();
    // No spending by the older way, which the pallet is about to lose.
    type MaxApprovals = ConstU32<0>;
    type SpendOrigin = EnsureSpender;
    type AssetKind = ();
    type Beneficiary = AccountId;
    type BeneficiaryLookup = IdentityLookup<AccountId>;
    type Paymaster = FromTreasury;
    type BalanceConverter = UnityAssetBalanceConversion;
    type PayoutPeriod = Hours<Runtime, { 30 * 24 }>;
    type BlockNumberProvider = System;
    #[cfg(feature = "runtime-benchmarks")]
    type BenchmarkHelper = ();
}

/// While storage is migrated over several blocks, these have no transactions: nobody can make a move, so
/// the referee's clocks stand still.
pub struct PauseReferee;

impl MigrationStatusHandler for PauseReferee {
    fn started() {
        // A pause that governance made is its own to end.
        if Disputes::pause(RuntimeOrigin::root(), true).is_ok() {
            PausedByMigration::<Runtime>::put(());
        }
    }

    fn completed() {
        if PausedByMigration::<Runtime>::take().is_some() {
            let resumed = Disputes::pause(RuntimeOrigin::root(), false);
            debug_assert!(
                resumed.is_ok(),
                "the referee was paused when migrating began"
            );
        }
    }
}

/// Leaves the chain open when a migration failed, or governance could not repair it. The referee stays
/// paused until it has.
pub struct StayOpen;

impl FailedMigrationHandler for StayOpen {
    fn failed(_: Option<u32>) -> FailedMigrationHandling {
        PausedByMigration::<Runtime>::kill();
        FailedMigrationHandling::ForceUnstuck
    }
}

impl pallet_migrations::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    #[cfg(not(feature = "runtime-benchmarks"))]
    type Migrations = crate::migrations::MultiBlock;
    #[cfg(feature = "runtime-benchmarks")]
    type Migrations = pallet_migrations::mock_helpers::MockedMigrations;
    type CursorMaxLen = ConstU32<{ 1 << 16 }>;
    type IdentifierMaxLen = ConstU32<256>;
    type MigrationStatusHandler = PauseReferee;
    type FailedMigrationHandler = StayOpen;
    type MaxServiceWeight = MaxMigrationWeight;
    type WeightInfo = pallet_migrations::weights::SubstrateWeight<Runtime>;
}
